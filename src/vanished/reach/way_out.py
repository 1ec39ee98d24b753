"""The way to a control or collector: one, and never another.

In: a URL, and a proxy or none. Out: status and bytes of an answer. With a proxy, it is the only way
out: if it fails, the exchange fails; nothing here goes directly instead. Without one, private
addresses are refused unless allowed. No redirect is followed, no cookie kept, no setting of the
environment read. What is sent is the caller's.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from vanished.errors import UsageError
from vanished.net.address import Network, guarded_socket
from vanished.net.proxy import ProxiedConnector, ProxyAddress
from vanished.reach import failures

MOST_ANSWERED_BYTES = 1 << 20
FAILURES = (aiohttp.ClientError, OSError)
"""What an exchange raises when the network fails; TimeoutError and SSLError are OSErrors."""


class WayOut:
    """An async context manager; `exchange` asks once."""

    def __init__(
        self,
        proxy: str = "",
        *,
        allow: Sequence[Network] = (),
        authorities: str = "",
        limit_s: float = 60.0,
    ) -> None:
        """`authorities` is a file of certificates, "" for the system's. Raises ConfigError for a
        proxy, UsageError for a file, that cannot be used."""
        self.proxy = ProxyAddress.parse(proxy, "given") if proxy else None
        self._allow = tuple(allow)
        self._limit_s = limit_s
        try:
            self._trust = ssl.create_default_context(cafile=authorities or None)
        except OSError:
            raise UsageError(
                f"{authorities} holds no certificates that can be read; name a PEM file."
            ) from None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WayOut:
        resolver = aiohttp.ThreadedResolver()
        connector: aiohttp.TCPConnector
        if self.proxy is not None:
            connector = ProxiedConnector(self.proxy, self._allow, resolver, 8)
        else:
            connector = aiohttp.TCPConnector(
                limit=8, resolver=resolver, socket_factory=guarded_socket(self._allow)
            )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._limit_s, sock_connect=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "vanished"},
            trust_env=False,
        )
        return self

    async def __aexit__(self, *raised: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and bytes of the answer; JSON is sent where there is a body. Raises FAILURES."""
        if self._session is None:
            raise RuntimeError("the way is not open: use it in an `async with`")
        asked = self._session.request(
            method,
            url,
            data=body,
            headers={"Content-Type": "application/json"} if body is not None else {},
            allow_redirects=False,
            ssl=self._trust,
        )
        async with asked as response:
            held = bytearray()
            async for piece in response.content.iter_chunked(1 << 16):
                held += piece
                if len(held) > MOST_ANSWERED_BYTES:
                    raise aiohttp.ClientPayloadError("the answer is too long")
            return response.status, bytes(held)


def checked_server(url: str, name: str, allow: Sequence[Network]) -> str:
    """`url` of a control or collector, if what is sent there stays between us. Raises UsageError.

    https; http only where nobody on the way reads it (an onion address) or to an address that the
    user allowed by its network.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("https", "http") or parts.username:
        raise UsageError(f"The {name} is no URL that can be used; write https://HOST/.")
    if parts.scheme == "http" and not host.endswith(".onion") and not _allowed(host, allow):
        raise UsageError(
            f"The {name} at {host} would be asked in the clear, where anybody on the way reads and"
            " changes it; use https, or allow its address with --allow-network."
        )
    return url


def _allowed(host: str, allow: Sequence[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address.version == net.version and address in net for net in allow)


def way_failure(error: Exception) -> str:
    """df-007's word for one of FAILURES."""
    if isinstance(error, TimeoutError):
        return failures.TIMEOUT
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return failures.UNKNOWN_AUTHORITY
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return failures.NXDOMAIN
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return failures.EOF
    inner = getattr(error, "os_error", error)
    if isinstance(inner, ConnectionRefusedError):
        return failures.CONNECTION_REFUSED
    if isinstance(inner, ConnectionResetError):
        return failures.CONNECTION_RESET
    return f"unknown_failure: {type(error).__name__}"
