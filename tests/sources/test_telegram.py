"""The Telegram source, against pages built as public scrapers describe them.

Over loopback through the real door for the ordinary course, on prepared pages for the rare ones.
Channels, texts and numbers were made up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.loopback import Answer, Prepared, as_page, door, serving
from tests.sources.pages import STORY, name, small
from vanished.errors import ConfigError, UsageError
from vanished.model import (
    ALIVE,
    SECOND,
    Cause,
    Count,
    Discovery,
    Fault,
    Kind,
    Post,
    Signal,
    Strength,
)
from vanished.sources.notice import load_pack
from vanished.sources.telegram import TelegramSource
from vanished.sources.telegram_page import ChannelPage

NOT_FOUND = "Post not found"
TERMS = "This channel can't be displayed because it violated Telegram's Terms of Service."
LAWS = "This channel can't be displayed because it violated local laws."
PORN = "This channel can't be displayed because it was used to spread pornographic content."
POST_TERMS = (
    "This message couldn't be displayed on your device because it violates the Telegram Terms of"
    " Service."
)
POST_COPYRIGHT = "This message couldn't be displayed on your device due to copyright infringement."
BASE = "https://t.me"


def message(
    number: int,
    text: str = "",
    *,
    channel: str = "River_Gauge",
    views: str = "1.2K",
    edited: bool = False,
    more: str = "",
    label: str = "",
    kind: str = "",
) -> str:
    """One message as the preview and the widget build it."""
    inner = f"<div class='tgme_widget_message_text js-message_text' dir='auto'>{text}</div>"
    if label:
        inner += (
            "<div class='message_media_not_supported_wrap'>"
            "<div class='message_media_not_supported'>"
            f"<div class='message_media_not_supported_label'>{label}</div>"
            "<span class='message_media_view_in_telegram'>VIEW IN TELEGRAM</span></div></div>"
        )
    return (
        "<div class='tgme_widget_message_wrap js-widget_message_wrap'>"
        f"<div class='tgme_widget_message {kind} js-widget_message'"
        f" data-post='{channel}/{number}' data-view='eyJj'><div class='tgme_widget_message_bubble'>"
        f"{more}{inner if text or label else ''}"
        "<div class='tgme_widget_message_footer js-message_footer'>"
        "<div class='tgme_widget_message_info js-message_info'>"
        f"<span class='tgme_widget_message_views'>{views}</span>"
        f"<span class='tgme_widget_message_meta'>{'edited &nbsp;' if edited else ''}"
        f"<a class='tgme_widget_message_date' href='https://t.me/{channel}/{number}'>"
        f"<time datetime='2026-09-01T10:{number % 60:02d}:00+00:00' class='time'>10:00</time></a>"
        "</span></div></div></div></div></div>"
    )


def preview(messages: Sequence[str], *, description: str = "Marks on the wall.") -> str:
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Gauge</title></head><body>"
        "<header><div class='tgme_channel_info'><div class='tgme_channel_info_header_title'>Gauge"
        f"</div><div class='tgme_channel_info_description'>{description}</div></div></header>"
        "<main><section class='tgme_channel_history js-message_history'>"
        f"{''.join(messages)}</section></main></body></html>"
    )


def widget(content: str) -> str:
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Telegram Widget</title></head>"
        f"<body class='widget_frame_base body_widget_post'>{content}</body></html>"
    )


def error(words: str) -> str:
    return widget(f"<div class='tgme_widget_message_error'>{words}</div>")


def landing(*, extra: str = "", description: str = "") -> str:
    """The page of a name that has no preview."""
    return (
        "<!DOCTYPE html><html><head><title>Telegram: Contact @river_gauge</title></head><body>"
        "<div class='tgme_page'><div class='tgme_page_extra'>"
        f"{extra or '@river_gauge'}</div><div class='tgme_page_description'>"
        f"{description or 'If you have Telegram, you can contact @river_gauge right away.'}</div>"
        "<div class='tgme_page_action'><a>Send Message</a></div></div></body></html>"
    )


def lone(number: int = 7, version: str = "") -> Post:
    native = f"river_gauge/{number}"
    return Post("key", "account", "telegram", native, f"{BASE}/{native}", version=version)


async def looked(content: str | bytes | Fault, status: int = 200) -> Signal:
    (look,) = await TelegramSource(name).look([lone()], Prepared({"": (status, content)}))
    return look.observation.signal


async def read(
    answer: Answer | list[Answer], cursor: str = "", redirects: dict[str, str] | None = None
) -> Discovery:
    source = TelegramSource(name)
    account = source.account("@River_Gauge")
    return await source.discover(account, cursor, Prepared({"": answer}, redirects or {}))


# -- what a person writes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["@River_Gauge", "river_gauge", "https://t.me/River_Gauge", "t.me/s/river_gauge",
     "https://telegram.me/river_gauge/15", " https://t.me/s/river_gauge?before=20 "],
)  # fmt: skip
def test_a_channel_has_one_name_however_it_is_written(address: str) -> None:
    account = TelegramSource(name).account(address)
    assert account.native_id == "@river_gauge"
    assert account.url == f"{BASE}/s/river_gauge"


@pytest.mark.parametrize(
    "address",
    ["", "@a", "https://t.me/+AbCdEf", "https://t.me/joinchat/AbCdEf", "t.me/c/1/2", "река"],
)
def test_a_private_or_impossible_channel_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        TelegramSource(name).account(address)


@pytest.mark.parametrize(
    "server", ["t.me", "https://t.me/s/", "ftp://t.me", "https://a@t.me", "https://t.me:x"]
)
def test_a_server_has_to_be_a_bare_address(server: str) -> None:
    with pytest.raises(ConfigError):
        TelegramSource(name, {"server": server})


# -- over loopback -------------------------------------------------------------------------------


@dataclass
class Channel:
    """Telegram's two pages, in so far as this source asks for them."""

    messages: dict[int, str] = field(default_factory=dict)
    open: bool = True
    asked: list[str] = field(default_factory=list)

    def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        assert request.headers["Accept-Language"] == "en"
        if request.path == "/s/river_gauge":
            if not self.open:
                raise web.HTTPFound("/river_gauge")
            before = int(request.query.get("before", 10**9))
            numbers = sorted(n for n in self.messages if n < before)[-20:]
            return as_page(preview([self.messages[n] for n in numbers]))
        if request.query.get("embed") == "1":
            found = self.messages.get(int(request.path.rpartition("/")[2]))
            return as_page(widget(found) if found else error(NOT_FOUND))
        return as_page(landing())


async def test_a_channel_is_followed_from_first_reading_to_loss() -> None:
    here = Channel({n: message(n, f"Mark <b>{n}</b>") for n in range(1, 4)})
    here.messages[2] = message(2, kind="service_message", text="Channel created")
    async with serving(here.answer) as base, door() as fetch:
        source = TelegramSource(name, {"server": base})
        account = source.account("@river_gauge")
        found = await source.discover(account, "", fetch)
        assert found.observation.signal is ALIVE
        assert found.cursor == "3"
        assert [s.post.native_id for s in found.sightings] == ["river_gauge/1", "river_gauge/3"]
        post = found.sightings[1].post
        assert post.published_at is not None
        assert found.sightings[0].post.published_at is not None
        assert found.complete_since == found.sightings[0].post.published_at + SECOND
        (look,) = await source.look([post], fetch)
        assert look.observation.signal is ALIVE
        assert look.observation.counts.views == Count(1150, 1299)
        assert look.version is not None
        assert look.version.text == "Mark 3"
        assert found.sightings[1].version == look.version  # preview and widget read the same

        here.messages[3] = message(3, "Mark <b>4</b>", edited=True)
        known = replace(post, version=look.observation.version)
        (look,) = await source.look([known], fetch)
        assert look.version is not None  # an edit, and no loss
        assert look.version.text == "Mark 4"

        for number in range(4, 50):
            here.messages[number] = message(number, f"Mark {number}")
        here.asked.clear()
        found = await source.discover(account, found.cursor, fetch)
        assert len({s.post.native_id for s in found.sightings} - {"river_gauge/1"}) >= 46
        assert len(here.asked) == 3

        del here.messages[3]
        (look,) = await source.look([post], fetch)
        signal = look.observation.signal
        assert (signal.kind, set(signal.causes)) == (Kind.GONE, {Cause.UNKNOWN})
        assert (signal.strength, signal.account_level) == (Strength.WEAK, False)

        here.open = False
        found = await source.discover(account, found.cursor, fetch)
        signal = found.observation.signal
        assert (signal.kind, set(signal.causes)) == (Kind.GONE, {Cause.UNKNOWN})
        assert (signal.strength, signal.account_level) == (Strength.WEAK, True)
        assert found.sightings == ()


# -- messages --------------------------------------------------------------------------------------


def test_a_message_is_read_with_all_that_it_shows() -> None:
    more = (
        "<div class='tgme_widget_message_forwarded_from'>Forwarded from"
        " <a class='tgme_widget_message_forwarded_from_name' href='https://t.me/Other_News/555'>"
        "<span>Other</span></a></div><a class='tgme_widget_message_reply' href='https://t.me/a/1'>"
        "<div class='tgme_widget_message_text js-message_reply_text'>An older mark</div></a>"
        "<a class='tgme_widget_message_photo_wrap'"
        " style=\"width:1px;background-image:url('https://cdn4.example/a.jpg')\"></a>"
        "<video src='https://cdn4.example/b.mp4'></video>"
    )
    text = "Eleven<br>marks &amp; <i class='emoji'><b>🌊</b></i> one"
    page = ChannelPage(widget(message(7, text, views="12.3K", edited=True, more=more)).encode())
    (found,) = page.messages
    assert found.native_id == "river_gauge/7"
    assert found.text == "Eleven marks & 🌊 one"
    assert found.media == ("https://cdn4.example/a.jpg", "https://cdn4.example/b.mp4")
    assert found.views == Count(12250, 12399)
    assert found.forwarded == "other_news/555"
    assert found.edited
    assert found.published_at is not None


def test_a_text_that_the_widget_nests_is_read_once() -> None:
    inner = "<div class='tgme_widget_message_text js-message_text'>Eleven marks</div>"
    (found,) = ChannelPage(widget(message(7, inner)).encode()).messages
    assert found.text == "Eleven marks"


@pytest.mark.parametrize(
    "label",
    ["Media is too big", "Please open Telegram to view this post",
     "This media is not supported in your browser", "Something that nobody has seen yet"],
)  # fmt: skip
async def test_a_message_that_the_page_cannot_show_is_alive(label: str) -> None:
    assert await looked(widget(message(7, label=label))) is ALIVE


# -- notices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "rule", "causes", "account_level"),
    [
        (error(NOT_FOUND), "post-not-found", {Cause.UNKNOWN}, False),
        (error(POST_TERMS), "post-terms", {Cause.PLATFORM}, False),
        (error(POST_COPYRIGHT), "post-copyright", {Cause.LEGAL}, False),
        (error(TERMS), "channel-terms", {Cause.PLATFORM}, True),
        (error(PORN), "channel-terms", {Cause.PLATFORM}, True),
        (error(LAWS), "channel-local-law", {Cause.LEGAL}, True),
        (error("Channel with username <b>@river_gauge</b> not found"), "channel-not-found",
         {Cause.UNKNOWN}, True),
        (widget(message(7, label=POST_TERMS)), "post-terms", {Cause.PLATFORM}, False),
        (widget(message(7, label=POST_COPYRIGHT)), "post-copyright", {Cause.LEGAL}, False),
    ],
)  # fmt: skip
async def test_each_notice_says_what_it_leaves_open(
    page: str, rule: str, causes: set[Cause], account_level: bool
) -> None:
    signal = await looked(page)
    assert signal.rule.startswith(f"telegram/{rule}@")
    assert (signal.kind, set(signal.causes)) == (Kind.GONE, causes)
    assert signal.account_level is account_level
    assert "@" not in signal.words  # the name of a channel stays out of a notice


@pytest.mark.parametrize("words", [NOT_FOUND, POST_TERMS, TERMS, LAWS])
async def test_a_post_that_quotes_a_notice_is_alive(words: str) -> None:
    for text in (f"They now see: {words}", f"{words} {STORY}", f"«{words}»"):
        assert await looked(widget(message(7, text))) is ALIVE


@pytest.mark.parametrize("words", [POST_TERMS, TERMS, LAWS])
async def test_a_post_that_is_nothing_but_a_notice_may_be_either(words: str) -> None:
    """Telegram puts the notice in place of the text for apps; an author can write the same."""
    assert (await looked(widget(message(7, words)))).fault is Fault.UNREADABLE
    found = await read((200, preview([message(7, words)])))
    assert found.observation.signal is ALIVE
    (sighting,) = found.sightings
    assert sighting.observation is not None
    assert sighting.observation.signal.fault is Fault.UNREADABLE
    assert sighting.version is None


async def test_a_channel_of_nothing_but_one_notice_is_withheld() -> None:
    found = await read((200, preview([message(n, TERMS) for n in (7, 8, 9)])))
    signal = found.observation.signal
    assert (signal.account_level, set(signal.causes)) == (True, {Cause.PLATFORM})
    mixed = await read((200, preview([message(7, TERMS), message(8, "Mark 8")])))
    assert mixed.observation.signal is ALIVE


@pytest.mark.parametrize(
    ("page", "status", "fault"),
    [
        (widget(message(8, "Another")), 200, Fault.UNREADABLE),
        (widget(message(7, "Another", channel="Other_News")), 200, Fault.UNREADABLE),
        (error("Пост не найден"), 200, Fault.UNREADABLE),  # the other language's template
        (error("Something new"), 200, Fault.UNREADABLE),
        (small("Post not found", f"<h1>{NOT_FOUND}</h1>"), 200, Fault.UNREADABLE),
        (widget(message(7, "Mark"))[:700], 200, Fault.TRUNCATED),
        ("", 200, Fault.EMPTY),
        (small("404", "not here"), 404, Fault.UNREADABLE),
        (small("Forbidden", "no"), 403, Fault.FORBIDDEN),
        (landing(), 200, Fault.UNREADABLE),
        (small("Just a moment...", "<div id='challenge-form'></div>"), 200, Fault.UNREADABLE),
        ("<div>" * 60_000, 200, Fault.UNREADABLE),
    ],
)
async def test_anything_else_is_a_failed_look(page: str, status: int, fault: Fault) -> None:
    signal = await looked(page, status)
    assert (signal.kind, signal.fault) == (Kind.ERROR, fault)


@pytest.mark.parametrize(
    "fault", [Fault.TIMEOUT, Fault.RATE_LIMITED, Fault.SERVER, Fault.TRUNCATED]
)
async def test_a_failed_request_is_a_failed_look(fault: Fault) -> None:
    assert (await looked(fault)).fault is fault
    assert (await read((0, fault))).observation.signal.fault is fault


# -- channels --------------------------------------------------------------------------------------


def test_every_place_of_the_pack_is_one_that_is_read() -> None:
    """A rule at a place that no code reads is a notice that nobody notices."""
    places = {p for n in load_pack("telegram").notices for w in n.wordings for p in w.where}
    assert places == {"field:error", "field:label", "field:redirect"}


async def test_a_digit_in_a_name_is_no_count_of_members() -> None:
    found = await read((200, landing(extra="@river_gauge7")), "9", AWAY)
    assert said_gone(found)
    found = await read((200, landing(extra="@river_gauge7 1 204 подписчика")), "9", AWAY)
    assert found.observation.signal.fault is Fault.FORBIDDEN


def said_gone(found: Discovery) -> bool:
    return found.observation.signal.kind is Kind.GONE


AWAY = {"/s/": f"{BASE}/river_gauge"}


@pytest.mark.parametrize(
    ("page", "cursor", "fault"),
    [
        (landing(), "", Fault.UNREADABLE),  # misspelt, as far as we know
        (landing(extra="1 204 subscribers", description="Marks."), "9", Fault.FORBIDDEN),
        (landing(extra="1 204 subscribers", description=TERMS), "9", Fault.UNREADABLE),  # quoted
        (small("Hello", "<p>Another site</p>"), "9", Fault.UNREADABLE),
    ],
)
async def test_a_channel_without_a_preview_is_not_known_to_be_lost(
    page: str, cursor: str, fault: Fault
) -> None:
    found = await read((200, page), cursor, AWAY)
    assert (found.observation.signal.fault, found.sightings) == (fault, ())
    assert found.cursor == cursor


async def test_a_notice_in_place_of_the_channel_is_telegrams() -> None:
    for words, cause in ((TERMS, Cause.PLATFORM), (LAWS, Cause.LEGAL)):
        signal = (await read((200, landing(description=words)), "9", AWAY)).observation.signal
        assert (set(signal.causes), signal.account_level) == ({cause}, True)


async def test_no_posts_found_is_also_what_the_impatient_are_told() -> None:
    centred = (
        "<div class='tgme_widget_message_centered'><div class='tme_no_messages_found'>No posts"
    )
    found = await read((200, preview([centred + " found</div></div>"])), "9")
    assert (found.observation.signal.fault, found.sightings) == (Fault.EMPTY, ())
    assert found.complete_since is None


async def test_an_empty_preview_loses_nothing() -> None:
    found = await read((200, preview([])), "9")
    assert (found.observation.signal, found.sightings) == (ALIVE, ())
    assert (found.complete_since, found.cursor) == (None, "9")


async def test_a_preview_of_another_channel_discovers_nothing() -> None:
    found = await read((200, preview([message(7, "Mark", channel="Other_News")])))
    assert (found.observation.signal.fault, found.sightings) == (Fault.UNREADABLE, ())


async def test_the_description_of_a_channel_is_its_own_words() -> None:
    found = await read((200, preview([message(7, "Mark")], description=TERMS)))
    assert found.observation.signal is ALIVE


async def test_a_failed_second_page_keeps_the_first() -> None:
    pages: list[Answer] = [(200, preview([message(40, "Mark")])), (0, Fault.TIMEOUT)]
    found = await read(pages, "3")
    assert found.observation.signal is ALIVE
    assert [s.post.native_id for s in found.sightings] == ["river_gauge/40"]


@given(st.text(max_size=200))
def test_a_page_of_any_text_is_read_or_not_but_never_breaks(text: str) -> None:
    page = ChannelPage(widget(message(7, text.replace("<", ""))).encode("utf-8", "replace"))
    assert [m.number for m in page.messages] == [7]
    assert ChannelPage(text.encode("utf-8", "replace")).messages == ()
