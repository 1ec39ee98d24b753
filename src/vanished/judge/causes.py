"""What the notices of one gone streak say together, and what an account's loss explains.

In: the points of the streak. Out: the set of causes that they leave open, the notice that decided,
and the sentences on which they disagree. Whether the loss is believed is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vanished.judge.streaks import Point
from vanished.model import Cause, Confidence, Kind, Micros, State, Verdict

UNKNOWN = frozenset({Cause.UNKNOWN})
ACCOUNT = frozenset({Cause.ACCOUNT})
DOUBT = ACCOUNT | UNKNOWN
"""Lost with its account, or before it and from another cause."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The joint meaning of a streak's notices."""

    causes: frozenset[Cause]
    words: str
    notices: tuple[str, ...]  # the notice rules that fired, by name
    rules: tuple[str, ...] = ()  # the judge's rules that joined them
    conflicts: tuple[str, ...] = ()


def read(gone: Sequence[Point], *, about_account: bool) -> Reading:
    """Join the notices of `gone`, in order of proof.

    `about_account`: the subject is an account, so a notice about the account is about itself.
    """
    notices = tuple(sorted({point.signal.rule for point in gone if point.signal.rule}))
    above = [point for point in gone if not about_account and _of_account(point)]
    own = [point for point in gone if about_account or not _of_account(point)]
    specific = [point for point in own if Cause.UNKNOWN not in point.signal.causes]
    if above and (not specific or above[0].at < specific[0].at):
        rules = ["judge/account-notice"]
        if specific:
            rules.append("judge/post-notice-later")
        causes = ACCOUNT if unnamed_since(gone) is None else DOUBT
        return Reading(causes, _words(above, ACCOUNT), notices, tuple(rules))
    if specific:
        causes, conflicts = _join(specific)
        rules = ["judge/notices-conflict"] if conflicts else []
        if above:
            rules.append("judge/account-lost-later")
        words = _words(specific, causes)
        return Reading(causes, words, notices, tuple(rules), conflicts)
    causes = frozenset[Cause]().union(*(point.signal.causes for point in own))
    return Reading(causes, _words(own, causes), notices)


def unnamed_since(gone: Sequence[Point]) -> Micros | None:
    """When `gone`, in order of proof, first said that the post is gone, before any notice spoke of
    its account; None if one did from the first.
    """
    return None if _of_account(gone[0]) else gone[0].answered_at


def _of_account(point: Point) -> bool:
    """A notice of the account's loss; a moved account takes its posts along and loses none."""
    return point.signal.account_level and point.signal.kind is Kind.GONE


def _join(specific: Sequence[Point]) -> tuple[frozenset[Cause], tuple[str, ...]]:
    """The causes that all notices leave open; if none, the causes of any, and why."""
    sets = [point.signal.causes for point in specific]
    common = frozenset.intersection(*sets)
    if common:
        return common, ()
    said = {
        f"{point.signal.rule or 'a notice'} says {_names(point.signal.causes)}"
        for point in specific
    }
    return frozenset.union(*sets), (f"notices disagree: {'; '.join(sorted(said))}",)


def _names(causes: frozenset[Cause]) -> str:
    return " or ".join(sorted(causes))


def _words(deciding: Sequence[Point], causes: frozenset[Cause]) -> str:
    """The first wording among `deciding`, preferably of a notice that says just `causes`."""
    worded = [point.signal for point in deciding if point.signal.words]
    exact = [signal for signal in worded if signal.causes == causes]
    return next((signal.words for signal in exact + worded), "")


def explained(verdict: Verdict, account: Verdict | None, since: Micros | None) -> Verdict:
    """`verdict`, put down to the loss of its account where its own facts name no other cause.

    `since`: see `unnamed_since`. Not if the post was gone while the account was still alive. If it
    was only said to be gone then, by an answer that may be one of a burst, both stay open.
    """
    if (
        account is None
        or account.state is not State.GONE
        or account.interval is None
        or account.subject == verdict.subject
        or verdict.interval is None
        or verdict.state not in (State.GONE, State.SUSPECTED)
        or verdict.causes not in (UNKNOWN, ACCOUNT, DOUBT)
    ):
        return verdict
    alive = account.interval.last_alive_at
    if alive is None and verdict.causes == DOUBT:
        return verdict
    if alive is not None and verdict.interval.first_gone_at <= alive:
        return _not_with(verdict, UNKNOWN) if verdict.causes == DOUBT else verdict
    if alive is not None and since is not None and since <= alive:
        return _not_with(verdict, DOUBT)
    confidence = verdict.confidence
    inferred = verdict.causes != ACCOUNT and verdict.state is State.GONE
    if inferred and not verdict.conflicts and account.confidence is not Confidence.LOW:
        confidence = Confidence.MEDIUM
    return replace(
        verdict,
        causes=ACCOUNT,
        confidence=confidence,
        explained_by=account.subject,
        rules=(*verdict.rules, "judge/explained-by-account"),
    )


def _not_with(verdict: Verdict, causes: frozenset[Cause]) -> Verdict:
    """`verdict` of a post that was lost, or seems so, before its account."""
    words = verdict.words if verdict.causes == causes else ""  # the account's notice is not its own
    rules = (*verdict.rules, "judge/gone-before-account")
    return replace(verdict, causes=causes, words=words, rules=rules)
