"""Help and complaints about wrong use, in the language that is spoken.

In: the tree of commands as Typer makes it. Out: the same tree, its words translated, and Typer's
own words ("Usage", "Missing option") where help or a complaint is shown. Exit codes are Typer's.
English never comes here: it is shown as Typer shows it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

import typer
from rich.cells import cell_len

from vanished.cli.tongue import filled, said

_REMARKS: Final = re.compile(r"^(.*?)(?:\s*\[([^\[\]]*)\])?$", re.DOTALL)


class Help(typer.Context.formatter_class):  # type: ignore[misc, valid-type]
    """Typer's form of help; wide characters count twice."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        line = f"{prefix or said('Usage:')}{prog} {args}"
        self.write(filled(line, self.width, "", " " * 6) + "\n")

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{said(heading)}:\n".replace(":\n", "：\n"))

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        paragraphs = [filled(one, self.width, indent, indent) for one in text.split("\n\n")]
        self.write("\n\n".join(paragraphs) + "\n")

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        wide = min(max(cell_len(first) for first, _ in rows), col_max) + col_spacing
        beside = " " * (self.current_indent + wide)
        for first, second in rows:
            head = f"{'':>{self.current_indent}}{first}"
            if cell_len(first) > wide - col_spacing:
                self.write(f"{head}\n")
                head = ""
            if not second:
                self.write(f"{head}\n" if head else "")
                continue
            lines = filled(_remarked(second), max(self.width, len(beside) + 12), beside, beside)
            self.write(head + lines[len(head) :] + "\n")


def translate(command: Any) -> None:
    """Put the words of a command, and of those below it, into the language that is spoken."""
    command.context_class = _Context
    words = command.help
    if words:
        command.help = _paragraphs(words)
        command.short_help = command.help.partition("\n\n")[0]
    if command.epilog:
        command.epilog = said(command.epilog)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = _paragraphs(parameter.help)
    for below in getattr(command, "commands", {}).values():
        translate(below)


class _Context(typer.Context):
    formatter_class = Help


def run(app: typer.Typer) -> int:
    """Run the command line in the language that is spoken. Returns the exit code."""
    command = typer.main.get_command(app)
    translate(command)
    try:
        return int(command.main(standalone_mode=False) or 0)
    except typer.Abort:
        typer.echo(said("Aborted!"), err=True)
        return 1
    except typer.TyperException as error:
        _complain(error)
        return error.exit_code


def _complain(error: typer.TyperException) -> None:
    context = getattr(error, "ctx", None)
    words = error.format_message()
    if context is not None and words == context.get_help():  # nothing was asked: that is the help
        typer.echo(words, err=True)
        return
    if context is not None:
        way = f"{said('Help:')}{context.command_path} {context.help_option_names[0]}"
        typer.echo(f"{context.get_usage()}\n{way}\n", err=True)
    typer.echo(said(f"Error: {words}"), err=True)


def _paragraphs(words: str) -> str:
    """Each paragraph as one line, translated."""
    found = inspect.cleandoc(words).split("\n\n")
    return "\n\n".join(said(" ".join(one.split())) for one in found)


def _remarked(words: str) -> str:
    """What stands beside an option: its words, and Typer's remarks in brackets after them."""
    found = _REMARKS.match(words)
    if found is None or found[2] is None or "  [" not in words:
        return said(words)
    remarks = "；".join(said(one) for one in found[2].split("; "))
    return f"{said(found[1])}  [{remarks}]"
