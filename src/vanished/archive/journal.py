"""The past: immutable Parquet segments and the manifest that says which of them count.

In: columns of facts and verdicts that the present has acknowledged, with the sequence number up to
which they go. Out: a DuckDB connection whose views are the past, plus the tail that is not here
yet. A segment counts once the manifest lists it; no file that counts is ever changed. What is to be
forgotten is left out of a new file that takes the old one's place (`Journal.drop`).

One writer at a time: the observatory's lock sees to that, not this module. Readers need no lock:
they keep to the segments of the manifest that they opened, and open it anew if one of these was
replaced meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from vanished.archive.columns import OBSERVATIONS, TABLES, VERSIONS, Columns, Table
from vanished.archive.durable import TEMPORARY, make_folder, refusals, sync_folder
from vanished.archive.manifest import MANIFEST, Manifest, Segment, read_manifest, write_manifest
from vanished.archive.parquet import (
    damage_of,
    first_line,
    literal,
    load,
    looks_wrong,
    names_of,
    no_glob,
    own_duckdb,
    run,
    scan_one,
    subject_column,
    sweep_spill,
    write_segment,
    write_segments,
)
from vanished.errors import DamagedError, ObservatoryError, StorageError
from vanished.model import Observation

WORDS: Final = "words.parquet"
"""Beside the segments of a readable copy: the words of versions that were sealed."""


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
            write_manifest(folder, Manifest(0, (), sealed=True))
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
                sweep_spill(folder)
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
                added = write_segments(self.folder, tables, upto, written)
                for folder in sorted({path.parent for path in written}):
                    sync_folder(folder)
                segments = (*self.manifest.segments, *added)
                manifest = replace(self.manifest, upto=upto, segments=segments)
                write_manifest(self.folder, manifest)
                self.manifest = manifest
        except BaseException:
            self._undo(written)
            raise

    def drop(self, subjects: Collection[str]) -> int:
        """Forget every row of these subjects, all of it or nothing; how many rows that were.

        The segments that hold some are written anew without them, under new names; when the
        manifest names those, the old files are removed. The looks given up are added to
        `manifest.forgotten`. Dropping again what is gone changes nothing. Raises StorageError, and
        DamagedError where a segment to be rewritten is not what the manifest says: a damage must
        not pass for a fact in a new file.
        """
        before = self.manifest.segments
        with _failures(f"forget in the journal {self.folder}"), own_duckdb(self.folder) as con:
            con.register("given", {"subject": np.array([*subjects, None], dtype=object)})
            run(con, "CREATE TABLE dropped AS SELECT subject::VARCHAR AS subject FROM given")
            con.unregister("given")

            def change(table: Table[Any]) -> Rewrite:
                about = f'"{subject_column(table)}"'
                hit = f"{about} IN (SELECT subject FROM dropped WHERE subject IS NOT NULL)"
                return Rewrite(hit, names_of(table), f"NOT ({hit})")

            self._rewrite(con, change, sealed=self.manifest.sealed)
        return sum(s.rows for s in before) - sum(s.rows for s in self.manifest.segments)

    def seal(self, media: Callable[[str], str], words: Callable[[str], str]) -> None:
        """Seal what segments of the first versions name in the clear; nothing if that is done.

        `media` and `words` make the new values of these columns, of wordings and of failed looks.
        """
        if self.manifest.sealed:
            return
        with _failures(f"seal the journal {self.folder}"), own_duckdb(self.folder) as con:
            con.create_function("new_media", media, ["VARCHAR"], "VARCHAR")
            con.create_function("new_words", words, ["VARCHAR"], "VARCHAR")

            def change(table: Table[Any]) -> Rewrite:
                hit, column = _NAMING.get(table.name, ("false", ""))
                new = f"CASE WHEN {hit} THEN new_{column}({column}) ELSE {column} END AS {column}"
                return Rewrite(hit, names_of(table).replace(f'"{column}"', new), "true")

            self._rewrite(con, change, sealed=True)

    def _rewrite(
        self,
        connection: duckdb.DuckDBPyConnection,
        change: Callable[[Table[Any]], Rewrite],
        *,
        sealed: bool,
    ) -> None:
        """Put new files in the place of the segments that `change` touches, all or nothing."""
        if not self._writable:
            raise ValueError(f"the journal {self.folder} was opened for reading")
        written: list[Path] = []
        before = self.manifest
        try:
            segments = _rewritten(connection, self.folder, before.segments, change, written)
            if (segments, sealed) != (before.segments, before.sealed):
                for folder in sorted({path.parent for path in written}):
                    sync_folder(folder)
                looks = before.looks - sum(segment.looks for segment in segments)
                manifest = Manifest(before.upto, segments, before.forgotten + looks, sealed)
                write_manifest(self.folder, manifest)
                self.manifest = manifest
        except BaseException:
            self._undo(written)
            raise
        _remove_orphans(self.folder, self.manifest)
        sweep_spill(self.folder)

    def _undo(self, written: list[Path]) -> None:
        """Remove what a failed change wrote, unless its manifest made it to the disk after all."""
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
            damage = looks_wrong(self.folder / segment.path, segment)
            if damage:
                raise DamagedError(
                    f"the journal's segment {self.folder / segment.path} {damage}; "
                    f"restore it from a backup (vanished doctor lists all such files)"
                )
        connection = own_duckdb(self.folder)
        for name, table in TABLES.items():
            parts = [self.scan(table)]
            if tail is not None and name in tail:
                load(connection, table, tail[name], f"tail_{name}")
                parts.append(f"SELECT * FROM tail_{name}")
            rows = " UNION ALL ".join(parts)
            if table is VERSIONS and (self.folder / WORDS).is_file():
                rows = _with_words(rows, self.folder / WORDS)
            run(connection, f'CREATE VIEW "{name}" AS {rows}')
        return connection

    def scan(self, table: Table[Any], segments: Collection[Segment] | None = None) -> str:
        """SQL of a table's rows in these segments, or in all that count."""
        paths = [
            literal(no_glob(str(self.folder / segment.path)))
            for segment in (self.manifest.segments if segments is None else segments)
            if segment.table == table.name
        ]
        if not paths:
            nothing = ", ".join(
                f'CAST(NULL AS {field.type}) AS "{name}"' for name, field in table.fields.items()
            )
            return f"SELECT {nothing} WHERE false"
        return (
            f"SELECT {names_of(table)} "
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
                f"could not read the journal {self.folder}: {first_line(error)}; "
                f"run vanished doctor to find the damaged segment"
            ) from error
        finally:
            connection.close()

    def verify(self) -> list[Damage]:
        """Read every segment in full and compare it with the manifest; [] if all is well."""
        with own_duckdb(self.folder) as connection:
            checked = (
                (self.folder / segment.path, damage_of(connection, self.folder, segment))
                for segment in self.manifest.segments
            )
            return [Damage(path, what) for path, what in checked if what]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """In SQL, for one table: rows that must not stay as they are; what to write, and of which."""

    touches: str
    columns: str
    keeps: str


_NAMING = {
    "versions": ("media <> '[]'", "media"),
    "observations": ("kind = 'error' AND via <> 'import' AND words <> ''", "words"),
}
"""Which rows named an address in the clear, and in which column."""


def _rewritten(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    segments: tuple[Segment, ...],
    change: Callable[[Table[Any]], Rewrite],
    written: list[Path],
) -> tuple[Segment, ...]:
    """`segments`, with new ones in place of those touched, and without those that end up empty."""
    kept: list[Segment] = []
    for segment in segments:
        table = TABLES[segment.table]
        to = change(table)
        source = f"FROM {scan_one(folder / segment.path)} WHERE"
        if not run(connection, f"SELECT 1 {source} {to.touches} LIMIT 1"):
            kept.append(segment)
            continue
        if damage := damage_of(connection, folder, segment):
            raise DamagedError(
                f"the journal's segment {folder / segment.path} {damage}; restore it from a"
                " backup, then try again"
            )
        if run(connection, f"SELECT 1 {source} {to.keeps} LIMIT 1"):
            rows = f"SELECT {to.columns} {source} {to.keeps}"
            path = _next_name(folder / segment.path)
            kept.append(write_segment(connection, folder, table, rows, path, written))
    return tuple(kept)


def _next_name(path: Path) -> Path:
    """The name of the file that takes the place of a segment: N.parquet, N-1.parquet, and so on."""
    named = _NAME.fullmatch(path.stem)
    assert named is not None, path
    return path.with_name(f"{named[1]}-{int(named[2] or 0) + 1}.parquet")


_NAME = re.compile(r"(\d+)(?:-(\d+))?")
"""A segment's name: the last record of the flush that made it, and how often it was rewritten."""


def _with_words(rows: str, path: Path) -> str:
    """SQL of versions whose words are taken from `path` where their own row has none."""
    words = f"read_parquet({literal(no_glob(str(path)))})"
    return (
        "SELECT v.post, v.seen_at, v.hash, coalesce(w.title, v.title) AS title,"
        " coalesce(w.text, v.text) AS text, coalesce(w.media, v.media) AS media"
        f" FROM ({rows}) v LEFT JOIN {words} w ON w.post = v.post AND w.hash = v.hash"
    )


def _remove_orphans(folder: Path, manifest: Manifest) -> None:
    """Delete segments that do not count: of the one flush or drop that a crash cut short.

    Segments of several flushes after the manifest's are no crash but an old manifest put back; so
    is a segment that took the place of one that the manifest names and that is missing.
    """
    counted = {folder / segment.path for segment in manifest.segments}
    orphans: list[Path] = []
    for table in TABLES:
        for path in (folder / table).glob("**/*.parquet*"):
            if path.name.endswith(TEMPORARY):
                path.unlink()
            elif path not in counted and _NAME.fullmatch(path.stem):
                orphans.append(path)
    replaced = {_place(path) for path in orphans if "-" in path.stem}
    for path in counted:
        if _place(path) in replaced and not path.exists():
            raise DamagedError(
                f"the journal's manifest {folder / MANIFEST} names {path}, which a later rewrite"
                " replaced; nothing was deleted: put the newest manifest back"
            )
    later = {_number(path) for path in orphans if _number(path) > manifest.upto}
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
    for parent in {path.parent for path in orphans}:
        sync_folder(parent)


def _number(path: Path) -> int:
    """The last record of the flush that made this segment."""
    return int(path.stem.partition("-")[0])


def _place(path: Path) -> tuple[Path, int]:
    """What a segment and those that took its place have in common."""
    return path.parent, _number(path)


@contextmanager
def _failures(doing: str) -> Iterator[None]:
    """Turn the refusals of the operating system, also those that DuckDB met, into StorageError."""
    with refusals(doing):
        try:
            yield
        except duckdb.Error as error:
            full = "No space left" in str(error)
            why = "the disk is full; make room and start again" if full else first_line(error)
            raise StorageError(f"could not {doing}: {why}") from error
