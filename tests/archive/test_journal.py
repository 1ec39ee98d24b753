"""If these fail, an observatory loses or doubles what it had acknowledged, or hides a damage."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.archive.crashing_writer import LOOKS, batch, main
from tests.forking import Forked
from vanished.archive import durable, manifest
from vanished.archive.columns import (
    COVERAGE,
    GAP,
    OBSERVATIONS,
    TABLES,
    Coverage,
)
from vanished.archive.journal import Journal
from vanished.archive.manifest import MANIFEST
from vanished.errors import DamagedError, ObservatoryError, StorageError
from vanished.model import ALIVE, DAY, Fault, Observation, failed

WRITER = Path(__file__).with_name("crashing_writer.py")
ROOT = WRITER.parents[2]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "journal")


def looks(connection: duckdb.DuckDBPyConnection) -> Any:
    return connection.execute("SELECT coalesce(sum(looks), 0) FROM observations").fetchall()[0][0]


def files(journal: Journal) -> set[str]:
    """Every file of the journal's folder, relative to it."""
    return {
        str(path.relative_to(journal.folder))
        for path in journal.folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def listed(journal: Journal) -> set[str]:
    return {MANIFEST, *(segment.path for segment in journal.manifest.segments)}


# -- keeping and reading ---------------------------------------------------------------------


def test_an_empty_journal_can_be_asked(journal: Journal) -> None:
    """The first report of a new observatory must be empty, not an error."""
    with Journal.open(journal.folder).connect() as connection:
        for name in TABLES:
            assert connection.execute(f"SELECT * FROM {name}").fetchall() == []
    assert journal.observations_of("nobody") == []
    assert journal.verify() == []


def test_the_past_and_the_tail_read_as_one(journal: Journal) -> None:
    """A report must show the last minutes too, which are not in any segment yet."""
    old = Observation("post", 1 * DAY, 1 * DAY + 5, ALIVE)
    new = Observation("post", 2 * DAY, 2 * DAY + 5, failed(Fault.TIMEOUT))
    journal.flush({"observations": OBSERVATIONS.encode([old])}, 1)
    tail = {"observations": OBSERVATIONS.encode([new]), "posts": TABLES["posts"].encode([])}
    assert journal.observations_of("post", tail) == [old, new]
    assert journal.observations_of("post") == [old]
    with journal.connect(tail) as connection:
        assert looks(connection) == 2


def test_segments_lie_by_day_and_the_manifest_describes_them(journal: Journal) -> None:
    journal.flush(batch(1), 1)
    assert {Path(segment.path).parent.as_posix() for segment in journal.manifest.segments} == {
        "observations/day=2024-10-04",
        "observations/day=2024-10-05",
        "versions/day=2024-10-04",
        "posts",
    }
    by_path = {segment.path: segment for segment in Journal.open(journal.folder).manifest.segments}
    first = by_path["observations/day=2024-10-04/0000000000000001.parquet"]
    assert (first.rows, first.looks) == (LOOKS // 2, LOOKS // 2)
    assert (first.first, first.last) == (20_000 * DAY + 1_000_000, 20_000 * DAY + 1_000_009)
    assert first.size == (journal.folder / first.path).stat().st_size
    assert journal.manifest.looks == LOOKS


def test_other_tools_can_read_a_segment(journal: Journal) -> None:
    """The journal outlives this program: plain Parquet, plain names, plain types."""
    journal.flush(batch(1), 1)
    with duckdb.connect() as connection:
        source = f"read_parquet('{journal.folder}/observations/*/*.parquet')"
        assert connection.execute(f"SELECT sum(looks) FROM {source}").fetchall() == [(LOOKS,)]
        types = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        declared = [(name, field.type) for name, field in OBSERVATIONS.fields.items()]
        assert [(name, kind) for name, kind, *_ in types][: len(declared)] == declared


def test_a_flush_that_is_repeated_doubles_nothing(journal: Journal) -> None:
    """After a crash before the tail was deleted, the same records are flushed again."""
    journal.flush(batch(3), 3)
    before = files(journal), journal.manifest
    journal.flush(batch(3), 3)
    journal.flush(batch(2), 2)
    assert (files(journal), journal.manifest) == before
    with journal.connect() as connection:
        assert looks(connection) == LOOKS


def test_a_reader_keeps_to_what_it_opened(journal: Journal) -> None:
    """A file that no manifest lists is no fact, whatever it holds."""
    journal.flush(batch(1), 1)
    reader = Journal.open(journal.folder)
    journal.flush(batch(2), 2)
    with reader.connect() as connection:
        assert looks(connection) == LOOKS
    with Journal.open(journal.folder).connect() as connection:
        assert looks(connection) == 2 * LOOKS


@pytest.mark.parametrize("name", ["with 'quote", "wild*card?[1]", "day=2020-01-01", "雪"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    journal = Journal.create(tmp_path / name / "journal")
    journal.flush(batch(1), 1)
    assert journal.verify() == []
    assert len(journal.observations_of("post-0")) == 1
    with journal.connect() as connection:
        columns = [row[0] for row in connection.execute("DESCRIBE observations").fetchall()]
    assert columns == list(OBSERVATIONS.fields), "no column may come from the folder's name"


def test_a_pause_of_the_watch_is_kept(journal: Journal) -> None:
    gap = Coverage("watch", 5, 9, GAP, "the watch was not running")
    journal.flush({"coverage": COVERAGE.encode([gap])}, 1)
    with journal.connect() as connection:
        found = connection.execute("SELECT * FROM coverage").fetchnumpy()
    assert COVERAGE.decode(found) == [gap]


def test_wrong_columns_are_refused_before_anything_is_written(journal: Journal) -> None:
    columns = dict(batch(1)["observations"])
    del columns["looks"]
    with pytest.raises(ValueError, match="equally long"):
        journal.flush({"observations": columns}, 1)
    assert files(journal) == {MANIFEST}
    with pytest.raises(ValueError, match="for reading"):
        Journal.open(journal.folder).flush(batch(1), 1)


# -- disks that refuse -----------------------------------------------------------------------


def assert_untouched(journal: Journal, upto: int) -> None:
    assert journal.upto == Journal.open(journal.folder).upto == upto
    assert files(journal) == listed(journal), "nothing half written is left"
    assert journal.verify() == []
    with journal.connect() as connection:
        assert looks(connection) == upto * LOOKS


def test_a_full_disk_leaves_the_journal_as_it_was(journal: Journal) -> None:
    """The last file of the flush meets ENOSPC, from a real device, inside DuckDB."""
    journal.flush(batch(1), 1)
    last = journal.folder / "versions/day=2024-10-04/0000000000000002.parquet.tmp"
    last.symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"could not add to the journal .*: the disk is full"):
        journal.flush(batch(2), 2)
    assert_untouched(journal, 1)
    journal.flush(batch(2), 2)
    assert_untouched(journal, 2)


def test_a_disk_that_is_full_when_the_manifest_is_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.flush(batch(1), 1)
    real = os.fsync

    def full(descriptor: int) -> None:
        if MANIFEST in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        journal.flush(batch(2), 2)
    assert_untouched(journal, 1)


def test_a_disk_that_fails_after_the_manifest_was_replaced(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segments count by then: tidying them away would lose what the manifest promises."""
    journal.flush(batch(1), 1)
    real = durable.sync_folder

    def failing(path: Path) -> None:
        if path == journal.folder and '"upto": 2,' in (path / MANIFEST).read_text():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(path)

    monkeypatch.setattr(durable, "sync_folder", failing)
    with pytest.raises(StorageError, match="the disk failed"):
        journal.flush(batch(2), 2)
    assert_untouched(journal, 2)


def test_an_interrupted_flush_leaves_the_journal_as_it_was(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is safe, also here."""
    journal.flush(batch(1), 1)

    def interrupted(folder: Path, written: manifest.Manifest) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vanished.archive.journal.write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.flush(batch(2), 2)
    assert_untouched(journal, 1)


def test_a_file_size_limit_is_one_sentence(journal: Journal) -> None:
    """Quotas and limits come back as other errors than a full disk does."""
    program = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tests.archive.crashing_writer import batch\n"
        "from vanished.archive.journal import Journal\n"
        "from vanished.errors import StorageError\n"
        "journal = Journal.open(Path(sys.argv[1]), writable=True)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try: journal.flush(batch(1), 1)\n"
        "except StorageError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(journal.folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("could not add to the journal "), done.stderr
    assert done.stdout.count("\n") == 1
    assert_untouched(journal, 0)


# -- damage ----------------------------------------------------------------------------------


def test_every_damage_is_named(journal: Journal) -> None:
    """A rotten disk must be noticed by `doctor`, with the file to restore."""
    for number in range(1, 5):
        journal.flush(batch(number), number)
    kept = {
        s.path: journal.folder / s.path for s in journal.manifest.segments if s.table == "posts"
    }
    missing, longer, flipped, swapped = kept.values()
    missing.unlink()
    longer.write_bytes(longer.read_bytes() + b"x")
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    swapped.write_bytes(b"no parquet".ljust(swapped.stat().st_size, b"."))
    found = {damage.path: damage.what for damage in journal.verify()}
    assert found.keys() == {missing, longer, flipped, swapped}
    assert found[missing] == "is missing"
    assert "bytes, the manifest says" in found[longer]
    assert found[flipped] == found[swapped] == "has another SHA-256 than the manifest says"
    with pytest.raises(DamagedError, match="is missing; restore it"):
        journal.connect()


def test_a_manifest_that_counts_otherwise_is_a_damage(journal: Journal) -> None:
    """The file is what it was when it was hashed, and still not what the manifest claims."""
    journal.flush(batch(1), 1)
    path = journal.folder / MANIFEST
    path.write_text(path.read_text().replace(f'"looks": {LOOKS // 2}', '"looks": 7', 1))
    (damage,) = Journal.open(journal.folder).verify()
    assert "the manifest says (20, 7," in damage.what
    rotten = journal.folder / "posts/0000000000000001.parquet"
    content = b"no parquet".ljust(rotten.stat().st_size, b".")
    rotten.write_bytes(content)
    (old,) = (s.sha256 for s in journal.manifest.segments if s.table == "posts")
    path.write_text(path.read_text().replace(old, hashlib.sha256(content).hexdigest()))
    whats = {d.path: d.what for d in Journal.open(journal.folder).verify()}
    assert "cannot be read" in whats[rotten]


@pytest.mark.parametrize(
    ("written", "kind", "words"),
    [
        (None, DamagedError, "is missing"),
        (b"", DamagedError, "cannot be read"),
        (b'{"format": 1, "upto": 3}', DamagedError, "cannot be read"),
        (b'{"format": 1, "upto": 3, "segments": [{"path": "x"}]}', DamagedError, "cannot be read"),
        (b"[]", DamagedError, "cannot be read"),
        (b'{"format": 2, "upto": 3, "segments": []}', ObservatoryError, "has format 2"),
    ],
)
def test_a_damaged_manifest_stops_before_anything_is_removed(
    journal: Journal, written: bytes | None, kind: type[Exception], words: str
) -> None:
    journal.flush(batch(1), 1)
    before = files(journal) - {MANIFEST}
    path = journal.folder / MANIFEST
    path.unlink() if written is None else path.write_bytes(written)
    with pytest.raises(kind, match=words):
        Journal.open(journal.folder, writable=True)
    assert files(journal) - {MANIFEST} == before


def test_an_old_manifest_put_back_does_not_cost_the_newer_segments(journal: Journal) -> None:
    """Cleaning up after a crash must not mistake two days of facts for a crash."""
    old = (journal.folder / MANIFEST).read_bytes()
    for number in (1, 2):
        journal.flush(batch(number), number)
    before = files(journal)
    (journal.folder / MANIFEST).write_bytes(old)
    with pytest.raises(DamagedError, match="segments of 2 flushes"):
        Journal.open(journal.folder, writable=True)
    assert files(journal) == before


def test_a_folder_with_files_is_not_taken_for_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("mine")
    with pytest.raises(ObservatoryError, match="already holds files"):
        Journal.create(tmp_path)


# -- kill -9 ---------------------------------------------------------------------------------


def check_after_crash(folder: Path, acknowledged: int) -> Journal:
    """All that was acknowledged, at most one batch more, nothing doubled, nothing left lying."""
    journal = Journal.open(folder, writable=True)
    assert journal.verify() == []
    assert journal.upto in (acknowledged, acknowledged + 1)
    assert files(journal) - {"spill"} == listed(journal), "orphans are removed"
    with journal.connect() as connection:
        assert looks(connection) == journal.manifest.looks == journal.upto * LOOKS
        query = "SELECT count(*), count(DISTINCT key) FROM posts"
        assert connection.execute(query).fetchall() == [(journal.upto, journal.upto)]
    return journal


def test_killed_at_random_moments(journal: Journal) -> None:
    """Twenty crashes in a row on one journal."""
    seed = 20_241_004
    chance = random.Random(seed)
    print(f"seed {seed}")
    orphaned = acknowledged = 0
    for _ in range(20):
        writer = Forked(main, journal.folder, 1000, None)
        said = writer.lines()  # "open", then acknowledgements
        lines = [next(said) for _ in range(1 + chance.randrange(4))]
        time.sleep(chance.uniform(0, 0.08))
        assert writer.end(kill=True) == -signal.SIGKILL
        for line in [*lines, *said]:
            acknowledged = acknowledged if line == "open" else int(line)
        orphaned += files(journal) != listed(Journal.open(journal.folder))
        acknowledged = check_after_crash(journal.folder, acknowledged).upto
    print(f"{acknowledged} batches kept, {orphaned} of 20 kills left files behind")
    assert acknowledged >= 20


def test_killed_before_each_step_of_a_flush(journal: Journal) -> None:
    """Every fsync and rename in turn; the first flush of each run is the one that dies."""
    died: list[set[str]] = []
    kept = 0
    for step in range(1, 60):
        writer = Forked(main, journal.folder, 1, step)
        code = writer.end(kill=False)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert list(writer.lines()) == ["open"], "it died before the acknowledgement"
        died.append(files(journal) - listed(Journal.open(journal.folder)))
        kept = check_after_crash(journal.folder, kept).upto
    else:
        pytest.fail("the flush has more steps than this test expects")
    print(f"{len(died)} steps; files behind at each: {[len(left) for left in died]}")
    assert len(died) >= 12
    assert sum(bool(left) for left in died) >= 10, "most of these crashes leave something behind"
