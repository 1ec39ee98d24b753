"""What tests of probes share: a door to loopback, short limits, servers that fail on cue."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from vanished.lab.network_certificates import Authority, self_signed
from vanished.net.address import networks
from vanished.reach.door import Door
from vanished.reach.run import Limits, Run

HOST = "127.0.0.1"
NAME = "news.example"
LIMITS = Limits(
    dns_s=1.0, linger_s=0.15, connect_s=1.0, tls_s=3.0, http_s=3.0, quic_s=3.0, body_bytes=4096
)  # fmt: skip
SHORT = Limits(
    dns_s=0.2, linger_s=0.1, connect_s=0.2, tls_s=0.2, http_s=0.2, quic_s=0.2, body_bytes=4096
)  # fmt: skip
"""Where silence is what is wanted."""

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def loopback_door(per_s: float = 1e6, burst: int = 100, proxy: str = "") -> Door:
    """A door that lets loopback through, and as fast as one likes."""
    return Door(networks(["127.0.0.0/8"]), per_s, burst, proxy)


def loopback_run(limits: Limits = LIMITS, door: Door | None = None) -> Run:
    """A run behind it."""
    return Run(door or loopback_door(), limits)


@contextlib.asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that talks so with everybody, and waits for the last at its end; its port."""
    talking: set[asyncio.Task[None]] = set()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talking.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the probe went away, as it may
        finally:
            writer.close()

    server = await asyncio.start_server(quietly, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if talking:
            await asyncio.wait(talking, timeout=2)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a censor does: with a reset."""
    held = writer.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answering(*parts: bytes, then: Callable[[asyncio.StreamWriter], None] | None = None) -> Talk:
    """Reads a request's head, sends these bytes, and ends it as said."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        if then:
            then(writer)

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing until the probe has gone."""
    await reader.read()


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        port: int = held.getsockname()[1]
    return port


class Certificates:
    """An authority, and servers' settings with its certificates and with wrong ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.make("Vanished tests")
        self.trusted = str(folder / "ca.pem")
        Path(self.trusted).write_bytes(self.authority.pem())

    def server(self, kind: str = "") -> ssl.SSLContext:
        """Settings of a server whose certificate for NAME is fine, or wrong as `kind` says."""
        pem = {
            "": lambda: self.authority.issue(NAME),
            "expired": lambda: self.authority.issue(NAME, from_day=-60, to_day=-30),
            "not_yet": lambda: self.authority.issue(NAME, from_day=3, to_day=7),
            "wrong_host": lambda: self.authority.issue("elsewhere.example"),
            "self_signed": lambda: self_signed(NAME),
            "other_authority": lambda: Authority.make("Somebody else").issue(NAME),
        }[kind]()
        file = self.folder / f"{kind or 'fine'}.pem"
        file.write_bytes(pem)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(file)
        made.set_alpn_protocols(["http/1.1"])
        return made

    def leaf(self, kind: str = "") -> bytes:
        """The certificate that such a server shows, as DER."""
        text = (self.folder / f"{kind or 'fine'}.pem").read_text()
        return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----") + 25] + "\n")


class DnsServer(asyncio.DatagramProtocol):
    """Answers each question with what `script` makes of it, and keeps the questions."""

    def __init__(self, script: Callable[[bytes], Sequence[bytes]]) -> None:
        self.script = script
        self.asked: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        assert self.transport is not None
        for one in self.script(data):
            self.transport.sendto(one, addr)


@contextlib.asynccontextmanager
async def dns_serving(
    script: Callable[[bytes], Sequence[bytes]],
) -> AsyncIterator[tuple[DnsServer, int]]:
    """A resolver on loopback, and its port."""
    made = DnsServer(script)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: made, local_addr=(HOST, 0)
    )
    try:
        yield made, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
