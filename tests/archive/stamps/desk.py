"""A folder of stamps with two authorities and two calendars of its own, all of them real."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.archive.stamps.notes import door
from tests.servers.calendar import Calendar, calendar
from tests.servers.tsa import Authority as Server
from tests.servers.tsa import authority
from vanished.archive.stamps import (
    Authority,
    Finding,
    Stamped,
    StampReport,
    StampSettings,
    due_work,
    header_file,
    kept,
    read_root,
    verify,
)
from vanished.clock import SystemClock
from vanished.model import Micros

T0 = SystemClock().now()


@dataclass
class Desk:
    """Two authorities, two calendars, a folder, and the settings that name them."""

    folder: Path
    authorities: tuple[Server, Server]
    calendars: tuple[Calendar, Calendar]
    settings: StampSettings

    async def work(
        self, note: bytes, now: Micros, settings: StampSettings | None = None
    ) -> StampReport:
        async with door() as way:
            return await due_work(self.folder, note, now, settings or self.settings, way.fetcher())

    def state(self, size: int) -> Stamped:
        found = kept.load(kept.folder_of(self.folder, size))
        assert found is not None
        return found

    def findings(self, now: Micros = T0, headers: Path | None = None) -> dict[str, Finding]:
        source = None if headers is None else header_file(headers)
        found = verify(self.folder, self.roots(), now=now, headers=source)
        return {finding.file: finding for finding in found}

    def roots(self) -> dict[str, bytes]:
        return {server.name: read_root(server.root) for server in self.authorities}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with contextlib.ExitStack() as stack:
        alpha = stack.enter_context(authority(tmp_path / "alpha", "alpha"))
        beta = stack.enter_context(authority(tmp_path / "beta", "beta", chain="unsorted"))
        one, two = stack.enter_context(calendar()), stack.enter_context(calendar())
        settings = StampSettings(
            tuple(Authority(s.name, s.url, s.root) for s in (alpha, beta)), (one.url, two.url)
        )
        settings.check()
        yield Desk(tmp_path / "log" / "stamps", (alpha, beta), (one, two), settings)
