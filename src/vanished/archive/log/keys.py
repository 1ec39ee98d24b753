"""The keys of a log, and how one follows the other: the file `vkeys` and the folder `rotations`.

`vkeys` has a line a key, oldest first: the verifier key, a space, and the size of the first
checkpoint that it is valid from. At that size the checkpoint is signed by both keys, and kept as
`rotations/SIZE`: who trusts the first key can follow the chain. Signs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vanished.archive.durable import refusals, write_atomically
from vanished.archive.log.checkpoint import Checkpoint, parse_size, read_checkpoint
from vanished.archive.log.note import VerifierKey
from vanished.errors import DamagedError, EvidenceError, UsageError

VKEYS: Final = "vkeys"
ROTATIONS: Final = "rotations"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's verifier key and the sizes of the checkpoints that it may sign, both included."""

    key: VerifierKey
    since: int = 0
    until: int | None = None


def valid_at(keys: Iterable[LogKey], size: int) -> list[VerifierKey]:
    """The keys that may sign a checkpoint of that size."""
    return [
        one.key for one in keys if one.since <= size and (one.until is None or size <= one.until)
    ]


def read_keys(folder: Path) -> tuple[LogKey, ...]:
    """The keys of the log in `folder`, oldest first. Raises DamagedError naming the file."""
    path = folder / VKEYS
    with refusals(f"read the log's keys {path}"):
        try:
            *lines, rest = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            raise DamagedError(
                f"the log's keys {path} are missing; restore the file from a backup"
            ) from None
    found: list[tuple[VerifierKey, int]] = []
    for number, line in enumerate(lines, 1):
        try:
            key, _, since = line.rpartition(" ")
            found.append((VerifierKey.parse(key), parse_size(since)))
        except (UsageError, ValueError):
            raise DamagedError(
                f"line {number} of the log's keys {path} is no key with a size;"
                " restore the file from a backup"
            ) from None
    sizes = [since for _, since in found]
    if rest or not found or sizes[0] != 0 or sizes != sorted(set(sizes)):
        raise DamagedError(
            f"the log's keys {path} are not whole or in no order; restore the file from a backup"
        )
    ends = [*sizes[1:], None]
    return tuple(LogKey(key, since, end) for (key, since), end in zip(found, ends, strict=True))


def write_keys(folder: Path, keys: Iterable[LogKey]) -> None:
    """Write `vkeys`, whole or not at all. Raises OSError."""
    text = "".join(f"{one.key} {one.since}\n" for one in keys)
    write_atomically(folder / VKEYS, text.encode())


def read_rotation(folder: Path, before: LogKey, after: LogKey) -> Checkpoint:
    """The checkpoint at which `after` followed `before`, signed by both.

    Raises DamagedError naming the file if it is missing or does not hold.
    """
    path = folder / ROTATIONS / str(after.since)
    with refusals(f"read {path}"):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise DamagedError(
                f"{path} is missing, which proves that the key changed; restore it from a backup"
            ) from None
    try:
        for one in (before, after):
            checkpoint, _ = read_checkpoint(raw, [one.key], str(path))
    except EvidenceError as error:
        raise DamagedError(f"{error}; restore the file from a backup") from None
    if checkpoint.size != after.since:
        raise DamagedError(f"{path} is of another size; restore the file from a backup")
    return checkpoint
