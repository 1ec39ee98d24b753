"""A writer of a journal that is meant to be killed; `test_journal` forks it as a process."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vanished.archive.columns import OBSERVATIONS, POSTS, VERSIONS, PostFacts, Wording
from vanished.archive.journal import Journal
from vanished.archive.table import Columns
from vanished.model import ALIVE, DAY, Observation, Version

LOOKS = 40


def batch(number: int) -> dict[str, Columns]:
    """Looks of two days, and a post with its wording; `number` is the batch's sequence number."""
    now = 20_000 * DAY + number * 1_000_000
    looks = [
        Observation(f"post-{i}", now + (i % 2) * DAY, now + (i % 2) * DAY + 9, ALIVE)
        for i in range(LOOKS)
    ]
    return {
        "observations": OBSERVATIONS.encode(looks),
        "posts": POSTS.encode([PostFacts(f"post-{number}", "account", "page", None, now)]),
        "versions": VERSIONS.encode([Wording(f"post-{number}", now, Version("hash", "title"))]),
    }


def die_at(step: int) -> None:
    """Make the n-th fsync or rename from now on kill this process before it happens."""
    steps = itertools.count(1)

    def mined(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given)

        return instead

    os.fsync = mined(os.fsync)
    Path.replace = mined(Path.replace)  # type: ignore[method-assign]


def main(say: Callable[[str], None], folder: Path, batches: int, step: int | None) -> None:
    """Flush batches of LOOKS looks each, from the journal's last one on, and say `upto` after each.

    With `step` it kills itself at that step (the n-th fsync or rename) of its first flush.
    """
    journal = Journal.open(folder, writable=True)
    say("open")
    if step is not None:
        die_at(step)
    for number in range(journal.upto + 1, journal.upto + 1 + batches):
        journal.flush(batch(number), number)
        say(str(number))
