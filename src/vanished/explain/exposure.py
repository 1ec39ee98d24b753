"""Losses over time at risk, before and after a post is proven to have crossed a line.

In: for each stretch of time at risk its post's account and stratum, its length and its loss. Out:
the two rates, and their ratio among posts of the same age and platform. Whether the line is why
they differ is not shown: what spreads far differs in more than its spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from vanished.explain.shares import Z

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Arrays of shape (strata, accounts, 2): losses and hours at risk; the last axis is before and
    after crossing. Kept as sparse rows: one for each `stratum`, `account`, `after` that occurs."""

    stratum: Ints
    account: Ints
    after: NDArray[np.bool_]
    losses: Floats
    hours: Floats


@dataclass(frozen=True, slots=True)
class Rate:
    """`losses` in `hours` at risk, of `accounts` accounts that had any time at risk."""

    losses: float
    hours: float
    accounts: int

    @property
    def per_1000_h(self) -> float | None:
        """Losses per 1,000 post-hours."""
        return 1000 * self.losses / self.hours if self.hours else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Rate after over rate before, with a 95 % interval and the p of a two-sided test of 1; None
    where one side has no losses or all losses are of one account."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None


def rate(found: Exposure, *, after: bool) -> Rate:
    """One of the two rates, all strata together."""
    side = (found.after == after) & (found.hours > 0)
    return Rate(
        float(found.losses[side].sum()),
        float(found.hours[side].sum()),
        len(np.unique(found.account[side])),
    )


def ratio(found: Exposure) -> Ratio:
    """The Mantel-Haenszel rate ratio over strata (Rothman, Greenland and Lash 2008, ch. 15).

    Its variance is linearised with accounts as clusters (Binder 1983), since removals of one
    account's posts go together.
    """
    strata = int(found.stratum.max(initial=-1)) + 1
    d = [np.bincount(found.stratum[m], found.losses[m], strata) for m in (~found.after, found.after)]
    t = [np.bincount(found.stratum[m], found.hours[m], strata) for m in (~found.after, found.after)]
    whole = np.maximum(t[0] + t[1], 1e-12)
    top, bottom = float((d[1] * t[0] / whole).sum()), float((d[0] * t[1] / whole).sum())
    if not (top and bottom):
        return Ratio(None, None, None, None)
    value = top / bottom
    s, after = found.stratum, found.after
    by_loss = np.where(after, t[0][s] / whole[s] / top, -t[1][s] / whole[s] / bottom)
    by_hour = np.where(
        after,
        -d[1][s] * t[0][s] / whole[s] ** 2 / top - d[0][s] * t[0][s] / whole[s] ** 2 / bottom,
        d[1][s] * t[1][s] / whole[s] ** 2 / top + d[0][s] * t[1][s] / whole[s] ** 2 / bottom,
    )
    each = np.bincount(found.account, by_loss * found.losses + by_hour * found.hours)
    each = each[np.unique(found.account)]
    if len(np.unique(found.account[found.losses > 0])) < 2:
        return Ratio(value, None, None, None)
    error = math.sqrt(len(each) / (len(each) - 1) * float(((each - each.mean()) ** 2).sum()))
    low, high = value * math.exp(-Z * error), value * math.exp(Z * error)
    return Ratio(value, low, high, float(2 * ndtr(-abs(math.log(value)) / error)))
