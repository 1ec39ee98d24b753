"""What the full report over a large past costs: memory, and seconds of each part.

In: a past of 10^6 posts and 10^7 observations, made in a folder of its own (`lab.large`). Out:
claims. The report is made in a process of its own, so that its peak is that of the report alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.harness import ROOT, BenchError, Claim, Peer, at_most
from vanished.lab.large import write_large

POSTS = 1_000_000
SEED = 1
REPORT = """
import json, resource, sys
from pathlib import Path
from vanished.explain.window import Window
from vanished.publish.month import MonthSettings, make_month
parts = {}
text = make_month(Path(sys.argv[1]), Window(), MonthSettings(), parts.__setitem__)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"parts": parts, "peak": peak, "size": len(text)}))
"""


def run() -> tuple[list[Claim], list[Peer]]:
    """Takes some six minutes, half of them to make the past."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as place:
        folder = Path(place) / "large"
        write_large(folder, POSTS, SEED)
        done = subprocess.run(
            [sys.executable, "-c", REPORT, str(folder)], capture_output=True, text=True, cwd=ROOT
        )
        if done.returncode:
            raise BenchError(f"the report ended with {done.stderr.strip().splitlines()[-1]}")
        found = json.loads(done.stdout)
    claims = [
        at_most("peak memory of the full report, 10^6 posts, 10^7 looks", found["peak"] / 2**30,
                "GiB", 4.0),
        Claim("seconds of the whole", sum(found["parts"].values()), "s", "none", True),
        Claim("size of the page", found["size"] / 1e6, "MB", "none", True),
    ]  # fmt: skip
    claims += [Claim(f"part {n}", s, "s", "none", True) for n, s in found["parts"].items()]
    return claims, []
