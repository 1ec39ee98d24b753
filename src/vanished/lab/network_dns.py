"""DNS messages as the lab's resolvers and injector need them (RFC 1035): read a question, answer.

In: bytes of a query. Out: bytes of an answer of type A, or an error code. No other record types, no
compression beyond the one pointer to the question, no EDNS in answers, no I/O.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A = 1
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
_POINTER_TO_QUESTION = 0xC00C


@dataclass(frozen=True)
class Question:
    """The first question of a query; `name` in small letters without the last dot."""

    id: int
    name: str
    type: int
    raw: bytes
    """The question section's bytes, as they were asked: letters keep their case."""


def question(query: bytes) -> Question | None:
    """Read a query; None when it is none or is cut short."""
    if len(query) < 17:
        return None
    number, flags, count = struct.unpack_from("!HHH", query)
    if flags & 0x8000 or count < 1:
        return None
    labels, at = [], 12
    while at < len(query) and query[at]:
        end = at + 1 + query[at]
        labels.append(query[at + 1 : end].decode("ascii", "replace").lower())
        at = end
    if at + 5 > len(query):
        return None
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return Question(number, ".".join(labels), kind, query[12 : at + 5])


def answer(
    asked: Question, addresses: Sequence[str], code: int = NOERROR, ttl_s: int = 60
) -> bytes:
    """The answer with these IPv4 addresses, recursion available; none for other types than A."""
    given = addresses if asked.type == A and code == NOERROR else ()
    head = struct.pack("!HHHHHH", asked.id, 0x8180 | code, 1, len(given), 0, 0)
    records = [
        struct.pack("!HHHIH", _POINTER_TO_QUESTION, A, 1, ttl_s, 4) + socket.inet_aton(address)
        for address in given
    ]
    return head + asked.raw + b"".join(records)


def ask(name: str, number: int = 1, kind: int = A) -> bytes:
    """A query for `name`, with recursion desired."""
    return (
        struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0)
        + wire(name)
        + struct.pack("!HH", kind, 1)
    )


def wire(name: str) -> bytes:
    """`name` as labels with their lengths, closed by the root."""
    labels = name.encode("ascii").split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
