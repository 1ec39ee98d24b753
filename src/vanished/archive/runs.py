"""Run-length compression of looks: a subject that answers the same ten times is one row.

In: observations. Out: fewer observations that say the same. Pure; loses no look and no outer time.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from vanished.model import Observation


def compress(observations: Iterable[Observation]) -> list[Observation]:
    """Merge each subject's consecutive looks that say the same into runs.

    Looks are put in the order of their times first, whatever order they arrived in, because a run
    promises that nothing else was observed of its subject between its first and its last look.
    Looks that overlap (asked before the run's last was answered in a way that would move its end
    back) start a new run. The result is ordered by subject and time; the sum of `looks` and the
    outer times of each subject are those of the input.
    """
    runs: list[Observation] = []
    for look in sorted(observations, key=_ORDER):
        run = runs[-1] if runs else None
        if run is not None and _continues(run, look):
            runs[-1] = run.extended(look)
        else:
            runs.append(look)
    return runs


_ORDER = attrgetter("subject", "asked_at", "answered_at", "last_asked_at", "last_answered_at")


def _continues(run: Observation, look: Observation) -> bool:
    return (
        run.subject == look.subject
        and run.last_asked_at <= look.asked_at
        and run.last_answered_at <= look.last_answered_at
        and run.says() == look.says()
    )
