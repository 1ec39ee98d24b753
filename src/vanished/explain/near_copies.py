"""Near-copies among texts: edited, cut, put in other characters of the same sound.

In: folded texts, the earlier first. Out: the number of the story's central text for each text.
Candidates come from `minhash`; each is then looked at exactly, and each member of a story is like
its centre. Whose texts they are and what became of them is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vanished.explain.folding import Folded, sounded
from vanished.explain.likeness import Likeness, distinct, likeness
from vanished.explain.minhash import (
    Pairs,
    alike_by_bands,
    alike_by_passages,
    packed,
    shingles,
    union,
    unpacked,
)
from vanished.explain.stars import stars

OTHER: Final = 0.12
"""Excerpts of one text that share less than this with each other are of different parts of it."""


class Bounds(Protocol):
    """What counts as a near-copy; `stories.StoriesSettings` says it to users."""

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
    """The central text of each text; itself where it is like no other, or shorter than a shingle.

    Homophones count as equal: everything is compared by sound. A pair is alike by Jaccard
    likeness of its shingles, or where the longer holds most of the shorter.
    """
    long = np.flatnonzero(texts.lengths >= bounds.shingle)
    sounds = sounded(texts.rows(long))
    first, same, copies = _equal(sounds)
    sounds = sounds.rows(first)
    runs = shingles(sounds, bounds.shingle)
    pairs = alike_by_bands(runs, bounds.bands, bounds.rows, bounds.seed)
    passages = alike_by_passages(sounds)
    pairs = unpacked(union(packed(*pairs.T), packed(*passages.T)))
    used, pairs = _among(pairs)  # few texts are in any pair
    look = _Look(distinct(runs.rows(used)), bounds)
    found = likeness(look.sets, pairs)
    alike = look.near(found) | look.part(found)
    strength = np.maximum(found.jaccard, found.part * bounds.alike)
    inner = stars(pairs[alike], strength[alike], copies[used], look.stays)
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
    for text, (begin, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        same[text] = numbers.setdefault(bytes(held[begin:end]), len(numbers))
    _, first, copies = np.unique(same, return_index=True, return_counts=True)
    return first, same, copies.astype(np.float64)


@dataclass(slots=True)
class _Look:
    """The exact look at a pair, and the most like member of each centre that was seen so far."""

    sets: Folded
    bounds: Bounds
    nearest: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.nearest = np.full(len(self.sets.starts) - 1, -1)

    def near(self, found: Likeness) -> NDArray[np.bool_]:
        return np.asarray(found.jaccard >= self.bounds.alike)

    def part(self, found: Likeness) -> NDArray[np.bool_]:
        long = found.smaller >= self.bounds.least_part
        return np.asarray(long & (found.part >= self.bounds.part))

    def stays(self, offered: Pairs) -> NDArray[np.bool_]:
        """Whether each member of (centre, member) is like its centre.

        Where only a part of it is, it must also share something with the centre's nearest member:
        a digest holds several stories, and is none of the others for that.
        """
        found = likeness(self.sets, offered)
        part = self.part(found) & (found.jaccard < self.bounds.like_centre)
        kept = part | (found.jaccard >= self.bounds.like_centre)
        order = np.flatnonzero(kept)[np.argsort(found.jaccard[kept], kind="stable")]
        latest = self.nearest.copy()
        latest[offered[order, 0]] = offered[order, 1]
        self.nearest = np.where(self.nearest < 0, latest, self.nearest)
        doubtful = np.flatnonzero(part)
        beside = np.stack([self.nearest[offered[doubtful, 0]], offered[doubtful, 1]], axis=1)
        kept[doubtful] = likeness(self.sets, beside).part >= OTHER
        return kept
