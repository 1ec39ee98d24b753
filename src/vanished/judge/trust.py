"""How far the answers of a platform can be believed, by the vantage that they came from.

In: when a vantage was used, when canaries had to vouch for it, what each round of canaries said,
and, once there is one, reach's word on a network. Out: plain values that the judge compares looks
with. A round is right if every canary that answered said what is true of it; who asks canaries,
and when, is not known here.

A look is *doubted* between the last right round before a wrong one and the next right one. A look
that says gone is *vouched for* by a right round that was asked after it and within `fresh`, with
no wrong round between: a look after which nobody asked a canary yet waits for one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from vanished.judge.streaks import Point
from vanished.model import Micros, Via


class Span(NamedTuple):
    """From `since` until `until`; None: still going on."""

    since: Micros
    until: Micros | None = None

    def holds(self, moment: Micros) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class Check:
    """One round of a source's canaries from one vantage."""

    asked_at: Micros
    answered_at: Micros
    right: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one vantage of a platform. Spans are disjoint and in order."""

    used: tuple[Span, ...] = ()  # when the platform was asked from here
    guarded: tuple[Span, ...] = ()  # when canaries had to vouch for what came from here
    vouched: tuple[Span, ...] = ()  # gone answers of these times are vouched for
    doubted: tuple[Span, ...] = ()
    right_at: Micros | None = None  # end of the last right round; None: none since canaries began

    @property
    def in_doubt(self) -> bool:
        """Whether the last round was wrong."""
        return bool(self.doubted) and self.doubted[-1].until is None

    def is_guarded(self, moment: Micros) -> bool:
        return any(span.holds(moment) for span in self.guarded)

    def was_used(self, moment: Micros) -> bool:
        return any(span.holds(moment) for span in self.used)

    def doubts(self, asked_at: Micros, answered_at: Micros) -> bool:
        """Whether a look of these times lies, if only in part, in a doubted span."""
        place = bisect_left(self.doubted, (answered_at,))
        if not place:
            return False
        until = self.doubted[place - 1].until
        return until is None or asked_at < until

    def vouches(self, answered_at: Micros) -> bool:
        """Whether a right round vouches for a gone answer that ended then."""
        place = bisect_right(self.vouched, answered_at, key=lambda span: span.since)
        if not place:
            return False
        until = self.vouched[place - 1].until
        return until is None or answered_at <= until

    def checked(self, check: Check, fresh: Micros) -> Standing:
        """The same after one more round; rounds of a vantage come in order and never overlap."""
        if check.right:
            return self._right(check, fresh)
        if self.in_doubt:
            return self
        begun = self.guarded[-1].since if self.guarded else check.asked_at
        since = begun if self.right_at is None else self.right_at
        return replace(self, doubted=(*self.doubted, Span(since)))

    def _right(self, check: Check, fresh: Micros) -> Standing:
        doubted, since = self.doubted, check.asked_at - fresh
        if self.in_doubt:
            doubted = (*doubted[:-1], Span(doubted[-1].since, check.asked_at))
        if doubted:
            since = max(since, doubted[-1].until or since)
        vouched = self.vouched
        if vouched and (vouched[-1].until or 0) >= since:
            since, vouched = vouched[-1].since, vouched[:-1]
        return replace(
            self,
            vouched=(*vouched, Span(since, check.asked_at)),
            doubted=doubted,
            right_at=check.answered_at,
        )

    def begun(self, now: Micros, *, guarded: bool) -> Standing:
        """The same, used from `now` on (or, with `guarded`, watched over by canaries)."""
        if guarded:
            return replace(self, guarded=(*self.guarded, Span(now)), right_at=None)
        return replace(self, used=(*self.used, Span(now)))

    def ended(self, now: Micros, *, guarded: bool) -> Standing:
        """The same for the end; what canaries said no longer counts for later looks."""
        if not guarded:
            return replace(self, used=_closed(self.used, now))
        doubted = _closed(self.doubted, now) if self.in_doubt else self.doubted
        return replace(self, guarded=_closed(self.guarded, now), doubted=doubted)


def _closed(spans: tuple[Span, ...], now: Micros) -> tuple[Span, ...]:
    return (*spans[:-1], Span(spans[-1].since, max(now, spans[-1].since)))


@dataclass(frozen=True, slots=True)
class NetworkWord:
    """What reach found of the network behind a vantage: whether it blocks the platform."""

    vantage: str
    span: Span
    blocked: bool


@dataclass(frozen=True, slots=True)
class Trust:
    """All that the judge is told of the ways to one platform, beside the looks."""

    vantages: Mapping[str, Standing] = field(default_factory=dict)
    networks: Sequence[NetworkWord] = ()

    def blocked(self, vantage: str, moment: Micros) -> bool | None:
        """Reach's word on the network of `vantage` then; None if it has none."""
        found = [w for w in self.networks if w.vantage == vantage and w.span.holds(moment)]
        return found[-1].blocked if found else None


BLIND = Trust()
"""Of a platform without canaries, asked one way: every definite look counts."""


def weighed(ordered: Sequence[Point], trust: Trust) -> list[Point]:
    """`ordered` without gone answers in doubt, and with what nobody vouches for marked.

    An alive answer in doubt stays as an objection: it can hold a loss back, and proves nothing.
    Dropping it would let false gone answers around it join. A peer's word has no canary.
    """
    if not trust.vantages:
        return list(ordered)
    kept = []
    for point in ordered:
        standing = trust.vantages.get(point.vantage)
        if (
            standing is None
            or point.via is Via.IMPORT
            or not standing.is_guarded(point.answered_at)
        ):
            kept.append(point)
        elif standing.doubts(point.asked_at, point.answered_at):
            if point.alive:
                kept.append(point._replace(proven=False))
        elif point.alive or standing.vouches(point.answered_at):
            kept.append(point)
        else:
            kept.append(point._replace(proven=False))
    return kept


def between_doubts(points: Sequence[Point], trust: Trust) -> Iterator[list[Point]]:
    """`points`, those of each vantage and those of all together, cut at the doubts of these.

    Nothing that comes later takes a point out of its part, so what was enough once stays enough.
    """
    vantages = sorted({point.vantage for point in points})
    for chosen in [*([v] for v in vantages), *([vantages] if len(vantages) > 1 else [])]:
        known = [trust.vantages[v] for v in chosen if v in trust.vantages]
        cuts = sorted(span.since for standing in known for span in standing.doubted)
        parts: dict[int, list[Point]] = {}
        for point in points:
            if point.vantage in chosen:
                parts.setdefault(bisect_right(cuts, point.answered_at), []).append(point)
        yield from parts.values()
