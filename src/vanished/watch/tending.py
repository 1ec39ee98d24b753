"""Looking after the log while the watch runs: witnesses cosign it, services stamp it.

In: an observatory whose captures are proven, the door, the clock. Out: cosignatures and stamps
beside the log, and what went wrong, for the operator alone. Nobody who does not answer stops the
watch, and nothing here enters a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vanished.archive.log import Log, cosign, keep_cosigned
from vanished.archive.observatory import Observatory
from vanished.archive.proof import LOG
from vanished.archive.settings import Settings
from vanished.archive.stamps import Kind, Progress, due_work
from vanished.clock import Clock, SystemClock
from vanished.errors import UsageError, VanishedError
from vanished.model import SECOND, Micros
from vanished.net.door import Door
from vanished.watch.progress import Event

AGAIN: Micros = 30 * SECOND  # a service that has just failed is not asked sooner


@dataclass(slots=True)
class Tended:
    """What one round did."""

    cosigned: list[str] = field(default_factory=list)
    stamped: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        return {"cosigned": self.cosigned, "stamped": self.stamped, "troubles": self.troubles}

    def text(self) -> str:
        lines = [f"Cosigned by {name}." for name in self.cosigned]
        lines += self.stamped
        lines += [f"Trouble: {trouble}" for trouble in self.troubles]
        return "\n".join(lines) or "Nothing was due."


class Tending:
    """The rounds of one log; one at a time."""

    def __init__(self, folder: Path, log: Log, settings: Settings, door: Door) -> None:
        self._folder = folder / LOG
        self._log = log
        self._settings = settings
        self._door = door
        self._seen: dict[str, int] = {}  # size that each witness cosigned last
        self.next_at: Micros | None = 0
        self._witness_at: Micros = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be asked at all."""
        stamps = self._settings.stamps
        return bool(self._settings.log.witnesses or stamps.authorities or stamps.calendars)

    async def round(self, now: Micros) -> Tended:
        """Ask whom it is time to ask; sets `next_at`."""
        done = Tended()
        if self._log.size == 0:
            self.next_at = now + AGAIN
            return done
        later: list[Micros] = [now + int(self._settings.stamps.every_s * SECOND)]
        if self._settings.log.witnesses:
            if now >= self._witness_at:
                await self._witnesses(done)
                self._witness_at = now + int(self._settings.log.witness_every_s * SECOND)
            later.append(self._witness_at)
        note = bytes(self._log.note)
        report = await due_work(
            self._folder / "stamps", note, now, self._settings.stamps, self._door.fetcher(0)
        )
        for each in report.done:
            attempt = each.attempt
            words = f"{attempt.by or 'calendars'}: {attempt.words}"
            if attempt.progress is Progress.KEPT:
                done.stamped.append(words)
            elif attempt.progress is Progress.GIVEN_UP or attempt.kind is not Kind.UPGRADE:
                done.troubles.append(words)  # a calendar that has no block yet is no trouble
        done.troubles += report.troubles
        if report.next_at is not None:
            later.append(max(report.next_at, now + SECOND))
        self.next_at = min(later)
        return done

    async def _witnesses(self, done: Tended) -> None:
        for witness in self._settings.log.witnesses:
            try:
                fetch = self._door.fetcher(0)
                seen = self._seen.get(witness.name, 0)
                note = await cosign(fetch, witness.url, self._log, witness.key, seen=seen)
            except VanishedError as error:
                done.troubles.append(str(error))
                continue
            done.cosigned.append(witness.name)
            self._seen[witness.name] = int(note.text.split("\n")[1])
            keep_cosigned(self._folder, witness.name, note)
            self._log.keep(note)  # unless the log was signed anew meanwhile

    async def run(self, clock: Clock, tell: Callable[[Event], None]) -> None:
        """Rounds until cancelled."""
        while True:
            try:
                done = await self.round(clock.now())
            except VanishedError as error:  # the disk; the watch itself will say so, too
                done = Tended(troubles=[str(error)])
                self.next_at = clock.now() + AGAIN
            now = clock.now()
            for trouble in done.troubles:
                tell(Event("proof-trouble", now, {"words": trouble}))
            for words in done.stamped:
                tell(Event("stamp", now, {"words": words}))
            wait_s = max(0.2, ((self.next_at or now + AGAIN) - now) / SECOND)
            await asyncio.sleep(min(wait_s, 3600.0))


def tend_folder(folder: Path) -> Tended:
    """One round for the observatory in `folder`, without watching. Raises UsageError."""
    from vanished.watch.live import open_door

    async def once(observatory: Observatory, log: Log) -> Tended:
        clock = SystemClock()
        async with open_door(observatory.settings, clock) as door:
            return await Tending(folder, log, observatory.settings, door).round(clock.now())

    with Observatory.open(folder, write=True) as observatory:
        if observatory.proof is None:
            raise UsageError("This observatory keeps no captures, so there is nothing to stamp.")
        observatory.settings.stamps.check()
        return asyncio.run(once(observatory, observatory.proof.log))
