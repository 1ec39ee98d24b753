"""XMPP rooms that keep an archive, read through it as any guest may.

In: a room's address, and a `Fetch`. Out: the room's messages by their stanza-ids with what the
archive proves: there in which wording, taken back, taken away by a moderator, no longer there; and
the same about the room. What an answer means stands in `notices/xmpp.toml`; here is what to ask.

What it deliberately does not do: it never enters a room unless `join = true`, since everybody in
the room sees who enters, and Prosody opens an archive to whoever could enter anyway. It
sends the password to the one server that the settings name, nowhere else. It reads messages with a
body only, and nothing encrypted.

What an observer can see, measured on Prosody 0.12.3 with mod_muc_mam and mod_muc_moderation:
- A retraction is one more message: the archive still has the wording. So a later look at the
  message alone would find it alive. The list marks what it saw taken back (see RETRACTED); a look
  at a marked message searches for the retraction anew, and fails if it is out of reach.
- A moderated message is replaced by a tombstone, and the room announces it.
- The archive of a destroyed room answers as an empty one; only asked about itself does the room
  say that it is gone. A room that was not persistent is as if it had never been.
- Who is banned, and who is no member of a room that became one for members, gets the same refusal
  from the archive: a failed look, like every other refusal.
- Whoever runs the server can send, and take back, in anybody's name.
- A correction (XEP-0308) is one more message, too: its wording comes with the list, and a look
  at the message says nothing of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from vanished.archive.settings_asking import Key
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ALIVE,
    Account,
    Discovery,
    Fault,
    Kind,
    Look,
    Micros,
    Post,
    Sighting,
    Signal,
    Version,
    Via,
    failed,
    version_hash,
)
from vanished.net.exchange import Fetch
from vanished.net.login import login_of
from vanished.sources import Naming, Settings
from vanished.sources.xmpp_archive import Page, Removal, Stored, mark_of, query
from vanished.sources.xmpp_room import (
    AT_ONCE,
    Mark,
    announcements,
    ask_room,
    read_new,
    refusal,
    rule,
    singles,
    standing,
)
from vanished.sources.xmpp_session import Ended, Observer, Visit
from vanished.sources.xmpp_xml import MAM_EXTENDED

KEYS: Mapping[str, Key] = {
    "server": Key("https://xmpp.example.org:5281/http-bind", "your server's BOSH service"),
    "account": Key("reader@example.org", "your account there, or a domain that takes guests"),
    "password_env": Key("VANISHED_XMPP_PASSWORD", "the variable, or entry of the keyring"),
    "join": Key(False, "enter rooms that refuse strangers: everybody there sees it"),
    "nick": Key("reader", "the name under which to enter"),
    "plain": Key(False, "allow http:// to a server on this machine"),
}
CANARY = "ROOM/STANZA-ID, in a room you keep; gone: one that a moderator took away"

RETRACTED = "[retracted]"
"""Title of the wording of a message that the archive shows together with its retraction."""

_ROOM = re.compile(r"[^\s\"&'/:<>@\x00-\x1f]{1,255}@[^\s\"&'/:<>@?#\x00-\x1f]{1,255}")
_JID = re.compile(r"(?:(?P<user>[^\s\"&'/:<>@]{1,255})@)?(?P<domain>[^\s\"&'/:<>@?#]{1,255})")


class XmppSource:
    """The source of XMPP rooms; see `sources.Source`. One visit answers for a batch."""

    platform = "xmpp"
    batch = AT_ONCE

    def __init__(self, name: Naming, settings: Settings) -> None:
        """Raises ConfigError for settings that cannot be used together."""
        self._name = name
        plain = settings.get("plain", False) is True
        self._server = _server(str(settings.get("server", "")), plain=plain)
        login = login_of(self.platform, settings, "password_env", "VANISHED_XMPP_PASSWORD")
        if len(login.sessions) > 1:
            raise ConfigError(
                "[sources.xmpp] logins: only one account can be used, the one that account names."
            )
        who = _JID.fullmatch(str(settings.get("account", "")).strip())
        if self._server and who is None:
            raise ConfigError(
                "[sources.xmpp] account has to be the observer's address, such as"
                ' "observer@example.org", or a domain that takes guests, such as'
                ' "guest.example.org".'
            )
        nick = str(settings.get("nick", "reader")) if settings.get("join", False) is True else ""
        user, domain = ((who["user"] or ""), who["domain"]) if who else ("", "")
        self.login = login if user else None  # a guest has none
        self._observer = Observer(user, domain, login, plain, nick)

    def account(self, address: str) -> Account:
        """The room at `address`; its url lies on the server that is asked."""
        given = address.strip().removeprefix("xmpp:").partition("?")[0]
        room = unicodedata.normalize("NFKC", unquote(given)).lower()
        if not _ROOM.fullmatch(room) or room.endswith("."):
            raise UsageError(
                f"'{address.strip()[:80]}' is no XMPP room; give an address such as"
                " 'news@rooms.example.org'."
            )
        if not self._server:
            raise UsageError(
                "[sources.xmpp] names no server to ask; write the address of your server's BOSH"
                ' service, such as server = "https://xmpp.example.org:5281/http-bind", and the'
                " observer's account there."
            )
        key = self._name(self.platform, room)
        return Account(key, self.platform, room, name=room, url=f"{self._server}#{quote(room)}")

    def post(self, address: str) -> Post:
        """The message at "ROOM/STANZA-ID"; UsageError if it can be none."""
        place, _, ident = address.strip().removeprefix("xmpp:").partition("/")
        account = self.account(place)
        if not re.fullmatch(r"[!-~]{1,512}", ident):
            raise UsageError(
                f"'{address.strip()[:80]}' is no message of an XMPP room; give the room and the"
                " stanza-id, such as 'news@rooms.example.org/5f3dbc5e'."
            )
        return self._post(account, ident, None)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """Read what is new in the archive: at first its newest messages, later all since then."""
        visit = self._visit(account.url, fetch)
        try:
            await visit.open()
            return await self._discover(visit, account, Mark.load(cursor))
        except Ended as end:
            return Discovery(visit.seen(account.key, end.signal, Via.TIMELINE))
        finally:
            await visit.close()

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask for each message by its stanza-id, and for its room's word about itself."""
        rooms: dict[str, list[Post]] = {}
        for post in posts:
            rooms.setdefault(post.native_id.rpartition("/")[0], []).append(post)
        visit = self._visit(posts[0].url, fetch)
        looks: dict[str, Look] = {}
        try:
            await visit.open()
            for room, group in rooms.items():
                looks |= await self._look(visit, room, group)
        except Ended as end:
            for post in posts:
                looks.setdefault(post.key, Look(visit.seen(post.key, end.signal, Via.DIRECT)))
        finally:
            await visit.close()
        return [looks[post.key] for post in posts]

    # -- a list -----------------------------------------------------------------------------

    async def _discover(self, visit: Visit, account: Account, mark: Mark) -> Discovery:
        room, since = account.native_id, len(visit.exchanges)
        fresh = not mark.known
        messages, about, signal = await read_new(visit, room, mark)
        seen = visit.seen(account.key, signal, Via.TIMELINE, since=since)
        if signal.kind is not Kind.ALIVE:
            return Discovery(seen, cursor=mark.dump() if mark.known else "")
        if fresh:
            mark.since = min((one.stamp for one in messages), default=0)
        mark.known = True
        met: dict[str, Sighting] = {}
        removals: dict[str, Stored] = {}
        for one in messages:
            self._enter(account, visit, since, mark, one, met, removals)
        settled = await self._settled(
            account, visit, mark, removals, MAM_EXTENDED in about.features
        )
        seen = visit.seen(account.key, signal, Via.TIMELINE, since=since)
        return Discovery(seen, tuple((met | settled).values()), cursor=mark.dump())

    def _enter(
        self,
        account: Account,
        visit: Visit,
        since: int,
        mark: Mark,
        one: Stored,
        met: dict[str, Sighting],
        removals: dict[str, Stored],
    ) -> None:
        """Note what one message of the list is: a post, a new wording of one, or the end of one.

        A tombstone by itself is nothing here: anybody can send what looks like one. The room's
        announcement counts, and the direct look at a message that we saw before.
        """
        if one.removes is not None:
            by = one.removes.by or one.removes.nick
            target = mark.own.get(mark_of(by, one.removes.target))
            removals[target[0] if target else one.removes.target] = one
            return
        if not one.body:
            return
        version = Version(version_hash("", one.body), text=one.body)
        ident, stamp = one.ident, one.stamp
        if one.corrects and (original := mark.own.get(mark_of(one.author, one.corrects))):
            ident, stamp = original
        else:
            mark.own[mark_of(one.author, one.own_id)] = (ident, stamp)
        post = self._post(account, ident, stamp)
        seen = visit.seen(post.key, ALIVE, Via.TIMELINE, version, since)
        met[ident] = Sighting(post, seen, version)

    async def _settled(
        self,
        account: Account,
        visit: Visit,
        mark: Mark,
        removals: Mapping[str, Stored],
        extended: bool,
    ) -> dict[str, Sighting]:
        """What became of the messages that the list says were taken back or away.

        What is older than anything we ever saw is left out, and what is not in the archive, which
        the next look at it says if we know it.
        """
        room, found = account.native_id, dict[str, Sighting]()
        stamps = dict(mark.own.values())
        for start in range(0, len(removals), AT_ONCE):
            idents = list(removals)[start : start + AT_ONCE]
            since = len(visit.exchanges)
            wanted = [(ident, stamps.get(ident)) for ident in idents]
            for ident, page in zip(
                idents, await singles(visit, room, wanted, extended=extended), strict=True
            ):
                one = next((m for m in page.messages if m.ident == ident), None)
                if one is None or one.stamp < mark.since or _is_correction(mark, one):
                    continue
                read = self._reading(room, one, removals[ident])
                if read is not None and read[0].gone:
                    post = self._post(account, ident, one.stamp)
                    seen = visit.seen(post.key, read[0], Via.DIRECT, read[1], since)
                    found[ident] = Sighting(post, seen, read[1])
        return found

    # -- a look -----------------------------------------------------------------------------

    async def _look(self, visit: Visit, room: str, posts: Sequence[Post]) -> dict[str, Look]:
        since = len(visit.exchanges)
        idents = [post.native_id.rpartition("/")[2] for post in posts]
        # How many messages there are, but none of them: what others wrote is not asked for.
        count = query(room, most=0)
        asked = [query(room, idents=[ident], most=2) for ident in idents]
        (counted, *pages), about = await ask_room(visit, room, [count, *asked])
        signal = standing(about, counted, known=True)
        if signal.kind is not Kind.ALIVE:
            return {p.key: Look(visit.seen(p.key, signal, Via.DIRECT, since=since)) for p in posts}
        extended = MAM_EXTENDED in about.features
        if not extended:
            wanted = [(i, p.published_at) for i, p in zip(idents, posts, strict=True)]
            pages = await singles(visit, room, wanted, extended=False)
        read = {
            post.key: self._read_post(room, post, ident, page)
            for post, ident, page in zip(posts, idents, pages, strict=True)
        }
        marked = {key: one for key, (_, _, one) in read.items() if one is not None}
        announced = await announcements(visit, room, list(marked.values()), extended=extended)
        for key, one in marked.items():
            read[key] = (*self._marked(room, one, announced.get(one.ident)), None)
        return {
            key: Look(visit.seen(key, said, Via.DIRECT, version, since), version)
            for key, (said, version, _) in read.items()
        }

    def _read_post(
        self, room: str, post: Post, ident: str, page: Page
    ) -> tuple[Signal, Version | None, Stored | None]:
        """What a page says of one message; with the message if it is to be searched further."""
        if page.error and page.error != "item-not-found":
            return refusal(page.error, page.words), None, None
        one = next((m for m in page.messages if m.ident == ident), None)
        if one is None:
            if not page.whole or not page.stable:
                return (
                    failed(Fault.TRUNCATED, words="the archive's answer is not whole"),
                    None,
                    None,
                )
            return rule("archive", "missing"), None, None
        read = self._reading(room, one, None)
        if read is None:
            return failed(Fault.UNREADABLE, words="a message without any body"), None, None
        signal, version = read
        if version is not None and post.version == version_hash(RETRACTED, version.text):
            return signal, None, one
        # A known wording that is not this one came with a correction, which the list follows.
        known = version is not None and post.version in ("", version.hash)
        return signal, version if known else None, None

    def _marked(
        self, room: str, one: Stored, announced: Stored | None
    ) -> tuple[Signal, Version | None]:
        """A message that we saw taken back, and that the archive still has."""
        read = self._reading(room, one, announced)
        if read is not None and read[0].gone:
            return read[0], None
        words = "the message was taken back, and the retraction is out of this look's reach"
        return failed(Fault.UNREADABLE, words=words), None

    # -- what a message says ------------------------------------------------------------------

    def _reading(
        self, room: str, one: Stored, announced: Stored | None
    ) -> tuple[Signal, Version | None] | None:
        """What the archive proves of a message and who spoke of it; None if it is unreadable."""
        if one.removed is not None:
            return self._removed(room, one, one.removed), None
        if not one.body:
            return None
        removal = announced.removes if announced is not None else None
        if removal is not None and (removal.moderated or _same(one, removal)):
            version = Version(version_hash(RETRACTED, one.body), RETRACTED, one.body)
            return self._removed(room, one, removal), version
        return ALIVE, Version(version_hash("", one.body), text=one.body)

    def _removed(self, room: str, one: Stored, removal: Removal) -> Signal:
        if not removal.moderated:
            how = "tombstone" if not removal.nick else "occupant" if removal.by else "nick"
            said = rule("removed", how, words=removal.reason)
            return replace(said, by="author" if how == "occupant" else "")
        own = removal.by == one.occupant if removal.by else removal.nick == one.sender
        how = "author-as-moderator" if own else "moderator"
        said = rule("removed", how, words=removal.reason)
        who = self._name(self.platform, f"{room}#{removal.by}") if removal.by else ""
        return replace(said, by=f"moderator {who}".strip())

    def _post(self, account: Account, ident: str, stamp: Micros | None) -> Post:
        native = f"{account.native_id}/{ident}"
        url = f"{account.url}/{quote(ident, safe='')}"
        key = self._name(self.platform, native)
        return Post(key, account.key, self.platform, native, url, published_at=stamp)

    def _visit(self, url: str, fetch: Fetch) -> Visit:
        base = url.partition("#")[0]
        password = self._observer.login.secret if base == self._server else ""
        return Visit(fetch, base, self._observer, password)


def _is_correction(mark: Mark, one: Stored) -> bool:
    """Whether `one` is a new wording of a known message, and so no post of its own."""
    return bool(one.corrects) and mark_of(one.author, one.corrects) in mark.own


def _same(one: Stored, removal: Removal) -> bool:
    """Whether whoever takes `one` back is who wrote it, as far as the room shows it."""
    if one.occupant or removal.by:
        return one.occupant == removal.by
    return one.sender == removal.nick


# -- settings -------------------------------------------------------------------------------------


def _server(given: str, *, plain: bool) -> str:
    """The address of the BOSH service, "" if none is set."""
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        fits = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        fits = False
    if not fits or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ConfigError(
            "[sources.xmpp] server has to be the address of a BOSH service, such as"
            ' "https://xmpp.example.org:5281/http-bind".'
        )
    if parts.scheme == "http" and not (plain and _is_loopback(parts.hostname or "")):
        raise ConfigError(
            "[sources.xmpp] server has to begin with https://, since a password goes there; plain"
            " http:// is for a server on this machine (127.0.0.1, ::1), with plain = true."
        )
    return given


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
