"""The lab's month: our whole watch over a world whose truth is known.

In: a world, the address where it is served, a clock. Out: an observatory with facts and verdicts,
and their score against the truth. The watch is the product's own; only the clock is simulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.lab.clock import LabClock, SteppedClock
from vanished.lab.serve import running
from vanished.lab.source import PLATFORM, LabSource
from vanished.lab.truth import Score, score, truth_of
from vanished.lab.world import MOST_LAG, World
from vanished.model import DAY, HOUR, MINUTE, SECOND, Micros
from vanished.net.door import Door
from vanished.watch.live import build_watch, open_door
from vanished.watch.loop import Watch
from vanished.watch.progress import Event, Progress

GRACE: Micros = 12 * HOUR
"""A bare "not found" needs hours to be believed: losses later than this are only counted."""

SETTINGS = """\
# An observatory of the lab's simulated platform.
[observatory]
id = "{id}"

[watch]
discover_every_s = {discover_s}
commit_every_s = {commit_s}
look_every_s = [[21600, 3600], [86400, 14400], [259200, 43200], [2678400, 172800]]

[hosts]
per_second = 1e6

[net]
timeout_s = 5
allow_networks = ["127.0.0.0/8"]

[judge]
stale_s = {stale_s}

[sources.lab]
url = "{url}"
"""


def create(folder: Path, world: World, url: str, clock: LabClock, *, commit_s: float) -> None:
    """An observatory in `folder` that watches every account of `world`, served at `url`."""
    with Observatory.create(folder) as observatory:
        text = SETTINGS.format(
            id=observatory.settings.id,
            url=url,
            stale_s=MOST_LAG / SECOND,
            discover_s=6 * 3600,
            commit_s=commit_s,
        )
        (folder / FILE).write_text(text, encoding="utf-8")
        source = LabSource(observatory.naming, {"url": url})
        for account in world.accounts:
            observatory.add_account(source.account(account.id), clock.now())


async def watch_world(
    observatory: Observatory,
    clock: LabClock,
    until: Micros,
    *,
    tell: Callable[[Event], None] = lambda event: None,
    started: Callable[[Watch], None] = lambda watch: None,
    door: Door | None = None,
) -> Progress:
    """Watch with the product's loop until the clock reaches `until`; `door`: in place of ours."""
    source = LabSource(observatory.naming, observatory.settings.sources[PLATFORM])
    async with door or open_door(observatory.settings, clock) as door:
        # All pictures of the world are one picture, and a month of them would be most requests.
        watch = build_watch(observatory, {PLATFORM: source}, door, clock, tell, pictures=False)
        started(watch)
        return await watch.run(until)


def scored(observatory: Observatory, world: World, until: Micros) -> Score:
    """The observatory's verdicts against the truth of `world`.

    A post that was lost and back before it was first seen counts as never seen: no watch could
    have noticed that loss.
    """
    truth = truth_of(world)
    first_seen = observatory.first_sights()
    back = {
        observatory.naming(PLATFORM, post.id): post.fate.returned_at
        for post in truth.posts
        if post.fate is not None and post.fate.returned_at is not None
    }
    seen = {key for key, at in first_seen.items() if key not in back or at < back[key]}
    verdicts = observatory.verdicts()
    return score(truth, verdicts, seen, observatory.naming, until=until, grace=GRACE)


def run_month(
    folder: Path, world: World, url: str, clock: LabClock, *, until: Micros
) -> tuple[Score, Progress]:
    """Create, watch and score a world on a clock that jumps."""
    create(folder, world, url, clock, commit_s=600.0)
    with Observatory.open(folder, write=True) as observatory:
        progress = asyncio.run(watch_world(observatory, clock, until))
        return scored(observatory, world, until), progress


def month_of(
    seed: int, folder: Path, traps: float = 0.2, *, accounts: int = 24
) -> tuple[Score, Progress]:
    """The month of `seed` that tests and benchmark judge us by, watched until three days after.

    Each account posts one and a half times a day and the clock takes half-hour steps: with 24 of
    them some 50,000 looks. The folder is made.
    """
    world = World.generate(seed, days=31, accounts=accounts, posts_per_day=1.5 * accounts)
    clock = SteppedClock(world.start, stride=30 * MINUTE)
    with running(world, clock, traps=traps) as url:
        return run_month(folder, world, url, clock, until=world.end + 3 * DAY)
