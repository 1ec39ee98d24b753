"""`vanished demo`: the main job on a simulated platform, a month in a minute, then the report.

In: a seed and how many real seconds the month may take. Out: the report that `vanished report`
prints, and below it what only a simulated world can tell: how right it was. With `serve` the
dashboard of the month, while it is watched and until Ctrl-C. SIGTERM and SIGHUP end it as Ctrl-C
does: no process and no folder of it is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
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
from vanished.watch.live import progress_line, shown
from vanished.watch.loop import Watch
from vanished.watch.progress import Event

DAYS = 31
AFTER: Micros = 2 * DAY  # the watch goes on after the last post, to see its losses
ACCOUNTS = 30
POSTS_PER_DAY = 30.0
TRAPS = 0.2
NEEDED = ("starlette", "uvicorn", "jinja2", "babel", "vl_convert", "pyarrow", "scipy")
"""Of the dashboard, beyond the core install."""
INSTALL = "pip install 'vanished[publish,explain]'"
END_S = 15.0
NICE = 10
"""The month, which does not wait for anybody, goes first."""
_DASHBOARD = f"""
import os, signal, sys, threading

def follow():
    sys.stdin.buffer.read()  # ends with the demo, however that ends
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=follow, daemon=True).start()
os.nice({NICE})
from vanished.cli import main
main()
"""


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP are taken for Ctrl-C; more of them do not disturb the end."""
    wanted = [signal.SIGTERM, signal.SIGHUP]
    if threading.current_thread() is not threading.main_thread():
        wanted = []  # no other thread may ask for signals
    before = {number: signal.getsignal(number) for number in wanted}
    heard = [number for number in wanted if before[number] is not signal.SIG_IGN]  # as by nohup

    def end(number: int, frame: object) -> None:
        for one in heard:
            signal.signal(one, signal.SIG_IGN)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun by a script, with &
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


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
    *,
    seconds: float,
    seed: int,
    keep: Path | None,
    as_json: bool,
    console: Console,
    out: Console,
    serve: bool = False,
    port: int = 0,
) -> None:
    """Watch the simulated month in about `seconds` real seconds and report.

    `serve`: show the dashboard at `port` (0: a free one) meanwhile, if what it needs is installed;
    at a terminal it then goes on until Ctrl-C.
    """
    world = World.generate(seed, days=DAYS, accounts=ACCOUNTS, posts_per_day=POSTS_PER_DAY)
    until = world.end + AFTER
    speed = (until - world.start) / SECOND / seconds
    if not as_json:
        console.print(
            f"A simulated platform: {ACCOUNTS} public accounts and a censor, {DAYS} days in about"
            f" {seconds:.0f} seconds; {TRAPS:.0%} of its answers are traps."
        )
    desk: subprocess.Popen[str] | None = None
    with _ended_as_by_ctrl_c(), _folder(keep) as folder, contextlib.ExitStack() as open_places:
        clock = ScaledClock(START, speed, time.time() + 1.0)
        with spawned(
            seed, clock, traps=TRAPS, days=DAYS, accounts=ACCOUNTS, posts_per_day=POSTS_PER_DAY
        ) as url:
            create(folder, world, url, clock, commit_s=0.25 * speed)
            if serve:
                desk = open_places.enter_context(dashboard(folder, port, console))
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
        if desk is not None and desk.poll() is None and sys.stdin.isatty():
            console.print("The dashboard goes on until Ctrl-C.")
            with contextlib.suppress(KeyboardInterrupt):
                desk.wait()


@contextlib.contextmanager
def dashboard(folder: Path, port: int, console: Console) -> Iterator[subprocess.Popen[str] | None]:
    """The dashboard of `folder` in a process of its own, its address told; None, with the reason
    told, where what it needs is not installed. It is ended on leaving."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        console.print(
            f"The dashboard needs more than the core install has ({missing[0]}): {INSTALL}. The"
            " report follows in the terminal."
        )
        yield None
        return
    given = ["serve", "-o", str(folder), "--port", str(port), "--findings-every", "0.5"]
    process = subprocess.Popen(  # noqa: S603 -- ourselves
        [sys.executable, "-c", _DASHBOARD, *given],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    teller = threading.Thread(target=_tell_address, args=(process, folder, console), daemon=True)
    teller.start()  # the month does not wait for the dashboard
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        teller.join()
        if process.stdin is not None:
            process.stdin.close()


def _tell_address(process: subprocess.Popen[str], folder: Path, console: Console) -> None:
    assert process.stdout is not None
    with process.stdout as said:
        address = said.readline().strip()
    if address:
        console.print(f"The dashboard, live: [bold]{address}[/bold]", highlight=False)
    else:
        console.print(f"The dashboard did not start; try: vanished serve -o {folder}")


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
