"""Origins that give the watch no answer: what a person may want to have measured.

In: looks as they come, with the address that was asked about. Out: a `Silence` once an origin has
failed often enough from one vantage, and one with no failures when it answers again. A silence says
nothing of why; nothing is measured because of it unless a person says so (`due_targets`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vanished.archive.kept_measurements import measurements
from vanished.archive.measured import origin
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Silence
from vanished.model import HOUR, MINUTE, Fault, Kind, Micros, Observation

FAILURES: Final = 3
LASTING: Final[Micros] = MINUTE
"""So many failures in a row, over so long: several at one moment are one fault."""

AGAIN: Final[Micros] = 6 * HOUR
"""An origin that still fails this long after it was measured is due again."""

_SILENT: Final = frozenset({Fault.TIMEOUT, Fault.DNS, Fault.CONNECT, Fault.TLS})


@dataclass(frozen=True, slots=True)
class Due:
    """A target to test, the vantage that it failed from, and how often and since when."""

    url: str
    vantage: str
    since: Micros
    last_at: Micros
    failures: int


class Silences:
    """Those of one watch. `past` are the ones that are kept."""

    def __init__(self, past: Iterable[Silence] = ()) -> None:
        self._running = {(each.origin, each.vantage): each for each in past}

    def heard(self, url: str, seen: Observation) -> Silence | None:
        """Take in one look at what lies at `url`; what is to be kept of it, if anything."""
        signal = seen.signal
        if signal.kind is Kind.ERROR and signal.fault not in _SILENT:
            return None  # somebody answered, if not who was asked
        if signal.kind is not Kind.ERROR and not self._running:
            return None
        key = origin(url), seen.vantage
        before = self._running.get(key)
        if signal.kind is not Kind.ERROR:
            if before is None or seen.asked_at < before.last_at:
                return None
            del self._running[key]
            return Silence(*key, before.since, seen.answered_at, 0) if _told(before) else None
        if not key[0]:
            return None
        since = seen.asked_at if before is None else before.since
        count = seen.looks + (0 if before is None else before.failures)
        last = seen.last_answered_at if before is None else max(before.last_at, seen.answered_at)
        found = self._running[key] = Silence(*key, since, last, count)
        return found if _told(found) else None


def _told(silence: Silence) -> bool:
    return silence.failures >= FAILURES and silence.last_at - silence.since >= LASTING


def due_targets(folder: Path) -> list[Due]:
    """What `vanished reach test --due` would test in this observatory: origins that give no answer
    and were not measured from that vantage since, longest silence first. It measures nothing."""
    with Observatory.open(folder) as observatory:
        measured: dict[tuple[str, str], Micros] = {}
        for one in measurements(observatory):
            key = origin(one.target), one.vantage
            measured[key] = max(measured.get(key, 0), one.measured_at)
        return [
            Due(f"{each.origin}/", each.vantage, each.since, each.last_at, each.failures)
            for each in observatory.silences()
            if measured.get((each.origin, each.vantage), 0) < max(each.since, each.last_at - AGAIN)
        ]
