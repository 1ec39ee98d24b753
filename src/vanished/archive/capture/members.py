"""Gzip members of a WARC, one record each, read with bounds on everything.

In: a stream that anybody may have made. Out: each member with its record's heads and hashes, or the
place that is damaged, after which reading goes on at the next member that holds a record. A member
is kept compressed; nothing larger than a chunk is opened at once.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecordLoader
from warcio.statusandheaders import StatusAndHeadersParserException

from vanished.archive.capture.damage import Damage
from vanished.archive.capture.records import FREE, GZIP, MAX_RATIO, MAX_RECORD

MAX_HEAD: Final = 1 << 20  # bytes of a record's WARC and HTTP heads
MAX_DAMAGES: Final = 100  # of one stream: each costs a search
CHUNK: Final = 64 << 10

# What is wrong with a file stands in `Damage`; warcio would also say some of it on standard error.
logging.getLogger("warcio.recordloader").addHandler(logging.NullHandler())

# What warcio trips over in junk: it was written for records of good will.
_JUNK: Final = (
    ArchiveLoadFailed,
    StatusAndHeadersParserException,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class Member:
    """A record as it lies in the file, sound by its own digests."""

    id: str  # urn:uuid:…
    type: str
    uri: str
    headers: tuple[tuple[str, str], ...]  # of the record, not of HTTP
    offset: int
    length: int
    sha256: str  # of the member as stored
    payload_sha256: str
    payload_length: int
    member: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """A WARC header, "" if there is none."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), "")

    def block(self) -> bytes:
        """What the record holds: HTTP head and payload, or the payload alone."""
        record = inflated(self.member)
        return record[record.index(b"\r\n\r\n") + 4 : -4]

    def payload(self) -> bytes:
        """The record's payload; of a revisit, none."""
        block = self.block()
        return block[len(block) - self.payload_length :]


def members(stream: BinaryIO, file: str, end: int | None = None) -> Iterator[Member | Damage]:
    """The members of a stream up to byte `end`. After MAX_DAMAGES damages the rest is not read."""
    source = _Source(stream, end)
    damages = 0
    while source.fill(1):
        offset = source.offset
        try:
            yield _member(source, offset)
            continue
        except _MemberError as why:
            yield Damage(file, offset, None, str(why))
        damages += 1
        if damages == MAX_DAMAGES:
            yield Damage(file, offset, None, "there are too many damages to read on")
            return
        _resume(source)


def inflated(member: bytes) -> bytes:
    """A member's record, not compressed; for members that were read before."""
    return zlib.decompress(member, 31)


def headers_of(record: bytes) -> tuple[tuple[str, str], ...]:
    """The WARC headers of a record that is not compressed."""
    parsed = _loader().parse_record_stream(io.BytesIO(record), known_format="warc")
    return tuple(parsed.rec_headers.headers)


def _loader() -> ArcWarcRecordLoader:
    return ArcWarcRecordLoader(verify_http=False, arc2warc=False)


class _MemberError(Exception):
    """Why a member cannot be read, as the end of a sentence."""


class _Source:
    """A stream and the bytes `ahead` of a place in it; only `skip` moves the place."""

    def __init__(self, stream: BinaryIO, end: int | None) -> None:
        self._stream = stream
        self._left = end
        self.ahead = bytearray()
        self.offset = 0

    def fill(self, size: int) -> bool:
        """Have at least `size` bytes ahead, if the stream has; whether it has."""
        while len(self.ahead) < size:
            wanted = max(CHUNK, size - len(self.ahead))
            wanted = wanted if self._left is None else min(wanted, self._left)
            chunk = self._stream.read(wanted) if wanted else b""
            if not chunk:
                return False
            if self._left is not None:
                self._left -= len(chunk)
            self.ahead += chunk
        return True

    def skip(self, size: int) -> bytes:
        taken = bytes(self.ahead[:size])
        del self.ahead[:size]
        self.offset += len(taken)
        return taken


class _Inflating(io.RawIOBase):
    """What the member at the source's place holds; `used` is how long the member is so far."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._inflater = zlib.decompressobj(31)
        self._waiting = b""
        self.used = 0
        self.made = 0
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self.ended:
            given = self._waiting
            if not given:
                if not self._source.fill(self.used + 1):
                    raise _MemberError("the file ends in the middle of it")
                given = bytes(self._source.ahead[self.used : self.used + CHUNK])
                self.used += len(given)
            try:
                part = self._inflater.decompress(given, len(buffer))
            except zlib.error:
                raise _MemberError("its gzip member is damaged") from None
            self._waiting = self._inflater.unconsumed_tail
            self.made += len(part)
            if self._inflater.eof:
                self.ended = True
                self.used -= len(self._inflater.unused_data)
            if self.made > MAX_RECORD or self.used - CHUNK > MAX_RECORD:
                raise _MemberError(f"a record of it has more than {MAX_RECORD:,} bytes")
            if part:
                buffer[: len(part)] = part
                return len(part)
        return 0


class _Lines(io.BufferedReader):
    """Bounds what is read as lines, so that heads stay small."""

    def __init__(self, raw: _Inflating) -> None:
        super().__init__(raw, CHUNK)
        self.heads = 0

    def readline(self, size: int | None = -1) -> bytes:
        bound = MAX_HEAD if size is None or size < 0 else min(size, MAX_HEAD)
        line = super().readline(bound)
        self.heads += len(line)
        if self.heads > MAX_HEAD:
            raise _MemberError(f"the heads of a record have more than {MAX_HEAD:,} bytes")
        return line


def _member(source: _Source, offset: int) -> Member:
    if not source.fill(len(GZIP)) or source.ahead[: len(GZIP)] != GZIP:
        raise _MemberError("no gzip member of ours begins here")
    inflating = _Inflating(source)
    lines = _Lines(inflating)
    try:
        record = _loader().parse_record_stream(lines, known_format="warc", check_digests=True)
        digest, length = hashlib.sha256(), 0
        while chunk := record.raw_stream.read(CHUNK):
            digest.update(chunk)
            length += len(chunk)
        whole = record.raw_stream.limit == 0 and lines.read(5) == b"\r\n\r\n"
    except _JUNK:
        raise _MemberError("its gzip member holds no WARC record") from None
    if not whole or not inflating.ended:
        raise _MemberError("a record of it has another length than it says")
    if inflating.made > FREE and inflating.made > MAX_RATIO * inflating.used:
        raise _MemberError(f"a record of it is packed more than {MAX_RATIO} times, as bombs are")
    if record.digest_checker.passed is False:
        raise _MemberError("a record of it is not what its own digests say")
    member = source.skip(inflating.used)
    headers = record.rec_headers
    return Member(
        (headers.get_header("WARC-Record-ID") or "").strip("<>"),
        record.rec_type or "",
        headers.get_header("WARC-Target-URI") or "",
        tuple(headers.headers),
        offset,
        len(member),
        hashlib.sha256(member).hexdigest(),
        digest.hexdigest(),
        length,
        member,
    )


def _resume(source: _Source) -> None:
    """Go on to the next member that begins like a record: a body may hold gzip members too."""
    source.skip(1)
    while source.fill(len(GZIP)):
        found = source.ahead.find(GZIP)
        if found < 0:
            source.skip(len(source.ahead) - len(GZIP) + 1)
            continue
        source.skip(found)
        source.fill(CHUNK)
        try:
            if zlib.decompressobj(31).decompress(source.ahead[:1024], 7) == b"WARC/1.":
                return
        except zlib.error:
            pass
        source.skip(1)
    source.skip(len(source.ahead))
