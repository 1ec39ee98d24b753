"""Groups in which each member is like the centre: a chain of weak links never joins two stories.

In: pairs that are alike, how much, and a question whether a member may stay with a centre. Out: the
centre of each item. After the star clustering of Aslam, Pelekhov and Rus (2004); centres are found
by climbing to the heaviest neighbour, so that not all like pairs need be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.pairs import Pairs, packed, unpacked

Stays = Callable[[Pairs], NDArray[np.bool_]]
"""Whether, of each pair (centre, member), the member is like enough to its centre to stay."""

_OFFERS: Final = 3  # times that a whole star is offered to a heavier one
_MOST: Final = 0.75  # a star joins another if so many of its members stay there


def stars(
    pairs: Pairs, likeness: NDArray[np.float64], mass: NDArray[np.float64], stays: Stays
) -> NDArray[np.int64]:
    """The number of the centre of each item; an item that is like nothing is its own.

    `likeness` of each pair is from 0 to 1; `mass` of each item says how often it occurs.
    """
    centre = np.arange(len(mass))
    free, weights = pairs, likeness
    while len(free):
        offered = _offers(free, weights, mass)
        kept = offered[stays(offered)]
        centre[kept[:, 1]] = kept[:, 0]
        settled = np.zeros(len(mass), bool)
        settled[offered[:, 0]] = True  # a centre, even if nobody stayed
        settled[kept[:, 1]] = True
        still = ~settled[free].any(axis=1)
        free, weights = free[still], weights[still]
    for _ in range(_OFFERS):
        moved = _joined(centre, pairs, likeness, mass, stays)
        if np.array_equal(moved, centre):
            break
        centre = moved
    return centre


def _joined(
    centre: NDArray[np.int64],
    pairs: Pairs,
    likeness: NDArray[np.float64],
    mass: NDArray[np.float64],
    stays: Stays,
) -> NDArray[np.int64]:
    """The centres after each star was offered to the heaviest star that it touches."""
    ends = centre[pairs]
    apart = ends[:, 0] != ends[:, 1]
    touching = packed(ends[apart, 0], ends[apart, 1])
    if not len(touching):
        return centre
    links, where = np.unique(touching, return_inverse=True)
    weights = np.bincount(where, likeness[apart])
    weight = np.asarray(np.bincount(centre, mass, minlength=len(mass)), np.float64)
    offered = _offers(unpacked(links), np.minimum(weights, 1), weight)
    offered = offered[stays(offered)]
    goal = np.arange(len(mass))
    goal[offered[:, 1]] = offered[:, 0]
    movers = np.flatnonzero((goal[centre] != centre) & (centre != np.arange(len(mass))))
    fits = stays(np.stack([goal[centre[movers]], movers], axis=1))
    members = np.bincount(centre[movers], minlength=len(mass))
    fitting = np.bincount(centre[movers[fits]], minlength=len(mass))
    goal = np.where(fitting >= _MOST * members, goal, np.arange(len(mass)))
    found = goal[centre]
    strangers = movers[~fits & (found[movers] != centre[movers])]
    found[strangers] = strangers
    return found


def _offers(pairs: Pairs, likeness: NDArray[np.float64], mass: NDArray[np.float64]) -> Pairs:
    """Pairs (centre, member): where each item of `pairs` gets by climbing to its heaviest
    neighbour, and on from there."""
    weight = mass.astype(np.float64)
    for one, other in ((0, 1), (1, 0)):
        weight += np.bincount(pairs[:, one], likeness * mass[pairs[:, other]], minlength=len(mass))
    order = np.lexsort((-np.arange(len(mass)), weight))  # the earlier is the heavier of equals
    rank = np.empty(len(mass), np.int64)
    rank[order] = np.arange(len(mass))
    highest = rank.copy()
    for one, other in ((0, 1), (1, 0)):
        np.maximum.at(highest, pairs[:, one], rank[pairs[:, other]])
    up = order[highest]
    while not np.array_equal(up[up], up):
        up = up[up]
    members = np.flatnonzero(up != np.arange(len(mass)))
    return np.stack([up[members], members], axis=1)
