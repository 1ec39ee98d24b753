"""`vanished demo`: the main job on a simulated platform, a month in a minute, then the report.

In: a seed and how many real seconds the month may take. Out: the report that `vanished report`
prints, and below it what only a simulated world can tell: how right it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from vanished.archive.observatory import Observatory
from vanished.archive.pseudonyms import VARIABLE
from vanished.archive.verify import Heading, verify
from vanished.errors import UsageError
from vanished.lab.clock import ScaledClock
from vanished.lab.month import create, scored, watch_world
from vanished.lab.serve import spawned
from vanished.lab.truth import write_truth
from vanished.lab.world import START, World
from vanished.model import DAY, SECOND, Micros
from vanished.publish.report import make_report
from vanished.watch.ledger import Event
from vanished.watch.live import progress_line, shown
from vanished.watch.loop import Watch

DAYS = 31
AFTER: Micros = 2 * DAY  # the watch goes on after the last post, to see its losses
ACCOUNTS = 30
POSTS_PER_DAY = 30.0
TRAPS = 0.2


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where the demo's observatory is made; a key that dies with it unless it is kept."""
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise UsageError(f"{keep} exists and is not an empty folder; name a new one.")
        yield keep
        return
    given = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = given or secrets.token_hex(32)
    try:
        with tempfile.TemporaryDirectory(prefix="vanished-demo-") as folder:
            yield Path(folder) / "observatory"
    finally:
        if given is None:
            del os.environ[VARIABLE]


def run_demo(
    *, seconds: float, seed: int, keep: Path | None, as_json: bool, console: Console, out: Console
) -> None:
    """Watch the simulated month in about `seconds` real seconds and report."""
    world = World.generate(seed, days=DAYS, accounts=ACCOUNTS, posts_per_day=POSTS_PER_DAY)
    until = world.end + AFTER
    speed = (until - world.start) / SECOND / seconds
    if not as_json:
        console.print(
            f"A simulated platform: {ACCOUNTS} public accounts and a censor, {DAYS} days in about"
            f" {seconds:.0f} seconds; {TRAPS:.0%} of its answers are traps."
        )
    with _folder(keep) as folder:
        clock = ScaledClock(START, speed, time.time() + 1.0)
        with spawned(
            seed, clock, traps=TRAPS, days=DAYS, accounts=ACCOUNTS, posts_per_day=POSTS_PER_DAY
        ) as url:
            create(folder, world, url, clock, commit_s=0.25 * speed)
            with Observatory.open(folder, write=True) as observatory:
                asyncio.run(_watch(observatory, clock, until, as_json, console))
                result = scored(observatory, world, until)
        write_truth(world, folder / "truth.jsonl")
        report = make_report(folder, since=None, rows=12, names=False)
        proof = verify(folder)
        if as_json:
            facts = {
                "report": report.facts(),
                "noticed_share": result.posts.noticed_share,
                "cause_right_share": result.posts.cause_right_share,
                "interval_right_share": result.posts.interval_right_share,
                "false_losses": len(result.posts.false_losses),
                "proof": proof.facts(),
            }
            typer.echo(json.dumps(facts, ensure_ascii=False))
            return
        out.print()
        report.show(out)
        out.print()
        out.print(
            "What of it can be proven, offline and by anybody (vanished verify)", style="bold"
        )
        for sentence in proof.proven[Heading.AUTHENTICITY]:
            out.print(f"  {sentence}", soft_wrap=True)
        if not proof.sound:
            out.print(proof.text(), soft_wrap=True)
        out.print()
        out.print("Against the truth, which only a simulated world knows", style="bold")
        out.print(result.text(), soft_wrap=True)
        if keep is not None:
            out.print(f"Kept in {keep}; truth.jsonl there says what really happened.")


async def _watch(
    observatory: Observatory, clock: ScaledClock, until: Micros, as_json: bool, console: Console
) -> None:
    def tell(event: Event) -> None:
        if event.kind == "source-error":
            console.print(f"source error: {dict(event.facts)}", style="red", markup=False)

    with contextlib.ExitStack() as stack:

        def started(watch: Watch) -> None:
            if not as_json:
                stack.enter_context(shown(console, watch, clock))

        progress = await watch_world(observatory, clock, until, tell=tell, started=started)
    if not as_json:
        console.print(progress_line(progress, clock.now()))
