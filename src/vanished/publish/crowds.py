"""No published row stands alone: each is told so coarsely that several accounts' rows read alike.

In: what passed the gate, with the account behind each. Out: the same with times rounded further
until every combination of what is told is shared by posts of `k` accounts, or withheld. Local
recoding of k-anonymity (Sweeney 2002), counted in accounts; pure counting.

What is withheld must not be told by a total less the rest: the withheld of each platform and fate
together, those that the gate withheld with them, are of `k` accounts, or the smallest crowd goes
as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.model import DAY, HOUR, Micros
from vanished.publish.gate import Passed, Withheld, down, up

METHOD: Final = "crowds/1"
WIDTHS: Final = (6 * HOUR, DAY, 7 * DAY, 28 * DAY, 364 * DAY)
ALONE: Final = -1

Ints = NDArray[np.int64]
_NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Crowded:
    """For each item what leaves of it, None where it stands in no crowd; its crowd's accounts."""

    rows: tuple[Passed | None, ...]
    accounts: tuple[int, ...]


def crowded(items: Sequence[Passed | Withheld], account: Ints, platform: Ints, k: int) -> Crowded:
    """Items in their crowds. `account` and `platform` number those of each item, withheld or not.

    Times are the gate's, or coarser; where that does not do, causes and confidence are left out,
    and at the last all times.
    """
    passed = np.array([isinstance(item, Passed) for item in items], bool)
    whole, brief, times = _told(items, _whole), _told(items, _brief), _times(items)
    levels = _levels(items)
    crowd = np.full(len(items), ALONE, np.int64)
    level = np.full(len(items), ALONE, np.int64)
    for number, (in_full, width) in enumerate(levels):
        rest = np.flatnonzero(passed & (level == ALONE))
        if not rest.size:
            break
        told = (whole if in_full else brief)[rest]
        key = np.column_stack([told, *(_at(each[rest], width, upward) for each, upward in times)])
        found, sizes = _groups(key, account[rest])
        enough = sizes[found] >= k
        crowd[rest[enough]] = found[enough] + crowd.max(initial=ALONE) + 1
        level[rest[enough]] = number
    _join(np.where(passed, brief, ALONE), account, crowd, level, len(levels) - 1, k)
    cell = _codes(np.column_stack([platform, [int(item.fate) for item in items]]))
    cover(cell, account, crowd, k)
    rows = [
        _coarser(item, *levels[at]) if isinstance(item, Passed) and one != ALONE else None
        for item, one, at in zip(items, crowd.tolist(), level.tolist(), strict=True)
    ]
    return Crowded(tuple(rows), tuple(_sizes(crowd, account).tolist()))


def _join(brief: Ints, account: Ints, crowd: Ints, level: Ints, last: int, k: int) -> None:
    """Let those that stand alone join the smallest crowds that read alike but for what is left out
    at the `last` level; these are then told as coarsely."""
    for one in np.unique(brief[(crowd == ALONE) & (brief != ALONE)]).tolist():
        inside = np.flatnonzero(brief == one)
        joined = inside[crowd[inside] == ALONE]
        for group in _by_size(crowd[inside[crowd[inside] != ALONE]]):
            if np.unique(account[joined]).size >= k:
                break
            joined = np.concatenate([joined, inside[crowd[inside] == group]])
        if np.unique(account[joined]).size >= k:
            crowd[joined] = crowd.max(initial=ALONE) + 1
            level[joined] = last


def _by_size(crowd: Ints) -> list[int]:
    """The crowds among these, the smallest first."""
    groups, sizes = np.unique(crowd, return_counts=True)
    found: list[int] = groups[np.argsort(sizes, kind="stable")].tolist()
    return found


def cover(cell: Ints, account: Ints, crowd: Ints, k: int) -> None:
    """Withhold further crowds where the withheld of a cell are of too few accounts: these get
    `ALONE` in `crowd`, which numbers the crowd of each item."""
    for one in np.unique(cell[crowd == ALONE]).tolist():
        inside = np.flatnonzero(cell == one)
        for group in _by_size(crowd[inside[crowd[inside] != ALONE]]):
            if np.unique(account[inside[crowd[inside] == ALONE]]).size >= k:
                break
            crowd[inside[crowd[inside] == group]] = ALONE


def _coarser(item: Passed, in_full: bool, width: Micros | None) -> Passed:
    """The same with its times rounded to `width` (None: without any), and without causes and
    confidence unless `in_full`."""
    if not in_full:
        item = replace(item, causes=frozenset(), confidence="")
    if width is None:
        return replace(item, published_from=None, alive_until=None, gone_by=None, rounded=0)
    return replace(
        item,
        published_from=down(item.published_from, width),
        alive_until=down(item.alive_until, width),
        gone_by=up(item.gone_by, width),
        rounded=width,
    )


def _levels(items: Sequence[Passed | Withheld]) -> list[tuple[bool, Micros | None]]:
    """How an item is told, from fine to coarse: whether in full, and the width of its times."""
    finest = max((item.rounded for item in items if isinstance(item, Passed)), default=HOUR)
    widths = [finest, *(finest * -(-width // finest) for width in WIDTHS if width > finest)]
    return [
        *((True, width) for width in widths),
        *((False, width) for width in widths),
        (False, None),
    ]


def _told(items: Sequence[Passed | Withheld], what: Callable[[Passed], tuple[object, ...]]) -> Ints:
    """One number for all that is told of an item beside its times."""
    seen: dict[tuple[object, ...], int] = {}
    found = (what(item) if isinstance(item, Passed) else () for item in items)
    return np.array([seen.setdefault(each, len(seen)) for each in found], np.int64)


def _whole(item: Passed) -> tuple[object, ...]:
    return (*_brief(item), item.causes, item.confidence)


def _brief(item: Passed) -> tuple[object, ...]:
    return (item.platform, item.fate, item.state)


def _times(items: Sequence[Passed | Withheld]) -> list[tuple[Ints, bool]]:
    """The three times of each item, and whether each is rounded up."""
    found = []
    for name, upward in (("published_from", False), ("alive_until", False), ("gone_by", True)):
        values = [getattr(item, name, None) for item in items]
        found.append((np.array([_NEVER if t is None else t for t in values], np.int64), upward))
    return found


def _at(times: Ints, width: Micros | None, upward: bool) -> Ints:
    if width is None:
        return np.zeros_like(times)
    rounded = -(-times // width) if upward else times // width
    return np.where(times == _NEVER, _NEVER, rounded)


def _groups(key: Ints, account: Ints) -> tuple[Ints, Ints]:
    """The number of each row's group, and the accounts of each group."""
    found = _codes(key)
    return found, _accounts(found, account)


def _codes(key: Ints) -> Ints:
    return np.unique(key, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _accounts(group: Ints, account: Ints) -> Ints:
    pairs = np.unique(np.column_stack([group, account]), axis=0)
    return np.bincount(pairs[:, 0], minlength=int(group.max(initial=-1)) + 1).astype(np.int64)


def _sizes(crowd: Ints, account: Ints) -> Ints:
    """The accounts of each item's crowd; 0 where it stands alone."""
    inside = crowd != ALONE
    found = np.zeros(len(crowd), np.int64)
    if inside.any():
        found[inside] = _accounts(crowd[inside], account[inside])[crowd[inside]]
    return found
