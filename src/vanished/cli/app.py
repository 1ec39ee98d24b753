"""The app, its groups of commands, and what several commands share: options, files, printing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vanished import __version__
from vanished.cli.tongue import VARIABLE, Speaker, checked, said
from vanished.errors import UsageError

if TYPE_CHECKING:
    from vanished.archive.capture import Identities

app = typer.Typer(
    name="vanished",
    help="Notice what disappears from public accounts, how fast, and who took it away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
err = Speaker(stderr=True, highlight=False)
out = Speaker(highlight=False)

Folder = Annotated[
    Path,
    typer.Option(
        "--observatory", "-o", envvar="VANISHED_OBSERVATORY", help="The observatory's folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Identity = Annotated[
    Path | None,
    typer.Option(help="File with the secret half of a key that captures are sealed to."),
]
Of = Annotated[
    list[str] | None,
    typer.Option("--of", help="Key of a post or account, as in a report; may be repeated."),
]
Everything = Annotated[
    bool, typer.Option(help="Also what authors may have taken down themselves; not to publish.")
]
export = typer.Typer(help="Evidence for others.", no_args_is_help=True)
app.add_typer(export, name="export")
log = typer.Typer(help="The observatory's log: keys and stamps.", no_args_is_help=True)
app.add_typer(log, name="log")
reach = typer.Typer(
    help="What a network lets through, and what goes around it.", no_args_is_help=True
)
app.add_typer(reach, name="reach")
publish = typer.Typer(help="What may leave, and the ways out.", no_args_is_help=True)
app.add_typer(publish, name="publish")
lab = typer.Typer(help="The network lab: a censor on this machine.", no_args_is_help=True)
app.add_typer(lab, name="lab")


def read_text(path: Path) -> str:
    """The text of a file that a person named."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{path} cannot be read: {why}; name another file.") from None


def read_identity(path: Path) -> Identities:
    """The identities in a key file."""
    from vanished.archive.capture import identities

    return identities(read_text(path))


def opened_identity(path: Path | None) -> Identities | None:
    """The identities in a key file, if one was named."""
    return None if path is None else read_identity(path)


def say(facts: object, text: str, as_json: bool) -> None:
    """One result: the facts as a line of JSON, or the sentence."""
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else said(text))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vanished {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            envvar=VARIABLE,
            callback=checked,
            help="Language to speak: en, zh-Hans or zh-Hant [the system's].",
        ),
    ] = None,
) -> None:
    """Notice what disappears from public accounts, how fast, and who took it away."""
