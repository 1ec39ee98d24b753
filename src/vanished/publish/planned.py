"""Tests of events by a plan: its calendar, and its place in the log.

In: a folder, the name or file of a calendar, settings. Out: the calendar, where the log keeps the
plan. Stating a plan reads no post.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vanished.archive import preregistering
from vanished.archive.observatory import Observatory
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.explain.calendar import Calendar, builtin, builtin_text, parse_calendar
from vanished.explain.events import EventSettings, plan_of
from vanished.explain.preregistration import Plan, Registered
from vanished.model import at


@dataclass(frozen=True, slots=True)
class Stated:
    """A plan in the log."""

    plan: Plan
    leaf: int
    at: int

    def facts(self) -> dict[str, object]:
        return {
            "sha256": self.plan.sha256,
            "leaf": self.leaf,
            "at": at(self.at).isoformat(),
            "plan": self.plan.json(),
        }

    def text(self) -> str:
        return (
            f"Leaf {self.leaf} of the log states the plan {self.plan.sha256[:16]}…"
            f" ({at(self.at):%Y-%m-%d %H:%M} UTC). Ask again with the same options and calendar,"
            " without --preregister, to test it; vanished log stamp makes the time anybody's."
        )


def calendar(given: str) -> Calendar:
    """A calendar that comes along, or one from a file. Raises UsageError."""
    if given in builtin():
        return parse_calendar(builtin_text(given), given)
    path = Path(given)
    try:
        return parse_calendar(path.read_text(encoding="utf-8"), given)
    except FileNotFoundError:
        raise UsageError(
            f"'{given}' is no file, and no calendar that comes along: {', '.join(builtin())}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{given} cannot be read: {why}; name another file.") from None


def preregister(folder: Path, calendar: Calendar, settings: EventSettings) -> Stated:
    """State the plan in the log of the observatory in `folder`."""
    plan = plan_of(calendar, settings)
    with Observatory.open(folder, write=True) as observatory:
        leaf, when = preregistering.preregister(observatory, plan.json(), SystemClock().now())
    return Stated(plan, leaf, when)


def registered(folder: Path, calendar: Calendar, settings: EventSettings) -> Registered | None:
    """Where the log states this plan; None if it does not."""
    plan = plan_of(calendar, settings)
    found = preregistering.stated(folder, plan.json())
    return None if found is None else Registered(*found, plan.sha256)
