"""A WACZ or a log that somebody forged so that it seems to be of a log that others trust."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.archive.verify.proven import Proven, proven
from tests.archive.wacz.made import NOW, captures, exhibits
from vanished.archive.log import Log, SignerKey, make_receipt
from vanished.archive.log.log import CHECKPOINT
from vanished.archive.proof import signer
from vanished.archive.stamps import read_root
from vanished.archive.verify import Verification, verify
from vanished.archive.verify.findings import Heading
from vanished.archive.verify.package import verify_wacz
from vanished.archive.wacz import Exhibit, write_wacz
from vanished.clock import SystemClock
from vanished.errors import UsageError

OURS = SignerKey("example.org/ours", b"\1" * 32)
NEXT = SignerKey("example.org/ours", b"\2" * 32)
THEIRS = SignerKey("example.org/ours", b"\6" * 32)  # whoever forges can take any name
MADE = captures(8)
SIGNED = "the log is signed by the key that was given"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proven]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        with proven(tmp_path_factory.mktemp("forgery"), sealed=False, seed=8) as found:
            yield found


def logged(folder: Path, key: SignerKey, count: int = 6) -> Log:
    """A log of made-up captures."""
    log = Log.create(folder, key)
    log.append(capture.leaf for capture in MADE[:count])
    log.checkpoint()
    return log


def packed(
    path: Path,
    shown: Iterable[Exhibit],
    vkeys: str,
    files: Iterable[tuple[str, bytes]] = (),
) -> Path:
    write_wacz(path, shown, observatory="o", created=NOW, vkeys=vkeys.encode(), files=files)
    return path


def proves(found: Verification, heading: Heading, words: str) -> bool:
    return any(words in sentence for sentence in found.proven[heading])


def test_a_key_of_ones_own_behind_a_trusted_one(tmp_path: Path) -> None:
    """The list of keys in a file is only the file's word: a new key must be shown to follow."""
    log = logged(tmp_path / "log", THEIRS)
    shown = exhibits(log, MADE[:6])
    own = bytes(log.note)
    pairs = f"{OURS.verifier} 0\n{THEIRS.verifier} 3\n", f"{THEIRS.verifier} 0\n{OURS.verifier} 6\n"
    for number, vkeys in enumerate(pairs):
        for files in ([], [("rotations/3", own), ("rotations/6", own)]):
            path = packed(tmp_path / f"{number}-{len(files)}.wacz", shown, vkeys, files)
            found = verify(path, key=str(OURS.verifier))
            assert not found.sound
            assert "is not shown to follow the key before it" in found.text()
            assert not found.proven[Heading.IDENTITY]
            assert not found.proven[Heading.AUTHENTICITY]
    both = packed(tmp_path / "both.wacz", shown, f"{THEIRS.verifier} 0\n{OURS.verifier} 0\n")
    assert not verify(both, key=str(OURS.verifier)).sound


def test_a_rotation_that_took_place_is_followed_both_ways(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", OURS, count=4)
    early = exhibits(log, MADE[:2])
    log.append(capture.leaf for capture in MADE[4:6])
    log.rotate(NEXT)
    log.append(capture.leaf for capture in MADE[6:])
    log.checkpoint()
    late = exhibits(log, MADE[2:])
    vkeys = (log.folder / "vkeys").read_text()
    files = [("rotations/6", (log.folder / "rotations/6").read_bytes())]
    path = packed(tmp_path / "a.wacz", [*early, *late], vkeys, files)
    for key in (OURS, NEXT):
        found = verify(path, key=str(key.verifier))
        assert found.sound, found.text()
        assert proves(found, Heading.IDENTITY, SIGNED)
        assert proves(found, Heading.AUTHENTICITY, "8 of 8 captures")
    assert verify(path).sound
    stranger = verify(path, key=str(THEIRS.verifier))
    assert {damage.place for damage in stranger.damages} == {"vkeys"}
    cut = packed(tmp_path / "b.wacz", [*early, *late], vkeys)
    found = verify(cut, key=str(OURS.verifier))
    assert "rotations/6" in {damage.place for damage in found.damages}


def test_a_file_without_receipts_is_nobodys(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", OURS)
    bare = [
        Exhibit(each.index, each.stored, each.manifest, b"") for each in exhibits(log, MADE[:6])
    ]
    found = verify(
        packed(tmp_path / "a.wacz", bare, f"{OURS.verifier} 0\n"), key=str(OURS.verifier)
    )
    assert found.sound  # nothing in it is damaged; and it proves nothing
    assert not found.proven[Heading.IDENTITY]
    assert not found.proven[Heading.AUTHENTICITY]
    assert "no receipt of it holds" in found.text()


def test_two_receipts_that_fork(tmp_path: Path) -> None:
    """The operator showed two people two pasts; the one who holds both files sees it."""
    one = logged(tmp_path / "one", OURS)
    shown = exhibits(one, MADE[:3])
    again = logged(tmp_path / "again", OURS, count=5)
    again.append([b"\0" * 32])
    again.checkpoint()
    shown += exhibits(again, MADE[3:5])
    found = verify(packed(tmp_path / "a.wacz", shown, f"{OURS.verifier} 0\n"))
    assert [(each.place, each.leaf) for each in found.damages] == [
        ("receipts/3.tlog-proof", 3),
        ("receipts/4.tlog-proof", 4),
    ]
    assert "the log has forked" in found.text()


def test_a_stamp_of_another_log_dates_nothing_here(made: Proven, tmp_path: Path) -> None:
    """An old stamp is easily had; it must be of the checkpoint that the receipts carry."""
    log = logged(tmp_path / "log", OURS)
    (stamp,) = (made.folder / "log/stamps").iterdir()
    files = [(f"stamps/{stamp.name}.{p.name}", p.read_bytes()) for p in stamp.iterdir()]
    assert len(files) > 2
    path = packed(tmp_path / "a.wacz", exhibits(log, MADE[:6]), f"{OURS.verifier} 0\n", files)
    (root,) = made.folder.parent.glob("tsa/**/root.pem")
    found = verify_wacz(path, now=SystemClock().now(), roots={"alpha": read_root(root)})
    assert found.sound, found.text()
    assert not found.proven[Heading.PERSISTENCE]
    assert "what 1 stamps date: nothing that holds here is under their checkpoints" in found.text()


def test_a_log_that_was_cut_back(made: Proven, tmp_path: Path) -> None:
    """An older checkpoint is signed as well as a newer one; who stamped the newer remembers."""
    folder = Path(shutil.copytree(made.folder, tmp_path / "o"))
    old = Log.open(folder / "log")
    leaves = list(old.leaves())[:-5]
    origin = old.origin
    shutil.rmtree(folder / "log/tile")
    for name in (CHECKPOINT, "vkeys"):
        (folder / "log" / name).unlink()
    log = Log.create(folder / "log", signer(origin.removeprefix("vanished/"), create=False))
    log.append(leaves)
    log.checkpoint()
    places = {damage.place for damage in verify(folder).damages}
    (stamp,) = (folder / "log/stamps").iterdir()
    assert f"log/stamps/{stamp.name}/checkpoint" in places
    assert "log/cosignatures/friends" in places


def test_receipts_of_ours_in_a_file_that_says_otherwise(tmp_path: Path) -> None:
    """A receipt of one capture beside another, or of another log."""
    log = logged(tmp_path / "log", OURS)
    shown = exhibits(log, MADE[:6])
    swapped = [
        Exhibit(0, shown[0].stored, shown[0].manifest, shown[1].receipt),
        Exhibit(1, shown[1].stored, shown[1].manifest, shown[0].receipt),
        *shown[2:],
    ]
    vkeys = f"{OURS.verifier} 0\n"
    found = verify(packed(tmp_path / "a.wacz", swapped, vkeys), key=str(OURS.verifier))
    assert {damage.leaf for damage in found.damages} == {0, 1}
    foreign = Log.create(tmp_path / "foreign", SignerKey("example.org/foreign", b"\7" * 32))
    foreign.append(capture.leaf for capture in MADE[:6])
    foreign.checkpoint()
    found = verify(packed(tmp_path / "b.wacz", exhibits(foreign, MADE[:6]), vkeys))
    assert len(found.damages) == 6
    assert all("is of another log, 'example.org/foreign'" in each.what for each in found.damages)
    assert all("\n" not in str(each) for each in found.damages)
    receipt = tmp_path / "c.tlog-proof"
    receipt.write_bytes(bytes(make_receipt(foreign, 2)))
    with pytest.raises(UsageError, match="give it with --key"):
        verify(receipt)
