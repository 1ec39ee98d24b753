"""Proof from the command line: one sentence where it cannot be, the place where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import loopback, run, web


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def facts(*words: str | Path, cwd: Path, code: int = 0) -> dict[str, Any]:
    done = run(*words, "--json", cwd=cwd)
    assert done.returncode == code, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(*words: str | Path, cwd: Path, code: int = 2) -> str:
    """The one sentence of a command that cannot be followed."""
    done = run(*words, cwd=cwd)
    assert done.returncode == code, done.stderr + done.stdout
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def test_init_seals_unless_told_otherwise(home: Path) -> None:
    made = facts("init", "a", cwd=home)
    identity = Path(str(made["identity"]))
    assert identity.is_relative_to(home / "config")
    assert identity.stat().st_mode & 0o077 == 0
    assert "AGE-SECRET-KEY-" in identity.read_text()
    assert "AGE-SECRET-KEY-" not in (home / "a/observatory.toml").read_text()
    findings = run("doctor", cwd=home / "a").stdout
    assert "the key that opens the sealed captures is on this machine" in findings
    given = facts("init", "b", "--seal-to", RECIPIENT, "--seal-to", RECIPIENT, cwd=home)
    assert given["identity"] is None
    assert (home / "b/observatory.toml").read_text().count(RECIPIENT) == 2
    assert facts("init", "c", "--no-seal", cwd=home)["seal_to"] == []
    assert "seal_to = []" in (home / "c/observatory.toml").read_text()


def test_what_init_cannot_use_leaves_nothing(home: Path) -> None:
    for words, part in [
        (("--seal-to", "age1nonsense"), "is no age recipient"),
        (("--seal-to", "AGE-SECRET-KEY-1" + "Q" * 58), "the secret half"),
        (("--seal-to", RECIPIENT, "--no-seal"), "contradict each other"),
    ]:
        said = refused("init", "o", *words, cwd=home)
        assert part in said
        assert "Q" * 20 not in said
        assert not (home / "o").exists()


def test_from_a_page_to_evidence_and_to_oblivion(home: Path) -> None:
    """Every proof command once, on a real page."""
    facts("init", "o", "--no-seal", cwd=home)
    folder = home / "o"
    loopback(folder)
    with web() as (_, url):
        facts("add", "page", url, cwd=folder)
        assert run("watch", "--for", "2", cwd=folder).returncode == 0
    (key,) = facts("log", "key", cwd=folder)["keys"]
    assert facts("verify", folder, "--key", key, cwd=home)["sound"] is True
    assert facts("export", "wacz", home / "x.wacz", cwd=folder)["captures"] == 1
    assert facts("export", "receipts", home / "r", cwd=folder)["receipts"] == 1
    assert facts("verify", home / "r/0.tlog-proof", "--key", key, cwd=home)["sound"] is True
    assert facts("log", "stamp", cwd=folder) == {"cosigned": [], "stamped": [], "troubles": []}
    rotated = facts("log", "rotate", cwd=folder)
    assert facts("log", "key", cwd=folder)["keys"] == [key, rotated["key"]]
    post = json.loads((home / "r/0.json").read_text())["subjects"][0]["key"]
    for words, part in [
        (("forget", post, "--why", ""), "Give a reason"),
        (("forget", "nobody", "--why", "asked"), "is no post or account"),
        (("export", "wacz", home / "y.wacz", "--of", "nobody"), "No capture shows nobody"),
        (("unseal", ".", folder, "--identity", "nowhere"), "nowhere cannot be read"),
        (("verify", "nowhere"), "There is nothing at nowhere"),
        (("verify", home / "r/0.tlog-proof"), "give it with --key"),
        (("verify", ".", "--key", "nonsense"), "nonsense"),
        (("verify", home / "x.wacz", "--root", "nonsense"), "is no root"),
    ]:
        assert part in refused(*words, cwd=folder)
    assert not (home / "y.wacz").exists()
    erased = facts("forget", post, "--why", "the author asked", cwd=folder)
    assert (erased["posts"], erased["captures"]) == (1, 1)
    assert facts("verify", ".", cwd=folder)["sound"] is True
    (statement,) = [
        p for p in (folder / "log/statements").iterdir() if b"forgotten" in p.read_bytes()
    ]
    statement.write_bytes(statement.read_bytes().replace(b"author", b"censor"))
    found = facts("verify", ".", cwd=folder, code=1)
    places = {damage["place"]: damage["leaf"] for damage in found["damages"]}
    assert places[f"log/statements/{statement.name}"] == int(statement.stem)
    assert "DAMAGED" in run("verify", ".", cwd=folder).stdout


def test_a_strangers_file_is_refused_in_one_sentence(home: Path) -> None:
    (home / "junk.wacz").write_bytes(b"PK\x05\x06" + bytes(18))
    (home / "text").write_text("hello")
    for name in ("junk.wacz", "text"):
        done = run("verify", name, cwd=home)
        assert done.returncode in (1, 2), done.stderr
        assert name in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_witness_needs_a_name_once(home: Path) -> None:
    assert "give it a name with --name" in refused("witness", "w", cwd=home)
    assert not (home / "w").exists()
    said = refused("witness", "w", "--name", "w.example", "--know", "nonsense", cwd=home)
    assert "nonsense" in said
