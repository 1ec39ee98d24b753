"""Logarithmic axes of pictures, in the terminal and as SVG: where values lie, and what to label.

In: the values to show. Out: a range that ends at round marks, places from 0 to 1, labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log10

Mark = tuple[float, str]
"""A value, and its label."""

DELAYS: Sequence[Mark] = (
    *((s, f"{s} s") for s in (1, 2, 5, 10, 30)),
    *((60 * m, f"{m} min") for m in (1, 2, 5, 10, 30)),
    *((3600 * h, f"{h} h") for h in (1, 2, 4, 8, 12, 24)),
)
"""Seconds, as a reader names them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From the first mark to the last; values beyond lie at the end."""

    marks: Sequence[Mark]

    def place(self, value: float) -> float:
        """Where `value` lies, from 0 to 1."""
        low, high = self.marks[0][0], self.marks[-1][0]
        return log(min(max(value, low), high) / low) / log(high / low)


def spanning(values: Sequence[float], marks: Sequence[Mark]) -> Axis:
    """The shortest axis between two of these marks that has room for all values."""
    low = max((i for i, (at, _) in enumerate(marks) if at <= min(values)), default=0)
    high = min((i for i, (at, _) in enumerate(marks) if at >= max(values)), default=len(marks) - 1)
    if low == high:
        low, high = max(low - 1, 0), min(high + 1, len(marks) - 1)
    return Axis(marks[low : high + 1])


def amounts(values: Sequence[float]) -> Sequence[Mark]:
    """Marks at 1, 2 and 5 times powers of ten, as far as these positive values reach."""
    first, last = int(log10(min(values))) - 1, int(log10(max(values))) + 1
    return [
        (digit * 10.0**power, short(digit * 10.0**power))
        for power in range(first, last + 1)
        for digit in (1, 2, 5)
    ]


def short(amount: float) -> str:
    """A number in few characters: 1200 is 1.2 k."""
    for size, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if amount >= 0.9995 * size:
            return f"{amount / size:.3g}{name}"
    return f"{amount:.3g}"
