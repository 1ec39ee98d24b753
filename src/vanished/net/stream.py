"""A WebSocket that is opened again and again: what is pushed to us, under the rules of what we ask.

In: a door, the address to open, a source of chance. Out: the binary messages of one connection, and
how it ended; an end is a value here and never an exception. Addresses are checked as for every
request, one connection is one request of its host's budget, and a host that sends us away is not
asked sooner. After an end the next connection waits: a second at first, twice as long each time up
to five minutes, with jitter, so that a restarted relay is not met by all its readers at once.

What a message says is its reader's business. Nothing is kept and nothing is sent but pings; no
compression is offered, so that a small message cannot be a large one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from vanished.model import SECOND, Fault, Micros
from vanished.net.address import Denied, checked_url, host_of
from vanished.net.door import Door, RedirectedError
from vanished.net.faults import NETWORK_ERRORS, fault_of
from vanished.net.politeness import retry_after_s

FIRST_S, LONGEST_S = 1.0, 300.0  # waits between connections, before jitter
STEADY_S = 60.0  # a connection that lasted so long was a good one: the waits begin anew
QUIET_S = 300.0  # without a message for so long, a connection is opened anew
PING_S = 30.0  # how often the other end has to show that it is there
CLOSE_S = 2.0  # for a clean end; a host that goes on talking is left
FAIR_S = 0.01  # after so long without a wait, the others have the loop for as long

_SCHEMES = {"ws": "http", "wss": "https"}


Messages = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended, or why none came about, in half a sentence without an address."""

    fault: Fault
    words: str
    silent: bool = False  # nothing came for long, which of a quiet stream is no trouble


@dataclass(slots=True)
class Stream:
    """The connections to one stream, one at a time. `end` is how the last one ended.

    `proxy` is a name or URL as for `Door.fetcher`; `chance` only makes the jitter.
    """

    door: Door
    chance: random.Random
    proxy: str | None = None
    quiet_s: float = QUIET_S
    end: End | None = None
    _failures: int = field(default=0, init=False)  # connections in a row that were no good ones

    def pause_s(self) -> float:
        """How long to wait before the next connection, as far as that is ours to say."""
        if not self._failures:
            return 0.0
        wait_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures - 1, 30))
        return wait_s * self.chance.uniform(0.5, 1.0)

    async def messages(self, url: str, opened: Callable[[], None]) -> Messages:
        """The binary messages of one connection to `url` (ws or wss), until it ends.

        Call it after `pause_s`; it waits further for the host's budget. `opened` is called when the
        other end has agreed. Close the iterator (`contextlib.aclosing`): it closes the connection.
        """
        began: Micros | None = None
        self.end = None
        try:
            address = _checked(url)
            await self._turn(host_of(address))
            socket = await self._open(address)
            began = self.door.clock.now()
            opened()
            try:
                async with contextlib.aclosing(self._fairly(socket)) as found:
                    async for message in found:
                        yield message
            finally:
                await _close(socket)
        except Denied as error:
            self.end = End(Fault.REFUSED, f"not asked: {error}")
        except _Ended as error:
            self.end = error.end
        finally:
            steady = began is not None and self.door.clock.now() - began >= STEADY_S * SECOND
            self._failures = 1 if steady else self._failures + 1

    async def _turn(self, host: str) -> None:
        """Wait for room in the host's budget, and pay.

        Where others take all that there is, the stream overdraws by its one request, as a redirect
        does; else it would never get a turn.
        """
        politeness, clock = self.door.politeness, self.door.clock
        await clock.wait(asyncio.Event(), politeness.ready_at(host, clock.now()), busy=False)
        while politeness.sent_away(host, clock.now()):
            ready_at = politeness.ready_at(host, clock.now())
            await clock.wait(asyncio.Event(), ready_at, busy=False)
        politeness.spend(host, clock.now())

    async def _open(self, url: URL) -> aiohttp.ClientWebSocketResponse[bool]:
        settings, host = self.door.settings, host_of(url)
        asked_at = self.door.clock.now()
        try:
            async with asyncio.timeout(settings.timeout_s):
                return await self.door.streaming(self.proxy).ws_connect(
                    url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                    heartbeat=PING_S,
                    max_msg_size=settings.max_bytes,
                )
        except TimeoutError:
            raise _Ended(Fault.TIMEOUT, f"{host} opened no stream in time") from None
        except RedirectedError:
            raise _Ended(Fault.REDIRECTS, f"{host} redirects; name the address itself") from None
        except aiohttp.WSServerHandshakeError as error:
            raise self._refused(host, error, asked_at) from None
        except NETWORK_ERRORS as error:
            fault, words = fault_of(error)
            raise _Ended(fault, f"{host}: {words}") from None

    def _refused(
        self, host: str, error: aiohttp.WSServerHandshakeError, asked_at: Micros
    ) -> _Ended:
        now = self.door.clock.now()
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        wait_s = retry_after_s(headers, now)
        self.door.politeness.answered(host, now, error.status, wait_s, asked_at=asked_at)
        words = f"{host} answered {error.status} and opened no stream"
        if error.status == 429:
            return _Ended(Fault.RATE_LIMITED, words)
        if error.status >= 500:
            return _Ended(Fault.SERVER, words)
        forbidden = error.status in (401, 403, 407)
        return _Ended(Fault.FORBIDDEN if forbidden else Fault.UNREADABLE, words)

    async def _fairly(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> Messages:
        """The messages; half of the loop's time is left to others.

        A message that is there already suspends nobody, so a busy stream would have it all.
        """
        clock = asyncio.get_running_loop().time
        since = clock()  # the others had the loop last
        while True:
            asked = clock()
            message = await self._next(socket)
            if clock() - asked >= FAIR_S / 10:
                since = clock()
            if message is not None:
                yield message
            if clock() - since >= FAIR_S:
                await asyncio.sleep(FAIR_S)
                since = clock()

    async def _next(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> bytes | None:
        """The next message; None for one that is text, which is not what we read."""
        try:
            async with asyncio.timeout(self.quiet_s):
                message = await socket.receive()
        except TimeoutError:
            words = f"no message for {self.quiet_s:g} s"
            raise _Ended(Fault.TIMEOUT, words, silent=True) from None
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        if message.type is aiohttp.WSMsgType.TEXT:
            return None
        error = message.data if message.type is aiohttp.WSMsgType.ERROR else None
        raise _ended(socket.close_code, error)


class _Ended(Exception):  # noqa: N818 - the end inside says what it was
    """Ends a connection; never leaves this file."""

    def __init__(self, fault: Fault, words: str, *, silent: bool = False) -> None:
        super().__init__(words)
        self.end = End(fault, words, silent)


def _checked(url: str) -> URL:
    """The http address under which a WebSocket is asked for. Raises Denied."""
    scheme, colon, rest = url.partition(":")
    return checked_url(f"{_SCHEMES.get(scheme.lower(), scheme)}{colon}{rest}")


def _ended(code: int | None, error: object) -> _Ended:
    """What the code of a closed connection says of its end, or the error that closed it."""
    if isinstance(error, aiohttp.WebSocketError):
        if error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return _Ended(Fault.TOO_LARGE, "a message was larger than max_bytes of [net]")
        return _Ended(Fault.UNREADABLE, "what came is no WebSocket stream")
    if isinstance(error, TimeoutError):
        return _Ended(Fault.TIMEOUT, f"no sign of life for {PING_S:g} s")
    if code == aiohttp.WSCloseCode.TRY_AGAIN_LATER:
        return _Ended(Fault.RATE_LIMITED, "the host asked us to come back later")
    return _Ended(Fault.CONNECT, f"the host ended the stream (code {code or 'none'})")


async def _close(socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
    """Say goodbye; a host that only goes on sending is not listened to for it."""
    with contextlib.suppress(TimeoutError, *NETWORK_ERRORS):
        async with asyncio.timeout(CLOSE_S):
            await socket.close()
