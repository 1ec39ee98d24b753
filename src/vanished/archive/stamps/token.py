"""RFC 3161 on the wire: makes a query, and reads what a reply says.

In: bytes. Out: bytes, or the fields of a `Token` as the authority wrote them. Reads strict DER
only and verifies no signature: `rfc3161` asks others to do that. Having a reader of our own lets a
reply be read where the library refuses it, and without the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from vanished.model import SECOND, Micros, micros

SHA256_OID = bytes.fromhex("0609608648016503040201")  # whole elements, tag and length included
SIGNED_DATA_OID = bytes.fromhex("06092a864886f70d010702")
TST_INFO_OID = bytes.fromhex("060b2a864886f70d0109100104")

_BOOLEAN, _INTEGER, _OCTETS, _OID, _TIME, _SEQUENCE = 0x01, 0x02, 0x04, 0x06, 0x18, 0x30
_CONTEXT_0, _CONTEXT_1, _PLAIN_0, _PLAIN_1 = 0xA0, 0xA1, 0x80, 0x81
_GRANTED = 0  # 1 is "granted with modifications": not what we asked for


class Unreadable(ValueError):  # noqa: N818 - says what the bytes are
    """The bytes are no DER of the expected form."""


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked. `nonce` is None where the query had none."""

    digest: bytes
    nonce: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """What a granted reply says; nothing of it is checked yet."""

    hash_oid: bytes
    digest: bytes
    serial: int
    time: Micros
    accuracy: Micros | None  # the time is within this much of the true one, as the authority says
    nonce: int | None
    certificates: tuple[bytes, ...]  # DER, in the order of the reply


class NotGranted(Exception):  # noqa: N818 - an answer, not a mistake
    """The authority answered that it grants no stamp; the text is its reason."""


# -- writing -----------------------------------------------------------------------------------


def write_query(digest: bytes, nonce: int) -> bytes:
    """A TimeStampReq for a SHA-256 `digest` that asks for the certificates (RFC 3161, 2.4.1)."""
    algorithm = _element(_SEQUENCE, SHA256_OID + b"\x05\x00")
    imprint = _element(_SEQUENCE, algorithm + _element(_OCTETS, digest))
    wanted = _integer(1) + imprint + _integer(nonce) + _element(_BOOLEAN, b"\xff")
    return _element(_SEQUENCE, wanted)


def _integer(value: int) -> bytes:
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _element(tag: int, content: bytes) -> bytes:
    if len(content) > 127:
        raise ValueError("a query is shorter than 128 bytes")
    return bytes((tag, len(content))) + content


# -- reading -----------------------------------------------------------------------------------


def read_query(query: bytes) -> Query:
    """The digest and nonce that a query of ours asked with. Raises Unreadable."""
    fields = _Fields(_whole(query, _SEQUENCE))
    fields.take(_INTEGER)
    imprint = _Fields(fields.take(_SEQUENCE))
    imprint.take(_SEQUENCE)
    digest = imprint.take(_OCTETS)
    fields.maybe(_OID)
    nonce = fields.maybe(_INTEGER)
    return Query(digest, None if nonce is None else _number(nonce))


def read_reply(reply: bytes) -> Token:
    """The token of a TimeStampResp (RFC 3161, 2.4.2). Raises Unreadable or NotGranted."""
    response = _Fields(_whole(reply, _SEQUENCE))
    status = _Fields(response.take(_SEQUENCE))
    granted = _number(status.take(_INTEGER))
    words = status.maybe(_SEQUENCE)
    if granted != _GRANTED:
        said = [text[1].decode("utf-8", "replace") for text in _elements(words or b"")]
        raise NotGranted("; ".join(said)[:200] or f"PKI status {granted}")
    content = _Fields(response.take(_SEQUENCE))
    content.expect(SIGNED_DATA_OID)
    signed = _Fields(_whole(content.take(_CONTEXT_0), _SEQUENCE))
    signed.take(_INTEGER)
    signed.take(0x31)  # digest algorithms
    inner = _Fields(signed.take(_SEQUENCE))
    inner.expect(TST_INFO_OID)
    info = _whole(inner.take(_CONTEXT_0), _OCTETS)
    certificates = tuple(whole for whole, _ in _elements(signed.maybe(_CONTEXT_0) or b""))
    return _read_info(_Fields(_whole(info, _SEQUENCE)), certificates)


def _read_info(info: _Fields, certificates: tuple[bytes, ...]) -> Token:
    if _number(info.take(_INTEGER)) != 1:
        raise Unreadable("the token is of a later version than 1")
    info.take(_OID)  # policy
    imprint = _Fields(info.take(_SEQUENCE))
    algorithm = imprint.take(_SEQUENCE)
    digest = imprint.take(_OCTETS)
    serial = _number(info.take(_INTEGER))
    time = _moment(info.take(_TIME))
    accuracy = info.maybe(_SEQUENCE)
    info.maybe(_BOOLEAN)
    nonce = info.maybe(_INTEGER)
    return Token(
        hash_oid=algorithm[: len(SHA256_OID)],
        digest=digest,
        serial=serial,
        time=time,
        accuracy=None if accuracy is None else _accuracy(_Fields(accuracy)),
        nonce=None if nonce is None else _number(nonce),
        certificates=certificates,
    )


def _accuracy(fields: _Fields) -> Micros:
    seconds, millis, more = (fields.maybe(tag) for tag in (_INTEGER, _PLAIN_0, _PLAIN_1))
    parts = ((seconds, SECOND), (millis, 1000), (more, 1))
    return sum(_number(part) * unit for part, unit in parts if part is not None)


def _moment(text: bytes) -> Micros:
    """A GeneralizedTime in UTC with seconds and perhaps a fraction (RFC 3161, 2.4.2)."""
    plain, _, fraction = text.removesuffix(b"Z").partition(b".")
    if not text.endswith(b"Z") or len(plain) != 14 or not (plain + fraction).isdigit():
        raise Unreadable("the time of the token is not YYYYMMDDhhmmss[.f]Z")
    try:
        moment = datetime.strptime(plain.decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Unreadable("the time of the token is no date") from None
    return micros(moment) + int(fraction[:6].ljust(6, b"0"))


class _Fields:
    """The elements of a SEQUENCE, taken one after another."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def maybe(self, tag: int) -> bytes | None:
        """The next element's content if it has that tag."""
        if self._at >= len(self._content) or self._content[self._at] != tag:
            return None
        _, start, end = _head(self._content, self._at)
        self._at = end
        return self._content[start:end]

    def take(self, tag: int) -> bytes:
        content = self.maybe(tag)
        if content is None:
            raise Unreadable(f"an element of type 0x{tag:02x} is missing")
        return content

    def expect(self, element: bytes) -> None:
        if self._content[self._at : self._at + len(element)] != element:
            raise Unreadable("it is no signed time-stamp token")
        self._at += len(element)


def _head(buffer: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at `at`."""
    head = buffer[at : at + 2]
    if len(head) < 2:
        raise Unreadable("it ends in the middle of an element")
    tag, length, start = head[0], head[1], at + 2
    if length == 0x80 or length > 0x84:
        raise Unreadable("it has an element without a length")
    if length > 0x80:
        more = length & 0x7F
        length = int.from_bytes(buffer[start : start + more], "big")
        start += more
    if start + length > len(buffer):
        raise Unreadable("it ends in the middle of an element")
    return tag, start, start + length


def _elements(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each element as a whole, and its content."""
    at = 0
    while at < len(content):
        _, start, end = _head(content, at)
        yield content[at:end], content[start:end]
        at = end


def _whole(buffer: bytes, tag: int) -> bytes:
    """The content of the one element that `buffer` is."""
    if buffer[:1] != bytes((tag,)):
        raise Unreadable(f"it does not start with 0x{tag:02x}")
    _, start, end = _head(buffer, 0)
    if end != len(buffer):
        raise Unreadable(f"{len(buffer) - end} bytes follow its end")
    return buffer[start:end]


def _number(content: bytes) -> int:
    if not content:
        raise Unreadable("it has a number without digits")
    return int.from_bytes(content, "big", signed=True)
