"""The nonparametric maximum likelihood estimate of how lives end, by cause.

In: lives counted on a grid. Out: the cumulative incidence of each cause at every bound, and how
far the data leave it free. Interval-censored, left-truncated, competing causes; no shape is
assumed. For one cause it is Turnbull's (1976) estimate, for several that of Hudgens, Satten and
Longini (2001); the truncation is handled by counting who is at risk, not by imagined posts.
surpyval has the one-cause estimate, which tests compare; no library that we know has the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from vanished.explain.counted import Counted

Floats = NDArray[np.float64]

_LEAST_RISK = 1e-9  # posts; below it nobody is at risk, and rounding is all there is
_MOST_HAZARD = 1 - 1e-7  # of a cell: a cell that takes all of a small sample must not end the world


@dataclass(frozen=True, slots=True)
class Incidence:
    """Cumulative incidence at each bound, (causes, M + 1, B), of posts alive at bound `since`.

    `by` is the estimate. `least` counts a loss only once it is known, `most` as soon as it may
    have happened, with the weights of the estimate: what the intervals leave open lies between.
    """

    by: Floats
    least: Floats
    most: Floats
    hazard: Floats  # of each cause in each cell, (causes, M, B)
    at_risk: Floats  # (M, B) posts at risk in each cell
    since: int
    converged: bool

    @property
    def survival(self) -> Floats:
        """(M + 1, B)"""
        found: Floats = 1 - self.by.sum(axis=0)
        return found


def npmle(
    counts: Counted,
    since: int = 0,
    *,
    thin: float = 0.0,
    start: Floats | None = None,
    tol: float = 1e-5,
    most: int = 2000,
) -> Incidence:
    """Expectation-maximisation over the hazard of each cause in each cell.

    Expected losses of a cell are shared out by the present estimate; the new hazard is expected
    losses over posts at risk. It ends when no incidence moves by `tol` in ten steps, or after
    `most` steps. `start`: hazards (causes, M, B or 1) to begin with. `thin`: in the tail, where
    fewer posts than that are at risk, the estimate jumps to one; `Incidence.least` and `.most`
    leave it aside when they weigh a loss that may have happened before. Incidence is of posts
    alive at bound `since`: with few posts at risk before it, nothing can be said from 0 on.
    """
    exposed = counts.exposed()
    cells, samples = exposed.shape
    spread = _Spread.of(counts, cells)
    flat = 1.0 / (cells + 1) / max(counts.causes, 1)
    hazard = np.full((counts.causes, cells, samples), flat)
    if start is not None:
        hazard = 0.95 * np.broadcast_to(start, hazard.shape) + 0.05 * hazard
    before, converged = _incidence(hazard, since), False
    for step in range(1, most + 1):
        hazard, risk = _step(hazard, counts, exposed, spread)
        if step % 10 == 0:
            now = _incidence(hazard, since)
            moved, before = np.abs(now - before).max(initial=0), now
            if moved < tol:
                converged = True
                break
    _, risk = _step(hazard, counts, exposed, spread)
    least, greatest = _ends(hazard, counts, risk, since, thin)
    by = _incidence(hazard, since)
    return Incidence(by, least, greatest, hazard, risk, since, converged)


@dataclass(frozen=True, slots=True)
class _Spread:
    """Per cause: which kinds of losses are its own, and the matrix that adds their weights to the
    cells they cover, as differences."""

    kinds: tuple[NDArray[np.bool_], ...]
    edges: tuple[sparse.csr_array, ...]

    @classmethod
    def of(cls, counts: Counted, cells: int) -> _Spread:
        kinds = tuple(counts.cause == cause for cause in range(counts.causes))
        edges = []
        for own in kinds:
            number = int(own.sum())
            ends = np.concatenate([counts.left[own], counts.right[own]])
            sign = np.repeat([1.0, -1.0], number)
            columns = np.tile(np.arange(number), 2)
            edges.append(sparse.csr_array((sign, (ends, columns)), shape=(cells + 1, number)))
        return cls(kinds, tuple(edges))


def _step(
    hazard: Floats, counts: Counted, exposed: Floats, spread: _Spread
) -> tuple[Floats, Floats]:
    """New hazards, and the posts at risk in each cell."""
    alive = _alive(hazard)
    expected = np.empty_like(hazard)
    for cause, (own, edges) in enumerate(zip(spread.kinds, spread.edges, strict=True)):
        mass = hazard[cause] * alive
        share = _within(mass, counts.left[own], counts.right[own])
        weight = _over(counts.losses[own], share)
        expected[cause] = mass * np.cumsum(edges @ weight, axis=0)[:-1].clip(0)
    lost = expected.sum(axis=0)
    risk = exposed - (np.cumsum(lost, axis=0) - lost)
    new = np.where(risk > _LEAST_RISK, _over(expected, risk), 0)
    return new / np.maximum(new.sum(axis=0) / _MOST_HAZARD, 1), risk


def _ends(
    hazard: Floats, counts: Counted, risk: Floats, since: int, thin: float
) -> tuple[Floats, Floats]:
    """`Incidence.least` and `.most`: each loss at the end or at the start of its interval.

    A loss weighs survival over posts at risk, in the mean over where the estimate puts it.
    """
    size = risk.shape[0] + 1
    later = hazard.copy()
    later[:, :since] = 0
    weight = np.where(risk > _LEAST_RISK, _over(_alive(later), risk), 0)
    weight[:since] = 0
    enough = np.maximum.accumulate((risk >= thin)[::-1], axis=0)[::-1]
    least, most = np.zeros((2, counts.causes, size, risk.shape[1]))
    for cause in range(counts.causes):
        own = counts.cause == cause
        left, right = counts.left[own], counts.right[own]
        mass = np.where(enough, hazard[cause] * _alive(hazard), 0)
        inside = _within(mass, left, right)
        weighs = counts.losses[own] * _over(_within(mass * weight, left, right), inside)
        least[cause] = np.cumsum(_added(right, size) @ weighs, axis=0)
        first = np.minimum(np.maximum(left, since) + 1, size - 1)
        most[cause] = np.cumsum(_added(first, size) @ weighs, axis=0)
    return least, most


def _within(mass: Floats, left: NDArray[np.int64], right: NDArray[np.int64]) -> Floats:
    """The mass between two bounds, for each pair of them."""
    total = np.concatenate([np.zeros((1, mass.shape[1])), np.cumsum(mass, axis=0)])
    found: Floats = total[right] - total[left]
    return found


def _over(top: Floats, bottom: Floats) -> Floats:
    """A quotient; 0 where there is nothing to divide by."""
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    return np.divide(top, bottom, out=np.zeros(shape), where=bottom > 0)


def _added(rows: NDArray[np.int64], size: int) -> sparse.csr_array:
    """The matrix that adds what belongs to the same of `size` rows."""
    ones = np.ones(rows.size)
    return sparse.csr_array((ones, (rows, np.arange(rows.size))), shape=(size, rows.size))


def _alive(hazard: Floats) -> Floats:
    """Survival to the start of each cell, (M, B)."""
    alive = np.cumprod(1 - hazard.sum(axis=0), axis=0)
    return np.concatenate([np.ones((1, alive.shape[1])), alive[:-1]])


def _incidence(hazard: Floats, since: int) -> Floats:
    """Cumulative incidence of each cause among those alive at bound `since`; 0 up to there."""
    later = hazard.copy()
    later[:, :since] = 0
    mass = later * _alive(later)
    begin = np.zeros((hazard.shape[0], 1, hazard.shape[2]))
    return np.concatenate([begin, np.cumsum(mass, axis=1)], axis=1)
