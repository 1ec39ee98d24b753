"""Matrix rooms, read as an ordinary user reads them through the client-server API.

In: a room's alias or id, and a `Fetch`. Out: the room's messages with what each answer proves:
alive in which wording, redacted and in whose name, not found; and the same about the room. What
an answer means stands in `notices/matrix.toml`; here is how to ask and where to read.

What it deliberately does not do: it never enters a room unless `join = true`, since joining shows
the observer to everybody there. It sends the access token to the one server that the settings
name, nowhere else. It reads `m.room.message` only: no encrypted events, stickers or polls.

What an observer in the room can see, measured on Synapse 1.163.2:
- A leave or a closed account is no loss: the posts stay. If the account was closed with the wish
  to erase it, whoever was in the room when a post was sent still reads it; others get it empty.
- Whoever was thrown out still reads what was said before, and is told "not in the room" like
  somebody whose room was taken away. The room's summary tells the two apart.
- A room that the operator only blocked reads on as before for those inside; a room that was shut
  down but not purged still gives them its posts one by one, and nobody anything else.
- A redaction in the author's name can be the operator's. (Synapse's bulk redaction puts each one
  right behind its message in the room's order, where no client can put one; no rule uses it yet.)
- Redacting strips an edit down to what a redacted post looks like. The cursor knows the edits of
  earlier readings; one sent and redacted in between looks like a post never seen alive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from vanished.archive.settings_asking import Key
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    Account,
    Cause,
    Discovery,
    Kind,
    Look,
    Post,
    Sighting,
    Signal,
    Via,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.net.login import login_of
from vanished.sources import Naming, Settings
from vanished.sources import matrix_api as api
from vanished.sources import matrix_room as rooms
from vanished.sources.matrix_api import Asker, Event, Page
from vanished.sources.matrix_room import Mark

KEYS: Mapping[str, Key] = {
    "server": Key("https://matrix.example.org", "the homeserver that your token is for"),
    "token_env": Key("VANISHED_MATRIX_TOKEN", "the variable, or entry of the keyring"),
    "join": Key(False, "enter rooms, which shows this observer to everybody there"),
}
CANARY = "ROOM/EVENT, such as !abc:example.org/$event, in a room you keep; gone: one you redacted"

BACK_PAGES = 3  # read again when many older events changed
FEW = 3  # so many changed events are asked for one by one; more are first looked for in pages
MOST_ASKED = 20  # changed events asked for one by one in one reading

_ALIAS = re.compile(r"#[^\s:]+:(?P<server>[!-~]+)")


class MatrixSource:
    """The source of Matrix rooms; see `sources.Source`.

    `batch` is 1 since the API has no call for several given events. The cheap way to follow many
    posts is `discover`: redactions and edits arrive there as events, a hundred to a request.
    """

    platform = "matrix"
    batch = 1

    def __init__(self, name: Naming, settings: Settings) -> None:
        """Raises ConfigError for a `server` or `token_env` that cannot be one."""
        self._name = name
        self._server = _server(str(settings.get("server", "")))
        self.login = login_of(self.platform, settings, "token_env", "VANISHED_MATRIX_TOKEN")
        self._join = settings.get("join", False) is True

    def account(self, address: str) -> Account:
        """The room of an alias or id; its url lies on the homeserver that is asked."""
        address = address.strip()
        alias = _ALIAS.fullmatch(address)
        if not (alias or rooms.ROOM.fullmatch(address)) or len(address.encode()) > 255:
            raise UsageError(
                f"'{address[:80]}' is no Matrix room; give an alias such as '#news:example.org' or"
                " a room id such as '!abc123:example.org'."
            )
        if not self._server:
            guess = alias["server"].partition(":")[0] if alias else "matrix.example.org"
            raise UsageError(
                "[sources.matrix] names no homeserver to ask; write the one that your access token"
                f' is for, such as server = "https://{guess}": the token is sent there and nowhere'
                " else."
            )
        url = self._server + (api.alias_path(address) if alias else api.room_path(address))
        key = self._name(self.platform, address)
        return Account(key, self.platform, address, name=address, url=url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """Read what is new in the room: at first the latest messages, later all since then."""
        ask = self._asker(account.url, fetch)
        mark = Mark.load(cursor)
        alias = account.native_id if account.native_id.startswith("#") else ""
        if not mark.room:
            found = await rooms.resolve(ask, alias) if alias else account.native_id
            if isinstance(found, Signal):
                return Discovery(ask.seen(account.key, found, Via.TIMELINE))
            mark = Mark(found)
        before = mark.at
        pages, refusal = await rooms.read(ask, mark)
        shut = None
        if refusal and refusal.status == 403 and self._join and not before:
            shut = await rooms.enter(ask, alias or mark.room)
            if shut is None:
                pages, refusal = await rooms.read(ask, mark)
        signal = await rooms.standing(ask, mark, alias, pages, refusal, known=bool(before))
        if shut is not None and signal.kind is Kind.ERROR:
            signal = shut
        sightings = self._met(account, mark, pages, first=not before)
        if not refusal:
            sightings |= await self._settled(account, mark, before, ask)
        if mark.moved and (signal.kind is Kind.ALIVE or Cause.UNKNOWN in signal.causes):
            signal = api.rule("tombstone", "replacement_room", words=mark.moved)
        observation = ask.seen(account.key, signal, Via.TIMELINE)
        return Discovery(observation, tuple(sightings.values()), cursor=mark.dump())

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask for each post's event. "Not found" counts only while its room can be read."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        ask = self._asker(post.url, fetch)
        room, slash, ident = post.native_id.partition("/$")
        ident = slash[1:] + ident
        exchange = await ask.get(api.event_path(room, ident))
        event = api.json_of(exchange)
        if exchange.status == 200 and event.get("event_id") == ident:
            signal, version = api.reading(event)
            return Look(ask.seen(post.key, signal, Via.DIRECT, version), version)
        signal = ask.failed(exchange)
        if exchange.status == 404 and event.get("errcode") == "M_NOT_FOUND":
            # Somebody who is not in the room gets the same answer for every event in it.
            signal = await rooms.room_now(ask, room, "", refused=True, known=True)
            if signal.kind is Kind.ALIVE:
                signal = api.rule("event.errcode", "M_NOT_FOUND", status=404)
        return Look(ask.seen(post.key, signal, Via.DIRECT))

    def _asker(self, url: str, fetch: Fetch) -> Asker:
        base = url.partition("/_matrix/")[0]
        if base != self._server:
            return Asker(fetch, base, "", self.login.variable)
        return Asker(fetch, base, self.login.secret, self.login.variable, self.login)

    def post(self, address: str) -> Post:
        """The post of a room and an event, written ROOM/EVENT; UsageError if it cannot be one."""
        room, slash, ident = address.strip().partition("/$")
        if not slash or not rooms.ROOM.fullmatch(room) or not api.ident_of(slash[1:] + ident):
            raise UsageError(
                f"'{address[:80]}' is no Matrix event; write the room's id, a slash and the event's"
                " id, such as '!abc123:example.org/$event'."
            )
        if not self._server:
            raise UsageError("[sources.matrix] names no homeserver to ask; write server = ....")
        native = f"{room}/${ident}"
        url = self._server + api.event_path(room, f"${ident}")
        return Post(self._name(self.platform, native), "", self.platform, native, url)

    def _sighting(self, account: Account, room: str, event: Event, page: Page) -> Sighting:
        native = f"{room}/{event['event_id']}"
        signal, version = api.reading(event)
        key = self._name(self.platform, native)
        base = account.url.partition("/_matrix/")[0]
        post = Post(
            key,
            account.key,
            self.platform,
            native,
            base + api.event_path(room, event["event_id"]),
            published_at=api.published(event),
        )
        via = Via.DIRECT if page.single else Via.TIMELINE
        seen = api.observed(key, page.exchange, page.exchange, signal, via, version)
        return Sighting(post, seen, version)

    def _met(
        self, account: Account, mark: Mark, pages: Sequence[Page], *, first: bool
    ) -> dict[str, Sighting]:
        """The posts in `pages` by event id; notes in `mark` which others changed.

        A page shows its own events as they are now, so only a change of an event outside the page
        is news. In the first reading none is: we never saw what lies outside.
        """
        met: dict[str, Sighting] = {}
        for page in pages:
            here = {event["event_id"] for event in page.events}
            for event in page.events:
                changed = ""
                match event.get("type"):
                    case "m.room.message" if original := api.edited(event):
                        mark.edits[event["event_id"]] = changed = original
                    case "m.room.message" if event["event_id"] not in mark.edits:
                        met[event["event_id"]] = self._sighting(account, mark.room, event, page)
                    case "m.room.redaction":
                        target = api.redacted(event)
                        changed = mark.edits.get(target, target)
                    case "m.room.tombstone":
                        mark.moved = api.successor(event)
                if changed and changed not in here and not first:
                    mark.ask[changed] = True
        if first:
            dates = [api.milliseconds(event) for page in pages for event in page.events]
            mark.since = min((date for date in dates if date is not None), default=0)
        return met

    async def _settled(
        self, account: Account, mark: Mark, before: str, ask: Asker
    ) -> dict[str, Sighting]:
        """What became of the events in `mark.ask`: by pages while they are many, then singly.

        Those that are not messages, or are older than what we ever saw, are dropped.
        """
        found: dict[str, Sighting] = {}

        def settle(event: Event, page: Page) -> None:
            mark.ask.pop(event["event_id"], None)
            date = api.milliseconds(event)
            old = date is not None and date < mark.since
            if event.get("type") == "m.room.message" and not old and not api.edited(event):
                sighting = self._sighting(account, mark.room, event, page)
                found[event["event_id"]] = sighting

        start = before
        for _ in range(BACK_PAGES):
            if len(mark.ask) <= FEW or not start:
                break
            page = await api.read_page(ask, mark.room, "b", start)
            if isinstance(page, Exchange):
                break
            hits = [event for event in page.events if event["event_id"] in mark.ask]
            for event in hits:
                settle(event, page)
            start = page.end if hits else ""
        for ident in list(mark.ask)[:MOST_ASKED]:
            exchange = await ask.get(api.event_path(mark.room, ident))
            event = api.json_of(exchange)
            if exchange.status == 200 and event.get("event_id") == ident:
                settle(event, Page(exchange, [event], single=True))
            elif exchange.status == 404:
                del mark.ask[ident]  # not for our eyes; if we know it, its next look says more
            else:
                break
        return found


# -- settings ------------------------------------------------------------------


def _server(given: str) -> str:
    """The homeserver's base url without a path, "" if none is set."""
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and bare
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            "[sources.matrix] server has to be the address of a homeserver, such as"
            ' "https://matrix.example.org".'
        )
    return f"{parts.scheme}://{parts.netloc}"
