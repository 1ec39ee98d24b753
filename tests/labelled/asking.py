"""Asks the cases of the labelled set as the product would, and says what they are called.

In: cases. Out: for each the class that the product's verdict falls in: "alive", "unknown", the
causes of a loss joined by "+", or "anybody" for a loss that leaves every cause open. The real
source of the platform asks through the real door, whose names all lead to one server on loopback,
on a clock that jumps to the next look that the judge wants. The post was
seen alive a day before, since a bare "not found" is also said of what never was; no account's
verdict is given to the judge and no canary speaks. So a case is judged by its own answers: where
they prove nothing it is "unknown", though the judge goes on taking the post for alive.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.labelled.cases import Case, class_of
from tests.sources.xmpp_bosh import Archive, Service
from vanished.archive.settings import Settings
from vanished.judge import judge, next_look_s
from vanished.lab.clock import SteppedClock
from vanished.lab.source import LabSource
from vanished.model import ALIVE, DAY, SECOND, Kind, Observation, Post, State, Verdict
from vanished.net.door import Door, DoorSettings
from vanished.net.politeness import Politeness
from vanished.sources import Source, registry

START = 20_500 * DAY
MOST_LOOKS = 12
IDLE_LOOKS = 3  # where the judge wants none; more where answers contradicted each other
IDLE_S = 3600.0
TOKEN = "VANISHED_LABELLED_TOKEN"
"""The variable that a case's settings name where its source wants a token."""


class IncompleteError(Exception):
    """A source asked for something that the case says nothing of."""


@dataclass
class Platform:
    """The server that plays every platform: it answers by host and address for one case."""

    port: int = 0
    case: Case | None = None
    look: int = 1
    missing: list[str] = field(default_factory=list)
    room: Service | None = None  # plays the dialogue with an XMPP server

    def begin(self, case: Case, look: int) -> None:
        """What is asked from now on belongs to this look at this case."""
        self.case, self.look = case, look
        self.room = _room(case) if case.platform == "xmpp" else None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        sent = await request.read()
        address = request.host + unquote(request.raw_path)
        answer = self.case.answer(address, self.look) if self.case else None
        if answer is None and self.room is not None:
            exchange = await self.room.request("POST", str(request.url), body=sent)
            return web.Response(body=exchange.body, content_type="text/xml")
        if answer is None:
            self.missing.append(address)
            return web.Response(status=503)
        if answer.status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(body=answer.body, status=answer.status, headers=dict(answer.headers))


class ToLoopback(AbstractResolver):
    """Every name is the one server's."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=0,
            )
        ]

    async def close(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def serving() -> AsyncIterator[Platform]:
    """The server, with its port."""
    platform = Platform()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", platform.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        platform.port = runner.addresses[0][1]
        yield platform
    finally:
        await runner.cleanup()


async def called(cases: Sequence[Case]) -> dict[str, str]:
    """The class of each case by its id. Raises IncompleteError."""
    os.environ.setdefault(TOKEN, "a-token-of-nobody")
    found: dict[str, str] = {}
    async with serving() as platform:
        for case in cases:
            found[case.id] = await _class(case, platform)
            if platform.missing:
                raise IncompleteError(f"{case.id} says nothing of {platform.missing[0]}")
    return found


async def _class(case: Case, platform: Platform) -> str:
    """What the case is called: "alive", "unknown", or what a loss leaves open."""
    found, seen = await verdict(case, platform)
    if found.state in (State.GONE, State.MOVED):
        return class_of(found.causes)
    shown = any(look.signal.kind is Kind.ALIVE for look in seen)
    return "alive" if shown and found.state in (State.ALIVE, State.RETURNED) else "unknown"


async def verdict(case: Case, platform: Platform) -> tuple[Verdict, list[Observation]]:
    """Look at the post as often as the judge wants, and judge. The looks come along."""
    clock = SteppedClock(START)
    source = _source(case, platform.port)
    post: Post = source.post(case.subject)  # every source has it
    before = Observation(post.key, START - DAY, START - DAY + SECOND, ALIVE)
    seen: list[Observation] = []
    door = DoorSettings(allow_networks=("127.0.0.0/8",), timeout_s=10, retries=0)
    resolver = ToLoopback(platform.port)
    async with Door(door, clock, Politeness(1e6), resolver=resolver) as opened:
        for number in range(1, MOST_LOOKS + 1):
            platform.begin(case, number)
            fetcher = opened.fetcher()
            (look,) = await source.look([post], fetcher)
            seen.append(look.observation)
            found = judge(post.key, [before, *seen])
            gone = next((o.answered_at for o in seen if o.signal.gone), clock.now())
            wait_s = next_look_s(found, elapsed_s=(clock.now() - gone) / SECOND)
            if wait_s is None:
                if number >= IDLE_LOOKS and not found.conflicts:
                    break
                wait_s = IDLE_S
            clock.jump(clock.now() + round(wait_s * SECOND))
    return found, seen


def _source(case: Case, port: int) -> Source:
    """The platform's own source; the simulated platform's is no source of the product."""
    settings = _settings(case, port)
    if case.platform == LabSource.platform:
        return LabSource(_named, settings.sources[case.platform])
    return registry.source(case.platform, _named, settings)


def _room(case: Case) -> Service:
    """The service of an XMPP room: "archive/ID" is a stored message, "room" the room's error."""
    archive = Archive()
    for answer in case.answers:
        for at in answer.at:
            place, _, ident = at.partition("/")
            said = answer.body.decode()
            if place == "archive":
                archive.put(ident, said)
            elif place == "room":
                archive.about = archive.error = said
    return Service(archive)


def _settings(case: Case, port: int) -> Settings:
    """The settings of an observatory that asks this platform; PORT stands for the server's."""
    table = {
        key: value.replace("PORT", str(port)) if isinstance(value, str) else value
        for key, value in case.settings.items()
    }
    return Settings("labelled", sources={case.platform: table} if table else {})


def _named(platform: str, native_id: str) -> str:
    return f"{platform}|{native_id}"
