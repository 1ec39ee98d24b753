"""WeChat's lists of articles: albums and an account's history, as their JSON has them.

In: the parsed answer of `appmsgalbum` or `profile_ext` and whose list it should be. Out: its
articles with addresses to look at, and where the list goes on. An entry proves nothing about the
article itself; one without an address, or of another account, is left out.

The forms are those that public scrapers describe (album: `getalbum_resp`; history: pushes in
`general_msg_list`, JSON within JSON). They were not tried live.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from urllib.parse import parse_qs, urlsplit

from vanished.model import SECOND, Micros
from vanished.sources.answer import Json, list_of, table_of
from vanished.sources.wechat_page import HOST, NUMBER, ids_of, native_id

_SHORT = re.compile(r"/s/([A-Za-z0-9_-]{8,64})/?")
_CHKSM = re.compile(r"[0-9a-f]{16,200}")
_STAMP = re.compile(r"[0-9]{9,10}")


@dataclass(frozen=True, slots=True)
class Listed:
    """One article as a list has it."""

    native_id: str
    url: str
    published_at: Micros | None


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list: its articles, and what to add to the query for the next ("": the end)."""

    items: tuple[Listed, ...]
    next: str


def article_at(address: str, server: str) -> tuple[str, str] | None:
    """Native id of the article at `address`, and its address on `server`; None if it is none.

    Only what names the article is kept, nothing of the session of whoever copied the address.
    """
    parts = urlsplit(address)
    short = _SHORT.fullmatch(parts.path)
    if short:
        return f"s/{short[1]}", f"{server}/s/{short[1]}"
    biz, mid, idx, sn = ids_of(address)
    ident = native_id(biz, mid, idx)
    if not ident or parts.path not in ("/s", "/s/", "/mp/appmsg/show"):
        return None
    url = f"{server}/s?__biz={biz}&mid={mid}&idx={idx}"
    url += f"&sn={sn}" if sn else ""
    check = (parse_qs(parts.query).get("chksm") or [""])[0]
    return ident, url + (f"&chksm={check}" if _CHKSM.fullmatch(check) else "")


def read_album(answer: Json, biz: str, server: str) -> ListPage | None:
    """A page of an album of `biz`; None if the answer is none. A lone article comes bare."""
    album = answer.get("getalbum_resp")
    if not isinstance(album, dict):
        return None
    found = album.get("article_list") or []
    entries = [e for e in (found if isinstance(found, list) else [found]) if isinstance(e, dict)]
    items = []
    for entry in entries:
        mid, idx = str(entry.get("msgid")), str(entry.get("itemidx"))
        inside = native_id(biz, mid, idx) if _numbers(mid, idx) else ""
        items.append(_listed(entry.get("url"), entry.get("create_time"), biz, server, inside))
    more = ""
    if entries and str(album.get("continue_flag")) == "1":
        mid, idx = str(entries[-1].get("msgid")), str(entries[-1].get("itemidx"))
        more = f"&begin_msgid={mid}&begin_itemidx={idx}" if _numbers(mid, idx) else ""
    return ListPage(tuple(item for item in items if item), more)


def read_history(answer: Json, biz: str, server: str) -> ListPage | None:
    """A page of the history of `biz`; None if the answer is none."""
    pushes = answer.get("general_msg_list")
    try:
        pushes = json.loads(pushes) if isinstance(pushes, str) else pushes
    except (ValueError, RecursionError):
        return None
    found = table_of(pushes).get("list")
    if not isinstance(found, list):
        return None
    items = [_listed(e.get("content_url"), when, biz, server) for e, when in _pushed(found)]
    offset = str(answer.get("next_offset"))
    goes_on = str(answer.get("can_msg_continue")) == "1" and _numbers(offset)
    return ListPage(tuple(item for item in items if item), f"&offset={offset}" if goes_on else "")


def complete_since(items: Sequence[Listed], more: bool) -> Micros | None:
    """Since when the list is whole: if it stands in the order of time, since its oldest entry.

    `more`: it was not read to its end, so its oldest second may be cut in two.
    """
    times = [item.published_at for item in items if item.published_at is not None]
    if not times or len(times) != len(items) or times != sorted(times, reverse=True):
        return None
    return times[-1] + SECOND if more else times[-1]


def _listed(
    address: object, when: object, biz: str, server: str, inside: str = ""
) -> Listed | None:
    """An entry as an article of `biz`; `inside` is its id where the list says it itself."""
    if not isinstance(address, str):
        return None
    address = unescape(address)
    found = article_at(f"https://{HOST}{address}" if address[:1] == "/" else address, server)
    if found is None:
        return None
    ident, url = found
    if ident.startswith("s/"):
        ident = inside or ident  # the list says which article is behind the short address
    elif ident.rpartition("/")[0].rpartition("/")[0] != biz:
        return None
    stamp = str(when)
    return Listed(ident, url, int(stamp) * SECOND if _STAMP.fullmatch(stamp) else None)


def _pushed(pushes: Sequence[object]) -> Iterator[tuple[Json, object]]:
    """Every article of a history, with the time of its push; a bare text or picture has no page."""
    for push in map(table_of, pushes):
        first = table_of(push.get("app_msg_ext_info"))
        when = table_of(push.get("comm_msg_info")).get("datetime")
        for entry in (first, *map(table_of, list_of(first.get("multi_app_msg_item_list")))):
            yield entry, when


def _numbers(*written: str) -> bool:
    return all(NUMBER.fullmatch(one) for one in written)
