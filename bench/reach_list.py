"""A country's list: how many tests a second, how much memory, and whether the verdicts are right.

In: 2,000 made-up sites behind loopback servers, 8 % of them blocked or down. Out: claims. A test is
one page's measurement: two resolvers, connect, TLS where the page has it, the page, the control,
the comparison, both verdicts, and the line written. Prober and servers have a process each.

The rate is by the clock, less what the kernel says that the prober stood ready while the cores did
other work (`/proc/PID/schedstat`): time that it waited for the servers, asleep, stays in. On a
machine with nothing else to do the two agree; the plain rate is printed beside it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most

TESTS = 2000
AT_ONCE = 256
ROUNDS = 3
ROUND_S = 300.0
MIB = 1 << 20


def run() -> tuple[list[Claim], list[Peer]]:
    """Tests a second, memory, and wrong verdicts. Takes half a minute to two."""
    rounds = [_round() for _ in range(ROUNDS)]
    for one in rounds:
        print(
            f"  {one['tests'] / one['seconds']:.0f} tests/s by the clock alone, "
            f"{1000 * one['processor_s'] / one['tests']:.2f} ms of a core each; "
            f"{one['waited_s']:.1f} of {one['seconds']:.1f} s ready and not running"
        )
    best = max(one["tests"] / (one["seconds"] - one["waited_s"]) for one in rounds)
    wrong = [name for one in rounds for name in one["wrong"]]
    for name in wrong[:10]:
        print(f"  wrong: {name}")
    counted = sum(one["tests"] for one in rounds)
    return [
        at_least(f"tests, {TESTS:,} sites, best of {ROUNDS} rounds", best, "a second", 200),
        at_most("memory of the prober", max(one["peak_bytes"] for one in rounds) / MIB, "MiB", 300),
        at_most(f"wrong verdicts, of {counted:,}", len(wrong), "verdicts", 0),
    ], []


def _round() -> dict[str, Any]:
    """The list once."""
    with (
        tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder,
        _servers(Path(folder)) as ports,
    ):
        words = ["-m", "bench.reach_list_prober", folder, ports, str(TESTS), str(AT_ONCE)]
        try:
            done = subprocess.run(
                [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=ROUND_S
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"the list was not through after {ROUND_S:.0f} s") from None
    if done.returncode:
        raise BenchError(f"the prober failed: {done.stderr[-500:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    if said["tests"] != TESTS:
        raise BenchError(f"{said['tests']} of {TESTS} tests came back")
    return said


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[str]:
    """The servers, while they are needed; their ports as they say them."""
    words = [sys.executable, "-m", "bench.reach_list_servers", str(folder)]
    made = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    try:
        ports = made.stdout.readline()
        if not ports:
            raise BenchError("the servers of the list did not start; see above")
        yield ports
    finally:
        made.communicate()  # the end of its standard input ends it
