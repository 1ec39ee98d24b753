"""What went over the wire, kept as evidence: one `Leg` a request, secrets withheld.

In: an answered request of aiohttp. Out: a `Leg`. Nothing is asked or waited for here: of a
redirect's own body, which nobody reads, it takes what has arrived. Most looks find nothing new and
are never evidence, so `Legs` makes them only when somebody reads them.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, overload

import aiohttp

from vanished.model import Micros
from vanished.net.exchange import Fields, Leg

WITHHELD: Final = "[withheld]"
SECRETS: Final = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"}
)
"""Headers of a request that could log somebody in, in lower case."""
GIVEN: Final = frozenset({"set-cookie", "set-cookie2"})
"""Headers of an answer that hold what could log in whoever reads them, in lower case."""

_chains: weakref.WeakKeyDictionary[object, tuple[bytes, ...]] = weakref.WeakKeyDictionary()


class Legs(Sequence[Leg]):
    """The legs of one exchange, made when they are first read."""

    __slots__ = ("_made", "_waiting")

    def __init__(self) -> None:
        self._made: list[Leg] = []
        self._waiting: list[Callable[[], Leg]] = []

    def add(
        self,
        response: aiohttp.ClientResponse,
        wire: bytes,
        sent_body: bytes | None,
        times: tuple[Micros, Micros],
        complete: bool,
        address: str,
        chain: tuple[bytes, ...],
    ) -> None:
        """Note a leg; see `leg`."""
        self._waiting.append(
            partial(leg, response, wire, sent_body, times, complete, address, chain)
        )

    def _all(self) -> list[Leg]:
        self._made += [make() for make in self._waiting]
        self._waiting.clear()
        return self._made

    @overload
    def __getitem__(self, index: int) -> Leg: ...
    @overload
    def __getitem__(self, index: slice) -> list[Leg]: ...
    def __getitem__(self, index: int | slice) -> Leg | list[Leg]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._made) + len(self._waiting)


def leg(
    response: aiohttp.ClientResponse,
    wire: bytes,
    sent_body: bytes | None,
    times: tuple[Micros, Micros],
    complete: bool,
    address: str,
    chain: tuple[bytes, ...],
) -> Leg:
    """The leg of one answer; `times` are when it was asked and when its last byte was read."""
    asked = response.request_info
    version = response.version
    return Leg(
        asked.method,
        str(asked.url),
        _without(SECRETS, tuple(asked.headers.items())),
        sent_body or b"",
        *times,
        response.status,
        response.reason or "",
        _without(
            GIVEN,
            tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in response.raw_headers),
        ),
        wire,
        "1.1" if version is None else f"{version.major}.{version.minor}",
        complete,
        address,
        chain,
    )


def _without(secrets: frozenset[str], fields: Fields) -> Fields:
    return tuple((name, WITHHELD if name.lower() in secrets else value) for name, value in fields)


def arrived(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """What has come of a body that nobody waits for, and whether that is all of it."""
    content = response.content
    if content.exception() is not None:
        return b"", False
    return content.read_nowait(-1), content.at_eof()


def certificates(transport: asyncio.Transport) -> tuple[bytes, ...]:
    """The chain that the server showed, DER; () without TLS. Read once a connection."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return ()
    known = _chains.get(tls)
    if known is None:
        known = _chains[tls] = _chain(tls)
    return known


def _chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    # The whole chain has a public name only from Python 3.13 on.
    shown = getattr(tls, "get_unverified_chain", None) or getattr(
        getattr(tls, "_sslobj", None), "get_unverified_chain", None
    )
    if shown is not None and (chain := shown()):
        return tuple(
            c if isinstance(c, bytes) else ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in chain
        )
    leaf = tls.getpeercert(binary_form=True)
    return () if leaf is None else (leaf,)
