"""A readable copy: what a sealed observatory knows, on a machine that holds an identity.

In: a folder, copied from the collector or beside it, and the secret half of a key that its captures
are sealed to. Out: a new folder whose captures are plain WARCs and whose journal has the words of
posts again. It can be reported, verified and exported like the original, without the collector's
secrets, and is not written to: two writers of one log would fork it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.capture import Identities, Read, read_segment, segments, unseal_segments
from vanished.archive.durable import TEMPORARY, make_folder, refusals, settle, write_atomically
from vanished.archive.folder import JOURNAL, READABLE, located
from vanished.archive.journal import WORDS
from vanished.archive.leaves import Leaf, leaves, opened
from vanished.archive.parquet import literal, own_duckdb, run
from vanished.archive.proof import CAPTURES, LOG
from vanished.archive.settings import FILE
from vanished.errors import EvidenceError, UsageError

NOTE: Final = """\
This is a readable copy of an observatory: its captures were unsealed. Read it, verify it, export
from it; watch in the original. It holds addresses and words of people: keep it where they are safe.
"""


def unseal(folder: Path, identities: Identities, target: Path) -> Iterator[tuple[int, int]]:
    """Make a readable copy of `folder` in `target`, new or empty; yields segments done and all.

    Raises UsageError if the identity opens nothing or the target is not empty, EvidenceError at a
    damaged capture, StorageError. What is half done has no observatory.toml yet.
    """
    located(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; name a new one.")
    with refusals(f"unseal {folder} to {target}"):
        make_folder(target)
        write_atomically(target / READABLE, NOTE.encode())
        # The present first: what the journal takes over meanwhile is then only there twice, and
        # whoever reads leaves out rows of the tail that the journal holds.
        _copy_present(folder, target)
        for name in (JOURNAL, LOG):
            if (folder / name).is_dir():
                shutil.copytree(
                    folder / name, target / name, ignore=shutil.ignore_patterns(f"*{TEMPORARY}")
                )
    if (folder / CAPTURES).is_dir():
        for step in unseal_segments(folder / CAPTURES, identities, target / CAPTURES):
            yield step.done, step.of
    with refusals(f"unseal {folder} to {target}"):
        _settle_places(target)
        # Last, so that a folder with an observatory.toml is a whole one.
        write_atomically(target / FILE, (folder / FILE).read_bytes())


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
        for read in read_segment(path):
            leaf = None if read.index is None else known.get(read.index)
            if leaf is None or leaf.forgotten:
                continue  # never acknowledged, or forgotten while we copied
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
