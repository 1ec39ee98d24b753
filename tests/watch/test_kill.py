"""kill -9 at any moment: what was acknowledged is kept, once, and no bracket gets narrower."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

from tests.forking import Forked
from tests.watch.killed_watch import main
from tests.watch.taken_over import begun
from vanished.archive.columns import OBSERVATIONS
from vanished.archive.observatory import Observatory
from vanished.lab.clock import ScaledClock
from vanished.lab.month import create, scored
from vanished.lab.serve import spawned
from vanished.lab.source import PLATFORM
from vanished.lab.world import World
from vanished.model import DAY, SECOND, Kind

KILLS = 10  # of each of two schedules
SEED = 5
SPEED = 20_000.0


def watch_until_killed(
    folder: Path, clock: ScaledClock, until: int, after_s: float
) -> tuple[int, int]:
    """Run a watch and kill it; the last acknowledged (sequence number, looks)."""
    watch = Forked(main, folder, clock, until)
    said = watch.lines()
    last = next(said, "[0, 0]")  # the moment is counted from the first commit on
    time.sleep(after_s)
    assert watch.end(kill=True) == -signal.SIGKILL
    seq, looks = json.loads([last, *said][-1])
    return seq, looks


def check(folder: Path, acknowledged: tuple[int, int]) -> None:
    """Nothing acknowledged lost, nothing doubled, brackets as wide as the facts say."""
    with Observatory.open(folder, write=True) as observatory:
        assert observatory.seq >= acknowledged[0]
        looks = observatory.acknowledged_looks()
        assert looks >= acknowledged[1]
        assert observatory.journal.verify() == []
        assert observatory.integrity() == ""
        with observatory.past() as con:
            assert con.execute("select sum(looks)::bigint from observations").fetchall() == [
                (looks,)
            ]
            doubled = con.execute(
                "select subject, asked_at from observations group by all having count(*) > 1"
            ).fetchall()
            assert doubled == []
            twice = con.execute("select key from posts group by 1 having count(*) > 1").fetchall()
            assert twice == []
            for verdict in observatory.verdicts():
                if verdict.interval is None or verdict.interval.last_alive_at is None:
                    continue
                found = con.execute(
                    "select * from observations where subject = ?", [verdict.subject]
                ).fetchnumpy()
                seen = OBSERVATIONS.decode(found)
                proofs = [o.last_asked_at for o in seen if o.signal.kind is Kind.ALIVE]
                gone = [o.answered_at for o in seen if o.signal.kind in (Kind.GONE, Kind.MOVED)]
                assert verdict.interval.last_alive_at <= max(proofs)
                assert verdict.interval.first_gone_at >= min(gone)


@pytest.mark.parametrize("by", ["age", "price"])
def test_kill_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    world = World.generate(SEED, days=31, accounts=12, posts_per_day=20.0)
    clock = ScaledClock(world.start, SPEED, time.time() + 1.0)
    folder = tmp_path / "o"
    until = world.end + DAY
    with spawned(SEED, clock, traps=0.2, days=31, accounts=12, posts_per_day=20.0) as url:
        create(folder, world, url, clock, commit_s=0.05 * SPEED)
        text = (folder / "observatory.toml").read_text(encoding="utf-8")
        if by == "price":
            text = "".join(line for line in text.splitlines(True) if "look_every_s" not in line)
        # Small flushes, so that kills also fall between the journal and the tail.
        (folder / "observatory.toml").write_text(text + "\n[journal]\nflush_rows = 400\n", "utf-8")
        total = 0
        for _ in range(KILLS):
            acknowledged = watch_until_killed(folder, clock, until, chance.uniform(0.02, 0.7))
            check(folder, acknowledged)
            if by == "price":  # the next watch takes the columns over; they are as the present is
                found, anew, why = begun(folder, clock.now(), PLATFORM)
                assert (found, why) == (anew, "")
            total = max(total, acknowledged[1])
        assert total > 25 * KILLS  # looks
        assert clock.now() < until, "the world ended before the last kill"
        now = clock.now()
        with Observatory.open(folder) as observatory:
            result = scored(observatory, world, now)
            assert observatory.journal.upto > 0
    assert result.posts.false_losses == ()
    assert result.posts.wrong_interval == ()
    assert now / SECOND > 0
