"""observatory.toml: what a person may set, checked on reading.

In: the text of the file. Out: a frozen `Settings`, or a ConfigError with file, line and what to
write instead. A key that nobody reads is an error, since a misspelt budget is a broken promise to
the host. Secrets are not settings: the file may only name environment variables.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from vanished.archive import settings_proof
from vanished.archive.settings_proof import CaptureSettings, LogSettings
from vanished.archive.stamps import StampSettings
from vanished.archive.toml import Reader
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

[capture]
keep = true                  # keep the bytes of first sights, changes and notices, and prove them
seal_to = [{seal_to}]        # age recipients whose secret half is elsewhere; [] leaves all readable
segment_bytes = 67108864     # a segment is closed at this size,
segment_s = 900              # or at this age
pictures = 20                # pictures of a post that are fetched at most; 0: none

[log]
checkpoint_every_s = 5       # how often the log is signed while something is added
witness_every_s = 60         # how often witnesses are asked to cosign it
# [log.witnesses]            # other observatories: a name, its address, the key it cosigns with
# friends = {{ url = "https://witness.example.org", key = "witness.example.org+1a2b3c4d+..." }}

[stamps]
every_s = 3600               # how often a checkpoint is stamped
upgrade_every_s = 3600       # how often pending stamps are asked after
# calendars = ["https://calendar.example.org"]  # of OpenTimestamps
# [stamps.authorities]       # RFC 3161: a name, its address, and the root that you trust
# first = {{ url = "https://tsa.example.org", root = "tsa-root.pem" }}
# headers = "headers.txt"    # Bitcoin block headers, to confirm calendars' attestations

# [sources.matrix]
# server = "https://matrix.example.org"
# token_env = "VANISHED_MATRIX_TOKEN"
# join = false               # joining shows this observer to the room
# proxy = "socks5h://127.0.0.1:9050"   # any source can have one; a password belongs in proxy_env
"""


def template(identity: str, seal_to: Sequence[str] = ()) -> str:
    """The text of a new observatory's file."""
    recipients = ", ".join(f'"{recipient}"' for recipient in seal_to)
    return TEMPLATE.format(id=identity, seal_to=recipients)


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
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    log: LogSettings = field(default_factory=LogSettings)
    stamps: StampSettings = field(default_factory=StampSettings)
    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


SOURCE_KEYS: Mapping[str, Mapping[str, type]] = {
    "page": {"notices": list},
    "feed": {"notices": list},
    "matrix": {"server": str, "token_env": str, "join": bool},
    "lab": {"url": str},
}
COMMON_SOURCE_KEYS: Mapping[str, type] = {"proxy": str, "proxy_env": str}


def parse(text: str, path: Path) -> Settings:
    """Settings from the text of an observatory.toml; `path` is only named in errors."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        line = place[1] if place else len(text.splitlines())
        reason = re.sub(r"\s*\(at .*\)", "", str(error))
        raise ConfigError(f"{path}:{line}: not valid TOML: {reason}.") from None
    reader = Reader(path, text)
    tables = ["watch", "hosts", "net", "judge", "journal", "capture", "log", "stamps", "sources"]
    reader.keys("", given, ["observatory", *tables])
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
        capture=settings_proof.capture(reader, reader.table(given, "capture")),
        log=settings_proof.log(reader, reader.table(given, "log")),
        stamps=settings_proof.stamps(reader, reader.table(given, "stamps")),
        sources=_sources(reader, reader.table(given, "sources")),
    )


def _watch(reader: Reader, given: Mapping[str, Any]) -> WatchSettings:
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


def _hosts(reader: Reader, given: Mapping[str, Any]) -> HostSettings:
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


def _net(reader: Reader, given: Mapping[str, Any]) -> NetSettings:
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
    if not isinstance(vantage, str) or not vantage.isprintable() or not 0 < len(vantage) <= 100:
        raise reader.fail("net", "vantage", "vantage must be a short name for where you look from.")
    redirects = reader.number("net", given, "max_redirects", 0)
    return NetSettings(
        timeout_s=reader.number("net", given, "timeout_s", 0.1) or base.timeout_s,
        max_bytes=int(reader.number("net", given, "max_bytes", 1024) or base.max_bytes),
        max_redirects=base.max_redirects if redirects is None else int(redirects),
        allow_networks=allowed,
        vantage=vantage,
    )


def _judge(reader: Reader, given: Mapping[str, Any]) -> DoubtSettings:
    base = DoubtSettings()
    reader.keys("judge", given, ["stale_s", "burst_s"])
    stale = reader.number("judge", given, "stale_s", 0)
    burst = reader.number("judge", given, "burst_s", 0)
    return DoubtSettings(
        base.stale_s if stale is None else stale, base.burst_s if burst is None else burst
    )


def _journal(reader: Reader, given: Mapping[str, Any]) -> JournalSettings:
    reader.keys("journal", given, ["flush_rows"])
    rows = reader.number("journal", given, "flush_rows", 1)
    return JournalSettings(int(rows) if rows else JournalSettings().flush_rows)


def _sources(reader: Reader, given: Mapping[str, Any]) -> Mapping[str, Mapping[str, object]]:
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
