"""How far a post had spread, beside the line of China's rule on rumours, as a picture.

In: looks that saw counters. Out: SVG. Reposts and views share one axis, in parts of their
thresholds (500 and 5,000), so that one line stands for both. What is drawn is the least that each
counter showed; marks differ in form, not in colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vanished.model import Micros
from vanished.publish.shelf.filters import CROSSINGS
from vanished.publish.svg import COLOURS, Frame, page, words
from vanished.publish.tongues import Tongue

LEAST: Final = 0.001  # of a threshold; what is below stands on the ground
FRAME: Final = Frame(left=84, top=64, bottom=330)
HIGH: Final = 390
NAMES: Final = {"reposts": "reposts", "views": "views"}


def drawn(
    seen: Sequence[Mapping[str, Any]], alive: Micros | None, gone: Micros | None, tongue: Tongue
) -> str:
    """The picture. `alive` and `gone` are the ends of the interval of the loss."""
    times = [run["asked_at"] for run in seen] + [t for t in (alive, gone) if t is not None]
    first, last = min(times), max(max(times), min(times) + 1)
    shares = [_share(run, name) for run in seen for name in CROSSINGS]
    top = max(1, math.ceil(math.log10(max([10.0, *(s for s in shares if s is not None)]))))
    bottom = math.log10(LEAST)

    def x(t: Micros) -> float:
        return float(t - first) / float(last - first)

    def y(share: float) -> float:
        return (math.log10(max(share, LEAST)) - bottom) / (top - bottom)

    below = [(0.0, tongue.moment(first)), (1.0, tongue.moment(last))]
    beside = [(y(10.0**n), f"{10.0**n:g} ×") for n in range(int(bottom), top + 1)]
    parts = FRAME.grid([], beside)
    parts.append(words(FRAME.left, FRAME.bottom + 20, below[0][1]))
    parts.append(words(FRAME.right, FRAME.bottom + 20, below[1][1], "end"))
    parts += _line(FRAME.y(y(1.0)), tongue)
    parts += _loss(alive, gone, x)
    for number, (name, says) in enumerate(NAMES.items()):
        points = [(x(run["asked_at"]), y(share)) for run in seen
                  if (share := _share(run, name)) is not None]  # fmt: skip
        if points:
            parts += _series(points, number)
            parts += _key(number, f"{tongue.say(says)} / {tongue.number(CROSSINGS[name])}")
    return page(tongue.say("How far it had spread"), parts, HIGH)


def _share(run: Mapping[str, Any], name: str) -> float | None:
    value = run[f"{name}_low"]
    return None if value is None else float(value) / CROSSINGS[name]


def _line(at: float, tongue: Tongue) -> list[str]:
    says = tongue.say("{r} reposts or {v} views").format(
        r=tongue.number(CROSSINGS["reposts"]), v=tongue.number(CROSSINGS["views"])
    )
    return [
        f'<path d="M{FRAME.left} {at:.1f}H{FRAME.right}" stroke="#a11" stroke-width="2"'
        ' stroke-dasharray="8 4"/>',
        words(FRAME.right, at - 6, says, "end"),
    ]


def _loss(alive: Micros | None, gone: Micros | None, x: Any) -> list[str]:
    """The interval in which it was lost, as a grey band."""
    if gone is None:
        return []
    right = FRAME.x(x(gone))
    left = right - 1 if alive is None else min(FRAME.x(x(alive)), right - 1)
    return [
        f'<rect x="{left:.1f}" y="{FRAME.top}" width="{right - left:.1f}"'
        f' height="{FRAME.bottom - FRAME.top}" fill="#777" fill-opacity=".25"/>'
    ]


def _series(points: Sequence[tuple[float, float]], number: int) -> list[str]:
    return [FRAME.line(points, COLOURS[number]),
            *(_mark(FRAME.x(x), FRAME.y(y), number) for x, y in points)]  # fmt: skip


def _mark(x: float, y: float, number: int) -> str:
    """A disc or a square."""
    if number == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[0]}"/>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{COLOURS[number]}"/>'


def _key(number: int, says: str) -> list[str]:
    left = 20 + 220.0 * number
    return [_mark(left, 42, number), words(left + 12, 47, says)]
