"""The index and the waits of `hazard.py` from tables, for whole columns at once.

In: an age curve. Out: what a look is worth, and how long until it repays its price, some 10 to 50
times as fast as from the formulas. Without an excess both depend on two numbers only: the age at
the last proof, and the wait, or the price in units of the post's own weight p / (1 - p F(a0)). The
tables hold logarithms, at even steps of the other's logarithm and of the age's, until shortly
before the last losses; from there on at even steps of the logarithm of the time left, for waits
soar there. What lies between is interpolated. That is good to a few per cent, and enough: dates are
set early and weighed again when they come. Excess hazards come from the formulas.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import Floats, Ids
from vanished.watch.hazard import CAP_S, SURE, AgeCurve, Objective, index, wait_s

AGES, LATE = 240, 60
STEPS = 192
FROM_AGE_S, TO_SHARE = 10.0, 0.9  # of the age of the last losses
LEFT_S = 1.0  # the shortest time left
WAITS_S = (1.0, 1e8)
PRICES_S = (1e-3, 1e6)
MASSES = (1e-9, 1.0)
LEAST = 1e-12  # stands for 0

_Single = npt.NDArray[np.float32]


class Tables:
    """Those of one curve; make new ones when the curve changes (some 0.1 s)."""

    def __init__(
        self, curve: AgeCurve, *, objective: Objective = "mean", cap_s: float = CAP_S
    ) -> None:
        self.curve, self.objective, self.cap_s = curve, objective, cap_s
        knots, values = curve.knots_s, curve.values
        end = float(knots[np.argmax(values >= values[-1])])  # losses end here
        self._end_s = end
        to = end * TO_SHARE
        self._age0, self._age_step = _logs(FROM_AGE_S, to, AGES)
        self._left0, self._left_step = _logs(end - to, LEFT_S, LATE)
        even, left = np.geomspace(FROM_AGE_S, to, AGES), np.geomspace(end - to, LEFT_S, LATE)
        ages = np.concatenate([even, end - left[1:]])
        self._cdf = np.append(curve.cdf(ages), values[-1])
        # p = 1/(1 + F) weighs exactly 1: the wait, or the price, is left.
        unit, column = (1.0 / (1.0 + self._cdf[:-1]))[:, None], ages[:, None]
        self._worth = _Steps(*WAITS_S)
        worth = index(curve, unit, column, self._worth.values, objective=objective)
        self._worth.keep(np.maximum(worth, LEAST))
        self._wait = _Steps(*(PRICES_S if objective == "mean" else MASSES))
        waits = wait_s(
            curve, unit, column, self._wait.values, share=1.0, objective=objective, cap_s=end
        )
        # With the last losses the index has reached its most: a higher price is never repaid.
        left_s = end - ages
        most = index(curve, unit[:, 0], ages, left_s, objective=objective)
        self._most = np.log(np.maximum(np.append(most, 0.0), LEAST)).astype(np.float32)
        self._wait.keep(np.clip(waits, 1e-3, left_s[:, None]))

    def _place(self, age0_s: Floats) -> tuple[Ids, _Single]:
        """The last age of the tables that is not above it, and the part of the way to the next."""
        age = age0_s.astype(np.float32)
        left = np.log(np.maximum(np.float32(self._end_s) - age, np.float32(LEFT_S)))
        x = (np.log(np.maximum(age, np.float32(FROM_AGE_S))) - self._age0) / self._age_step
        late = (left - self._left0) / self._left_step
        late += AGES - 1
        np.copyto(x, late, where=x > AGES - 1)
        i = x.astype(np.int64)
        x -= i
        return i, x

    def _weigh(self, p: Floats, i: Ids, x: _Single) -> Floats:
        """p / (1 - p F(a0))."""
        low = self._cdf.take(i)
        sure = np.minimum(p, SURE)
        return np.asarray(sure / (1.0 - sure * (low + (self._cdf.take(i + 1) - low) * x)))

    def worth(self, p: Floats, age0_s: Floats, wait: Floats) -> Floats:
        """`hazard.index` without excess, `wait` seconds after a proof at age `age0_s`."""
        i, x = self._place(age0_s)
        return np.asarray(self._weigh(p, i, x) * self._worth.at(i, x, wait))

    def until(
        self,
        p: Floats,
        age0_s: Floats,
        price: Floats,
        share: float,
        *,
        excess: Floats | None = None,
        begins_s: Floats | None = None,
    ) -> Floats:
        """Seconds from the last proof until W = share · price, inf where a post retires.

        `excess`: additional hazards a second, which begin `begins_s` seconds after the proof.
        """
        i, x = self._place(age0_s)
        unit = share * price / np.maximum(self._weigh(p, i, x), LEAST)
        waits = self._wait.at(i, x, unit).astype(np.float64)
        most = self._most.take(i)
        most += (self._most.take(i + 1) - most) * x
        waits[(np.log(unit) >= most) | (waits > self.cap_s)] = np.inf
        if excess is not None and begins_s is not None:
            swept = np.flatnonzero(excess)
            waits[swept] = wait_s(
                self.curve, p[swept], age0_s[swept], price[swept], excess=excess[swept],
                excess_from_s=begins_s[swept], share=share, objective=self.objective,
                cap_s=self.cap_s,
            )  # fmt: skip
        return waits


def _logs(first: float, last: float, steps: int) -> tuple[np.float32, np.float32]:
    """The first of so many even steps of the logarithm, and how wide they are."""
    return np.float32(np.log(first)), np.float32(np.log(last / first) / (steps - 1))


class _Steps:
    """A table over ages and even steps of a logarithm; it holds logarithms."""

    def __init__(self, first: float, last: float) -> None:
        self._first, self._step = _logs(first, last, STEPS)
        self.values = np.exp(self._first + self._step * np.arange(STEPS))
        self._logs: _Single = np.zeros(0, np.float32)

    def keep(self, table: Floats) -> None:
        """A row an age; the last age, from which on there are no losses, is like the one before."""
        logs = np.log(table).astype(np.float32)
        self._logs = np.concatenate([logs, logs[-1:]]).ravel()

    def at(self, i: Ids, x: _Single, other: npt.NDArray[np.floating[Any]]) -> _Single:
        y = np.log(other.astype(np.float32))
        y -= self._first
        y /= self._step
        np.clip(y, 0, STEPS - 1.001, out=y)
        j = y.astype(np.int64)
        y -= j
        j += i * STEPS
        logs = self._logs
        low = logs.take(j)
        j += 1
        low += (logs.take(j) - low) * y
        j += STEPS
        high = logs.take(j)
        j -= 1
        high = logs.take(j) + (high - logs.take(j)) * y
        low += (high - low) * x
        return np.asarray(np.exp(low))
