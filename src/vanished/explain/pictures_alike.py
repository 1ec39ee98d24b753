"""Pictures that look alike: which of many perceptual hashes are near each other.

In: PDQ hashes, 256 bits in hexadecimal, with their quality. Out: them as numbers, pairs within a
distance, and a number for each group of pictures. A small distance says that two pictures look
alike, not that one was made from the other. No picture is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vanished.explain.stars import stars

BITS: Final = 256
WITHIN: Final = 31
"""Bits in which copies may differ: PDQ's own threshold; docs/measured.md says what it finds."""
LEAST_QUALITY: Final = 50
"""PDQ's own limit: plainer pictures resemble each other whatever they show."""
_PIECES: Final = 16  # of 16 bits each: of at most 31 bits that differ, one piece has at most one
_AT_ONCE: Final = 1 << 22

Words = NDArray[np.uint64]
"""Hashes as four words each, of shape (n, 4)."""


def words(hashes: Sequence[str]) -> Words:
    """The hashes as numbers; zero where there is none."""
    empty = bytes(BITS // 8)
    joined = b"".join(bytes.fromhex(each) if each else empty for each in hashes)
    return np.frombuffer(joined, np.uint64).reshape(-1, BITS // 64)


def apart(one: Words, other: Words) -> NDArray[np.int64]:
    """The number of bits that differ, row by row; either may be a single row."""
    return np.asarray(np.bitwise_count(one ^ other).sum(axis=-1), np.int64)


def near(hashes: Words, within: int = WITHIN) -> NDArray[np.int64]:
    """All pairs of rows at most `within` (≤ 31) bits apart, the smaller first: shape (n, 2).

    Exact, by the pigeonhole (Norouzi, Punjani and Fleet 2012, multi-index hashing): cut into 16
    pieces, two such hashes differ in at most one bit of at least one piece.
    """
    assert within <= WITHIN
    pieces = np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, _PIECES)
    rows = np.arange(len(hashes))
    found = [np.empty((0, 2), np.int64)]
    for piece in pieces.T:
        order = np.argsort(piece, kind="stable")
        held = piece[order]
        for flip in (0, *(1 << bit for bit in range(16))):
            begin = np.searchsorted(held, piece ^ np.uint16(flip), side="left")
            ends = np.searchsorted(held, piece ^ np.uint16(flip), side="right")
            total = np.cumsum(ends - begin)
            cuts = np.searchsorted(total, np.arange(0, total[-1] if len(total) else 0, _AT_ONCE))
            cuts = np.unique(np.append(cuts, len(rows)))
            for low, high in zip([0, *cuts[:-1]], cuts, strict=True):
                counts = (ends - begin)[low:high]
                one = np.repeat(rows[low:high], counts)
                inner = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
                other = order[np.repeat(begin[low:high], counts) + inner]
                pairs = np.stack([one, other], axis=1)[one < other]
                alike = apart(hashes[pairs[:, 0]], hashes[pairs[:, 1]]) <= within
                found.append(pairs[alike])
    return np.unique(np.concatenate(found), axis=0)


def groups(
    sha256: Sequence[str],
    hashes: Sequence[str],
    methods: Sequence[str],
    quality: NDArray[np.int64],
    within: int = WITHIN,
) -> NDArray[np.int64]:
    """A number for each picture; those of one number are the same bytes, or look like one of them.

    Pictures without a hash, or of too poor quality, are compared by their bytes only, and hashes
    only with those of the same method.
    """
    _, same = np.unique(np.asarray(sha256, dtype=object).astype(str), return_inverse=True)
    group = same.astype(np.int64)  # number of the bytes
    comparable = np.array([bool(each) for each in hashes], bool) & (quality >= LEAST_QUALITY)
    for method in sorted({m for m, fits in zip(methods, comparable, strict=True) if fits}):
        chosen = np.flatnonzero(comparable & np.array([m == method for m in methods], bool))
        numbers = words([hashes[row] for row in chosen.tolist()])
        distinct, where = np.unique(numbers, axis=0, return_inverse=True)
        where = where.reshape(-1)
        centre = _centred(distinct, np.bincount(where).astype(np.float64), within)
        _, first = np.unique(centre[where], return_index=True)
        leader = dict(
            zip(centre[where][first].tolist(), group[chosen[first]].tolist(), strict=True)
        )
        moved = {
            int(group[row]): leader[int(star)]
            for row, star in zip(chosen, centre[where], strict=True)
        }
        group = np.array([moved.get(number, number) for number in group.tolist()], np.int64)
    return group


def _centred(hashes: Words, copies: NDArray[np.float64], within: int) -> NDArray[np.int64]:
    pairs = near(hashes, within)
    likeness = 1 - apart(hashes[pairs[:, 0]], hashes[pairs[:, 1]]) / BITS

    def stays(offered: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(apart(hashes[offered[:, 0]], hashes[offered[:, 1]]) <= within)

    return stars(pairs, likeness, copies, stays)
