"""The command line: one command a verb, each a few lines over one room.

Exit codes: 0 ok, 1 findings of `doctor`, 2 wrong use, 3 broken observatory. Results go to standard
output, progress and complaints to standard error, so that piped output stays clean.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vanished import __version__
from vanished.errors import VanishedError

app = typer.Typer(
    name="vanished",
    help="Notice what disappears from public accounts, how fast, and who took it away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
err = Console(stderr=True, highlight=False)
out = Console(highlight=False)

Folder = Annotated[
    Path,
    typer.Option(
        "--observatory", "-o", envvar="VANISHED_OBSERVATORY", help="The observatory's folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def say(facts: object, text: str, as_json: bool) -> None:
    """One result: the facts as a line of JSON, or the sentence."""
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vanished {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Notice what disappears from public accounts, how fast, and who took it away."""


@app.command(epilog="Example: vanished init my-observatory")
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; new or empty.")],
    as_json: Json = False,
) -> None:
    """Make an observatory: a folder with observatory.toml, a database and a journal."""
    from vanished.archive.observatory import Observatory

    with Observatory.create(folder) as made:
        facts = {"folder": str(folder), "id": made.settings.id, "key": str(made.key_place)}
    say(
        facts,
        f"Made {folder}. The key of its pseudonyms is {facts['key']}; keep a copy of that file.\n"
        f"Next: cd {folder}; vanished add feed https://example.org/feed.xml; vanished watch",
        as_json,
    )


@app.command(epilog="Example: vanished add feed https://example.org/feed.xml")
def add(
    platform: Annotated[str, typer.Argument(help="page, feed or matrix.")],
    address: Annotated[str, typer.Argument(help="URL, or room alias such as '#news:example.org'.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Watch a public account, channel, room, feed or page from now on."""
    from vanished.archive.observatory import Observatory
    from vanished.clock import SystemClock
    from vanished.sources.registry import source

    with Observatory.open(folder, write=True) as observatory:
        chosen = source(platform, observatory.naming, observatory.settings)
        account = chosen.account(address)
        new = observatory.add_account(account, SystemClock().now())
    known = "Now watching" if new else "Already watching"
    say(
        {"account": account.key, "platform": platform, "new": new},
        f"{known} {address} as {account.key}.",
        as_json,
    )


@app.command("import", epilog="Example: vanished import wechatscope ceninfo.csv")
def import_(
    peer: Annotated[str, typer.Argument(help="Whose record it is: wechatscope.")],
    file: Annotated[Path, typer.Argument(help="The file to read.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Take over a peer's record of losses: accounts, posts, observations and gaps."""
    from vanished.archive.observatory import Observatory
    from vanished.watch.importing import take_over

    with Observatory.open(folder, write=True) as observatory:
        result = take_over(observatory, peer, file)
    say(result.facts(), result.text(), as_json)


@app.command(epilog="Example: vanished watch --for 3600")
def watch(
    folder: Folder = Path(),
    for_s: Annotated[
        float | None, typer.Option("--for", help="Stop by itself after so many seconds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Discover, look again, notice, judge: until Ctrl-C, which loses nothing."""
    from vanished.watch.live import watch_folder

    watch_folder(folder, for_s=for_s, as_json=as_json, console=err)


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
    as_json: Json = False,
) -> None:
    """What vanished, when, who took it, and what was covered."""
    from vanished.publish.report import make_report

    result = make_report(folder, since=since, rows=rows, names=names)
    if as_json:
        typer.echo(json.dumps(result.facts(), ensure_ascii=False))
    else:
        result.show(out)


@app.command(epilog="Example: vanished doctor --json")
def doctor(folder: Folder = Path(), as_json: Json = False) -> None:
    """Say what is wrong with this observatory or its sources, and what to do; exit 1 if any."""
    from vanished.watch.doctor import examine

    findings = examine(folder)
    say(
        [finding.facts() for finding in findings],
        "\n".join(finding.text() for finding in findings) or "Nothing wrong was found.",
        as_json,
    )
    if findings:
        raise typer.Exit(1)


@app.command(epilog="Example: vanished demo --seconds 45 --seed 7")
def demo(
    seconds: Annotated[float, typer.Option(min=5, help="Real seconds for the month.")] = 40.0,
    seed: Annotated[int, typer.Option(help="Which simulated month.")] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the demo's observatory in this new folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch a simulated platform and its censor for a month in a minute; print the report."""
    from vanished.lab.demo import run_demo

    run_demo(seconds=seconds, seed=seed, keep=keep, as_json=as_json, console=err, out=out)


def main() -> None:
    """Entry point: errors of ours become one sentence and their exit code."""
    try:
        app()
    except VanishedError as error:
        err.print(f"vanished: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
