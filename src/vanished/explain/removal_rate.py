"""How many posts were removed in each bin of time, of how many that could have been.

In: posts, and when nobody was looking. Out: a series. A loss is known to an interval, and is spread
evenly over it, so a bin may hold a part of a removal. A bin in which nobody looked for more than
half of the time is missing: neither calm nor storm. Only young posts count where posts at risk are
the denominator, and each weighs as much as posts of its age are removed (indirect standardization):
most removals come early, and a day with many new posts would else look like a storm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.explain.fate import Fate, fates
from vanished.model import DAY, HOUR, Micros

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
AGES: Final = (HOUR, 6 * HOUR, DAY, 3 * DAY)  # posts between two of them are removed alike


class Of(StrEnum):
    """The denominator of a rate."""

    AUTO = "auto"  # losses where no post survived: then only losses were recorded
    AT_RISK = "posts at risk"
    LOSSES = "losses"


@dataclass(frozen=True, slots=True)
class RateSettings:
    """How a series is cut and counted."""

    bin_h: float = 24.0
    of: Of = Of.AUTO
    age_days: float = 7.0  # of posts at risk, from their publication, or first sight
    open_too: bool = False  # count losses of an open cause as removals
    covered: float = 0.5  # of a bin, below which it is missing


@dataclass(frozen=True, slots=True, eq=False)
class RemovalRate:
    """`begin`: edges of the bins, microseconds, one more than there are bins. The other arrays have
    one entry a bin; `at_risk` is the mean number of posts at risk, weighted by how much more than
    the average posts of their age are removed, or the number of losses."""

    begin: NDArray[np.int64]
    removed: Floats
    at_risk: Floats
    covered: Floats  # share of the bin
    of: Of
    settings: RateSettings

    @property
    def missing(self) -> Flags:
        return np.asarray(self.covered < self.settings.covered, bool)

    def known(self) -> tuple[Floats, Floats]:
        """Removed and at risk, NaN in the missing bins."""
        return (
            np.where(self.missing, np.nan, self.removed),
            np.where(self.missing, np.nan, self.at_risk),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Each post's times in microseconds, and whether it counts as removed. What nobody here saw
    alive was lost when it was noticed. Posts that say nothing are not `known`."""

    born: NDArray[np.int64]
    start: NDArray[np.int64]  # from when on it was under watch
    last: NDArray[np.int64]  # proven alive until then
    gone: NDArray[np.int64]  # lost by then; of survivors, the same as `last`
    lost: Flags
    removed: Flags
    known: Flags

    @property
    def middle(self) -> NDArray[np.int64]:
        """The middle of the interval of loss; of survivors, the last proof of life."""
        return self.last + (self.gone - self.last) // 2


def moments(posts: pa.Table, *, open_too: bool = False) -> Moments:
    """The times of a table of posts (`archive.arrow.POSTS`)."""
    fate = fates(posts)
    lost = np.isin(fate, (Fate.REMOVED, Fate.AUTHOR, Fate.OPEN, Fate.ACCOUNT))
    removed = fate == Fate.REMOVED
    if open_too:
        removed = removed | (fate == Fate.OPEN)
    first = _micros(posts["first_seen_at"], 0)
    gone_by = _micros(posts["gone_by"], -1)
    until = _micros(posts["alive_until"], -1)
    last = np.where(until >= 0, until, np.where(lost, gone_by, first))
    gone = np.where(lost, np.maximum(gone_by, last), last)
    seen = _micros(posts["alive_from"], -1)  # -1: all answers failed that could prove it alive
    start = np.minimum(np.where(seen >= 0, seen, last), last)
    born = np.minimum(_micros(posts["published_at"], 1 << 62), first)
    known = (lost & (gone_by >= 0)) | (fate == Fate.SURVIVED)
    return Moments(born, start, last, gone, lost, removed, known)


def denominator(times: Moments, of: Of) -> Of:
    """What to divide by: where all that was recorded was lost, the losses."""
    if of is not Of.AUTO:
        return of
    return Of.AT_RISK if (times.known & ~times.lost).any() else Of.LOSSES


def removal_rate(
    posts: pa.Table, coverage: pa.Table, settings: RateSettings | None = None
) -> RemovalRate:
    """The series of `posts`, from midnight (UTC) before the first to the last that is known.

    `coverage` (`archive.arrow.COVERAGE`) says when nobody looked.
    """
    settings = settings or RateSettings()
    times = moments(posts, open_too=settings.open_too)
    of = denominator(times, settings.of)
    edges = edges_of(times, round(settings.bin_h * HOUR))
    counted = times.known.copy()
    if of is Of.AT_RISK:
        counted &= times.middle <= times.born + round(settings.age_days * DAY)
    removed = spread_over(times.last, times.gone, counted & times.removed, edges)
    if of is Of.LOSSES:
        at_risk = spread_over(times.last, times.gone, counted & times.lost, edges)
    else:
        at_risk = _standardized(times, counted, settings.age_days, edges)
        at_risk = np.maximum(at_risk, removed)
    covered = 1 - gaps_within(coverage, edges)
    return RemovalRate(edges, removed, at_risk, covered, of, settings)


def _standardized(
    times: Moments,
    counted: Flags,
    age_days: float,
    edges: NDArray[np.int64],
) -> Floats:
    """Posts at risk in each bin, each age weighted by its removals to the average of all ages."""
    oldest = round(age_days * DAY)
    ages = [0, *(age for age in AGES if age < oldest), oldest]
    lost = counted & times.removed
    at_age = (times.middle - times.born)[lost]
    exposed, removed = [], []
    weight = np.ones(len(counted))
    for young, old in pairwise(ages):
        start = np.maximum(times.start, times.born + young)
        end = np.minimum(times.middle, times.born + old)
        exposed.append(exposed_in(start, end, times.known, edges, weight))
        last = old if old < oldest else old + 1
        removed.append(int(((at_age >= young) & (at_age < last)).sum()))
    total = np.asarray([part.sum() for part in exposed])
    everything = float(total.sum())
    if not everything or not sum(removed):
        return np.asarray(np.sum(exposed, axis=0), float)
    rate = np.asarray(removed) / np.maximum(total, 1e-9)
    weights = rate / (sum(removed) / everything)
    return np.asarray(np.sum([w * part for w, part in zip(weights, exposed, strict=True)], axis=0))


def gaps_within(coverage: pa.Table, edges: NDArray[np.int64]) -> Floats:
    """The share of each bin in which some recorder stood still."""
    rows = zip(*(coverage[name].to_pylist() for name in ("what", "since", "until")), strict=True)
    gaps = sorted((since, until) for what, since, until in rows if what == "gap")
    missing = np.zeros(len(edges) - 1)
    reached = -(1 << 62)
    for since, until in gaps:
        begin = max(since, reached)  # gaps of several recorders count once
        reached = max(reached, until)
        if until > begin:
            missing += np.clip(
                np.minimum(edges[1:], until) - np.maximum(edges[:-1], begin), 0, None
            )
    return np.asarray(missing / np.diff(edges), float)


def _micros(column: pa.ChunkedArray, none: Micros) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(none).to_numpy(), np.int64)


def edges_of(times: Moments, width: Micros) -> NDArray[np.int64]:
    """Edges of bins from the midnight before the first moment to after the last."""
    if not times.known.any():
        return np.zeros(1, np.int64)
    first = int(times.start[times.known].min()) // DAY * DAY
    last = int(times.gone[times.known].max())
    return first + width * np.arange((last - first) // width + 2, dtype=np.int64)


def spread_over(
    low: NDArray[np.int64], high: NDArray[np.int64], which: Flags, edges: NDArray[np.int64]
) -> Floats:
    """One for each of `which`, spread evenly over (low, high], by bin."""
    begin = low[which].astype(float)
    width = np.maximum(high[which] - low[which], 1).astype(float)
    return np.diff(_ramps(begin, 1 / width, edges) - _ramps(begin + width, 1 / width, edges))


def exposed_in(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    which: Flags,
    edges: NDArray[np.int64],
    weight: Floats,
) -> Floats:
    """How many of `which` were there in each bin, on average, each counted `weight` times."""
    which = which & (end > start)
    a, b, each = start[which].astype(float), end[which].astype(float), weight[which]
    return np.diff(_ramps(a, each, edges) - _ramps(b, each, edges)) / np.diff(edges)


def _ramps(start: Floats, slope: Floats, edges: NDArray[np.int64]) -> Floats:
    """At each edge, the sum of slope * (edge - start) over all that started before it."""
    if not len(start):
        return np.zeros(len(edges))
    order = np.argsort(start)
    origin = float(edges[0])  # differences, not moments: their products fit a float
    s, k = start[order] - origin, slope[order]
    place = np.searchsorted(s, edges - origin)
    total = np.concatenate([[0.0], np.cumsum(k)])[place]
    moved = np.concatenate([[0.0], np.cumsum(k * s)])[place]
    return np.asarray(total * (edges - origin) - moved, float)
