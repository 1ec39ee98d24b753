"""Commands that alert: check the channels, test one, tell what happened."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vanished.cli.app import Folder, Json, app, say
from vanished.cli.tongue import said

if TYPE_CHECKING:
    from vanished.publish.alerts.rounds import Round

alerts = typer.Typer(help="Tell people what vanished, by Apprise.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")


@alerts.command(epilog="Example: vanished alerts check")
def check(folder: Folder = Path(), as_json: Json = False) -> None:
    """Read alerts.toml and every channel's address, ask nobody; exit 1 if a channel cannot work."""
    from vanished.publish.alerts.checking import check_folder

    checked = check_folder(folder)
    say([each.facts() for each in checked], "\n".join(each.text() for each in checked), as_json)
    if any(each.wrong for each in checked):
        raise typer.Exit(1)


@alerts.command("test", epilog="Example: vanished alerts test desk")
def try_(
    channel: Annotated[str, typer.Argument(help="The channel's name in alerts.toml.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Send a message that says it is a test to one channel; exit 1 if no service took it."""
    from vanished.publish.alerts.checking import try_channel
    from vanished.publish.alerts.courier import Outcome

    tested = try_channel(folder, channel)
    say(tested.facts(), tested.text(), as_json)
    if tested.outcome is not Outcome.DELIVERED:
        raise typer.Exit(1)


@alerts.command(epilog="Example: vanished alerts run --once --dry-run")
def run(
    folder: Folder = Path(),
    once: Annotated[
        bool, typer.Option("--once", help="One round, as from cron; exit 1 if a channel failed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="One round that prints the messages and sends none.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Also tell what was judged since this UTC date, at most 30 days ago."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell every channel what its rules ask for, until Ctrl-C; the first run tells only news."""
    from vanished.publish.alerts.running import run_folder
    from vanished.publish.moments import parse_moment

    def tell(done: Round) -> None:
        if as_json:
            for each in done.told:
                typer.echo(json.dumps(each.facts(), ensure_ascii=False))
            return
        for each in done.told:
            if once or dry_run or each.outcome is not None:
                line, sign, message = each.text().partition("\n")  # a message is shown as it is
                typer.echo(said(line) + sign + message)

    failed = asyncio.run(
        run_folder(folder, tell, once=once, dry=dry_run, since=parse_moment(since, "--since"))
    )
    if failed:
        raise typer.Exit(1)
