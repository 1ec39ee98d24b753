"""A page through a local proxy: whether traffic flows, how fast, and for how long.

In: a proxy's URL, an address of the web. Out: an `Arrived`. Names are left to the proxy, so that a
resolver here is no matter; only a certificate that is valid for the name counts, so that no page of
whoever stands between can pass for it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from vanished.errors import UsageError
from vanished.net.proxy import ProxyAddress
from vanished.reach.door import Door, failure_of
from vanished.reach.probe_http import request
from vanished.reach.probe_tcp import Connection
from vanished.reach.probe_tls import handshake
from vanished.reach.run import Limits, Run
from vanished.reach.steps import raw

_TYPES: Final = {"socks5": ProxyType.SOCKS5, "socks5h": ProxyType.SOCKS5, "http": ProxyType.HTTP}
MOST_BYTES: Final = 4 << 20
LEAST_BYTES: Final = 1 << 13
"""A rate over less says nothing of the way."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """How a page came: `failure` None where it did, with a valid certificate and status 200."""

    failure: str | None
    took_s: float
    held: int = 0  # bytes of its body
    body_s: float = 0.0  # from the request to its last byte

    @property
    def bytes_s(self) -> float | None:
        """Its rate; None for a page too small to tell."""
        return self.held / self.body_s if self.held >= LEAST_BYTES and self.body_s > 0 else None


async def fetch(
    proxy: str, url: str, *, limit_s: float, authorities: str = "", whole_s: float = 0.0
) -> Arrived:
    """Ask for a page through a proxy once; with `whole_s` for as much as comes in that time.

    Raises UsageError for an address that is not https.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise UsageError(f"'{url[:80]}' proves nothing through a proxy; name a page by https.")
    begun = time.monotonic()
    own = Run(Door(), Limits(http_s=whole_s or limit_s))
    if whole_s:
        own.limits = replace(own.limits, body_bytes=MOST_BYTES)
    connection: Connection | None = None
    try:
        where = ProxyAddress.parse(proxy)
        dialled = Proxy(
            _TYPES[where.scheme], where.host, where.port, where.user or None,
            where.password or None, rdns=True,
        )  # fmt: skip
        port = parts.port or 443
        made = await dialled.connect(parts.hostname, port, timeout=limit_s)
        made.setblocking(False)
        connection = Connection(made, "0.0.0.0", port, own.transaction())  # noqa: S104 (a label)
        shaken = await handshake(
            own, connection, parts.hostname, authorities=authorities, limit_s=limit_s
        )
        if shaken.failure:
            return Arrived(shaken.failure, time.monotonic() - begun)
        step = await request(own, connection, url, limit_s=whole_s or limit_s)
    except ProxyTimeoutError:
        return Arrived("generic_timeout_error", time.monotonic() - begun)
    except (ProxyConnectionError, ProxyError, ValueError, EOFError, IndexError):
        return Arrived("proxy_failed", time.monotonic() - begun)
    except (OSError, TimeoutError) as error:
        return Arrived(failure_of(error), time.monotonic() - begun)
    finally:
        if connection is not None:
            connection.close()
    answer = step.response
    held = len(raw(answer.body)) if answer else 0
    cut = bool(whole_s) and step.failure is not None and held >= LEAST_BYTES
    failure = None if cut else step.failure
    if failure is None and (answer is None or answer.code != 200):
        failure = "http_request_failed"
    took = (step.t or 0.0) - (step.t0 or 0.0)
    return Arrived(failure, time.monotonic() - begun, held, took)


@dataclass(frozen=True, slots=True)
class Lasted:
    """How long a way carried pages while it was watched, and whether it was cut off then."""

    seconds: float
    ended: bool
    pages: int


async def lasts(
    proxy: str, url: str, *, seconds: float, every_s: float, limit_s: float, authorities: str = ""
) -> Lasted:
    """Ask for a page again and again; two failures in a row are an end, one is a stumble."""
    begun = worked = time.monotonic()
    pages, failed = 0, 0
    while time.monotonic() - begun < seconds and failed < 2:
        came = await fetch(proxy, url, limit_s=limit_s, authorities=authorities)
        if came.failure is None:
            pages, failed, worked = pages + 1, 0, time.monotonic()
        else:
            failed += 1
        await asyncio.sleep(every_s)
    return Lasted(worked - begun, failed >= 2, pages)
