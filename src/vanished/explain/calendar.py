"""Calendars of events that may go with a clampdown: facts with their sources, as TOML.

In: the text of a calendar, or the name of one that comes with Vanished. Out: events. An event comes
from outside: one that was chosen because removals peaked then proves nothing about removals.
"""

from __future__ import annotations

import hashlib
import tomllib
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Final

from vanished.errors import UsageError

_WORDS: Final = ("id", "name", "kind", "place", "why", "source")
_SURE: Final = ("day", "about")


@dataclass(frozen=True, slots=True)
class Event:
    """One event, from `begin` to `end`, both included (days of the calendar, taken as UTC days)."""

    id: str
    name: str
    begin: date
    end: date
    kind: str
    place: str
    why: str
    source: str
    sure: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """Events, and the SHA-256 of the text that they were read from. `yearly` ones have the year 4,
    a leap year, and are repeated by `within`."""

    about: str
    yearly: bool
    events: tuple[Event, ...]
    sha256: str

    def within(self, first: date, last: date) -> list[Event]:
        """The events that touch these days, in order of time."""
        years = range(first.year - 1, last.year + 1) if self.yearly else (0,)
        found = [_in_year(event, year) for event in self.events for year in years]
        return sorted(
            (e for e in found if e.begin <= last and e.end >= first), key=lambda e: e.begin
        )


def _in_year(event: Event, year: int) -> Event:
    if not year:
        return event
    begin, end = (
        d.replace(year=year, day=min(d.day, monthrange(year, d.month)[1]))  # 29 February
        for d in (event.begin, event.end)
    )
    if end < begin:
        end = end.replace(year=year + 1)
    return Event(
        f"{event.id}-{year}", event.name, begin, end, event.kind, event.place, event.why,
        event.source, event.sure,
    )  # fmt: skip


def builtin() -> list[str]:
    """Names of the calendars that come with Vanished."""
    folder = files("vanished.explain").joinpath("calendars")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if ".toml" in f.name)


def builtin_text(name: str) -> str:
    """The text of one of them. Raises UsageError for another name."""
    if name not in builtin():
        raise UsageError(f"No calendar is named '{name}'; known are {', '.join(builtin())}.")
    return files("vanished.explain").joinpath(f"calendars/{name}.toml").read_text("utf-8")


def parse_calendar(text: str, where: str) -> Calendar:
    """A calendar's text as TOML; `where` names it in complaints. Raises UsageError."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is no TOML: {error}.") from None
    yearly = bool(given.get("yearly", False))
    found = given.get("event")
    if not isinstance(found, list) or not found:
        raise UsageError(f"{where} has no [[event]]; give at least one.")
    events = tuple(_event(each, number, where, yearly) for number, each in enumerate(found, 1))
    ids = [event.id for event in events]
    if len(set(ids)) < len(ids):
        double = next(i for i in ids if ids.count(i) > 1)
        raise UsageError(f"{where}: two events have the id '{double}'; give each its own.")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Calendar(str(given.get("about", "")), yearly, events, sha256)


def _event(given: Mapping[str, Any], number: int, where: str, yearly: bool) -> Event:
    place = f"{where}: event {number}"
    for key in _WORDS:
        if not isinstance(given.get(key), str) or not given[key].strip():
            raise UsageError(f"{place} has no {key}; write it as a text.")
    begin, end = (_day(given.get(key), key, place, yearly) for key in ("begin", "end"))
    if end < begin and not yearly:
        raise UsageError(f"{place} ends before it begins; correct its dates.")
    sure = given.get("sure", "day")
    if sure not in _SURE:
        raise UsageError(f"{place}: sure is '{sure}'; write one of {', '.join(_SURE)}.")
    words = {key: str(given[key]) for key in _WORDS}
    return Event(begin=begin, end=end, sure=sure, **words)


def _day(given: object, key: str, place: str, yearly: bool) -> date:
    if yearly and isinstance(given, str):
        try:
            return date.fromisoformat(f"0004-{given}")
        except ValueError:
            pass
    elif not yearly and type(given) is date:
        return given
    form = 'month and day, such as "06-04"' if yearly else "a date, such as 2014-05-27"
    raise UsageError(f"{place}: {key} is {given!r}; write {form}.")


def days(event: Event, before: int, after: int) -> tuple[date, date]:
    """The first and last day of an event's window: so many days before it begins and after it
    ends."""
    return event.begin - timedelta(days=before), event.end + timedelta(days=after)
