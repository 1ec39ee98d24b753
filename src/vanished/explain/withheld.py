"""Which cells of a table with totals are withheld, so that none can be computed back.

In: how many accounts stand behind each cell of two crossed groupings. Out: the cells not to print.
A cell of few accounts is withheld itself (primary), and others with it (complementary), since a
total less the rest would tell of it. Pure counting on graphs; it knows no accounts.

The table with its totals is a graph: rows and columns are its ends, cells its edges. What is
withheld is determined by what is printed if and only if it lies on no cycle of withheld cells
(Gusfield 1988, "A graph theoretic approach to statistical data security"). Beyond this, whoever
knows that no cell is below zero must still find each primary cell possibly large.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
_Edge = tuple[int, int]


def with_totals(cells: Ints) -> Ints:
    """(R, C) counts with a last row and a last column of totals: (R + 1, C + 1)."""
    wide = np.concatenate([cells, cells.sum(axis=1, keepdims=True)], axis=1)
    return np.concatenate([wide, wide.sum(axis=0, keepdims=True)]).astype(np.int64)


def withheld(cells: Ints, k: int, *, also: Flags | None = None) -> Flags:
    """Which of (R + 1, C + 1) cells with totals to withhold, for (R, C) numbers of accounts.

    Primary are cells of 1 to `k` - 1 accounts, totals of rows too, and those of `also`. Totals of
    columns and the grand total are known anyway, so they are never withheld here: what these alone
    tell, nobody can hide. Other empty cells are printed.
    """
    table = with_totals(cells)
    free = (table > 0) if also is None else (table > 0) | also
    free[-1] = False
    primary = free & ((table < k) if also is None else (table < k) | also)
    hidden, narrow = primary.copy(), primary.copy()
    while True:
        missing = _short_line(table, free, hidden, k)
        missing = missing or _uncovered(table, free, hidden, primary)
        missing = missing or _too_narrow(table, free, hidden, narrow, k)
        if not missing:
            return hidden
        for edge in missing:
            hidden[edge] = True


def _short_line(table: Ints, free: Flags, hidden: Flags, k: int) -> list[_Edge]:
    """The smallest cell of a line whose withheld cells together have few accounts, since its total
    less what is printed is their sum."""
    for lines, at in ((range(table.shape[0]), 0), (range(table.shape[1]), 1)):
        for number in lines:
            line = (number, slice(None)) if at == 0 else (slice(None), number)
            off, sizes = hidden[line], table[line]
            if off[-1] or not off.any() or sizes[off].sum() >= k:
                continue
            rest = np.flatnonzero((free[line] & ~off)[:-1])
            if len(rest):
                place = int(rest[np.argmin(sizes[rest])])
                return [(number, place) if at == 0 else (place, number)]
    return []


def _uncovered(table: Ints, free: Flags, hidden: Flags, primary: Flags) -> list[_Edge]:
    """The cells of fewest accounts that close a cycle through a primary cell that lies on none."""
    for row, column in np.argwhere(primary).tolist():
        found = _path(np.where(hidden, 0, table), free, (row, column))
        missing = [edge for edge in found if not hidden[edge]]
        if missing:
            return missing
    return []


def _path(costs: Ints, free: Flags, edge: _Edge) -> list[_Edge]:
    """The cheapest cells that join the ends of `edge` without it (Dijkstra 1959); none: []."""
    rows = costs.shape[0]
    start, goal = edge[0], rows + edge[1]
    best, queue = {start: 0}, [(0, start)]
    before: dict[int, tuple[int, _Edge]] = {}
    while queue:
        cost, node = heapq.heappop(queue)
        if node == goal:
            break
        if cost > best[node]:
            continue
        line = free[node] if node < rows else free[:, node - rows]
        for other in np.flatnonzero(line).tolist():
            cell = (node, other) if node < rows else (other, node - rows)
            end = rows + other if node < rows else other
            longer = cost + int(costs[cell])
            if cell != edge and longer < best.get(end, longer + 1):
                best[end] = longer
                before[end] = (node, cell)
                heapq.heappush(queue, (longer, end))
    found, node = [], goal
    while node in before and node != start:
        node, cell = before[node]
        found.append(cell)
    return found


def _too_narrow(table: Ints, free: Flags, hidden: Flags, narrow: Flags, k: int) -> list[_Edge]:
    """The smallest printed cell near a primary cell that, going by what is printed, cannot have `k`
    accounts. Cells that can are struck from `narrow`: withholding more leaves them more room."""
    for row, column in np.argwhere(narrow).tolist():
        if largest(table, hidden, (row, column)) >= min(k, table[-1, column]):
            narrow[row, column] = False
            continue
        near = np.zeros_like(free)
        near[row], near[:, column] = True, True
        for place in (near, np.ones_like(free)):
            rest = np.argwhere(free & ~hidden & place)
            if len(rest):
                one = rest[np.argmin(table[tuple(rest.T)])]
                return [(int(one[0]), int(one[1]))]
    return []


def largest(table: Ints, hidden: Flags, cell: _Edge) -> float:
    """The most that a withheld cell can be, if none is below zero and lines add up to totals."""
    places = [(int(a), int(b)) for a, b in np.argwhere(hidden)]
    rows, columns = table.shape
    sums = np.zeros((rows + columns, len(places)))
    known = np.zeros(rows + columns)
    sign = np.ones(table.shape)
    sign[:, -1] *= -1
    sign[-1, :] *= -1
    for number in range(rows):
        known[number] = -(sign[number] * table[number])[~hidden[number]].sum()
    for number in range(columns):
        known[rows + number] = -(sign[:, number] * table[:, number])[~hidden[:, number]].sum()
    for place, (a, b) in enumerate(places):
        sums[a, place] = sums[rows + b, place] = sign[a, b]
    goal = np.zeros(len(places))
    goal[places.index(cell)] = -1
    found = linprog(goal, A_eq=sums, b_eq=known, bounds=(0, None), method="highs")
    return float("inf") if found.status == 3 else round(-float(found.fun), 6)
