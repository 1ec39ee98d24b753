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
"""The root of the log's first leaves, None where it is not known, b"" if it has fewer."""


def enter_stamps(
    out: Verification,
    folder: Path,
    roots: Mapping[str, bytes],
    now: Micros,
    place: str,
    root_at: RootAt,
) -> None:
    """Enter what the stamps in `folder` are worth. `root_at(size)` gives the log's own root.

    A stamp dates only what its checkpoint covers, so that checkpoint must be one of this very log.
    """
    found = verify(folder, roots, now=now) if folder.is_dir() else ()
    ours = {size: _is_ours(folder, size, root_at) for size in {each.size for each in found}}
    timed = False
    untied = 0
    for finding in found:
        if not finding.holds:
            out.damaged(f"{place}/{finding.file}", finding.words)
        elif finding.standing in (Standing.PROVEN, Standing.CONFIRMED):
            if ours[finding.size]:
                timed = True
                out.proves(Heading.PERSISTENCE, f"{finding.file}: {finding.words}")
            untied += ours[finding.size] is None
        elif finding.standing is not Standing.WHOLE:
            out.lacks(Heading.PERSISTENCE, f"{finding.file}: {finding.standing}, {finding.words}")
    for size in sorted(size for size, is_ours in ours.items() if is_ours is False):
        words = "the log does not continue it: it is of another log or of a fork, or was cut back"
        out.damaged(f"{place}/{size:012d}/checkpoint", words)
    if untied:
        out.lacks(
            Heading.PERSISTENCE,
            f"what {untied} stamps date: nothing that holds here is under their checkpoints",
        )
    if not timed:
        out.lacks(
            Heading.PERSISTENCE,
            "since when these bytes exist: no stamp that could be checked here says so",
        )


def _is_ours(folder: Path, size: int, root_at: RootAt) -> bool | None:
    """Whether the checkpoint that was stamped is a beginning of this log; None if unknown."""
    file = folder / f"{size:012d}" / "checkpoint"
    try:
        stamped = parse_checkpoint(parse_note(file.read_bytes()).text)
        own = root_at(size)
    except (OSError, VanishedError):
        return None  # named among the damages
    return None if own is None else own == stamped.root
