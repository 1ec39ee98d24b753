"""When to ask about which post: what the loop asks of a schedule, and the one by age alone.

Flat columns indexed by the post's row number; nothing else is state, so one scan of the present
rebuilds it. No clock is read and no I/O done: `now` is an argument. `by_price.ByPrice` is what a
watch uses; `AgeBuckets` takes its place where the settings name intervals by age (`look_every_s`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vanished.archive.rows import PostRow, Scheduled
from vanished.model import SECOND, Micros

NEVER: Micros = int(np.iinfo(np.int64).max)
PENDING: Micros = NEVER - 1  # as a date: the schedule is to give one, with others, at the commit
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


class Schedule(Protocol):
    """What the loop asks of a schedule. `post` is a row number, `host` the budget it spends."""

    def put(self, post: int, host: int, due: Micros) -> None:
        """Ask about `post` at `due`; replaces an earlier date."""
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

    def read(self, post: int, text: str) -> None:
        """A look at `post` read these words; they may say what it is about."""
        ...

    def learn(self, seen: Sequence[Seen], now: Micros) -> None:
        """Definite answers of this commit."""
        ...

    def take(self, now: Micros, room: Callable[[int], int], most: int) -> list[int]:
        """At most `most` posts due by `now` for which their host has room; they are then out."""
        ...

    def next_due(self, now: Micros) -> Micros:
        """When `take` may find more than the `waiting` hosts have; NEVER if there is nothing."""
        ...

    def waiting(self) -> list[int]:
        """The hosts for which due posts were found and not taken."""
        ...

    def backlog(self, now: Micros) -> int:
        """How many posts are due by `now` and not yet taken."""
        ...

    def kept(self) -> str:
        """What was learnt, to be handed in at the next start; "" if there is nothing."""
        ...

    def interval(self, born: Micros, now: Micros) -> Micros | None:
        """How long to wait after a look at `now` that proved a post born at `born` alive.

        None: not by age alone; date it PENDING, and `enter` will say.
        """
        ...


class AgeBuckets:
    """Posts younger than `steps[i][0]` seconds are asked every `steps[i][1]` seconds.

    Older ones than the last step: every `tail_s`. Within a host the longest overdue goes first.
    """

    def __init__(self, steps: Sequence[tuple[float, float]], tail_s: float = 7 * 86400.0) -> None:
        self._ages = [int(age * SECOND) for age, _ in steps]
        self._every = [int(every * SECOND) for _, every in steps] + [int(tail_s * SECOND)]
        self._due = np.full(1024, NEVER, dtype=np.int64)
        self._host = np.zeros(1024, dtype=np.int32)
        self._ready: dict[int, deque[int]] = {}
        self._ready_until: Micros = -1  # every post due by then stands in _ready
        self._unseen: Micros = NEVER  # no post that stands elsewhere is due before this

    def interval(self, born: Micros, now: Micros) -> Micros:
        return self._every[bisect_right(self._ages, max(0, now - born))]

    def _grow(self, size: int) -> None:
        have = len(self._due)
        if size > have:
            grown = max(size, have + have // 2)
            self._due = np.concatenate([self._due, np.full(grown - have, NEVER, dtype=np.int64)])
            self._host = np.concatenate([self._host, np.zeros(grown - have, dtype=np.int32)])

    def put(self, post: int, host: int, due: Micros) -> None:
        self._grow(post + 1)
        self._due[post] = due
        self._host[post] = host
        if due <= self._ready_until:
            self._ready.setdefault(host, deque()).append(post)
        elif due < self._unseen:
            self._unseen = due

    def put_all(
        self, posts: npt.NDArray[np.int64], hosts: npt.NDArray[np.int32], due: npt.NDArray[np.int64]
    ) -> None:
        """The dates of whole columns of posts."""
        if len(posts):
            self._grow(int(posts.max()) + 1)
            self._due[posts] = due
            self._host[posts] = hosts
        self._ready.clear()
        self._ready_until = -1
        self._unseen = int(self._due.min())

    def begin(self, posts: Scheduled, per_s: Callable[[int], float], now: Micros) -> None:
        del per_s, now
        self.put_all(posts.ids, posts.hosts, posts.due)

    def enter(
        self, rows: Sequence[PostRow], hosts: Sequence[int], held: Container[int], now: Micros
    ) -> None:
        """Every date is by age, so none is pending."""

    def read(self, post: int, text: str) -> None:
        """An age does not depend on words."""

    def learn(self, seen: Sequence[Seen], now: Micros) -> None:
        """Ages teach nothing."""

    def kept(self) -> str:
        return ""

    def _scan(self, now: Micros) -> None:
        """Collect what is due by `now`, longest overdue first."""
        self._ready.clear()
        due = np.flatnonzero(self._due <= now)
        for post in due[np.argsort(self._due[due], kind="stable")].tolist():
            self._ready.setdefault(int(self._host[post]), deque()).append(post)
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
                post = waiting.popleft()
                if self._due[post] <= now and self._host[post] == host:  # else: moved since
                    self._due[post] = NEVER
                    taken.append(post)
                    left -= 1
        return taken

    def next_due(self, now: Micros) -> Micros:
        if self._unseen <= now and any(self._ready.values()):
            return self._ready_until + RESCAN
        return self._unseen

    def waiting(self) -> list[int]:
        return [host for host, posts in self._ready.items() if posts]

    def backlog(self, now: Micros) -> int:
        return int(np.count_nonzero(self._due <= now))
