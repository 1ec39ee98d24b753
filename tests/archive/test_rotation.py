"""A new key for the log: the old one says so, and what it signed still counts."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tests.archive.proof_writer import BATCH, account, write
from vanished.archive import durable, keys, rotation
from vanished.archive.exporting import export_receipts
from vanished.archive.log import WITNESS_KEY, Log, LogKey, SignerKey, VerifierKey
from vanished.archive.log.witness import open_witness
from vanished.archive.observatory import Observatory
from vanished.archive.proof import next_key
from vanished.archive.rotation import rotate
from vanished.archive.verify import verify
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.errors import UsageError

NOW = SystemClock().now()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An observatory whose keys lie in files."""
    monkeypatch.delenv("VANISHED_KEY", raising=False)
    monkeypatch.delenv("VANISHED_LOG_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Observatory.create(tmp_path / "o") as observatory:
        account(observatory)
        write(observatory, lambda: None, commits=2)
    return tmp_path / "o"


def test_old_and_new_receipts_hold_across_the_change(folder: Path, tmp_path: Path) -> None:
    before, _ = export_receipts(folder, tmp_path / "before")
    with Observatory.open(folder, write=True) as observatory:
        old = Log.open(folder / "log").keys[0]
        rotated = rotate(observatory, NOW)
        write(observatory, lambda: None, commits=1)
    assert not next_key(observatory.settings.id).exists()
    with Observatory.open(folder, write=True) as observatory:  # with the new key, from its file
        write(observatory, lambda: None, commits=1)
    after, _ = export_receipts(folder, tmp_path / "after")
    assert len(after) == 4 * BATCH
    found = verify_folder(folder, now=NOW)
    assert found.sound, found.text()
    listed = tmp_path / "vkeys"
    listed.write_bytes((folder / "log/vkeys").read_bytes())
    for path in (*before, *after):
        assert verify(path, key=str(listed)).sound
    assert not verify(after[0], key=str(old.key)).sound  # who knows only the old key is not fooled
    statement = (folder / f"log/statements/{rotated.leaf:012d}.json").read_text()
    assert rotated.key in statement
    assert old == LogKey(old.key, 0)


@pytest.mark.parametrize("after", [False, True])
def test_killed_between_the_steps_either_key_is_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Before the log has changed over the old key is in force, afterwards the new one."""

    class Killed(BaseException):
        pass

    with Observatory.open(folder, write=True) as observatory:
        assert observatory.proof is not None
        log = observatory.proof.log
        if after:
            place = keys.place(keys.LOG, observatory.settings.id)
            plain = durable.write_atomically

            def dying(path: Path, content: bytes, *, mode: int = 0o644) -> None:
                if path == place:
                    raise Killed
                plain(path, content, mode=mode)

            monkeypatch.setattr(rotation, "write_atomically", dying)
        else:
            monkeypatch.setattr(log, "rotate", lambda new: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            rotate(observatory, NOW)
        aside = next_key(observatory.settings.id)
        assert aside.exists()
    monkeypatch.undo()
    monkeypatch.delenv("VANISHED_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder.parent / "config"))
    with Observatory.open(folder, write=True) as observatory:
        assert not aside.exists()
        write(observatory, lambda: None, commits=1)
    assert len(Log.open(folder / "log").keys) == (2 if after else 1)
    found = verify_folder(folder, now=NOW)
    assert found.sound, found.text()


def test_a_witness_goes_on_only_with_the_new_key(folder: Path, tmp_path: Path) -> None:
    """Who has stolen the folder must not be able to bring his own key to the witness."""
    key = SignerKey("w.example/w", b"\3" * 32, WITNESS_KEY)
    log = Log.open(folder / "log")

    def offer(old: int, known: tuple[VerifierKey, ...]) -> tuple[int, str]:
        log = Log.open(folder / "log")
        lines = [f"old {old}", *(b64encode(h).decode() for h in log.consistency_proof(old))]
        request = "\n".join(lines).encode() + b"\n\n" + bytes(log.note)
        with open_witness(tmp_path / "w", key, {log.origin: known}) as witness:
            answer = witness.consider(request)
        return answer.status, answer.body

    first = log.keys[0].key
    assert offer(0, (first,))[0] == 200
    with Observatory.open(folder, write=True) as observatory:
        rotated = rotate(observatory, NOW)
        write(observatory, lambda: None, commits=1)
    new = VerifierKey.parse(rotated.key)
    status, words = offer(log.size, (first,))
    assert status == 403, words
    assert offer(log.size, (first, new))[0] == 200


def test_a_key_from_the_environment_cannot_be_changed_from_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = keys.place(keys.LOG, Observatory.open(folder).settings.id).read_text().strip()
    monkeypatch.setenv("VANISHED_LOG_KEY", written)
    with Observatory.open(folder, write=True) as observatory:
        with pytest.raises(UsageError, match="comes from VANISHED_LOG_KEY"):
            rotate(observatory, NOW)
        assert not next_key(observatory.settings.id).exists()
