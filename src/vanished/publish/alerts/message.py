"""One message to one channel: what was chosen for it, and what its numbers are among.

In: events with their rules, the `Basis`, a language, the message's number. Out: a title and a text
without markup. It has pseudonyms, times, counts, causes and names of rules and platforms; no word
of any post (but words of campaigns, which rest on five accounts or more), no name, no host, no
secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vanished.model import HOUR, Micros, at
from vanished.publish.alerts.choosing import Chosen
from vanished.publish.alerts.event import Event, Kind
from vanished.publish.alerts.happened import Basis
from vanished.publish.alerts.wording import count, say

ROWS: Final = 20
"""Events that a message tells one by one; it counts the others."""
_ORDER: Final = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Message:
    """What the channel's reader sees."""

    title: str
    body: str


def message(
    events: Collection[Chosen], basis: Basis, language: str, number: str, now: Micros
) -> Message:
    """The message `number` about these events, as they stand at `now`."""
    ordered = sorted(events, key=lambda each: (_ORDER[each.event.kind], -each.event.at))
    lines = [_line(each, language) for each in ordered[:ROWS]]
    if rest := ordered[ROWS:]:
        lines.append(say(language, "more", number=len(rest), what=_counted(rest, language)))
    lines += ["", *_foot(basis, language, number, now)]
    return Message(say(language, "title", what=_counted(ordered, language)), "\n".join(lines))


def trial_message(basis: Basis, language: str, number: str, now: Micros) -> Message:
    """What `vanished alerts test` sends."""
    lines = [say(language, "test"), "", *_foot(basis, language, number, now)]
    return Message(say(language, "title-test"), "\n".join(lines))


def _counted(events: Sequence[Chosen], language: str) -> str:
    """How many there are of each kind."""
    counts = Counter(each.event.kind for each in events)
    parts = [count(language, f"n-{kind}", counts[kind]) for kind in Kind if counts[kind]]
    return say(language, "and").join(parts)


def _foot(basis: Basis, language: str, number: str, now: Micros) -> list[str]:
    lines = [
        say(
            language, "basis", posts=basis.posts, accounts=basis.accounts, lost=basis.lost_day,
            looks=basis.looks_day, failed=basis.failed_day,
        )
    ]  # fmt: skip
    if basis.last_look is None or now - basis.last_look > HOUR:
        lines.append(say(language, "unseen", last=_time(basis.last_look, language)))
    return [*lines, say(language, "caveat"), say(language, "number", number=number)]


def _line(chosen: Chosen, language: str) -> str:
    told = _SENTENCES[chosen.event.kind](chosen.event, language)
    if chosen.rules:
        told += say(language, "rules", rules=", ".join(chosen.rules))
    return f"- {told}"


def _loss(event: Event, language: str) -> str:
    told = say(
        language, event.kind.value, post=event.post, account=event.account,
        platform=event.platform, alive=_time(event.detail["alive"], language),
        gone_by=_time(event.detail["gone_by"], language), posts=event.detail["posts"],
        **_judged(event, language),
    )  # fmt: skip
    return told + (say(language, "conflicts") if event.detail["conflicts"] else "")


def _after_loss(event: Event, language: str) -> str:
    what = "post-named" if event.post else "account-named"
    return say(
        language, event.kind.value, platform=event.platform,
        what=say(language, what, post=event.post, account=event.account),
        gone_by=_time(event.detail["gone_by"], language),
        state=_state(str(event.detail["state"]), language), **_judged(event, language),
    )  # fmt: skip


def _judged(event: Event, language: str) -> Mapping[str, str]:
    causes = [say(language, f"cause-{cause}") for cause in sorted(event.causes)]
    return {
        "causes": say(language, "or").join(causes),
        "confidence": say(language, f"confidence-{event.confidence}"),
    }


def _state(state: str, language: str) -> str:
    return say(language, f"state-{state}") if state not in ("gone", "returned") else state


def _crossing(event: Event, language: str) -> str:
    reaches = [
        say(language, f"counter-{name}", number=number)
        for name, number in event.detail.items()
        if name != "line"
    ]
    return say(
        language, "crossing", post=event.post, account=event.account, platform=event.platform,
        line=event.detail["line"], reaches=say(language, "or").join(reaches),
        at=_time(event.at, language),
    )  # fmt: skip


def _rate(event: Event, language: str) -> str:
    return say(language, "rate", **event.detail)


def _campaign(event: Event, language: str) -> str:
    detail = dict(event.detail)
    detail["begin"], detail["end"] = _day(detail["begin"]), _day(detail["end"])
    rise = say(language, "rise", rise=detail["rise"]) if detail["rise"] else ""
    told = say(language, f"campaign-{detail['form']}", **(detail | {"rise": rise}))
    return told + (say(language, "beside-gap") if detail["beside_gap"] else "")


def _operator(event: Event, language: str) -> str:
    return say(language, "operator", **event.detail)


_SENTENCES: Final[Mapping[Kind, Callable[[Event, str], str]]] = {
    Kind.OPERATOR: _operator, Kind.RATE: _rate, Kind.CAMPAIGN: _campaign, Kind.ACCOUNT: _loss,
    Kind.LOSS: _loss, Kind.RETURN: _after_loss, Kind.BACK: _after_loss, Kind.ANEW: _after_loss,
    Kind.CROSSING: _crossing,
}  # fmt: skip


def _time(t: object, language: str) -> str:
    return f"{at(t):%Y-%m-%d %H:%M}" if isinstance(t, int) else say(language, "never")


def _day(t: object) -> str:
    return f"{at(t):%Y-%m-%d}" if isinstance(t, int) else ""
