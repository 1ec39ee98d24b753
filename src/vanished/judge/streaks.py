"""Put the facts about one subject in order, and cut them where the answer changes.

In: observations in any order, single looks or runs. Out: streaks, alternately "alive" and "gone"
(moved counts as gone here). Errors and absences are dropped: they prove nothing. What a streak
means is not decided here.

A look is placed at the moment to which it is proof: an alive answer at the start of its request
(the subject was alive then or later), a gone answer at its end (gone then or earlier). So two
requests in flight at once never contradict each other, and the last alive point before a gone
point always lies strictly before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vanished.model import Kind, Micros, Observation, Signal, Strength, Via


class Point(NamedTuple):
    """One look, or the last of several that only a run stands for; `looks` counts them all."""

    at: Micros  # the moment to which it is proof
    alive: bool
    asked_at: Micros
    answered_at: Micros
    vantage: str
    via: Via
    signal: Signal
    looks: int
    proven: bool = True  # False: in doubt, or nobody vouches for it yet; see `trust`

    @property
    def strong(self) -> bool:
        """A notice where the platform puts it: no burst or lagging replica makes one up."""
        return not self.alive and self.signal.strength is Strength.STRONG


@dataclass(frozen=True, slots=True)
class Streak:
    """Points that all say the same, with nothing credible in between that says otherwise."""

    points: Sequence[Point]  # never empty
    listed: bool = False  # gone: a list went on showing what direct looks called gone
    stale: bool = False  # gone: alive answers in between were old copies

    @property
    def alive(self) -> bool:
        return self.points[0].alive

    @property
    def first(self) -> Point:
        return self.points[0]

    @property
    def last(self) -> Point:
        return self.points[-1]

    @property
    def looks(self) -> int:
        return sum(point.looks for point in self.points)

    @property
    def strong(self) -> bool:
        return any(point.strong for point in self.points)


def points(observations: Iterable[Observation], now: Micros | None) -> list[Point]:
    """The definite looks answered by `now` (None: all) in order of proof, each fact once.

    A run becomes two points, its first look and its last; the looks between are counted with the
    last. An equal answer to a request of the equal time from the same vantage is the same fact.
    """
    found: dict[tuple[Micros, Micros, str, Via, Signal], int] = {}
    for seen in observations:
        for asked, answered, looks in _ends(seen):
            if now is None or answered <= now:
                key = (asked, answered, seen.vantage, seen.via, seen.signal)
                found[key] = max(looks, found.get(key, 0))
    placed = [
        Point(asked if alive else answered, alive, asked, answered, vantage, via, signal, looks)
        for (asked, answered, vantage, via, signal), looks in found.items()
        for alive in (signal.kind is Kind.ALIVE,)
    ]
    placed.sort(key=_order)
    return placed


def _ends(seen: Observation) -> Iterator[tuple[Micros, Micros, int]]:
    """First and last look of a run as (asked, answered, looks); nothing unless it is definite."""
    if seen.signal.kind is not Kind.ALIVE and not seen.signal.gone:
        return
    yield seen.asked_at, seen.answered_at, 1
    if (seen.last_asked_at, seen.last_answered_at) != (seen.asked_at, seen.answered_at):
        yield seen.last_asked_at, seen.last_answered_at, max(1, seen.looks - 1)


def _order(point: Point) -> tuple[object, ...]:
    """Total order: at the same moment gone comes first, then by the full content."""
    signal = point.signal
    return (
        *point[:6],
        signal.kind,
        ",".join(sorted(signal.causes)),
        signal.rule,
        signal.strength,
        -1 if signal.status is None else signal.status,
        signal.words,
        signal.by,
        signal.account_level,
    )


def streaks(ordered: Iterable[Point], stale: Micros) -> list[Streak]:
    """Cut `ordered` where the answer changes.

    Two kinds of alive answer do not end a gone streak by themselves: one that may come from a
    copy made up to `stale` microseconds before, when it follows a notice that closely; and an
    entry in a list, when a direct look said gone. They wait. If a credible alive answer comes
    next, they were right and belong to it; if a gone answer comes next, they are set aside.
    """
    cut: list[Streak] = []
    current: list[Point] = []
    waiting: list[Point] = []
    listed = old = False
    for point in ordered:
        if current and point.alive != current[0].alive:
            if point.alive and _doubtful(point, current, stale):
                waiting.append(point)
                continue
            cut.append(Streak(current, listed, old))
            current, waiting, listed, old = waiting, [], False, False
        elif waiting:
            listed = listed or any(_listed(entry, current) for entry in waiting)
            old = old or not all(_listed(entry, current) for entry in waiting)
            waiting = []
        current.append(point)
    if current:
        cut.append(Streak(current, listed, old))
    return cut


def _doubtful(alive: Point, gone: Sequence[Point], stale: Micros) -> bool:
    if _listed(alive, gone):
        return True
    here = alive.vantage
    notice = next((point for point in gone if point.strong and point.vantage == here), None)
    return notice is not None and alive.asked_at < notice.answered_at + stale


def _listed(alive: Point, gone: Sequence[Point]) -> bool:
    """A list's word against a direct answer from the same vantage."""
    here = alive.vantage
    return alive.via is Via.TIMELINE and any(
        point.via is Via.DIRECT and point.vantage == here for point in gone
    )
