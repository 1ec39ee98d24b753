"""How far a web_connectivity measurement (0.5 and later) came on each of its ways.

In: a measurement. Out: its ways in the order in which OONI weighs them: the last redirect first,
then HTTP before TLS before TCP before DNS, then what worked before what failed. Only steps of the
classic algorithm count: look-ups by the system's resolver, addresses that it found, and steps that
would fetch the page (OONI's ts-017, "Local processing"). Nothing here concludes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import urlsplit

from vanished.reach.failures import NO_ANSWER
from vanished.reach.record import Control, Measurement
from vanished.reach.steps import Exchange, Handshake, Query, TcpConnect, depth


class Stage(IntEnum):
    """The last step of a way."""

    DNS = 0
    TCP = 1
    TLS = 2
    HTTP = 3


@dataclass(frozen=True, slots=True)
class Furthest:
    """One way: the steps that were made on it, and how its last one ended."""

    depth: int
    stage: Stage
    failure: str
    input_host: str
    query: Query | None = None
    connect: TcpConnect | None = None
    handshake: Handshake | None = None
    exchange: Exchange | None = None

    @property
    def final(self) -> bool:
        """Whether the answer is no redirect."""
        code = self.exchange.response.code if self.exchange and self.exchange.response else 0
        return (code or 0) // 100 in (2, 4, 5)

    @property
    def tls(self) -> bool:
        """Whether the answer came over a handshake that succeeded."""
        return self.handshake is not None and not self.handshake.failure

    def beside(self, control: Control | None) -> tuple[bool, str | None]:
        """Whether the control made the same step, and its failure."""
        if control is None:
            return False, None
        if self.stage is Stage.DNS and self.query and control.dns:
            if self.query.hostname != self.input_host:
                return False, None
            if self.query.failure == NO_ANSWER and not control.dns.addrs:
                return True, control.dns.failure or NO_ANSWER
            return True, control.dns.failure
        if self.connect is None:
            return False, None
        host = self.connect.ip
        place = f"[{host}]:{self.connect.port}" if ":" in host else f"{host}:{self.connect.port}"
        if self.stage is Stage.TCP:
            tcp = (control.tcp_connect or {}).get(place)
            return tcp is not None, tcp.failure if tcp else None
        if self.stage is Stage.TLS and self.handshake:
            tls = (control.tls_handshake or {}).get(place)
            if tls is None or tls.server_name != self.handshake.server_name:
                return False, None
            return True, tls.failure
        return False, None


def furthest(measurement: Measurement, system: Collection[str | None]) -> list[Furthest]:
    """The ways of the classic algorithm, in the order in which they are weighed."""
    ways = [*_looked_up(measurement, system), *_connected(measurement, system)]
    return sorted(ways, key=lambda way: (-way.depth, -way.stage, way.failure))


def _looked_up(measurement: Measurement, system: Collection[str | None]) -> Iterator[Furthest]:
    host = _host(measurement.target)
    for query in measurement.keys.queries or ():
        if query.engine in system and query.failure:
            yield Furthest(depth(query.tags), Stage.DNS, query.failure, host, query=query)


def _connected(measurement: Measurement, system: Collection[str | None]) -> Iterator[Furthest]:
    keys = measurement.keys
    host = _host(measurement.target)
    found = {a for q in keys.queries or () if q.engine in system for a in q.addresses}
    handshakes = {one.transaction_id: one for one in keys.tls_handshakes or ()}
    exchanges = {one.transaction_id: one for one in keys.requests or ()}
    for connect in keys.tcp_connect or ():
        if connect.ip not in found or "fetch_body=false" in (connect.tags or ()):
            continue
        handshake = handshakes.get(connect.transaction_id)
        exchange = exchanges.get(connect.transaction_id)
        stage, failure = Stage.TCP, connect.failure
        if handshake:
            stage, failure = Stage.TLS, handshake.failure
        if exchange:
            stage, failure = Stage.HTTP, exchange.failure
        yield Furthest(
            depth(connect.tags),
            stage,
            failure or "",
            host,
            connect=connect,
            handshake=handshake,
            exchange=exchange,
        )


def _host(url: str) -> str:
    """The host of the input as look-ups write it: international names in ASCII."""
    try:
        host = urlsplit(url).hostname or ""
        return host.encode("idna").decode() if not host.isascii() else host
    except (ValueError, UnicodeError):
        return ""
