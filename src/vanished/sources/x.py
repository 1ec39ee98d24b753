"""Posts of X by their tombstones and countries of withholding.

In: the address of a post, and a `Fetch`; or a recorded answer. Out: what it proves. What a
tombstone or a reason means stands in `notices/x.toml`, how one post is followed in `single`.

NOT TRIED LIVE: the forms are those that public clients describe; the tests write the answers. No
request to X was ever made. It may well refuse a reader like this one: a failed look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from vanished.archive.settings_asking import Key
from vanished.model import ALIVE, Counts, Fault, Version, version_hash
from vanished.net.exchange import Exchange
from vanished.sources import Naming, Settings
from vanished.sources.answer import (
    Json,
    list_of,
    moment,
    parsed,
    table_of,
    text_of,
    web_media,
    within,
)
from vanished.sources.shown_count import shown_count
from vanished.sources.single import (
    Form,
    Reading,
    SinglePost,
    is_on,
    masked,
    notice_at,
    refused,
    unread,
)

KEYS: Mapping[str, Key] = {
    "server": Key("https://cdn.syndication.twimg.com", "whom to ask, such as a relay of yours")
}
CANARY = "an old post of an organization; gone: one whose tombstone you have seen"

_ADDRESS = re.compile(r"/(?:\w{1,20}|i/web)/status(?:es)?/(\d{1,20})(?:/.*)?")
_WITHHELD = re.compile(
    r".{1,80} has been withheld in .{2,600} in response to a legal demand\.?(?: Learn more\.?)?"
)


def _named(url: str) -> str:
    on = is_on(url, "x.com", "twitter.com")
    found = _ADDRESS.fullmatch(urlsplit(url).path) if on else None
    return found[1] if found else ""


def read_x(exchange: Exchange, native_id: str) -> Reading:
    """What the widget's `tweet-result`, or a recorded TweetResultByRestId, says of the post."""
    value = parsed(exchange)
    answer = table_of(within(value, "data", "tweetResult", "result")) or table_of(value)
    answer = table_of(answer.get("tweet")) or answer
    if exchange.fault is not None or exchange.status != 200:
        own = isinstance(value, dict) or not exchange.body.strip()
        said = [notice_at("x", "status", str(exchange.status), exchange)] if own else []
        return refused(exchange, said, "the answer is not of X's JSON")
    match answer.get("__typename"):
        case "TweetTombstone":
            text = text_of(within(answer, "tombstone", "text", "text"))
            return refused(exchange, [notice_at("x", "tombstone", text, exchange)], text)
        case "TweetUnavailable":
            why = text_of(answer.get("reason"))
            return refused(exchange, [notice_at("x", "reason", why, exchange)], why)
    held = table_of(answer.get("legacy")) or answer
    ident = text_of(answer.get("rest_id")) or text_of(held.get("id_str"))
    if not ident:
        return unread(exchange, Fault.EMPTY, "an answer without a post")
    text = text_of(held.get("full_text")) or text_of(held.get("text"))
    if ident != native_id or not text:
        return unread(exchange, Fault.UNREADABLE, "an answer with another post, or without a text")
    return _post(exchange, held, text)


def _post(exchange: Exchange, held: Json, text: str) -> Reading:
    codes = [code for c in list_of(held.get("withheld_in_countries")) if (code := text_of(c))]
    marks = list(codes)
    if held.get("withheld_copyright") is True:
        marks.append("copyright")
    if codes and _WITHHELD.fullmatch(text.strip()):
        marks.append("text")
    for mark in marks:
        said = notice_at("x", "withheld", mark, exchange)
        if said is not None:
            return Reading(replace(said, words=masked(text) if mark == "text" else mark))
    where = ", ".join(sorted(codes))
    signal = replace(ALIVE, words=f"withheld in {where}"[:200]) if codes else ALIVE
    media = [
        table_of(m).get("media_url_https")
        for m in list_of(held.get("mediaDetails")) or list_of(within(held, "entities", "media"))
    ]
    counts = Counts(
        likes=shown_count(held.get("favorite_count")),
        reposts=shown_count(held.get("retweet_count")),
        comments=shown_count(held.get("conversation_count", held.get("reply_count"))),
    )
    version = Version(version_hash("", text), "", text, web_media(media))
    return Reading(signal, version, counts, moment(held.get("created_at")))


FORM = Form(
    "x",
    "https://cdn.syndication.twimg.com",
    "https://x.com/example/status/1234567890123456789",
    _named,
    lambda native_id: f"/tweet-result?id={native_id}&lang=en&token=a",
    read_x,
)


class XSource(SinglePost):
    """Posts of X, one at a time; see `sources.Source`.

    What is ambiguous here: an account that "no longer exists" was closed by its owner or by X. A
    post that is withheld in some countries but shown here is alive here.
    """

    platform = "x"

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        super().__init__(FORM, name, settings or {})
