"""What is due in the next minute: one slot a second, filled by one scan a minute. No heap.

In: the columns, and the time in seconds. Out: the rows that are due. Dates beyond the window stand
in the column `due` alone, so moving one costs a write; dates within it are also in a slot. A row
can stand in several slots or be moved after it was put in one: a slot says whom to look at, the
column says whether it is due. The sort is by slot number, one byte, which numpy does by radix.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import NO_DATE, Ids, distinct

WINDOW_S = 60
CHUNK = 1 << 20  # rows a scan compares at once: its temporary arrays stay in the cache


_Rows = npt.NDArray[np.signedinteger[Any]]  # four bytes each: row numbers below 2**31


class Dated(Protocol):
    """Columns of which one says when each row is due."""

    due: npt.NDArray[np.int32]
    used: int


class Wheel:
    """The slots of one window. `origin` is its first second; before the first scan it is empty."""

    def __init__(self, columns: Dated) -> None:
        self._columns = columns
        self._slots: list[list[_Rows]] = []
        self._origin = 0
        self._next = WINDOW_S  # the first slot that was not popped; WINDOW_S: scan first

    def clear(self) -> None:
        """Forget the window; the next `pop` scans."""
        self._next = WINDOW_S

    def _scan(self, now: int) -> None:
        """Fill the slots with what is due before the end of the window that begins at `now`."""
        due = self._columns.due[: self._columns.used]
        end = now + WINDOW_S
        found: list[_Rows] = []
        for start in range(0, len(due), CHUNK):
            ids = np.flatnonzero(due[start : start + CHUNK] < end)
            found.append((ids + start).astype(np.int32))
        ids = np.concatenate(found) if found else np.zeros(0, np.int32)
        slots = np.clip(due[ids] - now, 0, WINDOW_S - 1).astype(np.uint8)
        order = np.argsort(slots, kind="stable")
        ends = np.cumsum(np.bincount(slots, minlength=WINDOW_S))
        ids = ids[order]
        self._slots = [[ids[a:b]] for a, b in pairwise([0, *ends.tolist()])]
        self._origin, self._next = now, 0

    def pop(self, now: int) -> Ids:
        """The rows that are due by `now`, each once. Their dates stand; the caller sets new ones.

        What it hands out and the caller leaves where it is does not come again before the next
        scan.
        """
        found: list[_Rows] = []
        if self._next < WINDOW_S and now >= self._origin + WINDOW_S:
            self._next = WINDOW_S  # what stands in the old slots is found by the scan
        if self._next >= WINDOW_S:
            self._scan(now)
        mixed = False
        while self._next < WINDOW_S and self._origin + self._next <= now:
            slot = self._slots[self._next]
            mixed = mixed or len(slot) > 1 or bool(found)
            found += slot
            self._slots[self._next] = []
            self._next += 1
        ids = np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)
        ids = ids[self._columns.due[ids] <= now]
        return distinct(ids) if mixed else ids

    def put(self, ids: Ids, due: npt.NDArray[np.int32]) -> None:
        """These rows have new dates: those within the window get a slot, at once if overdue."""
        if self._next >= WINDOW_S or not len(ids):
            return
        places = due.astype(np.int64) - self._origin
        near = places < WINDOW_S
        rows, places = ids[near].astype(np.int32), np.maximum(places[near], self._next)
        if len(rows) == 1:
            self._slots[int(places[0])].append(rows)
        elif len(rows):
            order = np.argsort(places.astype(np.uint8), kind="stable")
            rows, places = rows[order], places[order]
            cuts = np.flatnonzero(np.diff(places)) + 1
            for part, place in zip(
                np.split(rows, cuts), places[np.r_[0, cuts]].tolist(), strict=True
            ):
                self._slots[place].append(part)

    def next_due(self) -> int:
        """The second of the next slot that holds somebody, or of the next scan; NO_DATE: nobody.

        It may name a row that was moved since; then the `pop` of that second finds nothing.
        """
        if self._next < WINDOW_S:
            for slot in range(self._next, WINDOW_S):
                if any(len(part) for part in self._slots[slot]):
                    return self._origin + slot
            return max(self._origin + WINDOW_S, self._earliest())
        return self._earliest()

    def _earliest(self) -> int:
        due = self._columns.due[: self._columns.used]
        return int(due.min()) if len(due) else NO_DATE
