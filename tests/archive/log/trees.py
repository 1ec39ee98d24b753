"""Logs and trees of made-up leaves for the tests."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from vanished.archive.log import Log, SignerKey, leaf_hash

ORIGIN = "observatory.example/log"


def key(name: str = ORIGIN, kind: int = 1, number: int = 0) -> SignerKey:
    """A key that is the same in every run."""
    return SignerKey(name, sha256(f"{name} {number}".encode()).digest(), kind)


def entry(index: int, branch: str = "") -> bytes:
    """64 bytes that stand for salt and manifest hash."""
    salt, manifest = f"salt {index} {branch}", f"manifest {index} {branch}"
    return sha256(salt.encode()).digest() + sha256(manifest.encode()).digest()


def leaf(index: int, branch: str = "") -> bytes:
    return leaf_hash(entry(index, branch))


def grow(log: Log, count: int, branch: str = "") -> None:
    log.append(leaf(log.size + at, branch) for at in range(count))
    log.checkpoint()


def make_log(folder: Path, *counts: int, branch: str = "", name: str = ORIGIN) -> Log:
    """A log with a checkpoint after each of `counts` leaves."""
    log = Log.create(folder, key(name))
    for count in counts:
        grow(log, count, branch)
    return log
