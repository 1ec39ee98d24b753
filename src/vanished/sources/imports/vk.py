"""Read the notices that VK showed, as Citizen Lab collected them (`messages.csv`, 2023).

In: a CSV file, one row a distinct notice. Out: each notice with what its wording leaves open and
with the date of the order that it names. The file names no post and no time of sight, so nothing
here becomes a loss. Its English translations and its own dates are not used: the wording decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from vanished.errors import InputError
from vanished.model import Signal
from vanished.sources.imports.rows import rows
from vanished.sources.notice import load_pack

COLUMNS: Final = ("count", "message")
_DAY = re.compile(r"(?<!\d)(\d\d)\.(\d\d)\.(\d{4})(?!\d)")


@dataclass(frozen=True, slots=True)
class Shown:
    """One notice: how often it was met (None where the file does not say), and what it says.

    `signal` is None where no rule knows the wording. `ordered_on` is the day of the order that
    the notice names, which is not the day on which VK followed it.
    """

    words: str
    times: int | None
    signal: Signal | None
    ordered_on: date | None


def read_notices(
    path: Path, match: Callable[[str], Signal | None] | None = None
) -> tuple[Shown, ...]:
    """The notices in the file at `path`, in its order; InputError ("FILE:LINE: …") if it is none.

    `match` reads a wording, by default with the notice pack "vk".
    """
    match = match or load_pack("vk").match_text
    found = []
    for where, cell in rows(path, COLUMNS, "list of VK's notices"):
        words, times = cell["message"], cell["count"]
        if times and not (times.isascii() and times.isdecimal()):
            raise InputError(f"{where}: the count {times!r} is no number")
        found.append(Shown(words, int(times) if times else None, match(words), ordered_on(words)))
    return tuple(found)


def ordered_on(words: str) -> date | None:
    """The first day (DD.MM.YYYY) that a notice names; None if there is none."""
    for day, month, year in _DAY.findall(words):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue  # a case number that looks like a day
    return None
