"""How unequally removals are spread over accounts: Lorenz curve, Gini coefficient, top shares.

In: removed posts and all posts of each account. Out: numbers about all accounts together, each with
an interval from resamples of accounts, and what they would be if removals fell on posts at random.
Accounts that lost alike are told apart nowhere: all depends on how many accounts lost how many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS: Final = (0.025, 0.975)


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
        return np.divide(number * (ranks @ self.values), pairs, out=np.zeros(len(total)),
                         where=pairs > 0)  # fmt: skip

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
