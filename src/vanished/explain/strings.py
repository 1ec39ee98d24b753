"""All strings that occur in enough posts, by a suffix array: no dictionary, no word splitter.

In: a stream of symbols, the text each stands in and the author of each text. Out: the *closed*
strings, each with the numbers of distinct texts and authors and its place in the suffix array. A
string is closed unless one longer string holds it in `closure` or more of its texts: a fragment
tells nothing that the whole does not. Nothing is tested here.

Suffixes are sorted by divsufsort (Mori) over two big-endian bytes a symbol. In that order the
occurrences of any string are one interval; an occurrence is the first of its text in its interval
exactly if the previous one of that text lies before the interval (Muthukrishnan 2002), so that
distinct texts are counted for all intervals of one length in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort, kasai

from vanished.explain.symbols import Stream

LONGEST = 60  # symbols of a string; a longer one is found as pieces of this length


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Closed strings, one entry each in all arrays of the second part."""

    order: NDArray[np.int32]  # the suffix array: positions in the stream, breaks left out
    text: NDArray[np.int32]  # by rank: the text
    before: NDArray[np.int32]  # by rank: the previous rank of the same text, -1 if there is none

    low: NDArray[np.int32]  # first rank
    size: NDArray[np.int32]  # number of occurrences
    length: NDArray[np.int32]  # symbols
    texts: NDArray[np.int32]  # distinct texts
    authors: NDArray[np.int32]  # distinct authors

    def __len__(self) -> int:
        return len(self.low)

    def at(self, string: int) -> int:
        """A position in the stream where the string occurs."""
        return int(self.order[self.low[string]])

    def positions(self, string: int) -> NDArray[np.int32]:
        """All positions where it occurs."""
        low = int(self.low[string])
        return self.order[low : low + int(self.size[string])]

    def members(self, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The distinct texts of the strings `which`: where each string's begin, and the texts."""
        lows, sizes = self.low[which].astype(np.int64), self.size[which].astype(np.int64)
        starts = np.concatenate(([0], np.cumsum(sizes)))
        ranks = np.arange(starts[-1]) + np.repeat(lows - starts[:-1], sizes)
        first = self.before[ranks] < np.repeat(lows, sizes)
        kept = np.concatenate(([0], np.cumsum(first)))
        return kept[starts], self.text[ranks[first]]


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """Intervals of one length that occur in enough texts."""

    length: int
    ranks: NDArray[np.int32]  # all occurrences, in order
    starts: NDArray[np.int64]  # where each interval begins in `ranks`
    texts: NDArray[np.int32]


def closed_strings(
    stream: Stream,
    author_of_text: NDArray[np.int32],
    *,
    least: int,
    least_authors: int,
    closure: float,
) -> Strings:
    """The closed strings of at least `least` distinct texts and `least_authors` distinct authors.

    One character alone is no string; a word is. Memory: about 40 bytes a symbol at the peak.
    """
    codes = stream.codes
    order, room, common = _sorted(codes)
    text = stream.text_of[order]
    before = _previous(text)
    before_author = _previous(author_of_text[text])
    rank_of = np.full(len(codes) + 1, len(order), np.int32)  # the last: no symbol there
    rank_of[order] = np.arange(len(order), dtype=np.int32)
    left = rank_of[order - 1]  # of position 0 this is the last entry, as it should be
    del rank_of
    active = max(1, int(np.ceil(closure * least)))  # shorter ones can close nothing
    found: list[tuple[NDArray[np.int32], ...]] = []
    texts_of = np.zeros(len(order) + 1, np.int32)  # by rank: texts of the interval one longer
    ranks = np.arange(len(order), dtype=np.int32)
    upper: _Level | None = None
    for length in range(1, LONGEST + 2):
        if length > LONGEST:
            ranks = ranks[:0]
        level = _level(length, ranks, room, common, before, active)
        if upper is not None:
            texts_of[upper.ranks] = 0
        texts_of[level.ranks] = np.repeat(level.texts, _sizes(level))
        if upper is not None:
            found.append(_closed(upper, texts_of, left, before_author, least, closure))
        if not len(level.ranks):
            break
        upper, ranks = level, level.ranks
    low, size, length_, texts, authors = (np.concatenate(part) for part in zip(*found, strict=True))
    keep = (authors >= least_authors) & ((length_ > 1) | stream.wordlike[codes[order[low]]])
    columns = (low, size, length_, texts, authors)
    return Strings(order, text, before, *(column[keep] for column in columns))


def _sorted(
    codes: NDArray[np.uint16],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]:
    """The suffix array without breaks; by rank, the symbols until the next break, and those in
    common with the rank before; both end at 255."""
    raw = divsufsort(codes.astype(">u2").view(np.uint8))
    order = (raw[(raw & 1) == 0] >> 1).astype(np.int32)
    del raw
    common = np.minimum(kasai(codes, order), 255)  # of each rank with the next
    common = np.concatenate((np.zeros(1, np.uint8), common[:-1].astype(np.uint8)))
    breaks = np.flatnonzero(np.append(codes, 0) == 0)
    until = np.repeat(breaks, np.diff(breaks, prepend=-1))[: len(codes)] - np.arange(len(codes))
    room = np.minimum(until, 255).astype(np.uint8)[order]
    kept = room > 0
    return order[kept], room[kept], common[kept]


def _previous(owner: NDArray[np.int32]) -> NDArray[np.int32]:
    """By rank, the previous rank of the same owner, -1 if there is none."""
    keys = owner.astype(np.int64) << 32
    keys |= np.arange(len(owner), dtype=np.int64)
    keys.sort()
    ranks = (keys & 0xFFFFFFFF).astype(np.int32)
    same = np.diff(keys >> 32) == 0
    found = np.full(len(owner), -1, np.int32)
    found[ranks[1:][same]] = ranks[:-1][same]
    return found


def _level(
    length: int,
    ranks: NDArray[np.int32],
    room: NDArray[np.uint8],
    common: NDArray[np.uint8],
    before: NDArray[np.int32],
    least: int,
) -> _Level:
    """The intervals of this length within the intervals one shorter."""
    ranks = ranks[room[ranks] >= length]
    starts = np.flatnonzero(common[ranks] < length)
    if not len(ranks):
        return _Level(length, ranks, starts, np.empty(0, np.int32))
    sizes = np.diff(starts, append=len(ranks))
    keep = sizes >= least
    ranks, sizes = ranks[np.repeat(keep, sizes)], sizes[keep]
    starts = np.cumsum(sizes) - sizes
    if not len(ranks):
        return _Level(length, ranks, starts, np.empty(0, np.int32))
    texts = _distinct(ranks, starts, sizes, before)
    keep = texts >= least
    ranks, sizes = ranks[np.repeat(keep, sizes)], sizes[keep]
    return _Level(length, ranks, np.cumsum(sizes) - sizes, texts[keep])


def _distinct(
    ranks: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    before: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Distinct owners of each interval, given each rank's previous one of the same owner."""
    first = before[ranks] < np.repeat(ranks[starts], sizes)
    return np.add.reduceat(first, starts, dtype=np.int32)


def _sizes(level: _Level) -> NDArray[np.int64]:
    return np.diff(level.starts, append=len(level.ranks))


def _closed(
    level: _Level,
    texts_of: NDArray[np.int32],
    left: NDArray[np.int32],
    before_author: NDArray[np.int32],
    least: int,
    closure: float,
) -> tuple[NDArray[np.int32], ...]:
    """Low, size, length, texts and authors of the level's closed intervals, given the texts of the
    intervals one symbol longer: any longer string is held by one of those."""
    sizes = _sizes(level)
    enough = level.texts >= least
    ranks, sizes = level.ranks[np.repeat(enough, sizes)], sizes[enough]
    starts, texts = np.cumsum(sizes) - sizes, level.texts[enough]
    if not len(ranks):
        return tuple(np.empty(0, np.int32) for _ in range(5))
    longer = np.maximum.reduceat(texts_of[ranks], starts)
    open_ = longer < closure * texts
    ranks, sizes, texts = ranks[np.repeat(open_, sizes)], sizes[open_], texts[open_]
    if not len(ranks):
        return tuple(np.empty(0, np.int32) for _ in range(5))
    starts = np.cumsum(sizes) - sizes
    open_ = np.maximum.reduceat(texts_of[left[ranks]], starts) < closure * texts
    ranks, sizes, texts = ranks[np.repeat(open_, sizes)], sizes[open_], texts[open_]
    starts = np.cumsum(sizes) - sizes
    low = ranks[starts] if len(ranks) else np.empty(0, np.int32)
    authors = _distinct(ranks, starts, sizes, before_author) if len(ranks) else low
    lengths = np.full(len(low), level.length, np.int32)
    return low, sizes.astype(np.int32), lengths, texts, authors
