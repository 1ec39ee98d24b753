"""What one look changes: the row's tracking, its run in the tail, its case, its next date.

Pure: facts and times come in, changed rows and a verdict go out. The loop does the asking, the
archive the keeping, the judge the judging; here is only the bookkeeping between them.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from vanished.archive.rows import AccountRow, Change, PostRow, Row, Track
from vanished.judge import BLIND, DEFAULT, JudgeSettings, Trust, judge, next_look_s
from vanished.model import (
    ALIVE,
    DAY,
    ENDED,
    HOUR,
    NO_COUNTS,
    SECOND,
    Kind,
    Micros,
    Observation,
    Signal,
    State,
    Verdict,
)
from vanished.watch.schedule import PENDING, Schedule

RETURN_CHECK: Micros = DAY  # a lost post is asked once a day whether it is back
DOUBT_CHECK: Micros = HOUR  # what has a case, and was asked in doubt, is asked again this soon
BACKOFF_S = (30.0, 3600.0)  # first and longest wait after failed looks


def digest(observation: Observation) -> int:
    """63 bits over what a look said, without when."""
    counts = observation.counts
    said = "\x1f".join(
        (
            _said(observation.signal),
            observation.via,
            observation.vantage,
            observation.version,
            "" if counts is NO_COUNTS else repr(counts),
        )
    )
    hashed = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(hashed, "big") >> 1


@lru_cache(1024)  # of a thousand looks nearly all say the same
def _said(signal: Signal) -> str:
    return "\x1f".join(
        (
            signal.kind,
            ",".join(sorted(signal.causes)),
            signal.rule,
            signal.strength,
            signal.fault or "",
            str(signal.status),
            signal.words,
            signal.by,
            str(signal.account_level),
        )
    )


def absorb(
    row: Row,
    observation: Observation,
    case: Sequence[Observation],
    new_run: Callable[[], int],
    *,
    doubted: bool = False,
) -> Change:
    """Enter one look at `row`'s subject; `case` is what the present holds of its definite facts.

    `new_run` gives a free row of the tail, for a look that says something else than the last one.
    `doubted`: canaries say that such a look proves nothing now. It is kept as any other, but no
    run joins it with looks that prove something.
    """
    track = row.track
    said = digest(observation) ^ doubted
    in_order = observation.asked_at >= track.last_asked_at
    extends = (
        in_order and track.run is not None and said == track.said and _may_merge(track, observation)
    )
    opened = _with_case(track, observation, row.subject, case)
    _count(track, observation, doubted=doubted)
    if in_order:
        track.last_asked_at = observation.last_asked_at
    # A look older than the run's last one starts a run of its own, so that no run ever spans it.
    track.said = said if in_order else -1
    track.has_case = bool(opened)
    if isinstance(row, PostRow) and observation.version not in ("", row.post.version):
        row.post = replace(row.post, version=observation.version)
    if not extends:
        track.run = new_run()
    assert track.run is not None
    return Change(row, observation, extends, tuple(opened) if opened else None, track.run)


def _may_merge(track: Track, observation: Observation) -> bool:
    """Whether this look may lengthen a run: until a loss is judged, each look at it stands alone.

    The judge asks when it was looked in the first hours after a "not found"; a run would only keep
    the first and the last of those times.
    """
    return not observation.signal.gone or track.state in ENDED


def _with_case(
    track: Track, observation: Observation, subject: str, case: Sequence[Observation]
) -> list[Observation]:
    alive = observation.signal.kind is Kind.ALIVE
    if not (alive or observation.signal.gone):
        return list(case)
    if alive and not case:
        return []
    opened = list(case) or _alive_before(track, subject)
    last = opened[-1] if opened else None
    if (
        last is not None
        and _may_merge(track, observation)
        and last.says() == observation.says()
        and last.last_asked_at <= observation.asked_at
    ):
        opened[-1] = last.extended(observation)
    else:
        opened.append(observation)
    return opened


def _alive_before(track: Track, subject: str) -> list[Observation]:
    """The alive looks before the first other definite answer, as one run."""
    if track.first_alive_at is None or track.first_alive_answered_at is None:
        return []
    assert track.last_alive_at is not None
    assert track.last_alive_answered_at is not None
    return [
        Observation(
            subject,
            track.first_alive_at,
            track.first_alive_answered_at,
            ALIVE,
            last_asked_at=track.last_alive_at,
            last_answered_at=track.last_alive_answered_at,
            looks=track.alive_looks,
        )
    ]


def _count(track: Track, observation: Observation, *, doubted: bool) -> None:
    kind = observation.signal.kind
    if kind is Kind.ERROR:
        track.failures += 1
        return
    track.failures = 0
    if kind is Kind.ALIVE:
        track.gone_looks = 0
        if doubted:
            return
        track.alive_looks += observation.looks
        if track.first_alive_at is None or observation.asked_at < track.first_alive_at:
            track.first_alive_at = observation.asked_at
            track.first_alive_answered_at = observation.answered_at
        if track.last_alive_at is None or observation.last_asked_at > track.last_alive_at:
            track.last_alive_at = observation.last_asked_at
            track.last_alive_answered_at = observation.last_answered_at
    elif observation.signal.gone:
        track.gone_looks += observation.looks


def decide(
    row: Row,
    case: Sequence[Observation],
    account: Verdict | None,
    settings: JudgeSettings = DEFAULT,
    trust: Trust = BLIND,
) -> Verdict | None:
    """The verdict on `row`, None while every definite answer was "alive". Sets the row's state."""
    if not case:
        if row.track.alive_looks:
            row.track.state = State.ALIVE
        return None
    claimed = row.post.published_at if isinstance(row, PostRow) else None
    verdict = judge(
        row.subject,
        case,
        account=account,
        claimed_at=claimed,
        about_account=isinstance(row, AccountRow),
        settings=settings,
        trust=trust,
    )
    row.track.state = verdict.state
    return verdict


def is_news(verdict: Verdict, before: Verdict | None) -> bool:
    """Whether `verdict` says anything that `before` did not, apart from resting on more looks."""
    return before is None or replace(verdict, looks=0) != replace(before, looks=0)


def _gone_since(case: Sequence[Observation], now: Micros) -> Micros:
    """When the streak of gone answers at the end of `case` began."""
    since = now
    for seen in reversed(case):
        if seen.signal.kind is Kind.ALIVE:
            break
        since = min(since, seen.answered_at)
    return since


def next_date(
    row: Row,
    verdict: Verdict | None,
    case: Sequence[Observation],
    now: Micros,
    schedule: Schedule,
    lists_every: Micros | None,
    chance: random.Random,
    *,
    doubted: bool = False,
) -> Micros:
    """When to ask about `row` again after a look that ended at `now`.

    PENDING: where a look at it is worth its price; the schedule says when, at the commit.
    `lists_every`: how often the lists of accounts are read; None: by price as well.
    """
    track = row.track
    if verdict is not None and not track.failures:
        needed_s = next_look_s(verdict, elapsed_s=(now - _gone_since(case, now)) / SECOND)
        if needed_s is not None:
            return now + int(needed_s * SECOND)  # a second look is not jittered below its gap
    regular: Micros | None
    if isinstance(row, AccountRow) and lists_every is not None:
        regular = lists_every
    elif track.state in ENDED:
        regular = RETURN_CHECK
    elif isinstance(row, AccountRow):
        regular = None
    else:
        regular = schedule.interval(row.post.published_at or row.post.first_seen_at, now)
    if regular is None:
        if not doubted and not (track.failures and verdict is not None):
            return PENDING
        regular = DOUBT_CHECK
    if track.failures:
        first, longest = BACKOFF_S
        wait_s = min(longest, first * 2.0 ** min(track.failures - 1, 10))
        regular = min(regular, int(wait_s * SECOND))
    elif verdict is not None and doubted:
        regular = min(regular, DOUBT_CHECK)
    # Jitter keeps posts that were found together from being asked together for ever.
    return now + int(regular * chance.uniform(0.95, 1.05))
