"""The full check of a log's tiles: every hash of every level against the signed root.

In: the folder, the size and root of a checkpoint that holds, and the leaf hashes that the caller
expects, where it knows them. Out: every damage with its file and the leaves concerned. Hashes
alone say which tile was changed; which leaf, only the expected leaves can say. Changes nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.archive.log.merkle import HASH, fold, full_root, peaks
from vanished.archive.log.tiles import TILE, WIDTH, all_tiles, levels, load, tile_name
from vanished.errors import DamagedError

LeafOf = Callable[[int], bytes | None]
"""The leaf hash that the caller expects at an index; None where it knows none."""

_TRIALS: Final = 512  # combinations that are tried where tiles contradict each other


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of the log that is not what it was; the leaves concerned are start <= i < end.

    Without a file, the log is right and the caller's entry at `start` is not what it committed to.
    """

    file: str  # relative to the log's folder; empty for an entry
    start: int
    end: int
    words: str

    def __str__(self) -> str:
        last = self.end - 1
        place = f"leaves {self.start} to {last}" if last > self.start else f"leaf {self.start}"
        where = [self.file] if self.file else []
        where += [place] if self.end > self.start else []
        return f"{', '.join(where)}: {self.words}"


@dataclass(slots=True)
class _Leaves:
    """What one pass over the leaves found, by tile; None where it cannot be read or is unknown."""

    stored: list[bytes | None] = field(default_factory=list)  # roots of the full tiles
    expected: list[bytes | None] = field(default_factory=list)  # the same from expected leaves
    edges: list[bytes] = field(default_factory=lambda: [b""])  # what may stand in the partial
    wrong: list[Damage] = field(default_factory=list)  # leaves that are not those expected
    unreadable: list[Damage] = field(default_factory=list)


def check_tiles(
    folder: Path, size: int, root: bytes, leaf_of: LeafOf | None = None
) -> Iterator[Damage]:
    """Every damage to the tiles of a tree of `size` leaves whose root is known to be `root`.

    Reads each tile, the leaves' first, and hashes it. Without damage, yields nothing.
    """
    leaves = _pass(folder, size, leaf_of)
    yield from leaves.unreadable
    above = _stored_row(folder, size, 1)
    rows = _settle(leaves, above, root)
    if rows is None:
        yield from leaves.wrong
        yield from _at_odds(folder, size, leaves)
        return
    right = _hashes(rows[1])
    for damage in leaves.wrong:
        index = damage.start // WIDTH
        kept = leaves.stored[index] == right[index] if index < len(right) else False
        if kept or (index == len(right) and leaves.edges[-1] == rows[0]):
            words = "the entry is not the one that the log committed to; the log itself is right"
            yield Damage("", damage.start, damage.end, words)
        else:
            yield damage
    known = {damage.start // WIDTH for damage in leaves.wrong}
    for index, mine in enumerate(leaves.stored):
        if mine is not None and mine != right[index] and index not in known:
            yield _damage(0, index, WIDTH, "changed: its hash is not that in the level above")
    yield from _check_above(folder, size, rows)
    yield from _check_partials(folder, size, rows)


def _pass(folder: Path, size: int, leaf_of: LeafOf | None) -> _Leaves:
    found = _Leaves()
    for index, width in all_tiles(size, 0):
        row, damage = _row(folder, 0, index, width)
        if damage:
            found.unreadable.append(damage)
        wanted = row if leaf_of is None else _wanted(leaf_of, index, width, row)
        found.wrong += _differences(index, row, wanted)
        if width < WIDTH:
            found.edges = list(dict.fromkeys(one for one in (wanted, row) if one is not None))
        else:
            found.stored.append(row and full_root(row))
            same = wanted == row
            found.expected.append(found.stored[-1] if same else wanted and full_root(wanted))
    return found


def _row(folder: Path, level: int, index: int, width: int) -> tuple[bytes | None, Damage | None]:
    try:
        return load(folder, level, index, width), None
    except DamagedError as error:
        return None, _damage(level, index, width, str(error))


def _damage(level: int, index: int, width: int, words: str) -> Damage:
    start, span = index * WIDTH << 8 * level, 1 << 8 * level
    return Damage(tile_name(level, index, width), start, start + width * span, words)


def _wanted(leaf_of: LeafOf, index: int, width: int, row: bytes | None) -> bytes | None:
    """The row that the caller expects, with the stored hashes where it knows none."""
    found: list[bytes] = []
    for at in range(width):
        leaf = leaf_of(index * WIDTH + at)
        if leaf is None:
            if row is None:
                return None
            leaf = row[at * HASH : (at + 1) * HASH]
        found.append(leaf)
    return b"".join(found)


def _differences(index: int, row: bytes | None, wanted: bytes | None) -> Iterator[Damage]:
    if row is None or wanted is None or row == wanted:
        return
    width = len(row) // HASH
    for at, (mine, theirs) in enumerate(zip(_hashes(row), _hashes(wanted), strict=True)):
        if mine != theirs:
            leaf = index * WIDTH + at
            name = tile_name(0, index, width)
            yield Damage(name, leaf, leaf + 1, "changed: the hash is not that of the entry")


def _hashes(row: bytes) -> list[bytes]:
    return [row[at : at + HASH] for at in range(0, len(row), HASH)]


def _stored_row(folder: Path, size: int, level: int) -> list[bytes | None]:
    """All hashes of a level as its tiles have them."""
    found: list[bytes | None] = []
    for index, width in all_tiles(size, level):
        row, _ = _row(folder, level, index, width)
        found += [None] * width if row is None else _hashes(row)
    return found


def _settle(leaves: _Leaves, above: list[bytes | None], root: bytes) -> list[bytes] | None:
    """The rows of all levels that have that root, or None if no trial has; of level 0 the edge.

    Where a tile of leaves, the expected leaves and the hash in the level above contradict each
    other, one of them is right: the choices are tried.
    """
    choices = [
        list(dict.fromkeys(one for one in three if one is not None))
        for three in zip(leaves.stored, leaves.expected, above, strict=True)
    ]
    if not all(choices):
        return None
    if math.prod(map(len, choices)) <= _TRIALS:
        trials: Iterator[tuple[bytes, ...]] = itertools.product(*choices)
    else:
        trials = iter([tuple(one[0] for one in choices), tuple(one[-1] for one in choices)])
    for trial in trials:
        for edge in leaves.edges:
            rows = _rows(b"".join(trial), edge)
            if _root(rows) == root:
                return rows
    return None


def _rows(first: bytes, edge: bytes) -> list[bytes]:
    rows = [edge, first]
    while len(rows[-1]) >= TILE:
        row = rows[-1]
        whole = len(row) // TILE * TILE
        rows.append(b"".join(full_root(row[at : at + TILE]) for at in range(0, whole, TILE)))
    return rows


def _root(rows: list[bytes]) -> bytes:
    edges = [row[len(row) // TILE * TILE :] for row in reversed(rows)]
    return fold([peak for edge in edges for peak in peaks(edge)])


def _check_above(folder: Path, size: int, rows: list[bytes]) -> Iterator[Damage]:
    """The tiles above the leaves against rows that are proven right."""
    for level, _, _ in levels(size):
        for index, width in all_tiles(size, level) if level else ():
            row, damage = _row(folder, level, index, width)
            right = rows[level][index * TILE : index * TILE + width * HASH]
            if row is None:
                yield damage or _damage(level, index, width, "missing")
            elif row != right:
                yield _hash_damage(level, index, width, row, right)


def _hash_damage(level: int, index: int, width: int, row: bytes, right: bytes) -> Damage:
    at = next(i for i in range(0, len(row), HASH) if row[i : i + HASH] != right[i : i + HASH])
    place = at // HASH
    start = (index * WIDTH + place) << 8 * level
    words = f"changed: hash {place} in it is not that of the leaves below"
    return Damage(tile_name(level, index, width), start, start + (1 << 8 * level), words)


def _check_partials(folder: Path, size: int, rows: list[bytes]) -> Iterator[Damage]:
    """The partial tiles of earlier checkpoints: each is the beginning of the tile it became."""
    for level, full, partial in levels(size):
        for path in sorted((folder / f"tile/{level}").rglob("*.p/*")):
            parts = path.relative_to(folder / f"tile/{level}").parts
            digits = "".join(part.removeprefix("x").removesuffix(".p") for part in parts[:-1])
            if not digits.isdecimal() or not parts[-1].isdecimal():
                continue
            index, width = int(digits), int(parts[-1])
            if index > full or (index == full and width >= partial):
                continue  # checked already, or beyond the checkpoint
            row, damage = _row(folder, level, index, width)
            if level:
                right: bytes | None = rows[level][index * TILE :][: width * HASH]
            elif index == full:
                right = rows[0][: width * HASH]
            else:
                whole, _ = _row(folder, 0, index, WIDTH)
                right = whole and whole[: width * HASH]
            if damage:
                yield damage
            elif row is not None and right is not None and row != right:
                yield _hash_damage(level, index, width, row, right)


def _at_odds(folder: Path, size: int, leaves: _Leaves) -> Iterator[Damage]:
    """Where no choice has the root: every tile that another contradicts, and the edge."""
    found: list[Damage] = []
    roots = leaves.stored
    for level, full, partial in levels(size):
        above = _stored_row(folder, size, level + 1)
        parents = [_row(folder, level + 1, *tile) for tile in all_tiles(size, level + 1)]
        found += [damage for _, damage in parents if damage]
        for index, (mine, theirs) in enumerate(zip(roots, above, strict=True)):
            if mine is not None and theirs is not None and mine != theirs:
                parent = tile_name(level + 1, index // WIDTH)
                words = f"it is at odds with {parent}: one of the two, or both, was changed"
                found.append(_damage(level, index, WIDTH, words))
        if level == 0 and partial and leaves.edges:
            words = "changed, for all we can tell: the root of the tree is not the signed one"
            found.append(_damage(0, full, partial, words))
        roots = [row and full_root(row) for row, _ in parents[: (size >> 8 * level + 16)]]
    yield from found
    if not found and not leaves.unreadable:
        yield Damage("checkpoint", 0, size, "its root is not that of the tiles")
