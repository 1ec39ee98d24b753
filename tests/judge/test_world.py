"""A world with known truth: replicas, old copies, bursts of false 404, failures, outages.

Each world draws one post, when it is really lost (or never), and how its platform misbehaves
within what docs/judge.md assumes. The watch's part is played by random looks, and by
`next_look_s` whenever the judge asks. The judge sees only answers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from tests.judge.facts import (
    ALIVE,
    DAY_S,
    HOUR_S,
    NOT_FOUND,
    POST,
    TIMEOUT,
    VIOLATION,
    look,
    t,
)
from vanished.judge import JudgeSettings, judge, next_look_s
from vanished.model import Observation, Signal, State

DAYS = 6
WORLDS = 300


@dataclass(frozen=True)
class World:
    """Moments are seconds. `lost_at` None: the post is never removed."""

    lost_at: float | None
    notice: Signal
    lags: tuple[float, ...]  # of each replica, when the post is lost
    bursts: tuple[tuple[float, float, int], ...]  # false 404: from, to, replica (-1: all)
    outages: tuple[tuple[float, float], ...]  # of the observer
    failing: float

    def answer(self, moment: float, chance: random.Random) -> Signal:
        if chance.random() < self.failing:
            return TIMEOUT
        replica = chance.randrange(len(self.lags))
        if any(a <= moment < b and r in (-1, replica) for a, b, r in self.bursts):
            return NOT_FOUND
        if self.lost_at is not None and moment >= self.lost_at + self.lags[replica]:
            return self.notice
        return ALIVE


def a_world(chance: random.Random, lag_s: float) -> World:
    lost_at = chance.uniform(0, 4 * DAY_S) if chance.random() < 0.6 else None
    bursts, begin = [], chance.uniform(-HOUR_S, DAY_S)
    if lost_at is not None and chance.random() < 0.5:  # a burst that runs into the loss
        begin = lost_at - chance.uniform(0, 1.2 * HOUR_S)
        begin -= chance.randrange(3) * DAY_S
    while begin < DAYS * DAY_S:
        end = begin + chance.uniform(60, HOUR_S)
        bursts.append((begin, end, chance.choice((-1, 0))))
        begin = end + chance.choice((chance.uniform(12 * HOUR_S, 3 * DAY_S), DAY_S))
    outages = []
    for _ in range(chance.randrange(3)):
        start = chance.uniform(0, 5 * DAY_S)
        outages.append((start, start + chance.uniform(0, 14 * HOUR_S)))
    return World(
        lost_at,
        chance.choice((VIOLATION, NOT_FOUND)),
        (0.0, chance.uniform(0, lag_s), lag_s),
        tuple(bursts),
        tuple(outages),
        chance.choice((0.0, 0.2, 0.5)),
    )


def watch(world: World, chance: random.Random, settings: JudgeSettings) -> State:
    """Live through the world; every verdict on the way is held against the truth."""
    case: list[Observation] = []  # as the watch keeps it: definite answers, alive ones in runs
    pace = chance.choice((300.0, HOUR_S, 6.0 * HOUR_S))
    now, failures, wait = 0.0, 0, 0.0
    state = State.UNKNOWN
    while now < DAYS * DAY_S:
        took = chance.choice((0.05, 0.5, chance.uniform(0, 20)))
        signal = world.answer(now + chance.uniform(0, took), chance)
        fact = look(now, signal, took=took)
        now += took
        if signal is TIMEOUT:
            failures += 1
            now += min(30.0 * 2**failures, wait)
        else:
            failures = 0
            if signal is ALIVE and case and case[-1].signal is ALIVE:
                case[-1] = case[-1].extended(fact)
            else:
                case.append(fact)
            verdict = judge(POST, case, settings=settings)
            state = verdict.state
            if state is State.GONE:
                assert verdict.interval is not None
                assert world.lost_at is not None, f"never lost, and called gone: {verdict}"
                assert world.lost_at < now, "called gone before it was"
                lower = verdict.interval.last_alive_at
                assert lower is None or lower < t(world.lost_at), f"{world} {verdict}"
                assert t(world.lost_at) <= verdict.interval.first_gone_at, f"{world} {verdict}"
            assert state is not State.RETURNED, f"{world} {verdict}"
            needed = next_look_s(verdict)
            if needed is not None:
                wait = needed
            else:
                wait = DAY_S / 4 if state is State.GONE else chance.expovariate(1 / pace)
            now += wait
        for start, end in world.outages:
            if start <= now < end:
                now = end
    return state


@pytest.mark.parametrize("lag_s", [0.0, 60.0, 900.0])
def test_the_interval_holds_the_truth_and_nothing_is_lost_that_was_not(lag_s: float) -> None:
    """A reader would be given a removal that never was, or a time at which it was not."""
    settings = JudgeSettings(stale_s=max(60.0, lag_s + 20))
    decided = lost = 0
    for seed in range(WORLDS):
        chance = random.Random(f"{lag_s}/{seed}")
        world = a_world(chance, lag_s)
        state = watch(world, chance, settings)
        if world.lost_at is not None and world.lost_at > 0:
            lost += 1
            decided += state is State.GONE
    print(f"lag {lag_s:g} s: {decided} of {lost} losses decided in {WORLDS} worlds")
    assert lost > WORLDS / 2
    assert decided >= 0.99 * lost
