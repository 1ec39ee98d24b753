"""The past: immutable Parquet segments and the manifest that says which of them count.

In: columns of facts and verdicts that the present has acknowledged, with the sequence number up to
which they go. Out: a DuckDB connection whose views are the past, plus the tail that is not here
yet. A segment counts once the manifest lists it; nothing that counts is ever changed or removed.

One writer at a time: the observatory's lock sees to that, not this module. Readers need no lock:
they keep to the segments of the manifest that they opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from vanished.archive.columns import OBSERVATIONS, TABLES, Columns, Table
from vanished.archive.durable import (
    TEMPORARY,
    make_folder,
    refusals,
    settle,
    sync_folder,
)
from vanished.archive.manifest import MANIFEST, Manifest, Segment, read_manifest, write_manifest
from vanished.errors import DamagedError, ObservatoryError, StorageError
from vanished.model import DAY, Micros, Observation

SPILL: Final = "spill"  # for what does not fit into memory; DuckDB keeps it clean by itself


@dataclass(frozen=True, slots=True)
class Damage:
    """A segment that is not what the manifest says, and in which way."""

    path: Path
    what: str


class Journal:
    """A journal folder as it stood when it was opened; `open` or `create` one.

    `manifest` is what is on the disk, as far as this process is the only writer: it is replaced
    only after the new one has been written there.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, writable: bool) -> None:
        self.folder = folder
        self.manifest = manifest
        self._writable = writable

    @classmethod
    def create(cls, folder: Path) -> Journal:
        """Make an empty journal in a new or empty folder. Raises StorageError, or if it is not."""
        if folder.exists() and any(folder.iterdir()):
            raise ObservatoryError(f"{folder} already holds files; use another folder")
        with refusals(f"make the journal {folder}"):
            make_folder(folder)
            write_manifest(folder, Manifest(0, ()))
        return cls.open(folder, writable=True)

    @classmethod
    def open(cls, folder: Path, *, writable: bool = False) -> Journal:
        """Open the journal in `folder`; a writer also removes what a crash left half done.

        Raises DamagedError where the manifest is missing, unreadable or older than its segments.
        """
        journal = cls(folder, read_manifest(folder), writable=writable)
        if writable:
            with refusals(f"clean up the journal {folder}"):
                _remove_orphans(folder, journal.manifest)
        return journal

    @property
    def upto(self) -> int:
        """Sequence number of the last acknowledged record that the journal holds."""
        return self.manifest.upto

    def flush(self, tables: Mapping[str, Columns], upto: int) -> None:
        """Add `tables` (name -> columns of `columns.TABLES`), all of it or nothing.

        They hold the acknowledged records after `self.upto`, up to and including `upto`. With an
        `upto` that the journal already holds, nothing happens: a crash between this call and the
        deletion of the tail doubles nothing. Raises StorageError; the journal is then as before.
        """
        if not self._writable:
            raise ValueError(f"the journal {self.folder} was opened for reading")
        if upto <= self.upto:
            return
        written: list[Path] = []
        try:
            with _failures(f"add to the journal {self.folder}"):
                added = _write_segments(self.folder, tables, upto, written)
                for folder in sorted({path.parent for path in written}):
                    sync_folder(folder)
                manifest = Manifest(upto, (*self.manifest.segments, *added))
                write_manifest(self.folder, manifest)
                self.manifest = manifest
        except BaseException:
            self._undo(written)
            raise

    def _undo(self, written: list[Path]) -> None:
        """Remove what a failed flush wrote, unless its manifest made it to the disk after all."""
        with suppress(ObservatoryError):  # unreadable now: the next writable open decides
            self.manifest = read_manifest(self.folder)
            counted = {self.folder / segment.path for segment in self.manifest.segments}
            for path in written:
                if path not in counted:
                    with suppress(OSError):
                        path.unlink(missing_ok=True)

    def connect(self, tail: Mapping[str, Columns] | None = None) -> duckdb.DuckDBPyConnection:
        """An in-process DuckDB with one view a table: the past, then the tail if one is given.

        The views read exactly the segments of the manifest, in columns as `columns.TABLES` states
        them. Read the tail after opening the journal, and only records after `upto`. Raises
        DamagedError if a segment is missing or has another size.
        """
        for segment in self.manifest.segments:
            damage = _looks_wrong(self.folder / segment.path, segment)
            if damage:
                raise DamagedError(
                    f"the journal's segment {self.folder / segment.path} {damage}; "
                    f"restore it from a backup (vanished doctor lists all such files)"
                )
        connection = _duckdb(self.folder)
        for name, table in TABLES.items():
            parts = [self._scan(table)]
            if tail is not None and name in tail:
                _load(connection, table, tail[name], f"tail_{name}")
                parts.append(f"SELECT * FROM tail_{name}")
            _run(connection, f'CREATE VIEW "{name}" AS {" UNION ALL ".join(parts)}')
        return connection

    def _scan(self, table: Table[Any]) -> str:
        paths = [
            _literal(_no_glob(str(self.folder / segment.path)))
            for segment in self.manifest.segments
            if segment.table == table.name
        ]
        if not paths:
            nothing = ", ".join(
                f'CAST(NULL AS {field.type}) AS "{name}"' for name, field in table.fields.items()
            )
            return f"SELECT {nothing} WHERE false"
        return (
            f"SELECT {_names(table)} "
            f"FROM read_parquet([{', '.join(paths)}], hive_partitioning = false)"
        )

    def observations_of(
        self, subject: str, tail: Mapping[str, Columns] | None = None
    ) -> list[Observation]:
        """Every observation of a subject, oldest first."""
        connection = self.connect(tail)
        try:
            found = connection.execute(
                "SELECT * FROM observations WHERE subject = ? ORDER BY asked_at, answered_at",
                [subject],
            )
            return OBSERVATIONS.decode(found.fetchnumpy())
        except duckdb.Error as error:
            raise DamagedError(
                f"could not read the journal {self.folder}: {_first_line(error)}; "
                f"run vanished doctor to find the damaged segment"
            ) from error
        finally:
            connection.close()

    def verify(self) -> list[Damage]:
        """Read every segment in full and compare it with the manifest; [] if all is well."""
        with _duckdb(self.folder) as connection:
            checked = (
                (self.folder / segment.path, _damage(connection, self.folder, segment))
                for segment in self.manifest.segments
            )
            return [Damage(path, what) for path, what in checked if what]


def _write_segments(
    folder: Path, tables: Mapping[str, Columns], upto: int, written: list[Path]
) -> list[Segment]:
    """Write the segments of one flush; each path is in `written` before it can exist."""
    segments: list[Segment] = []
    with _duckdb(folder) as connection:
        for name, columns in tables.items():
            table = TABLES[name]
            _load(connection, table, columns, name)
            for where, condition in _partitions(table, columns):
                path = folder / name / where / f"{upto:016d}.parquet"
                temporary = path.with_name(path.name + TEMPORARY)
                written += [temporary, path]
                make_folder(path.parent)
                rows = f"SELECT * FROM {name} WHERE {condition}"
                _run(
                    connection,
                    f"COPY ({rows} ORDER BY 1, 2) TO {_literal(str(temporary))} "
                    "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)",
                )
                settle(temporary, path)
                relative = str(path.relative_to(folder))
                segments.append(
                    Segment(
                        relative,
                        name,
                        *_summary(connection, table, f"({rows})"),
                        path.stat().st_size,
                        _sha256(path),
                    )
                )
    return segments


def _partitions(table: Table[Any], columns: Columns) -> Iterator[tuple[str, str]]:
    """(sub-folder, SQL condition) of each segment that the rows go to; none for no rows."""
    times = np.asarray(columns[table.since])
    if not times.size:
        return
    if not table.daily:
        yield "", "true"
        return
    for day in np.unique(times // DAY).tolist():
        since = day * DAY
        yield (
            f"day={np.datetime64(day, 'D')}",
            f'"{table.since}" >= {since} AND "{table.since}" < {since + DAY}',
        )


def _load(
    connection: duckdb.DuckDBPyConnection, table: Table[Any], columns: Columns, name: str
) -> None:
    """Copy `columns` into a table `name` with the declared types."""
    if set(columns) != set(table.fields) or len({len(values) for values in columns.values()}) != 1:
        raise ValueError(
            f"columns for {table.name} must be {', '.join(table.fields)}, equally long"
        )
    connection.register("given", dict(columns))
    casts = ", ".join(
        f'CAST("{field}" AS {kind.type}) AS "{field}"' for field, kind in table.fields.items()
    )
    _run(connection, f"CREATE TABLE {name} AS SELECT {casts} FROM given")
    connection.unregister("given")


def _summary(
    connection: duckdb.DuckDBPyConnection, table: Table[Any], source: str
) -> tuple[int, int, Micros | None, Micros | None]:
    """Rows, looks, first and last time of what `source` (SQL) selects."""
    # A verdict's looks are counted among the observations already.
    looks = "CAST(coalesce(sum(looks), 0) AS BIGINT)" if table is OBSERVATIONS else "0"
    ((rows, total, first, last),) = _run(
        connection,
        f'SELECT count(*), {looks}, min("{table.since}"), max("{table.until}") FROM {source}',
    )
    return rows, total, first, last


def _damage(connection: duckdb.DuckDBPyConnection, folder: Path, segment: Segment) -> str:
    path = folder / segment.path
    damage = _looks_wrong(path, segment)
    if damage:
        return damage
    try:
        if _sha256(path) != segment.sha256:
            return "has another SHA-256 than the manifest says"
        table = TABLES[segment.table]
        source = f"read_parquet({_literal(_no_glob(str(path)))}, hive_partitioning = false)"
        _run(connection, f"SELECT {_names(table)} FROM {source} LIMIT 0")
        counts = _summary(connection, table, source)
    except (OSError, duckdb.Error) as error:
        return f"cannot be read: {_first_line(error)}"
    stated = (segment.rows, segment.looks, segment.first, segment.last)
    if counts != stated:
        return f"holds rows, looks, first, last of {counts}, the manifest says {stated}"
    return ""


def _looks_wrong(path: Path, segment: Segment) -> str:
    """What a glance at the folder finds wrong with a segment; "" if nothing."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if size == segment.size else f"has {size} bytes, the manifest says {segment.size}"


def _remove_orphans(folder: Path, manifest: Manifest) -> None:
    """Delete segments that never counted: those of the one flush that a crash cut short.

    Segments of several flushes after the manifest's are no crash but an old manifest put back.
    """
    counted = {folder / segment.path for segment in manifest.segments}
    orphans: list[Path] = []
    for table in TABLES:
        for path in (folder / table).glob("**/*.parquet*"):
            if path.name.endswith(TEMPORARY):
                path.unlink()
            elif path not in counted and path.stem.isdecimal():
                orphans.append(path)
    later = {path.stem for path in orphans if int(path.stem) > manifest.upto}
    if len(later) > 1:
        raise DamagedError(
            f"the journal's manifest {folder / MANIFEST} does not know the segments of "
            f"{len(later)} flushes (such as {orphans[0]}), more than a crash can leave; "
            f"nothing was deleted: put the newest manifest back, or move the segments away"
        )
    for path in orphans:
        path.unlink()
    for path in folder.glob(f"*{TEMPORARY}"):
        path.unlink()


@contextmanager
def _failures(doing: str) -> Iterator[None]:
    """Turn the refusals of the operating system, also those that DuckDB met, into StorageError."""
    with refusals(doing):
        try:
            yield
        except duckdb.Error as error:
            full = "No space left" in str(error)
            why = "the disk is full; make room and start again" if full else _first_line(error)
            raise StorageError(f"could not {doing}: {why}") from error


def _duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    """An empty in-process database that asks no network and spills only into the journal."""
    return duckdb.connect(
        ":memory:",
        config={
            "temp_directory": str(folder / SPILL),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )


def _run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    """Execute and fetch: DuckDB 2 runs a statement only as far as its result is fetched."""
    return connection.execute(sql).fetchall()


def _names(table: Table[Any]) -> str:
    return ", ".join(f'"{name}"' for name in table.fields)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _no_glob(path: str) -> str:
    """A path that DuckDB takes as it is, even if the folder's name has a wildcard in it."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
