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
    """Cumulative incidence at each bound: (causes, M + 1, B), of posts alive at bound `since`."""

    by: Floats
    since: int
    converged: bool

    @property
    def survival(self) -> Floats:
        """(M + 1, B)"""
        return 1 - self.by.sum(axis=0)


def npmle(
    counts: Counted, since: int = 0, *, start: Floats | None = None, tol: float = 1e-5, most: int = 2000
) -> Incidence:
    """Expectation-maximisation over the hazard of each cause in each cell.

    Expected losses of a cell are shared out by the present estimate; the new hazard is expected
    losses over posts at risk. It ends when no incidence moves by `tol` in ten steps, or after
    `most` steps. `start`: hazards (causes, M, B or 1) to begin with. Incidence is conditional on
    being alive at bound `since`: with few posts at risk before it, nothing can be said from 0 on.
    """
    exposed = counts.exposed()
    cells, samples = exposed.shape
    spread = _Spread.of(counts, cells)
    hazard = np.full((counts.causes, cells, samples), 1.0 / (cells + 1) / max(counts.causes, 1))
    if start is not None:
        hazard = 0.95 * np.broadcast_to(start, hazard.shape) + 0.05 * hazard
    incidence = _incidence(hazard, since)
    for step in range(1, most + 1):
        hazard = _step(hazard, counts, exposed, spread)
        if step % 10 == 0:
            before, incidence = incidence, _incidence(hazard, since)
            if np.abs(incidence - before).max(initial=0) < tol:
                return Incidence(incidence, since, converged=True)
    return Incidence(_incidence(hazard, since), since, converged=False)


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


def _step(hazard: Floats, counts: Counted, exposed: Floats, spread: _Spread) -> Floats:
    every = hazard.sum(axis=0)
    alive = np.cumprod(1 - every, axis=0)
    alive = np.concatenate([np.ones((1, alive.shape[1])), alive[:-1]])
    expected = np.empty_like(hazard)
    for cause, (own, edges) in enumerate(zip(spread.kinds, spread.edges, strict=True)):
        mass = hazard[cause] * alive
        total = np.concatenate([np.zeros((1, mass.shape[1])), np.cumsum(mass, axis=0)])
        share = total[counts.right[own]] - total[counts.left[own]]
        losses = counts.losses[own]
        weight = np.divide(losses, share, out=np.zeros_like(share), where=share > 0)
        expected[cause] = mass * np.cumsum(edges @ weight, axis=0)[:-1].clip(0)
    lost = expected.sum(axis=0)
    risk = exposed - (np.cumsum(lost, axis=0) - lost)
    new = np.divide(expected, risk, out=np.zeros_like(expected), where=risk > _LEAST_RISK)
    over = np.maximum(new.sum(axis=0) / _MOST_HAZARD, 1)
    found: Floats = new / over
    return found


def _incidence(hazard: Floats, since: int) -> Floats:
    """Cumulative incidence of each cause among those alive at bound `since`; 0 up to there."""
    every = hazard.sum(axis=0)
    every[:since] = 0
    alive = np.cumprod(1 - every, axis=0)
    alive = np.concatenate([np.ones((1, alive.shape[1])), alive[:-1]])
    mass = hazard * alive
    mass[:, :since] = 0
    begin = np.zeros((hazard.shape[0], 1, hazard.shape[2]))
    return np.concatenate([begin, np.cumsum(mass, axis=1)], axis=1)


def hazards(incidence: Incidence) -> Floats:
    """The hazard of each cause in each cell, (causes, M, B)."""
    alive = incidence.survival[:-1]
    step = np.diff(incidence.by, axis=1)
    found: Floats = np.divide(step, alive, out=np.zeros_like(step), where=alive > 0)
    return found


def band(incidence: Incidence, counts: Counted) -> tuple[Floats, Floats]:
    """The least and the most that the data allow at each bound, both (causes, M + 1, B).

    At a bound where no interval, entry or censoring begins or ends, mass could lie on either side
    of it with the same likelihood: the incidence there is free between those at the next bounds
    where something does.
    """
    shape = counts.entered.shape
    ends = counts.entered + counts.censored
    for bound in (counts.left, counts.right):
        ones = np.ones(bound.size)
        where = sparse.csr_array((ones, (bound, np.arange(bound.size))), shape=(shape[0], bound.size))
        ends = ends + where @ counts.losses
    fixed = ends > 0
    fixed[[0, incidence.since, -1]] = True
    index = np.arange(shape[0])[:, None]
    before = np.maximum.accumulate(np.where(fixed, index, 0), axis=0)
    after = np.minimum.accumulate(np.where(fixed, index, shape[0] - 1)[::-1], axis=0)[::-1]
    low = np.take_along_axis(incidence.by, np.broadcast_to(before, incidence.by.shape), axis=1)
    high = np.take_along_axis(incidence.by, np.broadcast_to(after, incidence.by.shape), axis=1)
    return low, high
