"""A watch to be killed, as a process of its own: `main` in it, and `forked` to start it.

It sends a line an acknowledged commit, like `vanished watch --json`, on a clock that runs fast.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.lab.clock import ScaledClock
from vanished.lab.month import watch_world
from vanished.watch.ledger import Event


def main(out: Connection, folder: Path, clock: ScaledClock, until: int) -> None:
    with Observatory.open(folder, write=True) as observatory:
        before = observatory.acknowledged_looks()

        def tell(event: Event) -> None:
            if event.kind == "commit":
                looks = before + int(str(event.facts["looks"]))
                out.send_bytes(json.dumps([event.facts["seq"], looks]).encode())

        asyncio.run(watch_world(observatory, clock, until, tell=tell))


def forked(folder: Path, clock: ScaledClock, until: int) -> tuple[ForkServerProcess, Connection]:
    """Start one; its process, and where what it sends is read.

    Each is forked from a server that has our modules loaded and nothing begun: to load them anew
    for every death would take longer than the watches live.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=main, args=(its, folder, clock, until))
    process.start()
    its.close()
    return process, mine
