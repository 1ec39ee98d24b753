"""Read dated snapshots of lists, such as the block lists of YY and Sina Show that Citizen Lab kept.

In: a folder or a tar archive with files `LIST/YYYY-MM-DD-HH.…`, each the whole list as it was read
within that hour, UTC: one entry a line, UTF-8. Out: the entries as posts of their list; an entry
that a sound snapshot lacks was taken off by whoever keeps the list. What a snapshot proves is
what that file says; a file that is cut, empty, an error page or foreign is a gap, never a loss
(`believing`). Whether the list filters anything, and for whom, it does not say.
"""

from __future__ import annotations

import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from vanished.archive.columns import GAP, WATCHED, Coverage
from vanished.errors import InputError
from vanished.model import (
    ALIVE,
    HOUR,
    Account,
    Cause,
    Kind,
    Micros,
    Observation,
    Post,
    Signal,
    Version,
    Via,
    at,
    micros,
    version_hash,
)
from vanished.sources import Naming
from vanished.sources.imports import Imported
from vanished.sources.imports.believing import Believed, Reading, believe

PLATFORM: Final = "list"
VANTAGE: Final = "snapshots"
TAKEN_OFF: Final = Signal(Kind.GONE, frozenset({Cause.PLATFORM}), rule="list/taken-off@1")
"""A list is its keeper's alone; that the whole of it lacks an entry is the fact itself."""

LONGEST_FILE: Final = 64 << 20
LONGEST: Final = 2 << 30
"""Bytes of one snapshot, and of all together once unpacked: an archive may be made to fill us."""

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-(\d\d)\.[A-Za-z]+")
_LEVEL = re.compile(r"\s*\d+: ")  # Sina Show writes the level of an entry before it
_PAGE = re.compile(rb"\s*<(?:!doctype|\?xml|html|head|body|h1|title)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Stay:
    """An entry was (`on`) or was not on the list in the sound readings `first` to `last`."""

    entry: str
    on: bool
    first: int
    last: int


def read(path: Path, name: Naming) -> Imported:
    """Everything that the snapshots at `path` say, in our nouns; `name` gives the pseudonyms.

    Raises InputError if there is no snapshot, or the archive is damaged or too large.
    """
    accounts: list[Account] = []
    posts: list[Post] = []
    versions: list[tuple[str, Micros, Version]] = []
    observations: list[Observation] = []
    coverage: list[Coverage] = []
    notices = {"on a list": 0, "taken off a list": 0}
    rows = 0
    for native, readings in lists(path).items():
        rows += len(readings)
        believed = believe(readings)
        if not believed.sound:
            continue
        account = name(PLATFORM, native)
        accounts.append(Account(account, PLATFORM, native, native, added_at=believed.sound[0].t))
        times = [reading.t for reading in believed.sound]
        levels = all(_LEVEL.match(entry) for entry in believed.sound[-1].set)
        keys: dict[str, str] = {}
        for stay in _stays(believed):
            key = keys.get(stay.entry)
            if key is None:
                word = _LEVEL.sub("", stay.entry, count=1) if levels else stay.entry
                key = keys[stay.entry] = name(PLATFORM, f"{native}/{stay.entry}")
                version = Version(version_hash(word, ""), title=word)
                first = times[stay.first]
                posts.append(_post(key, account, f"{native}/{stay.entry}", first, version.hash))
                versions.append((key, first, version))
            observations.append(_observation(key, stay, times))
            notices["on a list" if stay.on else "taken off a list"] += 1
        coverage += _coverage(account, believed)
    observations.sort(key=lambda seen: seen.asked_at)
    return Imported(
        tuple(accounts),
        tuple(posts),
        tuple(versions),
        tuple(observations),
        tuple(coverage),
        notices,
        rows=rows,
    )


def lists(path: Path) -> dict[str, list[Reading]]:
    """The readings of each list at `path`, in order of time, by the folder that holds them.

    Raises InputError as `read` does.
    """
    found: dict[str, dict[Micros, Reading]] = {}
    interned: dict[str, str] = {}  # snapshots of a list share nearly all of their entries
    for member, content in _files(path):
        name = _NAME.fullmatch(member.name)
        if name is None:
            continue
        t = _time(name[1], name[2], path, member)
        native = str(member.parent) if member.parent.parts else path.stem
        readings = found.setdefault(native, {})
        if t in readings:
            raise InputError(f"{path}: {member}: there are two snapshots of {native} of this hour")
        reading = read_snapshot(content, t)
        entries = tuple(interned.setdefault(entry, entry) for entry in reading.entries)
        readings[t] = Reading(t, entries, reading.ended, reading.fault)
    if not found:
        raise InputError(
            f"{path}: no snapshot is in it; its files have to be called LIST/YYYY-MM-DD-HH.txt"
        )
    return {
        native: [readings[t] for t in sorted(readings)]
        for native, readings in sorted(found.items())
    }


def read_snapshot(content: bytes, t: Micros) -> Reading:
    """One snapshot as a reading; a fault where the bytes are no list by themselves.

    Lines end at LF or CR LF, and nowhere else: entries hold control characters of their own.
    """
    if not content.strip():
        return Reading(t, fault="it is empty")
    if _PAGE.match(content):
        return Reading(t, fault="it is a web page")
    if b"\0" in content:
        return Reading(t, fault="it is no text in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Reading(t, fault="it is no text in UTF-8")
    if _is_json(text):
        return Reading(t, fault="it is JSON")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return Reading(t, tuple(line for line in lines if line.strip()), ended=text.endswith("\n"))


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _stays(believed: Believed) -> Iterator[_Stay]:
    """Every stretch of sound readings in which an entry was on the list, or was off it again."""
    number = {reading.t: index for index, reading in enumerate(believed.sound)}
    last = len(believed.sound) - 1
    since: dict[str, tuple[bool, int]] = dict.fromkeys(believed.sound[0].entries, (True, 0))
    for change in believed.changes:
        index = number[change.t]
        for changed, on in ((change.added, True), (change.removed, False)):
            for entry in sorted(changed):
                before = since.get(entry)
                if before is not None:
                    yield _Stay(entry, *before, index - 1)
                since[entry] = (on, index)
    for entry, (on, first) in since.items():
        yield _Stay(entry, on, first, last)


def _post(key: str, account: str, native: str, first: Micros, version: str) -> Post:
    return Post(key, account, PLATFORM, native, "", first_seen_at=first, version=version)


def _observation(key: str, stay: _Stay, times: list[Micros]) -> Observation:
    """A run of looks; each took place somewhere within its hour."""
    first, last = times[stay.first], times[stay.last]
    return Observation(
        key,
        first,
        first + HOUR,
        ALIVE if stay.on else TAKEN_OFF,
        via=Via.IMPORT,
        vantage=VANTAGE,
        last_asked_at=last,
        last_answered_at=last + HOUR,
        looks=stay.last - stay.first + 1,
    )


def _coverage(account: str, believed: Believed) -> Iterator[Coverage]:
    """The list from its first to its last reading, cut where a reading is not believed."""
    times = [reading.t for reading in believed.sound]
    since = times[0]
    doubts = {doubt.t: doubt.why for doubt in believed.doubts}
    last = max(times[-1], max(doubts, default=times[-1]))
    for start, end in zip(times, [*times[1:], last], strict=True):
        inside = [t for t in doubts if start < t <= end]
        if inside:
            yield Coverage(account, since, inside[0], WATCHED, "snapshots")
            why = f"the snapshot of {at(inside[0]):%Y-%m-%d %H} h is not believed: "
            why += doubts[inside[0]]
            if len(inside) > 1:
                why += f"; nor are {len(inside) - 1} after it"
            yield Coverage(account, inside[0], end, GAP, why)
            since = end
    if since < last or len(times) == 1:
        yield Coverage(account, since, last, WATCHED, "snapshots")


# -- the files ---------------------------------------------------------------------------------


def _files(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each file at `path` under its name within it; nothing is unpacked to the disk."""
    total = 0
    try:
        found = _in_folder(path) if path.is_dir() else _in_archive(path)
        for member, content in found:
            total += len(content)
            if len(content) > LONGEST_FILE or total > LONGEST:
                raise InputError(
                    f"{path}: {member} makes it more than the {LONGEST >> 20} MB (or the file's"
                    f" {LONGEST_FILE >> 20} MB) that we read; split it"
                )
            yield member, content
    except OSError as error:
        raise InputError(f"{path}: could not be read: {error.strerror or error}") from None
    except (tarfile.TarError, lzma.LZMAError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is no whole tar archive: {error}; get it again") from None


def _in_folder(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                yield (
                    PurePosixPath(file.relative_to(path).as_posix()),
                    opened.read(LONGEST_FILE + 1),
                )


def _in_archive(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isreg() else None
            if opened is not None:
                yield PurePosixPath(member.name), opened.read(LONGEST_FILE + 1)


def _time(day: str, hour: str, path: Path, member: PurePosixPath) -> Micros:
    try:
        return micros(datetime.strptime(f"{day} {hour}", "%Y-%m-%d %H").replace(tzinfo=UTC))
    except ValueError:
        raise InputError(f"{path}: {member}: '{day} {hour}' is no day and hour") from None
