"""Public Weibo cascades as they were recorded, as an observatory would have counted them.

In: a file of the CED data set (without its users and repost texts) or of the CasFlow sample. Out:
ages of reposts, and looks at them. The files have licences of their own and are not shipped; only
tests and benchmarks read them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.forecast_fit import Cascade
from vanished.explain.growth import History
from vanished.model import SECOND, Micros

Floats = NDArray[np.float64]
LOOKS_H: Final = np.concatenate(
    [np.arange(60) / 30, np.arange(8, 48) / 4, np.arange(12, 72), np.arange(6, 29) * 12.0]
)
"""Ages of looks: every 2 min for 2 h, every 15 min to 12 h, hourly to 3 days, then twice a day."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One cascade: when it began, ages of its recorded reposts in order, and its final counter."""

    born: Micros
    events_h: Floats
    final: int

    def crossed_h(self, number: int) -> float:
        """The age of the repost that reached the number; infinite if none recorded did."""
        return float(self.events_h[number - 1]) if len(self.events_h) >= number else float(np.inf)


def ced(path: Path) -> Sequence[Recorded]:
    """The CED cascades by time. Events without a readable time are left out; reposts and comments
    are not told apart in them."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["reposts"] is not None:
                ages = [max(0, event[0]) for event in row["events"] if event[0] is not None]
                found.append(Recorded(row["time"] * SECOND, np.sort(ages) / 3600, row["reposts"]))
    return sorted(found, key=lambda one: one.born)


def casflow(path: Path) -> Sequence[Recorded]:
    """The CasFlow sample by time: id, user, time, participants, then a path "a/b/c:seconds" each;
    the first path is the post itself."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        _, _, born, _, paths = line.split("\t")
        ages = np.sort([float(path.rpartition(":")[2]) for path in paths.split()][1:]) / 3600
        found.append(Recorded(int(born) * SECOND, ages, len(ages)))
    return sorted(found, key=lambda one: one.born)


def watched(one: Recorded) -> Cascade:
    """What looks at `LOOKS_H` would have counted."""
    counts = np.searchsorted(one.events_h, LOOKS_H, side="right").astype(float)
    return Cascade(History(one.born, LOOKS_H, counts, counts), float(LOOKS_H[-1]))
