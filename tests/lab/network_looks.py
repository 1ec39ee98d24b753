"""Looks at the lab's network with bare sockets, from where the client stands: one word each.

Every look says "ok" where nothing is in the way. They judge nothing and share no code with the
probes, so that a lab and a probe cannot be wrong in the same way.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable

from vanished.lab.network import NetworkLab

SHORT_S = 0.25
LONG_S = 10.0
ISP = "10.77.0.1"
PUBLIC = "44.128.53.1"


def _word(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    names: dict[type[OSError], str] = {
        TimeoutError: "timeout",
        ConnectionResetError: "reset",
        ConnectionRefusedError: "refused",
    }
    return names.get(type(error), error.strerror or str(error))


def _tried(look: Callable[[], str]) -> str:
    try:
        return look()
    except OSError as error:
        return _word(error)


def connected(address: str, port: int, wait_s: float) -> socket.socket:
    """A connection that ends with a reset: what was not answered is not sent again after its look,
    where it would be a trigger in the next test."""
    made = socket.create_connection((address, port), wait_s)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made


def replies(name: str, resolver: str, wait_s: float, enough: int = 1) -> list[str]:
    """What a resolver answers over UDP, each reply that comes until there are `enough`."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.connect((resolver, 53))
        own.send(query)
        ends = time.monotonic() + wait_s
        while len(found) < enough and time.monotonic() < ends:
            own.settimeout(max(0.01, ends - time.monotonic()))
            try:
                reply = own.recv(4096)
            except OSError as error:
                return found or [_word(error)]
            code, count = reply[3] & 15, int.from_bytes(reply[6:8], "big")
            answers = [reply[len(query) + 16 * i + 12 :][:4] for i in range(count)]
            said = " ".join(sorted(socket.inet_ntoa(a) for a in answers))
            found.append(said or {0: "nodata", 3: "nxdomain", 5: "refused"}.get(code, str(code)))
    return found


def dns(resolver: str, enough: int = 1) -> Callable[[NetworkLab, str, float], str]:
    """A look-up; "ok" where each reply holds all of the target's addresses."""

    def look(lab: NetworkLab, target: str, wait_s: float) -> str:
        right = " ".join(sorted(lab.addresses[target]))
        said = lab.call("client", replies, target, resolver, wait_s, enough)
        return "ok" if set(said) == {right} else said[0]

    return look


def tcp(lab: NetworkLab, target: str, wait_s: float, port: int = 443) -> str:
    def look() -> str:
        connected(lab.addresses[target][0], port, wait_s).close()
        return "ok"

    return lab.call("client", _tried, look)


def tls(
    lab: NetworkLab, target: str, wait_s: float, address: str | None = None, sni: str | None = None
) -> str:
    """A verified handshake, with the target's own name unless `sni` says another."""
    to, name = address or lab.addresses[target][0], sni or target

    def look() -> str:
        context = ssl.create_default_context(cafile=lab.ca)
        if sni is not None:
            context.check_hostname = False
        with (
            connected(to, 443, wait_s) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return "ok"

    return lab.call("client", _tried, look)


def http(
    lab: NetworkLab,
    target: str,
    wait_s: float,
    *,
    path: str = "/",
    host: str | None = None,
    role: str = "client",
) -> str:
    """A page; "ok" where it is the host's own, else its status."""
    name = host or target

    def look() -> str:
        received = b""
        with connected(lab.addresses[target][0], 80, wait_s) as own:
            own.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            while got := own.recv(65536):
                received += got
        mine = f"Welcome to {name}".encode() in received
        return "ok" if mine else received.split(b"\r\n")[0].decode()[9:12]

    assert role in ("client", "control")
    return lab.call("client" if role == "client" else "control", _tried, look)


def word(lab: NetworkLab, target: str, wait_s: float) -> str:
    return http(lab, target, wait_s, path=f"/?q={lab.word}")


def pace(lab: NetworkLab, target: str, wait_s: float) -> str:
    """60 kB over HTTP: "ok" where they come within `wait_s`, once connected.

    Not over TLS: its records of 16 kB would come whole or not at all.
    """

    def look() -> str:
        got = 0
        with connected(lab.addresses[target][0], 80, LONG_S) as own:
            own.sendall(f"GET /bytes/60000 HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            ends = time.monotonic() + wait_s
            own.settimeout(wait_s)
            with contextlib.suppress(TimeoutError):
                while time.monotonic() < ends and (part := own.recv(65536)):
                    got += len(part)
        return "ok" if got > 60000 else "slow" if got else "stalled"

    return lab.call("client", _tried, look)


def udp443(lab: NetworkLab, target: str, wait_s: float) -> str:
    """A QUIC packet of an unknown version must be answered by the versions (RFC 9000, 6.1)."""

    def look() -> str:
        unknown = b"\xc0\x1a\x2a\x3a\x4a\x08" + bytes(8) + b"\x08" + bytes(8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.settimeout(wait_s)
            own.connect((lab.addresses[target][0], 443))
            own.send(unknown.ljust(1200, b"\0"))
            return "ok" if own.recv(2048)[1:5] == bytes(4) else "other"

    return lab.call("client", _tried, look)
