"""What is kept of the stamps of one checkpoint: a folder, and its `state.json`.

In: stamps and what was tried for them. Out: files that are whole or not there, and a state that
names each of them by SHA-256, so that any changed bit is found, also one that no signature covers.
A file that is about to be written is announced as `coming` first: a crash between two writes
leaves a folder that still verifies. Asks nobody and judges no stamp.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from vanished.archive.durable import make_folder, refusals, write_atomically
from vanished.archive.log.checkpoint import parse_checkpoint
from vanished.archive.log.note import parse_note
from vanished.errors import EvidenceError
from vanished.model import Micros

FORMAT: Final = "vanished-stamps/1"
STATE: Final = "state.json"
CHECKPOINT: Final = "checkpoint"
PROOF: Final = "checkpoint.ots"  # so that `ots verify` finds the checkpoint beside it
MAX_FILE: Final = 1 << 20


class Kind(StrEnum):
    """What is asked for."""

    RFC3161 = "rfc3161"  # a stamp by one authority
    CALENDAR = "calendar"  # that one calendar takes the digest
    UPGRADE = "upgrade"  # that the calendars name a Bitcoin block


class Progress(StrEnum):
    WANTED = "wanted"
    KEPT = "kept"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that is asked for, and how it went the last time."""

    kind: Kind
    by: str  # name of the authority, URL of the calendar, "" for the upgrade
    next_at: Micros | None  # None when nothing more will be tried
    progress: Progress = Progress.WANTED
    tries: int = 0
    last_at: Micros | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Stamped:
    """One checkpoint whose stamping has begun. `files` and `coming`: SHA-256 (hex) by file name."""

    size: int
    root: str  # hex
    begun_at: Micros
    attempts: tuple[Attempt, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    coming: Mapping[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[Attempt, ...]:
        return tuple(a for a in self.attempts if a.progress is Progress.WANTED)

    def with_attempt(self, changed: Attempt) -> Stamped:
        """This, with the attempt of that kind and name replaced."""
        same = (changed.kind, changed.by)
        attempts = tuple(changed if (a.kind, a.by) == same else a for a in self.attempts)
        return replace(self, attempts=attempts)


def read_checkpoint(checkpoint: bytes) -> tuple[int, str]:
    """Size and root (hex) of a checkpoint's note. Its signatures are the log's to check.

    Raises EvidenceError.
    """
    what = "the checkpoint to stamp"
    found = parse_checkpoint(parse_note(checkpoint, what).text, what)
    return found.size, found.root.hex()


def folder_of(stamps: Path, size: int) -> Path:
    return stamps / f"{size:012d}"


def sizes(stamps: Path) -> list[int]:
    """Sizes of the checkpoints that have a folder, smallest first."""
    if not stamps.is_dir():
        return []
    names = (entry.name for entry in stamps.iterdir())
    return sorted(int(n) for n in names if len(n) >= 12 and n.isascii() and n.isdigit())


def newest_first(stamps: Path) -> Iterator[Stamped | EvidenceError]:
    """What is kept of each checkpoint, read as it is asked for; an error stands for a bad one."""
    for size in reversed(sizes(stamps)):
        try:
            state = load(folder_of(stamps, size))
        except EvidenceError as error:
            yield error
            continue
        if state is not None:
            yield state


# -- one folder --------------------------------------------------------------------------------


def begin(stamps: Path, state: Stamped, checkpoint: bytes) -> Stamped:
    """Make the folder of a checkpoint that is to be stamped. Raises StorageError."""
    folder = folder_of(stamps, state.size)
    with refusals(f"make {folder}"):
        make_folder(folder)
    return keep(folder, state, {CHECKPOINT: checkpoint})


def keep(folder: Path, state: Stamped, files: Mapping[str, bytes]) -> Stamped:
    """Write `files`, and `state` with them in it. Raises StorageError."""
    new = {name: sha256(content) for name, content in files.items()}
    before = load(folder) or replace(state, files={}, coming={})
    save(folder, replace(before, coming={**before.coming, **new}))
    for name, content in files.items():
        with refusals(f"write {folder / name}"):
            write_atomically(folder / name, content)
    state = replace(state, files={**state.files, **new}, coming={})
    save(folder, state)
    return state


def settled(folder: Path, state: Stamped) -> Stamped:
    """`state` after a crash: files that were coming and did arrive are kept."""
    if not state.coming:
        return state
    arrived = {
        name: digest
        for name, digest in state.coming.items()
        if (content := read_file(folder / name)) is not None and sha256(content) == digest
    }
    return replace(state, files={**state.files, **arrived}, coming={})


def read_kept(folder: Path, state: Stamped, name: str) -> bytes:
    """A kept file as it was written. Raises EvidenceError where it is not."""
    content = read_file(folder / name)
    if content is None or sha256(content) != state.files.get(name):
        raise EvidenceError(
            f"the file {folder / name} is not what was kept; restore it from a backup"
        )
    return content


def read_file(path: Path) -> bytes | None:
    """Its bytes, up to what a stamp can have; None if there is none. Raises StorageError."""
    with refusals(f"read {path}"):
        try:
            with path.open("rb") as file:
                return file.read(MAX_FILE + 1)
        except (FileNotFoundError, IsADirectoryError):
            return None


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- state.json --------------------------------------------------------------------------------


def save(folder: Path, state: Stamped) -> None:
    """Raises StorageError."""
    with refusals(f"write {folder / STATE}"):
        write_atomically(folder / STATE, encoded(state))


def load(folder: Path) -> Stamped | None:
    """None where there is no state. Raises EvidenceError where a bit of it was changed."""
    content = read_file(folder / STATE)
    if content is None:
        return None
    try:
        state = _decoded(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        state = None
    if state is None or encoded(state) != content or folder.name != f"{state.size:012d}":
        raise EvidenceError(
            f"the file {folder / STATE} is not what was written; restore it from a backup"
        )
    return state


def encoded(state: Stamped) -> bytes:
    """The one way to write `state`; ends with a digest of itself, against accidents."""
    fields = {"format": FORMAT, **asdict(state)}
    fields["check"] = sha256(json.dumps(fields, sort_keys=True).encode())
    return json.dumps(fields, sort_keys=True, indent=1).encode() + b"\n"


def _decoded(fields: dict[str, object]) -> Stamped:
    wanted = dict(fields)
    del wanted["check"]
    if wanted.pop("format") != FORMAT:
        raise ValueError("another format")
    attempts = wanted.pop("attempts")
    if not isinstance(attempts, list):
        raise TypeError("attempts are a list")
    typed = tuple(
        Attempt(**{**a, "kind": Kind(a["kind"]), "progress": Progress(a["progress"])})
        for a in attempts
    )
    return Stamped(attempts=typed, **wanted)  # type: ignore[arg-type]
