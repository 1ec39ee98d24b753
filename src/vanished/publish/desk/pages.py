"""The dashboard's pages: what each shows, for templates to say.

In: what was asked for. Out: the name of a template and its values, or a file to download. A page
reads the shelf and concludes nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from http import HTTPStatus
from itertools import pairwise
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from vanished import __version__
from vanished.model import SECOND, Micros
from vanished.publish.desk.front import FIGURES, PALETTE, windows
from vanished.publish.desk.links import Links
from vanished.publish.desk.state import Desk
from vanished.publish.desk.words import AGAIN, CAUSES, MOMENTS, group
from vanished.publish.moments import iso
from vanished.publish.shelf.filters import CHOICES, CROSSINGS, Filter
from vanished.publish.table_files import plain
from vanished.publish.tongues import Tongue

ACCOUNTS: Final = 200  # on one page
LONGEST: Final = 4000  # characters of a wording that are compared


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as a page needs it."""

    desk: Desk
    tongue: Tongue
    links: Links
    query: Mapping[str, str]
    path: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A template and what it says."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


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
            "latest": [_row(row) for row in latest.rows],
            "total": latest.total,
            "platforms": shelf.platforms(),
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
            "rows": [_row(row) for row in page.rows],
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

    return _file(lines(), "text/csv; charset=utf-8", "losses.csv")


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

    return _file(lines(), "application/json", "losses.json")


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


def _file(lines: Iterator[str], kind: str, name: str) -> Response:
    return StreamingResponse(
        lines, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def loss(asked: Asked) -> Shown:
    """One loss: who took it, when, how we know."""
    row = asked.desk.shelf().loss(asked.path["post"])
    if row is None:
        return failed(asked, status=404)
    return Shown(
        "loss",
        {
            "loss": _row(row),
            "crossings": CROSSINGS,
            "events": _timeline(row),
            "changes": changes(row["wordings"]),
            "spread": [
                run for run in row["runs"]
                if run["reposts_low"] is not None or run["views_low"] is not None
            ],
            "words_of": lambda causes: [asked.tongue.say(CAUSES[cause]) for cause in causes],
            "observatory": asked.desk.shelf().fact("observatory"),
        },
    )  # fmt: skip


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
            "rows": [_row(one) for one in page.rows],
        },
    )


def operate(asked: Asked) -> Shown:
    """What the watch needs from a person."""
    return Shown("operate", {"checked": asked.desk.checked})


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
    return _file(iter([file.getvalue()]), "text/csv; charset=utf-8", f"{figure.name}.csv")


EMPTY: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def failed(asked: Asked, status: int = 404, why: str = "") -> Shown:
    """What a page says that cannot be shown."""
    phrase = HTTPStatus(status).phrase
    return Shown("failed", {"status": status, "phrase": phrase, "why": why}, status)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A loss with what its page says of it."""
    alive, gone, published = row["last_alive_at"], row["first_gone_at"], row["published_at"]
    stood: tuple[float | None, float | None] = (None, None)
    if gone is not None and published is not None:
        stood = ((max(0, alive - published) / SECOND) if alive is not None else None,
                 max(0, gone - published) / SECOND)  # fmt: skip
    return {
        **row,
        "group": group(row["causes"]),
        "stood": stood,
        "width": None if alive is None or gone is None else (gone - alive) / SECOND,
    }


def changes(wordings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each wording changed in the one before: runs of words that stayed, came or went."""
    found = []
    for old, new in pairwise(wordings):
        if new["title"] is None or old["title"] is None:
            continue
        before, after = (f"{w['title']}\n{w['text']}".strip()[:LONGEST] for w in (old, new))
        parts: list[tuple[str, str]] = []
        for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if kind == "equal":
                parts.append(("=", before[a:b]))
            if kind in ("delete", "replace"):
                parts.append(("-", before[a:b]))
            if kind in ("insert", "replace"):
                parts.append(("+", after[c:d]))
        found.append({"at": new["seen_at"], "words": parts})
    return found


def _timeline(row: Mapping[str, Any]) -> list[tuple[Micros, str]]:
    """Its moments, in order of time."""
    found = [(row[key], says) for key, says in MOMENTS.items() if row[key] is not None]
    gone = row["first_gone_at"]
    alive = [run["asked_at"] for run in row["runs"] if run["kind"] == "alive"]
    returned = [asked_at for asked_at in alive if gone is not None and asked_at > gone]
    if returned:
        found.append((min(returned), AGAIN))
    return sorted(found, key=lambda one: one[0])


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


Page = Callable[[Asked], Shown | Response]
ROUTES: Final[Mapping[str, Page]] = {
    "/": home,
    "/losses": losses,
    "/losses.csv": losses_csv,
    "/losses.json": losses_json,
    "/losses/{post}": loss,
    "/accounts": accounts,
    "/accounts/{key}": account,
    "/operate": operate,
    "/about": about,
    "/charts/{name}.svg": chart,
    "/charts/{name}.csv": chart_csv,
}
