"""The timeline of reach and removals as a picture: two panels over one axis of time.

In: rows of days, spans and changes. Out: a Vega-Lite chart. States differ by thickness as well as
by colour, days without coverage are grey, and what is not drawn is said under the title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vanished.explain.charts import COLOURS, WIDE, channel, chart, rule
from vanished.explain.reach_spans import Change, Seen, Span
from vanished.explain.result import Chart
from vanished.model import DAY

MOST: Final = 12  # targets in networks that are drawn: those with changes first, then the blocked
THICK: Final = {Seen.BLOCKED: 15, Seen.LIKELY: 9, Seen.OPEN: 3}
SHADES: Final = {Seen.BLOCKED: COLOURS[1], Seen.LIKELY: "#e8a33d", Seen.OPEN: COLOURS[0]}
LOST: Final = {
    "removed": "by platform or law",
    "with_account": "with the account",
    "by_author": "by the author",
    "cause_open": "cause open",
}


def drawn(
    days: Sequence[Mapping[str, Any]], spans: Sequence[Span], changes: Sequence[Change], under: str
) -> Chart:
    """Losses of each day above, and under them a line for each target in a network."""
    places = _chosen(spans, changes)
    left_out = len({(s.target, s.network) for s in spans}) - len(places)
    if left_out:
        under = f"{left_out} more targets in networks are not drawn; {under}"
    found = chart("Reach and removals on one timeline", under, [], [])
    shared = {key: found.pop(key) for key in ("width", "height", "layer", "data")}
    ends = [day["begin"] // 1000 for day in days] + [days[-1]["end"] // 1000]
    axis = {"scale": {"type": "utc", "domain": [min(ends), max(ends)], "nice": False}}
    marked = [{"change": change.middle // 1000} for change in changes
              if (change.target, change.network) in places]  # fmt: skip
    lines = {"data": {"values": marked}, **rule("change", colour="#333")}
    lines["encoding"]["x"] |= axis
    above = [*_losses(days, axis), lines]
    below = [*_targets(spans, places, axis), lines]
    found["vconcat"] = [
        {"width": shared["width"], "height": 190, "layer": above},
        {"width": shared["width"], "height": max(40, 26 * len(places)), "layer": below},
    ]
    found["resolve"] = {"scale": {"color": "independent", "x": "shared"}}
    return found


def _chosen(spans: Sequence[Span], changes: Sequence[Change]) -> list[tuple[str, str]]:
    changed = {(change.target, change.network) for change in changes}
    stopped = {(s.target, s.network) for s in spans if s.seen in (Seen.BLOCKED, Seen.LIKELY)}
    every = sorted({(span.target, span.network) for span in spans})
    every.sort(key=lambda place: (place not in changed, place not in stopped))
    return every[:MOST]


def _losses(days: Sequence[Mapping[str, Any]], axis: Chart) -> list[Chart]:
    """Bars by day and cause, on grey where nobody looked for most of the day."""
    rows = [
        {"day": day["begin"] // 1000, "next": day["end"] // 1000, "cause": cause,
         "lost": day[name], "at_risk": round(day["at_risk"], 1)}
        for day in days
        for name, cause in LOST.items()
    ]  # fmt: skip
    thin = [
        {"day": day["begin"] // 1000, "next": day["end"] // 1000} for day in days if day["thin"]
    ]
    day = channel("day", None, "temporal", axis={"labels": False, "ticks": False}, **axis)
    width = max(1.0, 0.8 * WIDE / max(1, len(days)))
    grey: Chart = {
        "data": {"values": thin},
        "mark": {"type": "rect", "color": "#d9d9d9"},
        "encoding": {"x": day, "x2": {"field": "next"}},
    }
    # A bar stands in the middle of its day.
    shown = [{**row, "noon": row["day"] + DAY // 2000} for row in rows]
    bars: Chart = {
        "data": {"values": shown},
        "mark": {"type": "bar", "width": width},
        "encoding": {
            "x": day | {"field": "noon"},
            "y": channel("lost", "posts lost per day"),
            "color": channel("cause", "posts lost (grey: nobody looked)", "nominal",
                             sort=list(LOST.values())),
            "order": {"field": "cause"},
        },
    }  # fmt: skip
    return [grey, bars]


def _targets(spans: Sequence[Span], places: Sequence[tuple[str, str]], axis: Chart) -> list[Chart]:
    """A line for each target and network: thick where blocked, thin where open, none without
    data; a tick where it begins, so that a short span is seen."""
    names = {place: f"{_short(place[0])} · {place[1]}" for place in places}
    rows = [
        {"begin": span.begin // 1000, "end": span.end // 1000, "place": names[place],
         "state": span.seen.value}
        for span in spans
        if (place := (span.target, span.network)) in names and span.seen is not Seen.NO_DATA
    ]  # fmt: skip
    order = [names[place] for place in places]
    which = channel("place", None, "nominal", sort=order, scale={"domain": order},
                    axis={"labelLimit": 220, "grid": False})  # fmt: skip
    states = [seen.value for seen in THICK]
    colour = channel("state", "seen from the network (nothing drawn: no data)", "nominal",
                     scale={"domain": states, "range": list(SHADES.values())},
                     legend={"titleLimit": 600, "symbolType": "square"})  # fmt: skip
    layers: list[Chart] = []
    for seen, thick in THICK.items():
        here: Chart = {
            "data": {"values": [row for row in rows if row["state"] == seen.value]},
            "encoding": {
                "x": channel("begin", None, "temporal", axis={"format": "%d %b"}, **axis),
                "y": which,
                "color": colour,
            },
        }
        layers.append(
            {
                **here,
                "mark": {"type": "bar", "height": thick},
                "encoding": here["encoding"] | {"x2": {"field": "end"}},
            }
        )
        layers.append(
            {**here, "mark": {"type": "tick", "thickness": 2, "size": thick, "opacity": 1}}
        )
    return layers


def _short(target: str) -> str:
    name = target.removeprefix("https://").rstrip("/")
    return name if len(name) <= 34 else f"{name[:33]}…"
