"""Reading a WACZ from a stranger: what is in it, and whether it is what it says.

In: a path. Out: an open `Wacz`. Nothing is extracted to disk and nothing is loaded whole but small
members, under a cap; memory stays under 64 MB whatever the file. What was made to harm, or cannot
be read at all, is refused in one sentence (EvidenceError; InputError for what is no WACZ);
`problems` finds everything else that is not as listed. Whether a receipt holds, or what a WARC
record says, is not decided here.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from vanished.archive.wacz import datapackage
from vanished.archive.wacz.zipform import (
    DEFLATED,
    STORED,
    Directory,
    Member,
    in_chunks,
    read_directory,
)
from vanished.errors import EvidenceError, InputError

READ_BYTES: Final = 16 << 20
RECEIPT_BYTES: Final = 96 << 10
MANIFEST_BYTES: Final = 4 << 20
STAMP_BYTES: Final = 1 << 20

_RECEIPT = re.compile(r"receipts/(0|[1-9][0-9]{0,17})\.tlog-proof")
_MANIFEST = re.compile(r"manifests/(0|[1-9][0-9]{0,17})\.json")
_WARC = re.compile(r"archive/[^/]+\.warc(\.gz)?")
_INDEX = re.compile(r"indexes/[^/]+\.(cdxj?|cdxj?\.gz|idx)")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the file that is not as it should be."""

    place: str  # a member's name, or the bytes concerned
    sentence: str


class Wacz:
    """An open WACZ; a context manager. Reading from several threads at once is safe."""

    def __init__(self, file: io.FileIO, path: Path, directory: Directory) -> None:
        self.path = path
        self._file = file
        self._directory = directory
        self._members = {
            member.name: member for member in directory.members if not member.name.endswith("/")
        }
        self.names: tuple[str, ...] = tuple(sorted(self._members))
        if datapackage.NAME not in self._members:
            raise InputError(f"{path} is no WACZ: it is a ZIP without {datapackage.NAME}")
        listing = self.read(datapackage.NAME, datapackage.LIST_BYTES)
        self._list_hash = datapackage.hashed(listing)
        self.package = datapackage.read(listing, len(self.names), str(path))

    def __enter__(self) -> Wacz:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def ours(self) -> bool:
        """Whether it says that Vanished wrote it."""
        return self.package.software.startswith(datapackage.OURS)

    def read(self, name: str, cap: int = READ_BYTES) -> bytes:
        """A member's content. Raises EvidenceError: not there, larger than `cap`, or damaged."""
        member = self._member(name)
        if member.size > cap:
            raise EvidenceError(
                f"{self.path}: '{name}' has {member.size} bytes, more than the {cap} we read"
            )
        return b"".join(self._content(member))

    def stream(self, name: str) -> io.BufferedReader:
        """A member's content as a stream, not seekable; damage raises EvidenceError at its end."""
        return io.BufferedReader(_Stream(self._content(self._member(name))), 1 << 16)

    def warcs(self) -> Iterator[tuple[str, io.BufferedReader]]:
        """Name and content of each WARC, in the order of names."""
        for name in self.names:
            if _WARC.fullmatch(name):
                with self.stream(name) as stream:
                    yield name, stream

    def receipts(self) -> Iterator[tuple[int, bytes]]:
        """Index and text of each receipt, by index."""
        return self._numbered(_RECEIPT, RECEIPT_BYTES)

    def manifests(self) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of each public manifest, by index."""
        return self._numbered(_MANIFEST, MANIFEST_BYTES)

    def receipt(self, index: int) -> bytes | None:
        """The receipt of one capture, if it is there: for walking a file that is not to be trusted,
        all of whose receipts together may be large."""
        return self._one(f"receipts/{index}.tlog-proof", RECEIPT_BYTES)

    def manifest(self, index: int) -> bytes | None:
        """The public manifest of one capture, if it is there."""
        return self._one(f"manifests/{index}.json", MANIFEST_BYTES)

    def stamps(self) -> Iterator[tuple[str, bytes]]:
        """Name (within stamps/) and content of each stamp of a checkpoint."""
        for name in self.names:
            if name.startswith("stamps/"):
                yield name.removeprefix("stamps/"), self.read(name, STAMP_BYTES)

    def problems(self) -> Iterator[Problem]:
        """Everything that is not as the file itself lists it, by place; reads all that is listed.

        None means: these are the bytes that were packed. It does not mean that they are genuine;
        whoever changes a file can list it anew. That is what receipts and stamps are for.
        """
        yield from self._form()
        yield from self._digest()
        listed = self.package.resources
        for name in self.names:
            if name not in listed and name not in (datapackage.NAME, datapackage.DIGEST_NAME):
                yield Problem(name, f"is not listed in {datapackage.NAME}; check where it is from")
        for path, resource in listed.items():
            member = self._members.get(path)
            if member is None:
                yield Problem(path[:200], f"is listed in {datapackage.NAME}, but is not there")
            else:
                yield from self._compare(member, resource)

    def _form(self) -> Iterator[Problem]:
        for start, end in self._directory.gaps:
            yield Problem(f"bytes {start} to {end - 1}", "belong to no member of the ZIP")
        for what, pattern in (("a WARC", _WARC), ("an index", _INDEX)):
            if not any(pattern.fullmatch(name) for name in self.names):
                yield Problem(pattern.pattern.split("/")[0], f"holds not {what}, as a WACZ must")
        if not self.package.version.startswith("1."):
            yield Problem(datapackage.NAME, "names no version of WACZ that we know (1.x)")
        if not self.ours:
            return
        if self._directory.end64 not in (None, 45):
            yield Problem("end of the file", "has a ZIP64 end record that we never write")
        if self._directory.comment:
            yield Problem("end of the file", "has a comment, which we never write")
        for member in self._directory.members:
            if not in_our_form(member):
                place = f"{member.name} (its headers)"
                yield Problem(place, "has headers that we never write; the file was changed")

    def _digest(self) -> Iterator[Problem]:
        if datapackage.DIGEST_NAME not in self._members:
            yield Problem(
                datapackage.DIGEST_NAME, f"is not there, so nothing vouches for {datapackage.NAME}"
            )
            return
        try:
            raw = self.read(datapackage.DIGEST_NAME, datapackage.DIGEST_BYTES)
            said = datapackage.read_digest(raw, str(self.path))
        except EvidenceError as error:
            yield Problem(datapackage.DIGEST_NAME, str(error))
            return
        if said != self._list_hash:
            yield Problem(
                datapackage.NAME, f"has not the SHA-256 that {datapackage.DIGEST_NAME} gives"
            )

    def _compare(self, member: Member, resource: datapackage.Resource) -> Iterator[Problem]:
        if resource.size != member.size:
            yield Problem(
                member.name, f"has {member.size} bytes, but {resource.size} are listed for it"
            )
        if not resource.hash.startswith("sha256:"):
            yield Problem(member.name, "is listed without a SHA-256, so nothing vouches for it")
            return
        digest = hashlib.sha256()
        try:
            for chunk in self._content(member):
                digest.update(chunk)
        except EvidenceError as error:
            yield Problem(member.name, str(error))
            return
        if resource.hash != f"sha256:{digest.hexdigest()}":
            yield Problem(member.name, f"has not the SHA-256 that {datapackage.NAME} gives")

    def _member(self, name: str) -> Member:
        member = self._members.get(name)
        if member is None:
            raise EvidenceError(f"{self.path}: it has no member '{name}'")
        return member

    def _one(self, name: str, cap: int) -> bytes | None:
        return self.read(name, cap) if name in self._members else None

    def _numbered(self, pattern: re.Pattern[str], cap: int) -> Iterator[tuple[int, bytes]]:
        found = [(int(match[1]), match[0]) for match in map(pattern.fullmatch, self.names) if match]
        for index, name in sorted(found):
            yield index, self.read(name, cap)

    def _content(self, member: Member) -> Iterator[bytes]:
        """The content in chunks, never more than announced. Raises EvidenceError for damage."""
        label = f"{self.path}: '{member.name}'"
        crc = size = 0
        chunks = in_chunks(self._file.fileno(), member, label)
        for chunk in _inflated(chunks, member, label) if member.method == DEFLATED else chunks:
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            yield chunk
        if size != member.size or crc != member.crc:
            raise EvidenceError(f"{label} is damaged: its content has not the CRC-32 it should")


class _Stream(io.RawIOBase):
    """Chunks as a raw stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        length = min(len(buffer), len(self._rest))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        return length


def open_wacz(path: Path) -> Wacz:
    """Open a WACZ that may be anything; see `Wacz`. Raises InputError and EvidenceError."""
    try:
        file = io.FileIO(path, "r", opener=_without_waiting)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        return Wacz(file, path, read_directory(file.fileno(), str(path)))
    except OSError as error:
        file.close()
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except BaseException:
        file.close()
        raise


def _without_waiting(path: str, flags: int) -> int:
    """Open; a pipe that nobody writes to does not hold us up."""
    return os.open(path, flags | os.O_NONBLOCK)


def in_our_form(member: Member) -> bool:
    """Whether the headers are as `package` writes them, where nothing else would show a change."""
    made_by, needed, inside, outside, needed_here = member.form
    version = 45 if member.extra else 20  # with a ZIP64 field for a member far inside a large file
    return (
        (made_by, needed, inside) == (3 << 8 | version, version, 0)
        and (outside, needed_here) == (0o100644 << 16, 20)
        and member.extra in (0, 12)
        and member.method == STORED
    )


def _inflated(chunks: Iterator[bytes], member: Member, label: str) -> Iterator[bytes]:
    """The content of a deflated member; stops as soon as it is longer than announced."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    left = member.size
    try:
        for chunk in itertools.chain(chunks, [b""]):  # the last one asks for what it holds back
            if inflate.eof and chunk:
                break
            rest, piece = chunk, b"-"
            while (rest or piece) and not inflate.eof:
                piece = inflate.decompress(rest, 1 << 16)
                rest = inflate.unconsumed_tail
                left -= len(piece)
                if left < 0:
                    raise EvidenceError(f"{label} unpacks to more than the bytes it announces")
                if piece:
                    yield piece
    except zlib.error as error:
        raise EvidenceError(f"{label} is damaged: {error}") from None
    if not inflate.eof or inflate.unused_data or chunk:
        raise EvidenceError(f"{label} is damaged: its content does not end where it should")
