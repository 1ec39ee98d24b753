"""What one gone streak amounts to: a suspicion, a loss, or answers that cannot be believed.

In: the streaks of a subject up to that one. Out: a `Loss` with its state, the names of the rules
that decided, and the interval of the loss. The causes are read elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vanished.judge.counting import believed, confirmed, lasting, settled
from vanished.judge.settings import JudgeSettings, span
from vanished.judge.streaks import Point, Streak
from vanished.judge.trust import Trust, between_doubts
from vanished.judge.vantages import Split, disagreement, unasked
from vanished.model import Interval, State


@dataclass(frozen=True, slots=True)
class Loss:
    """A gone streak, weighed.

    `cluster` runs from the first gone streak that no settled alive period separates from `streak`
    to `streak` itself: any of its answers may have come from a replica that was wrong.
    """

    state: State  # SUSPECTED, GONE or FLICKERING
    streak: Streak
    cluster: Sequence[Streak]
    before: Streak | None  # the alive streak before the cluster
    rules: tuple[str, ...]
    split: Split | None = None  # if vantages disagree


def weigh(past: Sequence[Streak], settings: JudgeSettings, trust: Trust) -> Loss:
    """Weigh the last streak of `past`, which says gone, as if nothing came after it."""
    streak = past[-1]
    start = _cluster_start(past, settings)
    cluster = past[start:]
    before = past[start - 1] if start else None
    split = disagreement(cluster, settings, trust)
    if split:
        return Loss(State.FLICKERING, streak, cluster, before, split.rules, split)
    how = confirmed(streak.points, settings)
    notes = _notes(streak)
    long = lasting(streak, settings)
    alternated = _transitions(cluster, before) >= 2
    if alternated and not long:
        return Loss(State.FLICKERING, streak, cluster, before, ("judge/flickering", *notes))
    if how == "judge/confirmed-weak" and ((streak.listed and not long) or not _seen_alive(past)):
        how = ""
    if how:
        lacks = _lacks(streak, settings, trust)
        if lacks in AWAITED:
            return Loss(State.SUSPECTED, streak, cluster, before, (lacks, *notes))
        notes = (*notes, lacks) if lacks else notes
        rules = (how, *(["judge/confirmed-long"] if alternated else ()), *notes)
        return Loss(State.GONE, streak, cluster, before, rules)
    awaited = "judge/unconfirmed-strong" if streak.strong else "judge/unconfirmed-weak"
    return Loss(State.SUSPECTED, streak, cluster, before, (awaited, *notes))


AWAITED = ("judge/awaiting-canary", "judge/awaiting-vantage")
"""A loss that could be believed, but for a canary's right answer, or another vantage's word."""


def _lacks(streak: Streak, settings: JudgeSettings, trust: Trust) -> str:
    """What keeps the gone answers of `streak` from being a loss; "" if nothing does.

    A vantage that has given no definite answer for `alone_s` is waited for no longer where there
    is a notice: the rule `judge/one-vantage` then says so. A bare "not found" is waited out, since
    a few false ones among nothing but failed looks make a streak as well. Failed looks prove
    nothing, here either.
    """
    proven = [point for point in streak.points if point.proven]
    if not _vouched_for(proven, settings, trust):
        return "judge/awaiting-canary"
    if not unasked(proven, trust):
        return ""
    waited = proven[-1].asked_at - proven[0].answered_at
    alone = waited >= span(settings.alone_s) and any(point.strong for point in proven)
    return "judge/one-vantage" if alone else "judge/awaiting-vantage"


def _vouched_for(proven: Sequence[Point], settings: JudgeSettings, trust: Trust) -> bool:
    """Whether the proven points are enough by themselves.

    Bare "not found" must be enough between two lies of their vantage: one that lies now and then
    is right about its canaries most of the time, too.
    """
    if not proven or not confirmed(proven, settings):
        return False
    if any(point.strong for point in proven):
        return True
    return any(confirmed(part, settings) for part in between_doubts(proven, trust))


def _seen_alive(past: Sequence[Streak]) -> bool:
    """Whether it was ever shown, if only in doubt: "not found" is said of what never was, too."""
    return any(streak.alive for streak in past)


def _notes(streak: Streak) -> tuple[str, ...]:
    notes = (("judge/stale-alive", streak.stale), ("judge/still-listed", streak.listed))
    return tuple(rule for rule, fired in notes if fired)


def _cluster_start(past: Sequence[Streak], settings: JudgeSettings) -> int:
    start = len(past) - 1
    while start >= 2 and not settled(past[start - 1], settings):
        start -= 2
    return start


def _transitions(cluster: Sequence[Streak], before: Streak | None) -> int:
    """How often alive turned to gone, counting only answers as strong as the last streak's.

    A burst of false "not found" yesterday must not hold back today's notice.
    """
    strong = cluster[-1].strong
    gone = cluster[::2]
    count = sum(streak.strong or not strong for streak in gone)
    first_counts = gone[0].strong or not strong
    return count - (before is None and first_counts)


def interval(loss: Loss, settings: JudgeSettings) -> Interval:
    """The outer interval of the loss, from before the cluster to a gone answer that must be true.

    Lower end: the last alive answer before the cluster's first gone one may be a copy `stale_s`
    old. Upper end: the first notice, or a bare "not found" too late to belong to the burst that
    its chain may have begun in; for want of either, the last look. A vantage that said alive
    within the cluster has its own say: it may have lost the subject later than the others.
    """
    lower = None
    if loss.before is not None:
        proven = [point for point in loss.before.points if point.proven]
        lower = proven[-1].asked_at - span(settings.stale_s) if proven else None
    gone = believed(loss.streak.points, settings)
    beyond = gone[0].answered_at + span(settings.burst_s) if settings.burst_s else 0
    proven_gone = [point for point in gone if point.proven] or gone
    sure = [p for p in proven_gone if p.strong or p.asked_at >= beyond] or [proven_gone[-1]]
    upper = sure[0].answered_at
    for vantage in {point.vantage for alive in loss.cluster[1::2] for point in alive.points}:
        own = next((point for point in sure if point.vantage == vantage), sure[0])
        upper = max(upper, own.answered_at)
    return Interval(lower, upper)
