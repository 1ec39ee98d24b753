"""From the facts about one subject to its verdict.

In: observations in any order, the verdict on the account, the settings. Out: a `Verdict`, the
same for the same facts. No I/O, no clock, no randomness; what a notice means was read from it by
`sources`, and when to look is the watch's choice: `next_look_s` only says what the judge needs.
The rules and their reasons stand in docs/judge.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from vanished.judge.causes import UNKNOWN, Reading, explained, read, unnamed_since
from vanished.judge.counting import confirmed, settled
from vanished.judge.losses import AWAITED, Loss, interval, weigh
from vanished.judge.settings import DEFAULT, JudgeSettings, span
from vanished.judge.streaks import Streak, points, streaks
from vanished.judge.trust import BLIND, Trust, weighed
from vanished.judge.vantages import DISAGREE, disagreement
from vanished.model import Cause, Confidence, Micros, Observation, State, Verdict, Via, at

METHOD = "judge/2"

STRONG_LOOKS_S = (5.0, 60.0)
"""Wait after the first, second, ... look that showed a notice; the last goes on for ever."""

WEAK_LOOKS_S = (60.0, 540.0, 3000.0, 7200.0, 10800.0)
"""The same for bare "not found": 1 min, 10 min, 1, 3 and 6 h after the first, then every 3 h."""

AWAITING_S = (5.0, 60.0, 600.0, 3600.0)
"""The same for a loss that waits for a canary or for another vantage, which may not answer."""

FLICKER_LOOK_S = 3600.0
DISAGREE_LOOK_S = 6 * 3600.0  # a block of one network may last for years


def judge(
    subject: str,
    observations: Iterable[Observation],
    *,
    account: Verdict | None = None,
    claimed_at: Micros | None = None,
    now: Micros | None = None,
    about_account: bool = False,
    settings: JudgeSettings = DEFAULT,
    trust: Trust = BLIND,
) -> Verdict:
    """The verdict on `subject` that its `observations` allow, in whatever order they come.

    `account` is the verdict on the post's account; its loss explains a loss without a cause of
    its own. `claimed_at` is when the platform says that the post was published; it moves nothing
    and is only compared. `now` judges as of that moment: later answers are left out.
    `about_account` says that the subject is an account, so that its notices speak of itself.
    `trust` is what canaries, and reach, say of the vantages that the looks came from.
    Raises ValueError if an observation is about another subject.
    """
    looks = weighed(points(_only(subject, observations), now), trust)
    past = streaks(looks, span(settings.stale_s))
    if not any(point.proven or not point.alive for point in looks):
        rules = ("judge/no-definite-answer",)
        return Verdict(subject, State.UNKNOWN, rules=rules, method=METHOD)
    if not past[-1].alive:
        loss = weigh(past, settings, trust)
        if loss.state is State.FLICKERING:
            return _flickering(subject, loss)
        verdict = _lost(subject, loss, claimed_at, about_account, settings, trust)
        return explained(verdict, account, unnamed_since(loss.streak.points))
    if len(past) == 1:
        return _alive(subject, past, settings)
    return _alive_again(subject, past, claimed_at, about_account, settings, trust)


def next_look_s(
    verdict: Verdict, gone_looks: int | None = None, *, elapsed_s: float | None = None
) -> float | None:
    """Seconds until the judge needs another look to decide; None if it needs none.

    `elapsed_s`: seconds since the first gone answer of the streak, where the caller knows them: a
    look that came early, by another way, then takes the place of none that is needed later.
    `gone_looks`: gone answers in a row so far, where the caller only counts; else the verdict's.
    A look that fails decides nothing: the wait that led to it stands.
    """
    if verdict.state is State.FLICKERING:
        return DISAGREE_LOOK_S if DISAGREE in verdict.rules else FLICKER_LOOK_S
    if verdict.state is not State.SUSPECTED:
        return None
    steps: Sequence[float] = (
        STRONG_LOOKS_S if "judge/unconfirmed-strong" in verdict.rules else WEAK_LOOKS_S
    )
    if any(rule in verdict.rules for rule in AWAITED):
        steps = AWAITING_S
    if elapsed_s is not None:
        dates = itertools.accumulate(steps)
        return next((date - elapsed_s for date in dates if date > elapsed_s), steps[-1])
    looks = verdict.looks if gone_looks is None else gone_looks
    return steps[min(max(looks, 1), len(steps)) - 1]


def _only(subject: str, observations: Iterable[Observation]) -> Iterator[Observation]:
    for seen in observations:
        if seen.subject != subject:
            raise ValueError(f"an observation of {seen.subject} in the case of {subject}")
        yield seen


def _lost(
    subject: str,
    loss: Loss,
    claimed_at: Micros | None,
    about_account: bool,
    settings: JudgeSettings,
    trust: Trust,
) -> Verdict:
    """The verdict SUSPECTED, GONE or MOVED on the last streak of a loss."""
    reading = read(loss.streak.points, about_account=about_account)
    when = interval(loss, settings)
    blocked = _behind_a_block(loss.streak, trust)
    if blocked:
        reading = replace(reading, causes=UNKNOWN | {Cause.NETWORK})
    moved = loss.state is State.GONE and reading.causes == {Cause.MOVED}
    noted = (
        ("judge/moved", moved),
        ("judge/network-blocked", blocked),
        ("judge/interval-widened", len(loss.cluster) > 1),
        ("judge/never-seen-alive", when.last_alive_at is None),
        ("judge/claimed-after-loss", claimed_at is not None and claimed_at > when.first_gone_at),
    )
    return Verdict(
        subject,
        State.MOVED if moved else loss.state,
        reading.causes,
        when,
        _confidence(loss, reading),
        (*reading.notices, *loss.rules, *reading.rules, *(rule for rule, fired in noted if fired)),
        reading.conflicts,
        words=reading.words,
        looks=loss.streak.looks,
        method=METHOD,
    )


def _behind_a_block(streak: Streak, trust: Trust) -> bool:
    """Whether bare "not found" came only from networks that reach found to block the platform.

    A notice in its place is the platform's own page, which no block makes up.
    """
    return not streak.strong and all(
        trust.blocked(point.vantage, point.answered_at) for point in streak.points
    )


def _confidence(loss: Loss, reading: Reading) -> Confidence:
    """How far the named cause can be relied on."""
    if (
        loss.state is not State.GONE
        or reading.conflicts
        or Cause.UNKNOWN in reading.causes
        or not loss.streak.strong
    ):
        return Confidence.LOW
    ours = sum(point.looks for point in loss.streak.points if point.via is not Via.IMPORT)
    one = len(reading.causes) == 1
    if one and ours >= 2 and not {"judge/confirmed-long", "judge/one-vantage"} & {*loss.rules}:
        return Confidence.HIGH
    return Confidence.MEDIUM


def _flickering(subject: str, loss: Loss, tail: Sequence[Streak] = ()) -> Verdict:
    """Answers that contradict each other: no cause, no interval, and both sides said."""
    reading = read(loss.streak.points, about_account=True)
    since = _iso(loss.cluster[0].first.answered_at)
    alternating = f"gone and alive answers alternate since {since}"
    return Verdict(
        subject,
        State.FLICKERING,
        loss.split.causes if loss.split else UNKNOWN,
        rules=(*reading.notices, *loss.rules),
        conflicts=(loss.split.sentence if loss.split else alternating,),
        words=reading.words,
        looks=sum(streak.looks for streak in (*loss.cluster, *tail)),
        method=METHOD,
    )


def _alive_again(
    subject: str,
    past: Sequence[Streak],
    claimed_at: Micros | None,
    about_account: bool,
    settings: JudgeSettings,
    trust: Trust,
) -> Verdict:
    """Alive at the end, gone before: flickering, returned, or a false alarm."""
    tail = past[-1]
    loss = weigh(past[:-1], settings, trust)
    split = disagreement([*loss.cluster, tail], settings, trust)
    if split:
        return _flickering(subject, replace(loss, rules=split.rules, split=split), (tail,))
    if loss.state is State.FLICKERING and not loss.split and not settled(tail, settings):
        return _flickering(subject, loss, (tail,))
    for end in range(len(past) - 1, 0, -2):
        if not confirmed(past[end - 1].points, settings):
            continue
        loss = weigh(past[:end], settings, trust)
        if loss.state is State.GONE:
            verdict = _lost(subject, loss, claimed_at, about_account, settings, trust)
            after = [streak for streak in past[end:] if streak.alive]
            if not any(point.proven for streak in after for point in streak.points):
                return verdict  # what says that it is back is itself in doubt
            since = sum(streak.looks for streak in past[end:] if streak.alive)
            return replace(
                verdict,
                state=State.RETURNED,
                rules=(*verdict.rules, "judge/returned"),
                looks=verdict.looks + since,
            )
    return _alive(subject, past, settings)


def _alive(subject: str, past: Sequence[Streak], settings: JudgeSettings) -> Verdict:
    """Alive; gone answers that were never confirmed are said, and doubted until it settles."""
    gone = [streak for streak in past if not streak.alive]
    doubtful = bool(gone) and not settled(past[-1], settings)
    conflicts: tuple[str, ...] = ()
    if gone:
        count = sum(streak.looks for streak in gone)
        first, last = gone[0].first.answered_at, gone[-1].last.answered_at
        when = f"at {_iso(first)}" if first == last else f"from {_iso(first)} to {_iso(last)}"
        answers = "1 gone answer" if count == 1 else f"{count} gone answers"
        conflicts = (f"{answers} {when}, not repeated when asked again",)
    return Verdict(
        subject,
        State.ALIVE,
        confidence=Confidence.LOW if doubtful else Confidence.HIGH,
        rules=("judge/alive", *(["judge/gone-not-repeated"] if gone else ())),
        conflicts=conflicts,
        looks=past[-1].looks,
        method=METHOD,
    )


def _iso(t: Micros) -> str:
    return at(t).isoformat(timespec="seconds").replace("+00:00", "Z")
