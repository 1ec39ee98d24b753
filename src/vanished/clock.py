"""Time as an argument: what the watch asks instead of the operating system.

`SystemClock` is the product's; `lab.clock` has clocks of simulated worlds. The contract is small
so that a month can pass in a test: `now()` is the wall clock for evidence and schedule, `wait()`
returns when `wake` is set or the time has come, whichever is first. `busy` tells the clock that
requests are under way, so that a clock which jumps does not jump over them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol

from vanished.model import SECOND, Micros


def span(seconds: float) -> str:
    """A duration in the unit that a reader would choose."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


class Clock(Protocol):
    def now(self) -> Micros:
        """Microseconds since the epoch, UTC; never runs backwards."""
        ...

    async def wait(self, wake: asyncio.Event, until: Micros, *, busy: bool) -> None:
        """Return once `wake` is set or `now() >= until`."""
        ...


class SystemClock:
    """The wall clock at start, carried on by the monotonic clock.

    A step of the machine's clock while we run would order facts wrongly; anchoring once and
    counting monotonically cannot. Drift against the wall clock is reported by `doctor`.
    """

    def __init__(self) -> None:
        self._wall_ns = time.time_ns()
        self._mono_ns = time.monotonic_ns()

    def now(self) -> Micros:
        return (self._wall_ns + time.monotonic_ns() - self._mono_ns) // 1000

    async def wait(self, wake: asyncio.Event, until: Micros, *, busy: bool) -> None:
        del busy
        timeout_s = max(0.0, (until - self.now()) / SECOND)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), timeout_s)
