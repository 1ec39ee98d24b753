"""The month as a page that a newsroom can print: every analysis, numbers first, caveats in words.

In: results of analyses, or why one could not be made. Out: one HTML file with its charts inside,
which asks nobody for anything, has no script, and breaks into pages where it should. No word of a
post stands in it that its analysis did not choose to show, and no account's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from vanished import __version__
from vanished.explain.result import Basis, Result
from vanished.publish.drawing import svg
from vanished.publish.finding_shown import cell

ROWS: Final = 15  # of each table; the rest is for `--save`
LIMITS: Final = (
    "All of this is about watched accounts, which somebody chose. Nothing is said of others.",
    "What is called lost was proven alive, or met gone, by this observatory. It proves what it was"
    " answered and when, never who decided. Losses whose cause is open are counted as open.",
    "A finding is associated with what it stands beside. Nothing here shows that one caused the"
    " other.",
    "Where many hypotheses were tested, the share of false findings is held at 5 % within each part"
    " (Benjamini and Hochberg 1995), not over the parts together: of all findings below, more than"
    " one part in twenty may be false.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One analysis in the report: its result, or in a sentence why there is none."""

    name: str  # of the command
    title: str
    question: str
    columns: Sequence[str] = ()  # of the result's table that are printed
    result: Result | None = None
    why_not: str = ""
    seconds: float = 0.0


def page(observatory: str, title: str, window: str, parts: Sequence[Part]) -> str:
    """The report as HTML. The first part's basis gives the numbers at its head."""
    from jinja2 import Environment, select_autoescape

    room = Environment(autoescape=select_autoescape(default=True), trim_blocks=True)
    text = files("vanished.publish").joinpath("pages/full_report.html").read_text("utf-8")
    basis = next((part.result.basis for part in parts if part.result is not None), None)
    return room.from_string(text).render(
        title=title,
        observatory=observatory,
        window=window,
        numbers=[] if basis is None else _numbers(basis),
        parts=[_shown(part) for part in parts],
        limits=[*LIMITS, f"Computed by Vanished {__version__}."],
    )


def _numbers(basis: Basis) -> list[dict[str, str]]:
    """The numbers at the head."""
    lost = f"{basis.lost / basis.posts:.1%}" if basis.posts else "none"
    unknown = f"{basis.unknown / basis.lost:.0%}" if basis.lost else "none"
    return [
        {"value": f"{basis.posts:,}", "what": f"posts met, of {basis.accounts:,} accounts"},
        {"value": f"{basis.lost:,}", "what": f"of them lost: {lost}"},
        {"value": f"{basis.open:,}", "what": "losses with several possible causes"},
        {"value": unknown, "what": "of the losses: cause entirely open"},
    ]


def _shown(part: Part) -> dict[str, Any]:
    """A part as the page takes it."""
    from markupsafe import Markup

    found: dict[str, Any] = {
        "name": part.name, "title": part.title, "question": part.question,
        "why_not": part.why_not,
    }  # fmt: skip
    result = part.result
    if result is None:
        return found
    table = result.table()
    names = [name for name in part.columns if name in table.column_names] or table.column_names
    rows = table.select(names).slice(0, ROWS).to_pylist()
    columns = [
        {"name": n.replace("_", " "), "number": all(_is_number(row[n]) for row in rows)}
        for n in names
    ]
    more = table.num_rows - len(rows)
    return found | {
        "lines": result.text().splitlines(),
        # Vega writes the SVG, and escapes what stands in it.
        "picture": Markup(svg(result.chart())) if table.num_rows else "",  # noqa: S704
        "columns": columns,
        "rows": [[cell(n, row[n]) for n in names] for row in rows],
        "more": f"{more} more rows: vanished explain {part.name} --save." if more else "",
        "basis": result.basis.text(),
        "method": result.method,
        "caveats": list(result.caveats),
        "settings": _settings(result.settings),
        "tests": getattr(result, "tests", 0) or "",
        "found": table.num_rows,
    }


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _settings(settings: Any) -> str:
    """Those settings that can be said in a word."""
    given = dataclasses.asdict(settings)
    plain = {k: v for k, v in given.items() if isinstance(v, (int, float, str, bool))}
    return ", ".join(f"{k} {cell('', v)}" for k, v in plain.items() if v != "")
