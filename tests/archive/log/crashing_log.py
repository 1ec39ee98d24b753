"""Writers of a log that are meant to be killed; started by `test_crash` as processes.

    crashing_log.py steps FOLDER FIRST LAST   for each step a child that is killed in its n-th
                                              write, fsync, rename, unlink or mkdir, each in a log
                                              of its own, until one is not killed
    crashing_log.py run FOLDER                appends until somebody kills it

Before a child is killed it prints what the log acknowledged: "STEP SIZE" a line.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.archive.log.trees import grow, key, leaf, make_log
from vanished.archive.log import Log

BEFORE = (200, 150)
COUNTS = (40, 400, 130)
FINAL = sum(BEFORE) + sum(COUNTS) + 1  # the last leaf announces the new key
NEW = key(number=1)

_write = os.write


def die_at(step: int) -> None:
    """Make the n-th step that changes the disk kill this process: a write when half is written."""
    steps = itertools.count(1)

    def mined(call: Callable[..., Any], writes: bool = False) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:
            if next(steps) == step:
                if writes:
                    _write(given[0], bytes(given[1])[: len(given[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)

        return instead

    os.write = mined(os.write, writes=True)
    os.fsync = mined(os.fsync)
    for name in ("replace", "unlink", "mkdir", "rmdir"):
        setattr(Path, name, mined(getattr(Path, name)))


def work(folder: Path, step: int) -> None:
    """Three checkpoints and a rotation, with a report after each."""

    def report(log: Log) -> None:
        _write(1, b"%d %d\n" % (step, log.size))

    log = Log.open(folder, key())
    report(log)
    die_at(step)
    for count in COUNTS:
        grow(log, count)
        report(log)
    log.append([leaf(log.size)])
    log.rotate(NEW)
    report(log)


def main() -> None:
    mode, folder = sys.argv[1], Path(sys.argv[2])
    if mode == "run":
        log = Log.open(folder, key())
        print(log.size, flush=True)
        while True:
            grow(log, 170)
            print(log.size, flush=True)
    for step in range(int(sys.argv[3]), int(sys.argv[4]) + 1):
        make_log(folder / str(step), *BEFORE)
        child = os.fork()
        if child == 0:
            work(folder / str(step), step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            print(f"{step} ended", flush=True)
            return


if __name__ == "__main__":
    main()
