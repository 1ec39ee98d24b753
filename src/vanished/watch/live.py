"""`vanished watch` on a folder: build the parts, show progress, stop cleanly on Ctrl-C.

In: a folder. Out: facts in it, a progress line on standard error, and with `--json` one line an
event on standard output. An event `commit` is an acknowledgement: what it counts survives a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from vanished.archive.durable import reason
from vanished.archive.observatory import Observatory
from vanished.archive.settings import Settings
from vanished.clock import Clock, SystemClock, span
from vanished.errors import UsageError
from vanished.judge import JudgeSettings
from vanished.model import SECOND, Micros, at
from vanished.net.door import Door, DoorSettings
from vanished.net.politeness import Politeness
from vanished.sources import Source
from vanished.sources.registry import sources
from vanished.watch.by_price import ByPrice
from vanished.watch.canaries import canaries_of
from vanished.watch.columns import Columns
from vanished.watch.loop import Watch
from vanished.watch.pictures import Pictures
from vanished.watch.priced import Conditions
from vanished.watch.progress import Event, Progress
from vanished.watch.resuming import Keeper
from vanished.watch.routes import proxies_of, routes_of
from vanished.watch.schedule import NEVER, AgeBuckets, Schedule
from vanished.watch.tending import Tending

REFRESH_S = 0.5


def progress_line(progress: Progress, now: Micros) -> str:
    """Rate, backlog, next due, losses so far: one line."""
    seconds = max(time.monotonic() - progress.began_s, 1e-9)
    due = "nothing due"
    if progress.next_due != NEVER:
        due = f"next in {span(max(0.0, (progress.next_due - now) / SECOND))}"
    return (
        f"{at(now):%Y-%m-%d %H:%M:%S} · {progress.looks} looks ({progress.looks / seconds:.1f}/s,"
        f" {progress.failed} failed) · {progress.posts_found} new posts · backlog"
        f" {progress.backlog}, {due} · {progress.losses} lost, {progress.returned} returned"
        + "".join(f" · {trouble}" for trouble in progress.troubles)
    )


def canary_line(facts: Mapping[str, object]) -> str:
    """What the operator is told when canaries begin to answer wrongly, or are right again."""
    way = f"{facts['platform']} from {facts['vantage']}"
    if facts["right"]:
        return f"{way} answers rightly again; what was seen meanwhile stays unknown"
    return f"{way}: {facts['words']}; until it answers rightly, what is seen this way is unknown"


def stream_line(facts: Mapping[str, object]) -> str:
    """What the operator is told of a stream of changes: its state, and why."""
    words = f": {facts['words']}" if facts["words"] else ""
    wait = f"; again in {facts['wait_s']} s" if facts["wait_s"] else ""
    return f"{facts['platform']} is {facts['state']}{words}{wait}"


def build_watch(
    observatory: Observatory,
    chosen: Mapping[str, Source],
    door: Door,
    clock: Clock,
    tell: Callable[[Event], None],
    *,
    pictures: bool = True,
) -> Watch:
    """A watch with the settings of the observatory's folder; `pictures`: if those want any."""
    settings = observatory.settings
    keeper = None if settings.watch.look_every_s else _keeper(observatory, clock, tell)
    every_s = settings.watch.discover_every_s
    return Watch(
        observatory,
        chosen,
        door,
        clock,
        _schedule(observatory, chosen, keeper.columns if keeper is not None else None),
        keeper=keeper,
        concurrency=settings.watch.concurrency,
        discover_every=None if every_s is None else int(every_s * SECOND),
        commit_every=int(settings.watch.commit_every_s * SECOND),
        judged_by=JudgeSettings(
            stale_s=settings.judge.stale_s,
            burst_s=settings.judge.burst_s,
            fresh_s=settings.judge.fresh_s,
            alone_s=settings.judge.alone_s,
        ),
        routes={platform: routes_of(settings, platform, door) for platform in chosen},
        canaries={
            platform: canaries_of(source, settings.asked(platform).canaries)
            for platform, source in chosen.items()
        },
        canaries_every=int(settings.canaries.every_s * SECOND),
        pictures=(
            Pictures(observatory.naming, settings.capture.pictures)
            if pictures and settings.capture.pictures and observatory.proof is not None
            else None
        ),
        tell=tell,
    )


def _keeper(observatory: Observatory, clock: Clock, tell: Callable[[Event], None]) -> Keeper | None:
    """Who keeps the schedule's columns in the folder; None, told once, where that cannot be."""

    def refused(error: OSError) -> None:
        words = f"its columns are kept in memory only, since {reason(error)}"
        tell(Event("schedule-trouble", clock.now(), {"words": words}))

    try:
        return Keeper(observatory, refused)
    except OSError as error:
        refused(error)
        return None


def _schedule(
    observatory: Observatory, chosen: Mapping[str, Source], columns: Columns | None
) -> Schedule:
    """By price; or by age alone, where the settings name intervals."""
    watch = observatory.settings.watch
    if watch.look_every_s:
        return AgeBuckets(watch.look_every_s)
    return ByPrice(
        {name: serves(observatory.settings, name, source) for name, source in chosen.items()},
        conditions=conditions_of(observatory.settings),
        learnt=observatory.learnt(),
        words=watch.terms,
        columns=columns,
    )


def serves(settings: Settings, platform: str, source: Source) -> int:
    """How many posts one request answers for; those that go by several routes share none."""
    return source.batch if len(settings.asked(platform).routes) < 2 else 1


def conditions_of(settings: Settings) -> Conditions:
    """The schedule's numbers, as the settings have them."""
    watch = settings.watch
    return Conditions(objective=watch.objective, shortest_s=watch.shortest_s, census=watch.census)


def open_door(settings: Settings, clock: Clock) -> Door:
    """The fetcher with the folder's limits and budgets."""
    net = settings.net
    return Door(
        DoorSettings(
            timeout_s=net.timeout_s,
            max_bytes=net.max_bytes,
            max_redirects=net.max_redirects,
            allow_networks=net.allow_networks,
            vantage=net.vantage,
            proxies=proxies_of(settings),
        ),
        clock,
        Politeness(
            settings.hosts.per_second,
            per_host=settings.hosts.per_host,
            burst_s=settings.hosts.burst_s,
        ),
    )


def watch_folder(folder: Path, *, for_s: float | None, as_json: bool, console: Console) -> Progress:
    """Watch the observatory in `folder` until Ctrl-C or for `for_s` seconds."""
    with Observatory.open(folder, write=True) as observatory:
        accounts = observatory.account_rows()
        observatory.settings.stamps.check()
        if not accounts:
            raise UsageError(
                "This observatory watches nothing yet; add something first, such as:"
                " vanished add feed https://example.org/feed.xml"
            )
        chosen = sources(
            {row.account.platform for row in accounts}, observatory.naming, observatory.settings
        )
        return asyncio.run(_watch(observatory, chosen, for_s, as_json, console))


async def _watch(
    observatory: Observatory,
    chosen: Mapping[str, Source],
    for_s: float | None,
    as_json: bool,
    console: Console,
) -> Progress:
    clock = SystemClock()

    def tell(event: Event) -> None:
        if as_json:
            line = {"event": event.kind, "at": at(event.at).isoformat(), **event.facts}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        elif event.kind == "source-error":
            console.print(f"source error: {dict(event.facts)}", style="red", markup=False)
        elif event.kind == "canary":
            console.print(f"canary: {canary_line(event.facts)}", style="red", markup=False)
        elif event.kind == "login":
            words = f"{event.facts['platform']}: {event.facts['words']}"
            console.print(f"login: {words}", style="red", markup=False)
        elif event.kind == "stream":
            console.print(f"stream: {stream_line(event.facts)}", markup=False)
        elif event.kind == "proof-trouble":
            console.print(f"proof: {event.facts['words']}", style="red", markup=False)
        elif event.kind == "schedule-trouble":
            console.print(f"schedule: {event.facts['words']}", style="red", markup=False)

    async with open_door(observatory.settings, clock) as door:
        watch = build_watch(observatory, chosen, door, clock, tell)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, watch.stop)
        until = None if for_s is None else clock.now() + int(for_s * SECOND)
        with shown(console, watch, clock):
            async with tended(observatory, door, clock, tell):
                progress = await watch.run(until)
    console.print(progress_line(progress, clock.now()))
    return progress


@contextlib.asynccontextmanager
async def tended(
    observatory: Observatory, door: Door, clock: Clock, tell: Callable[[Event], None]
) -> AsyncIterator[None]:
    """Have witnesses and stamping services look at the log meanwhile, if there are any."""
    proof = observatory.proof
    if proof is None:
        yield
        return
    tending = Tending(observatory.folder, proof.log, observatory.settings, door)
    task = asyncio.ensure_future(tending.run(clock, tell)) if tending.wanted else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.contextmanager
def shown(console: Console, watch: Watch, clock: Clock) -> Iterator[None]:
    """Keep a progress line on a terminal; nothing where standard error is no terminal."""
    if not console.is_terminal:
        yield
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        async def refresh() -> None:
            while True:
                watch.measure()
                live.update(Text(progress_line(watch.progress, clock.now())), refresh=True)
                await asyncio.sleep(REFRESH_S)

        task = asyncio.ensure_future(refresh())
        try:
            yield
        finally:
            task.cancel()
