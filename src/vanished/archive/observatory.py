"""An observatory as a folder: settings, the present, the past, and the one writer's commit.

In: entries of the watch (`rows.Entry`). Out: an acknowledged sequence number. Invariant of the
folder, checked by `doctor`: the looks in the journal and in the tail together are exactly the looks
acknowledged (`meta.looks`), whatever was killed when. The tail is moved into the journal under the
number of the last commit; after a crash between the two, the tail's rows that the journal already
holds are dropped at the next opening.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import duckdb
import sqlalchemy as sa

from vanished.archive import columns, erasing, forgetting, present, pseudonyms
from vanished.archive.columns import Coverage
from vanished.archive.folder import (
    JOURNAL,
    READABLE,
    SCHEDULE,
    SHELF,
    furnish,
    located,
    take_lock,
)
from vanished.archive.journal import Journal
from vanished.archive.keeping import keep, seal_old
from vanished.archive.mapping import HOST
from vanished.archive.present import storage
from vanished.archive.proof import Proof
from vanished.archive.queries import Reading
from vanished.archive.rows import AccountRow, Entry, Track
from vanished.archive.settings import Settings
from vanished.archive.vault import Vault
from vanished.errors import (
    DamagedError,
    ObservatoryError,
    UsageError,
)
from vanished.model import Account, Micros

GAP: Micros = 60_000_000  # a pause of the watch longer than this is a gap in the coverage


class Observatory(Reading):
    """One folder, open. Make it with `create` or `open`; it is a context manager."""

    def __init__(self, folder: Path, settings: Settings, *, write: bool) -> None:
        self.folder = folder
        self.settings = settings
        self._write = write
        self._lock = take_lock(folder) if write else None
        self._engine = present.connect(folder / present.FILE, write=write)
        self.proof: Proof | None = None
        try:
            self.journal = Journal.open(folder / JOURNAL, writable=write)
            self._secret = self._load_secret()
            self._vault = None if self._secret is None else Vault(self._secret.value)
            self._check()
        except BaseException:
            self.close()
            raise

    # -- opening ----------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, seal_to: Sequence[str] = (), sources: str = "") -> Self:
        """Make a new observatory in a new or empty folder and open it for writing.

        What it captures is sealed to the age recipients `seal_to`; none leaves it readable.
        `sources`: what observatory.toml says of them, see `settings_template`.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not an empty folder; name a new one.")
        existed = folder.exists()
        with storage(folder):
            try:
                furnish(folder, seal_to, sources)
            except BaseException:  # half a folder would be neither an observatory nor empty
                shutil.rmtree(folder, ignore_errors=True)
                if existed:
                    folder.mkdir()
                raise
        return cls.open(folder, write=True)

    @classmethod
    def open(cls, folder: Path, *, write: bool = False) -> Self:
        """Open an existing observatory; with `write`, as its only writer."""
        settings = located(folder)
        if write and (folder / READABLE).exists():
            raise UsageError(
                f"{folder} is a readable copy, which is not written to: two writers of one log"
                " would fork it. Do this in the observatory itself."
            )
        if not (folder / present.FILE).is_file():
            raise DamagedError(
                f"{folder / present.FILE} is missing; restore it from a copy: the journal alone"
                " does not know which accounts to ask."
            )
        with storage(folder):
            return cls(folder, settings, write=write)

    def _load_secret(self) -> pseudonyms.Secret | None:
        """The secret of the pseudonyms; a readable copy is read without it, too."""
        try:
            return pseudonyms.load_secret(self.settings.id, create=False)
        except ObservatoryError:
            if self._write or not (self.folder / READABLE).exists():
                raise
            return None

    @property
    def naming(self) -> pseudonyms.Secret:
        """Gives pseudonyms. Raises ObservatoryError in a copy that was opened without its key."""
        if self._secret is None:
            raise ObservatoryError(
                "names and addresses are sealed in this copy; set"
                f" {pseudonyms.VARIABLE} to the observatory's pseudonym key to read them"
            )
        return self._secret

    @property
    def vault(self) -> Vault:
        """Seals and opens what names somebody. Raises as `naming` does."""
        if self._vault is None:
            self._vault = Vault(self.naming.value)
        return self._vault

    def _check(self) -> None:
        self._looking = False  # whether a commit is also the watch's latest sign of life
        self._scheduling = False  # whether who commits keeps the schedule's columns in step
        # Before anything is written: a wrong key would seal what the right one could not open.
        if self._secret is not None:
            pseudonyms.check_secret(self._secret, present.fingerprint(self._engine))
        if self._write:
            present.migrate(self._engine, self.vault)
            seal_old(self.journal, self.vault)
            forgetting.finish(self._engine, self.journal)
        else:
            present.check_schema(self._engine, self.folder / present.FILE)
        with self._engine.connect() as connection:
            query = sa.select(present.meta.c.key, present.meta.c.value)
            self._meta = {row.key: row.value for row in connection.execute(query)}
            self._next_post = self._largest(connection, present.posts.c.id) + 1
            self._next_account = self._largest(connection, present.accounts.c.id) + 1
            # Never reused while we are open: a row of the watch may still name a run that moved.
            self._next_rows = {
                name: self._largest(connection, table.c.row) + 1
                for name, table in present.TAILS.items()
            }
            self.oldest_run = 1
            self._waiting = sum(
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in present.TAILS.values()
            )
        self.seq = int(self._meta["seq"])
        self.looks = int(self._meta["looks"])
        if self._write:
            self._drop_moved()
            erasing.finish(self)  # before the captures are opened: they may be half rewritten
            self.open_proof()

    @staticmethod
    def _largest(connection: sa.Connection, column: sa.Column[Any]) -> int:
        return int(connection.execute(sa.select(sa.func.max(column))).scalar() or 0)

    def close(self) -> None:
        """Give back the lock and the database; safe to call twice."""
        try:
            self.close_proof()
        finally:
            self._engine.dispose()
            if self._lock is not None:
                self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open_proof(self) -> None:
        """Begin to keep captures, as the settings say."""
        if self.settings.capture.keep and self.proof is None:
            self.proof = Proof.open(self.folder, self.settings, self.naming.value, self._engine)

    def close_proof(self) -> None:
        """Sign what is acknowledged and close captures and log; `open_proof` goes on."""
        proof, self.proof = self.proof, None
        if proof is not None:
            proof.close()

    @property
    def engine(self) -> sa.Engine:
        """The present's database, for the rest of this room."""
        return self._engine

    @property
    def sealed(self) -> bool:
        """Whether words lie only in sealed captures, so that nobody can read them here."""
        return (
            bool(self.settings.capture.keep and self.settings.capture.seal_to)
            and not (self.folder / READABLE).exists()
        )

    @property
    def key_place(self) -> str:
        """Where the key of the pseudonyms lies: a path, or the name of a variable."""
        return self.naming.origin

    # -- the past ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def past(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The journal with its unflushed tail, as DuckDB views; nothing else is queried."""
        while True:
            tail = self._tail(self.journal.upto)
            if self._write:
                break
            again = Journal.open(self.folder / JOURNAL)
            if again.manifest == self.journal.manifest:
                break
            self.journal = again  # the writer moved the tail meanwhile: read what is left of it
        connection = self.journal.connect(tail)
        try:
            yield connection
        finally:
            connection.close()

    def _tail(self, upto: int) -> dict[str, columns.Columns]:
        """Rows of the tail later than commit `upto`, as columns."""
        with self._engine.connect() as connection:
            return {name: present.tail(connection, name, upto) for name in columns.TABLES}

    def has_rows(self, name: str) -> bool:
        """Whether a table of the past holds anything; told without starting DuckDB."""
        if any(segment.table == name for segment in self.journal.manifest.segments):
            return True
        query = sa.select(present.TAILS[name].c.row).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def routes(self) -> list[Coverage]:
        """What is known of the ways to the platforms, in order: see `columns.ROUTES`."""
        name = columns.COVERAGE.name
        if self._write and all(s.table != name for s in self.journal.manifest.segments):
            tail = present.TAILS[name]  # all there is, and read before DuckDB has started
            query = sa.select(tail.c.subject, tail.c.since, tail.c.until, tail.c.what, tail.c.why)
            query = query.where(tail.c.what.in_(columns.ROUTES))
            with self._engine.connect() as connection:
                rows = connection.execute(query.order_by(tail.c.since, tail.c.until)).all()
            return [Coverage(*row) for row in rows]
        with self.past() as con:
            found = con.execute(
                "select subject, since, until, what, why from coverage"
                f" where what in ({', '.join('?' * len(columns.ROUTES))}) order by since, until",
                list(columns.ROUTES),
            ).fetchall()
        return [Coverage(*row) for row in found]

    # -- writing ----------------------------------------------------------------------------

    def next_leaf(self) -> int:
        """The leaf of the log that the next evidence will be; only where bytes are kept."""
        if self.proof is None:
            raise ValueError("this observatory keeps no captures")
        return self.proof.next_leaf()

    def next_post_id(self) -> int:
        self._next_post += 1
        return self._next_post - 1

    def next_account_id(self) -> int:
        self._next_account += 1
        return self._next_account - 1

    def next_run(self) -> int:
        """A row of the tail for a run that begins now."""
        return self._next_row("observations")

    def _next_row(self, name: str) -> int:
        self._next_rows[name] += 1
        self._waiting += 1
        return self._next_rows[name] - 1

    def add_account(self, account: Account, now: Micros) -> bool:
        """Watch `account` from now on; False if it was watched already."""
        c = present.accounts.c
        with storage(self.folder), self._engine.begin() as connection:
            known = connection.execute(
                sa.select(c.id, c.watched).where(c.key == account.key)
            ).first()
            if known is not None:
                connection.execute(
                    present.accounts.update().where(c.id == known.id).values(watched=True, due=now)
                )
                return not known.watched
        row = AccountRow(self.next_account_id(), account, "", Track(due=now))
        self.commit(Entry(new_accounts=[row]), now)
        return True

    def begin_session(self, now: Micros) -> None:
        """Note that the watch is looking from now on, and the gap since it last was."""
        c = present.sessions.c
        entry = Entry(session=now)
        with self._engine.connect() as connection:
            last = connection.execute(sa.select(c.began_at, c.last_at)).first()
        if last is not None:
            entry.coverage.append(Coverage("watch", last.began_at, last.last_at, columns.WATCHED))
            if now - last.last_at > GAP:
                why = "the watch was not running"
                entry.coverage.append(Coverage("watch", last.last_at, now, columns.GAP, why))
        self._looking = True
        self.commit(entry, now)

    def end_session(self, now: Micros) -> None:
        """Note the last moment at which the watch was looking."""
        self._looking = self._scheduling = False
        with storage(self.folder), self._engine.begin() as connection:
            connection.execute(present.sessions.update().values(last_at=now))

    def commit(self, entry: Entry, now: Micros) -> int:
        """Keep `entry`, all or nothing; its sequence number is the acknowledgement."""
        try:
            return self._commit(entry, now)
        except BaseException:
            if self.proof is not None and (
                entry.evidence or entry.record
            ):  # its bytes count for nothing
                self.proof = None
                with contextlib.suppress(ObservatoryError):
                    self.open_proof()
            raise

    def _commit(self, entry: Entry, now: Micros) -> int:
        seq = self.seq + 1
        looks = self.looks + sum(
            change.observation.looks for change in entry.changes if change.observation is not None
        )
        bare = self.proof is not None and self.proof.sealed  # words lie sealed with the bytes, only
        with storage(self.folder), self._engine.begin() as connection:
            if self.proof is not None:
                self.proof.keep(connection, chain(entry.evidence, entry.record))
            keep(connection, entry, seq, self._next_row, self.vault, bare=bare)
            for key, value in (("seq", seq), ("looks", looks)):
                connection.execute(
                    present.meta.update().where(present.meta.c.key == key).values(value=str(value))
                )
            if self._looking:
                connection.execute(present.sessions.update().values(last_at=now))
            if not self._scheduling:
                present.unschedule(connection)
        entry.clear()  # a peer's record and its way into the journal would not fit side by side
        if self.proof is not None:
            self.proof.acknowledged(now)
        self.seq, self.looks = seq, looks
        if self._waiting >= self.settings.journal.flush_rows:
            self.flush()
        return seq

    def learnt(self) -> str:
        """What `keep_learnt` kept last; "" if nothing."""
        with self._engine.connect() as connection:
            query = sa.select(present.meta.c.value).where(present.meta.c.key == present.LEARNT)
            return str(connection.execute(query).scalar() or "")

    def keep_learnt(self, text: str) -> None:
        """Keep what the schedule has learnt of hazards. It names nobody but by row number."""
        self._keep_word(present.LEARNT, text)

    def keep_scheduling(self, token: str, arms: Sequence[tuple[str, str]]) -> None:
        """Keep the token of the schedule's columns, and by number of arm its platform and host.

        It counts until the session ends, or a later opening commits: whoever calls this keeps the
        columns in step with the commits that follow.
        """
        sealed = [(platform, self.vault.seal_word(host, HOST)) for platform, host in arms]
        self._keep_word(present.SCHEDULE, json.dumps({"token": token, "arms": sealed}))
        self._scheduling = True

    def _keep_word(self, key: str, value: str) -> None:
        insert = present.meta.insert().prefix_with("OR REPLACE")
        with storage(self.folder), self._engine.begin() as connection:
            connection.execute(insert, {"key": key, "value": value})

    def declare(
        self,
        what: str,
        details: Mapping[str, object],
        now: Micros,
        meta: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Enter a public statement into the log; its leaf, which the next checkpoint covers.

        `meta` is kept in the same commit: what is to be done because of it.
        """
        if self.proof is None:
            raise ValueError("this observatory keeps no log")
        with storage(self.folder), self._engine.begin() as connection:
            leaf = self.proof.state(self.folder, connection, what, details, now)
            for key, value in meta.items():
                insert = present.meta.insert().prefix_with("OR REPLACE")
                connection.execute(insert, {"key": key, "value": value})
        self.proof.logged()
        return leaf

    def flush(self) -> None:
        """Move the tail into the journal."""
        with storage(self.folder):
            with self._engine.connect() as connection:
                self.journal.flush(present.Tail(connection, self.journal.upto), self.seq)
            self._drop_moved()
            self.oldest_run = self._next_rows["observations"]
            self._waiting = 0

    def forget_rows(self, subject_keys: Collection[str]) -> forgetting.Forgotten:
        """Forget posts and accounts by key, see `forgetting.forget`; not while a watch runs."""
        with storage(self.folder):
            done = forgetting.forget(self._engine, self.journal, subject_keys)
            for copy in (SCHEDULE, SHELF):  # a row's times are the post's, too
                if (self.folder / copy).exists():
                    shutil.rmtree(self.folder / copy)
        self.looks = self.acknowledged_looks()
        return done

    def _drop_moved(self) -> None:
        """Drop rows of the tail that the journal holds; later looks begin new runs.

        Runs before `oldest_run` are in the journal and can no longer be extended; rows that the
        watch holds in memory may still name them.
        """
        upto = self.journal.upto
        with self._engine.begin() as connection:
            for table in present.TAILS.values():
                connection.execute(table.delete().where(table.c.seq <= upto))
            kept = sa.select(present.TAILS["observations"].c.row)
            for table in (present.posts, present.accounts):
                connection.execute(
                    table.update()
                    .where(table.c.run.is_not(None) & table.c.run.not_in(kept))
                    .values(run=None)
                )
