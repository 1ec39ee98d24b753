"""Whether `explain who` finds what is true of accounts, and tells of no few of them.

In: worlds of `lab.account_losses`, whose concentration and losses are known, and random tables.
Out: claims. Coverage is of 95 % intervals over seeds; what was withheld for its few accounts is not
counted, and how much that was is a claim of its own. Nothing else does this: packages that protect
tables know no censored lives, and those that know lives no tables.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.harness import Claim, Peer, at_least, at_most
from vanished.archive.arrow import ACCOUNTS
from vanished.explain.concentration import gini
from vanished.explain.who import WhoSettings, who
from vanished.explain.withheld import with_totals, withheld
from vanished.lab.account_losses import Lives, Population, World, lives, world

REPEATS = 200
TABLES = 2000
AGES = (7, 30)
ORDINARY = Population()
UNEQUAL = Population(alike=1.0, posts_sigma=1.2)  # 5 % of accounts lose nearly everything
EVEN = Population(alike=1e6, strict=0.0, more=0.0)
HARMLESS = Population(more=0.0, base=0.002, times=4.0, posts_sigma=1.0)
Row = dict[str, Any]


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about ten minutes."""
    return [*concentrated(), *by_chance(), *followed(), *harmless(), *tables(), million()], []


def concentrated() -> list[Claim]:
    """Gini coefficient and top shares against the population's."""
    claims = []
    for name, of, number in (
        ("accounts as they come", ORDINARY, 400),
        ("very unequal accounts", UNEQUAL, 400),
        ("accounts as they come", ORDINARY, 2500),
        ("very unequal accounts", UNEQUAL, 2500),
    ):
        drawn = lives(np.random.default_rng(1), 400_000, of)
        population = drawn.removed[np.unique(drawn.owner)]  # those that wrote
        true = {
            "Gini": gini(population),
            "10%": _top(population, 0.1),
            "1%": _top(population, 0.01),
        }
        inside, off = defaultdict(list), []
        for seed in range(REPEATS):
            rows = _told(world(np.random.default_rng(1000 + seed), number, of), alone=True)
            row = rows["Gini coefficient of removals over accounts"]
            off.append(abs(row["value"] - true["Gini"]))
            inside["Gini"].append(_inside(row, true["Gini"]))
            for part in ("10%", "1%"):
                top = rows.get(f"share of removals in the {part} of accounts with the most")
                if top:
                    inside[part].append(_inside(top, true[part]))
        where = f"{number} {name}"
        claims.append(
            at_most(f"Gini coefficient, {where}: error", float(np.mean(off)), "mean abs.", 0.02)
        )
        for what, found in inside.items():
            bar = 0.93 if of is ORDINARY and what != "1%" else 0.88
            what = what if what == "Gini" else f"share of the top {what}"
            claims.append(
                at_least(
                    f"{what}, {where}: 95 % interval covers", float(np.mean(found)), "share", bar
                )
            )
    return claims


def by_chance() -> list[Claim]:
    """How often removals that fall on posts at random are said to be concentrated."""
    found = [
        _told(world(np.random.default_rng(seed), 400, EVEN), alone=True)[
            "Gini coefficient of removals over accounts"
        ]
        for seed in range(REPEATS)
    ]
    wrong = float(np.mean([row["p"] < 0.05 for row in found]))
    size = float(np.mean([row["value"] for row in found]))
    return [
        at_most("chance alone is called concentrated at p < 0.05", wrong, "share", 0.08),
        Claim("the Gini coefficient that chance alone gives", size, "mean", "none", True),
    ]


def followed() -> list[Claim]:
    """Shares of accounts removed after a removed post, and of matched ones, against the truth."""
    inside, off, told = defaultdict(list), defaultdict(list), defaultdict(list)
    for seed in range(REPEATS):
        made = world(np.random.default_rng(seed), 600, ORDINARY)
        rows = _told(made)
        for days in AGES:
            had, without = made.lost_within(days)
            for name, true in (
                (f"accounts removed within {days} days of a first removed post", had),
                (f"matched accounts without one, removed within {days} days", without),
                (f"difference of these shares within {days} days", had - without),
            ):
                row = rows.get(name)
                told[name].append(row is not None and row["value"] is not None)
                if row is not None and row["value"] is not None:
                    inside[name].append(_inside(row, true))
                    off[name].append(row["value"] - true)
    claims = []
    for name, found in inside.items():
        claims.append(
            at_least(f"{name}: 95 % interval covers", float(np.mean(found)), "share", 0.93)
        )
        claims.append(at_most(f"{name}: bias", abs(float(np.mean(off[name]))), "share", 0.02))
        claims.append(Claim(f"{name}: told", float(np.mean(told[name])), "share", "none", True))
    return claims


def harmless() -> list[Claim]:
    """How often a removal that changes nothing is said to do so, with matching and without.

    Strict platforms and accounts with many posts lose more posts and more accounts here.
    """
    wrong, crude = [], []
    for seed in range(REPEATS):
        made = world(np.random.default_rng(seed), 600, HARMLESS)
        row = _told(made).get("difference of these shares within 30 days")
        if row is not None:
            wrong.append(not _inside(row, 0.0))
        crude.append(_crude(made.lives, made.population.days))
    return [
        at_most("a harmless removal is said to matter (5 % nominal)",
                float(np.mean(wrong)), "share", 0.07),
        Claim("the same by comparing with all accounts that were not removed",
              float(np.mean(crude)), "share", "none", True),
    ]  # fmt: skip


def _crude(found: Lives, end: float) -> bool:
    """Whether a plain test of two shares tells accounts with a removal from others in the 30 days
    from the removal, or from the middle of the time; of accounts that are followed so long."""
    had = np.isfinite(found.first)
    since = np.where(had, found.first, end / 2)
    kept = (found.end > since) & (since + 30 <= end)
    lost = (found.end <= since + 30) & ~found.by_author
    sides = [(int((kept & g).sum()), float(lost[kept & g].mean())) for g in (had, ~had)]
    (n, p), (m, q) = sides
    whole = (n * p + m * q) / (n + m)
    spread = np.sqrt(whole * (1 - whole) * (1 / n + 1 / m))
    return bool(spread > 0 and abs(p - q) > 1.96 * spread)


def tables() -> list[Claim]:
    """Small cells that can be computed back, if only they are withheld, and as we do it."""
    rng = np.random.default_rng(1)
    plain = ours = small = kept = cells = 0
    slowest = 0.0
    for _ in range(TABLES):
        shape = int(rng.integers(2, 9)), int(rng.integers(1, 6))
        counts = rng.negative_binomial(0.8, rng.uniform(0.02, 0.2), shape).astype(np.int64)
        counts[0] += 5
        table = with_totals(counts)
        few = (table > 0) & (table < 5)
        few[-1] = False
        begun = time.process_time()
        hidden = withheld(counts, 5)
        slowest = max(slowest, time.process_time() - begun)
        small += int(few.sum())
        plain += len(_derivable(few, few))
        ours += len(_derivable(hidden, few))
        cells += int((table[:-1] > 0).sum())
        kept += int((table[:-1] > 0).sum() - hidden.sum())
    return [
        Claim("small cells that can be computed back, if only they are withheld", plain / small,
              "share", "none", True),
        at_most("small cells that can be computed back as we withhold", ours / small, "share", 0),
        Claim("cells that are still told", kept / cells, "share", "none", True),
        Claim("of cells that are not small", kept / (cells - small), "share", "none", True),
        at_most("slowest table of at most 8 x 5", slowest, "s", 2.0),
    ]  # fmt: skip


def _derivable(hidden: NDArray[np.bool_], few: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The cells of `few` that sums of rows and columns determine where `hidden` is not told."""
    places = [(int(a), int(b)) for a, b in np.argwhere(hidden)]
    if not places:
        return []
    height, width = hidden.shape
    sums = np.zeros((height + width, len(places)))
    for place, (a, b) in enumerate(places):
        sums[a, place] = -1 if b == width - 1 else 1
        sums[height + b, place] = -1 if a == height - 1 else 1
    free = np.eye(len(places)) - np.linalg.pinv(sums) @ sums  # projects on what sums leave free
    return [
        cell for place, cell in enumerate(places) if few[cell] and np.abs(free[place]).max() < 1e-9
    ]


def million() -> Claim:
    """Seconds of the processor for a million posts."""
    made = world(np.random.default_rng(1), 50_000, Population(posts_median=19.5))
    begun = time.process_time()
    who(made.posts, made.accounts, made.kinds)
    took = time.process_time() - begun
    return at_most(f"{made.posts.num_rows:,} posts of 50,000 accounts", took, "s", 60)


def _told(made: World, *, alone: bool = False) -> dict[str, Row]:
    """Rows by name; `alone`: without following accounts."""
    accounts = ACCOUNTS.empty_table() if alone else made.accounts
    found = who(made.posts, accounts, settings=WhoSettings())
    return {row["name"]: row for row in found.table().to_pylist()}


def _inside(row: Row, true: float) -> bool:
    return bool(row["low"] - 1e-9 <= true <= row["high"] + 1e-9)


def _top(x: NDArray[np.int64], part: float) -> float:
    return float(np.sort(x)[-round(part * len(x)) :].sum() / x.sum())
