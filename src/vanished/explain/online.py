"""Whether the removal rate has just risen: a Bayesian detector that reads bin after bin.

In: removals and posts at risk, bin by bin. Out: for each bin, how likely a new level began within
the last few, and how far it is above the one before. It serves alerts alone: what it says is taken
back as easily as it was said. Campaigns are found offline, by `change_points`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, gammaln, logsumexp

from vanished.explain.change_points import dispersion

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OnlineSettings:
    """How the detector listens."""

    level_lasts_bins: float = 120.0  # expected length of a level: 30 days of 6 h bins
    prior_posts: float = 50.0  # how much a new level expects the rate of the whole to date
    recent_bins: int = 8  # a level is new as long as it is no older
    chance: float = 0.7  # above it, and with a rise, a bin alerts
    rise: float = 1.3  # times the level before, at least
    longest_bins: int = 400  # ages of levels that are told apart
    first_bins: int = 28  # from which the dispersion is first estimated: no alert before


@dataclass(frozen=True, slots=True)
class Online:
    """Arrays of shape (T,). `chance`: that the level is at most `recent_bins` old. `rise`: the rate
    of the last bins over that of the bins before them. `alert`: bins at which an alert begins."""

    chance: Floats
    rise: Floats
    alert: NDArray[np.bool_]


def online(
    removed: ArrayLike, at_risk: ArrayLike, settings: OnlineSettings | None = None
) -> Online:
    """Run the detector over a series; each bin's answer uses that bin and earlier ones only.

    Bayesian online change-point detection (Adams and MacKay 2007) with a beta-binomial predictive
    whose logarithm is divided by the dispersion, as estimated from the bins to date: a tempered
    likelihood, without which every burst is a change. Bins with nobody at risk are passed over.
    """
    settings = settings or OnlineSettings()
    x, n = np.asarray(removed, float), np.asarray(at_risk, float)
    there = np.flatnonzero(np.isfinite(x) & (np.nan_to_num(n) > 0))
    chance, rise = np.zeros(x.size), np.ones(x.size)
    alert = np.zeros(x.size, bool)
    hazard = 1 / settings.level_lasts_bins
    ages = np.zeros(1)  # log of how likely each age of the level is
    ones, zeros = np.zeros(1), np.zeros(1)  # removals and survivals that each age has seen
    ringing, phi = False, 1.0
    for number, bin_ in enumerate(there.tolist()):
        seen = there[: number + 1]
        if number >= settings.first_bins and (number - settings.first_bins) % 28 == 0:
            phi = dispersion(x[seen], n[seen])
        mean = (x[seen].sum() + 0.5) / (n[seen].sum() + 1)
        a = ones / phi + mean * settings.prior_posts
        b = zeros / phi + (1 - mean) * settings.prior_posts
        fits = _beta_binomial(x[bin_], n[bin_], a, b) / phi
        grown = ages + fits + np.log1p(-hazard)
        born = logsumexp(ages + fits) + np.log(hazard)
        ages = np.concatenate([[born], grown])[: settings.longest_bins]
        ages -= logsumexp(ages)
        ones = np.concatenate([[0.0], ones + x[bin_]])[: settings.longest_bins]
        zeros = np.concatenate([[0.0], zeros + n[bin_] - x[bin_]])[: settings.longest_bins]
        chance[bin_] = float(np.exp(logsumexp(ages[: settings.recent_bins + 1])))
        rise[bin_] = _rise(x[seen], n[seen], settings.recent_bins)
        loud = chance[bin_] > settings.chance and rise[bin_] > settings.rise
        alert[bin_] = loud and not ringing and number >= settings.first_bins
        ringing = loud
    return Online(chance, rise, alert)


def _beta_binomial(x: float, n: float, a: Floats, b: Floats) -> Floats:
    """The log-probability of `x` of `n` for each pair of a and b."""
    choose = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    return np.asarray(choose + betaln(x + a, n - x + b) - betaln(a, b), float)


def _rise(x: Floats, n: Floats, recent: int) -> float:
    """The rate of the last `recent` bins over that of the 28 before them."""
    if x.size <= recent:
        return 1.0
    now = (x[-recent:].sum() + 0.5) / (n[-recent:].sum() + 1)
    before = (x[-recent - 28 : -recent].sum() + 0.5) / (n[-recent - 28 : -recent].sum() + 1)
    return float(now / before)
