"""The readable copy: of one moment, of one observatory, and never inside the sealed one.

What it shows to who reads it is tested with exports, in `test_exporting`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.archive.proof_writer import BATCH, account, write
from vanished.archive import readable
from vanished.archive.capture import (
    Identities,
    identities,
    new_identity,
    read_segment,
    segments,
)
from vanished.archive.erasing import erase
from vanished.archive.log import Log
from vanished.archive.observatory import Observatory
from vanished.archive.readable import unseal
from vanished.archive.rulings import ASKED, Ruling, add_ruling, rulings
from vanished.archive.settings import FILE
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.errors import EvidenceError, ObservatoryError, StorageError, UsageError
from vanished.watch.doctor import advise, examine

NOW = SystemClock().now()


class Sealed:
    """A small sealed observatory that signs each commit, and what opens it."""

    def __init__(self, folder: Path) -> None:
        recipient, secret = new_identity()
        self.opened: Identities = identities(secret)
        self.folder = folder
        with Observatory.create(folder, [recipient]) as observatory:
            account(observatory)
        text = (folder / FILE).read_text("utf-8")
        text = text.replace("checkpoint_every_s = 5", "checkpoint_every_s = 0")
        (folder / FILE).write_text(text, "utf-8")
        with Observatory.open(folder, write=True) as observatory:
            write(observatory, lambda: None, commits=6)


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sealed:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    return Sealed(tmp_path / "o")


def check(target: Path) -> int:
    """The copy is whole in itself; how many captures are signed in it."""
    found = verify_folder(target, now=NOW)
    assert found.sound, found.text()
    with Observatory.open(target) as observatory, observatory.past() as past:
        looks = observatory.acknowledged_looks()
        assert past.execute("select sum(looks) from observations").fetchall() == [(looks,)]
        rows = past.execute("select count(*) from observations where capture != ''").fetchall()
    assert rows == [(looks,)]
    kept = [read for path in segments(target / "captures") for read in read_segment(path)]
    assert len(kept) == looks  # and not those that came later
    signed = Log.open(target / "log").size
    assert signed <= looks  # some may have waited for the next checkpoint at that moment
    return signed


@pytest.mark.parametrize(
    "seam", ["_copy_log", "_copy_tree", "_copy_present", "_settle_log", "_settle_places"]
)
def test_a_copy_made_while_the_watch_runs_is_of_one_moment(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seam: str
) -> None:
    """The watch commits, signs and moves rows into the journal before and after each step."""
    with Observatory.open(sealed.folder, write=True) as observatory:

        def busy(step: Callable[..., Any]) -> Callable[..., Any]:
            turns = iter(range(6))  # a watch does not move its rows all the time

            def instead(*given: Any, **named: Any) -> Any:
                for n in (0, 1):
                    if next(turns, None) is not None:
                        write(observatory, lambda: None, commits=1)
                        observatory.flush()
                        write(observatory, lambda: None, commits=1)
                    if n == 0:
                        result = step(*given, **named)
                return result

            return instead

        monkeypatch.setattr(readable, seam, busy(getattr(readable, seam)))
        list(unseal(sealed.folder, sealed.opened, tmp_path / "copy"))
        assert observatory.looks > 6 * BATCH
    assert check(tmp_path / "copy") >= 6 * BATCH


def test_a_journal_that_never_rests_is_told(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Observatory.open(sealed.folder, write=True) as observatory:
        copy = readable._copy_present

        def moving(folder: Path, target: Path) -> None:
            copy(folder, target)
            write(observatory, lambda: None, commits=1)
            observatory.flush()

        monkeypatch.setattr(readable, "_copy_present", moving)
        with pytest.raises(StorageError, match="rewritten each time"):
            list(unseal(sealed.folder, sealed.opened, tmp_path / "copy"))
    with pytest.raises(ObservatoryError, match="not an observatory"):
        Observatory.open(tmp_path / "copy")


def test_what_was_forgotten_meanwhile_does_not_slip_out(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = readable._settle_log

    def meanwhile(folder: Path, target: Path) -> None:
        copy(folder, target)
        with Observatory.open(folder, write=True) as observatory:
            erase(observatory, [sorted(observatory.first_sights())[0]], "asked", NOW)

    monkeypatch.setattr(readable, "_settle_log", meanwhile)
    with pytest.raises(EvidenceError, match="forgot it meanwhile, unseal again"):
        list(unseal(sealed.folder, sealed.opened, tmp_path / "copy"))
    with pytest.raises(ObservatoryError, match="not an observatory"):
        Observatory.open(tmp_path / "copy")
    monkeypatch.undo()
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    list(unseal(sealed.folder, sealed.opened, tmp_path / "again"))
    assert verify_folder(tmp_path / "again", now=NOW).sound


def test_what_was_to_be_withheld_is_withheld_in_a_copy(sealed: Sealed, tmp_path: Path) -> None:
    """Words can be published from a readable copy only, so decisions have to go along."""
    kept = add_ruling(sealed.folder, Ruling(ASKED, "key", ASKED, 1, {"reason": "asked"}))
    for _ in unseal(sealed.folder, sealed.opened, tmp_path / "copy"):
        pass
    assert rulings(tmp_path / "copy") == [kept]
    with pytest.raises(UsageError, match="readable copy"):
        add_ruling(tmp_path / "copy", kept)


def test_a_segment_that_is_lost_is_named(sealed: Sealed, tmp_path: Path) -> None:
    segments(sealed.folder / "captures")[0].unlink()
    (tmp_path / "there").mkdir()
    for name in ("copy", "there"):
        with pytest.raises(EvidenceError, match=r"capture 0 is not in .*restore the segment"):
            list(unseal(sealed.folder, sealed.opened, tmp_path / name))
    assert not (tmp_path / "copy").exists()
    assert not any((tmp_path / "there").iterdir())


def test_a_wrong_identity_leaves_nothing_half_unsealed(sealed: Sealed, tmp_path: Path) -> None:
    other = identities(new_identity()[1])
    with pytest.raises(UsageError, match="sealed to other keys"):
        list(unseal(sealed.folder, other, tmp_path / "copy"))
    list(unseal(sealed.folder, sealed.opened, tmp_path / "copy"))
    assert check(tmp_path / "copy") == 6 * BATCH


def test_the_sealed_folder_never_gets_a_readable_part(sealed: Sealed, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(sealed.folder, target_is_directory=True)
    before = sorted(sealed.folder.rglob("*"))
    for place in (sealed.folder / "copy", sealed.folder / "captures/copy", tmp_path / "link/copy"):
        with pytest.raises(UsageError, match="lies in"):
            list(unseal(sealed.folder, sealed.opened, place))
    with pytest.raises(UsageError):
        list(unseal(sealed.folder, sealed.opened, sealed.folder))
    assert sorted(sealed.folder.rglob("*")) == before


@pytest.mark.parametrize("keep", [True, False])
def test_an_observatory_without_captures_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    recipient, secret = new_identity()
    with Observatory.create(tmp_path / "o", [recipient]) as observatory:
        account(observatory)
    if not keep:
        text = (tmp_path / "o" / FILE).read_text("utf-8")
        (tmp_path / "o" / FILE).write_text(text.replace("keep = true", "keep = false"), "utf-8")
    assert list(unseal(tmp_path / "o", identities(secret), tmp_path / "copy")) == []
    assert verify_folder(tmp_path / "copy", now=NOW).sound


def test_a_copy_of_a_copy_is_one_too(sealed: Sealed, tmp_path: Path) -> None:
    list(unseal(sealed.folder, sealed.opened, tmp_path / "one"))
    list(unseal(tmp_path / "one", sealed.opened, tmp_path / "two"))
    assert check(tmp_path / "two") == check(tmp_path / "one") == 6 * BATCH


def test_the_doctor_of_a_copy_does_not_ask_it_to_watch(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the reader's machine the identity is at home, and the key of names is not."""
    list(unseal(sealed.folder, sealed.opened, tmp_path / "copy"))
    monkeypatch.delenv("VANISHED_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert examine(tmp_path / "copy") == []
    assert advise(tmp_path / "copy") == []
    segment = segments(tmp_path / "copy/captures")[0]
    segment.write_bytes(segment.read_bytes()[:-100])
    (finding,) = examine(tmp_path / "copy")
    assert finding.where == str(segment)
