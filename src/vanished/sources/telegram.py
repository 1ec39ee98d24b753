"""Public channels of Telegram, read from the pages that anybody can open without an account.

In: a channel's name and a `Fetch`. Out: its messages (from the preview, `t.me/s/CHANNEL`) with what
each answer proves, one by one from the widget (`t.me/CHANNEL/ID?embed=1`), edits as new versions,
forwards as repeats, and the same about the channel. What an answer means stands in
`notices/telegram.toml`, how a page is built in `telegram_page`; here is how to ask.

What it deliberately does not do: it never uses an account or the app's protocol, so it does not see
for whom a restriction holds ("all", or the apps of one store only).

Tried live: only against servers of the tests that give pages built as public scrapers describe
them. No request to Telegram itself was ever made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from vanished.archive.settings_asking import Key
from vanished.errors import UsageError
from vanished.model import (
    ALIVE,
    SECOND,
    Account,
    Counts,
    Discovery,
    Fault,
    Look,
    Observation,
    Post,
    Sighting,
    Signal,
    Via,
    failed,
)
from vanished.net.exchange import Exchange, Fetch
from vanished.sources import Naming, Settings
from vanished.sources.answer import server_of
from vanished.sources.html import is_cut, is_too_deep
from vanished.sources.notice import load_pack
from vanished.sources.page import PageReader, observation
from vanished.sources.telegram_page import NAME, ChannelPage, Message

KEYS: Mapping[str, Key] = {"server": Key("https://t.me", "whom to ask, such as a relay of yours")}
CANARY = (
    "https://t.me/NAME/NUMBER, an old one of an official channel; gone: a number "
    "between two others that was deleted"
)

MOST_PAGES = 5  # of one reading; a page holds about 20 messages

# The notices are known in English only.
HEADERS: Mapping[str, str] = {"Accept-Language": "en"}

_HANDLE = re.compile(rf"@?({NAME})")
_ADDRESS = re.compile(
    rf"(?:https?://)?(?:www\.)?(?:t|telegram)\.me/(?:s/)?({NAME})(?:/(\d{{1,12}})?)?/?(?:\?.*)?"
)
_NAMES = re.compile(r"@\w+")


class TelegramSource:
    """The source of public Telegram channels; see `sources.Source`.

    What is ambiguous here: "Post not found" is said of a post that its author deleted, that
    Telegram took away, and of one that never was. A channel that turned private, was deleted,
    renamed, or is kept from this country leaves the same page of a name that nobody has. A text
    that equals Telegram's own notice can be the notice in place of the text, or a post that quotes
    it: such a look fails, unless every message of the channel reads so. Absence from the preview
    only asks for a direct look; "no posts found" is also what Telegram says to whom asks too often.
    """

    platform = "telegram"
    batch = 1

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        given = (settings or {}).get("server", "https://t.me")
        self._server = server_of(given, self.platform, "server")
        self._name = name
        self._pages = PageReader({})

    def account(self, address: str) -> Account:
        """The channel of `@name` or `https://t.me/name`; UsageError if it can be none."""
        address = address.strip()
        found = _HANDLE.fullmatch(address) or _ADDRESS.fullmatch(address)
        if found is None or found[1].lower() in ("joinchat", "share", "addstickers", "proxy"):
            raise UsageError(
                f"'{address[:80]}' is no public channel of Telegram; give one such as '@example'"
                " or 'https://t.me/example'. Private channels cannot be watched."
            )
        native_id = f"@{found[1].lower()}"
        url = f"{self._server}/s/{native_id[1:]}"
        key = self._name(self.platform, native_id)
        return Account(key, self.platform, native_id, native_id, url)

    def post(self, address: str) -> Post:
        """The message at `https://t.me/name/7`; UsageError if it can be none."""
        found = _ADDRESS.fullmatch(address.strip())
        if found is None or not found[2]:
            raise UsageError(
                f"'{address[:80]}' is no message of a public channel; give one such as"
                " 'https://t.me/example/7'."
            )
        native_id = f"{found[1].lower()}/{int(found[2])}"
        key = self._name(self.platform, native_id)
        return Post(key, "", self.platform, native_id, f"{self._server}/{native_id}")

    async def discover(self, account: Account, cursor: str, fetch: Fetch) -> Discovery:
        """The channel's newest messages, back to those of the last reading.

        The cursor is the number of the newest message ever seen, "" for none.
        """
        channel = account.native_id[1:]
        newest = int(cursor) if cursor.isascii() and cursor.isdigit() else 0
        found: dict[int, tuple[Message, Exchange]] = {}
        first: Exchange | None = None
        before = ""
        for _ in range(MOST_PAGES if newest else 1):
            exchange = await fetch.request("GET", account.url + before, headers=HEADERS)
            page, signal = self._read(account.url, exchange)
            if page is not None:
                signal = _channel(page, channel, exchange, known=bool(newest))
            if first is None:
                first, standing = exchange, signal
            if page is None or signal is not ALIVE:
                break
            fresh = {m.number: m for m in page.messages if m.number not in found}
            found.update({number: (m, exchange) for number, m in fresh.items()})
            if not fresh or min(fresh) <= newest + 1:
                break
            before = f"?before={min(fresh)}"
        assert first is not None
        about = observation(account.key, first, standing, Via.TIMELINE)
        if standing is not ALIVE:
            return Discovery(about, cursor=cursor)
        messages = [pair for _, pair in sorted(found.items())]
        sightings = [self._sighting(account, m, e) for m, e in messages if not m.service]
        dates = [m.published_at for m, _ in messages]
        known = [date for date in dates if date is not None]
        # A preview holds every message of its window; in the oldest second there may be more.
        since = min(known) + SECOND if known and len(known) == len(dates) else None
        last = max([newest, *found])
        return Discovery(about, tuple(sightings), since, cursor=str(last) if last else "")

    async def look(self, posts: Sequence[Post], fetch: Fetch) -> list[Look]:
        """One request a post: for its widget."""
        return [await self._look(post, fetch) for post in posts]

    async def _look(self, post: Post, fetch: Fetch) -> Look:
        asked = f"{post.url}?embed=1&mode=tme"
        exchange = await fetch.request("GET", asked, headers=HEADERS)
        page, signal = self._read(asked, exchange)
        if page is None:
            return Look(observation(post.key, exchange, signal))
        for message in page.messages:
            if message.native_id == post.native_id:
                signal = _message(message, exchange)
                if signal is not ALIVE:
                    return Look(observation(post.key, exchange, signal))
                seen = _seen(post.key, message, exchange, Via.DIRECT)
                return Look(seen, message.version if seen.version != post.version else None)
        said = page.error
        signal = _notice("error", said, exchange) or _unreadable(exchange, said)
        return Look(observation(post.key, exchange, signal))

    def _read(self, asked: str, exchange: Exchange) -> tuple[ChannelPage | None, Signal]:
        """The page of an answer, or None and why there is none to read."""
        refusal = self._pages.refusal(asked, exchange)
        if refusal is not None:
            if refusal.gone and refusal.status == 404:
                # Telegram answers 200 for what is missing; a 404 is of somebody in between.
                refusal = failed(Fault.UNREADABLE, status=404, words="not an answer of Telegram's")
            return None, refusal
        if is_cut(exchange.body):
            words = "the document breaks off before its end"
            return None, failed(Fault.TRUNCATED, status=exchange.status, words=words)
        if is_too_deep(exchange.body):
            return None, _unreadable(exchange, "the document nests its elements too deeply")
        return ChannelPage(exchange.body), ALIVE

    def _sighting(self, account: Account, message: Message, exchange: Exchange) -> Sighting:
        key = self._name(self.platform, message.native_id)
        post = Post(
            key,
            account.key,
            self.platform,
            message.native_id,
            f"{self._server}/{message.native_id}",
            published_at=message.published_at,
            repeats=message.forwarded,
        )
        signal = _message(message, exchange)
        if signal is not ALIVE:
            return Sighting(post, observation(key, exchange, signal, Via.TIMELINE))
        seen = _seen(key, message, exchange, Via.TIMELINE)
        return Sighting(post, seen, message.version)


def _seen(key: str, message: Message, exchange: Exchange, via: Via) -> Observation:
    """The look at a message that is there."""
    hashed = message.version.hash if message.version else ""
    return observation(key, exchange, ALIVE, via, hashed, Counts(views=message.views))


# -- what an answer says -------------------------------------------------------------------------


def _message(message: Message, exchange: Exchange) -> Signal:
    """What a shown message proves of itself. Its being there is the proof, not its text."""
    label = _notice("label", message.label, exchange) if message.label else None
    if label is not None:
        return label
    if message.text and _notice("error", message.text, exchange) is not None:
        return _unreadable(exchange, "a text that equals a notice: the notice, or a quotation")
    return ALIVE


def _channel(page: ChannelPage, channel: str, exchange: Exchange, *, known: bool) -> Signal:
    """What one page says of its channel. `known`: its messages could be read before."""
    messages = page.messages
    if any(message.channel.lower() != channel for message in messages):
        return _unreadable(exchange, "a preview of another channel")
    stubs = [_notice("error", m.text, exchange) for m in messages if not m.service]
    if len(stubs) > 1 and stubs[0] is not None and stubs[0].account_level and all(stubs):
        return stubs[0]
    if messages:
        return ALIVE
    if page.says_empty:
        words = "Telegram shows no posts, as it also does to whom asks too often"
        return failed(Fault.EMPTY, status=exchange.status, words=words)
    if page.is_preview:
        return ALIVE
    said = page.error or page.description
    notice = _notice("error", said, exchange) if said else None
    if notice is not None:
        # With members beside it, the text is the channel's own description, which may quote.
        return notice if not page.is_chat else _unreadable(exchange, said)
    if page.is_chat:
        words = "the channel is there, but shows no preview to whom has no account"
        return failed(Fault.FORBIDDEN, status=exchange.status, words=words)
    if not page.is_contact:
        return _unreadable(exchange, "the answer is not of Telegram's pages")
    if not known or not _was_sent_away(exchange, channel):
        words = "no public channel answers to this name; see whether it is spelt right"
        return failed(Fault.UNREADABLE, status=exchange.status, words=words)
    gone = load_pack("telegram").match_field("redirect", "contact")
    assert gone is not None, "notices/telegram.toml has no rule for a name's bare page"
    return replace(gone, status=exchange.status)


def _was_sent_away(exchange: Exchange, channel: str) -> bool:
    """Whether the preview's address was answered by the page of the same name."""
    path = urlsplit(exchange.url).path.strip("/").lower()
    return bool(exchange.hops) and path == channel


def _notice(place: str, said: str, exchange: Exchange) -> Signal | None:
    signal = load_pack("telegram").match_field(place, said) if said else None
    if signal is None:
        return None
    return replace(signal, status=exchange.status, words=_NAMES.sub("…", signal.words))


def _unreadable(exchange: Exchange, words: str) -> Signal:
    words = _NAMES.sub("…", words) or "neither the post nor a notice that is known"
    return failed(Fault.UNREADABLE, status=exchange.status, words=words)
