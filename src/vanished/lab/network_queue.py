"""A filter in the path that sees whole flows: drops what looks fully encrypted, as published.

    python -m vanished.lab.network_queue

runs in the router's namespace. In: packets that a rule gives to NFQUEUE 0. Out: the line "ready",
and a verdict on each packet. The first bytes of a TCP flow decide (Wu and others, USENIX Security
2023, rules Ex1 to Ex5): what no rule exempts is dropped, and the flow with it. The 26 % of hits and
the 180 s of residual blocking are not imitated. Netlink is spoken by hand (linux/nfnetlink.h,
nfnetlink_queue.h): it is four messages.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

from vanished.lab.network_injector import segment

_NETLINK_NETFILTER, _QUEUE = 12, 3
_PACKET, _VERDICT, _CONFIG = 0, 1, 2
_CFG_COMMAND, _CFG_PARAMETERS, _VERDICT_HEAD, _PACKET_HEAD, _PAYLOAD = 1, 2, 2, 1, 10
_BIND, _COPY_PACKET, _DROP, _ACCEPT = 1, 2, 0, 1
_PRINTABLE = frozenset(range(0x20, 0x7F))
_RUN = re.compile(rb"[\x20-\x7e]{21}")
_KNOWN = re.compile(rb"[\x16\x17]\x03[\x00-\x09]|GET |PUT |POST|HEAD")
_FLOWS = 10_000


def fully_encrypted(first: bytes) -> bool:
    """Whether the first bytes of a flow have none of the marks that exempt it."""
    ones = sum(byte.bit_count() for byte in first) / len(first)
    if ones <= 3.4 or ones >= 4.6:
        return False
    printable = sum(byte in _PRINTABLE for byte in first)
    if all(byte in _PRINTABLE for byte in first[:6]) or printable > len(first) / 2:
        return False
    return not (_RUN.search(first) or _KNOWN.match(first))


def message(kind: int, attribute: int, value: bytes) -> bytes:
    """A netlink message to queue 0 with one attribute."""
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0)
    padded = value + b"\0" * (-len(value) % 4)
    body += struct.pack("=HH", 4 + len(value), attribute) + padded
    head = struct.pack("=IHHII", 16 + len(body), _QUEUE << 8 | kind, 1, 0, 0)
    return head + body


def attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes that follow one another in `body`."""
    at = 0
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        if size < 4:
            return
        yield kind & 0x3FFF, body[at + 4 : at + size]
        at += (size + 3) & ~3


def main() -> None:
    queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    queue.bind((0, 0))
    command = struct.pack("!BBH", _BIND, 0, socket.AF_INET)
    queue.send(message(_CONFIG, _CFG_COMMAND, command))
    queue.send(message(_CONFIG, _CFG_PARAMETERS, struct.pack("!IB", 65535, _COPY_PACKET)))
    print("ready", flush=True)
    judged: dict[tuple[str, int, str, int], bool] = {}
    while True:
        received = queue.recv(1 << 17)
        (kind,) = struct.unpack_from("=H", received, 4)
        if kind != _QUEUE << 8 | _PACKET:
            continue
        held = dict(attributes(received[20:]))
        seen = segment(held[_PAYLOAD])
        stopped = False
        if seen is not None and seen.protocol == socket.IPPROTO_TCP:
            flow = (seen.source, seen.source_port, seen.target, seen.target_port)
            if seen.payload and flow not in judged:
                if len(judged) >= _FLOWS:
                    judged.clear()
                judged[flow] = fully_encrypted(seen.payload)
            stopped = bool(seen.payload) and judged.get(flow, False)
        verdict = struct.pack("!I", _DROP if stopped else _ACCEPT) + held[_PACKET_HEAD][:4]
        queue.send(message(_VERDICT, _VERDICT_HEAD, verdict))


if __name__ == "__main__":
    main()
