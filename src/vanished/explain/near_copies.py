"""Near-copies among texts: edited, cut, put in other characters of the same sound.

In: folded texts, the earlier first. Out: the number of the story's central text for each text.
Candidates come from `minhash`; each is then looked at exactly, and each member of a story is like
its centre. Whose texts they are and what became of them is not known here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vanished.explain.folding import Folded, sounded
from vanished.explain.likeness import Likeness, distinct, likeness
from vanished.explain.minhash import alike_by_bands, alike_by_passages, shingles
from vanished.explain.pairs import Pairs, packed, union, unpacked
from vanished.explain.stars import stars

OTHER: Final = 0.12
"""Excerpts of one text that share less than this with each other are of different parts of it."""


WHOLE: Final = 0.6
"""Below this likeness a text that another holds is a piece of it, and not the whole."""


class Bounds(Protocol):
    """What counts as a near-copy; `stories.StoriesSettings` says it to users."""

    @property
    def least(self) -> int: ...
    @property
    def shingle(self) -> int: ...
    @property
    def alike(self) -> float: ...
    @property
    def like_centre(self) -> float: ...
    @property
    def part(self) -> float: ...
    @property
    def least_part(self) -> int: ...
    @property
    def bands(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def seed(self) -> int: ...


def near_copies(texts: Folded, bounds: Bounds) -> NDArray[np.int64]:
    """The central text of each text; itself where it is like no other, or shorter than `least`.

    Homophones count as equal: everything is compared by sound. A pair is alike by Jaccard
    likeness of its shingles, or where the longer holds most of the shorter.
    """
    long = np.flatnonzero(texts.lengths >= max(bounds.least, bounds.shingle))
    sounds = sounded(texts.rows(long))
    first, same, copies = _equal(sounds)
    sounds = sounds.rows(first)
    runs = shingles(sounds, bounds.shingle)
    pairs = alike_by_bands(runs, bounds.bands, bounds.rows, bounds.seed)
    passages = alike_by_passages(sounds)
    pairs = unpacked(union(packed(*pairs.T), packed(*passages.T)))
    used, pairs = _among(pairs)  # few texts are in any pair
    sets = distinct(runs.rows(used))
    found = likeness(sets, pairs)
    holds = _part(found, bounds)
    alike = holds | (found.jaccard >= bounds.alike)
    piece = holds & (found.jaccard < WHOLE)
    alike[piece] = ~_two_faced(sets, pairs[piece], found.jaccard[piece])[pairs[piece]].any(axis=1)

    def stays(offered: Pairs) -> NDArray[np.bool_]:
        look = likeness(sets, offered)
        return _part(look, bounds) | (look.jaccard >= bounds.like_centre)

    inner = stars(pairs[alike], found.jaccard[alike], copies[used], stays)
    wording = np.arange(len(first))
    wording[used] = used[inner]
    centre = np.arange(len(texts.lengths))
    centre[long] = long[first[wording[same]]]
    return centre


def _among(pairs: Pairs) -> tuple[NDArray[np.int64], Pairs]:
    """The items in any pair, and the pairs by their places among these."""
    used, places = np.unique(pairs, return_inverse=True)
    return used, places.reshape(pairs.shape)


def _equal(texts: Folded) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of texts: the first of each wording, the wording of each text, texts of each wording."""
    numbers: dict[bytes, int] = {}
    same = np.empty(len(texts.starts) - 1, np.int64)
    held = memoryview(texts.codes.tobytes())
    bounds = (texts.starts * texts.codes.itemsize).tolist()
    for text, (begin, end) in enumerate(pairwise(bounds)):
        same[text] = numbers.setdefault(bytes(held[begin:end]), len(numbers))
    _, first, copies = np.unique(same, return_index=True, return_counts=True)
    return first, same, copies.astype(np.float64)


def _part(found: Likeness, bounds: Bounds) -> NDArray[np.bool_]:
    """Whether the longer of each pair holds most of the shorter."""
    return np.asarray((found.smaller >= bounds.least_part) & (found.part >= bounds.part))


def _two_faced(sets: Folded, pairs: Pairs, jaccard: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which texts hold, or are held by, texts that are unlike each other.

    A digest holds several stories, and a set phrase is held by many: neither tells one of them.
    `pairs` are texts and pieces of them. All texts beside one are compared with the most
    like of them.
    """
    both = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.lexsort((-np.tile(jaccard, 2), both[:, 0]))
    text, beside = both[order].T
    first = np.searchsorted(text, text)  # of each text, the place of its most like
    differ = np.flatnonzero(beside != beside[first])
    look = likeness(sets, np.stack([beside[first[differ]], beside[differ]], axis=1))
    found = np.zeros(len(sets.starts) - 1, bool)
    found[text[differ[look.part < OTHER]]] = True
    return found
