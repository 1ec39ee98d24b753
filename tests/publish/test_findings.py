"""What analyses find reaches the pages whole, in time, and goes when somebody is forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tests.publish import desk_world
from vanished.archive.observatory import Observatory
from vanished.errors import StorageError
from vanished.lab.clock import SteppedClock
from vanished.publish.desk import finder as finder_of
from vanished.publish.desk.finder import Finder, FinderSettings
from vanished.publish.findings import About, Findings, Generation
from vanished.publish.shelf import Shelf, fill
from vanished.publish.shelf.filters import Meanings
from vanished.publish.shelf.layout import making, path_of

RUN_S = 120


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(tmp_path / "o")
        fill(tmp_path / "o")
        yield tmp_path / "o"


def about(made_at: int, version: int = 1) -> About:
    return About("o", version, made_at, None, None, [], 0.0)


def wait(finder: Finder) -> None:
    end = time.monotonic() + RUN_S
    while finder.running and time.monotonic() < end:
        time.sleep(0.2)
        finder.visit(1)
    assert not finder.running


def test_a_run_finds_and_keeps_everything(folder: Path) -> None:
    """Each analysis is there with method, basis and caveats, or says why not; and no second run
    is begun for the same shelf."""
    finder = Finder(folder, FinderSettings(every_s=60.0, days=0))
    finder.visit(1)
    assert finder.running
    wait(finder)
    assert not finder.trouble
    kept = Findings(folder)
    made = kept.about()
    assert made is not None
    with Shelf(folder, Meanings({}, {})) as shelf:
        assert made.version == shelf.version
    assert set(made.parts) == set(desk_world.FOUND)
    for name in made.parts:
        found = kept.found(name)
        assert found is not None
        assert found.why_not or (found.method and found.based and found.caveats)
        if found.drawn:
            assert kept.chart(name).startswith("<svg")
            assert kept.table(name)
    overview = kept.found("overview")
    assert overview is not None
    assert overview.basis["posts"] == desk_world.POSTS
    finder.visit(1)
    assert not finder.running


def test_a_run_is_begun_only_when_it_is_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard on a busy watch must not compute all the time."""
    begun: list[int] = []
    monkeypatch.setattr(Finder, "_begin", lambda self, version: begun.append(version))
    generation = Generation(making(folder))
    now = desk_world.START
    generation.keep(folder, about(now, version=1))
    clock = SteppedClock(now)
    finder = Finder(folder, FinderSettings(every_s=600.0), clock)
    finder.visit(2)  # new, but too soon
    clock.jump(now + 601_000_000)
    finder.visit(1)  # nothing is new
    assert begun == []
    finder.visit(2)
    assert begun == [2]
    never = Finder(folder, FinderSettings(every_s=0.0), clock)
    never.visit(3)
    assert begun == [2]


def test_a_run_that_fails_says_why_and_leaves_what_was(folder: Path) -> None:
    generation = Generation(making(folder))
    generation.keep(folder, about(1, version=0))
    before = Findings(folder).newest()
    finder = Finder(folder, FinderSettings(every_s=0.001, memory=64 << 20))
    finder.visit(1)
    wait(finder)
    assert finder.trouble
    assert Findings(folder).newest() == before


def test_a_run_ends_with_the_dashboard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of ours goes on computing when nobody reads it."""
    finder = Finder(folder, FinderSettings(every_s=60.0))
    finder.visit(1)
    process = finder._run
    assert process is not None
    finder.stop()
    assert process.poll() is not None
    code = (
        "import os, time; from vanished.publish.finding_run import end_with_parent;"
        "end_with_parent(); time.sleep(60)"
    )
    orphan = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert orphan.stdin is not None
    orphan.stdin.close()
    assert orphan.wait(timeout=30) == 3
    monkeypatch.setattr(finder_of, "PATIENCE_S", -1.0)
    late = Finder(folder, FinderSettings(every_s=60.0))
    late.visit(1)
    late.visit(1)
    assert not late.running
    assert "longer" in late.trouble


def test_who_is_forgotten_is_in_no_finding(folder: Path) -> None:
    """The folder goes with the shelf, and a run that began before brings nothing back."""
    desk_world.plant(folder)
    assert Findings(folder).found("terms")
    late = Generation(making(folder))
    late.files["terms.json"] = b"{}"
    with Observatory.open(folder, write=True) as observatory:
        observatory.forget_rows([sorted(observatory.first_sights())[0]])
    assert Findings(folder).about() is None
    with pytest.raises(StorageError):
        late.keep(folder, about(5))
    fill(folder)
    with pytest.raises(StorageError, match="made anew"):
        late.keep(folder, about(5))
    assert not (path_of(folder).parent / "findings").exists()


def test_a_generation_counts_as_a_whole(folder: Path) -> None:
    """What stands half written is not read; an old one goes when a newer counts."""
    first = Generation(making(folder))
    first.files["terms.json"] = json.dumps(
        {"name": "terms", "title": "", "question": "", "shown": []}
    ).encode()
    first.members = pa.table({"post": ["a", "b", "c"], "story": ["a", "a", "c"]})
    first.keep(folder, about(1))
    kept = Findings(folder)
    assert kept.members("a") == ["a", "b"]
    assert kept.story_of("c") == ""  # told once
    (path_of(folder).parent / "findings" / "g2").mkdir()
    assert kept.newest() == "g1"
    Generation(making(folder)).keep(folder, about(3))
    assert sorted(p.name for p in (path_of(folder).parent / "findings").iterdir()) == [
        "g3", "newest",
    ]  # fmt: skip
    assert kept.found("terms") is None
    assert kept.found("../../observatory") is None
