"""Quiet hours: spans of the day, in a channel's time zone, in which nothing is sent.

In: spans as they are written, such as "22:00-07:00", a zone, a moment. Out: when the next message
may go. Pure: time comes in as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Final

from vanished.model import MINUTE, Micros, at

DAY_MINUTES: Final = 24 * 60
_SPAN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` until before `end`, in minutes of the local day; over midnight if it ends
    before it begins."""

    begin: int
    end: int

    def holds(self, minute: int) -> bool:
        """Whether this minute of the day lies in it."""
        if self.begin <= self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


def parse_span(text: str) -> Span | None:
    """The span that is written as "HH:MM-HH:MM"; None for anything else, or an empty span."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return None
    hours = [int(each) for each in found.groups()]
    span = Span(hours[0] * 60 + hours[1], hours[2] * 60 + hours[3])
    return None if span.begin == span.end else span


def is_quiet(now: Micros, spans: Sequence[Span], zone: tzinfo) -> bool:
    """Whether nothing is sent at `now`: by the clock on the wall there, also on days that change
    it."""
    local = at(now).astimezone(zone)
    return any(span.holds(local.hour * 60 + local.minute) for span in spans)


def open_from(now: Micros, spans: Sequence[Span], zone: tzinfo) -> Micros | None:
    """The first whole minute, `now` itself if it is not quiet, at which a message may go; None if
    the spans leave none within two days."""
    if not is_quiet(now, spans, zone):
        return now
    start = now - now % MINUTE
    for step in range(1, int(timedelta(days=2) / timedelta(minutes=1)) + 1):
        moment = start + step * MINUTE
        if not is_quiet(moment, spans, zone):
            return moment
    return None
