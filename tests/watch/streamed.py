"""A small AT Protocol network on loopback: an AppView, a directory, and a stream that a test feeds.

In: what the test does (`write`, `delete`, `say`). Out: the answers and frames that a real network
would send, and a note of what was asked when. All names and texts are made up here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.sources.bluesky_answers import shown
from tests.sources.signed_repo import DID, document
from tests.sources.test_at_firehose import commit, frame
from vanished.sources.bluesky_api import COLLECTION

STRANGER = "did:plc:" + "s" * 24
Meet = Callable[["Streamed", web.WebSocketResponse], Awaitable[None]]


def uri_of(rkey: str, did: str = DID) -> str:
    return f"at://{did}/{COLLECTION}/{rkey}"


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Streamed:
    """What is posted, what was streamed, what was asked."""

    posts: dict[str, str] = field(default_factory=dict)  # text by record key
    lag_s: float = 0.0  # how long after the stream the AppView learns of a change
    slow_s: float = 0.0  # how long the AppView takes to answer with what it knew when asked
    base: str = ""
    seq: int = 0
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    cursors: list[str | None] = field(default_factory=list)  # of each connection
    asked: list[tuple[float, str]] = field(default_factory=list)  # when, for which record key
    lists: list[float] = field(default_factory=list)
    meet: Meet | None = None  # what a connection gets in place of the frames

    @property
    def stream(self) -> str:
        return self.base.replace("http", "ws", 1)

    async def say(self, *ops: tuple[str, str], did: str = DID) -> None:
        """Stream a commit with these (action, record key)."""
        self.seq += 1
        paths = [(action, f"{COLLECTION}/{rkey}") for action, rkey in ops]
        await self.send(commit(self.seq, *paths, did=did, time=now()))

    async def account(self, status: str, did: str = DID) -> None:
        self.seq += 1
        body = {"seq": self.seq, "did": did, "active": status == "active", "status": status}
        await self.send(frame("#account", {**body, "time": now()}))

    async def send(self, raw: bytes) -> None:
        self.frames.append((self.seq, raw))
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(raw)

    async def write(self, rkey: str, text: str) -> None:
        await self.say(("create", rkey))
        self._later(lambda: self.posts.update({rkey: text}))

    async def delete(self, rkey: str) -> None:
        await self.say(("delete", rkey))
        self._later(lambda: self.posts.pop(rkey))

    def _later(self, change: Callable[[], object]) -> None:
        if self.lag_s:
            asyncio.get_running_loop().call_later(self.lag_s, change)
        else:
            change()

    def looks(self, rkey: str, since: float = 0.0) -> list[float]:
        """When the post was asked for."""
        return [when for when, asked in self.asked if asked == rkey and when >= since]

    # -- the servers ------------------------------------------------------------------------

    async def subscribe(self, request: web.Request) -> web.StreamResponse:
        cursor = request.query.get("cursor")
        self.cursors.append(cursor)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.meet is not None:
            with contextlib.suppress(ConnectionError):
                await self.meet(self, socket)
            return socket
        for seq, raw in self.frames if cursor is not None else ():
            if seq > int(cursor or 0):
                await socket.send_bytes(raw)
        self.sockets.add(socket)
        async for _ in socket:
            pass
        self.sockets.discard(socket)
        return socket

    async def answer(self, request: web.Request) -> web.Response:
        method = request.path.rpartition("/")[2]
        if method == "app.bsky.feed.getPosts":
            wanted = [uri.rpartition("/")[2] for uri in request.query.getall("uris")]
            self.asked += [(time.monotonic(), rkey) for rkey in wanted]
            found = [self._view(rkey) for rkey in wanted if rkey in self.posts]
            await asyncio.sleep(self.slow_s)
            return web.json_response({"posts": found})
        if method == "app.bsky.feed.getAuthorFeed":
            if request.query["limit"] == "100":
                self.lists.append(time.monotonic())
            listed = [{"post": self._view(rkey)} for rkey in sorted(self.posts, reverse=True)]
            return web.json_response({"feed": listed})
        if method == "app.bsky.actor.getProfile":
            return web.json_response({"did": DID, "handle": "ann.example.org", "labels": []})
        if method == "com.atproto.identity.resolveHandle":
            return web.json_response({"did": DID})
        if method == DID:
            return web.json_response(document(host=self.base))
        return web.json_response({"error": "InternalServerError"}, status=500)

    def _view(self, rkey: str) -> Any:
        return shown(uri_of(rkey), self.posts[rkey])


@contextlib.asynccontextmanager
async def streamed(**posts: str) -> AsyncIterator[Streamed]:
    """The network with these posts of one account."""
    network = Streamed(dict(posts))
    app = web.Application()
    app.router.add_get("/xrpc/com.atproto.sync.subscribeRepos", network.subscribe)
    app.router.add_get("/{rest:.*}", network.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    network.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield network
    finally:
        await runner.cleanup()
