"""Streams of OONI measurements, of all its tests: JSON lines, as they are, gzipped or in zstd.

In: a file as OONI publishes them (`.jsonl`, `.jsonl.gz`, `.jsonl.zst`), or one (`.json`).
Out: the measurements one by one, and a `Tally` of what could not be read. Memory is bounded by the
longest line allowed, whatever the file unpacks to. Reading zstd needs `zstandard` (extra `reach`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from vanished.errors import InputError
from vanished.reach.ooni_json import read
from vanished.reach.record import Measurement

CHUNK = 1 << 17
LONGEST_LINE = 64 << 20
"""Bytes of one measurement at most; OONI truncates bodies at 512 KiB or 1 MiB each."""

ZSTD_PIECE = 1024
"""Bytes given to zstd at once: its blocks unpack to 128 KiB each and may be 4 bytes long."""

MOST_SAID = 20


@dataclass(slots=True)
class Tally:
    """What a reading came to; counts of lines.

    `said` has a sentence for each of the first lines that were skipped, and for a broken end.
    """

    read: int = 0
    skipped: int = 0  # no measurement, too long, or no JSON
    other_tests: int = 0  # measurements of tests that were not asked for
    mended: int = 0  # of those read: fields of a wrong type were left out
    said: list[str] = field(default_factory=list)

    def skip(self, place: str, why: str) -> None:
        """Count a line that could not be read."""
        self.skipped += 1
        self.say(f"{place}: {why}")

    def say(self, sentence: str) -> None:
        """Keep a sentence, up to a number."""
        if len(self.said) < MOST_SAID:
            self.said.append(sentence)


def measurements(
    path: Path, tally: Tally | None = None, tests: Collection[str] = ()
) -> Iterator[Measurement]:
    """The measurements in the file at `path`, in its order; of `tests` only, if any are named.

    Lines that are no measurement are skipped and counted in `tally`, and so is what follows a
    damaged part of a packed file. Raises InputError if the file cannot be opened.
    """
    tally = Tally() if tally is None else tally
    for number, line in enumerate(_lines(path, tally), start=1):
        if not line.strip():
            continue
        try:
            found = read(line)
        except InputError as fault:
            tally.skip(f"{path.name}, line {number}", str(fault))
            continue
        if tests and found.measurement.test_name not in tests:
            tally.other_tests += 1
            continue
        tally.read += 1
        tally.mended += bool(found.left_out)
        yield found.measurement


def _lines(path: Path, tally: Tally) -> Iterator[bytes]:
    """The lines of the file, unpacked; a `.json` file is one line."""
    try:
        file = path.open("rb")
    except OSError as fault:
        raise InputError(f"'{path}' cannot be read: {fault.strerror or fault}") from None
    with file:
        if path.suffix == ".json":
            whole = file.read(LONGEST_LINE + 1)
            if len(whole) > LONGEST_LINE:
                tally.skip(path.name, f"more than {LONGEST_LINE >> 20} MiB, so no measurement")
            else:
                yield whole
            return
        yield from _split(_until_damage(_unpacked(file, path.suffix), path, tally), path, tally)


def _until_damage(chunks: Iterator[bytes], path: Path, tally: Tally) -> Iterator[bytes]:
    """The chunks up to where a packed file is damaged or breaks off, which is said."""
    try:
        yield from chunks
    except (EOFError, OSError, zlib.error) as fault:
        tally.skip(path.name, f"the file is damaged from here on ({fault})")


def _split(chunks: Iterator[bytes], path: Path, tally: Tally) -> Iterator[bytes]:
    """Lines from chunks; one that is too long is dropped while it is read."""
    parts: list[bytes] = []
    size, dropping = 0, False
    for held in chunks:
        first, *rest = held.split(b"\n")
        for last, piece in [(False, first), *((True, one) for one in rest)]:
            if last:
                if not dropping:
                    yield b"".join(parts)
                parts, size, dropping = [], 0, False
            if dropping:
                continue
            parts.append(piece)
            size += len(piece)
            if size > LONGEST_LINE:
                tally.skip(path.name, f"a line of more than {LONGEST_LINE >> 20} MiB")
                parts, dropping = [], True
    if parts and not dropping:
        yield b"".join(parts)


def _unpacked(file: IO[bytes], suffix: str) -> Iterator[bytes]:
    """The file in chunks of bounded size. Raises EOFError if a packed one breaks off."""
    if suffix in (".zst", ".zstd"):
        yield from _zstd(file)
        return
    plain = gzip.GzipFile(fileobj=file) if suffix == ".gz" else file
    while chunk := plain.read(CHUNK):
        yield chunk


def _zstd(file: IO[bytes]) -> Iterator[bytes]:
    """The frames of a zstd file, in small pieces: what a piece can unpack to is bounded."""
    try:
        import zstandard
    except ImportError:
        raise InputError(
            "reading zstd needs the package 'zstandard': pip install 'vanished[reach]'"
        ) from None
    unpack = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame, begun = unpack.decompressobj(), False
    while piece := file.read(ZSTD_PIECE):
        while piece:
            try:
                yield frame.decompress(piece)
            except zstandard.ZstdError as fault:
                raise OSError(str(fault)) from None
            piece, begun = b"", True
            if frame.eof:
                piece = frame.unused_data
                frame, begun = unpack.decompressobj(), False
    if begun:
        raise EOFError("the last frame of zstd has no end")
