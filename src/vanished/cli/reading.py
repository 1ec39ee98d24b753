"""Commands that read the past: what vanished, and what a budget would buy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vanished.cli.app import Folder, Json, app, err, out, say
from vanished.cli.tongue import said
from vanished.errors import UsageError


@app.command(epilog="Example: vanished report --since 2026-11-01")
def report(
    folder: Folder = Path(),
    since: Annotated[
        str | None, typer.Option(help="Only losses first seen gone since this UTC date.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many losses to list.")] = 20,
    names: Annotated[
        bool, typer.Option(help="Name accounts instead of using pseudonyms; not for publishing.")
    ] = False,
    full: Annotated[
        Path | None,
        typer.Option(help="Instead: explain everything, on a page to print, in this new .html."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="With --full: as things stood before this UTC date.")
    ] = None,
    title: Annotated[str, typer.Option(help="With --full: the page's title.")] = "",
    calendar: Annotated[
        str, typer.Option(help="With --full: a calendar of events, as explain events takes it.")
    ] = "china-yearly",
    as_json: Json = False,
) -> None:
    """What vanished, when, who took it, and what was covered; with --full, why."""
    if full is not None:
        if names or as_json:
            raise UsageError("--full knows neither --names nor --json; leave them out.")
        _full(folder, full, since, until, title, calendar)
        return
    from vanished.publish.report import make_report

    result = make_report(folder, since=since, rows=rows, names=names)
    if as_json:
        typer.echo(json.dumps(result.facts(), ensure_ascii=False))
    else:
        result.show(out)


def _full(
    folder: Path, file: Path, since: str | None, until: str | None, title: str, calendar: str
) -> None:
    """Write the full report."""
    from vanished.publish.past import need_extra

    need_extra()
    from vanished.archive.durable import refusals, write_atomically
    from vanished.explain.window import Window
    from vanished.publish.moments import parse_moment
    from vanished.publish.month import MonthSettings, make_month

    if file.suffix.lower() not in (".html", ".htm") or file.exists():
        raise UsageError(f"{file} exists or does not end in .html; name a new file that does.")
    window = Window(parse_moment(since, "--since"), parse_moment(until, "--until"))
    settings = MonthSettings(title=title, calendar=calendar)
    text = make_month(
        folder, window, settings, lambda name, s: err.print(f"{name}: {s:.1f} s", style="dim")
    )
    with refusals(f"write {file}"):
        write_atomically(file, text.encode())
    typer.echo(said(f"Wrote {file}. Print it from a browser; it asks nobody for anything."))


@app.command(epilog="Example: vanished plan --steps 0.5,1,2,4 --svg plan.svg")
def plan(
    folder: Folder = Path(),
    steps: Annotated[
        str | None, typer.Option(help="Multiples of today's budget, such as 0.5,1,2,4.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Also draw it into this .svg file.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many hosts to list.")] = 20,
    names: Annotated[
        bool, typer.Option(help="Name hosts instead of numbering them; not for publishing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What the request budget buys: how soon losses are noticed, and what more would buy."""
    from vanished.publish.plan import make_plan, parse_steps
    from vanished.publish.plan_shown import draw, show

    result = make_plan(folder, steps=parse_steps(steps), names=names)
    if svg is not None:
        draw(result, svg)
    if as_json:
        typer.echo(json.dumps(result.facts(), ensure_ascii=False))
    else:
        show(result, out, rows)


@app.command(epilog="Example: vanished media c2f4m7q3x6w5b8na --within 20")
def media(
    asked: Annotated[
        str, typer.Argument(metavar="POST|FILE", help="Key of a post, or a picture in a file.")
    ],
    within: Annotated[
        int, typer.Option(min=0, max=127, help="Bits of 256 in which copies may differ.")
    ] = 31,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Find the watched posts that show a picture, and what became of them."""
    from vanished.publish.copies import find_copies

    found = find_copies(folder, asked, within)
    say(found.facts(), found.text(), as_json)
