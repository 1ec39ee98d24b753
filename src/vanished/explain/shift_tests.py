"""Whether a series lies higher in given episodes than else, where its days are not independent.

In: a daily series, some days of it missing, and which days belong to episodes. Out: the difference
and two p-values, one-sided. Tests that take days as independent find effects in a sixth of the
autocorrelated series that have none; these two keep their level, each by another kind of chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """`difference`: mean in episodes minus mean else. `shift` and `block` are the p-values, `p` the
    larger: both must agree. `days`: known days in episodes, and else."""

    difference: float
    shift: float
    block: float
    days: tuple[int, int]

    @property
    def p(self) -> float:
        return max(self.shift, self.block)


def permutation_test(
    values: ArrayLike,
    inside: ArrayLike,
    rng: np.random.Generator,
    *,
    block_days: int = 14,
    resamples: int = 1999,
) -> Difference | None:
    """The test of a series of shape (T,), NaN where missing, and a mask of the same shape.

    `shift`: the series is turned round against the calendar by every number of days (a circular
    shift test), which keeps all of its own structure. `block`: stretches of `block_days` days
    change places, turned by a random number of days first, so that the cuts lie elsewhere each
    time. None where no day, or every day, lies in an episode.
    """
    series, mask = np.asarray(values, float), np.asarray(inside, bool)
    there = np.isfinite(series)
    days = int((there & mask).sum()), int((there & ~mask).sum())
    if not all(days):
        return None
    known = np.where(there, series, 0.0)
    weight = mask.astype(float)
    observed = float(_difference(known[None], there[None], weight)[0])
    turns = (np.arange(series.size)[:, None] + np.arange(series.size)) % series.size
    shifted = _difference(known[turns], there[turns], weight)
    order = _blocks(series.size, block_days, resamples, rng)
    moved = _difference(known[order], there[order], weight)
    tiny = 1e-12 * max(abs(observed), 1e-9)  # the series itself is one of them
    shift = float((shifted >= observed - tiny).mean())
    block = float((1 + (moved >= observed - tiny).sum()) / (resamples + 1))
    return Difference(observed, shift, block, days)


def _difference(values: Floats, there: NDArray[np.bool_], weight: Floats) -> Floats:
    """Mean inside minus mean outside of each row; -inf where a row has none of them."""
    n = there @ weight
    m = there.sum(axis=1) - n
    inside, total = values @ weight, values.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = inside / n - (total - inside) / m
    return np.asarray(np.where((n > 0) & (m > 0), found, -np.inf), float)


def _blocks(
    days: int, block_days: int, resamples: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Orders of the days, shape (resamples, days), in which blocks change places."""
    number = -(-days // block_days)
    places = rng.permuted(np.tile(np.arange(number), (resamples, 1)), axis=1)
    turned = rng.integers(0, days, (resamples, 1))
    orders = (places[:, :, None] * block_days + np.arange(block_days)).reshape(resamples, -1)
    flat = orders[orders < days].reshape(resamples, days)
    return np.asarray((flat + turned) % days, np.int64)
