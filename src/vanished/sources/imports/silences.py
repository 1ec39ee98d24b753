"""Tell a recorder that stood still from a platform that was calm.

In: the times at which a peer recorded something. Out: the silences that its own rate cannot
explain. Pure. A silence that chance may well explain is not reported, which does not make it calm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.model import DAY, MINUTE, Micros

BURST: Final[Micros] = 15 * MINUTE  # records closer than this are counted as one
FLANK: Final[Micros] = 7 * DAY  # how much of the record is compared, on either side
SHORTEST: Final[Micros] = DAY  # a shorter silence may be a night
FALSE_ALARM: Final = 0.01  # for a whole record


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was recorded after `since` and before `until`; `chance` that it is none."""

    since: Micros
    until: Micros
    chance: float


def silences(times: Sequence[Micros]) -> list[Silence]:
    """The stretches without a record that are gaps of the recorder, in order of time.

    Records come in bursts (one push of an account is rechecked article by article), so bursts are
    counted, not records. If bursts are a Poisson process with one rate over a silence of length L
    and a flank of length S in which n of them fell, all n fall outside the silence with
    probability (S / (S + L))^n: the exact conditional test of two Poisson rates (Przyborowski and
    Wilenski, Biometrika 31, 1940), which needs no estimate of the rate. The flank with the calmer
    answer counts, so that neither the start nor the end of a busy time looks like a gap, and a
    silence is at least a day long, so that it spans each hour of the day at least once.

    A silence is reported below FALSE_ALARM / (number of bursts): by Bonferroni's inequality the
    chance that a record without gaps shows even one is below FALSE_ALARM, as long as its rate does
    not fall and rise again within one silence and its flanks (a week at a quarter of the rate
    doubles it). Gaps that were found do not count as part of a flank, so that one gap cannot hide
    its neighbour.
    """
    moments = np.unique(np.asarray(times, dtype=np.int64))
    if not moments.size:
        return []
    breaks = np.flatnonzero(np.diff(moments) > BURST)
    starts = moments[np.r_[0, breaks + 1]]
    ends = moments[np.r_[breaks, moments.size - 1]]
    bar = FALSE_ALARM / starts.size
    candidates = [
        (int(since), int(until))
        for since, until in zip(ends[:-1], starts[1:], strict=True)
        if until - since >= SHORTEST
    ]
    found: dict[tuple[Micros, Micros], float] = {}
    while True:
        new = {
            stretch: chance
            for stretch in candidates
            if stretch not in found and (chance := _chance(starts, stretch, list(found))) < bar
        }
        if not new:
            return [Silence(*stretch, chance) for stretch, chance in sorted(found.items())]
        found |= new


def _chance(
    starts: NDArray[np.int64],
    stretch: tuple[Micros, Micros],
    gaps: list[tuple[Micros, Micros]],
) -> float:
    """Chance of a silence beside its calmer flank; 1 where no flank is a day long."""
    since, until = stretch
    first, last = int(starts[0]), int(starts[-1])
    chances: list[float] = []
    for low, high in ((max(since - FLANK, first), since), (until, min(until + FLANK, last))):
        length = high - low - sum(max(0, min(high, b) - max(low, a)) for a, b in gaps)
        # One fewer: the burst at the end of the silence is there by the silence's definition.
        bursts = int(np.count_nonzero((starts >= low) & (starts <= high))) - 1
        if length >= SHORTEST:
            chances.append(float(length / (length + until - since)) ** max(bursts, 0))
    return max(chances, default=1.0)
