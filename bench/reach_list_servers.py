"""The servers of the list benchmark, in a process of their own: DNS, HTTP, HTTPS and a control.

    python -m bench.reach_list_servers FOLDER

In: a folder. Out: its authority as `ca.pem`, and one line of JSON with the ports; serves until
standard input ends, then says in another line what processor time that took. The control says what
is true of a site without a look, as a server that looked a moment ago would. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec

from bench.reach_list_world import ADDRESSES, BYSTANDER, CANARY, DOMAINS, Site, site_of
from vanished.lab import network_dns as dns
from vanished.lab.network_certificates import Authority
from vanished.lab.network_pages import BLOCKED_PAGE
from vanished.reach.likeness import title_of
from vanished.reach.record import (
    AddressInfo,
    Control,
    ControlConnect,
    ControlDns,
    ControlHandshake,
    ControlPage,
)

_RESET = struct.pack("ii", 1, 0)


def where(name: str) -> str | None:
    """The true address of a name."""
    if name in (CANARY, BYSTANDER):
        return "127.0.77.1"
    found = site_of(name)
    return found.address if found else None


class Resolver(asyncio.DatagramProtocol):
    """Answers questions; `lies` says for which names it invents that there are none."""

    def __init__(self, lies: bool) -> None:
        self.lies = lies
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = dns.question(data)
        if asked is None or self.transport is None:
            return
        site, address = site_of(asked.name), where(asked.name)
        if address is None or (self.lies and site and site.form == "dns_nxdomain"):
            answer = dns.answer(asked, (), dns.NXDOMAIN)
        else:
            answer = dns.answer(asked, [address])
        self.transport.sendto(answer, addr)


class Pages(asyncio.Protocol):
    """Pages in plain HTTP: one request a connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.read(data)

    def read(self, data: bytes) -> None:
        """Some bytes of a request."""
        self.held += data
        if b"\r\n\r\n" in self.held:
            self.write(answer(self.held))
            self.end()

    def write(self, data: bytes) -> None:
        """Some bytes of an answer."""
        assert self.transport is not None
        self.transport.write(data)

    def end(self) -> None:
        """Nothing more is to be said."""
        assert self.transport is not None
        self.transport.close()

    def reset(self) -> None:
        """End it as a censor does."""
        assert self.transport is not None
        held: socket.socket = self.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class SecurePages(Pages):
    """The same over TLS; resets who asks for a name that is blocked."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.shaken = False

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        try:
            if not self.shaken:
                self.tls.do_handshake()
                self.shaken = True
            self.read(self.tls.read(1 << 16))
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.reset()
            return
        self.flush()

    def write(self, data: bytes) -> None:
        self.tls.write(data)

    def end(self) -> None:
        self.flush()
        super().end()

    def flush(self) -> None:
        """Send what is encrypted."""
        if self.transport and self.outgoing.pending and not self.transport.is_closing():
            self.transport.write(self.outgoing.read())


def answer(request: bytes) -> bytes:
    """The page of the host that is asked for."""
    lines = request.decode("latin-1").split("\r\n")
    host = next((one[5:].strip() for one in lines if one.lower().startswith("host:")), "")
    site = site_of(host.partition(":")[0])
    if site and site.form == "block_page":
        return page_bytes(200, BLOCKED_PAGE.body)
    return page_bytes(200, site.page() if site else b"<title>Fine</title>")


def page_bytes(code: int, body: bytes) -> bytes:
    """An answer of HTTP."""
    head = (
        f"HTTP/1.1 {code} OK\r\nServer: lab\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class ControlStub(Pages):
    """What a control answers, over connections that stay open."""

    def read(self, data: bytes) -> None:
        self.held += data
        head, found, body = self.held.partition(b"\r\n\r\n")
        if not found:
            return
        lengths = [o for o in head.split(b"\r\n") if o.lower().startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        if len(body) < length:
            return
        self.held = body[length:]
        asked = msgspec.json.decode(body[:length])
        said = msgspec.json.encode(seen(asked["http_request"], asked["tcp_connect"]))
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(said)
            + said
        )


def seen(url: str, places: list[str]) -> Control:
    """What a control sees of a site."""
    parts = urlsplit(url)
    site = site_of(parts.hostname or "")
    assert site is not None, url
    up = site.form != "down"
    failure = None if up else "connection_refused"
    true = f"{site.address}:{parts.port}"
    known = dict.fromkeys([*places, true])
    return Control(
        dns=ControlDns(addrs=(site.address,)),
        tcp_connect={one: ControlConnect(up, failure) for one in known},
        tls_handshake={one: ControlHandshake(site.name, True) for one in known}
        if site.secure and up
        else {},
        http_request=page_of(site)
        if up
        else ControlPage(failure=failure, status_code=-1, body_length=-1),
        ip_info={one.rpartition(":")[0]: AddressInfo(0, 3) for one in known},
    )


@lru_cache(maxsize=4096)
def page_of(site: Site) -> ControlPage:
    """What a control keeps of a page."""
    body = site.page()
    return ControlPage(
        status_code=200,
        body_length=len(body),
        title=title_of(body.decode()),
        headers={"Server": "lab", "Content-Type": "text/html; charset=utf-8"},
    )


def contexts(folder: Path) -> ssl.SSLContext:
    """One certificate a domain; who names a blocked site gets no certificate and is reset."""
    authority = Authority.make("The list benchmark")
    (folder / "ca.pem").write_bytes(authority.pem())
    made = {}
    for number in range(DOMAINS):
        file = folder / f"d{number}.pem"
        file.write_bytes(authority.issue(f"*.d{number}.example"))
        made[f"d{number}.example"] = one = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        one.load_cert_chain(file)
        one.set_alpn_protocols(["http/1.1"])

    def chosen(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        site = site_of(name or "")
        domain = made.get((name or "").partition(".")[2])
        if domain is None or (site and site.form == "sni_reset"):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = domain
        return None

    first = made["d0.example"]
    first.sni_callback = chosen
    return first


async def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    context = contexts(folder)
    ports = {}
    for name, lies in (("isp", True), ("honest", False)):
        made, _ = await loop.create_datagram_endpoint(
            partial(Resolver, lies), local_addr=("127.0.0.1", 0)
        )
        ports[name] = made.get_extra_info("sockname")[1]
    hosts = [f"127.0.77.{number}" for number in range(1, ADDRESSES + 1)]
    kinds: list[tuple[str, Callable[[], asyncio.Protocol], list[str]]] = [
        ("plain", Pages, hosts),
        ("secure", lambda: SecurePages(context), hosts),
        ("control", ControlStub, ["127.0.0.1"]),
    ]
    for name, kind, where_to in kinds:
        ports[name] = await _listen(kind, where_to)
    print(json.dumps(ports), flush=True)
    began = time.process_time()
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"processor_s": time.process_time() - began}), flush=True)


async def _listen(kind: Callable[[], asyncio.Protocol], hosts: list[str]) -> int:
    """Listen at all hosts at one port, which is free at the first of them."""
    loop = asyncio.get_running_loop()
    first = await loop.create_server(kind, hosts[0], 0, backlog=1024)
    port: int = first.sockets[0].getsockname()[1]
    for host in hosts[1:]:
        await loop.create_server(kind, host, port, backlog=1024)
    return port


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
