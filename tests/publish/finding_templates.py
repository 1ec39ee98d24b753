"""Every sentence that analyses can say on a page, as templates, taken from the code.

In: the modules of analyses whose findings the dashboard shows. Out: templates, as `templates` makes
them: what the catalogues `findings` have to hold. Reasons why a part could not be made are errors,
taken from the modules that raise them on the way to a page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import vanished
from tests.publish.templates import templates

ROOT: Final = Path(vanished.__file__).parent
SAYING: Final = (
    "terms", "combinations", "stories", "campaigns", "events", "overview", "speed_shown", "spread",
    "spread_rows", "spread_chart", "who", "concentration", "after_removal", "reach_timeline",
    "reach_timeline_chart", "reach_spans", "result", "removal_rate",
)  # fmt: skip
"""Modules of `explain` that say something of what was found."""
REFUSING: Final = (
    "explain/comparable.py", "explain/reach_timeline.py", "publish/month.py",
    "publish/finding_run.py", "publish/desk/finder.py", "publish/translating.py",
)  # fmt: skip
"""Modules whose errors stand on a page in the place of a finding."""


def spoken() -> set[str]:
    """All templates."""
    found: set[str] = set()
    for name in SAYING:
        tree = ast.parse((ROOT / f"explain/{name}.py").read_text("utf-8"))
        found.update(said for said in _said(tree) if _is_speech(said))
    for name in REFUSING:
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        found.update(_errors(tree))
    return found


def _is_speech(text: str) -> bool:
    """Words with a space between them; not a filter of Vega, a format of time, or a bare sign."""
    return bool(re.search(r"[a-z]", text)) and " " in text and not text.startswith(("datum.", "%"))


def _said(node: ast.AST) -> Iterator[str]:
    """The largest texts in the code, with the texts in their places; no docstring, no error."""
    if isinstance(node, ast.Raise) or _is_docstring(node):
        return
    if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
        made = list(templates(node))
        if made:
            yield from made
            for inside in ast.walk(node):
                if isinstance(inside, ast.FormattedValue):
                    yield from _said(inside.value)
            return
    for child in ast.iter_child_nodes(node):
        yield from _said(child)


def _errors(tree: ast.Module) -> Iterator[str]:
    """What is raised, printed or given as the reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            yield from templates(node.exc.args[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            yield from (one for one in templates(node.args[0]) if " " in one)
        elif isinstance(node, (ast.AnnAssign, ast.Assign)):
            names = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            said = {getattr(name, "id", getattr(name, "attr", "")) for name in names}
            if node.value is not None and said & {"SEALED", "FEW", "trouble"}:
                yield from (one for one in templates(node.value) if " " in one)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
