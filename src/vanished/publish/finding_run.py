"""One run of every analysis for the dashboard, in a process of its own that gives way to all else.

In: an observatory's folder that has a shelf, a window in days, a bound of memory. Out: a generation
of findings (`publish.findings`). Run as `python -m vanished.publish.finding_run`; it ends when
whoever started it ends. It reads the past, never the present, and writes only beside the shelf.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Final

from vanished.clock import SystemClock
from vanished.errors import VanishedError
from vanished.explain.window import Window
from vanished.model import DAY
from vanished.publish.findings import About, Generation
from vanished.publish.month import Made, MonthSettings, make_parts
from vanished.publish.past import past_of
from vanished.publish.shelf.filters import Meanings
from vanished.publish.shelf.layout import making
from vanished.publish.shelf.reading import Shelf

NICE: Final = 15
LEFT: Final = 3
"""Exit code where whoever started us is gone."""


def find(folder: Path, days: int) -> About:
    """Make and keep the findings of the last `days` days (0: of all time). Raises VanishedError."""
    begun = time.monotonic()
    generation = Generation(making(folder))
    with Shelf(folder, Meanings({}, {})) as shelf:
        now, version = shelf.now(), shelf.version
    window = Window(now - days * DAY if days and now else None)
    with past_of(folder, window) as past:
        made = Made(past.posts())
        for part in make_parts(folder, past, made, MonthSettings()):
            generation.add(part)
        generation.members = made.stories
        about = About(
            past.observatory, version, SystemClock().now(), window.since, now or None,
            generation.names, round(time.monotonic() - begun, 2),
        )  # fmt: skip
    generation.keep(folder, about)
    return about


def bound(memory: int) -> None:
    """Give way to others, and take no more than `memory` bytes."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def end_with_parent() -> None:
    """Leave as soon as our input ends, which is when whoever started us does."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(LEFT)

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: list[str]) -> int:
    """`FOLDER DAYS MEMORY`; 0 when findings were kept, 1 with a sentence when not."""
    folder, days, memory = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    bound(memory)
    end_with_parent()
    try:
        find(folder, days)
    except VanishedError as error:
        print(error, file=sys.stderr)
        return 1
    except MemoryError:
        print(
            f"the analyses need more than {memory >> 20} MB; let them look at fewer days.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
