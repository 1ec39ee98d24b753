"""A country's list: how many tests a second, how much memory, and whether the verdicts are right.

In: 2,000 made-up sites behind loopback servers, 8 % of them blocked or down. Out: claims. A test is
one page's measurement: two resolvers, connect, TLS where the page has it, the page, the control,
the comparison, both verdicts, and the line written. Prober and servers have a process each.

The rate is by the clock, on the machine's two cores: the prober keeps one of them busy, the servers
need some of the other. The best of the rounds counts, for what else runs on the machine slows it;
what processor time each test took is printed beside it.
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
AT_ONCE = 384
ROUNDS = 3
ROUND_S = 300.0
MIB = 1 << 20


def run() -> tuple[list[Claim], list[Peer]]:
    """Tests a second, memory, and wrong verdicts. Takes half a minute to two."""
    rounds = [_round() for _ in range(ROUNDS)]
    for one in rounds:
        prober, servers = (1000 * one[key] / one["tests"] for key in ("processor_s", "servers_s"))
        print(
            f"  {one['tests'] / one['seconds']:.0f} tests/s by the clock; "
            f"{prober:.2f} ms of a core each, the servers {servers:.2f}"
        )
    best = max(one["tests"] / one["seconds"] for one in rounds)
    wrong = [name for one in rounds for name in one["wrong"]]
    for name in wrong[:10]:
        print(f"  wrong: {name}")
    counted = sum(one["tests"] for one in rounds)
    return [
        at_least(
            f"tests of {TESTS:,} sites, the servers on the same two cores", best, "a second", 200
        ),
        at_most("memory of the prober", max(one["peak_bytes"] for one in rounds) / MIB, "MiB", 300),
        at_most(f"wrong verdicts, of {counted:,}", len(wrong), "verdicts", 0),
    ], []


def _round() -> dict[str, Any]:
    """The list once."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        used: dict[str, float] = {}
        with _servers(Path(folder), used) as ports:
            words = ["-m", "bench.reach_list_prober", folder, ports, str(TESTS), str(AT_ONCE)]
            try:
                done = subprocess.run(
                    [sys.executable, *words],
                    cwd=ROOT, capture_output=True, text=True, timeout=ROUND_S,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise BenchError(f"the list was not through after {ROUND_S:.0f} s") from None
    if done.returncode:
        raise BenchError(f"the prober failed: {done.stderr[-500:]}")
    if "processor_s" not in used:
        raise BenchError("the servers of the list failed; see above")
    said: dict[str, Any] = json.loads(done.stdout)
    if said["tests"] != TESTS:
        raise BenchError(f"{said['tests']} of {TESTS} tests came back")
    return said | {"servers_s": used["processor_s"]}


@contextlib.contextmanager
def _servers(folder: Path, used: dict[str, float]) -> Iterator[str]:
    """The servers, while they are needed; their ports as they say them. At the end `used` holds
    what processor time they took."""
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
        last, _ = made.communicate()  # the end of its standard input ends it
        if made.returncode == 0:
            used.update(json.loads(last))
