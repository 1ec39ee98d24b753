"""Writing captures with their receipts as one WACZ 1.1.1 that anybody can replay and check.

In: captures as they are stored, with manifest and receipt, and small files (stamps, keys,
statements). Out: a file that is whole or not there. The bytes of a capture are copied, never
rewritten, so that its receipt keeps holding. Same input and same time give the same file. Memory
does not grow with the bytes, only with the number of files inside (which `zipform.MEMBERS` caps).
It decides nothing about what may be published: everything that it is given is in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from vanished.archive import durable
from vanished.archive.wacz import datapackage
from vanished.archive.wacz.index import SortedLines, blocks, entries
from vanished.archive.wacz.readme import DESCRIPTION, README
from vanished.archive.wacz.zipform import MEMBERS
from vanished.errors import UsageError
from vanished.model import Micros, at

PART_BYTES: Final = 100_000_000
PART_CAPTURES: Final = 5_000
"""A WARC inside is closed at this size or after so many captures; their receipts wait till then."""

_SMALL = re.compile(r"(stamps|statements|receipts|rotations)/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PAGES = b'{"format": "json-pages-1.0", "id": "pages", "title": "All pages"}\n'
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One capture as it goes into the package."""

    index: int  # of its leaf in the log
    stored: bytes  # its gzip members, as they are stored
    manifest: bytes  # the public manifest, canonical JSON
    receipt: bytes  # tlog-proof; empty if there is none yet
    title: str = ""  # of its page in a list; the address if empty


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path
    size: int  # bytes
    captures: int
    warcs: int
    replayable: int  # records in the index
    unresolved: int  # records that repeat one which is not in this file, so cannot be replayed


@dataclass(slots=True)
class _Sink:
    """The ZIP while it is written, and what it holds so far."""

    zip: zipfile.ZipFile
    clock: tuple[int, int, int, int, int, int]
    resources: list[datapackage.Resource] = field(default_factory=list)

    def add(self, path: str, chunks: Iterable[bytes], *, listed: bool = True) -> None:
        """Store one member, chunk by chunk."""
        if len(self.resources) + 2 >= MEMBERS:
            raise UsageError(
                f"one WACZ holds at most {MEMBERS} files, which are about {MEMBERS // 2} captures: "
                "export a shorter time, or in several parts"
            )
        info = zipfile.ZipInfo(path, self.clock)
        info.external_attr = 0o100644 << 16
        info.create_system = 3
        digest, size = hashlib.sha256(), 0
        with self.zip.open(info, "w") as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if listed:
            self.resources.append(datapackage.Resource(path, size, f"sha256:{digest.hexdigest()}"))


def write_wacz(
    path: Path,
    captures: Iterable[Exhibit],
    *,
    observatory: str,
    created: Micros,
    vkeys: bytes,
    witnesses: bytes = b"",
    files: Iterable[tuple[str, bytes]] = (),
    title: str = "",
    part_bytes: int = PART_BYTES,
) -> Written:
    """Write the package at `path`, replacing what was there.

    `captures` are read once, in the order in which they shall lie; `vkeys` are the log's verifier
    keys, one a line, `witnesses` those of its witnesses; `files` go in as they are, under
    stamps/, statements/, receipts/ or rotations/. Raises UsageError (too many files, a name that no
    WACZ can have), EvidenceError (a capture that is no WARC), StorageError; `path` is then as it
    was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{durable.TEMPORARY}")
    with durable.refusals(f"write {path}"):
        try:
            with temporary.open("wb") as raw, zipfile.ZipFile(raw, "w") as archive:
                sink = _Sink(archive, _clock(created))
                counts = _warcs(sink, captures, path.parent, part_bytes)
                _small_files(sink, vkeys, witnesses, files)
                about = README.format(observatory=observatory, captures=counts[0])
                sink.add("about/README.txt", [about.encode()])
                _close(sink, title or f"Captures of the observatory {observatory}", created)
            size = temporary.stat().st_size
            durable.settle(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        durable.sync_folder(path.parent)
    return Written(path, size, *counts)


class _Captures:
    """The captures on their way into the parts, with what is noted of each as it passes."""

    def __init__(self, captures: Iterable[Exhibit], lines: SortedLines, pages: IO[bytes]) -> None:
        self._source = iter(captures)
        self._lines, self._pages = lines, pages
        self._seen: set[int] = set()
        self._held: set[str] = set()  # ids of records
        self._repeated: set[str] = set()
        self._next = next(self._source, None)
        self.waiting: list[tuple[str, bytes]] = []  # manifests and receipts of the open part
        self.replayable = 0

    @property
    def count(self) -> int:
        """How many have passed."""
        return len(self._seen)

    @property
    def unresolved(self) -> int:
        return len(self._repeated - self._held)

    def more(self) -> bool:
        return self._next is not None

    def part(self, warc: str, part_bytes: int) -> Iterator[bytes]:
        """The stored bytes that go into the file `warc`, one capture at a time."""
        size = count = 0
        while (capture := self._next) is not None:
            full = size + len(capture.stored) > part_bytes or count == PART_CAPTURES
            if count and full:
                return
            self._note(capture, size, warc)
            yield capture.stored
            size += len(capture.stored)
            count += 1
            self._next = next(self._source, None)

    def _note(self, capture: Exhibit, offset: int, warc: str) -> None:
        if capture.index in self._seen:
            raise UsageError(f"capture {capture.index} was given twice for one WACZ")
        self._seen.add(capture.index)
        found = entries(capture.stored, offset, warc, f"capture {capture.index}")
        for number, entry in enumerate(found):
            self._lines.add(entry.line)
            self.replayable += 1
            if entry.repeats:
                self._repeated.add(entry.repeats)
            else:
                self._held.add(entry.id)
            if number == 0:
                page = {
                    "id": str(capture.index),
                    "url": entry.url,
                    "ts": entry.date,
                    "title": capture.title or entry.url,
                }
                self._pages.write(json.dumps(page, ensure_ascii=False).encode() + b"\n")
        self.waiting.append((f"manifests/{capture.index}.json", capture.manifest))
        if capture.receipt:
            self.waiting.append((f"receipts/{capture.index}.tlog-proof", capture.receipt))


def _warcs(
    sink: _Sink, captures: Iterable[Exhibit], folder: Path, part_bytes: int
) -> tuple[int, int, int, int]:
    """WARCs, receipts, manifests, pages and index; the numbers of `Written`."""
    with closing(SortedLines(folder)) as lines, tempfile.TemporaryFile(dir=folder) as pages:
        pages.write(_PAGES)
        passing = _Captures(captures, lines, pages)
        if not passing.more():
            raise UsageError("no capture was chosen, so there is nothing to put into a WACZ")
        count = 0
        while passing.more():
            warc = f"data-{count:05d}.warc.gz"
            sink.add(f"archive/{warc}", passing.part(warc, part_bytes))
            for name, content in passing.waiting:
                sink.add(name, [content])
            passing.waiting.clear()
            count += 1
        pages.seek(0)
        sink.add("pages/pages.jsonl", iter(lambda: pages.read(_COPY_BYTES), b""))
        heads: list[bytes] = []
        sink.add("indexes/index.cdx.gz", blocks(lines, heads))
        sink.add("indexes/index.idx", heads)
        return passing.count, count, passing.replayable, passing.unresolved


def _small_files(
    sink: _Sink, vkeys: bytes, witnesses: bytes, files: Iterable[tuple[str, bytes]]
) -> None:
    sink.add("vkeys", [vkeys])
    if witnesses:
        sink.add("witnesses", [witnesses])
    taken = {resource.path for resource in sink.resources}
    for name, content in files:
        if not _SMALL.fullmatch(name) or name in taken:
            raise UsageError(f"no file of a WACZ can have the name {name[:120]!a} here")
        taken.add(name)
        sink.add(name, [content])


def _close(sink: _Sink, title: str, created: Micros) -> None:
    """The list of everything, and its hash."""
    listing, digest = datapackage.written(
        sink.resources,
        title=title,
        description=DESCRIPTION,
        created=f"{at(created):%Y-%m-%dT%H:%M:%SZ}",
    )
    sink.add(datapackage.NAME, [listing], listed=False)
    sink.add(datapackage.DIGEST_NAME, [digest], listed=False)


def _clock(created: Micros) -> tuple[int, int, int, int, int, int]:
    """The time of the members, UTC; a ZIP knows none before 1980."""
    year, month, day, hour, minute, second = time.gmtime(created // 1_000_000)[:6]
    return max((1980, 1, 1, 0, 0, 0), (year, month, day, hour, minute, second))
