"""When targets were stopped in networks: spans and changes, from measurements.

In: measurements (`archive.arrow.MEASUREMENTS`). Out: for each target and network the spans in which
it was seen stopped, seen open, or not measured, and the changes between them, each with the number
of measurements that say so and that say otherwise. A state has to be seen twice in a row
(`judge.networks`); what is down, impaired or insufficient moves nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import pyarrow as pa

from vanished.judge.networks import CONFIRM, GAP_S, Phase, phases, stretches
from vanished.model import Micros


class Seen(StrEnum):
    """What a span says of its target."""

    BLOCKED = "blocked"
    LIKELY = "likely blocked"
    OPEN = "open"
    NO_DATA = "no data"  # not measured for long, or no measurement says


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last measurement that says so. `measurements` counts all within, those
    that do not say included; `saying` those that agree, `contrary` those that speak against it."""

    target: str
    network: str
    begin: Micros
    end: Micros
    seen: Seen
    layer: str | None
    mechanism: str | None
    measurements: int
    saying: int
    contrary: int


@dataclass(frozen=True, slots=True)
class Change:
    """A target began or ended to be stopped in a network: after `begin`, by `end`."""

    target: str
    network: str
    begin: Micros
    end: Micros
    began: bool
    layer: str | None
    mechanism: str | None
    before: int  # measurements that speak for the state before it
    after: int
    contrary: int

    @property
    def middle(self) -> Micros:
        """The middle of its interval."""
        return self.begin + (self.end - self.begin) // 2


def spans(measured: pa.Table) -> tuple[list[Span], list[Change]]:
    """All spans and changes, by target, network and time."""
    series: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in measured.to_pylist():
        series[row["target"], row["network"]].append(row)
    found: list[Span] = []
    changes: list[Change] = []
    for place, rows in sorted(series.items()):
        rows.sort(key=_at)
        saying = [row for row in rows if row["stopped"] is not None]
        held = [
            phases(stretch, lambda row: bool(row["stopped"]), CONFIRM)
            for stretch in stretches(saying, _at, GAP_S)
        ]
        believed = [_span(place, phase, rows) for stretch in held for phase in stretch]
        found += _with_silence(place, believed, rows)
        changes += [_change(place, old, new) for stretch in held for old, new in pairwise(stretch)]
    return found, changes


def _at(row: dict[str, Any]) -> Micros:
    return int(row["at"])


def _span(place: tuple[str, str], phase: Phase[dict[str, Any]], rows: Sequence[Any]) -> Span:
    begin, end = _at(phase.seen[0]), _at(phase.seen[-1])
    seen = Seen.OPEN
    if phase.stopped:
        sure = sum(row["state"] == Seen.BLOCKED.value for row in phase.seen)
        seen = Seen.BLOCKED if 2 * sure >= len(phase.seen) else Seen.LIKELY
    within = [row for row in rows if begin <= _at(row) <= end]
    against = sum(row["stopped"] is (not phase.stopped) for row in within)
    layer, mechanism = _how(phase.seen) if phase.stopped else (None, None)
    saying = sum(row["stopped"] is phase.stopped for row in within)
    return Span(*place, begin, end, seen, layer, mechanism, len(within), saying, against)


def _with_silence(
    place: tuple[str, str], believed: list[Span], rows: Sequence[dict[str, Any]]
) -> list[Span]:
    """The spans with those of silence between them; one of silence alone if nothing is believed."""
    first, last = _at(rows[0]), _at(rows[-1])
    if not believed:
        said = sum(row["stopped"] is not None for row in rows)
        return [Span(*place, first, last, Seen.NO_DATA, None, None, len(rows), said, 0)]
    found = [believed[0]]
    for old, new in pairwise(believed):
        if new.begin - old.end > GAP_S * 1e6:
            within = sum(old.end < _at(row) < new.begin for row in rows)
            found.append(Span(*place, old.end, new.begin, Seen.NO_DATA, None, None, within, 0, 0))
        found.append(new)
    return found


def _change(
    place: tuple[str, str], old: Phase[dict[str, Any]], new: Phase[dict[str, Any]]
) -> Change:
    layer, mechanism = _how((new if new.stopped else old).seen)
    return Change(
        *place, _at(old.seen[-1]), _at(new.seen[0]), new.stopped, layer, mechanism,
        len(old.seen), len(new.seen), old.contrary + new.contrary,
    )  # fmt: skip


def _how(seen: Iterable[dict[str, Any]]) -> tuple[str | None, str | None]:
    """Layer and mechanism that most of these name."""
    ((layer, mechanism), _), *_ = Counter((r["layer"], r["mechanism"]) for r in seen).most_common(1)
    return layer, mechanism
