"""What a table of the journal is: named columns with types, and the codec of its rows.

In: nouns or rows. Out: `Columns`, one numpy array a column, which DuckDB reads as they are, and
back. Knows no table by name (`columns` states them) and reads or writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
"""Column name -> values, all of one length. A missing value is masked (integers) or None (text)."""

Noun = TypeVar("Noun")

AT_ONCE: Final = 5000  # rows that are made into columns together


@dataclass(frozen=True, slots=True)
class Field:
    """The type of a column, in DuckDB's words; `optional` ones may be NULL."""

    type: str
    optional: bool = False


TEXT: Final = Field("VARCHAR")
MAYBE_TEXT: Final = Field("VARCHAR", optional=True)
INT: Final = Field("BIGINT")
MAYBE_INT: Final = Field("BIGINT", optional=True)
FLAG: Final = Field("BOOLEAN")


@dataclass(frozen=True)
class Table(Generic[Noun]):
    """One table: its columns in order, and the way of a noun to a row and back.

    `since` and `until` name the columns whose least and greatest values the manifest repeats.
    Segments of a `daily` table are partitioned by the UTC day of `since`.
    """

    name: str
    fields: Mapping[str, Field]
    to_row: Callable[[Noun], tuple[object, ...]]
    from_row: Callable[..., Noun]
    since: str
    until: str
    daily: bool = True

    def encode(self, nouns: Iterable[Noun]) -> Columns:
        """The nouns as columns, in their order."""
        return self.of_rows([self.to_row(noun) for noun in nouns])

    def of_rows(self, rows: Sequence[Sequence[Any]]) -> Columns:
        """Rows in the order of `fields` as columns."""
        columns = zip(*rows, strict=True) if rows else ((),) * len(self.fields)
        return {
            name: _array(field, column)
            for (name, field), column in zip(self.fields.items(), columns, strict=True)
        }

    def gathered(self, rows: Iterable[Sequence[Any]]) -> Columns:
        """The same of many rows, taken as they come; a text that returns is held once."""
        coming, texts, parts = iter(rows), dict[str, str](), list[Columns]()
        while part := list(islice(coming, AT_ONCE)):
            parts.append(
                self.of_rows(
                    [[texts.setdefault(v, v) if type(v) is str else v for v in row] for row in part]
                )
            )
        if not parts:
            return self.of_rows([])
        return {name: _joined([part[name] for part in parts]) for name in self.fields}

    def decode(self, columns: Columns) -> list[Noun]:
        """The nouns of `columns`; further columns are ignored."""
        values = (columns[name].tolist() for name in self.fields)
        return [self.from_row(*row) for row in zip(*values, strict=True)]


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    masked = isinstance(arrays[0], np.ma.MaskedArray)
    if not masked:
        return np.concatenate(arrays)
    joined: NDArray[Any] = np.ma.concatenate(arrays)  # type: ignore[no-untyped-call]
    return joined


def _array(field: Field, values: Sequence[Any]) -> NDArray[Any]:
    if field.type == "VARCHAR":
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    if field.type == "BOOLEAN":
        return np.array(values, dtype=np.bool_)
    if not field.optional:
        return np.array(values, dtype=np.int64)
    missing = [value is None for value in values]
    present = [value or 0 for value in values]
    masked: NDArray[Any] = np.ma.array(present, mask=missing, dtype=np.int64)
    return masked
