"""The watch on scripted sources: what is asked, kept, judged, and what a crash would cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vanished.archive.columns import OBSERVATIONS
from vanished.archive.observatory import Observatory
from vanished.judge import judge
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Account,
    Cause,
    Discovery,
    Fault,
    Kind,
    Look,
    Micros,
    Observation,
    Post,
    Sighting,
    Signal,
    State,
    Version,
    Via,
    failed,
)
from vanished.net.exchange import Exchange
from vanished.net.politeness import Politeness
from vanished.sources import Naming
from vanished.watch.loop import Watch
from vanished.watch.progress import Event
from vanished.watch.schedule import AgeBuckets

START: Micros = 1_700_000_000 * SECOND
PLATFORM = Signal(Kind.GONE, frozenset({Cause.PLATFORM}), rule="t/violation@1", words="违规")
ACCOUNT = Signal(Kind.GONE, frozenset({Cause.ACCOUNT}), rule="t/blocked@1", account_level=True)
BROKEN = failed(Fault.SERVER, status=503)
BARE = Signal(Kind.GONE, frozenset({Cause.UNKNOWN}), rule="http/404@1")


class Jumping:
    """Time that stands still while requests are under way and jumps when nothing is."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> Micros:
        return self.time

    async def wait(self, wake: asyncio.Event, until: Micros, *, busy: bool) -> None:
        if busy or wake.is_set():
            await wake.wait()
        else:
            self.time = max(self.time, until)


@dataclass
class Scripted:
    """A source that answers from a function of (post, time): the ten-line double."""

    naming: Naming
    clock: Jumping
    listed: Callable[[Micros], Sequence[str]]
    answer: Callable[[str, Micros], Signal]
    account_says: Callable[[Micros], Signal] = lambda now: ALIVE
    lists_words: bool = False  # the list states each post's words, not only its address
    platform: str = "page"
    batch: int = 1
    asked: list[tuple[str, Micros]] = field(default_factory=list)

    def account(self, address: str) -> Account:
        return Account(self.naming("page", address), "page", address, "", f"http://t/{address}")

    def post(self, address: str) -> Post:
        return Post(self.naming("page", address), "", "page", address, f"http://t/{address}")

    def _seen(self, key: str, signal: Signal, via: Via, version: str) -> Observation:
        now = self.clock.now()
        return Observation(key, now, now + 1, signal, via, version=version)

    async def discover(self, account: Account, cursor: str, fetch: Any) -> Discovery:
        now = self.clock.now()
        says, words = self.account_says(now), self.lists_words
        posts = [
            Post(self.naming("page", n), account.key, "page", n, f"http://t/{n}", START)
            for n in (self.listed(now) if says is ALIVE else ())
        ]
        return Discovery(
            self._seen(account.key, says, Via.TIMELINE, ""),
            tuple(
                Sighting(post, self._seen(post.key, ALIVE, Via.TIMELINE, "") if words else None)
                for post in posts
            ),
            complete_since=START if says is ALIVE and posts else None,
            cursor="read",
        )

    async def look(self, posts: Sequence[Post], fetch: Any) -> list[Look]:
        now = self.clock.now()
        await asyncio.sleep(0)
        looks = []
        for post in posts:
            self.asked.append((post.native_id, now))
            signal = self.answer(post.native_id, now)
            version = Version("v1", post.native_id, "text") if signal.kind is Kind.ALIVE else None
            seen = self._seen(post.key, signal, Via.DIRECT, version.hash if version else "")
            looks.append(Look(seen, version))
        return looks


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Observatory]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


def watching(
    observatory: Observatory, source: Scripted, rate: float = 100.0, **options: Any
) -> tuple[Watch, list[Event]]:
    events: list[Event] = []
    door: Any = SimpleNamespace(
        fetcher=lambda prepaid=1, proxy=None: SimpleNamespace(exchanges=[]),
        settings=SimpleNamespace(timeout_s=5.0),
        politeness=Politeness(rate),
    )
    observatory.add_account(source.account("a"), START)
    watch = Watch(
        observatory, {"page": source}, door, source.clock,
        AgeBuckets(((3600, 300), (86400, 3600))), tell=events.append, **options,
    )  # fmt: skip
    return watch, events


def verdict_of(observatory: Observatory, native: str) -> Any:
    return observatory.verdict(observatory.naming("page", native))


async def test_a_loss_is_noticed_confirmed_and_bracketed(observatory: Observatory) -> None:
    clock = Jumping()
    lost_at = START + 2 * HOUR + 7 * MINUTE
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1", "p2"],
        lambda post, now: PLATFORM if post == "p1" and now >= lost_at else ALIVE,
    )  # fmt: skip
    watch, events = watching(observatory, source)
    progress = await watch.run(START + DAY)
    verdict = verdict_of(observatory, "p1")
    assert verdict.state is State.GONE
    assert verdict.causes == {Cause.PLATFORM}
    assert verdict.interval.last_alive_at < lost_at <= verdict.interval.first_gone_at
    assert verdict.interval.first_gone_at - verdict.interval.last_alive_at < 65 * MINUTE
    assert verdict_of(observatory, "p2") is None
    assert progress.losses == 1
    told = [e.facts["state"] for e in events if e.kind == "verdict"]
    assert told == ["suspected", "gone"]


async def test_failed_looks_and_absence_lose_nothing(observatory: Observatory) -> None:
    """An outage, an empty list and a post that slid off the list: all three are not losses."""
    clock = Jumping()

    def answer(post: str, now: Micros) -> Signal:
        outage = START + HOUR < now < START + 6 * HOUR
        return failed(Fault.SERVER, status=503) if outage else ALIVE

    source = Scripted(
        observatory.naming, clock,
        lambda now: ["p1", "p2"] if now < START + 3 * HOUR else ["p2"], answer,
    )  # fmt: skip
    watch, events = watching(observatory, source)
    progress = await watch.run(START + DAY)
    assert progress.losses == 0
    assert progress.failed > 5
    assert [e for e in events if e.kind == "verdict"] == []
    with observatory.past() as con:
        kinds = dict(con.execute("select kind, sum(looks) from observations group by 1").fetchall())
    assert kinds["absent"] == 1
    assert kinds["error"] == progress.failed


async def test_absence_asks_at_once(observatory: Observatory) -> None:
    """A list that lacks a post is the earliest hint there is; waiting for the date wastes it."""
    clock = Jumping()
    lost_at = START + 20 * HOUR + 3 * MINUTE
    source = Scripted(
        observatory.naming, clock,
        lambda now: ["p1", "p2"] if now < lost_at else ["p2"],
        lambda post, now: PLATFORM if post == "p1" and now >= lost_at else ALIVE,
    )  # fmt: skip
    watch, _ = watching(observatory, source, discover_every=5 * MINUTE)
    await watch.run(START + DAY)
    interval = verdict_of(observatory, "p1").interval
    assert interval.first_gone_at - lost_at < 7 * MINUTE


async def test_a_returned_post_is_said_to_have_returned(observatory: Observatory) -> None:
    clock = Jumping()
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1"],
        lambda post, now: PLATFORM if START + HOUR < now < START + 30 * HOUR else ALIVE,
    )  # fmt: skip
    watch, _ = watching(observatory, source)
    progress = await watch.run(START + 4 * DAY)
    assert verdict_of(observatory, "p1").state is State.RETURNED
    assert progress.returned == 1


async def test_a_lost_post_that_is_listed_again_is_asked_at_once(observatory: Observatory) -> None:
    """Its return would else be noticed a day late."""
    clock = Jumping()
    back = START + 30 * HOUR + 7 * MINUTE
    source = Scripted(
        observatory.naming, clock,
        lambda now: ["p1", "p2"] if not START + HOUR < now < back else ["p2"],
        lambda post, now: PLATFORM if post == "p1" and START + HOUR < now < back else ALIVE,
        lists_words=True,
    )  # fmt: skip
    watch, events = watching(observatory, source, discover_every=5 * MINUTE)
    await watch.run(START + 2 * DAY)
    assert verdict_of(observatory, "p1").state is State.RETURNED
    (told,) = [e.at for e in events if e.kind == "verdict" and e.facts["state"] == "returned"]
    assert told - back < 10 * MINUTE


async def test_an_accounts_loss_explains_its_posts_once(observatory: Observatory) -> None:
    clock = Jumping()
    blocked = START + 5 * HOUR
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1", "p2", "p3"],
        lambda post, now: BARE if now >= blocked else ALIVE,
        account_says=lambda now: ACCOUNT if now >= blocked else ALIVE,
    )  # fmt: skip
    watch, _ = watching(observatory, source)
    await watch.run(START + 3 * DAY)
    account = observatory.naming("page", "a")
    assert observatory.verdict(account) is not None
    for post in ("p1", "p2", "p3"):
        verdict = verdict_of(observatory, post)
        assert verdict.state is State.GONE
        assert verdict.causes == {Cause.ACCOUNT}
        assert verdict.explained_by == account


async def test_a_faulty_source_ends_nothing_and_proves_nothing(observatory: Observatory) -> None:
    clock = Jumping()

    def answer(post: str, now: Micros) -> Signal:
        if post == "p1":
            raise KeyError("a field that the platform dropped")
        return ALIVE

    source = Scripted(observatory.naming, clock, lambda now: ["p1", "p2"], answer)
    watch, events = watching(observatory, source)
    progress = await watch.run(START + HOUR)
    assert any(e.kind == "source-error" for e in events)
    assert progress.losses == 0
    assert len([n for n, _ in source.asked if n == "p2"]) > 3


async def test_a_host_is_never_asked_beyond_its_budget(observatory: Observatory) -> None:
    clock = Jumping()
    names = [f"p{n}" for n in range(200)]
    source = Scripted(observatory.naming, clock, lambda now: names, lambda post, now: ALIVE)
    watch, _ = watching(observatory, source, rate=0.1)
    await watch.run(START + 50 * MINUTE)
    times = sorted(now for _, now in source.asked)
    assert len(times) > 270  # of 300 that the budget allows, lists included: it is used, too
    for start in range(0, len(times), 50):
        window = [t for t in times if times[start] <= t < times[start] + 100 * SECOND]
        assert len(window) <= 0.1 * 100 + 1 + 1


async def test_what_was_judged_can_be_judged_again_from_the_past(observatory: Observatory) -> None:
    """The same facts give the same verdict, from the journal as from the case."""
    clock = Jumping()

    def answer(post: str, now: Micros) -> Signal:
        hour = (now - START) // HOUR
        return {
            "p1": PLATFORM if hour >= 3 else ALIVE,
            "p2": BARE if hour in (4, 5) else ALIVE,
            "p3": BARE if hour >= 6 else ALIVE,
            "p4": PLATFORM if 8 <= hour < 40 else ALIVE,
            "p5": failed(Fault.CAPTCHA) if hour % 2 else ALIVE,
        }[post]

    source = Scripted(observatory.naming, clock, lambda now: ["p1", "p2", "p3", "p4", "p5"], answer)
    watch, _ = watching(observatory, source)
    await watch.run(START + 2 * DAY)
    observatory.flush()
    await watching(observatory, source)[0].run(START + 5 * DAY)
    states = {}
    for name in ("p1", "p2", "p3", "p4"):
        verdict = verdict_of(observatory, name)
        key = observatory.naming("page", name)
        with observatory.past() as con:
            found = con.execute("select * from observations where subject = ?", [key]).fetchnumpy()
        again = judge(key, OBSERVATIONS.decode(found), claimed_at=START)
        assert replace(again, looks=0) == replace(verdict, looks=0), name
        states[name] = verdict.state
    assert states["p1"] is State.GONE
    assert states["p3"] is State.GONE
    assert states["p4"] is State.RETURNED
    assert verdict_of(observatory, "p5") is None


async def test_a_post_lost_before_its_account_is_judged_again_with_it(
    observatory: Observatory,
) -> None:
    """A bare "not found" that was believed hours before the account's notice was seen would stay
    a loss of its own, and the account's loss would be counted twice."""
    clock = Jumping()
    blocked, told = START + HOUR, START + 20 * HOUR
    source = Scripted(
        observatory.naming, clock, lambda now: ["p1"],
        lambda post, now: BARE if now >= blocked else ALIVE,
        account_says=lambda now: ACCOUNT if now >= told else ALIVE if now < blocked else BROKEN,
    )  # fmt: skip
    watch, _ = watching(observatory, source)
    await watch.run(told + HOUR)
    verdict = verdict_of(observatory, "p1")
    assert verdict.state is State.GONE
    assert verdict.explained_by == observatory.naming("page", "a")


async def test_what_was_captured_is_signed_though_nothing_else_happens(
    observatory: Observatory,
) -> None:
    """Else the last capture before a quiet hour could be denied by whoever takes the machine."""
    clock = Jumping()
    proof = observatory.proof
    assert proof is not None
    unsigned: list[tuple[Micros, int]] = []

    def answer(post: str, now: Micros) -> Signal:
        unsigned.append((now - START, proof.log.next_index - proof.log.size))
        return ALIVE

    source = Scripted(observatory.naming, clock, lambda now: ["p1"], answer)
    watch, _ = watching(observatory, source, discover_every=DAY)
    exchange = Exchange("http://t/p1", START, START + 1, 200)
    watch.door.fetcher = lambda *_: SimpleNamespace(exchanges=[exchange])  # type: ignore[assignment, method-assign]
    await watch.run(START + HOUR)
    assert proof.log.size >= 2  # the list that showed it first, and its own first answer
    later = [waiting for passed, waiting in unsigned if passed > MINUTE]
    assert later
    assert not any(later), unsigned
