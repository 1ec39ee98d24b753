"""Every text of ours that the command line can show, from its code.

In: the tree of commands and the modules of the package. Out: templates, as `publish.sentences`
takes them: words of help, refusals, and what commands and their reports say. For whoever translates
(`python -m tests.cli.commands_said` prints what the catalogues lack) and for the tests that nothing
is lacking.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po
from typer.main import get_command

import vanished
from tests.publish.templates import templates
from vanished import errors
from vanished.cli import app
from vanished.publish import plan_shown, report
from vanished.publish.gate import NoWords, Why
from vanished.reach import consent
from vanished.reach.risk import Risk
from vanished.reach.rules import ruleset
from vanished.sources import registry

SOURCE = Path(vanished.__file__).parent
ERRORS = {
    name
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, errors.VanishedError)
}
SAID_BY_PAGES = ("publish/desk", "publish/api", "publish/site/pages")
"""Rooms whose errors a browser is shown; the command line is not."""
REPORTS = (
    "cli", "archive/stamps", "archive/making.py", "archive/rotation.py", "archive/erasing.py",
    "archive/exporting.py", "archive/verify", "lab/demo.py", "lab/truth.py",
    "lab/network_leftovers.py", "lab/network_place.py", "publish/report.py",
    "publish/plan.py", "publish/plan_shown.py",
    "publish/preview.py", "publish/copies.py", "publish/planned.py", "publish/dataset.py",
    "publish/takedowns.py", "publish/correction_cases.py", "publish/finding_shown.py",
    "publish/alerts/checking.py", "publish/alerts/courier.py", "publish/alerts/rounds.py",
    "publish/moments.py", "publish/site/building.py", "publish/month.py", "publish/finding_run.py",
    "publish/desk/serving.py", "publish/desk/finder.py", "archive/advice.py",
    "reach/beside.py", "reach/consent.py", "reach/destinations.py", "reach/keeping.py",
    "reach/reading.py", "reach/reporting.py", "reach/told.py", "reach/told_app.py",
    "watch/asking.py", "watch/canaries.py", "watch/canary_check.py",
    "watch/doctor", "watch/finding.py", "watch/importing.py", "watch/live.py",
    "watch/ledger.py", "watch/logins.py", "watch/loop.py", "watch/picturing.py",
    "watch/picture_worker.py", "watch/resuming.py", "watch/streams.py", "watch/tending.py",
    "watch/witnessing.py",
)  # fmt: skip

NOT_WORDS = re.compile(
    r"^[\\^]|\\[sd(]|^<|^import |^mount |charset=|^answers = |^expect = |^OR REPLACE|^SocksPort"
    r"|^[a-z_]+ = \W*\{0\}\W*$|^none 127|^i agree$|^(data|reason): \"|^# |^To \{0\}\{1\}"
    r"|^vanished media$"
)
"""Texts in the same functions that no person reads: patterns, SQL, TOML, programs, a reply."""
MADE = (
    "Usage:", "Options", "Arguments", "Commands", "Show this message and exit.", "Example:",
    "Help:",
    "Error:", "Aborted!", "default:", "env var:", "required", "(dynamic)",
    "Missing argument '{0}'.", "Missing option '{0}'.", "Missing command.",
    "No such command '{0}'.", "Did you mean {0}?", "Did you mean {0}, {1}?",
    "Did you mean {0}, {1}, {2}?",
    "No such option: {0}", "(Possible options: {0})", "Option '{0}' requires an argument.",
    "Option '{0}' does not take a value.", "Got unexpected extra argument(s) ({0})",
    "Invalid value for {0}: {1}", "'{0}' is not a valid int.",
    "'{0}' is not a valid int range.", "'{0}' is not a valid float.",
    "'{0}' is not a valid float range.", "'{0}' is not a valid boolean.",
    "{0} is not in the range {1}.",
    "Authenticity", "Availability", "Identity", "Persistence", "Renderability",
    "Understandability", "sound", "DAMAGED", "damaged:", "proven:", "not proven:", "Remark:",
    "Trouble:", "Seen:", "Method:", "Methods:", "settings:", "canary:", "login:", "stream:",
    "proof:", "schedule:", "source error:", "also:", "platform", "author", "account", "legal",
    "network", "moved", "unknown",
    "posts", "cause", "budget", "retired", "host", "never", "mean\ndelay", "looks\ntake",
    "none", "the observatory", "pseudonym key", "secret", "requests", "granted", "refused",
    "open", "withdrawn", "given", "{0} stay:", "{0} without:", "to {0}",
    "{0} by the ground {1}", "{0} away: none is told",
    "You agreed: {0}, targets up to '{1}', {2}.",
    "You refused: {0}, targets up to '{1}', {2}.", "Now watching {0} as {1}.",
    "Already watching {0} as {1}.", "gone", "suspected", "returned", "flickering", "alive",
    "accounts", "{0} suspected", "{0} moved", "{0} returned", "{0} flickering", "{0} unknown",
    "yes  apps:", "yes  news:", "yes  sensitive:", "no  apps:", "no  news:", "no  sensitive:",
    "How far you go. You agree to targets up to this class:",
    "blocked by {0}", "likely_blocked by {0}", ", {0} kB/s, watched for {1} s{2}",
    ", {0} kB/s, usable at {1}", ", first page after {0} s{1}", ", watched for {0} s{1}",
    "{0} · {1} looks ({2}/s, {3} failed) · {4} new posts · backlog {5}, {6} · {7} lost,"
    " {8} returned · {9}",
    "{0}: message {1} about {2} events: {3} (try {4}; again from {5} on)",
    "{0}: message {1} about {2} events: {3} (try {4}; {5})",
    "account {0} ({1}): {2}, {3}; explains {4} posts, counts once",
    "byte {0}:", "stream {0}:", "{0}, line {1}:", "{0} of {1} work.",
    "To {0}:", "To {0} (waits: {1}):", "right", "WRONG",
    "No such file or directory",
    "Permission denied", "Is a directory", "Not a directory", "File exists",
    "No space left on device", "Read-only file system", "Address already in use",
    "Connection refused", "Directory not empty",
)  # fmt: skip
"""What loops and Typer make of words, and what the operating system says."""


def more() -> dict[str, str]:
    """What stands in constants and in files beside the code."""
    found = dict.fromkeys(MADE, "made of words")
    found.update((rule.says, "rules.toml") for rule in ruleset().rules)
    found.update((one.says, "risk") for one in Risk)
    for platform in registry.platforms():
        found[registry.about(platform)] = found[registry.canary(platform)] = "sources"
    found.update((one.value, "gate") for one in [*Why, *NoWords])
    found.update(dict.fromkeys([report.CAVEAT, report.WITHHELD, plan_shown.CAVEAT], "caveats"))
    read = consent._TEXT.format(country="{0}", classes="")
    found.update((" ".join(one.split()), "consent") for one in read.split("\n\n"))
    return found


@cache
def all_said() -> dict[str, str]:
    """Everything, without the blanks around it."""
    found = {**more(), **helps(), **refusals(), **parts(), **reports()}
    return {said.strip(): where for said, where in found.items() if not NOT_WORDS.search(said)}


def helps() -> dict[str, str]:
    """Paragraphs of help, each with the command that it is of; epilogs are commands, no words."""
    return dict(_helps(get_command(app), "vanished"))


def _helps(command: Any, path: str) -> Iterator[tuple[str, str]]:
    words = [command.help, *(getattr(one, "help", None) for one in command.params)]
    for each in words:
        for paragraph in inspect.cleandoc(each or "").split("\n\n"):
            if paragraph:
                yield " ".join(paragraph.split()), path
    for name, below in getattr(command, "commands", {}).items():
        yield from _helps(below, f"{path} {name}")


@cache
def refusals() -> dict[str, str]:
    """Sentences of errors, and the parts that they are made of, each with its module."""
    found: dict[str, str] = {}
    for file, tree in _modules():
        if file.startswith(SAID_BY_PAGES):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found.update((one, file) for one in _refused(node))
    return found


def _refused(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name in ERRORS:
        for argument in call.args:
            yield from templates(argument)
    elif name == "fail" and len(call.args) == 3:
        yield from templates(call.args[2])
    elif name == "wrong":
        yield from (f"{one}." for argument in call.args for one in templates(argument))


def parts() -> dict[str, str]:
    """What refusals are filled with in the functions that make them."""
    known = refusals()
    found: dict[str, str] = {}
    for file, tree in _modules():
        if file.startswith(SAID_BY_PAGES):
            continue
        for function in _functions(tree):
            if any(isinstance(one, ast.Call) and any(_refused(one)) for one in ast.walk(function)):
                found.update((one, file) for one in _worded(function) if one not in known)
    return found


def reports() -> dict[str, str]:
    """What commands and their reports say, each with its module."""
    known = {**refusals(), **helps()}
    found: dict[str, str] = {}
    for file, tree in _modules():
        if file.startswith(REPORTS):
            for function in _functions(tree):
                found.update((one, file) for one in _worded(function) if one not in known)
    return found


@cache
def _modules() -> list[tuple[str, ast.Module]]:
    return [
        (str(file.relative_to(SOURCE)), ast.parse(file.read_text(encoding="utf-8")))
        for file in sorted(SOURCE.rglob("*.py"))
    ]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _worded(node: ast.AST) -> Iterator[str]:
    """Templates of the largest texts inside a function's body that read like words."""
    for field, below in ast.iter_fields(node):
        if field in ("decorator_list", "returns", "annotation") or isinstance(below, ast.arguments):
            continue
        for one in below if isinstance(below, list) else [below]:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                continue  # a docstring
            made = list(templates(one)) if isinstance(one, ast.expr) else []
            if made and not isinstance(one, ast.IfExp):
                yield from (each for each in made if _words(each))
            elif isinstance(one, ast.AST):
                yield from _worded(one)


def _words(text: str) -> bool:
    bare = re.sub(r"\{\d+\}", "", text).strip()
    return " " in bare and re.search(r"[A-Za-z]{2}", bare) is not None and not _FOREIGN.search(text)


_FOREIGN = re.compile(
    r"^\s*(select|create|insert|with|update|delete|pragma|copy|attach|union|where|from|order) ",
    re.I,
)


def main() -> None:
    """Print what the catalogues of a language lack, as they would hold it."""
    for tag in sys.argv[1:] or ("zh_Hans", "zh_Hant"):
        known: set[str] = set()
        for name in ("commands", "refusals"):
            with (SOURCE / f"publish/locale/{name}.{tag}.po").open("rb") as file:
                known.update(str(one.id) for one in read_po(file) if one.string)
        for text, where in all_said().items():
            if text not in known:
                print(f'# {where}\nmsgid {json.dumps(text, ensure_ascii=False)}\nmsgstr ""\n')


if __name__ == "__main__":
    main()
