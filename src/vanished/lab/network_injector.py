"""Forges packets beside the path, as on-path censors do: DNS answers, TCP resets, block pages.

    python -m vanished.lab.network_injector LINK

runs in the router's namespace. In: what the client sends on LINK (a packet socket), and one line of
JSON on standard input for each new set of orders. Out: forged packets to both ends, and the line
"ready" for each set. It stops nothing: the true packets go on, and the first to arrive wins. That
is how the Great Firewall works on DNS, TLS and HTTP (reset to both ends, then the same address and
port reset for a while; Rambert and others 2021, Hoang and others 2021).
"""

from __future__ import annotations

import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vanished.lab import network_dns as dns
from vanished.lab.network_pages import BLOCKED_PAGE, Page

_IPV4 = 0x0800
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Segment:
    """A TCP segment or UDP datagram that the client sent."""

    protocol: int
    source: str
    source_port: int
    target: str
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes


def segment(packet: bytes) -> Segment | None:
    """Read an IPv4 packet; None for what is neither TCP nor UDP, or is cut short."""
    if len(packet) < 28 or packet[0] >> 4 != 4:
        return None
    start, total, protocol = (packet[0] & 15) * 4, struct.unpack_from("!H", packet, 2)[0], packet[9]
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    ports = struct.unpack_from("!HH", packet, start)
    if protocol == socket.IPPROTO_UDP:
        payload = packet[start + 8 : total]
        return Segment(protocol, source, ports[0], target, ports[1], 0, 0, 0, payload)
    if protocol != socket.IPPROTO_TCP or len(packet) < start + 20:
        return None
    sequence, acknowledged, offset, flags = struct.unpack_from("!IIBB", packet, start + 4)
    payload = packet[start + (offset >> 4) * 4 : total]
    return Segment(
        protocol, source, ports[0], target, ports[1], sequence, acknowledged, flags, payload
    )


def tcp(
    source: str,
    source_port: int,
    target: str,
    target_port: int,
    sequence: int,
    acknowledged: int,
    flags: int,
    payload: bytes = b"",
) -> bytes:
    """An IPv4 packet with a TCP segment; the kernel fills in IP's own checksum."""
    head = struct.pack(
        "!HHIIBBHHH",
        source_port,
        target_port,
        sequence % 2**32,
        acknowledged % 2**32,
        5 << 4,
        flags,
        65535,
        0,
        0,
    )
    return _ip(socket.IPPROTO_TCP, source, target, head + payload, 16)


def udp(source: str, source_port: int, target: str, target_port: int, payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram."""
    head = struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0)
    return _ip(socket.IPPROTO_UDP, source, target, head + payload, 6)


def _ip(protocol: int, source: str, target: str, body: bytes, checksum_at: int) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    over = ends + struct.pack("!BBH", 0, protocol, len(body)) + body
    over += b"\0" * (len(over) % 2)
    total = sum(struct.unpack(f"!{len(over) // 2}H", over))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    checked = body[:checksum_at] + struct.pack("!H", ~total & 0xFFFF) + body[checksum_at + 2 :]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0)
    return head + ends + checked


class Order:
    """One thing to look for, and what to forge when it is seen. Remembers its residual blocks."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.kind: str = told["kind"]
        self.addresses = frozenset(told["addresses"])  # none: any
        self.answer: str = told["answer"]
        self.residual_s: float = told["residual_s"]
        self.name: str = told["name"]
        self.share: float = told["share"]
        self._random = random.Random(told["seed"])
        self._until: dict[tuple[str, str, int], float] = {}
        self._needle, self._port = _needle(self.kind, self.name, told["word"])
        moved = Page(302, b"", fields=(("Location", f"http://{told['page']}/"),))
        self._page = (moved if self.kind == "redirect" else BLOCKED_PAGE).bytes()

    def forged(self, seen: Segment, now: float) -> Sequence[bytes]:
        """Packets to send on seeing this one; `now` in seconds."""
        if self.kind == "dns":
            return self._dns(seen)
        if seen.protocol != socket.IPPROTO_TCP:
            return ()
        if self.addresses and seen.target not in self.addresses:
            return ()
        ends = (seen.source, seen.target, seen.target_port)
        if now < self._until.get(ends, 0):
            return _reset(seen)
        if seen.target_port != self._port or self._needle not in seen.payload.lower():
            return ()
        if self._random.random() >= self.share:
            return ()
        if self.residual_s:
            self._until[ends] = now + self.residual_s
        return self._show(seen) if self.kind in ("page", "redirect") else _reset(seen)

    def _dns(self, seen: Segment) -> Sequence[bytes]:
        if seen.protocol != socket.IPPROTO_UDP or seen.target_port != 53:
            return ()
        asked = dns.question(seen.payload)
        if asked is None or asked.name != self.name or self._random.random() >= self.share:
            return ()
        told = dns.answer(asked, (self.answer,), ttl_s=300)
        return (udp(seen.target, 53, seen.source, seen.source_port, told),)

    def _show(self, seen: Segment) -> Sequence[bytes]:
        """The page in the server's name; the server hears that the client gave up."""
        after = seen.sequence + len(seen.payload)
        to_client = (seen.target, seen.target_port, seen.source, seen.source_port)
        told = tcp(*to_client, seen.acknowledged, after, _FIN | _PSH | _ACK, self._page)
        return (told, *_reset(seen)[1:])


def _needle(kind: str, name: str, word: str) -> tuple[bytes, int]:
    """What is looked for in a segment, in small letters, and the port that it goes to."""
    if kind == "sni":
        return b"\0" + len(name).to_bytes(2, "big") + name.encode(), 443
    return (word.encode() if kind == "word" else f"host: {name}\r\n".encode()), 80


def _reset(seen: Segment) -> Sequence[bytes]:
    """Resets to the client and to the server, each as if the other had sent it."""
    to_client = (seen.target, seen.target_port, seen.source, seen.source_port)
    to_server = (seen.source, seen.source_port, seen.target, seen.target_port)
    after = seen.sequence + len(seen.payload) + bool(seen.flags & _SYN)
    return (
        tcp(*to_client, seen.acknowledged, after, _RST | _ACK),
        tcp(*to_server, after, seen.acknowledged, _RST | _ACK),
    )


def main(link: str) -> None:
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    tap: socket.socket | None = None
    orders: list[Order] = []
    print("ready", flush=True)
    while True:
        waiting: list[Any] = [sys.stdin, *([tap] if tap else [])]
        ready, _, _ = select.select(waiting, [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            orders = [Order(told) for told in json.loads(line)]
            tap = _tapped(tap, link, bool(orders))
            print("ready", flush=True)
        elif tap is not None:
            packet, (_, _, kind, *_rest) = tap.recvfrom(65535)
            seen = segment(packet) if kind != socket.PACKET_OUTGOING else None
            for order in orders if seen else ():
                assert seen is not None
                for forged in order.forged(seen, time.monotonic()):
                    out.sendto(forged, (socket.inet_ntoa(forged[16:20]), 0))


def _tapped(tap: socket.socket | None, link: str, wanted: bool) -> socket.socket | None:
    """A tap on `link` where there are orders, none where there are not: it costs time."""
    if tap is not None:
        tap.close()
    if not wanted:
        return None
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IPV4))
    made.bind((link, _IPV4))
    return made


if __name__ == "__main__":
    main(sys.argv[1])
