"""Platforms that give no list to whom is not signed in: one post, asked for again and again.

In: the address of one post, and a `Fetch`. Out: what its answer proves, as the platform's own file
reads it (`reddit`, `x`, `youtube`). Each post is its own account, as a web page is. Also what those
files say of an answer without a post in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from vanished.errors import UsageError
from vanished.model import (
    ABSENT,
    NO_COUNTS,
    Account,
    Cause,
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
    Strength,
    Version,
    Via,
    failed,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.answer import server_of
from vanished.sources.notice import load_pack
from vanished.sources.page import observation, web_address

HEADERS: Mapping[str, str] = {"Accept-Language": "en"}  # the notices are known in English only

_NAMES = re.compile(r"@\w+|(?<=content from ).*(?=, who )|(?<=copyright claim by ).*", re.I)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer says of one post."""

    signal: Signal
    version: Version | None = None
    counts: Counts = NO_COUNTS
    published_at: Micros | None = None
    repeats: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How one platform names a post, where it is asked for, and how its answer is read."""

    platform: str
    server: str
    example: str
    named: Callable[[str], str]  # the native id in an address, "" if there is none
    path: Callable[[str], str]  # where a native id is asked for
    read: Callable[[Exchange, str], Reading]


class SinglePost:
    """What the sources of these platforms have in common; see `sources.Source`."""

    batch = 1

    def __init__(self, form: Form, name: Naming, settings: Settings) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        self.platform = form.platform
        given = settings.get("server", form.server)
        self._server = server_of(given, form.platform, "server")
        self._form = form
        self._name = name

    def account(self, address: str) -> Account:
        """The post at `address`, as its own account; UsageError if it can be none."""
        post = self.post(address)
        own = f"{self.platform}:{post.native_id}"
        return Account(self._name(self.platform, own), self.platform, own, post.url, post.url)

    def post(self, address: str) -> Post:
        """The post at `address`; UsageError if it can be none."""
        native_id = self._form.named(web_address(address, f"{self.platform} post"))
        if not native_id:
            raise UsageError(
                f"'{address.strip()[:80]}' is no address of a post on {self.platform}; give one"
                f" such as {self._form.example}."
            )
        url = self._server + self._form.path(native_id)
        return Post(self._name(self.platform, native_id), "", self.platform, native_id, url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The one post, with a look at it. The cursor is the hash of the wording last handed over.

        A lost post is only "absent" from its account: see `page.PageSource.discover`.
        """
        native_id = account.native_id.removeprefix(f"{self.platform}:")
        exchange = await self._ask(account.url, fetch)
        reading = self._form.read(exchange, native_id)
        post = Post(
            self._name(self.platform, native_id),
            account.key,
            self.platform,
            native_id,
            account.url,
            published_at=reading.published_at,
            repeats=reading.repeats,
        )
        version = reading.version
        seen = _seen(post.key, exchange, reading)
        said = ABSENT if reading.signal.gone else reading.signal
        about = observation(account.key, exchange, said, Via.TIMELINE)
        new = version if version and version.hash != cursor else None
        cursor = version.hash if version else cursor
        return Discovery(about, (Sighting(post, seen, new),), cursor=cursor, sole=True)

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """One request a post."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        exchange = await self._ask(post.url, fetch)
        reading = self._form.read(exchange, post.native_id)
        version = reading.version
        seen = _seen(post.key, exchange, reading)
        return Look(seen, version if version and version.hash != post.version else None)

    async def _ask(self, url: str, fetch: Fetch) -> Exchange:
        return await fetch.request("GET", url, headers=HEADERS)


def _seen(subject: str, exchange: Exchange, reading: Reading) -> Observation:
    hashed = reading.version.hash if reading.version else ""
    return observation(subject, exchange, reading.signal, Via.DIRECT, hashed, reading.counts)


def is_on(url: str, *hosts: str) -> bool:
    """Whether `url` is on one of `hosts`, or on a subdomain of one."""
    host = urlsplit(url).hostname or ""
    return any(host == known or host.endswith(f".{known}") for known in hosts)


# -- answers without a post ----------------------------------------------------------------------


def notice_at(pack: str, place: str, text: str, exchange: Exchange) -> Signal | None:
    """The notice of `pack` in the answer's field `place`, without names; None if it has none."""
    found = load_pack(pack).match_field(place, text) if text else None
    if found is None:
        return None
    return replace(found, status=exchange.status, words=masked(found.words))


def refused(exchange: Exchange, said: Sequence[Signal | None], words: str) -> Reading:
    """The notice of an answer without a post: one that fails the look first, the vaguest last."""
    if exchange.fault is not None:
        return unread(exchange, exchange.fault, exchange.words)
    hits = [hit for hit in said if hit is not None]
    if hits:
        return Reading(min(hits, key=_vagueness))
    fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
    return unread(exchange, fault, words or "an answer that says nothing")


def _vagueness(signal: Signal) -> tuple[bool, bool, bool]:
    gone = signal.kind is not Kind.ERROR
    return gone, Cause.UNKNOWN in signal.causes, signal.strength is Strength.WEAK


def unread(exchange: Exchange, fault: Fault, words: str) -> Reading:
    """The failed look at an answer."""
    return Reading(failed(fault, status=exchange.status, words=masked(words)))


def masked(words: str) -> str:
    """`words` on one line, short, and without the names that these platforms write into notices."""
    return " ".join(_NAMES.sub("…", words).split())[:200]
