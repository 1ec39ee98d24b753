"""What is believed of every post's hazard: the learner and the topics, as the schedule asks them.

In: posts' words, definite answers. Out: what `worth.Hazards` names, by account and by topic. Pure.
What is not done here: learning itself (`learning.py`), finding topics (`topics.py`), dates.

A post can be on several topics, and the schedule's columns have one number a post. So each set of
topics that was met has a number of its own, and the largest excess among its topics counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vanished.watch.columns import Floats, Ids
from vanished.watch.hazard import AgeCurve
from vanished.watch.learning import Learner
from vanished.watch.topics import WIDTH

MOST_SETS = 1 << 16  # as many as a column's number can tell apart


class Sets:
    """Numbers of sets of topics, given as they come; 0 is the set without any."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._rows = np.zeros((16, WIDTH), dtype=np.int64)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """By number: the topics, filled up with 0."""
        return self._rows[: len(self._numbers)]

    def number(self, topics: Sequence[int]) -> int:
        """The number of this set. Once all are given out: of its first topic alone, or 0."""
        key = tuple(sorted({topic for topic in topics if topic}))
        known = self._numbers.get(key)
        if known is not None:
            return known
        new = len(self._numbers)
        if new >= MOST_SETS:
            return self._numbers.get((topics[0],), 0)
        if new == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._numbers[key] = new
        self._rows[new, : len(key)] = key
        return new

    def holding(self, topics: npt.ArrayLike) -> Ids:
        """The numbers of the sets that hold any of these topics."""
        return np.flatnonzero(np.isin(self.rows, topics).any(axis=1) & (self.rows[:, 0] > 0))


class Beliefs:
    """A learner's estimates by account and by set of topics."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.sets = Sets()
        self._made_of: tuple[Floats, int] | None = None  # the excess, and how many sets
        self._excess, self._began_s = np.zeros(1), np.full(1, np.inf)

    @property
    def curve(self) -> AgeCurve:
        return self.learner.curve

    @property
    def excess(self) -> Floats:
        self._make()
        return self._excess

    @property
    def began_s(self) -> Floats:
        self._make()
        return self._began_s

    def chance(self, account: Ids) -> Floats:
        return self.learner.chance(account)

    def _make(self) -> None:
        """By set: as the learner says now."""
        of = self.learner.excess, len(self.sets.rows)
        if self._made_of is not None and self._made_of[0] is of[0] and self._made_of[1] == of[1]:
            return
        self._made_of = of
        if of[0].any():
            self._excess, self._began_s = self.learner.excess_of(self.sets.rows)
        else:
            self._excess, self._began_s = np.zeros(of[1]), np.full(of[1], np.inf)

    def observe(
        self,
        now_s: float,
        age0_s: Floats,
        age1_s: Floats,
        account: Ids,
        topic_set: Ids,
        lost: npt.NDArray[np.bool_],
        *,
        whole: npt.NDArray[np.bool_] | None = None,
    ) -> Ids:
        """Learn from definite answers; the sets whose posts are to be dated anew at once."""
        topics = self.sets.rows[topic_set]
        self.learner.observe(now_s, age0_s, age1_s, account, topics, lost, whole=whole)
        came, went = self.learner.switched()
        changed = np.concatenate([came, went])
        return self.sets.holding(changed) if len(changed) else changed
