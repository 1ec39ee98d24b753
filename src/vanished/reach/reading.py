"""Streams of OONI measurements, of all its tests: JSON lines, as they are, gzipped or in zstd.

In: a file as OONI publishes them (`.jsonl`, `.jsonl.gz`, `.jsonl.zst`), or one measurement (`.json`).
Out: the measurements one by one, and a `Tally` of what could not be read. Memory is bounded by the
longest line allowed, whatever the file unpacks to. Reading zstd needs `zstandard` (extra `reach`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vanished.errors import InputError
from vanished.reach.ooni_json import read
from vanished.reach.record import Measurement

CHUNK = 1 << 20
LONGEST_LINE = 64 << 20
"""Bytes of one measurement at most; OONI truncates bodies at 512 KiB or 1 MiB each."""

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
        opened = _opened(path)
    except OSError as fault:
        raise InputError(f"'{path}' cannot be read: {fault.strerror or fault}") from None
    with opened as file:
        if path.suffix == ".json":
            whole = file.read(LONGEST_LINE + 1)
            if len(whole) > LONGEST_LINE:
                tally.skip(path.name, f"more than {LONGEST_LINE >> 20} MiB, so no measurement")
            else:
                yield whole
            return
        yield from _split(_reading(file, path, tally), path, tally)


def _reading(file: IO[bytes], path: Path, tally: Tally) -> Callable[[], bytes]:
    """Read a chunk; an end in the middle of a packed file is said once, and is an end."""

    def chunk() -> bytes:
        try:
            return file.read(CHUNK)
        except (EOFError, OSError, zlib.error, *_zstd_errors()) as fault:
            tally.skip(path.name, f"the file is damaged from here on ({fault})")
            return b""

    return chunk


def _split(chunk: Callable[[], bytes], path: Path, tally: Tally) -> Iterator[bytes]:
    """Lines from chunks; one that is too long is dropped while it is read."""
    parts: list[bytes] = []
    size, dropping = 0, False
    while held := chunk():
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


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix in (".zst", ".zstd"):
        zstd = _zstd()
        file = path.open("rb")
        unpack = zstd.ZstdDecompressor(max_window_size=1 << 27)
        opened: AbstractContextManager[IO[bytes]] = unpack.stream_reader(
            file, read_across_frames=True, closefd=True
        )
        return opened
    return path.open("rb")


def _zstd() -> Any:
    try:
        import zstandard
    except ImportError:
        raise InputError(
            "reading zstd needs the package 'zstandard': pip install 'vanished[reach]'"
        ) from None
    return zstandard


def _zstd_errors() -> tuple[type[Exception], ...]:
    try:
        import zstandard
    except ImportError:
        return ()
    return (zstandard.ZstdError,)
