"""What there is to tell: fresh from the past at every round, and what costs more now and then.

In: an observatory's folder, its rules, the ledger. Out: events and the `Basis`. Campaigns and the
doctor's findings are looked for every so many seconds and remembered between; when they were last
looked for stands in the ledger, but only once nobody waits for them any more, so that quiet hours
and crashes lose none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.archive.observatory import Observatory
from vanished.model import SECOND, Micros
from vanished.publish.alerts.campaigning import campaigns_of, recognized
from vanished.publish.alerts.choosing import rates
from vanished.publish.alerts.event import Event, Kind
from vanished.publish.alerts.happened import Basis, basis, happened
from vanished.publish.alerts.ledger import Ledger
from vanished.publish.alerts.operating import operating
from vanished.publish.alerts.settings import AlertSettings

MEMORY: Final = "256MB"
"""Of DuckDB; what needs more spills."""


@dataclass(slots=True)
class Looking:
    """Over one folder, for as long as a process runs."""

    folder: Path
    ledger: Ledger
    _found: dict[Kind, tuple[Micros, list[Event]]] = field(default_factory=dict)

    def events(
        self,
        observatory: Observatory,
        settings: AlertSettings,
        since: Micros,
        now: Micros,
        *,
        again: bool,
    ) -> tuple[list[Event], Basis]:
        """Everything from `since` on that may be told at `now`. `again`: a message is to be sent
        again, perhaps one that another process entered, so nothing is left for later."""
        terms = {term for rule in settings.rules for term in rule.terms}
        lines = {rule.line.id: rule.line for rule in settings.rules if rule.line is not None}
        with observatory.past() as past:
            past.execute(f"set memory_limit = '{MEMORY}'")
            past.execute("set threads = 1")  # the watch has the others
            found = happened(past, since, now, terms, list(lines.values()))
            stands = basis(past, now)
        found += rates(settings.rules, found, now)
        if settings.tells(Kind.CAMPAIGN):
            every = int(settings.campaigns_every_s * SECOND)
            found += self._slow(Kind.CAMPAIGN, self._campaigns, every, again, now)
        if any(channel.operator for channel in settings.channels.values()):
            every = int(settings.doctor_every_s * SECOND)
            found += self._slow(Kind.OPERATOR, self._findings, every, again, now)
        return found, stands

    def settle(self, waiting: Collection[Kind]) -> None:
        """Note when was looked for those kinds that no channel still waits to be told of."""
        for kind, (at, _) in self._found.items():
            if kind not in waiting:
                self.ledger.keep_word(f"{kind}_at", str(at))

    def _slow(
        self,
        kind: Kind,
        look: Callable[[Micros], list[Event]],
        every: Micros,
        again: bool,
        now: Micros,
    ) -> list[Event]:
        last, found = self._found.get(kind, (int(self.ledger.word(f"{kind}_at", "0")), None))
        if now - last >= every or (again and found is None):
            found = look(now)
            self._found[kind] = (now, found)
        return found or []

    def _campaigns(self, now: Micros) -> list[Event]:
        events, kept = recognized(campaigns_of(self.folder, now), self.ledger.campaigns())
        self.ledger.keep_campaigns(kept)
        return events

    def _findings(self, now: Micros) -> list[Event]:
        return operating(self.folder, now)
