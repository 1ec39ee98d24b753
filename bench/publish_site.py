"""The static site of 10^5 losses: how long it takes to build, to bring up to date, and to search.

In: a made-up observatory whose words may leave, read by the product's own path from the journal
through the gate. Out: claims. Search is timed in a real browser that opened the site from a file,
from the press of Enter until the losses are shown, each time in a new browser context, so that
nothing of the index is in its memory.

Builds are timed in this process's own seconds on a processor (it has one thread, and the system's
part for writing files is in it), so that what else runs on the machine does not count. The time by
the clock, which also holds the wait for the disk, is printed beside it with the load.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from itertools import count, islice
from pathlib import Path

from tests.publish import site_world

from bench.harness import BenchError, Claim, Peer, at_least, at_most
from vanished.publish.site.building import Built, build_site

LOSSES = 100_000
NEW = 120  # two hours of the world's losses
NOW = 1_796_000_000_000_000  # microseconds, UTC
WORDS = ("菜市", "圖書", "河堤", "图书馆", "夜班公交", "雨后菜市场", "丁一号", "第七万号")
"""Common and rare, short and long, in both scripts; the last two stand in few losses, or none."""


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about six minutes."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BenchError("searching needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        folder = Path(name)
        os.environ["VANISHED_KEY"] = "ab" * 32
        os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        numbers = (number for number in count() if not site_world.by_author(number))
        site_world.make(folder / "o", 0)
        site_world.add(folder / "o", islice(numbers, LOSSES), long=True)
        built, build_s = _built(folder, 0)
        site_world.add(folder / "o", islice(numbers, NEW), long=True)
        again, again_s = _built(folder, 1)
        print(f"  {built.files:,} files at first; {again.made:,} of {again.files:,} made again")
        _built(folder, 2)
        size = sum(path.stat().st_size for path in (folder / "site").rglob("*.*"))
        print(f"  {size / 1e6:,.0f} MB on a disk")
        heaviest = max(path.stat().st_size for path in (folder / "site").rglob("*.html"))
        searches = _searched(folder / "site", chromium)
    for word, (milliseconds, found) in searches.items():
        print(f"  {word}: {milliseconds:.0f} ms, {found}")
    slowest = max(milliseconds for milliseconds, _ in searches.values())
    return [
        at_least("losses that the site tells", again.losses, "losses", LOSSES),
        at_most(f"building a site of {built.losses:,} losses", build_s / 60, "min", 5),
        at_most(f"bringing it up to date after {NEW} new ones", again_s, "s", 10),
        at_most("the slowest search from a file", slowest / 1000, "s", 1),
        at_most("the heaviest page", heaviest / 1000, "kB", 100),
    ], []


def _built(folder: Path, turn: int) -> tuple[Built, float]:
    """A build, and the seconds of a core that it took."""
    begun, used = time.monotonic(), time.process_time()
    built = build_site(folder / "o", "site", folder / "site", NOW + turn * 3_600_000_000)
    took = time.process_time() - used
    print(f"  build {turn}: {took:.1f} s of a core, {time.monotonic() - begun:.1f} s by the clock,"
          f" load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    return built, took


def _searched(site: Path, chromium: str) -> dict[str, tuple[float, str]]:
    """For each word the median of three searches in milliseconds, and what the page said."""
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as made:
        browser = made.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for word in WORDS:
            took, said = [], ""
            for _ in range(3):
                context = browser.new_context()
                page = context.new_page()
                page.goto(f"file://{site}/zh-Hans/search.html")
                page.fill("#q", word)
                took.append(page.evaluate(_TIMED))
                said = page.inner_text("#said")
                context.close()
            found[word] = statistics.median(took), said
        browser.close()
    return found


_TIMED = """() => new Promise((done) => {
  const begun = performance.now();
  const list = document.getElementById("found");
  const look = () => {
    if (list.ariaBusy === "false") done(performance.now() - begun);
    else setTimeout(look, 5);
  };
  document.getElementById("search").requestSubmit();
  look();
})"""
