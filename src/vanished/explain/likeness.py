"""How alike two texts are, exactly: what their sets of shingles share.

In: sets of hashes (`minhash.shingles`) and pairs of texts. Out: Jaccard likeness and the share of
the smaller that the larger holds, for each pair. What is alike enough is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.folding import Folded, spans
from vanished.explain.pairs import Pairs

Hashes = NDArray[np.uint32]
Weights = NDArray[np.float64]

_AT_ONCE: Final = 1 << 20  # hashes compared at a time
_SHIFT: Final = np.uint64(32)
_LOW: Final = np.uint64((1 << 32) - 1)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of each pair: arrays of one length."""

    jaccard: NDArray[np.float64]  # shared over all of either, 0 to 1
    part: NDArray[np.float64]  # shared over the smaller, 0 to 1
    smaller: NDArray[np.int64]  # shingles of the smaller


def distinct(sets: Folded) -> Folded:
    """Each text's hashes sorted, each once."""
    kept, lengths = [np.zeros(0, np.uint32)], np.zeros(len(sets.starts) - 1, np.int64)
    for low, high in _cut(sets.lengths):
        codes = sets.codes[sets.starts[low] : sets.starts[high]]
        owners = np.repeat(np.arange(high - low), sets.lengths[low:high])
        keys = (owners.astype(np.uint64) << _SHIFT) | codes
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        kept.append((keys & _LOW).astype(np.uint32))
        lengths[low:high] = np.bincount((keys >> _SHIFT).astype(np.int64), minlength=high - low)
    return Folded(np.concatenate(kept), np.concatenate([[0], np.cumsum(lengths)]))


def likeness(sets: Folded, pairs: Pairs) -> Likeness:
    """The likeness of each pair of `distinct` sets, of which none is empty."""
    sizes = sets.lengths[pairs]
    shared = np.zeros(len(pairs), np.int64)
    for low, high, owners, _ in _shared(sets, pairs):
        shared[low:high] = np.bincount(owners, minlength=high - low)
    smaller = sizes.min(axis=1)
    return Likeness(shared / np.maximum(sizes.sum(axis=1) - shared, 1), shared / smaller, smaller)


def cosine(sets: Folded, weight: Callable[[Hashes], Weights], pairs: Pairs) -> Weights:
    """The cosine of each pair of `distinct` sets, each hash with its weight; 0 to 1."""
    norms = np.empty(len(sets.starts) - 1)
    for low, high in _cut(sets.lengths):
        squares = weight(sets.codes[sets.starts[low] : sets.starts[high]]) ** 2
        owners = np.repeat(np.arange(high - low), sets.lengths[low:high])
        norms[low:high] = np.bincount(owners, squares, minlength=high - low)
    products = np.zeros(len(pairs))
    for low, high, owners, hashes in _shared(sets, pairs):
        products[low:high] = np.bincount(owners, weight(hashes) ** 2, minlength=high - low)
    lengths = np.sqrt(norms[pairs]).prod(axis=1)
    return np.asarray(products / np.where(lengths > 0, lengths, 1))


def _shared(sets: Folded, pairs: Pairs) -> Iterator[tuple[int, int, NDArray[np.int64], Hashes]]:
    """For ranges of pairs: where the range begins and ends, then for each hash that the two of a
    pair share, the pair's place in the range and the hash."""
    for low, high in _cut(sets.lengths[pairs].sum(axis=1)):
        chosen = pairs[low:high].T.ravel()  # all first texts, then all second ones
        lengths = sets.lengths[chosen]
        owners = np.repeat(np.tile(np.arange(high - low), 2), lengths)
        keys = owners.astype(np.uint64) << _SHIFT
        keys |= sets.codes[spans(sets.starts[chosen], lengths)]
        keys.sort()
        twice = keys[1:][keys[1:] == keys[:-1]]
        yield low, high, (twice >> _SHIFT).astype(np.int64), (twice & _LOW).astype(np.uint32)


def _cut(lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of about `_AT_ONCE` hashes each."""
    if not len(lengths):
        return []
    before = np.concatenate([[0], np.cumsum(lengths)])
    cuts = np.searchsorted(before[:-1], np.arange(0, before[-1] + 1, _AT_ONCE))
    cuts = np.unique(np.concatenate([[0], cuts, [len(lengths)]]))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
