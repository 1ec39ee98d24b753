"""Removed against surviving posts of the same accounts and weeks.

In: a table of posts, perhaps the stories they belong to. Out: the posts that are compared, each
with its author and its *stratum*: a stretch of whole weeks of one account with enough posts. An
author's near-copies of one story are one post, the first. Posts that were lost to the author, to
an open cause or with the account are not compared at all. No words are looked at here.

Also the two statistics of a set of posts: the p-value of its removals by the stratified
hypergeometric distribution, and the log-odds ratio with informative Dirichlet prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import norm

from vanished.errors import UsageError
from vanished.explain.fate import Fate, fates
from vanished.explain.strings import blocks, ranges
from vanished.model import DAY

WEEK: Final = 7 * DAY
_NEWTON_STEPS = 60
_NEAR = 1e-7  # of the goal: where the search for a tilt ends
_ROWS = 4_000_000  # of a block of tails: bounds memory


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """The posts that are compared; arrays have one entry a post."""

    posts: pa.Table  # the rows of these posts
    author: NDArray[np.int32]
    stratum: NDArray[np.int32]
    removed: NDArray[np.bool_]

    @property
    def texts(self) -> list[str]:
        """Title and text of each post."""
        pairs = zip(self.posts["title"].to_pylist(), self.posts["text"].to_pylist(), strict=True)
        return [f"{title}\n{text}" if title else text for title, text in pairs]

    def sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """By stratum: its posts, and the removed of them."""
        count = int(self.stratum.max(initial=-1)) + 1
        return np.bincount(self.stratum, minlength=count), np.bincount(
            self.stratum[self.removed], minlength=count
        )


def contrast(
    posts: pa.Table, stories: pa.Table | None, *, open_too: bool, smallest: int
) -> Contrast:
    """The posts of `posts` (`archive.arrow.POSTS`) that can be compared.

    `stories` has the columns post and story; `open_too` counts losses of an open cause as removed;
    `smallest` is the number of posts that a stratum has at least, as far as its account has them.
    Raises UsageError if a post is in two stories or the stories' columns are not these.
    """
    fate = fates(posts)
    taken = (fate == Fate.REMOVED) | ((fate == Fate.OPEN) if open_too else False)
    used = np.flatnonzero(taken | (fate == Fate.SURVIVED))
    author = codes(posts["account"])
    when = pc.coalesce(posts["published_at"], posts["first_seen_at"]).to_numpy()
    if stories is not None and len(used):
        story = _stories(posts, stories)[used]
        early = np.lexsort((used, when[used]))
        pair = author[used].astype(np.int64) * (int(story.max()) + 1) + story
        _, first = np.unique(pair[early], return_index=True)
        used = np.sort(used[early[first]])
    rows = posts.take(pa.array(used))
    strata = _strata(author[used], when[used], smallest)
    return Contrast(rows, codes(rows["account"]), strata, taken[used])


def codes(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """The distinct values of a column, numbered in order of appearance."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int32)


def _stories(posts: pa.Table, stories: pa.Table) -> NDArray[np.int64]:
    """The number of each post's story; a post of none is its own."""
    if not {"post", "story"} <= set(stories.column_names):
        raise UsageError(
            "the table of stories has no columns post and story; take that of `explain stories`."
        )
    if pc.count_distinct(stories["post"]).as_py() != stories.num_rows:
        raise UsageError("a post stands in two stories; give each post one story.")
    place = pc.index_in(posts["post"], stories["post"].combine_chunks())
    named = pc.is_valid(place).to_numpy()
    number = codes(stories["story"]).astype(np.int64)
    found = np.arange(posts.num_rows) + (int(number.max(initial=-1)) + 1)
    found[named] = number[pc.drop_null(place).to_numpy()]
    return found


def _strata(author: NDArray[np.int32], when: NDArray[np.int64], smallest: int) -> NDArray[np.int32]:
    """Weeks of one account, joined in order of time until they have `smallest` posts; a rest that
    stays smaller joins the stretch before it."""
    found = np.empty(len(author), np.int32)
    if not len(author):
        return found
    order = np.lexsort((when, author))
    week = when[order] // WEEK
    new_author = np.diff(author[order], prepend=-1) != 0
    cells = np.flatnonzero(new_author | (np.diff(week, prepend=-1) != 0))
    sizes = np.diff(cells, append=len(order))
    ends = np.append(np.flatnonzero(new_author)[1:], len(order))
    left = ends[np.cumsum(new_author)[cells] - 1] - cells  # posts of the account from here on
    number = np.empty(len(cells), np.int32)
    current, held = -1, 0
    rows = zip(sizes.tolist(), left.tolist(), new_author[cells].tolist(), strict=True)
    for cell, (size, rest, new) in enumerate(rows):
        if new or (held >= smallest and rest >= smallest):
            current, held = current + 1, 0
        number[cell] = current
        held += size
    found[order] = np.repeat(number, sizes)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Sets of posts, each as its numbers of posts in strata: one entry for each set and stratum."""

    starts: NDArray[np.int64]  # where each set's entries begin
    taken: NDArray[np.int64]  # its posts in the stratum
    posts: NDArray[np.int64]  # all posts of the stratum
    removed: NDArray[np.int64]  # the removed of all these
    hits: NDArray[np.int64]  # by set: its removed posts

    @classmethod
    def of(
        cls,
        starts: NDArray[np.int64],
        members: NDArray[np.int32],
        stratum: NDArray[np.int32],
        removed: NDArray[np.bool_],
        sizes: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> Drawn:
        """The sets whose posts are `members[starts[i]:starts[i + 1]]`."""
        lengths = np.diff(starts)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        key = owner.astype(np.int64) * len(sizes[0]) + stratum[members]
        cells, taken = np.unique(key, return_counts=True)
        where = cells % max(len(sizes[0]), 1)
        hits = np.bincount(owner, weights=removed[members], minlength=len(lengths))
        return cls(
            np.searchsorted(cells, np.arange(len(lengths)) * len(sizes[0])),
            taken,
            sizes[0][where],
            sizes[1][where],
            hits.astype(np.int64),
        )

    def expected(self) -> NDArray[np.float64]:
        """By set: the removed posts that its strata's rates lead to expect."""
        return _sum(self.taken * self.removed / self.posts, self.starts)

    def variance(self) -> NDArray[np.float64]:
        """By set: the variance of that number."""
        share = self.removed / self.posts
        rest = (self.posts - self.taken) / np.maximum(self.posts - 1, 1)
        return _sum(self.taken * share * (1 - share) * rest, self.starts)


def tails(drawn: Drawn) -> NDArray[np.float64]:
    """By set: the chance of as many removed posts or more, if in each stratum the removed posts
    were dealt at random: the upper tail of a sum of hypergeometric variables.

    Saddlepoint approximation of Lugannani and Rice with Daniels' (1987) second correction for
    lattices: within a few per cent of the exact tail, which needs a convolution for each set.
    1 where no more were removed than expected.
    """
    found = np.ones(len(drawn.hits))
    above = drawn.hits - 0.5 > drawn.expected()
    most = np.minimum(drawn.taken, drawn.removed)
    least = np.maximum(drawn.taken + drawn.removed - drawn.posts, 0)
    rows = _sum(most - least + 1, drawn.starts)
    for block in blocks(rows.astype(np.int64), _ROWS):
        sets = block.start + np.flatnonzero(above[block])
        if len(sets):
            found[sets] = _block_tails(drawn, sets)
    return found


def _block_tails(drawn: Drawn, sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """`tails` of some sets, all of whose removed are above the expected."""
    past = np.append(drawn.starts[1:], len(drawn.taken))
    entry, owner = ranges(drawn.starts[sets], (past - drawn.starts)[sets])
    n, total, marked = (a[entry] for a in (drawn.taken, drawn.posts, drawn.removed))
    least, most = np.maximum(n + marked - total, 0), np.minimum(n, marked)
    value, cell = ranges(least, most - least + 1)
    cells = np.searchsorted(cell, np.arange(len(n)))
    n, total, marked = n[cell], total[cell], marked[cell]
    log_chance = _choose(marked, value) + _choose(total - marked, n - value) - _choose(total, n)
    groups = np.searchsorted(owner, np.arange(len(sets)))
    goal = drawn.hits[sets] - 0.5
    tilt = np.log(goal / drawn.expected()[sets])  # right where removals are rare
    low, high = np.zeros(len(sets)), np.full(len(sets), 60.0)
    for _ in range(_NEWTON_STEPS):
        tilted = log_chance + value * tilt[owner][cell]
        top = np.maximum.reduceat(tilted, cells)
        weight = np.exp(tilted - top[cell])
        whole = np.add.reduceat(weight, cells)
        mean = np.add.reduceat(weight * value, cells) / whole
        square = np.add.reduceat(weight * value * value, cells) / whole - mean**2
        k0 = np.add.reduceat(top + np.log(whole), groups)
        k1, k2 = np.add.reduceat(mean, groups), np.add.reduceat(square, groups)
        if np.all(np.abs(k1 - goal) < _NEAR * np.maximum(goal, 1)):
            break
        low, high = np.where(k1 < goal, tilt, low), np.where(k1 < goal, high, tilt)
        step = tilt + (goal - k1) / np.maximum(k2, 1e-300)
        tilt = np.where((step > low) & (step < high), step, (low + high) / 2)
    root = np.sqrt(np.maximum(2 * (tilt * goal - k0), 1e-300))
    wide = 2 * np.sinh(tilt / 2) * np.sqrt(np.maximum(k2, 1e-300))
    # Near the mean the two terms cancel and the plain normal tail is right.
    correction = np.where(root > 1e-3, norm.pdf(root) * (1 / wide - 1 / root), 0.0)
    found: NDArray[np.float64] = np.clip(norm.sf(root) + correction, 0.0, 1.0)
    return found


def log_odds(
    hits: NDArray[np.float64],
    all_hits: float,
    matched: NDArray[np.float64],
    all_matched: float,
    prior: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-odds ratio of a string among removed against matched surviving posts, and its standard
    error, with an informative Dirichlet prior worth `prior` posts (Monroe, Colaresi and Quinn
    2008, equations 16 and 19). Posts are counted, not occurrences. The prior's shares are those of
    the matched survivors (the string's `matched` of `all_matched`), smoothed by half a post.
    """
    share = (matched + 0.5) / (all_matched + 1)
    a, b = hits + prior * share, matched + prior * share
    ratio = np.log(a / (all_hits + prior - a)) - np.log(b / (all_matched + prior - b))
    return ratio, np.sqrt(1 / a + 1 / b)


def matching(compared: Contrast) -> tuple[NDArray[np.float64], float]:
    """By post: the weight of a survivor, so that survivors weigh in each stratum what its removed
    posts number, scaled so that their sum is Kish's effective number of posts; and that number."""
    posts, removed = compared.sizes()
    each = removed / np.maximum(posts - removed, 1)
    weight = np.where(compared.removed, 0.0, each[compared.stratum])
    squares = float((weight**2).sum())
    if not squares:
        return weight, 0.0
    effective = float(weight.sum() ** 2 / squares)
    return weight * (effective / weight.sum()), effective


def _choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found


def _sum(values: NDArray[np.generic], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of the slices that begin at `starts`; no slice is empty."""
    if not len(values):
        return np.zeros(len(starts))
    found: NDArray[np.float64] = np.add.reduceat(values, starts).astype(np.float64)
    return found
