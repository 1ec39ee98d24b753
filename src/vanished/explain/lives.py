"""How the posts of one group end: incidence by cause with bands, and a fitted curve beside it.

In: ages of the group's posts, what ended each, their accounts. Out: `Lives`. Bands are percentiles
of estimates from resamples of accounts (clusters): posts of one author are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from vanished.explain.ages import Ages, Grid
from vanished.explain.counted import Clusters, Counted, count
from vanished.explain.limited import Limited, chosen, fit
from vanished.explain.speed_settings import SpeedSettings
from vanished.explain.turnbull import Incidence, npmle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BATCH: Final = 25  # resamples estimated together
_LEVEL: Final = 0.025  # on either side of an interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; not a number where it cannot be said."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, samples: Floats, levels: tuple[float, float]) -> Estimate:
        low, high = _percentile(samples, levels)
        return cls(value, float(low), float(high))


def _percentile(
    samples: Floats, level: float | tuple[float, float], axis: int | None = None
) -> Any:
    """The percentile at place level × (resamples + 1): the usual one makes intervals too short."""
    return np.quantile(samples, level, axis=axis, method="weibull")


def levels(clusters: float) -> tuple[float, float]:
    """Which percentiles of resamples make a 95 % interval: wider ones where clusters are few.

    Resamples of n clusters vary too little, by (n - 1) / n, and know nothing of Student's t. These
    are Hesterberg's (2015) expanded percentiles; of many clusters they are 2.5 % and 97.5 %.
    """
    degrees = max(clusters - 1, 1)
    wide = float(np.sqrt((degrees + 1) / degrees) * stdtrit(degrees, _LEVEL))
    low = float(ndtr(wide))
    return low, 1 - low


@dataclass(frozen=True, slots=True)
class Curve:
    """A cause's cumulative incidence at the ages asked for, as shares of posts alive at `since_h`.

    Arrays have an entry an age. What looks leave open lies between `least` and `most`; `low` and
    `high` are the 95 % band of these two. `fit…` are those of the fitted curve, or None.
    """

    losses: int
    accounts: int  # that had losses
    estimate: Floats
    least: Floats
    most: Floats
    low: Floats
    high: Floats
    fit: Floats | None = None
    fit_low: Floats | None = None
    fit_high: Floats | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the fitted curve says of the first cause beyond the ages that were looked at."""

    family: str
    ever: Estimate  # share of posts alive at `since_h` that it takes in the end
    median_h: Estimate  # age by which half of all that it ever takes are gone
    off: float  # most that it leaves the 95 % band by at any age: share of the cause's losses
    holds: bool


@dataclass(frozen=True, slots=True)
class Lives:
    """One group. `curves` has a key for each cause, and "any" for all together."""

    posts: int
    accounts: int
    since_h: float  # the age from which enough posts were at risk
    ages_h: Floats  # of those asked for: from `since_h` to where too few are left
    at_risk: Ints  # posts at risk at these ages
    curves: dict[str, Curve]
    median_h: Estimate  # age by which half of the first cause's losses until the last age are gone
    within: tuple[tuple[float, Estimate], ...]  # by age: which share of them was gone by then
    fitted: Fitted | None

    def without_first(self) -> Lives:
        """The same where the first cause has losses of too few accounts to be told of."""
        nothing = Estimate(np.nan, np.nan, np.nan)
        curves = dict(list(self.curves.items())[1:])
        return replace(self, curves=curves, median_h=nothing, within=(), fitted=None)

    def without_curves(self) -> Lives:
        """The same where no loss at all may be told of."""
        return replace(self.without_first(), curves={})


def lives(
    found: Ages,
    cause: Ints,
    names: Sequence[str],
    account: Ints,
    settings: SpeedSettings,
    rng: np.random.Generator,
    cluster: Ints | None = None,
) -> Lives | None:
    """Estimate one group; None if too few of its posts were ever at risk.

    `cause[i]` indexes `names` (the first is that of removal), -1 is censored. `cluster` is what is
    resampled, accounts unless given.
    """
    if found.entry.size < settings.at_risk:
        return None
    rank = max(settings.at_risk, found.entry.size // 10)
    entered = float(np.partition(found.entry, rank - 1)[rank - 1])
    grid = Grid.of(found, settings.ages_h, settings.cells)
    since = int(grid.after(np.array([entered]))[0])
    clusters = count(found, grid, cause, len(names), account if cluster is None else cluster)
    thin = max(float(settings.at_risk), settings.tail * found.entry.size)
    point = npmle(clusters.whole, since, thin=thin)
    places, risk = _places(point, grid, settings, thin)
    if not places.size:
        return None
    authors = np.unique(account).size
    removals = int((cause == 0).sum())
    curve = None
    if removals >= settings.least_losses:
        curve = _Fit.of(clusters.whole, grid.bounds, since, places, settings.margin)
    drawn = _resample(clusters, point, places, curve, settings.resamples, thin, rng)
    curves = {}
    for number, name in enumerate((*names, "any")):
        own = cause == number if name != "any" else cause >= 0
        sizes = int(own.sum()), np.unique(account[own]).size
        curves[name] = drawn.curve(number, sizes)
    ages_h = grid.bounds[places]
    fitted = curve.told(drawn, settings) if curve else None
    return Lives(
        posts=found.entry.size,
        accounts=authors,
        since_h=float(grid.bounds[since]),
        ages_h=ages_h,
        at_risk=np.rint(risk).astype(np.int64),
        curves=curves,
        median_h=drawn.median(ages_h, float(grid.bounds[since])),
        within=drawn.within(ages_h),
        fitted=fitted,
    )


def _places(
    point: Incidence, grid: Grid, settings: SpeedSettings, thin: float
) -> tuple[Ints, Floats]:
    """Bounds of the ages to tell of, and the posts at risk there."""
    asked = grid.before(np.array(sorted(settings.ages_h)))
    asked = asked[(asked > point.since) & (asked < grid.cells)]
    risk = point.at_risk[asked, 0]
    good = risk >= thin
    return asked[good], risk[good]


@dataclass(frozen=True, slots=True)
class _Fit:
    """The fitted curve of two causes: the first, and all others together."""

    point: Limited
    bounds: Floats
    since: int
    places: Ints
    causes: int

    @classmethod
    def of(cls, whole: Counted, bounds: Floats, since: int, places: Ints, margin: float) -> _Fit:
        two = _two(whole)
        return cls(chosen(two, bounds, margin), bounds, since, places, two.causes)

    def again(self, sample: Counted) -> Limited:
        return fit(_two(sample, self.causes), self.bounds, self.point.family, self.point.theta)

    def at(self, one: Limited) -> Floats:
        """(2, ages) of the first cause and of any, and in a last column the share ever taken;
        of posts alive at `since`."""
        ages = self.bounds[[self.since, *self.places]]
        by = np.concatenate([one.by(ages), one.ever[:, None]], axis=1)
        before = by[:, :1]
        by = (by[:, 1:] - before) / (1 - before.sum())
        return np.stack([by[0], by.sum(axis=0)])

    def told(self, drawn: _Drawn, settings: SpeedSettings) -> Fitted:
        first = self.at(self.point)[0]
        assert drawn.fit is not None
        assert drawn.fit_median is not None
        band = drawn.curve(0, (1, 1))
        outside = np.maximum(band.low - first[:-1], first[:-1] - band.high).max(initial=0)
        off = float(outside / max(band.estimate[-1], 1e-12))
        return Fitted(
            family=self.point.family.value,
            ever=Estimate.of(float(first[-1]), drawn.fit[:, 0, -1], drawn.levels),
            median_h=Estimate.of(float(self.point.medians()[0]), drawn.fit_median, drawn.levels),
            off=off,
            holds=bool(off <= settings.tolerance),
        )


def _two(counts: Counted, causes: int = 0) -> Counted:
    """The same with all causes but the first as one."""
    cause = np.minimum(counts.cause, 1)
    return replace(counts, cause=cause, causes=causes or int(cause.max()) + 1)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Estimates at the places: of all data, and of each resample. The last cause is any."""

    point: tuple[Floats, Floats, Floats]  # estimate, least, most: (causes + 1, ages)
    samples: tuple[Floats, Floats, Floats]  # (causes + 1, ages, resamples)
    point_fit: Floats | None
    fit: Floats | None  # (resamples, 2, ages + 1), see `_Fit.at`
    fit_median: Floats | None  # (resamples,)
    clusters: int  # that were resampled

    @property
    def levels(self) -> tuple[float, float]:
        return levels(self.clusters)

    def curve(self, number: int, sizes: tuple[int, int]) -> Curve:
        estimate, least, most = (of[number] for of in self.point)
        low = _percentile(self.samples[1][number], self.levels[0], axis=1)
        high = _percentile(self.samples[2][number], self.levels[1], axis=1)
        bands = np.minimum(low, least), np.maximum(high, most)
        if not sizes[0]:  # resamples of no loss have none: the bound of none among so many accounts
            bands = bands[0], np.full_like(high, 1 - _LEVEL ** (1 / max(self.clusters, 1)))
        curve = Curve(*sizes, estimate, least, most, *bands)
        which = {0: 0, self.point[0].shape[0] - 1: 1}.get(number)
        if self.fit is None or self.point_fit is None or which is None:
            return curve
        ends = _percentile(self.fit[:, which, :-1], self.levels, axis=0)
        return replace(curve, fit=self.point_fit[which, :-1], fit_low=ends[0], fit_high=ends[1])

    def within(self, ages_h: Floats) -> tuple[tuple[float, Estimate], ...]:
        """The share of the first cause's losses by the last age that were gone by each age. The
        interval runs from the least to the most that looks leave open."""
        (by, least, most), (_, leasts, mosts) = (
            (o[0] for o in of) for of in (self.point, self.samples)
        )
        end, ends = by[-1], np.maximum(self.samples[0][0, -1], 1e-12)
        found = []
        for place, age in enumerate(ages_h):
            if not end > 0:
                break
            low = float(_percentile(leasts[place] / ends, self.levels[0]))
            high = float(_percentile(mosts[place] / ends, self.levels[1]))
            low, high = min(low, least[place] / end), max(high, most[place] / end)
            found.append((float(age), Estimate(float(by[place] / end), low, min(high, 1.0))))
        return tuple(found)

    def median(self, ages_h: Floats, since_h: float) -> Estimate:
        """Where the first cause's incidence has half of what it has at the last age; straight
        between the ages asked for. The interval is from the most to the least."""
        half = self.point[0][0, -1] / 2
        halves = self.samples[0][0, -1] / 2
        value = _crossing(self.point[0][0], half, ages_h, since_h)
        early = [
            _crossing(c, h, ages_h, since_h)
            for c, h in zip(self.samples[2][0].T, halves, strict=True)
        ]
        late = [
            _crossing(c, h, ages_h, since_h)
            for c, h in zip(self.samples[1][0].T, halves, strict=True)
        ]
        if not half > 0:
            return Estimate(np.nan, np.nan, np.nan)
        low = _percentile(np.array(early), self.levels[0])
        high = _percentile(np.array(late), self.levels[1])
        return Estimate(value, float(low), float(high))


def _crossing(by: Floats, level: float, ages_h: Floats, since_h: float) -> float:
    """The age at which a rising curve, 0 at `since_h`, reaches `level`."""
    place = int(np.argmax(by >= level)) if (by >= level).any() else by.size - 1
    before, start = (by[place - 1], ages_h[place - 1]) if place else (0.0, since_h)
    step = by[place] - before
    part = min(max((level - before) / step, 0.0), 1.0) if step > 0 else 1.0
    return float(start + part * (ages_h[place] - start))


def _resample(
    clusters: Clusters,
    point: Incidence,
    places: Ints,
    curve: _Fit | None,
    resamples: int,
    thin: float,
    rng: np.random.Generator,
) -> _Drawn:
    """Estimate `resamples` resamples of clusters, a batch at a time."""
    samples: list[tuple[Floats, Floats, Floats]] = []
    fits, medians = [], []
    for begun in range(0, resamples, _BATCH):
        counts = clusters.resampled(rng, min(_BATCH, resamples - begun))
        one = npmle(counts, point.since, thin=thin, start=point.hazard, tol=1e-4, most=200)
        samples.append(_at(one, places))
        for number in range(counts.losses.shape[1] if curve else 0):
            assert curve is not None
            again = curve.again(_single(counts, number))
            fits.append(curve.at(again))
            medians.append(float(again.medians()[0]))
    whole = tuple(of[:, :, 0] for of in _at(point, places))
    joined = tuple(np.concatenate(parts, axis=2) for parts in zip(*samples, strict=True))
    return _Drawn(
        (whole[0], whole[1], whole[2]),
        (joined[0], joined[1], joined[2]),
        curve.at(curve.point) if curve else None,
        np.array(fits) if curve else None,
        np.array(medians) if curve else None,
        clusters.number,
    )


def _single(counts: Counted, number: int) -> Counted:
    one = slice(number, number + 1)
    return replace(
        counts,
        losses=counts.losses[:, one],
        entered=counts.entered[:, one],
        censored=counts.censored[:, one],
    )


def _at(found: Incidence, places: Ints) -> tuple[Floats, Floats, Floats]:
    """Estimate, least and most at the places, (causes + 1, ages, B); the last cause is any."""
    parts = [of[:, places] for of in (found.by, found.least, found.most)]
    joined = [np.concatenate([of, of.sum(axis=0, keepdims=True)]).clip(0, 1) for of in parts]
    return joined[0], joined[1], joined[2]
