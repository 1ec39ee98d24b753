"""Controls: who says what a target is like where nobody filters.

In: a `ControlRequest`. Out: an `Outcome`, which has a `Control` or a df-007 failure. There are two:
`HelperControl` asks a server (ours, or OONI's test helper), directly or through a proxy, and
`GoAroundControl` makes the same steps through a proxy itself. Neither is believed blindly: before
the first answer the canary is asked for through it, and a control that does not see the canary has
failed. A failed control is no statement about a target.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from vanished.errors import UsageError
from vanished.net.address import Network
from vanished.net.proxy import ProxyAddress
from vanished.reach.control_request import ControlRequest, Standing, checked, seen_from
from vanished.reach.door import Door
from vanished.reach.probe_dns import Resolver
from vanished.reach.record import Control, ControlSummary
from vanished.reach.way_out import FAILURES, WayOut, checked_server, way_failure

STALE = "control_stale_error"
"""The control answers, but does not see what has to be there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking; exactly one of `control` and `failure` is set."""

    control: Control | None
    failure: str | None
    vantage: str

    @property
    def summary(self) -> ControlSummary:
        """The control as the record's own block names it."""
        return ControlSummary(self.control is not None, self.vantage, self.failure)


class Controls(Protocol):
    """Whoever can be asked."""

    @property
    def vantage(self) -> str:
        """Where it stands, in words that hold no secret."""
        ...

    async def control(self, asked: ControlRequest) -> Outcome:
        """The target of `asked` as it is seen there; never raises for a network that fails."""
        ...


@dataclass(slots=True)
class _Health:
    """Whether a control saw the canary, asked again after a while."""

    canary: str  # a URL; "" asks for none
    again_s: float = 600.0
    _checked: float = -1e12
    _failure: str | None = None

    async def failure(self, ask: Callable[[ControlRequest], Awaitable[Outcome]]) -> str | None:
        """None if the control is well; a failure otherwise."""
        if not self.canary or time.monotonic() - self._checked < self.again_s:
            return self._failure
        outcome = await ask(ControlRequest(self.canary))
        page = outcome.control.http_request if outcome.control else None
        seen = page is not None and page.failure is None and (page.status_code or 0) // 100 == 2
        self._failure = None if seen else (outcome.failure or STALE)
        self._checked = time.monotonic()
        return self._failure


class HelperControl:
    """Asks a control server over HTTP. An async context manager.

    `url` is https, or http for an onion address or a host in `allow`. `proxy` is the only way out
    if it is given: nothing goes there directly then. `canary` is a URL that has to be seen there.
    Raises UsageError or ConfigError for settings that cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        canary: str = "",
        proxy: str = "",
        allow: Sequence[Network] = (),
        authorities: str = "",
        limit_s: float = 75.0,
    ) -> None:
        self.url = checked_server(url, "control", allow)
        self.vantage = f"{self.url} via a proxy" if proxy else self.url
        self._way = WayOut(proxy, allow=allow, authorities=authorities, limit_s=limit_s)
        self._health = _Health(canary)
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> HelperControl:
        await self._way.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._way.__aexit__(*raised)

    async def control(self, asked: ControlRequest) -> Outcome:
        """The target of `asked` as the server sees it."""
        async with self._turn:  # one check, however many ask at once
            failure = await self._health.failure(self._ask)
        return Outcome(None, failure, self.vantage) if failure else await self._ask(asked)

    async def own_address(self) -> str:
        """The address from which the server is asked, if it says so (ours does); "" if not."""
        try:
            status, held = await self._way.exchange("GET", f"{self.url.rstrip('/')}/you")
            given = msgspec.json.decode(held) if status == 200 else {}
        except (*FAILURES, msgspec.DecodeError):
            return ""
        found = given.get("address") if isinstance(given, dict) else ""
        return found if isinstance(found, str) else ""

    async def _ask(self, asked: ControlRequest) -> Outcome:
        wanted = {
            "http_request": asked.url,
            "http_request_headers": {name: [value] for name, value in asked.headers.items()},
            "tcp_connect": list(asked.places),
            "x_quic_enabled": asked.quic,
        }
        try:
            status, held = await self._way.exchange("POST", self.url, msgspec.json.encode(wanted))
        except FAILURES as error:
            return Outcome(None, way_failure(error), self.vantage)
        if status != 200:
            return Outcome(None, "http_request_failed", self.vantage)
        try:
            found = msgspec.json.decode(held, type=Control)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Outcome(None, "json_parse_error", self.vantage)
        if found.dns is None or found.http_request is None:
            return Outcome(None, "json_parse_error", self.vantage)
        return Outcome(found, None, self.vantage)


class GoAroundControl:
    """A second vantage: the same steps, made by us through a SOCKS5 or HTTP proxy.

    `resolver` is asked through it, over TCP, TLS or HTTPS. What it cannot know: whether the other
    end is filtered, too, or is another country than we think; what the resolver of the network
    there would say; QUIC; and an HTTP proxy tells little of why a connect failed.
    """

    def __init__(
        self,
        proxy: str,
        resolver: Resolver,
        *,
        canary: str = "",
        standing: Standing | None = None,
        allow: Sequence[Network] = (),
    ) -> None:
        address = ProxyAddress.parse(proxy, "go-around's")
        if resolver.engine not in ("tcp", "dot", "doh"):
            raise UsageError(
                "A go-around as control needs a resolver that is asked over TCP, TLS or HTTPS;"
                " name one such as dot://ADDRESS#NAME."
            )
        scheme = address.scheme.replace("socks5h", "socks5")  # only addresses are handed to it
        door = Door(allow=allow, proxy=f"{scheme}{proxy[len(address.scheme) :]}")
        base = standing or Standing(door)
        settings = replace(base.settings, resolver=resolver)
        self._standing = replace(base, door=door, settings=settings)
        self._health = _Health(canary)
        self._turn = asyncio.Lock()
        self.vantage = f"via {address}"

    async def control(self, asked: ControlRequest) -> Outcome:
        """The target of `asked` as it is seen from the proxy's other end."""
        async with self._turn:
            failure = await self._health.failure(self._ask)
        return Outcome(None, failure, self.vantage) if failure else await self._ask(asked)

    async def _ask(self, asked: ControlRequest) -> Outcome:
        try:
            wanted = checked(asked, self._standing)
        except UsageError:
            return Outcome(None, "unknown_failure: the control does not ask that", self.vantage)
        found = await seen_from(self._standing, replace(wanted, quic=False))
        return Outcome(found, None, self.vantage)


class NoControl:
    """Nobody to ask: every verdict against a target stays open."""

    vantage = ""

    async def control(self, asked: ControlRequest) -> Outcome:
        """No control."""
        return Outcome(None, "control_missing_error", self.vantage)
