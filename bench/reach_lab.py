"""How often the web test is right in the network lab: every form, every target, outages, loss.

In: labs of namespaces with real tools, three at once. Out: claims. Needs root and the programs that
`vanished lab check` lists. Six conditions stand in a lab at once, each on a target of its own.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from bench.harness import BenchError, Claim, Peer, at_least, at_most
from bench.peers import peer_python, peer_version
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_control import LabControl
from vanished.lab.network_forms import Partial
from vanished.lab.network_trials import HERE, SLOW, WEB_FORMS, Trial, trials
from vanished.reach.ooni_json import to_json
from vanished.reach.record import Measurement

PEER = "oonidata"
OBSERVER = Path(__file__).with_name("oonidata_observer.py")
LABS = 3
TARGETS = 5
AT_ONCE = 6
CLEAN, LOSSY, EACH = 200, 100, 20
SEED = 1

Kind = tuple[str, Partial]
Batch = tuple[Sequence[Kind], str]  # conditions for the targets in turn, an outage of all
_err = Console(stderr=True)


def run() -> tuple[list[Claim], list[Peer]]:
    """Shares of right verdicts and counts of false alarms. Takes about twelve minutes."""
    why = why_not()
    if why:
        raise BenchError(why)
    claims = [*_forms(), *_quiet(), *_outages()]
    peer: Peer = {"name": PEER, "version": peer_version(PEER, PEER)}
    return claims, [peer]


def _forms() -> Iterator[Claim]:
    """Every form in every partial kind, and every outage of a target, on five targets."""
    outages: list[Kind] = [(name, "") for name in HERE]
    kinds: list[Kind] = [*WEB_FORMS, *outages]
    right = asked = alarms = 0
    records: list[Measurement] = []
    for turn in range(TARGETS):
        begun = time.monotonic()
        found = _all((_alone(batch) for batch in _batches(kinds)), turn)
        if turn == 0:
            took = time.monotonic() - begun
            yield at_most(f"all {len(kinds)} conditions once, seconds", took, "s", 120)
        records += [one.measurement for one in found]
        right += sum(one.holds for one in found)
        asked += len(found)
        alarms += sum(one.false_alarm for one in found)
    forms = len({name for name, _ in WEB_FORMS})
    yield at_least("forms of blocking in the lab", forms, "forms", 12)
    what = f"right verdicts, {len(kinds)} conditions × {TARGETS} targets, {asked} tests"
    yield at_least(what, 100 * right / asked, "%", 100)
    yield at_most("of these, blocking named where nobody blocks", alarms, "tests", 0)
    what = f"of these {asked} records, read and observed by oonidata"
    yield at_least(what, 100 * _peer_reads(records) / asked, "%", 100)


def _peer_reads(records: Sequence[Measurement]) -> int:
    """How many of our records OONI's published classes read, one by one, and observe."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder:
        path = Path(folder) / "records.jsonl"
        path.write_bytes(b"".join(to_json(one) + b"\n" for one in records))
        done = subprocess.run(
            [peer_python(PEER), OBSERVER], input=f"{path}\n", capture_output=True, text=True
        )
    if done.returncode:
        _err.print(done.stderr.strip().rpartition("\n")[2], markup=False)
        return 0
    read, observed = map(int, done.stdout.split()[:2])
    return read if observed >= read else 0


def _quiet() -> Iterator[Claim]:
    """Nobody blocks: 200 tests of a clean network, 100 with 5 % of packets lost each way."""
    for asked, whole in ((CLEAN, ""), (LOSSY, "packet_loss")):
        batches: list[Batch] = [([("", "")] * AT_ONCE, whole)] * -(-asked // AT_ONCE)
        found = _all(batches, 50)
        what = f"false alarms, {len(found)} tests, {whole.replace('_', ' ') or 'clean'}"
        yield at_most(what, sum(one.said.stopped for one in found), "tests", 0)


def _outages() -> Iterator[Claim]:
    """What is not blocking: 20 tests of each and more."""
    for name in (*HERE, "resolver_dead", "resolver_refuses", "captive_portal", "control_down"):
        if name in SLOW:
            continue
        here = name in HERE
        batch: Batch = ([(name, "") if here else ("", "")] * AT_ONCE, "" if here else name)
        found = _all([batch] * -(-EACH // AT_ONCE), 80)
        what = f"called blocked, {len(found)} tests, {name.replace('_', ' ')}"
        yield at_most(what, sum(one.said.stopped for one in found), "tests", 0)


def _batches(kinds: Sequence[Kind]) -> list[list[Kind]]:
    """Six conditions each; throttled ones alone, since they share a rate."""
    plain = [kind for kind in kinds if kind[0] not in SLOW]
    slow = [kind for kind in kinds if kind[0] in SLOW]
    return [[kind] for kind in slow] + [
        plain[i : i + AT_ONCE] for i in range(0, len(plain), AT_ONCE)
    ]


def _alone(kinds: Sequence[Kind]) -> Batch:
    return kinds, ""


def _all(batches: Iterable[Batch], turn: int) -> list[Trial]:
    """Try all batches in a few labs side by side; targets move on by one each turn."""
    waiting = [*batches]

    def one_lab(number: int) -> list[Trial]:
        found: list[Trial] = []
        with NetworkLab(seed=SEED + 10 * turn + number) as lab, LabControl(lab) as control:
            names = [*lab.targets]
            while waiting:
                try:
                    kinds, whole = waiting.pop(0)
                except IndexError:
                    break
                moved = [names[(turn + i) % len(names)] for i in range(len(names))]
                given = dict(zip(moved, kinds, strict=False))
                found += trials(lab, control, given, whole=whole)
        return found

    with ThreadPoolExecutor(LABS) as pool:
        found = [one for part in pool.map(one_lab, range(LABS)) for one in part]
    for one in found:
        if not one.holds:
            _err.print(
                f"wrong: {one.form} {one.partial} at {one.target}: {one.said.state.value}"
                f" {one.said.layer} {one.said.mechanism} {one.said.rules[:2]}, turn {turn}"
            )
    return found
