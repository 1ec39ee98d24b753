"""Several vantages: whether they contradict each other, and whether all have been asked.

In: streaks, and what is known of the vantages. Out: a `Split` where their last words differ, the
vantages that a loss still waits for. What disagreement can mean is data: `RULES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vanished.judge.counting import confirmed, settled
from vanished.judge.settings import JudgeSettings
from vanished.judge.streaks import Point, Streak
from vanished.judge.trust import Trust
from vanished.model import Cause, Via


@dataclass(frozen=True, slots=True)
class Rule:
    """What it means that a post is gone from here and alive from there.

    `blocked`: reach's word on the network of every vantage that says gone; None is any or none.
    A platform that still shows the post elsewhere did not take it away: no rule says `platform`.
    """

    id: str
    blocked: bool | None
    causes: frozenset[Cause]


DISAGREE = "judge/vantages-disagree"
RULES = (
    Rule("judge/network-blocked", True, frozenset({Cause.NETWORK})),
    Rule("judge/network-open", False, frozenset({Cause.UNKNOWN})),
    Rule(DISAGREE, None, frozenset({Cause.NETWORK, Cause.UNKNOWN})),
)
"""The first that applies decides; an id never changes its meaning."""


@dataclass(frozen=True, slots=True)
class Split:
    """Vantages that contradict each other, in a sentence, with what that leaves open."""

    sentence: str
    rules: tuple[str, ...]
    causes: frozenset[Cause]


def disagreement(cluster: Sequence[Streak], settings: JudgeSettings, trust: Trust) -> Split | None:
    """The `Split` if the vantages' last words differ and overlap, else None.

    A vantage that was last told gone keeps that word until it is asked again; a peer cannot be
    asked again, so its word yields to a settled alive period at the end of `cluster`.
    """
    words: dict[str, list[Point]] = {}  # vantage -> its final gone points, empty if last alive
    alive_at: dict[str, int] = {}
    for streak in cluster:
        for point in streak.points:
            if point.alive:
                words[point.vantage] = []
                alive_at[point.vantage] = point.at
            else:
                words.setdefault(point.vantage, []).append(point)
    if len(words) < 2:
        return None
    past = cluster[-1].alive and settled(cluster[-1], settings)
    gone = sorted(
        (p for final in words.values() for p in final if not (past and p.via is Via.IMPORT)),
        key=lambda point: point.at,
    )
    readable = [v for v, final in words.items() if not final]
    if not gone or not confirmed(gone, settings):
        return None
    later = sorted(v for v in readable if alive_at[v] >= gone[0].at)
    if not later:
        return None
    lost = sorted({point.vantage for point in gone})
    sentence = f"gone from {', '.join(lost)} and alive from {', '.join(later)} at overlapping times"
    said = {trust.blocked(point.vantage, point.answered_at) for point in gone}
    rule = next(r for r in RULES if r.blocked is None or said == {r.blocked})
    rules = (DISAGREE,) if rule.id == DISAGREE else (DISAGREE, rule.id)
    return Split(sentence, rules, rule.causes)


def unasked(proven: Sequence[Point], trust: Trust) -> list[str]:
    """The other vantages that have not confirmed a loss which these points show.

    Only of points of our own: a peer's record is believed, or not, by itself.
    """
    said = {point.vantage for point in proven}
    if not said & trust.vantages.keys():
        return []
    since = proven[0].answered_at
    return sorted(v for v, r in trust.vantages.items() if v not in said and r.was_used(since))
