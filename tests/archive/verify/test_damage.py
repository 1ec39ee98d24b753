"""A changed bit anywhere is found, with its place: else a proof is only a claim."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.log.trees import leaf as leaf_of
from tests.archive.log.trees import make_log
from tests.archive.verify.proven import Proven, proven
from vanished.archive.leaves import leaves, opened
from vanished.archive.log import Log, check_log
from vanished.archive.log.tiles import tile_name
from vanished.archive.verify.findings import Verification
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock

SEED = 20_261_124
SIZE = 100_000
LEAVES = [leaf_of(at) for at in range(SIZE)]
EACH = 50  # damages of each of the two observatories


@pytest.fixture(scope="module", params=["plain", "sealed"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proven]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        folder = tmp_path_factory.mktemp(request.param)
        with proven(folder, sealed=request.param == "sealed") as found:
            yield found


def check(made: Proven, *, opened: bool = False) -> Verification:
    identities = made.opened if opened else None
    return verify_folder(made.folder, now=SystemClock().now(), identities=identities)


def test_what_nobody_touched_is_sound(made: Proven) -> None:
    found = check(made, opened=True)
    assert found.sound, found.text()
    text = found.text()
    assert "the witness 'witness.example/w' saw" in text
    assert "stamped" in text or "alpha" in text
    assert "1 captures were forgotten on purpose" in text or "forgotten on purpose" in text
    assert "not proven: that the platform sent these bytes" in text
    assert made.tended.troubles == []


def kinds(folder: Path) -> dict[str, list[Path]]:
    """The files of an observatory, by what they prove."""
    log = folder / "log"
    return {
        "captures": sorted((folder / "captures").iterdir()),
        "tiles": sorted(p for p in (log / "tile").rglob("*") if p.is_file()),
        "checkpoint": [log / "checkpoint"],
        "cosigned": [log / "cosignatures" / "friends"],
        "vkeys": [log / "vkeys"],
        "statements": sorted((log / "statements").iterdir()),
        "stamps": sorted(p for p in (log / "stamps").rglob("*") if p.is_file()),
        "journal": sorted((folder / "journal").rglob("*.parquet")),
    }


def test_random_bits_are_each_found_with_their_place(made: Proven) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    files = kinds(made.folder)
    assert all(files.values()), files
    # Captures are most of the bytes, and every other kind has its turn.
    order = ["captures", *(kind for kind in files if kind != "captures")]
    for number in range(EACH):
        kind = "captures" if number % 2 else order[number // 2 % len(order)]
        path = chance.choice(files[kind])
        size = path.stat().st_size
        at, bit = chance.randrange(size), 1 << chance.randrange(8)
        flip(path, at, bit)
        found = check(made)
        place = str(path.relative_to(made.folder))
        assert not found.sound, f"{place}, byte {at} of {size}, bit {bit}: not found"
        named = [damage.place for damage in found.damages]
        assert all(place in one or one in place for one in named), (place, at, bit, named)
        if (leaf := leaf_at(made.folder, path, at)) is not None:
            assert any(damage.leaf == leaf for damage in found.damages), (leaf, found.text())
        flip(path, at, bit)
    assert check(made).sound


def leaf_at(folder: Path, path: Path, at: int) -> int | None:
    """The leaf whose proof a byte belongs to, where it belongs to one."""
    if path.parent.name == "statements":
        return int(path.stem)
    if path.parent.parent.name == "0":  # a tile of leaves, of which there is one
        return at // 32
    with opened(folder) as connection:
        for leaf in leaves(connection):
            if leaf.segment == path.name and leaf.offset <= at < leaf.offset + leaf.length:
                return leaf.index
    return None


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log of 10^5 leaves, published in two parts."""
    log = make_log(tmp_path_factory.mktemp("large") / "log", SIZE - 500)
    log.append(LEAVES[SIZE - 500 :])
    log.checkpoint()
    assert list(check_log(log.folder, LEAVES.__getitem__)) == []
    return log


def test_a_bit_of_one_leaf_in_100_000_is_found_with_its_index(large: Log) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for _ in range(8):
        leaf = chance.randrange(SIZE)
        width = min(256, SIZE - leaf // 256 * 256)
        path = large.folder / tile_name(0, leaf // 256, width)
        at, bit = leaf % 256 * 32 + chance.randrange(32), 1 << chance.randrange(8)
        flip(path, at, bit)
        (damage,) = check_log(large.folder, LEAVES.__getitem__)
        assert (damage.start, damage.end) == (leaf, leaf + 1), (leaf, damage)
        assert damage.file == str(path.relative_to(large.folder))
        assert list(check_log(large.folder))  # also for who holds no captures
        flip(path, at, bit)
    assert list(check_log(large.folder)) == []


def flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bit]))
        os.fsync(file.fileno())
