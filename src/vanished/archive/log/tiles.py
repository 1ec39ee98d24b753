"""Hash tiles on disk (c2sp.org/tlog-tiles): how a log's tree lies in a folder.

In: leaf hashes and a folder. Out: files of up to 256 hashes under `tile/`, and the hash of any
subtree read back from them. Entries are not stored (they are secret); nothing is signed or
verified here. A tile that is missing or has the wrong length is a DamagedError with its file;
a changed hash shows in the root (`check`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vanished.archive.durable import make_folder, refusals, sync_folder
from vanished.archive.log.merkle import HASH, fold, full_root, peaks
from vanished.errors import DamagedError

WIDTH: Final = 256
"""Hashes in a full tile."""
TILE: Final = WIDTH * HASH
"""Bytes of a full tile."""
_HELD: Final = 256  # tiles that a reader keeps in memory: 2 MiB

Tile = tuple[int, int, bytes]
"""Level, index in the level, and the row: its concatenated hashes."""


def tile_name(level: int, index: int, width: int = WIDTH) -> str:
    """The file of a tile in the log's folder: `tile/0/x001/x234/067`, or with `.p/WIDTH`."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def levels(size: int) -> Iterator[tuple[int, int, int]]:
    """Of each level that a tree of `size` leaves has: level, full tiles, width of the partial."""
    level = 0
    while count := size >> 8 * level:
        yield level, *divmod(count, WIDTH)
        level += 1


def all_tiles(size: int, level: int) -> Iterator[tuple[int, int]]:
    """Index and width of each tile of one level."""
    full, partial = divmod(size >> 8 * level, WIDTH)
    for index in range(full):
        yield index, WIDTH
    if partial:
        yield full, partial


def load(folder: Path, level: int, index: int, width: int = WIDTH) -> bytes:
    """The row of a tile; of a partial tile whose file is gone, from the full tile.

    Raises DamagedError naming the file that is missing or has another length.
    """
    name = tile_name(level, index, width)
    row = _bytes(folder / name)
    if row is None and width < WIDTH:
        full = _bytes(folder / tile_name(level, index))
        if full is not None and len(full) == TILE:
            return full[: width * HASH]
    if row is None:
        raise DamagedError(
            f"the log's tile {folder / name} is missing; repair the log, or restore the file from"
            " a backup"
        )
    if len(row) != width * HASH:
        raise DamagedError(
            f"the log's tile {folder / name} has {len(row)} bytes instead of {width * HASH};"
            " repair the log, or restore the file from a backup"
        )
    return row


def _bytes(path: Path) -> bytes | None:
    with refusals(f"read the log's tile {path}"):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def leaf_rows(folder: Path, size: int) -> Iterator[bytes]:
    """The leaf hashes of the first `size` leaves in order, one row a tile. Raises DamagedError."""
    for index, width in all_tiles(size, 0):
        yield load(folder, 0, index, width)


class TileReader:
    """A `merkle.Reader` over the tiles of a tree of `size` leaves; reads only what is asked for."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self._rows: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Hash of a complete subtree. Raises DamagedError, and ValueError beyond the tree."""
        if (index + 1) << level > self.size:
            raise ValueError(f"no complete subtree {index} of level {level} in {self.size} leaves")
        above, depth = divmod(level, 8)
        tile, start = divmod(index << depth, WIDTH)
        row = self._row(above, tile)
        return full_root(row[start * HASH : (start + (1 << depth)) * HASH])

    def _row(self, level: int, index: int) -> bytes:
        row = self._rows.get((level, index))
        if row is None:
            width = min(WIDTH, (self.size >> 8 * level) - index * WIDTH)
            row = load(self.folder, level, index, width)
            if len(self._rows) >= _HELD:
                self._rows.clear()
            self._rows[level, index] = row
        return row


class Edge:
    """The right edge of a growing tree: of each level the row that fills no tile yet."""

    def __init__(self, size: int = 0, rows: tuple[bytes, ...] = ()) -> None:
        self.size = size
        self.rows = list(rows)

    @classmethod
    def load(cls, folder: Path, size: int) -> Edge:
        """Read the edge of a tree from its partial tiles. Raises DamagedError."""
        rows = tuple(
            load(folder, level, full, partial) if partial else b""
            for level, full, partial in levels(size)
        )
        return cls(size, rows)

    def root(self) -> bytes:
        """Root of the tree."""
        return fold([peak for row in reversed(self.rows) for peak in peaks(row)])

    def extended(self, leaves: bytes) -> tuple[Edge, list[Tile]]:
        """The edge after these concatenated leaf hashes, and the tiles to write for it.

        The tiles are those that became full, then the partial ones that changed.
        """
        edge = Edge(self.size + len(leaves) // HASH, tuple(self.rows))
        tiles: list[Tile] = []
        level, more = 0, leaves
        while more:
            if level == len(edge.rows):
                edge.rows.append(b"")
            row, index = edge.rows[level] + more, self.size >> 8 * level + 8
            more = b""
            while len(row) >= TILE:
                tiles.append((level, index, row[:TILE]))
                more += full_root(row[:TILE])
                row, index = row[TILE:], index + 1
            edge.rows[level] = row
            level += 1
        changed = edge.rows[:level]
        tiles += [(at, edge.size >> 8 * at + 8, row) for at, row in enumerate(changed) if row]
        return edge, tiles


def write_tiles(folder: Path, tiles: list[Tile]) -> None:
    """Write tiles and make them durable, files and names. Raises OSError.

    They are written in place: no published checkpoint reads a file that this writes.
    """
    folders: set[Path] = set()
    for level, index, row in tiles:
        path = folder / tile_name(level, index, len(row) // HASH)
        if path.parent not in folders:
            make_folder(path.parent)
            folders.add(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            rest = memoryview(row)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for parent in folders:
        sync_folder(parent)


def drop_partials(folder: Path, tiles: list[Tile]) -> None:
    """Remove the partial files of tiles that have become full. Raises OSError."""
    for level, index, row in tiles:
        if len(row) == TILE:
            _remove(folder / f"{tile_name(level, index)}.p")


def heal(folder: Path, edge: Edge) -> None:
    """Give every partial tile of `edge` its file, where it was read from the full one."""
    for level, row in enumerate(edge.rows):
        index = edge.size >> 8 * level + 8
        if row and _bytes(folder / tile_name(level, index, len(row) // HASH)) != row:
            write_tiles(folder, [(level, index, row)])


def cut_back(folder: Path, size: int) -> None:
    """Remove the tiles beyond `size` leaves: what a crash left, which no checkpoint covers.

    Also the partial files of tiles that are full. Raises OSError.
    """
    level = 0
    while (folder / f"tile/{level}").is_dir():
        index, width = divmod(size >> 8 * level, WIDTH)
        beyond = index
        while (full := folder / tile_name(level, beyond)).exists() or _partial(full).exists():
            full.unlink(missing_ok=True)
            _remove(_partial(full), keep=width if beyond == index else 0)
            beyond += 1
        _drop_stale(folder / tile_name(level, index), _partial(folder / tile_name(level, index)))
        level += 1


def _partial(full: Path) -> Path:
    return full.with_name(f"{full.name}.p")


def _drop_stale(edge: Path, kept: Path) -> None:
    """Remove the partial files beside the edge whose full tile is there."""
    if edge.parent.is_dir():
        for path in sorted(edge.parent.glob("*.p")):
            if path != kept and path.with_suffix("").exists():
                _remove(path)


def _remove(partial: Path, keep: int = 0) -> None:
    """Remove the files in a folder of partial tiles that are wider than `keep`."""
    if not partial.is_dir():
        return
    for path in partial.iterdir():
        if not re.fullmatch(r"[0-9]+", path.name) or int(path.name) > keep:
            path.unlink(missing_ok=True)
    if not keep:
        partial.rmdir()
