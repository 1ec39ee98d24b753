"""What is kept of a post as evidence: its captures, and which signed or stamped checkpoint covers
them.

In: an observatory's folder and a post's key. Out: leaves of the log with what each shows. Nothing
is verified here: `vanished verify` does that, offline and for anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.leaves import opened
from vanished.archive.log.checkpoint import parse_checkpoint
from vanished.archive.log.note import parse_note
from vanished.archive.proof import LOG
from vanished.archive.stamps import kept
from vanished.errors import EvidenceError
from vanished.model import Micros


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture: its leaf, what was new in it, when it was kept, bytes (0: forgotten)."""

    leaf: int
    what: str
    at: Micros
    length: int
    signed: bool  # a signed checkpoint covers it
    stamps: int  # authorities and calendars whose stamp covers it


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of a post's captures. `size`: leaves that the newest signed checkpoint covers."""

    captures: Sequence[Capture]
    size: int


def evidence(folder: Path, post: str) -> Evidence:
    """What is kept of `post`. Raises DamagedError where the present cannot be read."""
    size = _signed(folder / LOG / "checkpoint")
    c, s = present.captures.c, present.shown.c
    query = (
        sa.select(c.leaf, s.what, c.at, c.length, c.segment)
        .join(present.shown, s.leaf == c.leaf).where(s.key == post).order_by(c.leaf)
    )  # fmt: skip
    with opened(folder) as connection:
        rows = connection.execute(query).all()
    stamped = _stamped(folder / LOG / "stamps") if rows else []
    return Evidence(
        [
            Capture(
                row.leaf, row.what, row.at, row.length if row.segment else 0, row.leaf < size,
                next((number for covered, number in stamped if covered > row.leaf), 0),
            )
            for row in rows
        ],
        size,
    )  # fmt: skip


def _signed(checkpoint: Path) -> int:
    try:
        note = parse_note(checkpoint.read_bytes(), str(checkpoint))
        return parse_checkpoint(note.text, str(checkpoint)).size
    except (OSError, EvidenceError):  # the doctor tells of it
        return 0


def _stamped(stamps: Path) -> list[tuple[int, int]]:
    """Checkpoints by size, smallest first, with how many stamps of each are kept."""
    found = []
    for state in kept.newest_first(stamps):
        if isinstance(state, EvidenceError):
            continue
        number = sum(
            each.progress is kept.Progress.KEPT and each.kind is not kept.Kind.UPGRADE
            for each in state.attempts
        )
        if number:
            found.append((state.size, number))
    return found[::-1]
