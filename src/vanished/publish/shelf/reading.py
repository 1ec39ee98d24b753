"""Read the shelf: lists of losses, one loss, and the counts of the front page.

In: an observatory's folder, and filters. Out: rows as dictionaries, with times in microseconds.
Words of posts that their authors may have taken down are withheld, unless everything is asked for.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from vanished.errors import StorageError, UsageError
from vanished.model import DAY, Micros, State
from vanished.publish.shelf.filters import Filter, Meanings
from vanished.publish.shelf.layout import HOUR, path_of, readable, storing

ROWS: Final = 50
MOST_ROWS: Final = 1000
FEW: Final = 10
"""Losses that a search found are sorted where their number squared is below this times all losses;
else they are met soon enough by going through all in order. The two ways took as long as each other
at about 1,000 of 103,708."""
MOST_COUNTS: Final = 1024  # that are kept
COLUMNS: Final = (
    "id", "post", "account", "platform", "state", "causes", "confidence", "at", "judged_at",
    "published_at", "first_seen_at", "last_alive_at", "first_gone_at", "explained_by", "notice",
    "rules", "conflicts", "method", "looks", "failed", "reposts", "views", "authors", "script",
    "title", "text",
)  # fmt: skip
_SORTED: Final = {
    "-at": ("l.at", "desc"), "at": ("l.at", "asc"),
    "-reposts": ("coalesce(l.reposts, -1)", "desc"), "-views": ("coalesce(l.views, -1)", "desc"),
}  # fmt: skip
"""What a list goes by; what was never shown comes last."""
DELAYS: Final = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 3 * 86400,
                 7 * 86400, 30 * 86400)  # fmt: skip
"""Ends of the delay histogram's classes, in seconds after publication."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list. `after` is the key that the next page goes on from; "" at the end."""

    rows: Sequence[Mapping[str, Any]]
    after: str
    total: int


Counted = TypeVar("Counted")
Given = ParamSpec("Given")


def _kept(
    count: Callable[Concatenate[Shelf, Given], Counted],
) -> Callable[Concatenate[Shelf, Given], Counted]:
    """Count once for a version of the shelf; who is given the result must not change it."""

    @wraps(count)
    def found(shelf: Shelf, /, *given: Given.args, **named: Given.kwargs) -> Counted:
        key = (count.__name__, shelf.version, given, tuple(named.items()))
        if key in shelf.counts:
            return cast("Counted", shelf.counts[key])
        if len(shelf.counts) >= MOST_COUNTS:
            shelf.counts.clear()
        made = shelf.counts[key] = count(shelf, *given, **named)
        return made

    return found


class Shelf:
    """An open shelf. Its connection may be used from any thread, one at a time."""

    def __init__(self, folder: Path, meanings: Meanings, *, everything: bool = False) -> None:
        if not path_of(folder).is_file():
            raise StorageError(f"{folder} has no shelf yet; vanished serve makes it.")
        self.folder = folder
        self.meanings = meanings
        self.everything = everything
        self._lock = Lock()
        with storing(folder):
            self._connection = readable(folder)
            self._inode = path_of(folder).stat().st_ino
        self.counts: dict[tuple[Any, ...], Any] = {}
        self._held: int | None = None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    @property
    def gone(self) -> bool:
        """Whether its file was taken away, as forgetting does; open it anew then."""
        try:
            return path_of(self.folder).stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def hold(self) -> None:
        """Show this moment from now on, whatever is filled. It is not for long: what is filled
        waits in SQLite's log until the last who holds an older moment has closed."""
        with self._reading() as connection:
            connection.execute("begin")
        self._held = self.version

    def release(self) -> None:
        """Show from now on whatever is filled."""
        with self._reading() as connection:
            if connection.in_transaction:
                connection.execute("commit")
        self._held = None

    @property
    def version(self) -> int:
        """Grows whenever something on it changed."""
        return int(self.fact("version")) if self._held is None else self._held

    def fact(self, key: str) -> str:
        """What the shelf says of itself; "" if nothing."""
        rows = self.rows("select value from facts where key = :key", {"key": key})
        return str(rows[0]["value"]) if rows else ""

    def losses(self, asked: Filter, *, rows: int = ROWS, after: str = "") -> Page:
        """Some rows of the list that `asked` is, from `after` on. Raises UsageError."""
        where, values = asked.condition(self.meanings, self.everything)
        total = self._count(where, json.dumps(values, sort_keys=True))
        column, direction = _SORTED[asked.sort]
        if (asked.q or asked.topic) and total * total <= FEW * self._count("true", "{}"):
            where, values = asked.condition(self.meanings, self.everything, few=True)
            column = f"+{column}"  # no index for the order: what the words find is sorted
        if after:
            beyond = "<" if direction == "desc" else ">"
            where = f"({where}) and ({column}, l.id) {beyond} (:after, :after_id)"
            values = {**values, **place_of(after)}
        rows = min(rows, MOST_ROWS)
        query = (
            f"select {', '.join('l.' + name for name in COLUMNS)}, {column} as place"
            f" from losses l where {where} order by {column} {direction}, l.id {direction}"
            " limit :rows"
        )
        found = self.rows(query, {**values, "rows": rows + 1})
        last = found[rows - 1] if len(found) > rows else None
        return Page(
            [self._shown(row) for row in found[:rows]],
            f"{last['place']}.{last['id']}" if last else "",
            total,
        )

    def every(self, asked: Filter) -> Iterator[dict[str, Any]]:
        """All rows of the list as it stands now, over a connection of its own.

        What is filled meanwhile does not come in between; who stops reading holds nothing.
        """
        where, values = asked.condition(self.meanings, self.everything)
        column, direction = _SORTED[asked.sort]
        query = (
            f"select {', '.join('l.' + name for name in COLUMNS)} from losses l where {where}"
            f" order by {column} {direction}, l.id {direction}"
        )
        yield from (self._shown(row) for row in self.streamed(query, values))

    def streamed(self, query: str, values: Mapping[str, Any]) -> Iterator[sqlite3.Row]:
        """The rows of a query as they are read, over a connection of its own."""
        with storing(self.folder), closing(readable(self.folder)) as connection:
            yield from connection.execute(query, values)

    def count(self, asked: Filter) -> int:
        """How many losses it asks for."""
        where, values = asked.condition(self.meanings, self.everything)
        return self._count(where, json.dumps(values, sort_keys=True))

    @_kept
    def _count(self, where: str, values: str) -> int:
        query = f"select count(*) as n from losses l where {where}"
        return int(self.rows(query, json.loads(values))[0]["n"])

    def loss(self, post: str) -> dict[str, Any] | None:
        """One loss with its wordings and looks; None if the shelf has no such post."""
        found = self.rows(
            f"select {', '.join('l.' + name for name in COLUMNS)}, d.sheet from losses l"
            " join details d using (id) where l.post = :post",
            {"post": post},
        )
        if not found:
            return None
        sheet = json.loads(zlib.decompress(found[0]["sheet"]))
        row = self._shown(found[0])
        row.pop("sheet")
        keys = ("seen_at", "hash", "title", "text")
        withheld = row["withheld"]
        row["wordings"] = [
            dict(zip(keys, (w[0], w[1], None, None) if withheld else w, strict=True))
            for w in sheet["wordings"]
        ]
        row["runs"] = [dict(zip(_LOOK, look, strict=True)) for look in sheet["looks"]]
        row["runs_left_out"] = sheet.get("left_out", 0)
        return row

    def some(self, posts: Sequence[str]) -> list[dict[str, Any]]:
        """The losses among these posts, latest first."""
        found = self.rows(
            f"select {', '.join('l.' + name for name in COLUMNS)} from losses l"
            " where l.post in (select value from json_each(:posts)) order by l.at desc, l.id desc",
            {"posts": json.dumps([*posts][:MOST_ROWS])},
        )
        return [self._shown(row) for row in found]

    def _shown(self, row: sqlite3.Row) -> dict[str, Any]:
        found = dict(row)
        found.pop("place", None)
        found["causes"] = [cause for cause in found["causes"].split(",") if cause]
        found["rules"] = json.loads(found["rules"])
        found["conflicts"] = json.loads(found["conflicts"])
        found["withheld"] = bool(found.pop("authors")) and not self.everything
        if found["withheld"]:
            found["title"] = found["text"] = None
        return found

    # -- the front page ----------------------------------------------------------------------

    @_kept
    def now(self) -> Micros:
        """The last moment that the shelf knows of: end of its latest hour with a look."""
        found = self.rows("select max(hour) as hour from hours where looks > 0", {})
        return 0 if found[0]["hour"] is None else (int(found[0]["hour"]) + 1) * HOUR

    @_kept
    def begun(self) -> Micros:
        """The first moment that the shelf knows of: begin of its first hour with a look."""
        found = self.rows("select min(hour) as hour from hours where looks > 0", {})
        return 0 if found[0]["hour"] is None else int(found[0]["hour"]) * HOUR

    @_kept
    def span(self) -> tuple[Micros | None, Micros | None]:
        """The first and the last loss."""
        row = self.rows("select min(at) as first, max(at) as last from losses", {})[0]
        return row["first"], row["last"]

    @_kept
    def causes(self, since: Micros, until: Micros) -> list[dict[str, Any]]:
        """Losses in a span by the causes that the facts leave, most first."""
        rows = self.rows(
            "select causes, count(*) as n from losses where state = :gone and at >= :since"
            " and at < :until group by 1 order by 2 desc, 1",
            {"gone": State.GONE.value, "since": since, "until": until},
        )
        return [{"causes": row["causes"].split(","), "n": row["n"]} for row in rows]

    @_kept
    def met(self, since: Micros, until: Micros, platform: str = "") -> dict[str, int]:
        """Posts met, looks and failed looks in a span, of one platform or all: the denominators.

        Counted by the hour: those in which the span begins and ends count as a whole.
        """
        row = self.rows(
            "select coalesce(sum(met), 0) as met, coalesce(sum(looks), 0) as looks,"
            " coalesce(sum(failed), 0) as failed from hours where hour >= :since and hour < :until"
            " and (:platform = '' or platform = :platform)",
            {"since": since // HOUR, "until": -(-until // HOUR), "platform": platform},
        )[0]
        return dict(row)

    @_kept
    def days(self, since: Micros, until: Micros) -> list[dict[str, Any]]:
        """By UTC day: losses by cause, looks, failed looks, posts met, hours with a look."""
        values = {"since": since, "until": until, "gone": State.GONE.value, "day": DAY}
        lost = self.rows(
            "select at / :day as day, causes, count(*) as n from losses where state = :gone"
            " and at >= :since and at < :until group by 1, 2",
            values,
        )
        looked = self.rows(
            f"select hour * {HOUR} / :day as day, sum(looks) as looks, sum(failed) as failed,"
            f" sum(met) as met, count(distinct hour) filter (where looks > 0) as hours from hours"
            f" where hour * {HOUR} >= :since and hour * {HOUR} < :until group by 1",
            values,
        )
        found: dict[int, dict[str, Any]] = {
            day: {"day": day * DAY, "causes": {}, "looks": 0, "failed": 0, "met": 0, "hours": 0}
            for day in range(since // DAY, -(-until // DAY))
        }
        for row in looked:
            if row["day"] in found:
                found[row["day"]].update({k: row[k] for k in ("looks", "failed", "met", "hours")})
        for row in lost:
            if row["day"] in found:
                found[row["day"]]["causes"][row["causes"]] = row["n"]
        return list(found.values())

    @_kept
    def gaps(self, since: Micros, until: Micros) -> list[dict[str, Any]]:
        """When nothing was watched though it should have been."""
        rows = self.rows(
            "select * from gaps where until > :since and since < :until order by since",
            {"since": since, "until": until},
        )
        return [dict(row) for row in rows]

    @_kept
    def delays(self, since: Micros, until: Micros) -> dict[str, Any]:
        """How long after publication posts were lost: a class a row, and those without a time.

        A loss counts where the middle of its interval lies; the width is given beside it.
        """
        middle = "(coalesce(last_alive_at, first_gone_at) + first_gone_at) / 2 - published_at"
        known = "published_at is not null and last_alive_at is not null"
        case = " ".join(f"when delay < {end} * 1000000 then {n}" for n, end in enumerate(DELAYS))
        rows = self.rows(
            f"select case when not ({known}) then -1 {case} else {len(DELAYS)} end as class,"
            f" count(*) as n from (select *, {middle} as delay from losses where state = :gone"
            " and at >= :since and at < :until) group by 1",
            {"gone": State.GONE.value, "since": since, "until": until},
        )
        counts = {row["class"]: row["n"] for row in rows}
        return {
            "ends": DELAYS,
            "counts": [counts.get(n, 0) for n in range(len(DELAYS) + 1)],
            "unknown": counts.get(-1, 0),
        }

    @_kept
    def platforms(self) -> list[dict[str, Any]]:
        """Every platform that is watched: accounts, posts, losses."""
        rows = self.rows(
            "select platform, count(*) as accounts, sum(posts) as posts,"
            " (select count(*) from losses l where l.platform = a.platform and l.state = 'gone')"
            " as lost from accounts a group by platform order by posts desc, platform",
            {},
        )
        return [dict(row) for row in rows]

    @_kept
    def accounts(self, platform: str = "") -> list[dict[str, Any]]:
        """Every account, by pseudonym: never ranked, so in the order of its pseudonym."""
        rows = self.rows(
            "select a.*, coalesce(n.lost, 0) as lost from accounts a left join"
            " (select account, count(*) as lost from losses where state = 'gone' group by 1) n"
            " using (account) where :platform = '' or a.platform = :platform"
            " order by a.platform, a.account",
            {"platform": platform},
        )
        return [dict(row) for row in rows]

    def accounts_page(
        self, platform: str, rows: int, after: str = ""
    ) -> tuple[list[dict[str, Any]], int]:
        """Some accounts in the order of their pseudonyms, after `after`; and how many there are."""
        of = "(:platform = '' or a.platform = :platform)"
        only = {"platform": platform}
        total = self.rows(f"select count(*) as n from accounts a where {of}", only)
        found = self.rows(
            "select a.*, (select count(*) from losses l where l.account = a.account"
            f" and +l.state = 'gone') as lost from accounts a where {of} and a.account > :after"
            " order by a.account limit :rows",
            {**only, "rows": rows, "after": after},
        )
        return [dict(row) for row in found], int(total[0]["n"])

    def account(self, key: str) -> dict[str, Any] | None:
        """One account."""
        rows = self.rows("select * from accounts where account = :key", {"key": key})
        return dict(rows[0]) if rows else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, storing(self.folder):
            yield self._connection

    def rows(self, query: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        """The rows of a query, all of them."""
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()


_LOOK: Final = (
    "asked_at", "last_answered_at", "looks", "kind", "causes", "rule", "fault", "status", "via",
    "vantage", "version", "capture", "reposts_low", "reposts_high", "views_low", "views_high",
    "words",
)  # fmt: skip


def place_of(after: str) -> dict[str, int]:
    """Where a page goes on, from what the page before said. Raises UsageError."""
    value, _, number = after.partition(".")
    try:
        found = {"after": int(value), "after_id": int(number)}
    except ValueError:
        found = {}
    if not found or max(map(abs, found.values())) >= 1 << 63:
        raise UsageError(
            f"after '{after[:40]}' is no place in this list; take it from the page before."
        )
    return found
