"""What an observatory's filters can name: its topics, and the events of the calendars.

In: an observatory's folder. Out: `Meanings`, from its `topics.toml` (name = ['word', …]) and the
calendars that come along.
"""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

from vanished.errors import UsageError
from vanished.explain.calendar import Event, builtin, builtin_text, parse_calendar
from vanished.publish.shelf.filters import Meanings

TOPICS: Final = "topics.toml"
FIRST, LAST = date(2009, 1, 1), date(2035, 12, 31)
"""Between which events of every year can be asked for."""


def meanings(folder: Path) -> Meanings:
    """Topics of `topics.toml` and events of the calendars that come along. Raises UsageError."""
    events = _events()
    file = folder / TOPICS
    if not file.is_file():
        return Meanings({}, events)
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no TOML: {error}; correct it.") from None
    for name, words in given.items():
        if not isinstance(words, list) or not all(isinstance(w, str) and w for w in words):
            raise UsageError(f"{file}: {name} is no list of words; write {name} = ['…', '…'].")
    return Meanings(given, events)


@cache
def _events() -> dict[str, Event]:
    return {
        event.id: event
        for name in builtin()
        for event in parse_calendar(builtin_text(name), name).within(FIRST, LAST)
    }
