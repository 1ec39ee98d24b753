"""The test of a go-around: how far it comes, how fast, how long, and by what it is stopped.

In: a `GoAround`, settings, a door, a control. Out: `AroundSeen`. Stages: the way to its server, its
own handshake, a page through it, the rate of a larger one, how long pages keep coming. Where no
page comes: whether its first bytes are lost while others pass, whether its address answers at all,
and whether it works elsewhere. Without the last two nothing is said against the network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from vanished.reach.app import Endpoint
from vanished.reach.canary import CanaryKeeper
from vanished.reach.controlling import ControlFailedError, Controlling
from vanished.reach.door import Door
from vanished.reach.endpoint_test import OneEndpoint
from vanished.reach.flights import TLS, flight, knock
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_client import Carrying, NoWayError
from vanished.reach.goaround_plans import carrying
from vanished.reach.goaround_record import recorded
from vanished.reach.goaround_settings import GoAroundSettings
from vanished.reach.probe_dns import Resolver, look_up
from vanished.reach.record import Canary, Control, Flight, GoAroundSeen, Knock, Measurement
from vanished.reach.run import Run, place
from vanished.reach.through import Arrived, fetch, lasts
from vanished.reach.verdict import Verdict, verdict
from vanished.reach.ways import literal

_SENDS_S: Final = {"wireguard": (0, 5, 10, 15, 20, 25), "openvpn": (0, 2, 6, 14, 30)}
"""When a client asks again: REKEY_TIMEOUT of WireGuard, the doubling of OpenVPN."""


KNOCKED: Final = (443, 80)
"""Ports beside its own at which the address of a server that speaks UDP is tried."""


class Elsewhere(Protocol):
    """Another network, in which the same go-around was or is tried."""

    async def works(self, found: GoAround) -> bool | None:
        """Whether it works there; None if that is not known."""


@dataclass(frozen=True, slots=True)
class AroundSeen:
    """One test of one go-around. `measurement` names it by its hash only."""

    go_around: GoAround
    seen: GoAroundSeen
    measurement: Measurement
    more: tuple[Measurement, ...] = ()  # OONI's test `tor`, for Tor

    @property
    def verdict(self) -> Verdict:
        """The verdict on it."""
        return verdict(self.measurement)


@dataclass(slots=True)
class GoAroundTest:
    """Tests go-arounds, one after the other: their clients would take each other's rate."""

    settings: GoAroundSettings
    door: Door
    control: Controlling | None
    elsewhere: Elsewhere | None = None
    _canary: CanaryKeeper = field(init=False)

    def __post_init__(self) -> None:
        self._canary = CanaryKeeper(self.settings.web, self.door)

    async def measure(self, found: GoAround) -> AroundSeen:
        """Test one. Raises UsageError where its program is missing."""
        if found.kind == "tor":
            from vanished.reach.tor_test import tor_seen

            return await tor_seen(self, found)
        canary, run = await self._canary.look()
        own = OneEndpoint(
            self.settings.web, self.door, self.control, _url(found), endpoint=_endpoint(found)
        )
        base = await own.measured(canary, run)
        if not canary.ok:
            seen = GoAroundSeen(found.kind, failure="canary_failed")
            return AroundSeen(found, seen, recorded(found, base, seen))
        addresses = _addresses(found, own)
        seen = await self._stages(found, own, addresses)
        if seen.traffic is False:
            seen = await self.compared(found, seen, addresses[:1])
        return AroundSeen(found, seen, recorded(found, base, seen))

    async def canary(self) -> tuple[Canary, Run]:
        """The latest look at the canary."""
        return await self._canary.look()

    # Stages

    async def _stages(
        self, found: GoAround, own: OneEndpoint, addresses: Sequence[str]
    ) -> GoAroundSeen:
        reachable = None if found.transport == "udp" else own.reached
        seen = GoAroundSeen(found.kind, reachable=reachable)
        if found.transport == "tls":
            seen = replace(seen, handshake=own.reached)
        if found.kind in ("dot", "doh"):
            return await self._resolver(found, seen, addresses)
        if not found.sort.proxies:  # a place of which only the way is known
            return replace(seen, failure=own.stopped_by)
        if own.tried and all(one.connect.failure for one in own.tried):
            return replace(seen, traffic=False, failure=own.stopped_by)  # no client comes further
        return await self.carried(found, seen, self.settings.client_s)

    async def carried(
        self, found: GoAround, seen: GoAroundSeen, client_s: float, own: Carrying | None = None
    ) -> GoAroundSeen:
        """Run its client and ask for pages through it; `own` is filled with how it came up."""
        own = own or Carrying()
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(carrying(found, client_s, own=own))
                own.up_s = round(time.monotonic() - own.begun, 3)
                seen = await self._traffic(own, seen)
        except NoWayError:
            seen = replace(seen, traffic=False, failure="client_failed")
        shaken = own.handshake if own.handshake is not None else seen.handshake
        return replace(seen, handshake=shaken)

    async def _traffic(self, own: Carrying, seen: GoAroundSeen) -> GoAroundSeen:
        settings = self.settings
        ask: dict[str, Any] = {"authorities": settings.web.authorities}
        came = Arrived("unknown_failure", 0.0)
        for number in range(settings.tries):
            if number:
                await asyncio.sleep(settings.web.spacing_s)
            came = await fetch(own.proxy, settings.page, limit_s=settings.page_s, **ask)
            if came.failure is None:
                break
        if came.failure is not None:
            return replace(seen, traffic=False, failure=came.failure)
        first_s = round(time.monotonic() - own.begun, 3)
        seen = replace(seen, traffic=True, first_page_s=first_s)
        rate = came.bytes_s
        if settings.large:
            larger = await fetch(
                own.proxy, settings.large, limit_s=settings.page_s, whole_s=settings.rate_s, **ask
            )
            rate = larger.bytes_s or rate
        seen = replace(seen, bytes_s=None if rate is None else round(rate, 1))
        if settings.lasts_s:
            watched = await lasts(
                own.proxy, settings.page, seconds=settings.lasts_s, every_s=settings.every_s,
                limit_s=settings.page_s, **ask,
            )  # fmt: skip
            seen = replace(seen, lasted_s=round(watched.seconds, 1), ended=watched.ended)
        return seen

    async def _resolver(
        self, found: GoAround, seen: GoAroundSeen, addresses: Sequence[str]
    ) -> GoAroundSeen:
        """Ask a resolver over TLS or HTTPS for the canary's name."""
        name = urlsplit(self.settings.web.canary).hostname or ""
        run = Run(self.door, self.settings.web.limits)
        failure: str | None = "dns_no_answer"
        for address in addresses:
            resolver = Resolver(
                found.kind, address, found.port, found.text("sni") or found.server,
                found.text("path", "/dns-query"),
            )  # fmt: skip
            files = found.text("authorities") or self.settings.web.authorities
            answer = await look_up(run, name, resolver, authorities=files)
            failure = answer.failure
            if answer.addresses:
                break
        return replace(seen, traffic=failure is None, failure=failure)

    # What stops it

    async def compared(
        self, found: GoAround, seen: GoAroundSeen, addresses: Sequence[str], port: int = 0
    ) -> GoAroundSeen:
        """Contrasts for one that carries nothing."""
        port = port or found.port
        if self.elsewhere is not None:
            seen = replace(seen, elsewhere=await self.elsewhere.works(found))
        for address in addresses:
            if found.transport == "udp":
                seen = await self._knocked(found, seen, address)
            elif found.flight and seen.reachable:
                flights = await self._flights(address, port, found.flight)
                seen = replace(seen, flights=flights)
        return seen

    async def _flights(self, address: str, port: int, sort: str) -> tuple[Flight, ...]:
        """TLS greetings, then its first bytes: what they may bring down stays down for a while."""
        web, tries = self.settings.web, range(self.settings.tries)

        async def sent(one: str, number: int) -> Flight:
            await asyncio.sleep(number * web.spacing_s)
            return await flight(self.door, address, port, one, web.bystander, web.limits.connect_s)

        greetings = await asyncio.gather(*(sent(TLS, number) for number in tries))
        return (*greetings, *await asyncio.gather(*(sent(sort, number) for number in tries)))

    async def _knocked(self, found: GoAround, seen: GoAroundSeen, address: str) -> GoAroundSeen:
        """Whether anything comes back from the address of a server that speaks UDP, here and to
        the control; and how often its client asked without being answered."""
        ports = dict.fromkeys([found.port, *KNOCKED])
        knocks = await asyncio.gather(*(self._knock(address, port) for port in ports))
        times = sum(at < self.settings.client_s for at in _SENDS_S.get(found.kind, ()))
        silent = () if seen.handshake else (Flight(found.flight, "silent"),) * times
        return replace(seen, knocks=tuple(knocks), flights=silent)

    async def _knock(self, address: str, port: int) -> Knock:
        limit_s, tries = self.settings.web.limits.connect_s, range(self.settings.tries)
        here = await asyncio.gather(*(knock(self.door, address, port, limit_s) for _ in tries))
        where, at = place(address, port), f"[{address}]" if ":" in address else address
        beside: str | None = None
        if self.control is not None:
            try:
                said = await self.control.control(f"http://{at}/", [where], quic=False)
            except ControlFailedError:
                said = Control()
            tried = (said.tcp_connect or {}).get(where)
            beside = None if tried is None else tried.failure or ""
        return Knock(port, tuple(here), beside)


def _url(found: GoAround) -> str:
    """The way to its server: up to a handshake where it speaks TLS, else a connect."""
    host = f"[{found.server}]" if ":" in found.server else found.server
    if found.transport == "udp":
        return f"dns://{host}"
    return f"{found.transport}://{host}:{found.port}"


def _endpoint(found: GoAround) -> Endpoint:
    sni = found.text("sni")
    return Endpoint(_url(found), authorities=found.text("authorities"), sni=sni)


def _addresses(found: GoAround, own: OneEndpoint) -> list[str]:
    if literal(found.server):
        return [found.server]
    return list(dict.fromkeys(a for query in own.run.queries for a in query.addresses))
