"""Removals over time at risk, before and after a post is proven to have crossed a line.

In: posts with their looks. Out: hours at risk and removals by age and account, the two rates, and
their ratio among posts of the same account and age. Whether the line is why they differ
is not shown: what spreads far differs in more than its spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from vanished.explain.crossing import NEVER, Looks, Proof
from vanished.explain.fate import Fate, fates
from vanished.model import HOUR

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
    where one side has no losses or all losses are of one account."""

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
        account=_codes(posts["account"]),
        platform=_codes(posts["platform"]),
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

    Its variance is linearised with accounts as clusters (Binder 1983), since removals of one
    account's posts go together; the interval is of Student's t with the accounts that lost a post.
    """
    s, after = found.stratum, found.after
    strata = int(s.max(initial=-1)) + 1
    sides = (~after, after)
    d = [np.bincount(s[side], found.losses[side], strata) for side in sides]
    t = [np.bincount(s[side], found.hours[side], strata) for side in sides]
    whole = np.maximum(t[0] + t[1], 1e-12)
    top, bottom = float((d[1] * t[0] / whole).sum()), float((d[0] * t[1] / whole).sum())
    if not (top and bottom):
        return Ratio(None, None, None, None)
    value = top / bottom
    losing = len(np.unique(found.account[found.losses > 0]))
    if losing < 2:
        return Ratio(value, None, None, None)
    # derivatives of log(top / bottom) by the losses and hours of each row
    by_loss = np.where(after, t[0][s] / whole[s] / top, -t[1][s] / whole[s] / bottom)
    slope = (d[1] / top + d[0] / bottom) / whole**2
    by_hour = np.where(after, -(slope * t[0])[s], (slope * t[1])[s])
    each = np.bincount(found.account, by_loss * found.losses + by_hour * found.hours)
    each = each[np.unique(found.account)]
    error = math.sqrt(len(each) / (len(each) - 1) * float(((each - each.mean()) ** 2).sum()))
    far = float(stdtrit(losing - 1, 0.975)) * error
    p = 2 * float(stdtr(losing - 1, -abs(math.log(value)) / error))
    return Ratio(value, value * math.exp(-far), value * math.exp(far), p)


def hazards(found: Exposure, ages: int) -> list[float]:
    """Removals an hour in each of `ages` parts of age, before crossing, platforms together."""
    side = ~found.after
    part = found.stratum[side] % ages
    lost = np.bincount(part, found.losses[side], ages)
    hours = np.bincount(part, found.hours[side], ages)
    return [float(n / t) if t else 0.0 for n, t in zip(lost, hours, strict=True)]


def _times(column: pa.ChunkedArray, null: int) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(null).to_numpy(), np.int64)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers in place of names."""
    if not len(column):
        return np.zeros(0, np.int64)
    found = column.combine_chunks().dictionary_encode().indices
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)
