"""A share with its interval, where posts of one author stand or fall together.

In: for each author how many posts, and how many of them count. Out: the share and a 95 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

K: Final = 5
"""Authors that a published cell has at least: fewer could be recognised."""

Z: Final = 1.959963984540054  # 95 %, two sides


@dataclass(frozen=True, slots=True)
class Share:
    """`n` of `of`; `low` to `high` is a 95 % interval, `effective` the number of independent posts
    that would be as informative as these."""

    n: int
    of: int
    share: float | None
    low: float | None
    high: float | None
    effective: float


def share(counting: ArrayLike, posts: ArrayLike) -> Share:
    """The share of posts that count, from arrays with one number an author.

    A Wilson interval (Wilson 1927) at the effective sample size: the number of posts over the
    design effect of the ratio estimator with authors as clusters (Kish 1965; Korn and Graubard
    1998). The design effect is never taken as below one, and with one author there is no interval.
    """
    x, n = np.asarray(counting, float), np.asarray(posts, float)
    x, n = x[n > 0], n[n > 0]
    total, of, clusters = float(x.sum()), float(n.sum()), len(n)
    if not of:
        return Share(0, 0, None, None, None, 0.0)
    p = total / of
    if clusters < 2:
        return Share(int(total), int(of), p, None, None, 1.0)
    simple = p * (1 - p) / of
    clustered = clusters / (clusters - 1) * float(((x - p * n) ** 2).sum()) / of**2
    effect = max(1.0, clustered / simple) if simple else of / clusters
    effective = of / effect
    low, high = wilson(p, effective)
    return Share(int(total), int(of), p, low, high, effective)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share `p` of `n`, which need not be whole."""
    middle = p + Z * Z / (2 * n)
    half = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    whole = 1 + Z * Z / n
    return max(0.0, float((middle - half) / whole)), min(1.0, float((middle + half) / whole))
