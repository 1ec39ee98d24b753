"""Checkpoints: what a log says about itself at one size (c2sp.org/tlog-checkpoint).

In: the text of a signed note. Out: origin, size and root. Also whether two checkpoints of one log
contradict each other: a fork, which is proof that the log shows different people different pasts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vanished.archive.log.merkle import EMPTY, HASH
from vanished.archive.log.note import (
    MAX_NAME,
    Note,
    VerifierKey,
    decode_base64,
    encode_base64,
    parse_note,
)
from vanished.errors import EvidenceError

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's claim: its first `size` leaves have this root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_size(text: str) -> int:
    """A number of leaves in decimal without leading zeros. Raises ValueError."""
    if not _SIZE.fullmatch(text) or int(text) >= 1 << 63:
        raise ValueError("no size")
    return int(text)


def parse_checkpoint(text: str, what: str = "the checkpoint") -> Checkpoint:
    """Read the text of a note as a checkpoint. Raises EvidenceError saying what is wrong."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise EvidenceError(
            f"{what} is none: it must have an origin, a size and a root, each in its line"
        )
    origin, size, root, *extensions = lines
    if len(origin.encode()) > MAX_NAME:
        raise EvidenceError(f"{what} is none: its origin is longer than {MAX_NAME} bytes")
    try:
        found = Checkpoint(origin, parse_size(size), decode_base64(root), tuple(extensions))
    except ValueError:
        raise EvidenceError(f"{what} is none: it has no readable size and root") from None
    if len(found.root) != HASH or (found.size == 0 and found.root != EMPTY):
        raise EvidenceError(f"{what} is none: its root is no root of {found.size} leaves")
    return found


def read_checkpoint(
    raw: bytes, keys: Iterable[VerifierKey], what: str = "the checkpoint"
) -> tuple[Checkpoint, Note]:
    """Parse a checkpoint's note and verify it: one of `keys` with its origin's name signed it.

    Raises EvidenceError.
    """
    note = parse_note(raw, what)
    found = parse_checkpoint(note.text, what)
    note.signed_by([key for key in keys if key.name == found.origin], what)
    return found, note


@dataclass(frozen=True, slots=True)
class Fork:
    """Two checkpoints, both signed by one log, of which at most one can be true."""

    older: Checkpoint
    newer: Checkpoint

    def __str__(self) -> str:
        a, b = self.older, self.newer
        return (
            f"the log '{a.origin}' has forked: it signed {a.size} leaves with root"
            f" {encode_base64(a.root)} and {b.size} leaves with root {encode_base64(b.root)},"
            " and the second does not continue the first; keep both checkpoints, they prove it"
        )


def detect_fork(
    note_a: bytes,
    note_b: bytes,
    keys: Iterable[VerifierKey],
    root_at: Callable[[int], bytes] | None = None,
) -> Fork | None:
    """The fork that two signed checkpoints of one log prove, or None if they are consistent.

    `root_at(size)` gives the root of a tree's first leaves (`Log.root_at`) and is needed when the
    sizes differ; the tree must be that of the larger checkpoint. Raises EvidenceError if a note
    does not hold, the logs are two, or the tree is another.
    """
    known = list(keys)
    a, _ = read_checkpoint(note_a, known, "the first checkpoint")
    b, _ = read_checkpoint(note_b, known, "the second checkpoint")
    if a.origin != b.origin:
        raise EvidenceError(
            f"the checkpoints are of two logs, '{a.origin}' and '{b.origin}': they cannot fork"
        )
    older, newer = sorted((a, b), key=lambda one: one.size)
    if older.size == newer.size:
        return None if older.root == newer.root else Fork(older, newer)
    if older.size == 0:
        return None
    if root_at is None or root_at(newer.size) != newer.root:
        raise EvidenceError(
            f"whether {newer.size} leaves continue {older.size} cannot be told without the tiles"
            " of the larger tree; give the log's folder"
        )
    return None if root_at(older.size) == older.root else Fork(older, newer)
