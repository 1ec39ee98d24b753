"""Evidence for others, and the copy for those who may read: nothing half, nobody exposed."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.archive.verify.proven import Proven, proven
from vanished.archive import exporting, present
from vanished.archive.capture import identities, new_identity, read_segment, segments
from vanished.archive.exporting import export_receipts, export_wacz, log_keys
from vanished.archive.leaves import leaves, opened, showing, withheld
from vanished.archive.log import Log, parse_receipt
from vanished.archive.observatory import Observatory
from vanished.archive.readable import unseal
from vanished.archive.settings import FILE
from vanished.archive.verify import verify
from vanished.archive.verify.folder import verify_folder
from vanished.archive.wacz import open_wacz
from vanished.clock import SystemClock
from vanished.errors import EvidenceError, ObservatoryError, UsageError
from vanished.publish.report import make_report
from vanished.watch.doctor import examine

NOW = SystemClock().now()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proven]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        with proven(tmp_path_factory.mktemp("sealed"), sealed=True, seed=7) as found:
            yield found


def held(made: Proven) -> set[int]:
    with opened(made.folder) as connection:
        return {leaf.index for leaf in leaves(connection) if leaf.segment}


def exported(path: Path) -> set[int]:
    with open_wacz(path) as wacz:
        return {index for index, _ in wacz.receipts()}


def test_what_an_author_may_have_taken_down_is_left_out(made: Proven, tmp_path: Path) -> None:
    path = tmp_path / "x.wacz"
    done = export_wacz(made.folder, path, now=NOW, identities=made.opened)
    with opened(made.folder) as connection:
        away = showing(connection, withheld(connection)) & held(made)
    assert away
    assert done.chosen.withheld == len(away)
    assert exported(path) == held(made) - away
    everything = export_wacz(
        made.folder, tmp_path / "all.wacz", now=NOW, identities=made.opened, everything=True
    )
    assert exported(everything.written.path) == held(made)
    assert "do not publish" in done.text()
    assert verify(path).sound


def test_one_post_or_one_account_can_be_asked_for(made: Proven, tmp_path: Path) -> None:
    with Observatory.open(made.folder) as observatory:
        post = sorted(set(observatory.first_sights()))[0]
        account = observatory.post_rows_by_key([post])[post].post.account
    one, all_of_it = tmp_path / "one.wacz", tmp_path / "account.wacz"
    export_wacz(made.folder, one, now=NOW, keys=[post], identities=made.opened)
    export_wacz(made.folder, all_of_it, now=NOW, keys=[account], identities=made.opened)
    with opened(made.folder) as connection:
        assert exported(one) == showing(connection, {post})
    assert exported(one) < exported(all_of_it) <= held(made)
    with pytest.raises(UsageError, match="No capture shows zzzz"):
        export_wacz(made.folder, one, now=NOW, keys=["zzzz"], identities=made.opened)


def test_without_the_right_identity_nothing_is_written(made: Proven, tmp_path: Path) -> None:
    path = tmp_path / "x.wacz"
    with pytest.raises(UsageError, match="sealed; give --identity"):
        export_wacz(made.folder, path, now=NOW)
    other = identities(new_identity()[1])
    with pytest.raises(UsageError, match="another one was given"):  # nothing is damaged
        export_wacz(made.folder, path, now=NOW, identities=other)
    with pytest.raises(UsageError, match="sealed; give --identity"):
        export_receipts(made.folder, tmp_path / "r")
    with pytest.raises(UsageError, match="another one was given"):
        export_receipts(made.folder, tmp_path / "r", identities=other)
    assert not list(tmp_path.iterdir())


def test_a_damaged_capture_is_not_exported(made: Proven, tmp_path: Path) -> None:
    folder = tmp_path / "o"
    shutil.copytree(made.folder, folder)
    path = segments(folder / "captures")[0]
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    with pytest.raises(EvidenceError):
        export_wacz(folder, tmp_path / "x.wacz", now=NOW, identities=made.opened, everything=True)
    path = segments(folder / "captures")[-1]
    last = bytearray(path.read_bytes())  # what comes before it could be written
    last[-2000] ^= 1
    path.write_bytes(last)
    with pytest.raises(EvidenceError):
        export_receipts(folder, tmp_path / "r", identities=made.opened, everything=True)
    assert [each.name for each in tmp_path.iterdir()] == ["o"]


def test_a_file_that_was_there_stays_if_the_export_fails(made: Proven, tmp_path: Path) -> None:
    path = tmp_path / "x.wacz"
    path.write_bytes(b"the last one")
    with pytest.raises(UsageError, match="sealed"):
        export_wacz(made.folder, path, now=NOW)
    assert path.read_bytes() == b"the last one"
    export_wacz(made.folder, path, now=NOW, identities=made.opened)
    assert verify(path).sound


def test_the_bytes_come_out_as_they_went_in(made: Proven, tmp_path: Path) -> None:
    path = tmp_path / "x.wacz"
    export_wacz(made.folder, path, now=NOW, identities=made.opened, everything=True)
    stored = {
        read.index: read.records
        for each in segments(made.folder / "captures")
        for read in read_segment(each, made.opened)
        if read.index in held(made)
    }
    with zipfile.ZipFile(path) as wacz:
        warcs = b"".join(wacz.read(name) for name in wacz.namelist() if name.startswith("archive/"))
    assert stored
    for records in stored.values():
        assert b"".join(record.member for record in records) in warcs


def test_nothing_to_export_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    folder, target = tmp_path / "o", tmp_path / "x.wacz"
    with Observatory.create(folder):
        pass
    with pytest.raises(UsageError, match="no bytes were kept yet"):
        export_wacz(folder, target, now=NOW)
    assert export_receipts(folder, tmp_path / "r")[0] == []
    text = (folder / FILE).read_text("utf-8").replace("keep = true", "keep = false")
    (folder / FILE).write_text(text, "utf-8")
    shutil.rmtree(folder / "log")
    for refused in (lambda: export_wacz(folder, target, now=NOW), lambda: log_keys(folder)):
        with pytest.raises(UsageError, match="keeps no captures"):
            refused()
    with pytest.raises(ObservatoryError, match="not an observatory"):
        log_keys(tmp_path)
    assert not target.exists()


def test_what_was_all_withheld_says_so(
    made: Proven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "withheld", lambda connection: all_of(connection))

    def all_of(connection: sa.Connection) -> set[str]:
        return set(connection.execute(sa.select(present.shown.c.key)).scalars())

    with pytest.raises(UsageError, match=r"were withheld.*--everything"):
        export_wacz(made.folder, tmp_path / "x.wacz", now=NOW, identities=made.opened)


def test_receipts_carry_the_checkpoint_that_was_stamped(made: Proven, tmp_path: Path) -> None:
    (stamped,) = (made.folder / "log/stamps").glob("*/checkpoint")
    text = stamped.read_text("utf-8").split("\n\n")[0]
    paths, _ = export_receipts(made.folder, tmp_path / "r", identities=made.opened, everything=True)
    assert len(paths) == len(held(made))
    for path in paths:
        assert parse_receipt(path.read_bytes()).note.text.startswith(text)


# -- the readable copy -------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine: none of the collector's secrets."""
    monkeypatch.delenv("VANISHED_KEY", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))


@pytest.mark.usefixtures("elsewhere")
def test_the_readable_copy_has_the_words_and_the_proofs(made: Proven, tmp_path: Path) -> None:
    target = tmp_path / "readable"
    steps = list(unseal(made.folder, made.opened, target))
    assert steps[-1][0] == steps[-1][1]
    report = make_report(target, since=None, rows=100, names=False)
    told = [loss for loss in report.losses if loss.title is not None]
    assert told
    assert not any(loss.sealed for loss in report.losses)
    assert {loss.title for loss in told} <= {p.wording.title for p in made.world.posts} | {
        p.edited.title for p in made.world.posts if p.edited
    }
    found = verify_folder(target, now=NOW)
    assert found.sound, found.text()
    assert f"{len(held(made))} of {len(held(made))} captures are the bytes" in found.text()
    export_wacz(target, tmp_path / "x.wacz", now=NOW)
    with pytest.raises(UsageError, match="readable copy, which is not written to"):
        Observatory.open(target, write=True)
    with Observatory.open(target) as observatory, pytest.raises(ObservatoryError, match="sealed"):
        observatory.account_names()
    assert examine(target) == []


def test_in_the_sealed_one_the_words_are_not_there(made: Proven) -> None:
    report = make_report(made.folder, since=None, rows=100, names=False)
    assert any(loss.sealed for loss in report.losses)
    assert not any(loss.title for loss in report.losses)


@pytest.mark.usefixtures("elsewhere")
def test_what_cannot_be_unsealed_is_refused(made: Proven, tmp_path: Path) -> None:
    other = identities(new_identity()[1])
    with pytest.raises(UsageError, match=r"sealed to other|fits none|none of"):
        list(unseal(made.folder, other, tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/file").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        list(unseal(made.folder, made.opened, tmp_path / "b"))
    copy = tmp_path / "o"
    shutil.copytree(made.folder, copy)
    path = segments(copy / "captures")[1]
    content = bytearray(path.read_bytes())
    content[800] ^= 1
    path.write_bytes(content)
    with pytest.raises((EvidenceError, UsageError), match="could not unseal"):
        list(unseal(copy, made.opened, tmp_path / "c"))
    with pytest.raises(ObservatoryError, match="not an observatory"):
        Observatory.open(tmp_path / "c")  # what is half done does not pass for a whole copy


def test_a_log_of_another_observatory_is_not_ours(made: Proven) -> None:
    assert Log.open(made.folder / "log").origin.startswith("vanished/")
