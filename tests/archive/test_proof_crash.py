"""Killed while proving: what was acknowledged holds, and no checkpoint is gone back on."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.archive.proof_writer import BATCH, COMMITS, account, write
from vanished.archive.capture import identities, new_identity, read_segment, segments
from vanished.archive.log import Log, read_checkpoint
from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    return new_identity()


def empty(folder: Path, recipient: str) -> Path:
    """An observatory with one account, sealed; segments and checkpoints come often."""
    with Observatory.create(folder, [recipient]) as observatory:
        account(observatory)
    text = (
        (folder / FILE)
        .read_text("utf-8")
        .replace("checkpoint_every_s = 5", "checkpoint_every_s = 400")
    )
    (folder / FILE).write_text(text.replace("segment_s = 900", "segment_s = 1500"), "utf-8")
    return folder


@pytest.mark.parametrize("places", [16, pytest.param(50, marks=pytest.mark.soak)])
def test_killed_in_many_places(tmp_path: Path, secret: tuple[str, str], places: int) -> None:
    """Spread over every kind of write: segments, log, present, journal; some half done."""
    recipient, opens = secret
    folder = empty(tmp_path / "o", recipient)
    words = [sys.executable, "-m", "tests.archive.proof_writer", str(folder), str(places)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = defaultdict(list)
    for line in map(json.loads, done.stdout.splitlines()):
        said[line["copy"]].append(line)
    copies = sorted(tmp_path.glob("step-*"))
    assert len(copies) == places
    print(f"{(tmp_path / 'steps').read_text()} steps, killed at {[c.name[5:] for c in copies]}")
    kinds = set()
    for copy in copies:
        kept = max((line["kept"] for line in said[copy.name]), default=0)
        notes = [base64.b64decode(line["note"]) for line in said[copy.name]]
        notes.append((copy / "log/checkpoint").read_bytes())  # published at the end, or before
        kinds.add(kept // BATCH)
        check(copy, kept, notes, opens)
    assert len(kinds) > COMMITS // 2  # the kills were early and late


def check(copy: Path, kept: int, notes: list[bytes], opens: str) -> None:
    left = verify_folder(copy, now=SystemClock().now(), identities=identities(opens))
    assert left.sound, f"{copy.name}, as it was left: {left.text()}"
    with Observatory.open(copy, write=True) as observatory:  # by itself
        assert observatory.proof is not None
        log = observatory.proof.log
        assert kept <= log.size <= kept + BATCH, f"{copy.name}: {kept} kept, {log.size} are there"
        assert log.size % BATCH == 0  # a commit is whole or not there
        for note in notes:
            checkpoint, _ = read_checkpoint(note, [known.key for known in log.keys])
            assert log.root_at(checkpoint.size) == checkpoint.root, copy.name
        size = log.size
        write(observatory, lambda: None, commits=2)  # and goes on
    found = {
        read.index
        for path in segments(copy / "captures")
        for read in read_segment(path, identities(opens))
    }
    assert found == set(range(size + 2 * BATCH))
    verified = verify_folder(copy, now=SystemClock().now(), identities=identities(opens))
    assert verified.sound, f"{copy.name}: {verified.text()}"
    with Observatory.open(copy) as observatory:
        looks = observatory.acknowledged_looks()
        with observatory.past() as past:
            assert past.execute("select sum(looks) from observations").fetchall() == [(looks,)]
        assert looks == size + 2 * BATCH


def test_a_torn_end_is_cut_and_a_torn_log_is_rebuilt(
    tmp_path: Path, secret: tuple[str, str]
) -> None:
    """Bytes beyond the acknowledged end, and a last tile that the disk lost half of."""
    recipient, opens = secret
    folder = empty(tmp_path / "o", recipient)
    with Observatory.open(folder, write=True) as observatory:
        write(observatory, lambda: None, commits=4)
    last = segments(folder / "captures")[-1]
    whole = last.read_bytes().rstrip(b"\0")
    last.write_bytes(last.read_bytes()[: len(whole) // 512 * 512 + 512] + b"half a member" * 20)
    tile = max((folder / "log/tile/0").rglob("*.p/*"), key=lambda path: int(path.name))
    tile.write_bytes(tile.read_bytes()[:40])
    with Observatory.open(folder, write=True) as observatory:
        assert observatory.proof is not None
        assert observatory.proof.log.size == 4 * BATCH
        write(observatory, lambda: None, commits=1)
    assert Log.open(folder / "log").size == 5 * BATCH
    verified = verify_folder(folder, now=SystemClock().now(), identities=identities(opens))
    assert verified.sound, verified.text()
