"""The same told in other words: a looser look, at the rare pairs of letters that two texts share.

In: folded texts, one for each story so far, with their times. Out: the number of the central text
for each. Two texts are reworded from one another, as far as this can tell, if their pairs of
letters weigh alike by cosine, rare ones most, and they are near in time. It is weaker evidence than
a near-copy: two reports of one event that nobody copied look the same.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vanished.explain.folding import Folded
from vanished.explain.likeness import Hashes, Weights, cosine, distinct
from vanished.explain.minhash import blocks, in_bucket, shingles
from vanished.explain.pairs import Pairs, unpacked
from vanished.explain.stars import stars

BINS: Final = 24  # bits of a hash by which texts are counted; two letters rarely share a bin
RAREST: Final = 12  # pairs of letters of each text that can make it a candidate
COMMON: Final = 200  # those in more texts than this cannot; at most 255
SHARED: Final = 2  # of the rarest, so many must be shared before the exact look


class Bounds(Protocol):
    """What counts as reworded; `stories.StoriesSettings` says it to users."""

    @property
    def reworded(self) -> float: ...
    @property
    def least_reworded(self) -> int: ...
    @property
    def window_h(self) -> float: ...


def rewordings(
    texts: Folded, seen_h: NDArray[np.float64], mass: NDArray[np.float64], bounds: Bounds
) -> NDArray[np.int64]:
    """The central text of each; itself where none is like it.

    `seen_h` are the times in hours and ascend; `mass` says how many posts each text stands for.
    """
    centre = np.arange(len(mass))
    long = np.flatnonzero(texts.lengths >= max(bounds.least_reworded, 2))
    if not len(long):
        return centre
    sets = distinct(shingles(texts.rows(long), 2))
    times = seen_h[long]
    holders = np.bincount(sets.codes >> np.uint32(32 - BINS), minlength=1 << BINS)

    def weight(hashes: Hashes) -> Weights:
        held = holders[hashes >> np.uint32(32 - BINS)]
        return np.asarray(np.log1p(len(long) / np.maximum(held, 1)))

    def near(pairs: Pairs) -> NDArray[np.bool_]:
        return np.asarray(np.abs(np.diff(times[pairs], axis=1)[:, 0]) <= bounds.window_h)

    pairs = _sharing_rare(sets, holders)
    pairs = pairs[near(pairs)]
    found = cosine(sets, weight, pairs)
    alike = found >= bounds.reworded

    def stays(offered: Pairs) -> NDArray[np.bool_]:
        return near(offered) & (cosine(sets, weight, offered) >= bounds.reworded)

    centre[long] = long[stars(pairs[alike], found[alike], mass[long], stays)]
    return centre


def _sharing_rare(sets: Folded, holders: NDArray[np.int64]) -> Pairs:
    """Pairs of texts that share some of their rarest pairs of letters, near in number: in time."""
    keys, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for low, high in blocks(sets):
        hashes = sets.codes[sets.starts[low] : sets.starts[high]]
        rarity = holders[hashes >> np.uint32(32 - BINS)]
        rare = (rarity >= 2) & (rarity <= COMMON)
        owner = np.repeat(np.arange(high - low), sets.lengths[low:high])[rare]
        rows = (owner.astype(np.uint64) << np.uint64(40)) | hashes[rare]
        rows |= rarity[rare].astype(np.uint64) << np.uint64(32)
        rows.sort()  # by text, then by rarity
        begin = np.cumsum(np.bincount(owner, minlength=high - low))
        place = np.arange(len(owner)) - np.concatenate([[0], begin])[owner]
        rows = rows[place < RAREST]
        keys.append(rows << np.uint64(32))
        owners.append((rows >> np.uint64(40)) + np.uint64(low))
    found = in_bucket(np.concatenate(keys), np.concatenate(owners))
    found.sort()
    ends = np.flatnonzero(np.append(found[1:] != found[:-1], [True] * (len(found) > 0)))
    counts = np.diff(ends, prepend=-1)
    return unpacked(found[ends[counts >= SHARED]])
