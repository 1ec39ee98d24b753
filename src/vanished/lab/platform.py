"""The simulated platform: routes, replicas, traps, and how each answer goes over the wire.

    GET /api/accounts/ID/posts?before=SECONDS&limit=N   an account's list, JSON, newest first
    GET /p/ID                                           a post's page
    GET /a/ID                                           an account's page
    GET /moved/ID, /login, /m/NAME.gif                  what these refer to

In: a world, a clock, a share of traps, and the requests of a server (`lab.serve`). `answer` is a
pure function of path, turn and time; the only state is how often each path was asked. Nothing of
the world could be changed by a request.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import parse_qs

from aiohttp import web

from vanished.lab.clock import LabClock
from vanished.lab.pages import BARE_404, SITE, Answer, Pages, empty_list, page
from vanished.lab.traps import RETRY_AFTER_S, SLOW, Draw, Trap, Traps
from vanished.lab.world import LAGS, World
from vanished.model import SECOND, Micros

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
TO_LOGIN = Answer(302, b"", headers=(("location", "/login"),))
SHELL = Answer(200, page(SITE, '<main id="app"></main>'))
BAD_METHOD = Answer(405, b"only GET is answered here\n", "text/plain")
_BODY_5XX = page("Error", "<h1>Something went wrong</h1>")


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and how it is to reach the client."""

    answer: Answer
    trap: Trap | None = None
    sent: int | None = None  # bytes of the body that are sent before the connection is closed
    pause: Micros = 0  # simulated time before the answer


class Platform:
    """Answers requests. Several may serve one world: they share nothing."""

    def __init__(self, world: World, clock: LabClock, traps: float = 0.2) -> None:
        self.world = world
        self.clock = clock
        self.traps = Traps(world, traps)
        self.asked = 0
        self._pages = Pages(world)
        self._turns: dict[str, int] = {}

    async def respond(self, request: web.BaseRequest) -> web.Response:
        """The handler of an `aiohttp.web.Server`."""
        path, now = request.path, self.clock.now()
        turn = self._turns.get(path, 0)
        self._turns[path] = turn + 1
        self.asked += 1
        if request.method != "GET":
            delivery = Delivery(BAD_METHOD)
        else:
            delivery = self.answer(path, request.rel_url.raw_query_string, turn, now)
        if delivery.pause:
            await self.clock.pause(delivery.pause)
        if delivery.trap is Trap.RESET:
            _reset(request)
        elif delivery.sent is not None:
            request.protocol.close()  # once this answer is sent, and without saying so in its head
        return _response(delivery, now)

    def answer(self, path: str, query: str, turn: int, now: Micros) -> Delivery:
        """The answer to the `turn`-th request for `path`, at `now`."""
        if path == "/login":
            return Delivery(LOGIN)
        if path.startswith("/m/"):
            return Delivery(Answer(200, PICTURE, "image/gif"))
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
                headers = (("retry-after", str(draw.between(*RETRY_AFTER_S))),)
                return Answer(429, b"too many requests\n", "text/plain", headers)
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


def _response(delivery: Delivery, now: Micros) -> web.Response:
    """The delivery as aiohttp sends it: head and body in one write."""
    answer = delivery.answer
    headers = {
        "content-type": answer.type,
        "content-length": str(len(answer.body)),  # the whole body's, whatever is sent of it
        # aiohttp would fill in the real time and its own name.
        "date": formatdate(now // SECOND, usegmt=True),
        "server": "lab",
        **dict(answer.headers),
    }
    return web.Response(status=answer.status, body=answer.body[: delivery.sent], headers=headers)


def _reset(request: web.BaseRequest) -> None:
    """Reset the connection at once: the server finds it closed and drops the answer."""
    transport = request.transport
    if transport is None:
        return  # the client was faster
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
