"""When a series changed its level: offline, with noise that is correlated and never assumed known.

In: values in equal steps of time, some of them missing; or removals and posts at risk in each bin.
Out: where the level changed. The candidates are the segmentations that a kernel change-point search
with a linear kernel finds for falling penalties (ruptures; Arlot, Celisse and Harchaoui 2019).
Among them the one is taken with the least Bayesian information criterion under normal noise with a
first-order autoregression, whose size and correlation are estimated for each. Removals come in
bursts: a noise that is taken from theory instead finds bursts, not campaigns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import ruptures
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TINY: Final = 1e-12  # of a standardized series' variance: below, it is constant


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """One default for every series; none of them is meant to be tuned to one."""

    least_bins: int = 2  # between two changes
    penalty: float = 2.0  # parameters that a change costs, each log T: its place and its size
    steps: int = 60  # penalties of the search, from none to many changes
    deepest: float = 1e-4  # the last of them, as a share of the series' sum of squares
    densest: float = 0.2  # changes a bin at most


@dataclass(frozen=True, slots=True)
class Changes:
    """`at`: first bin of each new level. `levels`: mean of each stretch, in the series' units.

    `correlation` is that of neighbouring residuals, `noise` the standard deviation of what it
    leaves unexplained. `missing` bins belong to no stretch; a change at the end of a gap may lie
    anywhere in it.
    """

    at: tuple[int, ...]
    levels: tuple[float, ...]
    correlation: float
    noise: float
    bins: int
    missing: int


def change_points(values: ArrayLike, settings: ChangeSettings | None = None) -> Changes:
    """Changes of level in a series of shape (T,); a missing value is NaN.

    A missing stretch is left out: what lies before and after it is compared as if they were
    neighbours, so that a gap is neither calm nor storm.
    """
    settings = settings or ChangeSettings()
    series = np.asarray(values, float)
    there = np.flatnonzero(np.isfinite(series))
    known = series[there]
    spread = float(known.std()) if known.size else 0.0
    missing = series.size - known.size
    if known.size < 2 * settings.least_bins + 1 or spread == 0:
        only = (float(known.mean()),) if known.size else ()
        return Changes((), only, 0.0, 0.0, series.size, missing)
    standard = (known - known.mean()) / spread
    best, best_fit = np.inf, (0.0, 0.0)
    chosen: tuple[int, ...] = ()
    for cuts in _candidates(standard, settings):
        likelihood, rho, noise = _fit(standard, cuts)
        criterion = likelihood + settings.penalty * len(cuts) * np.log(known.size)
        if criterion < best:
            best, chosen, best_fit = criterion, cuts, (rho, noise)
    edges = [0, *chosen, known.size]
    levels = tuple(float(known[a:b].mean()) for a, b in pairwise(edges))
    at = tuple(int(there[cut]) for cut in chosen)
    return Changes(at, levels, best_fit[0], best_fit[1] * spread, series.size, missing)


def _candidates(series: Floats, settings: ChangeSettings) -> Sequence[tuple[int, ...]]:
    """Segmentations that are best for some penalty, from none on."""
    search = ruptures.KernelCPD(kernel="linear", min_size=settings.least_bins)
    search.fit(series.reshape(-1, 1))
    found: dict[tuple[int, ...], None] = {(): None}
    squares = float(series @ series)
    for penalty in np.geomspace(squares, squares * settings.deepest, settings.steps):
        cuts = tuple(search.predict(pen=penalty)[:-1])
        if len(cuts) > settings.densest * series.size:
            break
        found[cuts] = None
    return list(found)


def _fit(series: Floats, cuts: Sequence[int]) -> tuple[float, float, float]:
    """Minus twice the log-likelihood of one segmentation, the correlation, the noise.

    The residuals of each stretch are an autoregression of their own that starts in its stationary
    distribution; the correlation is one for all, not negative, and below one.
    """
    edges = [0, *cuts, series.size]
    residual = np.concatenate([series[a:b] - series[a:b].mean() for a, b in pairwise(edges)])
    linked = np.ones(series.size - 1, bool)
    linked[[cut - 1 for cut in cuts]] = False
    before, after = residual[:-1][linked], residual[1:][linked]
    total = float(residual @ residual)
    rho = min(max(float(before @ after) / total, 0.0), 0.999) if total > 0 else 0.0
    innovations = after - rho * before
    starts = residual[np.asarray(edges[:-1])]
    squares = float(innovations @ innovations) + (1 - rho**2) * float(starts @ starts)
    variance = squares / series.size + _TINY
    return series.size * float(np.log(variance)), rho, float(np.sqrt(variance))


def stabilized(removed: ArrayLike, at_risk: ArrayLike, least: int = 1) -> Floats:
    """The rate of each bin on a scale where its noise does not grow with it: twice the arcsine of
    its square root (Anscombe 1948). NaN where fewer than `least` posts were at risk."""
    x, n = np.asarray(removed, float), np.asarray(at_risk, float)
    enough = np.isfinite(x) & np.isfinite(n) & (n >= max(least, 1))
    rate = np.clip(np.divide(x, n, out=np.full(x.shape, np.nan), where=enough), 0, 1)
    return np.asarray(2 * np.arcsin(np.sqrt(rate)), float)


def as_rate(level: float) -> float:
    """A level of the stabilized scale as a rate."""
    return float(np.sin(min(max(level, 0.0), np.pi) / 2) ** 2)


def dispersion(removed: ArrayLike, at_risk: ArrayLike) -> float:
    """How many times the variance of removals exceeds that of independent posts; never below one.

    From differences of neighbouring bins on the stabilized scale, by their median absolute
    deviation, so that changes of level do not count as noise.
    """
    values = stabilized(removed, at_risk)
    n = np.asarray(at_risk, float)
    both = np.isfinite(values[1:]) & np.isfinite(values[:-1])
    if both.sum() < 8:
        return 1.0
    differences = (values[1:] - values[:-1])[both]
    expected = 1 / n[1:][both] + 1 / n[:-1][both]  # of independent posts
    standard = differences / np.sqrt(expected)
    scale = 1.4826 * float(np.median(np.abs(standard - np.median(standard))))
    return max(1.0, scale**2)
