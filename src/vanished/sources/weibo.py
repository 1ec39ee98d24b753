"""Weibo accounts, read as a visitor without an account reads them, mobile site before desktop.

In: an account's number and a `Fetch`. Out: its posts with what each answer proves, long texts,
reposts, and the same about the account. How Weibo is asked stands in `weibo_ask`, how an answer is
built in `weibo_answer`, what a notice means in `notices/weibo.toml`; here is what answers prove
together.

The mobile site (m.weibo.cn) and the desktop (weibo.com) are served from replicas that disagree. A
loss is only reported if the second one does not show the post: a post that one of them shows is
not gone, and a contradiction is a failed look. The wording comes from the mobile site, and from the
desktop only where none is known yet, as the two may spell links differently.

Visitor mode: Weibo gives every browser a pass (genvisitor2) before it shows anything. It is asked
for when an answer calls for it, used for that one reading, and forgotten, since a source keeps no
state. For many posts put a pass of your own into the variable that `cookie_env` names, or into
the keyring under that name: see `net.login`. Once either site no longer knows it, looks fail.

Tried live: only against servers of the tests that answer as public scrapers describe Weibo. No
request to Weibo itself was ever made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from vanished.archive.settings_asking import Key
from vanished.errors import UsageError
from vanished.model import (
    ALIVE,
    NO_COUNTS,
    Account,
    Cause,
    Counts,
    Discovery,
    Fault,
    Kind,
    Look,
    Post,
    Sighting,
    Signal,
    Strength,
    Version,
    Via,
    failed,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.net.login import login_of
from vanished.sources import Naming, Settings
from vanished.sources.answer import ident_of, parsed, server_of, within
from vanished.sources.page import observation, web_address
from vanished.sources.weibo_answer import (
    NUMBER,
    long_text_of,
    needs_long_text,
    needs_visitor,
    posts_of,
    read_status,
    refusal,
    status_in,
)
from vanished.sources.weibo_ask import (
    DESKTOP,
    MOBILE,
    Asker,
    Listed,
    complete_since,
    read_list,
)

KEYS: Mapping[str, Key] = {
    "mobile": Key("https://m.weibo.cn", "whom to ask first, such as a relay of yours"),
    "desktop": Key("https://weibo.com", "whom to ask second"),
    "passport": Key("https://passport.weibo.com", "who gives passes to visitors, in place of both"),
    "visitor": Key(True, "take the pass that Weibo gives to every visitor"),
    "cookie_env": Key("VANISHED_WEIBO_COOKIE", "the variable of a Cookie header of your own"),
}
CANARY = (
    "https://m.weibo.cn/detail/NUMBER, an old one of an official account; gone: one "
    "whose page says so"
)

_PASSPORTS = {
    MOBILE: "https://visitor.passport.weibo.cn",
    DESKTOP: "https://passport.weibo.com",
}
_ADDRESS = re.compile(r"/(?:u/|profile/|n/)?([1-9]\d{4,19})/?")
_POST = re.compile(r"(?:https?://m\.weibo\.cn/(?:detail|status)/)?([1-9]\d{4,19})/?")
_HOSTS = ("weibo.com", "www.weibo.com", "m.weibo.cn", "weibo.cn", "m.weibo.com")
_AGAIN = (Fault.RATE_LIMITED, Fault.TIMEOUT, Fault.CONNECT, Fault.DNS, Fault.TLS, Fault.REFUSED)


class WeiboSource:
    """The source of Weibo accounts; see `sources.Source`.

    What is ambiguous here: 20101 "no such post" is said of what its author deleted, of what Weibo
    took away, and of what never was. "No permission" (20112) is the author's own setting, and what
    censored posts show as well. "Cannot be viewed for now" (20132) is a hold that may end. A text
    of Weibo's in the place of a post is its word, and pressure on the author cannot be seen. A
    visitor's timeline leaves posts out and shows old ones on top: absence from it proves nothing
    and only asks for a direct look. A repost whose original is lost is alive.
    """

    platform = "weibo"
    batch = 1

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a server or `cookie_env` that cannot be one."""
        given = settings or {}
        own = given.get("passport")
        passport = server_of(own, self.platform, "passport") if own is not None else ""
        self._name = name
        self._servers = {
            MOBILE: server_of(given.get("mobile", "https://m.weibo.cn"), self.platform, MOBILE),
            DESKTOP: server_of(given.get("desktop", "https://weibo.com"), self.platform, DESKTOP),
        }
        self._passports = {side: passport or own for side, own in _PASSPORTS.items()}
        self._visitor = given.get("visitor", True) is True
        self.login = login_of(
            self.platform, given, "cookie_env", "VANISHED_WEIBO_COOKIE", needed=False
        )

    def account(self, address: str) -> Account:
        """The account of a number or of its page; UsageError if it can be none."""
        address = address.strip()
        number = address if NUMBER.fullmatch(address) else ""
        if not number:
            url = address if "://" in address else f"https://{address}"
            parts = urlsplit(web_address(url, "Weibo account"))
            own = {urlsplit(server).hostname for server in self._servers.values()}
            found = _ADDRESS.fullmatch(parts.path)
            if found is None or parts.hostname not in (*_HOSTS, *own):
                raise UsageError(
                    f"'{address[:80]}' names no Weibo account by its number; give one such as"
                    " 'https://weibo.com/u/1234567890'. A page under a name shows the number in"
                    " the addresses of its posts."
                )
            number = found[1]
        native_id = f"user:{number}"  # not the bare number: a post may have the same
        url = f"{self._servers[MOBILE]}/u/{number}"
        key = self._name(self.platform, native_id)
        return Account(key, self.platform, native_id, number, url)

    def post(self, address: str) -> Post:
        """The post of a number or at `https://m.weibo.cn/detail/NUMBER`; UsageError if none."""
        found = _POST.fullmatch(address.strip())
        if found is None:
            raise UsageError(
                f"'{address[:80]}' names no post of Weibo by its number; give one such as"
                " 'https://m.weibo.cn/detail/5000000000000001'."
            )
        key, url = self._name(self.platform, found[1]), self._post_url(found[1])
        return Post(key, "", self.platform, found[1], url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The account's newest posts, back to those of the last reading.

        The cursor is the number of the newest post ever seen, "" for none.
        """
        ask = self._asker(fetch)
        user = account.native_id.removeprefix("user:")
        newest = int(cursor) if NUMBER.fullmatch(cursor) else 0
        listed, refusals = await read_list(ask, user, newest)
        signal = ALIVE if listed else await _standing(ask, user, refusals, known=bool(newest))
        about = ask.seen(account.key, signal, Via.TIMELINE)
        if not listed:
            return Discovery(about, cursor=cursor)
        sightings = tuple(self._sighting(account, entry) for entry in listed)
        last = max([newest, *(int(entry.status.mid) for entry in listed)])
        return Discovery(about, sightings, complete_since(listed), cursor=str(last))

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask for each post: the mobile site, and the desktop too unless the first shows it."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        ask = self._asker(fetch)
        reading = await _one(ask, MOBILE, post.native_id)
        if reading.signal.kind is not Kind.ALIVE:
            reading = await _checked(ask, post.native_id, reading)
        version = reading.version
        if reading.side == DESKTOP and post.version:
            version = None
        seen = ask.seen(post.key, reading.signal, Via.DIRECT, version, reading.counts)
        return Look(seen, version if version and version.hash != post.version else None)

    def _asker(self, fetch: Fetch) -> Asker:
        cookie = "".join(sign for sign in self.login.secret if " " <= sign <= "~")
        return Asker(fetch, self._servers, self._passports, cookie, self._visitor)

    def _post_url(self, mid: str) -> str:
        return f"{self._servers[MOBILE]}/detail/{mid}"

    def _sighting(self, account: Account, entry: Listed) -> Sighting:
        status = entry.status
        key = self._name(self.platform, status.mid)
        post = Post(
            key,
            account.key,
            self.platform,
            status.mid,
            self._post_url(status.mid),
            published_at=status.published_at,
            repeats=status.chain[-1] if status.chain else None,
        )
        version = status.version if entry.side == MOBILE else None
        exchange = entry.exchange
        hashed = version.hash if version else ""
        seen = observation(key, exchange, ALIVE, Via.TIMELINE, hashed, status.counts)
        return Sighting(post, seen, version)


# -- one post ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one server's answer, or two together, say of a post."""

    signal: Signal
    side: str
    version: Version | None = None
    counts: Counts = NO_COUNTS


async def _one(ask: Asker, side: str, mid: str) -> _Reading:
    """Ask one server for a post, and for the rest of its text where the answer cuts it."""
    if side == MOBILE:
        exchange = await ask.get(side, "/statuses/show", id=mid)
        rest = "/statuses/extend"
    else:
        exchange = await ask.get(
            side, "/ajax/statuses/show", id=mid, locale="zh-CN", isGetLongText="true"
        )
        rest = "/ajax/statuses/longtext"
    reading, value = _read(side, exchange, mid)
    if reading.signal is not ALIVE or not needs_long_text(value):
        return reading
    name = ident_of(value.get("mblogid")) if side == DESKTOP else mid
    whole = long_text_of(await ask.get(side, rest, id=name or mid))
    status = read_status(value, whole)
    return replace(reading, version=status.version if status else None)


async def _checked(ask: Asker, mid: str, first: _Reading) -> _Reading:
    """What the other ways to a post make of a reading of the mobile site that does not show it."""
    second = await _one(ask, DESKTOP, mid)
    walled = [each for each in (first, second) if ask.cookie and needs_visitor(each.signal)]
    if walled:  # whom one site no longer knows, the other may answer as it likes
        return walled[0]
    if first.signal.fault is None or second.signal.fault is None:
        return _together(first, second)
    if first.signal.fault in _AGAIN:  # whatever keeps us out keeps us out of the page, too
        return first
    page = await _page(ask, mid)
    return page if page.signal.fault is None else first


async def _page(ask: Asker, mid: str) -> _Reading:
    """The mobile page of a post, which holds its JSON: for when both calls fail."""
    exchange = await ask.get(MOBILE, f"/detail/{quote(mid, safe='')}")
    reading, _ = _read(MOBILE, exchange, mid)
    return reading


def _read(side: str, exchange: Exchange, mid: str) -> tuple[_Reading, Mapping[str, object]]:
    value = status_in(exchange)
    if not value:
        return _Reading(refusal(exchange), side), value
    status = read_status(value)
    if status is None or status.mid != mid:
        words = "an answer with another post than the one asked for"
        return _Reading(failed(Fault.UNREADABLE, status=exchange.status, words=words), side), value
    if status.gone is not None:
        return _Reading(replace(status.gone, status=exchange.status), side), value
    return _Reading(ALIVE, side, status.version, status.counts), value


def _together(first: _Reading, second: _Reading) -> _Reading:
    """What two replicas, of which one may have failed, say: a contradiction is a failed look."""
    one, other = first.signal, second.signal
    if one.fault is not None or other.fault is not None:
        return first if one.fault is None else second
    if one.gone and other.gone:
        open_both = Cause.UNKNOWN in one.causes | other.causes
        if open_both or one.causes & other.causes:
            return min(first, second, key=_vagueness)
    said = " and ".join(s.words or s.rule or s.kind for s in (one, other))
    words = f"Weibo's mobile and desktop sites disagree: {said}"
    return _Reading(failed(Fault.UNREADABLE, status=other.status, words=words), first.side)


def _vagueness(reading: _Reading) -> tuple[bool, int, bool]:
    signal = reading.signal
    vague = Cause.UNKNOWN in signal.causes
    return vague, len(signal.causes), signal.strength is Strength.WEAK


# -- an account ---------------------------------------------------------------------------


async def _standing(ask: Asker, user: str, refusals: Sequence[Exchange], *, known: bool) -> Signal:
    """What became of an account whose lists show nothing. `known`: they did before."""
    profile = await ask.get(DESKTOP, "/ajax/profile/info", uid=user)
    shown = ident_of(within(parsed(profile), "data", "user", "id"))
    signals = [refusal(exchange) for exchange in (profile, *refusals)]
    if profile.status == 200 and shown == user:
        # No list is no loss of the account; why we were shown none may be.
        kept = [
            signal
            for exchange, signal in zip(refusals, signals[1:], strict=True)
            if posts_of(exchange) is None and signal.fault not in (None, Fault.EMPTY)
        ]
        return kept[0] if kept else ALIVE
    walled = [signal for signal in signals if ask.cookie and needs_visitor(signal)]
    if walled:
        return walled[0]
    for signal in signals:
        if signal.gone and signal.account_level:
            if known or signal.strength is Strength.STRONG:
                return signal
            words = "Weibo knows no such account; see whether the number is right"
            return failed(Fault.UNREADABLE, status=signal.status, words=words)
    errors = [signal for signal in signals if signal.fault is not None]
    # A list that breaks off or is empty says less than why we were not let in.
    plain = [s for s in errors if s.fault not in (Fault.UNREADABLE, Fault.EMPTY)]
    if plain or errors:
        return (plain or errors)[0]
    words = "Weibo speaks of a post where a list was asked for"
    return failed(Fault.UNREADABLE, status=profile.status, words=words)
