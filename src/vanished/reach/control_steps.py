"""The steps of a control: a target as it is seen from where this runs, or from a go-around's end.

In: what a probe asks (`ControlRequest`) and a door. Out: a `Control` as OONI's test helper answers.
The name is looked up, every address of that look-up and of the probe's is connected to and shaken
hands with, and the page is fetched over redirects. Nothing is compared with the probe here, and
numbers of networks are not known here (0).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

from vanished.errors import UsageError
from vanished.net.address import Denied, checked_url, refuse_for_remote, why_denied
from vanished.reach import failures
from vanished.reach.door import Door
from vanished.reach.failures import Kind, kind
from vanished.reach.likeness import title_of
from vanished.reach.probe_dns import SYSTEM, Resolver, look_up
from vanished.reach.probe_http import HEADERS, request
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
from vanished.reach.steps import Exchange, Response, raw, text

MOST_PLACES = 24
"""Addresses with ports that one request may name; a probe finds a handful."""

MOST_REDIRECTS = 10
PAGE_BYTES = 4 << 20
PORTS = frozenset({80, 443, 853, 4443, 5222, 5223, 5228, 8080, 8443, 8448})
"""Ports of the services that are tested: web, DNS over TLS, messengers, Matrix."""

OF_PROBE, OF_CONTROL, BOGON, VALID = 1, 2, 4, 8
"""Flags of `AddressInfo`: who found the address, what it is, whether it proved itself."""

NO_NAME, LOOK_UP_FAILED = "dns_name_error", "dns_lookup_error"
"""The test helper's words for a name that does not exist, and a page whose name failed."""

_H3 = re.compile(r'\bh3="([^":]{0,255})(:\d{1,5})"')


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """What a probe asks the control: a URL, and the places (address and port) it found itself."""

    url: str
    places: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    quic: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a control stands: its door, its resolvers, and whom its handshakes believe."""

    door: Door
    resolvers: Sequence[Resolver] = (Resolver(SYSTEM),)
    authorities: str = ""
    ports: frozenset[int] = PORTS
    limits: Limits = field(
        default_factory=lambda: Limits(connect_s=8, tls_s=8, http_s=15, body_bytes=PAGE_BYTES)
    )


def checked(asked: ControlRequest, standing: Standing) -> ControlRequest:
    """`asked` without places that may not be tried. Raises UsageError for a URL that may not."""
    try:
        url = checked_url(asked.url)
        if url.raw_host is not None:
            refuse_for_remote(url.raw_host, standing.door.allow)
    except Denied as error:
        raise UsageError(f"The control does not ask for that URL: {error}.") from None
    if url.port not in standing.ports:
        raise UsageError(f"The control does not ask port {url.port}.")
    found = [one for one in map(_parsed, asked.places) if one]
    places = tuple(place(*one) for one in dict.fromkeys(found) if _may(one, standing))
    return replace(asked, url=str(url), places=places[:MOST_PLACES])


def _parsed(shown: str) -> tuple[str, int] | None:
    """The address and port of "192.0.2.1:443" or "[2001:db8::1]:443"; None if it is neither."""
    address, _, port = shown.rpartition(":")
    try:
        return str(ip_address(address.strip("[]"))), int(port)
    except ValueError:
        return None


def _may(one: tuple[str, int], standing: Standing) -> bool:
    return one[1] in standing.ports and not why_denied(ip_address(one[0]), standing.door.allow)


async def seen_from(standing: Standing, asked: ControlRequest) -> Control:
    """The target of a `checked` request, as it is seen from `standing`."""
    parts = urlsplit(asked.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    run = Run(standing.door, standing.limits)
    dns = await _look_up(run, host, standing.resolvers)
    theirs = [one for one in map(_parsed, asked.places) if one]
    ours = [(address, port) for address in dns.addrs or ()]
    places = [one for one in dict.fromkeys([*ours, *theirs]) if _may(one, standing)][:MOST_PLACES]
    ways = await asyncio.gather(*(_way(standing, one, host, parts.scheme) for one in places))
    page = await _page(standing, asked)
    quic = await _quic(standing, asked.quic, host, places)
    hands = {at: made for at, _, made in ways if made}
    return Control(
        dns=dns,
        tcp_connect={at: made for at, made, _ in ways},
        tls_handshake=hands,
        quic_handshake=quic,
        http_request=page,
        ip_info=_info(dns, theirs, hands, standing),
    )


async def _look_up(run: Run, host: str, resolvers: Iterable[Resolver]) -> ControlDns:
    """The first resolver that answers, for both kinds of address."""
    try:
        return ControlDns(addrs=(str(ip_address(host)),))
    except ValueError:
        pass
    failure = None
    for resolver in resolvers:
        both = [await look_up(run, host, resolver, kind=one) for one in ("A", "AAAA")]
        addresses = tuple(dict.fromkeys(a for one in both for a in one.addresses))
        if addresses:
            return ControlDns(addrs=addresses)
        failure = both[0].failure
        if kind(failure) is Kind.NO_NAME:
            missing = failure == failures.NXDOMAIN
            return ControlDns(failure=NO_NAME if missing else failure, addrs=())
    return ControlDns(failure=failure, addrs=())


async def _way(
    standing: Standing, at: tuple[str, int], host: str, scheme: str
) -> tuple[str, ControlConnect, ControlHandshake | None]:
    """One connect, and the handshake over it where TLS is spoken there."""
    run = Run(standing.door, standing.limits)
    step, connection = await connect(run, *at)
    ended = ControlConnect(status=step.failure is None, failure=step.failure)
    if connection is None:
        return place(*at), ended, None
    try:
        if at[1] in (80, 5222) or (scheme == "http" and at[1] != 443):
            return place(*at), ended, None
        hands = await handshake(run, connection, host, authorities=standing.authorities)
    finally:
        connection.close()
    made = ControlHandshake(host, hands.failure is None, hands.failure)
    return place(*at), ended, made


async def _page(standing: Standing, asked: ControlRequest) -> ControlPage:
    """The page in the end, over redirects."""
    url, failure, found = asked.url, None, None
    for _ in range(MOST_REDIRECTS + 1):
        failure, exchange = await _fetch(standing, url, asked.headers)
        found = exchange.response if exchange else None
        onwards = found.header("location") if found and (found.code or 0) // 100 == 3 else ""
        if failure or not onwards:
            break
        url = urljoin(url, onwards)
    else:
        failure = "http_too_many_redirects"
    return _described(failure, found, urlsplit(url).hostname or "")


async def _fetch(
    standing: Standing, url: str, headers: Mapping[str, str]
) -> tuple[str | None, Exchange | None]:
    """One request by the first address of its host that can be spoken to."""
    try:
        parts = urlsplit(str(checked_url(url)))
    except Denied:
        return "unknown_error", None
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if port not in standing.ports:
        return "unknown_error", None
    run = Run(standing.door, standing.limits)
    dns = await _look_up(run, host, standing.resolvers)
    failure: str | None = LOOK_UP_FAILED
    for address in (dns.addrs or ())[:4]:
        step, connection = await connect(run, address, port)
        failure = step.failure
        if connection is None:
            continue
        try:
            if parts.scheme == "https":
                hands = await handshake(run, connection, host, authorities=standing.authorities)
                failure = hands.failure
                if failure:
                    continue
            exchange = await request(run, connection, url, headers=headers)
            return exchange.failure, exchange
        finally:
            connection.close()
    return failure, None


def _described(failure: str | None, found: Response | None, host: str) -> ControlPage:
    """What the control says of the page at `host`."""
    if failure or found is None:
        return ControlPage(failure=failure or "unknown_error", status_code=-1, body_length=-1)
    advertised = _H3.search(found.header("alt-svc"))
    return ControlPage(
        status_code=found.code,
        body_length=len(raw(found.body)),
        title=title_of(text(found.body)),
        headers={name: text(value) for name, value in (found.headers or {}).items()},
        discovered_h3_endpoint=(advertised[1] or host) + advertised[2] if advertised else "",
    )


async def _quic(
    standing: Standing, wanted: bool, host: str, places: Iterable[tuple[str, int]]
) -> dict[str, ControlHandshake]:
    """Handshakes over QUIC; none where nobody asked, through a proxy, or without aioquic."""
    if not wanted or standing.door.proxy:
        return {}
    try:
        from vanished.reach.probe_quic import quic
    except ImportError:
        return {}
    run = Run(standing.door, standing.limits)
    found = {}
    for address, port in [one for one in places if one[1] == 443][:4]:
        step = await quic(run, address, port, host, authorities=standing.authorities)
        found[place(address, port)] = ControlHandshake(host, step.failure is None, step.failure)
    return found


def _info(
    dns: ControlDns,
    theirs: Iterable[tuple[str, int]],
    hands: Mapping[str, ControlHandshake],
    standing: Standing,
) -> dict[str, AddressInfo]:
    valid = {place_.rpartition(":")[0].strip("[]") for place_, one in hands.items() if one.status}
    flags: dict[str, int] = {}
    for address in dns.addrs or ():
        flags[address] = OF_CONTROL
    for address, _ in theirs:
        flags[address] = flags.get(address, 0) | OF_PROBE
    for address in flags:
        if why_denied(ip_address(address), standing.door.allow):
            flags[address] |= BOGON
        if address in valid:
            flags[address] |= VALID
    return {address: AddressInfo(asn=0, flags=value) for address, value in flags.items()}
