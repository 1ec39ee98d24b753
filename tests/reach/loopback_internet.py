"""A small internet on loopback: names, a site in plain and over TLS, and who was asked what."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import cast

from aiohttp import web

from vanished.lab import network_dns as dns
from vanished.lab.network_certificates import Authority
from vanished.net.address import Network

ALLOW: tuple[Network, ...] = (ip_network("127.0.0.0/8"),)
PAGE = "<html><title>The news of today</title><body>" + "Many words. " * 200 + "</body></html>"


@dataclass
class Internet:
    """What stands there; `names` may be changed while it runs."""

    folder: Path
    names: dict[str, list[str]]
    resolver_port: int = 0
    isp_port: int = 0
    lies: dict[str, list[str]] = field(default_factory=dict)  # what the ISP's resolver says instead
    http: int = 0
    https: int = 0
    asked: list[str] = field(default_factory=list)  # hosts and paths of requests
    looked_up: list[str] = field(default_factory=list)

    @property
    def authorities(self) -> str:
        return str(self.folder / "ca.pem")

    def answer(self, query: bytes, *, isp: bool = False) -> bytes:
        asked = dns.question(query)
        assert asked is not None
        self.looked_up.append(asked.name)
        found = {**self.names, **(self.lies if isp else {})}.get(asked.name)
        return dns.answer(asked, found or (), dns.NOERROR if found else dns.NXDOMAIN)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, internet: Internet, *, isp: bool = False) -> None:
        self.internet, self.isp = internet, isp

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(self.internet.answer(data, isp=self.isp), addr)


@contextlib.asynccontextmanager
async def internet(folder: Path, *hosts: str) -> AsyncIterator[Internet]:
    """Sites of those names at 127.0.0.1, and the resolver that knows them."""
    made = Internet(folder, {host: ["127.0.0.1"] for host in hosts})
    authority = Authority.make("Authority of a test")
    (folder / "ca.pem").write_bytes(authority.pem())

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            held = made.answer(await reader.readexactly(length))
            writer.write(struct.pack("!H", len(held)) + held)
            await writer.drain()
        writer.close()

    async def page(request: web.Request) -> web.Response:
        made.asked.append(f"{request.host.partition(':')[0]}{request.path}")
        if request.path == "/moved":
            raise web.HTTPFound("/")
        if request.path == "/inside":
            raise web.HTTPFound("http://10.0.0.1/")
        if request.path == "/large":
            return web.Response(body=b"x" * 500_000)
        return web.Response(text=PAGE, content_type="text/html", headers={"X-Site": "yes"})

    app = web.Application()
    app.router.add_get("/{any:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    transport, server = await _on_one_port(made, stream)
    loop = asyncio.get_running_loop()
    lying, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(made, isp=True), local_addr=("127.0.0.1", 0)
    )
    made.isp_port = lying.get_extra_info("sockname")[1]
    try:
        plain = web.TCPSite(runner, "127.0.0.1", 0)
        secure = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_served(folder, authority, hosts))
        await plain.start()
        made.http = runner.addresses[0][1]
        await secure.start()
        made.https = runner.addresses[1][1]
        yield made
    finally:
        transport.close()
        lying.close()
        server.close()
        await runner.cleanup()


async def _on_one_port(
    made: Internet, stream: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> tuple[asyncio.DatagramTransport, asyncio.Server]:
    """The resolver by UDP and TCP; somebody else may have the one port or the other."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(made), local_addr=("127.0.0.1", 0)
        )
        made.resolver_port = transport.get_extra_info("sockname")[1]
        try:
            return transport, await asyncio.start_server(stream, "127.0.0.1", made.resolver_port)
        except OSError:
            transport.close()
    raise OSError("no port is free for both UDP and TCP")


def _served(folder: Path, authority: Authority, hosts: tuple[str, ...]) -> ssl.SSLContext:
    """A server's settings that show each host's own certificate."""
    contexts = {}
    for host in hosts:
        (folder / f"{host}.pem").write_bytes(authority.issue(host))
        contexts[host] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        contexts[host].load_cert_chain(folder / f"{host}.pem")
    first = next(iter(contexts.values()))

    def choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = contexts.get(name or "", first)

    first.sni_callback = choose
    return first
