"""Answers for tests of sources: prepared ones, and small servers that speak over loopback.

Every name and text that a test serves was made up for it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from vanished.clock import SystemClock
from vanished.model import Fault
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Exchange, Fetch
from vanished.net.politeness import Politeness

Answer = tuple[int, Any]
"""Status and content: bytes or text as they are, a Fault for a failed request, else as JSON."""


def exchange(url: str, status: int, content: Any, *, hops: tuple[str, ...] = ()) -> Exchange:
    """An exchange as the door would return it."""
    if isinstance(content, Fault):
        return Exchange(url, 1_000, 2_000, status or None, fault=content, words="it failed")
    is_page = isinstance(content, str | bytes)
    kind = "text/html; charset=utf-8" if is_page else "application/json; charset=utf-8"
    body = content if is_page else json.dumps(content, ensure_ascii=False)
    raw = body if isinstance(body, bytes) else body.encode()
    return Exchange(url, 1_000, 2_000, status, {"content-type": kind}, raw, hops=hops)


@dataclass
class Prepared:
    """A `Fetch` that answers by the first key that stands in the address.

    A list is used up one by one, and its last answer stays.
    """

    by_part: dict[str, Answer | list[Answer]]
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        private: bool = False,
    ) -> Exchange:
        assert (method == "POST") == (body is not None)
        assert private == ("/visitor/" in url)
        self.asked.append(url)
        self.sent.append((url, headers or {}))
        found = next((a for part, a in self.by_part.items() if part in url), (404, "not here"))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        target = next((t for part, t in self.redirects.items() if part in url), "")
        answered = exchange(target or url, *found, hops=(url,) if target else ())
        later = 10_000 * len(self.asked)
        return replace(
            answered, asked_at=answered.asked_at + later, answered_at=answered.answered_at + later
        )


@asynccontextmanager
async def serving(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    """A server on loopback that answers every request by `answer`; gives its base address."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, port = runner.addresses[0][:2]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def door() -> AsyncIterator[Fetch]:
    """The real door, which may ask loopback."""
    settings = DoorSettings(allow_networks=("127.0.0.0/8",), timeout_s=10)
    async with Door(settings, SystemClock(), Politeness(1000.0)) as opened:
        yield opened.fetcher()


def as_json(content: Any, status: int = 200) -> web.Response:
    return web.json_response(content, status=status)


def as_page(content: str, status: int = 200) -> web.Response:
    return web.Response(text=content, status=status, content_type="text/html")
