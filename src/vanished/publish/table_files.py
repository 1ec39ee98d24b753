"""Tables as files for other programs: CSV, JSON Lines, Parquet.

In: an Arrow table. Out: bytes, the same for the same table. Cells of a CSV that a spreadsheet would
take for a formula get a quote before them, and all texts are quoted, so that none is cut in two
where a spreadsheet parts cells by other marks.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA: Final = tuple("=+-@|\t\r\n＝＋－＠﹦﹢﹣﹫")
"""What a spreadsheet may take for the beginning of a formula, also in full width."""
BATCH: Final = 10_000  # rows that are objects at once


def parquet_of(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    return bytes(buffer.getvalue())


def csv_of(table: pa.Table) -> bytes:
    """UTF-8 with the mark by which spreadsheets know it (RFC 4180)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(table.column_names)
    for row in _rows(table):
        writer.writerow([plain(_shown(value)) for value in row.values()])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def jsonl_of(table: pa.Table) -> bytes:
    lines = (
        json.dumps({k: _shown(v) for k, v in row.items()}, ensure_ascii=False)
        for row in _rows(table)
    )
    return "".join(f"{line}\n" for line in lines).encode()


def plain(value: Any) -> Any:
    """A value of a CSV that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        value = "; ".join(str(each) for each in value)
    if isinstance(value, str) and value.lstrip(" \u3000\ufeff\u200b\0").startswith(FORMULA):
        return f"'{value}"
    return value


def _shown(value: Any) -> Any:
    """A time as ISO 8601 in UTC; anything else as it is."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(BATCH):
        yield from batch.to_pylist()
