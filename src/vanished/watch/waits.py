"""How long until a post's index reaches its price: `hazard.wait_s` from a table, a column at once.

In: an age curve. Out: waits for whole columns, some 20 times as fast as solving for each post.
Without an excess the wait depends on two numbers only, the age at the last proof and the price in
units of the post's own weight p / (1 - p F(a0)); the table holds their logarithms' grid, and what
lies between is interpolated. That is good to a few per cent, and enough: dates are set early and
weighed again when they come. Posts under an excess are solved for, and those near the age from
which on there are no losses: between a wait that ends and one that does not nothing lies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import Floats
from vanished.watch.hazard import CAP_S, AgeCurve, Objective, factor, wait_s

AGES = 160
PRICES = 192
FROM_AGE_S, TO_AGE_S = 10.0, 400 * 86400.0
FROM_PRICE_S, TO_PRICE_S = 1e-3, 1e6
FROM_MASS, TO_MASS = 1e-9, 1.0
ENDLESS_S = 1e12  # stands for "never" where logarithms are interpolated


class Waits:
    """The table of one curve; make a new one when the curve changes (some 0.1 s)."""

    def __init__(
        self, curve: AgeCurve, *, objective: Objective = "mean", cap_s: float = CAP_S
    ) -> None:
        self.curve, self.objective, self.cap_s = curve, objective, cap_s
        prices = (FROM_PRICE_S, TO_PRICE_S) if objective == "mean" else (FROM_MASS, TO_MASS)
        self._age0, self._age_step = _grid(FROM_AGE_S, TO_AGE_S, AGES)
        self._price0, self._price_step = _grid(*prices, PRICES)
        ages = np.exp(self._age0 + self._age_step * np.arange(AGES))
        unit = np.exp(self._price0 + self._price_step * np.arange(PRICES))
        # p = 1/(1 + F) weighs exactly 1: the price alone is left.
        waits = wait_s(
            curve, (1.0 / (1.0 + curve.cdf(ages)))[:, None], ages[:, None], unit[None, :],
            share=1.0, objective=objective, cap_s=ENDLESS_S,
        )  # fmt: skip
        self._logs = np.log(np.clip(waits, 1e-3, ENDLESS_S)).astype(np.float32).ravel()

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
        unit = share * price / np.maximum(factor(self.curve, p, age0_s), 1e-12)
        waits, cut = self._table(np.maximum(age0_s, FROM_AGE_S), unit)
        solved = np.flatnonzero(cut)
        if excess is not None and begins_s is not None:
            solved = np.flatnonzero(cut | (excess > 0))
            some = excess[solved]
            swept = {"excess": some, "excess_from_s": np.where(some > 0, begins_s[solved], 0.0)}
        else:
            swept = {}
        if len(solved):
            waits[solved] = wait_s(
                self.curve, p[solved], age0_s[solved], price[solved], share=share,
                objective=self.objective, cap_s=self.cap_s, **swept,
            )  # fmt: skip
        return waits

    def _table(self, age: Floats, unit: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Waits, and where they must be solved for: between a wait that ends and an endless one."""
        x = np.clip((np.log(age) - self._age0) / self._age_step, 0, AGES - 1.001)
        y = np.clip((np.log(unit) - self._price0) / self._price_step, 0, PRICES - 1.001)
        i, j = x.astype(np.int64), y.astype(np.int64)
        x, y = x - i, y - j
        at = i * PRICES + j
        logs = self._logs
        a, b, c, d = logs[at], logs[at + 1], logs[at + PRICES], logs[at + PRICES + 1]
        waits = np.exp((a * (1 - y) + b * y) * (1 - x) + (c * (1 - y) + d * y) * x)
        longest = np.log(self.cap_s)
        least = np.minimum(np.minimum(a, b), np.minimum(c, d))
        most = np.maximum(np.maximum(a, b), np.maximum(c, d))
        cut = (least <= longest) & (most > longest + 1.0)
        return np.where(waits > self.cap_s, np.inf, waits), cut


def _grid(first: float, last: float, steps: int) -> tuple[float, float]:
    return float(np.log(first)), float(np.log(last / first) / (steps - 1))
