"""The index and the waits: were they wrong, requests would go to the wrong posts, quietly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vanished.watch.hazard import (
    AgeCurve,
    Objective,
    discovery_index,
    index,
    mass,
    page_index,
    wait_s,
)

MINUTE, HOUR = 60.0, 3600.0
KNOTS = [2 * MINUTE, 8 * MINUTE, 30 * MINUTE, 24 * HOUR, 72 * HOUR]
CURVE = AgeCurve(KNOTS, [0.0, 0.05, 0.30, 0.90, 1.0])
AGES = np.array([0.0, 30.0, 120.0, 300.0, 480.0, 1000.0, 1800.0, 9000.0, 86_400.0, 2e5, 3e5])
WAITS = np.array([1.0, 59.0, 200.0, 1500.0, 7000.0, 40_000.0, 90_000.0])
OBJECTIVES: list[Objective] = ["mean", "log"]


def by_hand(p: float, age0: float, tau: float, excess: float, acted: float, log: bool) -> float:
    """The index as a sum over the loss density, on a fine grid: no formula of ours."""
    edges = np.linspace(0.0, tau, 40_001)
    s = (edges[1:] + edges[:-1]) / 2
    known = p / (1 - p * CURVE.cdf(age0)) * np.diff(CURVE.cdf(age0 + edges))
    swept = excess * np.diff(np.maximum(edges, tau - acted))
    return float(np.sum((known + swept) * (1.0 if log else s)))


def test_the_curve_its_integral_and_its_density_belong_together() -> None:
    ages = np.linspace(1.0, 3e5, 600_001)
    cdf = CURVE.cdf(ages)
    summed = np.concatenate([[0.0], np.cumsum((cdf[1:] + cdf[:-1]) / 2 * np.diff(ages))])
    assert np.allclose(CURVE.integral(ages), summed, atol=0.02)
    middle = (ages[1:] + ages[:-1]) / 2
    inside = np.abs(middle[:, None] - np.array(KNOTS)).min(axis=1) > 1
    slope = np.diff(cdf) / np.diff(ages)
    assert np.allclose(CURVE.density(middle)[inside], slope[inside], rtol=1e-3, atol=1e-12)
    assert np.allclose(CURVE.cdf(KNOTS), [0.0, 0.05, 0.30, 0.90, 1.0])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("excess", "acted"), [(0.0, math.inf), (2e-5, math.inf), (2e-5, 150.0)])
def test_the_closed_form_is_the_elapsed_weighted_mass(
    objective: Objective, excess: float, acted: float
) -> None:
    for age0 in AGES:
        for tau in WAITS:
            got = index(CURVE, 0.3, age0, tau, excess=excess, excess_tau_s=acted,
                        objective=objective)  # fmt: skip
            want = by_hand(0.3, age0, tau, excess, min(acted, tau), objective == "log")
            assert got == pytest.approx(want, rel=1e-3, abs=1e-7), (age0, tau)


def test_a_constant_hazard_gives_half_the_hazard_times_the_wait_squared() -> None:
    flat = AgeCurve([1e5, 1e5 + 4e3], [0.0, 1.0])
    hazard = 0.1 * flat.density(1.001e5)
    assert index(flat, 0.1, 1.001e5, 60.0) == pytest.approx(hazard * 60**2 / 2, rel=5e-3)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("excess", "begins"), [(0.0, 0.0), (2e-5, 0.0), (3e-6, 700.0)])
def test_the_wait_is_when_the_index_reaches_its_share_of_the_price(
    objective: Objective, excess: float, begins: float
) -> None:
    scale = 1.0 if objective == "mean" else 1e-3
    prices = scale * np.array([0.001, 0.03, 0.5, 3.0, 20.0, 200.0])
    p = np.array([1e-4, 0.01, 0.2, 0.95])
    age0, price, chance = (a.ravel() for a in np.meshgrid(AGES, prices, p))
    waits = wait_s(CURVE, chance, age0, price, excess=excess, excess_from_s=begins,
                   objective=objective, cap_s=43_200.0)  # fmt: skip
    finite = np.isfinite(waits)
    assert finite.mean() > 0.2
    assert excess > 0 or not finite.all()

    def value(tau: np.ndarray) -> np.ndarray:
        return index(CURVE, chance, age0, tau, excess=excess,
                     excess_tau_s=np.maximum(tau - begins, 0), objective=objective)  # fmt: skip

    at = value(np.where(finite, waits, 0.0))
    assert np.allclose(at[finite], 0.8 * price[finite], rtol=1e-4)
    # Brute force: bisection on the index itself.
    low, high = np.zeros_like(price), np.full_like(price, 43_200.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = value(middle) < 0.8 * price
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    assert np.allclose(waits[finite], high[finite], rtol=1e-3, atol=1e-3)
    # A post retires exactly where waiting out the cap cannot repay a look.
    assert np.array_equal(~finite, value(np.full_like(price, 43_200.0)) < price)


def test_arguments_broadcast_and_a_future_birth_counts_as_age_zero() -> None:
    assert wait_s(CURVE, 0.2, -500.0, 0.1) == wait_s(CURVE, 0.2, 0.0, 0.1)
    assert index(CURVE, 0.2, -500.0, 600.0) == index(CURVE, 0.2, 0.0, 600.0)
    assert wait_s(CURVE, 0.2, AGES, 0.1).shape == AGES.shape


def test_what_is_sure_to_be_lost_has_a_finite_index() -> None:
    assert np.isfinite(index(CURVE, 1.0, 3e5, 10.0))
    assert mass(CURVE, 1.0, 86_400.0, 3e5) == pytest.approx(1.0, abs=0.02)


def test_waits_follow_the_square_root_law() -> None:
    """Four times the hazard is looked at twice as often; under "log" four times as often."""
    small, large = wait_s(CURVE, [0.0004, 0.0001], 50_000.0, 1e-2, cap_s=1e9)
    assert large / small == pytest.approx(2.0, rel=0.05)
    small, large = wait_s(CURVE, [4e-4, 1e-4], 50_000.0, 1e-6, objective="log", cap_s=1e9)
    assert large / small == pytest.approx(4.0, rel=0.05)


def test_a_page_is_worth_the_sum_of_its_posts() -> None:
    page = np.array([0, 2, 2, 0], dtype=np.int64)
    assert page_index(np.array([1.0, 2.0, 3.0, 4.0]), page, 3).tolist() == [5.0, 0.0, 5.0]


def test_discovery_counts_the_posts_lost_before_their_first_sight() -> None:
    """By simulation: posts at a known rate, each lost at an age drawn from the curve."""
    rate, p, tau, miss = 0.01, 0.3, 2 * HOUR, 1000.0
    born = np.linspace(0.0, tau, 200_001)
    gone = p * CURVE.cdf(tau - born)  # of the posts born then, gone by the look
    loss_rate = rate * p * miss * CURVE.cdf(born)  # at time s: lost so far and not yet seen
    want = tau * loss_rate[-1] - np.trapezoid(loss_rate, born)
    assert np.trapezoid(gone, born) * rate * miss == pytest.approx(
        np.trapezoid(loss_rate, born), rel=1e-6
    )
    assert discovery_index(CURVE, p, rate, tau, miss_s=miss) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize(
    ("knots", "cdf"),
    [([1, 2], [0, 1, 1]), ([2, 1], [0, 1]), ([0, 1], [0, 1]), ([1, 2], [0.1, 1]),
     ([1, 2, 3], [0, 0.5, 0.4]), ([1, 2], [0, 1.5]), ([1], [0])],
)  # fmt: skip
def test_a_curve_that_is_none_is_refused(knots: list[float], cdf: list[float]) -> None:
    with pytest.raises(ValueError, match="age curve"):
        AgeCurve(knots, cdf)
