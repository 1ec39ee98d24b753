"""What the front page counts, and the charts of it.

In: the shelf. Out: rows for tables, each with its denominator, and Vega-Lite specifications of the
same rows. A chart and the table behind it are made of the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vanished.explain import charts
from vanished.explain.result import Chart
from vanished.model import DAY, Micros, at
from vanished.publish.chart_words import dated
from vanished.publish.desk.words import SHORT, group
from vanished.publish.shelf.filters import Filter
from vanished.publish.shelf.reading import DELAYS, Shelf
from vanished.publish.tongues import Tongue

WINDOWS: Final = (1, 7, 30)
"""Days of the front page's counts."""
SHOWN_DAYS: Final = 30
PALETTE: Final = {
    "platform": "#b3462c", "legal": "#8e6bbf", "account": "#31688e", "author": "#5f8f3e",
    "network": "#b5892a", "moved": "#6b7a8f", "open": "#c2568f", "unknown": "#5a5a5a",
}  # fmt: skip
"""The same colour for a cause everywhere; its sign and its name always stand beside it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart and the table behind it."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    chart: Chart | None  # None where there is nothing to draw


def windows(shelf: Shelf, now: Micros) -> list[dict[str, Any]]:
    """For each window: losses by cause with the posts met in it and the looks made."""
    found: list[dict[str, Any]] = []
    for days in WINDOWS:
        since = now - days * DAY
        causes: dict[str, int] = {}
        for row in shelf.causes(since, now):
            name = group(row["causes"])
            causes[name] = causes.get(name, 0) + row["n"]
        found.append({"days": days, "since": since, "causes": causes, "lost": sum(causes.values())})
        found[-1].update(shelf.met(since, now))
    return found


def daily(shelf: Shelf, tongue: Tongue, now: Micros) -> Figure:
    """Losses a day, by cause."""
    days = shelf.days(now - SHOWN_DAYS * DAY, now)
    found: dict[str, dict[int, int]] = {}
    for day in days:
        for causes, n in day["causes"].items():
            name = group(causes.split(","))
            found.setdefault(name, {})[day["day"]] = found.get(name, {}).get(day["day"], 0) + n
    names = [name for name in PALETTE if name in found]
    table = [
        [at(day["day"]).date().isoformat(), *(found[n].get(day["day"], 0) for n in names),
         day["met"], day["looks"]]
        for day in days
    ]  # fmt: skip
    points = [
        {"day": day["day"] // 1000, "cause": tongue.say(SHORT[name]), "n": n, "order": order}
        for order, name in enumerate(names)
        for day in days
        if (n := found[name].get(day["day"], 0))
    ]
    chart = None
    if points:
        colour = charts.channel("cause", tongue.say("cause"), "nominal", scale={
            "domain": [tongue.say(SHORT[n]) for n in names], "range": [PALETTE[n] for n in names],
        })  # fmt: skip
        x = _days(tongue)
        bars = charts.bars(x, charts.channel("n", tongue.say("posts lost")), colour)
        met = tongue.number(sum(day["met"] for day in days))
        under = tongue.say("of {met} posts met in these days").format(met=met)
        chart = charts.chart(tongue.say("Losses a day, by cause"), under, points, [bars])
    columns = [tongue.say("day (UTC)"), *(tongue.say(SHORT[n]) for n in names),
               tongue.say("posts met"), tongue.say("looks")]  # fmt: skip
    return Figure("daily", tongue.say("Losses a day, by cause"), columns, table, chart)


def _days(tongue: Tongue) -> Chart:
    """The axis of days."""
    return charts.channel(
        "day", tongue.say("day (UTC)"), "temporal", timeUnit="utcyearmonthdate",
        axis={"format": dated(tongue.tag, "%-d %b"), **charts.SPARSE},
    )  # fmt: skip


def delays(shelf: Shelf, tongue: Tongue, now: Micros) -> Figure:
    """How long after publication posts were lost."""
    found = shelf.delays(now - SHOWN_DAYS * DAY, now)
    ends = [tongue.span(s) for s in DELAYS]
    labels = [tongue.say("within {end}").format(end=end) for end in ends]
    labels.append(tongue.say("later than {end}").format(end=ends[-1]))
    total = sum(found["counts"])
    rows = [
        [label, n, tongue.share(n, total)] for label, n in zip(labels, found["counts"], strict=True)
    ]
    rows.append([tongue.say("not known"), found["unknown"], "–"])
    chart = None
    if total:
        points = [
            {"delay": label, "n": n, "order": order}
            for order, (label, n) in enumerate(zip(labels, found["counts"], strict=True))
        ]
        y = charts.channel("delay", None, "nominal", sort={"field": "order"})
        under = tongue.say("{n} losses whose time is known; {unknown} more are not").format(
            n=tongue.number(total), unknown=tongue.number(found["unknown"])
        )
        bars = charts.bars(charts.channel("n", tongue.say("posts lost")), y)
        chart = charts.chart(tongue.say("How long posts stood"), under, points, [bars])
    columns = [tongue.say("after publication"), tongue.say("posts lost"), tongue.say("share")]
    return Figure("delays", tongue.say("How long posts stood"), columns, rows, chart)


def coverage(shelf: Shelf, tongue: Tongue, now: Micros) -> Figure:
    """When we looked, and when not: hours with a look, and the share of looks that failed."""
    days = shelf.days(now - SHOWN_DAYS * DAY, now)
    rows = [
        [at(d["day"]).date().isoformat(), d["hours"], d["looks"], d["failed"],
         tongue.share(d["failed"], d["looks"])]
        for d in days
    ]  # fmt: skip
    points = [
        {"day": d["day"] // 1000, "hours": d["hours"],
         "what": tongue.say("looking" if d["hours"] >= 24 else "part of the day"
                            if d["hours"] else "not looking")}
        for d in days
    ]  # fmt: skip
    words = [tongue.say(w) for w in ("looking", "part of the day", "not looking")]
    colour = charts.channel("what", None, "nominal", scale={
        "domain": words, "range": ["#31688e", "#9ec3d8", "#d1603d"],
    })  # fmt: skip
    x = _days(tongue)
    y = charts.channel("hours", tongue.say("hours with a look"), scale={"domain": [0, 24]})
    under = tongue.say("Where the bars are low, a loss can have been missed, or noticed late.")
    chart = charts.chart(tongue.say("When we looked"), under, points, [charts.bars(x, y, colour)])
    chart["height"] = 120
    columns = [tongue.say("day (UTC)"), tongue.say("hours with a look"), tongue.say("looks"),
               tongue.say("failed looks"), tongue.say("share failed")]  # fmt: skip
    return Figure("coverage", tongue.say("When we looked"), columns, rows, chart)


def count_front(shelf: Shelf) -> None:
    """Count ahead what every page says, so that nobody waits for it."""
    now = shelf.now()
    windows(shelf, now)
    shelf.days(now - SHOWN_DAYS * DAY, now)
    shelf.delays(now - SHOWN_DAYS * DAY, now)
    shelf.platforms()
    shelf.accounts("")
    shelf.span()
    shelf.count(Filter())


FIGURES: Final[dict[str, Callable[[Shelf, Tongue, Micros], Figure]]] = {
    "daily": daily,
    "delays": delays,
    "coverage": coverage,
}
"""The charts of the front page."""
