"""The form of sealed segments: a POSIX tar with one sealed capture a member.

In: sealed bytes, or a stream of such a tar. Out: frames (header block, bytes, padding), or what is
damaged and where. No secret is needed. Reading is stricter than tar: a frame that is not exactly
what `frame` makes is damage, so that no bit of it can be changed unseen; general tar files, with
links or long names, are not read.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from vanished.archive.capture.damage import Damage
from vanished.archive.capture.records import MAX_CAPTURE
from vanished.model import SECOND, Micros

SUFFIX: Final = ".warc.gz.age"
BLOCK: Final = 512
ENDING: Final = bytes(2 * BLOCK)
MAX_SEALED: Final = MAX_CAPTURE + (MAX_CAPTURE >> 10) + 65_536  # age adds 16 bytes per 64 KiB

_FIRST = re.compile(r"-(\d{12,20})\.tar$")
_NAME = re.compile(rb"(\d{12,20})\.warc\.gz\.age\0")


@dataclass(frozen=True, slots=True)
class Frame:
    """A sealed capture as it lies in a tar; offset, length and SHA-256 are of header to padding."""

    index: int
    sealed: bytes
    offset: int
    length: int
    sha256: bytes


def frame(index: int, when: Micros, sealed: bytes) -> bytes:
    """Header, bytes and padding of a sealed capture."""
    header = _header(f"{index:012d}{SUFFIX}", len(sealed), when // SECOND)
    return b"".join((header, sealed, bytes(-len(sealed) % BLOCK)))


def frames(stream: BinaryIO, file: str, end: int | None = None) -> Iterator[Frame | Damage]:
    """The frames of a tar up to byte `end`, in order; one that is still open has no ending.

    After a damaged header, reading goes on at the next block that is a header of ours.
    """
    offset = 0
    previous: int | None = None
    lost: tuple[int, int | None] | None = None
    while (end is None or offset < end) and (header := stream.read(BLOCK)):
        size = _size(header)
        if size is None:
            if not any(header) and not lost:
                yield from _ending(stream, file, offset)
                return
            lost = lost or (offset, _index(header))
            offset += len(header)
            continue
        index = _index(header)
        if lost:
            yield _lost(file, lost, previous, index)
            lost = None
        rest = stream.read(size + -size % BLOCK)
        length = len(header) + len(rest)
        if length < BLOCK + size + -size % BLOCK:
            yield Damage(file, offset, index, "the file ends in the middle of it")
        elif any(rest[size:]):
            yield Damage(file, offset, index, "the padding after it was changed")
        else:
            digest = hashlib.sha256(header)
            digest.update(rest)
            yield Frame(index or 0, rest[:size], offset, length, digest.digest())
        offset, previous = offset + length, index
    if lost:
        yield _lost(file, lost, previous, None)


def _lost(
    file: str, lost: tuple[int, int | None], previous: int | None, following: int | None
) -> Damage:
    """A capture without a header: named by its neighbours, by its own header only beside one.

    What is left of the header may itself be the damage, so a wrong name is worse than none.
    """
    offset, index = lost
    first = _FIRST.search(file)
    if previous is None and offset == 0:
        index = int(first[1]) if first else None
    elif previous is not None and following == previous + 2:
        index = previous + 1
    elif index not in (
        None if previous is None else previous + 1,
        None if following is None else following - 1,
    ):
        index = None
    return Damage(file, offset, index, "its tar header is damaged")


def _ending(stream: BinaryIO, file: str, offset: int) -> Iterator[Damage]:
    rest = stream.read(len(ENDING))
    if any(rest) or len(rest) > len(ENDING) - BLOCK:
        yield Damage(file, offset, None, "something follows the end of the tar")


def _header(name: str, size: int, mtime_s: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, mtime_s, 0o600
    return member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _size(header: bytes) -> int | None:
    """Size of the member if this is exactly a header of ours."""
    try:
        found = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        made = _header(found.name, found.size, int(found.mtime))
    except (tarfile.TarError, ValueError):
        return None
    ours = made == header and _index(header) is not None and 0 < found.size <= MAX_SEALED
    return found.size if ours else None


def _index(header: bytes) -> int | None:
    named = _NAME.match(header)
    return int(named[1]) if named else None
