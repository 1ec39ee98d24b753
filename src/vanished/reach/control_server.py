"""Our control server: OONI's web-connectivity test-helper API over our own steps.

In: POST / with `http_request`, `http_request_headers`, `tcp_connect`, `x_quic_enabled`. Out: what
`control_steps` saw, as OONI's helper answers it (ts-017). Ours beyond that: POST /rate says how
fast a page comes, GET / that it is well, GET /you the address from which one asks. It refuses
private targets and odd ports, bounds what one request may cost and how many it serves, and writes
down nobody: no log, and the table that limits rates holds keyed hashes, forgotten after a minute.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from vanished import __version__
from vanished.errors import UsageError
from vanished.reach.control_request import (
    ControlRequest,
    Standing,
    checked,
    rate_from,
    seen_from,
)
from vanished.reach.record import Control

MOST_ASKED_BYTES = 64 << 10
PASSED_ON = {"accept": "Accept", "accept-language": "Accept-Language", "user-agent": "User-Agent"}
"""Headers of a probe that the control sends on; no other can be made to be sent."""

LONGEST_HEADER = 512
MOST_WATCHED_S = 10.0
"""Seconds for which a rate is measured at most."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one asker and all together may take."""

    per_minute: int = 30  # of one asker (of an IPv6 asker: of one /64)
    all_per_minute: int = 600
    at_once: int = 16
    waiting: int = 64  # for one of those places; more are told to come again
    answer_s: float = 60.0


@dataclass(slots=True)
class _Turns:
    """Who asked how often in this minute, by keyed hashes that no one can turn round."""

    limits: ServerLimits
    minute: int = -1
    key: bytes = b""
    asked: Counter[bytes] = field(default_factory=Counter)

    def admit(self, who: str) -> bool:
        """Whether one more request of `who` is served; counted if it is."""
        minute = int(time.monotonic() // 60)
        if minute != self.minute:
            self.minute, self.key = minute, secrets.token_bytes(32)
            self.asked.clear()
        name = ":".join(who.split(":")[:4]) if ":" in who else who
        hashed = hashlib.blake2b(name.encode(), key=self.key, digest_size=16).digest()
        if self.asked[hashed] >= self.limits.per_minute:
            return False
        if self.asked.total() >= self.limits.all_per_minute:
            return False
        self.asked[hashed] += 1
        return True


class ControlServer:
    """The server's answers; `start` makes it listen, `close` ends it."""

    def __init__(self, standing: Standing, limits: ServerLimits | None = None) -> None:
        self.standing = standing
        self.limits = limits or ServerLimits()
        self._turns = _Turns(self.limits)
        self._places = asyncio.Semaphore(self.limits.at_once)
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    def app(self) -> web.Application:
        """The application, for a server or a test."""
        made = web.Application(client_max_size=MOST_ASKED_BYTES)
        made.router.add_post("/", self._asked)
        made.router.add_post("/rate", self._rate)
        made.router.add_get("/", self._well)
        made.router.add_get("/you", self._you)
        return made

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; gives the port. Raises UsageError where that is not possible."""
        self._runner = web.AppRunner(self.app(), access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            raise UsageError(
                f"The control cannot listen on {host} port {port}: {error.strerror or error};"
                " choose another --listen or --port."
            ) from None
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop listening and drop what is being answered."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _well(self, asked: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "software": "vanished", "version": __version__})

    async def _you(self, asked: web.Request) -> web.Response:
        return web.json_response({"address": asked.remote or ""})

    async def _asked(self, asked: web.Request) -> web.Response:
        return await self._served(asked, self._seen)

    async def _rate(self, asked: web.Request) -> web.Response:
        return await self._served(asked, self._paced)

    async def _seen(self, wanted: ControlRequest) -> bytes:
        return answer(await seen_from(self.standing, wanted))

    async def _paced(self, wanted: ControlRequest) -> bytes:
        return msgspec.json.encode({"bytes_per_s": await rate_from(self.standing, wanted)})

    async def _served(
        self, asked: web.Request, work: Callable[[ControlRequest], Awaitable[bytes]]
    ) -> web.Response:
        """Answer, if the asker has a turn, the request can be read, and there is room."""
        if not self._turns.admit(asked.remote or ""):
            return _refused(429, "too many requests; come again in a minute")
        if self._waiting >= self.limits.waiting:
            return _refused(503, "busy; come again in a minute")
        try:
            wanted = checked(read_request(await asked.read()), self.standing)
        except UsageError as error:
            return _refused(400, str(error))
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, f"more than {MOST_ASKED_BYTES} bytes")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.limits.answer_s), self._places:
                body = await work(wanted)
        except TimeoutError:
            return _refused(504, "the target took too long")
        finally:
            self._waiting -= 1
        return web.Response(body=body, content_type="application/json")


def read_request(held: bytes) -> ControlRequest:
    """What a probe asks, ours or OONI's. Raises UsageError."""
    try:
        given: Any = msgspec.json.decode(held)
    except msgspec.DecodeError:
        raise UsageError("The request is no JSON.") from None
    if not isinstance(given, dict) or not isinstance(given.get("http_request"), str):
        raise UsageError("The request names no URL in http_request.")
    places = given.get("tcp_connect") or []
    if not isinstance(places, list) or not all(isinstance(one, str) for one in places):
        raise UsageError("tcp_connect is no list of addresses with ports.")
    return ControlRequest(
        url=given["http_request"],
        places=tuple(places),
        headers=_headers(given.get("http_request_headers")),
        quic=given.get("x_quic_enabled") is True,
        seconds=_seconds(given.get("seconds")),
    )


def _seconds(given: object) -> float:
    """How long a rate may be watched."""
    usable = isinstance(given, int | float) and not isinstance(given, bool)
    return min(MOST_WATCHED_S, max(0.1, float(given))) if usable else MOST_WATCHED_S  # type: ignore[arg-type]


def _headers(given: object) -> dict[str, str]:
    """The headers to send on: the first value of each that may be."""
    if not isinstance(given, dict):
        return {}
    found = {}
    for name, values in given.items():
        value = values[0] if isinstance(values, list) and values else values
        known = PASSED_ON.get(str(name).lower())
        if (
            known
            and isinstance(value, str)
            and len(value) <= LONGEST_HEADER
            and value.isprintable()
        ):
            found[known] = value
    return found


def answer(found: Control) -> bytes:
    """A control as OONI's helper writes it."""
    return msgspec.json.encode({**msgspec.to_builtins(found), "http3_request": None})


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
