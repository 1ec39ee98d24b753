"""A watch to be killed: `python -m tests.watch.killed_watch FOLDER START SPEED EPOCH UNTIL`.

Prints a line an acknowledged commit, like `vanished watch --json`, on a clock that runs fast.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.lab.clock import ScaledClock
from vanished.lab.month import watch_world
from vanished.watch.ledger import Event


def main(folder: str, start: str, speed: str, epoch: str, until: str) -> None:
    clock = ScaledClock(int(start), float(speed), float(epoch))
    with Observatory.open(Path(folder), write=True) as observatory:
        before = observatory.acknowledged_looks()

        def tell(event: Event) -> None:
            if event.kind == "commit":
                looks = before + int(str(event.facts["looks"]))
                print(json.dumps({"seq": event.facts["seq"], "looks": looks}), flush=True)

        asyncio.run(watch_world(observatory, clock, int(until), tell=tell))


if __name__ == "__main__":
    main(*sys.argv[1:])
