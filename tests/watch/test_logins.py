"""A login that expires: failures in place of losses, a pause, and a word to the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.watch.test_loop import START, Jumping, Scripted
from vanished.archive.observatory import Observatory
from vanished.model import ALIVE, DAY, HOUR, MINUTE, Fault, Look, Micros, Post, failed
from vanished.net.login import Login
from vanished.net.politeness import Politeness
from vanished.watch.live import progress_line
from vanished.watch.loop import Watch
from vanished.watch.progress import Event
from vanished.watch.schedule import AgeBuckets

NAME = "VANISHED_TEST_LOGIN"
REFUSED = failed(Fault.FORBIDDEN, status=401)


@dataclass
class Walled(Scripted):
    """A source with a login: its platform answers 401 while `expired`, and takes nothing then."""

    login: Login | None = None
    expired: tuple[Micros, Micros] = (0, 0)

    async def look(self, posts: Sequence[Post], fetch: Any) -> list[Look]:
        now = self.clock.now()
        looks = await super().look(posts, fetch)
        if self.login is not None and self.expired[0] <= now < self.expired[1]:
            self.login.refused(self.login.secret, now, "M_UNKNOWN_TOKEN")
        return looks


@pytest.mark.parametrize("wall", [False, True])
async def test_an_expired_login_pauses_its_platform_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall: bool
) -> None:
    """With a refusal that the source knows, and with bare login walls."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv(NAME, "a token")
    clock, expired = Jumping(), (START + 2 * HOUR, START + 10 * HOUR)
    signal = failed(Fault.LOGIN_WALL, words="log in") if wall else REFUSED
    with Observatory.create(tmp_path / "o") as observatory:
        source = Walled(
            observatory.naming, clock, lambda now: ["p1", "p2", "p3", "p4"],
            lambda post, now: signal if expired[0] <= now < expired[1] else ALIVE,
            login=Login(NAME), expired=(0, 0) if wall else expired,
        )  # fmt: skip
        events: list[Event] = []
        door: Any = SimpleNamespace(
            fetcher=lambda prepaid=1, proxy=None: SimpleNamespace(exchanges=[]),
            settings=SimpleNamespace(timeout_s=5.0), politeness=Politeness(100.0),
        )  # fmt: skip
        observatory.add_account(source.account("a"), START)
        watch = Watch(
            observatory, {"page": source}, door, clock, AgeBuckets(((3600, 300),), 600.0),
            discover_every=DAY, tell=events.append,
        )  # fmt: skip
        progress = await watch.run(START + 5 * HOUR)
        assert progress.troubles == ["login refused: page"]
        assert "login refused: page" in progress_line(progress, clock.now())
        paused, resumed = await _go_on(observatory, watch, source, events)
        for name in ("p1", "p2", "p3", "p4"):
            assert observatory.verdict(observatory.naming("page", name)) is None
    assert expired[0] <= paused.at < expired[0] + 20 * MINUTE
    assert NAME in str(paused.facts["words"])
    assert "a token" not in str(paused.facts)
    assert resumed.facts["paused"] is False
    meanwhile = [now for _, now in source.asked if paused.at + MINUTE < now < expired[1]]
    assert 3 <= len(meanwhile) < 20  # one an hour, to see whether it works again
    after = [now for _, now in source.asked if now > resumed.at]
    assert len(after) > 20


async def _go_on(
    observatory: Observatory, watch: Watch, source: Walled, events: list[Event]
) -> tuple[Event, Event]:
    watch = Watch(
        observatory, {"page": source}, watch.door, source.clock, AgeBuckets(((3600, 300),), 600.0),
        discover_every=DAY, tell=events.append,
    )  # fmt: skip
    await watch.run(START + 14 * HOUR)
    told = [event for event in events if event.kind == "login"]
    assert told[0].facts["paused"] is True
    return told[0], told[-1]
