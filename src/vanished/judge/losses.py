"""What one gone streak amounts to: a suspicion, a loss, or answers that cannot be believed.

In: the streaks of a subject up to that one. Out: a `Loss` with its state, the names of the rules
that decided, and the interval of the loss. The causes are read elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vanished.judge.settings import JudgeSettings, span
from vanished.judge.streaks import Point, Streak
from vanished.model import Interval, Micros, State, Via


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
    split: tuple[str, ...] = ()  # a sentence if vantages disagree


def weigh(past: Sequence[Streak], settings: JudgeSettings) -> Loss:
    """Weigh the last streak of `past`, which says gone, as if nothing came after it."""
    streak = past[-1]
    start = _cluster_start(past, settings)
    cluster = past[start:]
    before = past[start - 1] if start else None
    split = disagreement(cluster, settings)
    if split:
        return Loss(State.FLICKERING, streak, cluster, before, ("judge/vantages-disagree",), split)
    how = confirmed(streak.points, settings)
    notes = _notes(streak)
    long = _long(streak, settings)
    alternated = _transitions(cluster, before) >= 2
    if alternated and not long:
        return Loss(State.FLICKERING, streak, cluster, before, ("judge/flickering", *notes))
    if how == "judge/confirmed-weak" and streak.listed and not long:
        how = ""
    if how:
        rules = (how, *(["judge/confirmed-long"] if alternated else ()), *notes)
        return Loss(State.GONE, streak, cluster, before, rules)
    awaited = "judge/unconfirmed-strong" if streak.strong else "judge/unconfirmed-weak"
    return Loss(State.SUSPECTED, streak, cluster, before, (awaited, *notes))


def _notes(streak: Streak) -> tuple[str, ...]:
    notes = (("judge/stale-alive", streak.stale), ("judge/still-listed", streak.listed))
    return tuple(rule for rule, fired in notes if fired)


def confirmed(gone: Sequence[Point], settings: JudgeSettings) -> str:
    """The rule by which these gone points are more than a suspicion, "" if none does.

    The gap is from the end of the first answer to the start of the last request.
    """
    looks = sum(point.looks for point in gone)
    gap = gone[-1].asked_at - gone[0].answered_at
    strong = any(point.strong for point in gone)
    if strong and looks >= settings.strong_looks and gap >= span(settings.confirm_strong_s):
        return "judge/confirmed-strong"
    rounds = _rounds(gone, span(settings.burst_s))
    if rounds >= settings.weak_looks and gap >= span(settings.confirm_weak_s):
        return "judge/confirmed-weak"
    if any(point.strong and point.via is Via.IMPORT for point in gone):
        return "judge/confirmed-by-peer"
    return ""


def settled(alive: Streak, settings: JudgeSettings) -> bool:
    """So long alive, with so many looks, that no old copy or burst reaches across."""
    return alive.looks >= settings.settle_looks and (
        alive.last.asked_at - alive.first.asked_at >= span(settings.settle_s)
    )


def _rounds(gone: Sequence[Point], burst: Micros) -> int:
    """How many of these looks are at least `burst` apart, so that no two share a burst.

    Where only a run stands for several looks, they are taken to be spread evenly.
    """
    count, end = 1, gone[0].answered_at
    for point in gone[1:]:
        more = min(point.looks, (point.asked_at - end) // burst) if burst else point.looks
        if more > 0:
            count, end = count + more, point.answered_at
    return count


def _long(gone: Streak, settings: JudgeSettings) -> bool:
    gap = gone.last.asked_at - gone.first.answered_at
    looks = gone.looks if gone.strong else _rounds(gone.points, span(settings.burst_s))
    return looks >= settings.flicker_looks and gap >= span(settings.flicker_confirm_s)


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


def disagreement(cluster: Sequence[Streak], settings: JudgeSettings) -> tuple[str, ...]:
    """A sentence if the vantages' last words differ and overlap, else nothing.

    A vantage that was last told gone keeps that word until it is asked again; a peer cannot be
    asked again, so its word yields to a settled alive period at the end of `cluster`.
    """
    words: dict[str, list[Point]] = {}  # vantage -> its final gone points, empty if last alive
    alive_at: dict[str, Micros] = {}
    for streak in cluster:
        for point in streak.points:
            if point.alive:
                words[point.vantage] = []
                alive_at[point.vantage] = point.at
            else:
                words.setdefault(point.vantage, []).append(point)
    if len(words) < 2:
        return ()
    past = cluster[-1].alive and settled(cluster[-1], settings)
    gone = sorted(
        (p for final in words.values() for p in final if not (past and p.via is Via.IMPORT)),
        key=lambda point: point.at,
    )
    readable = [v for v, final in words.items() if not final]
    if not gone or not confirmed(gone, settings):
        return ()
    later = sorted(v for v in readable if alive_at[v] >= gone[0].at)
    if not later:
        return ()
    lost = sorted({point.vantage for point in gone})
    return (f"gone from {', '.join(lost)} and alive from {', '.join(later)} at overlapping times",)


def interval(loss: Loss, settings: JudgeSettings) -> Interval:
    """The outer interval of the loss, from before the cluster to a gone answer that must be true.

    Lower end: the last alive answer before the cluster's first gone one may be a copy `stale_s`
    old. Upper end: the first notice, or a bare "not found" too late to belong to the burst that
    the streak may have begun in; for want of either, the last look. A vantage that said alive
    within the cluster has its own say: it may have lost the subject later than the others.
    """
    lower = None
    if loss.before is not None:
        lower = loss.before.last.asked_at - span(settings.stale_s)
    gone = loss.streak.points
    beyond = gone[0].answered_at + span(settings.burst_s) if settings.burst_s else 0
    sure = [point for point in gone if point.strong or point.asked_at >= beyond] or [gone[-1]]
    upper = sure[0].answered_at
    for vantage in {point.vantage for alive in loss.cluster[1::2] for point in alive.points}:
        own = next((point for point in sure if point.vantage == vantage), sure[0])
        upper = max(upper, own.answered_at)
    return Interval(lower, upper)
