"""`vanished canaries`: ask every canary once through every route, and say what it answered.

In: a folder. Out: a line for each canary and route, and one for each watched platform without any.
Nothing is kept: this is for choosing canaries and for seeing what the doctor complains of; the
watch asks them by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.clock import Clock, SystemClock
from vanished.errors import UsageError
from vanished.model import Observation
from vanished.net.door import Door
from vanished.sources import Source
from vanished.sources.registry import canary, source
from vanished.watch.canaries import Canary, ask, canaries_of
from vanished.watch.live import open_door
from vanished.watch.routes import routes_of


@dataclass(frozen=True, slots=True)
class Answer:
    """What one canary answered through one route."""

    platform: str
    vantage: str
    canary: Canary
    seen: Observation

    @property
    def right(self) -> bool | None:
        return self.canary.verdict(self.seen)

    def facts(self) -> dict[str, object]:
        signal = self.seen.signal
        return {
            "platform": self.platform,
            "vantage": self.vantage,
            "canary": self.canary.name,
            "right": self.right,
            "answer": signal.kind.value,
            "fault": signal.fault,
            "rule": signal.rule,
        }

    def text(self) -> str:
        signal = self.seen.signal
        word = {True: "right", False: "WRONG", None: "no answer"}[self.right]
        said = signal.fault or signal.kind
        return f"{self.platform} from {self.vantage}: {self.canary.name}: {word} ({said})"


@dataclass(frozen=True, slots=True)
class Unguarded:
    """A platform that is watched without canaries, and which posts of it could be some."""

    platform: str
    use: str
    right: None = None

    def facts(self) -> dict[str, object]:
        return {"platform": self.platform, "canary": None, "right": None, "use": self.use}

    def text(self) -> str:
        return f"{self.platform}: unguarded; a canary can be {self.use}"


def check_folder(folder: Path) -> list[Answer | Unguarded]:
    """Ask the canaries of the observatory in `folder`. Raises UsageError if it has none."""
    with Observatory.open(folder) as observatory:
        settings = observatory.settings
        chosen = {
            platform: source(platform, observatory.naming, settings)
            for platform, asked in settings.asking.items()
            if asked.canaries.alive
        }
        watched = {row.account.platform for row in observatory.account_rows()}
        without = [Unguarded(name, canary(name)) for name in sorted(watched - chosen.keys())]
        if not chosen:
            raise UsageError(
                "This observatory has no canaries; name some in observatory.toml, such as: canaries"
                ' = { alive = ["https://example.org/post/1"], gone = [] } under [sources.page].'
                + "".join(f"\n{each.text()}" for each in without)
            )
        return [*asyncio.run(_check(observatory, chosen)), *without]


async def _check(observatory: Observatory, chosen: Mapping[str, Source]) -> list[Answer]:
    clock = SystemClock()
    found = []
    async with open_door(observatory.settings, clock) as door:
        for platform, asked in chosen.items():
            for each in canaries_of(asked, observatory.settings.asked(platform).canaries):
                for route in routes_of(observatory.settings, platform, door):
                    await _room(door, each.host, clock)
                    seen = await ask(asked, each, door.fetcher(0, route.proxy))
                    found.append(Answer(platform, route.vantage, each, seen))
    return found


async def _room(door: Door, host: str, clock: Clock) -> None:
    ready = door.politeness.ready_at(host, clock.now())
    await clock.wait(asyncio.Event(), ready, busy=False)
