"""A watch to be killed: one on a clock that runs fast, which says each acknowledged commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from vanished.archive.observatory import Observatory
from vanished.lab.clock import ScaledClock
from vanished.lab.month import watch_world
from vanished.watch.progress import Event


def main(say: Callable[[str], None], folder: Path, clock: ScaledClock, until: int) -> None:
    """A line a commit: the sequence number and all looks so far, as JSON."""
    with Observatory.open(folder, write=True) as observatory:
        before = observatory.acknowledged_looks()

        def tell(event: Event) -> None:
            if event.kind == "commit":
                say(json.dumps([event.facts["seq"], before + int(str(event.facts["looks"]))]))

        asyncio.run(watch_world(observatory, clock, until, tell=tell))
