"""DNS messages (RFC 1035) as a probe needs them: a question to bytes, an answer from bytes.

In: a name and a type, or what a resolver sent. Out: bytes, or a `Reply` with its addresses and
aliases; records of other types are stepped over. What is no message raises `MalformedError`, so
that a forged or damaged answer is a failure of its step. No EDNS, no I/O.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

from vanished.reach.steps import Answer

A, CNAME, AAAA = 1, 5, 28
TYPES: Final = {"A": A, "AAAA": AAAA, "CNAME": CNAME}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

_HEAD: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_RECURSE, _IS_ANSWER, _CUT = 0x0100, 0x8000, 0x0200
_INTERNET: Final = b"\0\1"
_LONGEST: Final = 253
_JUMPS: Final = 64  # more pointers than a name has labels lead in a circle


class MalformedError(ValueError):
    """Bytes that are no message, or a name that cannot be asked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered; `cut` says that more did not fit into a datagram."""

    rcode: int
    answers: tuple[Answer, ...]
    cut: bool


def question(name: str, kind: str, number: int) -> bytes:
    """A question with recursion desired. Raises MalformedError for what is no name."""
    return (
        _HEAD.pack(number, _RECURSE, 1, 0, 0, 0)
        + _name(name)
        + TYPES[kind].to_bytes(2, "big")
        + _INTERNET
    )


def _name(name: str) -> bytes:
    """A name as labels with their lengths, closed by the root."""
    try:
        plain = name.encode("ascii" if name.isascii() else "idna").removesuffix(b".")
    except UnicodeError:
        raise MalformedError("a name that cannot be written in ASCII") from None
    labels = plain.split(b".")
    if len(plain) > _LONGEST or not all(0 < len(label) < 64 for label in labels):
        raise MalformedError("a label is empty, or too much of a name")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def answers_to(held: bytes, asked: bytes) -> bool:
    """Whether `held` is an answer with the number of the question `asked`."""
    return len(held) >= _HEAD.size and held[:2] == asked[:2] and bool(held[2] & 0x80)


def reply(held: bytes) -> Reply:
    """What an answer says. Raises MalformedError."""
    try:
        _, flags, questions, given, _, _ = _HEAD.unpack_from(held)
        if not flags & _IS_ANSWER:
            raise MalformedError("no answer")
        at = _HEAD.size
        for _ in range(questions):
            at = _past(held, at) + 4
        found = []
        for _ in range(given):
            at = _past(held, at)
            kind, _, ttl, size = _RECORD.unpack_from(held, at)
            at += _RECORD.size
            if at + size > len(held):
                raise MalformedError("a record is cut short")
            one = _answer(held, at, kind, size, float(ttl))
            if one:
                found.append(one)
            at += size
    except (struct.error, IndexError):
        raise MalformedError("the message is cut short") from None
    return Reply(flags & 0xF, tuple(found), bool(flags & _CUT))


def _answer(held: bytes, at: int, kind: int, size: int, ttl: float) -> Answer | None:
    if kind == A and size == 4:
        return Answer("A", ipv4=socket.inet_ntop(socket.AF_INET, held[at : at + 4]), ttl=ttl)
    if kind == AAAA and size == 16:
        return Answer("AAAA", ipv6=socket.inet_ntop(socket.AF_INET6, held[at : at + 16]), ttl=ttl)
    if kind in (A, AAAA):
        raise MalformedError("an address of a wrong length")
    return Answer("CNAME", hostname=_text(held, at), ttl=ttl) if kind == CNAME else None


def _past(held: bytes, at: int) -> int:
    """Where the name that begins at `at` ends."""
    while True:
        length = held[at]
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise MalformedError("a label of an unknown form")
        at += 1 + length
        if not length:
            return at


def _text(held: bytes, at: int) -> str:
    """The name at `at`, pointers followed; without its last dot."""
    labels: list[bytes] = []
    for _ in range(_JUMPS + 128):
        length = held[at]
        if length >= 0xC0:
            at = (length & 0x3F) << 8 | held[at + 1]
        elif length > 63:
            raise MalformedError("a label of an unknown form")
        elif length:
            labels.append(held[at + 1 : at + 1 + length])
            at += 1 + length
        else:
            return ".".join(map(_shown, labels))
    raise MalformedError("a name that leads in a circle")


def _shown(label: bytes) -> str:
    """A label in the notation of RFC 1035, section 5.1."""
    return "".join(
        f"\\{chr(byte)}" if byte in b".\\" else chr(byte) if 32 < byte < 127 else f"\\{byte:03d}"
        for byte in label
    )
