"""The source of the lab's platform: what `sources/` has for a real one, in the same shape.

In: accounts and posts of the platform that `settings["url"]` names, a `Fetch`. Out: facts. Lists
state the whole wording, so a post is met alive with its text; a direct look reads the page. What a
page says in its error block means what `notices.toml` says; the source itself concludes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urljoin

from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ALIVE,
    SECOND,
    Account,
    Count,
    Counts,
    Discovery,
    Fault,
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
from vanished.sources.html import Page, one_line
from vanished.sources.notice import Pack, parse_pack

PLATFORM = "lab"
LISTED = 10  # posts asked for at once; each is a fact to keep at every reading
MOST_PAGES = 10  # of one reading

_ADDRESS = re.compile(r"(?:https?://[^/]+/a/)?(u[0-9a-z]+)")
_POST = re.compile(r"(?:https?://[^/]+/p/)?(p[0-9a-z]+)")
_COUNTERS = ("views", "likes", "reposts", "comments")


@cache
def pack() -> Pack:
    """The lab's notices."""
    text = files("vanished.lab").joinpath("notices.toml").read_text(encoding="utf-8")
    return parse_pack(text, PLATFORM)


class LabSource:
    """See `sources.Source`."""

    platform = PLATFORM
    batch = 1

    def __init__(self, name: Naming, settings: Settings) -> None:
        """Raises ConfigError if `settings` has no `url`, the platform's address."""
        url = settings.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ConfigError(
                "[sources.lab] has no url; write the address of the lab's platform, such as"
                ' url = "http://127.0.0.1:8000".'
            )
        self._name = name
        self._base = url.rstrip("/")

    def account(self, address: str) -> Account:
        """The account of a native id or of its page's address."""
        found = _ADDRESS.fullmatch(address.strip())
        if found is None:
            raise UsageError(
                f"'{address[:80]}' is no account of the lab; give an id such as 'u0123abc'."
            )
        ident = found[1]
        key = self._name(PLATFORM, ident)
        return Account(key, PLATFORM, ident, name=ident, url=f"{self._base}/a/{ident}")

    def post(self, address: str) -> Post:
        """The post of a native id or of its page's address, as a canary is named."""
        found = _POST.fullmatch(address.strip())
        if found is None:
            raise UsageError(f"'{address[:80]}' is no post of the lab; give an id like 'p0123abc'.")
        ident = found[1]
        key = self._name(PLATFORM, ident)
        return Post(key, "", PLATFORM, ident, f"{self._base}/p/{ident}")

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """Read the list from the newest post down to the newest one that the last reading saw."""
        known = int(cursor) if cursor.isdigit() else None
        path = f"{self._base}/api/accounts/{account.native_id}/posts?limit={LISTED}"
        sightings: dict[str, Sighting] = {}
        first: Observation | None = None
        since: Micros | None = None
        before = ""
        joined = False  # whether nothing more can be read between this reading and the last
        for _ in range(MOST_PAGES):
            exchange = await fetch.request("GET", path + before)
            signal, listed = _read_list(exchange)
            first = first or _seen(account.key, exchange, signal)
            if listed is None:
                break  # what was read before stands; `since` claims no more than that
            for entry in listed["posts"]:
                sighting = self._sighting(account, entry, exchange)
                sightings.setdefault(sighting.post.key, sighting)
            oldest = listed["complete_since"]
            since = oldest * SECOND
            joined = not listed["more"] or (known is not None and oldest <= known)
            if joined:
                break
            before = f"&before={oldest}"
        else:
            joined = True  # older posts than these are given up, or each reading would be as long
        assert first is not None
        stated = [s.post.published_at // SECOND for s in sightings.values() if s.post.published_at]
        newest = max([*stated, known or 0]) if joined else known
        cursor = "" if newest is None else str(newest)
        return Discovery(first, tuple(sightings.values()), since, cursor)

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """Ask for the page of each post, one after the other."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        exchange = await fetch.request("GET", post.url)
        signal, page = _read_page(exchange, post)
        observation = _seen(post.key, exchange, signal)
        if signal is not ALIVE or page is None:
            return Look(observation)
        title = next(iter(page.texts("css:#post h1")), "")
        version = _version(title, "\n".join(page.texts("css:#post .text p")), page.media)
        shown = {name: page.texts(f"css:#post .counts .{name}") for name in _COUNTERS}
        counts = _counts({name: texts[0] for name, texts in shown.items() if texts})
        return Look(replace(observation, version=version.hash, counts=counts), version)

    def _sighting(self, account: Account, entry: Mapping[str, Any], exchange: Exchange) -> Sighting:
        ident = entry["id"]
        media = tuple(urljoin(self._base, path) for path in entry["media"])
        version = _version(entry["title"], entry["text"], media)
        post = Post(
            self._name(PLATFORM, ident),
            account.key,
            PLATFORM,
            ident,
            f"{self._base}/p/{ident}",
            published_at=entry["published"] * SECOND,
            first_seen_at=exchange.answered_at,
            repeats=entry["repost_of"],
            version=version.hash,
        )
        seen = replace(
            _seen(post.key, exchange, ALIVE),
            via=Via.TIMELINE,
            version=version.hash,
            counts=_counts(entry),
        )
        return Sighting(post, seen, version)


def _seen(subject: str, exchange: Exchange, signal: Signal) -> Observation:
    return Observation(
        subject, exchange.asked_at, exchange.answered_at, signal, vantage=exchange.vantage
    )


def _version(title: str, text: str, media: tuple[str, ...]) -> Version:
    """The wording with its hash; blanks are levelled so that page and list agree."""
    title, text = one_line(title), "\n".join(one_line(line) for line in text.split("\n"))
    return Version(version_hash(title, text), title, text, media)


# -- reading an answer ---------------------------------------------------------------------------


def _read_page(exchange: Exchange, post: Post) -> tuple[Signal, Page | None]:
    """What the answer to a direct look proves; the page is given where it is alive."""
    if exchange.fault is not None:
        return failed(exchange.fault, status=exchange.status, words=exchange.words), None
    signal, page = _read_html(exchange, post.url)
    if signal is not None or page is None:
        return signal or failed(Fault.UNREADABLE, status=exchange.status), None
    if exchange.status == 200:
        if page.has(f'#post[data-id="{post.native_id}"] .counts'):
            return ALIVE, page
        if page.has("main:empty"):
            return failed(Fault.EMPTY, status=200, words="the page has no content"), None
    return failed(Fault.UNREADABLE, status=exchange.status, words="no rule reads this page"), None


def _read_html(exchange: Exchange, asked: str) -> tuple[Signal | None, Page | None]:
    """The signal of a whole page's notice or of its status, if it has one."""
    if not exchange.body.rstrip().endswith(b"</html>"):
        return failed(Fault.TRUNCATED, status=exchange.status, words="the page breaks off"), None
    page = Page(exchange.body, "utf-8", asked=asked, answered=exchange.url, content=pack().content)
    signal = pack().match_html(page)
    if signal is None and exchange.status is not None:
        signal = pack().match_status(exchange.status)
    return (None if signal is None else replace(signal, status=exchange.status)), page


def _read_list(exchange: Exchange) -> tuple[Signal, Mapping[str, Any] | None]:
    """What a list proves about its account, and the list, if it is one with posts in it."""
    status = exchange.status
    if exchange.fault is not None:
        return failed(exchange.fault, status=status, words=exchange.words), None
    if "json" not in exchange.headers.get("content-type", ""):
        signal, _ = _read_html(exchange, exchange.url)
        if signal is None:
            signal = failed(Fault.UNREADABLE, status=status, words="a page in place of a list")
        return signal, None
    try:
        answer = json.loads(exchange.body)
    except ValueError:
        return failed(Fault.TRUNCATED, status=status, words="the list breaks off"), None
    if not isinstance(answer, dict) or "ok" not in answer:
        return failed(Fault.UNREADABLE, status=status, words="no list of the lab's"), None
    if not answer["ok"]:
        signal = pack().match_field("error", answer["error"]["message"])
        if signal is None:
            return failed(Fault.UNREADABLE, words=answer["error"]["message"]), None
        return replace(signal, status=status), None
    if not answer["posts"]:
        return failed(Fault.EMPTY, status=status, words="the list is empty"), None
    return ALIVE, answer


def _counts(shown: Mapping[str, Any]) -> Counts:
    """Counters as intervals, from their shown forms by name."""
    return Counts(*(read_count(str(shown[n])) if n in shown else None for n in _COUNTERS))


def read_count(shown: str) -> Count | None:
    """What "9999", "1.2万" or "10万+" leaves open; None for anything else."""
    if shown.isascii() and shown.isdigit():
        return Count.exact(int(shown))
    if shown == "10万+":
        return Count(100_000)
    found = re.fullmatch(r"([1-9])\.([0-9])万", shown)
    if found is None:
        return None
    low = int(found[1]) * 10_000 + int(found[2]) * 1_000
    return Count(low, low + 999)
