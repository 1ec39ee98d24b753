"""How unequally removals are spread over accounts: Lorenz curve, Gini coefficient, top shares.

In: removed posts and all posts of each account. Out: numbers about all accounts together, each with
an interval from resamples of accounts, and what they would be if removals fell on posts at random.
Accounts that lost alike are told apart nowhere: all depends on how many accounts lost how many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from vanished.explain.lives import levels
from vanished.explain.shares import K, Share, share
from vanished.explain.who_settings import WhoSettings, finding

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LORENZ: Final = pa.schema(
    [
        ("accounts", pa.float64()),  # share of accounts, those with fewest removals first
        ("removals", pa.float64()),  # their share of removed posts
        ("low", pa.float64()),  # 95 %, point by point
        ("high", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How many accounts (columns) have how much (`values`, rising); a row a sample of accounts."""

    values: Floats  # (V,)
    accounts: Floats  # (B, V)

    @classmethod
    def of(cls, x: ArrayLike) -> Spread:
        values, accounts = np.unique(np.asarray(x, float), return_counts=True)
        return cls(values, accounts[None, :].astype(float))

    def resampled(self, rng: np.random.Generator, samples: int) -> Spread:
        """Samples of as many accounts, drawn with replacement, of which none has nothing at all."""
        number = round(float(self.accounts.sum()))
        drawn = rng.multinomial(number, self.accounts[0] / number, samples)
        drawn = drawn[(drawn @ self.values) > 0]
        return Spread(self.values, drawn.astype(float))

    def gini(self) -> Floats:
        """(B,) The Gini coefficient (Gini 1912), of accounts as a sample of more: n / (n - 1) times
        that of the sample. 0 if all are alike, 1 if one has everything."""
        number = self.accounts.sum(axis=1)
        total = self.accounts @ self.values
        below = np.cumsum(self.accounts, axis=1) - self.accounts
        ranks = self.accounts * (2 * below + self.accounts - number[:, None])
        pairs = number * (number - 1) * total
        top = number * (ranks @ self.values)
        found: Floats = np.divide(top, pairs, out=np.zeros(len(total)), where=pairs > 0)
        return found

    def least(self, parts: ArrayLike) -> Floats:
        """(B, P) The Lorenz curve: what the `parts` of accounts with the least have of all."""
        parts = np.asarray(parts, float)
        number, total = self.accounts.sum(axis=1), self.accounts @ self.values
        x = np.cumsum(self.accounts, axis=1) / number[:, None]
        y = np.cumsum(self.accounts * self.values, axis=1) / total[:, None]
        rows = zip(x, y, strict=True)
        found = [np.interp(parts, np.r_[0.0, a], np.r_[0.0, b]) for a, b in rows]
        return np.asarray(found, float)


def gini(x: ArrayLike) -> float:
    """The Gini coefficient of non-negative numbers, an account each; see `Spread.gini`."""
    return float(Spread.of(x).gini()[0]) if np.size(x) else 0.0


def concentration(
    removed: Ints, posts: Ints, rng: np.random.Generator, settings: WhoSettings
) -> tuple[list[dict[str, Any]], pa.Table]:
    """Rows of `COLUMNS`, and the Lorenz curve of removals: `LORENZ`. One entry an account.

    Intervals are percentiles of resamples of accounts, expanded as for as many accounts as would be
    as informative: the square of the sum of removals over the sum of their squares. Where few
    accounts have most removals, resamples vary too little.
    """
    number, total = len(removed), int(removed.sum())
    spread, written = Spread.of(removed), Spread.of(posts)
    drawn = spread.resampled(rng, settings.resamples)
    counted = {"posts": int(posts.sum()), "removed": total}

    def row(name: str, value: float, ends: tuple[float, float], p: float | None = None) -> None:
        rows.append(finding("concentration", name, number, value, ends, **counted, p=p))

    rows: list[dict[str, Any]] = []
    with_any = share(removed > 0, np.ones(number))
    if number == with_any.n or number - with_any.n >= K:
        assert with_any.share is not None
        row("accounts with a removed post", with_any.share, _ends(with_any))
    effective = informative(removed)
    value = float(spread.gini()[0])
    by_chance = _by_chance(posts, total, rng, settings.chances)
    p = (1 + int((by_chance >= value).sum())) / (1 + len(by_chance))
    row("Gini coefficient of removals over accounts", value, _between(drawn.gini(), effective), p)
    row("the same if removals fell on posts at random", float(by_chance.mean()),
        _between(by_chance, math.inf))  # fmt: skip
    ends = _between(written.resampled(rng, settings.resamples).gini(), informative(posts))
    row("Gini coefficient of posts over accounts", float(written.gini()[0]), ends)
    told = [part for part in sorted(settings.tops) if part * number >= settings.least_top]
    tops, samples = 1 - spread.least(1 - np.array(told)), 1 - drawn.least(1 - np.array(told))
    for place, part in enumerate(told):
        ends = _between(samples[:, place], min(effective, part * number))
        row(f"share of removals in the {part:.0%} of accounts with the most",
            float(tops[0, place]), ends)  # fmt: skip
    return rows, _lorenz(spread, drawn, effective)


def informative(x: Ints) -> float:
    """How many accounts, if all had as much, would be as informative (Kish's effective size)."""
    squares = float((x.astype(float) ** 2).sum())
    return float(x.sum()) ** 2 / squares if squares else 0.0


def _by_chance(posts: Ints, total: int, rng: np.random.Generator, chances: int) -> Floats:
    """Gini coefficients of `total` removals dealt to all posts at random."""
    dealt = (
        rng.multivariate_hypergeometric(posts, total, method="marginals") for _ in range(chances)
    )
    return np.array([gini(each) for each in dealt])


def _lorenz(spread: Spread, drawn: Spread, effective: float) -> pa.Table:
    """Points at least `K` accounts apart, at most 101: a steeper step would tell of fewer."""
    number = round(float(spread.accounts.sum()))
    step = max(K, math.ceil(number / 100))
    parts = np.r_[0.0, 1 - step * np.arange(number // step - 1, -1, -1) / number]
    samples = drawn.least(parts)
    low, high = np.quantile(samples, levels(effective), axis=0, method="weibull")
    columns = (parts, spread.least(parts)[0], low, high)
    return pa.table([pa.array(c, pa.float64()) for c in columns], schema=LORENZ)


def _between(samples: Floats, effective: float) -> tuple[float, float]:
    places = (0.025, 0.975) if math.isinf(effective) else levels(effective)
    low, high = np.quantile(samples, places, method="weibull").tolist()
    return low, high


def _ends(found: Share) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high
