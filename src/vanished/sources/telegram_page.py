"""Telegram's public pages as facts: the messages of a channel's preview, or of one post's widget.

In: the HTML of `t.me/s/CHANNEL` or `t.me/CHANNEL/ID?embed=1`. Out: its messages with wording,
views, what they were forwarded from, and the marks by which the page itself is known. It asks
nobody and decides nothing; what a notice means stands in `notices/telegram.toml`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from selectolax.lexbor import LexborHTMLParser, LexborNode

from vanished.model import Count, Micros, Version, version_hash
from vanished.sources.answer import moment, web_media
from vanished.sources.html import one_line, utf8
from vanished.sources.shown_count import shown_count

NAME = r"[A-Za-z][A-Za-z0-9_]{3,31}"

_POST = re.compile(rf"({NAME})/([1-9]\d{{0,11}})")
_FORWARD = re.compile(
    rf"https?://(?:www\.)?(?:t|telegram)\.me/(?:s/)?({NAME})/([1-9]\d{{0,11}})\b.*"
)
_BACKGROUND = re.compile(r"background-image:\s*url\(\s*['\"]?([^'\")]{1,2000})")
_BREAK = re.compile(rb"<(?=/?(?:br|div|p|blockquote|pre)\b)", re.I)
_LABEL = ".message_media_not_supported_label"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a page shows it. `text` is "" where there is none to read here."""

    channel: str  # as the page writes it
    number: int
    text: str
    media: tuple[str, ...]
    published_at: Micros | None
    views: Count | None
    forwarded: str | None  # "channel/number", the channel in lower case
    edited: bool
    label: str  # what stands where the page cannot show the content; "" if it can
    service: bool  # "Channel created" and the like: nobody's post

    @property
    def native_id(self) -> str:
        """Names of channels are the same in any case."""
        return f"{self.channel.lower()}/{self.number}"

    @property
    def version(self) -> Version | None:
        """The wording; None where the page shows none of the content."""
        if not self.text and not self.media:
            return None
        return Version(version_hash("", self.text), "", self.text, self.media)


class ChannelPage:
    """One parsed page. Everything is read when asked for, and read once."""

    def __init__(self, html: bytes) -> None:
        # A line break before every block, so that two lines never run into one word.
        self._tree = LexborHTMLParser(_BREAK.sub(b"\n<", utf8(html)))
        self._tree.strip_tags(["script", "style", "template", "noscript"])

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """Every message, oldest first as the page has them."""
        found = [_message(node) for node in self._tree.css(".tgme_widget_message[data-post]")]
        return tuple(message for message in found if message is not None)

    @property
    def is_preview(self) -> bool:
        """Whether this is a channel's preview at all."""
        return self._has(".tgme_channel_info") or self._has(".tgme_channel_history")

    @property
    def says_empty(self) -> bool:
        """Telegram shows "no posts found" to those who ask too often, too."""
        return self._has(".tme_no_messages_found")

    @property
    def is_chat(self) -> bool:
        """Whether a page without a preview still tells of a channel or group with members."""
        return bool(re.search(r"\d", re.sub(r"@\w+", "", self._text(".tgme_page_extra"))))

    @property
    def is_contact(self) -> bool:
        """Whether it is the page of a name: of a person, a bot, or of nobody."""
        return self._has(".tgme_page")

    @property
    def description(self) -> str:
        return self._text(".tgme_page_description")

    @property
    def error(self) -> str:
        """What the widget says in place of a message."""
        return self._text(".tgme_widget_message_error")

    def _has(self, selector: str) -> bool:
        return self._tree.css_first(selector) is not None

    def _text(self, selector: str) -> str:
        return _text(self._tree.css_first(selector))


def _message(node: LexborNode) -> Message | None:
    found = _POST.fullmatch((node.attributes.get("data-post") or "").strip())
    if found is None:
        return None
    date = node.css_first(".tgme_widget_message_date time[datetime], time.datetime[datetime]")
    source = node.css_first("a.tgme_widget_message_forwarded_from_name")
    forward = _FORWARD.fullmatch((source.attributes.get("href") or "") if source else "")
    label = _text(node.css_first(_LABEL))
    return Message(
        channel=found[1],
        number=int(found[2]),
        text=_wording(node),
        media=_media(node),
        published_at=moment(date.attributes.get("datetime")) if date else None,
        views=shown_count(_text(node.css_first(".tgme_widget_message_views"))),
        forwarded=f"{forward[1].lower()}/{forward[2]}" if forward else None,
        edited=_text(node.css_first(".tgme_widget_message_meta")).lower().startswith("edited"),
        label=label,
        service="service_message" in (node.attributes.get("class") or "").split(),
    )


def _wording(node: LexborNode) -> str:
    """The message's own text, not that of the message it answers, and a poll's question."""
    texts = [
        _text(found)
        for found in node.css(".js-message_text, .tgme_widget_message_poll_question")
        if not _lies_in(found, node, "tgme_widget_message_text", "tgme_widget_message_reply")
    ]
    return "\n".join(text for text in texts if text)


def _lies_in(node: LexborNode, end: LexborNode, *classes: str) -> bool:
    """Whether an ancestor of `node` below `end` has one of `classes`: the widget nests a text."""
    above = node.parent
    while above is not None and above.mem_id != end.mem_id:
        if set(classes) & set((above.attributes.get("class") or "").split()):
            return True
        above = above.parent
    return False


def _media(node: LexborNode) -> tuple[str, ...]:
    found: list[str] = []
    for element in node.css(
        ".tgme_widget_message_photo_wrap, .tgme_widget_message_video_thumb, video, audio,"
        " .tgme_widget_message_sticker"
    ):
        style = _BACKGROUND.search(element.attributes.get("style") or "")
        source = element.attributes.get("src") or element.attributes.get("data-webp") or ""
        found.append(source or (style[1] if style else ""))
    return web_media(found)


def _text(node: LexborNode | None) -> str:
    return one_line(node.text()) if node is not None else ""
