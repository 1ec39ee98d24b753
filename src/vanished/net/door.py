"""The only door out: requests that are safe, bounded, polite and honest.

In: a method, a URL, headers, a body. Out: an `Exchange`, whatever the network did; a fault is a
value here and never an exception. The door follows redirects itself (each hop is checked and
paid for), reads bodies under caps, undoes encodings, and keeps nothing between looks: no cookies,
no cache. It does not wait for budgets (the watch dispatches) and does not judge answers: 403, 404,
410 and 451 are answers, whose meaning a source reads.

With a proxy that resolves names itself (`socks5h`, `http`), addresses cannot be checked here; see
`net.proxy` for what still is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from vanished import __version__
from vanished.clock import Clock
from vanished.errors import ConfigError
from vanished.model import Fault, Micros
from vanished.net.address import Denied, checked_url, guarded_socket, host_of, networks
from vanished.net.decode import Decoder, Undecodable
from vanished.net.exchange import Exchange
from vanished.net.faults import NETWORK_ERRORS, fault_of
from vanished.net.legs import SECRETS, Legs, arrived, certificates
from vanished.net.politeness import Politeness, retry_after_s
from vanished.net.proxy import ProxiedConnector, ProxyAddress

USER_AGENT = f"vanished/{__version__} (+observatory)"
MAX_HEADER = 32 * 1024
"""Bytes of one header: some sites send policies beyond the 8 KiB that aiohttp reads by itself."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding"})


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
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def fetcher(self, prepaid: int = 1, proxy: str | None = None) -> Fetcher:
        """A fetcher for one look, whose first `prepaid` wire requests are already spent.

        `proxy` is a name of `settings.proxies`, or a proxy's URL. Raises ConfigError.
        """
        if proxy is None:
            return Fetcher(self, self._session(None), prepaid, self.settings.vantage)
        address = self._proxies.get(proxy)
        if address is None:
            if "://" not in proxy:
                known = ", ".join(self.settings.proxies) or "none"
                raise ConfigError(  # what was given may be a mistyped URL, so it is not shown
                    f"A source asks for a proxy by a name that no proxy has (known: {known});"
                    " name it under proxies, or write it as socks5h://HOST:PORT."
                )
            address = self._proxies[proxy] = ProxyAddress.parse(proxy)
        label = proxy if proxy in self.settings.proxies else str(address)
        vantage = self.vantage(label)
        return Fetcher(self, self._session(address), prepaid, vantage, proxied=True)

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
        settings = self.settings
        session = self._sessions[proxy] = aiohttp.ClientSession(
            connector=self._connector(proxy, self._resolver),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": "gzip, deflate"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_field_size=MAX_HEADER,
            response_class=_Response,
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


class _Response(aiohttp.ClientResponse):
    """Remembers what is gone once aiohttp has given the connection back: often at once."""

    peer: str = ""
    handler: ResponseHandler | None = None
    chain: tuple[bytes, ...] = ()

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self.handler = connection.protocol
        if connection.transport is not None:
            name = connection.transport.get_extra_info("peername")
            self.peer = name[0] if name else ""
            self.chain = certificates(connection.transport)
        return await super().start(connection)


class _Failed(Exception):  # noqa: N818 - the fault inside says what kind of error it is
    """Ends a request with a fault; never leaves this file."""

    def __init__(self, fault: Fault, words: str) -> None:
        super().__init__(words)
        self.fault = fault
        self.words = words


@dataclass(slots=True)
class _Course:
    """How far one request has come; all that is known when it ends, however it ends."""

    url: str
    retries: int
    hops: list[str] = field(default_factory=list)
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    wire: bytes = b""
    body: bytes = b""
    address: str = ""
    fault: Fault | None = None
    words: str = ""
    legs: Legs = field(default_factory=Legs)


class Fetcher:
    """Implements `Fetch` for one look, and keeps the exchanges of that look in order.

    `exchanges` are what the look rests on; one that is private is not among them.
    """

    __slots__ = ("_door", "_prepaid", "_proxied", "_session", "_vantage", "exchanges")

    def __init__(
        self,
        door: Door,
        session: aiohttp.ClientSession,
        prepaid: int,
        vantage: str,
        *,
        proxied: bool = False,
    ) -> None:
        self.exchanges: list[Exchange] = []
        self._door = door
        self._session = session
        self._prepaid = prepaid
        self._vantage = vantage
        self._proxied = proxied

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        """Ask `url` and follow its redirects; see `Exchange` for what comes back.

        Never raises for what the network or the server did. With a fault in mid-body (TRUNCATED,
        TOO_LARGE, TIMEOUT), `wire` and `body` hold what had come by then.
        """
        door = self._door
        asked_at = door.clock.now()
        course = _Course(url, door.settings.retries)
        try:
            async with asyncio.timeout(door.settings.timeout_s):
                await self._follow(course, method.upper(), headers or {}, body)
        except TimeoutError:
            course.fault = Fault.TIMEOUT
            course.words = f"no full answer within {door.settings.timeout_s:g} s"
        except Denied as error:
            course.fault, course.words = Fault.REFUSED, f"not asked: {error}"
        except (_Failed, Undecodable) as error:
            course.fault, course.words = error.fault, error.words
        exchange = Exchange(
            url=course.url,
            asked_at=asked_at,
            answered_at=door.clock.now(),
            status=course.status,
            headers=course.headers,
            body=course.body,
            wire=course.wire,
            hops=tuple(course.hops),
            fault=course.fault,
            words=course.words,
            address=course.address,
            vantage=self._vantage,
            legs=() if private else course.legs,
        )
        if not private:
            self.exchanges.append(exchange)
        return exchange

    async def _follow(
        self, course: _Course, method: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        """Ask, and ask on where the answer points, until one is no redirect."""
        url = checked_url(course.url)
        if "@" in course.url.partition("://")[2].partition("/")[0]:
            course.url = str(url)  # user name and password of the URL were dropped
        while True:
            asked_at = self._door.clock.now()
            response = await self._ask(course, method, url, headers, body)
            complete = False
            try:
                target = response.headers.get("Location") if response.status in _REDIRECTS else None
                if not target:
                    await self._read(course, response, method)
                    complete = True
                    return
                course.wire, complete = arrived(response)
            except _Failed as error:
                complete = error.fault in (Fault.RATE_LIMITED, Fault.SERVER)  # read to its end
                raise
            finally:
                response.close()  # gives a connection back that was read to its end
                times = (asked_at, self._door.clock.now())
                course.legs.add(
                    response, course.wire, body, times, complete, response.peer, response.chain
                )
            if len(course.hops) >= self._door.settings.max_redirects:
                raise _Failed(
                    Fault.REDIRECTS,
                    f"redirected more than {self._door.settings.max_redirects} times; the last"
                    f" answer points to {_without_query(target)}",
                )
            course.hops.append(course.url)
            url, method, headers, body = _next_hop(
                response.status, url, target, method, headers, body
            )
            course.url = str(url)
            course.status, course.headers, course.address, course.wire = None, {}, "", b""

    async def _ask(
        self,
        course: _Course,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> _Response:
        """One answer's head. Pays for each attempt; tries again only where that can do no harm."""
        door, host = self._door, host_of(url)
        while True:
            sent_at = door.clock.now()
            self._pay(host, sent_at)
            try:
                response = await self._session.request(
                    method, url, headers=headers, data=body, allow_redirects=False
                )
            except TimeoutError:
                raise _Failed(
                    Fault.TIMEOUT,
                    f"{host} took no connection within {door.settings.connect_timeout_s:g} s",
                ) from None
            except NETWORK_ERRORS as error:
                fault, words = fault_of(error)
                again = fault is Fault.CONNECT and method in ("GET", "HEAD") and course.retries > 0
                if not again or door.politeness.room(host, door.clock.now()) < 1:
                    raise _Failed(fault, f"{host}: {words}") from None
                course.retries -= 1
                continue
            assert isinstance(response, _Response)
            course.status = response.status
            course.headers = _plain_headers(response)
            course.address = "" if self._proxied else response.peer
            if response.status in (429, 503):
                now = door.clock.now()
                wait_s = retry_after_s(course.headers, now)
                door.politeness.answered(host, now, response.status, wait_s, asked_at=sent_at)
            return response

    def _pay(self, host: str, now: Micros) -> None:
        """Spend one request of the host's budget, unless the watch has."""
        if self._prepaid > 0:
            self._prepaid -= 1
            return
        politeness = self._door.politeness
        if politeness.sent_away(host, now):
            raise _Failed(Fault.RATE_LIMITED, f"{host} asked us to come back later; not asked now")
        politeness.spend(host, now)

    async def _read(self, course: _Course, response: _Response, method: str) -> None:
        """Read the body under the caps, decode it, and name the fault of the status, if any."""
        limit = self._door.settings.max_bytes
        announced = course.headers.get("content-length", "")
        if method != "HEAD" and announced.isdigit() and int(announced) > limit:
            raise _Failed(
                Fault.TOO_LARGE, f"the body is announced with {announced} bytes; the cap is {limit}"
            )
        decoder = None
        if encoding := course.headers.get("content-encoding"):
            try:
                decoder = Decoder(encoding, limit)
            except Undecodable as error:
                course.fault, course.words = error.fault, error.words
        await _read_body(course, response, decoder, limit)
        if response.status == 429:
            raise _Failed(Fault.RATE_LIMITED, "the host answered 429: asked too often")
        if response.status >= 500:
            raise _Failed(Fault.SERVER, f"the host answered {response.status}")


async def _read_body(
    course: _Course, response: _Response, decoder: Decoder | None, limit: int
) -> None:
    """Fill `course.wire` and `course.body`, chunk by chunk; raises _Failed, Undecodable."""
    content = response.content
    wire: list[bytes] = []
    body: list[bytes] = []
    size = 0
    try:
        while chunk := await content.readany():
            size += len(chunk)
            if size > limit:
                raise _Failed(Fault.TOO_LARGE, f"the body is larger than the cap of {limit} bytes")
            wire.append(chunk)
            if decoder is not None:
                body.append(decoder.feed(chunk))
        if decoder is not None:
            decoder.finish()
        _check_end(course, response)
    except NETWORK_ERRORS:
        raise _Failed(
            Fault.TRUNCATED, f"the body broke off after {size} bytes; the answer is incomplete"
        ) from None
    finally:
        course.wire = wire[0] if len(wire) == 1 else b"".join(wire)
        if course.fault is None:
            course.body = course.wire if decoder is None else b"".join(body)


def _check_end(course: _Course, response: _Response) -> None:
    """A body that only the end of the connection ends is cut if that end was a reset."""
    if "content-length" in course.headers or "transfer-encoding" in course.headers:
        return
    if response.method == "HEAD" or response.status in (204, 304):
        return  # no body, and the connection may serve somebody else by now
    if response.handler is not None and isinstance(
        response.handler.exception(), aiohttp.ClientOSError
    ):
        raise ConnectionResetError


def _next_hop(
    status: int,
    url: URL,
    target: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
) -> tuple[URL, str, Mapping[str, str], bytes | None]:
    """Where and how to ask on (RFC 9110, 15.4). Raises Denied.

    Credentials stay with the origin that they were given for; one that only changes its scheme is
    another one, since https to http would send them in the clear.
    """
    try:
        joined = url.join(URL(_printable(target)))
    except ValueError:
        raise Denied("the redirect points to no URL that can be read") from None
    onward = checked_url(joined.with_fragment(None))
    dropped: frozenset[str] = frozenset()
    if onward.origin() != url.origin():
        dropped |= SECRETS
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        dropped |= _BODY_HEADERS
    if dropped:
        headers = {name: value for name, value in headers.items() if name.lower() not in dropped}
    return onward, method, headers, body


def _plain_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case; repeated ones joined with a comma, as RFC 9110, 5.3 has it."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key, text = name.lower(), value if value.isascii() else _printable(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _without_query(target: str) -> str:
    """What may stand in a sentence: a query may hold a ticket to log in with."""
    return _printable(target).partition("?")[0][:80]


def _printable(text: str) -> str:
    """`text` without the lone surrogates that stand for bytes which were no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
