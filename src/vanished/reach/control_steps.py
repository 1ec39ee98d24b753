"""What a control sees: the same steps as a probe's, from where it stands, as OONI's record of it.

In: an address of the web, and the places that the probe found. Out: a `Control`. Our control server
runs it behind its door; a second vantage runs it through a go-around's. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from vanished.reach.door import Door
from vanished.reach.failures import kind
from vanished.reach.likeness import title_of
from vanished.reach.probe_dns import Resolver, look_up
from vanished.reach.probe_quic import quic
from vanished.reach.probe_tcp import connect
from vanished.reach.probe_tls import handshake
from vanished.reach.record import (
    AddressInfo,
    Control,
    ControlConnect,
    ControlDns,
    ControlHandshake,
    ControlPage,
)
from vanished.reach.run import Limits, Run, place
from vanished.reach.steps import raw, text
from vanished.reach.ways import Asked, Finds, follow, literal, way

MOST_PLACES: Final = 8
BY_PROBE, BY_CONTROL = 1, 2
"""Flags of `AddressInfo`, as OONI's helper sets them: who found the address."""


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Where a control looks names up, and whom it trusts."""

    resolver: Resolver = field(default_factory=lambda: Resolver("system"))
    authorities: str = ""  # a file of certificates; "" for the system's
    limits: Limits = field(default_factory=Limits)
    tries: int = 2  # of the look-up, for a lost datagram


async def control_of(
    url: str, places: Sequence[str], door: Door, settings: ControlSettings, *, with_quic: bool
) -> Control:
    """What is seen of `url` and of `places` (address and port, at most MOST_PLACES) from here."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    run = Run(door, settings.limits)

    async def finds(name: str, redirects: int) -> Sequence[str]:
        if literal(name):
            return [name]
        for _ in range(settings.tries):
            found = await look_up(run, name, settings.resolver, authorities=settings.authorities)
            if not found.failure or kind(found.failure).value != "timeout":
                break
        return found.addresses

    addresses = await finds(host, 0)
    asked = [*dict.fromkeys([*places, *(place(a, port) for a in addresses)])][:MOST_PLACES]
    pages = asyncio.create_task(_page(run, url, addresses, finds, settings))
    await asyncio.gather(
        *(_endpoint(run, one, host, settings, tls=secure) for one in asked),
        *(_over_quic(run, one, host, settings) for one in asked if with_quic and secure),
    )
    page = await pages
    await run.settled()
    return _record(run, host, places, page)


async def _endpoint(
    run: Run, where: str, host: str, settings: ControlSettings, *, tls: bool
) -> None:
    """Connect to a place, and shake hands if the page is a secure one."""
    address, port = split_place(where)
    _, opened = await connect(run, address, port, tags=("endpoint",))
    if opened is None:
        return
    try:
        if tls:
            await handshake(run, opened, host, authorities=settings.authorities)
    finally:
        opened.close()


async def _over_quic(run: Run, where: str, host: str, settings: ControlSettings) -> None:
    address, port = split_place(where)
    await quic(run, address, port, host, authorities=settings.authorities)


async def _page(
    run: Run, url: str, addresses: Sequence[str], finds: Finds, settings: ControlSettings
) -> ControlPage:
    """The page in the end, from the first address that gives one."""
    failure: str | None = "dns_no_answer"
    for address in addresses[:2]:
        own = Run(run.door, run.limits, begun=run.begun)
        tried = await way(own, address, Asked(url, authorities=settings.authorities))
        failure = tried.failure
        if tried.exchange is None:
            continue
        failure = await follow(own, tried.exchange, finds, authorities=settings.authorities)
        last = own.requests[-1]
        answer = last.response
        if failure or answer is None:
            continue
        body = raw(answer.body)
        return ControlPage(
            failure=None, status_code=answer.code, body_length=len(body),
            title=title_of(text(answer.body)), headers=answer.headers,
        )  # fmt: skip
    return ControlPage(failure=failure, status_code=-1, body_length=-1, title="", headers={})


def _record(run: Run, host: str, places: Sequence[str], page: ControlPage) -> Control:
    """What was seen, as OONI's helper answers it."""
    looked = [query for query in run.queries if query.hostname == host]
    addrs = tuple(dict.fromkeys(a for query in looked for a in query.addresses))
    failure = None if addrs or not looked else looked[-1].failure
    if literal(host):
        addrs = (host,)
    endpoints = [step for step in run.connects if "endpoint" in (step.tags or ())]
    given = {split_place(one)[0] for one in places}
    return Control(
        dns=ControlDns(failure=failure, addrs=addrs),
        tcp_connect={
            place(s.ip, s.port): ControlConnect(status=not s.failure, failure=s.failure)
            for s in endpoints
        },
        tls_handshake={
            s.address: ControlHandshake(s.server_name, not s.failure, s.failure)
            for s in run.handshakes
            if s.address
        },
        quic_handshake={
            s.address: ControlHandshake(s.server_name, not s.failure, s.failure)
            for s in run.quic
            if s.address
        },
        http_request=page,
        ip_info={
            a: AddressInfo(0, BY_PROBE * (a in given) + BY_CONTROL * (a in addrs))
            for a in dict.fromkeys([*given, *addrs])
        },
    )


def split_place(where: str) -> tuple[str, int]:
    """Address and port of a place. Raises ValueError for what is none."""
    address, _, port = where.rpartition(":")
    return address.strip("[]"), int(port)
