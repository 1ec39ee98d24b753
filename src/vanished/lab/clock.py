"""Clocks of simulated worlds: one that runs fast, one that jumps.

`ScaledClock` is a wall clock that runs `speed` times as fast; processes that are given the same
three numbers agree on the time, so a watch and a lab platform can live apart. `SteppedClock`
stands still while requests are under way and jumps to the next date when nothing is: a month
passes as fast as the answers come, and the machine's speed changes no result. Neither knows a
world or a platform.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Protocol

from vanished.clock import Clock
from vanished.model import SECOND, Micros

MILLISECOND: Micros = SECOND // 1000
LONGEST_PAUSE_S = 0.05  # real seconds that a simulated delay may cost


class LabClock(Clock, Protocol):
    """A clock that can also let simulated time pass, for a platform that answers slowly."""

    async def pause(self, duration: Micros) -> None:
        """Return when `duration` has passed, or earlier where that would take long for real."""
        ...


class ScaledClock:
    """`start + speed * (time.time() - epoch)`.

    Read once at the beginning and carried on by the monotonic clock, so that it never runs
    backwards. `epoch` is in seconds since 1970, `speed` in simulated seconds a second.
    """

    def __init__(self, start: Micros, speed: float, epoch: float) -> None:
        if not speed > 0:
            raise ValueError(f"the speed of a clock is {speed}; it must be above zero")
        self.start = start
        self.speed = speed
        self.epoch = epoch
        self._origin_s = epoch - time.time() + time.monotonic()

    def now(self) -> Micros:
        return self.start + int((time.monotonic() - self._origin_s) * self.speed * SECOND)

    async def wait(self, wake: asyncio.Event, until: Micros, *, busy: bool) -> None:
        del busy
        while not wake.is_set() and (left := until - self.now()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left / self.speed / SECOND)

    async def pause(self, duration: Micros) -> None:
        await asyncio.sleep(min(duration / self.speed / SECOND, LONGEST_PAUSE_S))


class SteppedClock:
    """Every reading is `tick` later than the one before; a wait with nothing under way jumps.

    `tick` keeps a request's start before its end. A wait while requests are under way returns
    when `wake` is set; should nothing happen for `patience_s` real seconds, then what is under
    way is waiting for the time itself, and the clock jumps all the same. With a `stride` it lands
    on the next multiple of it, so that what is due within a stride is asked together: a coarser
    month, and a faster one. `now` and `pause` may be called from any thread (a lab platform has
    its own), `wait` from one event loop.
    """

    def __init__(
        self,
        start: Micros,
        *,
        tick: Micros = MILLISECOND,
        stride: Micros = 0,
        patience_s: float = 2.0,
    ) -> None:
        self._now = start
        self._tick = tick
        self._stride = stride
        self._patience_s = patience_s
        self._lock = threading.Lock()  # guards _now: two threads must not read the same moment

    def now(self) -> Micros:
        with self._lock:
            self._now += self._tick
            return self._now

    def jump(self, until: Micros) -> None:
        """Set the time to `until` unless it is later already."""
        with self._lock:
            self._now = max(self._now, until)

    async def wait(self, wake: asyncio.Event, until: Micros, *, busy: bool) -> None:
        if busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), self._patience_s)
        else:
            await asyncio.sleep(0)  # whoever is about to wake us goes first
        if not wake.is_set():
            self.jump(until if not self._stride else -(-until // self._stride) * self._stride)

    async def pause(self, duration: Micros) -> None:
        with self._lock:
            self._now += duration
