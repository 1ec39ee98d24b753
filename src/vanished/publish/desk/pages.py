"""The dashboard's pages: what each shows, for templates to say.

In: what was asked for. Out: the name of a template and its values, or a file to download. A page
reads the shelf and concludes nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.responses import Response

from vanished import __version__
from vanished.model import SECOND
from vanished.publish.desk import found_pages, item, reviewing
from vanished.publish.desk.asked import Asked, Page, Shown, download, failed, listed
from vanished.publish.desk.front import FIGURES, PALETTE, windows
from vanished.publish.desk.state import CHECKED_S
from vanished.publish.moments import iso
from vanished.publish.shelf.filters import CHOICES, Filter
from vanished.publish.table_files import plain

ACCOUNTS: Final = 200  # on one page
LONGEST: Final = 4000  # characters of a wording that are compared


def home(asked: Asked) -> Shown:
    """Losses by cause over a day, a week, a month; how fast; whether we looked."""
    shelf = asked.desk.shelf()
    now = shelf.now()
    latest = shelf.losses(Filter(), rows=8)
    return Shown(
        "home",
        {
            "now": now,
            "windows": windows(shelf, now),
            "causes": [*PALETTE],
            "figures": [asked.desk.figure(name, asked.tongue) for name in FIGURES],
            "gaps": shelf.gaps(now - 30 * 86400 * SECOND, now),
            "latest": [listed(row) for row in latest.rows],
            "total": latest.total,
            "platforms": shelf.platforms(),
            "rising": found_pages.rising(asked),
            "live": found_pages.live(asked),
            "timeline": asked.desk.findings.found("timeline"),
        },
    )


def losses(asked: Asked) -> Shown:
    """The list, as its filters say."""
    shelf = asked.desk.shelf()
    wanted = Filter.of(asked.query)
    page = shelf.losses(wanted, after=asked.query.get("after", ""))
    return Shown(
        "losses",
        {
            "asked": wanted,
            "page_of": page,
            "rows": [listed(row) for row in page.rows],
            "choices": CHOICES,
            "platforms": [row["platform"] for row in shelf.platforms()],
            "topics": [*shelf.meanings.topics],
            "events": _events(asked),
            "sealed": shelf.fact("sealed") == "1",
            "paged": bool(asked.query.get("after")),
        },
    )


def losses_csv(asked: Asked) -> Response:
    """The same as CSV, all of it, whatever page was being read."""
    shelf = asked.desk.shelf()
    rows = shelf.every(Filter.of(asked.query))

    def lines() -> Iterator[str]:
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(EXPORTED)
        for row in rows:
            facts = exported(row)
            writer.writerow([plain(_cell(facts[name])) for name in EXPORTED])
            if file.tell() > 1 << 15:
                yield file.getvalue()
                file.seek(0)
                file.truncate()
        yield file.getvalue()

    return download(lines(), "text/csv; charset=utf-8", "losses.csv")


def losses_json(asked: Asked) -> Response:
    """The same as JSON: an object with the filter, the number of losses, and the losses."""
    shelf = asked.desk.shelf()
    wanted = Filter.of(asked.query)
    total = shelf.count(wanted)

    def lines() -> Iterator[str]:
        head = {"filter": wanted.given(), "total": total, "made_by": f"vanished {__version__}"}
        yield json.dumps(head, ensure_ascii=False)[:-1] + ', "losses": ['
        for number, row in enumerate(shelf.every(wanted)):
            yield (",\n" if number else "\n") + json.dumps(exported(row), ensure_ascii=False)
        yield "\n]}\n"

    return download(lines(), "application/json", "losses.json")


EXPORTED: Final = (
    "post", "account", "platform", "state", "causes", "confidence", "published_at",
    "first_seen_at", "last_alive_at", "first_gone_at", "judged_at", "explained_by", "notice",
    "rules", "conflicts", "method", "looks", "failed", "reposts", "views", "script", "withheld",
    "title", "text",
)  # fmt: skip


def exported(row: Mapping[str, Any]) -> dict[str, Any]:
    """A loss as it leaves: times as ISO 8601 in UTC; words null where they are withheld."""
    return {name: iso(row[name]) if name.endswith("_at") else row[name] for name in EXPORTED}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return "|".join(value) if isinstance(value, list) else str(value)


def accounts(asked: Asked) -> Shown:
    """The accounts that are watched, in the order of their pseudonyms."""
    platform = asked.query.get("platform", "")
    shelf = asked.desk.shelf()
    found = shelf.accounts(platform)
    after = asked.query.get("after", "")
    rest = [row for row in found if (row["platform"], row["account"]) > _split(after)]
    more = len(rest) > ACCOUNTS
    return Shown(
        "accounts",
        {
            "platforms": shelf.platforms(),
            "accounts": rest[:ACCOUNTS],
            "total": len(found),
            "platform": platform,
            "after": "{platform} {account}".format(**rest[ACCOUNTS - 1]) if more else "",
        },
    )


def _split(after: str) -> tuple[str, str]:
    platform, _, account = after.partition(" ")
    return platform, account


def account(asked: Asked) -> Shown:
    """One account: what became of it, and its losses."""
    shelf = asked.desk.shelf()
    row = shelf.account(asked.path["key"])
    if row is None:
        return failed(asked, status=404)
    wanted = Filter(account=row["account"])
    page = shelf.losses(wanted)
    return Shown(
        "account",
        {
            "account": row | {"causes": [c for c in row["causes"].split(",") if c]},
            "asked": wanted,
            "page_of": page,
            "rows": [listed(one) for one in page.rows],
        },
    )


def operate(asked: Asked) -> Shown:
    """What the watch needs from a person."""
    desk = asked.desk
    return Shown(
        "operate",
        {
            "checked": desk.checked,
            "doctor_minutes": round(CHECKED_S / 60),
            "running": desk.running,
            "about": desk.findings.about(),
            "finder": desk.finder,
        },
    )


def about(asked: Asked) -> Shown:
    """What the numbers mean, and what they do not."""
    observatory = asked.desk.shelf().fact("observatory")
    return Shown("about", {"version": __version__, "observatory": observatory})


def chart(asked: Asked) -> Response:
    """A chart as a picture."""
    if asked.path["name"] not in FIGURES:
        return Response("There is no such chart.", 404, media_type="text/plain")
    drawn = asked.desk.drawn(asked.path["name"], asked.tongue)
    return Response(drawn or EMPTY, media_type="image/svg+xml")


def chart_csv(asked: Asked) -> Response:
    """The table behind a chart."""
    if asked.path["name"] not in FIGURES:
        return Response("There is no such chart.", 404, media_type="text/plain")
    figure = asked.desk.figure(asked.path["name"], asked.tongue)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(figure.columns)
    writer.writerows([[plain(str(cell)) for cell in row] for row in figure.rows])
    return download(iter([file.getvalue()]), "text/csv; charset=utf-8", f"{figure.name}.csv")


EMPTY: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def _events(asked: Asked) -> list[tuple[str, str]]:
    """The events that this past touches: id and name."""
    from vanished.model import at

    shelf = asked.desk.shelf()
    first, last = shelf.span()
    if first is None or last is None:
        return []
    begin, end = at(first).date(), at(last).date()
    return [
        (key, f"{event.begin.isoformat()} {event.name}")
        for key, event in sorted(shelf.meanings.events.items(), key=lambda one: one[1].begin)
        if event.begin <= end and event.end >= begin
    ]


ROUTES: Final[Mapping[str, Page]] = {
    "/": home,
    "/losses": losses,
    "/losses.csv": losses_csv,
    "/losses.json": losses_json,
    "/losses/{post}": item.loss,
    "/losses/{post}/copies": item.copies,
    "/losses/{post}/spread.svg": item.spread_svg,
    "/losses/{post}/spread.csv": item.spread_csv,
    "/accounts": accounts,
    "/accounts/{key}": account,
    **found_pages.PAGES,
    "/review": reviewing.queue,
    "/operate": operate,
    "/about": about,
    "/charts/{name}.svg": chart,
    "/charts/{name}.csv": chart_csv,
}
