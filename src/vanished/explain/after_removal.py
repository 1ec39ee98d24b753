"""What becomes of accounts after their first removed post, beside matched accounts without one.

In: when each account's posts were written and removed, and when accounts were lost, by whom. Out:
the share that platform or law removed by each age. An account's loss is known to an interval, and
an account that its author closes can no longer be removed: so it is a cumulative incidence by
`turnbull`, with intervals from resamples of accounts. No account's number leaves this module.

Each account with a removal has matched ones that stand at risk at that moment: same platform, about
as many posts by then, watched, there, and with no removed post so far (risk-set sampling, Prentice
and Breslow 1978). They are followed until their own first removal, so that they tell what happens
without one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from vanished.explain.counted import Counted
from vanished.explain.fate import Fate, fate
from vanished.explain.lives import levels
from vanished.explain.shares import K, wilson
from vanished.explain.turnbull import npmle
from vanished.explain.who_settings import WhoSettings, finding
from vanished.model import DAY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

FAR: Final = np.int64(1) << 62  # never
AFTER: Final = "after a removal"
_CELLS: Final = 60  # until the last age told of, and as many beyond
_BATCH: Final = 25  # resamples estimated together
_REMOVED, _OTHER = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of each account; moments in microseconds, `FAR`: never."""

    platform: NDArray[np.int32]
    added: Ints
    alive: Ints  # last proof of life; -1: never seen, so it is not followed
    gone: Ints  # lost by then
    other: Flags  # lost, but not certainly to platform or law
    first: Ints  # its first removed post

    @classmethod
    def of(
        cls,
        names: pa.Array,
        platform: NDArray[np.int32],
        first: Ints,
        accounts: pa.Table,
        *,
        open_too: bool,
    ) -> Facts:
        """Of the accounts `names`, from `accounts` (`archive.arrow.ACCOUNTS`)."""
        place = pc.index_in(names, accounts["account"].combine_chunks())

        def taken(column: str, none: int) -> Ints:
            found = accounts[column].combine_chunks().take(place).fill_null(none)
            return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)

        pairs = zip(accounts["state"].to_pylist(), accounts["causes"].to_pylist(), strict=True)
        fates = np.array([fate(state, causes, False) for state, causes in pairs], np.int64)
        by_platform = (fates == Fate.REMOVED) | ((fates == Fate.OPEN) if open_too else False)
        lost = np.isin(fates, (Fate.REMOVED, Fate.ACCOUNT, Fate.AUTHOR, Fate.OPEN))
        row = np.asarray(place.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        ended = (row >= 0) & np.r_[lost, False][row]
        gone = np.where(ended, taken("gone_by", int(FAR)), FAR)
        other = ended & ~np.r_[by_platform, False][row]
        alive = np.where(row >= 0, taken("alive_until", -1), -1)
        return cls(platform, taken("added_at", int(FAR)), alive, gone, other, first)

    def followed(self, day: np.int64) -> Flags:
        """Accounts that were under watch and not known to be lost at that moment."""
        return (
            (self.added <= day)
            & (self.alive >= 0)
            & ((self.gone < FAR) | (self.alive > day))
            & (self.gone > day)
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Accounts that are followed, from moments of their own; arrays have one entry each."""

    account: Ints
    left: Floats  # days until the last proof of life
    right: Floats  # days until the loss was known; infinite: none was
    other: Flags

    def removed_by(self, days: float) -> int:
        """Accounts known to be removed by then."""
        return len(np.unique(self.account[(self.right <= days) & ~self.other]))


def after_removal(
    facts: Facts, author: Ints, written: Ints, rng: np.random.Generator, settings: WhoSettings
) -> list[dict[str, Any]]:
    """Rows of `COLUMNS`: of accounts with a removal, of matched ones, and by how much they differ.

    `author` and `written` are the account and the moment of each post.
    """
    cases, controls = _matched(facts, author, written, rng, settings)
    if len(cases) < K or len(np.unique(controls)) < K:
        return []
    day = facts.first[cases]
    had = _group(facts, cases, day, np.full(len(cases), FAR))
    flat = controls.ravel()
    without = _group(facts, flat, np.repeat(day, settings.controls), facts.first[flat])
    ages = sorted(settings.ages_days)
    cells = [_Cells.of(group, ages) for group in (had, without)]
    point = [
        made.incidence(weight)
        for made, weight in zip(cells, _weights(cases, controls, np.ones((len(facts.gone), 1))),
                                strict=True)
    ]  # fmt: skip
    samples: list[list[Floats]] = [[], []]
    for drawn in _draws(len(facts.gone), cases, controls, rng, settings.follow_resamples):
        for side, weight in enumerate(_weights(cases, controls, drawn)):
            samples[side].append(cells[side].incidence(weight))
    whole = [np.concatenate(parts, axis=2) for parts in samples]
    return _rows(ages, (had, without), point, whole)


def _matched(
    facts: Facts, author: Ints, written: Ints, rng: np.random.Generator, settings: WhoSettings
) -> tuple[Ints, Ints]:
    """Accounts with a removal, and `settings.controls` matched ones of each: (n,) and (n, C)."""
    with_one = np.flatnonzero(facts.first < FAR)
    if len(with_one) > settings.most_cases:
        with_one = rng.choice(with_one, settings.most_cases, replace=False)
    with_one = with_one[np.argsort(facts.first[with_one], kind="stable")]
    order = np.argsort(written, kind="stable")
    ends = np.searchsorted(written[order], facts.first[with_one], side="right")
    posts = np.zeros(len(facts.first), np.int64)
    begun, cases, controls = 0, [], []
    for one, end in zip(with_one.tolist(), ends.tolist(), strict=True):
        posts += np.bincount(author[order[begun:end]], minlength=len(posts))
        begun, day = end, facts.first[one]
        followed = facts.followed(day)
        if not followed[one]:
            continue
        like = followed & (facts.platform == facts.platform[one]) & (facts.first > day)
        like &= (posts * settings.alike >= posts[one]) & (posts <= posts[one] * settings.alike)
        chosen = np.flatnonzero(like)
        if len(chosen) >= settings.controls:
            cases.append(one)
            controls.append(rng.choice(chosen, settings.controls, replace=False))
    shape = (len(cases), settings.controls)
    return np.array(cases, np.int64), np.array(controls, np.int64).reshape(shape)


def _group(facts: Facts, account: Ints, day: Ints, until: Ints) -> _Group:
    """Those accounts from `day` on, as far as `until`: a loss that may be later is none."""
    lost = (facts.gone[account] < FAR) & (facts.gone[account] <= until)
    last = np.minimum(facts.alive[account], until)
    left = np.maximum(last - day, 0) / DAY
    right = np.where(lost, (facts.gone[account] - day) / DAY, np.inf)
    return _Group(account, left, right, lost & facts.other[account])


def _weights(cases: Ints, controls: Ints, drawn: Floats) -> tuple[Floats, Floats]:
    """Weights of cases (n, B) and of controls (n x C, B), of how often accounts were drawn.

    The controls of a case weigh as much as it does, so both sides have the same platforms, moments
    and numbers of posts.
    """
    weight = drawn[cases]
    each = drawn[controls]
    whole = each.sum(axis=1, keepdims=True)
    part = np.divide(each, whole, out=np.zeros_like(each), where=whole > 0)
    return weight, (part * weight[:, None, :]).reshape(-1, drawn.shape[1])


def _draws(
    number: int, cases: Ints, controls: Ints, rng: np.random.Generator, samples: int
) -> Iterator[Floats]:
    """How often each account is in each resample of those that are followed, by batches."""
    followed = np.union1d(cases, controls)
    for begun in range(0, samples, _BATCH):
        size = min(_BATCH, samples - begun)
        drawn = np.zeros((number, size))
        for sample in range(size):
            places = rng.integers(0, len(followed), len(followed))
            drawn[followed, sample] = np.bincount(places, minlength=len(followed))
        yield drawn


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """A group on a grid of ages: its kinds of losses, and who is of which."""

    left: Ints
    right: Ints
    cause: Ints
    losses: sparse.csr_array  # (kinds, accounts of the group)
    censored: sparse.csr_array  # (bounds, accounts of the group)
    places: Ints  # of the ages told of

    @classmethod
    def of(cls, group: _Group, ages: list[float]) -> _Cells:
        """Two halves: a loss that may lie on either side of the last age is shared out by what
        happens on both."""
        most = 2 * _CELLS
        step = ages[-1] / _CELLS
        lost = np.isfinite(group.right) & (group.left < 2 * ages[-1])
        floor = np.minimum(np.floor(group.left / step + 1e-9), most).astype(np.int64)
        left = floor[lost]
        right = np.minimum(np.ceil(group.right[lost] / step - 1e-9), most).astype(np.int64)
        right = np.maximum(right, left + 1)
        key = (left * (most + 1) + right) * 2 + group.other[lost]
        kinds, kind = np.unique(key, return_inverse=True)

        def tally(rows: Ints, which: Ints, size: int) -> sparse.csr_array:
            shape = (size, len(group.left))
            return sparse.csr_array((np.ones(len(rows)), (rows, which)), shape=shape)

        return cls(
            kinds // 2 // (most + 1),
            kinds // 2 % (most + 1),
            kinds % 2,
            tally(kind, np.flatnonzero(lost), len(kinds)),
            tally(floor[~lost], np.flatnonzero(~lost), most + 1),
            np.floor(np.array(ages) / step + 1e-9).astype(np.int64),
        )

    def incidence(self, weight: Floats) -> Floats:
        """(3, ages, B) of removal: least, estimate, most."""
        entered = np.zeros((2 * _CELLS + 1, weight.shape[1]))
        entered[0] = weight.sum(axis=0)
        counts = Counted(self.left, self.right, self.cause, 2, self.losses @ weight, entered,
                         self.censored @ weight)  # fmt: skip
        found = npmle(counts, tol=1e-4, most=500)
        parts = [of[_REMOVED, self.places] for of in (found.least, found.by, found.most)]
        return np.asarray(np.clip(np.stack(parts), 0, 1), float)


def _rows(
    ages: list[float], groups: tuple[_Group, _Group], point: list[Floats], samples: list[Floats]
) -> list[dict[str, Any]]:
    """Each side and the difference, at the ages that k allows."""
    percent = levels(len(groups[0].account))
    names = ("accounts removed within {0} of a first removed post",
             "matched accounts without one, removed within {0}")  # fmt: skip
    rows, told = [], []
    for side, group in enumerate(groups):
        lost = [group.removed_by(age) for age in ages]
        rows += [
            _side(names[side].format(_days(ages[place])), len(np.unique(group.account)),
                  lost[place], point[side][:, place, 0], samples[side][:, place], percent)
            for place in _kept(lost)
        ]  # fmt: skip
        told.append(dict(zip(_kept(lost), rows[-len(_kept(lost)) :], strict=True)))
    for place in sorted(set(told[0]) & set(told[1])):
        one, other = told[0][place], told[1][place]
        if one["value"] is not None and other["value"] is not None:
            name = f"difference of these shares within {_days(ages[place])}"
            rows.append(finding(AFTER, name, one["accounts"], *_apart(one, other)))
    return rows


def _side(
    name: str,
    number: int,
    lost: int,
    point: Floats,
    samples: Floats,
    percent: tuple[float, float],
) -> dict[str, Any]:
    """The row of one side at one age. Of one to four accounts only that they are fewer is told."""
    if 0 < lost < K:
        return finding(AFTER, name, number, None, (0.0, wilson((K - 1) / number, number)[1]))
    low = float(np.quantile(samples[0], percent[0], method="weibull"))
    high = float(np.quantile(samples[2], percent[1], method="weibull"))
    if not lost:  # resamples of none have none: the bound of none among so many
        low, high = 0.0, max(high, 1 - 0.025 ** (1 / number))
    value = float(point[1])
    ends = (min(low, float(point[0])), max(high, float(point[2])))
    return finding(AFTER, name, number, value, ends, removed=lost)


def _apart(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, tuple[float, float]]:
    """The difference of two shares, its interval from theirs (Newcombe 1998, method 10): right
    also where one of them is none."""
    value = one["value"] - other["value"]
    below = math.hypot(one["value"] - one["low"], other["high"] - other["value"])
    above = math.hypot(one["high"] - one["value"], other["value"] - other["low"])
    return value, (value - below, value + above)


def _kept(lost: list[int]) -> list[int]:
    """Ages between which no or enough accounts were lost; the last one always stays."""
    kept = [len(lost) - 1]
    for place in range(len(lost) - 2, -1, -1):
        if lost[place] == 0 or (lost[place] >= K and _enough(lost[kept[0]] - lost[place])):
            kept.insert(0, place)
    return kept


def _days(number: float) -> str:
    return "1 day" if number == 1 else f"{number:g} days"


def _enough(number: int) -> bool:
    return number == 0 or number >= K
