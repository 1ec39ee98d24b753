"""What is due and waits for its host's budget: three queues a host. No clock and no I/O.

In: rows with their worth. Out: rows to ask now. First the wishes of others, in the order of their
dates; then what is worth most.

A post that failed twice running or more stands apart: at most a tenth of a host's allowance goes to
such looks *that fail again*. One that is answered gives its own back, so that a host that has
recovered is not held up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import Floats, Ids

RETRIES = 0.1  # of a host's requests
SAVED = 10.0  # retries that a host can have saved up
AGAIN = 2  # failures in a row from which on a look counts as a retry
WEIGHED_EVERY_S = 5  # what waits is weighed again so often: its worth rises slowly,
WEIGHED_PER_S = 100_000  # and long queues' less often still
_NONE: Ids = np.zeros(0, np.int64)


@dataclass(slots=True)
class _Queue:
    wished: deque[int] = field(default_factory=deque)
    ready: Ids = field(default_factory=lambda: _NONE)  # the largest worth first
    retry: Ids = field(default_factory=lambda: _NONE)
    ready_worth: Floats = field(default_factory=lambda: np.zeros(0))
    retry_worth: Floats = field(default_factory=lambda: np.zeros(0))
    retries: float = 1.0  # looks at the third queue that are paid for


class Queues:
    """All hosts' queues. A row stands in one of them at most; its flag QUEUED says so."""

    def __init__(self) -> None:
        self._by_host: dict[int, _Queue] = {}
        self._weighed = -np.inf
        self._coming: list[tuple[Ids, Ids, Floats, npt.NDArray[np.uint8]]] = []

    def clear(self) -> None:
        self._by_host.clear()

    def _of(self, host: int) -> _Queue:
        queue = self._by_host.get(host)
        if queue is None:
            queue = self._by_host[host] = _Queue()
        return queue

    def wish(self, ids: Ids, hosts: Ids) -> None:
        """These go first, in this order."""
        for row, host in zip(ids.tolist(), hosts.tolist(), strict=True):
            self._of(host).wished.append(row)

    def carried(self, now: float) -> Ids:
        """Take out what was ranked earlier, if it is time to weigh it again."""
        waiting = sum(len(q.ready) + len(q.retry) for q in self._by_host.values())
        if not waiting or now - self._weighed < WEIGHED_EVERY_S + waiting / WEIGHED_PER_S:
            return _NONE
        found = [part for q in self._by_host.values() for part in (q.ready, q.retry)]
        for queue in self._by_host.values():
            queue.ready = queue.retry = _NONE
            queue.ready_worth = queue.retry_worth = np.zeros(0)
        self._weighed = now
        return np.concatenate(found) if found else _NONE

    def rank(self, ids: Ids, hosts: Ids, worth: Floats, failures: npt.NDArray[np.uint8]) -> None:
        """Queue these by worth, the largest first; `settle` ends what belongs together."""
        self._coming.append((ids, hosts, worth, failures))

    def settle(self) -> None:
        """Put all that `rank` was told among what waits, the largest worth first."""
        if not self._coming:
            return
        columns = zip(*self._coming, strict=True)
        ids, hosts, worth, failures = (np.concatenate(column) for column in columns)
        self._coming.clear()
        order = np.argsort(hosts, kind="stable") if len(self._by_host) > 1 else np.arange(len(ids))
        ids, hosts, worth, again = ids[order], hosts[order], worth[order], failures[order] >= AGAIN
        cuts = [0, *(np.flatnonzero(np.diff(hosts)) + 1).tolist(), len(ids)]
        for start, end in pairwise(cuts):
            if start == end:
                continue
            queue, part = self._of(int(hosts[start])), slice(start, end)
            late = again[part]
            queue.ready, queue.ready_worth = _merged(
                queue.ready, queue.ready_worth, ids[part][~late], worth[part][~late]
            )
            if late.any():
                queue.retry, queue.retry_worth = _merged(
                    queue.retry, queue.retry_worth, ids[part][late], worth[part][late]
                )

    def recovered(self, hosts: Ids, failures: npt.NDArray[np.uint8]) -> None:
        """Posts that had failed so often were answered: retries among them are given back."""
        for host in hosts[failures >= AGAIN].tolist():
            queue = self._of(host)
            queue.retries = min(SAVED, queue.retries + 1)

    def waiting(self) -> list[int]:
        """Hosts that could be asked at once if they had room."""
        return [
            host
            for host, q in self._by_host.items()
            if q.wished or len(q.ready) or (len(q.retry) and q.retries >= 1)
        ]

    def length(self) -> int:
        return sum(len(q.wished) + len(q.ready) + len(q.retry) for q in self._by_host.values())

    def ready(self) -> dict[int, Ids]:
        """By host: what waits for its budget, retries and wishes apart."""
        return {host: queue.ready for host, queue in self._by_host.items()}

    def earn(self, allowance: Callable[[int], float], for_s: float) -> None:
        """Time has passed: a tenth of what each host allows may go to retries."""
        for host, queue in self._by_host.items():
            if queue.retries < SAVED:
                earned = RETRIES * allowance(host) * for_s
                queue.retries = min(SAVED, queue.retries + earned)

    def retry_in_s(self, allowance: Callable[[int], float]) -> float:
        """Seconds until the first host may spend something on its retries; inf: none waits."""
        return min(
            (
                max(0.0, 1 - q.retries) / max(RETRIES * allowance(host), 1e-9)
                for host, q in self._by_host.items()
                if len(q.retry)
            ),
            default=np.inf,
        )

    def take(
        self,
        room: Callable[[int], int],
        most: int,
        arms: Callable[[Ids], tuple[Ids, Ids]],
        served: Mapping[int, int],
    ) -> Ids:
        """At most `most` rows, the requests for each host within its room.

        `arms(ids)`: the arm of each and how many posts one of its requests serves; `served`: the
        most that a request serves, by host.
        """
        taken: list[Ids] = []
        number = 0
        for host in self.waiting():
            left = most - number
            free = room(host) if left > 0 else 0
            if free > 0:
                reach = min(left, free * served.get(host, 1))
                some = self._from(self._by_host[host], free, reach, arms)
                number += len(some)
                taken.append(some)
        return np.concatenate(taken) if taken else _NONE

    def _from(
        self, queue: _Queue, room: int, most: int, arms: Callable[[Ids], tuple[Ids, Ids]]
    ) -> Ids:
        wished = np.fromiter(islice(queue.wished, most), np.int64)
        retry = queue.retry[: int(queue.retries)]
        rows = np.concatenate([wished, retry, queue.ready[:most]])
        rows = rows[: min(most, _within(room, *arms(rows)))]
        from_wished = min(len(wished), len(rows))
        from_retry = min(len(retry), len(rows) - from_wished)
        for _ in range(from_wished):
            queue.wished.popleft()
        queue.retries -= from_retry
        queue.retry, queue.retry_worth = queue.retry[from_retry:], queue.retry_worth[from_retry:]
        left = len(rows) - from_wished - from_retry
        queue.ready, queue.ready_worth = queue.ready[left:], queue.ready_worth[left:]
        return rows


def _merged(ids: Ids, worth: Floats, more: Ids, theirs: Floats) -> tuple[Ids, Floats]:
    """Both together, the largest worth first; `ids` are in that order already."""
    order = np.argsort(-theirs)
    more, theirs = more[order], theirs[order]
    if not len(ids):
        return more, theirs
    places = np.searchsorted(-worth, -theirs, side="right")
    return np.insert(ids, places, more), np.insert(worth, places, theirs)


def _within(room: int, arms: Ids, serves: Ids) -> int:
    """How many of these, from the first on, `room` requests can ask about.

    A request answers for posts of one arm, for as many as that serves.
    """
    if len(arms) == 0 or int(serves.max()) == 1:
        return room
    order = np.argsort(arms, kind="stable")
    begins = np.r_[True, np.diff(arms[order]) > 0]
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    place = np.empty(len(arms), np.int64)
    place[order] = np.arange(len(arms)) - first  # which of its arm's posts each is
    requests = np.cumsum(place % serves == 0)
    return int(np.searchsorted(requests, room, side="right"))
