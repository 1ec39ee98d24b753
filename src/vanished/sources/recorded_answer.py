"""Answers of Reddit, X and YouTube about one post, comment or video, read into what they prove.

In: an exchange, live or recorded, and the native id that was asked for. Out: a `Reading`. It asks
nobody. What a field, a tombstone or a reason means stands in `notices/reddit.toml`,
`notices/x.toml` and `notices/youtube.toml`. NOT TRIED LIVE: the forms are those that public
clients describe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from vanished.model import (
    ALIVE,
    NO_COUNTS,
    SECOND,
    Cause,
    Counts,
    Fault,
    Kind,
    Micros,
    Signal,
    Strength,
    Version,
    failed,
    version_hash,
)
from vanished.net.exchange import Exchange
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
from vanished.sources.html import is_cut
from vanished.sources.notice import load_pack
from vanished.sources.shown_count import shown_count

_PLAYER = re.compile(r"\bytInitialPlayerResponse\s*=\s*(?=\{)")
_WITHHELD = re.compile(
    r".{1,80} has been withheld in .{2,600} in response to a legal demand\.?(?: Learn more\.?)?"
)
_NAMES = re.compile(r"@\w+|(?<=content from ).*(?=, who )|(?<=copyright claim by ).*", re.I)
_MARKS = ("[deleted]", "[removed]", "[ removed by reddit ]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer says of one post."""

    signal: Signal
    version: Version | None = None
    counts: Counts = NO_COUNTS
    published_at: Micros | None = None
    repeats: str | None = None


# -- Reddit --------------------------------------------------------------------------------------


def read_reddit(exchange: Exchange, native_id: str) -> Reading:
    """What /comments/ID.json says of "t3_ID", or of the comment "t3_ID/t1_ID"."""
    value = parsed(exchange)
    if exchange.fault is not None or exchange.status != 200:
        answer = table_of(value)
        said = [_said("reddit", "reason", text_of(answer.get("reason")), exchange)]
        if answer.get("error") == exchange.status:
            said.append(_said("reddit", "status", str(exchange.status), exchange))
        return _refused(exchange, said, "the answer is not of Reddit's JSON")
    post, _, comment = native_id.partition("/")
    wanted = comment or post
    children = list_of(within(value, 1 if comment else 0, "data", "children"))
    if not children:
        return _failed(exchange, Fault.EMPTY, "a listing without anything in it")
    items = [table_of(table_of(child).get("data")) for child in children]
    item = next((i for i in items if wanted in (i.get("name"), f"{wanted[:3]}{i.get('id')}")), {})
    if not item:
        return _failed(exchange, Fault.UNREADABLE, "a listing without the one that was asked for")
    return _reddit_item(exchange, item)


def _reddit_item(exchange: Exchange, item: Json) -> Reading:
    for field in ("removed_by_category", "removal_reason"):
        why = text_of(item.get(field))
        if why:
            said = _said("reddit", field, why, exchange)
            words = f"{field} is '{why}', which no rule knows"
            return Reading(said) if said else _failed(exchange, Fault.UNREADABLE, words)
    title = text_of(item.get("title"))
    text = text_of(item.get("selftext")) or text_of(item.get("body"))
    if text.strip().lower() in _MARKS:
        if text_of(item.get("author")) not in ("", "[deleted]"):
            words = "a text that equals a mark beside its author: the mark, or a quotation"
            return _failed(exchange, Fault.UNREADABLE, words)
        said = _said("reddit", "text", text.strip(), exchange)
        if said is not None:
            return Reading(said)
    if not (title or text):
        return _failed(exchange, Fault.UNREADABLE, "neither a title nor a text")
    created = item.get("created_utc")
    dated = isinstance(created, int | float) and 0 <= created < 253_370_764_800
    published_at = int(created) * SECOND if dated and created is not None else None
    media = [item.get("url_overridden_by_dest")] if not item.get("is_self") else []
    return Reading(
        ALIVE,
        Version(version_hash(title, text), title, text, web_media(media)),
        Counts(comments=shown_count(item.get("num_comments"))),  # Reddit blurs the votes
        published_at,
        text_of(item.get("crosspost_parent")) or None,
    )


# -- X -------------------------------------------------------------------------------------------


def read_x(exchange: Exchange, native_id: str) -> Reading:
    """What the widget's `tweet-result`, or a recorded TweetResultByRestId, says of the post."""
    value = parsed(exchange)
    answer = table_of(within(value, "data", "tweetResult", "result")) or table_of(value)
    answer = table_of(answer.get("tweet")) or answer
    if exchange.fault is not None or exchange.status != 200:
        own = isinstance(value, dict) or not exchange.body.strip()
        said = [_said("x", "status", str(exchange.status), exchange)] if own else []
        return _refused(exchange, said, "the answer is not of X's JSON")
    match answer.get("__typename"):
        case "TweetTombstone":
            text = text_of(within(answer, "tombstone", "text", "text"))
            return _refused(exchange, [_said("x", "tombstone", text, exchange)], text)
        case "TweetUnavailable":
            why = text_of(answer.get("reason"))
            return _refused(exchange, [_said("x", "reason", why, exchange)], why)
    held = table_of(answer.get("legacy")) or answer
    ident = text_of(answer.get("rest_id")) or text_of(held.get("id_str"))
    if not ident:
        return _failed(exchange, Fault.EMPTY, "an answer without a post")
    text = text_of(held.get("full_text")) or text_of(held.get("text"))
    if ident != native_id or not text:
        return _failed(exchange, Fault.UNREADABLE, "an answer with another post, or without a text")
    return _x_post(exchange, held, text)


def _x_post(exchange: Exchange, held: Json, text: str) -> Reading:
    codes = [code for c in list_of(held.get("withheld_in_countries")) if (code := text_of(c))]
    marks = list(codes)
    if held.get("withheld_copyright") is True:
        marks.append("copyright")
    if codes and _WITHHELD.fullmatch(text.strip()):
        marks.append("text")
    for mark in marks:
        said = _said("x", "withheld", mark, exchange)
        if said is not None:
            return Reading(replace(said, words=_masked(text) if mark == "text" else mark))
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


# -- YouTube -------------------------------------------------------------------------------------


def read_youtube(exchange: Exchange, native_id: str) -> Reading:
    """What the page /watch?v=ID, or a recorded player response, says of the video."""
    if exchange.fault is not None or exchange.status != 200:
        return _refused(exchange, [], "the answer is not YouTube's page of a video")
    if (urlsplit(exchange.url).hostname or "").startswith(("consent.", "accounts.")):
        return _failed(exchange, Fault.LOGIN_WALL, "YouTube asks for consent before it shows it")
    if exchange.body.lstrip()[:1] == b"<" and is_cut(exchange.body):
        return _failed(exchange, Fault.TRUNCATED, "the document breaks off before its end")
    player = _player(exchange)
    playability = table_of(player.get("playabilityStatus"))
    details = table_of(player.get("videoDetails"))
    status = text_of(playability.get("status"))
    if not status:
        return _failed(exchange, Fault.UNREADABLE, "a page without the state of its player")
    if status in ("OK", "LIVE_STREAM_OFFLINE"):
        if details.get("videoId") != native_id:
            return _failed(exchange, Fault.UNREADABLE, "the player of another video")
        return _video(player, details)
    texts = [
        text_of(playability.get("reason")),
        *map(text_of, list_of(playability.get("messages"))),
    ]
    screen = within(playability, "errorScreen", "playerErrorMessageRenderer")
    for part in ("subreason", "reason"):
        runs = [text_of(table_of(r).get("text")) for r in list_of(within(screen, part, "runs"))]
        texts += [text_of(within(screen, part, "simpleText")), "".join(runs)]
    said = [_said("youtube", "reason", text, exchange) for text in texts]
    words = " / ".join(dict.fromkeys(text for text in texts if text))
    return _refused(exchange, said, f"{status}: {words}")


def _player(exchange: Exchange) -> Json:
    if exchange.body.lstrip()[:1] == b"{":
        return table_of(parsed(exchange))
    body = exchange.text()
    found = _PLAYER.search(body)
    if found is None:
        return {}
    try:
        value, _ = json.JSONDecoder().raw_decode(body, found.end())
    except (ValueError, RecursionError):
        return {}
    return table_of(value)


def _video(player: Json, details: Json) -> Reading:
    title, text = text_of(details.get("title")), text_of(details.get("shortDescription"))
    views = text_of(details.get("viewCount"))
    format_ = within(player, "microformat", "playerMicroformatRenderer")
    return Reading(
        ALIVE,
        Version(version_hash(title, text), title, text),
        Counts(views=shown_count(views)) if views else NO_COUNTS,
        moment(table_of(format_).get("publishDate")),
    )


# -- refusals ------------------------------------------------------------------------------------


def _said(pack: str, place: str, text: str, exchange: Exchange) -> Signal | None:
    found = load_pack(pack).match_field(place, text) if text else None
    if found is None:
        return None
    return replace(found, status=exchange.status, words=_masked(found.words))


def _refused(exchange: Exchange, said: Sequence[Signal | None], words: str) -> Reading:
    """The notice of an answer without a post: one that fails the look first, the vaguest last."""
    if exchange.fault is not None:
        return _failed(exchange, exchange.fault, exchange.words)
    hits = [hit for hit in said if hit is not None]
    if hits:
        return Reading(min(hits, key=_vagueness))
    fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
    return _failed(exchange, fault, words or "an answer that says nothing")


def _vagueness(signal: Signal) -> tuple[bool, bool, bool]:
    gone = signal.kind is not Kind.ERROR
    return gone, Cause.UNKNOWN in signal.causes, signal.strength is Strength.WEAK


def _failed(exchange: Exchange, fault: Fault, words: str) -> Reading:
    return Reading(failed(fault, status=exchange.status, words=_masked(words)))


def _masked(words: str) -> str:
    return " ".join(_NAMES.sub("…", words).split())[:200]
