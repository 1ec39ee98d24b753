"""What a person chose for an analysis, as the analysis takes it: groups, topics, kinds.

In: options as they were typed, texts of files. Out: settings and Arrow tables, or a UsageError.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from vanished.errors import UsageError
from vanished.explain.topics import parse_topics, topics

Choice = TypeVar("Choice", bound=StrEnum)


def one_of(choices: type[Choice], given: str, option: str) -> Choice:
    """The choice of this name. Raises UsageError, which lists them."""
    try:
        return choices(given)
    except ValueError:
        known = ", ".join(choice.value for choice in choices)
        raise UsageError(f"{option} '{given}' is none of {known}; choose one of them.") from None


def topics_of(posts: pa.Table, given: Sequence[str] | None) -> pa.Table | None:
    """The topic of each post, the first that fits; None if none were named."""
    if not given:
        return None
    found = topics(posts, parse_topics(given))
    first = pc.equal(
        pc.index_in(found["post"], found["post"].combine_chunks()), pa.array(range(found.num_rows))
    )
    return found.filter(first)


def read_kinds(file: Path, text: str) -> pa.Table:
    """A table of accounts' kinds from the text of a CSV. Raises UsageError."""
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    if not {"account", "kind"} <= set(reader.fieldnames or ()):
        raise UsageError(f"{file} lacks a column account or kind; name both in its first line.")
    rows = [{"account": row["account"], "kind": row["kind"]} for row in reader]
    if not rows or any(not row["account"] or not row["kind"] for row in rows):
        raise UsageError(f"{file} has a row without an account or a kind, or no row; fill it in.")
    return pa.Table.from_pylist(rows)
