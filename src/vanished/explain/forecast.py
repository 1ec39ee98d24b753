"""Will a counter cross a number within some hours: a calibrated probability.

In: histories of counters, to learn from or to ask about. Out: a model as a few numbers, and from it
probabilities with the calibration they rest on. Removal is a competing event: it ends a cascade, so
a removed post teaches nothing about what it would have reached, and a post can be removed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from vanished.errors import UsageError
from vanished.explain.growth import History, active_hours, self_exciting, window

Floats = NDArray[np.float64]

TERMS: Final = ("constant", "baseline", "self-exciting", "window", "recent share")
"""What the logistic regression weighs, in its order."""

PARTS: Final = 24  # of the time ahead, for removal on the way


@dataclass(frozen=True, slots=True)
class Step:
    """Calibration: histories that scored about `score` crossed with `share`, of `n` histories;
    `low` to `high` is a 95 % interval."""

    score: float
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """What was learned for one time ahead: the weights of `TERMS`, and the calibration of the
    scores that they give (probabilities before calibration)."""

    hours: float
    weights: Sequence[float]
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Model:
    """A forecast as numbers."""

    counter: str  # what it was learned from, such as "reposts"
    origin: str  # from what it was learned, in a sentence
    cascades: int
    activity: Sequence[float]  # weight of each hour of the day, UTC, mean 1
    slope: float  # log growth for each unit of the window; Szabo and Huberman's baseline
    bend: float  # and for its square
    noise: float  # standard deviation of log growth, for the square root of the window
    root: float  # how many reposts the post itself weighs as
    horizons: Sequence[Horizon]  # in rising order


@dataclass(frozen=True, slots=True)
class Removal:
    """Removals an hour by age; `per_h` has one more entry than the `ages_h` that part it."""

    ages_h: Sequence[float]
    per_h: Sequence[float]

    def total(self, ages_h: Floats) -> Floats:
        """The cumulative hazard from birth to each age."""
        edges = np.concatenate([[0.0], self.ages_h, [1e6]])
        summed = np.concatenate([[0.0], np.cumsum(np.diff(edges) * np.asarray(self.per_h))])
        return np.asarray(np.interp(ages_h, edges, summed), float)


NO_REMOVAL: Final = Removal((), (0.0,))


@dataclass(frozen=True, slots=True)
class Forecast:
    """The probability of crossing within `hours` of the asking.

    `low` to `high` holds what the counter's interval and the calibration leave open (95 %).
    `removed_first` is the probability of being removed before that within the same hours, and
    `unremoved` that of crossing if nothing were removed.
    """

    hours: float
    crossing: float
    low: float
    high: float
    removed_first: float
    unremoved: float


def forecast(
    model: Model,
    history: History,
    number: int,
    hours: Sequence[float],
    removal: Removal = NO_REMOVAL,
    waited_h: float = 0.0,
) -> Sequence[Forecast]:
    """Probabilities of reaching `number` within each of `hours`, before removal.

    `waited_h` is how long ago the last look was; the post is taken to be alive now. Where the
    counter has reached the number already, the probability is 1. Raises UsageError for hours that
    the model was not learned for.
    """
    last = model.horizons[-1].hours
    if number <= 0 or not len(hours) or min(hours) <= 0 or waited_h < 0:
        raise UsageError("A forecast needs a number above zero and hours above zero.")
    if max(hours) + waited_h > last:
        raise UsageError(f"The model was learned for {last:g} h after a look at most; ask for less,"
                         " or look again.")  # fmt: skip
    if history.low[-1] >= number:
        return [Forecast(h, 1.0, 1.0, 1.0, 0.0, 1.0) for h in sorted(hours)]
    curves = _curves(model, history, number)
    age = float(history.ages_h[-1]) + waited_h
    found = []
    for end in sorted(hours):
        grid = np.linspace(0.0, end, PARTS + 1)
        at = np.concatenate([[0.0], [horizon.hours for horizon in model.horizons]])
        middle, low, high = (np.interp(grid + waited_h, at, curve) for curve in curves)
        left = np.exp(removal.total(np.array([age])) - removal.total(age + grid))
        crossing = [_crossing_first(curve, left) for curve in (middle, low, high)]
        found.append(Forecast(float(end), crossing[0], crossing[1], crossing[2],
                              _removed_first(middle, left), float(middle[-1])))  # fmt: skip
    return found


def terms(model: Model, history: History, counts: Floats, number: int, hours: Floats) -> Floats:
    """The terms of the regression for each of `hours`: shape (hours, `TERMS`)."""
    last = float(history.ages_h[-1])
    ages = active_hours(model.activity, history.born, history.ages_h)
    ahead = active_hours(model.activity, history.born, last + hours) - ages[-1]
    count = max(float(counts[-1]), 0.5)
    need = np.log(number / count)
    wide = np.asarray([window(float(ages[-1]), float(more)) for more in ahead])
    noise = model.noise * np.sqrt(np.maximum(wide, 1e-3))
    baseline = (model.slope * wide + model.bend * wide**2 - need) / noise
    grown = np.log1p(self_exciting(ages, counts, model.root, ahead) / count)
    half = np.interp(ages[-1] / 2, np.concatenate([[0.0], ages]), np.concatenate([[0.0], counts]))
    recent = np.log((max(counts[-1] - half, 0) + 0.5) / (counts[-1] + 1))
    one = np.ones(len(hours))
    return np.stack([one, baseline, (grown - need) / noise, np.log(wide), recent * one], axis=1)


def _curves(model: Model, history: History, number: int) -> tuple[Floats, Floats, Floats]:
    """Chances of having crossed by each horizon if nothing is removed, from 0 on: the middle and
    the ends of what calibration and counter leave open."""
    middle, low, high = _chances(model, history, history.middle, number)
    if not (history.low == history.high).all():
        low = np.minimum(low, _chances(model, history, history.low, number)[1])
        if history.high[-1] >= number:  # it may have crossed already
            high = np.ones(len(high))
        else:
            high = np.maximum(high, _chances(model, history, history.high, number)[2])
    return middle, low, high


def _chances(
    model: Model, history: History, counts: Floats, number: int
) -> tuple[Floats, Floats, Floats]:
    """Calibrated chances by horizon, with the ends of their intervals; all rise from 0."""
    hours = np.asarray([horizon.hours for horizon in model.horizons])
    rows = terms(model, history, np.asarray(counts, float), number, hours)
    found = np.zeros((3, len(hours) + 1))
    for place, (horizon, row) in enumerate(zip(model.horizons, rows, strict=True), 1):
        found[:, place] = calibrated(horizon.steps, float(expit(row @ np.asarray(horizon.weights))))
    middle, low, high = np.maximum.accumulate(found, axis=1)
    return middle, low, high


def calibrated(steps: Sequence[Step], score: float) -> tuple[float, float, float]:
    """The probability of a score with the ends of its 95 % interval; between steps on a line."""
    at = [step.score for step in steps]
    columns = ([s.share for s in steps], [s.low for s in steps], [s.high for s in steps])
    found, low, high = (float(np.interp(score, at, column)) for column in columns)
    return found, low, high


def _crossing_first(chances: Floats, left: Floats) -> float:
    """The chance of crossing before removal: each part of the crossings, times who is `left`."""
    return float(chances[0] + np.diff(chances) @ ((left[1:] + left[:-1]) / 2))


def _removed_first(chances: Floats, left: Floats) -> float:
    """The chance of being removed before crossing."""
    return float(-np.diff(left) @ (1 - (chances[1:] + chances[:-1]) / 2))
