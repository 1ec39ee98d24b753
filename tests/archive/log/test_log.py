"""The log in its folder: if these fail, it says other things than what was appended to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.log.trees import ORIGIN, grow, key, leaf, make_log
from vanished.archive.log import Log, check_log, detect_fork, read_checkpoint, read_keys
from vanished.archive.log.merkle import EMPTY, root_of
from vanished.archive.log.note import WITNESS_KEY, Note
from vanished.errors import DamagedError, EvidenceError, UsageError

NEW = key(number=1)


def test_a_new_log_is_empty_and_signed(tmp_path: Path) -> None:
    log = Log.create(tmp_path / "deep" / "log", key())
    raw = (log.folder / "checkpoint").read_bytes()
    found, _ = read_checkpoint(raw, [key().verifier])
    assert (found.origin, found.size, found.root) == (ORIGIN, 0, EMPTY)
    assert [str(one.key) for one in read_keys(log.folder)] == [str(key().verifier)]
    assert list(check_log(log.folder, leaf)) == []


def test_leaves_have_the_indexes_that_append_said(tmp_path: Path) -> None:
    log = Log.create(tmp_path / "log", key())
    assert log.append([leaf(0), leaf(1)]) == 0
    assert (log.append([leaf(2)]), log.next_index, log.size) == (2, 3, 0)
    note = log.checkpoint()
    assert log.checkpoint() is note, "a checkpoint without news would cost a signature"
    assert list(Log.open(log.folder).leaves()) == [leaf(0), leaf(1), leaf(2)]
    assert log.checkpoint(["an extension"]).text.endswith("\nan extension\n")
    assert Log.open(log.folder, key()).published.extensions == ("an extension",)


def test_what_cannot_be_appended_is_refused_at_once(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 3)
    with pytest.raises(UsageError, match="no hash of 32 bytes"):
        log.append([leaf(3), b"short"])
    assert log.next_index == 3, "half of the leaves were taken"
    for bad in ("", "two\nlines"):
        with pytest.raises(UsageError, match="extension line"):
            log.checkpoint([bad])
    reading = Log.open(log.folder)
    with pytest.raises(UsageError, match="open it with its key"):
        reading.append([leaf(3)])


def test_a_log_is_never_made_over_another(tmp_path: Path) -> None:
    """Not even over one that has lost its checkpoint: its tiles are still proof."""
    log = make_log(tmp_path / "log", 3)
    with pytest.raises(UsageError, match="holds a log already"):
        Log.create(log.folder, key())
    (log.folder / "checkpoint").unlink()
    with pytest.raises(UsageError, match="holds a log already"):
        Log.create(log.folder, key())
    with pytest.raises(DamagedError, match="checkpoint is missing"):
        Log.open(log.folder)
    with pytest.raises(UsageError, match="cannot sign the log"):
        Log.create(tmp_path / "other", key(kind=WITNESS_KEY))


def test_the_new_key_signs_after_a_rotation_and_the_old_no_more(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 300)
    with pytest.raises(UsageError, match="announced by a leaf"):
        log.rotate(NEW)
    log.append([leaf(300)])
    for wrong in (key(), key("other.example/log"), key(kind=WITNESS_KEY, number=1)):
        with pytest.raises(UsageError, match="another log key with the name"):
            log.rotate(wrong)
    note = log.rotate(NEW)
    assert len(note.signed_by([key().verifier, NEW.verifier])) == 2
    grow(log, 10)
    log.note.signed_by([NEW.verifier])
    with pytest.raises(EvidenceError, match="no key that we know"):
        log.note.signed_by([key().verifier])
    assert [(one.since, one.until) for one in read_keys(log.folder)] == [(0, 301), (301, None)]
    assert list(check_log(log.folder, leaf)) == []
    grow(Log.open(log.folder, NEW), 5)
    with pytest.raises(Exception, match="its key is now"):
        Log.open(log.folder, key())


def test_the_old_key_cannot_sign_a_checkpoint_after_its_time(tmp_path: Path) -> None:
    """A stolen old key would otherwise still speak for the log."""
    log = make_log(tmp_path / "log", 3)
    log.append([leaf(3)])
    log.rotate(NEW)
    grow(log, 5)
    stolen = Note(log.published.text, (key().sign(log.published.text),))
    (log.folder / "checkpoint").write_bytes(bytes(stolen))
    with pytest.raises(DamagedError, match="no key that we know"):
        Log.open(log.folder)
    assert [damage.file for damage in check_log(log.folder)] == ["checkpoint"]


def test_a_lost_or_cut_last_tile_is_rebuilt_from_the_same_leaves_only(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 200, 300)
    partial = log.folder / "tile/0/001.p/244"
    whole = partial.read_bytes()
    partial.write_bytes(whole[:100])
    (log.folder / "tile/1/000.p/1").unlink()
    (log.folder / "tile/0/000").write_bytes(bytes(8192))
    with pytest.raises(DamagedError, match=r"tile/0/001\.p/244"):
        Log.open(log.folder, key())
    reading = Log.open(log.folder)
    with pytest.raises(EvidenceError, match="do not have the root"):
        reading.repair(lambda at: leaf(at, "other"))
    assert partial.read_bytes() == whole[:100], "written without proof"
    assert set(reading.repair(leaf)) == {"tile/0/000", "tile/0/001.p/244", "tile/1/000.p/1"}
    assert reading.repair(leaf) == []
    assert list(check_log(log.folder, leaf)) == []
    grow(Log.open(log.folder, key()), 30)


def test_a_partial_tile_is_healed_from_a_full_one_that_a_crash_left(tmp_path: Path) -> None:
    """Cutting back must not remove the only copy of what a checkpoint covers."""
    log = make_log(tmp_path / "log", 100)
    (log.folder / "tile/0/000.p/100").unlink()
    (log.folder / "tile/0/000").write_bytes(b"".join(leaf(at) for at in range(256)))
    again = Log.open(log.folder, key())
    assert not (log.folder / "tile/0/000").exists()
    assert list(check_log(log.folder, leaf)) == []
    grow(again, 7)
    assert list(check_log(log.folder, leaf)) == []


def test_an_edge_that_does_not_have_the_signed_root_is_not_continued(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 100)
    path = log.folder / "tile/0/000.p/100"
    path.write_bytes(b"\0" * 32 + path.read_bytes()[32:])
    with pytest.raises(DamagedError, match=r"one of tile/0/000\.p/100 was changed"):
        Log.open(log.folder, key())


def test_cosignatures_are_kept_with_their_checkpoint_only(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 10)
    witness = key("witness.example/w", WITNESS_KEY)
    cosigned = log.note.with_signatures([witness.sign(log.note.text, 1_700_000_000)])
    assert log.keep(cosigned)
    kept = Log.open(log.folder)
    assert len(kept.note.signed_by([key().verifier, witness.verifier])) == 2
    assert list(check_log(log.folder, leaf, [witness.verifier])) == []
    strange = list(check_log(log.folder, leaf, []))
    assert [damage.file for damage in strange] == ["checkpoint"]
    grow(log, 1)
    assert not log.keep(cosigned)


def test_forks_are_told_with_both_sizes_and_roots(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 40)
    past = bytes(log.note)
    grow(log, 60)
    other = make_log(tmp_path / "other", 40, branch="other")
    keys = [key().verifier]
    assert detect_fork(past, bytes(log.note), keys, log.root_at) is None
    assert detect_fork(bytes(log.note), past, keys, log.root_at) is None
    assert detect_fork(past, past, keys) is None
    for pair in ((past, bytes(other.note)), (bytes(other.note), bytes(log.note))):
        fork = detect_fork(*pair, keys, log.root_at)
        assert fork is not None
        assert fork.older.root in (root_of([leaf(at) for at in range(40)]), other.root)
        assert "has forked: it signed 40 leaves with root" in str(fork)
    with pytest.raises(EvidenceError, match="give the log's folder"):
        detect_fork(past, bytes(log.note), keys)
    with pytest.raises(EvidenceError, match="larger tree"):
        detect_fork(past, bytes(log.note), keys, lambda size: EMPTY)
    foreign = make_log(tmp_path / "foreign", 3, name="other.example/log")
    both = [*keys, key("other.example/log").verifier]
    with pytest.raises(EvidenceError, match="two logs"):
        detect_fork(past, bytes(foreign.note), both)
    with pytest.raises(EvidenceError, match="no key that we know"):
        detect_fork(past, bytes(foreign.note), keys)
