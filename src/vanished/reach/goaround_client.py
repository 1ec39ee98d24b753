"""Runs the client of a go-around: its own program, as a child that is ended by its number.

In: a `GoAround`. Out: a `Carrying` with the local proxy through which pages can be asked for, or
UsageError where a program is missing and `NoWayError` where it does not come up. What a client is
told stands in `goaround_plans`; tunnels keep to a network of their own (`goaround_tunnel`), so that
this machine's routes stay as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.errors import UsageError
from vanished.reach.goaround import PLUGGABLE, GoAround

LOCAL: Final = "127.0.0.1"
SEARCHED: Final = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin:/sbin"
_POLL_S: Final = 0.05
_END_S: Final = 3.0


class NoWayError(Exception):
    """A client that did not come up; says its last words, which may hold secrets."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and how to know that it has done its part.

    `port` is a local port that must accept, `line` words that its output must hold; with neither
    it must end well.
    """

    argv: tuple[str, ...]
    port: int = 0
    line: str = ""


@dataclass(slots=True)
class Carrying:
    """A client that runs. `proxy` is its local proxy, "" while there is none."""

    proxy: str = ""
    handshake: bool | None = None  # whether the protocol's own was seen to succeed
    progress: float | None = None  # Tor's, of 100
    progress_tag: str = ""
    up_s: float | None = None  # how long it took to come up
    begun: float = field(default_factory=time.monotonic)


def require(found: GoAround) -> None:
    """UsageError where a program of that go-around is not here."""
    programs = dict(found.sort.programs)
    if found.pluggable:
        program, package = PLUGGABLE[found.pluggable]
        programs[program] = package
    for program, package in programs.items():
        if shutil.which(program, path=SEARCHED) is None:
            raise UsageError(
                f"The go-around '{found.name}' needs '{program}', which is not here;"
                f" install {package}, or leave it out."
            )


def free_port() -> int:
    """A port of this machine on which nothing listens at the moment."""
    with socket.socket() as own:
        own.bind((LOCAL, 0))
        return int(own.getsockname()[1])


@contextlib.asynccontextmanager
async def private_folder() -> AsyncIterator[Path]:
    """A folder for configurations with secrets, readable by its owner only; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="vanished-go-around-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Child:
    """A process that we started and that we end, with the file that it writes to."""

    def __init__(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (), *, talks: bool = False,
    ) -> None:  # fmt: skip
        """`fds` are passed on; `talks`: its standard input is a pipe. Raises NoWayError."""
        self.log = log
        command = [*argv]
        if shutil.which("setpriv", path=SEARCHED):  # it must not outlive us, whatever ends us
            command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        try:
            with log.open("wb") as out:
                self.process = subprocess.Popen(  # noqa: S603 (a list, never a shell)
                    command, stdin=subprocess.PIPE if talks else subprocess.DEVNULL, stdout=out,
                    stderr=subprocess.STDOUT, env={**os.environ, "PATH": SEARCHED, **(env or {})},
                    cwd=log.parent, start_new_session=True, pass_fds=tuple(fds),
                )  # fmt: skip
        except OSError as error:
            raise NoWayError(f"{argv[0]}: {error.strerror}") from None

    def said(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    async def until(self, step: Step, limit_s: float) -> None:
        """Wait until it has done its part. Raises NoWayError."""
        ends = time.monotonic() + limit_s
        while time.monotonic() < ends:
            ended = self.process.poll()
            if step.port and await accepts(step.port):
                return
            if step.line and step.line in self.said():
                return
            if ended == 0 and not step.port and not step.line:
                return
            if ended is not None:
                break
            await asyncio.sleep(_POLL_S)
        raise NoWayError(" ".join(self.said().split())[-300:] or "it said nothing")

    async def end(self) -> None:
        """End it and what it started, and wait for it."""
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            ends = time.monotonic() + _END_S
            while self.process.poll() is None and time.monotonic() < ends:
                await asyncio.sleep(_POLL_S)
        self.process.wait()


async def accepts(port: int) -> bool:
    """Whether something listens on that port of this machine."""
    try:
        _, writer = await asyncio.open_connection(LOCAL, port)
    except OSError:
        return False
    writer.close()
    return True


@contextlib.asynccontextmanager
async def running(steps: Sequence[Step], folder: Path, limit_s: float) -> AsyncIterator[None]:
    """Do the steps one after the other; what keeps running is ended at the end, last first."""
    begun: list[Child] = []
    try:
        for number, step in enumerate(steps):
            child = Child(step.argv, folder / f"client-{number}.log")
            begun.append(child)
            await child.until(step, limit_s)
        yield
    finally:
        for child in reversed(begun):
            await child.end()
