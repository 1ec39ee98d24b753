"""Lifetimes counted on a grid: all that the estimators of `speed` need to know of a million posts.

The likelihood of interval-censored, left-truncated lives is a product of the probability of each
loss's interval and of the survival of each censored post, over the survival to each entry. So
three counts are sufficient: losses by (left bound, right bound, cause), censorings by bound, and
entries by bound. A resample of accounts changes the counts and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from vanished.explain.ages import Ages, Grid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of lives. U kinds of losses, M cells, B samples (1 unless they were resampled)."""

    left: Ints  # (U,) bound at or before the last proof of life
    right: Ints  # (U,) bound at or after the loss was known; > left
    cause: Ints  # (U,) 0 … causes - 1
    causes: int
    losses: Floats  # (U, B)
    entered: Floats  # (M + 1, B) posts first seen within the cell that starts at this bound
    censored: Floats  # (M + 1, B) posts last proven alive in it, and not lost

    def exposed(self) -> Floats:
        """(M, B) posts that entered and were not censored before the end of each cell: those that
        were at risk there, but for losses."""
        found: Floats = np.cumsum(self.entered - self.censored, axis=0)[:-1]
        return found


@dataclass(frozen=True, slots=True)
class Clusters:
    """The same counts by cluster (account), from which samples of clusters are drawn."""

    whole: Counted
    losses: sparse.csr_array  # (U, clusters)
    entered: sparse.csr_array  # (M + 1, clusters)
    censored: sparse.csr_array
    number: int

    def resampled(self, rng: np.random.Generator, samples: int) -> Counted:
        """`samples` samples of as many clusters, drawn with replacement."""
        size = self.number
        drawn = np.empty((size, samples))
        for sample in range(samples):
            drawn[:, sample] = np.bincount(rng.integers(0, size, size), minlength=size)
        whole = self.whole
        return Counted(
            whole.left,
            whole.right,
            whole.cause,
            whole.causes,
            self.losses @ drawn,
            self.entered @ drawn,
            self.censored @ drawn,
        )


def count(found: Ages, grid: Grid, cause: Ints, causes: int, cluster: Ints) -> Clusters:
    """Count lives on `grid`. `cause` is of each post, -1 for a censored one; `cluster` is the
    number of its account.

    An interval is widened to the bounds around it, and an entry or a censoring moved to the bound
    before it: what is then said of a post is still true, only less sharp.
    """
    _, cluster = np.unique(cluster, return_inverse=True)
    number = int(cluster.max()) + 1 if cluster.size else 0
    lost = cause >= 0
    entry, alive = grid.before(found.entry), grid.before(found.alive)
    left, right = alive[lost], np.minimum(grid.after(found.gone[lost]), grid.cells)
    right = np.maximum(right, left + 1)
    key = (left * (grid.cells + 1) + right) * causes + cause[lost]
    kinds, kind = np.unique(key, return_inverse=True)
    span = kinds // max(causes, 1)

    def tally(rows: Ints, of: Ints, size: int) -> sparse.csr_array:
        return sparse.csr_array((np.ones(rows.size), (rows, of)), shape=(size, number))

    sums = (
        tally(kind, cluster[lost], kinds.size),
        tally(entry, cluster, grid.cells + 1),
        tally(alive[~lost], cluster[~lost], grid.cells + 1),
    )
    losses, entered, censored = (np.asarray(s.sum(axis=1)).reshape(-1, 1) for s in sums)
    whole = Counted(
        span // (grid.cells + 1),
        span % (grid.cells + 1),
        kinds % max(causes, 1),
        causes,
        losses,
        entered,
        censored,
    )
    return Clusters(whole, *sums, number)
