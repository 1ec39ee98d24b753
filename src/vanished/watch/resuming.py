"""The schedule's columns in files, so that a start need not read every post of the present.

In: the folder of an observatory and its present. Out: columns that are in step with the present:
those of the last watch where they can be trusted, else made anew from every row. What is in the
files is the schedule's own: row numbers, seconds, numbers of accounts and of arms; no name, no
address, no word. A bracket of a verdict never comes from here, always from the present.

In step means: the token of the same session, and the number of its last commit or of the one
before. The rows that a commit is about to change are noted in the head first; after a crash they
alone are read again. Whoever else changes posts takes the token out of the present
(`present.unschedule`).

A process that is killed loses nothing of a mapped file. A machine that stops may lose some pages
and not others, and a copy of a folder in use has pages of different moments: columns that were not
closed count only in the boot and in the file in which they were written. Files that cannot be
written any more, for want of room, end no watch: it goes on with columns in memory, and says so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vanished.archive.folder import SCHEDULE
from vanished.archive.observatory import Observatory
from vanished.archive.rows import PostRow
from vanished.model import Micros
from vanished.watch.by_price import ByPrice
from vanished.watch.columns import DUE, RECORD, Columns

FORM = 1
MOST_TOUCHED = 4096
HEAD = np.dtype(
    [
        ("form", np.int64),
        ("seq", np.int64),  # of the present's last commit that the columns hold
        ("used", np.int64),
        ("closed", np.int64),  # 1: the last watch ended in order
        ("touched", np.int64),  # rows that the commit under way changes; more than fit: all
        ("token", "S32"),  # of the session; empty: the columns count for nothing
        ("where", "S112"),  # they were written, see `_where`
        ("rows", np.int64, (MOST_TOUCHED,)),
    ]
)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # only Linux has one


class KeptColumns(Columns):
    """Columns in the files of `folder`. Raises OSError if they cannot be made there.

    Later errors are told to `refused`, once; the columns are then in memory, and those in the
    files count for nothing.
    """

    def __init__(
        self, folder: Path, refused: Callable[[OSError], None] = lambda error: None
    ) -> None:
        self._folder, self._refused = folder, refused
        self.in_files = True
        folder.mkdir(exist_ok=True)
        self.head = _mapped(folder / "head", HEAD, 1)
        files = ((folder / "due", DUE), (folder / "records", RECORD))
        have = [
            path.stat().st_size // kind.itemsize if path.exists() else 0 for path, kind in files
        ]
        rows = max(1024, min(have))
        super().__init__(*(_mapped(path, kind, rows) for path, kind in files))
        self.whole = 0 <= int(self.head["used"][0]) <= rows  # the files hold what the head says
        self.used = int(self.head["used"][0]) if self.whole else 0

    def use(self, rows: int) -> None:
        """Take rows below `rows` into use; the files grow."""
        have = len(self.due)
        if self.in_files and rows > have:
            most = max(rows, have + have // 2)
            try:
                due = _mapped(self._folder / "due", DUE, most)
                self.due, self.records = due, _mapped(self._folder / "records", RECORD, most)
                self._name()
            except OSError as error:
                self._leave(error)
        super().use(rows)
        self.head["used"] = self.used

    def _leave(self, error: OSError) -> None:
        self.head["token"] = b""
        self.in_files = False
        self.due, self.records = np.array(self.due), np.array(self.records)
        self._name()
        self._refused(error)

    def empty_all(self) -> None:
        """Forget every row, and every number that was in one."""
        self.due[:], self.records[:] = 0, 0
        self.used = 0
        self.head["used"] = 0


class Keeper:
    """Keeps the columns of one watch in step with its present, and takes them over at the start."""

    def __init__(
        self,
        observatory: Observatory,
        refused: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        """Raises OSError if the files cannot be written; `refused` is told if they cannot later.

        The watch then keeps columns in memory.
        """
        self._observatory = observatory
        self._head_file = observatory.folder / SCHEDULE / "head"
        self.columns = KeptColumns(observatory.folder / SCHEDULE, refused)
        self._token = ""
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
        names: dict[int, str] = {}

        def numbered(name: str) -> int:
            number = host(name)
            names[number] = name
            return number

        token, arms = observatory.scheduling()
        why = self._out_of_step(token)
        head["closed"] = 0
        if why:
            head["token"] = b""  # until all is there
            self.columns.empty_all()
            schedule.begin(observatory.schedule_columns(numbered), per_s, now)
        else:
            touched = head["rows"][0][: int(head["touched"][0])].tolist()
            named = [(name, numbered(at)) for name, at in arms]
            posts = observatory.schedule_columns(numbered, touched)
            schedule.take_over(named, touched, posts, per_s, now)
        self._begin_session(schedule.arms, names.__getitem__)
        return why

    def _out_of_step(self, token: str) -> str:
        head = self.columns.head[0]
        if not token or head["token"] != token.encode() or head["form"] != FORM:
            return "there are none of the last session"
        if not head["closed"] and head["where"] != _where(self._head_file):
            return "the machine stopped while they were written, or they are a copy"
        if not self.columns.whole:
            return "their files are cut short"
        if int(head["touched"]) > MOST_TOUCHED:
            return "too many rows were being changed"
        if self._observatory.seq - int(head["seq"]) not in (0, 1):
            return "they are of another moment than the present"
        return ""

    def _begin_session(self, arms: Sequence[tuple[str, int]], name: Callable[[int], str]) -> None:
        """The columns are as the present is; from now on both have a new token."""
        self._token = secrets.token_hex(16)
        self._keep_arms(arms, name)
        if not self.columns.in_files:
            return
        head = self.columns.head
        head["form"], head["where"] = FORM, _where(self._head_file)
        head["seq"], head["touched"] = self._observatory.seq, 0
        head["token"] = self._token.encode()

    def _keep_arms(self, arms: Sequence[tuple[str, int]], name: Callable[[int], str]) -> None:
        self._observatory.keep_scheduling(self._token, [(p, name(host)) for p, host in arms])
        self._arms = len(arms)

    def touching(self, rows: Sequence[PostRow]) -> None:
        """A commit is about to change these rows, and the columns."""
        ids = np.array([row.id for row in rows[:MOST_TOUCHED]], dtype=np.int64)
        self.columns.head["rows"][0][: len(ids)] = ids
        self.columns.head["touched"] = len(rows)

    def settled(self, arms: Sequence[tuple[str, int]], name: Callable[[int], str]) -> None:
        """The columns hold what the present's last commit holds; `arms` are all that they name."""
        if len(arms) > self._arms:
            self._keep_arms(arms, name)
        self.columns.head["seq"] = self._observatory.seq
        self.columns.head["touched"] = 0

    def end(self) -> None:
        """The watch ends in order: all is on the disk when this says so, but who shares a topic."""
        self.columns.topic[:] = 0
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
            _take_room(file, have, size)
    return np.memmap(path, dtype=kind, mode="r+", shape=(rows,))


def _take_room(file: BinaryIO, have: int, size: int) -> None:
    """Make the file `size` bytes long, with its room on the disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), have, size - have)
        return
    for start in range(have, size, 1 << 20):  # systems without it, such as macOS
        file.write(bytes(min(size - start, 1 << 20)))


def _flush(column: npt.NDArray[np.generic]) -> None:
    if isinstance(column, np.memmap):
        column.flush()


def _where(file: Path) -> bytes:
    """The boot of this machine and the file itself; a name of nothing where boots have no name."""
    boot = secrets.token_hex(16)
    with contextlib.suppress(OSError):
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    found = file.stat()
    return f"{boot} {found.st_dev} {found.st_ino}".encode()
