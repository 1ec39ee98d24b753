"""Controls: who says what a target is like where nobody filters.

In: a URL and the places that a probe found. Out: a `Control`, or ControlFailedError with a df-007
failure. There are two: `HelperControl` asks a server (ours, or OONI's test helper), directly or
through a proxy, and `GoAroundControl` makes the same steps through a proxy itself. Neither is
believed blindly: before the first answer, and now and then, the canary is asked for through it, and
a control that does not see the canary has failed. That is no statement about a target.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from vanished.errors import UsageError
from vanished.net.address import Network
from vanished.net.proxy import ProxyAddress
from vanished.reach.control_request import LIMITS, ControlRequest, Standing, checked, seen_from
from vanished.reach.control_steps import ControlSettings
from vanished.reach.controlling import ControlFailedError
from vanished.reach.door import Door
from vanished.reach.probe_dns import Resolver
from vanished.reach.record import Control
from vanished.reach.run import Limits
from vanished.reach.way_out import FAILURES, WayOut, checked_server, way_failure

STALE = "control_stale_error"
"""The control answers, but does not see what has to be there."""

CARRIED = ("tcp", "dot", "doh")
"""Engines of resolvers that a proxy can carry."""

_Ask = Callable[[ControlRequest], Awaitable[Control]]


@dataclass(slots=True)
class _Health:
    """Whether a control saw the canary, asked again after a while."""

    canary: str  # a URL; "" asks for none
    again_s: float = 600.0
    _checked: float = -1e12
    _failure: str | None = None

    async def check(self, ask: _Ask) -> None:
        """Raises ControlFailedError if the control is not well."""
        if self.canary and time.monotonic() - self._checked >= self.again_s:
            self._failure = await self._look(ask)
            self._checked = time.monotonic()
        if self._failure:
            raise ControlFailedError(self._failure)

    async def _look(self, ask: _Ask) -> str | None:
        try:
            found = await ask(ControlRequest(self.canary))
        except ControlFailedError as error:
            return error.failure
        page = found.http_request
        seen = page is not None and page.failure is None and (page.status_code or 0) // 100 == 2
        return None if seen else STALE


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
        self.vantage = f"{self.url} through a go-around" if proxy else self.url
        self._way = WayOut(proxy, allow=allow, authorities=authorities, limit_s=limit_s)
        self._health = _Health(canary)
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> HelperControl:
        await self._way.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._way.__aexit__(*raised)

    async def control(self, url: str, places: Sequence[str], *, quic: bool) -> Control:
        """The target as the server sees it. Raises ControlFailedError."""
        async with self._turn:  # one check, however many ask at once
            await self._health.check(self._ask)
        return await self._ask(ControlRequest(url, tuple(places), quic=quic))

    async def rate(self, url: str, seconds: float) -> float | None:
        """Bytes per second at which the server gets `url`; None where it is none of ours."""
        body = msgspec.json.encode({"http_request": url, "seconds": seconds})
        found = await self._own("POST", "rate", body)
        value = found.get("bytes_per_s")
        return float(value) if isinstance(value, int | float) and value > 0 else None

    async def own_address(self) -> str:
        """The address from which the server is asked, if it says so (ours does); "" if not."""
        found = (await self._own("GET", "you")).get("address")
        return found if isinstance(found, str) else ""

    async def _own(self, method: str, name: str, body: bytes | None = None) -> dict[str, Any]:
        """What a server of ours says beyond OONI's API; {} from any other, or if it fails."""
        try:
            status, held = await self._way.exchange(method, f"{self.url.rstrip('/')}/{name}", body)
            found = msgspec.json.decode(held) if status == 200 else {}
        except (*FAILURES, msgspec.DecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    async def _ask(self, asked: ControlRequest) -> Control:
        wanted = {
            "http_request": asked.url,
            "http_request_headers": {name: [value] for name, value in asked.headers.items()},
            "tcp_connect": list(asked.places),
            "x_quic_enabled": asked.quic,
        }
        try:
            status, held = await self._way.exchange("POST", self.url, msgspec.json.encode(wanted))
        except FAILURES as error:
            raise ControlFailedError(way_failure(error)) from None
        if status != 200:
            raise ControlFailedError("http_request_failed")
        try:
            found = msgspec.json.decode(held, type=Control)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ControlFailedError("json_parse_error") from None
        if found.dns is None or found.http_request is None:
            raise ControlFailedError("json_parse_error")
        return found


class GoAroundControl:
    """A second vantage: the same steps, made by us through a SOCKS5 or HTTP proxy.

    `resolver` is asked through it, over TCP, TLS or HTTPS. What it cannot know: whether the other
    end is filtered, too, or is another country than we think; what the resolver of the network
    there would say; QUIC; rates, which would be the proxy's; and an HTTP proxy tells little of why
    a connect failed. The record does not name the proxy: that might burn it.
    """

    def __init__(
        self,
        proxy: str,
        resolver: Resolver,
        *,
        canary: str = "",
        allow: Sequence[Network] = (),
        authorities: str = "",
        limits: Limits = LIMITS,
    ) -> None:
        address = ProxyAddress.parse(proxy, "go-around's")
        if resolver.engine not in CARRIED:
            raise UsageError(
                "A go-around as control needs a resolver that is asked over TCP, TLS or HTTPS;"
                " name one such as dot://ADDRESS#NAME."
            )
        scheme = address.scheme.replace("socks5h", "socks5")  # only addresses are handed to it
        door = Door(allow=allow, proxy=f"{scheme}{proxy[len(address.scheme) :]}")
        # Any port: it asks for us alone, what we measure ourselves anyway.
        self._standing = Standing(
            door, frozenset(range(1, 65536)), ControlSettings(resolver, authorities, limits)
        )
        self._health = _Health(canary)
        self._turn = asyncio.Lock()
        self.vantage = f"a go-around ({address.scheme})"

    async def control(self, url: str, places: Sequence[str], *, quic: bool) -> Control:
        """The target as it is seen from the proxy's other end. Raises ControlFailedError."""
        async with self._turn:
            await self._health.check(self._ask)
        return await self._ask(ControlRequest(url, tuple(places)))

    async def rate(self, url: str, seconds: float) -> float | None:
        """None: through the proxy, the rate would be the proxy's."""
        return None

    async def _ask(self, asked: ControlRequest) -> Control:
        try:
            wanted = checked(asked, self._standing)
        except UsageError as error:
            raise ControlFailedError(f"unknown_failure: {error}") from None
        return await seen_from(self._standing, wanted)
