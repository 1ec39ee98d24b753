"""A TOML table read strictly: every key is taken once, and none may be left over.

In: a table and the place where it stands. Out: checked values, or a ConfigError that names the
place. It knows no format; `notice` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vanished.errors import ConfigError


def values_of(kind: type[Any]) -> dict[str, Any]:
    """The members of an enum by their values."""
    return {member.value: member for member in kind}


def words_of(words: Iterable[str]) -> str:
    """`words` as one reads them in a sentence."""
    return ", ".join(words)


class Table:
    """One table being read. `at` is its place, `left` what nobody has taken yet."""

    def __init__(self, table: Mapping[str, Any], at: str) -> None:
        self.left = dict(table)
        self.at = at

    def wrong(self, what: str) -> ConfigError:
        """The error to raise about this table."""
        return ConfigError(f"{self.at}: {what}.")

    def take(self, key: str, kind: type[Any], default: Any = None) -> Any:
        """The value of `key`, of just the type `kind`; a string may not be blank."""
        value = self.left.pop(key, default)
        if value is None:
            raise self.wrong(f"the key '{key}' is missing")
        if type(value) is not kind or (kind is str and not value.strip()):
            raise self.wrong(f"'{key}' has to be a non-empty {kind.__name__}, not {value!r}")
        return value

    def strings(self, key: str, *, needed: bool = True) -> list[str]:
        """The list of non-blank strings at `key`."""
        values = self.take(key, list, None if needed else [])
        if (needed and not values) or not all(isinstance(v, str) and v.strip() for v in values):
            raise self.wrong(f"'{key}' has to be a list of words")
        return list(values)

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        """The array of tables at `key`, empty if there is none."""
        values = self.take(key, list, [])
        if not all(isinstance(value, dict) for value in values):
            raise self.wrong(f"write '{key}' as [[{key}]] tables")
        return list(values)

    def choice(self, key: str, choices: Mapping[str, Any], default: Any = None) -> Any:
        """What the word at `key` stands for."""
        if default is not None and key not in self.left:
            return default
        value = self.take(key, str)
        if value not in choices:
            raise self.wrong(f"'{key}' is '{value}'; it can be: {words_of(choices)}")
        return choices[value]

    def member(self, kind: type[Any], value: str) -> Any:
        """The member of the enum `kind` that `value` names."""
        if value not in values_of(kind):
            raise self.wrong(
                f"'{value}' is no {kind.__name__.lower()}; {words_of(values_of(kind))}"
            )
        return kind(value)

    def end(self) -> None:
        """Refuse a key that nobody took: a misspelt one would be silently without effect."""
        if self.left:
            raise self.wrong(f"the key '{next(iter(self.left))}' is not known")
