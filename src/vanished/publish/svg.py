"""Plain SVG: pages, words, keys of colours and the frame of a graph, for whoever draws one.

In: coordinates and words. Out: the text of an SVG file, with no script, font or address in it.
What is drawn into a frame is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE, TOP = 720, 56
COLOURS = ("#31688e", "#d1603d", "#35b779", "#8e6bbf", "#b5a53a", "#5a5a5a", "#c2568f")

Place = tuple[float, str]
"""Where a label stands, from 0 to 1 along its side of a frame, and what it says."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle of a graph, in pixels from the upper left. Places in it are from 0 to 1."""

    left: float = 60
    right: float = WIDE - 30
    top: float = TOP
    bottom: float = TOP + 360

    def x(self, place: float) -> float:
        return self.left + (self.right - self.left) * place

    def y(self, place: float) -> float:
        return self.bottom - (self.bottom - self.top) * place

    def grid(self, below: Sequence[Place], beside: Sequence[Place]) -> list[str]:
        """Pale lines with their labels, below the frame and to its left."""
        parts = []
        for place, label in below:
            at = self.x(place)
            parts.append(f'<path d="M{at:.1f} {self.top}V{self.bottom}" stroke="#ddd"/>')
            parts.append(words(at, self.bottom + 18, label, "middle"))
        for place, label in beside:
            at = self.y(place)
            parts.append(f'<path d="M{self.left} {at:.1f}H{self.right}" stroke="#ddd"/>')
            parts.append(words(self.left - 8, at + 4, label, "end"))
        return parts

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> str:
        """A line through these places."""
        path = "L".join(f"{self.x(at):.1f} {self.y(high):.1f}" for at, high in points)
        return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def words(x: float, y: float, text: str, anchor: str = "start") -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def key(series: Sequence[str]) -> list[str]:
    """Which colour stands for which series, in a row below the title."""
    parts, x = [], 14.0
    letters = max(1, sum(len(name) for name in series))
    letter = min(7.2, (WIDE - 2 * x - 34 * len(series)) / letters)  # narrower where many stand
    for number, name in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{x:.0f}" y="34" width="12" height="12" fill="{colour}"/>')
        parts.append(words(x + 17, 45, name))
        x += 34 + letter * len(name)
    return parts


def page(title: str, parts: Sequence[str], high: float) -> str:
    """The whole file, `high` pixels high."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{high:.0f}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="14" y="22" font-size="16">{escape(title)}</text>\n{body}\n</svg>\n'
    )
