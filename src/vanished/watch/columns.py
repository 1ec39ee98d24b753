"""What the schedule knows of every post: flat columns, 24 bytes a post.

In: row numbers and values. Out: the columns themselves, read and written by the schedule. Times
are whole seconds on an axis that the owner chooses (int32: 68 years to each side). Nothing here
decides, and nothing here touches a disk: `watch/resuming.py` keeps columns in files.

`due` is a column of its own, since a scan reads nothing else. The others stand side by side in one
record a post: who is weighed needs them all, and one place in memory is reached five times as fast
as six. The columns are all the state there is: the wheel and the queues are made from them by one
scan.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NO_DATE = int(np.iinfo(np.int32).max)  # as `due`: not in the wheel
FAILED = np.uint8(0x0F)  # of flags: looks that failed in a row, 15 at most
LIVE = np.uint8(0x10)  # in the schedule; without it the row is free, or the post is gone for good
WISHED = np.uint8(0x20)  # `due` is the wish of somebody else, such as the judge: not to be weighed
QUEUED = np.uint8(0x40)  # stands in a queue, out of the wheel
OUT = np.uint8(0x80)  # taken, and not answered yet

RECORD = np.dtype(
    [
        ("born", np.int32),  # when it was published
        ("last", np.int32),  # start of the last request that proved it alive, rounded down
        ("account", np.uint32),
        ("arm", np.uint32),  # the kind of request that answers for it: whose budget, how many
        ("topic", np.uint16),  # the number of its set of topics; 0: none
        ("flags", np.uint8),
    ],
    align=True,
)
DUE = np.dtype(np.int32)
BYTES = RECORD.itemsize + DUE.itemsize


class Columns:
    """One row a post, by its row number; `used` rows from the first on mean something."""

    def __init__(self, due: npt.NDArray[np.int32], records: npt.NDArray[np.void]) -> None:
        self.due, self.records = due, records
        self.used = 0
        self._name()

    def _name(self) -> None:
        """The columns of the records, by their names."""
        self.born: npt.NDArray[np.int32] = self.records["born"]
        self.last: npt.NDArray[np.int32] = self.records["last"]
        self.account: npt.NDArray[np.uint32] = self.records["account"]
        self.arm: npt.NDArray[np.uint32] = self.records["arm"]
        self.topic: npt.NDArray[np.uint16] = self.records["topic"]
        self.flags: npt.NDArray[np.uint8] = self.records["flags"]

    @classmethod
    def empty(cls, rows: int = 1024) -> Self:
        """Columns in memory; `use` makes room for more."""
        return cls(np.zeros(rows, DUE), np.zeros(rows, RECORD))

    def use(self, rows: int) -> None:
        """Take rows below `rows` into use; the columns grow."""
        if rows <= self.used:
            return
        have = len(self.due)
        if rows > have:
            more = max(rows, have + have // 2) - have
            self.due = np.concatenate([self.due, np.zeros(more, DUE)])
            self.records = np.concatenate([self.records, np.zeros(more, RECORD)])
            self._name()
        self.due[self.used : rows] = NO_DATE
        self.flags[self.used : rows] = 0
        self.used = rows


def seconds(times: Floats) -> npt.NDArray[np.int32]:
    """Times as the columns keep them: rounded down, and within what they can hold."""
    return np.clip(np.floor(times), -(2**31), NO_DATE - 1).astype(np.int32)


def seconds_up(times: Floats) -> npt.NDArray[np.int32]:
    """The same rounded up, for dates: none comes before its time. Endless waits are NO_DATE."""
    return np.where(np.isfinite(times), seconds(np.ceil(times)), np.int32(NO_DATE))


def distinct(ids: Ids) -> Ids:
    """Without repetitions, in the order of first places."""
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    again = ranked[1:] == ranked[:-1]
    return ids[np.sort(order[np.r_[True, ~again]])] if again.any() else ids
