"""The simulated platform as an ASGI application: routes, replicas, traps.

    GET /api/accounts/ID/posts?before=SECONDS&limit=N   an account's list, JSON, newest first
    GET /p/ID                                           a post's page
    GET /a/ID                                           an account's page
    GET /moved/ID, /login, /m/NAME.gif                  what these refer to

In: a world, a clock, a share of traps. `answer` is a pure function of path, turn and time; the
only state is how often each path was asked. No framework, and nothing that a request could change.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from vanished.lab.clock import LabClock
from vanished.lab.pages import BARE_404, SITE, Answer, Pages, empty_list, page
from vanished.lab.traps import RETRY_AFTER_S, SLOW, Draw, Trap, Traps
from vanished.lab.world import LAGS, World
from vanished.model import SECOND, Micros

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PICTURE = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
LISTED = 20  # posts of a list unless `limit` says otherwise

CAPTCHA = Answer(
    200,
    page(f"安全验证 - {SITE}", '<form id="challenge"><p>请完成验证后继续访问</p></form>'),
)
LOGIN = Answer(
    200, page(f"登录 - {SITE}", '<form id="login" method="post"><p>登录后查看更多内容</p></form>')
)
TO_LOGIN = Answer(302, b"", headers=((b"location", b"/login"),))
SHELL = Answer(200, page(SITE, '<main id="app"></main>'))
BAD_METHOD = Answer(405, b"only GET is answered here\n", b"text/plain")
_BODY_5XX = page("Error", "<h1>Something went wrong</h1>")


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and how it is to reach the client."""

    answer: Answer
    trap: Trap | None = None
    sent: int | None = None  # bytes of the body that are sent before the connection is closed
    pause: Micros = 0  # simulated time before the answer


class Platform:
    """The application. Several may serve one world: they share nothing."""

    def __init__(self, world: World, clock: LabClock, traps: float = 0.2) -> None:
        self.world = world
        self.clock = clock
        self.traps = Traps(world, traps)
        self.asked = 0
        self._pages = Pages(world)
        self._turns: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        turn = self._turns.get(path, 0)
        self._turns[path] = turn + 1
        self.asked += 1
        if scope["method"] != "GET":
            delivery = Delivery(BAD_METHOD)
        else:
            delivery = self.answer(path, scope["query_string"].decode(), turn, self.clock.now())
        if delivery.pause:
            await self.clock.pause(delivery.pause)
        if delivery.trap is Trap.RESET:
            await _reset(scope)
        else:
            await _deliver(delivery, send)

    def answer(self, path: str, query: str, turn: int, now: Micros) -> Delivery:
        """The answer to the `turn`-th request for `path`, at `now`."""
        if path == "/login":
            return Delivery(LOGIN)
        if path.startswith("/m/"):
            return Delivery(Answer(200, PICTURE, b"image/gif"))
        draw = self.traps.draw(path, turn)
        trapped = self._trapped(path, draw)
        if trapped is not None:
            return Delivery(trapped, draw.trap)
        seen_at = now - LAGS[draw.between(1, len(LAGS) - 1)] if draw.trap is Trap.STALE else now
        answer = self._content(path, query, seen_at, now)
        if draw.trap is Trap.SHORT:
            return Delivery(answer, draw.trap, sent=int(draw.u * 0.95 * len(answer.body)))
        if draw.trap is Trap.CUT:
            kept = int((0.1 + 0.75 * draw.u) * len(answer.body))
            return Delivery(replace(answer, body=answer.body[:kept]), draw.trap)
        pause = draw.between(*SLOW) if draw.trap is Trap.SLOW else 0
        return Delivery(answer, draw.trap, pause=pause)

    def _trapped(self, path: str, draw: Draw) -> Answer | None:
        """The answer of a trap that shows nothing of the world; None if there is none."""
        match draw.trap:
            case Trap.RATE_LIMITED:
                wait = str(draw.between(*RETRY_AFTER_S)).encode()
                headers = ((b"retry-after", wait),)
                return Answer(429, b"too many requests\n", b"text/plain", headers)
            case Trap.SERVER:
                return Answer((500, 502, 503)[draw.between(0, 2)], _BODY_5XX)
            case Trap.CAPTCHA:
                return CAPTCHA
            case Trap.LOGIN_PAGE:
                return LOGIN
            case Trap.LOGIN_REDIRECT:
                return TO_LOGIN
            case Trap.EMPTY:
                return empty_list(path.split("/")[3]) if path.startswith("/api/") else SHELL
            case Trap.RESET:
                return Answer(500, b"")  # never sent
        return None

    def _content(self, path: str, query: str, seen_at: Micros, now: Micros) -> Answer:
        """What the world is at `seen_at`, or a bare "not found" in a burst at `now`."""
        pages = self._pages
        match path.split("/"):
            case ["", "p", ident]:
                number = self.world.post.get(ident)
                account = None if number is None else self.world.posts[number].account
                answer = pages.post(ident, seen_at)
            case ["", "a", ident]:
                account, answer = self.world.account.get(ident), pages.account(ident, seen_at)
            case ["", "moved", ident]:
                account, answer = self.world.account.get(ident), pages.moved(ident, seen_at)
            case ["", "api", "accounts", ident, "posts"]:
                account = self.world.account.get(ident)
                before, limit = _paging(query)
                answer = pages.timeline(ident, seen_at, before, limit)
            case _:
                return BARE_404
        if account is not None and self.traps.denied(account, now):
            return BARE_404
        return answer


def _paging(query: str) -> tuple[Micros | None, int]:
    """`before` in microseconds and `limit`; what is no number is as good as absent."""
    if not query:
        return None, LISTED
    given = {name: values[0] for name, values in parse_qs(query).items()}
    before, limit = given.get("before", ""), given.get("limit", "")
    return (
        int(before) * SECOND if before.isdigit() else None,
        int(limit) if limit.isdigit() else LISTED,
    )


async def _deliver(delivery: Delivery, send: Send) -> None:
    answer = delivery.answer
    headers = [
        (b"content-type", answer.type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if delivery.sent is None:
        await send({"type": "http.response.body", "body": answer.body})
    else:
        # Returning with more_body still true makes the server close the connection.
        part = answer.body[: delivery.sent]
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def _reset(scope: Scope) -> None:
    """Reset the connection; `serve.Protocol` puts its transport where we find it."""
    transport: asyncio.Transport | None = scope.get("state", {}).get("transport")
    if transport is None:
        raise RuntimeError("served without lab.serve: there is no transport to reset")
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # let the server notice before it misses an answer
    await asyncio.sleep(0)
