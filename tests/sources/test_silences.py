"""If these fail, a recorder that stood still passes for a calm, or a calm for a recorder's gap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vanished.model import DAY, HOUR, MINUTE, SECOND, Micros
from vanished.sources.imports.silences import silences


def recorded(
    seed: int, days: int, rate: Callable[[float], float], night: float = 0.2
) -> list[Micros]:
    """A recorder without gaps: Poisson bursts of 1 to 8 records, few at night. Rates a day."""
    chance = np.random.default_rng(seed)
    most = 1.9 * max(rate(day) for day in range(days))
    times = []
    for moment in np.sort(chance.uniform(0, days, chance.poisson(most * days))):
        light = night + (1 - night) * (1 + np.sin(2 * np.pi * moment)) / 2
        if chance.uniform() < rate(moment) * light / (night + (1 - night) / 2) / most:
            burst = moment * DAY + np.arange(chance.integers(1, 9)) * 21 * SECOND
            times += [int(t) for t in burst]
    return sorted(times)


def quiet_week(day: float) -> float:
    return 6 if 60 <= day < 67 else 25


def falling(day: float) -> float:
    return 40 if day < 100 else 4


def test_a_calm_is_not_taken_for_a_gap() -> None:
    """Nights, bursts, a holiday and a rate that falls to a tenth: the stated 1 % a record.

    Longer runs (400 records each): at most 0.25 % with a steady or falling rate, 1 to 2 % where
    the rate is a quarter for just a week, which breaks the rule's assumption.
    """
    rates: list[Callable[[float], float]] = [quiet_week, falling, lambda day: 10]
    seeds = range(40)
    print(f"seeds {seeds}")
    alarms = [bool(silences(recorded(seed, 200, rate))) for rate in rates for seed in seeds]
    print(f"{sum(alarms)} of {len(alarms)} records without gaps show one")
    assert sum(alarms) <= 4  # 1.2 are to be expected; more than 4 with a chance below 1 %


@pytest.mark.parametrize("rate", [25, 15])
def test_two_silent_days_are_found_with_their_ends(rate: int) -> None:
    for seed in range(10):
        times = recorded(seed, 60, lambda day: rate)
        cut = [t for t in times if not 30 * DAY <= t < 32 * DAY]
        (found,) = silences(cut)
        assert found.since == max(t for t in cut if t < 30 * DAY)
        assert found.until == min(t for t in cut if t >= 32 * DAY)


def test_neighbouring_gaps_do_not_hide_each_other() -> None:
    times = [t for t in recorded(1, 40, lambda day: 25) if not 20 * DAY <= t < 27 * DAY]
    alone = [t for t in times if t < 20 * DAY] + [
        23 * DAY + 12 * HOUR + i * 20 * MINUTE for i in range(4)
    ]
    assert len(silences(alone + [t for t in times if t >= 27 * DAY])) == 2


@pytest.mark.parametrize("times", [[], [5], [5, 5], [5, 5 + DAY * 99], [1, 2, DAY * 9]])
def test_a_record_too_short_to_compare_has_no_gaps(times: list[Micros]) -> None:
    assert silences(times) == []
