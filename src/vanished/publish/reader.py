"""An observatory for a notebook: `vanished.open(folder)`, and what was lost as tables.

In: an observatory's folder. Out: lists that are read when they are asked for, as dictionaries with
aware UTC times, or as tables of Arrow, pandas and Polars. It shows one moment of the shelf, which
it brings up to date when it is opened; it changes nothing else. Words that their authors may have
taken down are withheld unless everything is asked for: this is for the team, not for publishing.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Final

from vanished.archive.observatory import Observatory
from vanished.errors import UsageError
from vanished.model import Micros, at
from vanished.publish.api import fields as f
from vanished.publish.shelf import networks
from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.filters import Filter
from vanished.publish.shelf.meanings import meanings
from vanished.publish.shelf.reading import Shelf

BATCH: Final = 10_000  # rows that are objects at once
PREVIEWED: Final = 10
Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """A list that is read when it is asked for. `len` counts it; a loop reads it row by row."""

    name: str
    fields: Sequence[f.Field]
    read: Callable[[], Iterable[Mapping[str, Any]]]
    count: Callable[[], int]
    of: str  # the denominators, in words

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[Row]:
        for row in self.read():
            yield {field.name: _value(field, row[field.name]) for field in self.fields}

    def __repr__(self) -> str:
        return f"<{len(self):,} {self.name}; {self.of}>"

    def _repr_html_(self) -> str:
        """The first rows, as a notebook shows them; strangers' words are escaped."""
        names = [field.name for field in self.fields]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(_shown(row[name]))}</td>" for name in names)
            + "</tr>"
            for row in islice(self, PREVIEWED)
        )
        caption = html.escape(repr(self)[1:-1])
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"

    def to_arrow(self) -> Any:
        """As a `pyarrow.Table`: times are microseconds in UTC. Raises UsageError without it."""
        pa = _library("pyarrow", "to_arrow")
        types = {
            f.Kind.TEXT: pa.string(), f.Kind.WHOLE: pa.int64(), f.Kind.FLAG: pa.bool_(),
            f.Kind.TIME: pa.timestamp("us", "UTC"), f.Kind.TEXTS: pa.list_(pa.string()),
        }  # fmt: skip
        schema = pa.schema(
            [
                pa.field(one.name, types[one.kind], one.optional, {"says": one.says})
                for one in self.fields
            ]
        )
        rows = iter(self.read())
        batches = []
        while part := list(islice(rows, BATCH)):
            columns = [
                pa.array([_plain(one, row[one.name]) for row in part], types[one.kind])
                for one in self.fields
            ]
            batches.append(pa.record_batch(columns, schema=schema))
        return pa.Table.from_batches(batches, schema)

    def to_pandas(self) -> Any:
        """As a `pandas.DataFrame`; a count that is not known is NA, and no count becomes a float.

        Raises UsageError without pandas or pyarrow.
        """
        pandas = _library("pandas", "to_pandas")
        table = self.to_arrow()
        whole = {_library("pyarrow", "to_pandas").int64(): pandas.Int64Dtype()}
        return table.to_pandas(types_mapper=whole.get)

    def to_polars(self) -> Any:
        """As a `polars.DataFrame`. Raises UsageError without polars or pyarrow."""
        return _library("polars", "to_polars").from_arrow(self.to_arrow())


class Reader:
    """An open observatory. Use it in a `with`, or `close` it."""

    def __init__(self, folder: Path, *, everything: bool = False) -> None:
        self.folder = folder
        fill(folder)
        self._shelf = Shelf(folder, meanings(folder), everything=everything)

    def close(self) -> None:
        self._shelf.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __repr__(self) -> str:
        lost = self._shelf.count(Filter())
        name = self._shelf.fact("observatory")
        return f"<observatory {name}: {lost:,} posts gone; {self._basis(0, self._shelf.now())}>"

    def losses(self, **asked: Any) -> Rows:
        """Losses that fulfil all of it, named as in the addresses of pages: `cause`, `may`, `q`,
        `platform`, `account`, `confidence`, `state` ("any"; only "gone" unless given), `since`,
        `until`, `script`, `crossed`, `topic`, `event`, `sort`. Times may be `date` or `datetime`
        (an aware one; a naive one is UTC). Raises UsageError."""
        known = [field.name for field in fields(Filter)]
        for name in asked:
            if name not in known:
                raise UsageError(f"losses has no '{name}'; it has {', '.join(known)}.")
        given = {name: _asked(value) for name, value in asked.items() if value is not None}
        wanted = Filter(**given)
        shelf = self._shelf
        wanted.condition(shelf.meanings, shelf.everything)  # refuses what nobody defined
        since, until = wanted.span()
        of = self._basis(since or 0, shelf.now() if until is None else until, wanted.platform)
        said = "losses" + "".join(f" {name}={value}" for name, value in wanted.given().items())
        everything = Filter(state="any")
        whole = f"of {shelf.count(everything):,} on the shelf; {of}"
        return Rows(said, f.LOSS, lambda: shelf.every(wanted), lambda: shelf.count(wanted), whole)

    def accounts(self, platform: str = "") -> Rows:
        """The accounts that are watched, by pseudonym: never ranked."""
        found = self._shelf.accounts(platform)
        of = self._basis(0, self._shelf.now(), platform)
        return Rows("accounts", f.ACCOUNT, lambda: found, lambda: len(found), of)

    def looks(self, post: str) -> Rows:
        """Every look at a post, or at an account, oldest first: the facts."""
        found = self._of(_LOOKS, post)
        times = sum(row["looks"] for row in found)
        failed = sum(row["looks"] for row in found if row["kind"] == "error")
        of = f"{times:,} looks, {failed:,} of them failed"
        return Rows(f"runs of looks at {post}", f.LOOK, lambda: found, lambda: len(found), of)

    def versions(self, post: str) -> Rows:
        """Every wording of a post that we saw, oldest first."""
        found = self._of(_VERSIONS, post)
        lost = self._shelf.loss(post)
        if lost is not None and lost["withheld"]:
            found = [{**row, "title": None, "text": None} for row in found]
        of = f"{len(self.looks(post)):,} runs of looks"
        return Rows(f"versions of {post}", f.WORDING, lambda: found, lambda: len(found), of)

    def measurements(self, **asked: Any) -> Rows:
        """Measurements of networks, the latest first: `test`, `target`, `asn`, `cc`, `state`,
        `since`, `until`. Raises UsageError."""
        known = [field.name for field in fields(networks.Asked)]
        for name in asked:
            if name not in known:
                raise UsageError(f"measurements has no '{name}'; it has {', '.join(known)}.")
        span = {name: _asked(asked.pop(name, None) or "") for name in ("since", "until")}
        since, until = Filter(**span).span()
        wanted = networks.Asked(**asked, since=since, until=until)
        shelf = self._shelf

        def count() -> int:
            return networks.measurements(shelf, wanted, 1).total

        whole = networks.measurements(shelf, networks.Asked(), 1).total
        return Rows(
            "measurements", f.MEASUREMENT, lambda: networks.every_measurement(shelf, wanted),
            count, f"of {whole:,} that are kept",
        )  # fmt: skip

    def _basis(self, since: Micros, until: Micros, platform: str = "") -> str:
        met = self._shelf.met(since, until, platform)
        failed = f"{met['failed'] / met['looks']:.1%}" if met["looks"] else "none"
        return f"{met['met']:,} posts met, {met['looks']:,} looks, {failed} failed"

    def _of(self, query: str, subject: str) -> list[Row]:
        with Observatory.open(self.folder) as observatory, observatory.past() as past:
            found = past.execute(query, [subject])
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def opened(folder: str | Path, *, everything: bool = False) -> Reader:
    """The observatory in `folder`, for reading. `everything`: also words that their authors may
    have taken down; not to publish. Raises VanishedError where there is none or it is damaged."""
    if find_spec("opencc") is None:
        raise UsageError(
            "vanished.open needs more than the core install has (opencc); add it with:"
            " pip install 'vanished[explain]'."
        )
    return Reader(Path(folder), everything=everything)


_LOOKS: Final = f"""
select {", ".join(one.name for one in f.LOOK)} from observations where subject = ? order by asked_at
"""
_VERSIONS: Final = "select seen_at, hash, title, text from versions where post = ? order by seen_at"


def _asked(value: Any) -> str:
    """A value of a filter as addresses have it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _value(field: f.Field, value: Any) -> Any:
    if value is None:
        return None
    if field.kind is f.Kind.TIME:
        return at(value)
    return _plain(field, value)


def _plain(field: f.Field, value: Any) -> Any:
    if field.kind is f.Kind.TEXTS and isinstance(value, str):
        return [each for each in value.split(",") if each]
    return value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return ", ".join(value) if isinstance(value, list) else str(value)[:120]


def _library(name: str, who: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise UsageError(f"{who} needs {name}; add it with: pip install {name}.") from None
