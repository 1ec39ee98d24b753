"""The leaves of an observatory's log as its present knows them, read without any secret.

In: a folder. Out: where each capture lies and what it shows, by pseudonym. For verifying, exporting
and unsealing, which run beside the watch or on another machine.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.capture import Place
from vanished.archive.columns import VERDICTS
from vanished.errors import DamagedError
from vanished.model import Cause

FORGOTTEN: Final = -1
"""Length of a capture whose bytes and salt were forgotten."""
MEASUREMENT: Final = "measurement"
"""Why the record of a measurement is kept; `Subject.what`. Its key is the record's digest."""
MOST_BOUND = 10_000
_TYPES: Final = (int, bytes, bytes, str, int, int)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf: of a capture at `place`, of a statement, or forgotten."""

    index: int
    hash: bytes
    stored: bytes  # SHA-256 of the bytes that were written
    segment: str
    offset: int
    length: int

    @property
    def place(self) -> Place | None:
        """Where the capture lies; None for a statement or what was forgotten."""
        if not self.segment:
            return None
        return Place(self.segment, self.offset, self.length, self.stored)

    @property
    def forgotten(self) -> bool:
        return self.length == FORGOTTEN


@contextmanager
def opened(folder: Path) -> Iterator[sa.Connection]:
    """A reading connection to the present. Raises DamagedError for what is no such database."""
    path = folder / present.FILE
    engine = present.connect(path, write=False)
    try:
        with engine.connect() as connection:
            yield connection
    except (sa.exc.DatabaseError, UnicodeDecodeError) as error:  # the latter in SQLite's own words
        why = error.orig if isinstance(error, sa.exc.DatabaseError) else error
        raise DamagedError(f"{path} cannot be read: {why}") from error
    finally:
        engine.dispose()


def leaves(connection: sa.Connection) -> Iterator[Leaf]:
    """All leaves, in the order of the log. Raises DamagedError for a row that is none."""
    c = present.captures.c
    query = sa.select(c.leaf, c.hash, c.stored, c.segment, c.offset, c.length).order_by(c.leaf)
    for row in connection.execution_options(yield_per=10_000).execute(query):
        if tuple(map(type, row)) != _TYPES:  # SQLite keeps whatever a changed bit says
            raise DamagedError(
                f"{present.FILE} holds no whole row for leaf {row.leaf}; restore it from a copy"
            )
        yield Leaf(*row)


def ends(found: Iterable[Leaf]) -> dict[str, int]:
    """Where the last capture of each segment ends, in bytes: what stands behind, nobody counts."""
    last: dict[str, int] = {}
    for leaf in found:
        if leaf.segment:
            last[leaf.segment] = max(last.get(leaf.segment, 0), leaf.offset + leaf.length)
    return last


def showing(connection: sa.Connection, keys: Collection[str]) -> set[int]:
    """The leaves of captures that show one of these subjects."""
    c = present.shown.c
    asked = sorted(keys)
    found: set[int] = set()
    for start in range(0, len(asked), MOST_BOUND):
        part = asked[start : start + MOST_BOUND]
        found.update(connection.execute(sa.select(c.leaf).where(c.key.in_(part))).scalars())
    return found


def showing_only(connection: sa.Connection, keys: Collection[str]) -> dict[int, set[str]]:
    """The leaves of captures that show some of these subjects and nobody else, with whom."""
    c = present.shown.c
    asked = sorted(keys)
    found: dict[int, set[str]] = {}
    for start in range(0, len(asked), MOST_BOUND):
        query = sa.select(c.leaf, c.key).where(c.key.in_(asked[start : start + MOST_BOUND]))
        for leaf, key in connection.execute(query):
            found.setdefault(leaf, set()).add(key)
    numbers = sorted(found)
    for start in range(0, len(numbers), MOST_BOUND):
        counted = (
            sa.select(c.leaf, sa.func.count())
            .where(c.leaf.in_(numbers[start : start + MOST_BOUND]))
            .group_by(c.leaf)
        )
        for leaf, shows in connection.execute(counted):
            if shows != len(found[leaf]):
                del found[leaf]
    for leaf in measurements(connection) & found.keys():
        del found[leaf]
    return found


def measurements(connection: sa.Connection) -> set[int]:
    """The leaves of captures that hold a measurement of a network."""
    c = present.shown.c
    return set(connection.execute(sa.select(c.leaf).where(c.what == MEASUREMENT)).scalars())


def withheld(connection: sa.Connection) -> set[str]:
    """Subjects that their own author may have taken down: not to be published."""
    query = sa.select(present.verdicts.c.subject, present.verdicts.c.facts)
    found: set[str] = set()
    for subject, facts in connection.execute(query):
        if Cause.AUTHOR in VERDICTS.from_row(*json.loads(facts)).verdict.causes:
            found.add(subject)
    return found


def posts_of(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """These keys, and those of the posts of each that is an account."""
    a, p = present.accounts.c, present.posts.c
    found = set(keys)
    for key in keys:
        query = sa.select(p.key).join(present.accounts, a.id == p.account_id).where(a.key == key)
        found.update(connection.execute(query).scalars())
    return found
