"""A graph in plain characters, for a terminal that shows nothing else.

In: points and labels as places from 0 to 1, as for `svg.Frame`. Out: lines of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from vanished.publish.svg import Place

POINT, MARKED, BETWEEN, BESIDE, BELOW = "o", "#", "·", "|", "-"


def graph(
    points: Sequence[tuple[float, float]],
    marked: int,
    below: Sequence[Place],
    beside: Sequence[Place],
    *,
    wide: int,
    high: int,
) -> list[str]:
    """Points with a line through them; point number `marked` has a sign of its own.

    `wide` and `high` are characters of the whole, labels with it.
    """
    margin = max(len(label) for _, label in beside) + 1
    columns, rows = max(wide - margin - 1, 10), max(high - 2, 4)
    cells = [[" "] * columns for _ in range(rows)]

    def cell(at: float, height: float) -> tuple[int, int]:
        return round((1 - height) * (rows - 1)), round(at * (columns - 1))

    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(round(abs(x1 - x0) * columns), round(abs(y1 - y0) * rows), 1)
        for step in range(steps + 1):
            part = step / steps
            row, column = cell(x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
            cells[row][column] = BETWEEN
    for number, point in enumerate(points):
        row, column = cell(*point)
        if cells[row][column] != MARKED:
            cells[row][column] = MARKED if number == marked else POINT
    labels = {cell(0, height)[0]: label for height, label in beside}
    lines = [
        f"{labels.get(row, ''):>{margin - 1}} {BESIDE}{''.join(line).rstrip()}"
        for row, line in enumerate(cells)
    ]
    lines.append(f"{'':{margin}}{BESIDE}{BELOW * columns}")
    return [*lines, _below(below, margin + 1, columns)]


def _below(labels: Sequence[Place], margin: int, columns: int) -> str:
    """The labels of the lower axis, without those that have no room beside their neighbours."""
    line = ""
    for place, label in labels:
        middle = margin + round(place * (columns - 1))
        start = min(middle - len(label) // 2, margin + columns - len(label))
        if start >= len(line) + 2 or not line.strip():
            line = f"{line:{start}}{label}"
    return line
