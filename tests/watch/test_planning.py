"""What a budget buys: the estimate against closed forms, and against the schedule that is planned.

A plan that promises more than the watch keeps sends an operator's requests to the wrong place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.watch.test_priced import Buckets, Known, everybody, run
from vanished.watch.hazard import CAP_S
from vanished.watch.planning import WITHIN_S, Buys, Risks, delay_s, grouped, looks, outlook
from vanished.watch.priced import Conditions, Priced

DRY = Conditions(census=0.0)
Floats = npt.NDArray[np.float64]


def risks(
    hazard: Floats,
    *,
    posts: float = 1.0,
    host: npt.NDArray[np.int64] | None = None,
    cost: npt.ArrayLike = (1.0,),
) -> Risks:
    """Posts at hosts 0, 1, …, one arm each."""
    at = np.zeros(len(hazard), np.int64) if host is None else host
    costs = np.asarray(cost, dtype=np.float64)
    return Risks(at, hazard, np.full(len(hazard), posts), np.arange(len(costs)), costs)


def buys(found: Risks, *per_s: float, conditions: Conditions = DRY) -> Buys:
    return outlook(found, np.array(per_s), conditions).all()


# -- closed forms --------------------------------------------------------------------------


def test_equal_posts_share_the_budget_and_wait_half_an_interval() -> None:
    found = buys(risks(np.array([1e-6]), posts=1000.0), 0.5)
    assert found.requests_per_s == pytest.approx(0.5)
    assert found.delay_s == pytest.approx(1000.0)
    assert found.within is not None
    assert found.within == pytest.approx((600 / 2000, 1.0, 1.0))
    assert found.losses_per_s == pytest.approx(1e-3)
    assert found.retired == 0


def test_four_times_the_hazard_is_looked_at_twice_as_often() -> None:
    often = looks(risks(np.array([1e-6, 4e-6])), np.array([0.003]), DRY)
    assert often == pytest.approx([0.001, 0.002])
    by_log = looks(risks(np.array([1e-6, 4e-6])), np.array([0.003]), Conditions("log", census=0.0))
    assert by_log == pytest.approx([0.0006, 0.0024])


def test_no_other_division_of_the_budget_has_a_smaller_mean_delay() -> None:
    """The price's claim, held against random divisions of the same requests."""
    rng = np.random.default_rng(1)
    hazard = np.exp(rng.normal(-14, 2, 50))
    best = looks(risks(hazard), np.array([0.01]), DRY)
    least = float(hazard @ delay_s(best, CAP_S))
    assert 0 < (best == 0).sum() < 50
    for spread in rng.uniform(0.01, 1.0, 300):
        other = best * np.exp(rng.normal(0, spread, 50)) + rng.exponential(1e-7, 50)
        other = np.minimum(other * (best.sum() / other.sum()), 1 / DRY.shortest_s)
        assert float(hazard @ delay_s(other, CAP_S)) >= least * (1 - 1e-9)


def test_hosts_do_not_share_budgets_and_posts_share_requests() -> None:
    hazard = np.full(2, 1e-6)
    found = risks(hazard, posts=100.0, host=np.array([0, 1]), cost=[1.0, 0.05])
    bought = outlook(found, np.array([0.02, 0.02]), DRY)
    assert bought.of([0]).delay_s == pytest.approx(2500.0)
    assert bought.of([1]).delay_s == pytest.approx(125.0)
    assert bought.all().requests_per_s == pytest.approx(0.04)
    assert bought.all().delay_s == pytest.approx((2500 + 125) / 2)


def test_what_is_worth_no_look_retires_and_counts_as_half_a_day() -> None:
    rare, sure = 1e-12, 1e-5
    found = buys(risks(np.array([rare, sure]), posts=1000.0), 1.0)
    assert found.retired == pytest.approx(1000.0)
    assert found.delay_s == pytest.approx(500.0, rel=0.01)
    nothing = buys(risks(np.array([rare, sure])), 0.0)
    assert nothing.retired == 2
    assert nothing.delay_s == pytest.approx(CAP_S)
    assert nothing.within == (0.0, 0.0, 0.0)


def test_of_posts_that_all_stand_at_the_brink_as_many_stay_as_can_be_paid() -> None:
    """No price divides equal posts: some are looked at in half a day, the rest retire."""
    found = buys(risks(np.array([1e-7]), posts=86_400.0), 0.5)
    assert found.requests_per_s == pytest.approx(0.5)
    assert found.retired == pytest.approx(86_400 - 0.5 * CAP_S)
    assert found.within is not None
    assert found.within[2] == pytest.approx(0.25)  # of the losses: a quarter of the posts stays
    assert found.delay_s == pytest.approx(0.25 * CAP_S / 2 + 0.75 * CAP_S)


def test_the_shortest_wait_leaves_a_large_budget_unspent() -> None:
    found = buys(risks(np.array([1e-6, 1e-4]), posts=10.0), 100.0)
    assert found.delay_s == pytest.approx(30.0)
    assert found.requests_per_s == pytest.approx(20 / 60)


def test_the_census_looks_at_who_has_retired() -> None:
    census = Conditions(census=0.02)
    found = buys(risks(np.array([0.0, 1e-5]), posts=100.0), 0.1, conditions=census)
    assert found.retired == pytest.approx(100.0)
    assert found.requests_per_s == pytest.approx(0.1)
    assert found.delay_s == pytest.approx(50 / 0.099)  # a hundredth goes to those without hazard


def test_without_losses_or_posts_there_is_no_delay_to_tell() -> None:
    for found in (buys(risks(np.zeros(3)), 1.0), buys(risks(np.zeros(0)), 1.0)):
        assert found.delay_s is None
        assert found.within is None
        assert found.losses_per_s == 0


# -- rows ----------------------------------------------------------------------------------


def test_grouping_keeps_posts_and_hazards_and_changes_no_estimate() -> None:
    rng = np.random.default_rng(2)
    arm = rng.integers(0, 3, 20_000)
    hazard = np.exp(rng.normal(-15, 2, 20_000)) * (rng.random(20_000) > 0.1)
    host, cost, per_s = np.array([0, 1, 1]), np.array([1.0, 1.0, 0.05]), np.array([0.1, 0.3])
    each = Risks(arm, hazard, np.ones(20_000), host, cost)
    rows = grouped(arm, hazard, host, cost)
    assert len(rows.arm) < 6000
    assert rows.posts.sum() == 20_000
    for number in range(3):
        here = rows.arm == number
        assert (rows.hazard * rows.posts)[here].sum() == pytest.approx(hazard[arm == number].sum())
    one, other = (outlook(found, per_s, Conditions()) for found in (each, rows))
    assert other.late_s == pytest.approx(one.late_s, rel=1e-3)
    assert other.within == pytest.approx(one.within, rel=2e-3)
    assert other.all().requests_per_s == pytest.approx(0.4)


# -- the schedule that is planned ----------------------------------------------------------


SOON = Conditions(
    cap_s=3 * 3600.0
)  # a delay counts three hours at most, so that a run can be short


def measured(hazard: Floats, per_s: float) -> tuple[float, list[float]]:
    """The mean delay, and the shares by WITHIN_S, that `Priced` has where these hazards act.

    Nothing is drawn for losses: when it was looked at whom is known, and a loss falls with equal
    chance at any time from the second hour to three hours before the end.
    """
    posts, warm, end = len(hazard), 2 * 3600, 8 * 3600
    known = Known(
        p=np.full(1, 1e-12),
        excess=np.concatenate([[0.0], hazard]),
        began_s=np.full(posts + 1, -1e9),
    )
    made = Priced(known, lambda host: per_s, conditions=SOON)
    made.arm(0, 0)
    ids = np.arange(posts)
    proven = -np.random.default_rng(3).uniform(0, 3600, posts)
    made.add(
        ids, born=np.full(posts, -1e8), last=proven, account=0 * ids, arm=0 * ids, topic=ids + 1
    )
    made.rebuild(0.0)
    made.date(ids, 0.0)
    step = 5  # seconds: nobody is asked more often than that
    asked = run(made, Buckets(per_s * step, 10 / step), range(0, end, step), everybody)
    by_row: dict[int, list[int]] = {}
    for now, row in asked:
        by_row.setdefault(row, []).append(now)
    lost = np.arange(warm, end - SOON.cap_s, 30.0)
    delays = np.full((posts, len(lost)), np.inf)
    for row in range(posts):
        times = np.array([*by_row.get(row, ()), np.inf])
        delays[row] = times[np.searchsorted(times, lost)] - lost
    weigh = hazard / hazard.sum()
    within = [float(weigh @ (delays <= time).mean(axis=1)) for time in WITHIN_S]
    return float(weigh @ np.minimum(delays, SOON.cap_s).mean(axis=1)), within


@pytest.mark.parametrize("per_s", [pytest.param(0.05, marks=pytest.mark.soak), 0.2])
def test_the_schedule_keeps_what_the_plan_says(per_s: float) -> None:
    """The real schedule, at two budgets: it is a little slower than the plan, and not faster."""
    hazard = np.exp(np.random.default_rng(1).normal(-12, 1.5, 150))
    none, one = np.zeros(150, np.int64), np.ones(1)
    planned = outlook(grouped(none, hazard, none[:1], one), np.array([per_s]), SOON).all()
    delay, within = measured(hazard, per_s)
    assert planned.delay_s is not None
    assert planned.within is not None
    print(f"{per_s}/s: planned {planned.delay_s:.0f} s {planned.within}, kept {delay:.0f} {within}")
    assert 0.8 * delay <= planned.delay_s <= 1.02 * delay
    assert list(planned.within) == pytest.approx(within, abs=0.06)
