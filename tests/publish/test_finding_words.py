"""Who reads Chinese is told what was found in Chinese: every sentence, axis and word in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tests.publish import desk_world, found_world
from tests.publish.asgi import Client
from tests.publish.catalogues import PUBLISH
from tests.publish.finding_templates import spoken
from vanished.explain.calendar import builtin, builtin_text, parse_calendar
from vanished.explain.thresholds import known
from vanished.publish.chart_words import in_words_of
from vanished.publish.desk.app import make_app
from vanished.publish.desk.finder import FinderSettings
from vanished.publish.desk.found_pages import NAMES as ANALYSES
from vanished.publish.desk.links import PLACES
from vanished.publish.desk.state import Desk, DeskSettings
from vanished.publish.sentences import told
from vanished.publish.shelf import fill
from vanished.publish.templates import environment
from vanished.publish.tongues import Tongue

CHINESE = ("zh-Hans", "zh-Hant")
ENGLISH = re.compile(r"[A-Za-z]{2,}[ ,;:]+[a-z]{2,}|\b[a-z]{4,}\b")
"""Two English words beside each other, or one that is no unit and no abbreviation."""
SIGNS = re.compile(
    r"(?:https?://)?[a-z]+\.example/?|vanished [a-z]+|docs/\S+|\b(?:sni|reset|lang)\b"
)
"""Addresses, commands, files, identifiers of protocols: the same in every language."""


def said(tag: str) -> dict[str, str]:
    """The catalogue of findings."""
    place = PUBLISH / f"locale/findings.{tag.replace('-', '_')}.po"
    with place.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id}


@pytest.mark.parametrize("tag", CHINESE)
def test_every_sentence_of_the_analyses_is_in_the_catalogue(tag: str) -> None:
    """A sentence that is written anew is missed here, not by a reader; a number is never lost."""
    held = said(tag)
    assert not spoken() - set(held)
    calendars = [parse_calendar(builtin_text(name), name) for name in builtin()]
    named = {event.name for calendar in calendars for event in calendar.events}
    assert not (named | {line.name for line in known().values()}) - set(held)
    for english, chinese in held.items():
        assert chinese, english
        places = set(re.findall(r"\{\d+\}", english))
        assert set(re.findall(r"\{\d+\}", chinese.replace("!}", "}"))) == places, english


def english(text: str) -> list[str]:
    """What is left in English."""
    for given in found_world.OF_OTHERS:
        text = text.replace(given, "")
    return ENGLISH.findall(SIGNS.sub("", text))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("found") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(folder)
        fill(folder)
        found_world.keep(folder)
        made = Desk(folder, DeskSettings(finding=FinderSettings(every_s=0.0)))
        made.renew()
        yield Client(make_app(made, ["desk"]), "desk:80")
        made.stop()


def words_of(page: str) -> str:
    """What a reader reads of the page's middle, without identifiers and settings."""
    main = page.partition('<main id="main">')[2].partition("</main>")[0]
    main = re.sub(r"<details>.*?</details>|<code>.*?</code>", " ", main, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "\n", main))


@pytest.mark.parametrize("tag", CHINESE)
@pytest.mark.parametrize("name", [*ANALYSES, "findings"])
def test_a_page_of_a_finding_has_no_english_left(desk: Client, name: str, tag: str) -> None:
    page = desk.get(f"/{PLACES.get(name, name)}?lang={tag}")
    assert page.status == 200
    assert english(words_of(page.text)) == []
    assert 'lang="en"' not in page.text.replace('lang="en" hreflang', "")


@pytest.mark.parametrize("tag", CHINESE)
def test_charts_are_drawn_in_each_language(desk: Client, tag: str) -> None:
    for name in ANALYSES:
        drawn = desk.get(f"/findings/{name}.svg?lang={tag}").text
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
        assert any(re.search("[一-龥]", text) for text in texts), name
        assert english("\n".join(unescape(text) for text in texts)) == [], name
    assert "Removals over time" in desk.get("/findings/campaigns.svg?lang=en").text


def test_why_nothing_was_found_is_said_in_chinese(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(tmp_path / "o")
        fill(tmp_path / "o")
        found_world.keep(tmp_path / "o", sealed=True)
        made = Desk(tmp_path / "o", DeskSettings(finding=FinderSettings(every_s=0.0)))
        made.renew()
        client = Client(make_app(made, ["desk"]), "desk:80")
        made.finder.trouble = "A run ended with 3."
        for path in ("/terms", "/findings"):
            page = client.get(f"{path}?lang=zh-Hans").text
            assert "帖文的文字在本机上已封存" in page
            assert "一次运行以 3 结束。" in page
            assert english(words_of(page)) == []
        assert "一次运行以 3 结束。" in client.get("/operate?lang=zh-Hans").text
        made.stop()


def test_a_sentence_that_is_not_known_is_marked_as_english() -> None:
    """A screen reader must not read English as Chinese, nor a reader think it was translated."""
    room = environment("zh-Hans", "vanished.publish.desk")
    source, _, _ = room.loader.get_source(room, "base.html")  # type: ignore[union-attr]
    macro = re.search(r"{% macro sentence.*?{%-? endmacro %}", source, re.DOTALL)
    assert macro
    page = room.from_string(macro[0] + "{{ sentence(says) }}")
    said = [page.render(t=Tongue("zh-Hans"), says=one).strip() for one in ("gone", "Not so soon.")]
    assert said == ["<span>已消失</span>", '<span lang="en">Not so soon.</span>']


def test_what_others_wrote_is_never_translated() -> None:
    """A post's word "removed" stays that word, beside a sentence of ours that holds it."""
    line = "removed: 3 of 5 posts by 4 accounts removed, 1.0 expected; written in 2 ways."
    assert (
        told("zh-Hans", line)
        == "removed：4 个账号的 5 篇帖文中有 3 篇被删除，预期 1.0 篇；有 2 种写法。"
    )
    form = "losses (split: 1 of 2 posts removed)"
    assert told("zh-Hans", form) == "losses（拆开书写：2 篇中删除 1 篇）"


def test_two_values_beside_each_other_are_told_apart() -> None:
    """An interval is there or not; the number before it is the same."""
    assert told("zh-Hans", "4 of 7 posts were lost (57.1%).") == "7 篇帖文中有 4 篇消失（57.1%）。"
    with_interval = "4 of 7 posts were lost (57.1%; 95 % interval 20.0% to 80.0%)."
    assert told("zh-Hans", with_interval).endswith("（57.1%；95 % 区间 20.0% 至 80.0%）。")


def test_open_is_a_cause_in_one_place_and_a_way_through_in_another() -> None:
    rows = [{"what": "open", "state": "open", "term": "open"}]
    meant = in_words_of("zh-Hans", {"data": {"values": rows}})
    assert meant["data"]["values"] == [{"what": "原因未定", "state": "畅通", "term": "open"}]
