"""What the schedule knows of every post: flat columns, 23 bytes a post, in memory or in a file.

In: row numbers and values. Out: the columns themselves, read and written by the schedule. Times
are whole seconds on an axis that the owner chooses (int32: 68 years to each side). Nothing here
decides; nothing here but `mapped` touches a disk.

The columns are all the state there is: the wheel and the queues are made from them by one scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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

TYPES = {
    "born": np.int32,  # when it was published
    "last": np.int32,  # start of the last request that proved it alive, rounded down
    "due": np.int32,
    "account": np.uint32,
    "arm": np.uint32,  # the kind of request that answers for it: whose budget, how many a request
    "topic": np.uint16,  # the number of its set of topics; 0: none
    "flags": np.uint8,
}
BYTES = sum(np.dtype(kind).itemsize for kind in TYPES.values())


@dataclass(slots=True)
class Columns:
    """One row a post, by its row number; `used` rows from the first on mean something."""

    born: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    due: npt.NDArray[np.int32]
    account: npt.NDArray[np.uint32]
    arm: npt.NDArray[np.uint32]
    topic: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint8]
    used: int = 0

    @classmethod
    def empty(cls, rows: int = 1024) -> Self:
        """Columns in memory; `grow` makes room for more."""
        return cls(**{name: np.zeros(rows, dtype=kind) for name, kind in TYPES.items()})  # type: ignore[arg-type]

    @classmethod
    def mapped(cls, path: Path, rows: int) -> Self:
        """Columns in the file `path` of `rows` rows, made if it is absent; they cannot grow.

        The file is sparse where no row was set. What is written lies in the page cache at once
        and on the disk some time later: a crash of the process keeps it, one of the machine may
        not.
        """
        mode = "r+" if path.exists() else "w+"
        whole = np.memmap(path, dtype=np.uint8, mode=mode, shape=(rows * BYTES,))  # type: ignore[call-overload]
        columns, start = {}, 0
        for name, kind in TYPES.items():  # widest first, so that each is aligned
            size = rows * np.dtype(kind).itemsize
            columns[name] = np.asarray(whole[start : start + size]).view(kind)
            start += size
        return cls(**columns)  # type: ignore[arg-type]

    def use(self, rows: int) -> None:
        """Take rows below `rows` into use. In memory the columns grow; in a file they cannot."""
        if rows <= self.used:
            return
        have = len(self.due)
        if rows > have:
            for name in TYPES:
                old = getattr(self, name)
                new = np.zeros(max(rows, have + have // 2), dtype=old.dtype)
                new[:have] = old
                setattr(self, name, new)
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
