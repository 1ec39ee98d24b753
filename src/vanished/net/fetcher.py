"""One look's requests: redirects followed hop by hop, bodies read under caps, every one paid for.

In: a method, a URL, headers, a body. Out: an `Exchange`, whatever the network did; a fault is a
value here and never an exception. It does not wait for budgets (the watch dispatches) and does not
judge answers: 403, 404, 410 and 451 are answers, whose meaning a source reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from vanished.model import Fault, Micros
from vanished.net.address import Denied, checked_url, host_of
from vanished.net.decode import Decoder, Undecodable
from vanished.net.exchange import Exchange
from vanished.net.faults import NETWORK_ERRORS, fault_of
from vanished.net.legs import SECRETS, Legs, arrived, certificates
from vanished.net.politeness import retry_after_s

if TYPE_CHECKING:
    from vanished.net.door import Door

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding"})


class Response(aiohttp.ClientResponse):
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
                target = response.headers.get("Location") if response.status in REDIRECTS else None
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
    ) -> Response:
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
            assert isinstance(response, Response)
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

    async def _read(self, course: _Course, response: Response, method: str) -> None:
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
    course: _Course, response: Response, decoder: Decoder | None, limit: int
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


def _check_end(course: _Course, response: Response) -> None:
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
