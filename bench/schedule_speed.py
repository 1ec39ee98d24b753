"""How many decisions a second the schedule makes, beside a heap; what a scan and a restart cost.

In: nothing but generated columns. Out: claims. A decision is a post whose date came, whose worth
was weighed, and that was taken for a look or put back at a new date; each look taken is answered
"alive", which proves it anew and dates it again. The peer (`schedule_heap.py`) makes the same
decisions one by one. All run in this process, in rounds that alternate, in seconds of processor
time: other work on the machine takes turns away, but lends no processor.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from bench import schedule_restart
from bench.harness import BenchError, Claim, Peer, at_least, at_most
from bench.schedule_heap import ByFunctions, HeapSchedule
from vanished.watch.columns import BYTES, LIVE, Columns, Floats, Ids
from vanished.watch.hazard import AgeCurve
from vanished.watch.priced import Priced
from vanished.watch.resuming import KeptColumns
from vanished.watch.wheel import WINDOW_S, Wheel

MILLION = 10**6
LARGE = 4 * MILLION
SHARE = 0.05  # of the posts that a minute's budget asks
WARM, ROUNDS = 5, 5  # minutes
OURS, SCALAR, FUNCTIONS = "ours", "scalar", "functions"
BEGIN = 400_000
ACCOUNTS = 200_000
CURVE = AgeCurve([120, 480, 1800, 86400, 259200], [0, 0.05, 0.3, 0.9, 1])


@dataclass
class Known:
    """Hazards that are known and do not change."""

    p: Floats
    curve: AgeCurve
    excess: Floats
    began_s: Floats

    def chance(self, account: Ids) -> Floats:
        return self.p[account]


def known() -> Known:
    p = np.clip(np.random.default_rng(1).gamma(0.35, 0.05 / 0.35, ACCOUNTS), 1e-4, 0.9)
    return Known(p, CURVE, np.zeros(1), np.full(1, np.inf))


def filled(posts: int, columns: Columns | None = None) -> Priced:
    """A schedule of so many posts of all ages to 70 hours, as if it had run for long."""
    rng = np.random.default_rng(2)
    per_s = posts * SHARE / WINDOW_S
    made = Priced(known(), lambda host: per_s, columns=columns)
    made.arm(0, 0)
    ids, now = np.arange(posts), np.full(posts, float(BEGIN))
    born = BEGIN - rng.uniform(600, 250_000, posts)
    made.add(ids, born=born, last=now, account=rng.integers(0, ACCOUNTS, posts), arm=0)
    made.rebuild(BEGIN)
    made.date(ids, BEGIN)
    # Somewhere between its last proof and its next look; who retired was asked some hours ago.
    waits = np.minimum(made.columns.due[:posts] - BEGIN, 50_000)
    last = np.maximum(BEGIN - rng.uniform(0, 1, posts) * waits, born)
    made.columns.last[:posts] = last
    made.date(ids, BEGIN)
    return made


def minute(made: Priced, begin: int) -> int:
    """Sixty ticks, every look answered at once; the number of decisions."""
    before = made.weighed
    room = int(len(made.columns.due) * SHARE / WINDOW_S) + 1
    for now in range(begin, begin + WINDOW_S):
        taken = made.take(float(now), lambda host: room, 10**9)
        made.alive(taken, np.full(len(taken), float(now)), now + 0.5)
    return made.weighed - before


def cpu_s(work: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def against_heap() -> dict[str, float]:
    """Decisions a second at a million posts: ours, the heap's, the heap's with our functions."""
    ours = filled(MILLION)
    heaps = [made(filled(MILLION), known().p, CURVE) for made in (HeapSchedule, ByFunctions)]
    best = dict.fromkeys((OURS, SCALAR, FUNCTIONS), 0.0)
    room = int(MILLION * SHARE / WINDOW_S) + 1
    for number in range(WARM + ROUNDS):
        took, made = cpu_s(lambda n=number: minute(ours, BEGIN + n * WINDOW_S))  # type: ignore[misc]
        if number >= WARM:
            best[OURS] = max(best[OURS], float(made) / took)  # type: ignore[arg-type]
        for name, heap, seconds in ((SCALAR, heaps[0], 10), (FUNCTIONS, heaps[1], 1)):
            begin, before = BEGIN + number * seconds, heap.weighed
            took, _ = cpu_s(lambda h=heap, b=begin, s=seconds: heap_seconds(h, b, s, room))  # type: ignore[misc]
            best[name] = max(best[name], (heap.weighed - before) / took)
    return best


def heap_seconds(heap: HeapSchedule, begin: int, seconds: int, room: int) -> None:
    for now in range(begin, begin + seconds):
        heap.alive(heap.take(float(now), room), float(now))


def large() -> float:
    """Decisions a second at four million posts: the best minute."""
    ours = filled(LARGE)
    best = 0.0
    for number in range(WARM + ROUNDS):
        took, made = cpu_s(lambda n=number: minute(ours, BEGIN + n * WINDOW_S))  # type: ignore[misc]
        if number >= WARM:
            best = max(best, float(made) / took)  # type: ignore[arg-type]
    return best


def scan_s() -> float:
    """Seconds of one scan of ten million posts, of which one in twenty falls into the window."""
    columns = Columns.empty(10 * MILLION)
    columns.use(10 * MILLION)
    columns.due[:] = np.random.default_rng(4).integers(0, WINDOW_S * 20, 10 * MILLION)
    return min(cpu_s(lambda: Wheel(columns).pop(0))[0] for _ in range(5))


def _hundred_million(folder: str, answer: Connection) -> None:
    """Files of columns for 10^8 posts, all in use, scanned once; the process's own memory."""
    columns = KeptColumns(Path(folder))
    columns.use(100 * MILLION)
    for start in range(0, 100 * MILLION, MILLION):
        part = slice(start, start + MILLION)
        columns.flags[part], columns.due[part] = LIVE, start // MILLION * 60
    found = len(Wheel(columns).pop(0))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
    answer.send((own * 1024, found))


def hundred_million() -> float:
    """Bytes: those of the files, as if all its pages were in memory, and the process's own."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_hundred_million, args=(folder, theirs))
        process.start()
        own, found = ours.recv() if ours.poll(300) else (0, 0)
        process.join(10)
        if found != MILLION:
            raise BenchError("the scan of a hundred million posts found the wrong ones")
        return float(100 * MILLION * BYTES + own)


def run() -> tuple[list[Claim], list[Peer]]:
    """Rates, times and memory. Takes some minutes."""
    rate = against_heap()
    again_s, anew_s = schedule_restart.seconds()
    claims = [
        at_least("decisions a second on one core, 4 million posts", large(), "per second", 1e6),
        at_least(
            "1 million posts, to heapq with the same functions for one post",
            rate[OURS] / rate[FUNCTIONS],
            "times",
            50,
        ),
        at_least(
            "1 million posts, to heapq with scalar arithmetic of its own",
            rate[OURS] / rate[SCALAR],
            "times",
            5,
        ),
        at_most("one scan of 10 million posts", scan_s(), "s", 0.25),
        at_most("100 million posts in memory", hundred_million() / 1e9, "GB", 2.5),
        at_most("kill -9 to the first looks, 4 million posts", again_s, "s", 5),
        at_most("the same where the columns are made anew", anew_s, "s", 60),
    ]
    return claims, [{"name": "heapq", "version": "of this Python"}]
