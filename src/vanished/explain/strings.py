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

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort, kasai

from vanished.explain.symbols import Stream

_BLOCK = 4_000_000  # occurrences at a time: bounds memory
LONGEST = 60  # symbols of a string; a longer one is found as pieces of this length


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Closed strings, one entry each in all arrays of the second part."""

    order: NDArray[np.int32]  # the suffix array: positions in the stream, breaks left out
    text_of: NDArray[np.int32]  # by position: the text
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
        """The distinct texts of the strings `which`: where each string's begin and the last one's
        end, and the texts."""
        lows, sizes = self.low[which], self.size[which].astype(np.int64)
        counts, texts = [np.zeros(1, np.int64)], [np.empty(0, np.int32)]
        for block in blocks(sizes, _BLOCK):
            ranks, owner = ranges(lows[block].astype(np.int64), sizes[block])
            first = self.before[ranks] < lows[block][owner]
            texts.append(self.text_of[self.order[ranks[first]]])
            counts.append(self.texts[which[block]].astype(np.int64))
        return np.cumsum(np.concatenate(counts)), np.concatenate(texts)


def blocks(sizes: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Slices that hold about `most` each; a single larger size is a slice of its own."""
    edges = np.flatnonzero(np.diff(np.cumsum(sizes) // most, prepend=-1))
    for low, high in pairwise([*edges.tolist(), len(sizes)]):
        yield slice(low, high)


def ranges(
    low: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All integers of the ranges that begin at `low`, one range after the other, and the number of
    the range of each."""
    owner = np.repeat(np.arange(len(low)), sizes)
    offsets = np.cumsum(sizes) - sizes
    return np.arange(len(owner)) + (low - offsets)[owner], owner


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

    One character alone is no string; a word is. Memory: some 35 bytes a symbol at the peak.
    """
    codes = stream.codes
    order, room, common = _sorted(codes)
    before = _previous(stream.text_of[order])
    rank_of = np.full(len(codes) + 1, len(order), np.int32)  # the last: no symbol there
    rank_of[order] = np.arange(len(order), dtype=np.int32)
    rank_of = np.roll(rank_of, 1)  # by position: the rank of the one before; of 0 there is none
    left = rank_of[order]
    del rank_of
    active = max(1, int(np.ceil(closure * least)))  # shorter ones can close nothing
    none = np.empty(0, np.int32)
    found: list[tuple[NDArray[np.int32], ...]] = [(none, none, none, none)]
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
            found.append(_closed(upper, texts_of, left, least, closure))
        if not len(level.ranks):
            break
        upper, ranks = level, level.ranks
    del left, texts_of, room, common
    low, size, lengths, texts = (np.concatenate(part) for part in zip(*found, strict=True))
    keep = (lengths > 1) | stream.wordlike[codes[order[low]]]
    low, size, lengths, texts = low[keep], size[keep], lengths[keep], texts[keep]
    counted = Strings(order, stream.text_of, before, low, size, lengths, texts, texts)
    authors = _authors(counted, author_of_text)
    keep = authors >= least_authors
    low, size, lengths, texts = low[keep], size[keep], lengths[keep], texts[keep]
    return Strings(order, stream.text_of, before, low, size, lengths, texts, authors[keep])


def _sorted(
    codes: NDArray[np.uint16],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]:
    """The suffix array without breaks; by rank, the symbols until the next break, and those in
    common with the rank before; both end at 255."""
    raw = divsufsort(codes.astype(">u2").view(np.uint8))
    for low in range(0, len(raw), _BLOCK):  # in place: even offsets are symbols, odd ones nothing
        raw[low : low + _BLOCK] = np.where(raw[low : low + _BLOCK] & 1, -1, raw[low : low + _BLOCK])
    order = raw[raw >= 0]
    del raw
    order >>= 1
    shared = kasai(codes, order)  # of each rank with the next
    np.minimum(shared, 255, out=shared)
    common = np.concatenate((np.zeros(1, np.uint8), shared[:-1].astype(np.uint8)))
    del shared
    breaks = np.flatnonzero(np.append(codes, 0) == 0).astype(np.int32)
    until = np.repeat(breaks, np.diff(breaks, prepend=-1))[: len(codes)]
    until -= np.arange(len(codes), dtype=np.int32)
    np.minimum(until, 255, out=until)
    room = until.astype(np.uint8)[order]
    kept = room > 0
    return order[kept], room[kept], common[kept]


def _previous(owner: NDArray[np.int32]) -> NDArray[np.int32]:
    """By rank, the previous rank of the same owner, -1 if there is none."""
    keys = owner.astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(owner), dtype=np.int64)
    keys.sort()
    halves = keys.view(np.int32).reshape(-1, 2)
    rank, of = (0, 1) if sys.byteorder == "little" else (1, 0)
    same = halves[1:, of] == halves[:-1, of]
    found = np.full(len(owner), -1, np.int32)
    found[halves[1:, rank][same]] = halves[:-1, rank][same]
    return found


def _authors(strings: Strings, author_of_text: NDArray[np.int32]) -> NDArray[np.int32]:
    """Distinct authors of each string."""
    found = np.empty(len(strings), np.int32)
    for block in blocks(strings.size.astype(np.int64), _BLOCK):
        which = np.arange(block.start, block.stop)
        starts, texts = strings.members(which)
        keys = np.repeat(which, np.diff(starts)) << 32 | author_of_text[texts]
        keys.sort()  # np.unique hashes, which is slower
        keys = keys[np.diff(keys, prepend=-1) != 0]
        found[block] = np.bincount((keys >> 32) - block.start, minlength=len(which))
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
    least: int,
    closure: float,
) -> tuple[NDArray[np.int32], ...]:
    """Low, size, length and texts of the level's closed intervals, given the texts of the
    intervals one symbol longer: any longer string is held by one of those."""
    sizes = _sizes(level)
    enough = level.texts >= least
    ranks, sizes = level.ranks[np.repeat(enough, sizes)], sizes[enough]
    starts, texts = np.cumsum(sizes) - sizes, level.texts[enough]
    if not len(ranks):
        return tuple(np.empty(0, np.int32) for _ in range(4))
    longer = np.maximum.reduceat(texts_of[ranks], starts)
    open_ = longer < closure * texts
    ranks, sizes, texts = ranks[np.repeat(open_, sizes)], sizes[open_], texts[open_]
    if not len(ranks):
        return tuple(np.empty(0, np.int32) for _ in range(4))
    starts = np.cumsum(sizes) - sizes
    open_ = np.maximum.reduceat(texts_of[left[ranks]], starts) < closure * texts
    ranks, sizes, texts = ranks[np.repeat(open_, sizes)], sizes[open_], texts[open_]
    starts = np.cumsum(sizes) - sizes
    low = ranks[starts] if len(ranks) else np.empty(0, np.int32)
    lengths = np.full(len(low), level.length, np.int32)
    return low, sizes.astype(np.int32), lengths, texts
