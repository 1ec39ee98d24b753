"""A new observatory: sealed unless told otherwise, and nothing half made."""

from __future__ import annotations

from pathlib import Path

import pytest

from vanished.archive import making
from vanished.archive.capture import identities, new_identity
from vanished.archive.making import make
from vanished.archive.observatory import Observatory
from vanished.errors import StorageError, UsageError


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine's keys lie."""
    for name in ("VANISHED_KEY", "VANISHED_LOG_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config/vanished/keys"


def test_the_key_that_opens_lies_outside_and_is_named(keys: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "o", [], seal=True)
    assert made.identity is not None
    assert made.identity.parent == keys
    assert made.identity.stat().st_mode & 0o777 == 0o600
    identities(made.identity.read_text())  # raises for what is none
    assert str(made.identity) in made.text()
    assert "Move that file to another machine" in made.text()
    for path in (tmp_path / "o").rglob("*"):
        assert not path.is_file() or b"AGE-SECRET-KEY" not in path.read_bytes()
    with Observatory.open(tmp_path / "o") as observatory:
        assert observatory.settings.capture.seal_to == made.seal_to
        assert observatory.sealed


def test_two_observatories_have_keys_of_their_own(keys: Path, tmp_path: Path) -> None:
    one, two = (make(tmp_path / name, [], seal=True) for name in ("one", "two"))
    assert one.identity != two.identity
    assert one.key != two.key
    assert len(list(keys.iterdir())) == 6  # of each: pseudonyms, log, sealing


def test_recipients_that_are_given_are_used(keys: Path, tmp_path: Path) -> None:
    recipient, _ = new_identity()
    made = make(tmp_path / "o", [recipient], seal=True)
    assert (made.identity, made.seal_to) == (None, (recipient,))
    assert recipient in made.text()
    assert not list(keys.glob("*.age"))


def test_unsealed_says_so(keys: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "o", [], seal=False)
    assert "not sealed: whoever takes this machine can read it" in made.text()
    assert not list(keys.glob("*.age"))


def test_what_fails_leaves_no_key_behind(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that opens nothing would be kept for years as if it did."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        make(tmp_path / "full", [], seal=True)
    with pytest.raises(UsageError, match="contradict"):
        make(tmp_path / "o", [new_identity()[0]], seal=False)
    assert not list(keys.glob("*.age"))
    assert not (tmp_path / "o").exists()
    recipient, text = new_identity()
    monkeypatch.setattr(making, "new_identity", lambda: (recipient, text))
    keys.mkdir(parents=True, exist_ok=True)
    (keys / f"{recipient[4:20]}.age").write_text("somebody's")
    with pytest.raises(StorageError, match="exists already"):
        make(tmp_path / "o", [], seal=True)
    assert (keys / f"{recipient[4:20]}.age").read_text() == "somebody's"
