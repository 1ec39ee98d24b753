"""Starts the analyses for the dashboard when there is something new to look at.

In: a folder, how often, how much. Out: a process that runs beside the dashboard (`finding_run`),
never two, never sooner than wanted; what went wrong, in a sentence. It is ended with the dashboard.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from vanished.clock import Clock, SystemClock
from vanished.model import SECOND
from vanished.publish.findings import Findings

PATIENCE_S: Final = 3600.0  # of one run
GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class FinderSettings:
    """`every_s`: seconds from one run to the next at least (0: never); `days` that they look at
    (0: all); `memory`: bytes that a run may take."""

    every_s: float = 1800.0
    days: int = 90
    memory: int = 3 << 30


@dataclass(slots=True)
class Finder:
    """The runs of one dashboard; used by one thread."""

    folder: Path
    settings: FinderSettings
    clock: Clock = field(default_factory=SystemClock)
    trouble: str = ""  # why the last run brought nothing
    _run: subprocess.Popen[bytes] | None = None
    _said: IO[bytes] | None = None  # what the run says of what went wrong
    _begun: float = 0.0  # monotonic
    _tried: int = 0  # the shelf's version that the last run was for

    @property
    def running(self) -> bool:
        return self._run is not None

    def visit(self, version: int) -> None:
        """See to the run that is under way, or begin one for the shelf's `version` in time."""
        if self._run is not None:
            self._see()
        elif self._is_time(version):
            self._begin(version)

    def stop(self) -> None:
        """End the run that is under way."""
        if self._run is not None:
            self._run.terminate()
            try:
                self._run.wait(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                self._run.kill()
            self._over()

    def _is_time(self, version: int) -> bool:
        if not self.settings.every_s:
            return False
        if self._begun and time.monotonic() - self._begun < self.settings.every_s:
            return False
        about = Findings(self.folder).about()
        if about is None:
            return version != self._tried or not self._begun
        old = self.clock.now() - about.made_at >= self.settings.every_s * SECOND
        return old and about.version != version

    def _begin(self, version: int) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by _over
        given = [str(self.folder), str(self.settings.days), str(self.settings.memory)]
        self._run = subprocess.Popen(  # noqa: S603 -- our own module and numbers
            [sys.executable, "-m", "vanished.publish.finding_run", *given],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said,
        )  # fmt: skip
        self._begun, self._tried = time.monotonic(), version

    def _see(self) -> None:
        assert self._run is not None
        code = self._run.poll()
        if code is None:
            if time.monotonic() - self._begun > PATIENCE_S:
                self.stop()
                self.trouble = "The analyses took longer than an hour; let them look at fewer days."
            return
        lines = self._over()
        self.trouble = "" if code == 0 else lines[-1] if lines else f"A run ended with {code}."

    def _over(self) -> list[str]:
        """Take leave of the run; the lines that it said."""
        assert self._run is not None
        assert self._run.stdin is not None
        assert self._said is not None
        self._run.wait()
        self._run.stdin.close()
        self._said.seek(0)
        with self._said as said:
            lines = said.read().decode("utf-8", "replace").strip().splitlines()
        self._run = None
        return lines
