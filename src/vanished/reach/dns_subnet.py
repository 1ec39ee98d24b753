"""A DNS message without the client's subnet, which resolvers pass on (RFC 7871).

In: a message in wire format. Out: the same bytes with the address of every EDNS option 8 zeroed;
None if the bytes are no DNS message. Nothing else is looked at.
"""

from __future__ import annotations

import struct

OPT, CLIENT_SUBNET = 41, 8


def without_client_subnet(message: bytes) -> bytes | None:
    """`message` with those addresses zeroed; of the same length."""
    held = bytearray(message)
    try:
        *_, questions, answers, authorities, others = struct.unpack_from("!6H", held, 0)
        at = 12
        for _ in range(questions):
            at = _after_name(held, at) + 4
        for _ in range(answers + authorities + others):
            at = _after_name(held, at)
            kind, _, _, length = struct.unpack_from("!HHIH", held, at)
            at += 10
            if at + length > len(held):
                return None
            if kind == OPT:
                _zero(held, at, at + length)
            at += length
    except (struct.error, IndexError):
        return None
    return bytes(held) if at <= len(held) else None


def _zero(held: bytearray, at: int, end: int) -> None:
    while at + 4 <= end:
        code, length = struct.unpack_from("!HH", held, at)
        at += 4
        if code == CLIENT_SUBNET:
            first, last = min(at + 4, end), min(at + length, end)
            held[first:last] = bytes(max(0, last - first))
        at += length


def _after_name(held: bytearray, at: int) -> int:
    """Where a name ends: after its last label, or after a pointer (RFC 1035, 4.1.4)."""
    while True:
        length = held[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        at += 1 + length
