"""How fast OONI's measurements are read and put together, beside oonidata doing the same.

In: the 25 generated measurements that lie beside the checkout, 40 times over in one file. Out:
claims. The peer works on the same file in a process and environment of its own, rounds alternate,
and processor time counts, the best round of each. OONI's pipeline itself is not on the package
index: the peer's side (oonidata_observer.py) uses its published classes and does part of its work.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from bench.harness import ROOT, BenchError, Claim, Peer, at_least
from bench.peers import answer, peer_python, peer_version
from vanished.lab.reach_forms import FORMS, OUTAGES, SLOWED
from vanished.lab.reach_records import measure
from vanished.reach.observation import observe
from vanished.reach.ooni_json import to_json
from vanished.reach.reading import measurements
from vanished.reach.verdict import conclude, noted, verdict

PEER = "oonidata"
OBSERVER = Path(__file__).with_name("oonidata_observer.py")
RECORDS = ROOT.parent / "shared/data/ooni-fixtures/data/oonipipeline/tests/data/wc05_qa"
COPIES = 200
ROUNDS = 5


def run() -> tuple[list[Claim], list[Peer]]:
    """Measurements a second for us and for the peer. Takes about half a minute."""
    names = sorted(RECORDS.glob("*.json"))
    if not names:
        raise BenchError(f"the measurements '{RECORDS.name}' are not beside this checkout")
    lines = [
        json.dumps(json.loads(name.read_bytes()), separators=(",", ":")) + "\n" for name in names
    ]
    number = len(lines) * COPIES
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        path = Path(folder) / "measurements.jsonl"
        path.write_text("".join(lines) * COPIES, encoding="utf-8")
        ours, theirs, judged = _measured(path, number)
    size = sum(map(len, lines)) / len(lines) / 1000
    kinds, read = _ours_read()
    what = f"web_connectivity records ({len(lines)} different, {size:.0f} kB each)"
    claims = [
        at_least(f"{what} read and put together, to oonidata", theirs / ours, "times", 5),
        at_least(
            "the same, with our verdict on each, to oonidata without one",
            theirs / judged,
            "times",
            1,
        ),
        at_least("measurements read and put together", number / ours, "1/s of one core", 2_000),
        at_least("measurements read and judged", number / judged, "1/s of one core", 1_000),
        at_least(
            f"records of ours ({kinds} of the lab) that oonidata reads",
            100 * read / kinds,
            "%",
            100,
        ),
    ]
    return claims, [{"name": PEER, "version": peer_version(PEER, PEER)}]


def _ours_read() -> tuple[int, int]:
    """Our records of every form of the lab, and how many the peer makes observations of."""
    forms = [*FORMS, *SLOWED, *OUTAGES]
    read = 0
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        for form in forms:
            path = Path(folder) / f"{form}.jsonl"
            path.write_bytes(to_json(noted(one := measure(form, 1), verdict(one))) + b"\n")
            done = subprocess.run(
                [peer_python(PEER), OBSERVER], input=f"{path}\n", capture_output=True, text=True
            )
            read += done.returncode == 0 and int(done.stdout.split()[1]) > 0
    return len(forms), read


def _measured(path: Path, number: int) -> tuple[float, float, float]:
    """Processor seconds of the best round: ours, the peer's, ours with verdicts."""
    with subprocess.Popen(
        [peer_python(PEER), OBSERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        try:
            if int(answer(peer, str(path), PEER).split()[0]) != number:
                raise BenchError("the peer did not read every measurement")
            ours, theirs, judged = [], [], []
            for _ in range(ROUNDS):
                theirs.append(float(answer(peer, "again", PEER)))
                ours.append(_round(path, number, judge=False))
                judged.append(_round(path, number, judge=True))
        finally:
            peer.kill()
    return min(ours), min(theirs), min(judged)


def _round(path: Path, number: int, *, judge: bool) -> float:
    """Processor seconds to read the file and put every measurement together; judge it if told."""
    began = time.process_time()
    seen = ways = 0
    for measurement in measurements(path):
        observation = observe(measurement)
        if judge:
            conclude(observation)
        ways += len(observation.ways)
        seen += 1
    spent = time.process_time() - began
    if seen != number or ways < seen:
        raise BenchError(f"{seen} of {number} measurements were read")
    return spent
