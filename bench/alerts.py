"""What a round of alerts costs on a large past, and how soon a loss is a message in a live room.

In: a month of 10^6 posts and 10^7 looks (`lab.large`), and a real Synapse on loopback. Out: claims:
seconds and memory of a round, beside a message's way into the room. Nothing else is running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from tests.servers.synapse import synapse

from bench.harness import BenchError, Claim, Peer, at_most
from vanished.lab.large import BEGIN, DAYS, write_large
from vanished.model import DAY

POSTS, SEED = 1_000_000, 5
ROUNDS = 5
DESK = """
[channels.desk]
url_env = "VANISHED_ALERT_BENCH"
every_s = 1

[rules.all]
tell = ["losses", "accounts", "returns", "crossings"]

[rules.words]
tell = ["losses"]
terms = ["沽栎"]

[rules.many]
losses_a_day = 1
"""

_ROUNDS = f"""
import asyncio, json, sys, time
from dataclasses import dataclass
from pathlib import Path
from vanished.publish.alerts.running import run_folder
from vanished.publish.alerts.sending import Sender, Sent
from vanished.publish.alerts.courier import Outcome

@dataclass
class Still:
    at: int
    def now(self): return self.at

@dataclass(slots=True)
class Mute(Sender):
    async def send(self, told, address, proxy): return Sent(Outcome.DELIVERED)

seconds, events = [], []
for n in range({ROUNDS}):
    begun = time.monotonic()
    clock = Still({BEGIN + DAYS * DAY} + n * 60_000_000)
    asyncio.run(run_folder(Path(sys.argv[1]), lambda r: events.append(r.told[0].events), once=True,
                dry=False, since=None if n else {BEGIN}, clock=clock, sender=Mute()))
    seconds.append(time.monotonic() - begun)
# getrusage would count what the process that started this one had, too
peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
print(json.dumps([seconds, events, int(peak.split()[1])]))
"""


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes some minutes, most of them for writing the month."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "o"
        os.environ["VANISHED_KEY"] = "ab" * 32
        os.environ["VANISHED_ALERT_BENCH"] = "json://127.0.0.1/"
        write_large(folder, POSTS, SEED)
        (folder / "alerts.toml").write_text(DESK, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", _ROUNDS, str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            raise BenchError(f"the rounds failed: {done.stderr[-500:]}")
        seconds, events, memory = json.loads(done.stdout)
        arrived = _arrives(Path(place))
    later = sorted(seconds[1:])
    return [
        Claim("events of the first round", events[0], "events", "none", True),
        Claim("the first round", seconds[0], "s", "none", True),
        at_most("a later round, median", later[len(later) // 2], "s", 10.0),
        at_most("peak memory of a round", memory / 1024, "MiB", 512.0),
        Claim("events told twice", sum(events[1:]), "events", "= 0", not sum(events[1:])),
        at_most("one round with a message into a live Synapse room", arrived, "s", 15.0),
    ], []


def _arrives(place: Path) -> float:
    """Seconds of `vanished alerts test` into a room; BenchError if the room has it not."""
    folder = place / "small"
    write_large(folder, 1000, SEED)
    (folder / "alerts.toml").write_text(DESK, encoding="utf-8")
    with synapse(place) as server:
        bot, room = server.register("bot"), server.create_room(server.admin)
        host = server.base_url.partition("//")[2]
        address = f"matrix://{quote(bot.token, safe='')}@{host}/{quote(room, safe='')}?hsreq=no"
        begun = time.monotonic()
        main = "from vanished.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", main, "alerts", "test", "desk", "-o", str(folder)],
            capture_output=True, text=True, env={**os.environ, "VANISHED_ALERT_BENCH": address},
        )  # fmt: skip
        seconds = time.monotonic() - begun
        path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/messages"
        got = server.ok("GET", path, server.admin.token, dir="b", limit=20)["chunk"]
    if not any(event["type"] == "m.room.message" for event in got):
        raise BenchError(f"no message came into the room: {done.stdout} {done.stderr[-300:]}")
    return seconds
