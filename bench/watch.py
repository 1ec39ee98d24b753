"""What the watch claims: that it misses little, invents nothing, and is fast and small.

Peers in the same run: a bare aiohttp client on the same pages of the same nginx, and
changedetection.io in an environment of its own. Rounds of ours and the bare client alternate, and
the median of their ratios counts: other work on the machine then falls on both.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bench import changedetection
from bench.bare import bare
from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from bench.install import core_install, demo_s
from bench.pages import Site, site
from bench.peers import execute
from vanished.lab.month import month_of
from vanished.lab.truth import Score

PAGES = 200
ROUNDS = 7
ROUND_S = 4.0
LIVE = 100_000
SEEDS = (1, 2, 3)


def ours(pages: Site, seconds: float, posts: int) -> dict[str, Any]:
    """One round of our watch in a process of its own."""
    words = ["-m", "bench.ours", pages.url, str(pages.pages), str(seconds), str(posts)]
    said: dict[str, Any] = json.loads(
        execute([sys.executable, *words], "our watch", seconds + 300, cwd=ROOT)
    )
    if said["failed"] or not said["kept"]:
        raise BenchError(f"our watch failed {said['failed']} looks, or lost some: {said}")
    return said


def speed() -> list[Claim]:
    """Looks a second against the bare client and against changedetection.io."""
    with site(PAGES) as pages:
        rounds = [
            (ours(pages, ROUND_S, PAGES)["per_s"], bare(pages, ROUND_S)) for _ in range(ROUNDS)
        ]
        for mine, plain in rounds:
            print(f"  looks {mine:.0f}/s, bare client {plain:.0f}/s, ratio {mine / plain:.2f}")
        rate = statistics.median(mine for mine, _ in rounds)
        peer = changedetection.rechecks(pages)
        print(
            f"  changedetection.io {peer.per_s:.1f}/s with {peer.workers} workers ({peer.counted})"
        )
        few, many = ours(pages, ROUND_S, 1_000)["bytes"], ours(pages, 3 * ROUND_S, LIVE)["bytes"]
    return [
        at_least(
            "looks / bare aiohttp fetches",
            statistics.median(mine / plain for mine, plain in rounds),
            "ratio, median of rounds",
            0.5,
        ),
        at_least("looks / changedetection.io rechecks", rate / peer.per_s, "ratio", 10),
        at_most(
            f"memory at {LIVE:,} live posts", (many - few) / (LIVE - 1_000), "bytes a post", 1024
        ),
    ]


def truth() -> list[Claim]:
    """The lab's month, three seeds, a fifth of all answers traps."""
    scores: list[Score] = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            score, progress = month_of(seed, Path(folder) / "o")
        print(f"seed {seed}: {progress.looks} looks, {progress.failed} failed\n{score.text()}")
        scores.append(score)
    lost = sum(score.posts.lost for score in scores)
    noticed = sum(score.posts.noticed for score in scores)
    wrong = sum(len(score.posts.wrong_cause) for score in scores)
    called = sum(score.called_platform for score in scores)
    false_platform = sum(len(score.false_platform) for score in scores)
    beside = sum(len(s.posts.wrong_interval) + len(s.posts.beside_removal) for s in scores)
    false = sum(len(score.posts.false_losses) for score in scores)
    return [
        at_least(f"losses noticed, of {lost}", noticed / lost, "share", 0.99),
        at_least(f"cause right, of {noticed}", 1 - wrong / noticed, "share", 0.98),
        at_most(f"called platform wrongly, of {called}", false_platform / called, "share", 0.01),
        at_least("interval contains the true time", 1 - beside / noticed, "share", 1.0),
        at_most("false losses with 20 % trap answers", false, "posts", 0),
    ]


def survival() -> list[Claim]:
    """The test that kills the watch; its failure is this claim's."""
    code = pytest.main(["-q", "-p", "no:cacheprovider", str(ROOT / "tests/watch/test_kill.py")])
    return [at_least("kill -9 survived, nothing lost or doubled", 20 * (code == 0), "kills", 20)]


def install() -> list[Claim]:
    """The core install and the demo in it."""
    with core_install() as made:
        others = [name for name in made.packages if name.lower() != "vanished"]
        return [
            at_most("core install", len(others), "packages", 40),
            at_most("core install", made.megabytes, "MB", 250),
            at_most("vanished demo to its report", demo_s(made), "s", 60),
        ]


def run() -> tuple[Sequence[Claim], Sequence[Peer]]:
    """All claims of the first working observatory."""
    os.environ["VANISHED_KEY"] = "ab" * 32
    peers: list[Peer] = [
        {"name": "aiohttp", "version": version("aiohttp")},
        changedetection.peer(),
    ]
    return [*speed(), *truth(), *survival(), *install()], peers
