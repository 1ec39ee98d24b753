"""The sentences of messages in each language, as data (`words.toml`).

In: a language, a key, values. Out: the sentence. Every key is there in every language; a test holds
the file to that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

LANGUAGES: Final = ("en", "zh-Hans", "zh-Hant")


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """Sentences by key and language."""
    text = files("vanished.publish.alerts").joinpath("words.toml").read_text("utf-8")
    found: Mapping[str, Mapping[str, str]] = tomllib.loads(text)
    return found


def say(language: str, key: str, **values: object) -> str:
    """The sentence of `key`. A whole number among the values is written with separators."""
    shown = {name: f"{v:,}" if type(v) is int else v for name, v in values.items()}
    return words()[key][language].format(**shown)


def count(language: str, key: str, number: int, **values: object) -> str:
    """The sentence of `key` for this number: `key-one` or `key-many`, which differ in English."""
    return say(language, f"{key}-{'one' if number == 1 else 'many'}", number=number, **values)
