"""Processes that tests kill, forked from a server that has our modules loaded and nothing begun.

To load them anew for every death would take longer than most of these processes live. A target
is called with a connection that it sends lines by, and with the arguments given.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_LOADED = ["vanished.archive.capture", "vanished.archive.journal", "vanished.lab.month"]


class Forked:
    """One such process; whoever starts it kills or joins it."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        _CONTEXT.set_forkserver_preload(_LOADED)
        self.said, its = _CONTEXT.Pipe(duplex=False)
        self.process: ForkServerProcess = _CONTEXT.Process(
            target=_begin, args=(target, its, dict(os.environ), arguments)
        )
        self.process.start()
        its.close()  # the end of that process is the end of what it says

    def lines(self) -> Iterator[str]:
        """Each line when it comes, to the last whole one before the process ended."""
        with contextlib.suppress(EOFError):
            while True:
                yield self.said.recv_bytes().decode()

    def end(self, kill: bool) -> int:
        """Kill it, or wait for its end; its exit code. The lines can be read afterwards."""
        if kill:
            self.process.kill()
        self.process.join(60)
        assert self.process.exitcode is not None, "it did not end"
        return self.process.exitcode


def _begin(
    target: Callable[..., None],
    said: Connection,
    environment: Mapping[str, str],
    arguments: tuple[Any, ...],
) -> None:
    os.environ.clear()
    os.environ.update(environment)  # the server has that of its own start

    def say(line: str) -> None:
        said.send_bytes(line.encode())

    target(say, *arguments)
