"""Questions to the present: the base of `Observatory`, which has the database and the vault.

In: row numbers, keys, hosts. Out: rows, cases, verdicts, counts, as they stand at that moment.
Nothing is written here.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from vanished.archive import columns, forgetting, present
from vanished.archive.columns import OBSERVATIONS
from vanished.archive.folder import JOURNAL
from vanished.archive.mapping import (
    HOST,
    POSTS,
    POSTS_BY_ID,
    SILENCE,
    STREAM,
    WHO_ACCOUNT,
    WHO_POST,
    account_row,
    post_row,
)
from vanished.archive.rows import AccountRow, PostRow, Scheduled, Silence, StreamPlace
from vanished.archive.vault import Vault
from vanished.model import ENDED, Micros, Observation, State, Verdict
from vanished.net.address import host_of

_SCHEDULED = """
    select host, platform, id, account_id, due, coalesce(published_at, first_seen_at),
        coalesce(last_alive_at, first_seen_at), failures,
        state in ('alive', 'returned') and not absent
    from posts where host <> x''
"""
_AMONG = " and id in (select value from json_each(?))"
_CHUNK = 500  # rows: so few stay in the processor's cache, and in the collector's first age
MOST_BOUND = 10_000  # values in one IN: SQLite binds at most 32,766


class Reading(ABC):
    """What can be asked of an open observatory's present."""

    folder: Path
    _engine: sa.Engine

    @property
    @abstractmethod
    def vault(self) -> Vault:
        """Opens what names somebody."""

    def account_rows(self) -> list[AccountRow]:
        """The accounts that are watched."""
        query = sa.select(present.accounts).where(present.accounts.c.watched)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by("id")).mappings()
            return [account_row(row, self.vault) for row in found]

    def account_ids(self) -> dict[str, int]:
        """Row numbers of all accounts that we know, watched or not, by key."""
        c = present.accounts.c
        with self._engine.connect() as connection:
            return {row.key: row.id for row in connection.execute(sa.select(c.key, c.id))}

    def account_names(self) -> dict[str, str]:
        """Key to the name that the platform uses; for eyes inside the team only."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(present.accounts)).mappings().all()
        accounts = [account_row(row, self.vault).account for row in found]
        return {account.key: account.name or account.native_id for account in accounts}

    def account_identities(self) -> Iterator[str]:
        """Everything that names an account on its platform, so that it can be kept from leaving."""
        with self._engine.connect() as connection:
            for (sealed,) in connection.execute(sa.select(present.accounts.c.who)):
                yield from filter(None, self.vault.open_list(sealed, WHO_ACCOUNT))

    def post_identities(self) -> Iterator[str]:
        """Native ids and addresses of all posts, and the ids of those that they repeat.

        A million take some ten seconds.
        """
        query = sa.select(present.posts.c.who).execution_options(yield_per=MOST_BOUND)
        with self._engine.connect() as connection:
            for (sealed,) in connection.execute(query):
                yield from filter(None, self.vault.open_list(sealed, WHO_POST))

    def account_verdicts(self) -> dict[int, Verdict]:
        """Verdicts on accounts, by row number."""
        query = sa.select(present.accounts.c.id, present.verdicts.c.facts).join(
            present.verdicts, present.verdicts.c.subject == present.accounts.c.key
        )
        with self._engine.connect() as connection:
            return {row.id: _verdict(json.loads(row.facts)) for row in connection.execute(query)}

    def scheduling(self) -> tuple[str, list[tuple[str, str]]]:
        """The token of the schedule's columns, and by number of arm its platform and host."""
        with self._engine.connect() as connection:
            query = sa.select(present.meta.c.value).where(present.meta.c.key == present.SCHEDULE)
            value = connection.execute(query).scalar()
        if not value:
            return "", []
        kept = json.loads(value)
        arms = [(name, self.vault.open_word(word, HOST)) for name, word in kept["arms"]]
        return kept["token"], arms

    def schedule_columns(
        self, host: Callable[[str], int], posts: Sequence[int] | None = None
    ) -> Scheduled:
        """Posts that are scheduled, all in one scan or `posts`. `host(name)` numbers the hosts.

        A million rows take some two seconds: tuples of the driver, and no object for each post.
        """
        hosts: dict[bytes, int] = {}
        platforms: dict[str, int] = {}
        parts: list[npt.NDArray[np.int64]] = []
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            if posts is None:
                cursor = driver.execute(_SCHEDULED)
            else:
                cursor = driver.execute(_SCHEDULED + _AMONG, (json.dumps(list(posts)),))
            while chunk := cursor.fetchmany(_CHUNK):
                sealed, names, *numbers = zip(*chunk, strict=True)
                for each in set(sealed).difference(hosts):
                    hosts[each] = host(self.vault.open_often(each, HOST))
                for name in set(names).difference(platforms):
                    platforms[name] = len(platforms)
                at_host, of = [hosts[each] for each in sealed], [platforms[n] for n in names]
                parts.append(np.array([at_host, of, *numbers], dtype=np.int64))
        at, kind, ids, account, due, born, last, failures, plain = (
            np.concatenate(parts, axis=1) if parts else np.zeros((9, 0), np.int64)
        )
        return Scheduled(
            ids, at.astype(np.int32), due, born, last, account, kind.astype(np.int32), failures,
            plain.astype(bool), tuple(platforms),
        )  # fmt: skip

    def post_rows(self, numbers: Sequence[int]) -> list[PostRow]:
        """Rows of these posts, in the order asked for."""
        with self._engine.connect() as connection:
            rows = connection.execute(POSTS_BY_ID, {"numbers": json.dumps(list(numbers))}).all()
        found = {row[0]: post_row(row, self.vault) for row in rows}
        return [found[number] for number in numbers]

    def post_rows_by_key(self, keys: Sequence[str]) -> dict[str, PostRow]:
        """Rows of those of these keys that we know."""
        found: dict[str, PostRow] = {}
        for start in range(0, len(keys), MOST_BOUND):
            part = keys[start : start + MOST_BOUND]
            found |= {row.subject: row for row in self._posts(present.posts.c.key.in_(part))}
        return found

    def live_rows(self, account: int, since: Micros) -> list[PostRow]:
        """An account's posts that are not known lost, published since `since`."""
        c = present.posts.c
        return self._posts((c.account_id == account) & _LIVE & (c.published_at >= since))

    def open_rows(self, account: int) -> list[PostRow]:
        """An account's posts that its loss may concern: the live ones, and those with a case."""
        c = present.posts.c
        return self._posts((c.account_id == account) & (_LIVE | c.has_case))

    def rows_in(self, states: Sequence[State], platforms: Sequence[str]) -> list[PostRow]:
        """Posts of these platforms that are in one of these states."""
        c = present.posts.c
        return self._posts(
            c.state.in_([state.value for state in states]) & c.platform.in_(platforms)
        )

    def _posts(self, where: sa.ColumnElement[bool]) -> list[PostRow]:
        with self._engine.connect() as connection:
            rows = connection.execute(POSTS.where(where)).all()
        return [post_row(row, self.vault) for row in rows]

    def stream_places(self) -> dict[str, StreamPlace]:
        """How far each platform's stream of changes was read."""
        with self._engine.connect() as connection:
            return {
                row.platform: StreamPlace(self.vault.open(row.address, STREAM), row.seq, row.at)
                for row in connection.execute(sa.select(present.streams))
            }

    def accounts_by_host(self) -> dict[str, int]:
        """How many accounts, watched or not, have their address or posts at each host."""
        c = present.posts.c
        found: dict[str, set[int]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(present.accounts)).mappings():
                account = account_row(row, self.vault)
                found.setdefault(host_of(account.account.url), set()).add(account.id)
            for host, number in connection.execute(sa.select(c.host, c.account_id).distinct()):
                found.setdefault(self.vault.open_often(host, HOST), set()).add(number)
        return {host: len(numbers) for host, numbers in found.items() if host}

    def silences(self) -> list[Silence]:
        """Origins that gave no answer from a vantage when they were last asked, oldest first."""
        c = present.silences.c
        query = sa.select(c.origin, c.vantage, c.since, c.last_at, c.failures).order_by(c.since)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Silence(self.vault.open(row[0], SILENCE), *row[1:]) for row in rows]

    def last_looking(self) -> Micros | None:
        """The watch's latest sign of life; None if it never ran."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(present.sessions.c.last_at)).scalar()
        return None if found is None else int(found)

    def case(self, subject: str) -> list[Observation]:
        """The definite facts on `subject` since its first answer other than "alive"."""
        facts = self._facts(present.cases, subject)
        return [] if facts is None else [OBSERVATIONS.from_row(*row) for row in facts]

    def verdict(self, subject: str) -> Verdict | None:
        """The current verdict on `subject`."""
        facts = self._facts(present.verdicts, subject)
        return None if facts is None else _verdict(facts)

    def verdicts(self) -> list[Verdict]:
        """The current verdict on every subject that has one."""
        with self._engine.connect() as connection:
            return [
                _verdict(json.loads(row.facts))
                for row in connection.execute(sa.select(present.verdicts.c.facts))
            ]

    def first_sights(self) -> dict[str, Micros]:
        """When each post was first seen, by key."""
        c = present.posts.c
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(c.key, c.first_seen_at))
            return {row.key: row.first_seen_at for row in found}

    def _facts(self, table: sa.Table, subject: str) -> Any:
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.select(table.c.facts).where(table.c.subject == subject)
            ).scalar()
        return None if found is None else json.loads(found)

    def failing_posts(self, failures: int) -> list[tuple[str, int, int]]:
        """Hosts with posts whose last `failures` looks failed: host, such posts, all its posts."""
        c = present.posts.c
        failing = sa.func.count().filter(c.failures >= failures)
        query = sa.select(c.host, failing, sa.func.count()).group_by(c.host).having(failing > 0)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [(self.vault.open_often(row[0], HOST), row[1], row[2]) for row in rows]

    def integrity(self) -> str:
        """What SQLite's own check finds wrong with the present; "" if nothing."""
        with self._engine.connect() as connection:
            found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return "" if found == "ok" else found

    def acknowledged_looks(self) -> int:
        """How many looks were ever acknowledged, read afresh."""
        return forgetting.acknowledged(self._engine, self.folder / JOURNAL)

    def is_forgotten(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys of posts that were forgotten: they are not to be met again."""
        c = present.forgotten.c.key
        found: set[str] = set()
        with self._engine.connect() as connection:
            for start in range(0, len(keys), MOST_BOUND):
                part = keys[start : start + MOST_BOUND]
                found.update(connection.execute(sa.select(c).where(c.in_(part))).scalars())
        return found


_LIVE = present.posts.c.state.not_in([state.value for state in ENDED])


def _verdict(row: Sequence[Any]) -> Verdict:
    return columns.VERDICTS.from_row(*row).verdict
