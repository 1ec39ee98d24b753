"""Merkle trees as RFC 6962 defines them: hashes, proofs, and their verification.

In: leaf hashes, or a `Reader` that gives the hash of any complete subtree. Out: roots and proofs,
and whether a proof holds. It knows no file and no signature, and it hashes no entries but with
`leaf_hash`. Verification follows RFC 9162, sections 2.1.3.2 and 2.1.4.2, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final

HASH: Final = 32
"""Bytes of a SHA-256 hash."""

EMPTY: Final = sha256(b"").digest()
"""Root of the tree without leaves."""

Reader = Callable[[int, int], bytes]
"""`read(level, index)`: the hash of the subtree over leaves `index << level` up to
`(index + 1) << level`, which must be complete. Level 0 is the leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf with this entry (RFC 6962, section 2.1)."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of the node above two subtrees (RFC 6962, section 2.1)."""
    return sha256(b"\1" + left + right).digest()


def halve(row: bytes) -> bytes:
    """The row of hashes above `row`, an even number of concatenated hashes."""
    return b"".join(
        [sha256(b"\1" + row[i : i + 2 * HASH]).digest() for i in range(0, len(row), 2 * HASH)]
    )


def full_root(row: bytes) -> bytes:
    """Root of a complete subtree whose leaves are `row`: 1, 2, 4, … concatenated hashes."""
    while len(row) > HASH:
        row = halve(row)
    return row


def peaks(row: bytes) -> list[bytes]:
    """Roots of the complete subtrees that `row` (concatenated hashes) falls into, left to right."""
    found, at = [], 0
    while at < len(row):
        width = HASH << ((len(row) - at) // HASH).bit_length() - 1
        found.append(full_root(row[at : at + width]))
        at += width
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root of a tree from its peaks, left to right; `EMPTY` without any."""
    if not hashes:
        return EMPTY
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree with these leaf hashes."""
    return fold(peaks(b"".join(leaves)))


def root_at(read: Reader, size: int) -> bytes:
    """Root of the tree of the first `size` leaves."""
    return _range_root(read, 0, size)


def _range_root(read: Reader, start: int, end: int) -> bytes:
    """MTH(D[start:end]) where `start` is a multiple of the largest power of two in the range."""
    return fold([read(level, index) for level, index in _subtrees(start, end)])


def _subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _split(width: int) -> int:
    """The largest power of two smaller than `width`."""
    return 1 << (width - 1).bit_length() - 1


def inclusion_proof(read: Reader, index: int, size: int) -> list[bytes]:
    """Hashes that prove leaf `index` in the tree of `size` leaves, from the leaf upwards.

    RFC 6962, section 2.1.1. Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    found: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append(_range_root(read, middle, end))
            end = middle
        else:
            found.append(_range_root(read, start, middle))
            start = middle
    return found[::-1]


def consistency_proof(read: Reader, old: int, new: int) -> list[bytes]:
    """Hashes that prove the tree of `old` leaves to be the beginning of the tree of `new` leaves.

    RFC 6962, section 2.1.2; empty if `old` is 0 or `new`. Raises ValueError unless
    0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no proof from {old} leaves to {new}")
    if old in (0, new):
        return []
    start, end, whole = 0, new, True
    found: list[bytes] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append(_range_root(read, middle, end))
            end = middle
        else:
            found.append(_range_root(read, start, middle))
            start, whole = middle, False
    if not whole:
        found.append(_range_root(read, start, end))
    return found[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `proof` shows leaf hash `leaf` at `index` under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or any(len(one) != HASH for one in (leaf, root, *proof)):
        return False
    place, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            computed = node_hash(sibling, computed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether `proof` shows the old tree to be the beginning of the new (RFC 9162, 2.1.4.2).

    Trees of the same size are consistent if their roots are the same, and every tree continues
    the empty one; both without a proof (c2sp.org/tlog-witness).
    """
    if not 0 <= old <= new or any(len(one) != HASH for one in (old_root, new_root, *proof)):
        return False
    if old == new:
        return not proof and old_root == new_root and (new > 0 or new_root == EMPTY)
    if old == 0:
        return not proof and old_root == EMPTY
    path = list(proof)
    if not path:
        return False
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
