"""How many looks, how far apart: whether answers of one kind are enough to be believed.

In: points of one streak, the settings. Out: the rule by which they suffice. Nothing is known here
of causes or of vantages.
"""

from __future__ import annotations

from collections.abc import Sequence

from vanished.judge.settings import JudgeSettings, span
from vanished.judge.streaks import Point, Streak
from vanished.model import Micros, Via


def confirmed(gone: Sequence[Point], settings: JudgeSettings) -> str:
    """The rule by which these gone points are more than a suspicion, "" if none does.

    The gap is from the end of the first answer to the start of the last request.
    """
    looks = sum(point.looks for point in gone)
    gap = gone[-1].asked_at - gone[0].answered_at
    strong = any(point.strong for point in gone)
    if strong and looks >= settings.strong_looks and gap >= span(settings.confirm_strong_s):
        return "judge/confirmed-strong"
    apart = rounds(gone, span(settings.burst_s))
    if apart >= settings.weak_looks and gap >= span(settings.confirm_weak_s):
        return "judge/confirmed-weak"
    if any(point.strong and point.via is Via.IMPORT for point in gone):
        return "judge/confirmed-by-peer"
    return ""


def settled(alive: Streak, settings: JudgeSettings) -> bool:
    """So long alive, with so many looks, that no old copy or burst reaches across."""
    return alive.looks >= settings.settle_looks and (
        alive.last.asked_at - alive.first.asked_at >= span(settings.settle_s)
    )


def rounds(gone: Sequence[Point], burst: Micros) -> int:
    """How many of these looks are at least `burst` apart, so that no two share a burst.

    Where only a run stands for several looks, they are taken to be spread evenly.
    """
    count, end = 1, gone[0].answered_at
    for point in gone[1:]:
        more = min(point.looks, (point.asked_at - end) // burst) if burst else point.looks
        if more > 0:
            count, end = count + more, point.answered_at
    return count


def lasting(gone: Streak, settings: JudgeSettings) -> bool:
    """So long gone, with so many looks, that it is no flicker any more."""
    gap = gone.last.asked_at - gone.first.answered_at
    looks = gone.looks if gone.strong else rounds(gone.points, span(settings.burst_s))
    return looks >= settings.flicker_looks and gap >= span(settings.flicker_confirm_s)
