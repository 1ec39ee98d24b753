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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from vanished.archive import columns, erasing, forgetting, present, pseudonyms
from vanished.archive.columns import OBSERVATIONS, Coverage
from vanished.archive.folder import JOURNAL, READABLE, furnish, located, take_lock
from vanished.archive.journal import Journal
from vanished.archive.keeping import keep, seal_old
from vanished.archive.mapping import (
    HOST,
    POSTS,
    POSTS_BY_ID,
    account_row,
    post_row,
)
from vanished.archive.present import storage
from vanished.archive.proof import Proof
from vanished.archive.rows import AccountRow, Entry, PostRow, Track
from vanished.archive.settings import Settings
from vanished.archive.vault import Vault
from vanished.errors import (
    DamagedError,
    ObservatoryError,
    UsageError,
)
from vanished.model import ENDED, Account, Micros, Observation, Verdict, Version

MOST_BOUND = 10_000  # values in one IN: SQLite binds at most 32,766
GAP: Micros = 60_000_000  # a pause of the watch longer than this is a gap in the coverage


class Observatory:
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
    def create(cls, folder: Path, seal_to: Sequence[str] = ()) -> Self:
        """Make a new observatory in a new or empty folder and open it for writing.

        What it captures is sealed to the age recipients `seal_to`; none leaves it readable.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not an empty folder; name a new one.")
        existed = folder.exists()
        with storage(folder):
            try:
                furnish(folder, seal_to)
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

    # -- reading the present ----------------------------------------------------------------

    def account_rows(self) -> list[AccountRow]:
        """The accounts that are watched."""
        query = sa.select(present.accounts).where(present.accounts.c.watched)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by("id")).mappings()
            return [account_row(row, self.vault) for row in found]

    def account_ids(self) -> dict[str, int]:
        """Row numbers of all accounts that we know, watched or not, by key."""
        c = present.accounts.c
        with self._engine.connect() as connection:
            return {row.key: row.id for row in connection.execute(sa.select(c.key, c.id))}

    def account_names(self) -> dict[str, str]:
        """Key to the name that the platform uses; for eyes inside the team only."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(present.accounts)).mappings().all()
        accounts = [account_row(row, self.vault).account for row in found]
        return {account.key: account.name or account.native_id for account in accounts}

    def account_verdicts(self) -> dict[int, Verdict]:
        """Verdicts on accounts, by row number."""
        query = sa.select(present.accounts.c.id, present.verdicts.c.facts).join(
            present.verdicts, present.verdicts.c.subject == present.accounts.c.key
        )
        with self._engine.connect() as connection:
            return {row.id: _verdict(json.loads(row.facts)) for row in connection.execute(query)}

    def schedule_columns(
        self, host: Callable[[str], int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Row numbers, hosts and dates of all posts that are scheduled, in one scan."""
        c = present.posts.c
        ids: list[int] = []
        hosts: list[int] = []
        due: list[int] = []
        with self._engine.connect() as connection:
            found = connection.execution_options(yield_per=10_000).execute(
                sa.select(c.id, c.host, c.due).where(c.host != b"")
            )
            for number, sealed, date in found:
                ids.append(number)
                hosts.append(host(self.vault.open_often(sealed, HOST)))
                due.append(date)
        return (
            np.array(ids, dtype=np.int64),
            np.array(hosts, dtype=np.int32),
            np.array(due, dtype=np.int64),
        )

    def post_rows(self, numbers: Sequence[int]) -> list[PostRow]:
        """Rows of these posts, in the order asked for."""
        with self._engine.connect() as connection:
            rows = connection.execute(POSTS_BY_ID, {"numbers": list(numbers)}).all()
        found = {row[0]: post_row(row, self.vault) for row in rows}
        return [found[number] for number in numbers]

    def post_rows_by_key(self, keys: Sequence[str]) -> dict[str, PostRow]:
        """Rows of those of these keys that we know."""
        found: dict[str, PostRow] = {}
        for start in range(0, len(keys), MOST_BOUND):
            part = keys[start : start + MOST_BOUND]
            found |= {row.subject: row for row in self._posts(present.posts.c.key.in_(part))}
        return found

    def live_rows(self, account: int, since: Micros) -> list[PostRow]:
        """An account's posts that are not known lost, published since `since`."""
        c = present.posts.c
        return self._posts((c.account_id == account) & _LIVE & (c.published_at >= since))

    def open_rows(self, account: int) -> list[PostRow]:
        """An account's posts that its loss may concern: the live ones, and those with a case."""
        c = present.posts.c
        return self._posts((c.account_id == account) & (_LIVE | c.has_case))

    def _posts(self, where: sa.ColumnElement[bool]) -> list[PostRow]:
        with self._engine.connect() as connection:
            rows = connection.execute(POSTS.where(where)).all()
        return [post_row(row, self.vault) for row in rows]

    def case(self, subject: str) -> list[Observation]:
        """The definite facts on `subject` since its first answer other than "alive"."""
        facts = self._facts(present.cases, subject)
        return [] if facts is None else [OBSERVATIONS.from_row(*row) for row in facts]

    def verdict(self, subject: str) -> Verdict | None:
        """The current verdict on `subject`."""
        facts = self._facts(present.verdicts, subject)
        return None if facts is None else _verdict(facts)

    def verdicts(self) -> list[Verdict]:
        """The current verdict on every subject that has one."""
        with self._engine.connect() as connection:
            return [
                _verdict(json.loads(row.facts))
                for row in connection.execute(sa.select(present.verdicts.c.facts))
            ]

    def first_sights(self) -> dict[str, Micros]:
        """When each post was first seen, by key."""
        c = present.posts.c
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(c.key, c.first_seen_at))
            return {row.key: row.first_seen_at for row in found}

    def _facts(self, table: sa.Table, subject: str) -> Any:
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.select(table.c.facts).where(table.c.subject == subject)
            ).scalar()
        return None if found is None else json.loads(found)

    def failing_posts(self, failures: int) -> list[tuple[str, int, int]]:
        """Hosts with posts whose last `failures` looks failed: host, such posts, all its posts."""
        c = present.posts.c
        failing = sa.func.count().filter(c.failures >= failures)
        query = sa.select(c.host, failing, sa.func.count()).group_by(c.host).having(failing > 0)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [(self.vault.open_often(row[0], HOST), row[1], row[2]) for row in rows]

    def integrity(self) -> str:
        """What SQLite's own check finds wrong with the present; "" if nothing."""
        with self._engine.connect() as connection:
            found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return "" if found == "ok" else found

    def acknowledged_looks(self) -> int:
        """How many looks were ever acknowledged, read afresh."""
        return forgetting.acknowledged(self._engine, self.folder / JOURNAL)

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
        found: dict[str, columns.Columns] = {}
        with self._engine.connect() as connection:
            for name, kind in columns.TABLES.items():
                table = present.TAILS[name]
                query = sa.select(*(table.c[field] for field in kind.fields))
                rows = connection.execute(query.where(table.c.seq > upto).order_by(table.c.row))
                found[name] = kind.of_rows([tuple(row) for row in rows])
        return found

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
        self._looking = False
        with storage(self.folder), self._engine.begin() as connection:
            connection.execute(present.sessions.update().values(last_at=now))

    def commit(self, entry: Entry, now: Micros) -> int:
        """Keep `entry`, all or nothing; its sequence number is the acknowledgement."""
        try:
            return self._commit(entry, now)
        except BaseException:
            if self.proof is not None and entry.evidence:  # its bytes count for nothing
                self.proof = None
                with contextlib.suppress(ObservatoryError):
                    self.open_proof()
            raise

    def _commit(self, entry: Entry, now: Micros) -> int:
        seq = self.seq + 1
        looks = self.looks + sum(
            change.observation.looks for change in entry.changes if change.observation is not None
        )
        if self.proof is not None and self.proof.sealed:  # words lie sealed with the bytes, only
            entry.versions = [replace(w, version=Version(w.version.hash)) for w in entry.versions]
        with storage(self.folder), self._engine.begin() as connection:
            if self.proof is not None:
                self.proof.keep(connection, entry.evidence)
            keep(connection, entry, seq, self._next_row, self.vault)
            for key, value in (("seq", seq), ("looks", looks)):
                connection.execute(
                    present.meta.update().where(present.meta.c.key == key).values(value=str(value))
                )
            if self._looking:
                connection.execute(present.sessions.update().values(last_at=now))
        if self.proof is not None:
            self.proof.acknowledged(now)
        self.seq, self.looks = seq, looks
        if self._waiting >= self.settings.journal.flush_rows:
            self.flush()
        return seq

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
            self.journal.flush(self._tail(self.journal.upto), self.seq)
            self._drop_moved()
            self.oldest_run = self._next_rows["observations"]
            self._waiting = 0

    def forget_rows(self, subject_keys: Collection[str]) -> forgetting.Forgotten:
        """Forget posts and accounts by key, see `forgetting.forget`; not while a watch runs."""
        with storage(self.folder):
            done = forgetting.forget(self._engine, self.journal, subject_keys)
        self.looks = self.acknowledged_looks()
        return done

    def is_forgotten(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys of posts that were forgotten: they are not to be met again."""
        c = present.forgotten.c.key
        found: set[str] = set()
        with self._engine.connect() as connection:
            for start in range(0, len(keys), MOST_BOUND):
                part = keys[start : start + MOST_BOUND]
                found.update(connection.execute(sa.select(c).where(c.in_(part))).scalars())
        return found

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


_LIVE = present.posts.c.state.not_in([state.value for state in ENDED])


def _verdict(row: Sequence[Any]) -> Verdict:
    return columns.VERDICTS.from_row(*row).verdict
