"""The static site: it opens from a file, asks nobody, runs no stranger's script, goes on."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import feedparser
import pytest

from tests.publish import site_world
from tests.publish.desk_world import HOSTILE
from tests.publish.planted import hashes
from tests.publish.test_planted import found_in, pieces
from vanished.archive.log import parse_note
from vanished.archive.observatory import Observatory
from vanished.archive.pseudonyms import for_release
from vanished.archive.rulings import PUBLISHED, rulings
from vanished.errors import EvidenceError, StorageError, UsageError
from vanished.publish.site.building import Built, build_site
from vanished.publish.site.ledger import LEDGER
from vanished.publish.site.manifest import MANIFEST, SIGNATURE, check_site
from vanished.publish.takedowns import ask
from vanished.publish.tongues import NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

POSTS = 5 * site_world.BLOCK
NOW = 1_770_000_000_000_000
NAME = "site"
Fact = dict[str, Any]


@dataclass
class Made:
    """An observatory and the site of it."""

    folder: Path
    site: Path
    built: Built

    def losses(self) -> list[Fact]:
        return losses_of(self.site)


def losses_of(site: Path) -> list[Fact]:
    return [json.loads(line) for line in (site / LEDGER).read_bytes().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("site")
        patch.setenv("VANISHED_KEY", "ab" * 32)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        site_world.make(folder / "o", POSTS)
        built = build_site(folder / "o", NAME, folder / "site", NOW)
        yield Made(folder / "o", folder / "site", built)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    """A copy of both, to go on with."""
    shutil.copytree(made.folder, tmp_path / "o")
    shutil.copytree(made.site, tmp_path / "site")
    return Made(tmp_path / "o", tmp_path / "site", made.built)


WIDTHS = (360, 1440)


def pages_of(tag: str) -> tuple[str, ...]:
    """One page of each kind."""
    return (
        f"{tag}/index.html", f"{tag}/search.html", f"{tag}/lists.html", f"{tag}/about.html",
        f"{tag}/list/all.html", f"{tag}/list/all-000000.html", f"{tag}/list/cause-legal.html",
        f"{tag}/loss/000000.html", "index.html",
    )  # fmt: skip


@pytest.mark.parametrize("tag", NAMES)
def test_every_page_opens_from_a_file_and_reads_to_all(
    made: Made, browser: Browser, tag: str
) -> None:
    """No error on the console, no request to anywhere but the folder, nothing for axe-core.

    Each page is loaded once and looked at in both widths; the contrast of colours, which hangs on
    neither width nor language, in one of each.
    """
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context()
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for path in pages_of(tag):
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        page.goto(f"file://{made.site}/{path}")
        style = page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth")
        assert style != "none", f"{path} has no style"
        broken = page.evaluate("[...document.images].filter(i => i.complete && !i.width).length")
        assert not broken, path
        if path != "index.html":
            assert page.evaluate("document.documentElement.lang") == tag
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            contrast = tag == "en" and width == WIDTHS[0]
            rules = {"color-contrast": {"enabled": contrast}}
            options = {"resultTypes": ["violations"], "preload": False, "rules": rules}
            checked = Axe().run(page, options=options)
            assert not checked.response["violations"], (path, width, checked.generate_report())
    assert not wrong
    assert len(asked) > len(pages_of(tag))
    assert not [url for url in asked if not url.startswith((f"file://{made.site}/", "data:"))]
    context.close()


def opened(browser: Browser, made: Made, tag: str = "zh-Hans") -> Page:
    page = browser.new_page()
    page.goto(f"file://{made.site}/{tag}/search.html")
    return page


def search(page: Page, words: str) -> list[str]:
    """The losses that are shown for these words: their addresses."""
    page.fill("#q", words)
    page.keyboard.press("Enter")
    ended = "#found[aria-busy=false]"
    page.wait_for_selector(ended, state="attached")
    while page.is_visible("#more"):
        page.click("#more")
        page.wait_for_selector(ended, state="attached")
    found = page.eval_on_selector_all("#found a", "all => all.map(one => one.href)")
    return list(found)


@pytest.mark.parametrize(
    "words", ["菜市", "菜市场", "圖書", "图书馆", "lamp riv", "公交改 夜班", "١٢"]
)
def test_the_search_finds_what_the_words_hold(made: Made, browser: Browser, words: str) -> None:
    """All of it and nothing else, in either script, from two characters on, with no server."""
    page = opened(browser, made)
    simple = words.replace("圖書", "图书")
    wanted = {
        loss["post"]
        for loss in made.losses()
        if all(
            part in f"{loss['title']}\n{loss['text']}".lower().replace("圖書館", "图书馆")
            for part in simple.split()
        )
    }
    assert bool(wanted) is (words != "١٢")
    found = search(page, words)
    assert {url.partition("#")[2] for url in found} == wanted
    if found:
        page.goto(found[0])
        shown = page.inner_text(f"[id='{found[0].partition('#')[2]}']")
        assert simple.split()[0] in shown.lower().replace("圖書館", "图书馆")
    page.close()


def test_a_pseudonym_is_found(made: Made, browser: Browser) -> None:
    """Whoever asks for a takedown, or reads a citation, has nothing else."""
    page = opened(browser, made)
    post = made.losses()[7]["post"]
    assert [url.partition("#")[2] for url in search(page, post)] == [post]
    page.close()


def test_no_words_of_strangers_are_run(made: Made, browser: Browser) -> None:
    """Neither on pages, nor in the search, whose scripts hold them."""
    page = browser.new_page()
    hits: list[str] = []
    page.on("dialog", lambda said: hits.append(said.message))
    paths = [f"en/{path.parent.name}/{path.name}" for path in (made.site / "en").rglob("*/*.html")]
    assert len(paths) > 12
    for path in ["en/index.html", *paths]:
        page.goto(f"file://{made.site}/{path}")
        page.mouse.move(200, 300)
        assert page.evaluate("window.__hit === undefined"), path
        assert page.evaluate("document.querySelectorAll('main script, main iframe').length") == 0
    page.goto(f"file://{made.site}/en/search.html")
    assert search(page, "window __hit")
    assert page.evaluate("window.__hit === undefined")
    assert (
        page.evaluate("document.querySelectorAll('#found b, #found img, #found svg').length") == 0
    )
    assert not hits
    page.close()


def test_hostile_words_are_told_as_they_are(made: Made) -> None:
    text = "".join(path.read_text("utf-8") for path in (made.site / "en/loss").glob("*.html"))
    assert "{{ 7*7 }}" in text
    assert "&lt;script&gt;window.__hit=1" in text
    assert "<script>window" not in text
    shown = {loss["title"] for loss in made.losses()}
    assert len(shown & set(HOSTILE)) > 5


def test_nothing_needs_a_script(made: Made, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{made.site}/index.html")
    page.click("text=English")
    page.click("text=Lists and feeds")
    page.click("td >> text=legal demand")
    assert page.locator("tbody tr").count() > 10
    page.click("tbody a")
    assert "/loss/" in page.url
    page.goto(f"file://{made.site}/en/search.html")
    assert not page.is_visible("#search")
    assert page.is_visible("text=The lists do not")
    context.close()


def test_every_link_leads_to_a_file_and_every_loss_is_told_once(made: Made) -> None:
    """A reader of a copy meets no dead end."""
    told: list[str] = []
    for path in made.site.rglob("*.html"):
        text = path.read_text("utf-8")
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            if link.startswith("data:"):
                continue
            to, _, anchor = link.partition("#")
            target = (path.parent / to).resolve() if to else path
            assert target.is_file(), f"{path}: {link}"
            if anchor and anchor != "main":
                assert f'id="{anchor}"' in target.read_text("utf-8"), f"{path}: {link}"
        if path.parent == made.site / "en/loss":
            told += re.findall(r'<article class="hero" id="([a-z2-7]{16})"', text)
    assert sorted(told) == sorted(loss["post"] for loss in made.losses())
    assert len(told) == sum(not site_world.by_author(number) for number in range(POSTS))


def test_no_planted_identity_is_in_any_byte_of_the_site(made: Made, tmp_path: Path) -> None:
    identities: set[str] = set()
    with Observatory.open(made.folder) as observatory:
        naming = observatory.naming
    for number in range(site_world.ACCOUNTS):
        native = site_world.account_id(number)
        key = naming(site_world.PLATFORM, native)
        identities |= {native, key, site_world.name_of(number), *hashes(native)}
    for number in range(POSTS):
        native = site_world.post_id(number)
        identities |= {native, naming(site_world.PLATFORM, native), *site_world.secrets(number)}
    assert len(identities) > 1500
    assert found_in(made.site, identities) == set()
    mine = [site_world.words_of(n) for n in range(POSTS)
            if site_world.by_author(n) and n >= len(HOSTILE)]  # fmt: skip
    assert len(pieces(mine)) > 1000
    assert found_in(made.site, pieces(mine)) == set()
    shutil.copytree(made.site, tmp_path / "leaking")
    leak = tmp_path / "leaking" / "find" / "folds.js"
    leak.write_text(f'vanished(["{site_world.secrets(3)[2]}"])', "utf-8")
    assert found_in(tmp_path / "leaking", identities), "the search finds nothing, ever"


def test_every_row_is_of_a_crowd(made: Made) -> None:
    """By the truth of the world: five accounts at least are told alike."""
    with Observatory.open(made.folder) as observatory:
        naming = observatory.naming
    assert smallest_crowd(made.losses(), naming, POSTS) >= 5


def removed_of(site: Path) -> str:
    """How many posts the site counts as removed."""
    text = (site / "en/charts/outcomes.csv").read_text("utf-8-sig")
    rows = list(csv.reader(text.splitlines()))
    return rows[-1][rows[0].index("removed")]


def smallest_crowd(losses: list[Fact], naming: Any, posts: int) -> int:
    name = for_release(naming, NAME)
    owner = {
        name(naming(site_world.PLATFORM, site_world.post_id(n))): n % site_world.ACCOUNTS
        for n in range(posts)
    }
    crowds: dict[str, set[int]] = {}
    for loss in losses:
        told = {k: v for k, v in loss.items() if k not in ("number", "post", "title", "text")}
        crowds.setdefault(json.dumps(told), set()).add(owner[loss["post"]])
    return min(map(len, crowds.values()))


@pytest.mark.parametrize("tag", NAMES)
def test_feeds_are_read_by_others(made: Made, tag: str) -> None:
    """Atom with what RFC 4287 wants, JSON Feed 1.1 with the same, and ids that are of nobody."""
    feeds = sorted((made.site / tag / "feeds").glob("*.atom"))
    assert {"all", "cause-legal", "platform-page"} <= {path.stem for path in feeds}
    ids = set()
    for path in feeds:
        read = feedparser.parse(path.read_bytes())
        assert not read.bozo, path
        assert read.version == "atom10"
        assert read.feed.id.startswith("urn:uuid:")
        assert read.feed.title
        assert read.feed.updated_parsed
        assert read.feed.author == "the test's desk"
        ids.add(read.feed.id)
        other = json.loads(path.with_suffix(".json").read_bytes())
        assert other["version"] == "https://jsonfeed.org/version/1.1"
        assert [one["id"] for one in other["items"]] == [one.id for one in read.entries]
        assert 0 < len(read.entries) <= 50
        for one in read.entries:
            assert one.title
            assert one.updated_parsed
            assert one.id.startswith("urn:uuid:")
            to, _, anchor = one.link.partition("#")
            assert f'id="{anchor}"' in (path.parent / to).resolve().read_text("utf-8")
    assert len(ids) == len(feeds)


def test_a_feed_says_addresses_in_full_where_the_site_has_one(copied: Made) -> None:
    build_site(copied.folder, NAME, copied.site, NOW, base="https://lost.example/a")
    read = feedparser.parse((copied.site / "en/feeds/all.atom").read_bytes())
    before = feedparser.parse(str(copied.built.folder / "en/feeds/all.atom"))
    assert [one.id for one in read.entries] == [one.id for one in before.entries]
    assert all(one.link.startswith("https://lost.example/a/en/loss/") for one in read.entries)
    for wrong in ("lost.example", "javascript:alert(1)", 'https://x/"'):
        with pytest.raises(UsageError, match="is no address of a site"):
            build_site(copied.folder, NAME, copied.site, NOW, base=wrong)


def test_what_was_told_stays_and_what_is_new_is_told_in_crowds(copied: Made) -> None:
    """Or whoever keeps yesterday's copy could tell whose loss today's is."""
    before = copied.losses()
    site_world.add(copied.folder, range(POSTS, POSTS + 3))
    build_site(copied.folder, NAME, copied.site, NOW + 10**9)
    assert copied.losses() == before  # the new ones are of three accounts
    assert removed_of(copied.site) == removed_of(copied.built.folder)  # and are not counted yet
    end = POSTS + site_world.BLOCK
    site_world.add(copied.folder, range(POSTS + 3, end))
    built = build_site(copied.folder, NAME, copied.site, NOW + 2 * 10**9)
    after = copied.losses()
    assert after[: len(before)] == before
    new = after[len(before) :]
    assert len(new) == sum(not site_world.by_author(n) for n in range(POSTS, end))
    with Observatory.open(copied.folder) as observatory:
        naming = observatory.naming
    assert smallest_crowd(new, naming, end) >= 5
    assert built.made < built.files
    assert check_site(copied.site, built.signed_by)["signed"] is True


def test_an_addition_makes_what_a_build_from_nothing_makes(copied: Made, tmp_path: Path) -> None:
    """A page that should have changed and was kept would tell what is no more."""
    site_world.add(copied.folder, range(POSTS, POSTS + site_world.BLOCK))
    build_site(copied.folder, NAME, copied.site, NOW + 10**9)
    kept = {p.relative_to(copied.site): p.read_bytes() for p in everything(copied.site)}
    manifest = json.loads(kept[Path(MANIFEST)])
    for one in manifest["files"]:
        one["of"] = ""  # nothing is known of what it was made of
    (copied.site / MANIFEST).write_text(json.dumps(manifest))
    (copied.folder / "readable").write_text("")
    from vanished.archive.folder import READABLE

    (copied.folder / "readable").rename(copied.folder / READABLE)
    built = build_site(copied.folder, NAME, copied.site, NOW + 2 * 10**9)
    assert built.made == built.files
    assert {p.relative_to(copied.site): p.read_bytes() for p in everything(copied.site)} == kept


def everything(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_changes_where_nothing_is_new(copied: Made) -> None:
    before = {path: path.stat().st_ino for path in everything(copied.site)}
    built = build_site(copied.folder, NAME, copied.site, NOW + 10**12)
    assert not built.changed
    assert {path: path.stat().st_ino for path in everything(copied.site)} == before


def test_a_loss_that_was_taken_down_is_on_no_page(copied: Made) -> None:
    """And whoever was told with it goes, too, where the crowd is too small without it."""
    one = copied.losses()[70]
    ask(copied.folder, one["post"], "asked", NOW, NAME)
    build_site(copied.folder, NAME, copied.site, NOW + 10**9)
    for path in everything(copied.site):
        assert one["post"].encode() not in path.read_bytes(), path
    left = copied.losses()
    assert 0 < len(left) < len(copied.built.release.rows)
    told = {loss["post"]: loss["number"] for loss in left}
    before = {loss["post"]: loss["number"] for loss in losses_of(copied.built.folder)}
    assert all(before[post] == number for post, number in told.items())


def test_a_reader_sees_the_old_site_or_the_new_one(
    copied: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that fails half way leaves the site as it was, and the next one succeeds."""
    from vanished.publish.site import layout

    site_world.add(copied.folder, range(POSTS, POSTS + site_world.BLOCK))
    before = {path: path.read_bytes() for path in everything(copied.site)}

    def fails(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(layout, "_meaning", fails)
        patch.setattr(layout, "program", lambda: "another")
        with pytest.raises(StorageError, match="the disk is full"):
            build_site(copied.folder, NAME, copied.site, NOW + 10**9)
    assert {path: path.read_bytes() for path in everything(copied.site)} == before
    assert [path.name for path in copied.site.parent.iterdir() if "unfinished" in path.name] == []
    assert build_site(copied.folder, NAME, copied.site, NOW + 10**9).changed


def test_a_site_goes_on_only_after_its_last_build(copied: Made, tmp_path: Path) -> None:
    """The same pseudonyms with other content would tell what changed."""
    shutil.copytree(copied.site, tmp_path / "older")
    for turn in (1, 2):
        first = POSTS + (turn - 1) * site_world.BLOCK
        site_world.add(copied.folder, range(first, first + site_world.BLOCK))
        build_site(copied.folder, NAME, copied.site, NOW + turn * 10**9)
    for target in (tmp_path / "older", tmp_path / "new"):
        with pytest.raises(UsageError, match="was published with other content"):
            build_site(copied.folder, NAME, target, NOW)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="is no static site"):
        build_site(copied.folder, "another", tmp_path / "else", NOW)
    assert (tmp_path / "else" / "letter.txt").read_text() == "mine"
    noted = [one for one in rulings(copied.folder) if one.kind == PUBLISHED]
    assert [one.details["before"] for one in noted[1:]] == [
        one.details["manifest"] for one in noted[:-1]
    ]


def test_a_changed_file_is_told(copied: Made) -> None:
    key = copied.built.signed_by
    assert check_site(copied.site, key)["files"] == copied.built.files
    note = parse_note((copied.site / SIGNATURE).read_bytes())
    assert note.text.splitlines()[0] == "vanished site v1"
    page = copied.site / "en/loss/000003.html"
    page.write_text(page.read_text("utf-8").replace("removed", "kept"), "utf-8")
    with pytest.raises(EvidenceError, match=r"000003\.html"):
        check_site(copied.site, key)
    page.unlink()
    with pytest.raises(EvidenceError, match=r"000003\.html"):
        check_site(copied.site, None)
    (copied.site / LEDGER).write_text("")
    with pytest.raises(EvidenceError, match="was changed"):
        build_site(copied.folder, NAME, copied.site, NOW)


def test_pages_are_light(made: Made) -> None:
    """At most 100 KB without pictures."""
    static = sum(path.stat().st_size for path in (made.site / "static").iterdir())
    for path in made.site.rglob("*.html"):
        assert path.stat().st_size + static <= 100_000, path


def test_the_log_leaves_and_no_leaf_is_tied_to_a_loss(made: Made) -> None:
    """Leaves let others hold the observatory to what it has; their order would tell hours."""
    from vanished.archive.log.tiles import leaf_rows

    tree = made.site / "proof"
    size = int(parse_note((tree / "checkpoint").read_bytes()).text.splitlines()[1])
    rows = list(leaf_rows(tree, size))
    assert rows == list(leaf_rows(made.folder / "log", size))
    assert all("leaf" not in loss for loss in made.losses())
