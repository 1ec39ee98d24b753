"""A curve through how lives end, where only some of the posts are ever taken.

In: lives counted on a grid. Out: for each cause the share that it takes in the end and the law of
the ages at which it does. That is the limited-failure-population (cure) model, by cause: the
cumulative incidence is share × G((log age - location) / scale), as Jeong and Fine (2006)
parametrise competing causes directly. A curve can be wrong: compare it with `turnbull`. For one
cause it is surpyval's fit with `lfp`, which tests compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, ndtr

from vanished.explain.counted import Counted

Floats = NDArray[np.float64]


class Family(StrEnum):
    """The law of the logarithm of age."""

    LOGNORMAL = "lognormal"
    LOGLOGISTIC = "loglogistic"
    WEIBULL = "weibull"


def _normal(z: Floats) -> tuple[Floats, Floats]:
    return ndtr(z), np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


def _logistic(z: Floats) -> tuple[Floats, Floats]:
    g = expit(z)
    return g, g * (1 - g)


def _gumbel(z: Floats) -> tuple[Floats, Floats]:
    power = np.exp(np.clip(z, -700, 700))
    return -np.expm1(-power), np.exp(np.clip(z, -700, 700) - power)


_LAWS: Final = {
    Family.LOGNORMAL: _normal,
    Family.LOGLOGISTIC: _logistic,
    Family.WEIBULL: _gumbel,
}  # distribution function and density of the standard law
_HALF: Final[Mapping[Family, float]] = {
    Family.LOGNORMAL: 0.0,
    Family.LOGLOGISTIC: 0.0,
    Family.WEIBULL: float(np.log(np.log(2))),
}  # the median of the standard law
_LEAST: Final = 1e-300
_SCALES: Final = (0.15, 6.0)


@dataclass(frozen=True, slots=True)
class Limited:
    """One fit. Arrays have an entry a cause; ages in hours."""

    family: Family
    theta: Floats  # log share over the share never taken, location, log scale: (3, causes)
    log_likelihood: float
    converged: bool

    @property
    def ever(self) -> Floats:
        """The share of all posts that each cause takes in the end."""
        return _shares(self.theta[0])

    def by(self, age: Floats) -> Floats:
        """Cumulative incidence of each cause by each age: (causes, ages), from publication on."""
        law = _LAWS[self.family](_z(self.theta, age))[0]
        found: Floats = self.ever[:, None] * law
        return found

    def medians(self) -> Floats:
        """The age by which half of those that each cause ever takes are gone, hours."""
        law = _HALF[self.family]
        found: Floats = np.exp(self.theta[1] + law * np.exp(self.theta[2]))
        return found

    @property
    def aic(self) -> float:
        return 2 * self.theta.size - 2 * self.log_likelihood


def fit(counts: Counted, bounds: Floats, family: Family, start: Floats | None = None) -> Limited:
    """The maximum likelihood fit to the first sample of `counts`.

    `bounds` are those of the grid, hours. `start` is the `theta` of a similar fit. There must be
    at least one cause, with at least one loss each.
    """
    sample = _Sample.of(counts, bounds, family)
    if start is None:
        start = sample.guess()
    span = np.log(bounds[-1])
    limits = [(-12.0, 12.0)] * counts.causes
    limits += [(np.log(1 / 3600), span + 4)] * counts.causes
    limits += [(np.log(_SCALES[0]), np.log(_SCALES[1]))] * counts.causes
    found = minimize(
        sample.loss, start.ravel(), jac=True, method="L-BFGS-B", bounds=limits,
        options={"maxiter": 300, "ftol": 1e-10},
    )  # fmt: skip
    theta = np.asarray(found.x).reshape(3, -1)
    return Limited(family, theta, -float(found.fun) * sample.total, bool(found.success))


def _shares(logits: Floats) -> Floats:
    power = np.exp(logits)
    found: Floats = power / (1 + power.sum())
    return found


def _z(theta: Floats, age: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        log = np.maximum(np.log(age), -700.0)
    found: Floats = (log[None, :] - theta[1][:, None]) / np.exp(theta[2])[:, None]
    return found


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the likelihood needs of one sample."""

    counts: Counted
    losses: Floats  # (U,)
    alive: Floats  # (M + 1,) censored minus entered: the power of the survival at each bound
    bounds: Floats
    family: Family
    total: float

    @classmethod
    def of(cls, counts: Counted, bounds: Floats, family: Family) -> _Sample:
        alive = (counts.censored - counts.entered)[:, 0]
        total = max(float(counts.entered[:, 0].sum()), 1.0)
        return cls(counts, counts.losses[:, 0], alive, bounds, family, total)

    def guess(self) -> Floats:
        """A place to start from: shares as seen, ages at the middle of their intervals."""
        c, middle = self.counts, np.empty((3, self.counts.causes))
        with np.errstate(divide="ignore"):
            log = np.log(np.maximum((self.bounds[c.left] + self.bounds[c.right]) / 2, 1e-3))
        for cause in range(c.causes):
            own = c.cause == cause
            weight = self.losses[own]
            at = np.average(log[own], weights=weight)
            middle[:, cause] = weight.sum() / self.total, at, 0.3
        never = max(1 - middle[0].sum(), 0.02)
        middle[0] = np.log(np.maximum(middle[0], 1e-5) / never)
        return middle

    def loss(self, flat: Floats) -> tuple[float, Floats]:
        """The negative mean log-likelihood, and its gradient."""
        c, theta = self.counts, flat.reshape(3, -1)
        shares, z = _shares(theta[0]), _z(theta, self.bounds)
        law, density = _LAWS[self.family](z)
        by = shares[:, None] * law
        survival = np.maximum(1 - by.sum(axis=0), _LEAST)
        inside = np.maximum(by[c.cause, c.right] - by[c.cause, c.left], _LEAST)
        value = self.losses @ np.log(inside) + self.alive @ np.log(survival)
        weight = self.losses / inside
        size = self.bounds.size
        slope = np.empty_like(by)
        for cause in range(c.causes):
            own = np.where(c.cause == cause, weight, 0)
            slope[cause] = np.bincount(c.right, own, size) - np.bincount(c.left, own, size)
        slope -= self.alive / survival
        by_share = (slope * by).sum(axis=1)
        scale = np.exp(theta[2])[:, None]
        moved = slope * shares[:, None] * density
        with np.errstate(invalid="ignore"):
            twisted = np.where(density > 0, moved * z, 0)
        gradient = np.stack(
            [by_share - shares * by_share.sum(), -(moved / scale).sum(1), -twisted.sum(1)]
        )
        return -value / self.total, -gradient.ravel() / self.total


def chosen(counts: Counted, bounds: Floats, margin: float) -> Limited:
    """The lognormal fit, unless another family's AIC is lower by more than `margin`.

    Few looks tell the families hardly apart before the first of them, so that the least AIC alone
    would pick among them by chance.
    """
    fits = [fit(counts, bounds, family) for family in Family]
    best = min(fits, key=lambda one: one.aic)
    usual = fits[0]
    return best if best.aic < usual.aic - margin else usual
