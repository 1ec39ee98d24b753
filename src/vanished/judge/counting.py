"""How many looks, how far apart: whether answers of one kind are enough to be believed.

In: points of one streak, the settings. Out: the rule by which they suffice. Nothing is known here
of causes or of vantages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from vanished.judge.settings import JudgeSettings, span
from vanished.judge.streaks import Point, Streak
from vanished.model import Micros, Via

STRONG = "judge/confirmed-strong"


def confirmed(gone: Sequence[Point], settings: JudgeSettings) -> str:
    """The rule by which these gone points are more than a suspicion, "" if none does."""
    found = [how for chain in chains(gone, settings) if (how := _confirmed(chain, settings))]
    return STRONG if STRONG in found else next(iter(found), "")


def believed(gone: Sequence[Point], settings: JudgeSettings) -> Sequence[Point]:
    """These gone points from the first chain that is enough by itself; else the last chain."""
    skipped = 0
    for chain in (cut := chains(gone, settings)):
        if _confirmed(chain, settings):
            return gone[skipped:]
        skipped += len(chain)
    return cut[-1]


def chains(gone: Sequence[Point], settings: JudgeSettings) -> list[Sequence[Point]]:
    """Gone points cut where a bare "not found" is too late to confirm the ones before it.

    What shows nothing for weeks but a false "not found" now and then, and no true answer between
    (an account whose list is empty), would be lost otherwise. After a notice nothing is cut. The
    looks of a run are taken to be spread evenly.
    """
    most = span(settings.weak_gap_s)
    cut, start, noticed = [], 0, gone[0].strong
    for number, (before, point) in enumerate(pairwise(gone), 1):
        apart = (point.asked_at - before.answered_at) // point.looks
        if apart > most and not noticed:
            cut.append(gone[start:number])
            start = number
        noticed = noticed or point.strong
    return [*cut, gone[start:]]


def _confirmed(gone: Sequence[Point], settings: JudgeSettings) -> str:
    """The same for one chain. The gap is from the end of the first answer to the last request."""
    looks = sum(point.looks for point in gone)
    gap = gone[-1].asked_at - gone[0].answered_at
    strong = any(point.strong for point in gone)
    if strong and looks >= settings.strong_looks and gap >= span(settings.confirm_strong_s):
        return STRONG
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
    return any(_lasting(chain, settings) for chain in chains(gone.points, settings))


def _lasting(gone: Sequence[Point], settings: JudgeSettings) -> bool:
    gap = gone[-1].asked_at - gone[0].answered_at
    looks = rounds(gone, span(settings.burst_s))
    if any(point.strong for point in gone):
        looks = sum(point.looks for point in gone)
    return looks >= settings.flicker_looks and gap >= span(settings.flicker_confirm_s)
