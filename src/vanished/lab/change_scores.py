"""How well found change points agree with known or annotated ones.

In: places in a series. Out: counts of what was hit, missed and invented, and the F-measure of the
Turing Change Point Dataset, so that our figures can stand beside published ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over series; add them up."""

    hit: int = 0
    invented: int = 0
    missed: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.hit + other.hit, self.invented + other.invented, self.missed + other.missed
        )

    @property
    def precision(self) -> float:
        found = self.hit + self.invented
        return self.hit / found if found else 1.0

    @property
    def recall(self) -> float:
        there = self.hit + self.missed
        return self.hit / there if there else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score(found: Collection[int], truth: Collection[int], margin: int) -> Score:
    """Each true change may be hit once, by a found one at most `margin` bins away."""
    hit = len(hits(truth, found, margin))
    return Score(hit, len(found) - hit, len(truth) - hit)


def hits(truth: Collection[int], found: Collection[int], margin: int) -> set[int]:
    """The true changes that are hit; each found one hits the first that it can."""
    free, hit = set(found), set[int]()
    for place in sorted(truth):
        near = [(abs(place - x), x) for x in free if abs(place - x) <= margin]
        if near:
            free.remove(min(near)[1])
            hit.add(place)
    return hit


def f_measure(
    annotations: Mapping[str, Sequence[int]], found: Collection[int], margin: int = 5
) -> float:
    """The F1 of a series that several people annotated (van den Burg and Williams 2020, section 3).

    Precision is against what anybody marked, recall the mean over the annotators. The first place
    of the series counts as a change of all, so that "no change" can be right.
    """
    marked = [{0, *places} for places in annotations.values()]
    said = {0, *found}
    precision = len(hits(set[int]().union(*marked), said, margin)) / len(said)
    recall = sum(len(hits(places, said, margin)) / len(places) for places in marked) / len(marked)
    return 2 * precision * recall / (precision + recall)
