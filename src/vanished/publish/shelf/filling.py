"""Fill the shelf from the past: all of it once, and then what came since.

In: an observatory's folder. Out: its shelf, in step with the past, all of it or nothing. Segments
of the journal never change, so what stands on the shelf of one is not read again; rows that wait
in the tail are. Where something was forgotten, the shelf is made anew. What is read of the past is
read through DuckDB, beside the watch, and the present is not queried.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from vanished.archive.columns import OBSERVATIONS, POSTS, VERDICTS, Table
from vanished.archive.manifest import Segment
from vanished.archive.observatory import Observatory
from vanished.clock import SystemClock
from vanished.model import State
from vanished.publish.shelf.grams import script, tokens
from vanished.publish.shelf.layout import FORMAT, HOUR, TABLES, path_of, storing, writable
from vanished.publish.shelf.measured import put_measured
from vanished.publish.withheld import author_named

MEMORY: Final = "512MB"
CHUNK: Final = 2000  # losses, held at a time
MOST_RUNS: Final = 400  # of looks that an item's page lists; the first and the last ones
SHOWN: Final = (State.GONE, State.MOVED, State.RETURNED, State.FLICKERING, State.SUSPECTED)
"""States that put a post on the shelf."""


_WAITING: Final = {
    "observations": "last_answered_at", "verdicts": "judged_at", "measurements": "kept_at",
    "coverage": "until", "accounts": "added_at", "posts": "first_seen_at", "versions": "seen_at",
}  # fmt: skip
"""Tables that wait in the tail, and what grows in each."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What a filling did."""

    version: int  # grows whenever something on the shelf changed
    anew: bool  # the whole shelf was made anew
    losses: int  # rows that were written
    seconds: float


def fill(folder: Path) -> Filled:
    """Bring the shelf of the observatory in `folder` up to date; made if it is not there.

    Two that fill at once wait for each other. Raises StorageError where the disk refuses, and
    what opening the observatory raises.
    """
    begun = time.monotonic()
    with (
        Observatory.open(folder) as observatory,
        storing(folder),
        _shelf(folder) as shelf,
        observatory.past() as past,
    ):
        past.execute(f"set memory_limit = '{MEMORY}'")
        past.execute("set threads = 1")  # the watch and the readers have the others
        work = _Work(past, shelf, observatory)
        anew, losses = work.done()
        version = int(work.fact("version"))
    return Filled(version, anew, losses, time.monotonic() - begun)


@contextmanager
def _shelf(folder: Path) -> Iterator[sqlite3.Connection]:
    path_of(folder).parent.mkdir(mode=0o700, exist_ok=True)
    with (path_of(folder).parent / "filling.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = writable(folder)
        try:
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        finally:
            connection.close()


class _Work:
    """One filling."""

    def __init__(
        self, past: duckdb.DuckDBPyConnection, shelf: sqlite3.Connection, observatory: Observatory
    ) -> None:
        self.past = past
        self.shelf = shelf
        self.observatory = observatory
        self.journal = observatory.journal
        self.segments = {segment.path: segment for segment in self.journal.manifest.segments}

    def done(self) -> tuple[bool, int]:
        """Whether all was made anew, and how many losses were written."""
        observatory = self.observatory.settings.id
        anew = not self._goes_on(observatory)
        version = self._version()
        stamp = self._stamp()
        if anew:
            self._empty()
            self.shelf.execute("insert into facts values ('making', ?)", (secrets.token_hex(8),))
        elif stamp == self.fact("stamp") and set(json.loads(self.fact("segments"))) == set(
            self.segments
        ):
            return False, 0  # nothing came: the past is not read
        read = set() if anew else set(json.loads(self.fact("segments")))
        fresh = [segment for path, segment in self.segments.items() if path not in read]
        self._due(fresh, anew)
        losses = self._losses()
        self._hours(fresh)
        self._accounts()
        self._gaps()
        kept = put_measured(self.observatory, self.past, self.shelf, self.fact("measured"))
        for key, value in {
            "format": FORMAT, "observatory": observatory,
            "sealed": str(int(self.observatory.sealed)), "measured": kept,
            "segments": json.dumps(sorted(self.segments)), "version": str(version + 1),
            "stamp": stamp,
        }.items():  # fmt: skip
            self.shelf.execute("insert or replace into facts values (?, ?)", (key, value))
        return anew, losses

    def _version(self) -> int:
        """The version that stands; the clock where none does, so that a shelf made anew never
        has a version that one before it had: readers keep answers by it."""
        made = self.shelf.execute("select 1 from sqlite_master where name = 'facts'").fetchone()
        return int((self.fact("version") if made else "") or SystemClock().now())

    def fact(self, key: str) -> str:
        """What the shelf says of itself; "" if nothing."""
        row = self.shelf.execute("select value from facts where key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _goes_on(self, observatory: str) -> bool:
        """Whether what stands on the shelf is a part of the past as it is now."""
        made = self.shelf.execute("select 1 from sqlite_master where name = 'facts'").fetchone()
        if not made or (self.fact("format"), self.fact("observatory")) != (FORMAT, observatory):
            return False
        return set(json.loads(self.fact("segments"))) <= self.segments.keys()

    def _empty(self) -> None:
        tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        names = [name for (name,) in self.shelf.execute(tables)]
        for name in sorted(names, key=lambda name: name != "words"):  # takes its own tables along
            self.shelf.execute(f'drop table if exists "{name}"')
        for statement in TABLES.split(";\n"):
            if statement.strip():
                self.shelf.execute(statement)

    def _stamp(self) -> str:
        """Changes when what stands in the tail does."""
        counted = [
            self.past.execute(f"select count(*), max({time}) from tail_{name}").fetchone()
            for name, time in _WAITING.items()
        ]
        return json.dumps(counted)

    def _new(self, table: Table[Any], fresh: Sequence[Segment]) -> str:
        return f"({self.journal.scan(table, fresh)} union all select * from tail_{table.name})"

    def _due(self, fresh: Sequence[Segment], anew: bool) -> None:
        """The posts whose verdict is new, in a table `due`."""
        source = "verdicts" if anew else self._new(VERDICTS, fresh)
        self.past.execute(
            f"create table due as select distinct subject from {source}"
            " where subject in (select key from posts)"
        )

    def _losses(self) -> int:
        """Write the rows of `due`; how many are on the shelf now."""
        for name, table, about in (
            ("due_looks", "observations", "subject"), ("due_wordings", "versions", "post")
        ):  # fmt: skip
            self.past.execute(
                f"create table {name} as select * from {table}"
                f" where {about} in (select subject from due) order by {about}"
            )
        self.past.execute(_LATEST)
        self.past.execute(_SEEN)
        written = 0
        rows = self.past.cursor().execute(_ROWS)
        while chunk := rows.fetchmany(CHUNK):
            sheets = self._sheets([row[0] for row in chunk])
            for row in chunk:
                written += self._put(row, sheets.get(row[0], {}))
        return written

    def _sheets(self, posts: Sequence[str]) -> dict[str, dict[str, Any]]:
        """For each of these posts its wordings and its looks, oldest first."""
        con = self.past.cursor()
        con.register("asked", {"post": _objects(posts)})
        sheets: dict[str, dict[str, Any]] = {post: {"wordings": [], "looks": []} for post in posts}
        for post, *wording in con.execute(_WORDINGS).fetchall():
            sheets[post]["wordings"].append(wording)
        for post, *look in con.execute(_LOOKS).fetchall():
            sheets[post]["looks"].append(look)
        con.unregister("asked")
        for sheet in sheets.values():
            looks = sheet["looks"]
            if len(looks) > MOST_RUNS:
                sheet["left_out"] = len(looks) - MOST_RUNS
                sheet["looks"] = looks[: MOST_RUNS // 2] + looks[-MOST_RUNS // 2 :]
        return sheets

    def _put(self, row: Sequence[Any], sheet: dict[str, Any]) -> int:
        post, state = row[0], row[3]
        old = self.shelf.execute("select * from losses where post = ?", (post,)).fetchone()
        values = self._row(old[0] if old else None, row)
        shown = State(state) in SHOWN
        if shown and old == values:
            return 0
        if old:
            self.shelf.execute(
                "insert into words (words, rowid, body) values ('delete', ?, ?)",
                (old[0], tokens(f"{old[-2]}\n{old[-1]}")),
            )
        if not shown:
            if old:
                self.shelf.execute("delete from losses where id = ?", (old[0],))
                self.shelf.execute("delete from details where id = ?", (old[0],))
            return int(bool(old))
        marks = ", ".join("?" * len(values))
        number = self.shelf.execute(
            f"insert or replace into losses values ({marks})", values
        ).lastrowid
        body = tokens(f"{values[-2]}\n{values[-1]}")
        self.shelf.execute("insert into words (rowid, body) values (?, ?)", (number, body))
        packed = zlib.compress(json.dumps(sheet, ensure_ascii=False).encode(), 6)
        self.shelf.execute("insert or replace into details values (?, ?)", (number, packed))
        return 1

    @staticmethod
    def _row(number: int | None, row: Sequence[Any]) -> tuple[Any, ...]:
        """A row of `losses` from one of _ROWS."""
        post, account, platform, state, causes, confidence, judged, published, seen, alive, gone = (
            row[:11]
        )
        title, text = row[-2:]
        authors = int(author_named(causes.split(",")))
        return (
            number, post, account, platform, state, causes, confidence,
            judged if gone is None else gone, judged, published, seen, alive, gone,
            *row[11:-2], authors, script(title + text), title, text,
        )  # fmt: skip

    def _hours(self, fresh: Sequence[Segment]) -> None:
        """Looks, failed looks and posts met, by hour and platform."""
        self.shelf.execute("delete from hours where tail = 1")
        for tail, looks, posts in (
            (0, self.journal.scan(OBSERVATIONS, fresh), self.journal.scan(POSTS, fresh)),
            (1, "select * from tail_observations", "select * from tail_posts"),
        ):
            for row in (
                self.past.cursor().execute(_HOURS.format(looks=looks, posts=posts)).fetchall()
            ):
                self.shelf.execute(
                    "insert into hours values (?, ?, ?, ?, ?, ?) on conflict do update set"
                    " looks = looks + excluded.looks, failed = failed + excluded.failed,"
                    " met = met + excluded.met",
                    (row[0], row[1], tail, *row[2:]),
                )

    def _accounts(self) -> None:
        self.shelf.execute("delete from accounts")
        self.shelf.executemany(
            "insert into accounts values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self.past.cursor().execute(_ACCOUNTS).fetchall(),
        )

    def _gaps(self) -> None:
        self.shelf.execute("delete from gaps")
        query = "select since, until, any_value(why) from coverage where what = 'gap' group by 1, 2"
        self.shelf.executemany(
            "insert into gaps values (?, ?, ?)", self.past.cursor().execute(query).fetchall()
        )


def _objects(texts: Sequence[str]) -> Any:
    import numpy as np

    return np.array(texts, dtype=object)


_LATEST: Final = """
create table latest as
select subject, arg_max(v, v.judged_at) as v
from (select subject, verdicts as v from verdicts where subject in (select subject from due))
group by subject
"""
_SEEN: Final = """
create table seen as
select subject, sum(looks)::bigint as looks,
    coalesce(sum(looks) filter (kind = 'error'), 0)::bigint as failed,
    arg_max(reposts_low, answered_at)
        filter (kind = 'alive' and reposts_low is not null) as reposts,
    arg_max(views_low, answered_at) filter (kind = 'alive' and views_low is not null) as views
from due_looks group by subject
"""
_ROWS: Final = """
select l.subject, p.account, p.platform, l.v.state, l.v.causes, l.v.confidence, l.v.judged_at,
    p.published_at, p.first_seen_at, l.v.last_alive_at, l.v.first_gone_at, l.v.explained_by,
    l.v.words, l.v.rules, l.v.conflicts, l.v.method, coalesce(s.looks, 0), coalesce(s.failed, 0),
    s.reposts, s.views, coalesce(w.title, ''), coalesce(w.text, '')
from latest l join (
    select key, any_value(account) as account, any_value(platform) as platform,
        any_value(published_at) as published_at, min(first_seen_at) as first_seen_at
    from posts where key in (select subject from due) group by key
) p on p.key = l.subject left join seen s on s.subject = l.subject left join (
    select post, arg_max(title, seen_at) as title, arg_max(text, seen_at) as text
    from due_wordings group by post
) w on w.post = l.subject
order by coalesce(l.v.first_gone_at, l.v.judged_at), l.subject
"""
_WORDINGS: Final = """
select post, seen_at, hash, title, text from due_wordings
where post in (select post from asked) order by post, seen_at
"""
_LOOKS: Final = """
select subject, asked_at, last_answered_at, looks, kind, causes, rule, fault, status, via, vantage,
    version, capture, reposts_low, reposts_high, views_low, views_high, words
from due_looks where subject in (select post from asked) order by subject, asked_at
"""
_HOURS: Final = f"""
with names as (
    select key, any_value(platform) as platform from
        (select key, platform from posts union all select key, platform from accounts) group by key
), counted as (
    select asked_at // {HOUR} as hour, n.platform, sum(looks) as looks,
        coalesce(sum(looks) filter (kind = 'error'), 0) as failed, 0 as met
    from ({{looks}}) o join names n on n.key = o.subject group by 1, 2
    union all
    select first_seen_at // {HOUR}, platform, 0, 0, count(*) from ({{posts}}) group by 1, 2
)
select hour, platform, sum(looks)::bigint, sum(failed)::bigint, sum(met)::bigint from counted
group by 1, 2
"""
_ACCOUNTS: Final = """
with latest as (
    select subject, arg_max(v, v.judged_at) as v from (
        select subject, verdicts as v from verdicts where subject in (select key from accounts)
    ) group by subject
), counted as (select account, count(distinct key) as posts from posts group by account)
select a.key, any_value(a.platform), min(a.added_at),
    coalesce(any_value(l.v.state), 'alive'), coalesce(any_value(l.v.causes), ''),
    coalesce(any_value(l.v.words), ''), any_value(l.v.last_alive_at),
    any_value(l.v.first_gone_at), coalesce(any_value(c.posts), 0)
from accounts a left join latest l on l.subject = a.key left join counted c on c.account = a.key
group by a.key
"""
