"""Parts of Vega-Lite charts that several analyses share.

In: rows and names of fields. Out: dictionaries of a Vega-Lite specification with inline values, so
that `publish` can draw them here and a browser can draw them there. Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, Final

from vanished.explain.result import Chart

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"  # a name, never fetched
COLOURS: Final = ("#31688e", "#d1603d", "#35b779", "#8e6bbf", "#b5a53a", "#5a5a5a", "#c2568f")
WIDE, HIGH = 640, 320
DATES: Final = {
    "year": "%Y", "quarter": "%b %Y", "month": "%b %Y", "week": "%-d %b", "date": "%-d %b",
    "day": "%-d %b", "hours": "%H:%M", "minutes": "%H:%M",
}  # fmt: skip
"""How an axis writes times, by what a mark begins."""
SPARSE: Final = {
    "tickCount": 6, "labelOverlap": "greedy", "labelSeparation": 12, "labelFlush": False,
}  # fmt: skip
"""Labels that stand apart from each other in readers' fonts, too."""
WIDTH: Final = 96  # of a line under the title, in letters


def chart(
    title: str, under: str, rows: Sequence[dict[str, Any]], layers: Sequence[dict[str, Any]]
) -> Chart:
    """A chart of layers over `rows`; `under` is the subtitle: denominators, never advertisement."""
    return {
        "$schema": SCHEMA,
        "title": {"text": title, "subtitle": wrap(under, WIDTH), "anchor": "start"},
        "width": WIDE,
        "height": HIGH,
        "background": "white",
        "padding": {"left": 12, "top": 8, "right": 24, "bottom": 8},  # readers' fonts are wider
        "data": {"values": list(rows)},
        "layer": list(layers),
        "config": {
            "range": {"category": list(COLOURS)},
            "view": {"stroke": None},
            "legend": {"orient": "bottom", "titleFontWeight": "normal", "columnPadding": 30},
            "axis": {"grid": True, "gridColor": "#e5e5e5", "titleFontWeight": "normal"},
            "axisLeft": {"titlePadding": 14},  # readers' fonts are wider
        },
    }


def channel(field: str, title: str | None, kind: str = "quantitative", **more: Any) -> Chart:
    """The encoding of one field. `kind` is quantitative, nominal, ordinal or temporal.

    Times of `temporal` fields are in milliseconds since the epoch, shown in UTC.
    """
    found: Chart = {"field": field, "type": kind, "title": title, **more}
    if kind == "temporal":
        found.setdefault("scale", {"type": "utc"})
        found.setdefault("axis", {"format": dict(DATES), **SPARSE})
    return found


def band(x: Chart, low: str, high: str, colour: Chart | None = None) -> Chart:
    """A pale area between two fields: an interval."""
    encoding: Chart = {"x": x, "y": channel(low, None), "y2": {"field": high}}
    if colour:
        encoding["color"] = colour
    return {"mark": {"type": "area", "opacity": 0.22}, "encoding": encoding}


def line(x: Chart, y: Chart, colour: Chart | None = None, *, step: bool = False) -> Chart:
    """A line, or a step function that holds from its x on."""
    mark: Chart = {"type": "line"}
    if step:
        mark["interpolate"] = "step-after"
    return {"mark": mark, "encoding": {"x": x, "y": y} | ({"color": colour} if colour else {})}


def bars(x: Chart, y: Chart, colour: Chart | None = None) -> Chart:
    """Bars; lying ones where y is nominal."""
    return {"mark": "bar", "encoding": {"x": x, "y": y} | ({"color": colour} if colour else {})}


def whiskers(
    x: Chart, low: str, high: str, *, lying: bool = False, title: str | None = None
) -> Chart:
    """The interval of each bar or dot. `x` is the channel that names it. `title` has to be that of
    the other layers' axis: without one this layer takes theirs away."""
    ends: Chart = {"x": channel(low, title), "x2": {"field": high}, "y": x}
    if not lying:
        ends = {"y": channel(low, title), "y2": {"field": high}, "x": x}
    return {"mark": {"type": "rule", "color": "#333"}, "encoding": ends}


def rule(at: str, *, colour: str = "#d1603d") -> Chart:
    """Upright lines at the times in this temporal field."""
    return {
        "mark": {"type": "rule", "strokeDash": [4, 3], "color": colour},
        "encoding": {"x": channel(at, None, "temporal")},
    }
