"""`vanished plan` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_cli import run
from tests.publish import planned
from vanished.archive.observatory import Observatory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    planned.make(tmp_path / "o", answers=3000)
    return tmp_path / "o"


def test_the_plan_is_text_or_json_and_a_picture(folder: Path, tmp_path: Path) -> None:
    told = run("plan", "--svg", tmp_path / "plan.svg", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    assert "294 posts of 30 accounts" in told.stdout
    assert "× 8" in told.stdout
    assert (tmp_path / "plan.svg").read_text("utf-8").startswith("<svg")
    asked = run("plan", "--json", "--steps", "0.5,2", "-o", folder, cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    plan = json.loads(asked.stdout)
    assert [step["times"] for step in plan["steps"]] == [0.5, 1.0, 2.0]
    for step in plan["steps"]:
        assert step["posts"] == plan["posts"] == 294
        assert step["losses_expected_per_day"] > 0
        shares = step["noticed_within"]
        assert 0 < shares["10min"] <= shares["1h"] <= shares["24h"] <= 1
        spent = step["requests_for_looks_per_day"] + plan["lists_per_day"]
        assert spent <= step["budget_per_day"] * 1.000001
    assert len(plan["hosts"]) == 3
    assert ".example" not in told.stdout + asked.stdout  # a host can be one author's own
    assert "one.example" in run("plan", "--names", cwd=folder).stdout


def test_it_reads_beside_a_running_watch_and_writes_nothing(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        learnt, seq = observatory.learnt(), observatory.seq
        done = run("plan", "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run("plan", cwd=folder).returncode == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    with Observatory.open(folder) as observatory:
        assert (observatory.learnt(), observatory.seq) == (learnt, seq)


def test_mistakes_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "not").mkdir()
    with Observatory.create(tmp_path / "empty"):
        pass
    for words, code, sentence in (
        (["-o", tmp_path / "not"], 3, "observatory"),
        (["-o", tmp_path / "empty"], 2, "nothing to plan for"),
        (["--steps", "many"], 2, "multiples of today's"),
        (["--svg", folder / "observatory.toml"], 2, "does not end in .svg"),
    ):
        done = run("plan", *words, cwd=folder)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("vanished: ")
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
