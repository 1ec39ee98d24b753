"""When a counter reached a line: after the last look that proves less, by the first that proves it.

In: tables of posts and counts, and the numbers that reach the line. Out: looks in order with what
each proves, and for each post or story the two times. Counters are intervals: what a shown "1万+"
leaves open stays open. What became of the posts is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanished.errors import UsageError

Ints = NDArray[np.int64]
NEVER: Final = np.iinfo(np.int64).max
"""A time that did not come."""


class Proof(IntEnum):
    """What one look proves of a post: as codes, `ABOVE` holds from the first such look on."""

    BELOW = 0  # every counter that was shown is under the line
    ABOVE = 1  # one of them has reached it
    UNSURE = 2  # the interval of one of them holds the line


@dataclass(frozen=True, slots=True)
class Looks:
    """Looks that showed a counter of the line, by post and then time; one array element each.

    `post` is the row in the table of posts, `at` and `until` are microseconds, `proof` a `Proof`,
    `low` and `high` have the ends by counter: zero to `-1` where it was not shown, `NEVER` for an
    end that is open above.
    """

    post: Ints
    at: Ints
    until: Ints
    proof: NDArray[np.int8]
    low: Mapping[str, Ints]
    high: Mapping[str, Ints]


@dataclass(frozen=True, slots=True)
class Crossings:
    """For each post: the last proof below (`-1`: none) and the first above (`NEVER`: none), in
    microseconds, how many looks showed a counter, and what the last proved (`UNSURE` if none)."""

    below: Ints
    above: Ints
    looks: Ints
    last: NDArray[np.int8]


def looks(posts: pa.Table, counts: pa.Table, reaches: Mapping[str, int]) -> Looks:
    """The looks at these posts that showed any counter of the line.

    `reaches` has by counter the number that reaches the line: so many or more. A counter that is
    not shown proves nothing. Raises UsageError if a post has two rows, or an interval is reversed.
    """
    if pc.count_distinct(posts["post"]).as_py() < posts.num_rows:
        raise UsageError("The table of posts has a post twice; give one row each.")
    at_row = pc.index_in(counts["post"], value_set=posts["post"].combine_chunks())
    shown = pa.repeat(False, counts.num_rows)
    for name in reaches:
        shown = pc.or_(shown, pc.is_valid(counts[f"{name}_low"]))
    chosen = pc.and_(pc.is_valid(at_row), shown)
    ends_of = [f"{name}_{end}" for name in reaches for end in ("low", "high")]
    counts = counts.select(["at", "until", *ends_of]).filter(chosen)  # a copy: not of all columns
    post = _ints(at_row.filter(chosen), 0)
    order = np.lexsort((_ints(counts["at"], 0), post))
    ends = {
        name: (
            _ints(counts[f"{name}_low"], 0)[order],
            _ints(pc.if_else(pc.is_valid(counts[f"{name}_low"]), counts[f"{name}_high"], -1), NEVER)
            [order],
        )
        for name in reaches
    }  # fmt: skip
    if any(((high >= 0) & (high < low)).any() for low, high in ends.values()):
        raise UsageError("A counter has an upper end below its lower one; check the counts.")
    above = np.any([ends[name][0] >= number for name, number in reaches.items()], axis=0)
    below = np.all([ends[name][1] < number for name, number in reaches.items()], axis=0)
    post = post[order]
    above = _holds(post, above)
    proof = np.where(above, Proof.ABOVE, np.where(below, Proof.BELOW, Proof.UNSURE))
    at, until = _ints(counts["at"], 0)[order], _ints(counts["until"], 0)[order]
    low, high = ({name: pair[end] for name, pair in ends.items()} for end in (0, 1))
    return Looks(post, at, np.maximum(at, until), proof.astype(np.int8), low, high)


def crossings(posts: int, found: Looks) -> Crossings:
    """When each of `posts` posts crossed. Once reached, the line stays reached: reposts that are
    taken back later had been made."""
    below, above = np.full(posts, -1, np.int64), np.full(posts, NEVER, np.int64)
    under, over = found.proof == Proof.BELOW, found.proof == Proof.ABOVE
    np.maximum.at(below, found.post[under], found.until[under])
    np.minimum.at(above, found.post[over], found.at[over])
    last = np.full(posts, Proof.UNSURE, np.int8)
    last[found.post] = found.proof  # the last assignment of each post stays
    return Crossings(
        np.minimum(below, above), above, np.bincount(found.post, minlength=posts), last
    )


def story_above(posts: int, found: Looks, story: Ints, reaches: Mapping[str, int]) -> Ints:
    """By when the posts of each story had together reached the line at the latest.

    `story` has the number of each post's story, `-1` for none. The sum of the lower ends of the
    latest counters of the posts that were watched is a lower bound: copies that nobody watched are
    not in it. Out: microseconds by number of story, `NEVER` where the sum proves nothing.
    """
    above = np.full(int(story.max(initial=-1)) + 1, NEVER, np.int64)
    if len(story) != posts:
        raise UsageError("The stories do not have one entry a post.")
    of = story[found.post] if len(found.post) else np.zeros(0, np.int64)
    for name, number in reaches.items():
        most = _running(found.post, np.minimum(found.low[name], number), number + 1)
        first = np.r_[True, found.post[1:] != found.post[:-1]][: len(found.post)]
        gain = most - np.where(first, 0, np.r_[0, most[:-1]][: len(most)])
        kept = np.flatnonzero((of >= 0) & (gain > 0))
        kept = kept[np.lexsort((found.at[kept], of[kept]))]
        total = np.cumsum(gain[kept])
        begins = np.searchsorted(of[kept], of[kept])
        total -= total[begins] - gain[kept][begins]
        reached = kept[total >= number]
        np.minimum.at(above, of[reached], found.at[reached])
    return above


def latest(found: Looks, posts: int, times: Ints) -> Ints:
    """The index of the last look at each post that began by its time; `-1` where there is none."""
    size = np.int64(1) << 40  # seconds; room for 2^23 posts
    rows = found.post * size + np.clip(found.at // 1_000_000, 0, size - 1)
    wanted = np.arange(posts) * size + np.clip(times // 1_000_000, 0, size - 1)
    index = np.searchsorted(rows, wanted, side="right") - 1
    mine = (index >= 0) & (found.post[np.maximum(index, 0)] == np.arange(posts)) if len(rows) else (
        np.zeros(posts, bool)
    )  # fmt: skip
    return np.where(mine, index, -1)


def _holds(post: Ints, above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True from the first True of each post on."""
    return _running(post, above.astype(np.int64), 2).astype(bool)


def _running(post: Ints, values: Ints, size: int) -> Ints:
    """The greatest value so far within each post; values are whole, from 0 to below `size`."""
    return np.maximum.accumulate(values + post * size) - post * size


def _ints(column: pa.ChunkedArray | pa.Array, null: int) -> Ints:
    """A column as integers, with `null` for nulls."""
    found = pc.fill_null(column.cast(pa.int64()), null)
    return np.asarray(found.to_numpy() if isinstance(found, pa.ChunkedArray) else
                      found.to_numpy(zero_copy_only=False), np.int64)  # fmt: skip
