"""Does a tenser environment go with more removals? A calendar against the removal rate.

In: posts, coverage, a calendar chosen beforehand. Out: `Events`: the rate inside the events'
windows against other days, over all events and for each, with placebos beside it. The rate is of
comparable posts: standardized by age and by account, since events also change who writes what. A
finding needs two permutation tests to agree (`shift_tests`), and is "associated with" its events,
nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from vanished.errors import UsageError
from vanished.explain.calendar import Calendar, Event, days
from vanished.explain.change_points import as_rate, stabilized
from vanished.explain.charts import channel, chart
from vanished.explain.preregistration import Plan, Registered
from vanished.explain.removal_rate import RateSettings, RemovalRate, removal_rate
from vanished.explain.result import Basis, Chart
from vanished.explain.shift_tests import Difference, permutation_test
from vanished.model import at

METHOD: Final = "events/1"
OUTCOME: Final = "removals per post at risk and day, standardized by age and account"
COLUMNS: Final = pa.schema(
    [
        ("row", pa.string()),  # all events, event, or placebo
        ("name", pa.string()),
        ("begin", pa.string()),  # first day of the window; "" over several
        ("end", pa.string()),
        ("days_inside", pa.int64()),  # with enough posts
        ("days_else", pa.int64()),
        ("rate_inside", pa.float64()),
        ("rate_else", pa.float64()),
        ("ratio", pa.float64()),
        ("p_shift", pa.float64()),  # one-sided: higher inside
        ("p_block", pa.float64()),
        ("p", pa.float64()),  # the larger
        ("q", pa.float64()),  # over single events
        ("higher", pa.bool_()),  # both tests agree
    ]
)


@dataclass(frozen=True, slots=True)
class EventSettings:
    """The plan's choices; the plan is these and the calendar."""

    before_days: int = 7
    after_days: int = 14
    platforms: tuple[str, ...] = ()
    topic: tuple[str, ...] = ()
    alpha: float = 0.05
    block_days: int = 14
    resamples: int = 1999
    at_risk: int = 20  # posts of a day, below which it is missing
    shifted_days: tuple[int, ...] = (-91, 91, 182)  # placebos: the calendar, moved
    open_too: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.before_days, self.after_days) < 0 or not 0 < self.alpha < 0.5:
            raise UsageError("Days before and after are 0 or more, alpha lies between 0 and 0.5.")


@dataclass(frozen=True, slots=True)
class Events:
    """The result; `registered` is where the log keeps the plan, None if it does not."""

    settings: EventSettings
    basis: Basis
    caveats: Sequence[str]
    plan: Plan
    registered: Registered | None
    rows: pa.Table
    rate: RemovalRate
    inside: NDArray[np.bool_]
    tests: int
    method: str = METHOD

    def table(self) -> pa.Table:
        """All events together, each event, then placebos: `COLUMNS`."""
        return self.rows

    def chart(self) -> Chart:
        """The rate by day, with the windows of events."""
        removed, of = self.rate.known()
        ok = np.nan_to_num(of) >= self.settings.at_risk
        share = np.divide(removed, of, out=np.full(len(of), np.nan), where=ok)
        ms = (self.rate.begin // 1000).tolist()
        rows = [
            {"t": ms[i], "rate": float(share[i]) if np.isfinite(share[i]) else None}
            for i in range(len(of))
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
        dots = {
            "mark": {"type": "line", "point": {"size": 9}, "strokeWidth": 1},
            "encoding": {"x": x, "y": channel("rate", "removed a day, of posts at risk",
                                              axis={"format": ".1%"})},
        }  # fmt: skip
        under = f"{self.basis.text()}; shaded: windows of events"
        return chart("Removals and events", under, rows, [*([shade] if spans else []), dots])

    def text(self) -> str:
        """Whether the rate was higher, and whether that had been planned."""
        rows = self.rows.to_pylist()
        if not rows:
            nothing = "No day lies in a window of an event and has enough posts, or every day does."
            return f"{nothing}\n{self._standing()}"
        whole = rows[0]
        verb = "were" if whole["higher"] else "were not shown to be"
        lines = [
            f"Removals {verb} associated with the events: {whole['rate_inside']:.2%} a day in"
            f" {whole['days_inside']} days of their windows, {whole['rate_else']:.2%} in"
            f" {whole['days_else']} others (shift p {whole['p_shift']:.3f}, block p"
            f" {whole['p_block']:.3f}; both must be {self.settings.alpha:g} or less)."
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
        first = int(self.rate.begin[0])  # 0 where there is no post
        when = f"{at(self.registered.at):%Y-%m-%d %H:%M} UTC, leaf {self.registered.leaf}"
        if self.registered.at <= first:
            return f"Planned before the days it speaks of (log: {when})."
        return f"Planned in the log ({when}), after some of the days it speaks of had passed."


def plan_of(calendar: Calendar, settings: EventSettings) -> Plan:
    """What will be tested with these settings."""
    return Plan(
        METHOD, calendar.sha256, tuple(event.id for event in calendar.events),
        settings.before_days, settings.after_days, OUTCOME, settings.platforms, settings.topic,
        settings.alpha, settings.block_days, settings.seed,
    )  # fmt: skip


def events(
    posts: pa.Table,
    coverage: pa.Table,
    calendar: Calendar,
    settings: EventSettings | None = None,
    *,
    registered: Registered | None = None,
    placebos: dict[str, pa.Table] | None = None,
) -> Events:
    """Test a calendar against the removal rate of `posts` (`archive.arrow.POSTS`).

    `placebos` are other posts by a name, such as another platform's or those of accounts that never
    write of politics: the events should do nothing to them. Cut `posts` to the platforms and topic
    of the settings before.
    """
    settings = settings or EventSettings()
    rng = np.random.default_rng(settings.seed)
    rate = _rate(posts, coverage, settings)
    first, number = _first_day(rate), len(rate.removed)
    last = first + timedelta(days=number - 1)
    found = calendar.within(first - timedelta(days=settings.after_days), last + timedelta(
        days=settings.before_days)) if number else []  # fmt: skip
    inside = _mask(found, first, number, settings, 0)
    values = _values(rate, settings)
    rows = []
    whole = _tested(values, inside, settings, rng)
    if whole is not None:
        rows.append(_row("all events", "all events", "", "", whole, values, inside, settings))
        rows += _single(found, values, first, settings, rng)
        for shift in settings.shifted_days:
            mask = _mask(found, first, number, settings, shift) & ~inside
            rows += _placebo(f"the same events {shift:+d} days", values, mask, settings, rng)
    for name, others in (placebos or {}).items():
        other = _rate(others, coverage, settings)
        mask = _mask(found, _first_day(other), len(other.removed), settings, 0)
        rows += _placebo(name, _values(other, settings), mask, settings, rng)
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    return Events(
        settings, Basis.of(posts), _caveats(found, values, settings), plan_of(calendar, settings),
        registered, table, rate, inside, len(rows),
    )  # fmt: skip


def _rate(posts: pa.Table, coverage: pa.Table, settings: EventSettings) -> RemovalRate:
    how = RateSettings(bin_h=24, by_account=True, open_too=settings.open_too)
    return removal_rate(posts, coverage, how)


def _first_day(rate: RemovalRate) -> date:
    return at(int(rate.begin[0])).date()


def _values(rate: RemovalRate, settings: EventSettings) -> NDArray[np.float64]:
    removed, of = rate.known()
    return stabilized(removed, of, settings.at_risk)


def _mask(
    found: Sequence[Event], first: date, number: int, settings: EventSettings, shift: int
) -> NDArray[np.bool_]:
    """The days of the series that lie in a window."""
    inside = np.zeros(number, bool)
    for event in found:
        begin, end = days(event, settings.before_days, settings.after_days)
        a, b = (begin - first).days + shift, (end - first).days + shift + 1
        inside[max(a, 0) : max(b, 0)] = True
    return inside


def _tested(
    values: NDArray[np.float64],
    inside: NDArray[np.bool_],
    settings: EventSettings,
    rng: np.random.Generator,
) -> Difference | None:
    return permutation_test(
        values, inside, rng, block_days=settings.block_days, resamples=settings.resamples
    )


def _single(
    found: Sequence[Event],
    values: NDArray[np.float64],
    first: date,
    settings: EventSettings,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Each event against the days of no event; q-values over the events."""
    everything = _mask(found, first, len(values), settings, 0)
    rows = []
    for event in found:
        mask = _mask([event], first, len(values), settings, 0)
        others = np.where(everything & ~mask, np.nan, values)
        tested = _tested(others, mask, settings, rng)
        if tested is not None:
            begin, end = days(event, settings.before_days, settings.after_days)
            rows.append(_row("event", event.name, begin.isoformat(), end.isoformat(), tested,
                             others, mask, settings))  # fmt: skip
    q = false_discovery_control([row["p"] for row in rows]) if rows else []
    return [row | {"q": float(each), "higher": bool(each <= settings.alpha)}
            for row, each in zip(rows, q, strict=True)]  # fmt: skip


def _placebo(
    name: str,
    values: NDArray[np.float64],
    mask: NDArray[np.bool_],
    settings: EventSettings,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    tested = _tested(values, mask, settings, rng)
    if tested is None:
        return []
    return [_row("placebo", name, "", "", tested, values, mask, settings)]


def _row(
    row: str,
    name: str,
    begin: str,
    end: str,
    tested: Difference,
    values: NDArray[np.float64],
    mask: NDArray[np.bool_],
    settings: EventSettings,
) -> dict[str, Any]:
    """Rates are means on the stabilized scale, turned back."""
    inside, other = (as_rate(float(np.nanmean(values[m]))) for m in (mask, ~mask))
    return {
        "row": row, "name": name, "begin": begin, "end": end, "days_inside": tested.days[0],
        "days_else": tested.days[1], "rate_inside": inside, "rate_else": other,
        "ratio": inside / other if other else None, "p_shift": tested.shift,
        "p_block": tested.block, "p": tested.p, "q": None,
        "higher": tested.p <= settings.alpha,
    }  # fmt: skip


def _caveats(
    found: Sequence[Event], values: NDArray[np.float64], settings: EventSettings
) -> tuple[str, ...]:
    missing = int((~np.isfinite(values)).sum())
    return (
        f"{len(found)} events of the calendar; windows from {settings.before_days} days before to"
        f" {settings.after_days} days after. {missing} of {len(values)} days are missing: nobody"
        f" looked, or fewer than {settings.at_risk} posts were at risk.",
        "Associated with is not caused by: what else happened in these days is not known here, and"
        " events also change what is written.",
        "Two tests must agree, a circular shift and a permutation of"
        f" {settings.block_days}-day blocks; each keeps its level on series that remember.",
    )
