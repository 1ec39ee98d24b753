"""Reach and removals on one timeline: what was lost day by day, beside what networks stopped.

In: posts, when nobody looked, how often was looked, measurements of networks. Out: a row for each
change of a target, each span and each day, with denominators. They stand side by side and no test
is made: what falls together is associated at most. A network's block takes no post away, and posts
that could not be asked for because of one are unknown, not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.explain.fate import Fate, fates
from vanished.explain.reach_spans import Change, Seen, Span, spans
from vanished.explain.reach_timeline_chart import drawn
from vanished.explain.removal_rate import (
    Moments,
    exposed_in,
    gaps_within,
    moments,
    spread_over,
)
from vanished.explain.result import Basis, Chart
from vanished.model import DAY, Micros, at

METHOD: Final = "timeline/1"
SAID: Final = 8  # changes in the text; the table has all
NAMES: Final = {
    Fate.REMOVED: "removed",
    Fate.ACCOUNT: "with_account",
    Fate.AUTHOR: "by_author",
    Fate.OPEN: "cause_open",
}
CAVEATS: Final = (
    "Removals and blocks stand side by side; no test was made. What falls together is associated at"
    " most, and nothing here shows that one caused the other.",
    "A target counts as blocked or open where two measurements in a row say so, and a change lies"
    " somewhere between the last that say the one and the first that say the other. What is down,"
    " impaired or insufficient moves nothing.",
    "A measurement is one moment, one network and one page. No data is neither blocked nor open.",
    "A loss is known to an interval and is spread evenly over it, so a day may hold a part of one."
    " On days with little coverage, few removals are no calm.",
    "A site of fewer than five accounts that are watched is shown by a pseudonym.",
)


@dataclass(frozen=True, slots=True)
class ReachTimelineSettings:
    """`beside_days`: how many days before and after a change are counted beside it; `covered`: the
    share of a day below which it is called not covered."""

    beside_days: float = 7.0
    covered: float = 0.5


@dataclass(frozen=True, slots=True)
class Beside:
    """Removals and post-days at risk in the days before and after a change. Days that belong to
    the interval of the change itself are in neither."""

    removed_before: float
    post_days_before: float
    removed_after: float
    post_days_after: float


@dataclass(frozen=True, slots=True)
class Day:
    """One day, UTC. `at_risk` is the mean number of posts that were known to be there."""

    begin: Micros
    at_risk: float
    by_fate: dict[str, float]  # losses, by the names of NAMES
    looks: float
    failed: float
    covered: float  # share of the day in which the watch ran


@dataclass(frozen=True, slots=True)
class ReachTimeline:
    """The result."""

    basis: Basis
    days: Sequence[Day]
    spans: Sequence[Span]
    changes: Sequence[tuple[Change, Beside]]
    measurements: int
    saying: int  # of these, measurements that say whether the target was stopped
    settings: ReachTimelineSettings
    method: str = METHOD
    caveats: Sequence[str] = CAVEATS

    def table(self) -> pa.Table:
        """Changes, then spans, then days: `row` says which; columns of the others are null."""
        rows = [_change_row(*each) for each in self.changes]
        rows += [_span_row(each) for each in self.spans]
        rows += [_day_row(each) for each in self.days]
        return pa.Table.from_pylist(rows, schema=TABLE)

    def chart(self) -> Chart:
        """Losses by day above, spans of the targets below, changes as lines through both."""
        days = [_day_row(day) | {"thin": day.covered < self.settings.covered} for day in self.days]
        return drawn(days, self.spans, [change for change, _ in self.changes], self.under())

    def under(self) -> str:
        """The denominators in a sentence."""
        targets = len({span.target for span in self.spans})
        networks = len({span.network for span in self.spans})
        return (
            f"{self.measurements} measurements of {targets} targets in {networks} networks,"
            f" {self.saying} of which say whether the target was stopped; {self.basis.text()}"
        )

    def text(self) -> str:
        """Numbers first; every change with what was counted beside it."""
        stopped = {
            (s.target, s.network) for s in self.spans if s.seen in (Seen.BLOCKED, Seen.LIKELY)
        }
        pairs = {(s.target, s.network) for s in self.spans}
        lines = [
            f"Of {len(pairs)} pairs of a target and a network, {len(stopped)} were blocked, or"
            f" likely blocked, for some time; {len(self.changes)} changes were seen.",
            f"{self.saying} of {self.measurements} measurements say whether the target was"
            " stopped.",
        ]
        thin = sum(day.covered < self.settings.covered for day in self.days)
        if thin:
            lines.append(
                f"{thin} of {len(self.days)} days are not covered: for most of them nobody looked."
            )
        lines += [_sentence(*each, self.settings) for each in self.changes[:SAID]]
        if len(self.changes) > SAID:
            lines.append(f"{len(self.changes) - SAID} more changes are in the table.")
        if self.changes:
            lines.append("They are associated with the removals beside them at most, not shown to"
                         " have caused them, nor the other way round.")  # fmt: skip
        return "\n".join(lines)


TABLE: Final = pa.schema(
    [
        ("row", pa.string()),  # change, span or day
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("target", pa.string()),
        ("network", pa.string()),
        ("state", pa.string()),  # of a span; of a change began or ended (to be stopped)
        ("layer", pa.string()),
        ("mechanism", pa.string()),
        ("measurements", pa.int64()),
        ("saying", pa.int64()),
        ("contrary", pa.int64()),
        *((f"{what}_{side}", pa.float64())
          for side in ("before", "after") for what in ("removed", "post_days")),
        ("at_risk", pa.float64()),
        *((name, pa.float64()) for name in NAMES.values()),
        ("looks", pa.float64()),
        ("failed", pa.float64()),
        ("covered", pa.float64()),
    ]
)  # fmt: skip


def reach_timeline(
    posts: pa.Table,
    coverage: pa.Table,
    looks: pa.Table,
    measured: pa.Table,
    settings: ReachTimelineSettings | None = None,
) -> ReachTimeline:
    """Put `measured` (`archive.arrow.MEASUREMENTS`) beside what became of `posts`.

    `coverage` and `looks` are `archive.arrow.COVERAGE` and `LOOKS`. Raises UsageError if nothing
    was measured.
    """
    settings = settings or ReachTimelineSettings()
    if not measured.num_rows:
        raise UsageError(
            "No measurement of a network is kept for this window; keep some with vanished reach"
            " keep."
        )
    found, changes = spans(measured)
    times, fate = moments(posts), fates(posts)
    days = _days(times, fate, coverage, looks, measured)
    changes.sort(key=lambda change: (change.begin, change.target, change.network))
    return ReachTimeline(
        Basis.of(posts),
        days,
        found,
        [(change, _beside(change, times, fate, settings)) for change in changes],
        measured.num_rows,
        measured.num_rows - measured["stopped"].null_count,
        settings,
    )


def _days(
    times: Moments, fate: NDArray[np.int8], coverage: pa.Table, looks: pa.Table, measured: pa.Table
) -> list[Day]:
    """Every day from the first to the last of which anything is known."""
    moments_known = [int(t) for t in (measured["at"].to_pylist()) if t is not None]
    if times.known.any():
        moments_known += [
            int(times.start[times.known].min()), int(times.gone[times.known].max())
        ]  # fmt: skip
    first, last = min(moments_known) // DAY, max(moments_known) // DAY
    edges = np.arange(first, last + 2, dtype=np.int64) * DAY
    at_risk = exposed_in(times.start, times.middle, times.known, edges, np.ones(len(times.known)))
    lost = {
        name: spread_over(times.last, times.gone, times.known & (fate == code), edges)
        for code, name in NAMES.items()
    }
    covered = 1 - gaps_within(coverage, edges)
    seen = {row["day"]: row for row in looks.to_pylist()}
    none = {"looks": 0.0, "failed": 0.0}
    return [
        Day(
            begin,
            float(at_risk[n]),
            {name: float(values[n]) for name, values in lost.items()},
            float(seen.get(begin, none)["looks"]),
            float(seen.get(begin, none)["failed"]),
            float(covered[n]),
        )
        for n, begin in enumerate(edges[:-1].tolist())
    ]


def _beside(
    change: Change, times: Moments, fate: NDArray[np.int8], settings: ReachTimelineSettings
) -> Beside:
    width = round(settings.beside_days * DAY)
    found = []
    for begin, end in ((change.begin - width, change.begin), (change.end, change.end + width)):
        edges = np.asarray([begin, end], np.int64)
        removed = spread_over(times.last, times.gone, times.known & (fate == Fate.REMOVED), edges)
        ones = np.ones(len(times.known))
        mean = exposed_in(times.start, times.middle, times.known, edges, ones)
        found += [float(removed[0]), float(mean[0]) * settings.beside_days]
    return Beside(*found)


def _sentence(change: Change, beside: Beside, settings: ReachTimelineSettings) -> str:
    what = "began" if change.began else "ceased"
    how = ", ".join(word for word in (change.layer, change.mechanism) if word) or "no layer named"
    days = f"{settings.beside_days:g} days"
    return (
        f"{change.target} {what} to be stopped in {change.network} between"
        f" {at(change.begin):%Y-%m-%d %H:%M} and {at(change.end):%Y-%m-%d %H:%M} ({how};"
        f" {change.before} measurements before, {change.after} after, {change.contrary} against)."
        f" In the {days} before it {beside.removed_before:.3g} posts were removed in"
        f" {beside.post_days_before:.0f} post-days, in the {days} after it"
        f" {beside.removed_after:.3g} in {beside.post_days_after:.0f}."
    )


def _change_row(change: Change, beside: Beside) -> dict[str, Any]:
    return {
        "row": "change", "begin": change.begin, "end": change.end, "target": change.target,
        "network": change.network, "state": "began" if change.began else "ended",
        "layer": change.layer, "mechanism": change.mechanism,
        "measurements": change.before + change.after + change.contrary,
        "saying": change.before + change.after, "contrary": change.contrary,
        "removed_before": beside.removed_before, "post_days_before": beside.post_days_before,
        "removed_after": beside.removed_after, "post_days_after": beside.post_days_after,
    }  # fmt: skip


def _span_row(span: Span) -> dict[str, Any]:
    return {
        "row": "span", "begin": span.begin, "end": span.end, "target": span.target,
        "network": span.network, "state": span.seen.value, "layer": span.layer,
        "mechanism": span.mechanism, "measurements": span.measurements, "saying": span.saying,
        "contrary": span.contrary,
    }  # fmt: skip


def _day_row(day: Day) -> dict[str, Any]:
    return {
        "row": "day", "begin": day.begin, "end": day.begin + DAY, "at_risk": day.at_risk,
        **day.by_fate, "looks": day.looks, "failed": day.failed, "covered": day.covered,
    }  # fmt: skip
