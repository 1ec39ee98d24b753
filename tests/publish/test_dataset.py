"""Data sets as others read them, and the commands that make them."""

from __future__ import annotations

import csv
import errno
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vanished.archive.columns import Judgement, Wording
from vanished.archive.durable import write_atomically
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track
from vanished.archive.settings import FILE
from vanished.cli import app
from vanished.errors import EvidenceError, StorageError, UsageError
from vanished.explain.window import Window
from vanished.model import (
    ALIVE,
    HOUR,
    SECOND,
    Account,
    Cause,
    Confidence,
    Interval,
    Observation,
    Post,
    State,
    Verdict,
    Version,
)
from vanished.publish import dataset
from vanished.publish.dataset import check_dataset, write_dataset
from vanished.publish.dataset_tables import TABLES
from vanished.publish.release import read_release
from vanished.publish.table_files import FORMULA, csv_of, plain

START = 1_700_000_000 * SECOND
RULES = """
[publish]
publisher = 'The "desk": a test'
license = "CC-BY-4.0"

[[publish.words]]
platforms = ["page"]
ground = "reviewed"
decided_by = "the desk"
decided_at = 2026-11-01
"""
runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve accounts of three posts: one alive, one removed, one taken down by its author."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    folder = tmp_path / "o"
    with Observatory.create(folder) as observatory:
        entry = Entry()
        for a in range(12):
            native = f"account{a}"
            account = Account(observatory.naming("page", native), "page", native, f"小满茶座{a}")
            owner = AccountRow(observatory.next_account_id(), account, "", Track())
            entry.new_accounts.append(owner)
            for n, causes in enumerate((set(), {Cause.PLATFORM}, {Cause.AUTHOR})):
                key = observatory.naming("page", f"{native}/{n}")
                post = Post(key, account.key, "page", f"{native}/{n}", "", START + a, START)
                row = PostRow(observatory.next_post_id(), post, owner.id, Track())
                entry.new_posts.append(row)
                seen = Observation(key, START, START + SECOND, ALIVE)
                entry.changes.append(Change(row, seen, run=observatory.next_run()))
                text = f"=HYPERLINK(1)，小满茶座{a}写的第{'一二三'[n]}篇"
                entry.versions.append(Wording(key, START, Version("h", "", text)))
                if causes:
                    verdict = Verdict(
                        key, State.GONE, frozenset(causes), Interval(START, START + HOUR),
                        Confidence.HIGH, ("t/rule@1",), method="t/1", words="无法查看",
                    )  # fmt: skip
                    entry.verdicts[key] = Judgement(START + HOUR, verdict)
        observatory.commit(entry, START)
    (folder / FILE).write_text((folder / FILE).read_text("utf-8").split("[publish]")[0] + RULES)
    return folder


def run(*words: str, fails: int = 0) -> Any:
    result = runner.invoke(app, list(words))
    if fails:
        assert result.exception is not None
        assert getattr(result.exception, "exit_code", None) == fails
        return str(result.exception)
    assert result.exception is None, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return found


def test_the_three_forms_say_the_same(folder: Path, tmp_path: Path) -> None:
    write_dataset(folder, read_release(folder, "r", Window()), tmp_path / "set", 0)
    for table in TABLES:
        place = tmp_path / "set" / f"{table.name}.csv"
        whole = rows(tmp_path / "set", table.name)
        assert list(whole[0]) == [column.name for column in table.columns]
        lines = place.with_suffix(".jsonl").read_text("utf-8").splitlines()
        assert len(lines) == len(whole)
        cells = list(csv.DictReader(io.StringIO(place.read_text("utf-8-sig"))))
        for line, cell, row in zip(lines, cells, whole, strict=True):
            given = json.loads(line)
            assert list(given) == list(row)
            for name, value in given.items():
                shown = "" if value is None else str(value)
                assert cell[name].lstrip("'").lower() == shown.lower()


def test_what_is_told_of_an_observatory(folder: Path, tmp_path: Path) -> None:
    done = write_dataset(folder, read_release(folder, "r", Window()), tmp_path / "set", 0)
    assert done.release.why() == {"its author took it down": 12}
    posts = rows(tmp_path / "set", "posts")
    assert sorted({(row["outcome"], row["causes"]) for row in posts}) == [
        ("removed", "platform"), ("survived", ""),
    ]  # fmt: skip
    assert {row["rounded_s"] for row in posts} == {3600}
    told = {
        (r["platform"], r["outcome"]): r
        for r in rows(tmp_path / "set", "numbers")
        if r["part"] == "outcomes"
    }
    assert (told["page", "author"]["posts"], told["page", "author"]["of_posts"]) == (12, 36)
    assert (told["all", "all"]["looks"], told["all", "all"]["failed_looks"]) == (36, 0)
    words = rows(tmp_path / "set", "words")
    assert len(words) == 12
    assert {row["text"] for row in words} == {"=HYPERLINK(1)，[name]写的第二篇"}
    assert {row["post"] for row in words} < {row["post"] for row in posts}
    text = (tmp_path / "set" / "words.csv").read_text("utf-8-sig")
    assert "\"'=HYPERLINK(1)" in text
    assert '"=HYPERLINK' not in text


def test_a_release_of_the_past_withholds_what_an_author_took_down_since(folder: Path) -> None:
    """Else whoever publishes last month again would publish what is deleted today."""
    before = Window(until=START + HOUR // 2)
    release = read_release(folder, "r", before)
    assert release.why() == {"its author took it down": 12}
    assert {row.fate.name for row in release.rows} == {"SURVIVED"}
    assert len(release.rows) == 24


def test_the_files_describe_each_other(folder: Path, tmp_path: Path) -> None:
    write_dataset(folder, read_release(folder, "r", Window()), tmp_path / "set", 0)
    package = json.loads((tmp_path / "set" / "datapackage.json").read_text("utf-8"))
    for resource in package["resources"]:
        path = tmp_path / "set" / resource["path"]
        assert path.stat().st_size == resource["bytes"]
        names = [field["name"] for field in resource["schema"]["fields"]]
        assert names == pq.read_schema(path.with_suffix(".parquet")).names
    assert len(package["resources"]) == 2 * len(TABLES)
    page = (tmp_path / "set" / "dictionary.md").read_text("utf-8")
    for table in TABLES:
        assert all(f"| `{column.name}` | {column.type} |" in page for column in table.columns)
    citation = (tmp_path / "set" / "CITATION.cff").read_text("utf-8")
    assert 'name: "The \\"desk\\": a test"' in citation
    assert 'date-released: "2023-11-14"' in citation


def test_a_full_disk_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = read_release(folder, "r", Window())
    written: list[Path] = []

    def full(path: Path, content: bytes) -> None:
        if len(written) == 7:
            raise OSError(errno.ENOSPC, "full")
        written.append(path)
        write_atomically(path, content)

    monkeypatch.setattr(dataset, "write_atomically", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageError, match="disk is full"):
        write_dataset(folder, release, tmp_path / "set", 0)
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.undo()
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    write_dataset(folder, release, tmp_path / "set", 0)


def test_a_takedown_is_asked_by_a_releases_name_and_withholds(folder: Path, tmp_path: Path) -> None:
    """The author of a published row knows no other name of it."""
    o, first, second = str(folder), str(tmp_path / "one"), str(tmp_path / "two")
    run("publish", "dataset", first, "--release", "one", "-o", o)
    target = rows(tmp_path / "one", "words")[0]["post"]
    assert "release one has it" in run(
        "publish", "takedown", "add", "aaaa", "--release", "one", "--reason", "x", "-o", o, fails=2
    )
    asked = run(
        "publish", "takedown", "add", target, "--release", "one", "--reason", "its author", "-o", o,
        "--json",
    )  # fmt: skip
    assert asked["key"] != target
    seen = run("publish", "preview", "--release", "two", "-o", o, "--json", "--rows", "99")
    assert seen["withheld"]["a request to take it down is not decided yet"] == 1
    assert asked["key"] in {one["post"] for one in seen["list"]}
    assert seen["takedowns"] == {"asked": 1}
    number = str(asked["number"])
    run("publish", "takedown", "decide", number, "--grant", "--why", "it is its author", "-o", o)
    (listed,) = run("publish", "takedown", "list", "-o", o, "--json")
    assert listed["state"] == "granted"
    done = run("publish", "dataset", second, "--release", "two", "-o", o, "--json")
    assert done["withheld"]["a request to take it down was granted"] == 1
    assert done["posts"] <= 23
    assert len(rows(tmp_path / "two", "posts")) == done["posts"]
    run("publish", "takedown", "decide", number, "--refuse", "--why", "a mistake", "-o", o)
    third = run("publish", "preview", "--release", "three", "-o", o, "--json")
    assert third["posts"] == 24


def test_a_review_withholds_an_account(folder: Path) -> None:
    o = str(folder)
    with Observatory.open(folder) as observatory:
        key = observatory.naming("page", "account0")
    run("publish", "review", key, "--withhold", "--note", "a child", "-o", o)
    seen = run("publish", "preview", "--release", "r", "-o", o, "--json")
    assert seen["withheld"]["a reviewer withheld it"] == 3
    assert "one of" in run("publish", "review", key, "--note", "x", "-o", o, fails=2)
    assert "no cause" in run(
        "publish", "review", key, "--correct", "weather", "--note", "x", "-o", o, fails=2
    )
    assert "one line" in run("publish", "review", key, "--confirm", "--note", " ", "-o", o, fails=2)
    assert "no post or account" in run(
        "publish", "review", "nobody", "--confirm", "--note", "x", "-o", o, fails=2
    )


def test_what_cannot_be_published_is_said_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    o = str(folder)
    target = tmp_path / "set"
    assert "cannot be called" in run(
        "publish", "dataset", str(target), "--release", "A b", "-o", o, fails=2
    )
    assert "There is no request 9" in run(
        "publish", "takedown", "decide", "9", "--grant", "--why", "x", "-o", o, fails=2
    )
    assert not target.exists()
    run("publish", "dataset", str(target), "--release", "one", "-o", o)
    assert "not an empty folder" in run(
        "publish", "dataset", str(target), "--release", "two", "-o", o, fails=2
    )
    again = str(tmp_path / "again")
    run("publish", "dataset", again, "--release", "one", "-o", o)  # the same bytes under one name
    with Observatory.open(folder) as observatory:
        key = observatory.naming("page", "account0")
    run("publish", "review", key, "--withhold", "--note", "a child", "-o", o)
    assert "another name" in run(
        "publish", "dataset", str(tmp_path / "more"), "--release", "one", "-o", o, fails=2
    )
    assert not (tmp_path / "more").exists()
    text = (folder / FILE).read_text("utf-8").replace("[publish]", "[publish]\nk = 40")
    (folder / FILE).write_text(text, "utf-8")
    assert "fewer than 40 accounts" in run(
        "publish", "dataset", str(tmp_path / "few"), "--release", "few", "-o", o, fails=2
    )


def test_a_signature_is_checked_under_the_readers_own_key(folder: Path, tmp_path: Path) -> None:
    done = write_dataset(folder, read_release(folder, "r", Window()), tmp_path / "set", 0)
    assert done.signed_by
    assert check_dataset(tmp_path / "set", done.signed_by)["signed"] is True
    shown = run("publish", "check", str(tmp_path / "set"), "--key", done.signed_by)
    assert "signed with that key" in shown
    other = tmp_path / "other"
    write_dataset(folder, read_release(folder, "s", Window()), other, 0)
    (tmp_path / "set" / "manifest.note").write_bytes((other / "manifest.note").read_bytes())
    with pytest.raises(EvidenceError, match="another manifest"):
        check_dataset(tmp_path / "set", done.signed_by)
    with pytest.raises(UsageError):
        check_dataset(other, "no key")


@given(
    st.text(max_size=12), st.sampled_from(FORMULA), st.sampled_from(["", " ", "\u3000", "\u200b"])
)
def test_no_cell_of_a_csv_is_a_formula(rest: str, begin: str, before: str) -> None:
    text = f"{before}{begin}{rest}".replace("\0", "")
    assert plain(text) == f"'{text}"
    written = csv_of(
        pa.table({"text": pa.array([text.encode("utf-8", "replace").decode()])})
    ).decode("utf-8-sig")
    assert written.split("\r\n", 1)[1].startswith("\"'")
