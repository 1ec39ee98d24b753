"""Servers on loopback for the tests of the door: well-behaved ones and every kind of liar."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from vanished.clock import SystemClock
from vanished.model import Micros
from vanished.net.door import Door, DoorSettings
from vanished.net.politeness import Politeness

LOOPBACK = ("127.0.0.0/8",)
Answer = Callable[["Request"], Awaitable[None]]
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass
class Request:
    """One request as a raw server read it, and the pen to answer with."""

    head: bytes
    writer: asyncio.StreamWriter

    @property
    def path(self) -> str:
        return self.head.split(b" ")[1].decode()

    @property
    def method(self) -> str:
        return self.head.split(b" ")[0].decode()

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def reply(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """A whole, honest answer; underscores in header names become dashes."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.writer.close()


@dataclass
class Raw:
    """A server that answers as it is told and counts what it was asked."""

    host: str
    port: int = 0
    scheme: str = "http"
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"


@contextlib.asynccontextmanager
async def raw(
    answer: Answer, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Raw]:
    """A server that reads request heads and lets `answer` write whatever it likes."""
    server = Raw(host, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                server.heads.append(head)
                await answer(Request(head, writer))
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    listening = await track(serve, tasks, host, tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await stop(listening, tasks)


@dataclass
class Pushing:
    """A server of one stream, and how those who were connected left."""

    port: int = 0
    opened: int = 0
    left: list[int | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/stream"


@contextlib.asynccontextmanager
async def pushing(
    talk: Talk, refuse: Callable[[], web.Response | None] = lambda: None
) -> AsyncIterator[Pushing]:
    """A WebSocket server that says what `talk` says, or answers what `refuse` gives."""
    server = Pushing()

    async def handle(request: web.Request) -> web.StreamResponse:
        server.opened += 1
        if (refusal := refuse()) is not None:
            return refusal
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            await talk(socket)
        server.left.append(socket.close_code)
        return socket

    app = web.Application()
    app.router.add_get("/stream", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A self-signed certificate for `names`: the server's side, and that of a trusting client.

    Made anew by openssl, so that no key lies in the repository.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; apt-get install openssl")
    key, pem = folder / "key.pem", folder / "certificate.pem"
    alternatives = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", f"subjectAltName={alternatives}",
         "-keyout", str(key), "-out", str(pem)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem, key)
    return server, ssl.create_default_context(cafile=str(pem))


async def track(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tasks: set[asyncio.Task[None]],
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Listen on a free port; every connection's task is kept in `tasks`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            tasks.discard(task)
            writer.close()

    return await asyncio.start_server(connected, host, 0, ssl=tls)


async def stop(server: asyncio.Server, tasks: set[asyncio.Task[None]]) -> None:
    server.close()
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Books(Politeness):
    """A Politeness that also writes down every request that was paid for."""

    def __init__(self, per_second: float = 1000.0) -> None:
        super().__init__(per_second)
        self.paid: list[str] = []

    def spend(self, host: str, now: Micros, n: int = 1) -> None:
        self.paid += [host] * n
        super().spend(host, now, n)


class Names(AbstractResolver):
    """A resolver of made-up names; a list of lists is answered in turn, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): rest for name, rest in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        turns = self.answers.get(host)
        if not turns:
            raise socket.gaierror(socket.EAI_NONAME, "no such name in this test")
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def open_door(
    politeness: Politeness | None = None,
    resolver: AbstractResolver | None = None,
    **settings: object,
) -> Door:
    """A door that may ask loopback, with budgets that do not matter unless given."""
    chosen: dict[str, object] = {"allow_networks": LOOPBACK, "timeout_s": 5.0, **settings}
    return Door(
        DoorSettings(**chosen),  # type: ignore[arg-type]
        SystemClock(),
        politeness or Politeness(1000.0),
        resolver=resolver,
    )
