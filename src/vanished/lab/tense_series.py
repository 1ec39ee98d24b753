"""Daily series that remember yesterday, with episodes that do nothing, or something.

In: a seed's generator. Out: a series, and which days belong to episodes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

DAYS: Final = 365
MEMORY: Final = 0.7  # correlation of a day with the one before
EPISODES: Final = 8
LONG: Final = 5  # days


def tense_series(
    rng: np.random.Generator, effect: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A year of an autoregressive series of standard deviation one; in eight episodes of five days
    that do not touch it lies higher by `effect` standard deviations."""
    noise = rng.normal(size=DAYS) * np.sqrt(1 - MEMORY**2)
    series = np.empty(DAYS)
    series[0] = rng.normal()
    for day in range(1, DAYS):
        series[day] = MEMORY * series[day - 1] + noise[day]
    free = DAYS - EPISODES * (LONG + 1)
    gaps = np.sort(rng.integers(0, free + 1, EPISODES))
    inside = np.zeros(DAYS, bool)
    for number, gap in enumerate(gaps.tolist()):
        begin = gap + number * (LONG + 1)
        inside[begin : begin + LONG] = True
    return series + effect * inside, inside
