"""Does a tenser environment go with more removals? A calendar against the removal rate.

In: posts, coverage, a calendar chosen beforehand. Out: `Events`: removals inside the events'
windows against other days, over all events and for each, with placebos beside it. What is compared
are observed removals and those that the same accounts, ages and topics would have on an average day
(`comparable`), since events also change who writes what. A finding needs two permutation tests to
agree (`shift_tests`), and is "associated with" its events, nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from vanished.errors import UsageError
from vanished.explain.calendar import Calendar, Event, days
from vanished.explain.charts import channel, chart
from vanished.explain.comparable import Comparable, comparable
from vanished.explain.preregistration import Plan, Registered
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K
from vanished.explain.shift_tests import counts_test
from vanished.explain.topics import holding
from vanished.explain.window import Window, met_within
from vanished.model import Micros, at

METHOD: Final = "events/1"
OUTCOME: Final = "removals, over those expected of the same accounts, ages and topics"
COLUMNS: Final = pa.schema(
    [
        ("row", pa.string()),  # all events, event, or placebo
        ("name", pa.string()),
        ("begin", pa.string()),  # first day of the window; "" over several
        ("end", pa.string()),
        ("days_inside", pa.int64()),  # known ones
        ("days_else", pa.int64()),
        ("removed_inside", pa.float64()),  # parts: a loss is spread over its interval
        ("removed_else", pa.float64()),
        ("at_risk_inside", pa.float64()),  # post-days
        ("at_risk_else", pa.float64()),
        ("rate_inside", pa.float64()),  # removals a post-day, standardized
        ("rate_else", pa.float64()),
        ("ratio", pa.float64()),
        ("low", pa.float64()),  # 95 % interval
        ("high", pa.float64()),
        ("p_shift", pa.float64()),  # one-sided: higher inside
        ("p_block", pa.float64()),
        ("p", pa.float64()),  # the larger
        ("q", pa.float64()),  # over single events
        ("higher", pa.bool_()),  # both tests agree
    ]
)
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EventSettings:
    """The plan's choices, all of them; the plan is these and the calendar."""

    before_days: int = 7
    after_days: int = 14
    platforms: tuple[str, ...] = ()  # only posts of these; () for all
    topic: tuple[str, ...] = ()  # only posts with one of these words; () for all
    since: Micros | None = None  # only posts first met from then on
    until: Micros | None = None  # and before, as things stood then
    compare: tuple[tuple[str, ...], ...] = ()  # topics by their words: like only with like
    alpha: float = 0.05
    block_days: int = 14
    resamples: int = 1999
    at_risk: int = 20  # posts of a day, below which it is missing
    shifted_days: tuple[int, ...] = (-91, 91, 182)  # placebos: the calendar, moved
    placebos: tuple[str, ...] = ()  # names of the others: a plan that names some tests all of them
    open_too: bool = False  # count losses of an open cause as removals
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.before_days, self.after_days) < 0 or not 0 < self.alpha < 0.5:
            raise UsageError("Days before and after are 0 or more, alpha lies between 0 and 0.5.")
        if min(self.block_days, self.at_risk) < 1 or self.resamples < 99:
            raise UsageError("Blocks have a day or more, days a post or more; resample 99 times.")
        if len(self.compare) > 40:
            raise UsageError("At most 40 topics can be compared; give fewer.")


@dataclass(frozen=True, slots=True)
class Events:
    """The result; `registered` is where the log keeps the plan, None if it does not."""

    settings: EventSettings
    basis: Basis
    caveats: Sequence[str]
    plan: Plan
    registered: Registered | None
    rows: pa.Table
    series: Comparable
    inside: Flags
    method: str = METHOD

    def table(self) -> pa.Table:
        """All events together, each event, then placebos: `COLUMNS`."""
        return self.rows

    def chart(self) -> Chart:
        """Removals by day and what was expected, with the windows of events."""
        series = self.series
        ms = (series.begin // 1000).tolist()
        rows = [
            {"t": ms[i], "n": float(values[i]) if series.known[i] else None, "which": which}
            for which, values in (("removed", series.removed), ("expected", series.expected))
            for i in range(len(series.removed))
        ]
        edges = np.flatnonzero(np.diff(np.r_[False, self.inside, False]))
        spans = [{"from": ms[a], "to": ms[b]}
                 for a, b in zip(edges[::2], edges[1::2], strict=True)]  # fmt: skip
        x = channel("t", None, "temporal")
        shade = {
            "data": {"values": spans},
            "mark": {"type": "rect", "color": "#d1603d", "opacity": 0.16},
            "encoding": {"x": channel("from", None, "temporal"), "x2": {"field": "to"}},
        }
        lines = {
            "mark": {"type": "line", "strokeWidth": 1.4},
            "encoding": {"x": x, "y": channel("n", "posts a day"),
                         "color": channel("which", None, "nominal", sort=["removed", "expected"])},
        }  # fmt: skip
        under = (
            f"{self.basis.text()}; expected: of the same accounts and ages on an average day;"
            " shaded: windows of events; gaps: too few looks, posts or accounts"
        )
        return chart("Removals and events", under, rows, [*([shade] if spans else []), lines])

    def text(self) -> str:
        """Whether the rate was higher, and whether that had been planned."""
        rows = self.rows.to_pylist()
        if not rows or rows[0]["row"] != "all events":
            nothing = "No day lies in a window of an event and can be told, or every day does."
            return f"{nothing}\n{self._standing()}"
        whole = rows[0]
        verb = "were" if whole["higher"] else "were not shown to be"
        lines = [
            f"Removals {verb} associated with the events, among watched accounts:"
            f" {whole['rate_inside']:.2%} of posts a day in {whole['days_inside']} days of their"
            f" windows, {whole['rate_else']:.2%} in {whole['days_else']} others, {_times(whole)}"
            f" (shift p {whole['p_shift']:.3f}, block p {whole['p_block']:.3f}; both must be"
            f" {self.settings.alpha:g} or less)."
        ]
        single = [r["name"] for r in rows if r["row"] == "event" and r["higher"]]
        if single:
            lines.append(f"Of single events, with: {', '.join(single)}.")
        wrong = [r["name"] for r in rows if r["row"] == "placebo" and r["higher"]]
        if wrong:
            lines.append(f"Placebos show the same, so this says little: {', '.join(wrong)}.")
        lines.append(self._standing())
        return "\n".join(lines)

    def _standing(self) -> str:
        if self.registered is None:
            return "Exploratory: the plan of this test is not in the log."
        first = int(self.series.begin[0])  # 0 where there is no post
        when, leaf = f"{at(self.registered.at):%Y-%m-%d %H:%M}", self.registered.leaf
        if self.registered.at <= first:
            return f"Planned before the days it speaks of (log: {when} UTC, leaf {leaf})."
        return (
            f"Planned in the log ({when} UTC, leaf {leaf}), after some of the days it speaks of had"
            " passed."
        )


def plan_of(calendar: Calendar, settings: EventSettings) -> Plan:
    """What will be tested with these settings."""
    ids = tuple(event.id for event in calendar.events)
    return Plan(METHOD, OUTCOME, calendar.sha256, ids, asdict(settings))


def events(
    posts: pa.Table,
    coverage: pa.Table,
    calendar: Calendar,
    settings: EventSettings | None = None,
    *,
    registered: Registered | None = None,
    placebos: dict[str, pa.Table] | None = None,
) -> Events:
    """Test a calendar against the removals of `posts` (`archive.arrow.POSTS`).

    The posts are cut to the platforms, words and times of the settings. `placebos` are other posts
    by a name, such as another platform's or those of accounts that never write of politics: the
    events should do nothing to them; they are cut to the times. Raises UsageError where
    `registered` keeps another plan, or where only losses are known.
    """
    settings = settings or EventSettings()
    plan = plan_of(calendar, settings)
    if registered is not None:
        plan.check(registered)
        if set(placebos or {}) != set(settings.placebos):
            raise UsageError(
                f"The plan names the placebos {', '.join(settings.placebos) or 'none'}; test these."
            )
    window = Window(settings.since, settings.until, settings.platforms)
    posts = met_within(posts, window)
    if settings.topic:
        posts = posts.filter(holding(posts, settings.topic))
    test = _Test.of(posts, coverage, calendar, settings, np.random.default_rng(settings.seed))
    inside = test.mask(test.found)
    rows: list[dict[str, Any] | None] = []
    whole = test.row("all events", "all events", inside, test.series.known)
    if whole is not None:
        rows.append(whole)
        rows += _single(test, inside)
        rows += [
            test.row("placebo", f"the same events {shift:+d} days",
                     test.mask(test.found, shift) & ~inside, test.series.known & ~inside)
            for shift in settings.shifted_days
        ]  # fmt: skip
    for name, others in (placebos or {}).items():
        others = met_within(others, Window(settings.since, settings.until))
        other = _Test.of(others, coverage, calendar, settings, test.rng)
        rows.append(other.row("placebo", name, other.mask(other.found), other.series.known))
    told = [row for row in rows if row is not None]
    return Events(
        settings, Basis.of(posts), _caveats(test, told), plan, registered,
        pa.Table.from_pylist(told, schema=COLUMNS), test.series, inside,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Test:
    """The series of some posts, and the events that touch it."""

    series: Comparable
    first: date
    found: Sequence[Event]
    settings: EventSettings
    rng: np.random.Generator

    @classmethod
    def of(
        cls,
        posts: pa.Table,
        coverage: pa.Table,
        calendar: Calendar,
        settings: EventSettings,
        rng: np.random.Generator,
    ) -> _Test:
        topic = np.zeros(posts.num_rows, np.int64)
        for words in settings.compare:
            topic = 2 * topic + np.asarray(holding(posts, words).to_numpy(zero_copy_only=False))
        series = comparable(
            posts, coverage, topic, at_least=settings.at_risk, open_too=settings.open_too
        )
        first, number = at(int(series.begin[0])).date(), len(series.removed)
        early = first - timedelta(days=settings.after_days)
        late = first + timedelta(days=number - 1 + settings.before_days)
        return cls(series, first, calendar.within(early, late) if number else [], settings, rng)

    def mask(self, found: Sequence[Event], shift: int = 0) -> Flags:
        """The days of the series that lie in a window of one of these."""
        inside = np.zeros(len(self.series.removed), bool)
        for event in found:
            begin, end = days(event, self.settings.before_days, self.settings.after_days)
            a, b = (begin - self.first).days + shift, (end - self.first).days + shift + 1
            inside[max(a, 0) : max(b, 0)] = True
        return inside

    def row(
        self, row: str, name: str, inside: Flags, known: Flags, begin: str = "", end: str = ""
    ) -> dict[str, Any] | None:
        """These days against the other known ones; None if there is nothing on one side."""
        series, how = self.series, self.settings
        tested = counts_test(
            series.removed, series.expected, known, inside, self.rng, block_days=how.block_days,
            resamples=how.resamples,
        )  # fmt: skip
        if tested is None:
            return None
        sides = [known & inside, known & ~inside]
        removed, expected, at_risk = (
            [float(part[side].sum()) for side in sides]
            for part in (series.removed, series.expected, series.at_risk)
        )
        usual = sum(expected) / sum(at_risk)
        return {
            "row": row, "name": name, "begin": begin, "end": end, "days_inside": tested.days[0],
            "days_else": tested.days[1], "removed_inside": removed[0], "removed_else": removed[1],
            "at_risk_inside": at_risk[0], "at_risk_else": at_risk[1],
            "rate_inside": usual * removed[0] / expected[0],
            "rate_else": usual * removed[1] / expected[1],
            "ratio": _finite(tested.ratio), "low": tested.low, "high": _finite(tested.high),
            "p_shift": tested.shift, "p_block": tested.block, "p": tested.p, "q": None,
            "higher": tested.p <= how.alpha,
        }  # fmt: skip


def _single(test: _Test, everything: Flags) -> list[dict[str, Any] | None]:
    """Each event against the days of no event; q-values over the events."""
    rows = []
    for event in test.found:
        mask = test.mask([event])
        begin, end = days(event, test.settings.before_days, test.settings.after_days)
        known = test.series.known & (mask | ~everything)
        rows.append(test.row("event", event.name, mask, known, begin.isoformat(), end.isoformat()))
    told = [row for row in rows if row is not None]
    q = false_discovery_control([row["p"] for row in told]) if told else []
    return [row | {"q": float(each), "higher": bool(each <= test.settings.alpha)}
            for row, each in zip(told, q, strict=True)]  # fmt: skip


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _times(row: dict[str, Any]) -> str:
    if row["ratio"] is None or row["high"] is None:
        return "where nothing was removed"
    return f"{row['ratio']:.2f} times as much ({row['low']:.2f} to {row['high']:.2f})"


def _caveats(test: _Test, rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    how, known = test.settings, test.series.known
    told = sum(row["row"] == "event" for row in rows)
    caveats = [
        f"{len(test.found)} events of the calendar touch these days, {told} could be tested alone;"
        f" windows from {how.before_days} days before to {how.after_days} days after.",
        f"{int((~known).sum())} of {len(known)} days are missing: nobody looked, or fewer than"
        f" {how.at_risk} posts or {K} accounts were at risk. Days are UTC.",
        "Associated with is not caused by: what else happened in these days is not known here, and"
        " events also change what is written.",
        "Intervals are called 95 %. In simulations they held the truth less often, in 89 to 95 %:"
        " less where much more is written in the windows (docs/explain/events.md).",
        "Two tests must agree, a circular shift and a permutation of"
        f" {how.block_days}-day blocks; each keeps its level on series that remember.",
    ]
    if len(known) * how.alpha < 1:
        caveats.append(
            f"{len(known)} days are too few for the shift test, which then never reaches"
            f" {how.alpha:g}: nothing can be found."
        )
    if rows and not any(row["row"] == "placebo" for row in rows):
        caveats.append("No placebo could be tested: the days are too few to move the events.")
    return tuple(caveats)
