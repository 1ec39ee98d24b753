"""What we call proven, other people's tools call proven too; and what is not ours is refused."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pymerkle
import pytest
from fastwarc import ArchiveIterator

from tests.archive.log.trees import grow, key, make_log
from tests.archive.verify.proven import Proven, proven
from tests.archive.wacz.test_unpack import owner
from tests.needs import needs_program
from tests.servers.wacz import needs_wacz, validate
from vanished.archive.capture import read_segment, segments
from vanished.archive.capture.manifest import opened as unpacked
from vanished.archive.exporting import export_receipts, export_wacz
from vanished.archive.log import Log, SignerKey, leaf_hash, make_receipt
from vanished.archive.verify import verify
from vanished.clock import SystemClock
from vanished.errors import EvidenceError, UsageError

SEED = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proven]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        with proven(tmp_path_factory.mktemp("foreign"), sealed=False, seed=6) as found:
            yield found


@pytest.fixture(scope="module")
def wacz(made: Proven, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wacz") / "all.wacz"
    done = export_wacz(made.folder, path, now=SystemClock().now(), everything=True)
    assert done.written.captures > 20
    return path


def vkey(made: Proven) -> str:
    return str(Log.open(made.folder / "log").keys[-1].key)


def root(made: Proven) -> str:
    (path,) = made.folder.parent.glob("tsa/**/root.pem")
    return f"alpha={path}"


def test_warcio_and_fastwarc_agree_on_every_segment(made: Proven) -> None:
    paths = segments(made.folder / "captures")
    assert len(paths) > 3
    done = subprocess.run(
        [Path(sys.executable).with_name("warcio"), "check", *map(str, paths)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in paths:
        ours = [record for read in read_segment(path) for record in read.records]
        with path.open("rb") as stream:
            theirs = [record.record_id for record in ArchiveIterator(stream, parse_http=False)]
        assert [f"<{record.id}>" for record in ours] == theirs


def test_pymerkle_gets_the_signed_root_from_the_entries(made: Proven) -> None:
    """From salts and manifests alone, as somebody would who was given the unsealed captures."""
    log = Log.open(made.folder / "log")
    entries: dict[int, bytes] = {}
    for path in segments(made.folder / "captures"):
        for read in read_segment(path):
            assert read.manifest is not None
            entries[read.manifest.index] = read.salt + sha256(read.manifest.to_bytes()).digest()
    emptied: list[int] = []
    for path in (made.folder / "log/statements").iterdir():
        salt, content = unpacked(path.read_bytes())
        entries[int(path.stem)] = salt + sha256(content).digest()
        emptied += json.loads(content)["leaves"]
    leaves = list(log.leaves())
    empty = [index for index in range(log.size) if index not in entries]
    assert empty == emptied  # the forgotten: their entries are gone, their leaves are not
    for index, entry in entries.items():
        assert leaf_hash(entry) == leaves[index]
    tree = pymerkle.InmemoryTree()
    for index in range(empty[0]):
        tree.append_entry(entries[index])
    assert tree.get_root() == log.root_at(empty[0])


def test_openssl_verifies_the_stamp_of_the_checkpoint(made: Proven) -> None:
    openssl = needs_program("openssl", "openssl")
    (reply,) = (made.folder / "log/stamps").rglob("*.tsr")
    words = [openssl, "ts", "-verify", "-data", str(reply.with_name("checkpoint"))]
    done = subprocess.run(
        [*words, "-in", str(reply), "-CAfile", root(made).partition("=")[2]],
        capture_output=True,
        text=True,
    )
    assert "Verification: OK" in done.stdout + done.stderr


def test_py_wacz_validates_our_export(wacz: Path) -> None:
    fine, said = validate(needs_wacz(), wacz)
    assert fine, said


def test_the_export_proves_the_same_by_itself(made: Proven, wacz: Path) -> None:
    found = verify(wacz, key=vkey(made), roots=[root(made)])
    assert found.sound, found.text()
    text = found.text()
    assert "the log is signed by the key that was given" in text
    assert "the witness 'witness.example/w' saw a checkpoint" in text or "alpha" in text
    assert "alpha.tsr" in text
    other = verify(wacz, key=str(key("another/log").verifier))
    assert not other.sound
    assert "is not the one that was given" in other.text()


def test_40_random_bits_of_an_export_are_each_found(wacz: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    whole = wacz.read_bytes()
    copy = tmp_path / "copy.wacz"
    of = owner(wacz)
    for _ in range(40):
        at, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        changed = bytearray(whole)
        changed[at] ^= bit
        copy.write_bytes(changed)
        try:
            found = verify(copy)
        except EvidenceError as error:
            places = [str(error)]
        else:
            places = [damage.place for damage in found.damages]
        assert any(of(at) in place for place in places), (at, bit, of(at), places)


def test_each_bit_of_a_receipt_counts(made: Proven, tmp_path: Path) -> None:
    paths, _ = export_receipts(made.folder, tmp_path / "r", everything=True)
    path = paths[len(paths) // 2]
    fine = verify(path, key=vkey(made))
    assert fine.sound, fine.text()
    whole = path.read_bytes()
    assert len(whole) <= 1536
    witnessed = whole.find("— witness.example/w".encode())
    end = witnessed if witnessed > 0 else len(whole)  # an unknown signature says nothing
    chance = random.Random(SEED)
    for _ in range(60):
        at, bit = chance.randrange(end), 1 << chance.randrange(8)
        changed = bytearray(whole)
        changed[at] ^= bit
        path.write_bytes(changed)
        try:
            found = verify(path, key=vkey(made))
        except (EvidenceError, UsageError):  # no receipt any more
            continue
        assert not found.sound, f"byte {at}, bit {bit}"


def test_a_receipt_of_another_log_is_refused(made: Proven, tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 9)
    path = tmp_path / "foreign.tlog-proof"
    path.write_bytes(bytes(make_receipt(log, 3)))
    found = verify(path, key=vkey(made))
    (damage,) = found.damages
    assert "is of another log" in damage.what
    with pytest.raises(UsageError, match="give it with --key"):
        verify(path)


def test_an_export_with_receipts_of_another_log_is_refused(
    made: Proven, wacz: Path, tmp_path: Path
) -> None:
    """Somebody who lists everything anew cannot pass another log's receipts for ours."""
    folder = tmp_path / "other"
    shutil.copytree(made.folder, folder)
    shutil.rmtree(folder / "log")
    own = SignerKey(f"vanished/{made.folder.name}", b"\7" * 32)
    log = Log.create(folder / "log", own)
    log.append(Log.open(made.folder / "log").leaves())
    log.checkpoint()
    path = tmp_path / "forged.wacz"
    export_wacz(folder, path, now=SystemClock().now(), everything=True)
    assert verify(path).sound  # by itself it holds: its keys are its own
    found = verify(path, key=vkey(made))
    assert not found.sound
    assert "is not the one that was given" in found.text()


def test_a_lying_operator_is_caught_by_witness_and_stamp(made: Proven, tmp_path: Path) -> None:
    """Who rewrites the past and signs it anew cannot undo what others saw."""
    folder = tmp_path / "lying"
    shutil.copytree(made.folder, folder)
    old = Log.open(made.folder / "log")
    leaves = list(old.leaves())
    leaves[4] = b"\1" * 32
    from vanished.archive.proof import signer

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        own = signer(old.origin.removeprefix("vanished/"), create=False)
    for part in ("tile", "checkpoint", "vkeys"):
        path = folder / "log" / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    log = Log.create(folder / "log", own)
    log.append(leaves)
    log.checkpoint()
    found = verify(folder)
    places = {damage.place for damage in found.damages}
    assert "log/cosignatures/friends" in places
    assert any(place.startswith("log/stamps/") for place in places)
    assert any(damage.leaf == 4 for damage in found.damages)


def test_a_checkpoint_that_forks_is_named(made: Proven, tmp_path: Path) -> None:
    from vanished.archive.log import detect_fork

    a, b = make_log(tmp_path / "a", 6), make_log(tmp_path / "b", 5, branch="other")
    grow(b, 3, "other")
    fork = detect_fork(bytes(a.note), bytes(b.note), [a.keys[0].key], b.root_at)
    assert fork is not None
    assert "has forked: it signed 6 leaves" in str(fork)


def test_members_in_the_wrong_place_are_found(made: Proven, tmp_path: Path) -> None:
    """Captures deleted, swapped, doubled, and a present without its rows."""
    folder = tmp_path / "moved"
    shutil.copytree(made.folder, folder)
    path = next(p for p in segments(folder / "captures") if len(list(read_segment(p))) > 1)
    whole = path.read_bytes()
    reads = list(read_segment(path))
    assert len(reads) > 1
    first, second = (whole[r.offset : r.offset + r.length] for r in reads[:2])
    rest = whole[len(first) + len(second) :]
    for changed, leaf in (
        (second + rest, reads[0].index),
        (second + first + rest, reads[0].index),
        (first + first + rest, reads[1].index),
        (whole[: len(whole) - 7], reads[-1].index),
    ):
        path.write_bytes(changed)
        found = verify(folder)
        assert not found.sound
        assert f"captures/{path.name}" in {damage.place for damage in found.damages}
        assert any(damage.leaf == leaf for damage in found.damages), found.text()
    path.unlink()
    found = verify(folder)
    assert f"captures/{path.name}" in {damage.place for damage in found.damages}
    path.write_bytes(whole)
    assert verify(folder).sound
    import sqlite3

    with sqlite3.connect(folder / "present.sqlite") as connection:
        connection.execute("delete from captures where leaf = 7")
    connection.close()
    found = verify(folder)
    assert not found.sound
    assert any(damage.leaf == 7 or "leaves" in damage.what for damage in found.damages)


def test_nothing_but_bytes(made: Proven, tmp_path: Path) -> None:
    for number, junk in enumerate((b"", b"PK", b"hello", BytesIO(b"\0" * 999).read())):
        path = tmp_path / f"{number}.wacz"
        path.write_bytes(junk)
        with pytest.raises(Exception, match=str(path)) as refused:
            verify(path)
        assert "\n" not in str(refused.value)
