"""How near a plan comes: the delay that `vanished plan` estimates beside the one that is then kept.

In: nothing but seeds. Out: claims. In a small simulated world the watch's own schedule runs with
known and with learned hazards, at a tight and at an ample budget; every two hours a plan is made of
what it believes at that moment. The mean over the plans, each with the weight of the losses that it
expects, is held against the run's mean delay. Takes some four minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.harness import Claim, Peer, at_least, at_most
from bench.schedule_wheel import Wheel
from bench.schedule_world import DAY, Bools, Ints, Shape, World, simulate
from vanished.watch import columns as c
from vanished.watch.planning import Buys, grouped, outlook

SEEDS = (1, 2, 3)
PER_S = (0.3, 1.2)
EVERY_S = 7200


class Planned:
    """The watch's schedule as a policy, with a plan every two hours in which losses count."""

    by_page = False

    def __init__(self, world: World, *, learned: bool) -> None:
        self.plans: list[Buys] = []
        self._shape = world.shape
        self._wheel = Wheel(world, learned=learned)

    def take(self, now: int, room: int) -> Ints:
        if self._shape.warm_s < now <= self._shape.last_s and now % EVERY_S == 0:
            self.plans.append(self._plan(now))
        return self._wheel.take(now, room)

    def answered(self, now: int, posts: Ints, lost: Bools) -> None:
        self._wheel.answered(now, posts, lost)

    def _plan(self, now: int) -> Buys:
        schedule = self._wheel._schedule
        live = schedule.columns.flags[: schedule.columns.used] & c.LIVE
        worth = schedule._worth
        hazard = worth.hazard(worth.of(np.flatnonzero(live)), float(now))
        none = np.zeros(len(hazard), np.int64)
        risks = grouped(none, hazard, none[:1], np.ones(1))
        return outlook(risks, np.array([self._shape.requests_per_s]), schedule.conditions).all()


def compared(*, learned: bool) -> tuple[list[float], list[float]]:
    """Over seeds and budgets: planned delay over kept delay; share in 1 h planned less kept."""
    delays, shares = [], []
    for seed in SEEDS:
        for per_s in PER_S:
            world = World(Shape("plan", 200, 1200, per_s, 3 * DAY, 30), seed)
            policy = Planned(world, learned=learned)
            kept = simulate(world, policy)
            losses = np.array([plan.losses_per_s for plan in policy.plans])
            planned_s = np.array([plan.delay_s for plan in policy.plans])
            hour = np.array([plan.within[1] for plan in policy.plans if plan.within])
            delays.append(float(planned_s @ losses / losses.sum()) / 60 / kept.expected_min)
            shares.append(float(hour @ losses / losses.sum()) - kept.within(3600))
    return delays, shares


def run() -> tuple[Sequence[Claim], Sequence[Peer]]:
    claims = []
    for learned, least in ((False, 0.8), (True, 0.6)):
        delays, shares = compared(learned=learned)
        name = "hazards learned" if learned else "hazards known"
        claims += [
            at_least(f"{name}: planned ÷ kept mean delay, least", min(delays), "", least),
            at_most(f"{name}: planned ÷ kept mean delay, most", max(delays), "", 1.05),
            at_least(f"{name}: noticed in 1 h, planned − kept, least", min(shares), "", -0.05),
            at_most(f"{name}: noticed in 1 h, planned − kept, most", max(shares), "", 0.15),
        ]
    return claims, []
