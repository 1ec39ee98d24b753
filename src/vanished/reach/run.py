"""One measurement while it is made: its clock, its ids, and the steps so far.

In: what probes append. Out: the test keys of a record. A probe is an asyncio function that takes a
`Run`, does one step, appends it as OONI's formats have it, and returns it; a step that fails is a
step, never an exception. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from vanished.reach.door import Door
from vanished.reach.record import TestKeys
from vanished.reach.steps import Exchange, Handshake, NetworkEvent, Query, TcpConnect


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a step may take, in seconds, and how much of a page is kept, in bytes.

    Connects and handshakes wait a little longer than `VerdictSettings.patience_s`, so that the
    kernel has asked several times and one timeout counts.
    """

    dns_s: float = 2.0
    linger_s: float = 0.4  # a socket keeps listening for a second answer
    connect_s: float = 5.5
    tls_s: float = 5.5
    http_s: float = 8.0
    quic_s: float = 3.0
    body_bytes: int = 1 << 18


@dataclass(slots=True)
class Run:
    """The steps of one measurement. Times of steps are seconds since it began."""

    door: Door
    limits: Limits = field(default_factory=Limits)
    queries: list[Query] = field(default_factory=list)
    duplicates: list[Query] = field(default_factory=list)
    connects: list[TcpConnect] = field(default_factory=list)
    handshakes: list[Handshake] = field(default_factory=list)
    quic: list[Handshake] = field(default_factory=list)
    requests: list[Exchange] = field(default_factory=list)
    events: list[NetworkEvent] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    _last: int = 0
    _later: set[asyncio.Task[None]] = field(default_factory=set)

    def now(self) -> float:
        """Seconds since the measurement began."""
        return round(time.monotonic() - self.begun, 6)

    def transaction(self) -> int:
        """A new id, which the steps of one way share."""
        self._last += 1
        return self._last

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` go on beside the next steps, until `settled`."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def settled(self) -> None:
        """Wait for what goes on beside: sockets that listen for second answers."""
        while self._later:
            await asyncio.wait(self._later)  # whoever stops waiting ends none of it

    def keys(self, base: TestKeys | None = None) -> TestKeys:
        """The steps as a record has them: requests with the last one first."""
        return replace(
            base or TestKeys(),
            queries=tuple(self.queries),
            tcp_connect=tuple(self.connects),
            tls_handshakes=tuple(self.handshakes),
            quic_handshakes=tuple(self.quic),
            requests=tuple(reversed(self.requests)),
            network_events=tuple(self.events) or None,
            x_dns_duplicate_responses=tuple(self.duplicates) or None,
        )


@dataclass(slots=True)
class Times:
    """When a step began: when it was asked for, or when its turn at the door came."""

    run: Run
    t0: float = 0.0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Now."""
        self.t0 = self.run.now()


def place(address: str, port: int) -> str:
    """An address with its port, as records write it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
