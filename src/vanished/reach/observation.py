"""The steps of a measurement, put together to the ways on which the target was tried.

In: a measurement, OONI's or ours. Out: an `Observation`: look-ups, and ways (connect, handshake,
answer) each with what it was for, how far it came, and how the control fared at the same step.
Nothing here concludes; a step is named by its place in the record, such as "tls_handshakes/2".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from vanished.reach.failures import Kind, kind
from vanished.reach.record import Control, Measurement
from vanished.reach.steps import (
    Exchange,
    Handshake,
    Query,
    TcpConnect,
    depth,
    purpose,
)

ENCRYPTED = ("https://", "dot://", "h3://", "doq://")
"""How addresses of resolvers begin, whose answers nobody on the way can forge."""


class Lookup(NamedTuple):
    """One look-up."""

    id: str
    query: Query
    depth: int
    purpose: str

    @property
    def kind(self) -> Kind:
        """What kind of failure, if it failed."""
        return kind(self.query.failure)

    @property
    def resolver(self) -> str:
        """Who was asked: the engine and the resolver's address."""
        return f"{self.query.engine or ''} {self.query.resolver_address or ''}".strip()

    @property
    def encrypted(self) -> bool:
        """Whether the answer came over TLS; such an answer also is evidence of the truth."""
        if self.query.engine in ("doh", "dot", "doh3", "doq"):
            return True
        return (self.query.resolver_address or "").startswith(ENCRYPTED)


class Way(NamedTuple):
    """One connection to one address, as far as it came. Steps that were not made are None."""

    depth: int
    purpose: str
    address: str  # IP, without the port; "" where an old record does not say
    place: str  # address and port, as the control's tables name it
    check_only: bool  # a handshake that only tests the address: no page would have come of it
    connect: TcpConnect | None = None
    handshake: Handshake | None = None
    exchange: Exchange | None = None
    connect_id: str = ""
    handshake_id: str = ""
    exchange_id: str = ""

    @property
    def code(self) -> int:
        """The status of the answer, 0 if none came."""
        return (self.exchange.response.code or 0) if self.exchange and self.exchange.response else 0

    @property
    def secure(self) -> bool:
        """Whether a certificate valid for the name was shown."""
        if self.handshake is not None:
            return not self.handshake.failure and not self.handshake.no_tls_verify
        url = self.exchange.request.url if self.exchange and self.exchange.request else ""
        return bool(self.exchange and not self.exchange.failure and url.startswith("https://"))

    @property
    def answered(self) -> bool:
        """Whether a whole answer came that is no redirect."""
        if self.exchange is None or self.exchange.failure:
            return False
        return self.code // 100 in (2, 4, 5)


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a measurement saw of its target."""

    measurement: Measurement
    host: str  # of the input, as look-ups write it
    lookups: tuple[Lookup, ...]
    ways: tuple[Way, ...]
    quic: tuple[tuple[str, Handshake], ...]
    control: Control | None  # None where there was none, or it failed


def observe(measurement: Measurement) -> Observation:
    """What `measurement` saw. Takes some ten microseconds for a page of two addresses."""
    keys = measurement.keys
    block = keys.x_vanished
    stale = keys.control_failure or (block and block.control and not block.control.ok)
    return Observation(
        measurement=measurement,
        host=_host(measurement.target),
        lookups=tuple(
            Lookup(f"queries/{i}", query, *_for(query.tags))
            for i, query in enumerate(keys.queries or ())
        ),
        ways=tuple(_ways(measurement)),
        quic=tuple(
            (f"quic_handshakes/{i}", one) for i, one in enumerate(keys.quic_handshakes or ())
        ),
        control=None if stale else keys.control,
    )


def _ways(measurement: Measurement) -> Iterator[Way]:
    """The ways by transaction; in records without transactions, by address."""
    keys = measurement.keys
    handshakes = {_key(one): (i, one) for i, one in enumerate(keys.tls_handshakes or ())}
    requests = keys.requests or ()
    exchanges = {_key(one): (i, one) for i, one in enumerate(requests)}
    for i, connect in enumerate(keys.tcp_connect or ()):
        place = (
            f"[{connect.ip}]:{connect.port}"
            if ":" in connect.ip
            else f"{connect.ip}:{connect.port}"
        )
        key = connect.transaction_id or place
        at, handshake = handshakes.pop(key, (-1, None))
        on, exchange = exchanges.pop(key, (-1, None))
        tags = connect.tags or ()
        redirects, what_for = _for(tags)
        yield Way(
            redirects,
            what_for,
            connect.ip,
            place,
            "fetch_body=false" in tags,
            connect,
            handshake,
            exchange,
            f"tcp_connect/{i}",
            f"tls_handshakes/{at}" if handshake else "",
            f"requests/{on}" if exchange else "",
        )
    for at, handshake in handshakes.values():
        yield _alone(handshake.address, handshake.tags, handshake=handshake, at=at)
    for on, exchange in exchanges.values():
        redirects = depth(exchange.tags) or len(requests) - 1 - on
        yield _alone(exchange.address, exchange.tags, exchange=exchange, at=on, redirects=redirects)


def _key(step: Handshake | Exchange) -> int | str:
    """What a step shares with its connect; a step that shares nothing stands alone."""
    return step.transaction_id or step.address or f"alone {id(step)}"


def _alone(
    place: str | None,
    tags: tuple[str, ...] | None,
    *,
    handshake: Handshake | None = None,
    exchange: Exchange | None = None,
    at: int,
    redirects: int = 0,
) -> Way:
    """A way of which the record has only the last step."""
    return Way(
        depth=depth(tags) or redirects,
        purpose=purpose(tags),
        address=(place or "").rpartition(":")[0].strip("[]"),
        place=place or "",
        check_only=False,
        handshake=handshake,
        exchange=exchange,
        handshake_id=f"tls_handshakes/{at}" if handshake else "",
        exchange_id=f"requests/{at}" if exchange else "",
    )


@lru_cache(maxsize=4096)
def _for(tags: tuple[str, ...] | None) -> tuple[int, str]:
    """Redirects before a step, and its purpose. Records have few different sets of tags."""
    return depth(tags), purpose(tags)


@lru_cache(maxsize=4096)
def _host(url: str) -> str:
    """The host of the input as look-ups write it: international names in ASCII."""
    try:
        host = urlsplit(url).hostname or ""
        return host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return ""
