"""What people decided about publishing: an append-only record beside the past, one file an entry.

In: a decision. Out: all of them in order. Each file names the SHA-256 of the one before, so that
none can be changed or taken out without its being seen; the newest could be cut off, which only a
copy elsewhere shows. Written whole or not at all, also while a watch runs: an entry takes the next
free number. What a decision means for a publication is the business of `publish.gate`.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vanished.archive.durable import make_folder, refusals, write_once
from vanished.archive.folder import READABLE, RULINGS
from vanished.errors import DamagedError, UsageError
from vanished.model import Micros

TRIES: Final = 1000
"""Others that may take the next number before we do."""

ASKED: Final = "takedown-asked"
DECIDED: Final = "takedown-decided"
REVIEWED: Final = "reviewed"
PUBLISHED: Final = "published"
KINDS: Final = (ASKED, DECIDED, REVIEWED, PUBLISHED)

GRANTED: Final = "granted"
REFUSED: Final = "refused"
CONFIRM: Final = "confirm"
CORRECT: Final = "correct"
WITHHOLD: Final = "withhold"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One entry. `about` is the key of a post or an account ("": neither), `what` the decision.

    `number` counts from 1; `details` are texts and numbers that go with the kind.
    """

    kind: str
    about: str
    what: str
    at: Micros
    details: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0

    def facts(self) -> dict[str, object]:
        return {
            "number": self.number,
            "kind": self.kind,
            "about": self.about,
            "what": self.what,
            "at": self.at,
            "details": dict(self.details),
        }


def rulings(folder: Path) -> list[Ruling]:
    """Every entry of the observatory in `folder`, the oldest first.

    Raises DamagedError where one is missing or is not what the next one was written after.
    """
    return [ruling for ruling, _ in _chain(folder)]


def add_ruling(folder: Path, ruling: Ruling) -> Ruling:
    """Keep `ruling` as the newest entry; as it was kept, durable when it returns.

    Raises UsageError in a readable copy, StorageError, DamagedError.
    """
    if (folder / READABLE).exists():
        raise UsageError(
            f"{folder} is a readable copy, which is not written to; decide in the observatory"
            " itself and make a new copy."
        )
    for _ in range(TRIES):
        last = deque(_chain(folder), maxlen=1)
        number, before = (last[0][0].number, last[0][1]) if last else (0, "")
        kept = Ruling(ruling.kind, ruling.about, ruling.what, ruling.at, ruling.details, number + 1)
        content = json.dumps(
            {**kept.facts(), "before": before}, ensure_ascii=False, sort_keys=True, indent=1
        )
        with refusals(f"keep a decision in {folder}"):
            make_folder(folder / RULINGS)
            if write_once(folder / RULINGS / f"{kept.number:06d}.json", f"{content}\n".encode()):
                return kept
    raise DamagedError(f"{folder / RULINGS} takes no new entry; others write to it all the time")


def _chain(folder: Path) -> Iterator[tuple[Ruling, str]]:
    """Each entry with the hash of its file."""
    place = folder / RULINGS
    before = ""
    names = sorted(p.name for p in place.glob("*.json")) if place.is_dir() else []
    for number, name in enumerate(names, 1):
        with refusals(f"read {place / name}"):
            content = (place / name).read_bytes()
        try:
            given = json.loads(content)
            found = Ruling(
                str(given["kind"]),
                str(given["about"]),
                str(given["what"]),
                int(given["at"]),
                dict(given["details"]),
                int(given["number"]),
            )
            whole = given["before"] == before and found.kind in KINDS and found.number == number
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole or name != f"{number:06d}.json":
            raise DamagedError(
                f"{place / name} is not what was decided then: it or the one before was changed or"
                " taken away; restore the folder from a copy. Nothing is published meanwhile."
            )
        before = hashlib.sha256(content).hexdigest()
        yield found, before
