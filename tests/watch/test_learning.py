"""The learner: were it biased, looks would go to the wrong accounts and a sweep would go unseen."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vanished.watch.hazard import AgeCurve
from vanished.watch.learning import Learner, _log_gamma

HOUR, DAY = 3600.0, 86_400.0
TRUE = AgeCurve([120.0, 480.0, 1800.0, DAY, 3 * DAY], [0.0, 0.05, 0.30, 0.90, 1.0])
Floats = npt.NDArray[np.float64]


class Platform:
    """Posts of some accounts, looked at about every `every_s`; a share of looks fails."""

    def __init__(self, seed: int, p: Floats, posts: int, days: float = 6.0) -> None:
        rng = self._rng = np.random.default_rng(seed)
        self.p = p
        self.account = rng.integers(0, len(p), posts)
        self.topic = rng.integers(1, 11, posts)
        self.born = np.sort(rng.uniform(0, days * DAY, posts))
        age = np.exp(np.interp(rng.random(posts), TRUE.values, np.log(TRUE.knots_s)))
        self.lost = np.where(rng.random(posts) < p[self.account], self.born + age, np.inf)
        self.days = days

    def sweep(self, topic: int, begin: float, hours: float, hazard: float) -> None:
        """All posts of a topic get an additional hazard for some hours."""
        start = np.maximum(self.born, begin)
        swept = start + self._rng.exponential(1 / hazard, len(start))
        hit = (self.topic == topic) & (
            swept < np.minimum(begin + hours * HOUR, self.born + 3 * DAY)
        )
        self.lost = np.where(hit, np.minimum(self.lost, swept), self.lost)

    def teach(
        self, learner: Learner, *, every_s: float = 1800.0, failing: float = 0.0
    ) -> list[str]:
        """Look at everything in random order; what came on and went off, as "+topic@hours"."""
        proven, done = self.born.copy(), np.zeros(len(self.born), dtype=bool)
        told, step = [], 300.0
        for now in np.arange(step, self.days * DAY, step):
            live = (self.born <= now) & (proven < self.born + 3 * DAY) & ~done
            asked = np.flatnonzero(live & (self._rng.random(len(live)) < step / every_s))
            asked = asked[self._rng.random(len(asked)) >= failing]
            gone = self.lost[asked] <= now
            born = self.born[asked]
            learner.observe(float(now), proven[asked] - born, now - born, self.account[asked],
                            self.topic[asked][:, None], gone)  # fmt: skip
            proven[asked[~gone]] = now
            done[asked[gone]] = True
            on, off = learner.switched()
            told += [f"+{t}@{now / HOUR:.1f}" for t in on] + [f"-{t}@{now / HOUR:.1f}" for t in off]
        return told


@pytest.fixture(scope="module")
def spread() -> Floats:
    return np.minimum(np.random.default_rng(3).gamma(0.35, 0.05 / 0.35, 400), 0.95)


@pytest.mark.parametrize("failing", [0.0, 0.2])
def test_chances_and_curve_are_found_also_when_a_fifth_of_the_looks_fail(
    spread: Floats, failing: float
) -> None:
    world = Platform(1, spread, 15_000)
    learner = Learner(11)
    world.teach(learner, failing=failing)
    learned = learner.chance(world.account)
    assert learned.mean() / world.p[world.account].mean() == pytest.approx(1.0, abs=0.10)
    assert np.corrcoef(learner.p, spread)[0, 1] > 0.9
    assert learner.mean_p == pytest.approx(spread.mean(), rel=0.25)
    ages = np.array([600.0, 1800.0, 7200.0, 8 * HOUR, DAY])
    assert np.abs(learner.curve.cdf(ages) - TRUE.cdf(ages)).max() < 0.06
    wrong = Learner(11).curve.cdf(ages)  # what it starts with is far off
    assert np.abs(wrong - TRUE.cdf(ages)).max() > 0.15


def test_an_account_that_loses_nearly_all_is_not_overrated() -> None:
    """Exposure counts survivors by their chance of having come so far; else 0.5 would read 0.67."""
    world = Platform(2, np.array([0.5, 0.02]), 3000)
    learner = Learner(11)
    world.teach(learner)
    share = [np.isfinite(world.lost[world.account == k]).mean() for k in (0, 1)]
    assert learner.p[0] == pytest.approx(share[0], rel=0.1)
    assert learner.p[1] == pytest.approx(share[1], rel=0.5)


def test_a_sweep_of_a_topic_switches_it_on_and_off_again(spread: Floats) -> None:
    world = Platform(4, spread, 12_000)
    world.sweep(7, 4 * DAY, 8, 0.10 / HOUR)
    learner, other = Learner(11), Learner(11)
    told = world.teach(learner)
    assert [one.split("@")[0] for one in told] == ["+7", "-7"]
    on, off = (float(one.split("@")[1]) for one in told)
    assert 96 < on < 97
    assert 104 < off < 112
    # The losses of the sweep are not held against the accounts that were swept.
    Platform(4, spread, 12_000).teach(other)
    assert learner.chance(world.account).mean() == pytest.approx(
        other.chance(world.account).mean(), rel=0.12
    )


def test_the_excess_is_the_hazard_of_the_sweep(spread: Floats) -> None:
    world = Platform(5, spread, 12_000, days=4.2)
    world.sweep(3, 4 * DAY, 8, 0.10 / HOUR)
    learner = Learner(11)
    world.teach(learner)
    assert learner.excess[3] * HOUR == pytest.approx(0.10, rel=0.35)
    excess, since = learner.excess_of(np.array([[0, 3], [0, 4]]))
    assert excess[0] == learner.excess[3]
    assert since[0] == pytest.approx(4 * DAY, abs=HOUR)
    assert excess[1] == 0


def test_the_losses_of_one_account_are_no_campaign() -> None:
    learner = Learner(3)
    one = np.zeros(30, dtype=np.int64)
    zeros = np.zeros(30)
    learner.observe(0.0, zeros + HOUR, zeros + 2 * HOUR, one, one[:, None] + 1, one == 0)
    assert not learner.excess.any()
    many = np.arange(30) + 1
    learner.observe(1.0, zeros + HOUR, zeros + 2 * HOUR, many, one[:, None] + 2, many < 12)
    assert learner.excess[2] > 0
    assert [numbers.tolist() for numbers in learner.switched()] == [[2], []]
    assert [numbers.tolist() for numbers in learner.switched()] == [[], []]


def test_an_account_that_is_gone_as_a_whole_counts_once() -> None:
    learner, single = Learner(2), Learner(2)
    account, none = np.zeros(40, dtype=np.int64), np.zeros((40, 1), dtype=np.int64)
    age0, age1, lost = np.full(40, HOUR), np.full(40, 2 * HOUR), np.ones(40, dtype=bool)
    learner.observe(0.0, age0[:5], age1[:5], account[:5], none[:5], lost[:5])  # before it was known
    learner.observe(60.0, age0, age1, account, none, lost, whole=lost)
    learner.observe(120.0, age0, age1, account, none, lost, whole=lost)
    single.observe(0.0, age0, age1, account, none, np.arange(40) == 0)
    assert learner._lost[0] == single._lost[0] == 1.0


def test_what_is_kept_outlives_a_restart(spread: Floats) -> None:
    world = Platform(6, spread, 4000, days=3)
    learner = Learner(11)
    world.teach(learner)
    learner.refit()
    again = Learner.of(11, learner.kept())
    assert np.allclose(again.p, learner.p)
    ages = np.geomspace(60, 3 * DAY, 50)
    assert np.allclose(again.curve.cdf(ages), learner.curve.cdf(ages))
    again.refit()
    assert np.allclose(again.curve.cdf(ages), learner.curve.cdf(ages), atol=0.01)


def test_an_unknown_account_has_the_chance_of_the_average() -> None:
    learner = Learner(2)
    assert learner.chance(np.array([0, 99])).tolist() == [learner.mean_p] * 2
    row = np.array([1], dtype=np.int64)
    learner.observe(0.0, [0.0], [HOUR], row, row[:, None], np.array([True]))
    known, unknown = learner.chance(np.array([1, 5]))
    assert known > unknown > 0


def test_the_log_of_the_gamma_function() -> None:
    x = np.array([0.05, 0.35, 1.0, 2.5, 30.0, 4000.0])
    assert np.allclose(_log_gamma(x), [math.lgamma(one) for one in x], rtol=1e-9, atol=1e-9)
