"""What a watch tells while it runs: how far it is, and what has just happened.

In: nothing. Out: the numbers of the progress line, and events.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from vanished.model import Micros
from vanished.watch.schedule import NEVER


@dataclass(slots=True)
class Progress:
    """What the progress line and `--json` show; all since the start of this watch."""

    began_s: float = field(default_factory=time.monotonic)  # real time, also in simulated worlds
    looks: int = 0
    failed: int = 0
    posts_found: int = 0
    losses: int = 0
    returned: int = 0
    backlog: int = 0
    next_due: Micros = NEVER
    troubles: list[str] = field(default_factory=list)  # for the operator: canaries, logins, streams


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling: `kind` is commit, verdict, source-error, canary, login, stream,
    schedule, schedule-trouble or stopped. Those of canaries, logins, streams and schedules are for
    the operator alone.
    """

    kind: str
    at: Micros
    facts: Mapping[str, object]
