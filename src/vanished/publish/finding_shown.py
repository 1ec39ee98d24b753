"""Findings for eyes and for other programs: the terminal, a table in a file, a chart in a file.

In: the `Result` of an analysis. Out: text on a console; CSV, JSON Lines or Parquet. Files are
written whole or not at all. Cells of a CSV that a spreadsheet would take for a formula get a quote
before them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanished.archive.durable import refusals, write_atomically
from vanished.errors import UsageError
from vanished.explain.result import Result, facts
from vanished.model import at
from vanished.publish.table_files import csv_of, jsonl_of, parquet_of

if TYPE_CHECKING:
    import pyarrow as pa

FORMS: Final = (".csv", ".jsonl", ".parquet")


def show(result: Result, console: Console, rows: int) -> None:
    """Print a result: what was found, `rows` of its table, and what it rests on."""
    for line in result.text().splitlines():
        console.print(Text(line))
    _show_table(console, result.table(), rows)
    console.print(Text(f"Among {result.basis.text()}."), style="dim")
    console.print(Text(f"Method: {result.method}. {' '.join(result.caveats)}"), style="dim")


def _show_table(console: Console, table: pa.Table, rows: int) -> None:
    """As many columns as fit, from the left; the rest is said to be there."""
    if not (rows and table.num_rows):
        return
    shown = [{k: cell(k, v) for k, v in row.items()} for row in table.slice(0, rows).to_pylist()]
    names = dict[str, int]()
    for name in table.column_names:
        head = max(len(word) for word in name.replace("_", " ").split())
        wide = min(max(head, *(_wide(row[name]) for row in shown)), 40)
        if names and sum(names.values()) + 2 * len(names) + wide > console.width:
            break
        names[name] = wide
    printed = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, wide in names.items():
        number = all(isinstance(v, (int, float)) for v in table[name].slice(0, rows).to_pylist())
        side: Literal["left", "right"] = "right" if number else "left"
        printed.add_column(name.replace("_", " "), justify=side, width=wide)
    for row in shown:
        printed.add_row(*(Text(row[name], overflow="ellipsis", no_wrap=True) for name in names))
    console.print()
    console.print(printed)
    left_out = []
    if table.num_rows > rows:
        left_out.append(f"{table.num_rows - rows} more rows")
    if len(names) < table.num_columns:
        left_out.append(f"{table.num_columns - len(names)} more columns")
    if left_out:
        console.print(f"  … and {', '.join(left_out)}; --save keeps all of them", style="dim")
    console.print()


def _wide(text: str) -> int:
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


def cell(name: str, value: Any) -> str:
    """A value as a reader sees it; what a column holds is told by its name (`_is_time`)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if abs(value) < 1e-12:
            return "0"
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, int) and _is_time(name) and value > 10**14:
        return at(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, (list, tuple)):
        return ", ".join(cell("", each) for each in value)
    return str(value)


def _is_time(name: str) -> bool:
    return name.endswith(("_at", "_by", "since", "until", "begin", "end", "first", "last"))


def save(result: Result, file: Path) -> None:
    """Write the table to a .csv, .jsonl or .parquet. Raises UsageError for any other name,
    StorageError where the disk refuses."""
    form = file.suffix.lower()
    if form not in FORMS:
        raise UsageError(
            f"{file} ends in none of {', '.join(FORMS)}; name a file for the table that does."
        )
    table = result.table()
    written = {".parquet": parquet_of, ".jsonl": jsonl_of, ".csv": csv_of}[form](table)
    with refusals(f"write {file}"):
        write_atomically(file, written)


def print_facts(result: Result) -> str:
    """The result as one line of JSON."""
    return json.dumps(facts(result), ensure_ascii=False)


def titles(results: Sequence[Result]) -> str:
    """Names of methods, for a sentence."""
    return ", ".join(result.method for result in results)
