"""Commands that explain: one an analysis, all with the same options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vanished.cli.app import Folder, Json, app, err, out

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vanished.explain.result import Result
    from vanished.publish.past import Past

explain = typer.Typer(
    help="Why posts vanish: findings from the past, with denominators.", no_args_is_help=True
)
app.add_typer(explain, name="explain")

Since = Annotated[str | None, typer.Option(help="Only posts first met since this UTC date.")]
Until = Annotated[
    str | None,
    typer.Option(help="As things stood before this UTC date; later losses are not seen."),
]
Platform = Annotated[list[str] | None, typer.Option(help="Only this platform; may be repeated.")]
Chart = Annotated[Path | None, typer.Option(help="Draw the chart into this .svg or .png.")]
Save = Annotated[
    Path | None, typer.Option(help="Write the whole table to this .csv, .jsonl or .parquet.")
]
Rows = Annotated[int, typer.Option(min=0, help="How many rows of the table to print.")]


def past(
    folder: Path, since: str | None, until: str | None, platform: list[str] | None
) -> AbstractContextManager[Past]:
    """The past of a folder within what the options say."""
    from vanished.publish.past import need_extra, past_of

    need_extra()
    from vanished.explain.window import Window
    from vanished.publish.moments import parse_moment

    window = Window(
        parse_moment(since, "--since"), parse_moment(until, "--until"), tuple(platform or ())
    )
    return past_of(folder, window)


def tell(result: Result, chart: Path | None, save: Path | None, rows: int, as_json: bool) -> None:
    """Print a result, and write the files that were asked for."""
    from vanished.publish import finding_shown as shown
    from vanished.publish.drawing import draw

    if chart is not None:
        draw(result.chart(), chart)
    if save is not None:
        shown.save(result, save)
    if as_json:
        typer.echo(shown.print_facts(result))
    else:
        shown.show(result, out, rows)


def words_of(past: Past) -> None:
    """Complain where the words of posts are sealed: an analysis of words would find nothing."""
    if past.sealed:
        err.print(
            "The words of posts are sealed on this machine, so nothing can be said of them; where"
            " the identity is, vanished unseal makes a readable copy.",
            style="yellow",
        )


@explain.command("overview", epilog="Example: vanished explain overview --since 2026-11-01")
def overview(
    folder: Folder = Path(),
    since: Since = None,
    until: Until = None,
    platform: Platform = None,
    chart: Chart = None,
    save: Save = None,
    rows: Rows = 20,
    as_json: Json = False,
) -> None:
    """What was watched and what was lost, by platform and cause, with intervals."""
    with past(folder, since, until, platform) as opened:
        from vanished.explain.overview import overview as analyse

        result = analyse(opened.posts())
    tell(result, chart, save, rows, as_json)
