"""Canaries in the watch: asked like real posts, kept, told to the operator, read by the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.watch.test_loop import ACCOUNT, BARE, PLATFORM, START, Jumping, Scripted
from vanished.archive.columns import CANARY_RIGHT, CANARY_WRONG, OBSERVATIONS, ROUTES
from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.archive.settings_asking import Addresses
from vanished.errors import ConfigError
from vanished.judge import judge
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Cause,
    Fault,
    Look,
    Micros,
    Observation,
    Post,
    Signal,
    State,
    failed,
)
from vanished.net.politeness import Politeness
from vanished.publish.report import make_report
from vanished.sources.page import PageSource
from vanished.watch.canaries import SPACING, Canary, Rounds, canaries_of, concluded
from vanished.watch.doctor import advise
from vanished.watch.doctor_canaries import troubles
from vanished.watch.live import canary_line, progress_line
from vanished.watch.loop import Watch
from vanished.watch.progress import Event
from vanished.watch.routing import Route
from vanished.watch.schedule import AgeBuckets
from vanished.watch.trusting import Trusting

EVERY = 10 * MINUTE
HERE, THERE = Route("direct", "here"), Route("tor", "here via tor")
Answers = Callable[[str, Micros, str], Signal]


@dataclass
class Everywhere(Scripted):
    """Answers by (post, time, vantage); its fetchers carry the vantage."""

    seen_from: Answers = lambda post, now, vantage: ALIVE
    asked_from: list[tuple[str, str, Micros]] = field(default_factory=list)

    def post(self, address: str) -> Post:
        return Post(self.naming("page", address), "", "page", address, f"http://t/{address}")

    async def look(self, posts: Sequence[Post], fetch: Any) -> list[Look]:
        now, found = self.clock.now(), []
        for post in posts:
            self.asked_from.append((post.native_id, fetch.vantage, now))
            signal = self.seen_from(post.native_id, now, fetch.vantage)
            found.append(Look(Observation(post.key, now, now + 1, signal, vantage=fetch.vantage)))
        return found


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Observatory]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


def watching(
    observatory: Observatory,
    seen_from: Answers,
    *,
    clock: Jumping | None = None,
    routes: Sequence[Route] = (HERE,),
    canaries: Addresses = Addresses(("live",), ("dead",)),  # noqa: B008  frozen
    **options: Any,
) -> tuple[Watch, Everywhere, list[Event]]:
    source = Everywhere(
        observatory.naming, clock or Jumping(), lambda now: ["p1", "p2"], lambda post, now: ALIVE,
        seen_from=seen_from, **options,
    )  # fmt: skip
    events: list[Event] = []

    def fetcher(prepaid: int, proxy: str | None) -> Any:
        vantage = "here" if proxy is None else f"here via {proxy}"
        return SimpleNamespace(exchanges=[], vantage=vantage)

    door: Any = SimpleNamespace(
        fetcher=fetcher, settings=SimpleNamespace(timeout_s=5.0), politeness=Politeness(100.0)
    )
    observatory.add_account(source.account("a"), START)
    watch = Watch(
        observatory, {"page": source}, door, source.clock,
        AgeBuckets(((3600, 300), (86400, 3600))), tell=events.append, routes={"page": routes},
        canaries={"page": canaries_of(source, canaries)}, canaries_every=EVERY,
    )  # fmt: skip
    return watch, source, events


def name_canaries(observatory: Observatory, listed: str) -> None:
    with (observatory.folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n[sources.page]\ncanaries = {{ {listed} }}\n")


def verdict_of(observatory: Observatory, native: str) -> Any:
    return observatory.verdict(observatory.naming("page", native))


def dead(post: str) -> Signal:
    return BARE if post == "dead" else ALIVE


async def test_a_real_loss_is_believed_once_a_canary_vouches_for_it(
    observatory: Observatory,
) -> None:
    lost_at = START + 2 * HOUR + 7 * MINUTE
    watch, source, events = watching(
        observatory,
        lambda post, now, _: PLATFORM if post == "p1" and now >= lost_at else dead(post),
    )
    await watch.run(START + DAY)
    assert verdict_of(observatory, "p1").state is State.GONE
    assert verdict_of(observatory, "p1").causes == {Cause.PLATFORM}
    (told,) = [e.at for e in events if e.kind == "verdict" and e.facts["state"] == "gone"]
    gone = [now for name, _, now in source.asked_from if name == "p1" and now >= lost_at]
    vouched = [now for name, _, now in source.asked_from if name == "live" and now > gone[1]]
    assert told >= vouched[0]
    assert told - gone[0] < 10 * MINUTE  # it does not wait for the next round in turn
    assert not [e for e in events if e.kind == "canary"]


async def test_a_platform_that_calls_everything_gone_loses_nothing(
    observatory: Observatory,
) -> None:
    """Half a day of false notices: longer and stronger than the judge's own assumptions allow."""
    lie = (START + 3 * HOUR + MINUTE, START + 15 * HOUR)
    lost_at = START + 20 * HOUR

    def answer(post: str, now: Micros, _: str) -> Signal:
        if lie[0] <= now < lie[1] or (post == "p2" and now >= lost_at):
            return PLATFORM
        return dead(post)

    watch, _, events = watching(
        observatory, answer, account_says=lambda now: ACCOUNT if lie[0] <= now < lie[1] else ALIVE
    )
    await watch.run(lie[1] - MINUTE)
    assert watch.progress.troubles == ["canary wrong: page from here"]
    assert "canary wrong: page from here" in progress_line(watch.progress, START)
    watch, _, later = watching(observatory, answer, clock=source_clock(watch))
    await watch.run(START + 2 * DAY)
    told = [e for e in (*events, *later) if e.kind == "verdict" and e.facts["state"] == "gone"]
    assert [e.facts["subject"] for e in told] == [observatory.naming("page", "p2")]
    assert told[0].at - lost_at < 2 * HOUR
    assert verdict_of(observatory, "p1").state is State.ALIVE
    begun, ended = [e for e in (*events, *later) if e.kind == "canary"]
    assert lie[0] <= begun.at < lie[0] + EVERY
    assert lie[1] <= ended.at < lie[1] + 2 * EVERY
    assert "alive canary 1 answered gone" in canary_line(begun.facts)
    assert "rightly again" in canary_line(ended.facts)


def source_clock(watch: Watch) -> Jumping:
    clock = watch.clock
    assert isinstance(clock, Jumping)
    return clock


async def test_a_platform_that_calls_everything_alive_is_noticed_as_well(
    observatory: Observatory,
) -> None:
    """Else a changed page, or a parser that takes anything, would hide every loss for ever."""
    watch, _, events = watching(observatory, lambda post, now, _: ALIVE)
    await watch.run(START + HOUR)
    (event,) = [e for e in events if e.kind == "canary"]
    assert "gone canary 1 answered alive" in str(event.facts["words"])


async def test_the_same_verdict_follows_from_the_journal(observatory: Observatory) -> None:
    """Looks are never rewritten: what they were worth is kept beside them, to be read again."""
    lies = [(3, 5), (8, 9), (30, 34)]

    def answer(post: str, now: Micros, _: str) -> Signal:
        hour = (now - START) / HOUR
        if any(a <= hour < b for a, b in lies):
            return BARE
        return PLATFORM if post == "p1" and hour >= 6.3 else dead(post)

    watch, _, _ = watching(observatory, answer)
    await watch.run(START + 20 * HOUR)
    observatory.flush()
    watch, _, _ = watching(observatory, answer, clock=source_clock(watch))
    await watch.run(START + 3 * DAY)
    trust = Trusting(int(1800 * SECOND), observatory.routes()).trust("page")
    for name, state in (("p1", State.GONE), ("p2", State.ALIVE)):
        key, verdict = observatory.naming("page", name), verdict_of(observatory, name)
        with observatory.past() as con:
            found = con.execute("select * from observations where subject = ?", [key]).fetchnumpy()
        facts = OBSERVATIONS.decode(found)
        again = judge(key, facts, claimed_at=START, trust=trust)
        assert replace(again, looks=0) == replace(verdict, looks=0), name
        assert verdict.state is state
        assert judge(key, facts, claimed_at=START).state is not State.UNKNOWN  # all looks are kept


async def test_what_canaries_say_is_told_to_the_operator_only(
    observatory: Observatory, tmp_path: Path
) -> None:
    """A report that named canaries would tell the platform which posts to spare."""
    file = observatory.folder / FILE
    canaries = (
        '[sources.page]\ncanaries = { alive = ["http://t/live"], gone = ["http://t/dead"] }\n'
    )
    file.write_text(file.read_text(encoding="utf-8") + canaries, encoding="utf-8")
    watch, _, _ = watching(observatory, lambda post, now, _: BARE)
    await watch.run(START + 3 * HOUR)
    folder = observatory.folder
    observatory.close()
    with Observatory.open(folder) as again:
        (finding,) = troubles(again)
        assert finding.where == "page from here"
        assert "alive canary 1 answered gone" in finding.what
        assert {row.what for row in again.routes()} <= set(ROUTES)
    report = json.dumps(make_report(folder, since=None, rows=20, names=False).facts())
    assert "canar" not in report
    assert not any("canaries" in remark.what for remark in advise(folder))


async def test_silent_canaries_are_told(observatory: Observatory) -> None:
    name_canaries(observatory, 'alive = ["http://t/live"]')
    silent = failed(Fault.TIMEOUT)
    watch, source, _ = watching(
        observatory, lambda post, now, _: ALIVE if post.startswith("p") else silent
    )
    await watch.run(START + 3 * HOUR)
    asked = [now for name, _, now in source.asked_from if name == "live"]
    assert len(asked) < 25  # ever more rarely, while nobody answers
    folder = observatory.folder
    observatory.close()
    with Observatory.open(folder) as again:
        (finding,) = troubles(again)
    assert "no right answer" in finding.what


async def test_sources_without_canaries_leave_no_trace(observatory: Observatory) -> None:
    watch, source, _ = watching(observatory, lambda post, now, _: ALIVE, canaries=Addresses())
    await watch.run(START + HOUR)
    assert observatory.routes() == []
    assert {name for name, _, _ in source.asked_from} == {"p1", "p2"}


async def test_canaries_that_are_taken_away_take_no_loss_back(observatory: Observatory) -> None:
    def answer(post: str, now: Micros, _: str) -> Signal:
        return PLATFORM if post == "p1" and now >= START + HOUR else dead(post)

    watch, _, _ = watching(observatory, answer)
    await watch.run(START + 5 * HOUR)
    assert verdict_of(observatory, "p1").state is State.GONE
    watch, _, events = watching(
        observatory, answer, clock=source_clock(watch), canaries=Addresses()
    )
    await watch.run(START + 3 * DAY)
    assert verdict_of(observatory, "p1").state is State.GONE
    assert not [e for e in events if e.kind == "verdict"]


# -- two vantages --------------------------------------------------------------------------------


async def test_a_suspected_loss_is_asked_again_from_the_other_vantage(
    observatory: Observatory,
) -> None:
    lost_at = START + 2 * HOUR
    watch, source, events = watching(
        observatory,
        lambda post, now, _: PLATFORM if post == "p1" and now >= lost_at else dead(post),
        routes=(HERE, THERE), canaries=Addresses(),
    )  # fmt: skip
    await watch.run(START + DAY)
    assert verdict_of(observatory, "p1").state is State.GONE
    (told,) = [e.at for e in events if e.kind == "verdict" and e.facts["state"] == "gone"]
    asked = [(v, now) for name, v, now in source.asked_from if name == "p1" and now >= lost_at]
    assert {vantage for vantage, now in asked if now <= told} == {"here", "here via tor"}
    before = {v for name, v, now in source.asked_from if now < lost_at}
    assert before == {"here"}  # the other way is not troubled without a reason


async def test_gone_from_one_network_only_is_never_the_platform(observatory: Observatory) -> None:
    watch, _, events = watching(
        observatory,
        lambda post, now, vantage: (
            PLATFORM if post == "p1" and vantage == "here" and now >= START + HOUR else dead(post)
        ),
        routes=(HERE, THERE),
    )  # fmt: skip
    await watch.run(START + 2 * DAY)
    verdict = verdict_of(observatory, "p1")
    assert verdict.state is State.FLICKERING
    assert verdict.causes == {Cause.NETWORK, Cause.UNKNOWN}
    assert not [e for e in events if e.kind == "verdict" and e.facts["state"] == "gone"]


async def test_a_lying_vantage_is_left_aside_and_losses_are_found_from_the_other(
    observatory: Observatory,
) -> None:
    """The lie lasts to the end: the loss is believed from one vantage, after a day, and says so."""

    def answer(post: str, now: Micros, vantage: str) -> Signal:
        lost = post == "p1" and now >= START + 5 * HOUR
        return BARE if lost or (vantage == "here" and now > START + HOUR) else dead(post)

    watch, source, _ = watching(observatory, answer, routes=(HERE, THERE))
    await watch.run(START + 35 * HOUR)
    assert verdict_of(observatory, "p2").state is State.ALIVE
    verdict = verdict_of(observatory, "p1")
    assert verdict.state is State.GONE
    assert "judge/one-vantage" in verdict.rules
    late = [v for name, v, now in source.asked_from if name == "p2" and now > START + 2 * HOUR]
    assert set(late) == {"here via tor"}


async def test_a_route_that_fails_hands_over_to_the_next(observatory: Observatory) -> None:
    broken = failed(Fault.CONNECT)
    watch, source, _ = watching(
        observatory,
        lambda post, now, vantage: broken if vantage == "here" else dead(post),
        routes=(HERE, THERE), canaries=Addresses(),
    )  # fmt: skip
    await watch.run(START + HOUR)
    found = [v for name, v, _ in source.asked_from if name == "p1"]
    assert found[:2] == ["here", "here via tor"]


# -- rounds --------------------------------------------------------------------------------------


def post(name: str) -> Post:
    return Post(name, "", "page", name, f"http://{name[0]}.example/{name}")


LIVE, DEAD = Canary("alive canary 1", True, post("a1")), Canary("gone canary 1", False, post("b1"))


def said(canary: Canary, signal: Signal, at: Micros = START) -> tuple[Canary, Observation]:
    return canary, Observation(canary.subject.key, at, at + 5, signal)


def test_what_a_round_says() -> None:
    right, _ = concluded([said(LIVE, ALIVE), said(DEAD, BARE, START + 9)])
    assert right is not None
    assert (right.asked_at, right.answered_at, right.right) == (START, START + 14, True)
    wrong, words = concluded([said(LIVE, BARE), said(DEAD, failed(Fault.TIMEOUT))])
    assert wrong is not None
    assert not wrong.right
    assert words == "alive canary 1 answered gone (http/404@1)"
    nothing, words = concluded([said(LIVE, ALIVE), said(DEAD, failed(Fault.TIMEOUT))])
    assert nothing is None  # nobody knows whether a loss would be seen
    assert "timeout" in words
    assert concluded([said(LIVE, failed(Fault.CAPTCHA))])[0] is None


def test_rounds_keep_to_their_hosts_budget_and_come_when_wanted() -> None:
    way = ("page", "direct")
    rounds = Rounds({"page": [LIVE, DEAD]}, {"page": ["direct"]}, EVERY)
    assert rounds.take(START, lambda host: 0, 9) == []
    assert rounds.take(START, lambda host: int(host == "a.example"), 9) == [(way, LIVE)]
    assert rounds.next_at(START, lambda host: START + 7) == START + 7
    assert rounds.take(START, lambda host: 1, 0) == []
    assert rounds.take(START, lambda host: 1, 9) == [(way, DEAD)]
    assert rounds.next_at(START, lambda host: START) is None
    assert rounds.answered(way, *said(LIVE, ALIVE), START + 9) is None
    outcome = rounds.answered(way, *said(DEAD, BARE), START + 9)
    assert outcome is not None
    assert outcome.check is not None
    assert rounds.next_at(START, lambda host: START) == START + 9 + EVERY
    rounds.want(way, START + 10, START + 10)
    assert rounds.next_at(START, lambda host: START) == START + 9 + SPACING
    rounds.want(("page", "nowhere"), START, START)


def test_an_address_that_is_none_is_named_by_its_place(observatory: Observatory) -> None:
    source = PageSource(observatory.naming, {})
    with pytest.raises(ConfigError, match=r"\[sources.page\] canaries: gone number 2"):
        canaries_of(source, Addresses(("http://a.example/1",), ("http://a.example/2", "nowhere")))


def test_rounds_are_told_apart_in_the_past(observatory: Observatory) -> None:
    trusting = Trusting(SECOND)
    rows = trusting.begin("page", ["here", "here via tor"], START, guarded=True)
    assert len(rows) == 4
    assert trusting.begin("page", ["here", "here via tor"], START, guarded=True) == []
    assert len(trusting.begin("page", ["here"], START + 9, guarded=False)) == 3
    whats = {row.what for row in rows}
    assert not whats & {CANARY_RIGHT, CANARY_WRONG}
