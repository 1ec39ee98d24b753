"""The only door out: what is asked through it is safe, bounded, polite and honest.

In: the limits, the budgets, the proxies. Out: a `Fetcher` for each look, and the sessions of each
way out, whose connections are made to addresses that were checked. Nothing is kept between looks:
no cookies, no cache. How one request is made stands in `net.fetcher`; how a stream is, in
`net.stream`.

With a proxy that resolves names itself (`socks5h`, `http`), addresses cannot be checked here; see
`net.proxy` for what still is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver

from vanished import __version__
from vanished.clock import Clock
from vanished.errors import ConfigError
from vanished.net.address import guarded_socket, networks
from vanished.net.fetcher import REDIRECTS, Fetcher, Response
from vanished.net.politeness import Politeness
from vanished.net.proxy import ProxiedConnector, ProxyAddress

USER_AGENT = f"vanished/{__version__} (+observatory)"
MAX_HEADER = 32 * 1024
"""Bytes of one header: some sites send policies beyond the 8 KiB that aiohttp reads by itself."""


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """The limits of every request. A duration covers one whole request, redirects included."""

    user_agent: str = USER_AGENT
    timeout_s: float = 20
    connect_timeout_s: float = 10  # of one connection attempt
    max_bytes: int = 8 * 1024 * 1024  # of a body, on the wire and decoded
    max_redirects: int = 5
    retries: int = 1  # after a connection that was refused or broken, for GET and HEAD
    connections: int = 256  # open at once, through each way out
    allow_networks: tuple[str, ...] = ()  # private networks that may be asked: "127.0.0.0/8"
    vantage: str = "here"
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)  # URL by name


class Door:
    """Owns the sessions; an async context manager. Hands out one Fetcher a look."""

    def __init__(
        self,
        settings: DoorSettings,
        clock: Clock,
        politeness: Politeness,
        *,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`resolver` replaces the system's. Raises ConfigError for bad networks or proxies."""
        self.settings = settings
        self.clock = clock
        self.politeness = politeness
        self._allowed = networks(settings.allow_networks)
        self._proxies = {
            name: ProxyAddress.parse(url, name) for name, url in settings.proxies.items()
        }
        self._resolver = resolver
        self._sessions: dict[ProxyAddress | None, aiohttp.ClientSession] = {}
        self._streaming: dict[ProxyAddress | None, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        if self._resolver is None:
            # Not the default, which is another one where aiodns happens to be installed.
            self._resolver = aiohttp.ThreadedResolver()
        self._session(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sessions in (self._streaming, self._sessions):
            for session in sessions.values():
                await session.close()
            sessions.clear()

    def fetcher(self, prepaid: int = 1, proxy: str | None = None) -> Fetcher:
        """A fetcher for one look, whose first `prepaid` wire requests are already spent.

        `proxy` is a name of `settings.proxies`, or a proxy's URL. Raises ConfigError.
        """
        address = self._way(proxy)
        label = proxy if proxy is None or proxy in self.settings.proxies else str(address)
        vantage, proxied = self.vantage(label), address is not None
        return Fetcher(self, self._session(address), prepaid, vantage, proxied=proxied)

    def streaming(self, proxy: str | None = None) -> aiohttp.ClientSession:
        """The session in which WebSockets are opened; see `net.stream`, which pays for them.

        `proxy` as for `fetcher`. A redirect raises RedirectedError: aiohttp would follow it unpaid.
        """
        address = self._way(proxy)
        session = self._streaming.get(address)
        if session is None:
            session = self._streaming[address] = self._opened(
                self._session(address).connector, connector_owner=False, middlewares=(_no_redirect,)
            )
        return session

    def _way(self, proxy: str | None) -> ProxyAddress | None:
        """The proxy of this name or URL; None: directly."""
        if proxy is None:
            return None
        address = self._proxies.get(proxy)
        if address is None:
            if "://" not in proxy:
                known = ", ".join(self.settings.proxies) or "none"
                raise ConfigError(  # what was given may be a mistyped URL, so it is not shown
                    f"A source asks for a proxy by a name that no proxy has (known: {known});"
                    " name it under proxies, or write it as socks5h://HOST:PORT."
                )
            address = self._proxies[proxy] = ProxyAddress.parse(proxy)
        return address

    def vantage(self, proxy: str | None) -> str:
        """The vantage of what is asked through `proxy`; None: directly.

        The same page asked from elsewhere is another fact: its vantage says so.
        """
        here = self.settings.vantage
        return here if proxy is None else f"{here} via {proxy}"

    def _session(self, proxy: ProxyAddress | None) -> aiohttp.ClientSession:
        """The session of one way out: made once, since its pool is what makes it fast."""
        session = self._sessions.get(proxy)
        if session is not None:
            return session
        if self._resolver is None:
            raise RuntimeError("the door is not open: use it in an `async with`")
        session = self._sessions[proxy] = self._opened(
            self._connector(proxy, self._resolver),
            auto_decompress=False,
            response_class=Response,
        )
        return session

    def _opened(
        self, connector: aiohttp.BaseConnector | None, **options: Any
    ) -> aiohttp.ClientSession:
        settings = self.settings
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": "gzip, deflate"},
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=MAX_HEADER,
            **options,
        )
        # aiohttp repeats a request whose connection broke, without asking: that one would not be
        # paid for. A test counts requests, should this switch ever go away.
        session._retry_connection = False
        return session

    def _connector(
        self, proxy: ProxyAddress | None, resolver: AbstractResolver
    ) -> aiohttp.TCPConnector:
        limit = self.settings.connections
        if proxy is not None:
            return ProxiedConnector(proxy, self._allowed, resolver, limit)
        return aiohttp.TCPConnector(
            limit=limit, resolver=resolver, socket_factory=guarded_socket(self._allowed)
        )


class RedirectedError(aiohttp.ClientError):
    """A stream's address answered with a redirect, which is not followed."""


async def _no_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.status in REDIRECTS:
        response.close()
        raise RedirectedError
    return response
