"""The table [publish] of observatory.toml: what a publication must hold to, and who allowed words.

In: the table as TOML gave it. Out: checked values, or a ConfigError that says what to write
instead. Nothing is decided here: `publish.gate` does that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final

from vanished.archive.toml import Reader

LEAST_ACCOUNTS: Final = 5
LEAST_ROUND_S: Final = 60.0
MOST_PARTS: Final = 40
"""Of a program's command line."""
GROUNDS: Final = ("public-figure", "outlet", "consent", "reviewed")
"""Why somebody's words may be published: who wrote them spoke for the public or for an outlet,
agreed, or a person has read these very posts."""


@dataclass(frozen=True, slots=True)
class WordsRule:
    """A recorded decision that words may be published: whose, why, who decided it and when.

    Empty `platforms` or `accounts` (keys) do not narrow it down; a rule narrows by one at least.
    `alive`: also words of posts that nobody took away. `captures`: also the captures of these
    posts, as the platform sent them; such a rule names its accounts.
    """

    ground: str
    decided_by: str
    decided_at: str  # a date, YYYY-MM-DD
    platforms: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    alive: bool = False
    captures: bool = False

    def covers(self, platform: str, account: str) -> bool:
        """Whether it speaks of posts of this account."""
        return (not self.platforms or platform in self.platforms) and (
            not self.accounts or account in self.accounts
        )


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """What leaves, and how."""

    k: int = LEAST_ACCOUNTS  # accounts that every published cell rests on, at least
    round_s: float = 3600.0  # times are rounded to so many seconds, never finer
    link_accounts: bool = False  # whether rows say which posts share an account
    title: str = ""
    publisher: str = ""
    license: str = ""  # SPDX identifier
    contact: str = ""  # where to ask for a takedown
    words: tuple[WordsRule, ...] = ()
    translator: tuple[str, ...] = ()  # a program and its arguments, for pages of the dashboard


def publish(reader: Reader, given: Mapping[str, Any]) -> PublishSettings:
    """[publish]"""
    base = PublishSettings()
    number = partial(reader.number, "publish", given)
    reader.keys("publish", given, list(PublishSettings.__dataclass_fields__))
    k = number("k", LEAST_ACCOUNTS)
    if k is not None and k != int(k):
        raise reader.fail("publish", "k", f"k is {k:g}; it must be a whole number.")
    text = partial(_text, reader, "publish", given)
    written = given.get("words", [])
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise reader.fail("publish", "words", "write each rule under [[publish.words]].")
    return PublishSettings(
        k=base.k if k is None else int(k),
        round_s=number("round_s", LEAST_ROUND_S) or base.round_s,
        link_accounts=_flag(reader, "publish", given, "link_accounts"),
        title=text("title"),
        publisher=text("publisher"),
        license=text("license"),
        contact=text("contact"),
        words=tuple(_rule(reader, each) for each in written),
        translator=_command(reader, given),
    )


def _command(reader: Reader, given: Mapping[str, Any]) -> tuple[str, ...]:
    """A program with its arguments, each a text of its own: no shell takes them apart."""
    what = 'texts: a program and its arguments, such as ["trans-tool", "--to", "{to}"]'
    parts = reader.texts("publish", given, "translator", what)
    if len(parts) > MOST_PARTS or any(not part.isprintable() or not part for part in parts):
        raise reader.fail(
            "publish", "translator",
            f"translator is a list of at most {MOST_PARTS} texts, none of them empty.",
        )  # fmt: skip
    return parts


def _rule(reader: Reader, given: Mapping[str, Any]) -> WordsRule:
    table = "publish.words"
    reader.keys(table, given, list(WordsRule.__dataclass_fields__))
    if given.get("ground") not in GROUNDS:
        raise reader.fail(table, "ground", f"ground must be one of: {', '.join(GROUNDS)}.")
    decided_by = _text(reader, table, given, "decided_by")
    if not decided_by:
        raise reader.fail(table, "decided_by", "decided_by must say in which role it was decided.")
    platforms = reader.texts(table, given, "platforms", "platforms such as 'weibo'")
    accounts = reader.texts(table, given, "accounts", "keys of accounts")
    if not platforms and not accounts:
        raise reader.fail(
            table, "ground", "a rule must name platforms or accounts; it may not cover everybody."
        )
    for key in accounts:
        if not re.fullmatch(r"[a-z2-7]{16}", key):
            raise reader.fail(
                table, "accounts", f"'{key[:40]}' is no key; give one as vanished report prints it."
            )
    alive = _flag(reader, table, given, "alive")
    day = _day(reader, table, given)
    captures = _flag(reader, table, given, "captures")
    if captures and not accounts:
        raise reader.fail(
            table, "captures",
            "a rule that lets captures leave must name accounts: a capture names its author.",
        )  # fmt: skip
    return WordsRule(given["ground"], decided_by, day, platforms, accounts, alive, captures)


def _day(reader: Reader, table: str, given: Mapping[str, Any]) -> str:
    value = given.get("decided_at")
    if isinstance(value, datetime):
        value = value.date()
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, date):
        raise reader.fail(table, "decided_at", "decided_at must be a date such as 2026-11-01.")
    return value.isoformat()


def _text(reader: Reader, table: str, given: Mapping[str, Any], key: str) -> str:
    value = given.get(key, "")
    if not isinstance(value, str) or len(value) > 200 or not (value == "" or value.isprintable()):
        raise reader.fail(table, key, f"{key} must be one line of text, of at most 200 characters.")
    return value.strip()


def _flag(reader: Reader, table: str, given: Mapping[str, Any], key: str) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise reader.fail(table, key, f"{key} is {value!r}; it must be true or false.")
    return value
