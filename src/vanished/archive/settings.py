"""observatory.toml: what a person may set, checked on reading.

In: the text of the file. Out: a frozen `Settings`, or a ConfigError with file, line and what to
write instead. A key that nobody reads is an error, since a misspelt budget is a broken promise to
the host. Secrets are not settings: the file may only name environment variables.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from vanished.errors import ConfigError

FILE = "observatory.toml"

TEMPLATE = """\
# An observatory of Vanished. Every key that you leave out has the value shown here.
# Durations are in seconds, sizes in bytes. Secrets never stand here: name an environment variable.

[observatory]
id = "{id}"                  # names the key of the pseudonyms, which lies outside this folder

[watch]
concurrency = 64             # requests under way at once, over all hosts
discover_every_s = 300       # how often an account's list is read
commit_every_s = 0.5         # how long an answer may wait before it is kept for good
look_every_s = [[3600, 300], [21600, 900], [86400, 3600], [259200, 10800], [2592000, 86400]]
                             # [age, interval]: younger than an hour, every 5 minutes, and so on;
                             # older than the last age: every 7 days

[hosts]
per_second = 1.0             # requests a second to any one host
burst_s = 10                 # idle seconds that a host's budget may save up
# [hosts.per_host]
# "example.org" = 0.2

[net]
timeout_s = 20
max_bytes = 8388608          # of one answer, as sent and decoded
max_redirects = 5
allow_networks = []          # private networks that may be asked, such as "127.0.0.0/8"
vantage = "here"             # a name for where you look from

[judge]
stale_s = 60                 # how old a copy may be from which a platform still answers "alive"
burst_s = 3600               # how long a burst of false "not found" may last

[journal]
flush_rows = 50000           # rows of the tail that are moved into Parquet at once

# [sources.matrix]
# server = "https://matrix.example.org"
# token_env = "VANISHED_MATRIX_TOKEN"
# join = false               # joining shows this observer to the room
# proxy = "socks5h://127.0.0.1:9050"   # any source can have one; a password belongs in proxy_env
"""

Steps = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class WatchSettings:
    concurrency: int = 64
    discover_every_s: float = 300.0
    commit_every_s: float = 0.5
    look_every_s: Steps = (
        (3600, 300),
        (21600, 900),
        (86400, 3600),
        (259200, 10800),
        (2592000, 86400),
    )


@dataclass(frozen=True, slots=True)
class HostSettings:
    per_second: float = 1.0
    burst_s: float = 10.0
    per_host: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetSettings:
    timeout_s: float = 20.0
    max_bytes: int = 8 * 1024 * 1024
    max_redirects: int = 5
    allow_networks: tuple[str, ...] = ()
    vantage: str = "here"


@dataclass(frozen=True, slots=True)
class DoubtSettings:
    """What the judge assumes of platforms; docs/judge.md gives the reasons."""

    stale_s: float = 60.0
    burst_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class JournalSettings:
    flush_rows: int = 50_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `sources` maps a platform to its own table."""

    id: str
    watch: WatchSettings = WatchSettings()
    hosts: HostSettings = HostSettings()
    net: NetSettings = NetSettings()
    judge: DoubtSettings = DoubtSettings()
    journal: JournalSettings = JournalSettings()
    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


SOURCE_KEYS: Mapping[str, Mapping[str, type]] = {
    "page": {"notices": list},
    "feed": {"notices": list},
    "matrix": {"server": str, "token_env": str, "join": bool},
    "lab": {"url": str},
}
COMMON_SOURCE_KEYS: Mapping[str, type] = {"proxy": str, "proxy_env": str}


class _Reader:
    """Checks one file; knows the line of a key so that an error can say it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def line(self, table: str, key: str) -> int:
        """Where `key` of `table` stands, as a line of its own or as a header."""
        whole = f"{table}.{key}" if table else key
        inside = table == ""
        for number, raw in enumerate(self.lines, 1):
            header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", raw)
            if header:
                name = header[1].replace('"', "").replace(" ", "")
                if name == whole or name.startswith(f"{whole}."):
                    return number
                inside = name == table
            elif inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", raw):
                return number
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

    def table(self, given: Mapping[str, Any], name: str, parent: str = "") -> Mapping[str, Any]:
        value = given.get(name, {})
        if not isinstance(value, dict):
            raise self.fail(parent, name, f"'{name}' must be a table: write [{name}].")
        return value


def parse(text: str, path: Path) -> Settings:
    """Settings from the text of an observatory.toml; `path` is only named in errors."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        line = place[1] if place else len(text.splitlines())
        reason = re.sub(r"\s*\(at .*\)", "", str(error))
        raise ConfigError(f"{path}:{line}: not valid TOML: {reason}.") from None
    reader = _Reader(path, text)
    reader.keys("", given, ["observatory", "watch", "hosts", "net", "judge", "journal", "sources"])
    head = reader.table(given, "observatory")
    reader.keys("observatory", head, ["id"])
    identity = head.get("id")
    if not isinstance(identity, str) or not re.fullmatch(r"[a-z0-9-]{8,64}", identity):
        raise reader.fail("observatory", "id", "id is missing or not 8 to 64 of a-z, 0-9 and '-'.")
    return Settings(
        id=identity,
        watch=_watch(reader, reader.table(given, "watch")),
        hosts=_hosts(reader, reader.table(given, "hosts")),
        net=_net(reader, reader.table(given, "net")),
        judge=_judge(reader, reader.table(given, "judge")),
        journal=_journal(reader, reader.table(given, "journal")),
        sources=_sources(reader, reader.table(given, "sources")),
    )


def _watch(reader: _Reader, given: Mapping[str, Any]) -> WatchSettings:
    base = WatchSettings()
    reader.keys(
        "watch", given, ["concurrency", "discover_every_s", "commit_every_s", "look_every_s"]
    )
    steps = given.get("look_every_s", base.look_every_s)
    try:
        pairs = tuple((float(age), float(every)) for age, every in steps)
    except (TypeError, ValueError):
        pairs = ()
    if not pairs or any(every <= 0 for _, every in pairs) or sorted(pairs) != list(pairs):
        raise reader.fail(
            "watch",
            "look_every_s",
            "look_every_s must be pairs [age, interval] in seconds with rising ages.",
        )
    return WatchSettings(
        concurrency=int(reader.number("watch", given, "concurrency", 1) or base.concurrency),
        discover_every_s=reader.number("watch", given, "discover_every_s", 0.001)
        or base.discover_every_s,
        commit_every_s=reader.number("watch", given, "commit_every_s", 0.01) or base.commit_every_s,
        look_every_s=pairs,
    )


def _hosts(reader: _Reader, given: Mapping[str, Any]) -> HostSettings:
    base = HostSettings()
    reader.keys("hosts", given, ["per_second", "burst_s", "per_host"])
    per_host = reader.table(given, "per_host", "hosts")
    rates = {
        host: reader.number("hosts.per_host", per_host, host, 1e-6) or base.per_second
        for host in per_host
    }
    return HostSettings(
        per_second=reader.number("hosts", given, "per_second", 1e-6) or base.per_second,
        burst_s=reader.number("hosts", given, "burst_s", 0.1) or base.burst_s,
        per_host=rates,
    )


def _net(reader: _Reader, given: Mapping[str, Any]) -> NetSettings:
    base = NetSettings()
    reader.keys(
        "net", given, ["timeout_s", "max_bytes", "max_redirects", "allow_networks", "vantage"]
    )
    networks = given.get("allow_networks", [])
    try:
        allowed = tuple(str(ip_network(network)) for network in networks)
    except (TypeError, ValueError):
        raise reader.fail(
            "net", "allow_networks", 'allow_networks must list networks such as "127.0.0.0/8".'
        ) from None
    vantage = given.get("vantage", base.vantage)
    if not isinstance(vantage, str) or not vantage:
        raise reader.fail("net", "vantage", "vantage must be a name for where you look from.")
    redirects = reader.number("net", given, "max_redirects", 0)
    return NetSettings(
        timeout_s=reader.number("net", given, "timeout_s", 0.1) or base.timeout_s,
        max_bytes=int(reader.number("net", given, "max_bytes", 1024) or base.max_bytes),
        max_redirects=base.max_redirects if redirects is None else int(redirects),
        allow_networks=allowed,
        vantage=vantage,
    )


def _judge(reader: _Reader, given: Mapping[str, Any]) -> DoubtSettings:
    base = DoubtSettings()
    reader.keys("judge", given, ["stale_s", "burst_s"])
    stale = reader.number("judge", given, "stale_s", 0)
    burst = reader.number("judge", given, "burst_s", 0)
    return DoubtSettings(
        base.stale_s if stale is None else stale, base.burst_s if burst is None else burst
    )


def _journal(reader: _Reader, given: Mapping[str, Any]) -> JournalSettings:
    reader.keys("journal", given, ["flush_rows"])
    rows = reader.number("journal", given, "flush_rows", 1)
    return JournalSettings(int(rows) if rows else JournalSettings().flush_rows)


def _sources(reader: _Reader, given: Mapping[str, Any]) -> Mapping[str, Mapping[str, object]]:
    reader.keys("sources", given, list(SOURCE_KEYS))
    for platform in given:
        name = f"sources.{platform}"
        table = reader.table(given, platform, "sources")
        known = {**SOURCE_KEYS[platform], **COMMON_SOURCE_KEYS}
        reader.keys(name, table, list(known))
        for key, value in table.items():
            if not isinstance(value, known[key]):
                word = {str: "a text", bool: "true or false", list: "a list"}[known[key]]
                raise reader.fail(name, key, f"{key} is {value!r}; it must be {word}.")
    return dict(given)
