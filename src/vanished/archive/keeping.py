"""What one commit writes into the present, table by table.

In: an entry of the watch and the connection of a transaction that the caller opened. Out: rows.
Nothing is committed here, and nothing is decided: `observatory.commit` gives the number. What names
a person or a place is sealed on the way: the media of a wording are addresses, and the words of a
failed look may name the host that did not answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from vanished.archive import columns, present
from vanished.archive.columns import OBSERVATIONS, Wording
from vanished.archive.journal import Journal
from vanished.archive.mapping import (
    EXTEND_RUN,
    UPDATE_ACCOUNT,
    UPDATE_PICTURES,
    UPDATE_POST,
    account_update,
    account_values,
    picture_update,
    post_update,
    post_values,
    silence_values,
    stream_values,
)
from vanished.archive.measured import TARGET
from vanished.archive.present import insert_many
from vanished.archive.rows import AccountRow, Entry, PostRow, Row, Silence, host_of
from vanished.archive.vault import Vault
from vanished.errors import DamagedError
from vanished.model import Kind, Observation, Version, Via

NextRow = Callable[[str], int]
"""The next free row of a table of the tail."""


MEDIA: Final = "versions.media"
"""What the vault binds the addresses of a wording's media to."""


def keep(
    connection: sa.Connection,
    entry: Entry,
    seq: int,
    next_row: NextRow,
    vault: Vault,
    *,
    bare: bool,
) -> None:
    """Write `entry` under the number `seq`; `bare`: wordings by their hashes only."""
    _keep_subjects(connection, entry, seq, next_row, vault)
    _keep_looks(connection, entry, seq, next_row)
    versions = (_bare(each) if bare else _sealed(each, vault) for each in entry.versions)
    _append(connection, "versions", seq, versions, next_row)
    _keep_beside(connection, entry, seq, next_row, vault)
    _keep_verdicts(connection, entry, seq, next_row)


def _many(connection: sa.Connection, statement: sa.Update, rows: list[dict[str, Any]]) -> int:
    """Run `statement` for each of `rows`; how many rows of the table it changed.

    Every look passes here, so where the driver takes parameters by position (SQLite) the statement
    is compiled once and SQLAlchemy's handling of each row is left out.
    """
    compiled = _compiled(statement, connection.dialect)
    if compiled.positiontup is None:
        return connection.execute(statement, rows).rowcount
    in_order = itemgetter(*compiled.positiontup)
    return connection.exec_driver_sql(str(compiled), [in_order(row) for row in rows]).rowcount


@lru_cache(maxsize=16)
def _compiled(statement: sa.Update, dialect: sa.Dialect) -> SQLCompiler:
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    return compiled


def _keep_subjects(
    connection: sa.Connection, entry: Entry, seq: int, next_row: NextRow, vault: Vault
) -> None:
    made = {id(row) for row in entry.new_posts} | {id(row) for row in entry.new_accounts}
    if entry.new_accounts:
        connection.execute(
            present.accounts.insert(), [account_values(row, vault) for row in entry.new_accounts]
        )
        accounts = [columns.AccountFacts.of(row.account) for row in entry.new_accounts]
        _append(connection, "accounts", seq, accounts, next_row)
    insert_many(
        connection, present.posts.insert(), (post_values(r, vault) for r in entry.new_posts)
    )
    posts = (columns.PostFacts.of(row.post) for row in entry.new_posts)
    _append(connection, "posts", seq, posts, next_row)
    changed = {id(c.row): c.row for c in entry.changes if id(c.row) not in made}
    rows = list(changed.values())
    if updates := [post_update(row) for row in rows if isinstance(row, PostRow)]:
        _many(connection, UPDATE_POST, updates)
    if updates := [account_update(row, vault) for row in rows if isinstance(row, AccountRow)]:
        _many(connection, UPDATE_ACCOUNT, updates)


def _keep_looks(connection: sa.Connection, entry: Entry, seq: int, next_row: NextRow) -> None:
    looks = [c for c in entry.changes if c.observation is not None]
    fresh = (
        {"row": c.run, "seq": seq, **_named(OBSERVATIONS, _unnamed(c.observation, c.row))}
        for c in looks
        if c.observation is not None and not c.extends
    )
    insert_many(connection, present.TAILS["observations"].insert(), fresh)
    longer = [
        {
            "b_row": c.run,
            "b_subject": c.observation.subject,
            "b_asked": c.observation.last_asked_at,
            "b_answered": c.observation.last_answered_at,
            "b_looks": c.observation.looks,
            "b_seq": seq,
        }
        for c in looks
        if c.observation is not None and c.extends
    ]
    if longer:
        extended = _many(connection, EXTEND_RUN, longer)
        if extended != len(longer):  # a look that extends nothing would be lost without a word
            raise DamagedError(
                f"{len(longer) - extended} of {len(longer)} looks belong to runs that the tail does"
                " not hold; nothing of this commit was kept: start the watch again"
            )


def _keep_beside(
    connection: sa.Connection, entry: Entry, seq: int, next_row: NextRow, vault: Vault
) -> None:
    """Coverage, pictures, measurements, and the session."""
    _append(connection, "coverage", seq, entry.coverage, next_row)
    _append(connection, "pictures", seq, entry.pictures, next_row)
    if entry.picture_sets:
        sets = [picture_update(key, each, vault) for key, each in entry.picture_sets.items()]
        connection.execute(UPDATE_PICTURES, sets)
    if entry.streams:
        places = [stream_values(name, place, vault) for name, place in entry.streams.items()]
        connection.execute(present.streams.insert().prefix_with("OR REPLACE"), places)
    sealed = (replace(m, target=vault.seal_word(m.target, TARGET)) for m in entry.measurements)
    _append(connection, "measurements", seq, sealed, next_row)
    for silence in entry.silences.values():
        _keep_silence(connection, silence, vault)
    if entry.session is not None:
        connection.execute(present.sessions.delete())
        began = {"began_at": entry.session, "last_at": entry.session}
        connection.execute(present.sessions.insert(), [began])


def _keep_silence(connection: sa.Connection, silence: Silence, vault: Vault) -> None:
    """One row an origin and vantage, gone as soon as it answers."""
    values = silence_values(silence, vault)
    table = present.silences
    if silence.failures:
        connection.execute(table.insert().prefix_with("OR REPLACE"), [values])
    else:
        same = [table.c[name] == values[name] for name in ("origin", "vantage")]
        connection.execute(table.delete().where(*same))


def _keep_verdicts(connection: sa.Connection, entry: Entry, seq: int, next_row: NextRow) -> None:
    cases = {c.row.subject: c.case for c in entry.changes if c.case is not None}
    insert_many(
        connection,
        present.cases.insert().prefix_with("OR REPLACE"),
        (
            {"subject": key, "facts": _json([OBSERVATIONS.to_row(seen) for seen in case])}
            for key, case in cases.items()
        ),
    )
    insert_many(
        connection,
        present.verdicts.insert().prefix_with("OR REPLACE"),
        (
            {"subject": subject, "facts": _json(columns.VERDICTS.to_row(judgement))}
            for subject, judgement in entry.verdicts.items()
        ),
    )
    _append(connection, "verdicts", seq, entry.verdicts.values(), next_row)


def _append(
    connection: sa.Connection, name: str, seq: int, nouns: Iterable[object], next_row: NextRow
) -> None:
    table = columns.TABLES[name]
    values = ({"row": next_row(name), "seq": seq, **_named(table, noun)} for noun in nouns)
    insert_many(connection, present.TAILS[name].insert(), values)


_ADDRESS = re.compile(
    r"\w+://[^\s,()]+"
    r"|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?"
    r"|\[?(?:[0-9A-Fa-f]{0,4}:){2,}[0-9A-Fa-f:.]*\]?"
    r"|(?!observatory\.toml)(?:[\w-]+\.)+[^\W\d_][\w-]+(?::\d+)?"
)


def without_addresses(words: str) -> str:
    """The words of a failed look without URLs, IP addresses and names of hosts."""
    return _ADDRESS.sub("…", words)


def sealed_media(written: str, vault: Vault) -> str:
    """The column `media` of a wording with each of its addresses sealed."""
    return json.dumps([vault.seal_word(address, MEDIA) for address in json.loads(written)])


def seal_old(journal: Journal, vault: Vault) -> None:
    """Seal the segments of a journal that was begun before there was a vault."""
    journal.seal(lambda written: sealed_media(written, vault), without_addresses)


def _unnamed(seen: Observation, row: Row) -> Observation:
    """A failed look of ours without the host that failed; other words are not ours to write."""
    words = seen.signal.words
    if seen.signal.kind is not Kind.ERROR or seen.via is Via.IMPORT or not words:
        return seen
    noun = row.post if isinstance(row, PostRow) else row.account
    for own in (noun.url, host_of(noun.url), noun.native_id):
        words = words.replace(own, "…") if own else words
    return replace(seen, signal=replace(seen.signal, words=without_addresses(words)))


def _bare(wording: Wording) -> Wording:
    return replace(wording, version=Version(wording.version.hash))


def _sealed(wording: Wording, vault: Vault) -> Wording:
    """A wording whose media, addresses at the platform, are readable with the secret only."""
    media = tuple(vault.seal_word(address, MEDIA) for address in wording.version.media)
    return replace(wording, version=replace(wording.version, media=media)) if media else wording


def _json(facts: object) -> str:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))


def _named(table: columns.Table[Any], noun: object) -> dict[str, object]:
    return dict(zip(table.fields, table.to_row(noun), strict=True))
