"""What was told to whom: a small database of its own in the observatory's folder.

In: ids of events, names of channels. Out: what is still to be told. A message is entered before it
is sent and closed when a service has taken it, each in one durable transaction. A crash between the
two has it sent again under the same number: each event is told at least once, and a message that
comes twice says so by its number. It holds hashes, causes and times; no name, no word, no secret.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from vanished.errors import LockedError, StorageError
from vanished.model import Micros
from vanished.publish.alerts.event import Event, identity

FILE: Final = "alerts.sqlite"
LOCK: Final = "alerts.lock"
SETTLED: Final = "settled_at"
_SCHEMA: Final = """
create table if not exists meta (key text primary key, value text not null) strict;
create table if not exists message (
    number text primary key, channel text not null, made_at integer not null,
    tries integer not null, next_at integer not null, sent_at integer, outcome text not null
) strict;
create table if not exists told (
    channel text not null, event text not null, causes text not null, message text not null,
    primary key (channel, event)
) strict, without rowid;
create index if not exists told_message on told (message);
create table if not exists campaign (
    id text primary key, kind text not null, since integer not null, until integer not null,
    targets text not null
) strict;
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that was entered and not taken yet."""

    number: str
    channel: str
    made_at: Micros
    tries: int
    next_at: Micros
    events: frozenset[str]


class Ledger:
    """Open, and the only one that writes. A context manager."""

    def __init__(self, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        self._db = connection
        self._lock = lock

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open or make it. Raises LockedError while another does, StorageError."""
        try:
            lock = (folder / LOCK).open("a")
        except OSError as error:
            raise StorageError(f"could not open {folder / LOCK}: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LockedError(
                f"Another vanished alerts is sending for {folder}; stop it first, or let it do so."
            ) from None
        try:
            descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
            os.close(descriptor)
            connection = sqlite3.connect(folder / FILE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            lock.close()
            raise StorageError(f"could not open {folder / FILE}: {error}.") from error
        return cls._ready(connection, lock, folder / FILE)

    @classmethod
    def passing(cls, folder: Path) -> Self:
        """A copy in memory, to see what would be told: nothing in the folder changes."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        file = folder / FILE
        if file.exists():
            kept = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
            with storing(file):
                kept.backup(connection)
            kept.close()
        return cls._ready(connection, None, file)

    @classmethod
    def _ready(cls, connection: sqlite3.Connection, lock: IO[str] | None, file: Path) -> Self:
        made = cls(connection, lock)
        try:
            with storing(file):
                connection.execute("pragma synchronous = extra")
                connection.executescript(_SCHEMA)
        except StorageError:
            made.close()
            raise
        return made

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        with storing(Path(FILE)):
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    # -- when -------------------------------------------------------------------------------

    def begun(self, now: Micros) -> Micros:
        """Since when things are news: the first run."""
        return int(self.word("begun_at", str(now)))

    def settled(self, begun: Micros) -> Micros:
        """Until when everything was told to everybody whom it is for."""
        return int(self.word(SETTLED, str(begun)))

    def word(self, key: str, usual: str) -> str:
        """A kept word, `usual` from now on if there is none."""
        with self._all_or_nothing():
            self._db.execute("insert or ignore into meta values (?, ?)", (key, usual))
            return str(
                self._db.execute("select value from meta where key = ?", (key,)).fetchone()[0]
            )

    def keep_word(self, key: str, value: str) -> None:
        with self._all_or_nothing():
            self._db.execute("insert or replace into meta values (?, ?)", (key, value))

    # -- what was told ----------------------------------------------------------------------

    def told(self, channel: str) -> dict[str, str]:
        """The causes that were told, by id of event; those of messages under way, too."""
        with storing(Path(FILE)):
            return dict(
                self._db.execute("select event, causes from told where channel = ?", (channel,))
            )

    def pending(self, channel: str) -> Pending | None:
        """The message that has still to be taken; a channel has one at most."""
        with storing(Path(FILE)):
            row = self._db.execute(
                "select number, channel, made_at, tries, next_at from message"
                " where channel = ? and sent_at is null order by made_at limit 1",
                (channel,),
            ).fetchone()
            if row is None:
                return None
            events = self._db.execute("select event from told where message = ?", (row[0],))
            number, _, made_at, tries, next_at = row
            found = frozenset(event for (event,) in events)
        return Pending(number, channel, made_at, tries, next_at, found)

    def last_made(self, channel: str) -> Micros | None:
        """When the channel's last message was made."""
        with storing(Path(FILE)):
            query = "select max(made_at) from message where channel = ?"
            found = self._db.execute(query, (channel,)).fetchone()[0]
        return None if found is None else int(found)

    def enter(self, channel: str, events: Sequence[Event], now: Micros) -> Pending:
        """Enter a message about these events before it is sent. Its number names it for good.

        What is told anew, or taken back, changes what the channel holds true of a loss.
        """
        number = identity("message", channel, now, *sorted(event.id for event in events))[:10]
        with self._all_or_nothing():
            self._db.execute(
                "insert into message values (?, ?, ?, 0, ?, null, '')", (number, channel, now, now)
            )
            self._db.executemany(
                "insert or replace into told values (?, ?, ?, ?)",
                [(channel, event.id, _causes(event), number) for event in events],
            )
            self._db.executemany(
                "update told set causes = ? where channel = ? and event = ?",
                [(_causes(event), channel, event.answers) for event in events if event.answers],
            )
        return Pending(number, channel, now, 0, now, frozenset(event.id for event in events))

    def taken(self, number: str, now: Micros) -> None:
        """A service has taken it."""
        with self._all_or_nothing():
            self._db.execute(
                "update message set sent_at = ?, tries = tries + 1, outcome = 'delivered'"
                " where number = ?",
                (now, number),
            )

    def failed(self, number: str, next_at: Micros, outcome: str) -> None:
        """None has; it is tried again at `next_at`."""
        with self._all_or_nothing():
            self._db.execute(
                "update message set next_at = ?, tries = tries + 1, outcome = ? where number = ?",
                (next_at, outcome, number),
            )

    # -- campaigns --------------------------------------------------------------------------

    def campaigns(self) -> list[tuple[str, str, Micros, Micros, frozenset[str]]]:
        """Those that are known: id, kind, begin, end, hashes of targets."""
        with storing(Path(FILE)):
            rows = self._db.execute("select * from campaign").fetchall()
        return [(*row[:4], frozenset(json.loads(row[4]))) for row in rows]

    def keep_campaigns(
        self, found: Mapping[str, tuple[str, Micros, Micros, frozenset[str]]]
    ) -> None:
        with self._all_or_nothing():
            self._db.executemany(
                "insert or replace into campaign values (?, ?, ?, ?, ?)",
                [(i, k, a, b, json.dumps(sorted(t))) for i, (k, a, b, t) in found.items()],
            )


def _causes(event: Event) -> str:
    return ",".join(sorted(cause.value for cause in event.causes))


@contextmanager
def storing(file: Path) -> Iterator[None]:
    """Turn what SQLite refuses into a StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"could not use {file.name}: {error}; check the disk. Without this file nobody knows"
            " what was told."
        ) from error
