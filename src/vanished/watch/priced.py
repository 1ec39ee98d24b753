"""When to ask about which post: where a look is worth its price.

In: posts as columns, definite answers and failures, the hazards that a learner estimates, and how
much each host allows. Out: the rows to ask about now, and the lists to read (`lists.py`), which
compete for the same requests. Pure: times and randomness come in as arguments, in seconds on the
owner's axis, and no I/O is done. Who asks, and what an answer means, is not its business; the watch
and the benchmark's simulator drive this same code.

A row is in the wheel by its date, or in a queue (QUEUED), or under way (OUT). A date is set early,
where W = 0.8 of the price; when it comes W is weighed again, and below 0.9 the row is put back to
where W reaches the price. So a price that falls, or a hazard that rises, makes nobody late by more
than it moved. What one second leaves untaken is carried over and weighed again with what comes:
the largest W goes first.

Columns may lie in files, and their process may be killed between any two of these lines. So who
leaves a queue or comes back is dated first and loses QUEUED and OUT then: between, its row says
that it was under way, and is due at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vanished.watch import columns as c
from vanished.watch.columns import NO_DATE, Columns, Floats, Ids, distinct, seconds, seconds_up
from vanished.watch.hazard import CAP_S, Objective
from vanished.watch.leftovers import Leftovers, first_of_each
from vanished.watch.lists import Lists
from vanished.watch.price import Prices, opening
from vanished.watch.queues import Queues
from vanished.watch.thresholds import (
    EARLY,
    FIRST,
    FLOOR_S,
    JITTER,
    RETRY_S,
    REVISED_EVERY_S,
    TAKEN_AT,
)
from vanished.watch.wheel import WINDOW_S, Wheel
from vanished.watch.worth import Batch, Hazards, Worth

SPENT_AT = 0.5  # of the price: what capacity that is left over goes to
SAMPLE = 50_000  # posts that stand for all where a price is opened,
FEWER = 5_000  # and each minute
REST_S = 10  # how often what is left over is given away
CENSUS_REST_S = 3600  # nor to anybody again sooner than this
_MOVED = c.WISHED | c.QUEUED | c.OUT | c.FAILED  # dated by something else than their worth


@dataclass(frozen=True, slots=True)
class Conditions:
    """The numbers of a schedule that somebody may want otherwise."""

    objective: Objective = "mean"
    shortest_s: float = 60.0  # between two looks at a post that nobody wished for
    census: float = 0.02  # share of looks that go to posts drawn at random
    cap_s: float = CAP_S  # a loss noticed later is as good as not noticed
    first_price: float = 10.0


class Priced:
    """The schedule of one observatory. `allowance(host)`: requests a second it may be asked."""

    def __init__(
        self,
        hazards: Hazards,
        allowance: Callable[[int], float],
        *,
        conditions: Conditions | None = None,
        columns: Columns | None = None,
        seed: int = 0,
    ) -> None:
        self.conditions = conditions or Conditions()
        self.columns = columns or Columns.empty()
        self.prices = Prices(self.conditions.first_price)
        self.weighed = 0  # decisions so far: posts taken up for a look, or put back
        self._wheel = Wheel(self.columns)
        self.queues = Queues()
        self._left = Leftovers(self.conditions.census)
        self._worth = Worth(
            self.columns, hazards, self.prices, self.conditions.objective, self.conditions.cap_s
        )
        self._allowance = allowance
        self._chance = np.random.default_rng(seed)
        self.lists = Lists(
            self.columns, hazards, self.prices, self._worth, self.queues, self._chance,
            shortest_s=self.conditions.shortest_s, objective=self.conditions.objective,
            cap_s=self.conditions.cap_s,
        )  # fmt: skip
        self._most_served: dict[int, int] = {}  # posts by one request, by host
        self._second: int | None = None  # of the last tick
        self._minute: int | None = None  # when the prices were last steered
        self._revised = 0  # rows below this were revised in this round
        self._rested: int | None = None  # when what was left over was last given away
        self._taken: dict[int, float] = {}  # requests this minute, by host
        self._opened: set[int] = set()  # hosts whose price was opened,
        self._held: set[int] = set()  # for posts, not for lists alone,
        self._new: set[int] = set()  # and hosts whose first posts have come since

    # -- the columns ------------------------------------------------------------------------

    def arm(self, number: int, host: int, serves: int = 1) -> None:
        """Arm `number` is asked at `host`; one of its requests answers for `serves` posts."""
        self.prices.arm(number, host, serves)
        self._most_served[host] = max(serves, self._most_served.get(host, 1))

    def add(
        self,
        ids: Ids,
        *,
        born: Floats,
        last: Floats,
        account: npt.ArrayLike,
        arm: npt.ArrayLike,
        topic: npt.ArrayLike = 0,
    ) -> None:
        """Enter posts, or enter them anew, without a date: `date` or `wish` gives them one.

        `last`: the start of the last request that proved them alive; who was never proven is
        taken to have been alive when it was met.
        """
        if not len(ids):
            return
        self.columns.use(int(ids.max()) + 1)
        columns = self.columns
        columns.born[ids], columns.last[ids] = seconds(born), seconds(last)
        columns.account[ids], columns.arm[ids], columns.topic[ids] = account, arm, topic
        columns.flags[ids] = c.LIVE
        columns.due[ids] = NO_DATE
        self._new.update(set(np.unique(self._hosts(ids)).tolist()) - self._held)

    def drop(self, ids: Ids) -> None:
        """These posts are not asked about any more."""
        self.columns.flags[ids] = 0
        self.columns.due[ids] = NO_DATE

    def rebuild(self, now: float) -> None:
        """Begin with columns that were filled elsewhere, or lay in a file: one scan.

        What was under way or in a queue when the last process ended is due now.
        """
        flags = self.columns.flags[: self.columns.used]
        lost = np.flatnonzero(flags & (c.QUEUED | c.OUT))
        self.columns.due[lost] = int(np.floor(now))
        flags[lost] &= ~(c.QUEUED | c.OUT)
        self._wheel.clear()
        self.queues.clear()
        self._open(self._middle(now))
        self._held.update(self.prices.host_of_arm.tolist())
        self._new.clear()

    # -- answers ----------------------------------------------------------------------------

    def proven(self, ids: Ids, asked: Floats) -> None:
        """These posts were alive when their requests started, at `asked`; their dates stand."""
        self.columns.last[ids] = np.maximum(self.columns.last[ids], seconds(asked))

    def alive(self, ids: Ids, asked: Floats, now: float) -> None:
        """Definite answers, and nothing else is known: the dates are what hazards ask for."""
        columns = self.columns
        self.proven(ids, asked)
        flags = columns.flags[ids]
        again = flags & c.FAILED
        if again.any():
            self.queues.recovered(self._hosts(ids), again)
        columns.flags[ids] = flags & c.LIVE
        self._put(ids, self.dates(self._worth.of(ids), now))

    def failed(self, ids: Ids, now: float) -> None:
        """No definite answer: nothing was proven, W goes on rising, and the next try waits."""
        flags = self.columns.flags[ids]
        tries = np.minimum((flags & c.FAILED) + 1, 15).astype(np.uint8)
        self.columns.flags[ids] = (flags & c.LIVE) | tries
        first, longest = RETRY_S
        wait = np.minimum(longest, first * 2.0 ** (tries - 1.0))
        self._put(ids, now + wait * self._chance.uniform(0.75, 1.25, len(ids)))

    def date(self, ids: Ids, now: float) -> None:
        """Give these posts the dates that their hazards and prices ask for."""
        self.columns.flags[ids] &= c.LIVE
        self._put(ids, self.dates(self._worth.of(ids), now))

    def dates(self, batch: Batch, now: float, *, share: float = EARLY) -> Floats:
        """When W reaches `share` of the price, jittered; inf where it never does."""
        waits = self._worth.wait_s(batch, share)
        waits *= self._chance.uniform(1 - JITTER, 1.0, len(waits))
        np.minimum(waits, FLOOR_S, out=waits, where=np.isfinite(waits))
        dates = batch.last + np.maximum(waits, self.conditions.shortest_s)
        return np.maximum(dates, now)

    def wish(self, ids: Ids, due: Floats) -> None:
        """Somebody wants these posts asked at these times, whatever it is worth."""
        self._put(ids, due)
        self.columns.flags[ids] = (self.columns.flags[ids] | c.WISHED) & ~(c.QUEUED | c.OUT)

    def _put(self, ids: Ids, due: Floats) -> None:
        self.columns.due[ids] = dates = seconds_up(due)
        self._wheel.put(ids, dates)

    # -- prices -----------------------------------------------------------------------------

    def _hosts(self, ids: Ids) -> Ids:
        return self.prices.host_of_arm[self.columns.arm[ids]]

    def _open(self, middle: Mapping[int, float]) -> None:
        for host, price in middle.items():
            self.prices.open(host, price)
        self._opened.update(middle)

    def _open_new(self, now: float) -> None:
        """Hosts whose first posts have just come get their price at once: the one that all new
        hosts begin with, or that of their lists, would leave those posts waiting for hours."""
        of = self.prices.host_of_arm[self.columns.arm[: self.columns.used]]
        rows = np.flatnonzero(np.isin(of, list(self._new)))
        found = self._middle(now, among=rows)
        for host in self._new - found.keys():  # nobody is lost at so young an age: when one may be,
            self.prices.open(host, 0.0)  # one is asked, and the next minute opens the price
        self._open({h: p for h, p in found.items() if h in self._new})
        self._held |= self._new
        self._new.clear()
        self._redate(rows, now)

    def _middle(
        self, now: float, sample: int = SAMPLE, among: Ids | None = None
    ) -> dict[int, float]:
        """What each host's price would be if only hazards counted, from a sample of the posts."""
        used = self.columns.used if among is None else len(among)
        ids = np.sort(self._chance.integers(0, used, sample)) if used > sample else np.arange(used)
        weight = used / max(len(ids), 1)
        ids = ids if among is None else among[ids]
        ids = ids[(self.columns.flags[ids] & c.LIVE) > 0]
        batch = self._worth.of(ids)
        hosts = self.prices.host_of_arm[batch.arm]
        per_s = self._per_s()
        cost = 1.0 / self.prices.serves[batch.arm]
        of_lists, their_hosts = self.lists.opening(per_s)
        whole = np.ones(len(of_lists))
        found = opening(
            np.concatenate([self._worth.hazard(batch, now), of_lists]),
            np.concatenate([cost, whole]), np.concatenate([hosts, their_hosts]),
            per_s, self.conditions.shortest_s,
            weight=np.concatenate([np.full(len(ids), weight), whole]),
            objective=self.conditions.objective,
        )  # fmt: skip
        return dict(zip(*(column.tolist() for column in found), strict=True))

    def _per_s(self) -> Floats:
        return np.array([self._allowance(host) for host in range(len(self.prices.by_host))])

    def rerank(self, topics: npt.ArrayLike, now: float) -> None:
        """The hazards of these topics have changed: date all their posts anew, in one pass."""
        used = self.columns.used
        ids = np.flatnonzero(np.isin(self.columns.topic[:used], topics))
        self._redate(ids, now)
        self.lists.redate(np.unique(self.columns.account[ids]).astype(np.int64), now)

    def _redate(self, ids: Ids, now: float) -> None:
        """Date those of `ids` anew that are dated by their worth alone."""
        ids = ids[(self.columns.flags[ids] & (_MOVED | c.LIVE)) == c.LIVE]
        self._put(ids, self.dates(self._worth.of(ids), now))

    # -- the tick ---------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Bring what has come due into the queues. Does nothing twice in a second."""
        second = int(np.floor(now))
        before = second if self._second is None else self._second
        if second <= before and self._second is not None:
            return
        self.queues.earn(self._allowance, min(second - before, WINDOW_S))
        self._second = second
        if self._new:
            self._open_new(now)
        if self._minute is None or second >= self._minute + WINDOW_S:
            self._each_minute(now, 0 if self._minute is None else second - self._minute)
            self._minute = second
        if self._rested is None or second >= self._rested + REST_S:
            if self._rested is not None:
                self._give_rest(now, min(second - self._rested, WINDOW_S))
            self._rested = second
        ids = self._wheel.pop(second)
        flags = self.columns.flags[ids]
        waiting = (flags & (c.LIVE | c.QUEUED | c.OUT)) == c.LIVE
        wished = waiting & ((flags & c.WISHED) > 0)
        if wished.any():
            waiting &= ~wished
            self._queue_wished(ids[wished])
        self._weigh(ids[waiting], now)

    def _queue_wished(self, ids: Ids) -> None:
        ids = ids[np.argsort(self.columns.due[ids], kind="stable")]
        self.columns.flags[ids] |= c.QUEUED
        self.columns.due[ids] = NO_DATE
        self.queues.wish(ids, self._hosts(ids))

    def _weigh(self, fresh: Ids, now: float) -> None:
        """Put what came and what was carried over in order; back into the wheel what can wait."""
        lists = self.lists.tick(int(np.floor(now)), now)
        self.weighed += lists
        carried = self.queues.carried(now)
        if len(carried):
            self.lists.carry(~carried[carried < 0], now)
            carried = carried[carried >= 0]
            standing = self.columns.flags[carried] & ~c.FAILED
            carried = carried[standing == (c.LIVE | c.QUEUED)]  # not moved, dropped or wished since
            self._sort(carried, now, known=True)
        if len(fresh):
            self._sort(fresh, now, known=False)
            self.weighed += len(fresh)
        self.queues.settle()

    def _sort(self, ids: Ids, now: float, *, known: bool) -> None:
        batch = self._worth.of(ids)
        worth = self._worth.now(batch, now)
        tries = self.columns.flags[ids] & c.FAILED
        worth[now - batch.last >= FLOOR_S] += FIRST
        early = (worth < TAKEN_AT) & (tries == 0)
        if early.any():
            chosen = batch.where(early)
            self._put(chosen.ids, self.dates(chosen, now, share=1.0))
            self.columns.flags[chosen.ids] = c.LIVE
            batch, worth, tries = batch.where(~early), worth[~early], tries[~early]
        hosts = self.prices.host_of_arm[batch.arm]
        if not known:
            self.columns.flags[batch.ids] |= c.QUEUED
            self.columns.due[batch.ids] = NO_DATE
        self.queues.rank(batch.ids, hosts, worth, tries)

    def _each_minute(self, now: float, since_s: int) -> None:
        self._revise(now)
        middle = self._middle(now, FEWER if since_s else SAMPLE)
        self._open({h: p for h, p in middle.items() if not since_s or h not in self._opened})
        if not since_s:
            return
        allowed = {host: self._allowance(host) * since_s for host in self._opened}
        waits = {
            h: float((1 / self._arms(rows)[1]).sum()) for h, rows in self.queues.ready().items()
        }
        wanted = {h: self._taken.get(h, 0.0) + waits.get(h, 0.0) for h in self._opened}
        self.prices.steer(wanted, allowed, middle)
        self._taken.clear()

    def _revise(self, now: float) -> None:
        """Date a part of all posts anew: prices and hazards have changed since they were dated."""
        used = self.columns.used
        part = -(-used * WINDOW_S // REVISED_EVERY_S)
        ids = np.arange(self._revised, min(self._revised + part, used))
        self._revised = 0 if self._revised + part >= used else self._revised + part
        self._redate(ids, now)

    # -- taking -----------------------------------------------------------------------------

    def take(self, now: float, room: Callable[[int], int], most: int) -> Ids:
        """At most `most` to ask now, within `room(host)` requests; they are then OUT.

        Row numbers of posts, and ~n for the list of account n.
        """
        self.tick(now)
        rows = self.queues.take(room, most, self._arms, self._most_served)
        lists = self.lists.take(~rows[rows < 0])
        ids, flags = rows[rows >= 0], self.columns.flags
        # Who was moved since stands in a queue still, or in two.
        ids = distinct(ids[(flags[ids] & (c.LIVE | c.OUT | c.QUEUED)) == (c.LIVE | c.QUEUED)])
        flags[ids] = (flags[ids] & ~c.QUEUED) | c.OUT
        hosts = np.concatenate([self._hosts(ids), self.lists.host[lists]])
        cost = np.concatenate([1 / self.prices.serves[self.columns.arm[ids]], np.ones(len(lists))])
        self._left.took(hosts, cost)
        for host, requests in enumerate(np.bincount(hosts, weights=cost).tolist()):
            if requests:
                self._taken[host] = self._taken.get(host, 0.0) + requests
        return np.concatenate([~lists, ids])

    def _arms(self, rows: Ids) -> tuple[Ids, Ids]:
        """The arm of each row, and how many rows a request of it serves: lists one by one."""
        posts = rows >= 0
        arm = np.full(len(rows), -1, dtype=np.int64)
        arm[posts] = self.columns.arm[rows[posts]]
        serves = np.ones(len(rows), dtype=np.int64)
        serves[posts] = self.prices.serves[arm[posts]]
        return arm, serves

    def _give_rest(self, now: float, for_s: float) -> None:
        """Give away what is left over: the census's share, and spare requests to whom they help.

        Spare ones go to what is worth most of some drawn posts; below half of its price, to such
        only that nobody asked about for an hour.
        """
        per_s = self._per_s()
        busy = np.array([h for h in self.queues.waiting() if h < len(per_s)], dtype=np.int64)
        spare, owed = self._left.pass_(per_s, for_s, busy)
        total = int(spare.sum() + owed.sum())
        if not total or not self.columns.used:
            return
        ids = self._drawn(16 * total, now)
        hosts = self._hosts(ids)
        census = first_of_each(hosts, np.arange(len(ids), dtype=np.float64), owed)
        rest = np.setdiff1d(np.arange(len(ids)), census)
        batch = self._worth.of(ids[rest])
        worth = self._worth.now(batch, now)
        useful = (worth >= SPENT_AT) | (now - batch.last >= CENSUS_REST_S)
        rest, worth = rest[useful], worth[useful]
        rest = rest[first_of_each(hosts[rest], -worth, spare)]
        size = len(per_s)
        self._left.spent(
            np.bincount(hosts[rest], minlength=size), np.bincount(hosts[census], minlength=size)
        )
        chosen = ids[np.concatenate([census, rest])]
        self.wish(chosen, np.full(len(chosen), now))

    def _drawn(self, tries: int, now: float) -> Ids:
        """Rows drawn at random from those in the wheel, or retired, that have rested."""
        columns = self.columns
        if tries < columns.used:
            ids = distinct(self._chance.integers(0, columns.used, min(tries, SAMPLE)))
        else:
            ids = self._chance.permutation(columns.used)
        ids = ids[(columns.flags[ids] & (_MOVED | c.LIVE)) == c.LIVE]
        rested: Ids = ids[now - columns.last[ids] >= self.conditions.shortest_s]
        return rested

    def next_due(self) -> int:
        """The second at which `take` may find more than stands in the queues; NO_DATE: never."""
        dates = [self._wheel.next_due(), self.lists.next_due()]
        if self._new and self._second is not None:  # a host that waits for its price
            dates.append(self._second + 1)
        return min(dates)
