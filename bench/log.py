"""What the transparency log claims: appends are durable and fast, proofs and receipts are small.

The peer is pymerkle's SQLite tree in the same folder's file system, appending one entry after the
other as a log would that acknowledges each. Rounds of ours and theirs alternate, and the median
of the ratios counts. A cold proof is made in a new process each time, and its clock starts after
the imports: opening the log, reading the tiles, and verifying. The kernel is asked to forget the
log's files before each.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from pymerkle import SqliteTree

from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from vanished.archive.log import Log, LogKey, SignerKey, leaf_hash
from vanished.archive.log.receipt import make, verify

ORIGIN = "observatory.example/log"
BATCH = 1_000
LEAVES = 1_000_000
ROUNDS = 5
ROUND_LEAVES = 50_000
PEER_ENTRIES = 300
COLD = 9
"""Indexes of the cold proofs; the middle one counts."""


def entry_of(index: int) -> bytes:
    """64 bytes that stand for salt and manifest hash."""
    return sha256(b"salt %d" % index).digest() + sha256(b"manifest %d" % index).digest()


def appends(log: Log, count: int) -> float:
    """Appends a second with a signed, fsynced checkpoint per batch."""
    entries = [entry_of(log.size + at) for at in range(count)]
    start = time.perf_counter()
    for at in range(0, count, BATCH):
        log.append(leaf_hash(entry) for entry in entries[at : at + BATCH])
        log.checkpoint()
    return count / (time.perf_counter() - start)


def peer_appends(folder: Path) -> float:
    """Entries a second of pymerkle's append_entry, which commits each."""
    entries = [entry_of(at) for at in range(PEER_ENTRIES)]
    with SqliteTree(str(folder / "pymerkle.db")) as tree:
        start = time.perf_counter()
        for entry in entries:
            tree.append_entry(entry)
        return PEER_ENTRIES / (time.perf_counter() - start)


def cold(folder: str, index: int) -> None:
    """One proof in this new process; prints milliseconds and the bytes of the receipt."""
    entry = entry_of(index)
    start = time.perf_counter()
    log = Log.open(Path(folder))
    receipt = make(log, index, entry)
    proven = verify(receipt, [LogKey(log.keys[0].key)])
    took = (time.perf_counter() - start) * 1000
    if proven.index != index or proven.entry != entry:
        raise BenchError("a receipt proved something else")
    print(json.dumps({"ms": took, "bytes": len(bytes(receipt))}))


def forget(folder: Path) -> None:
    """Ask the kernel to drop the files of a folder from its cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def run() -> tuple[Sequence[Claim], Sequence[Peer]]:
    """The log's claims of issue 3."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        folder = Path(name)
        log = Log.create(folder / "log", SignerKey.generate(ORIGIN))
        rounds = []
        for at in range(ROUNDS):
            (folder / str(at)).mkdir()
            rounds.append((appends(log, ROUND_LEAVES), peer_appends(folder / str(at))))
            mine, theirs = rounds[-1]
            print(f"  appends {mine:,.0f}/s, pymerkle {theirs:.0f}/s, ratio {mine / theirs:.0f}")
        while log.size < LEAVES:
            log.append(leaf_hash(entry_of(at)) for at in range(log.size, log.size + 50_000))
            log.checkpoint()
        proofs = []
        for at in range(COLD):
            index = (LEAVES - 1) * at // (COLD - 1)
            forget(log.folder)
            words = [sys.executable, "-m", "bench.log", str(folder / "log"), str(index)]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, check=True, timeout=60)
            proofs.append(json.loads(done.stdout))
        print("  cold proofs, ms:", *(f"{proof['ms']:.1f}" for proof in proofs))
    return [
        at_least(
            f"appends, signed and fsynced checkpoint per {BATCH:,}",
            statistics.median(mine for mine, _ in rounds),
            "leaves/s, median of rounds",
            10_000,
        ),
        at_least(
            "appends / pymerkle SQLite append_entry",
            statistics.median(mine / theirs for mine, theirs in rounds),
            "ratio, median of rounds",
            100,
        ),
        at_most(
            f"cold proof from tiles and its verification, {LEAVES:,} leaves",
            statistics.median(proof["ms"] for proof in proofs),
            "ms, median",
            5,
        ),
        at_most("receipt", max(proof["bytes"] for proof in proofs), "bytes, largest", 1_536),
    ], [{"name": "pymerkle", "version": version("pymerkle")}]


if __name__ == "__main__":
    cold(sys.argv[1], int(sys.argv[2]))
