"""Plans of tests in the log: what was to be tested, kept where nobody can change it later.

In: a plan as text. Out: the leaf that states it, or where the log already does. The statement is
public: its time is this machine's until the next checkpoint is stamped, which makes it anybody's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from vanished.archive.capture import Statement
from vanished.archive.capture.manifest import opened
from vanished.archive.observatory import Observatory
from vanished.archive.proof import LOG, STATEMENTS
from vanished.errors import UsageError
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

    `vanished verify` checks that the statement is the one that the log committed to.
    """
    place = folder / LOG / STATEMENTS
    for path in sorted(place.glob("*.json")) if place.is_dir() else ():
        _, content = opened(path.read_bytes())
        statement = Statement.from_bytes(content)
        if statement.what == WHAT and statement.details.get("plan") == plan:
            return statement.index, statement.at
    return None
