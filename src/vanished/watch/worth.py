"""What a look at each post is worth, and when it will be worth its price, for many posts at once.

In: the columns, what a learner says of hazards, the prices. Out: W in units of the price, waits,
hazards. Each works on a `Batch`: the columns of some posts, gathered once, since picking scattered
rows out of long columns costs more than the arithmetic. Nothing here changes a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import Columns, Floats, Ids
from vanished.watch.hazard import CAP_S, SURE, AgeCurve, Objective, index
from vanished.watch.price import Prices
from vanished.watch.tables import Tables


class Hazards(Protocol):
    """What a learner, or a world that knows the truth, says of posts."""

    @property
    def curve(self) -> AgeCurve:
        """How losses fall over the age of a post; another object when it has changed."""
        ...

    @property
    def excess(self) -> Floats:
        """By set of topics: additional hazard a second; 0 at number 0, which holds none."""
        ...

    @property
    def began_s(self) -> Floats:
        """By set of topics: when that hazard began, in seconds on the schedule's axis."""
        ...

    def chance(self, account: Ids) -> Floats:
        """By post: the chance that a post of this account is lost at all, above 0."""
        ...


@dataclass(slots=True)
class Batch:
    """The columns of some posts. `age0` is the age in seconds at the last proof."""

    ids: Ids
    last: Floats
    age0: Floats
    p: Floats
    arm: npt.NDArray[np.uint32]
    excess: Floats | None  # None: no topic of theirs has any
    since: Floats | None  # when the excess began

    def where(self, chosen: npt.NDArray[np.bool_]) -> Batch:
        """Those of them."""
        excess = None if self.excess is None else self.excess[chosen]
        since = None if self.since is None else self.since[chosen]
        return Batch(
            self.ids[chosen], self.last[chosen], self.age0[chosen], self.p[chosen],
            self.arm[chosen], excess, since,
        )  # fmt: skip


class Worth:
    """The arithmetic of one schedule, over its columns and prices."""

    def __init__(
        self,
        columns: Columns,
        hazards: Hazards,
        prices: Prices,
        objective: Objective = "mean",
        cap_s: float = CAP_S,
    ) -> None:
        self._columns, self._hazards, self._prices = columns, hazards, prices
        self._objective: Objective = objective
        self._cap_s = cap_s
        self._tables: Tables | None = None

    def of(self, ids: Ids) -> Batch:
        """Gather what the rest needs to know of these rows."""
        hazards = self._hazards
        rows = self._columns.records.take(ids)
        last = rows["last"].astype(np.float64)
        excess = since = None
        if hazards.excess.any():
            topics = rows["topic"]
            excess, since = hazards.excess[topics], hazards.began_s[topics]
        return Batch(
            ids,
            last,
            np.maximum(last - rows["born"], 0.0),
            hazards.chance(rows["account"].astype(np.int64)),
            rows["arm"],
            excess,
            since,
        )

    def price(self, batch: Batch) -> Floats:
        """What a look at each costs."""
        return self._prices.of_arms()[batch.arm]

    def now(self, batch: Batch, now: float) -> Floats:
        """W of each, in units of its price: from 1 on a look is worth its request."""
        tau = np.maximum(now - batch.last, 0.0)
        value = self._tables_now().worth(batch.p, batch.age0, np.maximum(tau, 1.0))
        if batch.excess is not None and batch.since is not None:
            acted = np.minimum(np.maximum(now - batch.since, 0.0), tau)
            swept = acted if self._objective == "log" else acted * (tau - acted / 2.0)
            value += batch.excess * swept
        return value / self.price(batch)

    def index(self, batch: Batch, at: Floats) -> Floats:
        """W of each post at each of its times: `at` and the result are (posts, times)."""
        swept = {}
        if batch.excess is not None and batch.since is not None:
            acted = np.maximum(at - batch.since[:, None], 0.0)
            swept = {"excess": batch.excess[:, None], "excess_tau_s": acted}
        return index(
            self._hazards.curve, batch.p[:, None], batch.age0[:, None],
            np.maximum(at - batch.last[:, None], 0.0), objective=self._objective, **swept,
        )  # fmt: skip

    def wait_s(self, batch: Batch, share: float) -> Floats:
        """Seconds from the last proof until W is `share` of the price; inf where it never is."""
        begins = None if batch.since is None else np.maximum(batch.since - batch.last, 0.0)
        return self._tables_now().until(
            batch.p, batch.age0, self.price(batch), share, excess=batch.excess, begins_s=begins
        )

    def _tables_now(self) -> Tables:
        curve = self._hazards.curve
        if self._tables is None or self._tables.curve is not curve:
            self._tables = Tables(curve, objective=self._objective, cap_s=self._cap_s)
        return self._tables

    def hazard(self, batch: Batch, now: float) -> Floats:
        """The hazard of loss a second, as if each had been proven alive just now."""
        age = batch.age0 + (now - batch.last)
        p, curve = np.minimum(batch.p, SURE), self._hazards.curve
        chance = p * curve.density(age) / (1 - p * curve.cdf(age))
        return chance if batch.excess is None else chance + batch.excess
