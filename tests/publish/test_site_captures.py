"""Captures leave with a site only under a rule that names their account; nothing in them runs."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import feedparser
import pytest

from tests.publish import site_world
from tests.publish.desk_world import START
from vanished.archive.capture import Subject
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry, Evidence
from vanished.archive.settings import FILE
from vanished.archive.verify import verify
from vanished.archive.wacz import open_wacz
from vanished.errors import ConfigError
from vanished.net.exchange import Exchange, Leg
from vanished.publish.site.building import Built, build_site
from vanished.publish.site.ledger import LEDGER
from vanished.publish.site.manifest import MANIFEST, check_site
from vanished.publish.takedowns import ask
from vanished.publish.tongues import NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

POSTS: Final = 2 * site_world.BLOCK  # of which some are the named account's and may leave
NOW: Final = 1_770_000_000_000_000
NAME: Final = "site"
SMALL: Final = 60_000  # bytes of a file of captures
BODY: Final = 12_000  # random bytes in each capture, so that gzip does not make it smaller
WIDTHS: Final = (360, 1440)
OWNER: Final = 0  # the account that a rule names
RULE: Final = """
[[publish.words]]
platforms = ["page"]
accounts = ["{key}"]
ground = "consent"
decided_by = "the test"
decided_at = 2026-11-01
captures = true
"""
HOSTILE: Final = """<!doctype html><html><head><meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=https://away.example/refresh">
<link rel="stylesheet" href="https://away.example/a.css"><base href="https://away.example/">
<style>body {{ background: url(https://away.example/style.png) }}</style>
<script>parent.__hit = 1; document.title = "run"; fetch("https://away.example/f")</script></head>
<body onload="parent.__hit=2"><h1>雨后的菜市场 {native}</h1>
<img src="https://away.example/pixel.png" onerror="parent.__hit=3">
<svg onload="parent.__hit=4"><script>parent.__hit=5</script></svg>
<iframe src="https://away.example/frame"></iframe><a href="https://away.example/link">weg</a>
<form action="https://away.example/form"><button>x</button></form>
<p hidden>{filling}</p></body></html>"""


def key_of(observatory: Observatory, number: int) -> str:
    return str(observatory.naming(site_world.PLATFORM, site_world.post_id(number)))


def capture(folder: Path, shows: list[tuple[int, ...]]) -> None:
    """Captures, each of which shows the posts of these numbers; signed by the log."""
    with Observatory.open(folder, write=True) as observatory:
        entry = Entry()
        for number, *others in shows:
            index = observatory.next_leaf()
            now = START + index * 1_000_000
            native = site_world.post_id(number)
            filling = random.Random(number).randbytes(BODY // 2).hex()
            body = HOSTILE.format(native=native, filling=filling).encode()
            leg = Leg(
                "GET", f"http://t/{native}", (), b"", now, now + 9, 200, "OK",
                (("Content-Type", "text/html; charset=utf-8"),), body,
            )  # fmt: skip
            exchange = Exchange(f"http://t/{native}", now, now + 9, 200, legs=(leg,))
            subjects = tuple(
                Subject(key_of(observatory, one), "first", now) for one in (number, *others)
            )
            entry.evidence.append(
                Evidence(index, now, "here", subjects, {"native_id": native}, (exchange,))
            )
        observatory.commit(entry, START)


def allowed(numbers: range) -> list[int]:
    """The posts of the named account whose captures may leave: by platform or by law."""
    return [
        n for n in numbers
        if n % site_world.ACCOUNTS == OWNER and "network" not in site_world.causes_of(n)
        and not site_world.by_author(n)
    ]  # fmt: skip


class Made:
    """An observatory, the site of it, and which leaf is of which post."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder, self.site = folder, site

    def build(self, turn: int = 0, limit: int = SMALL) -> Built:
        return build_site(self.folder, NAME, self.site, NOW + turn * 10**9, shard_bytes=limit)

    def losses(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.site / LEDGER).read_bytes().splitlines()]

    def shards(self) -> list[Path]:
        return sorted(self.site.glob("captures/*"))

    def shown(self) -> set[str]:
        """The native ids that the captures of the site tell of."""
        found = set()
        for path in self.shards():
            with open_wacz(path) as wacz:
                found |= {wacz_url(line) for line in wacz.read("pages/pages.jsonl").splitlines()}
        return found - {""}


def wacz_url(line: bytes) -> str:
    return str(json.loads(line).get("url", "")).rpartition("/")[2]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("captures")
        patch.setenv("VANISHED_KEY", "ab" * 32)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        site_world.make(folder / "o", POSTS)
        capture(folder / "o", [(n,) for n in range(POSTS) if n % site_world.ACCOUNTS < 2])
        capture(folder / "o", [(0, 1)])  # shows somebody else, too
        with Observatory.open(folder / "o") as observatory:
            key = observatory.naming(site_world.PLATFORM, site_world.account_id(OWNER))
        made = Made(folder / "o", folder / "site")
        (folder / "rule").write_text(RULE.format(key=key))
        with (folder / "o" / FILE).open("a") as file:
            file.write(RULE.format(key=key))
        made.build()
        yield made


@pytest.fixture
def made(first: Made, tmp_path: Path) -> Made:
    """A copy of both, to go on with."""
    shutil.copytree(first.folder, tmp_path / "o")
    shutil.copytree(first.site, tmp_path / "site")
    return Made(tmp_path / "o", tmp_path / "site")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('accounts = []\nplatforms = ["page"]\nground = "consent"', "must name accounts"),
        ('accounts = ["c2f4m7q3x6w5b7na"]', "ground must be one of"),
        ('accounts = ["c2f4m7q3x6w5b7na"]\nground = "consent"\ncaptures = "yes"', "true or false"),
    ],
)
def test_a_rule_for_captures_names_accounts_and_ground(
    tmp_path: Path, lines: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole platform never agreed to be shown."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    site_world.make(tmp_path / "o", 1, words=False)
    more = "" if "captures" in lines else "captures = true\n"
    rule = f'\n[[publish.words]]\ndecided_by = "x"\ndecided_at = 2026-11-01\n{more}{lines}\n'
    with (tmp_path / "o" / FILE).open("a") as file:
        file.write(rule)
    with pytest.raises(ConfigError, match=says):
        build_site(tmp_path / "o", NAME, tmp_path / "site", NOW)


def test_only_the_named_accounts_captures_leave(first: Made) -> None:
    """None of another account, of what an author took down, or that shows somebody else."""
    wanted = allowed(range(POSTS))
    assert len(wanted) > 5
    assert first.shown() == {site_world.post_id(n) for n in wanted}
    with_file = [loss for loss in first.losses() if "captures" in loss]
    assert len(with_file) == len(wanted)
    leaves = 0
    for path in first.shards():
        with open_wacz(path) as wacz:
            leaves += len(list(wacz.receipts()))
    assert leaves == len(wanted)


def test_files_are_bounded_and_prove_themselves(first: Made) -> None:
    shards = first.shards()
    assert len(shards) > 2
    for path in shards:
        assert path.stat().st_size <= SMALL
        assert verify(path).sound
    listed = {one["path"] for one in json.loads((first.site / MANIFEST).read_text())["files"]}
    assert {f"captures/{path.name}" for path in shards} <= listed
    assert check_site(first.site, None)["files"] == len(listed)


def test_without_the_rule_not_a_byte_leaves(made: Made) -> None:
    """The rule taken back: no file, no page, no enclosure."""
    text = (made.folder / FILE).read_text()
    (made.folder / FILE).write_text(text.replace("captures = true", ""))
    made.build(1)
    assert made.shards() == []
    assert not list(made.site.rglob("replay*"))
    for path in [
        *made.site.rglob("*.atom"),
        *made.site.rglob("*.json*"),
        *made.site.rglob("*.html"),
    ]:
        content = path.read_text("utf-8")
        assert "wacz" not in content.lower().replace("wacz_", ""), path
        assert "enclosure" not in content, path


def test_each_loss_has_its_file_on_its_page_and_in_every_feed(first: Made) -> None:
    with_file = {loss["post"]: loss["captures"] for loss in first.losses() if "captures" in loss}
    enclosed = 0
    for feed in sorted(first.site.rglob("*.atom")):
        told = json.loads(feed.with_suffix(".json").read_bytes())["items"]
        for entry, item in zip(feedparser.parse(feed.read_bytes()).entries, told, strict=True):
            file = with_file.get(entry.link.partition("#")[2])
            assert [one.type for one in entry.enclosures] == ["application/wacz"] * bool(file)
            assert len(item.get("attachments", [])) == bool(file)
            if file:
                path = (feed.parent / entry.enclosures[0].href).resolve()
                assert path == (first.site / file).resolve()
                size = path.stat().st_size
                assert int(entry.enclosures[0].length) == size
                assert item["attachments"][0]["size_in_bytes"] == size
                enclosed += 1
    assert enclosed > len(with_file)
    for tag in NAMES:
        pages = "".join(p.read_text("utf-8") for p in (first.site / tag / "loss").iterdir())
        assert pages.count("replay.html?shard=captures/") == len(with_file)


def test_what_is_new_is_added_and_full_files_stay(made: Made) -> None:
    before = {path.name: path.read_bytes() for path in made.shards()}
    end = POSTS + site_world.BLOCK
    site_world.add(made.folder, range(POSTS, end))
    capture(made.folder, [(n,) for n in range(POSTS, end) if n % site_world.ACCOUNTS < 2])
    made.build(1)
    after = {path.name: path.read_bytes() for path in made.shards()}
    assert len(after) > len(before)
    full = sorted(before)[:-1]
    assert {name: after[name] for name in full} == {name: before[name] for name in full}
    assert made.shown() == {site_world.post_id(n) for n in allowed(range(end))}
    assert all(path.stat().st_size <= SMALL and verify(path).sound for path in made.shards())
    assert not made.build(2).changed


def test_a_takedown_takes_its_captures_out_of_the_next_build(made: Made) -> None:
    """Whoever asks must not be answered by a file that still names them."""
    with Observatory.open(made.folder) as observatory:
        number = allowed(range(POSTS))[0]
        key = key_of(observatory, number)
    native = site_world.post_id(number)
    assert native in made.shown()
    ask(made.folder, key, "asked", NOW)
    made.build(1)
    assert native not in made.shown()
    assert made.shown()
    assert all(verify(path).sound for path in made.shards())


def test_a_rule_that_comes_later_takes_no_loss_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words of one account are told later than its crowd's; the crowd is the same one."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Made(tmp_path / "o", tmp_path / "site")
    site_world.make(made.folder, site_world.BLOCK, words=False)
    made.build()
    before = [loss["post"] for loss in made.losses()]
    with Observatory.open(made.folder) as observatory:
        key = observatory.naming(site_world.PLATFORM, site_world.account_id(OWNER))
    with (made.folder / FILE).open("a") as file:
        file.write(RULE.format(key=key))
    capture(made.folder, [(n,) for n in allowed(range(site_world.BLOCK))])
    for turn in (1, 2):
        made.build(turn)
        assert [loss["post"] for loss in made.losses()] == before
        assert made.shown() == {site_world.post_id(n) for n in allowed(range(site_world.BLOCK))}


def test_captures_that_fit_no_file_are_told_of(made: Made) -> None:
    built = made.build(1, limit=9_000)
    assert made.shards() == []
    assert any("are in no file" in remark for remark in built.remarks)


def test_the_words_of_a_capture_are_shown_and_nothing_of_it_runs(
    first: Made, browser: Browser
) -> None:
    """From a file, with no request to anybody; hidden traps of the page are taken out."""
    from axe_playwright_python.sync_playwright import Axe

    asked: list[str] = []
    stopped: list[tuple[str, str | None]] = []
    wrong: list[str] = []
    for tag in NAMES:
        page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("requestfailed", lambda request: stopped.append((request.url, request.failure)))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        choose(page, first, tag, first.shards()[0])
        page.click("#rows button")
        page.wait_for_selector("#one:not([hidden])")
        frame = page.frame_locator("#shown")
        assert "雨后的菜市场" in frame.locator("h1").inner_text()
        assert frame.locator("a").get_attribute("href") is None  # leads nowhere
        page.wait_for_timeout(100)
        assert page.evaluate("window.__hit === undefined")
        assert page.locator("#shown").get_attribute("sandbox") == ""
        shown = page.eval_on_selector("#shown", "frame => frame.srcdoc")
        for trap in ("script", 'http-equiv="refresh', "onload", "onerror", "away.example/link"):
            assert trap not in shown
        assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in shown
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            options = {"resultTypes": ["violations"], "preload": False, "iframes": False}
            checked = Axe().run(page, options=options)
            assert not checked.response["violations"], (tag, checked.generate_report())
        page.close()
    assert not wrong
    # The browser tells also of what the frame's policy stopped before it was sent.
    elsewhere = [
        url for url in asked if not url.startswith((f"file://{first.site}/", "data:", "about:"))
    ]
    assert set(elsewhere) <= {"https://away.example/style.png"}
    assert Counter((url, "csp") for url in elsewhere) <= Counter(stopped)


def choose(page: Page, made: Made, tag: str, file: Path) -> None:
    from playwright.sync_api import expect

    page.goto(f"file://{made.site}/{tag}/replay.html")
    page.set_input_files("#file", file)
    # Its policy forbids evaluating text, so Playwright looks at what stands there.
    expect(page.locator("#said")).not_to_have_text(re.compile(r"^$|…\s*$"))


@pytest.mark.parametrize("how", ["empty", "cut", "other", "broken"])
def test_a_bad_file_gets_a_sentence(
    first: Made, browser: Browser, tmp_path: Path, how: str
) -> None:
    whole = first.shards()[0].read_bytes()
    content = {
        "empty": b"", "cut": whole[: len(whole) // 2], "other": b"PK\x05\x06" + bytes(18),
        "broken": whole.replace(b"PK\x03\x04", b"PK\x03\x05"),
    }[how]  # fmt: skip
    (tmp_path / "a.wacz").write_bytes(content)
    page = browser.new_page()
    choose(page, first, "en", tmp_path / "a.wacz")
    assert "no file of captures that can be read" in page.inner_text("#said")
    assert not page.is_visible("#answers")
    page.close()
