"""The watch by price: what it asks, keeps and learns, and what failures, bursts and ends leave."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.watch.test_loop import BARE, PLATFORM, START, Jumping, Scripted, verdict_of
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry, PostRow, Track
from vanished.archive.settings import WatchSettings
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Account,
    Fault,
    Micros,
    Post,
    Signal,
    State,
    failed,
)
from vanished.net.politeness import Politeness
from vanished.watch import columns as c
from vanished.watch.by_price import ORIGIN, ByPrice
from vanished.watch.learning import FIRST_P
from vanished.watch.live import build_watch
from vanished.watch.loop import Watch
from vanished.watch.priced import Conditions

BUSY = failed(Fault.RATE_LIMITED, status=429)
BROKEN = failed(Fault.SERVER, status=503)


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


class Metered(Politeness):
    """Budgets that note who was asked when: a second's requests must not exceed the bucket."""

    def __init__(self, per_second: float, burst_s: float = 10) -> None:
        super().__init__(per_second, burst_s=burst_s)
        self.short: list[tuple[str, Micros]] = []

    def spend(self, host: str, now: Micros, n: int = 1) -> None:
        if self.room(host, now) < n:
            self.short.append((host, now))
        super().spend(host, now, n)


def watching(
    observatory: Observatory,
    source: Scripted,
    rate: float = 1.0,
    conditions: Conditions | None = None,
    **options: Any,
) -> tuple[Watch, ByPrice, Metered]:
    budget = Metered(rate)
    door: Any = SimpleNamespace(
        fetcher=lambda prepaid=1, proxy=None: SimpleNamespace(exchanges=[]),
        settings=SimpleNamespace(timeout_s=5.0), politeness=budget,
    )  # fmt: skip
    observatory.add_account(source.account("a"), START)
    schedule = ByPrice({"page": source.batch}, learnt=observatory.learnt(), conditions=conditions)
    watch = Watch(
        observatory, {"page": source}, door, source.clock, schedule, discover_every=HOUR, **options
    )
    return watch, schedule, budget


async def test_a_loss_is_noticed_within_minutes_and_bracketed(observatory: Observatory) -> None:
    clock = Jumping()
    lost_at = START + 2 * HOUR + 7 * MINUTE
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1", "p2"],
        lambda post, now: PLATFORM if post == "p1" and now >= lost_at else ALIVE,
    )  # fmt: skip
    watch, schedule, budget = watching(observatory, source)
    progress = await watch.run(START + 3 * HOUR)
    verdict = verdict_of(observatory, "p1")
    assert verdict.state is State.GONE
    assert verdict.interval.last_alive_at < lost_at <= verdict.interval.first_gone_at
    assert verdict.interval.first_gone_at - verdict.interval.last_alive_at < 10 * MINUTE
    assert verdict_of(observatory, "p2") is None
    assert progress.losses == 1
    assert budget.short == []
    assert schedule.beliefs.learner._lost.sum() == pytest.approx(1.0)
    asked = [at for post, at in source.asked if post == "p2"]
    assert min(np.diff(asked)) >= 55 * SECOND  # two posts do not use a host's whole allowance


async def test_a_page_just_met_is_looked_at_as_soon_as_it_may_be_lost(
    observatory: Observatory,
) -> None:
    """No post is lost in its first seconds, but who wants a look every 2 s waits no hour for it."""
    clock, lost_at = Jumping(), START + 5 * MINUTE
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1"],
        lambda post, now: PLATFORM if now >= lost_at else ALIVE,
    )  # fmt: skip
    watch, _, budget = watching(observatory, source, conditions=Conditions(shortest_s=2.0))
    await watch.run(START + 7 * MINUTE)
    asked = [(at - START) / SECOND for _, at in source.asked]
    assert asked[0] < 70
    assert len(asked) > 60
    interval = verdict_of(observatory, "p1").interval
    assert interval.first_gone_at - lost_at < 10 * SECOND
    assert budget.short == []


async def test_a_fifth_of_errors_makes_no_false_loss_and_exceeds_no_bucket(
    observatory: Observatory,
) -> None:
    """429, 503 and the rest, at random, with four true losses among 40 posts."""
    clock, chance = Jumping(), random.Random(5)
    lost = {f"p{n}": START + n * 5 * MINUTE for n in (3, 9, 12, 20)}

    def answer(post: str, now: Micros) -> Signal:
        if chance.random() < 0.2:
            return chance.choice((BUSY, BROKEN, failed(Fault.TIMEOUT)))
        return PLATFORM if now >= lost.get(post, now + 1) else ALIVE

    source = Scripted(
        observatory.naming, clock, lambda now: [f"p{n}" for n in range(40)], answer, batch=5
    )
    watch, schedule, budget = watching(observatory, source, rate=0.1)
    progress = await watch.run(START + 3 * HOUR)
    assert progress.failed > 0.1 * progress.looks
    found = {n: verdict_of(observatory, f"p{n}") for n in range(40)}
    gone = {n for n, verdict in found.items() if verdict and verdict.state is State.GONE}
    assert gone == {3, 9, 12, 20}
    for name, at in lost.items():
        interval = verdict_of(observatory, name).interval
        assert (interval.last_alive_at or 0) < at <= interval.first_gone_at
    assert budget.short == []
    assert schedule.beliefs.learner._lost.sum() == pytest.approx(4.0)


async def test_an_outage_proves_nothing_and_is_caught_up_with(observatory: Observatory) -> None:
    clock = Jumping()
    outage = (START + HOUR, START + 4 * HOUR)
    source = Scripted(
        observatory.naming, clock, lambda now: [f"p{n}" for n in range(30)],
        lambda post, now: BROKEN if outage[0] <= now < outage[1] else ALIVE,
    )  # fmt: skip
    watch, schedule, budget = watching(observatory, source, rate=0.2)
    await watch.run(outage[0])
    exposed = schedule.beliefs.learner._exposed.sum()
    progress = await _again(observatory, source, watch, outage[1])
    assert progress.losses == 0
    assert progress.failed < 0.3 * 0.2 * 3 * 3600  # a dead host is not hammered
    assert observatory.learnt()
    asked_before = len(source.asked)
    progress = await _again(observatory, source, watch, outage[1] + 2 * HOUR)
    caught = [at for post, at in source.asked[asked_before:]]
    assert {post for post, at in source.asked[asked_before:]} == {f"p{n}" for n in range(30)}
    assert caught[0] < outage[1] + HOUR
    assert progress.losses == 0
    assert budget.short == []
    assert exposed > 0


async def _again(observatory: Observatory, source: Scripted, watch: Watch, until: Micros) -> Any:
    """Another watch over the same folder, as after a restart."""
    schedule = ByPrice({"page": source.batch}, learnt=observatory.learnt())
    made = Watch(
        observatory, {"page": source}, watch.door, source.clock, schedule, discover_every=HOUR
    )
    return await made.run(until)


async def test_the_judges_wishes_come_before_the_schedules_dates(observatory: Observatory) -> None:
    """A bare "not found" is asked again when the judge needs it, whatever a look is worth."""
    clock = Jumping()
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1"],
        lambda post, now: BARE if now >= START + HOUR else ALIVE,
    )  # fmt: skip
    watch, _, _ = watching(observatory, source)
    await watch.run(START + 14 * HOUR)
    gone = [at for post, at in source.asked if at >= START + HOUR]
    waits = np.diff(gone[:4]) / SECOND
    assert waits[0] <= 120
    assert verdict_of(observatory, "p1").state is State.GONE


async def test_what_was_learnt_outlives_the_watch(observatory: Observatory) -> None:
    clock = Jumping()
    source = Scripted(
        observatory.naming, clock, lambda now: [f"p{n}" for n in range(9)],
        lambda post, now: PLATFORM if post in ("p1", "p2") and now > START + HOUR else ALIVE,
    )  # fmt: skip
    watch, schedule, _ = watching(observatory, source)
    await watch.run(START + 2 * HOUR)
    learner = ByPrice({}, learnt=observatory.learnt()).beliefs.learner
    account = observatory.account_rows()[0].id
    assert learner.p[account] == pytest.approx(schedule.beliefs.learner.p[account], rel=0.05)
    assert learner.p[account] > 4 * FIRST_P
    assert "p1" not in observatory.learnt()


def stocked(observatory: Observatory, posts: int) -> None:
    """Posts that a watch left behind: proven, failing, missing from a list, lost."""
    account = Account(observatory.naming("page", "a"), "page", "a", "", "http://t/a")
    observatory.add_account(account, START)
    owner = observatory.account_rows()[0]
    entry = Entry()
    for n in range(posts):
        key = observatory.naming("page", f"p{n}")
        post = Post(key, account.key, "page", f"p{n}", f"http://t/p{n}", START, START)
        track = Track(
            due=START + DAY, state=State.ALIVE, last_alive_at=START + n % 600 * SECOND + 7
        )
        if n % 10 == 1:
            track.failures = 3
        elif n % 10 == 2:
            track.absent, track.due = True, START + 700 * SECOND
        elif n % 10 == 3:
            track.state = State.GONE
        entry.new_posts.append(PostRow(observatory.next_post_id(), post, owner.id, track))
    observatory.commit(entry, START)


def test_a_start_takes_proofs_and_wishes_from_the_present(observatory: Observatory) -> None:
    """No bracket may start later than its proof; what was wished keeps its date."""
    stocked(observatory, 400)
    schedule = ByPrice({"page": 1}, conditions=Conditions(census=0.0))
    found = observatory.schedule_columns(lambda name: 0)
    schedule.begin(found, lambda host: 1.0, START + 700 * SECOND)
    columns = schedule.priced.columns
    for row in observatory.post_rows(found.ids.tolist()):
        proof = ORIGIN + int(columns.last[row.id]) * SECOND
        assert row.track.last_alive_at is not None
        assert row.track.last_alive_at - SECOND < proof <= row.track.last_alive_at
        wished = bool(columns.flags[row.id] & c.WISHED)
        assert wished is (int(row.post.native_id[1:]) % 10 in (1, 2, 3))
        if wished:
            assert ORIGIN + int(columns.due[row.id]) * SECOND == row.track.due
    taken = schedule.take(START + 701 * SECOND, lambda host: 40, 40)
    assert {int(row.post.native_id[1:]) % 10 for row in observatory.post_rows(taken)} == {2}


def test_settings_choose_between_price_and_ages(observatory: Observatory) -> None:
    door: Any = SimpleNamespace(
        settings=SimpleNamespace(timeout_s=5.0, vantage="here", proxies={}),
        politeness=Politeness(1.0),
    )
    watch = build_watch(observatory, {}, door, Jumping(), lambda event: None)
    assert isinstance(watch.schedule, ByPrice)
    assert watch.schedule.priced.conditions == Conditions()
    assert WatchSettings().look_every_s == ()


def test_dates_that_a_held_post_gets_do_not_end_its_look(observatory: Observatory) -> None:
    """A list shows a post while it is being asked: asking it twice at once would spend twice."""
    stocked(observatory, 1)
    schedule = ByPrice({"page": 1})
    found = observatory.schedule_columns(lambda name: 0)
    schedule.begin(found, lambda host: 1.0, START)
    row = observatory.post_rows(found.ids.tolist())[0]
    [taken] = schedule.take(START + 12 * HOUR, lambda host: 9, 9)
    assert taken == row.id
    row.track.due = 2**63 - 2  # PENDING
    row.track.last_alive_at = row.track.last_asked_at = START + 12 * HOUR
    schedule.enter([row], [0], {row.id}, START + 12 * HOUR + SECOND)
    assert START + 12 * HOUR < row.track.due < START + 60 * DAY
    assert schedule.take(START + 30 * HOUR, lambda host: 9, 9) == []
    schedule.enter([row], [0], set(), START + 30 * HOUR)
    row.track.due = 2**63 - 2
    schedule.enter([row], [0], set(), START + 30 * HOUR)
    assert not schedule.priced.columns.flags[row.id] & c.OUT


async def test_known_terms_of_the_settings_are_topics(observatory: Observatory) -> None:
    """Posts with a known term share a topic from the first on, whatever else they say."""
    schedule = ByPrice({}, words=["blue umbrella"])
    schedule.read(1, "a Blue Umbrella stood there")
    schedule.read(2, "nothing of the kind")
    schedule.read(3, "who sells a blue umbrella, and where")
    sets = schedule.beliefs.sets
    assert sorted(sets.holding([1]).tolist()) == sorted({schedule._read[1], schedule._read[3]})
    assert schedule._read[2] not in sets.holding([1])
