"""Lines that laws draw by how far a post has spread, as data (`thresholds.toml`).

In: the id of a line, or the text of a file of the same form. Out: which counters reach it, and at
what number. Whether a post is unlawful is not said here: the line is about its spread only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.model import Micros, micros

COUNTERS: Final = ("reposts", "views", "likes", "comments")
"""The counters of `archive.arrow.COUNTS`."""

_WORDS: Final = ("id", "name", "country", "says", "source")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A line. `reaches` has the number of each counter that reaches it: that many or more of any
    one. In force from `since` on, before `until` (days, UTC)."""

    id: str
    name: str
    country: str
    since: date
    until: date | None
    reaches: Mapping[str, int]
    says: str
    source: str

    def in_force(self, t: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether it was in force at each `t` (microseconds, UTC)."""
        begun = t >= _start(self.since)
        return begun if self.until is None else begun & (t < _start(self.until))


def threshold(name: str) -> Threshold:
    """The line with this id. Raises UsageError for an id that is not in our list."""
    found = known()
    if name not in found:
        raise UsageError(f"No threshold is named '{name}'; known are {', '.join(found)}.")
    return found[name]


@cache
def known() -> Mapping[str, Threshold]:
    """The lines that come with Vanished, by id."""
    text = files("vanished.explain").joinpath("thresholds.toml").read_text("utf-8")
    return {line.id: line for line in parse_thresholds(text)}


def parse_thresholds(text: str) -> Sequence[Threshold]:
    """The lines of a file in the form that `thresholds.toml` states. Raises UsageError."""
    try:
        rows = tomllib.loads(text).get("threshold")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The thresholds are no TOML: {error}.") from error
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise UsageError("The thresholds have no [[threshold]]; write at least one.")
    found = [_read(row) for row in rows]
    if len({line.id for line in found}) < len(found):
        raise UsageError("Two thresholds have the same id; give each its own.")
    return found


def _read(row: Mapping[str, Any]) -> Threshold:
    """One table. Raises UsageError that names what is wrong in it."""
    name = row.get("id", "without an id")
    extra = sorted(set(row) - {*_WORDS, "since", "until", "reaches"})
    if extra:
        raise UsageError(f"Threshold {name} has '{extra[0]}', which is no key of a threshold.")
    for key in _WORDS:
        if not (isinstance(row.get(key), str) and row[key].strip()):
            raise UsageError(f"Threshold {name} has no '{key}'; write it as a string.")
    for key in ("since", "until"):
        day = row.get(key)
        if (key == "since" or day is not None) and type(day) is not date:
            raise UsageError(f"Threshold {name} needs '{key}' as a day, such as 2013-09-10.")
    reaches = row.get("reaches")
    if not (isinstance(reaches, dict) and reaches and set(reaches) <= set(COUNTERS)):
        raise UsageError(f"Threshold {name} needs [threshold.reaches] with any of"
                         f" {', '.join(COUNTERS)}.")  # fmt: skip
    if not all(type(number) is int and number > 0 for number in reaches.values()):
        raise UsageError(f"Threshold {name} has a number that is not whole and above zero.")
    words = {key: row[key].strip() for key in _WORDS}
    return Threshold(since=row["since"], until=row.get("until"), reaches=dict(reaches), **words)


def _start(day: date) -> Micros:
    """The first microsecond of a day."""
    return micros(datetime(day.year, day.month, day.day, tzinfo=UTC))
