"""The command line as a user types it: exit codes, sentences, clean pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent / "vanished"


def run(*words: str | Path, cwd: Path, key: str = "ab" * 32) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "VANISHED_KEY": key, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new observatory, sealed; the key that opens it was taken away to tmp_path/away."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    done = run("init", "o", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "away").mkdir()
    Path(json.loads(done.stdout)["identity"]).rename(tmp_path / "away/secret.age")
    return tmp_path / "o"


class Page(BaseHTTPRequestHandler):
    """A page that is there until the server's `gone` is set."""

    def do_GET(self) -> None:
        gone = getattr(self.server, "gone", False)
        body = b"gone" if gone else b"<html><title>A page</title><p>Some words.</p></html>"
        self.send_response(451 if gone else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def web() -> Iterator[tuple[ThreadingHTTPServer, str]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_address[1]}/news"
        finally:
            server.shutdown()
            thread.join()


def loopback(folder: Path) -> None:
    """Let this observatory ask the test's own server, quickly."""
    file = folder / "observatory.toml"
    text = file.read_text(encoding="utf-8")
    text = text.replace("allow_networks = []", 'allow_networks = ["127.0.0.0/8"]')
    text = text.replace("per_second = 1.0", "per_second = 50.0")
    text = text.replace("# look_every_s = [[3600, 300], ", "look_every_s = [[3600, 0.5], ")
    file.write_text(text.replace("# discover_every_s = 300", "discover_every_s = 0.5"), "utf-8")


def test_a_first_hour(folder: Path, tmp_path: Path) -> None:
    """What the README says, word by word, against a real page that is then blocked by law."""
    loopback(folder)
    with web() as (server, url):
        added = run("add", "page", url, "--json", cwd=folder)
        assert added.returncode == 0, added.stderr
        account = json.loads(added.stdout)["account"]
        assert run("add", "page", url, cwd=folder).stdout.startswith("Already watching")
        watched = run("watch", "--for", "3", "--json", cwd=folder)
        assert watched.returncode == 0, watched.stderr
        events = [json.loads(line) for line in watched.stdout.splitlines()]
        assert events[-1]["event"] == "stopped"
        assert events[-1]["looks"] >= 3
        server.gone = True  # type: ignore[attr-defined]
        watched = run("watch", "--for", "9", cwd=folder)
        assert watched.returncode == 0
        assert watched.stdout == ""  # progress is for standard error
        assert "1 lost" in watched.stderr
    reported = run("report", "--json", cwd=folder)
    assert reported.returncode == 0, reported.stderr
    report = json.loads(reported.stdout)
    assert report["lost"] == 1
    assert report["lost_of"] == report["coverage"]["posts"] == 1
    assert report["causes"] == {"legal": 1}
    (loss,) = report["losses"]
    assert loss["account"] == account
    assert (loss["title"], loss["sealed"]) == (None, True)  # the words are not on this machine
    assert loss["last_alive_at"] < loss["first_gone_at"]
    assert "127.0.0.1" not in reported.stdout  # pseudonyms by default
    text = run("report", cwd=folder).stdout
    assert "1 of 1 posts were lost (100.0%)" in text
    assert "legal" in text
    assert "127.0.0.1" in run("report", "--names", cwd=folder).stdout
    assert run("report", "--since", "2100-01-01", "--json", cwd=folder).returncode == 0
    doctored = run("doctor", cwd=folder)
    assert doctored.returncode == 0, doctored.stdout
    nothing, remark = doctored.stdout.splitlines()
    assert nothing == "Nothing wrong was found."
    assert remark.startswith("Remark: source page: it is unguarded: it has no canaries")
    assert run("verify", ".", cwd=folder).returncode == 0
    secret = tmp_path / "away/secret.age"
    unsealed = run("unseal", "o", "readable", "--identity", secret, cwd=tmp_path)
    assert unsealed.returncode == 0, unsealed.stderr
    (loss,) = json.loads(run("report", "--json", "-o", "readable", cwd=tmp_path).stdout)["losses"]
    assert (loss["title"], loss["sealed"]) == ("A page", False)
    exported = run("export", "wacz", "evidence.wacz", "-o", "readable", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert run("verify", "evidence.wacz", cwd=tmp_path).returncode == 0


def test_ctrl_c_is_safe(folder: Path) -> None:
    loopback(folder)
    with web() as (_, url):
        run("add", "page", url, cwd=folder)
        process = subprocess.Popen(
            [BIN, "watch", "--json"],
            cwd=folder,
            env={**os.environ, "VANISHED_KEY": "ab" * 32},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:  # the process ends by its pid, its pipe with it
            first = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            rest = [json.loads(line) for line in process.stdout]
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    assert first["event"] == "commit"
    assert rest[-1]["event"] == "stopped"
    assert run("doctor", cwd=folder).returncode == 0


def test_wrong_use_is_two(tmp_path: Path, folder: Path) -> None:
    for words, part in [
        (("add", "myspace", "x"), "No source is called 'myspace'"),
        (("add", "page", "ftp://x"), "ftp"),
        (("watch",), "watches nothing yet"),
        (("report", "--since", "yesterday"), "is not a date"),
        (("import", "wechatscope", "nowhere.csv"), "nowhere.csv"),
        (("import", "myspace", "nowhere.csv"), "myspace"),
        (("frobnicate",), "No such command"),
    ]:
        done = run(*words, cwd=folder)
        assert done.returncode == 2, (words, done.stderr)
        assert part in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
    assert run("init", "o", cwd=tmp_path).returncode == 2


def test_a_wrong_key_in_the_settings_is_two_with_its_line(folder: Path) -> None:
    assert run("add", "page", "https://example.org/", cwd=folder).returncode == 0
    with (folder / "observatory.toml").open("a") as file:
        file.write("\n[sources.matrix]\ntoken = 'x'\n")
    lines = (folder / "observatory.toml").read_text(encoding="utf-8").splitlines()
    said = f"observatory.toml:{len(lines)}: [sources.matrix] has no key 'token'; did you mean"
    for words in (["watch"], ["add", "page", "https://example.org/2"]):
        done = run(*words, cwd=folder)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    done = run("doctor", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.count(said) == 1
    with (folder / "observatory.toml").open("a") as file:
        file.write("\n[kapture]\nkeep = true\n")
    done = run("report", cwd=folder)
    assert done.returncode == 2
    assert f"observatory.toml:{len(lines) + 2}: the file has no key 'kapture'" in done.stderr


def test_a_broken_observatory_is_three(tmp_path: Path, folder: Path) -> None:
    assert run("report", cwd=tmp_path).returncode == 3
    wrong = run("report", cwd=folder, key="cd" * 32)
    assert wrong.returncode == 3
    assert "cdcd" not in wrong.stderr  # never the key itself
    (folder / "journal" / "manifest.json").write_text("{", "utf-8")
    done = run("report", cwd=folder)
    assert done.returncode == 3
    assert "manifest.json" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_doctor_is_one_and_says_what_to_do(folder: Path) -> None:
    done = run("doctor", "--json", cwd=folder)
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)
    assert finding["what"] == "nothing is watched"
    assert "vanished add" in finding["do"]


def test_an_unreachable_host_is_told_and_loses_nothing(folder: Path) -> None:
    """Refused connections are failures of ours or theirs, never of the author's."""
    loopback(folder)
    with web() as (_, url):
        run("add", "page", url, cwd=folder)
        run("watch", "--for", "2", cwd=folder)
    watched = run("watch", "--for", "4", cwd=folder)
    assert "0 lost" in watched.stderr
    report = json.loads(run("report", "--json", cwd=folder).stdout)
    assert report["lost"] == 0
    assert report["coverage"]["faults"]["connect"] >= 2
    done = run("doctor", cwd=folder)
    assert done.returncode == 1
    assert "looks failed" in done.stdout
