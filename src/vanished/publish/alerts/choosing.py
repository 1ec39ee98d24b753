"""Who is to be told what: rules and what was told before, on one side; events on the other.

In: a channel with its rules, events, the causes that were told by id of event. Out: events with the
names of the rules that asked for them. Whoever was told of a loss is told when it comes back, when
it is taken back, and when it is judged anew, whatever the rules say. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from vanished.model import DAY, Micros
from vanished.publish.alerts.event import Event, Kind, identity, matches, passes
from vanished.publish.alerts.settings import Channel, Rule

LOST: Final = (Kind.LOSS, Kind.ACCOUNT)


@dataclass(frozen=True, slots=True)
class Chosen:
    """An event and the rules, by name, that asked for it; none where it follows from an earlier
    message."""

    event: Event
    rules: tuple[str, ...] = ()


def chosen(
    channel: Channel,
    rules: Sequence[Rule],
    events: Sequence[Event],
    told: Mapping[str, str],
    news: Callable[[Event], bool],
) -> list[Chosen]:
    """What `channel` is to be told now. `news` says which events may be told for the first time."""
    own = [rule for rule in rules if channel.name in rule.channels]
    found = []
    for event in events:
        if event.kind is Kind.OPERATOR:
            if channel.operator and event.id not in told:
                found.append(Chosen(event))
        elif event.id in told:
            if event.kind in LOST and told[event.id] != _causes(event):
                found.append(Chosen(anew(event)))
        else:
            asked = tuple(rule.name for rule in own if matches(rule, event)) if news(event) else ()
            if asked or event.answers in told:
                found.append(Chosen(event, asked))
    return found


def holding(events: Sequence[Event], ids: Collection[str], rules: Sequence[Rule]) -> list[Chosen]:
    """Those of a message's events that still hold, for when it has to be sent again."""
    found = []
    for event in events:
        for each in (event, anew(event)) if event.kind in LOST else (event,):
            if each.id in ids:
                names = tuple(rule.name for rule in rules if matches(rule, each))
                found.append(Chosen(each, names))
    return found


def anew(event: Event) -> Event:
    """The loss `event` as one that is judged anew."""
    own = identity(Kind.ANEW, event.id, event.at)
    return replace(event, id=own, kind=Kind.ANEW, answers=event.id)


def rates(rules: Sequence[Rule], events: Sequence[Event], now: Micros) -> list[Event]:
    """An event for each rule whose number of losses within the last 24 hours is reached: one a UTC
    day. A lost account counts once, with all its posts."""
    found = []
    for rule in rules:
        if rule.losses_a_day is None:
            continue
        number = sum(
            event.kind in LOST and _gone_by(event) >= now - DAY and passes(rule, event)
            for event in events
        )
        if number >= rule.losses_a_day:
            detail: dict[str, str | int | None] = {
                "rule": rule.name,
                "number": number,
                "least": rule.losses_a_day,
            }
            own = identity(Kind.RATE, rule.name, rule.losses_a_day, now // DAY)
            found.append(Event(own, Kind.RATE, now, detail=MappingProxyType(detail)))
    return found


def _gone_by(event: Event) -> Micros:
    found = event.detail.get("gone_by")
    return found if isinstance(found, int) else 0


def _causes(event: Event) -> str:
    return ",".join(sorted(cause.value for cause in event.causes))
