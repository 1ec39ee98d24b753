"""The mean delay that no schedule goes below, in expectation: for single looks and for pages.

In: a simulated world with its truth. Out: minutes. In an interval between looks in which the
density of loss f does not rise, the delay is at least half the interval times the chance of loss;
with the inequality of Cauchy and Schwarz, D ≥ (Σ ∫ √(f S) dt)² / (2 · looks · losses), where S is
the chance that the post is still there to be asked. Where f rises each post is given one look for
free. Derivation: docs/schedule.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.schedule_world import (
    CURVE,
    HORIZON,
    SWEEP_HAZARD,
    SWEPT_TOPIC,
    Ints,
    World,
)
from vanished.watch.hazard import Floats

JUMP_S = 480  # the age at which the density of losses rises
STEP_S = 60  # of the integrals; every knot of the curve is a multiple


def bound_min(world: World) -> float:
    """Minutes of mean delay that no schedule of single looks goes below, in expectation."""
    total, removals = 0.0, 0.0
    for _, density, alive in _posts(world):
        total += float(np.sqrt(density * alive).sum()) * STEP_S
        removals += float(density.sum()) * STEP_S
    looks = _looks(world)
    return total**2 / (2 * looks * removals) / 60


def page_bound_min(world: World) -> float:
    """The same for schedules of pages.

    The density of a page rises where a post of it comes to the age at which its own rises. One free
    look each makes up for that; losses at younger ages are left out of the sum.
    """
    shape = world.shape
    steps = (shape.last_s - shape.warm_s) // STEP_S
    product = np.zeros((world.pages, steps + 1))
    removals = 0.0
    for posts, density, alive in _posts(world):
        removals += float(density.sum()) * STEP_S
        old = (np.arange(density.shape[1]) + 0.5) * STEP_S > JUMP_S
        begin = (world.born_s[posts] - shape.warm_s) // STEP_S
        at = begin[:, None] + np.arange(density.shape[1])
        at = np.clip(at, 0, steps)  # beyond either end there is no density
        np.add.at(product, (world.page[posts][:, None], at), density * alive * old)
    total = float(np.sqrt(product[:, :steps]).sum()) * STEP_S
    return total**2 / (2 * _looks(world) * removals) / 60


def _looks(world: World) -> float:
    """Looks within the time that counts, and the free ones that make the bound one.

    One free look for each post whose density of loss rises within the time (the age of JUMP_S, the
    beginning of the sweep). Looks after the end do not help before it.
    """
    shape = world.shape
    jump = world.born_s + JUMP_S
    free = np.sum((jump > shape.warm_s) & (jump <= shape.last_s) & (world.lost_s > jump))
    if world.sweep_s is not None:
        live = world.live(world.sweep_s)
        free += np.sum((world.topic[live] == SWEPT_TOPIC) & (world.lost_s[live] > world.sweep_s))
    return shape.requests_per_s * (shape.last_s - shape.warm_s) + float(free)


def _posts(world: World, chunk: int = 500) -> Iterator[tuple[Ints, Floats, Floats]]:
    """For chunks of posts: their numbers, the density of loss and the survival at ages in steps.

    Both are given survival to the beginning of the run; the density is 0 where it does not count.
    """
    shape = world.shape
    ages = (np.arange(HORIZON // STEP_S) + 0.5) * STEP_S
    edges = np.arange(HORIZON // STEP_S + 1) * float(STEP_S)
    share, cdf = np.diff(CURVE.cdf(edges)) / STEP_S, CURVE.cdf(ages)
    which = np.flatnonzero(world.born_s + HORIZON > shape.warm_s)
    which = which[world.born_s[which] < shape.last_s]
    for first in range(0, len(which), chunk):
        posts = which[first : first + chunk]
        p, born = world.p[world.account[posts]][:, None], world.born_s[posts][:, None]
        alive = 1.0 - p * cdf
        hazard = p * share / alive
        alive0 = 1.0 - p * CURVE.cdf(np.maximum(-born, 0))
        if world.sweep_s is not None:
            hit = world.topic[posts][:, None] == SWEPT_TOPIC
            begin = np.maximum(world.sweep_s, born)
            acted = np.clip(np.minimum(born + ages, world.sweep_end_s) - begin, 0, None)
            alive = alive * np.exp(-SWEEP_HAZARD * hit * acted)
            during = (born + ages > world.sweep_s) & (born + ages <= world.sweep_end_s)
            hazard = hazard + SWEEP_HAZARD * hit * during
        counts = (born + ages > shape.warm_s) & (born + ages <= shape.last_s)
        alive = alive / alive0
        yield posts, hazard * alive * counts, alive
