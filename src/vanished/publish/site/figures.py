"""The numbers of a site's front page, each with its denominator, as tables and charts.

In: a release's numbers, which `publish.numbers` made of crowds. Out: figures as `desk.front` has
them: a chart and the table behind it are made of the same rows. Nothing is counted here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vanished.explain import charts
from vanished.model import Micros, at
from vanished.publish.desk.front import Figure
from vanished.publish.table_files import plain
from vanished.publish.tongues import Tongue

OUTCOMES: Final = {
    "all": "all",
    "removed": "removed",
    "account": "gone with its account",
    "author": "taken down by its author",
    "open": "several possible",
    "elsewhere": "moved or out of reach",
    "survived": "still there",
    "unproven": "not proven",
    "other": "other",
}
GAP: Final = "gap"
Rows = Sequence[Mapping[str, Any]]


def outcomes(rows: Rows, tongue: Tongue) -> Figure:
    """Posts by platform and outcome."""
    counted = [row for row in rows if row["part"] == "outcomes"]
    columns = [name for name in OUTCOMES if any(row["outcome"] == name for row in counted)]
    platforms = sorted({row["platform"] for row in counted}, key=lambda name: (name == "all", name))
    cell = {(row["platform"], row["outcome"]): row for row in counted}
    table = [
        [
            tongue.say(OUTCOMES.get(name, "")) or name,
            *(_count(cell.get((name, column)), tongue) for column in columns),
        ]
        for name in platforms
    ]
    title = tongue.say("What became of all posts that were met")
    heads = [tongue.say("platform"), *(tongue.say(OUTCOMES[name]) for name in columns)]
    return Figure("outcomes", title, heads, table, None)


def _count(row: Mapping[str, Any] | None, tongue: Tongue) -> str:
    """A number of posts; one that may not be told says so."""
    if row is None:
        return tongue.number(0)
    return tongue.say("withheld") if row["withheld"] else tongue.number(row["posts"])


def weekly(rows: Rows, tongue: Tongue) -> Figure:
    """Posts removed in each week, of those under watch in it."""
    counted = [row for row in rows if row["part"] == "weeks_removed"]
    dated = sorted((row for row in counted if row["since"] is not None), key=_since)
    table: list[list[Any]] = [
        [_day(row["since"]), tongue.number(row["posts"]), tongue.number(row["of_posts"]),
         tongue.share(row["posts"], row["of_posts"] or 0)]
        for row in dated
    ]  # fmt: skip
    table += [
        [tongue.say("other weeks, together"), tongue.number(row["posts"]), "–", "–"]
        for row in counted
        if row["since"] is None
    ]
    title = tongue.say("Removed by platform or law, by week")
    chart = None
    if dated:
        points = [{"week": _day(row["since"]), "n": row["posts"]} for row in dated]
        slanted = {"labelAngle": -40, "labelOverlap": True, "titlePadding": 12}
        x = charts.channel("week", tongue.say("week from (UTC)"), "ordinal", axis=slanted)
        y = charts.channel("n", tongue.say("posts lost"))
        under = tongue.say("Weeks of too few accounts are left out.")
        chart = charts.chart(title, under, points, [charts.bars(x, y)])
    heads = [tongue.say("week from (UTC)"), tongue.say("posts lost"),
             tongue.say("posts under watch"), tongue.say("share")]  # fmt: skip
    return Figure("weekly", title, heads, table, chart)


def gaps(rows: Rows, tongue: Tongue) -> Figure:
    """When nobody was looking."""
    table = [
        [row["platform"] if row["platform"] != "all" else tongue.say(OUTCOMES["all"]),
         tongue.moment(row["since"]), tongue.moment(row["until"])]
        for row in rows
        if row["what"] == GAP
    ]  # fmt: skip
    heads = [tongue.say("platform"), tongue.say("from (UTC)"), tongue.say("until (UTC)")]
    return Figure("gaps", tongue.say("When nothing was watched"), heads, table, None)


def csv_of(figure: Figure) -> bytes:
    """The table behind a chart, with no cell that a spreadsheet takes for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(figure.columns)
    writer.writerows([[plain(str(cell)) for cell in row] for row in figure.rows])
    return b"\xef\xbb\xbf" + file.getvalue().encode("utf-8", "replace")


def _since(row: Mapping[str, Any]) -> Micros:
    return int(row["since"])


def _day(t: Micros) -> str:
    return at(t).date().isoformat()
