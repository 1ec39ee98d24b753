"""Verdicts over time: when a network began to stop a target, and when it ended.

In: dated verdicts of any targets and vantages. Out: for each pair a `Series` with counts and
changes, each with the interval in which it happened and what stood before and after. Only
`blocked`, `likely_blocked` and `ok` say whether a target is stopped; the others are counted and
move nothing. One verdict against the rest is no change: a new state has to be seen `confirm` times
in a row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from vanished.judge.networks import CONFIRM, GAP_S, Phase, phases, stretches
from vanished.model import Micros
from vanished.reach.rules import Reach

STOPPED = frozenset({Reach.BLOCKED, Reach.LIKELY_BLOCKED})


class Turn(StrEnum):
    """What changed."""

    BEGAN = "began"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Dated:
    """One verdict, when and where from; `vantage` is a network such as "AS64500"."""

    target: str
    vantage: str
    at: Micros
    state: Reach
    layer: str | None = None
    mechanism: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesSettings:
    """`confirm` verdicts in a row make a new state; `gap_s` is the longest silence, in seconds,
    across which verdicts are taken to follow each other: after it a series begins anew."""

    confirm: int = CONFIRM
    gap_s: float = GAP_S


DEFAULT = SeriesSettings()


@dataclass(frozen=True, slots=True)
class Change:
    """A target began, or ended, to be stopped in one network, after `since` and not after `by`.

    `before` and `after` count the verdicts that speak for the old and the new state up to the
    next change, `contrary` those among them that speak against it: the denominators.
    """

    target: str
    vantage: str
    turn: Turn
    since: Micros
    by: Micros
    layer: str | None
    mechanism: str | None
    before: int
    after: int
    contrary: int


@dataclass(frozen=True, slots=True)
class Series:
    """One target in one network: how many verdicts of each state, and the changes."""

    target: str
    vantage: str
    verdicts: int
    states: tuple[tuple[str, int], ...]
    since: Micros
    until: Micros
    stopped_now: bool | None  # None if nothing was seen often enough
    changes: tuple[Change, ...]

    @property
    def saying(self) -> int:
        """Verdicts that say whether the target is stopped: the denominator of any share."""
        return sum(n for state, n in self.states if state in {*STOPPED, Reach.OK})


def series(verdicts: Iterable[Dated], settings: SeriesSettings = DEFAULT) -> list[Series]:
    """A series for each pair of target and vantage, by their names; verdicts come in any order."""
    pairs: dict[tuple[str, str], list[Dated]] = defaultdict(list)
    for one in verdicts:
        pairs[one.target, one.vantage].append(one)
    return [
        _series(target, vantage, sorted(ones, key=lambda one: one.at), settings)
        for (target, vantage), ones in sorted(pairs.items())
    ]


def _series(target: str, vantage: str, ones: list[Dated], settings: SeriesSettings) -> Series:
    saying = [one for one in ones if one.state in STOPPED or one.state is Reach.OK]
    changes: list[Change] = []
    held: list[Phase[Dated]] = []
    for stretch in stretches(saying, lambda one: one.at, settings.gap_s):
        held = phases(stretch, lambda one: one.state in STOPPED, settings.confirm)
        changes += [_change(old, new) for old, new in pairwise(held)]
    return Series(
        target=target,
        vantage=vantage,
        verdicts=len(ones),
        states=tuple(sorted(Counter(one.state.value for one in ones).items())),
        since=ones[0].at,
        until=ones[-1].at,
        stopped_now=held[-1].stopped if held else None,
        changes=tuple(changes),
    )


def _change(old: Phase[Dated], new: Phase[Dated]) -> Change:
    """The change between two phases: after the last look of the old, by the first of the new."""
    stopping = new if new.stopped else old
    (layer, mechanism), _ = Counter(
        (one.layer, one.mechanism) for one in stopping.seen
    ).most_common(1)[0]
    first = new.seen[0]
    return Change(
        target=first.target,
        vantage=first.vantage,
        turn=Turn.BEGAN if new.stopped else Turn.ENDED,
        since=old.seen[-1].at,
        by=first.at,
        layer=layer,
        mechanism=mechanism,
        before=len(old.seen),
        after=len(new.seen),
        contrary=old.contrary + new.contrary,
    )
