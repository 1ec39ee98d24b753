"""What somebody finds who takes away an observatory's folder: every byte, and every Parquet row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb


def everything(folder: Path) -> dict[str, bytes]:
    """The content of every file, by path; compressed rows of Parquet as text beside the bytes."""
    found = {}
    with duckdb.connect() as connection:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = str(path.relative_to(folder))
                found[name] = path.read_bytes()
                if path.suffix == ".parquet":
                    rows = connection.execute(f"SELECT * FROM '{path}'").fetchall()
                    found[name] += str(rows).encode()
    return found


def traces(folder: Path, texts: Iterable[str]) -> list[tuple[str, str]]:
    """(file, text) wherever one of `texts` can be read in `folder`, as UTF-8 or UTF-16."""
    files = everything(folder)
    return [
        (name, text)
        for text in texts
        for name, content in files.items()
        if text.encode() in content or text.encode("utf-16-le") in content
    ]
