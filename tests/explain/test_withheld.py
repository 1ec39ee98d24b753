"""Tables with totals: what is withheld stays unknown to whoever can add and subtract."""

from __future__ import annotations

import numpy as np
import pytest

from tests.explain.test_who import determined
from vanished.explain.withheld import largest, with_totals, withheld


def test_a_lone_small_cell_takes_the_other_corners_of_a_rectangle_with_it() -> None:
    cells = np.array([[3, 20, 30], [40, 50, 60], [70, 80, 90]])
    hidden = withheld(cells, 5)
    assert hidden[0, 0]
    assert hidden.sum() == 4
    assert not determined(hidden)
    assert not hidden[-1].any(), "totals of columns are known anyway"


def test_a_table_without_small_cells_is_told_wholly() -> None:
    assert not withheld(np.array([[5, 6], [7, 0]]), 5).any()


@pytest.mark.parametrize("seed", range(150))
def test_no_small_cell_is_derivable_from_the_margins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    cells = rng.negative_binomial(0.8, rng.uniform(0.02, 0.2), shape).astype(np.int64)
    table = with_totals(cells)
    if (table[-1] < 5).any():  # a total that is told anyway may tell of all that is in it
        cells[0] += 5
        table = with_totals(cells)
    hidden = withheld(cells, 5)
    small = (table > 0) & (table < 5)
    assert hidden[small].all(), "fewer than five accounts are never told of"
    known = determined(hidden)
    for a, b in np.argwhere(small).tolist():
        assert (a, b) not in known, "the totals less the rest are this cell"
        assert largest(table, hidden, (a, b)) >= 5, "all would know that they are fewer"
    for line, off in ((table, hidden), (table.T, hidden.T)):
        for sizes, gone in zip(line, off, strict=True):
            together = sizes[gone].sum()
            assert gone[-1] or not gone.any() or together >= 5, "their sum is a cell, too"


def test_what_is_hidden_elsewhere_is_hidden_here_and_empty_cells_are_told() -> None:
    also = np.zeros((4, 3), bool)
    also[0, 0] = True
    cells = np.array([[0, 20], [40, 50], [60, 70]])
    hidden = withheld(cells, 5, also=also)
    assert hidden[0, 0]
    assert (0, 0) not in determined(hidden)
    assert largest(with_totals(cells), hidden, (0, 0)) >= 5
    assert not withheld(cells, 5).any()
