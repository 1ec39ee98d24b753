"""Proof from the command line: one sentence where it cannot be, the place where it is damaged."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.archive.proof_writer import account, write
from tests.cli.test_cli import loopback, web
from tests.cli.test_cli import run as run_process
from vanished.archive.capture import new_identity, segments
from vanished.archive.observatory import Observatory
from vanished.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*words: str | Path, cwd: Path) -> CompletedProcess[str]:
    """A command in this process, which need not load everything again; as `run_process` else."""
    given = [str(word) for word in words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["vanished", *given])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
    return CompletedProcess(given, code, out.getvalue(), err.getvalue())


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
        assert run_process("watch", "--for", "2", cwd=folder).returncode == 0
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
        (("forget", post, "--why", "one\ntwo"), "Give a reason"),
        (("forget", "nobody", "--why", "asked"), "is no post or account"),
        (("export", "wacz", home / "y.wacz", "--of", "nobody"), "No capture shows nobody"),
        (("unseal", ".", folder, "--identity", "nowhere"), "nowhere cannot be read"),
        (("verify", "nowhere"), "There is nothing at nowhere"),
        (("verify", ".", "--identity", "nowhere"), "nowhere cannot be read"),
        (("verify", ".", "--root", "nonsense"), "is no root"),
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


# -- sealed --------------------------------------------------------------------------------------


@pytest.fixture
def sealed(home: Path) -> Path:
    """A sealed observatory with captures; home/secret.age opens it, home/other.age does not."""
    recipient, secret = new_identity()
    (home / "secret.age").write_text(secret)
    (home / "other.age").write_text(new_identity()[1])
    facts("init", "o", "--seal-to", recipient, cwd=home)
    with Observatory.open(home / "o", write=True) as observatory:
        account(observatory)
        write(observatory, lambda: None, commits=2)
    return home / "o"


def test_to_another_machine_and_no_further(
    sealed: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsealed where none of the collector's secrets are: it reads, proves, and does not write."""
    for words, part in [
        (("o", "r", "--identity", "other.age"), "sealed to other keys"),
        (("o", "r", "--identity", "nowhere.age"), "nowhere.age cannot be read"),
        (("o", "r", "--identity", "o/observatory.toml"), "is no age identity"),
        (("o", "o/r", "--identity", "secret.age"), "lies in o"),
        (("o", "other.age", "--identity", "secret.age"), "not an empty folder"),
    ]:
        said = refused("unseal", *words, cwd=home)
        assert part in said
        assert len(said.strip().splitlines()) == 1
    assert not (home / "r").exists()
    assert not (sealed / "r").exists()
    monkeypatch.delenv("VANISHED_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "elsewhere"))
    made = facts("unseal", "o", "readable", "--identity", "secret.age", cwd=home)
    assert made == {"folder": "readable", "segments": len(segments(sealed / "captures"))}
    assert facts("verify", "readable", cwd=home)["sound"] is True
    assert run("doctor", "-o", "readable", "--json", cwd=home).stdout == "[]\n"
    assert facts("report", "-o", "readable", cwd=home)["lost"] == 0
    assert facts("export", "wacz", "x.wacz", "-o", "readable", cwd=home)["captures"] == 6
    for line in ("watch --for 1", "add page https://a.example/", "forget x --why asked"):
        said = refused(*line.split(), "-o", "readable", cwd=home)
        assert "readable copy, which is not written to" in said
    for line in ("log rotate", "log stamp"):
        said = refused(*line.split(), "-o", "readable", cwd=home)
        assert "readable copy, which is not written to" in said
    refused("report", "--names", "-o", "readable", cwd=home, code=3)


def test_what_is_sealed_is_not_exported_by_halves(sealed: Path, home: Path) -> None:
    before = {path.name for path in home.iterdir()}
    for kind, target in (("wacz", home / "x.wacz"), ("receipts", home / "r")):
        assert "give --identity" in refused("export", kind, target, cwd=sealed)
        said = refused("export", kind, target, "--identity", home / "other.age", cwd=sealed)
        assert "another one was given" in said
    assert {path.name for path in home.iterdir()} == before
    found = facts("export", "receipts", home / "r", "--identity", home / "secret.age", cwd=sealed)
    assert found == {"folder": str(home / "r"), "receipts": 6, "withheld": 0}


def test_a_choice_is_remarked_and_nothing_is_wrong(home: Path, sealed: Path) -> None:
    """Exit code 0, so that a timer can run the doctor; the price of --no-seal is told each time."""
    facts("init", "open", "--no-seal", cwd=home)
    with Observatory.open(home / "open", write=True) as observatory:
        account(observatory)
        write(observatory, lambda: None, commits=1)
        observatory.add_account(observatory.account_rows()[0].account, 2**62)
    found = json.loads(run("doctor", "--json", cwd=home / "open").stdout)
    assert [each["what"] for each in found if each["remark"]] == [
        "captures are not sealed, so whoever takes this machine can read them",
        "it is unguarded: it has no canaries to show when it calls living posts gone",
    ]
    text = run("doctor", cwd=home / "open").stdout
    assert text.splitlines()[-1].startswith("Remark: ")


def test_where_there_is_no_log_it_is_said(home: Path) -> None:
    assert "is not an observatory" in refused("log", "key", cwd=home, code=3)
    facts("init", "o", "--no-seal", cwd=home)
    assert "no bytes were kept yet" in refused("export", "wacz", home / "x.wacz", cwd=home / "o")
    settings = home / "o/observatory.toml"
    settings.write_text(settings.read_text().replace("keep = true", "keep = false"))
    for path in sorted((home / "o/log").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (home / "o/log").rmdir()
    for words in (
        ("log", "key"),
        ("log", "rotate"),
        ("log", "stamp"),
        ("export", "wacz", "x.wacz"),
        ("export", "receipts", "r"),
    ):
        assert "keeps no captures" in refused(*words, cwd=home / "o")
    assert facts("verify", ".", cwd=home / "o")["sound"] is True


def test_a_taken_port_is_one_sentence(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused("witness", "w", "--name", "w.example", "--port", port, cwd=home)
    assert "choose another port" in said
    assert len(said.strip().splitlines()) == 1


PROOF = ["init", "verify", "unseal", "forget", "witness", "doctor", "export wacz"]
PROOF += ["export receipts", "log key", "log rotate", "log stamp"]


@pytest.mark.parametrize("command", PROOF)
def test_help_reads_well(command: str, home: Path) -> None:
    """A sentence on what it is for, every option explained, an example."""
    done = run(*command.split(), "--help", cwd=home)
    assert done.returncode == 0
    text = done.stdout
    lines = text.splitlines()
    assert f"vanished {command} " in lines[0]
    assert re.fullmatch(r"  [A-Z].{20,}", lines[2])
    assert re.search(r"^  Example: vanished " + command, text, re.MULTILINE)
    assert "--json" in text
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)(.*)$", text, re.MULTILINE)
    assert len(options) >= 2
    for option, rest in options:
        assert re.search(r"[A-Z][a-z]|NAME=FILE|[A-Z]", rest), (
            f"{command} {option} is not explained"
        )
