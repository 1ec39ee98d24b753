"""The policies that compete in the simulated world: each ranks all live posts in every tick.

In: what a policy may know of a world, and for the two that know hazards, the truth. Out: the posts to
ask about. All re-rank exactly, which an observatory could not afford; the wheel of `watch` is held
against the last of them in `schedule.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bench.schedule_world import (
    CURVE,
    HORIZON,
    OLDEST,
    SWEEP_HAZARD,
    SWEPT_TOPIC,
    Bools,
    Ints,
    World,
)
from vanished.watch.hazard import SURE, AgeCurve, Floats
from vanished.watch.learning import Learner

# Posts younger than the first number of minutes are asked every second number of minutes.
BUCKETS_MIN = [(60, 1), (6 * 60, 5), (24 * 60, 15), (48 * 60, 60), (HORIZON // 60, 360)]


class Ranked:
    """Asks about the posts, or the pages, with the largest rank."""

    def __init__(self, world: World, rank: Rank, *, by_page: bool = False, best: bool = False) -> None:
        """`best` ranks a page by its most urgent post, not by the sum over its posts."""
        self.by_page, self.best = by_page, best
        self._world, self._rank = world, rank
        self.proven_s = np.maximum(world.born_s, 0)
        self._gone = np.zeros(len(world.born_s), dtype=bool)  # or beyond the horizon

    def take(self, now: int, room: int) -> Ints:
        live = self._world.live(now)
        rank = np.where(self._gone[live], -np.inf, self._rank(now, live, self.proven_s[live]))
        if not self.by_page:
            return live.start + _largest(rank, room)
        page = self._world.page[live]
        rank = np.maximum(rank, 0.0)
        if self.best:
            worth = np.zeros(self._world.pages)
            np.maximum.at(worth, page, rank)
        else:
            worth = np.bincount(page, rank, self._world.pages)
        asked = np.zeros(self._world.pages, dtype=bool)
        asked[_largest(worth, room)] = True
        return live.start + np.flatnonzero(asked[page] & ~self._gone[live])

    def answered(self, now: int, posts: Ints, lost: Bools) -> None:
        self._rank.learn(now, posts, self.proven_s[posts], lost)
        self._gone[posts[lost]] = True
        self.proven_s[posts[~lost]] = now
        self._gone[posts[now - self._world.born_s[posts] >= HORIZON]] = True


class Rank:
    """How urgent each live post is; `proven_s` are their last proofs of life."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, now: int, live: slice, proven_s: Ints) -> Floats:
        raise NotImplementedError

    def learn(self, now: int, posts: Ints, proven_s: Ints, lost: Bools) -> None:
        """Learn from definite answers; most policies do not."""


class Formula(Rank):
    """A rank that is a formula of the age and the seconds since the last proof."""

    def __init__(self, world: World, formula: Callable[[Ints, Ints], npt.NDArray[np.generic]]) -> None:
        super().__init__(world)
        self._formula = formula

    def __call__(self, now: int, live: slice, proven_s: Ints) -> Floats:
        return np.asarray(self._formula(now - self.world.born_s[live], now - proven_s), np.float64)


def round_robin(world: World) -> Rank:
    return Formula(world, lambda age, tau: tau)


def age_buckets(world: World) -> Rank:
    """Intervals by age, all stretched by the same factor so that they fit the budget."""
    edges = np.array([edge * 60 for edge, _ in BUCKETS_MIN[:-1]])
    every = np.array([every * 60.0 for _, every in BUCKETS_MIN])
    return Formula(world, lambda age, tau: tau / every[np.searchsorted(edges, age, side="right")])


def doubling(world: World) -> Rank:
    """Intervals in proportion to the age, as a back-off by a constant factor makes them."""
    return Formula(world, lambda age, tau: tau / np.maximum(age - tau, 60))


class Weighed(Rank):
    """The index W, or the mass M, with F and G read from tables at whole seconds."""

    def __init__(self, world: World, *, p: Floats | None = None, log: bool = False) -> None:
        """`p` of each account; without it one p for all."""
        super().__init__(world)
        self._p = np.full(len(world.p), 0.05) if p is None else p
        self._log = log
        self._age0 = np.maximum(-world.born_s, 0)  # at the last proof
        self.tabulate(CURVE)

    def tabulate(self, curve: AgeCurve) -> None:
        ages = np.arange(OLDEST + 1, dtype=np.float64)
        self._cdf, self._area = curve.both(ages)
        self._cdf0, self._area0 = self._cdf[self._age0], self._area[self._age0]

    def chances(self) -> Floats:
        return np.minimum(self._p, SURE)

    def __call__(self, now: int, live: slice, proven_s: Ints) -> Floats:
        age1 = now - self.world.born_s[live]
        p = self.chances()[self.world.account[live]]
        cdf0 = self._cdf0[live]
        if self._log:
            known = self._cdf[age1] - cdf0
        else:
            known = (now - proven_s) * self._cdf[age1] - (self._area[age1] - self._area0[live])
        return p / (1.0 - p * cdf0) * known + self.swept(now, live, proven_s)

    def learn(self, now: int, posts: Ints, proven_s: Ints, lost: Bools) -> None:
        alive = posts[~lost]
        self._age0[alive] = age0 = now - self.world.born_s[alive]
        self._cdf0[alive], self._area0[alive] = self._cdf[age0], self._area[age0]

    def swept(self, now: int, live: slice, proven_s: Ints) -> Floats | float:
        return 0.0

    def excess(self, now: int, proven_s: Ints, hazard: Floats, since_s: npt.ArrayLike) -> Floats:
        """What an excess hazard that began at `since_s` adds."""
        before = np.maximum(np.asarray(since_s) - proven_s, 0.0)
        tau = now - proven_s
        if self._log:
            return np.asarray(hazard * np.maximum(tau - before, 0.0))
        return np.asarray(hazard * np.maximum(tau * tau - before * before, 0.0) / 2.0)


class Known(Weighed):
    """Knows each account's p, the curve, and the sweep while it lasts."""

    def __init__(self, world: World, *, log: bool = False) -> None:
        super().__init__(world, p=world.p, log=log)

    def swept(self, now: int, live: slice, proven_s: Ints) -> Floats | float:
        sweep = self.world.sweep_s
        if sweep is None or now <= sweep or proven_s.min(initial=now) >= self.world.sweep_end_s:
            return 0.0
        hazard = np.where(self.world.topic[live] == SWEPT_TOPIC, SWEEP_HAZARD, 0.0)
        until = min(now, self.world.sweep_end_s)
        added = self.excess(now, proven_s, hazard, sweep)
        if until == now:
            return added
        return added - self.excess(now, proven_s, hazard, until)  # it no longer acts


class Learned(Weighed):
    """Learns everything from its own answers, by the learner of `watch`.

    `topics` holds a row of topic numbers for each post; without it the topic that the world names.
    """

    def __init__(self, world: World, *, topics: npt.NDArray[np.integer] | None = None) -> None:
        self._topics = world.topic[:, None] + 1 if topics is None else topics
        self.learner = Learner(int(self._topics.max()) + 1)
        super().__init__(world)
        self._all = np.arange(len(world.p))
        self.tabulate(self.learner.curve)
        self._curve = self.learner.curve

    def chances(self) -> Floats:
        return self.learner.chance(self._all)

    def swept(self, now: int, live: slice, proven_s: Ints) -> Floats | float:
        if not self.learner.excess.any():
            return 0.0
        return self.excess(now, proven_s, *self.learner.excess_of(self._topics[live]))

    def learn(self, now: int, posts: Ints, proven_s: Ints, lost: Bools) -> None:
        born = self.world.born_s[posts]
        self.learner.observe(
            now, proven_s - born, now - born, self.world.account[posts], self._topics[posts], lost
        )
        super().learn(now, posts, proven_s, lost)
        if self.learner.curve is not self._curve:
            self._curve = self.learner.curve
            self.tabulate(self._curve)


def _largest(rank: Floats, room: int) -> Ints:
    """The places of the `room` largest ranks above 0."""
    if room >= len(rank):
        found = np.arange(len(rank))
    elif room <= 0:
        found = np.zeros(0, dtype=np.int64)
    else:
        found = np.argpartition(rank, len(rank) - room)[len(rank) - room :]
    return found[rank[found] > 0]
