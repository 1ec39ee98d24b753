"""How many decisions a second the schedule makes, beside a heap; what a scan and a restart cost.

In: nothing but generated columns. Out: claims. A decision is a post whose date came, whose worth
was weighed, and that was taken for a look or put back at a new date; each look taken is answered
"alive", which proves it anew and dates it again. The peer makes the same decisions one by one, with
Python's `heapq` and scalar arithmetic: the index in closed form, the date by two Newton steps. A
heap that only moves dates, without weighing anything, is measured too, for what the heap alone
costs. All run in this process, in rounds that alternate, in seconds of processor time: other work
on the machine takes turns away, but lends no processor.
"""

from __future__ import annotations

import heapq
import math
import multiprocessing
import os
import signal
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from bench.harness import BenchError, Claim, Peer, at_least, at_most
from vanished.watch.columns import BYTES, LIVE, Columns, Floats, Ids
from vanished.watch.hazard import AgeCurve
from vanished.watch.priced import Priced
from vanished.watch.terms import FLOOR_S
from vanished.watch.wheel import WINDOW_S, Wheel

MILLION = 10**6
LARGE = 4 * MILLION
SHARE = 0.05  # of the posts that a minute's budget asks
WARM, ROUNDS = 5, 5  # minutes
PEER_TURNS = 50_000
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


class Heap:
    """The peer: a heap of dates, and lists of what is known of each post."""

    def __init__(self, posts: int) -> None:
        made = filled(posts)
        columns, price = made.columns, float(made.prices.by_host[0])
        dates = columns.due[:posts].tolist()
        self.heap = [(float(due), post) for post, due in enumerate(dates)]
        heapq.heapify(self.heap)
        self.born, self.last = columns.born[:posts].tolist(), columns.last[:posts].tolist()
        self.p = known().chance(columns.account[:posts].astype(np.int64)).tolist()
        self.price = price
        self.knots = CURVE.knots_s.tolist()
        self.low = [0.0, *CURVE.values.tolist()]
        self.at = [self.knots[0], *self.knots]
        area = CURVE.integral(CURVE.knots_s)
        self.area = [0.0, *area.tolist()]
        rise = np.diff(CURVE.values) / np.diff(np.log(CURVE.knots_s))
        self.slope = [0.0, *rise.tolist(), 0.0]

    def move(self, decisions: int) -> None:
        """Only take the earliest and put it where h Δ²/2 = λ."""
        heap, p = self.heap, self.p
        for _ in range(decisions):
            due, post = heap[0]
            wait = math.sqrt(2e6 * self.price / p[post])
            heapq.heapreplace(heap, (due + wait, post))

    def decide(self, decisions: int) -> None:
        """Take the earliest, weigh it, look or not, and date it anew."""
        for _ in range(decisions):
            due, post = self.heap[0]
            age0 = max(self.last[post] - self.born[post], 0.0)
            p = self.p[post]
            cdf0, area0, _ = self.both(age0)
            weight = p / (1 - p * cdf0)
            tau = due - self.last[post]
            cdf1, area1, _ = self.both(age0 + tau)
            share = 1.0
            if weight * (tau * cdf1 - (area1 - area0)) >= 0.9 * self.price:
                self.last[post] = int(due)
                age0, share = age0 + tau, 0.8
                cdf0, area0, _ = self.both(age0)
                weight = p / (1 - p * cdf0)
            target = share * self.price / weight
            density = self.both(age0)[2]
            wait = math.sqrt(2 * target / density) if density > 0 else FLOOR_S
            for _ in range(2):
                cdf1, area1, density = self.both(age0 + wait)
                speed = wait * density
                if speed > 0:
                    wait -= (wait * cdf1 - (area1 - area0) - target) / speed
                wait = min(max(wait, 60.0), FLOOR_S)
            heapq.heapreplace(self.heap, (max(self.last[post] + wait, due + 1), post))

    def both(self, age: float) -> tuple[float, float, float]:
        """F, its integral and its derivative."""
        j = bisect_right(self.knots, age)
        if j == 0:
            return 0.0, 0.0, 0.0
        at, low, slope = self.at[j], self.low[j], self.slope[j]
        cdf = low + slope * math.log(age / at)
        return cdf, self.area[j] + age * cdf - at * low - slope * (age - at), slope / age


def cpu_s(work: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def against_heap() -> tuple[float, float, float]:
    """Decisions a second at a million posts: ours, the heap's, the heap's that only moves dates."""
    ours, heap, bare = filled(MILLION), Heap(MILLION), Heap(MILLION)
    best = [0.0, 0.0, 0.0]
    for number in range(WARM + ROUNDS):
        took, made = cpu_s(lambda n=number: minute(ours, BEGIN + n * WINDOW_S))  # type: ignore[misc]
        if number >= WARM:
            best[0] = max(best[0], float(made) / took)  # type: ignore[arg-type]
        best[1] = max(best[1], PEER_TURNS / cpu_s(lambda: heap.decide(PEER_TURNS))[0])
        best[2] = max(best[2], PEER_TURNS / cpu_s(lambda: bare.move(PEER_TURNS))[0])
    return best[0], best[1], best[2]


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
    """A file of columns for 10^8 posts, all in use, scanned once; the process's own memory."""
    columns = Columns.mapped(Path(folder) / "columns", 100 * MILLION)
    columns.used = 100 * MILLION
    for start in range(0, 100 * MILLION, MILLION):
        part = slice(start, start + MILLION)
        columns.flags[part], columns.due[part] = LIVE, start // MILLION * 60
    found = len(Wheel(columns).pop(0))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
    answer.send((own * 1024, found))


def hundred_million() -> float:
    """Bytes: those of the file, as if all its pages were in memory, and the process's own."""
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


def _until_killed(folder: str, ready: Connection) -> None:
    columns = Columns.mapped(Path(folder) / "columns", LARGE)
    made = filled(LARGE, columns)
    minute(made, BEGIN)
    made.take(float(BEGIN + 60), lambda host: 1000, 1000)  # under way
    ready.send((columns.used, int(columns.last.astype(np.int64).sum())))
    while True:
        time.sleep(60)


def restart_s() -> float:
    """Seconds from nothing to the first looks after kill -9, at four million posts."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_until_killed, args=(folder, theirs))
        process.start()
        if process.pid is None or not ours.poll(300):
            raise BenchError("the schedule that was to be killed did not begin")
        used, proofs = ours.recv()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        began = time.perf_counter()
        columns = Columns.mapped(Path(folder) / "columns", LARGE)
        columns.used = used
        made = Priced(known(), lambda host: 3000.0, columns=columns)
        made.arm(0, 0)
        made.rebuild(BEGIN + 90)
        taken = made.take(float(BEGIN + 91), lambda host: 10_000, 10_000)
        took = time.perf_counter() - began
        if int(columns.last.astype(np.int64).sum()) != proofs or len(taken) < 1000:
            raise BenchError("the schedule did not come back as it was")
        return took


def run() -> tuple[list[Claim], list[Peer]]:
    """Rates, times and memory. Takes some minutes."""
    ours, heap, bare = against_heap()
    claims = [
        at_least("decisions a second on one core, 4 million posts", large(), "per second", 1e6),
        at_least(
            "decisions a second, 1 million posts, to the same ones on heapq",
            ours / heap,
            "times",
            50,
        ),
        at_least("a heap that weighs nothing, 1 million posts", ours / bare, "times", 1),
        at_most("one scan of 10 million posts", scan_s(), "s", 0.25),
        at_most("100 million posts in memory", hundred_million() / 1e9, "GB", 2.5),
        at_most("restart after kill -9, 4 million posts", restart_s(), "s", 5),
    ]
    return claims, [{"name": "heapq", "version": "of this Python"}]
