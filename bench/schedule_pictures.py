"""Plain SVG pictures of what schedules achieve: bars of mean delays, and shares noticed over time.

In: labelled numbers. Out: the text of an SVG file, with no script, font or address in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vanished.publish.axis import Axis
from vanished.publish.svg import COLOURS, TOP, WIDE, Frame, key, page, words

ROW, LEFT = 26, 210
MINUTES = Axis(((1, "1 min"), (10, "10 min"), (60, "1 h"), (720, "12 h")))
SHARES = [(share, f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


def bars(title: str, unit: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Horizontal bars: `rows[label][series]`; each series has a colour of its own."""
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    most = max(value for row in rows.values() for value in row.values())
    scale = (WIDE - LEFT - 70) / most
    parts, y = [], TOP
    for label, row in rows.items():
        parts.append(words(LEFT - 8, y + ROW * len(row) / 2 + 4, label, "end"))
        for name, value in row.items():
            colour = COLOURS[series.index(name) % len(COLOURS)]
            parts.append(
                f'<rect x="{LEFT}" y="{y + 3}" width="{value * scale:.1f}" height="{ROW - 6}" '
                f'fill="{colour}"/>'
            )
            parts.append(words(LEFT + value * scale + 6, y + ROW / 2 + 4, f"{value:.1f}"))
            y += ROW
        y += 8
    parts += key(series)
    return page(f"{title} ({unit})", parts, y + 12)


def curves(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Shares from 0 to 1 over minutes on a logarithmic axis from 1 min to 12 h."""
    frame = Frame()
    parts = frame.grid([(MINUTES.place(at), label) for at, label in MINUTES.marks], SHARES)
    for number, points in enumerate(series.values()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(frame.line([(MINUTES.place(at), share) for at, share in points], colour))
    return page(title, [*parts, *key(list(series))], frame.bottom + 30)
