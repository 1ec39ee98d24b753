"""Removals over time at risk, before and after a post is proven to have crossed a line.

In: posts with their looks. Out: hours at risk and removals by age and account, the two rates, and
their ratio among posts of the same account and age. Whether the line is why they differ
is not shown: what spreads far differs in more than its spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from vanished.explain.contrast import codes
from vanished.explain.crossing import NEVER, Looks, Proof
from vanished.explain.fate import Fate, fates
from vanished.model import HOUR

GROUPS: Final = 100
"""Of accounts that the jackknife leaves out in turn, at most."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lives:
    """Posts, one array element each. Times are microseconds; `alive_until` and `gone_by` are `-1`
    where unknown, `account` and `platform` are numbers in place of names."""

    account: Ints
    platform: Ints
    born: Ints
    alive_until: Ints
    gone_by: Ints
    removed: Flags


@dataclass(frozen=True, slots=True)
class Exposure:
    """Time at risk in rows: hours and losses of an account's posts in one stratum (age and
    account or platform), before crossing or `after` it."""

    stratum: Ints
    account: Ints
    after: Flags
    losses: Floats
    hours: Floats


@dataclass(frozen=True, slots=True)
class Rate:
    """`losses` in `hours` at risk, of `accounts` accounts that had any time at risk."""

    losses: float
    hours: float
    accounts: int
    losing: int  # accounts with a loss

    @property
    def per_1000_h(self) -> float | None:
        """Losses per 1,000 post-hours."""
        return 1000 * self.losses / self.hours if self.hours else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Rate after over rate before, with a 95 % interval and the p of a two-sided test of 1; None
    where one side has no losses to compare, and no interval where one account has all of them."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None


def lives(posts: pa.Table, *, open_too: bool = False) -> Lives:
    """When each post began and ended (`archive.arrow.POSTS`). It began when its platform claims,
    but not after it was seen. `open_too`: losses with an open cause count as removed."""
    seen = _times(posts["first_seen_at"], 0)
    wanted = [Fate.REMOVED, Fate.OPEN] if open_too else [Fate.REMOVED]
    return Lives(
        account=codes(posts["account"]).astype(np.int64),
        platform=codes(posts["platform"]).astype(np.int64),
        born=np.minimum(_times(posts["published_at"], NEVER), seen),
        alive_until=_times(posts["alive_until"], -1),
        gone_by=_times(posts["gone_by"], -1),
        removed=np.isin(fates(posts), wanted),
    )


def exposure(
    of: Lives, found: Looks, ages_h: Sequence[float], *, within_accounts: bool = True
) -> Exposure:
    """Hours at risk and removals by age and account, before and after crossing.

    Strata are an age and an account, or an age and a platform. Where accounts differ in how often
    they lose posts, platforms as strata make the ratio too small: accounts that lose many have few
    old posts left to compare.

    What counts is what the last look had proven: a look proves a state for the time from it to the
    next look, so that a post is after its crossing only once that was known while it was alive.
    Time in which the counter left it open belongs to neither. A removal counts in the middle of its
    interval, where its time at risk ends; every other post's ends when it was last proven alive.
    """
    alive, gone = of.alive_until, of.gone_by
    end = np.where(of.removed & (alive >= 0), alive + (gone - alive) // 2, alive)
    new = np.ones(len(found.post), bool)
    new[1:] = (found.post[1:] != found.post[:-1]) | (found.proof[1:] != found.proof[:-1])
    post, start, proof = found.post[new], found.at[new], found.proof[new]
    last = np.ones(len(post), bool)
    last[:-1] = post[1:] != post[:-1]
    stop = np.where(last, end[post], np.append(start[1:], 0)[: len(post)])
    lost = last & of.removed[post] & (alive[post] >= start)
    at_risk = (proof != Proof.UNSURE) & (stop > start)
    post, start, stop, lost = post[at_risk], start[at_risk], stop[at_risk], lost[at_risk]
    after, from_, to = (
        proof[at_risk] == Proof.ABOVE,
        start - of.born[post],
        stop - of.born[post],
    )
    edges = np.concatenate([[0.0], np.asarray(ages_h, float) * HOUR, [np.inf]])
    group = of.account if within_accounts else of.platform
    parts = []
    for number in range(len(edges) - 1):
        hours = (np.minimum(to, edges[number + 1]) - np.maximum(from_, edges[number])) / HOUR
        here = hours > 0
        died = lost & (to > edges[number]) & (to <= edges[number + 1])
        stratum = group[post[here]] * (len(edges) - 1) + number
        parts.append((stratum, of.account[post[here]], after[here], died[here] * 1.0, hours[here]))
    return Exposure(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def rate(found: Exposure, *, after: bool) -> Rate:
    """One of the two rates, all strata together."""
    side = found.after == after
    return Rate(
        float(found.losses[side].sum()),
        float(found.hours[side].sum()),
        len(np.unique(found.account[side])),
        len(np.unique(found.account[side & (found.losses > 0)])),
    )


def ratio(found: Exposure) -> Ratio:
    """The Mantel-Haenszel rate ratio over strata (Rothman, Greenland and Lash 2008, ch. 15).

    Its interval is of a jackknife on the logarithm that leaves out one account at a time, or one of
    `GROUPS` groups of accounts, since removals of one account's posts go together. With Student's
    t.
    """
    losses, hours = _sums(found, np.ones(len(found.stratum), bool))
    tells = (hours > 0).all(axis=1) & (losses.sum(axis=1) > 0)  # other strata compare nothing
    losses, hours = losses[tells], hours[tells]
    whole = _log_ratio(losses, hours)
    if whole is None:
        return Ratio(None, None, None, None)
    names, account = np.unique(found.account, return_inverse=True)
    told = np.unique(account[tells[found.stratum]])
    groups = min(GROUPS, len(told))
    group = np.full(len(names), -1)
    group[told] = np.arange(len(told)) % groups
    without = []
    for number in range(groups):
        lost, at_risk = _sums(found, group[account] == number)
        without.append(_log_ratio(losses - lost[tells], hours - at_risk[tells]))
    left = np.asarray([value for value in without if value is not None])
    if groups < 2 or len(left) < groups:
        return Ratio(math.exp(whole), None, None, None)
    error = math.sqrt((groups - 1) / groups * float(((left - left.mean()) ** 2).sum()))
    far = float(stdtrit(groups - 1, 0.975)) * error
    p = 2 * float(stdtr(groups - 1, -abs(whole) / error)) if error else 1.0
    return Ratio(math.exp(whole), math.exp(whole - far), math.exp(whole + far), p)


def _sums(found: Exposure, chosen: Flags) -> tuple[Floats, Floats]:
    """Losses and hours of the chosen rows, of shape (strata, before and after)."""
    size = 2 * (int(found.stratum.max(initial=-1)) + 1)
    cell = 2 * found.stratum[chosen] + found.after[chosen]
    losses = np.bincount(cell, found.losses[chosen], size).astype(float)
    hours = np.bincount(cell, found.hours[chosen], size).astype(float)
    return losses.reshape(-1, 2), hours.reshape(-1, 2)


def _log_ratio(losses: Floats, hours: Floats) -> float | None:
    """The logarithm of the ratio over strata; None where one side has no losses to compare."""
    whole = np.maximum(hours.sum(axis=1), 1e-12)
    top = float((losses[:, 1] * hours[:, 0] / whole).sum())
    bottom = float((losses[:, 0] * hours[:, 1] / whole).sum())
    return math.log(top / bottom) if min(top, bottom) > 1e-9 else None


def hazards(found: Exposure, ages: int) -> list[float]:
    """Removals an hour in each of `ages` parts of age, before crossing, platforms together."""
    side = ~found.after
    part = found.stratum[side] % ages
    lost = np.bincount(part, found.losses[side], ages)
    hours = np.bincount(part, found.hours[side], ages)
    return [float(n / t) if t else 0.0 for n, t in zip(lost, hours, strict=True)]


def _times(column: pa.ChunkedArray, null: int) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(null).to_numpy(), np.int64)
