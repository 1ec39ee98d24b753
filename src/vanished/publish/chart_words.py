"""A chart of an analysis in the reader's language.

In: a Vega-Lite specification as `explain` makes it, a language. Out: one that says the same:
titles, names of axes and legends, and those values that are words of ours. Names of posts, words,
accounts, targets and networks stay. English is given back as it is; nothing is drawn here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

from vanished.explain.charts import WIDTH
from vanished.explain.result import Chart
from vanished.publish.sentences import told

OURS: Final = frozenset({"fate", "which", "what", "cause", "state", "label", "platform"})
"""Fields of charts whose values are words of analyses."""
CAUSES: Final = frozenset({"cause", "what"})
"""Those of them that hold causes: there "open" is a cause, elsewhere a way through."""
_DATES: Final = (("%-d %b", "%-m月%-d日"), ("%d %b", "%-m月%-d日"), ("%b %Y", "%Y年%-m月"))
"""How axes write days and months, here and there."""
_PIECE: Final = re.compile(r"[ -~]+|.")


def in_words_of(tag: str, chart: Chart) -> Chart:
    """The chart in the language `tag`."""
    if tag == "en":
        return chart
    found: Chart = _part(tag, chart)
    title = chart.get("title")
    if isinstance(title, Mapping) and title.get("subtitle"):
        found["title"]["subtitle"] = _under(tag, title["subtitle"])
    return found


def word(tag: str, field: str, value: str) -> str:
    """What stands in a field of a table or chart, where it is a word of ours."""
    return told(tag, "cause open" if field in CAUSES and value == "open" else value, "findings")


def dated(tag: str, how: str) -> str:
    """A format of an axis of time, as readers of this language write it."""
    if tag != "en":
        for ours, theirs in _DATES:
            how = how.replace(ours, theirs)
    return how


def _part(tag: str, part: Any) -> Any:
    if isinstance(part, list):
        return [_part(tag, each) for each in part]
    if not isinstance(part, Mapping):
        return part
    ours = part.get("field") in OURS
    return {key: _value(tag, key, value, ours=ours) for key, value in part.items()}


def _value(tag: str, key: str, value: Any, *, ours: bool) -> Any:
    if isinstance(value, str):
        if key in ("title", "text"):
            return told(tag, value, "findings")
        if key in OURS:
            return word(tag, key, value)
        return dated(tag, value) if key == "format" else value
    if key == "format" and isinstance(value, Mapping):  # by what a mark begins
        return {unit: dated(tag, how) for unit, how in value.items()}
    if ours and key == "sort" and isinstance(value, list):
        return [told(tag, each, "findings") for each in value]
    if ours and key == "scale" and isinstance(value, Mapping) and "domain" in value:
        return {**value, "domain": [told(tag, each, "findings") for each in value["domain"]]}
    return _part(tag, value)


def _under(tag: str, lines: Sequence[str]) -> list[str]:
    """The lines of a subtitle: one sentence that `charts.chart` wrapped, or each its own."""
    whole = " ".join(lines)
    said = [whole] if wrap(whole, WIDTH) == list(lines) else lines
    return [part for line in said for part in _wrapped(told(tag, line, "findings"))]


def _wrapped(line: str) -> list[str]:
    """Chinese breaks between any two signs, each two wide; numbers and names stay whole."""
    found, wide = [""], 0
    for piece in _PIECE.findall(line):
        size = sum(1 if sign.isascii() else 2 for sign in piece)
        if found[-1] and wide + size > WIDTH and piece not in "，。；：、）”」":
            found.append("")
            wide = 0
        found[-1] += piece
        wide += size
    return found
