"""Whether the test of events keeps its level on series that remember, and sees an effect.

In: simulated daily series (`lab.tense_series`). Out: claims, and beside them what a test that takes
days as independent would say.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import ttest_ind

from bench.harness import Claim, Peer, at_least, at_most
from vanished.explain.shift_tests import permutation_test
from vanished.lab.tense_series import tense_series

NULL, WITH = 2000, 1000
EFFECT = 0.6  # standard deviations
ALPHA = 0.05


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes about a minute."""
    both, shift, block, welch = _rates(NULL, 0.0)
    power, *_ = _rates(WITH, EFFECT)
    return [
        at_least(f"positives without an effect, both tests, {NULL} series", both, "share", 0.03),
        at_most("the same", both, "share", 0.06),
        Claim("the circular shift alone", shift, "share", "none", True),
        Claim("the block permutation alone", block, "share", "none", True),
        Claim("Welch's t-test on the same series", welch, "share", "none", True),
        at_least(f"power at +{EFFECT} sd, both tests, {WITH} series", power, "share", 0.55),
    ], []


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
