"""The schedule of `watch` as a policy of the simulated world: its wheel, its price, its beliefs.

In: a world. Out: the posts that `watch.priced.Priced` takes, answered as the world says. It runs
the code that an observatory runs, under the budget of the world; nothing is ranked anew here.
Beside the policies of `schedule_policies.py`, which rank all posts exactly in every tick, it shows
what the wheel costs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.schedule_world import CURVE, HORIZON, SWEEP_HAZARD, SWEPT_TOPIC, Bools, Ints, World
from vanished.watch.beliefs import Beliefs
from vanished.watch.columns import Ids
from vanished.watch.hazard import AgeCurve, Floats
from vanished.watch.learning import Learner
from vanished.watch.priced import Conditions, Priced
from vanished.watch.worth import Hazards

STILL_S = 600
"""How long an excess that ended is still believed in: hazards cannot say that it ended, and what it
did until then is still to be noticed."""


class Wheel:
    """Asks about whom the watch's schedule takes."""

    by_page = False

    def __init__(
        self, world: World, *, learned: bool = False, topics: npt.NDArray[np.integer] | None = None
    ) -> None:
        """Hazards known, or `learned`; `topics` holds a row of topic numbers a post, instead of the
        topic that the world names."""
        self._world = world
        named = world.topic[:, None] + 1 if topics is None else topics
        hazards: Hazards
        if learned:
            self.beliefs = hazards = Beliefs(Learner(int(named.max()) + 1))
            number = self.beliefs.sets.number
            self._topic: Ints = np.array([number(tuple(row)) for row in named.tolist()])
        else:
            hazards = Truth(world)
            self._topic = (world.topic == SWEPT_TOPIC).astype(np.int64)
        self._hazards = hazards
        self._learned = learned
        self._schedule = Priced(
            hazards,
            lambda host: world.shape.requests_per_s,
            conditions=Conditions(shortest_s=world.shape.tick_s),
            seed=world.seed,
        )
        self._schedule.arm(0, 0)
        self._met = 0
        self._taken: Ints = np.zeros(0, dtype=np.int64)

    def take(self, now: int, room: int) -> Ints:
        self._meet(now)
        if isinstance(self._hazards, Truth) and self._hazards.changes(now):
            self._schedule.rerank([1], float(now))
        self._taken = self._schedule.take(float(now), lambda host: room, room)
        return self._taken

    def _meet(self, now: int) -> None:
        world = self._world
        until = int(np.searchsorted(world.born_s, now, side="right"))
        ids = np.arange(self._met, until)
        self._met = until
        if not len(ids):
            return
        born = world.born_s[ids].astype(np.float64)
        self._schedule.add(
            ids, born=born, last=np.maximum(born, 0.0), account=world.account[ids], arm=0,
            topic=self._topic[ids],
        )  # fmt: skip
        self._schedule.date(ids, float(now))

    def answered(self, now: int, posts: Ints, lost: Bools) -> None:
        """What `posts` leaves out of those taken failed."""
        columns, world = self._schedule.columns, self._world
        proven = columns.last[posts].astype(np.float64)
        alive = posts[~lost]
        self._schedule.drop(posts[lost])
        self._schedule.alive(alive, np.full(len(alive), float(now)), float(now))
        self._schedule.drop(alive[now - world.born_s[alive] >= HORIZON])
        if self._learned:
            born = world.born_s[posts]
            changed = self.beliefs.observe(
                float(now), proven - born, (now - born).astype(np.float64),
                world.account[posts], self._topic[posts], lost,
            )  # fmt: skip
            if len(changed):
                self._schedule.rerank(changed, float(now))
        failed = np.setdiff1d(self._taken, posts)
        if len(failed):
            self._schedule.failed(failed, float(now))


class Truth:
    """Hazards as they are: each account's p, the curve, and the sweep while it lasts."""

    curve: AgeCurve = CURVE

    def __init__(self, world: World) -> None:
        self._world = world
        self.excess: Floats = np.zeros(2)
        self.began_s: Floats = np.full(2, np.inf)

    def chance(self, account: Ids) -> Floats:
        return self._world.p[account]

    def changes(self, now: int) -> bool:
        """Whether the sweep has begun or ended since this was asked last."""
        world = self._world
        if world.sweep_s is None:
            return False
        on = world.sweep_s < now <= world.sweep_end_s + STILL_S
        if on == bool(self.excess[1]):
            return False
        self.excess = np.array([0.0, SWEEP_HAZARD if on else 0.0])
        self.began_s = np.array([np.inf, world.sweep_s if on else np.inf])
        return True
