"""The test of pages: does each come from here, and if not, what stops it.

In: addresses of the web, settings, a door, a control. Out: a `Measurement` for each, in the order
in which they are done. First the canary, without which nothing is said; then `one_page`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vanished.errors import UsageError
from vanished.reach.canary import CanaryKeeper
from vanished.reach.controlling import Controlling
from vanished.reach.door import Door
from vanished.reach.one_page import OnePage
from vanished.reach.record import Measurement
from vanished.reach.web_settings import WebSettings


@dataclass(slots=True)
class WebTest:
    """Tests pages, one after the other or side by side, through one door, beside one control."""

    settings: WebSettings
    door: Door
    control: Controlling | None
    _canary: CanaryKeeper = field(init=False)

    def __post_init__(self) -> None:
        self._canary = CanaryKeeper(self.settings, self.door)

    async def measure(self, url: str) -> Measurement:
        """Test one page. Raises UsageError for what is no address of the web."""
        one = OnePage(self.settings, self.door, self.control, checked(url))
        canary, seen = await self._canary.look()
        found = await one.measured(canary, seen)
        await seen.settled()
        if found.keys.http_experiment_failure or found.keys.dns_experiment_failure:
            self._canary.forget()
        return found

    async def each(self, urls: Sequence[str], *, at_once: int = 8) -> AsyncIterator[Measurement]:
        """Test many, `at_once` side by side, in the order in which they are done."""
        waiting = iter(urls)
        running: set[asyncio.Task[Measurement]] = set()
        done: asyncio.Queue[asyncio.Task[Measurement]] = asyncio.Queue()
        try:
            while True:
                while len(running) < at_once and (url := next(waiting, None)) is not None:
                    task = asyncio.create_task(self.measure(url))
                    task.add_done_callback(done.put_nowait)
                    running.add(task)
                if not running:
                    return
                task = await done.get()
                running.discard(task)
                yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def checked(url: str) -> str:
    """`url` if it is an address of the web. Raises UsageError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"'{url[:80]}' is no address of the web; write http://… or https://….")
    return url
