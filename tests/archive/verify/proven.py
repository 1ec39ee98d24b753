"""Small observatories with everything that can be proven: captures, stamps, cosignatures, gaps.

They are made by the product's own watch over the lab's platform, a real OpenSSL authority and a
real witness on loopback; one post of each was forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.tsa import authority
from vanished.archive.capture import Identities, identities, new_identity
from vanished.archive.erasing import erase
from vanished.archive.log.note import WITNESS_KEY, SignerKey
from vanished.archive.log.witness import serve_witness
from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.clock import SystemClock
from vanished.lab.clock import SteppedClock
from vanished.lab.month import create, watch_world
from vanished.lab.serve import running
from vanished.lab.world import World
from vanished.model import DAY, MINUTE
from vanished.watch.live import open_door
from vanished.watch.tending import Tended, Tending

WITNESS = SignerKey("witness.example/w", bytes(range(32)), WITNESS_KEY)


@dataclass(frozen=True)
class Proven:
    """A finished observatory. `secret` is the text of a key file that opens its captures."""

    folder: Path
    world: World
    secret: str
    forgotten: str  # key of the post that was forgotten
    tended: Tended

    @property
    def opened(self) -> Identities:
        return identities(self.secret)


@contextlib.contextmanager
def proven(folder: Path, *, sealed: bool, seed: int = 5) -> Iterator[Proven]:
    """Watch a small world for three days; stamp and cosign the log; forget a post."""
    recipient, secret = new_identity()
    world = World.generate(seed, days=3, accounts=3, posts_per_day=6.0)
    clock = SteppedClock(world.start, stride=30 * MINUTE)
    with authority(folder / "tsa") as tsa:
        with running(world, clock, traps=0.2) as url:
            place = folder / "o"
            create(place, world, url, clock, commit_s=600.0)
            more = "\n[capture]\nsegment_s = 28800\n"  # some captures a segment, some segments
            more += f'seal_to = ["{recipient}"]\n' if sealed else ""
            more += (
                f'\n[stamps.authorities]\nalpha = {{ url = "{tsa.url}", root = "{tsa.root}" }}\n'
            )
            settings = (place / FILE).read_text("utf-8")
            (place / FILE).write_text(settings + more, "utf-8")
            with Observatory.open(place, write=True) as observatory:
                asyncio.run(watch_world(observatory, clock, world.end + DAY))
                observatory.flush()
                key = sorted(observatory.first_sights())[3]
                erase(observatory, [key], "asked by the author", clock.now())
        tended = asyncio.run(_tend(place, folder / "witness"))
        yield Proven(place, world, secret, key, tended)


async def _tend(place: Path, home: Path) -> Tended:
    """One round with a witness that knows the log."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with Observatory.open(place, write=True) as observatory:
        assert observatory.proof is not None
        log = observatory.proof.log
        logs = {log.origin: (log.keys[0].key,)}
        task = asyncio.create_task(
            serve_witness(home, "127.0.0.1", 0, WITNESS, logs, ready=ready.set_result)
        )
        port = await asyncio.wait_for(ready, 10)
        line = f'friends = {{ url = "http://127.0.0.1:{port}", key = "{WITNESS.verifier}" }}'
        with (place / FILE).open("a", encoding="utf-8") as file:
            file.write(f"\n[log.witnesses]\n{line}\n")
    clock = SystemClock()
    try:
        with Observatory.open(place, write=True) as observatory:
            assert observatory.proof is not None
            async with open_door(observatory.settings, clock) as door:
                tending = Tending(place, observatory.proof.log, observatory.settings, door)
                return await tending.round(clock.now())
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
