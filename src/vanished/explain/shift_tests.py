"""Whether a series lies higher in given episodes than else, where its days are not independent.

In: a daily series, some days of it missing, and which days belong to episodes. Out: the difference
and two p-values, one-sided. Tests that take days as independent find effects in a sixth of the
autocorrelated series that have none; these two keep their level, each by another kind of chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Statistic = Callable[[Ints], Floats]
"""From orders of the days, shape (n, days), to a number of each."""

_AT_ONCE: Final = 256  # orders, so that decades fit into memory
_HALF: Final = 0.5  # of a removal, to both sides of a quotient: it exists where nothing was removed


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


@dataclass(frozen=True, slots=True)
class Contrast:
    """`ratio`: observed to expected in episodes, over the same else, and its 95 % interval; the
    rest as in `Difference`."""

    ratio: float
    low: float
    high: float
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

    def statistic(order: Ints) -> Floats:
        return _difference(known[order], there[order], weight)

    shift, block = _chances(statistic, series.size, block_days, resamples, rng)
    observed = float(statistic(np.arange(series.size)[None])[0])
    return Difference(observed, shift, block, days)


def counts_test(
    removed: ArrayLike,
    expected: ArrayLike,
    known: ArrayLike,
    inside: ArrayLike,
    rng: np.random.Generator,
    *,
    block_days: int = 14,
    resamples: int = 1999,
) -> Contrast | None:
    """The same for counts beside what was expected, of shape (T,): the quotients of sums.

    A mean of daily rates, stabilized or not, depends on how much is expected where that is little:
    days on which more is written then look like an effect. The difference of the quotients of sums
    does not; it is divided by its standard error, of counts that vary as Poisson's and from day to
    day besides, so that episodes in which little is written are not more often extreme. The
    interval is that of the logarithm, by permutations of the blocks with the effect taken out.
    None where nothing is expected on one side.
    """
    there, mask = np.asarray(known, bool), np.asarray(inside, bool)
    counts, hopes = (np.where(there, np.asarray(part, float), 0.0) for part in (removed, expected))
    of = [float(hopes[side].sum()) for side in (mask, ~mask)]
    if min(of) <= 0 or counts.sum() <= 0:
        return None
    counted = _Counts.of(counts, hopes, mask)
    shift, block = _chances(counted.difference, counts.size, block_days, resamples, rng)
    inner, outer = (float(counts[side].sum()) / each for side, each in zip((mask, ~mask), of,
                                                                          strict=True))  # fmt: skip
    ratio = inner / outer if outer else float("inf")
    low, high = _interval(counts, hopes, mask, block_days, resamples, rng)
    days = int((there & mask).sum()), int((there & ~mask).sum())
    return Contrast(ratio, low if inner else 0.0, high if outer else float("inf"), shift, block,
                    days)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Counts, what is expected of them, their variance without effect, and a mask of episodes."""

    counts: Floats
    expected: Floats
    variance: Floats
    inside: Floats

    @classmethod
    def of(cls, counts: Floats, expected: Floats, mask: Flags) -> _Counts:
        """The variance beyond Poisson's, by moments: a share of the square of what is expected."""
        scaled = expected * counts.sum() / expected.sum()
        beyond = float(((counts - scaled) ** 2 - scaled).sum() / (scaled**2).sum())
        return cls(counts, scaled, scaled + max(beyond, 0.0) * scaled**2, mask.astype(float))

    def sides(self, order: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """Quotients in episodes and else, and the variance of each."""
        found = []
        parts = [part[order] for part in (self.counts, self.expected, self.variance)]
        inner = [part @ self.inside for part in parts]
        for counts, of, variance in (
            inner, [part.sum(axis=1) - each for part, each in zip(parts, inner, strict=True)],
        ):  # fmt: skip
            found += [(counts + _HALF) / (of + _HALF), variance / (of + _HALF) ** 2]
        return found[0], found[2], found[1], found[3]

    def difference(self, order: Ints) -> Floats:
        """Of the quotients, in standard errors."""
        inner, outer, *variances = self.sides(order)
        return _over(inner - outer, np.sqrt(np.sum(variances, axis=0)))

    def logarithm(self, order: Ints) -> tuple[Floats, Floats]:
        """Of the ratio of the quotients, and its standard error."""
        inner, outer, v, w = self.sides(order)
        return np.log(inner / outer), np.sqrt(v / inner + w / outer)


def _interval(
    counts: Floats,
    expected: Floats,
    mask: Flags,
    block_days: int,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    own = np.arange(counts.size)[None]
    whole, error = (float(x[0]) for x in _Counts.of(counts, expected, mask).logarithm(own))
    calm = _Counts.of(np.where(mask, counts / np.exp(whole), counts), expected, mask)
    orders = _blocks(counts.size, block_days, resamples, rng)
    far = np.concatenate([_over(*calm.logarithm(part)) for part in _parts(orders)])
    low, high = np.quantile(far, (0.025, 0.975))
    return float(np.exp(whole - high * error)), float(np.exp(whole - low * error))


def _over(what: Floats, error: Floats) -> Floats:
    return np.divide(what, error, out=np.zeros_like(what), where=error > 0)


def _chances(
    statistic: Statistic, days: int, block_days: int, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The p-values of shifts and of blocks: how often the statistic is as large as it is."""
    observed = float(statistic(np.arange(days)[None])[0])
    least = observed - 1e-12 * max(abs(observed), 1e-9)  # the series itself is one of them
    turns = (np.arange(days)[:, None] + np.arange(days)) % days
    orders = _blocks(days, block_days, resamples, rng)
    shifted, moved = (sum(int((statistic(part) >= least).sum()) for part in _parts(each))
                      for each in (turns, orders))  # fmt: skip
    return shifted / days, (1 + moved) / (resamples + 1)


def _parts(orders: Ints) -> list[Ints]:
    return [orders[first : first + _AT_ONCE] for first in range(0, len(orders), _AT_ONCE)]


def _difference(values: Floats, there: Flags, weight: Floats) -> Floats:
    """Mean inside minus mean outside of each row; -inf where a row has none of them."""
    n = there @ weight
    m = there.sum(axis=1) - n
    inside, total = values @ weight, values.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = inside / n - (total - inside) / m
    return np.asarray(np.where((n > 0) & (m > 0), found, -np.inf), float)


def _blocks(days: int, block_days: int, resamples: int, rng: np.random.Generator) -> Ints:
    """Orders of the days, shape (resamples, days), in which blocks change places."""
    number = -(-days // block_days)
    places = rng.permuted(np.tile(np.arange(number), (resamples, 1)), axis=1)
    turned = rng.integers(0, days, (resamples, 1))
    orders = (places[:, :, None] * block_days + np.arange(block_days)).reshape(resamples, -1)
    flat = orders[orders < days].reshape(resamples, days)
    return np.asarray((flat + turned) % days, np.int64)
