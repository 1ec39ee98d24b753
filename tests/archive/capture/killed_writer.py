"""A writer of captures that is meant to be killed; `test_segments` forks it as a process."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.archive.capture.made import START, capture
from vanished.archive.capture import Place, SegmentWriter, recipients
from vanished.model import MINUTE, SECOND

BATCHES = 12
BATCH = 3


class Mined:
    """A file of which one write is the last thing that happens."""

    def __init__(self, file: Any, strike: Callable[[], bool]) -> None:
        self._file, self._strike = file, strike

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Mined:
        return self

    def __exit__(self, *why: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> int:
        if self._strike():
            self._file.write(content[: len(content) * 2 // 3])
            os.kill(os.getpid(), signal.SIGKILL)
        return int(self._file.write(content))

    def truncate(self, size: int) -> int:
        if self._strike():
            os.kill(os.getpid(), signal.SIGKILL)
        return int(self._file.truncate(size))


def die_at(step: int) -> None:
    steps = itertools.count(1)

    def strike() -> bool:
        return next(steps) == step

    def mined(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:
            if strike():
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)

        return instead

    opened = Path.open

    def opening(path: Path, *given: Any, **named: Any) -> Any:
        return Mined(opened(path, *given, **named), strike)

    os.fsync = mined(os.fsync)
    Path.replace = mined(Path.replace)  # type: ignore[method-assign]
    Path.unlink = mined(Path.unlink)  # type: ignore[method-assign]
    Path.open = opening  # type: ignore[method-assign, assignment]


def written(place: Place, index: int) -> str:
    digest = base64.b64encode(place.sha256).decode("ascii")
    return json.dumps([place.segment, place.offset, place.length, digest, index])


def read(text: str) -> tuple[Place, int]:
    segment, offset, length, digest, index = json.loads(text)
    return Place(segment, offset, length, base64.b64decode(digest)), index


def main(
    say: Callable[[str], None], folder: Path, recipient: str | None, step: int, last: str | None
) -> None:
    """Open the folder after `last`, append batches, say the last place of each once it is durable.

    It kills itself at the step-th write, fsync, rename or removal that touches a file: before it,
    or in the middle of a write.
    """
    place, index = (None, -1) if last is None else read(last)
    sealed_to = None if recipient is None else recipients([recipient])
    die_at(step)
    writer = SegmentWriter.open(folder, place, sealed_to, max_bytes=30_000, max_age=MINUTE)
    for _ in range(BATCHES):
        # Half a minute a batch: segments are closed by their age as well.
        when = [START + (index + n) * 10 * SECOND for n in range(1, BATCH + 1)]
        captures = [capture(index + n, at=when[n - 1]) for n in range(1, BATCH + 1)]
        appended = writer.append(captures)[-1]
        index += BATCH
        say(written(appended, index))
    writer.close()
