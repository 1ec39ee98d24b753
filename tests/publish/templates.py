"""Sentences in code as templates: what a catalogue has to hold for them.

In: an expression of Python's syntax tree that makes a text. Out: its template, values as {0}, {1}
in the order of the code; None for what is no text of ours. For whoever writes catalogues, and for
the tests that nothing is missing in them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator


def templates(node: ast.expr) -> Iterator[str]:
    """Every template that the expression can make: both ends of a choice, all parts of a sum."""
    if isinstance(node, ast.IfExp):
        yield from templates(node.body)
        yield from templates(node.orelse)
        return
    made = _made(node, [0])
    if made is not None and any(letter.isalpha() for letter in made.replace("{", "")):
        yield made


def _made(node: ast.expr, number: list[int]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = []
        for value in node.values:
            if isinstance(value, ast.Constant):
                parts.append(str(value.value))
            else:
                parts.append(f"{{{number[0]}}}")
                number[0] += 1
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _made(node.left, number), _made(node.right, number)
        return None if left is None or right is None else left + right
    return None
