"""How far a counter will grow: a log-linear baseline and a self-exciting estimate.

In: what was counted of one post, as a history. Out: the growth that each method expects within some
hours, as logarithms. Both run on the clock of the platform's activity, which stands nearly still at
night. No probability is said here, and nothing of removal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.errors import UsageError
from vanished.model import DAY, HOUR, Micros

Floats = NDArray[np.float64]

QUIET: Final = tuple([1.0] * 24)
"""An activity without a rhythm."""

S0_H: Final = 300 / 3600  # Zhao et al. 2015: reactions within five minutes are even
THETA: Final = 0.242  # and fall off with this power after
BRANCHING_MOST: Final = 1.0  # above it counts grow without end, and there is no estimate
STEPS: Final = 24


@dataclass(frozen=True, slots=True)
class History:
    """A counter of one post over its age, by looks in rising order.

    `ages_h` are hours since `born` (microseconds, UTC). `low` and `high` hold the true count;
    `high` is infinite where the shown counter is open above.
    """

    born: Micros
    ages_h: Floats
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        same = len(self.ages_h) == len(self.low) == len(self.high)
        if not (same and len(self.ages_h)):
            raise UsageError("A history needs as many lower and upper ends as ages, and one look.")
        if not ((self.ages_h >= 0).all() and (np.diff(self.ages_h) >= 0).all()):
            raise UsageError("The ages of a history must rise from zero or more.")
        if not ((self.low >= 0).all() and (self.high >= self.low).all()):
            raise UsageError("A history has a count below zero or an upper end below its lower.")

    def until(self, age_h: float) -> History | None:
        """What was known by this age; None if there was no look yet."""
        known = int(np.searchsorted(self.ages_h, age_h, side="right"))
        if not known:
            return None
        return History(self.born, self.ages_h[:known], self.low[:known], self.high[:known])

    @property
    def middle(self) -> Floats:
        """The geometric middle of each interval; its lower end where it is open above."""
        high = np.where(np.isfinite(self.high), self.high, self.low)
        return np.asarray(np.sqrt((self.low + 1) * (high + 1)) - 1, float)


def active_hours(activity: Sequence[float], born: Micros, ages_h: Floats) -> Floats:
    """Ages as hours of the platform's activity: an hour counts by its weight in `activity`.

    `activity` has a weight of mean 1 for each hour of the day in UTC. Szabo and Huberman (2010)
    measure age so, in "digg hours".
    """
    ends = np.concatenate([[0.0], np.cumsum(activity)])
    start = (born % DAY) / HOUR
    hours = np.asarray(ages_h, float) + start
    whole, part = np.floor(hours / 24), hours % 24
    passed = whole * ends[-1] + np.interp(part, np.arange(25), ends)
    return np.asarray(passed - np.interp(start, np.arange(25), ends), float)


def window(before: float, within: float) -> float:
    """The logarithm by which the active age grows: the clock of the log-linear baseline."""
    return float(np.log((before + within) / before)) if before > 0 else 20.0


def self_exciting(ages: Floats, counts: Floats, root: float, horizons: Floats) -> Floats:
    """Expected further counts within each horizon, in active hours from the last look on.

    The estimator of SEISMIC (Zhao et al. 2015): how many reposts a repost brings is estimated from
    the last half of the history, weighted by recency, with their memory kernel. They weigh each
    repost by its followers; we do not know those, so that all reposts weigh the same and the post
    itself `root` times as much. The expected counts include reposts of reposts to come.
    """
    age = float(ages[-1])
    edges = np.concatenate([[0.0], np.geomspace(1 / 60, max(age, 1 / 30), STEPS)])
    edges = np.minimum(edges, age)
    gained = np.diff(
        np.interp(edges, np.concatenate([[0.0], ages]), np.concatenate([[0.0], counts]))
    )
    at = np.concatenate([[0.0], (edges[1:] + edges[:-1]) / 2])
    weight = np.concatenate([[root], np.maximum(gained, 0)])
    branching = _branching(age, ages, counts, at, weight)
    far = float(horizons.max())
    steps = np.concatenate([[0.0], np.geomspace(1 / 60, max(far, 1 / 30), STEPS)])
    reach = kernel_mass(age + steps[:, None] - at[None, :])
    from_known = np.diff(reach, axis=0) @ weight
    middle = (steps[1:] + steps[:-1]) / 2
    from_new = np.diff(kernel_mass(steps[:, None] - middle[None, :]), axis=0)
    added = np.zeros(len(middle))
    for step in range(len(middle)):
        own = from_new[step, : step + 1] @ added[: step + 1]
        added[step] = min(branching * (from_known[step] + own), 1e7)
    total = np.concatenate([[0.0], np.cumsum(added)])
    return np.asarray(np.interp(horizons, steps, total), float)


def kernel_mass(age_h: Floats) -> Floats:
    """The share of reactions to a repost that have come by its age, in hours."""
    level = THETA / (1 + THETA) / S0_H
    late = 1 - (np.maximum(age_h, S0_H) / S0_H) ** -THETA
    mass = np.where(age_h <= S0_H, level * age_h, level * S0_H * (1 + late / THETA))
    return np.asarray(np.where(age_h > 0, mass, 0.0), float)


def _branching(age: float, ages: Floats, counts: Floats, at: Floats, weight: Floats) -> float:
    """Reposts that each repost brings, from the last half of the history; recent ones weigh more.

    One repost as expected at 0.8 is added, so that an empty history is not taken as a dead one.
    """
    parts = np.linspace(age / 2, age, 13)
    recency = (parts[1:] + parts[:-1]) / 2 - age / 2
    came = np.diff(np.interp(parts, np.concatenate([[0.0], ages]), np.concatenate([[0.0], counts])))
    due = np.diff(kernel_mass(parts[:, None] - at[None, :]), axis=0) @ weight
    added = recency.mean() if age > 0 else 1.0
    found = (recency @ np.maximum(came, 0) + added) / (recency @ due + added / 0.8)
    return float(min(found, BRANCHING_MOST))
