"""The shelf's file: its tables, and how it is opened.

In: an observatory's folder. Out: connections to its shelf. What fills it is `filling`, what reads
it is `reading`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from vanished.archive.folder import SHELF
from vanished.errors import StorageError

FILE: Final = "shelf.sqlite"
FORMAT: Final = "3"
HOUR: Final = 3_600_000_000  # microseconds

TABLES: Final = """
create table facts (key text primary key, value text not null) without rowid;
create table losses (
    id integer primary key,
    post text not null unique,
    account text not null,
    platform text not null,
    state text not null,
    causes text not null,
    confidence text not null,
    at integer not null,            -- gone by; judged, for what was never called gone
    judged_at integer not null,
    published_at integer,
    first_seen_at integer not null,
    last_alive_at integer,
    first_gone_at integer,
    explained_by text,
    notice text not null,
    rules text not null,
    conflicts text not null,
    method text not null,
    looks integer not null,
    failed integer not null,
    reposts integer,                -- as last shown before the loss, at least
    views integer,
    authors integer not null,       -- its author may have taken it down
    script text not null,           -- the writing that most of it is in
    title text not null,
    text text not null
);
create index losses_at on losses (at desc, id desc);
create index losses_account on losses (account, at desc, id desc);
create index losses_platform on losses (platform, at desc, id desc);
create index losses_causes on losses (causes, at desc, id desc);
create index losses_reposts on losses (coalesce(reposts, -1) desc, id desc);
create index losses_views on losses (coalesce(views, -1) desc, id desc);
-- Lists and counts of every filter are found in it, without the rows and their words.
create index losses_listed on losses (
    state, at desc, id desc, causes, confidence, script, authors, platform, account, reposts, views
);
create virtual table words using fts5 (body, content='', tokenize='unicode61 remove_diacritics 2');
create table details (id integer primary key, sheet blob not null);
create table hours (
    hour integer not null, platform text not null, tail integer not null,
    looks integer not null, failed integer not null, met integer not null,
    primary key (hour, platform, tail)
) without rowid;
create table measured (
    id integer primary key,         -- in the order of time
    digest text not null, measured_at integer not null, asn text not null, cc text not null,
    test text not null, target text not null, state text not null, layer text, mechanism text,
    extent text not null, rules text not null, ruleset text not null, capture text not null
);
create index measured_at on measured (measured_at desc, id desc);
create table gaps (since integer not null, until integer not null, why text not null);
create table accounts (
    account text primary key, platform text not null, added_at integer not null,
    state text not null, causes text not null, notice text not null,
    last_alive_at integer, first_gone_at integer, posts integer not null
) without rowid;
"""


def path_of(folder: Path) -> Path:
    """The shelf of the observatory in `folder`."""
    return folder / SHELF / FILE


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """SQLite's refusals, as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"the shelf {path_of(folder)} cannot be written or read: {error}; remove the folder"
            " and it is made anew."
        ) from error


def writable(folder: Path) -> sqlite3.Connection:
    """The shelf for whoever fills it, made if it is not there."""
    path = path_of(folder)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma secure_delete = on")
    return connection


def readable(folder: Path) -> sqlite3.Connection:
    """The shelf for a reader; it can change nothing."""
    connection = sqlite3.connect(
        f"{path_of(folder).resolve().as_uri()}?mode=ro", uri=True, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    connection.row_factory = sqlite3.Row
    connection.execute("pragma query_only = on")
    connection.execute("pragma mmap_size = 268435456")
    connection.execute("pragma cache_size = -32768")
    return connection


def making(folder: Path) -> str:
    """Which making of the shelf stands there; "" while there is none. A file's number would not
    tell: the next file may get the number of one that is gone."""
    try:
        with closing(readable(folder)) as connection:
            row = connection.execute("select value from facts where key = 'making'").fetchone()
    except sqlite3.Error:
        return ""
    return str(row[0]) if row else ""


def log_bytes(folder: Path) -> int:
    """How long SQLite's log of the shelf is."""
    log = path_of(folder).with_name(f"{FILE}-wal")
    return log.stat().st_size if log.is_file() else 0


def empty_log(folder: Path) -> None:
    """Write the log back into the file, as far as nobody reads an older moment."""
    with storing(folder), closing(writable(folder)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
