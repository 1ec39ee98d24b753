"""Segments as files: Parquet written and read by an in-process DuckDB, described and checked.

In: columns, or SQL over segments, and a path. Out: `manifest.Segment`, and what is wrong with one.
Which segments count is the business of `journal`; nothing here reads or writes its manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from vanished.archive.columns import OBSERVATIONS, TABLES, Columns, Table
from vanished.archive.durable import TEMPORARY, make_folder, settle
from vanished.archive.manifest import Segment
from vanished.model import DAY, Micros

SPILL: Final = "spill"  # for what does not fit into memory; DuckDB keeps it clean by itself


def write_segments(
    folder: Path, tables: Mapping[str, Columns], upto: int, written: list[Path]
) -> list[Segment]:
    """Write the segments of one flush; each path is in `written` before it can exist."""
    segments: list[Segment] = []
    with own_duckdb(folder) as connection:
        for name in tables:
            table, columns = TABLES[name], tables[name]
            load(connection, table, columns, name)
            for where, condition in _partitions(table, columns):
                path = folder / name / where / f"{upto:016d}.parquet"
                rows = f"SELECT * FROM {name} WHERE {condition}"
                segments.append(write_segment(connection, folder, table, rows, path, written))
            run(connection, f"DROP TABLE {name}")
            del columns  # an import's are large: one table at a time
    return segments


def write_segment(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    table: Table[Any],
    rows: str,
    path: Path,
    written: list[Path],
) -> Segment:
    """Write what `rows` (SQL) selects to `path`, which counts for nothing until a manifest does."""
    temporary = path.with_name(path.name + TEMPORARY)
    written += [temporary, path]
    make_folder(path.parent)
    run(
        connection,
        f"COPY ({rows} ORDER BY 1, 2) TO {literal(str(temporary))} "
        "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)",
    )
    settle(temporary, path)
    summary = _summary(connection, table, f"({rows})")
    relative = str(path.relative_to(folder))
    return Segment(relative, table.name, *summary, path.stat().st_size, _sha256(path))


def subject_column(table: Table[Any]) -> str:
    """The column that names whom a row of `table` is about: always the first."""
    return next(iter(table.fields))


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


def load(
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
    run(connection, f"CREATE TABLE {name} AS SELECT {casts} FROM given")
    connection.unregister("given")


def _summary(
    connection: duckdb.DuckDBPyConnection, table: Table[Any], source: str
) -> tuple[int, int, Micros | None, Micros | None]:
    """Rows, looks, first and last time of what `source` (SQL) selects."""
    # A verdict's looks are counted among the observations already.
    looks = "CAST(coalesce(sum(looks), 0) AS BIGINT)" if table is OBSERVATIONS else "0"
    ((rows, total, first, last),) = run(
        connection,
        f'SELECT count(*), {looks}, min("{table.since}"), max("{table.until}") FROM {source}',
    )
    return rows, total, first, last


def damage_of(connection: duckdb.DuckDBPyConnection, folder: Path, segment: Segment) -> str:
    path = folder / segment.path
    damage = looks_wrong(path, segment)
    if damage:
        return damage
    try:
        if _sha256(path) != segment.sha256:
            return "has another SHA-256 than the manifest says"
        table = TABLES[segment.table]
        source = scan_one(path)
        run(connection, f"SELECT {names_of(table)} FROM {source} LIMIT 0")
        counts = _summary(connection, table, source)
    except (OSError, duckdb.Error) as error:
        return f"cannot be read: {first_line(error)}"
    stated = (segment.rows, segment.looks, segment.first, segment.last)
    if counts != stated:
        return f"holds rows, looks, first, last of {counts}, the manifest says {stated}"
    return ""


def scan_one(path: Path) -> str:
    """One segment as DuckDB reads it."""
    return f"read_parquet({literal(no_glob(str(path)))}, hive_partitioning = false)"


def looks_wrong(path: Path, segment: Segment) -> str:
    """What a glance at the folder finds wrong with a segment; "" if nothing."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if size == segment.size else f"has {size} bytes, the manifest says {segment.size}"


def own_duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    """An empty in-process database that asks no network and spills only into the journal."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "temp_directory": str(folder / SPILL),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    run(connection, "SET enable_progress_bar = false")  # it would get into piped output
    return connection


def sweep_spill(folder: Path) -> None:
    """Remove what a killed process spilled; DuckDB itself would only when it next has to spill."""
    for path in (folder / SPILL).glob("duckdb_temp_*"):
        number = path.name.split("_")[2]  # of the process
        if number.isdecimal() and not _is_alive(int(number)):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    """Execute and fetch: DuckDB 2 runs a statement only as far as its result is fetched."""
    return connection.execute(sql).fetchall()


def names_of(table: Table[Any]) -> str:
    return ", ".join(f'"{name}"' for name in table.fields)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def no_glob(path: str) -> str:
    """A path that DuckDB takes as it is, even if the folder's name has a wildcard in it."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
