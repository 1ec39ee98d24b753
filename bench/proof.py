"""What proof costs the watch: looks a second with captures, log and sealing on, against off.

The same pages of the same nginx, in alternating rounds, each in a process of its own; the median of
the ratios counts. Once the pages stand still, so that after the first sights nothing is captured;
once they are edited all the while, so that about one look in a hundred brings a new wording, which
is far more than any platform's posts change.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
from collections.abc import Sequence
from typing import Any

from bench.harness import ROOT, BenchError, Claim, Peer, at_least
from bench.pages import Site, site
from bench.peers import execute

PAGES = 200
ROUNDS = 7
ROUND_S = 4.0
EDIT_EVERY_S = 0.02


def watched(pages: Site, proof: str) -> dict[str, Any]:
    """One round of our watch."""
    words = ["-m", "bench.ours", pages.url, str(pages.pages), str(ROUND_S), str(pages.pages), proof]
    said: dict[str, Any] = json.loads(
        execute([sys.executable, *words], "our watch", ROUND_S + 120, cwd=ROOT)
    )
    if said["failed"] or not said["kept"]:
        raise BenchError(f"our watch failed {said['failed']} looks, or lost some: {said}")
    return said


def edited(pages: Site, stop: threading.Event) -> None:
    """Edit one page after the other until told to stop."""
    n = 0
    while not stop.wait(EDIT_EVERY_S):
        pages.edit(n, f"{n}")
        n += 1


def ratios(pages: Site, what: str) -> tuple[list[float], float]:
    """On / off of each round, and captures a look with proof on."""
    found: list[float] = []
    shares: list[float] = []
    for number in range(ROUNDS):
        order = ("sealed", "off") if number % 2 else ("off", "sealed")
        said = {proof: watched(pages, proof) for proof in order}
        on, off = said["sealed"], said["off"]
        found.append(on["per_s"] / off["per_s"])
        shares.append(on["captures"] / (on["per_s"] * ROUND_S))
        print(
            f"  {what}: on {on['per_s']:.0f}/s with {on['captures']} captures, off"
            f" {off['per_s']:.0f}/s, ratio {found[-1]:.2f}"
        )
    return found, statistics.median(shares)


def run() -> tuple[Sequence[Claim], Sequence[Peer]]:
    """The watch's claim of issue 3."""
    with site(PAGES) as pages:
        still, _ = ratios(pages, "pages that stand still")
    with site(PAGES, still=False) as pages:
        stop = threading.Event()
        editor = threading.Thread(target=edited, args=(pages, stop))
        editor.start()
        try:
            busy, share = ratios(pages, "pages that are edited")
        finally:
            stop.set()
            editor.join()
    unit = "ratio, median of rounds"
    return [
        at_least("looks with proof on / off, unchanged pages", statistics.median(still), unit, 0.8),
        at_least(
            f"looks with proof on / off, {share:.1%} of looks captured",
            statistics.median(busy),
            unit,
            0.8,
        ),
    ], []
