"""The rows of a peer's CSV file, read strictly: a file that is cut or no CSV gives nothing.

In: a path and the columns that have to be there. Out: each row as cells by column, with the place
to name when a cell is wrong ("FILE:LINE"). It knows no peer.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vanished.errors import InputError


def rows(path: Path, columns: Sequence[str], what: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The rows of the file at `path`, which should be `what` ("a WeChatscope dump").

    Raises InputError ("FILE:LINE: …") at the first thing that is not as it should be.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    header: list[str] | None = None
    found = line = 0
    try:
        for row in reader:
            here, line = line + 1, reader.line_num
            if not row:
                continue
            where = f"{path}:{here}"
            if header is None:
                header = _header(row, columns, where, what)
                continue
            found += 1
            if len(row) != len(header):
                raise InputError(
                    f"{where}: the row has {len(row)} fields, the header {len(header)}"
                )
            yield where, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{line + 1}: the row cannot be read as CSV: {error}") from None
    if header is None:
        raise InputError(f"{path}:1: the file is empty; expected the columns {', '.join(columns)}")
    if not found:
        raise InputError(f"{path}:{line}: the file has columns but not one row")


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: could not be opened: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Its position is counted without the byte order mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: the file is not UTF-8 ({error.reason}); convert it first"
        ) from None


def _header(row: list[str], columns: Sequence[str], where: str, what: str) -> list[str]:
    missing = [column for column in columns if column not in row]
    if missing:
        raise InputError(
            f"{where}: the columns {', '.join(missing)} are missing; this is no {what}"
        )
    return row
