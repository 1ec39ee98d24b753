"""Tiles as c2sp.org/tlog-tiles says: if these fail, no other tool reads our log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.log.trees import leaf, make_log
from vanished.archive.log.merkle import consistency_proof, inclusion_proof, root_of
from vanished.archive.log.tiles import Edge, TileReader, leaf_rows, load, tile_name
from vanished.errors import DamagedError

LEAVES = [leaf(at) for at in range(70_000)]


def tiles_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in (folder / "tile").rglob("*")
            if path.is_file()}  # fmt: skip


def test_names_are_those_of_the_specification() -> None:
    assert tile_name(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_name(2, 5, 17) == "tile/2/005.p/17"
    assert tile_name(0, 999) == "tile/0/999"
    assert tile_name(0, 1000) == "tile/0/x001/000"


def test_a_tree_of_70000_has_the_tiles_of_the_specifications_example(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 70_000)
    names = tiles_of(log.folder)
    assert len([name for name in names if re.fullmatch(r"tile/0/\d+", name)]) == 273
    assert {name for name in names if not re.fullmatch(r"tile/0/\d+", name)} == {
        "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1",
    }  # fmt: skip
    assert all((log.folder / name).stat().st_size in (8192, 112 * 32, 17 * 32, 32)
               for name in names)  # fmt: skip


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 256)
    assert tiles_of(log.folder) == {"tile/0/000", "tile/1/000.p/1"}


def test_partial_tiles_stay_until_their_full_tile_is_there(tmp_path: Path) -> None:
    """A reader with an older checkpoint would otherwise find nothing."""
    log = make_log(tmp_path / "log", 100, 100)
    assert tiles_of(log.folder) == {"tile/0/000.p/100", "tile/0/000.p/200"}
    log.append(LEAVES[200:300])
    log.checkpoint()
    assert tiles_of(log.folder) == {"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"}
    assert load(log.folder, 0, 0, 100) == b"".join(LEAVES[:100])


@given(st.lists(st.integers(0, 700), max_size=6))
def test_the_edge_has_the_root_of_the_tree_however_it_grew(counts: list[int]) -> None:
    edge, at = Edge(), 0
    for count in counts:
        edge, _ = edge.extended(b"".join(LEAVES[at : at + count]))
        at += count
    assert edge.size == at
    assert edge.root() == root_of(LEAVES[:at])


def test_proofs_from_tiles_are_those_from_leaves(tmp_path: Path) -> None:
    size = 66_000
    log = make_log(tmp_path / "log", size)
    tiles = TileReader(log.folder, size)

    def memory(level: int, index: int) -> bytes:
        return root_of(LEAVES[index << level : (index + 1) << level])

    assert b"".join(leaf_rows(log.folder, size)) == b"".join(LEAVES[:size])
    assert list(log.leaves()) == LEAVES[:size]
    for index in (0, 1, 255, 256, 65_535, 65_536, size - 1):
        assert inclusion_proof(tiles, index, size) == inclusion_proof(memory, index, size)
    for old in (1, 255, 256, 257, 65_535, 65_536, 65_537, size - 1):
        assert consistency_proof(tiles, old, size) == consistency_proof(memory, old, size)
        assert log.root_at(old) == root_of(LEAVES[:old])
    with pytest.raises(ValueError, match="no complete subtree"):
        tiles(0, size)
    with pytest.raises(ValueError, match="66000 leaves"):
        log.root_at(size + 1)


def test_a_missing_or_short_tile_is_named(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 300)
    full, partial = log.folder / "tile/0/000", log.folder / "tile/0/001.p/44"
    partial.write_bytes(partial.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=r"tile/0/001\.p/44 has 1407 bytes instead of 1408"):
        load(log.folder, 0, 1, 44)
    full.unlink()
    with pytest.raises(DamagedError, match="tile/0/000 is missing"):
        list(leaf_rows(log.folder, 300))
