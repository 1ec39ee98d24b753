"""The schedule's columns in files, so that a start need not read every post of the present.

In: the folder of an observatory and its present. Out: columns that are in step with the present:
those of the last watch where they can be trusted, else made anew from every row. What is in the
files is the schedule's own: row numbers, seconds, numbers of accounts and of arms; no name, no
address, no word. A bracket of a verdict never comes from here, always from the present.

In step means: the same token, and the number of the present's last commit. The rows that a commit
is about to change are noted in the head first; after a crash between, they alone are read again. A
process that is killed loses nothing of a mapped file. A machine that stops may lose some pages and
not others: columns that were not closed count in the boot only in which they were written. Whoever
else changes posts moves the present's number on, or takes the token away.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vanished.archive.observatory import Observatory
from vanished.archive.rows import PostRow
from vanished.model import Micros
from vanished.watch.by_price import ByPrice
from vanished.watch.columns import DUE, RECORD, Columns

FOLDER = "schedule"
FORM = 1
MOST_TOUCHED = 4096
HEAD = np.dtype(
    [
        ("form", np.int64),
        ("seq", np.int64),  # of the present's last commit that the columns hold
        ("used", np.int64),
        ("closed", np.int64),  # 1: the last watch ended in order
        ("touched", np.int64),  # rows that the commit under way changes; more than fit: all
        ("token", "S32"),
        ("boot", "S64"),
        ("rows", np.int64, (MOST_TOUCHED,)),
    ]
)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # only Linux has one


class KeptColumns(Columns):
    """Columns in the files of `folder`. Raises OSError if they cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.head = _mapped(folder / "head", HEAD, 1)
        files = ((folder / "due", DUE), (folder / "records", RECORD))
        have = [
            path.stat().st_size // kind.itemsize if path.exists() else 0 for path, kind in files
        ]
        rows = max(1024, min(have))
        super().__init__(*(_mapped(path, kind, rows) for path, kind in files))
        self.used = min(int(self.head["used"][0]), rows)

    def use(self, rows: int) -> None:
        """Take rows below `rows` into use; the files grow."""
        have = len(self.due)
        if rows > have:
            most = max(rows, have + have // 2)
            self.due = _mapped(self._folder / "due", DUE, most)
            self.records = _mapped(self._folder / "records", RECORD, most)
            self._name()
        super().use(rows)
        self.head["used"] = self.used

    def empty_all(self) -> None:
        """Forget every row."""
        self.due[:], self.flags[:] = 0, 0
        self.used = 0
        self.head["used"] = 0


class Keeper:
    """Keeps the columns of one watch in step with its present, and takes them over at the start."""

    def __init__(self, observatory: Observatory) -> None:
        """Raises OSError if the files cannot be written; the watch then keeps columns in memory."""
        self._observatory = observatory
        self.columns = KeptColumns(observatory.folder / FOLDER)
        self._arms = 0  # how many of them the present holds

    def begin(
        self,
        schedule: ByPrice,
        host: Callable[[str], int],
        per_s: Callable[[int], float],
        now: Micros,
    ) -> str:
        """Take the columns over, or make them anew. Why they had to be made anew, or ""."""
        head, observatory = self.columns.head, self._observatory
        token, arms = observatory.scheduling()
        why = self._out_of_step(token)
        head["closed"] = 0
        if why:
            self.columns.empty_all()
            token, self._arms = secrets.token_hex(16), 0
            head["token"] = b""  # until all is there
            schedule.begin(observatory.schedule_columns(host), per_s, now)
        else:
            self._arms = len(arms)
            touched = head["rows"][0][: int(head["touched"][0])].tolist()
            schedule.take_over([(name, host(at)) for name, at in arms], per_s, now)
            schedule.refresh(touched, observatory.schedule_columns(host, touched), now)
        head["form"], head["boot"] = FORM, _boot()
        if why:
            observatory.keep_scheduling(token, [])
        head["token"] = token.encode()
        return why

    def _out_of_step(self, token: str) -> str:
        head = self.columns.head[0]
        if not token or head["token"].decode() != token or head["form"] != FORM:
            return "there are none of this observatory's last watch"
        if not head["closed"] and (not _boot() or head["boot"].decode() != _boot()):
            return "the machine stopped while they were written"
        touched = int(head["touched"])
        if touched > MOST_TOUCHED:
            return "too many rows were being changed"
        behind = self._observatory.seq - int(head["seq"])
        if behind not in ((0, 1) if touched else (0,)):
            return "posts were changed by something else than a watch"
        return ""

    def touching(self, rows: Sequence[PostRow]) -> None:
        """A commit is about to change these rows, and the columns."""
        ids = np.array([row.id for row in rows[:MOST_TOUCHED]], dtype=np.int64)
        self.columns.head["rows"][0][: len(ids)] = ids
        self.columns.head["touched"] = len(rows)

    def settled(self, arms: Sequence[tuple[str, int]], name: Callable[[int], str]) -> None:
        """The columns hold what the present's last commit holds; `arms` are all that they name."""
        if len(arms) > self._arms:
            token = self.columns.head[0]["token"].decode()
            self._observatory.keep_scheduling(token, [(p, name(host)) for p, host in arms])
            self._arms = len(arms)
        self.columns.head["seq"] = self._observatory.seq
        self.columns.head["touched"] = 0

    def end(self) -> None:
        """The watch ends in order: all is on the disk when this says so."""
        for column in (self.columns.due, self.columns.records):
            _flush(column)
        self.columns.head["closed"] = 1
        _flush(self.columns.head)


def _mapped(path: Path, kind: np.dtype[np.void] | np.dtype[np.int32], rows: int) -> np.memmap:
    """A file of so many rows, made or made longer; its room on the disk is taken at once, since a
    full disk would end the process when a page without room is written."""
    size = rows * kind.itemsize
    with path.open("ab") as file:
        have = file.tell()
        if size > have:
            os.posix_fallocate(file.fileno(), have, size - have)
    return np.memmap(path, dtype=kind, mode="r+", shape=(rows,))


def _flush(column: npt.NDArray[np.generic]) -> None:
    if isinstance(column, np.memmap):
        column.flush()


def _boot() -> str:
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""
