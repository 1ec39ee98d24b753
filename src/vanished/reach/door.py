"""The door of the probes: which addresses may be contacted, how fast, and by which way.

In: an address that a probe wants to contact. Out: a socket, or a refusal. Every socket of `reach`
is opened here, so that a private address, a rate that is too high, or a way around the proxy
cannot slip in by another probe. What is said over the socket is the probe's.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from vanished.net.address import Network, why_denied
from vanished.reach import failures

Started = Callable[[], None]
"""Called when a step's turn has come: what it waited for its turn is no time of the network's."""


class NotContactedError(Exception):
    """An address that may not be contacted, or that the way does not reach; says why."""


@dataclass(slots=True)
class Door:
    """One door for all probes of a run.

    `allow` are networks that may be contacted although they are not public: a lab's. `per_s` is
    how many sockets are opened a second, `burst` how many at once after a pause. `proxy` is the
    URL of a SOCKS5 or HTTP proxy that streams go through; datagrams cannot, and are refused then.
    `ports` are the only ones that may be contacted, if any are named: a control's.
    """

    allow: Sequence[Network] = ()
    per_s: float = 4.0
    burst: int = 8
    proxy: str = ""
    ports: frozenset[int] = frozenset()
    contacted: Counter[str] = field(default_factory=Counter)
    _ready: float = -1e9

    async def stream(
        self, address: str, port: int, limit_s: float, *, started: Started | None = None
    ) -> socket.socket:
        """A connected TCP socket, not blocking, within `limit_s` of its turn; `started` is called
        when that has come. Raises OSError, TimeoutError, NotContactedError."""
        await self._admitted("tcp", address, port, started)
        if self.proxy:
            return await self._through_proxy(address, port, limit_s)
        made = socket.socket(_family(address), socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(limit_s):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
        except BaseException:
            made.close()
            raise
        return made

    async def datagrams(
        self, address: str, port: int, *, started: Started | None = None
    ) -> socket.socket:
        """A UDP socket that hears `address` only; `started` as for `stream`. Raises OSError or
        NotContactedError."""
        await self._admitted("udp", address, port, started)
        if self.proxy:
            raise NotContactedError("datagrams do not go through the proxy")
        made = socket.socket(_family(address), socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.connect((address, port))
        except BaseException:
            made.close()
            raise
        return made

    async def _admitted(
        self, protocol: str, address: str, port: int, started: Started | None
    ) -> None:
        """Wait for the turn. Raises NotContactedError for what may not be contacted."""
        why = why_denied(ip_address(address), self.allow)
        if why:
            raise NotContactedError(f"{address} is {why}, and such addresses are not contacted")
        if self.ports and port not in self.ports:
            raise NotContactedError(f"port {port} is not contacted from here")
        now = time.monotonic()
        self._ready = max(self._ready, now - self.burst / self.per_s) + 1 / self.per_s
        if self._ready > now:
            await asyncio.sleep(self._ready - now)
        self.contacted[f"{protocol} {address} {port}"] += 1
        if started:
            started()

    async def _through_proxy(self, address: str, port: int, limit_s: float) -> socket.socket:
        try:
            made = await Proxy.from_url(self.proxy, rdns=False).connect(
                address, port, timeout=limit_s
            )
        except ProxyTimeoutError:
            raise TimeoutError from None
        except (ProxyConnectionError, ProxyError) as error:
            code = _BY_PROXY.get(getattr(error, "error_code", None) or -1)
            if code:
                raise OSError(code, "said by the proxy") from None
            raise NotContactedError("the proxy did not connect") from None
        made.setblocking(False)
        return made


_BY_PROXY = {3: errno.ENETUNREACH, 4: errno.EHOSTUNREACH, 5: errno.ECONNREFUSED, 6: errno.ETIMEDOUT}
"""Replies of SOCKS5 (RFC 1928)."""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


_FAILURES = {
    errno.ECONNREFUSED: failures.CONNECTION_REFUSED,
    errno.ECONNRESET: failures.CONNECTION_RESET,
    errno.EPIPE: failures.CONNECTION_RESET,
    errno.ECONNABORTED: "connection_aborted",
    errno.EHOSTUNREACH: failures.HOST_UNREACHABLE,
    errno.ENETUNREACH: failures.NETWORK_UNREACHABLE,
    errno.ETIMEDOUT: failures.TIMEOUT,
    errno.EPERM: "operation_not_permitted",
    errno.EACCES: "permission_denied",
}


def failure_of(error: Exception) -> str:
    """OONI's word (df-007) for what a socket raised."""
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        return failures.TIMEOUT
    if isinstance(error, NotContactedError):
        return f"unknown_failure: {error}"
    with suppress(KeyError):
        return _FAILURES[getattr(error, "errno", None) or 0]
    return f"unknown_failure: {type(error).__name__}"
