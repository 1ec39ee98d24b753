"""How far strings stand out where nothing is to be found: removals dealt anew within accounts.

In: a screen. Out: the largest deviation of any string in each of many worlds in which the removed
posts were dealt at random within each account's weeks, and the deviations that were observed. The
same strings, accounts and weeks are in all of them, so that no assumption on how strings depend on
one another is made (Westfall and Young 1993, maxT).
A hundred worlds give a smooth tail by the limit law of largest values (Gumbel 1958).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.screen import Screen
from vanished.explain.shares import K

FLOOR: Final = 0.001  # smaller chances would be read off a curve beyond all that was dealt


@dataclass(frozen=True, slots=True, eq=False)
class Permuted:
    """`observed` has one entry a string, `largest` one a permutation."""

    observed: NDArray[np.float64]
    largest: NDArray[np.float64]

    def p(self, string: int) -> float:
        """The chance that any string at all stands out so far by chance, by a Gumbel distribution
        with the mean and variance of the largest deviations; not told below `FLOOR`."""
        scale = float(self.largest.std()) * np.sqrt(6) / np.pi
        if not scale:
            return 1.0
        location = float(self.largest.mean()) - np.euler_gamma * scale
        tail = -np.expm1(-np.exp(-(self.observed[string] - location) / scale))
        return max(FLOOR, float(tail))


def permuted(tested: Screen, times: int, seed: int) -> Permuted:
    """Deal the removed posts of a screen `times` times."""
    compared, strings = tested.compared, tested.strings
    starts, members = strings.members(np.arange(len(strings)))
    by_stratum = np.argsort(compared.stratum, kind="stable")
    posts, removed = compared.sizes()
    place = np.arange(len(by_stratum)) - np.repeat(np.cumsum(posts) - posts, posts)
    dealt_in_order = place < np.repeat(removed, posts)
    rng = np.random.default_rng(seed)
    largest = np.empty(times)
    for number in range(times):
        order = np.argsort(compared.stratum + rng.random(len(compared.stratum)))
        dealt = np.empty(len(order), bool)
        dealt[order] = dealt_in_order
        hits = np.add.reduceat(dealt[members], starts[:-1], dtype=np.int64)
        largest[number] = _deviation(hits, tested.expected).max(initial=0.0)
    return Permuted(_deviation(tested.hits, tested.expected), largest)


def _deviation(hits: NDArray[np.int64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signed root of Poisson's deviance, 0 where no more than expected were removed: near
    standard normal for rare strings too, where plain standard scores are not."""
    above = (hits > expected) & (hits >= K)
    x, e = np.where(above, hits, 1.0), np.where(above, expected, 1.0)
    found: NDArray[np.float64] = np.sqrt(2 * np.maximum(x * np.log(x / e) - (x - e), 0))
    return np.where(above, found, 0.0)
