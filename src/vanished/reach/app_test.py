"""The test of an app: each of its servers beside the control, and a verdict on the whole.

In: an `App`, settings, a door, a control. Out: `AppSeen`: the app's record, which for Signal,
Telegram, WhatsApp and Messenger is OONI's with OONI's conclusions, and a record of each server with
the control's view of it. A server that the control does not reach is a stale line of the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from vanished import __version__
from vanished.reach.app import APP_TEST, App, Endpoint
from vanished.reach.app_ooni import Result, concluded
from vanished.reach.canary import CanaryKeeper
from vanished.reach.controlling import Controlling
from vanished.reach.door import Door
from vanished.reach.endpoint_test import OneEndpoint
from vanished.reach.one_page import EXTENSIONS
from vanished.reach.record import ControlSummary, Measurement, Ours, Part, TestKeys
from vanished.reach.steps import CONTROL_ADDRESS, NOT_THE_TARGET, Tags
from vanished.reach.verdict import Verdict, noted, verdict
from vanished.reach.web_settings import WebSettings


@dataclass(frozen=True, slots=True)
class AppSeen:
    """One run of one app: its record, and one for each of its servers."""

    app: App
    measurement: Measurement
    endpoints: tuple[Measurement, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the app."""
        return verdict(self.measurement)


@dataclass(slots=True)
class AppTest:
    """Tests apps, one after the other; `at_once` servers of one side by side."""

    settings: WebSettings
    door: Door
    control: Controlling | None
    at_once: int = 8
    _canary: CanaryKeeper = field(init=False)

    def __post_init__(self) -> None:
        self._canary = CanaryKeeper(self.settings, self.door)

    async def measure(self, app: App) -> AppSeen:
        """Test one app."""
        started = datetime.now(UTC)
        gate = asyncio.Semaphore(self.at_once)
        canary, seen = await self._canary.look()

        async def one(name: str, needs: str, endpoint: Endpoint) -> Result:
            async with gate:
                own = OneEndpoint(
                    self.settings, self.door, self.control, endpoint.url, endpoint=endpoint
                )
                found = await own.measured(canary, seen)
            return Result(name, needs, endpoint, found, *own.by_first_resolver())

        results = await asyncio.gather(
            *(one(part.name, part.needs, each) for part in app.parts for each in part.endpoints)
        )
        if any(not result.measurement.keys.success for result in results):
            self._canary.forget()
        return AppSeen(app, _record(app, started, results), tuple(r.measurement for r in results))


def destinations(app: App) -> Iterator[tuple[str, int, str]]:
    """What a test contacts beside resolvers: host, port, protocol; of names, no address yet."""
    for one in app.endpoints:
        yield one.host, one.port, one.scheme


def _record(app: App, started: datetime, results: Sequence[Result]) -> Measurement:
    """The steps of all servers in one record, OONI's conclusions, and our verdict."""
    keys = concluded(app.test_name, results, _steps(results))
    blocks = [one.measurement.keys.x_vanished or Ours() for one in results]
    parts = tuple(
        Part(
            one.endpoint.url, one.part, one.needs, block.state or "insufficient", block.layer,
            block.mechanism, block.rules,
        )
        for one, block in zip(results, blocks, strict=True)
    )  # fmt: skip
    first = blocks[0]
    worked = [block.control for block in blocks if block.control and block.control.ok]
    ours = Ours(
        canary=first.canary, attempts=first.attempts, parts=parts,
        control=worked[0] if worked else first.control or ControlSummary(ok=False),
    )  # fmt: skip
    stamp = started.strftime("%Y-%m-%d %H:%M:%S")
    found = Measurement(
        test_name=app.test_name, test_version=app.test_version,
        input=None if app.test_name != APP_TEST else _input(app),
        measurement_start_time=stamp, test_start_time=stamp,
        test_runtime=max(one.measurement.test_runtime or 0.0 for one in results),
        software_name="vanished", software_version=__version__, extensions=dict(EXTENSIONS),
        test_keys=replace(keys, x_vanished=ours),
    )  # fmt: skip
    return noted(found, verdict(found))


def _input(app: App) -> str:
    return f"{app.name}={app.server}" if app.server else app.name


def _steps(results: Sequence[Result]) -> TestKeys:
    """Steps that asked for the servers, as OONI's probes record them; transactions made unique."""
    keys = TestKeys(queries=(), tcp_connect=(), tls_handshakes=(), requests=())
    base = 0
    for one in results:
        own = one.measurement.keys
        kept = {
            name: tuple(
                replace(step, transaction_id=(step.transaction_id or 0) + base)
                for step in getattr(own, name) or ()
                if not _aside(step.tags)
            )
            for name in ("queries", "tcp_connect", "tls_handshakes", "requests")
        }
        more: dict[str, Any] = {name: (*getattr(keys, name), *kept[name]) for name in kept}
        keys = replace(keys, **more)
        base += 10_000
    return keys


def _aside(tags: Tags) -> bool:
    """Whether a step was for a contrast."""
    return bool({*NOT_THE_TARGET, CONTROL_ADDRESS, "certificate"} & set(tags or ()))
