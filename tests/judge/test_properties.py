"""What must hold for any facts: the order of arrival, runs and failed looks change no verdict."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judge.facts import (
    ABSENT,
    ALIVE,
    BLOCKED,
    DAY_S,
    DELETED,
    LIMITED,
    MIGRATED,
    NOT_FOUND,
    POST,
    TIMEOUT,
    VIOLATION,
    look,
    looks,
    lost_account,
    merged,
    weak_loss,
)
from vanished.archive.runs import compress
from vanished.judge import judge
from vanished.model import Observation, State, Verdict, Via

GAPS_S = (0, 1, 4, 30, 59, 61, 600, 3600, 7200, 6 * 3600, 43_200, DAY_S)
DEFINITE = (ALIVE, ALIVE, ALIVE, NOT_FOUND, NOT_FOUND, VIOLATION, DELETED, BLOCKED, MIGRATED)
LOST = (State.SUSPECTED, State.GONE, State.MOVED)


@st.composite
def cases(draw: st.DrawFn) -> list[Observation]:
    """Distinct looks at one post, some of them in flight at once, from one or two vantages."""
    signals = draw(st.lists(st.sampled_from(DEFINITE), min_size=1, max_size=4, unique=True))
    vantages = draw(st.sampled_from((("here",), ("here", "elsewhere"))))
    second = 0
    facts: dict[Observation, None] = {}
    for _ in range(draw(st.integers(1, 24))):
        second += draw(st.sampled_from(GAPS_S))
        fact = look(
            second,
            draw(st.sampled_from(signals)),
            took=draw(st.sampled_from((0, 1, 20, 200))),
            via=draw(st.sampled_from((Via.DIRECT, Via.DIRECT, Via.TIMELINE, Via.IMPORT))),
            vantage=draw(st.sampled_from(vantages)),
        )
        facts[fact] = None
    return list(facts)


@st.composite
def failures(draw: st.DrawFn) -> list[Observation]:
    moments = draw(st.lists(st.integers(-100, 10 * DAY_S), max_size=10))
    return [look(s, draw(st.sampled_from((TIMEOUT, LIMITED, ABSENT)))) for s in moments]


accounts = st.sampled_from((None, lost_account(None, 9), lost_account(9000, 90_000)))


@given(cases(), accounts, st.randoms(use_true_random=False))
@settings(max_examples=600, deadline=None, derandomize=True)
def test_order_of_arrival_and_repetition_change_nothing(
    facts: list[Observation], account: Verdict | None, chance: object
) -> None:
    """Two observatories with the same facts would publish different verdicts."""
    shuffled = [*facts, *facts[: len(facts) // 2]]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge(POST, shuffled, account=account) == judge(POST, facts, account=account)


@given(cases(), failures())
@settings(max_examples=600, deadline=None, derandomize=True)
def test_failed_looks_and_absences_change_nothing(
    facts: list[Observation], failed: list[Observation]
) -> None:
    """An outage, a captcha or a shorter list would count as evidence."""
    assert judge(POST, [*failed, *facts]) == judge(POST, facts)


@given(cases())
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_runs_stand_for_their_looks(facts: list[Observation]) -> None:
    """The verdict would change when the journal compresses what it rests on."""
    assert judge(POST, merged(facts, undecided=False)) == judge(POST, facts)


def test_runs_after_the_verdict_change_nothing() -> None:
    """A lost post that is asked daily whether it is back would be news every day."""
    decided = [look(0), *weak_loss(300)]
    daily = looks(range(DAY_S, 300 * DAY_S, DAY_S), NOT_FOUND)
    run = decided[-1]
    for fact in daily:
        run = run.extended(fact)
    singles = judge(POST, [*decided, *daily])
    assert judge(POST, [*decided[:-1], run]) == singles
    assert replace(singles, looks=6) == judge(POST, decided)


@given(cases(), st.sampled_from((merged, compress)))
@settings(max_examples=600, deadline=None, derandomize=True)
def test_coarser_runs_never_narrow_the_interval(facts: list[Observation], join: object) -> None:
    """Runs made of undecided looks hide when those were; the interval would claim to know it."""
    runs: Sequence[Observation] = join(facts)  # type: ignore[operator]
    assert sum(run.looks for run in runs) == len(facts)
    fine, coarse = judge(POST, facts), judge(POST, runs)
    if fine.state is coarse.state and fine.state in LOST and join is merged:
        assert fine.interval is not None
        assert coarse.interval is not None
        assert coarse.interval.last_alive_at == fine.interval.last_alive_at
        assert coarse.interval.first_gone_at >= fine.interval.first_gone_at
    _assert_sound(coarse)


@given(cases(), accounts)
@settings(max_examples=600, deadline=None, derandomize=True)
def test_a_verdict_is_whole(facts: list[Observation], account: Verdict | None) -> None:
    """A loss without an interval or a cause, or an interval turned round, would reach a reader."""
    _assert_sound(judge(POST, facts, account=account))


def _assert_sound(verdict: Verdict) -> None:
    when = verdict.interval
    assert (when is not None) == (verdict.state in (*LOST, State.RETURNED))
    if when is not None and when.last_alive_at is not None:
        assert when.last_alive_at < when.first_gone_at
    assert bool(verdict.causes) == (verdict.state not in (State.ALIVE, State.UNKNOWN))
    assert verdict.looks > 0
    assert verdict.rules
    assert len(set(verdict.rules)) == len(verdict.rules)
    assert (verdict.explained_by is None) or verdict.state in LOST


PROGRAM = """
import random
from tests.judge.facts import *
from vanished.judge import judge
from vanished.model import Cause, Via
chance = random.Random(5)
either = gone(Cause.AUTHOR, Cause.PLATFORM, Cause.LEGAL, words="one of three")
signals = (ALIVE, NOT_FOUND, VIOLATION, DELETED, BLOCKED, either)
for _ in range(300):
    facts = [
        look(chance.choice((0, 5, 600, 9000, 90000)) + n, chance.choice(signals), took=9,
             vantage=chance.choice("abc"), via=chance.choice(list(Via)))
        for n in range(chance.randrange(1, 9))
    ]
    found = judge(POST, facts)
    print(found.state, sorted(found.causes), found.interval, found.confidence, found.rules,
          found.conflicts, found.words, found.looks)
"""


def test_the_seed_of_hashing_changes_nothing() -> None:
    """The same journal would give another text of the same verdict after a restart."""

    def said(seed: str) -> bytes:
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=env, capture_output=True, check=True, timeout=60
        ).stdout

    first = said("1")
    assert first.count(b"\n") == 300
    assert said("2") == first
