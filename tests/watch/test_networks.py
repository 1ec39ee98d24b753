"""What kept measurements of networks make of disappearances, and what failing hosts ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.watch.test_canaries import HERE, THERE, source_clock, verdict_of, watching
from tests.watch.test_loop import BARE, PLATFORM, START
from vanished.archive.measured import OPEN, STOPPED, Measured
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry
from vanished.archive.settings_asking import Addresses
from vanished.judge import judge
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    MINUTE,
    Cause,
    Fault,
    Micros,
    Observation,
    Signal,
    State,
    Strength,
    failed,
)
from vanished.watch.silences import Silences, due_targets
from vanished.watch.trusting import Trusting, network_words

ORIGIN = "http://t"


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Observatory]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


def measured(
    at: Micros, state: str, target: str = f"{ORIGIN}/", vantage: str = "here", layer: str = "sni"
) -> Measured:
    return Measured(
        f"{at}{state}{target}{vantage}", at, START, vantage, "AS64500", "ZZ", "web_connectivity",
        target, state, layer if state in STOPPED else None, None, "whole", ("rule",), "reach/1", "",
    )  # fmt: skip


def keep(observatory: Observatory, found: Sequence[Measured]) -> None:
    observatory.commit(Entry(measurements=list(found)), START)


def every(hours: float, state: str, **more: str) -> list[Measured]:
    return [measured(START + int(h * hours * HOUR), state, **more) for h in range(-1, 20)]


def gone_here(post: str, now: Micros, vantage: str) -> Signal:
    return PLATFORM if post == "p1" and vantage == "here" and now >= START + HOUR else ALIVE


async def seen_gone_here(observatory: Observatory, signal: Signal = PLATFORM) -> None:
    watch, _, _ = watching(
        observatory,
        lambda post, now, v: signal if gone_here(post, now, v) is PLATFORM else ALIVE,
        routes=(HERE, THERE), canaries=Addresses(),
    )  # fmt: skip
    await watch.run(START + 4 * HOUR)


@pytest.mark.parametrize("state", sorted(STOPPED))
async def test_what_only_a_blocked_network_misses_is_the_networks(
    observatory: Observatory, state: str
) -> None:
    keep(observatory, every(4, state))
    await seen_gone_here(observatory)
    verdict = verdict_of(observatory, "p1")
    assert verdict.state is State.FLICKERING
    assert verdict.causes == {Cause.NETWORK}
    assert "judge/network-blocked" in verdict.rules


@pytest.mark.parametrize("state", ["insufficient", "down", "impaired", OPEN])
async def test_nothing_else_names_the_network(observatory: Observatory, state: str) -> None:
    """A network that fails, or a server that is down, would be called a censor."""
    keep(observatory, every(4, state))
    await seen_gone_here(observatory)
    verdict = verdict_of(observatory, "p1")
    assert verdict.causes != {Cause.NETWORK}
    assert "judge/network-blocked" not in verdict.rules
    assert ("judge/network-open" in verdict.rules) is (state == OPEN)


@pytest.mark.parametrize(
    "found",
    [
        every(4, "blocked", target="http://other/"),  # another site of the same platform
        every(4, "blocked", target="https://t/"),
        every(4, "blocked", vantage=""),  # of a network that nobody said is ours
        every(4, "blocked", vantage="here via tor"),
        every(4, "blocked", target="http://t/word", layer="http"),  # may be the word
        [measured(START, "blocked")],  # seen once
        [measured(START - 40 * DAY, "blocked"), measured(START + 2 * DAY, "blocked")],
        [measured(START - (9 - n) * HOUR, "blocked") for n in range(9)],  # before it was lost
        [measured(START + n * HOUR, ("blocked", "ok")[n % 2]) for n in range(26)],
    ],
)
async def test_a_word_says_nothing_of_another_place_way_or_time(
    observatory: Observatory, found: list[Measured]
) -> None:
    keep(observatory, found)
    await seen_gone_here(observatory)
    verdict = verdict_of(observatory, "p1")
    assert verdict.causes == {Cause.NETWORK, Cause.UNKNOWN}
    assert "judge/network-blocked" not in verdict.rules


async def test_what_is_measured_later_is_judged_again_and_flushed_rows_count(
    observatory: Observatory,
) -> None:
    watch, _, _ = watching(observatory, gone_here, routes=(HERE, THERE), canaries=Addresses())
    await watch.run(START + 4 * HOUR)
    assert verdict_of(observatory, "p1").causes == {Cause.NETWORK, Cause.UNKNOWN}
    keep(observatory, every(4, "blocked"))
    observatory.flush()
    watch, _, events = watching(
        observatory, gone_here, clock=source_clock(watch), routes=(HERE, THERE),
        canaries=Addresses(),
    )  # fmt: skip
    await watch.run(START + 4 * HOUR + MINUTE)
    assert verdict_of(observatory, "p1").causes == {Cause.NETWORK}
    assert not [e for e in events if e.kind == "verdict" and e.facts["state"] == "gone"]


@pytest.mark.parametrize(
    ("signal", "causes"),
    [
        (replace(BARE, strength=Strength.WEAK), frozenset({Cause.NETWORK, Cause.UNKNOWN})),
        (PLATFORM, frozenset({Cause.PLATFORM})),
    ],
)
def test_a_bare_not_found_behind_a_block_leaves_the_network_open(
    signal: Signal, causes: frozenset[Cause]
) -> None:
    """From one vantage nobody can say more; a notice is the platform's own all the same."""
    trusting = Trusting(0, (), every(4, "blocked"))
    looks = [look(START, ALIVE)]
    looks += [look(START + int(h * HOUR), signal) for h in (1, 1.1, 2, 4, 7, 10, 13, 16)]
    verdict = judge("p", looks, trust=trusting.trust("page", f"{ORIGIN}/p"))
    assert (verdict.state, verdict.causes) == (State.GONE, causes)
    assert judge("p", looks, trust=trusting.trust("page", "http://u/p")).causes == signal.causes


def test_words_hold_between_sights_that_agree_only() -> None:
    states = ["blocked", "blocked", "ok", "blocked", "insufficient", "likely_blocked", "ok", "ok"]
    found = [measured(START + n * HOUR, state) for n, state in enumerate(states)]
    said = network_words(reversed(found))[ORIGIN]
    spans = [((w.span.since - START) // HOUR, ((w.span.until or 0) - START) // HOUR) for w in said]
    assert spans == [(0, 1), (3, 5), (6, 7)]
    assert [word.blocked for word in said] == [True, True, False]


def test_the_archive_and_reach_agree_on_what_a_state_says() -> None:
    from vanished.reach.rules import Reach
    from vanished.reach.series import STOPPED as OF_REACH

    assert {state.value for state in OF_REACH} == STOPPED
    assert Reach.OK.value == OPEN


# -- what asks to be measured --------------------------------------------------------------------


def look(at: Micros, signal: Signal, vantage: str = "here") -> Observation:
    return Observation("p", at, at + 1, signal, vantage=vantage)


def test_a_silence_is_told_when_it_lasts_and_ends_with_any_answer() -> None:
    silences = Silences()
    silent = failed(Fault.TIMEOUT)
    at_once = [silences.heard("http://t/1", look(START + n, silent)) for n in range(9)]
    assert at_once == [None] * 9  # one fault, nine posts
    assert silences.heard("http://t/1", look(START + MINUTE, failed(Fault.CAPTCHA))) is None
    told = silences.heard("http://t/2", look(START + MINUTE, silent))
    assert told is not None
    assert (told.origin, told.failures, told.since) == (ORIGIN, 10, START)
    assert silences.heard("http://t/1", look(START + HOUR, ALIVE, "here via tor")) is None
    ended = silences.heard("http://t/1", look(START + HOUR, BARE))
    assert ended is not None
    assert ended.failures == 0
    assert silences.heard("http://t/1", look(START + HOUR, silent)) is None  # counted anew


async def test_hosts_that_fail_are_due_until_they_were_measured_or_answer(
    observatory: Observatory,
) -> None:
    dead = failed(Fault.CONNECT)
    watch, _, _ = watching(
        observatory, lambda post, now, _: dead if now > START + HOUR else ALIVE,
        canaries=Addresses(), account_says=lambda now: dead if now > START + HOUR else ALIVE,
    )  # fmt: skip
    await watch.run(START + HOUR)
    folder = observatory.folder
    assert due_targets(folder) == []
    await watching_on(observatory, watch, dead, START + 3 * HOUR)
    (due,) = due_targets(folder)
    assert (due.url, due.vantage) == ("http://t/", "here")
    assert due.failures > 3
    assert b"http://t" not in (folder / "present.sqlite").read_bytes()
    keep(observatory, [measured(due.last_at, "down")])
    assert due_targets(folder) == []
    await watching_on(observatory, watch, dead, START + 11 * HOUR)
    assert len(due_targets(folder)) == 1  # it fails on, long after it was measured
    await watching_on(observatory, watch, ALIVE, START + 14 * HOUR)
    assert due_targets(folder) == []


async def watching_on(
    observatory: Observatory, watch: object, signal: Signal, until: Micros
) -> None:
    clock = source_clock(watch)  # type: ignore[arg-type]
    later, _, _ = watching(
        observatory, lambda post, now, _: signal, clock=clock, canaries=Addresses(),
        account_says=lambda now: signal,
    )  # fmt: skip
    await later.run(until)
