"""The present: migrations make the schema that the code reads, and a commit is all or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from vanished.archive import present
from vanished.archive.columns import Judgement, Wording
from vanished.archive.keeping import MEDIA
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Change, Entry, PostRow, Track
from vanished.archive.vault import Vault
from vanished.errors import (
    DamagedError,
    LockedError,
    NotAnObservatoryError,
    ObservatoryError,
    StorageError,
    UsageError,
)
from vanished.model import (
    ALIVE,
    SECOND,
    Account,
    Cause,
    Fault,
    Kind,
    Observation,
    Post,
    Signal,
    State,
    Verdict,
    Version,
    failed,
)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "observatory"
    Observatory.create(folder).close()
    return folder


def test_the_migrations_make_what_the_code_reads(tmp_path: Path) -> None:
    """Else an observatory made by an older version would break at its first commit."""
    engine = present.connect(tmp_path / "fresh.sqlite", write=True)
    present.migrate(engine, Vault(b"k" * 32))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, present.metadata) == []
    present.check_schema(engine, tmp_path)
    engine.dispose()


def a_post(observatory: Observatory, number: int) -> tuple[PostRow, Entry]:
    account = observatory.account_rows()[0]
    post = Post(
        observatory.naming("page", f"post {number}"),
        account.subject,
        "page",
        f"post {number}",
        f"http://127.0.0.1/{number}",
        published_at=number * SECOND,
        first_seen_at=number * SECOND,
    )
    row = PostRow(observatory.next_post_id(), post, account.id, Track(due=number * SECOND))
    return row, Entry(new_posts=[row])


def looked(observatory: Observatory, row: PostRow, second: int, signal: Signal = ALIVE) -> Change:
    seen = Observation(row.subject, second * SECOND, second * SECOND + 1000, signal, version="v")
    row.track.run = observatory.next_run()
    return Change(row, seen, run=row.track.run)


def with_account(observatory: Observatory) -> None:
    native = "http://127.0.0.1/"
    key = observatory.naming("page", native)
    assert observatory.add_account(Account(key, "page", native, "a page", native), SECOND)
    assert not observatory.add_account(Account(key, "page", native, "a page", native), SECOND)


def test_what_was_committed_is_read_back(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        with_account(observatory)
        row, entry = a_post(observatory, 7)
        gone = Signal(Kind.GONE, frozenset({Cause.PLATFORM}), rule="x/y@1", words="此内容")
        entry.changes += [looked(observatory, row, 8), looked(observatory, row, 9, gone)]
        seen = entry.changes[-1].observation
        assert seen is not None
        entry.changes[-1] = Change(row, seen, run=row.track.run or 0, case=(seen,))
        row.track.has_case, row.track.state = True, State.SUSPECTED
        entry.versions.append(Wording(row.subject, 8 * SECOND, Version("v", "题", "文", ("m",))))
        verdict = Verdict(row.subject, State.SUSPECTED, frozenset({Cause.PLATFORM}), method="t/1")
        entry.verdicts[row.subject] = Judgement(9 * SECOND, verdict)
        seq = observatory.commit(entry, 9 * SECOND)
    with Observatory.open(folder) as observatory:
        assert observatory.seq == seq
        assert observatory.looks == 2
        assert observatory.post_rows([row.id]) == [row]
        assert observatory.post_rows_by_key([row.subject, "nobody"]) == {row.subject: row}
        assert observatory.case(row.subject) == [seen]
        assert observatory.verdict(row.subject) == verdict
        with observatory.past() as con:
            assert con.execute("select sum(looks), count(*) from observations").fetchall() == [
                (2, 2)
            ]
            ((title, text, media),) = con.execute(
                "select title, text, media from versions"
            ).fetchall()
            assert (title, text) == ("题", "文")
            (sealed,) = json.loads(media)
            assert observatory.vault.open_word(sealed, MEDIA) == "m"


def test_the_tail_moves_into_the_journal_without_loss_or_double(folder: Path) -> None:
    with Observatory.open(folder, write=True) as observatory:
        with_account(observatory)
        row, entry = a_post(observatory, 1)
        entry.changes.append(looked(observatory, row, 2))
        observatory.commit(entry, 2 * SECOND)
        observatory.flush()
        assert observatory.post_rows([row.id])[0].track.run is None  # its run is in the past
        observatory.commit(Entry(changes=[looked(observatory, row, 3)]), 3 * SECOND)
        with observatory.past() as con:
            assert con.execute("select sum(looks) from observations").fetchall() == [(2,)]
            assert con.execute("select count(*) from posts").fetchall() == [(1,)]
    with Observatory.open(folder) as reader, reader.past() as con:
        assert con.execute("select sum(looks) from observations").fetchall() == [(2,)]
        assert reader.acknowledged_looks() == 2


def test_a_crash_between_journal_and_tail_doubles_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Observatory.open(folder, write=True) as observatory:
        with_account(observatory)
        row, entry = a_post(observatory, 1)
        entry.changes.append(looked(observatory, row, 2))
        observatory.commit(entry, 2 * SECOND)
        with monkeypatch.context() as patch:
            patch.setattr(Observatory, "_drop_moved", lambda self: None)
            observatory.flush()
    with Observatory.open(folder) as reader, reader.past() as con:
        assert con.execute("select sum(looks) from observations").fetchall() == [(1,)]


def test_a_session_is_covered_once_whatever_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stretch that is counted twice would make the coverage longer than the time that passed."""
    with Observatory.open(folder, write=True) as observatory:
        observatory.begin_session(10 * SECOND)
        observatory.end_session(500 * SECOND)

        def killed(self: Observatory) -> None:
            raise KeyboardInterrupt

        # As if killed at the first moment after the next session's beginning was acknowledged.
        with monkeypatch.context() as patch:
            patch.setattr(Observatory, "flush", killed)
            patch.setattr(observatory, "_waiting", 10**9)
            with pytest.raises(KeyboardInterrupt):
                observatory.begin_session(900 * SECOND)
    with Observatory.open(folder, write=True) as observatory:
        observatory.begin_session(901 * SECOND)
        with observatory.past() as con:
            found = con.execute("select what, since, until from coverage order by 2, 1").fetchall()
    assert found == [
        ("watched", 10 * SECOND, 500 * SECOND),
        ("gap", 500 * SECOND, 900 * SECOND),
        ("watched", 900 * SECOND, 900 * SECOND),
    ]


def test_an_init_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-made folder would be neither an observatory nor empty: no second try would work."""
    for existing in (False, True):
        place = tmp_path / f"new{existing}"
        if existing:
            place.mkdir()
        with monkeypatch.context() as patch:

            def full(folder: Path) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr("vanished.archive.journal.Journal.create", full)
            with pytest.raises(StorageError, match="disk is full"):
                Observatory.create(place)
        assert place.exists() is existing
        assert not existing or list(place.iterdir()) == []
        Observatory.create(place).close()


def test_only_one_writes_and_others_read(folder: Path) -> None:
    with Observatory.open(folder, write=True):
        with pytest.raises(LockedError, match="stop it first"):
            Observatory.open(folder, write=True)
        with Observatory.open(folder) as reader:
            assert reader.account_rows() == []
            with pytest.raises(sa.exc.OperationalError):
                reader._engine.connect().execute(present.meta.delete())


def test_a_folder_that_is_no_observatory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAnObservatoryError, match="vanished init"):
        Observatory.open(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        Observatory.create(tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x"]


def test_another_key_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong key every author would get a second name, and none would be found again."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with pytest.raises(ObservatoryError, match="not this observatory's"):
        Observatory.open(folder)


def test_a_damaged_database_is_said_to_be_one(folder: Path) -> None:
    file = folder / present.FILE
    file.write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    with pytest.raises(DamagedError, match="damaged"):
        Observatory.open(folder)
    file.unlink()
    with pytest.raises(DamagedError, match="missing"):
        Observatory.open(folder)


FULL_DISK = """
import sys
from pathlib import Path
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Change, Entry, PostRow, Track
from vanished.errors import StorageError
from vanished.model import *
folder = Path(sys.argv[1])
account = Account("k", "page", "n", "", "http://127.0.0.1/")
with Observatory.create(folder) as o:
    o.add_account(account, 1)
    kept = o.looks
    try:
        for n in range(1, 4000):
            post = Post(f"p{n}", "k", "page", "x" * 500, "http://127.0.0.1/" + "y" * 2000)
            row = PostRow(o.next_post_id(), post, 1, Track())
            row.track.run = o.next_run()
            seen = Observation(post.key, n, n, ALIVE)
            o.commit(Entry(changes=[Change(row, seen, run=row.track.run)], new_posts=[row]), n)
            kept = n
            if n % 50 == 0:
                o.flush()
    except StorageError as error:
        print("refused:", error)
with Observatory.open(folder) as o, o.past() as con:
    found = con.execute("select coalesce(sum(looks), 0)::bigint from observations").fetchall()[0][0]
    assert found == kept == o.acknowledged_looks(), (found, kept, o.acknowledged_looks())
    assert o.journal.verify() == [] and o.integrity() == ""
    print("whole:", kept)
"""


def test_a_full_disk_half_writes_nothing(tmp_path: Path) -> None:
    """On a real small file system, in a mount namespace of the test's own."""
    script = (
        f"mount -t tmpfs -o size=3m tmpfs {tmp_path} && "
        f'VANISHED_KEY={"cd" * 32} {sys.executable} -c "$1" {tmp_path}/o'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", FULL_DISK],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        from tests.needs import missing

        missing("a mount namespace of its own (root, or user namespaces)")
    assert done.returncode == 0, done.stderr
    refused, whole = done.stdout.strip().splitlines()
    assert refused.startswith("refused: could not ")
    assert "\n" not in refused
    assert int(whole.removeprefix("whole: ")) > 10


def test_failed_looks_are_facts_too(folder: Path) -> None:
    """A report that hides them would call a broken line calm."""
    with Observatory.open(folder, write=True) as observatory:
        with_account(observatory)
        row, entry = a_post(observatory, 1)
        entry.changes.append(looked(observatory, row, 2, failed(Fault.TIMEOUT)))
        observatory.commit(entry, 2 * SECOND)
        with observatory.past() as con:
            found = con.execute("select kind, fault, looks from observations").fetchall()
    assert found == [("error", "timeout", 1)]
    assert json.dumps(found)
