"""A release that goes on: what was told stays as it was told, and what is new is told in crowds.

In: what passed the gate, and what was told before under the same pseudonyms. Out: the rows to tell
now. Whoever holds two states of it sees which rows are new; so those that are new together stand
in crowds of `k` accounts of their own, and no old row is ever told more finely than it was.

Only what was lost is told: gone, moved, or lost and returned. What is withheld must not be told by
a total less the rest, as in `crowds`; a crowd of which too few are left goes as a whole. Losses of
too few accounts to be told, and too few to be withheld, wait: they count as not lost meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.model import Micros, State
from vanished.publish import crowds
from vanished.publish.crowds import ALONE
from vanished.publish.gate import Passed, Withheld

METHOD: Final = "batches/1"
LOST: Final = frozenset({State.GONE, State.MOVED, State.RETURNED})

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Told:
    """What was told before, by pseudonym: the row, when it was told; words that stay as they are.

    `left` is what `gate.Gate.left` takes: empty where all words are to be scrubbed again.
    """

    rows: Mapping[str, tuple[Passed, Micros]] = field(default_factory=dict)
    left: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def lost(item: Passed | Withheld) -> bool:
    """Whether it is told, or withheld, here: what nobody took away is neither."""
    return isinstance(item, Withheld) or item.state in LOST


@dataclass(frozen=True, slots=True)
class Continued:
    """For each item the row that is told of it now, None where there is none; and whether its loss
    waits for others, in whose crowd it can be told or withheld."""

    rows: tuple[Passed | None, ...]
    waits: NDArray[np.bool_]


def continued(
    items: Sequence[Passed | Withheld], account: Ints, platform: Ints, k: int, told: Told
) -> Continued:
    """What is told after `told`. `account` and `platform` number those of each item."""
    rows: list[Passed | None] = [None] * len(items)
    when: list[Micros | None] = [None] * len(items)  # None: now
    fresh = []
    for at, item in enumerate(items):
        if isinstance(item, Passed):
            before = told.rows.get(item.post)
            if before is not None and still_true(before[0], item):
                rows[at], when[at] = _with_words(before[0], item), before[1]
                continue
        if lost(item):
            fresh.append(at)
    found = crowds.crowded([items[at] for at in fresh], account[fresh], platform[fresh], k)
    for at, row in zip(fresh, found.rows, strict=True):
        rows[at] = row
    here = np.array([at for at, item in enumerate(items) if lost(item)], np.int64)
    cells: dict[tuple[int, int], int] = {}
    pairs = ((int(platform[at]), int(items[at].fate)) for at in here)
    cell = np.array([cells.setdefault(pair, len(cells)) for pair in pairs], np.int64)
    waits = np.zeros(len(items), bool)
    few = np.array([isinstance(items[at], Passed) and rows[at] is None for at in here], bool)
    alone = np.array([rows[at] is None for at in here], bool)
    for one in np.unique(cell[few]).tolist():
        if np.unique(account[here[alone & (cell == one)]]).size < k:
            waits[here[few & (cell == one)]] = True
    here, cell = here[~waits[here]], cell[~waits[here]]
    crowd = _crowds([rows[at] for at in here], [when[at] for at in here], account[here], k)
    crowds.cover(cell, account[here], crowd, k)
    for at in here[crowd == ALONE].tolist():
        rows[at] = None
    return Continued(tuple(rows), waits)


def still_true(told: Passed, now: Passed) -> bool:
    """Whether what was told of a post is true of what is known of it now."""
    return (
        (told.platform, told.fate, told.state) == (now.platform, now.fate, now.state)
        and now.state in LOST
        and (told.account is None or told.account == now.account)
        and told.causes in (frozenset(), now.causes)
        and told.confidence in ("", now.confidence)
        and _not_after(told.published_from, now.published_from)
        and _not_after(told.alive_until, now.alive_until)
        and _not_after(now.gone_by, told.gone_by)
    )


def _not_after(first: Micros | None, second: Micros | None) -> bool:
    """Whether an interval's end lies where it may; what was not told is never false."""
    return first is None or second is None or first <= second


def _with_words(told: Passed, now: Passed) -> Passed:
    if (told.title, told.text, told.no_words, told.ground, told.captures) == (
        now.title, now.text, now.no_words, now.ground, now.captures
    ):  # fmt: skip
        return told
    return replace(
        told, title=now.title, text=now.text, no_words=now.no_words, ground=now.ground,
        captures=now.captures,
    )  # fmt: skip


def _crowds(
    rows: Sequence[Passed | None], when: Sequence[Micros | None], account: Ints, k: int
) -> Ints:
    """The number of each row's crowd: of those told alike at once; ALONE where it is too small."""
    seen: dict[tuple[object, ...], int] = {}
    crowd = np.full(len(rows), ALONE, np.int64)
    for at, (row, told_at) in enumerate(zip(rows, when, strict=True)):
        if row is not None:
            key = (
                told_at, row.platform, row.fate, row.state, row.causes, row.confidence,
                row.published_from, row.alive_until, row.gone_by, row.rounded,
            )  # fmt: skip
            crowd[at] = seen.setdefault(key, len(seen))
    inside = np.flatnonzero(crowd != ALONE)
    if inside.size:
        pairs = np.unique(np.column_stack([crowd[inside], account[inside]]), axis=0)
        few = np.bincount(pairs[:, 0], minlength=len(seen)) < k
        crowd[inside[few[crowd[inside]]]] = ALONE
    return crowd
