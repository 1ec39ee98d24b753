"""Plans of tests in the log: what was to be tested, kept where nobody can change it later.

In: a plan as text. Out: the leaf that states it, or where the log already does. The statement is
public: its time is this machine's until the next checkpoint is stamped, which makes it anybody's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from vanished.archive.capture import Statement
from vanished.archive.capture.manifest import leaf_hash, opened
from vanished.archive.log import merkle
from vanished.archive.log.log import Log
from vanished.archive.observatory import Observatory
from vanished.archive.proof import LOG, STATEMENTS
from vanished.errors import DamagedError, UsageError
from vanished.model import Micros

WHAT: Final = "preregistered"


def preregister(observatory: Observatory, plan: str, now: Micros) -> tuple[int, Micros]:
    """State `plan` in the log; its leaf and time. One that is stated already is not stated again.

    Raises UsageError where this observatory keeps no log.
    """
    if observatory.proof is None:
        raise UsageError("This observatory keeps no captures, so it has no log to state a plan in.")
    known = stated(observatory.folder, plan)
    if known is not None:
        return known
    digest = hashlib.sha256(plan.encode()).hexdigest()
    leaf = observatory.declare(WHAT, {"plan": plan, "sha256": digest}, now)
    observatory.proof.sign()
    return leaf, now


def stated(folder: Path, plan: str) -> tuple[int, Micros] | None:
    """The first leaf that states exactly this plan, and its time; None if none does.

    A statement counts once a checkpoint covers it. Raises DamagedError where one is not what its
    leaf committed to: somebody put it there, or changed it.
    """
    place = folder / LOG / STATEMENTS
    for path in sorted(place.glob("*.json")) if place.is_dir() else ():
        salt, content = opened(path.read_bytes())
        statement = Statement.from_bytes(content)
        if statement.what != WHAT or statement.details.get("plan") != plan:
            continue
        log = Log.open(folder / LOG)
        if path.stem == f"{statement.index:012d}" and statement.index >= log.size:
            continue  # its checkpoint is still to come
        if not _committed(log, statement.index, leaf_hash(salt, content)):
            raise DamagedError(
                f"{path} states a plan, but the log did not commit to it; it was changed, or put"
                " there: run vanished verify."
            )
        return statement.index, statement.at
    return None


def _committed(log: Log, index: int, leaf: bytes) -> bool:
    """Whether the published checkpoint covers this leaf at this place."""
    if not 0 <= index < log.size:
        return False
    proof = log.inclusion_proof(index)
    return merkle.verify_inclusion(leaf, index, log.size, proof, log.root)
