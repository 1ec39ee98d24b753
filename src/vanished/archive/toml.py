"""Reading a table of settings strictly: every wrong key or value is named with file and line.

In: the text of a TOML file and the tables that `tomllib` made of it. Out: checked values, or a
ConfigError that says what to write instead. Which keys there are is the business of `settings`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vanished.errors import ConfigError


class Reader:
    """Checks one file; knows the line of a key so that an error can say it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def line(self, table: str, key: str) -> int:
        """Where `key` of `table` stands, as a line of its own or as a header."""
        whole = f"{table}.{key}" if table else key
        inside = table == ""
        for number, raw in enumerate(self.lines, 1):
            header = re.match(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]", raw)
            if header:
                name = header[1].replace('"', "").replace(" ", "")
                if name == whole or name.startswith(f"{whole}."):
                    return number
                inside = name == table
            elif inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", raw):
                return number
        if "." in table:  # perhaps a table that is written inside a line
            return self.line(*table.rsplit(".", 1))
        return 1

    def fail(self, table: str, key: str, sentence: str) -> ConfigError:
        return ConfigError(f"{self.path}:{self.line(table, key)}: {sentence}")

    def keys(self, table: str, given: Mapping[str, Any], known: list[str]) -> None:
        for key in given:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean '{close[0]}'" if close else f"known keys: {', '.join(known)}"
                place = f"[{table}]" if table else "the file"
                raise self.fail(table, key, f"{place} has no key '{key}'; {hint}.")

    def number(self, table: str, given: Mapping[str, Any], key: str, least: float) -> float | None:
        if key not in given:
            return None
        value = given[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
            raise self.fail(
                table, key, f"{key} is {value!r}; it must be a number of at least {least:g}."
            )
        return float(value)

    def texts(self, table: str, given: Mapping[str, Any], key: str, what: str) -> tuple[str, ...]:
        value = given.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self.fail(table, key, f"{key} must be a list of {what}.")
        return tuple(value)

    def table(self, given: Mapping[str, Any], name: str, parent: str = "") -> Mapping[str, Any]:
        value = given.get(name, {})
        if not isinstance(value, dict):
            raise self.fail(parent, name, f"'{name}' must be a table: write [{name}].")
        return value
