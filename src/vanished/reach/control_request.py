"""What a probe asks a control, and what the control agrees to do.

In: a URL and the places (address and port) that a probe found. Out: a `Control` in the words of
OONI's test helper, from the steps of `control_steps`. A control does not become a way into private
networks or a scanner of ports: URLs and places that it does not ask are refused or left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from vanished.errors import UsageError
from vanished.net.address import Denied, checked_url, refuse_for_remote, why_denied
from vanished.reach.control_steps import ControlSettings, control_of
from vanished.reach.door import Door
from vanished.reach.failures import NXDOMAIN
from vanished.reach.probe_dns import look_up
from vanished.reach.probe_http import HEADERS
from vanished.reach.record import AddressInfo, Control
from vanished.reach.run import Limits, Run, place
from vanished.reach.throughput import rate
from vanished.reach.ways import Asked, literal

MOST_PLACES = 16
"""Places that one request may name; a probe finds a handful."""

PORTS = frozenset({80, 443, 853, 4443, 5222, 5223, 5228, 8080, 8443, 8448})
"""Ports of the services that are tested: web, DNS over TLS, messengers, Matrix."""

BOGON, VALID = 4, 8
"""Further flags of `AddressInfo`: not public; showed a valid certificate for the name."""

NO_NAME = "dns_name_error"
"""The test helper's word for a name that does not exist."""

LIMITS = Limits(connect_s=8, tls_s=8, http_s=15, body_bytes=4 << 20)
"""Of a control's steps: it can be patient, and sees the whole of a page."""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """What a probe asks."""

    url: str
    places: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    quic: bool = False
    seconds: float = 4.0  # of a rate


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a control stands: its door, which ports it asks, its resolver and authorities."""

    door: Door
    ports: frozenset[int] = PORTS
    settings: ControlSettings = field(default_factory=lambda: ControlSettings(limits=LIMITS))


def checked(asked: ControlRequest, standing: Standing) -> ControlRequest:
    """`asked` without places that may not be tried. Raises UsageError for a URL that may not."""
    allow = standing.door.allow
    try:
        url = checked_url(asked.url)
        refuse_for_remote(url.raw_host or "", allow)
    except Denied as error:
        raise UsageError(f"The control does not ask for that URL: {error}.") from None
    if url.port not in standing.ports:
        raise UsageError(f"The control does not ask port {url.port}.")
    found = [one for one in map(_parsed, asked.places) if one]
    places = [
        place(address, port)
        for address, port in dict.fromkeys(found)
        if port in standing.ports and not why_denied(ip_address(address), allow)
    ]
    return replace(asked, url=str(url), places=tuple(places[:MOST_PLACES]))


def _parsed(shown: str) -> tuple[str, int] | None:
    """The address and port of "192.0.2.1:443" or "[2001:db8::1]:443"; None if it is neither."""
    address, _, port = shown.rpartition(":")
    try:
        return str(ip_address(address.strip("[]"))), int(port)
    except ValueError:
        return None


async def seen_from(standing: Standing, asked: ControlRequest) -> Control:
    """The target of a `checked` request, as it is seen from `standing`."""
    found = await control_of(
        asked.url, asked.places, standing.door, standing.settings, with_quic=asked.quic
    )
    dns = found.dns
    if dns is not None and dns.failure == NXDOMAIN:
        dns = replace(dns, failure=NO_NAME)
    hands = (found.tls_handshake or {}).items()
    valid = {where.rpartition(":")[0].strip("[]") for where, one in hands if one.status}
    info = {
        address: AddressInfo(one.asn, _flags(one.flags or 0, address, valid, standing))
        for address, one in (found.ip_info or {}).items()
    }
    return replace(found, dns=dns, ip_info=info)


async def rate_from(standing: Standing, asked: ControlRequest) -> float | None:
    """Bytes per second at which the page of a `checked` request comes here; None if it does not."""
    parts = urlsplit(asked.url)
    settings = standing.settings
    run = Run(standing.door, settings.limits)
    host = parts.hostname or ""
    addresses: Sequence[str] = (host.strip("[]"),)
    if not literal(host):
        found = await look_up(run, host, settings.resolver, authorities=settings.authorities)
        addresses = found.addresses
    if not addresses:
        return None
    page = Asked(asked.url, authorities=settings.authorities)
    return await rate(run, addresses[0], page, asked.seconds)


def _flags(held: int, address: str, valid: set[str], standing: Standing) -> int:
    bogon = bool(why_denied(ip_address(address), standing.door.allow))
    return held | BOGON * bogon | VALID * (address in valid)
