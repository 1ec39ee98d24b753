"""One thing that may be told, and whether a rule asks for it.

In: facts of the past. Out: plain values, and yes or no. Its `id` comes from the journal alone, so
that the same event is the same at every reading, also on another machine; it is a hash, so that the
ledger of what was told names no post. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from vanished.model import Cause, Confidence, Micros

if TYPE_CHECKING:
    from vanished.publish.alerts.settings import Rule

_RANK: Final = {Confidence.LOW: 0, Confidence.MEDIUM: 1, Confidence.HIGH: 2}


class Kind(StrEnum):
    """What happened, in the order in which a message tells it."""

    RATE = "rate"  # as many losses within a day as a rule has named
    CAMPAIGN = "campaign"
    ACCOUNT = "account"  # an account was lost; its posts count with it
    LOSS = "loss"
    RETURN = "return"  # lost by verdict, there again
    BACK = "back"  # no longer judged lost, without a sight of it: a false alarm is taken back
    ANEW = "anew"  # still lost, with other causes than were told
    CROSSING = "crossing"  # a post has reached a line of spread
    OPERATOR = "operator"  # a finding of the doctor or of canaries: last, as they may be many


@dataclass(frozen=True, slots=True)
class Event:
    """`detail` has what the sentence of its kind needs beside the common facts."""

    id: str
    kind: Kind
    at: Micros  # when it was judged, proven or found
    platform: str = ""
    account: str = ""  # pseudonym
    post: str = ""  # pseudonym; "" where it is about an account
    causes: frozenset[Cause] = frozenset()
    confidence: Confidence = Confidence.HIGH
    answers: str = ""  # of RETURN and BACK: id of the loss that was told
    terms: frozenset[str] = frozenset()  # of all rules, those that stood in it; see `happened`
    detail: Mapping[str, str | int | Micros | None] = field(
        default_factory=lambda: MappingProxyType({})
    )


def identity(kind: Kind | str, *parts: str | int) -> str:
    """The id of an event: 16 hexadecimal digits of a SHA-256 over its kind and parts."""
    joined = "\0".join([str(kind), *map(str, parts)])
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def matches(rule: Rule, event: Event) -> bool:
    """Whether `rule` asks for `event`: its kind, and every filter that the rule has.

    Causes and confidence say how sure a loss is; they filter losses, and what came of them, only.
    """
    if event.kind not in rule.tell:
        return False
    if event.kind is Kind.RATE:
        return event.detail["rule"] == rule.name
    if event.kind is Kind.CAMPAIGN:
        return True
    if event.kind is Kind.CROSSING and (rule.line is None or event.detail["line"] != rule.line.id):
        return False
    return passes(rule, event)


def passes(rule: Rule, event: Event) -> bool:
    """Whether `event` comes through every filter of `rule`."""
    if rule.platforms and event.platform not in rule.platforms:
        return False
    if rule.accounts and event.account not in rule.accounts:
        return False
    if rule.terms and not event.terms & set(rule.terms):
        return False
    return event.kind is Kind.CROSSING or _sure(rule, event)


def _sure(rule: Rule, event: Event) -> bool:
    if _RANK[event.confidence] < _RANK[rule.confidence]:
        return False
    if not rule.causes:
        return True
    if rule.open_too:
        return bool(event.causes & rule.causes) or Cause.UNKNOWN in event.causes
    return bool(event.causes) and event.causes <= rule.causes


def author_possible(causes: frozenset[Cause]) -> bool:
    """Whether its author may have taken it down, or closed the account: then nothing of its words
    is told, nor whether a term stood in it."""
    return not causes or bool(causes - {Cause.PLATFORM, Cause.LEGAL})
