"""The plan of a test of events, written down before anybody looks.

In: a calendar and settings. Out: the plan as canonical JSON, and its SHA-256, which the log of the
observatory keeps with its time (`archive.preregistering`). A test whose plan is not in the log is
exploratory, and says so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from vanished.model import Micros


@dataclass(frozen=True, slots=True)
class Registered:
    """Where the log keeps a plan: its leaf, and the time that the leaf states."""

    leaf: int
    at: Micros


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be tested, and how; nothing that could still be chosen once results are seen."""

    method: str
    calendar_sha256: str
    events: tuple[str, ...]  # ids
    before_days: int
    after_days: int
    outcome: str
    platforms: tuple[str, ...]  # () for all
    topic: tuple[str, ...]  # words; () for all posts
    alpha: float
    block_days: int
    seed: int

    def json(self) -> str:
        """Canonical: sorted keys, no spaces."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.json().encode()).hexdigest()
