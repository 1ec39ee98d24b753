"""Learn a forecast from cascades that were watched: baseline, weights and calibration.

In: histories with how long each post was watched. Out: a `Model`. A cascade that ended early, by
removal or because nobody looked any more, teaches only what it shows; others like it stand in for
the rest (inverse probability of censoring, Robins and Finkelstein 2000). Nothing is drawn at
random: the parts for calibration are blocks of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

from vanished.errors import UsageError
from vanished.explain.forecast import Horizon, Model, Step, terms
from vanished.explain.growth import QUIET, History, active_hours, window
from vanished.explain.shares import share
from vanished.model import DAY, HOUR

Floats = NDArray[np.float64]
FEWEST: Final = 100
"""Cascades that a model is learned from at least."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """A post to learn from: its looks, and until what age it is known (hours): until its removal or
    the last look."""

    history: History
    ended_h: float


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What is learned."""

    number: int = 500  # the line
    counter: str = "reposts"
    origin: str = "the counts of this observatory"
    ages_h: Sequence[float] = (0.5, 1, 2, 4, 8)  # ages at which forecasts are practised
    horizons_h: Sequence[float] = (1, 3, 6, 12, 24, 48)
    root: float = 50.0  # reposts that the post itself weighs as
    folds: int = 5  # blocks of time; each is scored by what the others taught
    ridge: float = 1.0  # pulls the weights to zero, as so many cascades would
    smallest: int = 50  # forecasts in a step of the calibration


@dataclass(frozen=True, slots=True)
class Practice:
    """Forecasts with their outcome, one a row: features, whether it crossed, weight, the number
    of its cascade, hours ahead."""

    features: Floats
    crossed: Floats
    weight: Floats
    cascade: NDArray[np.int64]
    hours: Floats

    def of(self, hours: float) -> Practice:
        """The forecasts for one time ahead."""
        here = self.hours == hours
        return Practice(self.features[here], self.crossed[here], self.weight[here],
                        self.cascade[here], self.hours[here])  # fmt: skip


def fit(cascades: Sequence[Cascade], settings: FitSettings = FitSettings()) -> Model:
    """A model from cascades in any order. Raises UsageError for fewer than `FEWEST` cascades, or
    where none or all of them cross."""
    if len(cascades) < FEWEST:
        raise UsageError(f"A forecast needs {FEWEST} cascades to learn from; there are"
                         f" {len(cascades)}.")  # fmt: skip
    cascades = sorted(cascades, key=lambda cascade: cascade.history.born)
    model = Model(settings.counter, settings.origin, len(cascades), _activity(cascades), 0.0, 0.0,
                  1.0, settings.root, ())  # fmt: skip
    slope, bend, noise = _baseline(model, cascades, settings)
    model = replace(model, slope=slope, bend=bend, noise=noise)
    practice = practised(model, cascades, settings)
    hours = sorted(settings.horizons_h)
    return replace(model, horizons=tuple(_horizon(practice, h, settings) for h in hours))


def _horizon(practice: Practice, hours: float, settings: FitSettings) -> Horizon:
    """Weights and calibration for one time ahead. Raises UsageError if all came out the same."""
    mine = practice.of(hours)
    if not 0 < mine.crossed.sum() < len(mine.crossed):
        raise UsageError(f"No forecast can be learned: within {hours:g} h either all or none of the"
                         f" cascades crossed {settings.number}.")  # fmt: skip
    fold = mine.cascade * settings.folds // (int(mine.cascade.max()) + 1)
    scores = np.zeros(len(fold))
    for number in range(settings.folds):
        here = fold == number
        scores[here] = expit(mine.features[here] @ _weights(mine, ~here, settings.ridge))
    weights = _weights(mine, np.ones(len(fold), bool), settings.ridge)
    return Horizon(hours, tuple(float(weight) for weight in weights),
                   _steps(mine, scores, settings.smallest))  # fmt: skip


def practised(model: Model, cascades: Sequence[Cascade], settings: FitSettings) -> Practice:
    """Every forecast whose outcome is known, at each age and for each horizon."""
    ended = np.sort([cascade.ended_h for cascade in cascades])
    hours = np.asarray(settings.horizons_h, float)
    features, crossed, weight, of, ahead = [], [], [], [], []
    for number, cascade in enumerate(cascades):
        for age in settings.ages_h:
            history = cascade.history.until(age)
            if history is None or cascade.ended_h < age or history.high[-1] >= settings.number:
                continue
            asked = float(history.ages_h[-1])
            outcome = np.asarray([_outcome(cascade, asked + h, settings.number) for h in hours])
            known = ~np.isnan(outcome)
            if known.any():
                rows = terms(model, history, history.middle, settings.number, hours)
                until = np.minimum(asked + hours, _crossed_by(cascade, settings.number))
                left = [(ended >= a).sum() for a in until]
                features.append(rows[known])
                crossed.append(outcome[known])
                weight.append((ended >= asked).sum() / np.maximum(left, 1)[known])
                of.append(np.full(known.sum(), number))
                ahead.append(hours[known])
    if not crossed:
        raise UsageError(f"No cascade was seen below {settings.number} at the ages to learn from.")
    return Practice(*(np.concatenate(part) for part in (features, crossed, weight, of, ahead)))


def _outcome(cascade: Cascade, age_h: float, number: int) -> float:
    """1 if it was proven to have crossed by this age, 0 if proven not to have, NaN if neither."""
    if _crossed_by(cascade, number) <= age_h:
        return 1.0
    history = cascade.history
    below = history.ages_h[history.high < number]
    return 0.0 if len(below) and below[-1] >= age_h else np.nan


def _crossed_by(cascade: Cascade, number: int) -> float:
    """The age of the first look that proves it; infinite if none does."""
    first = np.flatnonzero(cascade.history.low >= number)
    return float(cascade.history.ages_h[first[0]]) if len(first) else np.inf


def _activity(cascades: Sequence[Cascade]) -> tuple[float, ...]:
    """Reposts by hour of the day, UTC, beside what posts of the same age get; of mean 1.

    Each post's share of its first two days counts, by hour of age and of the day, and is taken as
    the product of both (iterative proportional fitting, Deming and Stephan 1940): posts are
    published at busy hours and are reposted most when they are young. Every hour keeps a tenth of
    the mean, so that the clock never stands still. If an hour has no reposts, no rhythm is assumed.
    """
    days = 48
    came, present = np.zeros((days, 24)), np.zeros((days, 24))
    ages = np.arange(days + 1.0)
    for cascade in cascades:
        history = cascade.history
        if cascade.ended_h < days or history.middle[-1] < 10 or len(history.ages_h) < 10:
            continue
        known = np.interp(ages, np.concatenate([[0.0], history.ages_h]),
                          np.concatenate([[0.0], history.middle]))  # fmt: skip
        more = np.maximum(np.diff(known), 0)
        hour = ((history.born % DAY) / HOUR + ages[:-1] + 0.5).astype(int) % 24
        np.add.at(came, (np.arange(days), hour), more / max(float(more.sum()), 1.0))
        np.add.at(present, (np.arange(days), hour), 1.0)
    if not (came.sum(axis=0) > 0).all():
        return QUIET
    level = np.ones(24)
    for _ in range(50):
        by_age = came.sum(axis=1) / np.maximum(present @ level, 1e-12)
        level = came.sum(axis=0) / np.maximum(by_age @ present, 1e-12)
        level = np.maximum(level / level.mean(), 0.1)
    return tuple(float(value) for value in np.round(level / level.mean(), 3))


def _baseline(
    model: Model, cascades: Sequence[Cascade], settings: FitSettings
) -> tuple[float, float, float]:
    """Slope, bend and noise of log growth over the window (Szabo and Huberman 2010).

    Only of counts of five and more: the logarithm of fewer says little.
    """
    wide, grown, weight = [], [], []
    ended = np.sort([cascade.ended_h for cascade in cascades])
    for cascade in cascades:
        for age in settings.ages_h:
            history = cascade.history.until(age)
            if history is None or history.middle[-1] < 5:
                continue
            asked = float(history.ages_h[-1])
            for horizon in settings.horizons_h:
                later = cascade.history.until(asked + horizon)
                end = asked + horizon
                if later is None or cascade.ended_h < end or later.ages_h[-1] < asked + horizon / 2:
                    continue
                ages = active_hours(model.activity, history.born, np.array([asked, end]))
                wide.append(window(float(ages[0]), float(ages[1] - ages[0])))
                grown.append(np.log(later.middle[-1] / history.middle[-1]))
                weight.append((ended >= asked).sum() / max(1, (ended >= end).sum()))
    if len(wide) < 20:
        raise UsageError("Too few cascades were watched through a horizon to learn growth from.")
    u, g, w = np.asarray(wide), np.asarray(grown), np.asarray(weight)
    columns = np.stack([u, u**2], axis=1) * np.sqrt(w / u)[:, None]
    slope, bend = np.linalg.lstsq(columns, g * np.sqrt(w / u), rcond=None)[0]
    noise = np.sqrt(np.average((g - slope * u - bend * u**2) ** 2 / u, weights=w))
    return float(slope), float(bend), float(max(noise, 0.05))


def _weights(practice: Practice, chosen: NDArray[np.bool_], ridge: float) -> Floats:
    """Weights of the logistic regression that are most likely, with a small pull to zero."""
    x, y, w = practice.features[chosen], practice.crossed[chosen], practice.weight[chosen]
    sign = 2 * y - 1

    def loss(b: Floats) -> tuple[float, Floats]:
        z = sign * (x @ b)
        slope = -(w * sign * expit(-z)) @ x + ridge * np.r_[0, b[1:]]
        return float(w @ np.logaddexp(0, -z) + ridge * b[1:] @ b[1:] / 2), slope

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x, float)


def _steps(practice: Practice, scores: Floats, smallest: int) -> tuple[Step, ...]:
    """Isotonic calibration (Zadrozny and Elkan 2002), in steps of some forecasts at least.

    Intervals take forecasts of one cascade as going together.
    """
    order = np.argsort(scores, kind="stable")
    level = isotonic_regression(practice.crossed[order], weights=practice.weight[order]).x
    starts = [0]
    for n in range(1, len(level)):
        if level[n] > level[n - 1] and n - starts[-1] >= smallest and len(level) - n >= smallest:
            starts.append(n)
    steps = []
    for begin, end in zip(starts, [*starts[1:], len(level)], strict=True):
        here = order[begin:end]
        of, size = practice.cascade[here], int(practice.cascade.max()) + 1
        w = practice.weight[here]
        found = share(
            np.bincount(of, practice.crossed[here], size), np.bincount(of, minlength=size)
        )
        value = float(np.average(practice.crossed[here], weights=w))
        low, high = (value if end is None else end for end in (found.low, found.high))
        steps.append(Step(float(np.average(scores[here], weights=w)), value, min(low, value),
                          max(high, value), end - begin))  # fmt: skip
    return tuple(steps)
