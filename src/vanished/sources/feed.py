"""Feeds (RSS, Atom, JSON Feed) as a source: the feed is the account, its items are the posts.

In: the address of a feed. Out: its items, each looked at by its own page. A feed is a window, so
an item that leaves it is not lost, and being listed does not prove that the linked page is there.
An item without an address of its own lives in the feed alone: there it is alive, or absent.

Conditional requests are not made: a 304 would prove only that a cache still agrees with itself.
"""

from __future__ import annotations

import asyncio
import calendar
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import feedparser

from vanished.archive.settings_asking import Key
from vanished.errors import UsageError
from vanished.model import (
    ABSENT,
    ALIVE,
    SECOND,
    Account,
    Discovery,
    Fault,
    Look,
    Micros,
    Post,
    Sighting,
    Signal,
    Version,
    Via,
    failed,
    micros,
    version_hash,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.html import Page, is_too_deep, one_line
from vanished.sources.page import (
    PageReader,
    look_at_page,
    observation,
    web_address,
)

KEYS: Mapping[str, Key] = {
    "notices": Key(["web", "wechat"], "packs to read pages by, in place of all")
}
CANARY = "the page of an old item, of a library or an office; gone: a page that answers 404 or 410"

LARGE = 200_000
"""Bytes of a feed that is read beside the loop: feedparser takes about 2 s a megabyte."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_IN_FEED = "in-feed "  # no URI has a blank, so no native id of an item with a page begins so
_ROOT_END = re.compile(rb"</\s*(?:[\w-]+:)?(?:rss|feed|rdf)\s*>\s*(?:<!--.*)?$", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Item:
    """One item as the feed has it. `url` is "" where it has no page of its own."""

    native_id: str
    url: str
    title: str
    text: str
    published_at: Micros | None

    @property
    def version(self) -> Version:
        """The wording of an item that lives in the feed."""
        return Version(version_hash(self.title, self.text), self.title, self.text)


class FeedSource:
    """Feeds and the pages that they list. See `sources.Source`."""

    platform = "feed"
    batch = 1

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        self._name = name
        self._reader = PageReader(settings or {})

    def account(self, address: str) -> Account:
        """The feed at `address`; UsageError if it is no web address."""
        url = web_address(address, "feed")
        native_id = f"feed:{url}"
        return Account(self._name(self.platform, native_id), self.platform, native_id, url, url)

    def post(self, address: str) -> Post:
        """The page of an item at `address`; UsageError if it is no web address."""
        url = web_address(address, "item's page")
        return Post(self._name(self.platform, url), "", self.platform, url, url)

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """What the feed lists now. Its loss is the account's; its silence is nobody's."""
        del cursor
        exchange, items, signal = await self._read(account.url, fetch)
        seen = observation(account.key, exchange, signal, Via.TIMELINE)
        return Discovery(seen, tuple(self._sighting(account, item, exchange) for item in items))

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """One request a post: for its page, or for the feed where it has none."""
        return [
            await self._look_in_feed(post, fetch)
            if post.native_id.startswith(_IN_FEED)
            else await look_at_page(self._reader, post, fetch)
            for post in posts
        ]

    async def _look_in_feed(self, post: Post, fetch: Fetch) -> Look:
        exchange, items, signal = await self._read(post.url, fetch)
        for item in items:
            if item.native_id == post.native_id:
                version = item.version
                seen = observation(post.key, exchange, ALIVE, Via.TIMELINE, version.hash)
                return Look(seen, version if version.hash != post.version else None)
        if signal is ALIVE:
            signal = ABSENT
        elif signal.causes:  # the whole feed is gone, and every item in it
            signal = replace(signal, account_level=True)
        return Look(observation(post.key, exchange, signal, Via.TIMELINE))

    async def _read(self, url: str, fetch: Fetch) -> tuple[Exchange, tuple[Item, ...], Signal]:
        """The answer, the items in it, and what it says of the feed."""
        exchange = await fetch.request("GET", url)
        refusal = self._reader.refusal(url, exchange)
        if refusal is not None:
            return exchange, (), refusal
        if len(exchange.body) < LARGE:
            items = read_items(exchange, url)
        else:
            items = await asyncio.to_thread(read_items, exchange, url)
        if items is None:
            words = "the answer is no feed that can be read"
            return exchange, (), failed(Fault.UNREADABLE, status=exchange.status, words=words)
        return exchange, items, ALIVE

    def _sighting(self, account: Account, item: Item, exchange: Exchange) -> Sighting:
        post = Post(
            key=self._name(self.platform, item.native_id),
            account=account.key,
            platform=self.platform,
            native_id=item.native_id,
            url=item.url or account.url,
            published_at=item.published_at,
        )
        if item.url:
            return Sighting(post)  # listed only: its page has not been asked
        version = item.version
        seen = observation(post.key, exchange, ALIVE, Via.TIMELINE, version.hash)
        return Sighting(post, seen, version)


def read_items(exchange: Exchange, feed: str) -> tuple[Item, ...] | None:
    """The items of a feed at `feed`, each once, in its order; None if the body is no feed.

    A feed with no item is one. Of a feed that breaks off, the last item is left out: its address
    may be cut, and would then never have been alive.
    """
    body = exchange.body.lstrip()
    found = _json_items(body, feed) if body[:1] == b"{" else _xml_items(exchange, feed)
    if found is None:
        return None
    once: dict[str, Item] = {}
    for item in found:
        once.setdefault(item.native_id, item)
    return tuple(once.values())


def _xml_items(exchange: Exchange, feed: str) -> list[Item] | None:
    if is_too_deep(exchange.body):
        return None
    # As a stream: bare bytes would be tried as a file name first.
    parsed = feedparser.parse(
        io.BytesIO(exchange.body),
        response_headers={
            "content-type": exchange.headers.get("content-type", "application/xml"),
            "content-location": exchange.url or feed,
        },
        sanitize_html=False,  # no text is shown as markup; see `_plain`
        resolve_relative_uris=False,
    )
    entries = list(parsed.entries)
    if not parsed.get("version") or (parsed.bozo and not entries):
        return None
    if parsed.bozo and not _ROOT_END.search(exchange.body[-400:]):
        entries = entries[:-1]
    return [item for entry in entries if (item := _xml_item(entry, feed)) is not None]


def _xml_item(entry: Mapping[str, Any], feed: str) -> Item | None:
    contents = entry.get("content") or []
    text = contents[0].get("value", "") if contents else entry.get("summary", "")
    claimed = entry.get("published_parsed") or entry.get("updated_parsed")
    try:
        published = calendar.timegm(claimed) * SECOND if claimed else None
    except (ValueError, OverflowError):
        published = None
    title = _plain(entry.get("title") or "")
    return _item(
        feed, entry.get("id") or "", entry.get("link") or "", title, _plain(text or ""), published
    )


def _json_items(body: bytes, feed: str) -> list[Item] | None:
    """JSON Feed 1.1 (jsonfeed.org), which feedparser does not read."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entries = parsed.get("items")
    if not str(parsed.get("version", "")).startswith("https://jsonfeed.org/version/"):
        return None
    if not isinstance(entries, list):
        return None
    found = [_json_item(entry, feed) for entry in entries if isinstance(entry, dict)]
    return [item for item in found if item is not None]


def _json_item(entry: Mapping[str, Any], feed: str) -> Item | None:
    def text(key: str) -> str:
        value = entry.get(key)
        return value if isinstance(value, str) else ""

    ident = entry.get("id")
    wording = _plain(text("content_html")) or one_line(text("content_text") or text("summary"))
    return _item(
        feed,
        str(ident) if isinstance(ident, str | int | float) else "",
        text("url"),
        one_line(text("title")),
        wording,
        _moment(text("date_published") or text("date_modified")),
    )


def _item(
    feed: str, ident: str, link: str, title: str, text: str, published_at: Micros | None
) -> Item | None:
    """An item by what its feed calls it; None if there is nothing in it.

    A bare number or word is unique within its feed only, so the feed's address goes before it.
    """
    try:
        url = web_address(link, "item") if link else ""
    except UsageError:
        url = ""
    ident = one_line(ident)
    if not (url or title or text):
        return None
    if url:
        native_id = ident or url
        if not _URI.fullmatch(native_id):
            native_id = f"{feed} {native_id}"
    else:
        content = hashlib.sha256(f"{title}\0{text}".encode("utf-8", "replace")).hexdigest()
        native_id = f"{_IN_FEED}{feed} {ident or content[:32]}"
    return Item(native_id, url, title, text, published_at)


def _plain(markup: str) -> str:
    """The text of a piece of HTML, on one line; as it stands where it cannot be read as one."""
    html = markup.encode("utf-8", "replace")
    if ("<" not in markup and "&" not in markup) or is_too_deep(html):
        return one_line(markup)
    return Page(html).main


def _moment(text: str) -> Micros | None:
    """The time of an RFC 3339 date; None if it is none or has no zone."""
    try:
        return micros(datetime.fromisoformat(text))
    except ValueError:
        return None
