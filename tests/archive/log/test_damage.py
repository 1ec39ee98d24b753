"""Damage: if these fail, somebody can change the log's past and `verify` says all is well."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.archive.log.trees import grow, key, leaf, make_log
from vanished.archive.log import Damage, Log, check_log
from vanished.archive.log.note import WITNESS_KEY
from vanished.errors import EvidenceError

SEED = 20261124
SIZE = 66_100  # three levels: 258 full tiles of leaves, one above, and three partial ones
LEAVES = [leaf(at) for at in range(SIZE)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log that was rotated, cosigned, and has partial tiles of two checkpoints."""
    made = make_log(tmp_path_factory.mktemp("damage") / "log", SIZE - 21, 20)
    made.append([LEAVES[-1]])
    made.rotate(key(number=1))
    witness = key("witness.example/w", WITNESS_KEY)
    assert made.keep(made.note.with_signatures([witness.sign(made.note.text, 1_700_000_000)]))
    return made


WITNESSES = [key("witness.example/w", WITNESS_KEY).verifier]


@contextmanager
def changed(path: Path, change: Callable[[bytearray], None]) -> Iterator[None]:
    before = path.read_bytes()
    content = bytearray(before)
    change(content)
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def flip(bit: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[bit // 8] ^= 1 << bit % 8

    return change


def files(log: Log) -> list[str]:
    return sorted(
        str(path.relative_to(log.folder)) for path in log.folder.rglob("*") if path.is_file()
    )


def assert_names(found: list[Damage], file: str, bit: int, exactly: bool) -> None:
    """One damage, in that file, at the leaves that the bit's hash stands for."""
    assert [damage.file for damage in found] == [file], f"bit {bit}: {found}"
    damage = found[0]
    parts = file.split("/")
    if parts[0] != "tile":
        return
    level, index = int(parts[1]), int(parts[2].removesuffix(".p"))
    place = index * 256 + bit // 256
    first, last = place << 8 * level, (place + 1 << 8 * level) - 1
    assert damage.start <= first <= last < damage.end, f"bit {bit}: {damage}"
    if level or exactly:
        assert (damage.start, damage.end) == (first, last + 1), f"bit {bit}: {damage}"
    else:
        assert damage.end - damage.start <= 256


def test_the_undamaged_log_has_no_damage(log: Log) -> None:
    assert list(check_log(log.folder)) == []
    assert list(check_log(log.folder, LEAVES.__getitem__, WITNESSES)) == []


def test_200_random_bits_over_tiles_and_checkpoint_are_all_found_with_their_place(
    log: Log,
) -> None:
    """Half of them with the leaves known, so that the leaf itself must be named."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    names = files(log)
    above = [name for name in names if not name.startswith("tile/0/") or ".p/" in name]
    assert {"checkpoint", "vkeys", f"rotations/{SIZE}", "tile/1/000", "tile/2/000.p/1"} < set(above)
    for number in range(200):
        file = rng.choice(names if number % 2 else above)
        path = log.folder / file
        bit = rng.randrange(path.stat().st_size * 8)
        known = number % 4 < 2
        with changed(path, flip(bit)):
            expected = LEAVES.__getitem__ if known else None
            assert_names(list(check_log(log.folder, expected, WITNESSES)), file, bit, known)


def test_every_file_that_is_missing_or_short_is_named(log: Log) -> None:
    some = [name for name in files(log) if not name.startswith(("tile/0/0", "tile/0/1"))]
    some = [*some[-20:], *(name for name in some[:-20] if ".p/" in name), "tile/0/000"]
    for name in some:
        path = log.folder / name
        content = path.read_bytes()
        path.unlink()
        gone = {damage.file for damage in check_log(log.folder)}
        path.write_bytes(content[:-1])
        short = {damage.file for damage in check_log(log.folder)}
        path.write_bytes(content)
        older = ".p/" in name and name != f"tile/0/258.p/{SIZE % 256}"
        if not (older and not name.startswith(("tile/1", "tile/2"))):
            assert name in gone, name
        assert name in short, name
    assert list(check_log(log.folder)) == []


def test_damages_to_several_levels_at_once_are_all_named(log: Log) -> None:
    rng = random.Random(SEED + 1)
    for _ in range(10):
        wanted = {f"tile/0/{rng.randrange(250):03}", "tile/1/000", "tile/2/000.p/1"}
        tiles = [log.folder / name for name in sorted(wanted)]
        with (
            changed(tiles[0], flip(rng.randrange(8192 * 8))),
            changed(tiles[1], flip(rng.randrange(8192 * 8))),
            changed(tiles[2], flip(rng.randrange(32 * 8))),
        ):
            assert {damage.file for damage in check_log(log.folder)} == wanted
            assert {one.file for one in check_log(log.folder, LEAVES.__getitem__)} == wanted


def test_many_changed_tiles_are_all_named_with_their_leaves(log: Log) -> None:
    tiles = [f"tile/0/{at:03}" for at in range(0, 240, 8)]
    before = {name: (log.folder / name).read_bytes() for name in tiles}
    for name, content in before.items():
        (log.folder / name).write_bytes(bytes(32) + content[32:])
    try:
        blind = list(check_log(log.folder))
        seen = list(check_log(log.folder, LEAVES.__getitem__))
    finally:
        for name, content in before.items():
            (log.folder / name).write_bytes(content)
    assert {damage.file for damage in blind} == set(tiles)
    assert [(damage.file, damage.start, damage.end) for damage in seen] == [
        (f"tile/0/{at:03}", at * 256, at * 256 + 1) for at in range(0, 240, 8)
    ]


def test_a_wrong_entry_is_told_from_a_wrong_tile(log: Log) -> None:
    """The present's row was rewritten: the log is right, and says so."""
    for wrong in (1234, SIZE - 1):
        given = [*LEAVES[:wrong], leaf(wrong + 1), *LEAVES[wrong + 1 :]]
        found = list(check_log(log.folder, given.__getitem__))
        assert [(one.file, one.start, one.end) for one in found] == [("", wrong, wrong + 1)]
        assert str(found[0]).startswith(f"leaf {wrong}: the entry is not the one")


def test_entries_that_are_forgotten_leave_the_rest_checkable(log: Log) -> None:
    def remembered(index: int) -> bytes | None:
        return None if index % 3 == 0 else LEAVES[index]

    assert list(check_log(log.folder, remembered)) == []
    with changed(log.folder / "tile/0/007", flip(32 * 8 * 7)):
        found = list(check_log(log.folder, remembered))
    assert [(damage.start, damage.end) for damage in found] == [(1799, 1800)]


def test_a_damaged_log_is_repaired_whole(log: Log, tmp_path: Path) -> None:
    small = make_log(tmp_path / "log", 300, 50)
    for name in files(small):
        path = small.folder / name
        if name.startswith("tile"):
            path.write_bytes(b"\1" + path.read_bytes()[1:-1])
    rewritten = Log.open(small.folder).repair(leaf)
    assert set(rewritten) == {name for name in files(small) if name.startswith("tile")}
    assert list(check_log(small.folder, leaf)) == []
    with pytest.raises(EvidenceError):
        Log.open(small.folder).repair(lambda at: leaf(at + 1))
    grow(Log.open(small.folder, key()), 10)
