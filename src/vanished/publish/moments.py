"""Moments as people write and read them: UTC, and nothing else.

In: a date or time as it was typed, or microseconds. Out: the other.
"""

from __future__ import annotations

from datetime import UTC, datetime

from vanished.errors import UsageError
from vanished.model import Micros, at, micros


def moment(t: Micros | None) -> str:
    """A time as a reader sees it."""
    return "never proven" if t is None else at(t).strftime("%Y-%m-%d %H:%M:%S")


def iso(t: Micros | None) -> str | None:
    """A time as JSON carries it."""
    return None if t is None else at(t).isoformat()


def parse_moment(text: str | None, option: str) -> Micros | None:
    """The microseconds of a UTC date or time as a person types it; a date is its first moment.

    Raises UsageError, which names the option.
    """
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} '{text}' is not a date; write one such as 2026-11-01 or 2026-11-01T08:00Z."
        ) from None
    return micros(given if given.tzinfo else given.replace(tzinfo=UTC))
