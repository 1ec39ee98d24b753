"""Weibo's answers as facts: one post as its mobile and its desktop JSON have it, pages, notices.

In: an exchange with m.weibo.cn or weibo.com. Out: a `Status`, the list of an account's posts, or
the signal of what stands in their place. It asks nobody. Weibo answers "all is well" (HTTP 200)
for whatever is wrong, so the words and codes in the body decide; what they mean stands in
`notices/weibo.toml`. The forms are those that public scrapers describe; none was tried live.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

from vanished.model import (
    Counts,
    Fault,
    Micros,
    Signal,
    Strength,
    Version,
    failed,
    micros,
    version_hash,
)
from vanished.net.exchange import Exchange
from vanished.sources.answer import (
    Json,
    ident_of,
    list_of,
    parsed,
    table_of,
    text_of,
    web_media,
    within,
)
from vanished.sources.html import Page, is_too_deep
from vanished.sources.notice import load_pack
from vanished.sources.shown_count import shown_count

NUMBER = re.compile(r"[1-9]\d{4,19}")

_DATE = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{1,2}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2}) (\d{4})"
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_EMOTICON = re.compile(r"<img\b[^>]*?\balt=[\"']?(\[[^\]\s<>]{1,12}\])[^>]*>")
_RENDERED = re.compile(r"\$render_data\s*=\s*(?=\[)")
_MORE = re.compile(r"\s*(?:\.{3}|…)\s*(?:全文|展开)\s*$")
_NAMES = re.compile(r"@[\w-]+")


@dataclass(frozen=True, slots=True)
class Status:
    """One post. `chain`: what it repeats, the nearest first and the original last."""

    mid: str
    user: str  # the author's number, "" where there is none
    published_at: Micros | None
    counts: Counts
    version: Version | None  # None where the answer holds only the beginning of a long text
    chain: tuple[str, ...]
    pinned: bool
    gone: Signal | None  # the notice that stands in the place of the text
    edited: bool


def read_status(value: object, long_text: str = "") -> Status | None:
    """The post in `value`, of either form; None if it is none.

    A repost whose original is lost is alive: the notice stands in `retweeted_status`, not in its
    own place. A post without an author is one that was taken away.
    """
    item = table_of(value)
    mid = ident_of(item.get("idstr")) or ident_of(item.get("mid")) or ident_of(item.get("id"))
    if not NUMBER.fullmatch(mid):
        return None
    user = ident_of(table_of(item.get("user")).get("id"))
    lost = not NUMBER.fullmatch(user) or ident_of(item.get("deleted")) == "1"
    text = _plain(text_of(item.get("text")) or text_of(item.get("text_raw")))
    gone = None
    if lost:
        gone = _said("msg", text) or failed(
            Fault.UNREADABLE, words=f"a post without an author: {_masked(text)}"
        )
    return Status(
        mid=mid,
        user="" if lost else user,
        published_at=moment(item.get("created_at")),
        counts=Counts(
            likes=shown_count(item.get("attitudes_count")),
            reposts=shown_count(item.get("reposts_count")),
            comments=shown_count(item.get("comments_count")),
        ),
        version=None if lost else _version(item, long_text),
        chain=_chain(item, mid),
        pinned=ident_of(item.get("isTop")) == "1" or ident_of(item.get("mblogtype")) == "2",
        gone=gone,
        edited=ident_of(item.get("edit_count")) not in ("", "0"),
    )


def needs_long_text(value: object) -> bool:
    """Whether an answer holds only the beginning of the text."""
    item = table_of(value)
    return item.get("isLongText") is True and not _long_text(item)


def long_text_of(exchange: Exchange) -> str:
    """The whole text in the answer of statuses/extend or statuses/longtext; "" if it has none."""
    return text_of(within(parsed(exchange), "data", "longTextContent"))


def posts_of(exchange: Exchange) -> Sequence[object] | None:
    """The posts in an account's list, mobile or desktop; None if the answer is no list."""
    answer = table_of(parsed(exchange))
    if exchange.status != 200 or ident_of(answer.get("ok")) != "1":
        return None
    held = table_of(answer.get("data"))
    if isinstance(held.get("list"), list):
        return list_of(held["list"])
    if not isinstance(held.get("cards"), list):
        return None
    found: list[object] = []
    for card in list_of(held["cards"]):
        inner = [table_of(card), *map(table_of, list_of(table_of(card).get("card_group")))]
        found += [item["mblog"] for item in inner if table_of(item.get("mblog"))]
    return found


def status_in(exchange: Exchange) -> Json:
    """The post in an answer about one: of m.weibo.cn/statuses/show, weibo.com/ajax/statuses/show,
    or of the page m.weibo.cn/detail; {} if there is none.
    """
    if exchange.fault is not None or exchange.status != 200:
        return {}
    answer = table_of(parsed(exchange))
    if ident_of(answer.get("ok")) == "1":
        return table_of(answer.get("data")) or (answer if "mblogid" in answer else {})
    if "mblogid" in answer and "ok" not in answer:
        return answer
    return table_of(within(_rendered(exchange), 0, "status"))


def refusal(exchange: Exchange) -> Signal:
    """What an answer says that holds no post: a notice, a wall, or nothing that is known."""
    if exchange.fault is not None:
        return failed(exchange.fault, status=exchange.status, words=exchange.words)
    pack = load_pack("weibo")
    bare = pack.match_status(exchange.status or 0)
    if bare is not None:
        return bare
    hits = [hit for hit in _hits(exchange) if hit is not None]
    if hits:
        # A failed look wins, since it proves least; then a strong notice; then words before codes.
        hit = min(hits, key=lambda hit: (hit.fault is None, hit.strength is Strength.WEAK))
        return replace(hit, status=exchange.status, words=_masked(hit.words))
    answer = table_of(parsed(exchange))
    words = text_of(answer.get("msg")) or text_of(answer.get("error"))
    words = _masked(words) or "neither a post nor a notice that is known of Weibo"
    fault = Fault.FORBIDDEN if exchange.status in (401, 403) else Fault.UNREADABLE
    return failed(fault, status=exchange.status, words=words)


def needs_visitor(signal: Signal) -> bool:
    """Whether the look failed for want of the pass that Weibo gives to every visitor."""
    return signal.fault is Fault.LOGIN_WALL


def visitor_pass(exchange: Exchange) -> str:
    """The Cookie header of a visitor from the answer of genvisitor2; "" if it holds none."""
    if exchange.fault is not None or exchange.status != 200:
        return ""
    body = exchange.text()
    start, end = body.find("{"), body.rfind("}")
    try:
        answer = json.loads(body[start : end + 1]) if start >= 0 else None
    except (ValueError, RecursionError):
        return ""
    held = table_of(within(answer, "data"))
    sub, subp = text_of(held.get("sub")), text_of(held.get("subp"))
    fits = re.compile(r"[\w.%+/=-]{8,512}").fullmatch
    if not fits(sub):
        return ""
    return f"SUB={sub}; SUBP={subp}" if fits(subp) else f"SUB={sub}"


def moment(value: object) -> Micros | None:
    """The time of "Tue Feb 23 12:28:47 +0800 2021". None for "3分钟前", "02-23" and the like: they
    state no zone, and no year or second.
    """
    found = _DATE.fullmatch(text_of(value).strip())
    if found is None or found[1] not in _MONTHS:
        return None
    month, day, hour, minute, second, sign, off_h, off_m, year = found.groups()
    away = timedelta(hours=int(off_h), minutes=int(off_m)) * (-1 if sign == "-" else 1)
    try:
        date = datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=timezone(away),
        )
    except ValueError:
        return None
    time = micros(date)
    return time if time >= 0 else None


# -- the parts of a post -------------------------------------------------------------------------


def _version(item: Json, long_text: str) -> Version | None:
    whole = long_text or _long_text(item)
    if item.get("isLongText") is True and not whole:
        return None
    text = _plain(whole or text_of(item.get("text")) or text_of(item.get("text_raw")))
    return Version(version_hash("", text), "", text, _media(item))


def _long_text(item: Json) -> str:
    """The whole of a long text where the answer holds it, else "". statuses/show of the mobile site
    puts it in the text's own place and leaves the mark; lists and the desktop cut it there.
    """
    held = table_of(item.get("longText"))
    whole = text_of(held.get("longTextContent")) or text_of(held.get("content"))
    if whole or "mblogid" in item:
        return whole
    text = text_of(item.get("text"))
    return "" if _MORE.search(re.sub(r"<[^>]*>", "", text)) else text


def _media(item: Json) -> tuple[str, ...]:
    found: list[object] = []
    pictures = item.get("pics")
    for picture in pictures.values() if isinstance(pictures, dict) else list_of(pictures):
        large = within(picture, "large", "url")
        found.append(large or table_of(picture).get("url"))
    infos = table_of(item.get("pic_infos"))
    for pid in list_of(item.get("pic_ids")) or list(infos):
        info = infos.get(pid) if isinstance(pid, str) else None
        found.append(within(info, "largest", "url") or within(info, "large", "url"))
    page = table_of(item.get("page_info"))
    if page.get("type") == "video" or page.get("object_type") == "video":
        found.append(within(page, "page_pic", "url") or page.get("page_pic"))
    return web_media([_unsigned(address) for address in found])


def _unsigned(address: object) -> str:
    """An address without its signature, which is another at every answer."""
    text = text_of(address)
    return text.partition("?")[0] if "sinaimg.cn/" in text else text


def _chain(item: Json, mid: str) -> tuple[str, ...]:
    original = table_of(item.get("retweeted_status"))
    root = ident_of(original.get("idstr")) or ident_of(original.get("id"))
    nearest = ident_of(item.get("pid"))
    chain = [link for link in (nearest, root) if NUMBER.fullmatch(link) and link != mid]
    return tuple(dict.fromkeys(chain)) if root else ()


def _plain(markup: str) -> str:
    """A text without markup, with emoticons by their names, on one line."""
    markup = _EMOTICON.sub(r"\1", markup).replace("\u200b", "")
    html = markup.encode("utf-8", "replace")
    if ("<" in markup or "&" in markup) and not is_too_deep(html):
        markup = Page(html).main
    return _MORE.sub("", " ".join(markup.split()))


# -- notices -------------------------------------------------------------------------------------


def _hits(exchange: Exchange) -> list[Signal | None]:
    """What the words, the codes and the address of an answer say, in that order."""
    value = parsed(exchange)
    found: list[Signal | None] = []
    if isinstance(value, dict):
        words = [text_of(value.get(key)) for key in ("msg", "message", "error")]
        found += [_said("msg", text) for text in words if text]
        found += _sorry(text_of(value.get("url")))
        for key in ("errno", "error_code", "ok"):
            code = ident_of(value.get(key))
            found.append(_said("ok" if key == "ok" else "code", code) if code else None)
    elif exchange.body.lstrip()[:1] == b"<" and not is_too_deep(exchange.body):
        page = Page(exchange.body, asked=exchange.url, answered=exchange.url)
        found.append(load_pack("weibo").match_html(page))
    if exchange.hops:
        found += _sorry(exchange.url)
    return found


def _sorry(address: str) -> list[Signal | None]:
    """The notices in an address such as https://weibo.com/sorry?usernotexists&msg=..."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return []
    if not parts.path.rstrip("/").endswith("/sorry"):
        return [_said("wall", (parts.hostname or "").lower())]
    query = parse_qs(parts.query, keep_blank_values=True)
    words = query.get("msg", [""])[0]
    return [_said("msg", words), *(_said("sorry", key) for key in query if key != "msg")]


def _said(place: str, text: str) -> Signal | None:
    found = load_pack("weibo").match_field(place, text) if text else None
    return replace(found, words=_masked(found.words)) if found else None


def _rendered(exchange: Exchange) -> object:
    """The JSON that a page of m.weibo.cn draws itself from; None if it holds none."""
    body = exchange.text() if exchange.body.lstrip()[:1] == b"<" else ""
    found = _RENDERED.search(body)
    if found is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(body, found.end())
    except (ValueError, RecursionError):
        return None
    return value


def _masked(words: str) -> str:
    return " ".join(_NAMES.sub("…", words).split())[:200]
