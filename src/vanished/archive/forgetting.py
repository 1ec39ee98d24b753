"""Forget a post or an account: its rows in the present, the tail and the journal, without a trace.

In: keys. Out: how much was forgotten. A post that is forgotten alone leaves its pseudonymous key in
`present.forgotten`, since its account's list would show it again; an account leaves nothing.
Captures, salts and the public statement about it are not the business of this module.

Crash-safe in three steps. One transaction of the present deletes its rows, takes the looks of its
tail off `meta.looks` and writes the *intent* (`meta.forgetting`: the keys, and the manifest's count
of looks dropped so far). Then the journal drops its rows; its new manifest counts the looks. Then
one transaction takes those looks off and ends the intent, and the present's old pages are scrubbed.
Whatever is killed when, the next opening for writing finishes; and the looks acknowledged are the
looks kept at every moment, for a reader too (`acknowledged`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.columns import TABLES
from vanished.archive.journal import Journal
from vanished.archive.manifest import read_manifest
from vanished.archive.parquet import subject_column

INTENT: Final = "forgetting"  # key of meta
MOST_BOUND = 10_000  # values in one IN: SQLite binds at most 32,766


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much was forgotten. `rows` are those of the past: of the journal and its tail."""

    posts: int
    accounts: int
    rows: int
    looks: int


@dataclass(frozen=True, slots=True)
class _Intent:
    keys: tuple[str, ...]
    before: int  # looks that the journal had dropped when this began

    @classmethod
    def read(cls, value: str) -> _Intent:
        written = json.loads(value)
        return cls(tuple(written["keys"]), int(written["before"]))

    def written(self) -> str:
        return json.dumps({"keys": self.keys, "before": self.before})


def subjects(engine: sa.Engine, keys: Collection[str]) -> frozenset[str]:
    """These keys and those of all posts of the accounts among them: all that `forget` forgets."""
    with engine.connect() as connection:
        accounts = _accounts(connection, sorted(set(keys)))
        return frozenset({*keys, *_posts(connection, [], list(accounts.values()))})


def forget(engine: sa.Engine, journal: Journal, keys: Collection[str]) -> Forgotten:
    """Forget these posts and accounts, an account with all its posts; durable when it returns.

    Keys that nobody knows are dropped from the journal all the same. Call it only while no watch
    holds rows of this observatory in memory. Raises StorageError or DamagedError; what was begun
    is finished by the next call or the next opening for writing.
    """
    finish(engine, journal)
    with engine.begin() as connection:
        accounts = _accounts(connection, sorted(set(keys)))
        posts = _posts(connection, sorted(set(keys)), list(accounts.values()))
        doomed = sorted({*keys, *accounts, *posts})
        present.unschedule(connection)
        _never_again(connection, [key for key in posts if posts[key] not in accounts.values()])
        rows, looks = _delete(connection, doomed, journal.upto)
        intent = _Intent(tuple(doomed), journal.manifest.forgotten)
        _take_off(connection, looks)
        _set(connection, INTENT, intent.written())
    dropped_rows, dropped_looks = finish(engine, journal)
    return Forgotten(len(posts), len(accounts), rows + dropped_rows, looks + dropped_looks)


def finish(engine: sa.Engine, journal: Journal) -> tuple[int, int]:
    """Finish what was begun, if anything was: rows and looks that the journal gave up for it."""
    rows = looks = 0
    with engine.connect() as connection:
        value = _get(connection, INTENT)
    if value is not None:
        intent = _Intent.read(value)
        rows = journal.drop(intent.keys)
        looks = journal.manifest.forgotten - intent.before
        with engine.begin() as connection:
            _take_off(connection, looks)
            connection.execute(present.meta.delete().where(present.meta.c.key == INTENT))
            _set(connection, present.SCRUB, "")
    present.scrub(engine)
    return rows, looks


def acknowledged(engine: sa.Engine, journal: Path) -> int:
    """Looks acknowledged and not forgotten, read afresh; true also while somebody forgets."""
    c = present.meta.c
    query = sa.select(c.key, c.value).where(c.key.in_(["looks", INTENT]))
    with engine.connect() as connection:
        found = {row.key: row.value for row in connection.execute(query)}
    looks = int(found["looks"])
    if INTENT in found:
        looks -= read_manifest(journal).forgotten - _Intent.read(found[INTENT]).before
    return looks


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), MOST_BOUND):
        yield keys[start : start + MOST_BOUND]


def _accounts(connection: sa.Connection, keys: Sequence[str]) -> dict[str, int]:
    """Row numbers of those of these keys that are accounts'."""
    c = present.accounts.c
    return {
        row.key: row.id
        for part in _parts(keys)
        for row in connection.execute(sa.select(c.key, c.id).where(c.key.in_(part)))
    }


def _posts(
    connection: sa.Connection, keys: Sequence[str], accounts: Sequence[int]
) -> dict[str, int]:
    """Keys of these posts, and of all posts of these accounts, with their account's number."""
    c = present.posts.c
    query = sa.select(c.key, c.account_id)
    found = [connection.execute(query.where(c.key.in_(part))).all() for part in _parts(keys)]
    found += [connection.execute(query.where(c.account_id == number)).all() for number in accounts]
    return {row.key: row.account_id for rows in found for row in rows}


def _never_again(connection: sa.Connection, posts: Sequence[str]) -> None:
    if posts:
        insert = present.forgotten.insert().prefix_with("OR IGNORE")
        connection.execute(insert, [{"key": key} for key in posts])


def _delete(connection: sa.Connection, keys: Sequence[str], upto: int) -> tuple[int, int]:
    """Delete every row of `keys`; rows and looks of the tail that the journal does not hold too."""
    rows = looks = 0
    for part in _parts(keys):
        for name, tail in present.TAILS.items():
            of_these = tail.c[subject_column(TABLES[name])].in_(part)
            total = tail.c.looks if name == "observations" else sa.literal(0)
            query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(total), 0))
            counted = connection.execute(query.where(of_these & (tail.c.seq > upto))).one()
            rows, looks = rows + counted[0], looks + counted[1]
            connection.execute(tail.delete().where(of_these))
        for column in (present.cases.c.subject, present.verdicts.c.subject, present.shown.c.key):
            connection.execute(column.table.delete().where(column.in_(part)))
        connection.execute(present.posts.delete().where(present.posts.c.key.in_(part)))
    for part in _parts(keys):  # after all of their posts
        connection.execute(present.accounts.delete().where(present.accounts.c.key.in_(part)))
    return rows, looks


def _take_off(connection: sa.Connection, looks: int) -> None:
    kept = int(_get(connection, "looks") or 0) - looks
    _set(connection, "looks", str(kept))


def _get(connection: sa.Connection, key: str) -> str | None:
    query = sa.select(present.meta.c.value).where(present.meta.c.key == key)
    return connection.execute(query).scalar()


def _set(connection: sa.Connection, key: str, value: str) -> None:
    insert = present.meta.insert().prefix_with("OR REPLACE")
    connection.execute(insert, {"key": key, "value": value})
