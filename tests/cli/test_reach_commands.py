"""`vanished reach` as a user types it: no packet without consent, no report by another way."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.test_cli import BIN, run
from vanished.lab.reach_records import measure
from vanished.reach.ooni_json import to_json
from vanished.reach.reporting import queued


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[str]:
    """`vanished reach serve` on a free port; gives its URL."""
    process = subprocess.Popen(
        [BIN, "reach", "serve", "--port", "0", "--json", *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield json.loads(line)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        out, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert (out, told) == ("", "")


def agree(folder: Path, risk: str = "sensitive") -> None:
    done = run("reach", "consent", "--country", "ZZ", "--risk", risk, "--agree", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_consent_is_asked_kept_shown_and_withdrawn(tmp_path: Path) -> None:
    asked = run("reach", "consent", cwd=tmp_path)
    assert "Nobody was asked yet" in asked.stdout
    done = run("reach", "consent", "--country", "ir", "--risk", "news", "--agree", cwd=tmp_path)
    assert "Before you measure from a network in IR" in done.stdout
    assert "You agreed: IR, targets up to 'news'" in done.stdout
    shown = json.loads(run("reach", "consent", "--json", cwd=tmp_path).stdout)["consent"]
    assert (shown["answer"], shown["country"], shown["current"]) == ("given", "IR", True)
    assert "Withdrawn" in run("reach", "consent", "--withdraw", cwd=tmp_path).stdout
    assert run("reach", "consent", "--withdraw", cwd=tmp_path).returncode == 2


def test_only_the_words_themselves_are_consent(tmp_path: Path) -> None:
    for typed, answer in (("y\n", "refused"), ("I agree\n", "given"), ("agree\n", "refused")):
        subprocess.run(
            [BIN, "reach", "consent", "--country", "IR"],
            cwd=tmp_path, input=typed, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        held = json.loads((tmp_path / "reach-consent.json").read_text())
        assert held["answer"] == answer


def test_a_control_is_served_on_loopback_and_ends_when_told(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert json.loads(answer.read())["status"] == "ok"
        body = b'{"http_request": "http://192.168.1.1/"}'
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(url, body, timeout=10)


def test_a_control_is_set_up_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text('allow_networks = ["127.0.0.0/8"]\nports = [1, 80]\n')
    with serving(tmp_path, "--config", "serve.toml") as url:
        body = b'{"http_request": "http://127.0.0.1:1/"}'
        with urllib.request.urlopen(url, body, timeout=20) as answer:
            found = json.loads(answer.read())
        assert found["tcp_connect"]["127.0.0.1:1"]["failure"] == "connection_refused"
    for text, why in (
        ("prot = 1\n", "did you mean 'port'"),
        ("ports = [0]\n", "serve.toml:1: ports must be"),
        ('port = "x"\n', "serve.toml:1"),
        ("port =\n", "no TOML"),
    ):
        (tmp_path / "serve.toml").write_text(text)
        done = run("reach", "serve", "--config", "serve.toml", cwd=tmp_path)
        assert done.returncode == 2
        assert why in done.stderr


def records(path: Path) -> None:
    forms = ("clean", "dns_bogon", "sni_reset", "http_block_page")
    rows = [to_json(measure(form, 1, target=n)) for n, form in enumerate(forms)]
    path.write_bytes(b"\n".join([*rows, b"no measurement"]) + b"\n")


def test_verdicts_stand_beside_theirs(tmp_path: Path) -> None:
    records(tmp_path / "m.jsonl")
    done = run("reach", "read", "m.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["ok", "blocked", "blocked", "blocked"]
    assert "sni        reset" in lines[3]
    assert "4 measurements: blocked 3, ok 1." in done.stderr
    assert "1 lines were no measurement" in done.stderr
    told = run("reach", "read", "--json", "m.jsonl", cwd=tmp_path).stdout
    rows = [json.loads(line) for line in told.splitlines()]
    assert [row["state"] for row in rows] == ["ok", "blocked", "blocked", "blocked"]
    assert rows[2]["rules"].startswith("sni")
    told = run("reach", "read", "--csv", "m.jsonl", cwd=tmp_path).stdout
    table = list(csv.DictReader(io.StringIO(told)))
    assert [row["layer"] for row in table] == ["", "dns", "sni", "http"]
    assert run("reach", "read", "none.jsonl", cwd=tmp_path).returncode == 2
    assert run("reach", "read", "--csv", "--json", "m.jsonl", cwd=tmp_path).returncode == 2


def test_a_target_steers_no_terminal_and_no_spreadsheet(tmp_path: Path) -> None:
    evil = replace(measure("clean", 1), input="=cmd|' /C calc'!A0\x1b[2J\nx")
    (tmp_path / "m.jsonl").write_bytes(to_json(evil) + b"\n")
    shown = run("reach", "read", "m.jsonl", cwd=tmp_path).stdout
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 2
    assert "'=cmd" in run("reach", "read", "--csv", "m.jsonl", cwd=tmp_path).stdout


def test_reports_wait_until_a_way_is_told(tmp_path: Path) -> None:
    ours = replace(measure("clean", 1), software_name="vanished")
    theirs = replace(ours, software_name="ooniprobe")
    (tmp_path / "m.jsonl").write_bytes(to_json(ours) + b"\n" + to_json(theirs) + b"\n")
    assert run("reach", "submit", "m.jsonl", cwd=tmp_path).returncode == 2  # nobody agreed
    assert queued(tmp_path) == []
    agree(tmp_path)
    done = run("reach", "submit", "m.jsonl", cwd=tmp_path)
    assert "1 queued, 0 sent, 0 refused, 1 waiting." in done.stdout
    assert "1 measurements are not ours" in done.stderr
    done = run("reach", "submit", "--collector", "https://c.example", cwd=tmp_path)
    assert done.returncode == 2
    assert "wait until you say" in done.stderr
    told = ("--collector", "http://127.0.0.1:1", "--via", "socks5h://127.0.0.1:1", "--json")
    done = run("reach", "submit", *told, "--allow-network", "127.0.0.0/8", cwd=tmp_path)
    assert json.loads(done.stdout)["waiting"] == 1
    assert "not reached" in json.loads(done.stdout)["failure"]
    assert len(queued(tmp_path)) == 1
