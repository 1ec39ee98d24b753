"""Every analysis from the command line: text, JSON, files, and sentences for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vanished.archive.measured import Measured
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry
from vanished.cli import app
from vanished.errors import UsageError
from vanished.lab.large import BEGIN, write_large
from vanished.model import DAY

COMMANDS = (
    "overview", "speed", "terms", "combinations", "deletion-rate", "stories", "spread",
    "campaigns", "events", "timeline", "who",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("explained") / "o"
    write_large(place, 3000, 2)
    words = (BEGIN, "", "AS64500", "ZZ", "web_connectivity", "https://news.example/", "ok")
    found = [
        Measured(f"d{n}", BEGIN + n * DAY, *words, None, None, "whole", (), "reach/1", "")
        for n in range(2)
    ]
    with Observatory.open(place, write=True) as observatory:
        observatory.seq = observatory.journal.upto  # the large past knows no commits
        observatory.commit(Entry(measurements=found), BEGIN)
    return place


def run(*words: str | Path, error: type[Exception] | None = None) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if error is None:
        assert done.exception is None, done.exception
    else:
        assert isinstance(done.exception, error), done.output
        return str(done.exception)
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_analysis_tells_keeps_and_draws(name: str, folder: Path, tmp_path: Path) -> None:
    chart, table = tmp_path / "c.svg", tmp_path / "t.csv"
    said = run("explain", name, "-o", folder, "--chart", chart, "--save", table)
    assert "3000 posts of" in said
    assert f"Method: {name}/1" in said.replace("\n", " ")
    assert chart.read_text().startswith("<svg")
    assert len(table.read_text("utf-8-sig").splitlines()[0].split(",")) > 3
    facts = json.loads(run("explain", name, "-o", folder, "--json"))
    assert facts["basis"]["posts"] == 3000
    assert facts["caveats"]
    assert isinstance(facts["rows"], list)


CALENDAR = """
[[event]]
id = "a"
name = "A summit"
begin = 2023-11-25
end = 2023-11-28
kind = "summit"
place = "Qinglan"
why = "It is invented."
source = "this test"
"""


def test_a_plan_is_stated_once_and_then_tested(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CALENDAR)
    start = ("explain", "events", "-o", folder, "--calendar", tmp_path / "c.toml")
    plan = (*start, "--before", "2", "--after", "3")
    before = run(*plan)
    assert "Exploratory" in before
    stated = run(*plan, "--preregister")
    assert "states the plan" in stated
    assert run(*plan, "--preregister") == stated
    assert "Planned in the log" in run(*plan)
    assert "Exploratory" in run(*plan, "--topic", "水")
    assert "Exploratory" in run(*start, "--before", "3", "--after", "3")
    for other in (("--open-too",), ("--since", "2023-11-16"), ("--until", "2023-12-10"),
                  ("--platform", "lab"), ("--placebo", "lab")):  # fmt: skip
        assert "Exploratory" in run(*plan, *other), f"{other} was not in the plan"
    assert "associated with the events" in " ".join(before.split())


def test_an_alert_is_for_accounts_that_agreed_only(folder: Path, tmp_path: Path) -> None:
    facts = json.loads(run("explain", "who", "-o", folder, "--json"))
    assert facts["rows"]
    consent = tmp_path / "consent.txt"
    consent.write_text("nobody\n")
    said = run("alert", "-o", folder, "--consent", consent, error=UsageError)
    assert "nobody" in said
    said = run("alert", "-o", folder, "--consent", consent, "--account", "other", error=UsageError)
    assert "other" in said


def test_the_full_report_is_a_new_file(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "month.html"
    assert "Wrote" in run("report", "-o", folder, "--full", page, "--title", "A test")
    assert "<h1>A test</h1>" in page.read_text()
    assert "exists" in run("report", "-o", folder, "--full", page, error=UsageError)
    assert "neither --names" in run(
        "report", "-o", folder, "--full", tmp_path / "n.html", "--names", error=UsageError
    )
    missing = tmp_path / "m.html"
    run("report", "-o", folder, "--full", missing, "--calendar", "none", error=UsageError)
    assert not missing.exists(), "nothing half written"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("speed", "--by", "year"), "--by 'year' is none of"),
        (("speed", "--by", "topic"), "To group by topic"),
        (("speed", "--topic", "x"), "names no topic"),
        (("overview", "--since", "soon"), "--since 'soon' is not a date"),
        (("spread", "--threshold", "none"), "No threshold is named 'none'"),
        (("events", "--calendar", "none"), "is no file, and no calendar"),
        (("overview", "--save", "t.xls"), "ends in none of"),
    ],
)
def test_wrong_use_is_one_sentence(words: tuple[str, ...], complaint: str, folder: Path) -> None:
    assert complaint in run("explain", *words, "-o", folder, error=UsageError)


def test_without_the_extra_a_sentence_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'vanished[explain]'" in run(
        "explain", "overview", "-o", folder, error=UsageError
    )
