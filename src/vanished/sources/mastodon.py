"""Accounts of the fediverse, read through the Mastodon REST API of the server they live on.

In: an account (`@user@server`, or its address) and a `Fetch`. Out: its public posts with what each
answer proves, edits as new versions, boosts as repeats, and the same about the account. Any server
that speaks accounts/lookup, accounts/ID/statuses and statuses/ID is read the same way. What an
answer means stands in `notices/mastodon.toml`; here is how to ask and where to read.

What it deliberately does not do: it logs in nowhere, and asks no other server for a copy, since a
copy proves nothing about the original. Plain JSON through `Fetch`, not Mastodon.py: that library
opens its own connections (requests), beside the one door that checks, pays for and keeps them.

Tried live: against a small server of the tests that speaks this JSON over loopback, since no
Mastodon server could be installed; never against a real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode, urlsplit

from vanished.archive.settings_asking import Key
from vanished.errors import UsageError
from vanished.model import (
    ALIVE,
    NO_COUNTS,
    SECOND,
    Account,
    Counts,
    Discovery,
    Fault,
    Kind,
    Look,
    Micros,
    Observation,
    Post,
    Sighting,
    Signal,
    Version,
    Via,
    failed,
    version_hash,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.answer import (
    Json,
    ident_of,
    list_of,
    moment,
    parsed,
    table_of,
    text_of,
    web_media,
)
from vanished.sources.html import Page, is_too_deep
from vanished.sources.notice import load_pack
from vanished.sources.page import observation, web_address
from vanished.sources.shown_count import shown_count

KEYS: Mapping[str, Key] = {}
"""No settings of its own: an account names its server."""
CANARY = "https://SERVER/@USER/ID, of the server's own administration; gone: one you deleted there"

PAGE = 40  # the most that Mastodon gives at once
MOST_PAGES = 5  # of one reading

_USER = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_HANDLE = re.compile(rf"@?({_USER})@([A-Za-z0-9.-]+(?::\d{{1,5}})?)")
_PATH = re.compile(rf"/(?:@|users/)({_USER})/?")
_POST_PATH = re.compile(rf"/@({_USER})/([A-Za-z0-9_-]{{1,64}})")
_IDENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMES = re.compile(r"@[\w.-]+(?:@[\w.-]+)?")


class MastodonSource:
    """The source of accounts behind the Mastodon API; see `sources.Source`.

    What is ambiguous here: a post that is deleted by its author, by a moderator, or made private
    answers 404 alike, as one that never was. A suspended account was suspended by moderators, or is
    being deleted by its owner: Mastodon suspends it for that, too (settings/deletes_controller.rb).
    410 is a deletion by either. A limited account is only hidden from others' timelines: it reads
    on, and is alive. A boost goes when its original goes.
    """

    platform = "mastodon"
    batch = 1

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        del settings
        self._name = name

    def account(self, address: str) -> Account:
        """The account of `@user@server` or of its page; UsageError if it cannot be one."""
        address = address.strip()
        handle = _HANDLE.fullmatch(address)
        url = f"https://{handle[2]}/@{handle[1]}" if handle else address
        parts = urlsplit(web_address(url, "Mastodon account"))
        found = _PATH.fullmatch(parts.path)
        if found is None:
            raise UsageError(
                f"'{address[:80]}' is no account that a Mastodon server could have; give one such"
                " as '@news@example.org' or 'https://example.org/@news'."
            )
        user, server = found[1].lower(), parts.netloc
        native_id = f"@{user}@{server}"
        url = f"{parts.scheme}://{server}/@{user}"
        return Account(
            self._name(self.platform, native_id), self.platform, native_id, native_id, url
        )

    def post(self, address: str) -> Post:
        """The post at `https://server/@user/ID`; UsageError if it cannot be one."""
        parts = urlsplit(web_address(address, "Mastodon post"))
        found = _POST_PATH.fullmatch(parts.path)
        if found is None:
            raise UsageError(
                f"'{address[:80]}' is no post of a Mastodon server; give one such as"
                " 'https://example.org/@news/112233445566778899'."
            )
        native_id = f"{parts.netloc}/{found[2]}"
        key = self._name(self.platform, native_id)
        url = f"{parts.scheme}://{parts.netloc}/@{found[1].lower()}/{found[2]}"
        return Post(key, "", self.platform, native_id, url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The account's state and its newest posts, back to those that the last reading saw."""
        base, user, _ = _parts(account.url)
        ask = _Asker(fetch, base)
        mark = _Mark.load(cursor)
        signal, ident = await _standing(ask, user, known=bool(mark.ident))
        if signal.kind is Kind.ERROR or signal.gone or not ident:
            return Discovery(ask.seen(account.key, signal, Via.TIMELINE), cursor=cursor)
        statuses, whole, fault = await _newest(ask, ident, mark.newest)
        if fault is not None:
            return Discovery(ask.seen(account.key, fault, Via.TIMELINE), cursor=cursor)
        sightings = [self._sighting(account, base, user, s, e) for s, e in statuses]
        dates = [s.post.published_at for s in sightings]
        known = [date for date in dates if date is not None]
        # The second of the oldest may hold more posts than the page did.
        since = min(known) + SECOND if known and len(known) == len(dates) and whole else None
        newest = max([*known, mark.newest])
        observation = ask.seen(account.key, signal, Via.TIMELINE)
        return Discovery(observation, tuple(sightings), since, cursor=_Mark(ident, newest).dump())

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask for each post. "Not found" counts only while its account can be read."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        base, user, ident = _parts(post.url)
        ask = _Asker(fetch, base)
        exchange = await ask.get(f"statuses/{quote(ident, safe='')}")
        status = table_of(parsed(exchange))
        if exchange.status == 200 and status.get("id") == ident and _is_status(status):
            version = _version(status)
            seen = ask.seen(post.key, ALIVE, Via.DIRECT, version.hash, _counts(status))
            return Look(seen, version if version.hash != post.version else None)
        signal = _refusal("status", exchange)
        if signal.gone:
            # A control: who is refused everything must not take that for a loss.
            account, _ = await _standing(ask, user, known=True)
            if account.kind is Kind.ERROR or (account.gone and account.kind is not Kind.MOVED):
                signal = account
        return Look(ask.seen(post.key, signal, Via.DIRECT))

    def _sighting(
        self, account: Account, base: str, user: str, status: Json, exchange: Exchange
    ) -> Sighting:
        host = urlsplit(base).netloc
        native_id = f"{host}/{status['id']}"
        original = ident_of(table_of(status.get("reblog")).get("id"))
        key = self._name(self.platform, native_id)
        post = Post(
            key,
            account.key,
            self.platform,
            native_id,
            f"{base}/@{user}/{status['id']}",
            published_at=moment(status.get("created_at")),
            repeats=f"{host}/{original}" if _IDENT.fullmatch(original) else None,
        )
        version = _version(status)
        seen = observation(key, exchange, ALIVE, Via.TIMELINE, version.hash, _counts(status))
        return Sighting(post, seen, version)


# -- asking ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks one server for one reading or look, and keeps what it answered, in order."""

    fetch: Fetch
    base: str
    exchanges: list[Exchange] = field(default_factory=list)

    async def get(self, path: str, **query: str | int) -> Exchange:
        url = f"{self.base}/api/v1/{path}" + (f"?{urlencode(query)}" if query else "")
        exchange = await self.fetch.request("GET", url, headers={"Accept": "application/json"})
        self.exchanges.append(exchange)
        return exchange

    def seen(
        self,
        subject: str,
        signal: Signal,
        via: Via,
        version: str = "",
        counts: Counts = NO_COUNTS,
    ) -> Observation:
        """The look that all exchanges together are."""
        first, last = self.exchanges[0], self.exchanges[-1]
        return observation(subject, last, signal, via, version, counts, first=first)


async def _standing(ask: _Asker, user: str, *, known: bool) -> tuple[Signal, str]:
    """What the server says of the account, and its id there. `known`: it answered before."""
    exchange = await ask.get("accounts/lookup", acct=user)
    found = table_of(parsed(exchange))
    ident = ident_of(found.get("id"))
    named = text_of(found.get("username")).lower()
    if exchange.status != 200 or not _IDENT.fullmatch(ident) or named != user.lower():
        signal = _refusal("account", exchange)
        if signal.gone and not known:
            words = "the server knows no such account; see whether it is spelt right"
            signal = failed(Fault.UNREADABLE, status=exchange.status, words=words)
        return signal, ""
    if found.get("suspended") is True:
        return _rule("account", "suspended"), ident
    if table_of(found.get("moved")):
        return _rule("account", "moved"), ident
    if found.get("limited") is True:
        return replace(ALIVE, words="limited by the server's moderators"), ident
    return ALIVE, ident


async def _newest(
    ask: _Asker, ident: str, newest: Micros
) -> tuple[list[tuple[Json, Exchange]], bool, Signal | None]:
    """The posts back to the time `newest`, whether nothing between them is missing, and the
    failed look that kept us from reading any.
    """
    found: dict[str, tuple[Json, Exchange]] = {}
    before = ""
    for _ in range(MOST_PAGES if newest else 1):
        query: dict[str, str | int] = {"limit": PAGE}
        if before:
            query["max_id"] = before
        exchange = await ask.get(f"accounts/{ident}/statuses", **query)
        answer = parsed(exchange)
        if exchange.status != 200 or not isinstance(answer, list):
            return list(found.values()), False, None if found else _refusal("", exchange)
        statuses = [s for s in answer if isinstance(s, dict) and _is_status(s)]
        if len(statuses) != len(answer):
            words = "a list of posts with something else in it"
            return [], False, failed(Fault.UNREADABLE, status=exchange.status, words=words)
        fresh = [s for s in statuses if s["id"] not in found]
        found.update({s["id"]: (s, exchange) for s in fresh})
        dates = [moment(s.get("created_at")) for s in statuses]
        if not fresh or any(date is not None and date <= newest for date in dates):
            break
        before = statuses[-1]["id"]
    return list(found.values()), True, None


# -- reading -----------------------------------------------------------------------------------


def _is_status(status: Json) -> bool:
    ident = status.get("id")
    whole = isinstance(status.get("content"), str) and table_of(status.get("account"))
    return bool(whole) and isinstance(ident, str) and bool(_IDENT.fullmatch(ident))


def _version(status: Json) -> Version:
    """The wording of a status; of a boost, the boosted wording, which an edit changes with it."""
    original = table_of(status.get("reblog")) or status
    title = text_of(original.get("spoiler_text")).strip()
    text = _plain(text_of(original.get("content")))
    files = [
        table_of(file).get("url") or table_of(file).get("remote_url")
        for file in list_of(original.get("media_attachments"))
    ]
    return Version(version_hash(title, text), title, text, web_media(files))


def _counts(status: Json) -> Counts:
    original = table_of(status.get("reblog")) or status
    return Counts(
        likes=shown_count(original.get("favourites_count")),
        reposts=shown_count(original.get("reblogs_count")),
        comments=shown_count(original.get("replies_count")),
    )


def _plain(markup: str) -> str:
    html = markup.encode("utf-8", "replace")
    if ("<" not in markup and "&" not in markup) or is_too_deep(html):
        return " ".join(markup.split())
    return Page(html).main


def _refusal(subject: str, exchange: Exchange) -> Signal:
    """What an answer says that is not the wanted one. Only the API's own {"error": ...} can say
    "gone": the 404 of a proxy or of a parked domain is something else.
    """
    if exchange.fault is not None:
        return failed(exchange.fault, status=exchange.status, words=exchange.words)
    answer = parsed(exchange)
    said = text_of(table_of(answer).get("error"))
    pack = load_pack("mastodon")
    known = pack.match_field("error", said) if said and exchange.status != 200 else None
    status = str(exchange.status)
    if known is None and subject and said and exchange.status != 200:
        known = pack.match_field(f"{subject}.status", status)
    if known is not None:
        return replace(known, status=exchange.status, words=_masked(said) or known.words)
    words = _masked(said) or "the answer is not of a Mastodon API"
    fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
    return failed(fault, status=exchange.status, words=words)


def _rule(subject: str, word: str) -> Signal:
    signal = load_pack("mastodon").match_field(f"{subject}.field", word)
    assert signal is not None, f"notices/mastodon.toml has no rule for {word}"
    return signal


def _masked(words: str) -> str:
    return " ".join(_NAMES.sub("…", words).split())[:200]


def _parts(url: str) -> tuple[str, str, str]:
    """Base address, user and post id ("" for an account) of an address made here."""
    parts = urlsplit(url)
    found = _POST_PATH.fullmatch(parts.path)
    user = found[1] if found else parts.path.removeprefix("/@")
    return f"{parts.scheme}://{parts.netloc}", user, found[2] if found else ""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the cursor holds: the account's id on its server, and the date of the newest post."""

    ident: str = ""
    newest: Micros = 0

    @classmethod
    def load(cls, cursor: str) -> _Mark:
        """The mark in `cursor`; a cursor of another version means a first reading."""
        try:
            held = table_of(json.loads(cursor)) if cursor else {}
        except ValueError:
            held = {}
        newest = held.get("newest")
        return cls(text_of(held.get("ident")), newest if isinstance(newest, int) else 0)

    def dump(self) -> str:
        return json.dumps({"ident": self.ident, "newest": self.newest}, separators=(",", ":"))
