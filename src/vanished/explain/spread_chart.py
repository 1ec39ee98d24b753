"""Reposts by age as a picture: the middle and the far end of removed and of other posts.

In: looks and what became of the posts. Out: rows of a chart in cells of `shares.K` accounts, and
the chart. A post that was removed stops growing, so its curve says how far it got, not how far it
would have got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from vanished.explain.charts import band, channel, chart, line
from vanished.explain.crossing import Looks, latest
from vanished.explain.exposure import Lives
from vanished.explain.result import Basis, Chart
from vanished.explain.shares import K
from vanished.explain.thresholds import Threshold
from vanished.model import HOUR

AGES_H: Final = tuple(0.25 * 2 ** (n / 2) for n in range(24))  # a quarter of an hour to 30 days
REMOVED, OTHER = "removed later", "not removed"


def curves(lives: Lives, found: Looks, counter: str) -> Sequence[Mapping[str, Any]]:
    """Median and 90 % of a counter's lower end by age, of the posts that were alive at that age and
    had been counted."""
    rows = []
    for age in AGES_H:
        times = lives.born + int(age * HOUR)
        index = latest(found, len(lives.born), times)
        for name, here in ((REMOVED, lives.removed), (OTHER, ~lives.removed)):
            chosen = np.flatnonzero(here & (index >= 0) & (lives.alive_until >= times))
            accounts = len(np.unique(lives.account[chosen]))
            if accounts < K or len(chosen) < 10:  # the 90 % of fewer posts is one post
                continue
            shown = np.maximum(found.low[counter][index[chosen]], 1)
            middle, far = np.quantile(shown, [0.5, 0.9])
            rows.append({"age": age, "posts": len(chosen), "what": name, "median": float(middle),
                         "p90": float(far)})  # fmt: skip
    return rows


def drawn(rows: Sequence[Mapping[str, Any]], law: Threshold, counter: str, basis: Basis) -> Chart:
    """The curves with the line that the law draws."""
    number = law.reaches[counter]
    age = channel("age", "age of the post, hours (logarithmic)", scale={"type": "log"})
    title = f"{counter} at least, per post (logarithmic; 0 shown as 1)"
    count = channel("median", title, scale={"type": "log"})
    colour = channel("what", "median, up to the 90 % quantile, of posts still there and counted at"
                     " each age", "nominal", sort=[REMOVED, OTHER],
                     legend={"titleLimit": 600})  # fmt: skip
    area = band(age, "median", "p90", colour)
    area["encoding"]["y"]["title"] = title  # Vega-Lite leaves all titles out where one is null
    at_line: Chart = {
        "data": {"values": [{"number": number, "label": f"{number:,} {counter}"}]},
        "encoding": {"y": channel("number", title)},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 3], "color": "#333"}},
            {"mark": {"type": "text", "align": "left", "x": 4, "dy": -7, "color": "#333"},
             "encoding": {"text": {"field": "label", "type": "nominal"}}},
        ],
    }  # fmt: skip
    layers = [area, line(age, count, colour), at_line]
    head = f"How far posts spread, beside the line of {number:,} {counter}"
    return chart(head, basis.text(), [dict(row) for row in rows], layers)
