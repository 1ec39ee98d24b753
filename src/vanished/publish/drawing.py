"""Charts as files: SVG or PNG of a Vega-Lite specification, drawn here, offline.

In: a `Chart` of an analysis. Out: the text of an SVG, or the bytes of a PNG. Needs the extra
`explain` (vl-convert: Vega itself in one wheel, which fetches nothing while values are inline).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import vl_convert

from vanished.archive.durable import refusals, write_atomically
from vanished.errors import UsageError
from vanished.explain.result import Chart

GRAMMAR: Final = "6.4"  # version of Vega-Lite, as `explain.charts` writes it


TIMES: Final[Mapping[str, Literal["en-US", "zh-CN", "zh-TW"]]] = {
    "en": "en-US",
    "zh-Hans": "zh-CN",
    "zh-Hant": "zh-TW",
}
"""How languages write days and months on an axis (d3-time-format)."""


def svg(chart: Chart, tag: str = "en") -> str:
    """The chart as SVG; words stay words, in the reader's fonts. `tag`: the language of its
    dates; its words are as the specification has them."""
    return str(
        vl_convert.vegalite_to_svg(
            chart, vl_version=GRAMMAR, allowed_base_urls=[], time_format_locale=TIMES[tag]
        )
    )


def png(chart: Chart) -> bytes:
    """The chart as PNG, twice as fine as a screen."""
    return bytes(
        vl_convert.vegalite_to_png(chart, vl_version=GRAMMAR, scale=2, allowed_base_urls=[])
    )


def draw(chart: Chart, file: Path) -> None:
    """Write the chart to a .svg or .png. Raises UsageError for any other name: a slip of
    the pen must not overwrite something else. Raises StorageError where the disk refuses."""
    form = file.suffix.lower()
    if form not in (".svg", ".png"):
        raise UsageError(
            f"{file} ends in neither .svg nor .png; name a file for the chart that does."
        )
    drawn = svg(chart).encode() if form == ".svg" else png(chart)
    with refusals(f"write {file}"):
        write_atomically(file, drawn)
