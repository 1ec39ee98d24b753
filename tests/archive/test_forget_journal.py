"""If these fail, somebody whom we promised to forget is still there, or others are lost too."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.archive.forgetting_writer import a_post, fill
from tests.archive.seized import traces
from vanished.archive import forgetting, present
from vanished.archive.columns import TABLES
from vanished.archive.forgetting import Forgotten
from vanished.archive.journal import Journal
from vanished.archive.manifest import MANIFEST
from vanished.archive.observatory import Observatory
from vanished.archive.parquet import SPILL, subject_column
from vanished.archive.rows import Entry, PostRow, Track
from vanished.errors import DamagedError, StorageError
from vanished.model import Account
from vanished.watch.doctor import _looks

ROOT = Path(__file__).parents[2]
ROUNDS = 2  # flushed; one more is in the tail
LOOKS = 1 + 2  # of one post in the journal
TAIL_LOOKS = 3
JOURNAL_ROWS = 3 * ROUNDS + 2  # of one post: looks, wordings, verdicts; post, coverage
TAIL_ROWS = 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    folder = tmp_path / "o"
    fill(folder)
    return folder


def post_key(observatory: Observatory, account: int, n: int) -> str:
    return observatory.naming("page", f"native-post-{account}-{n}")


def account_key(observatory: Observatory, account: int) -> str:
    return observatory.naming("page", f"native-account-{account}")


def check(folder: Path, forgotten: set[tuple[int, int]], *, accounts: int) -> None:
    """The folder is whole, knows nothing of the forgotten posts, and everything of the others."""
    with Observatory.open(folder) as observatory:
        assert list(_looks(observatory)) == [], "the doctor sees what it knows: looks are right"
        assert observatory.journal.verify() == []
        assert observatory.integrity() == ""
        kept = {(a, n) for a in range(2) for n in range(3)} - forgotten
        with observatory.past() as con:
            query = "select subject, count(*), sum(looks)::bigint from observations group by 1"
            assert {row[0]: row[1:] for row in con.execute(query).fetchall()} == {
                post_key(observatory, *which): (ROUNDS + 1, LOOKS + TAIL_LOOKS) for which in kept
            }
            for table in ("versions", "verdicts"):
                found = con.execute(f"select count(*) from {table}").fetchall()
                assert found == [(len(kept) * (ROUNDS + 1),)]
            assert con.execute("select count(*) from posts").fetchall() == [(len(kept),)]
            found = con.execute("select count(*) from coverage").fetchall()
            assert found == [(len(kept) + accounts,)]
            assert con.execute("select count(*) from accounts").fetchall() == [(accounts,)]
        assert observatory.acknowledged_looks() == len(kept) * (LOOKS + TAIL_LOOKS)
        assert len(observatory.account_rows()) == accounts
        assert len(observatory.first_sights()) == len(kept)
        assert len(observatory.verdicts()) == len(kept)
        listed = {segment.path for segment in observatory.journal.manifest.segments}
        files = {
            str(path.relative_to(folder / "journal"))
            for path in (folder / "journal").rglob("*")
            if path.is_file()
        }
        assert files - {name for name in files if name.startswith(SPILL)} == {MANIFEST, *listed}


def words_of(account: int, n: int) -> str:
    return f"the words of native-post-{account}-{n} in"


def test_every_row_says_first_whom_it_is_about() -> None:
    """What is dropped is found by that column."""
    assert {name: subject_column(table) for name, table in TABLES.items()} == {
        "observations": "subject",
        "versions": "post",
        "verdicts": "subject",
        "posts": "key",
        "accounts": "key",
        "coverage": "subject",
        "pictures": "post",
        "measurements": "digest",
    }


def test_a_forgotten_post_leaves_its_key_and_nothing_else(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        key = post_key(observatory, 0, 1)
        other = post_key(observatory, 0, 2)
        assert {text for _, text in traces(folder, [key, words_of(0, 1)])} == {key, words_of(0, 1)}
        done = observatory.forget_rows([key])
        assert done == Forgotten(1, 0, JOURNAL_ROWS + TAIL_ROWS, LOOKS + TAIL_LOOKS)
        assert observatory.looks == observatory.acknowledged_looks()
        assert observatory.is_forgotten([key, other, "nobody"]) == {key}
        assert {name for name, _ in traces(folder, [key])} == {"present.sqlite"}
        with observatory._engine.connect() as connection:
            (hidden,) = connection.exec_driver_sql("select key from forgotten").scalars().all()
            assert hidden == key
        content = (folder / present.FILE).read_bytes()
        # Once in the table, once in the index of its primary key.
        assert content.count(key.encode()) == 2
        assert traces(folder, [words_of(0, 1), "native-post-0-1"]) == []
        assert {text for _, text in traces(folder, [other, words_of(0, 2)])} == {
            other,
            words_of(0, 2),
        }
        assert observatory.post_rows_by_key([key]) == {}
        assert observatory.case(key) == []
        assert observatory.verdict(key) is None
        assert observatory.forget_rows([key]) == Forgotten(0, 0, 0, 0), "once is enough"
    check(folder, {(0, 1)}, accounts=2)
    assert traces(folder, [words_of(0, 1), "native-post-0-1"]) == []


def test_a_forgotten_account_leaves_nothing(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        key = account_key(observatory, 0)
        posts = [post_key(observatory, 0, n) for n in range(3)]
        assert forgetting.subjects(observatory._engine, {key}) == {key, *posts}
        with observatory._engine.begin() as connection:  # what captures show of it
            shown = [{"key": name, "leaf": 7, "what": "first"} for name in [key, *posts]]
            connection.execute(present.shown.insert(), shown)
        done = observatory.forget_rows({key})
        assert done == Forgotten(3, 1, 3 * (JOURNAL_ROWS + TAIL_ROWS) + 2, 3 * (LOOKS + TAIL_LOOKS))
        secrets = [key, *posts, "native-account-0", "Name 0", "a0.example", "native-post-0"]
        assert traces(folder, secrets) == []
        assert observatory.is_forgotten(posts) == set()
        assert [row.id for row in observatory.account_rows()] == [2]
    assert traces(folder, secrets) == []
    check(folder, {(0, n) for n in range(3)}, accounts=1)


def test_the_watch_goes_on_after_it(folder: Path) -> None:
    """What is learnt later of others is kept, moved and counted as ever."""
    with Observatory.open(folder, write=True) as observatory:
        observatory.forget_rows([account_key(observatory, 0), post_key(observatory, 1, 1)])
        before = observatory.looks
        key = observatory.naming("page", "native-account-9")
        assert observatory.add_account(Account(key, "page", "native-account-9"), 5)
        row = PostRow(observatory.next_post_id(), a_post(observatory, key, 9, 9), 2, Track())
        observatory.commit(Entry(new_posts=[row]), 6)
        observatory.flush()
        assert observatory.looks == observatory.acknowledged_looks() == before
        assert list(_looks(observatory)) == []
        observatory.forget_rows([key, row.subject])
        assert traces(folder, [key]) == []
    with Observatory.open(folder, write=True) as observatory:
        assert list(_looks(observatory)) == []
        assert observatory.looks == 2 * (LOOKS + TAIL_LOOKS)


def test_only_segments_with_its_rows_are_written_anew(folder: Path) -> None:
    journal = Journal.open(folder / "journal", writable=True)
    before = {segment.path: segment for segment in journal.manifest.segments}
    with journal.connect() as con:
        (key,) = con.execute("select min(key) from accounts").fetchall()[0]
    assert journal.drop([key]) == 2  # its own row, and its gap
    after = {segment.path: segment for segment in journal.manifest.segments}
    replaced = {path for path in before if path not in after}
    assert {Path(path).parts[0] for path in replaced} == {"accounts", "coverage"}
    assert {path: after[path] for path in before.keys() & after.keys()} == {
        path: segment for path, segment in before.items() if path not in replaced
    }
    assert journal.manifest.upto == Journal.open(journal.folder).upto > 0
    unchanged = (journal.folder / MANIFEST).read_bytes()
    assert journal.drop([key]) == journal.drop([]) == journal.drop(["nobody"]) == 0
    assert (journal.folder / MANIFEST).read_bytes() == unchanged
    with pytest.raises(ValueError, match="for reading"):
        Journal.open(journal.folder).drop([key])


def test_a_segment_is_rewritten_again_and_again_until_nothing_is_left(folder: Path) -> None:
    journal = Journal.open(folder / "journal", writable=True)
    with journal.connect() as con:
        keys = [
            key for (key,) in con.execute("select distinct subject from observations").fetchall()
        ]
    looks = journal.manifest.looks
    for number, key in enumerate(keys, 1):
        assert journal.drop([key]) == JOURNAL_ROWS
        assert journal.manifest.forgotten == number * LOOKS
        assert journal.manifest.looks == looks - number * LOOKS
        assert journal.verify() == []
    assert {segment.table for segment in journal.manifest.segments} == {"accounts", "coverage"}
    assert Journal.open(journal.folder, writable=True).manifest == journal.manifest


def test_a_damaged_segment_is_not_made_a_good_one(folder: Path) -> None:
    """A new file with a new checksum would pass a rotten bit off as a fact."""
    journal = Journal.open(folder / "journal", writable=True)
    segment = next(s for s in journal.manifest.segments if s.table == "versions")
    path = journal.folder / segment.path
    content = path.read_bytes()
    with journal.connect() as con:
        (key,) = con.execute("select min(key) from posts").fetchall()[0]
    middle = content.index(b"PAR1") + 4
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    before = sorted(journal.folder.rglob("*.parquet*"))
    with pytest.raises((DamagedError, StorageError), match=r"restore it|could not forget"):
        journal.drop([key])
    assert sorted(journal.folder.rglob("*.parquet*")) == before, "nothing half done is left"
    path.write_bytes(content)
    assert journal.drop([key]) == JOURNAL_ROWS


def test_an_old_manifest_put_back_does_not_cost_the_rewritten_segments(folder: Path) -> None:
    manifest = folder / "journal" / MANIFEST
    old = manifest.read_bytes()
    with Observatory.open(folder, write=True) as observatory:
        observatory.forget_rows([post_key(observatory, 0, 0)])
    new = manifest.read_bytes()
    manifest.write_bytes(old)
    before = sorted(manifest.parent.rglob("*.parquet"))
    with pytest.raises(DamagedError, match="a later rewrite replaced; nothing was deleted"):
        Observatory.open(folder, write=True)
    assert sorted(manifest.parent.rglob("*.parquet")) == before
    manifest.write_bytes(new)
    check(folder, {(0, 0)}, accounts=2)


def test_a_disk_that_is_full_in_the_middle_is_made_good(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the same process goes on, and more is kept before it succeeds."""
    with Observatory.open(folder, write=True) as observatory:
        key = post_key(observatory, 0, 0)
        real = os.fsync

        def full(descriptor: int) -> None:
            if MANIFEST in Path(f"/proc/self/fd/{descriptor}").readlink().name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(StorageError, match="could not forget in the journal"):
                observatory.forget_rows([key])
        assert list(_looks(observatory)) == []
        observatory.flush()
        assert list(_looks(observatory)) == []
        observatory.forget_rows([post_key(observatory, 0, 1)])
        assert traces(folder, [words_of(0, 0), words_of(0, 1)]) == []
    check(folder, {(0, 0), (0, 1)}, accounts=2)


def test_a_reader_that_is_open_reads_on(folder: Path) -> None:
    """A report beside it sees the journal as it is now, not files that are gone."""
    with Observatory.open(folder) as reader, Observatory.open(folder, write=True) as observatory:
        with reader.past() as con:
            assert con.execute("select count(*) from posts").fetchall() == [(6,)]
        observatory.forget_rows([post_key(observatory, 0, 0)])
        with reader.past() as con:
            assert con.execute("select count(*) from posts").fetchall() == [(5,)]
        assert list(_looks(reader)) == []


def test_what_a_reader_keeps_from_being_scrubbed_is_scrubbed_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(present, "BUSY_S", 0.1)
    reader = present.connect(folder / present.FILE, write=False)
    with reader.connect() as connection, Observatory.open(folder, write=True) as observatory:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("select count(*) from posts").scalar()
        key = account_key(observatory, 0)
        observatory.forget_rows([key])
        assert traces(folder, [key]) != [], "the reader's pages are still there"
    reader.dispose()
    Observatory.open(folder, write=True).close()
    assert traces(folder, [key, words_of(0, 0)]) == []


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.soak)])
def test_killed_before_each_step(folder: Path, stride: int) -> None:
    """An account and a post of another are forgotten; every fsync, rename, removal and commit.

    Each third of them in every run, all in the long ones.
    """
    with Observatory.open(folder) as observatory:
        keys = [account_key(observatory, 0), post_key(observatory, 1, 2)]
        gone = [account_key(observatory, 0), *(post_key(observatory, 0, n) for n in range(3))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.archive.forgetting_writer", str(folder), str(stride), *keys],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *steps, last = done.stdout.split()
    assert last == "whole"
    assert len(steps) >= 20 // stride
    states = []
    forgotten = {(0, 0), (0, 1), (0, 2), (1, 2)}
    for step in [*steps, str(len(steps) * stride + 1)]:
        copy = folder.with_name(f"{folder.name}-{step}")
        with Observatory.open(copy) as reader:
            assert list(_looks(reader)) == [], f"at step {step}, before anything is finished"
            begun = len(reader.first_sights()) < 6
        began = time.monotonic()
        with Observatory.open(copy, write=True) as observatory:
            if begun:
                assert traces(copy, [*gone, *(words_of(*which) for which in forgotten)]) == []
                assert forgetting.finish(observatory._engine, observatory.journal) == (0, 0)
            else:
                assert len(observatory.first_sights()) == 6, "all or nothing"
                observatory.forget_rows(keys)
            assert observatory.is_forgotten(keys) == {keys[1]}
        states.append((begun, time.monotonic() - began))
        check(copy, forgotten, accounts=1)
    print(f"{len(steps)} steps, {sum(begun for begun, _ in states)} finished at the next opening")
    assert {begun for begun, _ in states} == {True, False}
