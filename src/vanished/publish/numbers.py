"""The numbers that are published, each with its denominator and none of fewer than `k` accounts.

In: for every post its platform, fate, account and times, also of those that stay. Out: counts by
platform and fate, by week, by notice; what a total less the rest would tell is withheld with it.
Whoever was withheld by the gate is counted here, as one of a crowd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.cells import NONE, OTHER, folded
from vanished.explain.fate import Fate
from vanished.explain.withheld import withheld
from vanished.model import DAY, Micros

METHOD: Final = "numbers/1"
ALL: Final = "all"
OTHERS: Final = "other"
WEEK: Final[Micros] = 7 * DAY
NEVER: Final = int(np.iinfo(np.int64).max)
"""A time that did not come."""

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Counted:
    """Posts as they are counted, one element each; times in microseconds, `NEVER` where none."""

    platforms: Sequence[str]  # names, by number
    platform: Ints
    fate: Ints
    account: Ints
    met: Ints
    gone_by: Ints
    looks: Ints
    failed: Ints

    def __len__(self) -> int:
        return len(self.platform)


@dataclass(frozen=True, slots=True)
class Axis:
    """One grouping of posts: the group of each, and the name of each group."""

    group: Ints
    names: Mapping[int, str]


def outcomes(posts: Counted, k: int) -> list[Row]:
    """Posts and accounts by platform and fate, with all totals; hidden cells have nulls.

    Nothing at all where there are fewer than `k` accounts.
    """
    rows = _axis(posts.platform, posts.account, dict(enumerate(posts.platforms)), k)
    columns = _axis(posts.fate, posts.account, {one: one.name.lower() for one in Fate}, k)
    if not len(posts) or NONE in rows.names or NONE in columns.names:
        return []
    r, c = list(rows.names), list(columns.names)
    place = np.searchsorted(r, rows.group), np.searchsorted(c, columns.group)
    inside = _Table(place, posts.account, (len(r), len(c)))
    hidden = inside.hidden(k)
    found = []
    for a in range(len(r) + 1):
        for b in range(len(c) + 1):
            chosen = inside.chosen(a, b)
            if not chosen.any():
                continue
            row: Row = {
                "part": "outcomes",
                "platform": ALL if a == len(r) else rows.names[r[a]],
                "outcome": ALL if b == len(c) else columns.names[c[b]],
                "of_posts": int(inside.chosen(a, len(c)).sum()),
            }
            if not hidden[a, b]:
                row |= _counts(posts, chosen, looks=b == len(c))
            if hidden[a, -1]:
                row["of_posts"] = None
            found.append(row | {"withheld": bool(hidden[a, b])})
    return found


def weeks(posts: Counted, k: int) -> list[Row]:
    """Posts met in each week, and removed in it by platform or law, of those under watch then.

    A week of fewer than `k` accounts is counted among the other weeks.
    """
    everything = np.ones(len(posts), bool)
    removed = (posts.fate == Fate.REMOVED) & (posts.gone_by != NEVER)
    return _weekly(posts, "weeks_met", everything, posts.met, k) + _weekly(
        posts, "weeks_removed", removed, posts.gone_by, k
    )


def notices(posts: Counted, notice: Sequence[str], printed: Sequence[str], k: int) -> list[Row]:
    """How many lost posts showed each notice, by platform of those `printed` elsewhere.

    `notice` is what may leave of the words of each post's notice: "" where it showed none.
    """
    lost = ~np.isin(posts.fate, [Fate.SURVIVED, Fate.UNPROVEN])
    found = []
    for name in printed:
        if name not in posts.platforms:
            continue
        here = np.flatnonzero(lost & (posts.platform == posts.platforms.index(name)))
        if not here.size:
            continue
        words = sorted({notice[n] for n in here.tolist()})
        number = np.array([words.index(notice[n]) for n in here.tolist()], np.int64)
        axis = _axis(number, posts.account[here], dict(enumerate(words)), k)
        for group, shown in axis.names.items():
            if group != NONE:
                chosen = here[axis.group == group]
                found.append({
                    "platform": name, "notice": shown, "others": group == OTHER,
                    "posts": int(chosen.size), "of_posts": int(here.size),
                    "accounts": int(np.unique(posts.account[chosen]).size),
                })  # fmt: skip
    return found


def _weekly(posts: Counted, part: str, among: Flags, times: Ints, k: int) -> list[Row]:
    chosen = np.flatnonzero(among)
    if not chosen.size:
        return []
    week = times[chosen] // WEEK
    names = {int(one): "" for one in np.unique(week)}
    axis = _axis(week, posts.account[chosen], names, k)
    found = []
    for one in axis.names:
        if one == NONE:
            continue
        since = None if one == OTHER else one * WEEK
        here = np.zeros(len(posts), bool)
        here[chosen[axis.group == one]] = True
        row: Row = {"part": part, "platform": ALL, "outcome": ALL, "withheld": False}
        row |= {"since": since, "until": None if since is None else since + WEEK}
        row |= _counts(posts, here, looks=part == "weeks_met")
        found.append(row)
        if part == "weeks_met":
            row["of_posts"] = len(posts)
            continue
        row["outcome"] = Fate.REMOVED.name.lower()
        if since is not None:
            row["of_posts"] = int(((posts.met < since + WEEK) & (posts.gone_by >= since)).sum())
    return found


def _counts(posts: Counted, chosen: Flags, *, looks: bool) -> Row:
    found: Row = {
        "posts": int(chosen.sum()),
        "accounts": int(np.unique(posts.account[chosen]).size),
    }
    if looks:
        found |= {
            "looks": int(posts.looks[chosen].sum()),
            "failed_looks": int(posts.failed[chosen].sum()),
        }
    return found


def _axis(group: Ints, account: Ints, names: Mapping[int, str], k: int) -> Axis:
    """The grouping with small groups put together."""
    new = folded(group, account, accounts=k) if len(group) else group
    known = {OTHER: OTHERS, NONE: ""}
    return Axis(new, {one: known.get(one) or names.get(one, "") for one in np.unique(new).tolist()})


class _Table:
    """Posts in the cells of a table of two groupings, with its totals as last row and column."""

    def __init__(self, place: tuple[Any, Any], account: Ints, shape: tuple[int, int]) -> None:
        self._place, self._account, self._shape = place, account, shape

    def chosen(self, a: int, b: int) -> Flags:
        """The posts of a cell."""
        found = np.ones(len(self._account), bool)
        if a < self._shape[0]:
            found &= self._place[0] == a
        if b < self._shape[1]:
            found &= self._place[1] == b
        return found

    def hidden(self, k: int) -> Flags:
        """Which of all cells to withhold: see `explain.withheld`, which counts posts; that those
        accounts are few which stand behind a cell, or behind what is hidden of a line, comes on
        top."""
        rows, columns = self._shape
        cells = np.zeros(self._shape, np.int64)
        np.add.at(cells, self._place, 1)
        also = np.zeros((rows + 1, columns + 1), bool)
        for a in range(rows):
            for b in range(columns + 1):
                also[a, b] = 0 < self._behind([(a, b)]) < k
        while True:
            found = withheld(cells, k, also=also)
            more = self._lonely_line(cells, found, k)
            if more is None:
                return found
            also[more] = True

    def _lonely_line(self, cells: Ints, hidden: Flags, k: int) -> tuple[int, int] | None:
        """The smallest printed cell of a line whose hidden cells are of too few accounts."""
        rows, columns = self._shape
        lines = [[(a, b) for b in range(columns)] for a in range(rows) if not hidden[a, -1]]
        lines += [[(a, b) for a in range(rows)] for b in range(columns)]
        for line in lines:
            off = [cell for cell in line if hidden[cell]]
            rest = [cell for cell in line if not hidden[cell] and cells[cell]]
            if off and rest and self._behind(off) < k:
                return min(rest, key=lambda cell: int(cells[cell]))
        return None

    def _behind(self, cells: Sequence[tuple[int, int]]) -> int:
        """The accounts behind these cells together."""
        found = np.zeros(len(self._account), bool)
        for a, b in cells:
            found |= self.chosen(a, b)
        return int(np.unique(self._account[found]).size)
