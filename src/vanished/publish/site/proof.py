"""What of an observatory's log leaves with a site: its tree, its checkpoint, its keys.

In: an observatory's folder. Out: files. Leaves are salted commitments, which tell nothing of what
they commit to. Which leaf is of which loss does not leave: their order would tell exact times.
Captures do not leave either: what a platform sent names its author.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from vanished.archive.durable import refusals
from vanished.archive.log.keys import VKEYS
from vanished.archive.log.log import CHECKPOINT
from vanished.archive.log.note import parse_note
from vanished.archive.log.tiles import all_tiles, levels, load, tile_name
from vanished.archive.proof import LOG
from vanished.errors import DamagedError

PROOF: Final = "proof"


def files(folder: Path) -> Mapping[str, tuple[str, Callable[[], bytes]]]:
    """Path to what the file depends on and what makes it; none where no log is kept."""
    log = folder / LOG
    if not (log / CHECKPOINT).is_file() or not (log / VKEYS).is_file():
        return {}
    with refusals(f"read {log}"):
        checkpoint = (log / CHECKPOINT).read_bytes()
        keys = (log / VKEYS).read_bytes()
    size = _size(checkpoint, log / CHECKPOINT)
    found = {
        f"{PROOF}/{CHECKPOINT}": (checkpoint.hex(), lambda: checkpoint),
        f"{PROOF}/{VKEYS}": (keys.hex(), lambda: keys),
    }
    for level, _, _ in levels(size):
        for index, width in all_tiles(size, level):
            name = tile_name(level, index, width)
            found[f"{PROOF}/{name}"] = (name + keys.hex(), partial(load, log, level, index, width))
    return found


def _size(checkpoint: bytes, where: Path) -> int:
    """The leaves of the tree (c2sp.org/tlog-checkpoint: the second line)."""
    try:
        return int(parse_note(checkpoint, str(where)).text.splitlines()[1])
    except (IndexError, ValueError):
        raise DamagedError(f"{where} says no size; vanished verify says more") from None
