"""What the stamps of a log's checkpoints are worth, entered into a verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vanished.archive.log import parse_note
from vanished.archive.log.checkpoint import parse_checkpoint
from vanished.archive.stamps import Standing, verify
from vanished.archive.verify.findings import Heading, Verification
from vanished.errors import VanishedError
from vanished.model import Micros

RootAt = Callable[[int], bytes | None]
"""The root of the log's first leaves, None where it is not known."""


def enter_stamps(
    out: Verification,
    folder: Path,
    roots: Mapping[str, bytes],
    now: Micros,
    place: str,
    root_at: RootAt,
) -> None:
    """Enter what the stamps in `folder` are worth. `root_at(size)` gives the log's own root."""
    found = verify(folder, roots, now=now) if folder.is_dir() else ()
    timed = False
    for finding in found:
        if not finding.holds:
            out.damaged(f"{place}/{finding.file}", finding.words)
        elif finding.standing in (Standing.PROVEN, Standing.CONFIRMED):
            timed = True
            out.proves(Heading.PERSISTENCE, f"{finding.file}: {finding.words}")
        elif finding.standing is not Standing.WHOLE:
            out.lacks(Heading.PERSISTENCE, f"{finding.file}: {finding.standing}, {finding.words}")
    _same_log(out, folder, {finding.size for finding in found}, place, root_at)
    if not timed:
        out.lacks(
            Heading.PERSISTENCE,
            "since when these bytes exist: no stamp that could be checked here says so",
        )


def _same_log(
    out: Verification, folder: Path, sizes: set[int], place: str, root_at: RootAt
) -> None:
    """Each stamped checkpoint must be a beginning of this very log."""
    for size in sorted(sizes):
        file = folder / f"{size:012d}" / "checkpoint"
        try:
            stamped = parse_checkpoint(parse_note(file.read_bytes()).text)
            own = root_at(size)
        except (OSError, VanishedError):
            continue  # named among the damages
        if own is not None and own != stamped.root:
            out.damaged(f"{place}/{size:012d}/checkpoint", "it is of another log, or of a fork")
