"""The segments of `captures/`: append-only files of captures, plain or sealed.

In: captures. Out: their places. A plain segment is a WARC, captures one after another. A sealed one
is a POSIX tar with one member a capture, encrypted before it touches the disk. A capture counts
once the caller has acknowledged its place; what a crash left behind the last acknowledged place is
cut off on reopening. Nothing else is ever changed but by `forget`, which runs while no writer is
open.

`<name>` is the UTC and the index of the segment's first capture: 20261124T170000Z-000000000042.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from vanished.archive.capture import tar
from vanished.archive.capture.records import Capture
from vanished.archive.capture.sealing import Recipients
from vanished.archive.durable import TEMPORARY, make_folder, refusals, settle, sync_folder
from vanished.errors import DamagedError, StorageError
from vanished.model import MINUTE, Micros, at, micros

PLAIN: Final = ".warc.gz"
SEALED: Final = ".tar"
ENDINGS: Final = {PLAIN: b"", SEALED: tar.ENDING}
"""What a finished segment of each form ends with."""

MAX_BYTES: Final = 64 << 20
MAX_AGE: Final = 15 * MINUTE

_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d{12,})(\.warc\.gz|\.tar)")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a capture lies: bytes `offset` to `end` of a segment, and their SHA-256.

    Of a sealed capture these are the tar member with its header, so that whoever holds no secret
    can still tell whether they were changed.
    """

    segment: str  # file name in captures/
    offset: int
    length: int
    sha256: bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


Framed = Callable[[Capture], bytes]


def _plain(capture: Capture) -> bytes:
    return capture.members


def _sealed(recipients: Recipients) -> Framed:
    return lambda capture: tar.frame(
        capture.index, capture.captured_at, recipients.seal(capture.members)
    )


class SegmentWriter:
    """Appends captures to the newest segment of a folder; `open` one. One writer at a time."""

    def __init__(
        self, folder: Path, recipients: Recipients | None, max_bytes: int, max_age: Micros
    ) -> None:
        self.folder = folder
        self._suffix = PLAIN if recipients is None else SEALED
        self._framed = _plain if recipients is None else _sealed(recipients)
        self._limits = max_bytes, max_age
        self._file: BinaryIO | None = None
        self._name = ""
        self._since: Micros = 0
        self._end = 0  # of the last whole batch

    @classmethod
    def open(
        cls,
        folder: Path,
        acknowledged: Place | None,
        recipients: Recipients | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        max_age: Micros = MAX_AGE,
    ) -> SegmentWriter:
        """Open `folder`, made if missing, and cut off what follows the last acknowledged place.

        `acknowledged` is the newest place that counts, None if none does. Raises DamagedError
        where a segment lacks what was acknowledged, or where more follows than a crash can leave
        (an old present put back); nothing is cut off then.
        """
        writer = cls(folder, recipients, max_bytes, max_age)
        with refusals(f"open the captures {folder}"):
            make_folder(folder)
            _cut_back(folder, acknowledged)
            if acknowledged is not None:
                writer._continue(acknowledged)
        return writer

    def append(self, captures: Iterable[Capture]) -> list[Place]:
        """Store a batch with one fsync; its places, durable but not yet acknowledged.

        All of them go to one segment: a new one if the newest is over its size or age. They are
        taken one by one and written as they come. Raises StorageError, or what taking the next one
        raises; the segment is then as before.
        """
        coming = iter(captures)
        first = next(coming, None)
        if first is None:
            return []
        with refusals(f"add to the captures {self.folder}"):
            file = self._file_for(first)
            offset, places, waiting = self._end, [], bytearray()
            try:
                for capture in chain([first], coming):
                    framed = self._framed(capture)
                    digest = hashlib.sha256(framed).digest()
                    places.append(Place(self._name, offset, len(framed), digest))
                    offset += len(framed)
                    waiting += framed
                    if len(waiting) >= _CHUNK:
                        _write(file, waiting)
                        waiting = bytearray()
                _write(file, waiting)
                os.fsync(file.fileno())
            except BaseException:
                self._retreat(file)
                raise
            self._end = offset
        return places

    def close(self) -> None:
        """Finish the newest segment; a later `open` with its last place continues it."""
        with refusals(f"finish the segment {self.folder / self._name}"):
            self._finish()

    def _continue(self, acknowledged: Place) -> None:
        """Take the newest segment up again, or finish it if it has the other form by now."""
        self._name = acknowledged.segment
        began, _, suffix = _parts(self._name)
        self._since = began
        self._end = acknowledged.end
        self._file = (self.folder / self._name).open("r+b", buffering=0)
        self._file.seek(self._end)
        if suffix != self._suffix:
            self._finish()

    def _file_for(self, first: Capture) -> BinaryIO:
        max_bytes, max_age = self._limits
        if self._file is not None:
            if self._end < max_bytes and first.captured_at - self._since < max_age:
                return self._file
            self._finish()
        name = f"{at(first.captured_at):%Y%m%dT%H%M%SZ}-{first.index:012d}{self._suffix}"
        # A file of that name was left by a batch that nobody acknowledged: it does not count.
        file = (self.folder / name).open("w+b", buffering=0)
        self._file, self._name, self._since, self._end = file, name, first.captured_at, 0
        try:
            sync_folder(self.folder)
        except BaseException:
            self._retreat(file)
            raise
        return file

    def _retreat(self, file: BinaryIO) -> None:
        """Back to the end of the last whole batch; if even that fails, reopening does it."""
        try:
            if self._end:
                file.truncate(self._end)
                file.seek(self._end)
                return
            (self.folder / self._name).unlink()  # the next batch may begin with another capture
        except OSError:
            pass
        self._file = None
        file.close()

    def _finish(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        with file:
            ending = ENDINGS[_parts(self._name)[2]]
            if ending:
                _write(file, ending)
                os.fsync(file.fileno())


def _write(file: BinaryIO, content: bytes | bytearray) -> None:
    """All of it: a nearly full disk takes a part, says how much, and refuses only the rest."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def segments(folder: Path) -> list[Path]:
    """The segments of a folder, oldest first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: _parts(path.name)[1])


def first_index(name: str) -> int | None:
    """The index of a segment's first capture as its name says it; None for another file."""
    return _parts(name)[1] if _NAME.fullmatch(name) else None


def forget(folder: Path, gone: Iterable[Place], staying: Iterable[Place]) -> dict[Place, Place]:
    """Rewrite the segments that hold `gone` without them; where the others lie now.

    `staying` are all other acknowledged places of the folder (those of other segments are not
    looked at). No secret is needed. Each segment is replaced as a whole; a segment with nothing
    left goes. Only places that moved are returned. After a crash, call it again with the same
    places: a segment that was rewritten already is known by its size and not rewritten twice. No
    writer may be open. Raises DamagedError, before anything is changed in a segment, where it does
    not hold what the places say.
    """
    leaving: dict[str, set[Place]] = {}
    for place in gone:
        leaving.setdefault(place.segment, set()).add(place)
    left: dict[str, list[Place]] = {name: [] for name in leaving}
    for place in staying:
        if place.segment in left and place not in leaving[place.segment]:
            left[place.segment].append(place)
    moved: dict[Place, Place] = {}
    with refusals(f"forget captures in {folder}"):
        for stray in folder.glob(f"*{TEMPORARY}"):  # of a forgetting that was cut short
            stray.unlink()
        for name, away in leaving.items():
            kept = sorted(left[name], key=lambda place: place.offset)
            moved.update(_rewrite(folder / name, away, kept))
        sync_folder(folder)
    return moved


def _rewrite(path: Path, gone: set[Place], kept: list[Place]) -> Iterator[tuple[Place, Place]]:
    ending = ENDINGS[_parts(path.name)[2]]
    old = max(place.end for place in (*gone, *kept))
    new = sum(place.length for place in kept)
    size = path.stat().st_size if path.exists() else 0
    done = new <= size <= new + len(ending) if kept else not size
    if not done:
        if not old <= size <= old + len(ending):  # an ending may be missing or cut short
            raise DamagedError(
                f"the segment {path} has {size} bytes, its captures end at {old}; "
                f"restore it from a backup before forgetting anything in it"
            )
        if kept:
            _copy(path, kept, ending)
        else:
            path.unlink()
    offset = 0
    for place in kept:
        if offset != place.offset:
            yield place, replace(place, offset=offset)
        offset += place.length


def _copy(path: Path, kept: list[Place], ending: bytes) -> None:
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with path.open("rb") as source, temporary.open("wb") as target:
            for place in kept:
                digest = hashlib.sha256()
                source.seek(place.offset)
                for chunk in _chunks(source, place.length):
                    digest.update(chunk)
                    target.write(chunk)
                if digest.digest() != place.sha256:
                    raise DamagedError(
                        f"the capture at byte {place.offset} of {path} is not what was stored; "
                        f"restore the segment from a backup before forgetting anything in it"
                    )
            target.write(ending)
        settle(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _chunks(source: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := source.read(min(_CHUNK, length))):
        length -= len(chunk)
        yield chunk


def _cut_back(folder: Path, acknowledged: Place | None) -> None:
    """Remove what a crash can have left behind `acknowledged`: the rest of one batch."""
    found = segments(folder)
    names = [path.name for path in found]
    if acknowledged is None:
        later = found
    elif acknowledged.segment in names:
        later = found[names.index(acknowledged.segment) + 1 :]
        path = folder / acknowledged.segment
        if path.stat().st_size < acknowledged.end:
            raise DamagedError(
                f"the segment {path} has {path.stat().st_size} bytes, {acknowledged.end} were "
                f"acknowledged; restore it from a backup (vanished verify lists all such files)"
            )
    else:
        raise DamagedError(
            f"the segment {folder / acknowledged.segment} is missing; restore it from a backup"
        )
    if len(later) > 1:
        raise DamagedError(
            f"{folder} holds {len(later)} segments (from {later[0].name} on) that the present does "
            f"not know, more than a crash can leave; nothing was deleted: put the newest "
            f"present.sqlite back, or move the segments away"
        )
    for path in (*later, *folder.glob(f"*{TEMPORARY}")):
        path.unlink()
    if acknowledged is not None:
        with (folder / acknowledged.segment).open("r+b", buffering=0) as file:
            file.truncate(acknowledged.end)
            os.fsync(file.fileno())
    sync_folder(folder)


def _parts(name: str) -> tuple[Micros, int, str]:
    """(time, index, suffix) that a segment's name says."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise StorageError(f"'{name}' names no segment; check which file the present names")
    try:
        began = micros(datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
    except ValueError:
        raise StorageError(f"'{name}' names no segment: its time is no time") from None
    return began, int(found[2]), found[3]
