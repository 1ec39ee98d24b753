"""alerts.toml: who is told what, checked on reading.

In: the text of the file in the observatory's folder, and its settings. Out: frozen channels and
rules, or a ConfigError with file, line and what to write instead. Secrets are no settings: a
channel only says where its address lies. No value of the file is repeated in an error, since a
person may have put a secret where it does not belong.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vanished.archive.settings import Settings
from vanished.archive.settings_asking import DIRECT
from vanished.archive.toml import Reader
from vanished.errors import ConfigError, UsageError
from vanished.explain.thresholds import Threshold, threshold
from vanished.model import Cause, Confidence
from vanished.publish.alerts.address import Place
from vanished.publish.alerts.event import Kind
from vanished.publish.alerts.quiet import DAY_MINUTES, Span, parse_span
from vanished.publish.alerts.wording import LANGUAGES

FILE: Final = "alerts.toml"
TOLD: Final = {
    "losses": Kind.LOSS, "accounts": Kind.ACCOUNT, "returns": Kind.RETURN,
    "crossings": Kind.CROSSING, "campaigns": Kind.CAMPAIGN,
}  # fmt: skip
"""What a rule can ask to be told, as alerts.toml names it."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_CHANNEL_KEYS: Final = (
    "url_env", "url_file", "language", "every_s", "quiet", "zone", "route", "operator",
)  # fmt: skip
_RULE_KEYS: Final = (
    "channels", "tell", "platforms", "accounts", "terms", "causes", "open_too", "confidence",
    "losses_a_day", "line",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Channel:
    """Somewhere messages go: at most one in `every_s` seconds, none in `quiet` spans."""

    name: str
    place: Place
    language: str = "en"
    every_s: float = 900.0
    quiet: tuple[Span, ...] = ()
    zone: tzinfo = UTC
    route: str = DIRECT  # or the name of a proxy
    operator: bool = False  # is told what the doctor and the canaries find, which nobody else is


@dataclass(frozen=True, slots=True)
class Rule:
    """What is told to whom. Empty filters let everything through."""

    name: str
    channels: tuple[str, ...]
    tell: frozenset[Kind]
    platforms: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()  # pseudonyms
    terms: tuple[str, ...] = ()
    causes: frozenset[Cause] = frozenset()  # nothing else may be left open,
    open_too: bool = False  # or with this: one of them is possible
    confidence: Confidence = Confidence.LOW  # at least
    losses_a_day: int | None = None
    line: Threshold | None = None


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The whole file."""

    channels: Mapping[str, Channel]
    rules: Sequence[Rule]
    campaigns_every_s: float = 21_600.0
    doctor_every_s: float = 900.0
    reader: Reader = field(
        default_factory=lambda: Reader(Path(FILE), ""), repr=False, compare=False
    )

    def tells(self, kind: Kind) -> bool:
        """Whether any rule asks for this kind."""
        return any(kind in rule.tell for rule in self.rules)


def load(folder: Path, observatory: Settings) -> AlertSettings:
    """The alerts of the observatory in `folder`. Raises UsageError where it has none."""
    file = folder / FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"{file} does not exist, so nobody is to be told anything; write one as docs/alerts.md"
            " shows."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{file} cannot be read: {why}; correct that.") from None
    return parse(text, file, observatory)


def parse(text: str, path: Path, observatory: Settings) -> AlertSettings:
    """Settings from the text of an alerts.toml; `path` is only named in errors."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        raise ConfigError(f"{path}:{place[1] if place else 1}: not valid TOML.") from None
    reader = Reader(path, text)
    reader.keys("", given, ["alerts", "channels", "rules"])
    head = reader.table(given, "alerts")
    reader.keys("alerts", head, ["route", "campaigns_every_s", "doctor_every_s"])
    routes = observatory.net.proxies.names
    usual = _route(reader, "alerts", head, routes, None)
    named = reader.table(given, "channels")
    channels = {
        name: _channel(reader, name, reader.table(named, name, "channels"), routes, usual)
        for name in named
    }
    if not channels:
        raise reader.fail("", "channels", "there is no channel; write a table [channels.NAME].")
    written = reader.table(given, "rules")
    rules = [
        _rule(reader, name, reader.table(written, name, "rules"), channels) for name in written
    ]
    base = AlertSettings({}, ())
    return AlertSettings(
        channels,
        rules,
        _number(reader, "alerts", head, "campaigns_every_s", base.campaigns_every_s, 60),
        _number(reader, "alerts", head, "doctor_every_s", base.doctor_every_s, 10),
        reader,
    )


def _channel(
    reader: Reader, name: str, given: Mapping[str, Any], routes: Sequence[str], usual: str | None
) -> Channel:
    table = f"channels.{name}"
    _named(reader, "channels", name)
    if "url" in given:
        raise reader.fail(
            table, "url", "a URL is a secret; name a variable in url_env or a file outside"
            " the folder in url_file, and change the secret if others have this file.",
        )  # fmt: skip
    reader.keys(table, given, list(_CHANNEL_KEYS))
    base = Channel(name, Place())
    route = _route(reader, table, given, routes, usual)
    if route is None and routes:
        raise reader.fail(
            "channels", name, "this observatory has proxies, so say which way this channel goes:"
            f' route = "{DIRECT}" or one of {", ".join(routes)}.',
        )  # fmt: skip
    language = given.get("language", base.language)
    if language not in LANGUAGES:
        raise reader.fail(table, "language", f"language is one of {', '.join(LANGUAGES)}.")
    return Channel(
        name,
        _place(reader, table, given),
        language,
        _number(reader, table, given, "every_s", base.every_s, 1),
        _quiet(reader, table, given),
        _zone(reader, table, given),
        route or DIRECT,
        _flag(reader, table, given, "operator"),
    )


def _place(reader: Reader, table: str, given: Mapping[str, Any]) -> Place:
    variable, file = given.get("url_env", ""), given.get("url_file", "")
    if bool(variable) == bool(file):
        raise reader.fail(table, "url_env", "give a channel either url_env or url_file.")
    if variable:
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            raise reader.fail(
                table, "url_env", "url_env is the name of a variable, such as VANISHED_ALERT_DESK,"
                " not the URL itself.",
            )  # fmt: skip
        return Place(variable=variable)
    if not isinstance(file, str) or not re.match(r"~?/", file) or "://" in file:
        raise reader.fail(
            table, "url_file", "url_file is the whole path of a file, from / or ~, that holds the"
            " URL; not the URL itself.",
        )  # fmt: skip
    return Place(file=file)


def _rule(
    reader: Reader, name: str, given: Mapping[str, Any], channels: Mapping[str, Channel]
) -> Rule:
    table = f"rules.{name}"
    _named(reader, "rules", name)
    reader.keys(table, given, list(_RULE_KEYS))
    told = reader.texts(table, given, "channels", "names of channels") or tuple(channels)
    for each in told:
        if each not in channels:
            raise reader.fail(
                table, "channels", f"a channel is not there; there are {', '.join(channels)}."
            )
    tell = _chosen(reader, table, given, "tell", TOLD)
    number = given.get("losses_a_day")
    if number is not None and (type(number) is not int or number < 1):
        raise reader.fail(table, "losses_a_day", "losses_a_day must be a whole number above 0.")
    if not tell and number is None:
        raise reader.fail(
            "rules", name, f"a rule needs tell = [...] of {', '.join(TOLD)}, or losses_a_day."
        )
    line = _line(reader, table, given) if Kind.CROSSING in tell or "line" in given else None
    return Rule(
        name,
        told,
        frozenset({*tell, *([Kind.RATE] if number is not None else [])}),
        reader.texts(table, given, "platforms", "platforms"),
        reader.texts(table, given, "accounts", "pseudonyms of accounts, as in a report"),
        _terms(reader, table, given),
        frozenset(_chosen(reader, table, given, "causes", {each.value: each for each in Cause})),
        _flag(reader, table, given, "open_too"),
        _confidence(reader, table, given),
        number,
        line,
    )


def _chosen(
    reader: Reader, table: str, given: Mapping[str, Any], key: str, known: Mapping[str, Any]
) -> list[Any]:
    """The values that a list of names stands for."""
    names = reader.texts(table, given, key, "names")
    if not set(names) <= set(known):
        raise reader.fail(table, key, f"{key} lists any of {', '.join(known)}.")
    return [known[each] for each in names]


def _terms(reader: Reader, table: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    terms = reader.texts(table, given, "terms", "words")
    if not all(term.strip() for term in terms):
        raise reader.fail(table, "terms", "no term may be blank.")
    return terms


def _confidence(reader: Reader, table: str, given: Mapping[str, Any]) -> Confidence:
    known = {each.value: each for each in Confidence}
    value = given.get("confidence", Confidence.LOW.value)
    if not isinstance(value, str) or value not in known:
        raise reader.fail(table, "confidence", f"confidence is one of {', '.join(known)}.")
    return known[value]


def _line(reader: Reader, table: str, given: Mapping[str, Any]) -> Threshold:
    try:
        return threshold(str(given.get("line", "cn-defamation-2013")))
    except UsageError:
        raise reader.fail(
            table, "line", 'line is the id of a threshold, such as "cn-defamation-2013".'
        ) from None


def _named(reader: Reader, table: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise reader.fail(
            table, name, "a name has up to 40 of a-z, 0-9, '-' and '_', and begins with a letter."
        )


def _route(
    reader: Reader, table: str, given: Mapping[str, Any], routes: Sequence[str], usual: str | None
) -> str | None:
    if "route" not in given:
        return usual
    route = given["route"]
    if route not in (DIRECT, *routes):
        raise reader.fail(
            table, "route", f"route is one of {', '.join([DIRECT, *routes])} ([net.proxies])."
        )
    return str(route)


def _number(
    reader: Reader, table: str, given: Mapping[str, Any], key: str, usual: float, least: float
) -> float:
    value = given.get(key, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e9:
        raise reader.fail(table, key, f"{key} must be a number of seconds, {least:g} or more.")
    return float(value)


def _flag(reader: Reader, table: str, given: Mapping[str, Any], key: str) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise reader.fail(table, key, f"{key} is true or false.")
    return value


def _quiet(reader: Reader, table: str, given: Mapping[str, Any]) -> tuple[Span, ...]:
    value = given.get("quiet", [])
    texts = [value] if isinstance(value, str) else value
    spans = [parse_span(text) if isinstance(text, str) else None for text in texts or []]
    found = [span for span in spans if span is not None]
    if not isinstance(texts, list) or len(found) < len(spans):
        raise reader.fail(table, "quiet", 'quiet is written as "22:00-07:00", or a list of such.')
    if all(any(span.holds(minute) for span in found) for minute in range(DAY_MINUTES)):
        raise reader.fail(table, "quiet", "quiet leaves no minute of the day for a message.")
    return tuple(found)


def _zone(reader: Reader, table: str, given: Mapping[str, Any]) -> tzinfo:
    name = given.get("zone", "UTC")
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise reader.fail(
            table, "zone", 'zone is a name of the time zone database, such as "Asia/Taipei".'
        ) from None
