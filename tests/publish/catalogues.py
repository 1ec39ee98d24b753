"""Every word of ours that a page can show, for whoever translates and for the test that all are.

In: the templates and modules of the dashboard. Out: the messages, singular with plural or None.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from jinja2.ext import babel_extract

from vanished.publish.desk import words
from vanished.publish.gate import NoWords
from vanished.publish.site.figures import OUTCOMES
from vanished.publish.tongues import _UNITS

PUBLISH = Path(words.__file__).parents[1]
OPTIONS = {"trimmed": "false", "newstyle_gettext": "true"}


def messages() -> dict[str, str | None]:
    """Message to its plural form."""
    found: dict[str, str | None] = {}
    for file in sorted(PUBLISH.glob("*/templates/*.html")):
        with file.open("rb") as opened:
            for _, name, given, _ in babel_extract(opened, ["_", "ngettext"], [], OPTIONS):
                texts = [given] if isinstance(given, str) else [t for t in given or () if t]
                found[texts[0]] = texts[1] if name == "ngettext" else None
        found.update(dict.fromkeys(re.findall(r't\.say\("([^"]+)"\)', file.read_text("utf-8"))))
    for file in [*PUBLISH.glob("desk/*.py"), *PUBLISH.glob("site/*.py"), PUBLISH / "tongues.py"]:
        found.update(_said(ast.parse(file.read_text(encoding="utf-8"))))
    found.update((one, many) for _, one, many in _UNITS)
    found.update(dict.fromkeys(["or", words.AGAIN]))
    found.update(dict.fromkeys([*OUTCOMES.values(), *NoWords]))
    for name, value in vars(words).items():
        if isinstance(value, dict) and name.isupper() and name != "SIGNS":
            found.update(dict.fromkeys(value.values()))
    return found


def _said(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Texts that are given to `say` and `some`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", "")
        texts = [
            leaf.value
            for argument in node.args[: 2 if name == "some" else 1]
            for leaf in _chosen(argument)
            if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
        ]
        if name == "some" and len(texts) == 2:
            yield texts[0], texts[1]
        elif name == "say":
            yield from ((text, None) for text in texts if text)


def _chosen(node: ast.expr) -> Iterator[ast.AST]:
    """The ends of a choice between texts; an index of a dictionary is none."""
    if isinstance(node, ast.IfExp):
        yield from _chosen(node.body)
        yield from _chosen(node.orelse)
    else:
        yield node
