"""A killed log: if these fail, a crash breaks a promise that was already published."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.archive.log.crashing_log import BEFORE, COUNTS, FINAL, NEW
from tests.archive.log.trees import grow, key, leaf, make_log
from vanished.archive.durable import TEMPORARY, write_atomically
from vanished.archive.log import Log, check_log
from vanished.archive.log.merkle import root_of
from vanished.errors import LockedError, ObservatoryError, StorageError, UsageError

ROOT = Path(__file__).parents[3]
WRITER = [sys.executable, "-m", "tests.archive.log.crashing_log"]
SEED = 20261124


def sizes() -> list[int]:
    """Every size that the killed writer publishes."""
    found = [BEFORE[0], sum(BEFORE)]
    for count in COUNTS:
        found.append(found[-1] + count)
    return [*found, FINAL]


def assert_survived(folder: Path, acknowledged: int, rotated: bool = True) -> int:
    """Whole, with all that was acknowledged, and able to go on; returns the size it had."""
    assert list(check_log(folder, leaf)) == []
    size = Log.open(folder).size
    assert size >= acknowledged
    log = Log.open(folder, NEW if rotated and size == FINAL else key())
    for earlier in (one for one in sizes() if one <= size):
        assert log.root_at(earlier) == root_of([leaf(at) for at in range(earlier)])
    assert not list(folder.rglob(f"*{TEMPORARY}"))
    for path in (folder / "tile/0").rglob("*"):
        if path.is_file() and path.parent.suffix != ".p":
            assert int(path.name) < size // 256, f"{path} lies beyond {size} leaves"
    grow(log, 300, "after the crash")  # other leaves than those that were lost

    def expected(index: int) -> bytes:
        return leaf(index, "" if index < size else "after the crash")

    assert list(check_log(folder, expected)) == []
    assert log.root_at(size) == root_of([leaf(at) for at in range(size)])
    return size


def test_killed_at_every_write_the_log_keeps_every_published_checkpoint(tmp_path: Path) -> None:
    run = subprocess.run(
        [*WRITER, "steps", str(tmp_path), "1", "300"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    lines = [line.split() for line in run.stdout.splitlines()]
    assert lines[-1][1] == "ended", "the writer was never killed at its last step"
    acknowledged = {int(step): int(size) for step, size in lines[:-1]}
    last = int(lines[-1][0])
    assert last > 50, f"only {last} places to die in"
    kept = {step: assert_survived(tmp_path / str(step), acknowledged[step])
            for step in range(1, last)}  # fmt: skip
    assert set(kept.values()) == set(sizes()[1:]), "some checkpoint was never the last one"


def test_killed_at_random_times_the_log_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    folder = make_log(tmp_path / "log", *BEFORE).folder
    for _ in range(8):
        writer = subprocess.Popen([*WRITER, "run", str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert writer.stdout is not None
            acknowledged = int(writer.stdout.readline())
            time.sleep(rng.uniform(0.002, 0.25))
        finally:
            writer.kill()
            rest, _ = writer.communicate(timeout=20)
        whole = rest.decode().split("\n")[:-1]
        acknowledged = int(whole[-1]) if whole else acknowledged
        assert list(check_log(folder, leaf)) == []
        log = Log.open(folder, key())
        assert log.size >= acknowledged
        assert log.root == root_of([leaf(at) for at in range(log.size)])
    assert log.size > sum(BEFORE), "the writer never wrote"


def test_nothing_is_signed_before_all_it_covers_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps only what was synced: files, and the names of files in their folders."""
    log = make_log(tmp_path / "log", 300)
    unsynced: set[str] = set()
    published: list[bool] = []
    write, fsync, replace, mkdir = os.write, os.fsync, Path.replace, Path.mkdir

    def named(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def noting_write(descriptor: int, content: bytes) -> int:
        path = named(descriptor)
        unsynced.update({path, str(Path(path).parent)})
        return write(descriptor, content)

    def noting_fsync(descriptor: int) -> None:
        fsync(descriptor)
        unsynced.discard(named(descriptor))

    def noting_mkdir(path: Path, mode: int = 0o755, exist_ok: bool = False) -> None:
        mkdir(path, mode, exist_ok=exist_ok)
        unsynced.add(str(path.parent))

    def noting_replace(path: Path, target: Path) -> Path:
        if target.name == "checkpoint":
            published.append(not {one for one in unsynced if "/tile" in one})
        unsynced.add(str(target.parent))
        return replace(path, target)

    monkeypatch.setattr(os, "write", noting_write)
    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "mkdir", noting_mkdir)
    monkeypatch.setattr(Path, "replace", noting_replace)
    for _ in range(3):
        grow(log, 250)
        assert not unsynced, "acknowledged before it was durable"
    assert published == [True] * 3


def test_after_a_full_disk_the_same_leaves_can_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the checkpoint had reached the disk before the failure."""
    log = make_log(tmp_path / "log", 100)
    log.append(leaf(at) for at in range(100, 200))

    def failing(path: Path, content: bytes, *, mode: int = 0o644) -> None:
        write_atomically(path, content, mode=mode)
        raise OSError(5, "failing")

    monkeypatch.setattr("vanished.archive.log.log.write_atomically", failing)
    with pytest.raises(StorageError, match="the disk failed"):
        log.checkpoint()
    assert (log.size, log.next_index) == (100, 200)
    monkeypatch.undo()
    log.append([leaf(200)])
    log.checkpoint()
    assert log.size == 201
    assert list(check_log(log.folder, leaf)) == []


def test_a_rotation_that_failed_half_way_is_taken_back_on_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(tmp_path / "log", 100)
    log.append([leaf(100)])

    def failing(path: Path, content: bytes, *, mode: int = 0o644) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("vanished.archive.log.log.write_atomically", failing)
    with pytest.raises(StorageError, match="the disk is full"):
        log.rotate(NEW)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="open it with its key"):
        log.checkpoint()
    again = Log.open(log.folder, key())
    grow(again, 5)
    assert len(again.keys) == 1
    assert list(check_log(log.folder)) == []


def test_an_older_copy_put_in_place_is_not_continued(tmp_path: Path) -> None:
    """A restored backup would otherwise sign a second history: a fork of our own making."""
    log = make_log(tmp_path / "log", 100)
    older = (log.folder / "checkpoint").read_bytes()
    grow(log, 100)
    (log.folder / "checkpoint").write_bytes(older)
    log.append([leaf(200)])
    with pytest.raises(LockedError, match="has 100 leaves where this process left 200"):
        log.checkpoint()
    with pytest.raises(LockedError, match="nothing was signed"):
        log.keep(log.note)
    assert (log.folder / "checkpoint").read_bytes() == older


def test_a_foreign_key_opens_no_log_for_writing(tmp_path: Path) -> None:
    folder = make_log(tmp_path / "log", 10).folder
    with pytest.raises(ObservatoryError, match="cannot sign the log"):
        Log.open(folder, NEW)
