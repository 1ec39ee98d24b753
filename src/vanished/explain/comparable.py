"""Removals of each day beside what the same accounts and ages would lose on an average day.

In: posts, when nobody looked, and within which groups posts are compared. Out: two daily series,
observed and expected removals; their quotient rises with removals and not with who writes, how much
or how young it is (indirect standardization; expected values by iterative proportional fitting,
Deming and Stephan 1940, of age by group). A group's rate is its own and is drawn to no average:
what is drawn there lets accounts that are often removed look like a storm when they write more.
A day is missing if nobody looked, or if few posts or few accounts were at risk.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.contrast import codes
from vanished.explain.removal_rate import (
    AGES,
    Flags,
    Floats,
    Moments,
    Of,
    denominator,
    edges_of,
    exposed_in,
    gaps_within,
    moments,
    spread_over,
)
from vanished.explain.shares import K
from vanished.model import DAY, Micros

Ints = NDArray[np.int64]
_ROUNDS: Final = 20  # of fitting; four change nothing that can be seen
OLDEST: Final[Micros] = 7 * DAY  # older posts are not at risk: few are removed, and they are many


@dataclass(frozen=True, slots=True, eq=False)
class Comparable:
    """Arrays of shape (days,), but `begin`, which has the end of the last day, too (microseconds).

    `removed` may hold parts of removals, each spread over its interval; `at_risk` are post-days.
    """

    begin: Ints
    removed: Floats
    expected: Floats
    at_risk: Floats
    accounts: Ints  # with a post at risk
    known: Flags


def comparable(
    posts: pa.Table,
    coverage: pa.Table,
    groups: Ints | None = None,
    *,
    at_least: int = 20,
    open_too: bool = False,
) -> Comparable:
    """The series of `posts` (`archive.arrow.POSTS`) by UTC day, with `COVERAGE`'s gaps.

    `groups` are numbers, one a post, beside its account: such as topics. Days with fewer than
    `at_least` posts or `shares.K` accounts at risk are missing. Only losses of posts that were
    seen alive before count, as only these were at risk. Raises UsageError where all posts were
    lost: a list of losses does not say how many posts there were.
    """
    times = moments(posts, open_too=open_too)
    if times.known.any() and denominator(times, Of.AUTO) is Of.LOSSES:
        raise UsageError(
            "Only losses are known here, so the rate of removal among posts is not; test events"
            " on posts of which some survived."
        )
    account = codes(posts["account"]).astype(np.int64) if posts.num_rows else np.zeros(0, np.int64)
    group = account if groups is None else _pairs(account, groups)
    edges = edges_of(times, DAY)
    end = np.minimum(times.middle, times.born + OLDEST)
    there = times.known & (end > times.start)
    counted = there & times.removed & (times.middle <= times.born + OLDEST)
    expected = _expected(times, counted, there, group, edges)
    one = np.ones(posts.num_rows)
    at_risk = exposed_in(times.start, end, there, edges, one)
    accounts = accounts_within(account[there], times.start[there], end[there], edges)
    known = (gaps_within(coverage, edges) <= 0.5) & (at_risk >= at_least) & (accounts >= K)
    removed = spread_over(times.last, times.gone, counted, edges)
    return Comparable(edges, removed, expected, at_risk, accounts, np.asarray(known, bool))


def _pairs(account: Ints, groups: Ints) -> Ints:
    """A number for each pair of account and group."""
    names, group = np.unique(groups, return_inverse=True)
    return np.asarray(np.unique(account * len(names) + group, return_inverse=True)[1], np.int64)


def _expected(times: Moments, counted: Flags, there: Flags, group: Ints, edges: Ints) -> Floats:
    """Removals of each day, if every age and group had its rate of the whole series."""
    if not counted.any():
        return np.zeros(len(edges) - 1)
    spans = [
        (np.maximum(times.start, times.born + young), np.minimum(times.middle, times.born + old))
        for young, old in pairwise((0, *AGES, OLDEST))
    ]
    days = np.stack([
        np.bincount(group, np.where(there, np.maximum(end - start, 0), 0)) for start, end in spans
    ]) / DAY  # fmt: skip
    age = np.searchsorted(AGES, (times.middle - times.born)[counted], "right")
    of_age = np.bincount(age, minlength=len(spans)).astype(float)
    of_group = np.bincount(group[counted], minlength=days.shape[1]).astype(float)
    by_group = np.ones(days.shape[1])
    by_age = _quotient(of_age, days @ by_group)
    for _ in range(_ROUNDS):
        by_group = _quotient(of_group, by_age @ days)
        by_age = _quotient(of_age, days @ by_group)
    parts = [
        rate * exposed_in(start, end, there, edges, by_group[group])
        for rate, (start, end) in zip(by_age, spans, strict=True)
    ]
    return np.asarray(np.sum(parts, axis=0), float)


def _quotient(removed: Floats, risk: Floats) -> Floats:
    return np.divide(removed, risk, out=np.zeros_like(removed), where=risk > 0)


def accounts_within(account: Ints, start: Ints, end: Ints, edges: Ints) -> Ints:
    """How many accounts have a span [start, end) that touches each bin."""
    first = np.searchsorted(edges, start, "right") - 1
    last = np.searchsorted(edges, end, "left") - 1
    order = np.lexsort((first, account))
    who, first, last = account[order], first[order], np.maximum(last, first)[order]
    far = len(edges) + 1
    reached = np.maximum.accumulate(last + who * far) - who * far  # by earlier spans, and itself
    same = np.r_[False, who[1:] == who[:-1]]
    before = np.where(same, np.r_[-1, reached[:-1]], -1) if len(who) else reached
    fresh = np.maximum(first, before + 1)
    new = fresh <= last
    change = np.bincount(fresh[new], minlength=far) - np.bincount(last[new] + 1, minlength=far)
    return np.asarray(np.cumsum(change)[: len(edges) - 1], np.int64)
