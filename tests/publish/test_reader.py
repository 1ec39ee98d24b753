"""`vanished.open`: the same losses as on the pages, as tables, and nothing that pages withhold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pytest

import vanished
from tests.publish import desk_world
from vanished.archive.measured import MEASUREMENTS, Measured
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry
from vanished.errors import NotAnObservatoryError, UsageError
from vanished.model import HOUR, at
from vanished.publish import reader
from vanished.publish.reader import Reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("reader") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(made)
        yield made


@pytest.fixture(scope="module")
def opened(folder: Path) -> Iterator[Reader]:
    with vanished.open(folder) as made:
        yield made


def test_importing_the_package_loads_nothing_else() -> None:
    """Whoever starts a command waits for no table library."""
    code = "import sys, vanished; print([m for m in sys.modules if m.startswith('vanished.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_list_counts_what_it_gives(opened: Reader) -> None:
    lost = opened.losses(cause="platform", state="any")
    rows = list(lost)
    assert len(rows) == len(lost) == desk_world.POSTS // 7
    assert all(row["causes"] == ["platform"] for row in rows)
    shown = repr(lost)
    assert f"<{len(lost)} losses" in shown
    assert f"of {desk_world.POSTS} on the shelf" in shown
    assert f"{desk_world.POSTS} posts met, {4 * desk_world.POSTS} looks, 25.0% failed" in shown
    assert f"{desk_world.POSTS // 2} posts gone" in repr(opened)


@pytest.mark.parametrize("since", ["2023-11-20", date(2023, 11, 20), at(1_700_438_400_000_000)])
def test_times_are_taken_as_they_come(opened: Reader, since: object) -> None:
    """A date, a moment, or what an address has: the same losses."""
    found = [row["first_gone_at"] for row in opened.losses(since=since, sort="at")]
    assert found
    assert found[0] >= datetime(2023, 11, 20, tzinfo=UTC)
    assert len(found) == len(opened.losses(since=datetime(2023, 11, 20)))  # noqa: DTZ001


def test_tables_have_times_in_utc_and_whole_numbers(opened: Reader) -> None:
    """A table that loses its zone, or makes floats of counts, gives wrong figures silently."""
    lost = opened.losses(state="any", sort="at")
    rows = list(lost)
    arrow = lost.to_arrow()
    assert arrow.to_pylist() == rows
    assert arrow.schema.field("published_at").type == pa.timestamp("us", "UTC")
    assert not arrow.schema.field("post").nullable
    table = lost.to_polars()
    assert table.schema["first_gone_at"] == polars.Datetime("us", "UTC")
    assert table.schema["causes"] == polars.List(polars.String)
    assert table["reposts"].to_list() == [row["reposts"] for row in rows]
    frame: Any = lost.to_pandas()
    assert str(frame["published_at"].dtype) == "datetime64[us, UTC]"
    assert str(frame["reposts"].dtype) == "Int64"
    assert len(frame) == len(rows)
    assert opened.losses(q="没有这样的话").to_arrow().schema == arrow.schema


def test_words_that_may_be_taken_back_stay_here(opened: Reader, folder: Path) -> None:
    mine = list(opened.losses(may="author", state="any"))
    assert mine
    assert {row["text"] for row in mine} == {None}
    assert {row["text"] for row in opened.versions(mine[0]["post"])} == {None}
    with vanished.open(folder, everything=True) as inside:
        assert None not in {row["text"] for row in inside.versions(mine[0]["post"])}


def test_looks_are_the_facts(opened: Reader) -> None:
    post = next(iter(opened.losses(cause="legal", state="any")))["post"]
    looks = list(opened.looks(post))
    assert [look["kind"] for look in looks] == ["alive", "alive", "alive", "error"]
    assert looks[0]["asked_at"].utcoffset() == timedelta(0)
    assert "4 looks, 1 of them failed" in repr(opened.looks(post))
    assert len(opened.versions(post)) >= 1


def test_accounts_are_not_ranked(opened: Reader) -> None:
    found = list(opened.accounts())
    assert [row["account"] for row in found] == sorted(row["account"] for row in found)
    assert sum(row["posts"] for row in found) == desk_world.POSTS


def test_measurements_come_with_the_last_verdict(folder: Path) -> None:
    """And change nothing else; or a block that a later ruleset withdrew would go on being told."""
    begin = desk_world.START
    ones = [
        Measured(
            f"{n:064x}", begin + n * HOUR, begin + n * HOUR, "", "AS64500", "ZZ",
            "web_connectivity", "http://blocked.example/", state, None, None, "all",
            ("dns@1",), ruleset, "",
        )
        for n, state, ruleset in [(1, "blocked", "1"), (2, "ok", "1"), (3, "down", "1")]
    ]  # fmt: skip
    with Observatory.open(folder, write=True) as observatory:
        observatory.commit(Entry(measurements=ones), begin)
    with vanished.open(folder) as opened:
        assert [row["state"] for row in opened.measurements()] == ["down", "ok", "blocked"]
        stopped = opened.measurements(state="blocked", since=date(2023, 11, 1))
        assert len(stopped) == 1
        assert repr(stopped) == "<1 measurements; of 3 that are kept>"
        row = stopped.to_arrow().to_pylist()[0]
        assert row["rules"] == ["dns@1"]
        assert row["target"] == "http://blocked.example/"
    assert MEASUREMENTS.fields


def test_a_notebook_shows_no_stranger_s_markup(opened: Reader) -> None:
    shown = opened.losses(state="any", sort="at")._repr_html_()
    assert "&lt;script&gt;window.__hit=1" in shown
    assert "<script" not in shown
    assert "<img" not in shown


@pytest.mark.parametrize("given", [{"cuase": "platform"}, {"cause": "spite"}, {"event": "none"}])
def test_what_is_not_known_is_refused(opened: Reader, given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        opened.losses(**given)


def test_what_is_missing_is_said(
    opened: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotAnObservatoryError):
        vanished.open(tmp_path)

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(reader, "import_module", missing)
    with pytest.raises(UsageError, match="to_polars needs polars; add it with: pip install polars"):
        opened.accounts().to_polars()
