"""The API's endpoints: for each its address, its parameters, the form of its answer, its maker.

In: an open shelf and checked parameters. Out: objects for JSON, or rows to be streamed. Addresses,
headers and rates are `routes`; the document of all this is `openapi`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vanished import __version__
from vanished.model import DAY, Micros
from vanished.publish.api import fields as f
from vanished.publish.api import parameters as p
from vanished.publish.moments import iso
from vanished.publish.shelf.filters import Filter
from vanished.publish.shelf.networks import Asked, every_measurement, measurements, timeline
from vanished.publish.shelf.reading import DELAYS, ROWS, Shelf

DAYS: Final = 30
"""Of a span whose beginning is not given."""


class MissingError(Exception):
    """What was asked for is not here; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer that is streamed, row by row."""

    fields: Sequence[f.Field]
    rows: Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address under /api/1. `schema` is of its answer, or of one row where it is streamed."""

    path: str
    name: str
    says: str
    make: Callable[[Shelf, Mapping[str, str]], dict[str, Any] | Rows]
    schema: Mapping[str, Any]
    parameters: Sequence[p.Parameter] = ()
    media: str = "application/json"
    cost: float = 1  # tokens


WHOLE: Final = {"type": "integer"}
NEXT: Final = {
    "type": ["string", "null"],
    "description": "`after` of the next page; null on the last one",
}
TIME: Final = {"type": "string", "format": "date-time"}
BASIS: Final = f.object_of(
    {"met": WHOLE, "looks": WHOLE, "failed": WHOLE},
    "the denominators, by whole hours: posts met, looks, and looks that failed",
)
COUNTS: Final = {"type": "object", "additionalProperties": WHOLE}


def _list(rows: Sequence[f.Field], says: str) -> dict[str, Any]:
    return {"type": "array", "items": f.schema_of(rows, says)}


def _overview(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    first, last = shelf.span()
    now = shelf.now()
    return {
        "observatory": shelf.fact("observatory"),
        "made_by": f"vanished {__version__}",
        "version": shelf.version,
        "last_look": iso(now) if now else None,
        "first_loss": iso(first),
        "last_loss": iso(last),
        "lost": shelf.count(Filter()),
        "basis": shelf.met(0, now),
        "platforms": [f.carried(f.PLATFORM, row) for row in shelf.platforms()],
    }


def _filter(shelf: Shelf, given: Mapping[str, str]) -> Filter:
    """The filter of a request. Raises MissingError for a topic or event that is not here."""
    names = Filter.__dataclass_fields__
    asked = Filter(**{name: value for name, value in given.items() if name in names})
    for kind, name, known in (
        ("topic", asked.topic, shelf.meanings.topics),
        ("event", asked.event, shelf.meanings.events),
    ):
        if name and name not in known:
            raise MissingError(f"there is no {kind} '{name[:40]}' in this observatory.")
    return asked


def _losses(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    asked = _filter(shelf, given)
    page = shelf.losses(asked, rows=int(given.get("rows", ROWS)), after=given.get("after", ""))
    since, until = asked.span()
    return {
        "filter": asked.given(),
        "total": page.total,
        "basis": shelf.met(since or 0, shelf.now() if until is None else until, asked.platform),
        "losses": [f.carried(f.LOSS, row) for row in page.rows],
        "next": page.after or None,
    }


def _every_loss(shelf: Shelf, given: Mapping[str, str]) -> Rows:
    return Rows(f.LOSS, shelf.every(_filter(shelf, given)))


def _loss(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    row = shelf.loss(given["post"])
    if row is None:
        raise MissingError(f"no loss of a post '{given['post'][:40]}' is known here.")
    return {
        **f.carried(f.LOSS, row),
        "wordings": [f.carried(f.WORDING, one) for one in row["wordings"]],
        "runs": [f.carried(f.LOOK, one) for one in row["runs"]],
        "runs_left_out": row["runs_left_out"],
    }


def _accounts(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    rows = int(given.get("rows", ROWS))
    found, total = shelf.accounts_page(given.get("platform", ""), rows + 1, given.get("after", ""))
    more = len(found) > rows
    return {
        "total": total,
        "accounts": [f.carried(f.ACCOUNT, row) for row in found[:rows]],
        "next": found[rows - 1]["account"] if more else None,
    }


def _account(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    row = shelf.account(given["account"])
    if row is None:
        raise MissingError(f"no account '{given['account'][:40]}' is watched here.")
    lost = shelf.count(Filter(account=row["account"]))
    return f.carried(f.ACCOUNT, row | {"lost": lost})


def _span(shelf: Shelf, given: Mapping[str, str]) -> tuple[Micros, Micros]:
    """From when until when, as far as anything was looked at: a row a day stays few rows."""
    since, until = Filter(since=given.get("since", ""), until=given.get("until", "")).span()
    first, last = shelf.begun(), shelf.now()
    end = last if until is None else min(max(until, first), last)
    begin = end - DAYS * DAY if since is None else since
    return min(max(begin, first), end), end


def _told(shelf: Shelf, span: tuple[Micros, Micros], **more: Any) -> dict[str, Any]:
    return {"since": iso(span[0]), "until": iso(span[1]), **more, "basis": shelf.met(*span)}


def _days(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    span = _span(shelf, given)
    days = [{**row, "day": iso(row["day"])} for row in shelf.days(*span)]
    return _told(shelf, span, days=days)


def _causes(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    span = _span(shelf, given)
    rows = [{"causes": [c for c in row["causes"] if c], "lost": row["n"]}
            for row in shelf.causes(*span)]  # fmt: skip
    return _told(shelf, span, causes=rows, lost=sum(row["lost"] for row in rows))


def _delays(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    span = _span(shelf, given)
    found = shelf.delays(*span)
    rows = [{"within_s": end, "lost": n}
            for end, n in zip((*DELAYS, None), found["counts"], strict=True)]  # fmt: skip
    return _told(shelf, span, delays=rows, unknown=found["unknown"])


def _coverage(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    span = _span(shelf, given)
    days = [{"day": iso(row["day"]), **{k: row[k] for k in ("hours", "looks", "failed")}}
            for row in shelf.days(*span)]  # fmt: skip
    return _told(shelf, span, days=days, gaps=[f.carried(f.GAP, gap) for gap in shelf.gaps(*span)])


def _measured(given: Mapping[str, str], *, spanned: bool = True) -> Asked:
    names = ("test", "target", "asn", "cc", "state")
    asked = Asked(**{name: given[name] for name in names if name in given})  # type: ignore[arg-type]
    if not spanned:
        return asked
    since, until = Filter(since=given.get("since", ""), until=given.get("until", "")).span()
    return replace(asked, since=since, until=until)


def _measurements(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    rows = int(given.get("rows", ROWS))
    page = measurements(shelf, _measured(given), rows, given.get("after", ""))
    return {
        "total": page.total,
        "measurements": [f.carried(f.MEASUREMENT, row) for row in page.rows],
        "next": page.after or None,
    }


def _every_measurement(shelf: Shelf, given: Mapping[str, str]) -> Rows:
    return Rows(f.MEASUREMENT, every_measurement(shelf, _measured(given)))


def _timeline(shelf: Shelf, given: Mapping[str, str]) -> dict[str, Any]:
    span = _span(shelf, given)
    found = timeline(shelf, _measured(given, spanned=False), *span)
    return _told(shelf, span, days=[{**row, "day": iso(row["day"])} for row in found])


def _spanned(**more: Any) -> dict[str, Any]:
    return f.object_of(
        {"since": TIME, "until": TIME, **more, "basis": BASIS},
        "counts of a span, as far as it was watched",
    )


def _rows(**more: Any) -> dict[str, Any]:
    return {"type": "array", "items": f.object_of(more, "one row")}


_CAUSES = {"type": "array", "items": {"type": "string", "enum": [*f.CAUSES]}}
_OVERVIEW = {
    "observatory": {"type": "string"}, "made_by": {"type": "string"},
    "version": {"type": "integer", "description": "grows whenever an answer may have changed"},
    "last_look": {**TIME, "type": ["string", "null"]},
    "first_loss": {**TIME, "type": ["string", "null"]},
    "last_loss": {**TIME, "type": ["string", "null"]},
    "lost": WHOLE, "basis": BASIS, "platforms": _list(f.PLATFORM, "a platform that is watched"),
}  # fmt: skip
_WHOLE_LOSS = {
    **{field.name: field.schema for field in f.LOSS},
    "wordings": _list(f.WORDING, "a wording, oldest first"),
    "runs": _list(f.LOOK, "looks in a row with the same answer, oldest first"),
    "runs_left_out": {"type": "integer", "description": "runs in the middle that are not listed"},
}
_ONE = f.schema_of(f.LOSS, "a loss")
_FILTERS = {"type": "object", "additionalProperties": {"type": "string"}}
_LINES, _TABLE = "application/jsonl", "text/csv"

ENDPOINTS: Final = (
    Endpoint("/overview", "overview", "The observatory, and what its numbers are of.", _overview,
             f.object_of(_OVERVIEW, "the observatory")),
    Endpoint("/losses", "losses", "Losses that fulfil all that is asked, a page of them.", _losses,
             f.object_of({"filter": _FILTERS, "total": WHOLE, "basis": BASIS,
                          "losses": _list(f.LOSS, "a loss"), "next": NEXT}, "a page"),
             (*p.FILTER, *p.PAGE)),
    Endpoint("/losses.jsonl", "losses_lines", "All of the same, a line each.", _every_loss, _ONE,
             p.FILTER, _LINES, 20),
    Endpoint("/losses.csv", "losses_table", "All of the same, for spreadsheets.", _every_loss,
             {"type": "string"}, p.FILTER, _TABLE, 20),
    Endpoint("/losses/{post}", "loss", "One loss with its wordings and looks.", _loss,
             f.object_of(_WHOLE_LOSS, "a loss"), p.POST),
    Endpoint("/accounts", "accounts", "Accounts in the order of their pseudonyms; never ranked.",
             _accounts, f.object_of({"total": WHOLE, "accounts": _list(f.ACCOUNT, "an account"),
                                     "next": NEXT}, "a page"),
             (*p.PLATFORM, *p.NEXT_ACCOUNT)),
    Endpoint("/accounts/{account}", "account", "One account.", _account,
             f.schema_of(f.ACCOUNT, "an account"), p.ACCOUNT),
    Endpoint("/days", "days", "Losses by UTC day and cause, with the looks of each day.", _days,
             _spanned(days=_rows(day=TIME, causes=COUNTS, looks=WHOLE, failed=WHOLE, met=WHOLE,
                                 hours=WHOLE)), p.SPAN),
    Endpoint("/causes", "causes", "Losses by the causes that the facts leave open.", _causes,
             _spanned(causes=_rows(causes=_CAUSES, lost=WHOLE), lost=WHOLE), p.SPAN),
    Endpoint("/delays", "delays", "How long after publication posts were lost.", _delays,
             _spanned(delays=_rows(within_s={"type": ["integer", "null"],
                                             "description": "seconds; null: later"}, lost=WHOLE),
                      unknown=WHOLE), p.SPAN),
    Endpoint("/coverage", "coverage", "When we looked, and when not.", _coverage,
             _spanned(days=_rows(day=TIME, hours=WHOLE, looks=WHOLE, failed=WHOLE),
                      gaps=_list(f.GAP, "a gap")), p.SPAN),
    Endpoint("/measurements", "measurements", "Measurements of networks, the latest first.",
             _measurements,
             f.object_of({"total": WHOLE, "measurements": _list(f.MEASUREMENT, "a measurement"),
                          "next": NEXT}, "a page"), (*p.MEASURED, *p.PAGE)),
    Endpoint("/measurements.jsonl", "measurements_lines", "All of the same, a line each.",
             _every_measurement, f.schema_of(f.MEASUREMENT, "a measurement"), p.MEASURED, _LINES,
             20),
    Endpoint("/measurements.csv", "measurements_table", "All of the same, for spreadsheets.",
             _every_measurement, {"type": "string"}, p.MEASURED, _TABLE, 20),
    Endpoint("/timeline", "timeline", "Reach and removals beside each other, by UTC day.",
             _timeline, _spanned(days=_rows(day=TIME, measured=WHOLE, stopped=WHOLE, open=WHOLE,
                                            lost=WHOLE)),
             (*(one for one in p.MEASURED if one.name not in ("since", "until")), *p.SPAN)),
)  # fmt: skip
