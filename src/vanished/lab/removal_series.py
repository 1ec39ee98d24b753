"""Series of removals whose campaigns are known, for what finds campaigns.

In: a seed's generator. Out: posts at risk and removals in bins of six hours, and where campaigns
began and ended. Removals are overdispersed, as real ones are: posts of one bin go together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DAYS: Final = 180
A_DAY: Final = 4  # bins
POSTS: Final = 400  # a bin, on average
BASE: Final = 0.02  # removals a post at risk
TOGETHER: Final = 1 / 151  # correlation of the fates of two posts of a bin


@dataclass(frozen=True, slots=True)
class Series:
    """Arrays of shape (720,); `edges` are the first bins in and after each campaign."""

    at_risk: NDArray[np.int64]
    removed: NDArray[np.int64]
    edges: tuple[int, ...]


def removal_series(rng: np.random.Generator, campaigns: int) -> Series:
    """180 days with so many campaigns (0 to 5) of 2 to 10 days, at 2 to 4 times the base rate."""
    bins = DAYS * A_DAY
    t = np.arange(bins)
    daily, weekly = np.sin(2 * np.pi * t / A_DAY), np.sin(2 * np.pi * t / (7 * A_DAY))
    at_risk = rng.poisson(POSTS * (1 + 0.35 * daily) * (1 + 0.2 * weekly))
    rate = np.full(bins, BASE)
    edges: list[int] = []
    for begin, end in _spans(rng, campaigns, bins):
        rate[begin:end] *= rng.uniform(2, 4)
        edges += [begin, end]
    scale = 1 / TOGETHER - 1
    removed = rng.binomial(at_risk, rng.beta(rate * scale, (1 - rate) * scale))
    return Series(at_risk, removed, tuple(edges))


def _spans(rng: np.random.Generator, number: int, bins: int) -> list[tuple[int, int]]:
    """Campaigns with at least four days between them and five before the first."""
    while True:
        lengths = rng.integers(2 * A_DAY, 10 * A_DAY + 1, number)
        begins = np.sort(rng.integers(5 * A_DAY, bins - 13 * A_DAY, number))
        ends = begins + lengths
        if (begins[1:] - ends[:-1] >= 4 * A_DAY).all():
            return list(zip(begins.tolist(), ends.tolist(), strict=True))
