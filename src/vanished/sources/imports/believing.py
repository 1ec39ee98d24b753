"""Which snapshots of a list are sound, and what changed between those that are.

In: readings of one list in order of time. Out: the changes between sound readings, and the
readings that are not believed, each with its reason. Pure. A cut, empty or foreign answer looks
like a list that lost its entries; so a great change is believed only when the list stands by it.

A change is great if more than half of the list is gone, or if more entries are gone or new than
both `LEAST` and `SHARE` of it; or if the loss is the very end of the list and nothing else, as
where an answer was cut between two entries. A reading that shows one is held back until a later
one, at least `HOLD` on, agrees with it; then its change counts with its own time. If the list
comes back before, what was held back is no news.

`HOLD` is a week: the longest stretch of readings that the record of YY shows and takes back stood
from 10 to 15 July 2019. Its daily changes stay below 4 %, its sound great changes all lasted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from vanished.model import DAY, Micros

HOLD: Final[Micros] = 7 * DAY
SHARE: Final = 0.05
LEAST: Final = 50
FEW: Final = 3  # so many entries may go from any list, however short
END: Final = 10  # and so many from its end: YY's servers disagreed on the last three for days
STRAY: Final = 0.1  # of a change; so much of it may be otherwise where a later reading agrees


@dataclass(frozen=True)
class Reading:
    """A list as it was read at `t`: its entries in their order, or why it cannot be read.

    `ended` says that the last line ended as a line should.
    """

    t: Micros
    entries: tuple[str, ...] = ()
    ended: bool = True
    fault: str = ""

    @cached_property
    def set(self) -> frozenset[str]:
        return frozenset(self.entries)

    def rest(self) -> None:
        """Let go of `set`, which is made anew if it is asked for: those of a record fill memory."""
        self.__dict__.pop("set", None)


@dataclass(frozen=True, slots=True)
class Change:
    """What is different at `t` from the sound reading before it, at `since`."""

    since: Micros
    t: Micros
    added: frozenset[str]
    removed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Doubt:
    """The reading at `t` is not believed; `final` is false while a later one could still agree."""

    t: Micros
    why: str
    final: bool = True


@dataclass(slots=True)
class Believed:
    """What a list's readings come to. `sound` is in order of time."""

    sound: list[Reading] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)


def believe(readings: Iterable[Reading]) -> Believed:
    """Sort `readings`, which are in order of time, into sound ones and doubts.

    The first readable reading is taken as it is: there is nothing to hold against it.
    """
    found = Believed()
    held: list[Reading] = []
    waiting = deque(readings)
    while waiting:
        reading = waiting.popleft()
        base = found.sound[-1] if found.sound else None
        fault = reading.fault or _cut(base, reading)
        if fault:
            found.doubts.append(Doubt(reading.t, fault))
        elif base is None:
            found.sound.append(reading)
        elif not great(base, reading):
            for before in held:
                if _stands(found.sound[-1], before, reading):
                    _take(found, before)
                else:
                    found.doubts.append(Doubt(before.t, f"{great(base, before)}, but not for long"))
            held.clear()
            _take(found, reading)
        else:
            witness = next((h for h in held if _agrees(base, h, reading)), None)
            if witness is None:
                held.append(reading)
                continue
            at = held.index(witness)
            for before in held[:at]:
                found.doubts.append(Doubt(before.t, f"{great(base, before)}, but not for long"))
            _take(found, witness)
            waiting.extendleft([reading, *reversed(held[at + 1 :])])
            held.clear()
    for before in held:
        why = f"{great(found.sound[-1], before)}, and no reading a week later agrees"
        found.doubts.append(Doubt(before.t, why, final=False))
    found.doubts.sort(key=lambda doubt: doubt.t)
    return found


def great(before: Reading, after: Reading) -> str:
    """What is great about the change from `before` to `after`; "" if nothing is."""
    gone, new = len(before.set - after.set), len(after.set - before.set)
    if _great_loss(before, after):
        return f"it lacks {gone} of {len(before.set)} entries at once"
    if new > max(LEAST, SHARE * len(before.set)):
        return f"it has {new} new entries beside {len(before.set)} at once"
    if not new and gone > END and _starts(before, after):
        return f"it lacks the last {gone} entries and is else the same"
    return ""


def _great_loss(before: Reading, after: Reading) -> bool:
    gone, had = len(before.set - after.set), len(before.set)
    return gone > FEW and (gone > had / 2 or gone > max(LEAST, SHARE * had))


def _starts(before: Reading, after: Reading) -> bool:
    """Whether `after` is the beginning of `before`."""
    return before.entries[: len(after.entries)] == after.entries


def _cut(base: Reading | None, reading: Reading) -> str:
    if base is not None and base.ended and not reading.ended:
        return "its last line does not end, so it was cut"
    return ""


def _agrees(base: Reading, held: Reading, later: Reading) -> bool:
    """Whether `later` says a week on what `held` said against `base`.

    It does if it has not lost much of what `held` had, and if what `held` lacked is not back. What
    is new since then is its own affair: months may lie between two readings.
    """
    if later.t - held.t < HOLD or _great_loss(held, later):
        return False
    gone, new = base.set - held.set, held.set - base.set
    back, short = len(gone & later.set), len(new - later.set)
    return back <= STRAY * len(gone) and short <= STRAY * len(new)


def _stands(base: Reading, held: Reading, later: Reading) -> bool:
    """Whether the change from `base` to `held` is still there in `later`, to the last entry."""
    gone, new = base.set - held.set, held.set - base.set
    return later.set.isdisjoint(gone) and new <= later.set


def _take(found: Believed, reading: Reading) -> None:
    base = found.sound[-1]
    added, removed = reading.set - base.set, base.set - reading.set
    if added or removed:
        found.changes.append(Change(base.t, reading.t, added, removed))
    found.sound.append(reading)
    base.rest()
