"""The present: the small, mutable database of an observatory, through SQLAlchemy Core.

Tables of watched accounts and live posts with their schedule columns, the definite facts of open
cases, current verdicts, and the *tail*: rows of the journal that are kept here until they are moved
into Parquet. The tail's columns are the journal's (`columns.TABLES`), so that the schema of the
past is written once.

What names an author (native id, name, address, host, cursor) is sealed, see `vault` and `mapping`.
SQLite in WAL mode with synchronous=FULL: a commit that returned survives a crash of the machine;
and with secure_delete: what is deleted is overwritten. One writer; it holds `writer.lock`. The
migrations in `migrations/` make these tables; a test checks that they make exactly what stands
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import sqlalchemy as sa

from vanished.archive import columns
from vanished.archive.durable import refusals
from vanished.archive.vault import Vault
from vanished.errors import DamagedError, StorageError

if TYPE_CHECKING:
    from alembic.config import Config

FILE = "present.sqlite"
SCHEMA: Final = "0006"  # the newest migration: what this program reads and writes
SCRUB: Final = "scrub"  # key of meta: old pages may still hold what was deleted
AT_ONCE = 1000  # rows that are handed to the database together
SCHEDULE: Final = "schedule"  # key of meta: what belongs to the schedule's columns, as JSON
LEARNT: Final = "learnt"  # key of meta: what the schedule knows of hazards, as JSON
BUSY_S = 10.0  # how long to wait for others who hold the database
metadata = sa.MetaData()

_TYPES: dict[str, type[Any]] = {
    "VARCHAR": sa.Text,
    "BIGINT": sa.BigInteger,
    "BOOLEAN": sa.Boolean,
}


def _tracking() -> list[sa.Column[Any]]:
    """The columns of `rows.Track`, the same for accounts and posts."""
    return [
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("first_alive_at", sa.BigInteger),
        sa.Column("first_alive_answered_at", sa.BigInteger),
        sa.Column("last_alive_at", sa.BigInteger),
        sa.Column("last_alive_answered_at", sa.BigInteger),
        sa.Column("alive_looks", sa.BigInteger, nullable=False),
        sa.Column("gone_looks", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("absent", sa.Boolean, nullable=False),
        sa.Column("said", sa.BigInteger, nullable=False),
        sa.Column("last_asked_at", sa.BigInteger, nullable=False),
        sa.Column("run", sa.BigInteger),
        sa.Column("has_case", sa.Boolean, nullable=False),
        sa.Column("proven", sa.Boolean, nullable=False),
    ]


def _tail(table: str) -> sa.Table:
    """A table of journal rows not yet moved; `seq` is the commit that last touched the row."""
    return sa.Table(
        f"tail_{table}",
        metadata,
        sa.Column("row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, _TYPES[field.type], nullable=field.optional)
            for name, field in columns.TABLES[table].fields.items()
        ),
    )


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("who", sa.LargeBinary, nullable=False),  # sealed: native id, name, url
    sa.Column("added_at", sa.BigInteger, nullable=False),
    sa.Column("watched", sa.Boolean, nullable=False),  # False: known from an import only
    sa.Column("cursor", sa.LargeBinary, nullable=False),  # sealed
    *_tracking(),
)

posts = sa.Table(
    "posts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("account_id", sa.Integer, sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("who", sa.LargeBinary, nullable=False),  # sealed: native id, url, repeats
    sa.Column("host", sa.LargeBinary, nullable=False),  # sealed; equal hosts are equal bytes
    sa.Column("published_at", sa.BigInteger),
    sa.Column("first_seen_at", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("pictures", sa.Text, nullable=False),  # pseudonym of its set of pictures
    sa.Column("awaited", sa.LargeBinary, nullable=False),  # sealed: those still to fetch
    *_tracking(),
)

cases = sa.Table(
    "cases",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("facts", sa.Text, nullable=False),  # JSON list of observation rows
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("facts", sa.Text, nullable=False),  # JSON of the verdict's row
)

forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),  # of posts that are not to be met again
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("began_at", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
)

streams = sa.Table(
    "streams",
    metadata,
    sa.Column("platform", sa.Text, primary_key=True),
    sa.Column("address", sa.LargeBinary, nullable=False),  # sealed; whose numbers `seq` is one of
    sa.Column("seq", sa.BigInteger, nullable=False),  # the last message whose hints were taken up
    sa.Column("at", sa.BigInteger, nullable=False),
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("origin", sa.LargeBinary, primary_key=True),  # sealed; equal ones are equal bytes
    sa.Column("vantage", sa.Text, primary_key=True),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

captures = sa.Table(
    "captures",
    metadata,
    sa.Column("leaf", sa.Integer, primary_key=True, autoincrement=False),  # index in the log
    sa.Column("hash", sa.LargeBinary, nullable=False),  # of the leaf, 32 bytes
    sa.Column("stored", sa.LargeBinary, nullable=False),  # SHA-256 of its bytes in the segment
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),  # "": a statement, or forgotten
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("length", sa.BigInteger, nullable=False),
)

shown = sa.Table(
    "shown",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),  # a subject, and
    sa.Column("leaf", sa.Integer, primary_key=True),  # a capture that shows it
    sa.Column("what", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

payloads = sa.Table(
    "payloads",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),  # of address and payload; see archive.proof
    sa.Column("leaf", sa.Integer, nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # WARC-Record-ID of the response that has it
    sa.Column("at", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

TAILS = {name: _tail(name) for name in columns.TABLES}


def connect(path: Path, *, write: bool) -> sa.Engine:
    """An engine on the database file; without `write` nothing can be changed through it."""
    mode = "rwc" if write else "rw"  # a reader of a WAL needs to write its shared memory
    engine = sa.create_engine(
        f"sqlite:///file:{quote(str(path.resolve()))}?mode={mode}&uri=true",
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
        hide_parameters=True,  # an error's text must not repeat what a row holds
    )

    @sa.event.listens_for(engine, "connect")
    def pragmas(connection: Any, record: object) -> None:
        del record
        cursor = connection.cursor()
        if write:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA secure_delete=ON")
        else:
            cursor.execute("PRAGMA query_only=ON")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def schema(connection: sa.Connection) -> str | None:
    """The migration that the database is at, None where it has no tables yet."""
    named = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    if connection.exec_driver_sql(named).first() is None:
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def migrate(engine: sa.Engine, vault: Vault) -> None:
    """Bring the database to the newest schema; all steps in one transaction.

    Check first that `vault` has the right key: what lay in the clear is sealed with it, and the
    old pages are gone when this returns (see `scrub`).
    """
    with engine.connect() as connection:
        if schema(connection) == SCHEMA:
            return
        connection.rollback()
        from alembic import command  # a fifth of what a command imports, and seldom needed

        config = _alembic()
        # Tables are made anew under other names: not while rows refer to them. SQLite heeds this
        # outside a transaction only, and begins none for statements that change a schema.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            config.attributes["vault"] = vault
            command.upgrade(config, "head")
            connection.execute(meta.insert().prefix_with("OR REPLACE"), {"key": SCRUB, "value": ""})
            connection.commit()
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
    scrub(engine)


def scrub(engine: sa.Engine) -> bool:
    """Leave no trace of deleted rows in the files, if `meta` says that there may be some.

    VACUUM writes every page anew and the log is cut to nothing. Says whether all traces are gone:
    while somebody reads old pages, they stay, and the next opening for writing tries again.
    """
    with engine.connect() as connection:
        wanted = connection.execute(sa.select(meta.c.value).where(meta.c.key == SCRUB)).first()
        connection.rollback()
        if wanted is None:
            return True
        connection.exec_driver_sql("VACUUM")
        if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar():
            return False  # busy
        connection.execute(meta.delete().where(meta.c.key == SCRUB))
        connection.commit()
    return True


def unschedule(connection: sa.Connection) -> None:
    """Somebody else than the schedule's keeper changes posts: its columns count no more."""
    connection.execute(meta.delete().where(meta.c.key == SCHEDULE))


def fingerprint(engine: sa.Engine) -> str:
    """The fingerprint of the key that this database was made with, in any of its schemas."""
    with engine.connect() as connection:
        found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "key")).scalar()
    if found is None:
        raise DamagedError(
            f"{FILE} does not say which key it was made with; restore it from a copy"
        )
    return str(found)


def check_schema(engine: sa.Engine, path: Path) -> None:
    """DamagedError unless the database has the schema that this program reads."""
    with engine.connect() as connection:
        have = schema(connection)
    if have != SCHEMA:
        raise DamagedError(
            f"{path} has schema {have}, this program reads {SCHEMA}; run any command that writes,"
            " such as vanished watch, to bring it up to date, or use a newer vanished."
        )


_REFUSED = ("full", "disk I/O", "readonly", "unable to open")
_DAMAGED = ("malformed", "not a database", "no such table")


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn what a full, failing or read-only disk raises into one sentence."""
    with refusals(f"write to {folder}"):
        try:
            yield
        except sa.exc.DatabaseError as error:
            reason = str(error.orig)
            if any(word in reason for word in _REFUSED):
                raise StorageError(
                    f"could not write to {folder}: {reason}; nothing was half written: make room"
                    " or set the rights, and start again"
                ) from None
            if any(word in reason for word in _DAMAGED):
                raise DamagedError(
                    f"{folder / FILE} is damaged ({reason}); restore it from a copy"
                ) from None
            raise


def insert_many(
    connection: sa.Connection, statement: sa.Insert, rows: Iterable[dict[str, Any]]
) -> None:
    """Run `statement` for all of `rows`, in parts: a commit may hold a peer's whole record."""
    coming = iter(rows)
    while part := list(islice(coming, AT_ONCE)):
        connection.execute(statement, part)


def tail(connection: sa.Connection, name: str, upto: int) -> columns.Columns:
    """Rows of a table of the tail later than commit `upto`, as columns."""
    table, kind = TAILS[name], columns.TABLES[name]
    query = sa.select(*(table.c[field] for field in kind.fields))
    return kind.gathered(connection.execute(query.where(table.c.seq > upto).order_by(table.c.row)))


class Tail(Mapping[str, columns.Columns]):
    """The same of every table, each read when it is asked for and held by whoever asked."""

    def __init__(self, connection: sa.Connection, upto: int) -> None:
        self._connection, self._upto = connection, upto

    def __getitem__(self, name: str) -> columns.Columns:
        return tail(self._connection, name, self._upto)

    def __iter__(self) -> Iterator[str]:
        return iter(columns.TABLES)

    def __len__(self) -> int:
        return len(columns.TABLES)
