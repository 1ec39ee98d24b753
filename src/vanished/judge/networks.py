"""When a network stopped a target, from dated sights of it: what reach's word rests on.

In: sights, each of which says that the target was stopped, or that it was not. Out: phases that
were seen often enough to be believed, and the spans in which a network's word holds: between two
sights that agree and follow each other, never before, after, or where sights contradict each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from vanished.judge.trust import NetworkWord, Span
from vanished.model import Micros

CONFIRM = 2
GAP_S = 30 * 86400.0
"""How many sights in a row make a state, and the longest silence, in seconds, that is bridged."""

Seen = TypeVar("Seen")


class Sight(NamedTuple):
    """One measurement from one vantage that says whether a target was stopped."""

    at: Micros
    stopped: bool


@dataclass(slots=True)
class Phase(Generic[Seen]):
    """Consecutive sights that agree, with the number of strays that were not believed."""

    stopped: bool
    seen: list[Seen]
    contrary: int = 0


def stretches(
    ordered: Iterable[Seen], at: Callable[[Seen], Micros], gap_s: float
) -> list[list[Seen]]:
    """`ordered` cut at silences of more than `gap_s` seconds."""
    found: list[list[Seen]] = []
    for one in ordered:
        if not found or at(one) - at(found[-1][-1]) > gap_s * 1e6:
            found.append([])
        found[-1].append(one)
    return found


def runs(stretch: Iterable[Seen], stopped: Callable[[Seen], bool]) -> list[list[Seen]]:
    """Sights in a row that agree."""
    found: list[list[Seen]] = []
    for one in stretch:
        if found and stopped(found[-1][-1]) == stopped(one):
            found[-1].append(one)
        else:
            found.append([one])
    return found


def phases(
    stretch: Iterable[Seen], stopped: Callable[[Seen], bool], confirm: int
) -> list[Phase[Seen]]:
    """States that were seen `confirm` times in a row; what was not is contrary to the others."""
    found: list[Phase[Seen]] = []
    for run in runs(stretch, stopped):
        state = stopped(run[0])
        if found and found[-1].stopped == state:
            found[-1].seen += run
        elif len(run) >= confirm:
            found.append(Phase(state, run))
        elif found:
            found[-1].contrary += len(run)
    return found


def words(vantage: str, sights: Iterable[Sight]) -> list[NetworkWord]:
    """The word on the network behind `vantage`: `sights` of one target, in any order."""
    return [
        NetworkWord(vantage, Span(run[0].at, run[-1].at), run[0].stopped)
        for stretch in stretches(sorted(sights), lambda sight: sight.at, GAP_S)
        for run in runs(stretch, lambda sight: sight.stopped)
        if len(run) >= CONFIRM
    ]
