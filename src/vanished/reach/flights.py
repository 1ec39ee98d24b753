"""Whether first bytes of a protocol reach a server: what its kernel acknowledges, and what not.

In: an address, a port, what the bytes are to look like. Out: a `Flight`. Whoever drops a flow by
its first bytes drops them also when they are sent again, so that they stay unacknowledged; bytes
that pass are acknowledged by the server's kernel, whatever its program makes of them. The same
place is sent a TLS greeting beside, as the contrast. No credential is needed, and none is sent.
Linux only (TCP_INFO).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import time
from typing import Final

from vanished.reach.door import Door, NotContactedError, failure_of
from vanished.reach.record import Flight

TLS: Final = "tls"
PATIENCE_S: Final = 2.5  # the kernel has sent four times by then
_POLL_S: Final = 0.03
_UNACKED_AT: Final = 24  # of struct tcp_info: eight bytes, then rto, ato, snd_mss, rcv_mss


def first_bytes(kind: str, bystander: str) -> bytes:
    """Bytes as a client of that kind begins: drawn anew each time where they are random."""
    if kind == "ssh":
        return b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
    if kind == "http":
        return f"CONNECT {bystander}:443 HTTP/1.1\r\nHost: {bystander}:443\r\n\r\n".encode()
    if kind == "socks":
        return b"\x05\x01\x00"
    if kind == "openvpn":  # over TCP: length, hard reset of a client (opcode 7), session, no ACKs
        packet = b"\x38" + os.urandom(8) + b"\x00" + bytes(4)
        return struct.pack("!H", len(packet)) + packet
    if kind == TLS:
        return _greeting(bystander)
    return _noise()


def _noise() -> bytes:
    """Uniform bytes without a mark that filters of fully encrypted flows are known to exempt."""
    while True:
        drawn = os.urandom(320)
        ones = sum(byte.bit_count() for byte in drawn) / len(drawn)
        printable = all(0x20 <= byte < 0x7F for byte in drawn[:6])
        if 3.6 < ones < 4.4 and not printable and drawn[0] not in b"\x16\x17GPHS":
            return drawn


def _greeting(name: str) -> bytes:
    """A ClientHello."""
    context = ssl.create_default_context()
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, sent, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake ended by itself")


async def flight(
    door: Door, address: str, port: int, kind: str, bystander: str, connect_s: float
) -> Flight:
    """Send first bytes of that kind once and see what becomes of them."""
    try:
        made = await door.stream(address, port, connect_s)
    except (OSError, TimeoutError, NotContactedError) as error:
        return Flight(kind, failure_of(error))
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(made, first_bytes(kind, bystander))
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            await asyncio.sleep(_POLL_S)
            if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return Flight(kind, "reset")
            if _unacknowledged(made) == 0:
                return Flight(kind, "acknowledged")
        return Flight(kind, "lost")
    except OSError:
        return Flight(kind, "reset")
    finally:
        made.close()


def _unacknowledged(made: socket.socket) -> int:
    """Segments that were sent and not acknowledged."""
    info = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, _UNACKED_AT)[0])


async def knock(door: Door, address: str, port: int, limit_s: float) -> str:
    """Connect once; the failure, "" where it worked."""
    try:
        made = await door.stream(address, port, limit_s)
    except (OSError, TimeoutError, NotContactedError) as error:
        return failure_of(error)
    made.close()
    return ""
