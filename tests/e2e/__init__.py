"""The whole watch on a folder, as `vanished watch` runs it, beside a test that plays the platform.

In: a folder, settings, addresses, a clock. Out: a running `Watched` whose verdicts a test waits
for. Everything of it is the product's own; only the changes on the servers are the test's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.clock import Clock
from vanished.model import Micros, Verdict
from vanished.sources.registry import source, sources
from vanished.watch.live import build_watch, open_door
from vanished.watch.loop import Watch
from vanished.watch.progress import Event, Progress

POLL_S = 0.1


def create(folder: Path, settings: str, addresses: Iterable[tuple[str, str]], now: Micros) -> None:
    """An observatory with these tables in its observatory.toml, watching (platform, address)."""
    with Observatory.create(folder) as made:
        identity = made.settings.id
    (folder / FILE).write_text(f'[observatory]\nid = "{identity}"\n{settings}', "utf-8")
    with Observatory.open(folder, write=True) as observatory:
        for platform, address in addresses:
            chosen = source(platform, observatory.naming, observatory.settings)
            assert observatory.add_account(chosen.account(address), now)


@dataclass
class Span:
    """When the test did something on a server: begun after `since`, done by `until`."""

    since: Micros
    until: Micros


@dataclass
class Watched:
    """A watch that is running in a task."""

    observatory: Observatory
    watch: Watch
    clock: Clock
    task: asyncio.Task[Progress]
    events: list[Event] = field(default_factory=list)

    async def act(self, work: Callable[[], None]) -> Span:
        """Change the world in a thread, so that the watch goes on meanwhile."""
        since = self.clock.now()
        await asyncio.to_thread(work)
        return Span(since, self.clock.now())

    async def wait_for(self, what: str, reached: Callable[[], bool], most_s: float) -> None:
        """Wait until `reached`; fail if that takes more than `most_s` real seconds."""
        started = time.monotonic()
        while not reached():
            assert not self.task.done(), f"the watch ended before {what}"
            late = time.monotonic() - started > most_s
            assert not late, f"not in {most_s:g} s: {what}\n{self._standing()}"
            await asyncio.sleep(POLL_S)
        print(f"{what}: {time.monotonic() - started:.1f} s")

    def _standing(self) -> str:
        """What was judged and seen so far, counted: why a wait may have been in vain."""
        judged = Counter(
            f"{v.state} {sorted(v.causes)} {v.rules} {v.conflicts[:1]}"
            for v in self.verdicts().values()
        )
        query = (
            "select via, kind, rule, fault, words, sum(looks)::bigint, max(asked_at)"
            " from observations group by all order by max(asked_at)"
        )
        with self.observatory.past() as con:
            seen = con.execute(query).fetchall()
        return "\n".join([*(f"{n} x {said}" for said, n in judged.items()), *map(str, seen)])

    def verdicts(self) -> dict[str, Verdict]:
        """The current verdicts, by subject."""
        return {verdict.subject: verdict for verdict in self.observatory.verdicts()}

    def alive_since(self, keys: Iterable[str], moment: Micros) -> bool:
        """Whether each of these posts was asked after `moment` and was alive."""
        wanted = list(keys)
        rows = self.observatory.post_rows_by_key(wanted)
        return len(rows) == len(wanted) and all(
            row.track.last_alive_at is not None and row.track.last_alive_at > moment
            for row in rows.values()
        )

    def versions(self) -> dict[str, int]:
        """How many wordings the journal holds of each post."""
        query = "select post, count(distinct hash) from versions group by 1"
        with self.observatory.past() as con:
            return dict(con.execute(query).fetchall())


@asynccontextmanager
async def watching(folder: Path, clock: Clock) -> AsyncIterator[Watched]:
    """The observatory in `folder` under watch; stopped as Ctrl-C stops it."""
    with Observatory.open(folder, write=True) as observatory:
        platforms = {row.account.platform for row in observatory.account_rows()}
        chosen = sources(platforms, observatory.naming, observatory.settings)
        events: list[Event] = []
        async with open_door(observatory.settings, clock) as door:
            watch = build_watch(observatory, chosen, door, clock, events.append)
            task = asyncio.create_task(watch.run())
            try:
                yield Watched(observatory, watch, clock, task, events)
            finally:
                watch.stop()
                await task
        assert [event for event in events if event.kind == "source-error"] == []
        assert events[-1].kind == "stopped"


def assert_holds(verdict: Verdict, acted: Span) -> None:
    """The verdict's interval holds the moment at which the test acted."""
    assert verdict.interval is not None
    assert verdict.interval.last_alive_at is not None, "it was seen alive before"
    assert verdict.interval.last_alive_at <= acted.until
    assert acted.since <= verdict.interval.first_gone_at
    assert verdict.interval.last_alive_at < verdict.interval.first_gone_at
