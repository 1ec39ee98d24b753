"""When to ask about which post: what the loop asks of a schedule, and the one by age alone.

Flat columns indexed by the post's row number; nothing else is state, so one scan of the present
rebuilds it. An account's list is scheduled as well; where a row number is asked for or handed out,
`~n` is the list of account n. No clock is read and no I/O done: `now` is an argument.
`by_price.ByPrice` is what a watch uses; `AgeBuckets` takes its place where the settings name
intervals by age (`look_every_s`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vanished.archive.rows import AccountRow, PostRow, Scheduled
from vanished.model import SECOND, Micros

NEVER: Micros = int(np.iinfo(np.int64).max)
PENDING: Micros = NEVER - 1  # as a date: the schedule is to give one, with others, at the commit
LISTS_EVERY: Micros = 300 * SECOND  # where posts are asked by age and nothing is said of lists
RESCAN: Micros = SECOND  # a full scan costs a millisecond at a million posts: once a second will do


@dataclass(frozen=True, slots=True)
class Seen:
    """A definite answer: proven alive at `alive_at` (or first met then), and at `seen_at` this."""

    post: int
    account: int
    born: Micros
    alive_at: Micros
    seen_at: Micros
    lost: bool
    whole: bool = False  # with its account: many posts, one event


@dataclass(frozen=True, slots=True)
class Reading:
    """An account's list was read, or could not be; the row carries what came of it.

    `new` posts were published since `before`, the start of the last reading that succeeded; None:
    this was the first. `shown` are the posts that it proved alive, by row number, in its order.
    """

    row: AccountRow
    host: int
    before: Micros | None
    new: int
    shown: tuple[int, ...]


class Schedule(Protocol):
    """What the loop asks of a schedule. `row` is a post's number or a list's, `host` its budget."""

    @property
    def lists_every(self) -> Micros | None:
        """How often lists are read if the settings do not say; None: it dates them itself."""
        ...

    def put(self, row: int, host: int, due: Micros) -> None:
        """Ask about `row` at `due`; replaces an earlier date."""
        ...

    def begin_lists(self, rows: Sequence[AccountRow], hosts: Sequence[int], now: Micros) -> None:
        """Take up all lists at the start, before `begin`."""
        ...

    def begin(self, posts: Scheduled, per_s: Callable[[int], float], now: Micros) -> None:
        """Take up all posts at the start. `per_s(host)`: requests a second it may be asked."""
        ...

    def enter(
        self, rows: Sequence[PostRow], hosts: Sequence[int], held: Container[int], now: Micros
    ) -> None:
        """These rows change with this commit: replace the date PENDING by one.

        `held`: row numbers that are under way; they are put back when that look is over.
        """
        ...

    def enter_lists(self, readings: Sequence[Reading], now: Micros) -> None:
        """These lists were read: take up their dates, and replace PENDING by one."""
        ...

    def read(self, post: int, text: str) -> None:
        """A look at `post` read these words; they may say what it is about."""
        ...

    def learn(self, seen: Sequence[Seen], now: Micros) -> None:
        """Definite answers of this commit."""
        ...

    def take(self, now: Micros, room: Callable[[int], int], most: int) -> list[int]:
        """At most `most` rows due by `now` for which their host has room; they are then out."""
        ...

    def next_due(self, now: Micros) -> Micros:
        """When `take` may find more than the `waiting` hosts have; NEVER if there is nothing."""
        ...

    def waiting(self) -> list[int]:
        """The hosts for which due rows were found and not taken."""
        ...

    def backlog(self, now: Micros) -> int:
        """How many rows are due by `now` and not yet taken."""
        ...

    def kept(self) -> str:
        """What was learnt, to be handed in at the next start; "" if there is nothing."""
        ...

    def interval(self, born: Micros, now: Micros) -> Micros | None:
        """How long to wait after a look at `now` that proved a post born at `born` alive.

        None: not by age alone; date it PENDING, and `enter` will say.
        """
        ...


class _Dates:
    """Rows with their dates and hosts. Within a host the longest overdue goes first."""

    def __init__(self) -> None:
        self.host = np.zeros(1024, dtype=np.int32)
        self._due = np.full(1024, NEVER, dtype=np.int64)
        self._ready: dict[int, deque[int]] = {}
        self._ready_until: Micros = -1  # every row due by then stands in _ready
        self._unseen: Micros = NEVER  # no row that stands elsewhere is due before this

    def _grow(self, size: int) -> None:
        have = len(self._due)
        if size > have:
            grown = max(size, have + have // 2)
            self._due = np.concatenate([self._due, np.full(grown - have, NEVER, dtype=np.int64)])
            self.host = np.concatenate([self.host, np.zeros(grown - have, dtype=np.int32)])

    def put(self, row: int, host: int, due: Micros) -> None:
        self._grow(row + 1)
        self._due[row] = due
        self.host[row] = host
        if due <= self._ready_until:
            self._ready.setdefault(host, deque()).append(row)
        elif due < self._unseen:
            self._unseen = due

    def put_all(
        self, rows: npt.NDArray[np.int64], hosts: npt.NDArray[np.int32], due: npt.NDArray[np.int64]
    ) -> None:
        """The dates of whole columns."""
        if len(rows):
            self._grow(int(rows.max()) + 1)
            self._due[rows] = due
            self.host[rows] = hosts
        self._ready.clear()
        self._ready_until = -1
        self._unseen = int(self._due.min())

    def _scan(self, now: Micros) -> None:
        """Collect what is due by `now`, longest overdue first."""
        self._ready.clear()
        due = np.flatnonzero(self._due <= now)
        for row in due[np.argsort(self._due[due], kind="stable")].tolist():
            self._ready.setdefault(int(self.host[row]), deque()).append(row)
        self._ready_until = now
        later = self._due[self._due > now]
        self._unseen = int(later.min()) if len(later) else NEVER

    def take(self, now: Micros, room: Callable[[int], int], most: int) -> list[int]:
        rested = now - self._ready_until >= RESCAN
        if self._unseen <= now and (rested or not any(self._ready.values())):
            self._scan(now)
        taken: list[int] = []
        for host, waiting in self._ready.items():
            left = min(room(host), most - len(taken)) if waiting else 0
            while left > 0 and waiting:
                row = waiting.popleft()
                if self._due[row] <= now and self.host[row] == host:  # else: moved since
                    self._due[row] = NEVER
                    taken.append(row)
                    left -= 1
        return taken

    def next_due(self, now: Micros) -> Micros:
        if self._unseen <= now and any(self._ready.values()):
            return self._ready_until + RESCAN
        return self._unseen

    def waiting(self) -> list[int]:
        return [host for host, rows in self._ready.items() if rows]

    def backlog(self, now: Micros) -> int:
        return int(np.count_nonzero(self._due <= now))


class AgeBuckets:
    """Posts younger than `steps[i][0]` seconds are asked every `steps[i][1]` seconds.

    Older ones than the last step: every `tail_s`. Within a host lists go first, and then the
    longest overdue.
    """

    lists_every: Micros | None = LISTS_EVERY

    def __init__(self, steps: Sequence[tuple[float, float]], tail_s: float = 7 * 86400.0) -> None:
        self._ages = [int(age * SECOND) for age, _ in steps]
        self._every = [int(every * SECOND) for _, every in steps] + [int(tail_s * SECOND)]
        self._posts, self._lists = _Dates(), _Dates()

    def interval(self, born: Micros, now: Micros) -> Micros:
        return self._every[bisect_right(self._ages, max(0, now - born))]

    def put(self, row: int, host: int, due: Micros) -> None:
        if row < 0:
            self._lists.put(~row, host, due)
        else:
            self._posts.put(row, host, due)

    def put_all(
        self, posts: npt.NDArray[np.int64], hosts: npt.NDArray[np.int32], due: npt.NDArray[np.int64]
    ) -> None:
        """The dates of whole columns of posts."""
        self._posts.put_all(posts, hosts, due)

    def begin_lists(self, rows: Sequence[AccountRow], hosts: Sequence[int], now: Micros) -> None:
        del now
        for row, host in zip(rows, hosts, strict=True):
            self._lists.put(row.id, host, row.track.due)

    def begin(self, posts: Scheduled, per_s: Callable[[int], float], now: Micros) -> None:
        del per_s, now
        self.put_all(posts.ids, posts.hosts, posts.due)

    def enter(
        self, rows: Sequence[PostRow], hosts: Sequence[int], held: Container[int], now: Micros
    ) -> None:
        """Every date is by age, so none is pending."""

    def enter_lists(self, readings: Sequence[Reading], now: Micros) -> None:
        for each in readings:
            self._lists.put(each.row.id, each.host, each.row.track.due)

    def read(self, post: int, text: str) -> None:
        """An age does not depend on words."""

    def learn(self, seen: Sequence[Seen], now: Micros) -> None:
        """Ages teach nothing."""

    def kept(self) -> str:
        return ""

    def take(self, now: Micros, room: Callable[[int], int], most: int) -> list[int]:
        lists = self._lists.take(now, room, most)
        spent = Counter(self._lists.host[lists].tolist())
        posts = self._posts.take(now, lambda host: room(host) - spent[host], most - len(lists))
        return [~row for row in lists] + posts

    def next_due(self, now: Micros) -> Micros:
        return min(self._posts.next_due(now), self._lists.next_due(now))

    def waiting(self) -> list[int]:
        return [*self._posts.waiting(), *self._lists.waiting()]

    def backlog(self, now: Micros) -> int:
        return self._posts.backlog(now) + self._lists.backlog(now)
