"""Pairs of items by their numbers, and each pair as one number, so that pairs sort fast.

In and out: arrays. What a pair means is for the caller to say.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]
"""Numbers of two items each, of shape (n, 2)."""
Packed = NDArray[np.uint64]
"""The same, the smaller number in the upper half, the larger in the lower."""

_HALF: Final = np.uint64(32)


def packed(one: NDArray[np.int64], other: NDArray[np.int64]) -> Packed:
    """Each pair as one number; a text paired with itself is left out."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    differ = low != high
    return np.asarray((low[differ].astype(np.uint64) << _HALF) | high[differ].astype(np.uint64))


def unpacked(pairs: Packed) -> Pairs:
    """The numbers of the texts of packed pairs."""
    low, high = pairs >> _HALF, pairs & np.uint64((1 << 32) - 1)
    return np.stack([low, high], axis=1).astype(np.int64)


def union(one: Packed, other: Packed) -> Packed:
    """Packed pairs that are in either."""
    return np.unique(np.concatenate([one, other]))
