"""Plain SVG pictures of what schedules achieve: bars of mean delays, and shares noticed over time.

In: labelled numbers. Out: the text of an SVG file, with no script, font or address in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

WIDE, ROW, LEFT, TOP = 720, 26, 210, 56
COLOURS = ("#31688e", "#d1603d", "#35b779", "#8e6bbf", "#b5a53a", "#5a5a5a", "#c2568f")


def bars(title: str, unit: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Horizontal bars: `rows[label][series]`; each series has a colour of its own."""
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    most = max(value for row in rows.values() for value in row.values())
    scale = (WIDE - LEFT - 70) / most
    parts, y = [], TOP
    for label, row in rows.items():
        parts.append(_text(LEFT - 8, y + ROW * len(row) / 2 + 4, label, "end"))
        for name, value in row.items():
            colour = COLOURS[series.index(name) % len(COLOURS)]
            parts.append(
                f'<rect x="{LEFT}" y="{y + 3}" width="{value * scale:.1f}" height="{ROW - 6}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(LEFT + value * scale + 6, y + ROW / 2 + 4, f"{value:.1f}"))
            y += ROW
        y += 8
    parts += _key(series)
    return _page(f"{title} ({unit})", parts, y + 12)


def curves(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Shares from 0 to 1 over minutes on a logarithmic axis from 1 min to 12 h."""
    high, right = 360, WIDE - 30
    left, bottom = 60, TOP + high

    def x(minutes: float) -> float:
        return left + (right - left) * log10(max(minutes, 1.0)) / log10(720)

    parts = []
    for minutes, label in ((1, "1 min"), (10, "10 min"), (60, "1 h"), (720, "12 h")):
        at = x(minutes)
        parts.append(f'<path d="M{at:.1f} {TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(_text(at, bottom + 18, label, "middle"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * high
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(_text(left - 8, y + 4, f"{share:.0%}", "end"))
    for number, points in enumerate(series.values()):
        path = "L".join(f"{x(at):.1f} {bottom - share * high:.1f}" for at, share in points)
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    parts += _key(list(series))
    return _page(title, parts, bottom + 30)


def _key(series: Sequence[str]) -> list[str]:
    parts, x = [], 14.0
    for number, name in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{x:.0f}" y="34" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 17, 45, name))
        x += 34 + 7.2 * len(name)
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _page(title: str, parts: Sequence[str], high: float) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{high:.0f}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="14" y="22" font-size="16">{escape(title)}</text>\n{body}\n</svg>\n'
    )
