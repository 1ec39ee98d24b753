"""Whether the tests of events keep their level where nothing happened, and see what did.

In: simulated daily series (`lab.tense_series`), and simulated posts (`lab.tense_posts`), in which
more, less or other things may be written during episodes. Out: claims, and beside them what a test
that takes days as independent would say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import ttest_ind

from bench.harness import Claim, Peer, at_least, at_most
from vanished.archive.arrow import COVERAGE
from vanished.explain.comparable import comparable
from vanished.explain.shift_tests import counts_test, permutation_test
from vanished.lab.tense_posts import DAYS, Tension, tense_posts
from vanished.lab.tense_series import tense_series

NULL, WITH = 2000, 1000
EFFECT = 0.6  # standard deviations
ALPHA = 0.05
WORLDS: Final = {
    "nothing changes": Tension(),
    "3 times as many posts": Tension(volume=3),
    "3 times as many, of 25 a day": Tension(volume=3, posts_a_day=25),
    "0.4 times as many posts": Tension(volume=0.4),
    "0.4 times as many, of 25 a day": Tension(volume=0.4, posts_a_day=25),
    "4 times as many of accounts that are removed most": Tension(risky=4),
    "the same, accounts more unequal": Tension(risky=4, spread=1.5),
}
RISE = 1.6
RISING: Final = {
    "nothing else": Tension(removals=RISE),
    "0.4 times as many posts": Tension(removals=RISE, volume=0.4),
    "4 times as many of accounts that are removed most": Tension(removals=RISE, risky=4),
}
POSTS_RUNS = 400


@dataclass(frozen=True, slots=True)
class _Shares:
    """Of worlds of posts: called higher, true ratio within the interval; the median ratio."""

    higher: float
    covered: float
    ratio: float


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about three minutes."""
    both, shift, block, welch = _rates(NULL, 0.0)
    power, *_ = _rates(WITH, EFFECT)
    claims = [
        at_least(f"positives without an effect, both tests, {NULL} series", both, "share", 0.03),
        at_most("the same", both, "share", 0.06),
        Claim("the circular shift alone", shift, "share", "none", True),
        Claim("the block permutation alone", block, "share", "none", True),
        Claim("Welch's t-test on the same series", welch, "share", "none", True),
        at_least(f"power at +{EFFECT} sd, both tests, {WITH} series", power, "share", 0.55),
    ]
    for name, tension in WORLDS.items():
        found = _posts(tension)
        claims += [
            at_most(f"positives without an effect, {POSTS_RUNS} worlds of posts: {name}",
                    found.higher, "share", 0.06),
            Claim("95 % intervals that hold the true ratio", found.covered, "share", "none", True),
        ]  # fmt: skip
    for name, tension in RISING.items():
        found = _posts(tension)
        claims += [
            Claim(f"power at {RISE} times the removals: {name}", found.higher, "share", "none",
                  True),
            Claim("median ratio found", found.ratio, "times", "none", True),
            Claim("95 % intervals that hold the true ratio", found.covered, "share", "none", True),
        ]  # fmt: skip
    return claims, []


def _rates(number: int, effect: float) -> tuple[float, float, float, float]:
    """Shares of series that are called higher: by both tests, by each, by Welch's."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(number):
        values, inside = tense_series(rng, effect)
        test = permutation_test(values, inside, rng, resamples=999)
        assert test is not None
        naive = ttest_ind(values[inside], values[~inside], equal_var=False, alternative="greater")
        found.append((test.p, test.shift, test.block, float(naive.pvalue)))
    shares = (np.asarray(found) <= ALPHA).mean(axis=0)
    return float(shares[0]), float(shares[1]), float(shares[2]), float(shares[3])


def _posts(tension: Tension) -> _Shares:
    """`POSTS_RUNS` worlds, through the series of comparable posts."""
    higher, covered, ratios = 0, 0, []
    for seed in range(POSTS_RUNS):
        rng = np.random.default_rng([3, seed])
        posts, inside = tense_posts(rng, tension)
        series = comparable(posts, COVERAGE.empty_table())
        mask = np.zeros(len(series.removed), bool)
        mask[:DAYS] = inside
        test = counts_test(series.removed, series.expected, series.known, mask, rng, resamples=499)
        assert test is not None
        higher += test.p <= ALPHA
        covered += test.low <= tension.removals <= test.high
        ratios.append(test.ratio)
    return _Shares(higher / POSTS_RUNS, covered / POSTS_RUNS, float(np.median(ratios)))
