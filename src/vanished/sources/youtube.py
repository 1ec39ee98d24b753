"""Videos of YouTube by the state of their player.

In: the address of a video, and a `Fetch`; or a recorded answer. Out: what it proves. What a reason
means stands in `notices/youtube.toml`, how one video is followed in `single`.

NOT TRIED LIVE: the forms are those that public clients describe; the tests write the answers. No
request to YouTube was ever made. It may well refuse a reader like this one: a failed look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from vanished.model import ALIVE, NO_COUNTS, Counts, Fault, Version, version_hash
from vanished.net.exchange import Exchange
from vanished.sources import Naming, Settings
from vanished.sources.answer import Json, list_of, moment, parsed, table_of, text_of, within
from vanished.sources.html import is_cut
from vanished.sources.shown_count import shown_count
from vanished.sources.single import Form, Reading, SinglePost, is_on, notice_at, refused, unread

KEYS: Mapping[str, type] = {"server": str}
"""`server`: whom to ask in place of https://www.youtube.com, such as a relay of one's own."""

_VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
_PLAYER = re.compile(r"\bytInitialPlayerResponse\s*=\s*(?=\{)")


def _named(url: str) -> str:
    parts = urlsplit(url)
    ident = ""
    if is_on(url, "youtu.be"):
        ident = parts.path[1:]
    elif is_on(url, "youtube.com"):
        head, _, rest = parts.path[1:].partition("/")
        ident = parse_qs(parts.query).get("v", [""])[0] if head == "watch" else rest
        ident = ident if head in ("watch", "shorts", "live", "embed") else ""
    return ident if _VIDEO.fullmatch(ident) else ""


def read_youtube(exchange: Exchange, native_id: str) -> Reading:
    """What the page /watch?v=ID, or a recorded player response, says of the video."""
    if exchange.fault is not None or exchange.status != 200:
        return refused(exchange, [], "the answer is not YouTube's page of a video")
    if (urlsplit(exchange.url).hostname or "").startswith(("consent.", "accounts.")):
        return unread(exchange, Fault.LOGIN_WALL, "YouTube asks for consent before it shows it")
    if exchange.body.lstrip()[:1] == b"<" and is_cut(exchange.body):
        return unread(exchange, Fault.TRUNCATED, "the document breaks off before its end")
    player = _player(exchange)
    playability = table_of(player.get("playabilityStatus"))
    details = table_of(player.get("videoDetails"))
    status = text_of(playability.get("status"))
    if not status:
        return unread(exchange, Fault.UNREADABLE, "a page without the state of its player")
    if status in ("OK", "LIVE_STREAM_OFFLINE"):
        if details.get("videoId") != native_id:
            return unread(exchange, Fault.UNREADABLE, "the player of another video")
        return _video(player, details)
    texts = [
        text_of(playability.get("reason")),
        *map(text_of, list_of(playability.get("messages"))),
    ]
    screen = within(playability, "errorScreen", "playerErrorMessageRenderer")
    for part in ("subreason", "reason"):
        runs = [text_of(table_of(r).get("text")) for r in list_of(within(screen, part, "runs"))]
        texts += [text_of(within(screen, part, "simpleText")), "".join(runs)]
    said = [notice_at("youtube", "reason", text, exchange) for text in texts]
    words = " / ".join(dict.fromkeys(text for text in texts if text))
    return refused(exchange, said, f"{status}: {words}")


def _player(exchange: Exchange) -> Json:
    if exchange.body.lstrip()[:1] == b"{":
        return table_of(parsed(exchange))
    body = exchange.text()
    for found in _PLAYER.finditer(body):  # a description may hold the words as well
        try:
            value, _ = json.JSONDecoder().raw_decode(body, found.end())
        except (ValueError, RecursionError):
            continue
        return table_of(value)
    return {}


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


FORM = Form(
    "youtube",
    "https://www.youtube.com",
    "https://www.youtube.com/watch?v=abcdefghijk",
    _named,
    lambda native_id: f"/watch?v={native_id}&hl=en",
    read_youtube,
)


class YouTubeSource(SinglePost):
    """Videos of YouTube, one at a time; see `sources.Source`.

    What is ambiguous here: "Video unavailable" is said of whatever is not shown, and a block in
    this country says nothing of the others.
    """

    platform = "youtube"

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        super().__init__(FORM, name, settings or {})
