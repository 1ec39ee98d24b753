"""A month on a page: it asks nobody for anything, says why a part is missing, names nobody."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vanished.archive.measured import Measured
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry
from vanished.errors import UsageError
from vanished.explain.overview import overview
from vanished.explain.window import Window
from vanished.lab.large import BEGIN, write_large
from vanished.model import DAY
from vanished.publish.chosen import one_of, read_kinds, topics_of
from vanished.publish.drawing import draw, png, svg
from vanished.publish.finding_shown import cell, save
from vanished.publish.full_report import Part, page
from vanished.publish.month import MonthSettings, make_month
from vanished.publish.past import past_of
from vanished.publish.planned import calendar


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small past of the same making as the large one."""
    place = tmp_path_factory.mktemp("large") / "o"
    write_large(place, 6000, 1)
    found = [
        Measured(
            f"d{n}", BEGIN + n * DAY, BEGIN, "", "AS64500", "ZZ", "web_connectivity",
            "https://news.example/", "blocked" if n > 9 else "ok", None, None, "whole", (), "r", "",
        )
        for n in range(20)
    ]  # fmt: skip
    with Observatory.open(place, write=True) as observatory:
        observatory.seq = observatory.journal.upto  # the large past knows no commits
        observatory.commit(Entry(measurements=found), BEGIN)
    return place


def test_a_month_is_whole_and_asks_nobody(folder: Path) -> None:
    heard: list[str] = []
    window = Window(BEGIN, BEGIN + 29 * DAY)
    text = make_month(folder, window, MonthSettings(), lambda name, _: heard.append(name))
    assert heard == [
        "overview", "spread", "speed", "stories", "terms", "combinations", "campaigns", "events",
        "timeline", "who",
    ]  # fmt: skip
    for name in heard:
        assert f'<section id="{name}">' in text
    assert "What vanished: November 2023" in text
    assert text.count("<svg") >= 6
    assert "https://news.example/ began to be stopped in AS64500 ZZ" in text
    assert "<script" not in text
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", text), "nothing is fetched"
    assert not re.search(r"url\(\s*['\"]?http", text)
    assert "@page" in text
    with past_of(folder, Window()) as past:
        accounts = set(past.accounts()["account"].to_pylist())
        whole = overview(past.posts()).table().to_pylist()[0]
    assert not any(key in text for key in accounts), "no account is named"
    assert f"{whole['posts']:,}" != "", "the window is smaller than the whole"


def test_the_window_decides_which_posts_are_told_of(folder: Path) -> None:
    with past_of(folder, Window(BEGIN + 10 * DAY, BEGIN + 12 * DAY)) as past:
        posts = past.posts()
        assert 0 < posts.num_rows < 1000
        counts = past.counts(posts, ("reposts",))
        assert set(counts["post"].to_pylist()) <= set(posts["post"].to_pylist())
        assert max(counts["at"].to_pylist()) < BEGIN + 12 * DAY
    with pytest.raises(UsageError, match="No post was met in this window"):
        make_month(folder, Window(until=BEGIN - DAY), MonthSettings())


def test_words_cannot_break_out_of_the_page() -> None:
    hostile = "<script>alert(1)</script>"
    text = page(hostile, hostile, hostile, [Part("x", hostile, hostile, why_not=hostile)])
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") >= 5


def test_hostile_words_stay_words_in_a_chart() -> None:
    chart = {
        "data": {"values": [{"a": "</text><script>x</script>", "b": 1}]}, "mark": "bar",
        "encoding": {"x": {"field": "b", "type": "quantitative"},
                     "y": {"field": "a", "type": "nominal"}},
    }  # fmt: skip
    drawn = svg(chart)
    assert "<script" not in drawn
    assert png(chart)[:4] == b"\x89PNG"


def test_tables_are_saved_whole_and_no_cell_is_a_formula(folder: Path, tmp_path: Path) -> None:
    with past_of(folder, Window()) as past:
        result = overview(past.posts())
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        save(result, tmp_path / name)
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text("utf-8-sig").splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == lines == result.table().to_pylist()
    assert rows[0]["lost"] == str(lines[0]["lost"])
    with pytest.raises(UsageError, match=r"ends in none of \.csv"):
        save(result, tmp_path / "t.xlsx")
    with pytest.raises(UsageError, match=r"neither \.svg nor \.png"):
        draw(result.chart(), tmp_path / "t.pdf")
    draw(result.chart(), tmp_path / "t.svg")
    assert (tmp_path / "t.svg").read_text().startswith("<svg")
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "t.jsonl", "t.parquet", "t.svg"}


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_a_spreadsheet_takes_no_word_for_a_formula(start: str, tmp_path: Path) -> None:
    class Found:
        def table(self) -> pa.Table:
            return pa.table({"term": [f"{start}1+1"], "n": [-1], "forms": [[f"{start}a", "b"]]})

    save(Found(), tmp_path / "t.csv")  # type: ignore[arg-type]
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["term"].startswith(f"'{start}")
    assert row["forms"].startswith(f"'{start}")
    assert row["n"] == "-1"


def test_cells_read_as_people_write() -> None:
    assert cell("first", 1_700_000_000_000_000) == "2023-11-14 22:13"
    assert cell("posts", 1_700_000_000_000_000) == "1700000000000000"
    assert [cell("x", v) for v in (None, True, 1e-277, 0.12345, 12345.6, ["a", 1])] == [
        "", "yes", "0", "0.123", "12346", "a, 1",
    ]  # fmt: skip


def test_choices_are_refused_in_a_sentence(tmp_path: Path, folder: Path) -> None:
    from vanished.explain.speed import By

    assert one_of(By, "week", "--by") is By.WEEK
    with pytest.raises(UsageError, match="--by 'year' is none of all, platform"):
        one_of(By, "year", "--by")
    kinds = read_kinds(tmp_path / "k.csv", "\ufeffaccount,kind\na,press\n")
    assert kinds.to_pylist() == [{"account": "a", "kind": "press"}]
    for text, complaint in (("x,y\n", "lacks a column"), ("account,kind\na,\n", "without")):
        with pytest.raises(UsageError, match=complaint):
            read_kinds(tmp_path / "k.csv", text)
    with pytest.raises(UsageError, match="is no file, and no calendar"):
        calendar(str(tmp_path / "none.toml"))
    (tmp_path / "c.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="it is no text"):
        calendar(str(tmp_path / "c.toml"))
    with past_of(folder, Window()) as past:
        posts = past.posts()
    assert topics_of(posts, None) is None
    topics = topics_of(posts, ["a=，", "b=。"])
    assert topics is not None
    assert len(set(topics["post"].to_pylist())) == topics.num_rows, "one topic a post"
