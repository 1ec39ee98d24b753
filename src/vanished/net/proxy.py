"""Ways round: a connector that reaches hosts through a SOCKS5 or HTTP proxy.

In: a proxy's URL (`socks5://`, `socks5h://` or `http://`, with a port, perhaps a password). Out:
an aiohttp connector. With `socks5` the name is resolved here, checked, and the proxy is given the
address that passed. With `socks5h` (Tor) and `http` the proxy resolves the name, so no address
can be checked here: private literals and local names are refused, nothing more is possible.

An HTTP proxy is always asked for a tunnel (CONNECT), for http pages too: what it says itself (403,
404, 407) can then never be taken for the page's own answer. User and password of a proxy appear
in no error, repr or URL that leaves this file.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import ClientConnectorError, ClientProxyConnectionError, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType
from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy

from vanished.errors import ConfigError
from vanished.net.address import Denied, Network, refuse_for_remote

_TYPES = {"socks5": ProxyType.SOCKS5, "socks5h": ProxyType.SOCKS5, "http": ProxyType.HTTP}


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """Where a proxy listens and what it speaks; `str` of it shows no secret."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, name: str = "proxy") -> ProxyAddress:
        """The proxy at `url`, called `name` in errors. Raises ConfigError, which shows no URL."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host, port = "", None, None
        if scheme not in _TYPES or not host or not port:
            raise ConfigError(
                f"The proxy {name!r} cannot be used: write it as socks5h://HOST:PORT,"
                " socks5://HOST:PORT or http://HOST:PORT."
            )
        return cls(scheme, host, port, unquote(parts.username or ""), unquote(parts.password or ""))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def without_secrets(self, words: str) -> str:
        """`words` of a proxy, which may echo what it was sent."""
        for secret in (self.password, self.user):
            if secret:
                words = words.replace(secret, "***")
        return words


class ProxiedConnector(TCPConnector):
    """Connects through one proxy. See the module for what is checked and what cannot be."""

    def __init__(
        self,
        proxy: ProxyAddress,
        allowed: Sequence[Network],
        resolver: AbstractResolver,
        limit: int,
    ) -> None:
        here = proxy.scheme == "socks5"
        super().__init__(limit=limit, resolver=resolver if here else _LeftToProxy())
        self._proxy = proxy
        self._allowed = allowed

    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: list[AddrInfoType],
        req: ClientRequest,
        timeout: ClientTimeout,
        client_error: type[Exception] = ClientConnectorError,
        **kwargs: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """What aiohttp calls with the addresses of a host, to connect to the first of them.

        aiohttp comes back with the next address when this raises a ClientConnectorError.
        """
        host, port = str(addr_infos[0][4][0]), int(addr_infos[0][4][1])
        try:
            refuse_for_remote(host, self._allowed)
            sock = await self._tunnel(host, port, timeout.sock_connect)
        except Denied as error:
            raise client_error(req.connection_key, error) from error
        except ProxyError as error:
            words = OSError(None, self._proxy.without_secrets(str(error))[:120])
            raise ClientProxyConnectionError(req.connection_key, words) from None
        return await self._wrap_existing_connection(
            *args, req=req, timeout=timeout, client_error=client_error, sock=sock, **kwargs
        )

    async def _tunnel(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """A socket whose other end is `host`. Raises ProxyError, and TimeoutError."""
        proxy = self._proxy
        tunnel = Proxy(
            _TYPES[proxy.scheme],
            proxy.host,
            proxy.port,
            username=proxy.user,
            password=proxy.password,
            rdns=True,  # the name, if it is one, was left to the proxy; else it is an address
        )
        try:
            return await tunnel.connect(host, port, timeout=timeout_s)
        except TimeoutError:
            raise
        except (OSError, ValueError, IndexError) as error:  # unreachable, or it speaks nonsense
            raise ProxyError(str(error)) from None


class _LeftToProxy(AbstractResolver):
    """Gives a name back as its own address."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=host, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""
