"""Reading captures back, hostile or damaged ones too, with bounded memory.

In: a stream of gzip members (a plain segment, an opened sealed capture, a WARC out of a WACZ), or a
segment. Out: one `Read` a capture, with what is damaged in it; `check_capture` says whether it is
what its manifest says. Needs nothing beyond a core install: zlib opens the members, warcio parses.
Whether a capture stands in the log, and whether one is missing, is for others to say.

Memory stays below MAX_CAPTURE and a few MB: members are kept compressed and opened again when
asked; what opens to more than MAX_RECORD bytes, or is a gzip bomb by MAX_RATIO, is damage.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from vanished.archive.capture import tar
from vanished.archive.capture.damage import Damage
from vanished.archive.capture.manifest import Manifest, Stored, leaf_hash, opened
from vanished.archive.capture.members import Member, headers_of, inflated, members
from vanished.archive.capture.records import (
    FACTS_URI,
    GZIP,
    MANIFEST_URI,
    MAX_CAPTURE,
    MAX_RECORDS,
    REVISIT,
    manifest_record,
)
from vanished.archive.capture.sealing import Identities
from vanished.archive.capture.segments import SEALED, Place, first_index
from vanished.archive.durable import refusals
from vanished.errors import EvidenceError, UsageError

MAX_FACTS: Final = 16 << 20  # bytes of JSON

_INDEX = re.compile(f"(?:{re.escape(FACTS_URI)}|{re.escape(MANIFEST_URI)})(\\d{{1,16}})")


@dataclass(frozen=True, slots=True)
class Read:
    """A capture as it was found; `manifest` is None where it is missing or damaged.

    `offset`, `length` and `sha256` are of the bytes in the file, as in its `Place`; `sha256` is
    empty where some of them are damaged. Offsets of `records` count from the capture's beginning in
    a sealed segment, else from the file's.
    """

    file: str
    index: int | None
    offset: int
    length: int
    sha256: bytes
    records: tuple[Member, ...]  # the last one holds the manifest, if that is not damaged
    manifest: Manifest | None
    salt: bytes
    damage: tuple[Damage, ...]
    closed: bool = False  # sealed to other keys than were given, so that nothing in it was read

    @property
    def leaf(self) -> bytes:
        """The leaf of the log that commits to this capture; empty without a manifest."""
        return leaf_hash(self.salt, self.manifest.to_bytes()) if self.manifest else b""

    @property
    def facts(self) -> dict[str, Any]:
        """What the watch read from these records. Raises EvidenceError if that is no such JSON."""
        for record in self.records:
            if record.uri.startswith(FACTS_URI) and record.payload_length <= MAX_FACTS:
                try:
                    facts = json.loads(record.payload())
                except (ValueError, RecursionError):
                    break
                if isinstance(facts, dict) and facts.get("format") == "vanished-facts/1":
                    return facts
        raise EvidenceError(f"capture {self.index} in {self.file} holds no facts in known form")


def captures(stream: BinaryIO, file: str, end: int | None = None) -> Iterator[Read]:
    """The captures of a stream of gzip members, up to byte `end` of it; `file` is its name.

    Damaged members stand in `Read.damage`; reading goes on with the next sound one.
    """
    group = _Group(file)
    for unit in members(stream, file, end):
        group.add(unit)
        if isinstance(unit, Member) and unit.uri.startswith(MANIFEST_URI):
            yield from group.finish(unit)
    yield from group.rest()


def read_segment(
    path: Path, identities: Identities | None = None, end: int | None = None
) -> Iterator[Read]:
    """The captures of a segment, plain or sealed, up to the acknowledged byte `end`.

    Raises UsageError for a sealed one without `identities`, StorageError if it cannot be read.
    """
    with refusals(f"read the segment {path}"), path.open("rb") as stream:
        if path.name.endswith(SEALED):
            yield from _sealed(stream, path.name, _given(identities, path), end)
        else:
            yield from captures(stream, path.name, end)


def read_at(folder: Path, place: Place, identities: Identities | None = None) -> Read:
    """The capture at a place.

    Raises EvidenceError if its bytes are not those that were stored there, UsageError for a sealed
    one without `identities`, StorageError if it cannot be read.
    """
    path = folder / place.segment
    with refusals(f"read the segment {path}"), path.open("rb") as stream:
        stream.seek(place.offset)
        kept = stream.read(place.length)
    if hashlib.sha256(kept).digest() != place.sha256:
        raise EvidenceError(
            f"the capture at byte {place.offset} of {path} is not what was stored there; "
            f"restore the segment from a backup"
        )
    if place.segment.endswith(SEALED):
        found = _sealed(BytesIO(kept), path.name, _given(identities, path), None)
    else:
        found = captures(BytesIO(kept), path.name)
    return replace(next(found), offset=place.offset)


def _given(identities: Identities | None, path: Path) -> Identities:
    if identities is None:
        raise UsageError(f"{path} is sealed; give the secret half of a key that it is sealed to")
    return identities


def check_capture(read: Read) -> list[Damage]:
    """All that is wrong with a capture by itself; [] if it is what its manifest says.

    The caller still compares `read.leaf` with the log, and a revisit's target with the captures.
    """
    manifest = read.manifest
    if manifest is None:
        return list(read.damage) or [read_damage(read, "its manifest is missing")]
    wrong = list(read.damage)
    records, last = read.records[:-1], read.records[-1]
    found = {record.id: record for record in records}
    order = [stored.id for stored in manifest.records]
    if not read.damage and [record.id for record in records] != order:
        wrong.append(read_damage(read, "its records are not those that its manifest lists"))
    for stored in manifest.records:
        record = found.get(stored.id)
        if record is not None:
            words = [*_differences(stored, record), *_links(record, set(order))]
            wrong += [Damage(read.file, record.offset, read.index, each) for each in words]
    if sorted(last.headers) != sorted(headers_of(manifest_record(read.salt, manifest))):
        wrong.append(read_damage(read, "the head of its manifest's record was changed"))
    if not _plainly_packed(last.member):
        wrong.append(read_damage(read, "unused bits of its manifest's record were changed"))
    if not wrong:
        try:
            _ = read.facts
        except EvidenceError:
            wrong.append(read_damage(read, "it holds no facts in known form"))
    return wrong


def read_damage(read: Read, what: str) -> Damage:
    """Damage of a capture as a whole."""
    return Damage(read.file, read.offset, read.index, what)


def _differences(stored: Stored, record: Member) -> Iterator[str]:
    name = f"record {stored.id}"
    if (record.type, record.sha256, record.length) != (stored.type, stored.sha256, stored.length):
        yield f"{name} is not what its manifest says"
    if record.type == "revisit":  # its payload lies elsewhere
        if record.header("WARC-Payload-Digest") != f"sha256:{stored.payload_sha256}":
            yield f"the payload that {name} refers to is not the one that its manifest says"
    elif (record.payload_sha256, record.payload_length) != (
        stored.payload_sha256,
        stored.payload_length,
    ):
        yield f"the payload of {name} is not what its manifest says"


def _links(record: Member, own: set[str]) -> Iterator[str]:
    beside = [value[1:-1] for name, value in record.headers if name == "WARC-Concurrent-To"]
    if record.type == "request" and len(beside) != 1:
        yield f"the request {record.id} does not name its response"
    if not own.issuperset(beside):
        yield f"record {record.id} belongs to a record that the capture does not hold"
    if record.type == "revisit":
        target = record.header("WARC-Refers-To")
        if not target.startswith("<urn:uuid:") or record.header("WARC-Profile") != REVISIT:
            yield f"the revisit {record.id} does not name the record that holds its payload"


def _plainly_packed(member: bytes) -> bool:
    """Whether the bits that pad the last byte of deflate data are 0, as every packer leaves them.

    They are the only ones of the manifest's member that neither its CRC nor the leaf covers.
    """
    data, last = member[len(GZIP) : -9], member[-9]
    if not last:
        return True
    without = last & ~(1 << (last.bit_length() - 1))
    try:
        inflater = zlib.decompressobj(-15)
        same = inflater.decompress(data + bytes([without]), 1 << 26)
    except zlib.error:
        return True
    return not inflater.eof or same != inflated(member)


@dataclass(slots=True)
class _Group:
    """The members since the last manifest: one capture, or the rests of a damaged one before it."""

    file: str
    units: list[Member | Damage] = field(default_factory=list)
    previous: int | None = None  # index of the last capture that had a manifest
    size: int = 0

    def add(self, unit: Member | Damage) -> None:
        if isinstance(unit, Damage):
            # Bytes that are no members, one after another, are one damage.
            if not self.units or isinstance(self.units[-1], Member):
                self.units.append(unit)
            return
        self.size += unit.length
        if self.size > MAX_CAPTURE or len(self.units) > MAX_RECORDS:
            what = "more stands here than a capture can hold"
            self.units = [Damage(self.file, self.units[0].offset, None, what)]
            self.size = unit.length
        self.units.append(unit)

    def finish(self, last: Member) -> Iterator[Read]:
        """The capture that `last` ends, after what is left of one that lost its manifest."""
        try:
            salt, content = opened(last.payload())
            manifest = Manifest.from_bytes(content)
        except EvidenceError as error:
            self.units[-1] = Damage(self.file, last.offset, None, str(error))
            yield self._read(self.units, last, None, b"", None)
            self._begin(_index((last,)))
            return
        places = {stored.id: place for place, stored in enumerate(manifest.records)}
        start = max(0, len(self.units) - 1 - len(places))
        for number, unit in enumerate(self.units):
            if isinstance(unit, Member) and unit.id in places:
                start = max(0, number - places[unit.id])
                break
        if start:
            yield self._read(self.units[:start], last, None, b"", manifest.index)
        yield self._read(self.units[start:], last, manifest, salt, None)
        self._begin(manifest.index)

    def rest(self) -> Iterator[Read]:
        """What stands after the last manifest: nothing, in a sound segment."""
        if self.units:
            yield self._read(self.units, None, None, b"", None)

    def _begin(self, previous: int | None) -> None:
        self.units, self.size, self.previous = [], 0, previous

    def _read(
        self,
        units: list[Member | Damage],
        last: Member | None,
        manifest: Manifest | None,
        salt: bytes,
        following: int | None,
    ) -> Read:
        records = tuple(unit for unit in units if isinstance(unit, Member))
        index = manifest.index if manifest else _index(records)
        if index is None and last is not None and following is None:
            index = _index((last,))
        if index is None and self.previous is None:
            index = first_index(self.file)
        elif index is None and self.previous is not None and following == self.previous + 2:
            index = self.previous + 1
        damage = [replace(unit, index=index) for unit in units if isinstance(unit, Damage)]
        if not damage and manifest is None:
            damage = [Damage(self.file, units[0].offset, index, "its manifest is missing")]
        digest = hashlib.sha256()
        for record in records:
            digest.update(record.member)
        return Read(
            self.file,
            index,
            units[0].offset,
            sum(record.length for record in records),
            b"" if damage else digest.digest(),
            records,
            manifest,
            salt,
            tuple(damage),
        )


def _index(records: tuple[Member, ...]) -> int | None:
    """The index that the records' own addresses name."""
    named = (_INDEX.fullmatch(record.uri) for record in records)
    return next((int(found[1]) for found in named if found), None)


def _sealed(stream: BinaryIO, file: str, identities: Identities, end: int | None) -> Iterator[Read]:
    for framed in tar.frames(stream, file, end):
        if isinstance(framed, Damage):
            yield Read(file, framed.index, framed.offset, 0, b"", (), None, b"", (framed,))
            continue
        closed = False
        try:
            plain = identities.open(framed.sealed)
            found = list(captures(BytesIO(plain), file))
            what = "its sealed member holds more than one capture" if len(found) != 1 else ""
        except EvidenceError as error:
            found, what = [], str(error)
        except UsageError as error:
            found, what, closed = [], str(error), True
        if not what and found[0].index != framed.index:
            what = "its sealed member is named for another capture"
        read = found[0] if found else Read(file, None, 0, 0, b"", (), None, b"", ())
        damage = [replace(each, offset=framed.offset) for each in read.damage]
        if what:
            damage.append(Damage(file, framed.offset, framed.index, what))
        yield replace(
            read,
            index=framed.index,
            offset=framed.offset,
            length=framed.length,
            sha256=framed.sha256,
            damage=tuple(damage),
            closed=closed,
        )
