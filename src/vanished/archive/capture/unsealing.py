"""Sealed segments to plain ones, on the machine that has an identity.

In: a folder of captures and identities. Out: a folder of WARCs with the same names, each of them
whole or not there. Captures are opened one at a time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vanished.archive.capture import tar
from vanished.archive.capture.damage import Damage
from vanished.archive.capture.sealing import Identities
from vanished.archive.capture.segments import PLAIN, SEALED, segments
from vanished.archive.durable import TEMPORARY, make_folder, refusals, settle, sync_folder
from vanished.errors import EvidenceError, UsageError


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A segment that is plain now; `captures` is 0 for one that was plain already."""

    path: Path
    captures: int
    done: int  # segments so far, this one included
    of: int


def unseal_segments(folder: Path, identities: Identities, target: Path) -> Iterator[Unsealed]:
    """Write every segment of `folder` to `target` as a WARC; one `Unsealed` a segment.

    Raises UsageError if the identities open none, or if the target is the folder of captures;
    EvidenceError at a damaged capture (the segments before it are there), StorageError.
    """
    with refusals(f"unseal {folder} to {target}"):
        make_folder(target)
        if target.samefile(folder):
            raise UsageError(
                f"{target} is where the sealed captures lie; unseal to a folder elsewhere"
            )
        found = segments(folder)
        for done, path in enumerate(found, 1):
            goal = target / (path.name.removesuffix(SEALED).removesuffix(PLAIN) + PLAIN)
            temporary = goal.with_name(goal.name + TEMPORARY)
            try:
                with path.open("rb") as source, temporary.open("wb") as plain:
                    if path.name.endswith(SEALED):
                        count = _unseal(source, path, identities, plain)
                    else:
                        shutil.copyfileobj(source, plain)
                        count = 0
                settle(temporary, goal)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(target)
            yield Unsealed(goal, count, done, len(found))


def _unseal(source: BinaryIO, path: Path, identities: Identities, plain: BinaryIO) -> int:
    count = 0
    for framed in tar.frames(source, path.name):
        if isinstance(framed, Damage):
            raise EvidenceError(f"could not unseal {path}: {framed}; restore it from a backup")
        try:
            plain.write(identities.open(framed.sealed))
        except (UsageError, EvidenceError) as error:
            raise type(error)(
                f"could not unseal capture {framed.index} of {path}: {error}"
            ) from None
        count += 1
    return count
