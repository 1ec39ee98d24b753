"""Posts and comments of Reddit by their removal fields.

In: the address of a post or comment, and a `Fetch`; or a recorded answer. Out: what it proves. What
a field means stands in `notices/reddit.toml`, how one post is followed in `single`.

NOT TRIED LIVE: the forms are those that public clients describe; the tests write the answers. No
request to Reddit was ever made. It may well refuse a reader like this one: a failed look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from vanished.archive.settings_asking import Key
from vanished.model import ALIVE, SECOND, Counts, Fault, Version, version_hash
from vanished.net.exchange import Exchange
from vanished.sources import Naming, Settings
from vanished.sources.answer import Json, list_of, parsed, table_of, text_of, web_media, within
from vanished.sources.shown_count import shown_count
from vanished.sources.single import Form, Reading, SinglePost, is_on, notice_at, refused, unread

KEYS: Mapping[str, Key] = {
    "server": Key("https://www.reddit.com", "whom to ask, such as a relay of yours")
}
CANARY = "an old announcement of a large community; gone: a post that says [removed]"

_ADDRESS = re.compile(
    r"(?:/r/\w{2,24})?/comments/([a-z0-9]{4,13})(?:/[^/]*)?(?:/([a-z0-9]{4,13}))?/?", re.I
)
_MARKS = ("[deleted]", "[removed]", "[ removed by reddit ]")


def _named(url: str) -> str:
    found = _ADDRESS.fullmatch(urlsplit(url).path) if is_on(url, "reddit.com") else None
    if found is None:
        return ""
    post, comment = found[1].lower(), found[2]
    return f"t3_{post}/t1_{comment.lower()}" if comment else f"t3_{post}"


def _path(native_id: str) -> str:
    post, _, comment = native_id.partition("/")
    rest = f"/_/{comment[3:]}" if comment else ""
    return f"/comments/{post[3:]}{rest}.json?raw_json=1"


def read_reddit(exchange: Exchange, native_id: str) -> Reading:
    """What /comments/ID.json says of "t3_ID", or of the comment "t3_ID/t1_ID"."""
    value = parsed(exchange)
    if exchange.fault is not None or exchange.status != 200:
        answer = table_of(value)
        said = [notice_at("reddit", "reason", text_of(answer.get("reason")), exchange)]
        if answer.get("error") == exchange.status:
            said.append(notice_at("reddit", "status", str(exchange.status), exchange))
        return refused(exchange, said, "the answer is not of Reddit's JSON")
    post, _, comment = native_id.partition("/")
    wanted = comment or post
    children = list_of(within(value, 1 if comment else 0, "data", "children"))
    if not children:
        return unread(exchange, Fault.EMPTY, "a listing without anything in it")
    items = [table_of(table_of(child).get("data")) for child in children]
    item = next((i for i in items if wanted in (i.get("name"), f"{wanted[:3]}{i.get('id')}")), {})
    if not item:
        return unread(exchange, Fault.UNREADABLE, "a listing without the one that was asked for")
    return _item(exchange, item)


def _item(exchange: Exchange, item: Json) -> Reading:
    for field in ("removed_by_category", "removal_reason"):
        why = text_of(item.get(field))
        if why:
            said = notice_at("reddit", field, why, exchange)
            words = f"{field} is '{why}', which no rule knows"
            return Reading(said) if said else unread(exchange, Fault.UNREADABLE, words)
    title = text_of(item.get("title"))
    text = text_of(item.get("selftext")) or text_of(item.get("body"))
    if text.strip().lower() in _MARKS:
        if text_of(item.get("author")) not in ("", "[deleted]"):
            words = "a text that equals a mark beside its author: the mark, or a quotation"
            return unread(exchange, Fault.UNREADABLE, words)
        said = notice_at("reddit", "text", text.strip(), exchange)
        if said is not None:
            return Reading(said)
    if not (title or text):
        return unread(exchange, Fault.UNREADABLE, "neither a title nor a text")
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


FORM = Form(
    "reddit",
    "https://www.reddit.com",
    "https://www.reddit.com/r/example/comments/abc123/title/",
    _named,
    _path,
    read_reddit,
)


class RedditSource(SinglePost):
    """Posts and comments of Reddit, one at a time; see `sources.Source`.

    What is ambiguous here: a removal by Reddit's own filter can show as a moderator's, and a text
    that is nothing but "[removed]" can be the mark, or what the author wrote.
    """

    platform = "reddit"

    def __init__(self, name: Naming, settings: Settings | None = None) -> None:
        """Raises ConfigError for a `server` that is no web address without a path."""
        super().__init__(FORM, name, settings or {})
