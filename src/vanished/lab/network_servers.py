"""All servers of the lab in one process: DNS (UDP, TCP, TLS, HTTPS), HTTP, HTTPS, a message port.

    python -m vanished.lab.network_servers FOLDER

runs in the servers' namespace. In: servers.json of the folder, then one line of JSON on standard
input for each change of behaviour. Out: the line "ready" for each of both. One thread a connection:
the lab's servers see tens of them, and a plain blocking handshake is what its tests are about.
Every answer comes 30 ms late, as from abroad, so that a forged answer can be the first.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vanished.lab import network_dns as dns
from vanished.lab.network_forms import THROTTLE_BYTES_S
from vanished.lab.network_map import BLOCK_PAGE, INTERCEPTOR, PLAIN_HOST, PORTAL
from vanished.lab.network_pages import (
    BLOCKED_PAGE,
    CAPTCHA_PAGE,
    ERROR_PAGE,
    PORTAL_PAGE,
    Page,
    home_page,
)

DELAY_S = 0.03
MESSAGE_PORT = 5222
_IDLE_S = 30.0
_LARGEST = 1 << 24
_CERTIFICATES = ("certificate_expired", "certificate_wrong_host", "certificate_self_signed")


class World:
    """What the servers know: names, addresses, and the behaviour in force. Shared by all threads.

    `behaviour` is replaced whole by the reader of standard input and never changed in place, so a
    thread that takes it once sees one consistent state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        told = json.loads((folder / "servers.json").read_text())
        self.addresses: dict[str, list[str]] = told["addresses"]
        self.resolvers: list[str] = told["resolvers"]
        self.control: str = told["control"]
        self.client: str = told["client"]
        self.names = {a: name for name, given in self.addresses.items() for a in given}
        self.behaviour: dict[str, list[str]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def does(self, name: str, what: str) -> bool:
        return what in self.behaviour.get(name, ())

    def answer(self, query: bytes, source: str) -> bytes | None:
        """The answer of an honest resolver; None to what is no query."""
        asked = dns.question(query)
        if asked is None:
            return None
        found = self.addresses.get(asked.name)
        if found is None or self.does(asked.name, "name_gone"):
            return dns.answer(asked, (), dns.NXDOMAIN)
        if self.does(asked.name, "other_address"):
            found = found[-1:] if source == self.control else found[:1]
        return dns.answer(asked, found)

    def file(self, asked: str | None, dialled: str) -> str:
        """The certificate's file shown on the address `dialled` to who asks for `asked`.

        A host shows its own, whatever is asked for; the interceptor one for the name asked for, of
        an authority that nobody trusts; block page and portal one that nobody signed.
        """
        name = self.names.get(dialled, PLAIN_HOST)
        wrong = next((w for w in _CERTIFICATES if self.does(name, w)), None)
        if dialled == INTERCEPTOR:
            name, wrong = (asked if asked in self.addresses else PLAIN_HOST), "intercepted"
        elif name == PLAIN_HOST:
            wrong = "certificate_self_signed"
        return f"{name}.{wrong}.pem" if wrong else f"{name}.pem"

    def context(self, asked: str | None, dialled: str) -> ssl.SSLContext:
        """TLS with that certificate."""
        file = self.file(asked, dialled)
        if file not in self._contexts:  # two threads may make it twice, which is harmless
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.load_cert_chain(self.folder / file)
            made.set_alpn_protocols(["http/1.1"])
            self._contexts[file] = made
        return self._contexts[file]

    def tls(self, plain: socket.socket, dialled: str) -> ssl.SSLSocket:
        """Shake hands as the server that was dialled."""

        def choose(shaken: ssl.SSLObject, asked: str | None, _: ssl.SSLContext) -> None:
            shaken.context = self.context(asked, dialled)

        base = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        base.set_alpn_protocols(["http/1.1"])
        base.sni_callback = choose
        base.load_cert_chain(self.folder / self.file(None, dialled))
        return base.wrap_socket(plain, server_side=True)


def page(world: World, host: str, target: str, dialled: str, source: str) -> Page:
    """What HTTP answers to a request for `target` at `host`."""
    if dialled == BLOCK_PAGE:
        return BLOCKED_PAGE
    if dialled == PORTAL:
        return PORTAL_PAGE
    name = host if host in world.addresses else world.names.get(dialled, host)
    if world.does(name, "server_error"):
        return ERROR_PAGE
    if world.does(name, "captcha") and source == world.client:
        return CAPTCHA_PAGE
    path = urlsplit(target).path
    if path.startswith("/bytes/") and path[7:].isdecimal():
        return Page(200, b"v" * min(int(path[7:]), _LARGEST), "application/octet-stream")
    return home_page(name)


def serve_http(world: World, stream: socket.socket, dialled: str, source: str) -> None:
    """Read one request, answer it, close."""
    received = b""
    while b"\r\n\r\n" not in received:
        got = stream.recv(65536)
        if not got or len(received) > _LARGEST:
            return
        received += got
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    method, _, rest = first.partition(" ")
    target = rest.rpartition(" ")[0]
    host = fields.get("host", "").partition(":")[0].lower()
    length = int(fields.get("content-length", "0") or 0)
    while len(body) < min(length, _LARGEST):
        body += stream.recv(65536) or b"\0" * length
    if urlsplit(target).path == "/dns-query" and dialled in world.resolvers:
        found = world.answer(_doh_query(method, target, body), source)
        shown = Page(200 if found else 400, found or b"", "application/dns-message")
    else:
        shown = page(world, host, target, dialled, source)
    pace = THROTTLE_BYTES_S if world.does(host, "slow_server") else None
    _send(stream, shown.bytes(method != "HEAD"), pace)


def _doh_query(method: str, target: str, body: bytes) -> bytes:
    """The DNS message of a request to `/dns-query` (RFC 8484, 4.1)."""
    if method == "POST":
        return body
    import base64

    given = urlsplit(target).query.removeprefix("dns=")
    with contextlib.suppress(ValueError):
        return base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
    return b""


def _send(stream: socket.socket, whole: bytes, bytes_s: int | None) -> None:
    if bytes_s is None:
        stream.sendall(whole)
        return
    step = bytes_s // 10
    for start in range(0, len(whole), step):
        stream.sendall(whole[start : start + step])
        time.sleep(0.1)


def serve_dns(world: World, stream: socket.socket, source: str) -> None:
    """Queries over a stream, each with its length before it (RFC 1035, 4.2.2)."""
    with stream.makefile("rb") as given:
        while len(size := given.read(2)) == 2:
            found = world.answer(given.read(int.from_bytes(size, "big")), source)
            if found is None:
                return
            stream.sendall(len(found).to_bytes(2, "big") + found)


def connected(world: World, port: int) -> type[socketserver.BaseRequestHandler]:
    """The handler of connections to `port`."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            plain: socket.socket = self.request
            plain.settimeout(_IDLE_S)
            time.sleep(DELAY_S)
            dialled, source = plain.getsockname()[0], self.client_address[0]
            with contextlib.suppress(OSError, ValueError):
                if port in (443, 853):
                    plain = self.request = world.tls(plain, dialled)
                if port in (80, 443):
                    serve_http(world, plain, dialled, source)
                elif port in (53, 853):
                    serve_dns(world, plain, source)
                else:
                    plain.sendall(b"<stream>" if plain.recv(4096) else b"")

    return Connection


def asked(world: World) -> type[socketserver.BaseRequestHandler]:
    """The handler of DNS queries over UDP."""

    class Query(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, own = self.request
            time.sleep(DELAY_S)
            found = world.answer(query, self.client_address[0])
            if found is not None:
                own.sendto(found, self.client_address)

    return Query


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a connection that a censor broke is the lab's daily bread."""


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 4096


def main(folder: Path) -> None:
    world = World(folder)
    servers: list[socketserver.BaseServer] = [
        _Tcp(("0.0.0.0", port), connected(world, port))  # noqa: S104 (in the lab's own namespace)
        for port in (53, 80, 443, 853, MESSAGE_PORT)
    ]
    servers += [_Udp((address, 53), asked(world)) for address in world.resolvers]
    _each(servers, lambda server: server.serve_forever(0.5))
    print("ready", flush=True)
    for line in sys.stdin:
        world.behaviour = json.loads(line)
        print("ready", flush=True)


def _each(
    servers: Sequence[socketserver.BaseServer], work: Callable[[socketserver.BaseServer], None]
) -> None:
    for server in servers:
        threading.Thread(target=work, args=(server,), daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
