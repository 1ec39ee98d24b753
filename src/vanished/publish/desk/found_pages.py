"""Pages of what analyses found: each with its method, what it rests on, and what it does not say.

In: findings that are kept (`publish.findings`). Out: what their pages show. Nothing is computed
here; where nothing was found, or nothing could be, the page says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response

from vanished.archive import advice
from vanished.errors import UsageError
from vanished.model import DAY, at
from vanished.publish.chart_words import word
from vanished.publish.desk.asked import Asked, Page, Shown, download, failed, listed
from vanished.publish.desk.links import PLACES
from vanished.publish.desk.words import TITLES
from vanished.publish.finding_shown import cell
from vanished.publish.findings import Found

ROWS: Final = 50  # of a table, on one page
LISTED: Final = 100  # losses of a story, on one page
LATELY: Final = 7 * DAY  # a campaign that ended longer before the last look is not on the front
FEW: Final = 8  # rising terms and campaigns on the front page
SAID: Final = frozenset({"kind", "cause", "state", "finding", "measure", "unit", "group", "forms"})
"""Columns whose values are words of analyses, not of posts."""
NAMED: Final = frozenset({"who", "events"})
"""Analyses whose column "name" is theirs, too."""
NAMES: Final = (
    "terms", "combinations", "stories", "campaigns", "events", "timeline", "speed", "spread", "who",
)  # fmt: skip


def findings(asked: Asked) -> Shown:
    """What was looked into, with the answer's first sentence, and what leads further."""
    kept = asked.desk.findings
    return Shown(
        "findings",
        {
            "about": kept.about(),
            "found": [(name, kept.found(name)) for name in NAMES],
            "finder": asked.desk.finder,
        },
    )


def page_of(name: str) -> Page:
    """The page of one analysis."""

    def finding(asked: Asked) -> Shown:
        kept = asked.desk.findings
        found = kept.found(name)
        kind = asked.query.get("show", "")
        tables = [] if found is None else _tables(asked, found)
        kinds = [table["kind"] for table in tables]
        if kind and kind not in kinds:
            raise UsageError(f"'{kind[:40]}' is no part of this; choose of {', '.join(kinds)}.")
        return Shown(
            "finding",
            {
                "name": name,
                "found": found,
                "about": kept.about(),
                "tables": [t for t in tables if not kind or t["kind"] == kind],
                "kinds": kinds if len(kinds) > 1 else [],
                "kind": kind,
                "finder": asked.desk.finder,
            },
        )

    return finding


def chart(asked: Asked) -> Response:
    """The chart of an analysis."""
    drawn = asked.desk.findings.chart(asked.path["name"], asked.tongue.tag)
    if not drawn:
        return Response("There is no such chart.", 404, media_type="text/plain")
    return Response(drawn, media_type="image/svg+xml")


def table(asked: Asked) -> Response:
    """All of the table of an analysis, as CSV."""
    name = asked.path["name"]
    content = asked.desk.findings.table(name)
    if content is None:
        return Response("There is no such table.", 404, media_type="text/plain")
    return download(iter([content.decode()]), "text/csv; charset=utf-8", f"{name}.csv")


def story(asked: Asked) -> Shown:
    """One story: those of its posts that were lost, and what became of the others."""
    kept = asked.desk.findings
    posts = kept.members(asked.path["key"])
    if not posts:
        return failed(asked, status=404)
    lost = asked.desk.shelf().some(posts)
    found = kept.found("stories")
    row = next((r for r in found.rows if r["story"] == asked.path["key"]), None) if found else None
    return Shown(
        "story",
        {
            "key": asked.path["key"],
            "posts": len(posts),
            "lost": len(lost),
            "row": row,
            "rows": [listed(one) for one in lost[:LISTED]],
            "found": found,
            "about": kept.about(),
        },
    )


def go_arounds(asked: Asked) -> Shown:
    """What works here, by the last test that was kept."""
    now = asked.desk.clock.now()
    tested = advice.kept(asked.desk.folder / advice.FILE)
    return Shown(
        "goarounds",
        {
            "tested": [(one, _micros(one.tested_at)) for one in tested],
            "old": any(one.age_s(at(now)) > advice.MAX_AGE_S for one in tested),
        },
    )


def _micros(moment: str) -> int:
    return int(datetime.fromisoformat(moment).astimezone(UTC).timestamp() * 1e6)


def rising(asked: Asked) -> list[dict[str, Any]]:
    """Terms that go with removal, those with the strongest evidence first, for the front page."""
    found = asked.desk.findings.found("terms")
    return [dict(row) for row in found.rows[:FEW]] if found else []


def live(asked: Asked) -> list[dict[str, Any]]:
    """Campaigns that are under way, or ended within a week before the last look; the analysis may
    be older than that."""
    kept = asked.desk.findings
    found, about = kept.found("campaigns"), kept.about()
    if found is None or about is None or about.until is None:
        return []
    since = max(about.until, asked.desk.shelf().now()) - LATELY
    return [dict(row) for row in found.rows if row["end"] >= since][:FEW]


def _tables(asked: Asked, found: Found) -> list[dict[str, Any]]:
    """The rows by their kind, each kind with the columns that say something of it."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in found.rows:
        by_kind.setdefault(str(row.get("row") or ""), []).append(row)
    # Its chart names stories by their keys.
    shown = dict.fromkeys(["story", *found.shown] if found.name == "stories" else found.shown)
    tables = []
    for kind, rows in by_kind.items():
        columns = [
            name for name in shown
            if name != "row" and any(row.get(name) is not None for row in rows)
        ]  # fmt: skip
        tables.append({
            "kind": kind, "columns": columns, "total": len(rows),
            "rows": [[_cell(asked, found.name, name, row) for name in columns]
                     for row in rows[:ROWS]],
        })  # fmt: skip
    return tables


def _cell(asked: Asked, of: str, name: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """What a cell says, and where it leads ("" nowhere)."""
    value = row.get(name)
    tongue, links = asked.tongue, asked.links
    if isinstance(value, bool):
        return tongue.say("yes" if value else "no"), ""
    if name in SAID or (name == "name" and of in NAMED):
        values = value if isinstance(value, list) else [value]
        return ", ".join(word(tongue.tag, name, cell(name, each)) for each in values) or "–", ""
    says = cell(name, value)
    if name == "story" and value:
        return f"{says[:8]}…", links.story(str(value))
    if name == "text" and row.get("story"):
        return says[:90] or "–", links.story(str(row["story"]))
    if name == "term" and value:
        return says, links.losses(q=str(value))
    return says or "–", ""


PAGES: Final[Mapping[str, Page]] = {
    **{f"/{PLACES.get(name, name)}": page_of(name) for name in NAMES},
    "/findings": findings,
    "/findings/{name}.svg": chart,
    "/findings/{name}.csv": table,
    "/story/{key}": story,
    "/go-arounds": go_arounds,
}
assert set(TITLES) >= set(NAMES)
