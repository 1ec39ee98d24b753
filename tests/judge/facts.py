"""Facts for the judge's tests: looks at one invented post, at times said in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vanished.model import (
    ABSENT,
    ALIVE,
    DAY,
    SECOND,
    Cause,
    Confidence,
    Fault,
    Interval,
    Kind,
    Micros,
    Observation,
    Signal,
    State,
    Strength,
    Verdict,
    Via,
    failed,
)

POST, OWNER = "p1", "a1"
T0: Micros = 19_000 * DAY
HOUR_S, DAY_S = 3600, 86_400

UNKNOWN = frozenset({Cause.UNKNOWN})


def gone(
    *causes: Cause,
    rule: str = "",
    words: str = "",
    weak: bool = False,
    account: bool = False,
    kind: Kind = Kind.GONE,
) -> Signal:
    return Signal(
        kind,
        frozenset(causes) or UNKNOWN,
        rule,
        Strength.WEAK if weak else Strength.STRONG,
        words=words,
        account_level=account,
    )


NOT_FOUND = gone(rule="http/404@1", weak=True)
VIOLATION = gone(Cause.PLATFORM, rule="sim/violation@1", words="violates the rules")
DELETED = gone(Cause.AUTHOR, rule="sim/deleted@1", words="deleted by its author")
BLOCKED = gone(Cause.ACCOUNT, rule="sim/blocked@1", words="account blocked", account=True)
MIGRATED = gone(Cause.MOVED, rule="sim/moved@1", words="moved", kind=Kind.MOVED)
TIMEOUT = failed(Fault.TIMEOUT)
LIMITED = failed(Fault.RATE_LIMITED, status=429)


def t(second: float) -> Micros:
    """The moment `second` seconds after the tests' beginning."""
    return T0 + round(second * SECOND)


def look(
    second: float,
    signal: Signal = ALIVE,
    *,
    took: float = 1,
    via: Via = Via.DIRECT,
    vantage: str = "here",
) -> Observation:
    """One look whose request started at `second` and whose answer ended `took` seconds later."""
    return Observation(POST, t(second), t(second + took), signal, via, vantage)


def looks(seconds: Iterable[float], signal: Signal = ALIVE) -> list[Observation]:
    return [look(second, signal) for second in seconds]


def weak_loss(since: float) -> list[Observation]:
    """The looks that the judge asks for after a bare "not found": gone for good."""
    return looks((since + s for s in (0, 61, 602, 3605, 10810, 21620)), NOT_FOUND)


def lost_account(alive: float | None, lost: float, state: State = State.GONE) -> Verdict:
    """A verdict on the post's account, lost in (alive, lost]."""
    when = Interval(None if alive is None else t(alive), t(lost))
    causes = frozenset({Cause.PLATFORM})
    return Verdict(OWNER, state, causes, when, Confidence.HIGH, method="judge/1")


def merged(facts: Sequence[Observation], *, undecided: bool = True) -> list[Observation]:
    """Runs of consecutive equal looks, none of which overlaps a look outside its run.

    With `undecided` false, weak gone looks stay single, as the archive keeps them until a verdict.
    """
    runs: list[Observation] = []
    for fact in sorted(facts, key=lambda o: (o.asked_at, o.answered_at, o.vantage, o.via)):
        run = runs[-1] if runs else None
        if (
            run is not None
            and run.says() == fact.says()
            and run.last_answered_at <= fact.asked_at
            and (undecided or fact.signal.strength is not Strength.WEAK)
            and not any(_between(o, run, fact) for o in facts)
        ):
            runs[-1] = run.extended(fact)
        else:
            runs.append(fact)
    return runs


def _between(other: Observation, run: Observation, fact: Observation) -> bool:
    """Whether a look that says something else overlaps the run that the two would make."""
    overlaps = other.answered_at >= run.asked_at and other.asked_at <= fact.answered_at
    return overlaps and other.says() != fact.says()


__all__ = [
    "ABSENT",
    "ALIVE",
    "BLOCKED",
    "DAY_S",
    "DELETED",
    "HOUR_S",
    "LIMITED",
    "MIGRATED",
    "NOT_FOUND",
    "OWNER",
    "POST",
    "TIMEOUT",
    "UNKNOWN",
    "VIOLATION",
    "gone",
    "look",
    "looks",
    "lost_account",
    "merged",
    "t",
    "weak_loss",
]
