"""The plan of a test of events, written down before anybody looks.

In: a calendar and settings. Out: the plan as canonical JSON, and its SHA-256, which the log of the
observatory keeps with its time (`archive.preregistering`). A test whose plan is not in the log is
exploratory, and says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vanished.errors import UsageError
from vanished.model import Micros


@dataclass(frozen=True, slots=True)
class Registered:
    """Where the log keeps a plan: its leaf, the time that the leaf states, the plan's SHA-256."""

    leaf: int
    at: Micros
    plan_sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be tested, and how. `choices` are all settings of the test by name: one that is
    left out could still be chosen once results are seen."""

    method: str
    outcome: str
    calendar_sha256: str
    events: tuple[str, ...]  # ids
    choices: Mapping[str, Any]

    def json(self) -> str:
        """Canonical: sorted keys, no spaces."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["choices"] = dict(self.choices)
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.json().encode()).hexdigest()

    def check(self, registered: Registered) -> None:
        """Raises UsageError where the log keeps another plan at that leaf."""
        if registered.plan_sha256 != self.sha256:
            raise UsageError(
                f"Leaf {registered.leaf} of the log states the plan"
                f" {registered.plan_sha256[:16]}…, which is not this test's"
                f" ({self.sha256[:16]}…); test with the options and calendar of that plan."
            )
