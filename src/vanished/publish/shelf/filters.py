"""Which losses a reader asks for: the same in an address, on a page, in an export and over the API.

In: the query of an address. Out: a `Filter`, its address again, and its condition in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from vanished.errors import UsageError
from vanished.explain.calendar import Event
from vanished.model import DAY, Cause, Confidence, Micros, State, micros
from vanished.publish.moments import parse_moment
from vanished.publish.shelf.grams import SCRIPTS, query


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the names in a filter stand for, in this observatory."""

    topics: Mapping[str, Sequence[str]]
    events: Mapping[str, Event]


OPEN: Final = "open"
"""As a cause: the facts leave several."""
CROSSINGS: Final = {"reposts": 500, "views": 5000}
"""China's rule of 2013 on rumours: from so many on, an author can be punished (SPC and SPP,
interpretation of 9 September 2013, article 2)."""
CROSSED: Final = ("reposts", "views", "either", "neither")
LONGEST_Q: Final = 200
SORTS: Final = ("-at", "at", "-reposts", "-views")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "cause": (*(cause.value for cause in Cause), OPEN),
    "may": tuple(cause.value for cause in Cause),
    "confidence": tuple(value.value for value in Confidence),
    "state": ("gone", "moved", "returned", "flickering", "suspected", "any"),
    "script": (*SCRIPTS, "other"),
    "crossed": CROSSED,
    "sort": SORTS,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Losses that fulfil all of it; "" asks for nothing. Dates are UTC; `until` is not included."""

    q: str = ""  # words, anywhere in title or text
    platform: str = ""
    account: str = ""  # its pseudonym
    cause: str = ""  # the only one that the facts leave, or OPEN
    may: str = ""  # one of those that the facts leave
    confidence: str = ""
    state: str = State.GONE.value
    since: str = ""
    until: str = ""
    script: str = ""
    crossed: str = ""  # the thresholds of China's rule on rumours, before the loss
    topic: str = ""  # a name of the observatory's topics: any of its words
    event: str = ""  # an event's id: the days that it lasts
    sort: str = "-at"

    def __post_init__(self) -> None:
        """Raises UsageError, which names what it does not know and what it does."""
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value and value not in known:
                raise UsageError(f"{name} '{value}' is not known; choose of {', '.join(known)}.")
        self.span()
        if len(self.q) > LONGEST_Q:
            raise UsageError(f"q has {len(self.q)} characters; look for {LONGEST_Q} at most.")
        if self.q and not query(self.q):
            raise UsageError(f"'{self.q[:40]}' has no word in it to look for; give letters.")

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        """From the query of an address; what is no part of a filter is passed over."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v.strip() for k, v in given.items() if k in known and v.strip()})

    def given(self) -> dict[str, str]:
        """What differs from asking for everything."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != f.default
        }

    def address(self, **changes: str) -> str:
        """The query of an address, "" for everything; "" as a change takes that part away."""
        kept = {k: v for k, v in {**self.given(), **changes}.items() if v}
        return f"?{urlencode(kept)}" if kept else ""

    def span(self) -> tuple[Micros | None, Micros | None]:
        """From when until when. A bare day as `until` is included as a whole."""
        since = parse_moment(self.since or None, "since")
        until = parse_moment(self.until or None, "until")
        if until is not None and len(self.until) == len("2026-11-01"):
            until += DAY
        return since, until

    def condition(
        self, meanings: Meanings, everything: bool, *, few: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """SQL over `losses l`, and its values. Words that are withheld are not looked in.

        `few`: the words are so rare that SQLite should begin with them, not with the order.
        Raises UsageError for a topic or an event that nobody defined.
        """
        parts: list[str] = []
        values: dict[str, Any] = {}
        for name in ("platform", "account", "confidence", "script"):
            if getattr(self, name):
                parts.append(f"l.{name} = :{name}")
                values[name] = getattr(self, name)
        if self.state != "any":
            # The sign keeps SQLite from the index by time where the order is another.
            by_time = self.sort.lstrip("-") == "at" and not few
            parts.append("l.state = :state" if by_time else "+l.state = :state")
            values["state"] = self.state
        if self.cause == OPEN:
            parts.append("instr(l.causes, ',') > 0")
        elif self.cause:
            parts.append("l.causes = :cause")
            values["cause"] = self.cause
        if self.may:
            parts.append("instr(',' || l.causes || ',', :may) > 0")
            values["may"] = f",{self.may},"
        since, until = self.span()
        if since is not None:
            parts.append("l.at >= :since")
            values["since"] = since
        if until is not None:
            parts.append("l.at < :until")
            values["until"] = until
        if self.crossed:
            parts.append(_crossed(self.crossed))
        if self.event:
            event = _meaning("event", self.event, meanings.events)
            parts.append("l.at >= :begin and l.at < :end")
            values["begin"] = micros(datetime.combine(event.begin, time(), UTC))
            values["end"] = micros(datetime.combine(event.end + timedelta(1), time(), UTC))
        wanted = [query(self.q)] if self.q else []
        if self.topic:
            words = _meaning("topic", self.topic, meanings.topics)
            wanted.append(" OR ".join(f"({query(word)})" for word in words if query(word)))
        if wanted:
            parts.append("l.id in (select rowid from words where words match :q)")
            values["q"] = " AND ".join(f"({each})" for each in wanted)
            if not everything:
                parts.append("l.authors = 0")
        return " and ".join(parts) or "true", values


def _meaning(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        some = ", ".join([*known][:12]) or "none yet"
        raise UsageError(f"{kind} '{name}' is not known here; known are: {some}.")
    return known[name]


def _crossed(which: str) -> str:
    reposts = f"coalesce(l.reposts, 0) >= {CROSSINGS['reposts']}"
    views = f"coalesce(l.views, 0) >= {CROSSINGS['views']}"
    known = "(l.reposts is not null or l.views is not null)"
    return {
        "reposts": reposts,
        "views": views,
        "either": f"({reposts} or {views})",
        "neither": f"{known} and not ({reposts} or {views})",
    }[which]
