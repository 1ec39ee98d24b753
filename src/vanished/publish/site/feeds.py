"""Feeds of a static site: Atom (RFC 4287) and JSON Feed 1.1, one of each for every filter.

In: losses, the newest told first. Out: bytes, the same for the same losses. Ids are URNs that
follow from observatory, release and pseudonym, so that they stay wherever a copy of the site lies;
links are relative unless the site's address is known. An entry whose captures leave has the file
that holds them as its enclosure.
"""

from __future__ import annotations

import json
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vanished.model import Micros, at

ENTRIES: Final = 50  # in a feed
ATOM: Final = "http://www.w3.org/2005/Atom"
VERSION: Final = "https://jsonfeed.org/version/1.1"
WACZ: Final = "application/wacz"
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A loss as a feed tells it; `link` is an address from the feed."""

    id: str
    title: str
    summary: str
    link: str
    updated: Micros
    tags: tuple[str, ...]
    enclosure: tuple[str, int] | None = None  # address and bytes of a WACZ


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed. `home` and `own` are addresses of the page that it is of and, by form, of it."""

    id: str
    title: str
    author: str
    language: str
    home: str
    own: str
    updated: Micros
    entries: Sequence[Entry]


def urn(*names: str) -> str:
    """An id that stays: a URN of a UUID of version 5 (RFC 9562) of these names."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'vanished:' + '/'.join(names))}"


def atom(feed: Feed) -> bytes:
    """RFC 4287: id, title, updated, author; and for each entry id, title, updated, link."""
    root = ET.Element("feed", {"xmlns": ATOM, "xml:lang": feed.language})
    _add(root, "id", feed.id)
    _add(root, "title", feed.title)
    _add(root, "updated", _rfc3339(feed.updated))
    _add(ET.SubElement(root, "author"), "name", feed.author)
    _add(root, "generator", "Vanished")
    ET.SubElement(root, "link", rel="self", type="application/atom+xml", href=f"{feed.own}.atom")
    ET.SubElement(root, "link", rel="alternate", type="text/html", href=feed.home)
    for one in feed.entries:
        entry = ET.SubElement(root, "entry")
        _add(entry, "id", one.id)
        _add(entry, "title", one.title)
        _add(entry, "updated", _rfc3339(one.updated))
        ET.SubElement(entry, "link", rel="alternate", type="text/html", href=one.link)
        if one.enclosure is not None:
            to, size = one.enclosure
            ET.SubElement(
                entry, "link", rel="enclosure", type=WACZ, length=str(size), href=to
            )  # fmt: skip
        for tag in one.tags:
            ET.SubElement(entry, "category", term=_xml(tag))
        _add(entry, "content", one.summary, type="text")
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def json_feed(feed: Feed) -> bytes:
    """JSON Feed 1.1, with the same entries."""
    told = {
        "version": VERSION,
        "title": feed.title,
        "home_page_url": feed.home,
        "feed_url": f"{feed.own}.json",
        "language": feed.language,
        "authors": [{"name": feed.author}],
        "items": [
            {
                "id": one.id,
                "url": one.link,
                "title": one.title,
                "content_text": one.summary,
                "date_modified": _rfc3339(one.updated),
                "tags": list(one.tags),
                **_attachments(one),
            }
            for one in feed.entries
        ],
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")


def _attachments(one: Entry) -> dict[str, object]:
    if one.enclosure is None:
        return {}
    to, size = one.enclosure
    return {"attachments": [{"url": to, "mime_type": WACZ, "size_in_bytes": size}]}


def _add(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = _xml(text)


def _xml(text: str) -> str:
    """`text` without the characters that no XML may hold."""
    return _NO_XML.sub("\ufffd", text)


def _rfc3339(t: Micros) -> str:
    return at(t).strftime("%Y-%m-%dT%H:%M:%SZ")
