"""False "not found" from one vantage over ten thousand looks: nothing may be published as lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from vanished.archive.observatory import Observatory
from vanished.lab.month import scored
from vanished.lab.source import PLATFORM
from vanished.lab.truth import Fate, Score, truth_of
from vanished.lab.vantages import HERE, LabDoor, Lie, watch_from
from vanished.lab.world import World
from vanished.model import DAY, HOUR, Micros
from vanished.watch.progress import Event

LOST = ("gone", "moved", "returned")


@dataclass(frozen=True)
class Outcome:
    """What a watch published in its whole course, against the truth."""

    score: Score
    door: LabDoor
    published: Mapping[str, Micros]  # when each post or account was first called lost
    false: Sequence[str]  # of these, who was not lost by then
    delays_h: Sequence[float]  # from each real loss to its verdict, rising

    def text(self) -> str:
        n, last = len(self.delays_h), len(self.delays_h) - 1
        half, most = (self.delays_h[round(q * last)] if n else 0.0 for q in (0.5, 0.9))
        return (
            f"{self.door.looks} looks, false answers {self.door.lied}; published {n} losses,"
            f" {len(self.false)} false; {self.score.posts.noticed} of {self.score.posts.lost} real"
            f" losses found, verdict after {half:.1f} h (median), {most:.1f} h (90 %)"
        )


def outcome(
    folder: Path, world: World, lies: Sequence[Lie], *, canaries: bool = True, two: bool = True
) -> Outcome:
    events: list[Event] = []
    until = world.end + 2 * DAY
    routes = ["direct", "second"] if two else ["direct"]
    _, door = watch_from(
        folder, world, until, lies=lies, routes=routes, canaries=canaries, events=events
    )
    published: dict[str, Micros] = {}
    for event in events:
        if event.kind == "verdict" and event.facts["state"] in LOST:
            published.setdefault(str(event.facts["subject"]), event.at)
    with Observatory.open(folder) as observatory:
        result = scored(observatory, world, until)
        truth = truth_of(world)
        fates: dict[str, Fate | None] = {
            observatory.naming(PLATFORM, subject.id): subject.fate
            for subject in (*truth.posts, *truth.accounts)
        }
    false, delays = [], []
    for key, at in published.items():
        fate = fates[key]
        if fate is None or fate.removed_at > at:
            false.append(key)
        else:
            delays.append((at - fate.removed_at) / HOUR)
    return Outcome(result, door, published, false, sorted(delays))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)


def test_ten_thousand_looks_from_a_vantage_that_lies_in_five_of_a_hundred(tmp_path: Path) -> None:
    """Each false loss would be an accusation; and a watch that believes nothing finds nothing."""
    world = World.generate(5, days=15, accounts=12, posts_per_day=45.0)
    found = outcome(tmp_path / "o", world, [Lie(0.05, HERE)])
    print(found.text())
    assert found.door.looks[HERE] >= 10_000
    assert 0.04 < found.door.lied[HERE] / found.door.looks[HERE] < 0.06
    assert found.false == []
    assert found.score.posts.false_losses == ()
    assert found.score.accounts.false_losses == ()
    assert found.score.posts.lost > 100
    assert found.score.posts.noticed_share >= 0.98
    assert found.score.posts.interval_right_share >= 0.99
    assert found.score.delay_s(0.5) < 12 * 3600
