"""The estimators: a wrong one would tell a newsroom a wrong share of removed posts."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest

from vanished.explain.ages import Ages, Floats, Grid, ages
from vanished.explain.counted import Counted, count
from vanished.explain.limited import Family, chosen, fit
from vanished.explain.turnbull import Incidence, npmle
from vanished.lab.lifetimes import Crowd, Life, LogNormal, Rhythm, watched
from vanished.model import Cause

surpyval: Any = importlib.import_module("surpyval")  # it has types, but exports none

LIFE = Life({Cause.PLATFORM: (0.4, LogNormal(3.0, 1.6))})
ASKED = np.array([1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 36.0])


def lives_of(alive: Floats, gone: Floats, entry: Floats | None = None) -> Ages:
    fate = np.isfinite(gone).astype(np.int8)
    entry = np.zeros(alive.size) if entry is None else entry
    return Ages(entry, alive, gone, fate, np.arange(alive.size), 0, 0, 0)


def counted(found: Ages, asked: Floats = ASKED, cells: int = 2000) -> tuple[Grid, Counted]:
    grid = Grid.of(found, asked.tolist(), cells)
    cause = np.where(np.isfinite(found.gone), 0, -1)
    return grid, count(found, grid, cause, 1, np.arange(found.entry.size)).whole


def exactly(counts: Counted, since: int = 0) -> Incidence:
    return npmle(counts, since, tol=1e-10, most=50_000)


def world(posts: int = 120, first_h: float = 0.3, seed: int = 1) -> Ages:
    rhythm = Rhythm(first_median_h=first_h)
    rng = np.random.default_rng(seed)
    return ages(watched(rng, LIFE, rhythm, Crowd(posts, accounts=20)), 48.0)


@pytest.mark.parametrize("truncated", [False, True])
def test_one_cause_is_the_estimate_of_surpyval(truncated: bool) -> None:
    # a user who checks us with another program must get the same
    found = world()
    entry = found.entry if truncated else np.zeros(found.entry.size)
    # surpyval puts the mass of an interval at its end, so ours is read at ages that occur
    grid, counts = counted(lives_of(found.alive, found.gone, entry), np.array([]))
    ours = exactly(counts).survival[grid.before(ASKED), 0]
    window = {"tl": found.entry} if truncated else {}
    theirs = surpyval.Turnbull.fit(
        xl=found.alive,
        xr=found.gone,
        turnbull_estimator="Kaplan-Meier",
        tol=1e-11,
        max_iter=50_000,
        **window,
    )
    assert ours == pytest.approx(theirs.sf(ASKED), abs=2e-4)
    assert 0.4 < ours[-1] < ours[1] < 1


def test_a_loss_may_have_happened_at_the_end_of_its_interval() -> None:
    # surpyval's issue 272: losses at 2 and five at 3, and five in (1, 3]; S(2.5) is 5/6
    moment = 1e-9
    alive = np.repeat([2.0 - moment, 3.0 - moment, 1.0], [1, 5, 5])
    gone = np.repeat([2.0, 3.0, 3.0], [1, 5, 5])
    grid, counts = counted(lives_of(alive, gone), np.array([2.5]))
    ours = exactly(counts).survival[grid.before(np.array([2.5])), 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own intervals of confidence
        theirs = surpyval.Turnbull.fit(
            x=[2.0, 3.0, [1.0, 3.0]], c=[0, 0, 2], n=[1, 5, 5], turnbull_estimator="Kaplan-Meier"
        )
    assert theirs.sf([2.5]) == pytest.approx([5 / 6], abs=1e-4)
    assert ours == pytest.approx([5 / 6], abs=1e-4)


def test_without_the_entry_the_early_losses_would_hide() -> None:
    # posts first seen after hours survived those hours: to forget that makes platforms look tame
    rhythm, crowd = Rhythm(first_median_h=3.0, first_sigma=1.0), Crowd(20_000, 200)
    found = ages(watched(np.random.default_rng(3), LIFE, rhythm, crowd), 48.0)
    at = np.array([24.0])
    grid, counts = counted(found, at, 300)
    since = int(grid.after(np.array([0.5]))[0])
    begin = grid.bounds[[since]]
    true = (LIFE.gone(at) - LIFE.gone(begin)) / (1 - LIFE.gone(begin))
    ours = 1 - npmle(counts, since).survival[grid.before(at), 0]
    blind_grid, blind = counted(lives_of(found.alive, found.gone), at, 300)
    unaware = 1 - npmle(blind).survival[blind_grid.before(at), 0]
    assert ours == pytest.approx(true, abs=0.02)
    assert unaware < true - 0.08


def test_what_looks_leave_open_holds_the_truth_and_the_estimate() -> None:
    found = world(20_000, first_h=0.05)
    grid, counts = counted(found, cells=300)
    since = int(grid.after(np.array([0.02]))[0])
    made, places = npmle(counts, since, thin=500.0), grid.before(ASKED)
    before = LIFE.gone(grid.bounds[[since]])
    true = (LIFE.gone(ASKED) - before) / (1 - before)
    least, by, most = (of[0, places, 0] for of in (made.least, made.by, made.most))
    assert (least <= by + 1e-3).all()
    assert (by <= most + 1e-3).all()
    assert (least - 0.01 <= true).all()
    assert (true <= most + 0.01).all()
    assert (most - least)[ASKED == 24.0] < 0.05  # and it is no empty phrase


def test_causes_compete() -> None:
    # one minus a Kaplan-Meier estimate per cause would count removals of posts already taken down
    taken = {
        Cause.PLATFORM: (0.3, LogNormal(6.0, 1.0)),
        Cause.AUTHOR: (0.5, LogNormal(2.0, 1.0)),
    }
    life = Life(taken)
    posts = watched(np.random.default_rng(5), life, crowd=Crowd(20_000, 200))
    found = ages(posts, 48.0)
    cause = np.select([found.fate == 1, found.fate == 3], [0, 1], -1)
    grid = Grid.of(found, [12.0, 24.0], 300)
    counts = count(found, grid, cause, 2, np.arange(cause.size)).whole
    place, at = grid.before(np.array([24.0])), np.array([24.0])
    made = npmle(counts, int(grid.after(np.array([0.02]))[0]))
    assert made.by[0, place, 0] == pytest.approx(life.gone(at, Cause.PLATFORM), abs=0.015)
    assert made.by[1, place, 0] == pytest.approx(life.gone(at, Cause.AUTHOR), abs=0.015)
    alone, lone = counted(lives_of(found.alive, np.where(cause == 0, found.gone, np.inf)), at, 300)
    naive = npmle(lone).by[0, alone.before(at), 0]
    assert naive > 1.3 * life.gone(at, Cause.PLATFORM)


@pytest.mark.parametrize("family", [Family.LOGNORMAL, Family.WEIBULL])
def test_the_curve_is_the_limited_failure_fit_of_surpyval(family: Family) -> None:
    found = world(400, first_h=0.05)
    grid, counts = counted(found)
    ours = fit(counts, grid.bounds, family)
    law = surpyval.LogNormal if family is Family.LOGNORMAL else surpyval.Weibull
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimiser's trials
        theirs = law.fit(xl=found.alive, xr=found.gone, tl=found.entry, lfp=True)
    assert ours.converged
    assert float(ours.ever[0]) == pytest.approx(float(theirs.lfp_p), abs=2e-3)
    assert 1 - ours.by(ASKED)[0] == pytest.approx(theirs.sf(ASKED), abs=2e-3)


def test_the_slope_of_the_likelihood_is_right() -> None:
    # with a wrong one the search would end anywhere, and say that it had converged
    from vanished.explain.limited import _Sample

    _, counts = counted(world(300))
    grid, _ = counted(world(300))
    for family in Family:
        sample = _Sample.of(counts, grid.bounds, family)
        at = np.array([-0.4, 1.0, 0.4])
        slope = sample.loss(at)[1]
        for place in range(3):
            step = np.zeros(3)
            step[place] = 1e-5
            numeric = (sample.loss(at + step)[0] - sample.loss(at - step)[0]) / 2e-5
            assert slope[place] == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_another_family_is_chosen_only_where_it_is_clearly_better() -> None:
    grid, counts = counted(world(4000, first_h=0.05), cells=300)
    assert chosen(counts, grid.bounds, 4.0).family is Family.LOGNORMAL
    assert chosen(counts, grid.bounds, -1000.0).family is not None
