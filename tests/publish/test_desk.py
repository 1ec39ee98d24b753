"""The dashboard in a real browser: it works, asks nobody, runs no stranger's script."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from babel.messages.pofile import read_po

from tests.publish import desk_world
from tests.publish.catalogues import PUBLISH, messages
from vanished.explain import charts
from vanished.publish.chart_words import in_words_of
from vanished.publish.drawing import svg
from vanished.publish.templates import environment
from vanished.publish.tongues import NAMES, Tongue, chosen

if TYPE_CHECKING:
    from playwright.sync_api import Browser

READY_S = 60
WIDTHS = (360, 1440)
RUN_AXE = """axe.run({resultTypes: ['violations'],
    rules: {'color-contrast': {enabled: %s}}}).then(found => found.violations.map(one =>
    [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html)]))"""
PAGES = (
    "/", "/losses?q=%E8%8F%9C%E5%B8%82&state=any&cause=platform",
    "/losses?sort=-views&state=any&confidence=high&script=arabic",
    "/accounts", "/operate", "/about", "/findings", "/terms", "/stories", "/campaigns", "/events",
    "/reach", "/go-arounds", "/speed", "/spread", "/who",
    "/combinations", f"/story/{desk_world.STORY}", "/review?queue=everything",
    "/nowhere", "/losses?cause=spite",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard over the hostile observatory, as a user starts it."""
    folder = tmp_path_factory.mktemp("desk") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(folder)
        desk_world.plant(folder)
        code = "from vanished.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "-o", str(folder), "--port", "0",
             "--findings-every", "0"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("http://")
            yield line.strip().rstrip("/")
        finally:
            process.terminate()


def get(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (small letters) and body."""
    try:
        with urlopen(Request(address + path, headers=headers), timeout=READY_S) as answer:
            found = {k.lower(): v for k, v in answer.headers.items()}
            return answer.status, found, answer.read()
    except HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.fixture(scope="module")
def losses(address: str) -> list[dict[str, Any]]:
    found = json.loads(get(address, "/losses.json?state=any")[2])
    assert found["total"] == len(found["losses"]) == desk_world.POSTS
    return list(found["losses"])


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's program; it runs in our hands, past the policy that stops every script."""
    import axe_playwright_python

    place = Path(axe_playwright_python.__path__[0])
    return next(iter(place.rglob("axe.min.js"))).read_text("utf-8")


def items(losses: list[dict[str, Any]]) -> list[str]:
    """Pages of losses: every cause and state once, and an account."""
    kinds = {(tuple(row["causes"]), row["state"]): row["post"] for row in losses}
    return [f"/losses/{post}" for post in kinds.values()] + [f"/accounts/{losses[0]['account']}"]


@pytest.mark.parametrize("tag", NAMES)
def test_every_page_works_and_reads_to_all(
    address: str, losses: list[dict[str, Any]], browser: Browser, axe: str, tag: str
) -> None:
    """No error on the console, no request to anywhere else, nothing that axe-core finds.

    Each page is loaded once and looked at in both widths. Colours do not hang on either width or
    language: their contrast, which takes longest, is looked at in one of each.
    """
    context = browser.new_context()
    context.add_cookies([{"name": "lang", "value": tag, "url": address}])
    page = context.new_page()
    wrong: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: elsewhere.append(asked.url))
    for path in (*PAGES, *items(losses)[:2], items(losses)[-1]):
        status = path in ("/nowhere", "/losses?cause=spite")
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        answer = page.goto(address + path)
        assert answer is not None
        assert answer.ok is not status, path
        assert page.evaluate("document.documentElement.lang") == tag
        page.evaluate(axe)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} wide"
            contrast = str(tag == "en" and width == WIDTHS[0]).lower()
            assert not page.evaluate(RUN_AXE % contrast), (path, width)
        if status:
            wrong = [line for line in wrong if "status of 4" not in line]
    assert not wrong
    assert not [url for url in elsewhere if not url.startswith((address, "data:"))]
    context.close()


def test_no_words_of_strangers_are_run(
    address: str, losses: list[dict[str, Any]], browser: Browser
) -> None:
    """Hostile titles, texts and notices stay words, on lists and on each one's own page."""
    context = browser.new_context()
    page = context.new_page()
    hits: list[str] = []
    page.on("dialog", lambda said: hits.append(said.message))
    hostile = [row["post"] for row in losses][-len(desk_world.HOSTILE) - 6 :]
    found = ("/terms", "/stories", "/campaigns", "/events", "/reach", "/go-arounds", "/who",
             f"/story/{desk_world.STORY}", "/review?queue=everything",
             "/findings/terms.svg")  # fmt: skip
    lists = ["/", "/losses?state=any&sort=at", *found]
    paths = [*lists, *(f"/losses/{post}" for post in hostile)]
    for path in paths:
        page.goto(address + path)
        page.mouse.move(200, 300)
        assert page.evaluate("window.__hit === undefined"), path
        assert page.evaluate("document.querySelectorAll('main script, main iframe').length") == 0
        assert page.evaluate("document.querySelectorAll('[onerror], [onload]').length") == 0
    assert not hits
    context.close()


def test_hostile_words_are_shown_as_they_are(address: str) -> None:
    """Escaped, and no template ran in them."""
    text = get(address, "/losses?state=any&sort=at")[2].decode()
    assert "{{ 7*7 }}" in text
    assert "&lt;script&gt;window.__hit=1" in text


def test_every_answer_forbids_what_no_page_needs(address: str) -> None:
    for path in (
        "/",
        "/losses",
        "/static/style.css",
        "/charts/daily.svg",
        "/nowhere",
        "/losses.csv",
    ):
        headers = get(address, path)[1]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_another_name_gets_no_answer(address: str) -> None:
    """Or a page elsewhere could read the dashboard by a name that it lets point here."""
    assert get(address, "/", Host="evil.example")[0] == 400


def test_a_table_for_spreadsheets_holds_no_formula(address: str) -> None:
    status, headers, body = get(address, "/losses.csv?state=any")
    assert status == 200
    assert "attachment" in headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(body.decode())))
    assert len(rows) == desk_world.POSTS + 1
    assert not [c for row in rows for c in row if c.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_words_that_may_be_taken_back_stay_here(address: str, losses: list[dict[str, Any]]) -> None:
    """Neither on a list, nor on an item's page, nor in an export."""
    mine = [row for row in losses if "author" in row["causes"]]
    assert mine
    assert all(row["withheld"] and row["text"] is None for row in mine)
    page = get(address, f"/losses/{mine[0]['post']}")[2].decode()
    assert "Withheld: its author may have taken it down" in page
    for number in range(desk_world.POSTS):
        causes = desk_world.CAUSES[number % len(desk_world.CAUSES)]
        if "author" in {c.value for c in causes} and number >= len(desk_world.HOSTILE):
            assert desk_world.text_of(number) not in page


def test_pages_are_light(address: str, losses: list[dict[str, Any]]) -> None:
    """At most 100 KB without pictures, on a slow line behind a wall."""
    style = len(get(address, "/static/style.css")[2])
    for path in (*PAGES, *items(losses)):
        assert len(get(address, path)[2]) + style <= 100_000, path


def test_charts_have_a_table_and_csv(address: str) -> None:
    for name in ("daily", "delays", "coverage"):
        assert get(address, f"/charts/{name}.svg")[2].startswith(b"<svg")
        assert get(address, f"/charts/{name}.csv")[2].count(b"\r\n") > 5
    assert get(address, "/charts/other.svg")[0] == 404


def test_findings_have_a_table_and_their_method(address: str) -> None:
    """A chart without its numbers and what they rest on is worth nothing to a researcher."""
    for name in desk_world.FOUND[1:9]:
        assert get(address, f"/findings/{name}.svg")[2].startswith(b"<svg")
        status, headers, body = get(address, f"/findings/{name}.csv")
        assert status == 200
        assert "attachment" in headers["content-disposition"]
        cells = [c for row in csv.reader(io.StringIO(body.decode("utf-8-sig"))) for c in row]
        assert not [c for c in cells if c.startswith(("=", "+", "-", "@", "\t"))]
    assert "<code>t/1</code>" in get(address, "/terms")[2].decode()
    assert get(address, "/findings/none.svg")[0] == 404
    assert get(address, "/findings/..%2f..%2fabout.csv")[0] == 404


def test_a_story_leads_to_its_losses(address: str, losses: list[dict[str, Any]]) -> None:
    """From an item to its story and from there to the others that tell it."""
    post = next(row["post"] for row in losses if not row["withheld"])
    assert f"/story/{desk_world.STORY}" in get(address, f"/losses/{post}")[2].decode()
    text = get(address, f"/story/{desk_world.STORY}")[2].decode()
    assert f"/losses/{losses[0]['post']}" in text
    for row in losses:
        if row["withheld"]:
            assert "withheld: its author may have taken it down" in text
    assert get(address, "/story/unknown")[0] == 404


def test_the_spread_is_drawn_with_the_threshold(address: str, losses: list[dict[str, Any]]) -> None:
    post = next(row["post"] for row in losses if row["views"])
    svg = get(address, f"/losses/{post}/spread.svg?lang=zh-Hans")[2].decode()
    assert svg.startswith("<svg")
    assert "转发 500 次或浏览 5,000 次" in svg
    assert "stroke-dasharray" in svg
    rows = list(csv.reader(io.StringIO(get(address, f"/losses/{post}/spread.csv")[2].decode())))
    assert len(rows) == 4
    assert rows[1][3] == "0"


def test_a_language_is_remembered_and_leads_nowhere_else(address: str, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address + "/losses?cause=platform")
    with page.expect_navigation(wait_until="load"):
        page.click("text=简体中文")
    assert page.url.endswith("/losses?cause=platform")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.goto(address + "/language/en?to=//evil.example/")
    assert page.url == address + "/"
    context.close()


def test_it_works_without_scripts_by_keyboard(address: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "/losses?state=any")
    page.fill("#f-q", "菜市")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=*")
    assert "菜市" in page.inner_text("table")
    context.close()


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [("zh-TW,en;q=0.8", "zh-Hant"), ("zh-CN", "zh-Hans"), ("de, zh-HK;q=0.5", "zh-Hant"),
     ("fr", "en"), ("en;q=0.1, zh;q=0.9", "zh-Hans"), ("x;q=y", "en")],
)  # fmt: skip
def test_the_language_that_a_browser_wants(accepted: str, tag: str) -> None:
    assert chosen(accepted) == tag


@pytest.mark.parametrize("tag", [t for t in NAMES if t != "en"])
def test_every_word_is_translated(tag: str) -> None:
    """With the same places for numbers; or a page would mix languages, or fail to show."""
    with (PUBLISH / f"locale/{tag.replace('-', '_')}.po").open("rb") as file:
        catalogue = read_po(file)
    places = re.compile(r"%\(\w+\)s|\{\w+\}")
    for message, plural in messages().items():
        found = catalogue.get(message)
        assert found is not None, message
        text = found.string if isinstance(found.string, str) else next(iter(found.string or [""]))
        assert text, message
        wanted = set(places.findall(plural or message))
        assert set(places.findall(text)) in (wanted, wanted | {"%(num)s"}), message
    ids = [message.id for message in catalogue]
    known = {given if isinstance(given, str) else given[0] for given in ids}
    assert known - {""} <= messages().keys()


@pytest.mark.parametrize(("kind", "says"), [
    ("accounts", "3 of 6 accounts lost"),
    ("rate", "3 posts of 5 accounts removed"),
    ("words", "3 of 6 posts with these words removed"),
])  # fmt: skip
def test_a_campaign_says_of_what_its_numbers_are(kind: str, says: str) -> None:
    """Accounts are no posts; or the front page would say another thing than the finding."""
    row = {"kind": kind, "begin": 0, "end": desk_world.START, "targets": [], "removed": 3,
           "posts": 6, "accounts": 5}  # fmt: skip
    source = (PUBLISH / "desk/templates/home.html").read_text("utf-8")
    part = source[source.index("{% if live %}") : source.index("{% if gaps %}")]
    part = part[: part.rindex("</section>")]
    text = environment("en", "vanished.publish.desk").from_string(part).render(
        live=[row], t=Tongue("en")
    )  # fmt: skip
    assert says in text
    assert "2023-11-15 00:00" in text


@pytest.mark.parametrize(("tag", "says"), [("en", "5 Mar"), ("zh-Hans", "3月5日")])
def test_days_on_an_axis_are_written_as_readers_write_them(tag: str, says: str) -> None:
    """Short, so that they do not lie on each other; not "三月 05, 2025"."""
    when = 1_741_132_800_000  # 2025-03-05, in milliseconds
    points = [{"t": when + day * 86_400_000, "n": day} for day in range(30)]
    x = charts.channel("t", None, "temporal")
    dots = {"mark": "point", "encoding": {"x": x, "y": charts.channel("n", None)}}
    drawn = svg(in_words_of(tag, charts.chart("x", "x", points[:4], [dots])), tag)
    assert f">{says}<" in drawn
    month = svg(in_words_of(tag, charts.chart("x", "x", points, [dots])), tag)
    labels = re.findall(r">(\d+月\d+日|\d+ [A-Z][a-z]{2})<", month)
    assert 3 <= len(labels) <= 9
