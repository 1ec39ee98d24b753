"""A readable copy: what a sealed observatory knows, on a machine that holds an identity.

In: a folder, copied from the collector or beside it, and the secret half of a key that its captures
are sealed to. Out: a new folder whose captures are plain WARCs and whose journal has the words of
posts again. It can be reported, verified and exported like the original, without the collector's
secrets, and is not written to: two writers of one log would fork it.

The watch may run meanwhile: the copy is of one moment, at which all its parts agree.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.capture import Identities, Read, read_segment, segments, unseal_segments
from vanished.archive.durable import TEMPORARY, make_folder, refusals, settle, write_atomically
from vanished.archive.folder import JOURNAL, READABLE, RULINGS, located
from vanished.archive.journal import WORDS
from vanished.archive.leaves import Leaf, leaves, opened
from vanished.archive.log import Log
from vanished.archive.log.log import CHECKPOINT
from vanished.archive.log.tiles import cut_back
from vanished.archive.manifest import MANIFEST
from vanished.archive.parquet import literal, own_duckdb, run
from vanished.archive.proof import CAPTURES, LOG, STATEMENTS
from vanished.archive.settings import FILE
from vanished.errors import DamagedError, EvidenceError, StorageError, UsageError

NOTE: Final = """\
This is a readable copy of an observatory: its captures were unsealed. Read it, verify it, export
from it; watch in the original. It holds addresses and words of people: keep it where they are safe.
"""

TRIES: Final = 10
"""How often the journal may be rewritten while it is copied; a watch does so once in minutes."""


def unseal(folder: Path, identities: Identities, target: Path) -> Iterator[tuple[int, int]]:
    """Make a readable copy of `folder` in `target`, new or empty; yields segments done and all.

    Raises UsageError if the identity opens nothing or the target is not empty or lies in `folder`,
    EvidenceError at a capture that is damaged or not there, StorageError; the target is then as it
    was. What a kill left half done has no observatory.toml.
    """
    located(folder)
    if target.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{target} lies in {folder}, which would then hold what it has sealed; name a folder"
            " elsewhere, best on another machine."
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; name a new one.")
    existed = target.exists()
    try:
        yield from _unseal(folder, identities, target)
    except BaseException:  # words and addresses must not lie about in a copy that nobody has
        shutil.rmtree(target, ignore_errors=True)
        if existed:
            target.mkdir(exist_ok=True)
        raise


def _unseal(folder: Path, identities: Identities, target: Path) -> Iterator[tuple[int, int]]:
    with refusals(f"unseal {folder} to {target}"):
        make_folder(target)
        write_atomically(target / READABLE, NOTE.encode())
        if (folder / LOG).is_dir():
            _copy_log(folder / LOG, target / LOG)
        if (folder / RULINGS).is_dir():  # what was to be withheld there is withheld here
            _copy_tree(folder / RULINGS, target / RULINGS)
        # After the log, whose leaves it then names all.
        _copy_past_and_present(folder, target)
        if (folder / LOG).is_dir():
            _settle_log(folder, target)
    if (folder / CAPTURES).is_dir():
        for step in unseal_segments(folder / CAPTURES, identities, target / CAPTURES):
            yield step.done, step.of
    with refusals(f"unseal {folder} to {target}"):
        _settle_places(target)
        # Last, so that a folder with an observatory.toml is a whole one.
        write_atomically(target / FILE, (folder / FILE).read_bytes())


def _copy_tree(source: Path, goal: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Copy a folder that somebody may write to: files that vanish meanwhile are left out.

    `wanted` chooses among what lies in it directly.
    """

    def unwanted(place: str, names: list[str]) -> list[str]:
        top = Path(place) == source
        return [n for n in names if n.endswith(TEMPORARY) or (top and not wanted(n))]

    def copy(old: str, new: str) -> None:
        with suppress(FileNotFoundError):
            shutil.copy2(old, new)

    shutil.copytree(source, goal, ignore=unwanted, copy_function=copy, dirs_exist_ok=True)


def _copy_log(source: Path, goal: Path) -> None:
    """The log as it is at some moment; the checkpoint first, since tiles are only added to."""
    make_folder(goal)
    if (source / CHECKPOINT).is_file():
        write_atomically(goal / CHECKPOINT, (source / CHECKPOINT).read_bytes())
    _copy_tree(source, goal, lambda name: name not in (CHECKPOINT, STATEMENTS))


def _copy_past_and_present(folder: Path, target: Path) -> None:
    """The journal, and then the present from a moment at which that was the journal.

    Otherwise rows that moved from one to the other meanwhile would be in none of them.
    """
    manifest = folder / JOURNAL / MANIFEST
    for _ in range(TRIES):
        before = manifest.read_bytes()
        shutil.rmtree(target / JOURNAL, ignore_errors=True)
        _copy_tree(folder / JOURNAL, target / JOURNAL)
        write_atomically(target / JOURNAL / MANIFEST, before)
        for part in target.glob(f"{present.FILE}*"):
            part.unlink()
        _copy_present(folder, target)
        if manifest.read_bytes() == before:
            return
    raise StorageError(
        f"the journal of {folder} was rewritten each time it was copied; try again later, or stop"
        " the watch meanwhile"
    )


def _settle_log(folder: Path, target: Path) -> None:
    """The log's tiles and statements as the checkpoint and the present that were copied say.

    A partial tile may have grown into another before it was copied. Where the leaves do not have
    the root of the checkpoint, all is left as it is: `verify` then says what is damaged.
    """
    with opened(target) as connection:
        known = [leaf.hash for leaf in leaves(connection)]
    if (folder / LOG / STATEMENTS).is_dir():
        _copy_tree(
            folder / LOG / STATEMENTS,
            target / LOG / STATEMENTS,
            lambda name: not name[:12].isdecimal() or int(name[:12]) < len(known),
        )
    with suppress(DamagedError, EvidenceError, IndexError):
        log = Log.open(target / LOG)
        cut_back(target / LOG, log.size)
        log.repair(known.__getitem__)


def _copy_present(folder: Path, target: Path) -> None:
    source = sqlite3.connect(f"file:{folder / present.FILE}?mode=ro", uri=True)
    with closing(source), closing(sqlite3.connect(target / present.FILE)) as copy:
        source.backup(copy)


def _settle_places(target: Path) -> None:
    """Say where each capture lies now, and give the journal its words."""
    with opened(target) as connection:
        known: dict[int, Leaf] = {leaf.index: leaf for leaf in leaves(connection)}
    moved: list[dict[str, object]] = []
    words: dict[tuple[str, str], tuple[str, str, str]] = {}
    folder = target / CAPTURES
    for path in segments(folder) if folder.is_dir() else ():
        end = 0
        for read in read_segment(path):
            leaf = None if read.index is None else known.get(read.index)
            if leaf is None or leaf.forgotten:
                continue  # not acknowledged when we copied the present, or forgotten since
            end = read.offset + read.length
            if read.leaf != leaf.hash:
                raise EvidenceError(f"capture {read.index} in {path} is not what was committed to")
            moved.append(
                {
                    "b_leaf": leaf.index,
                    "segment": path.name,
                    "offset": read.offset,
                    "length": read.length,
                    "stored": read.sha256,
                }
            )
            words.update(_words(read))
        if end == 0:
            path.unlink()
        elif path.stat().st_size > end:  # what the watch added is of a later moment
            os.truncate(path, end)
    there = {row["b_leaf"] for row in moved}
    for leaf in known.values():
        if leaf.segment and leaf.index not in there:
            raise EvidenceError(
                f"capture {leaf.index} is not in {leaf.segment}; if somebody forgot it meanwhile,"
                " unseal again, else restore the segment from a backup"
            )
    engine = present.connect(target / present.FILE, write=True)
    try:
        if moved:
            c = present.captures.c
            with engine.begin() as connection:
                statement = present.captures.update().where(c.leaf == sa.bindparam("b_leaf"))
                connection.execute(statement, moved)
    finally:
        engine.dispose()
    _write_words(target / JOURNAL, words)


def _words(read: Read) -> Iterator[tuple[tuple[str, str], tuple[str, str, str]]]:
    subjects = read.facts.get("facts", {}).get("subjects", [])
    for subject in subjects:
        wording = subject.get("wording")
        if wording:
            media = json.dumps(wording["media"], ensure_ascii=False)
            yield (subject["key"], wording["hash"]), (wording["title"], wording["text"], media)


def _write_words(folder: Path, words: dict[tuple[str, str], tuple[str, str, str]]) -> None:
    """The words of versions, beside the journal; `Journal.connect` puts them into their rows."""
    columns = ("post", "hash", "title", "text", "media")
    rows = [(*key, *value) for key, value in words.items()]
    given = {}
    for number, name in enumerate(columns):
        given[name] = np.empty(len(rows), dtype=object)
        given[name][:] = [row[number].encode("utf-8", "replace").decode("utf-8") for row in rows]
    temporary = folder / f"{WORDS}{TEMPORARY}"
    with own_duckdb(folder) as connection:
        connection.register("given", given)
        texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in columns)
        run(
            connection,
            f"COPY (SELECT {texts} FROM given) TO {literal(str(temporary))}"
            " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)",
        )
    settle(temporary, folder / WORDS)
