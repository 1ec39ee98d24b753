"""A clock that errs would order facts wrongly, or make a simulated month take one."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from vanished.lab.clock import ScaledClock, SteppedClock
from vanished.model import DAY, HOUR, SECOND


def test_processes_with_the_same_numbers_agree_on_the_time() -> None:
    epoch = time.time() - 10
    one, other = (ScaledClock(5 * DAY, 1000.0, epoch) for _ in range(2))
    before, between, after = one.now(), other.now(), one.now()
    assert before - SECOND <= between <= after + SECOND
    assert before >= 5 * DAY + 10_000 * SECOND


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_clock_that_stands_or_runs_backwards_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        ScaledClock(0, speed, 0.0)


async def test_a_scaled_wait_ends_at_its_date_and_not_before() -> None:
    clock = ScaledClock(0, 43_200.0, time.time())
    until = clock.now() + 10 * 60 * SECOND
    await clock.wait(asyncio.Event(), until, busy=False)
    assert clock.now() >= until


async def test_a_scaled_wait_ends_when_somebody_wakes_it() -> None:
    clock = ScaledClock(0, 1.0, time.time())
    wake = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, wake.set)
    await asyncio.wait_for(clock.wait(wake, clock.now() + HOUR, busy=True), 5)
    assert clock.now() < HOUR


async def test_a_stepped_clock_jumps_to_the_next_date_when_nothing_is_under_way() -> None:
    clock = SteppedClock(0)
    await clock.wait(asyncio.Event(), 31 * DAY, busy=False)
    assert 31 * DAY <= clock.now() < 31 * DAY + SECOND


async def test_a_stride_gathers_what_is_due_within_it() -> None:
    clock = SteppedClock(0, stride=60 * SECOND)
    await clock.wait(asyncio.Event(), 61 * SECOND, busy=False)
    assert 120 * SECOND <= clock.now() < 121 * SECOND
    await clock.wait(asyncio.Event(), 90 * SECOND, busy=False)  # a date that has gone by
    assert clock.now() < 121 * SECOND


async def test_a_stepped_clock_stands_still_while_a_request_is_under_way() -> None:
    clock = SteppedClock(0)
    wake = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, wake.set)
    await clock.wait(wake, DAY, busy=True)
    assert clock.now() < SECOND
    await clock.wait(wake, DAY, busy=False)  # woken already: the jump would skip the answer
    assert clock.now() < SECOND


async def test_a_request_that_waits_for_the_time_itself_does_not_stop_it_for_ever() -> None:
    clock = SteppedClock(0, patience_s=0.01)
    await clock.wait(asyncio.Event(), DAY, busy=True)
    assert clock.now() >= DAY


async def test_a_slow_answer_costs_simulated_time() -> None:
    clock = SteppedClock(0)
    await clock.pause(180 * SECOND)
    assert clock.now() >= 180 * SECOND


def test_readings_rise_strictly_in_every_thread_together() -> None:
    """A request must end after it began, and never before an answer that caused it."""
    clock = SteppedClock(0)
    readings: list[list[int]] = [[] for _ in range(4)]

    def read(into: list[int]) -> None:
        into.extend(clock.now() for _ in range(2000))

    threads = [threading.Thread(target=read, args=(into,)) for into in readings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(into == sorted(into) for into in readings)
    everything = [moment for into in readings for moment in into]
    assert len(set(everything)) == len(everything) == 8000
