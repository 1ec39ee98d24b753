"""observatory.toml: what a person may set, checked on reading.

In: the text of the file. Out: a frozen `Settings`, or a ConfigError with file, line and what to
write instead. A key that nobody reads is an error, since a misspelt budget is a broken promise to
the host. Secrets are not settings: the file may only name environment variables.

The tables `[sources.NAME]` are only kept here: which keys one may have is known to the source of
that name, which this room may not import. `sources.registry` has them checked by `source_table`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from vanished.archive import settings_asking, settings_proof, settings_publish
from vanished.archive.advice import MAX_AGE_S
from vanished.archive.settings_asking import Asking, CanarySettings, Key, Proxies
from vanished.archive.settings_proof import CaptureSettings, LogSettings
from vanished.archive.settings_publish import PublishSettings
from vanished.archive.stamps import StampSettings
from vanished.archive.toml import Reader
from vanished.errors import ConfigError

FILE = "observatory.toml"

Steps = tuple[tuple[float, float], ...]
MOST_TERMS = 2000
TABLES = (
    *("watch", "hosts", "net", "judge", "canaries", "journal", "capture", "log", "stamps"),
    "publish",
)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    concurrency: int = 64
    commit_every_s: float = 0.5
    shortest_s: float = 60.0
    objective: Literal["mean", "log"] = "mean"
    census: float = 0.02
    terms: tuple[str, ...] = ()  # whose posts count as a topic each
    look_every_s: Steps = ()  # empty: looks go where they are worth their price
    discover_every_s: float | None = None  # None: so do readings of lists


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
    proxies: Proxies = field(default_factory=Proxies)
    best_age_s: float = MAX_AGE_S  # how old an advice may be for proxy = "best"


@dataclass(frozen=True, slots=True)
class DoubtSettings:
    """What the judge assumes of platforms; docs/judge.md gives the reasons."""

    stale_s: float = 60.0
    burst_s: float = 3600.0
    fresh_s: float = 1800.0
    alone_s: float = 86400.0


@dataclass(frozen=True, slots=True)
class JournalSettings:
    flush_rows: int = 50_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `sources` maps a platform to its own table, as given: see `source_table`."""

    id: str
    watch: WatchSettings = WatchSettings()
    hosts: HostSettings = HostSettings()
    net: NetSettings = NetSettings()
    judge: DoubtSettings = DoubtSettings()
    journal: JournalSettings = JournalSettings()
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    log: LogSettings = field(default_factory=LogSettings)
    stamps: StampSettings = field(default_factory=StampSettings)
    canaries: CanarySettings = field(default_factory=CanarySettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    asking: Mapping[str, Asking] = field(default_factory=dict)  # by platform, see `asked`
    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    reader: Reader = field(
        default_factory=lambda: Reader(Path(FILE), ""), repr=False, compare=False
    )  # of the file that this is from: it knows the line of a wrong key

    def asked(self, platform: str) -> Asking:
        """How the source of `platform` is asked."""
        return self.asking.get(platform, Asking())


COMMON_SOURCE_KEYS: Mapping[str, Key] = settings_asking.SOURCE_KEYS
"""What every source's table may have, beside the keys of its own."""

_KINDS: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


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
    reader.keys("", given, ["observatory", *TABLES, "sources"])
    head = reader.table(given, "observatory")
    reader.keys("observatory", head, ["id"])
    identity = head.get("id")
    if not isinstance(identity, str) or not re.fullmatch(r"[a-z0-9-]{8,64}", identity):
        raise reader.fail("observatory", "id", "id is missing or not 8 to 64 of a-z, 0-9 and '-'.")
    net, judge = (
        _net(reader, reader.table(given, "net")),
        _judge(reader, reader.table(given, "judge")),
    )
    sources = _sources(reader, reader.table(given, "sources"))
    return Settings(
        id=identity,
        watch=_watch(reader, reader.table(given, "watch")),
        hosts=_hosts(reader, reader.table(given, "hosts")),
        net=net,
        judge=judge,
        journal=_journal(reader, reader.table(given, "journal")),
        capture=settings_proof.capture(reader, reader.table(given, "capture")),
        log=settings_proof.log(reader, reader.table(given, "log")),
        stamps=settings_proof.stamps(reader, reader.table(given, "stamps")),
        sources=sources,
        reader=reader,
        publish=settings_publish.publish(reader, reader.table(given, "publish")),
        canaries=settings_asking.canaries(reader, reader.table(given, "canaries"), judge.fresh_s),
        asking={
            platform: settings_asking.asking(reader, platform, table, net.proxies)
            for platform, table in sources.items()
        },
    )


def _watch(reader: Reader, given: Mapping[str, Any]) -> WatchSettings:
    base = WatchSettings()
    number = partial(reader.number, "watch", given)
    reader.keys("watch", given, list(WatchSettings.__dataclass_fields__))
    objective = given.get("objective", base.objective)
    if objective not in ("mean", "log"):
        raise reader.fail("watch", "objective", 'objective is "mean" or "log".')
    census = number("census", 0)
    if census is not None and census > 0.5:
        raise reader.fail("watch", "census", "census is a share of the looks, 0.5 at most.")
    return WatchSettings(
        concurrency=int(number("concurrency", 1) or base.concurrency),
        commit_every_s=number("commit_every_s", 0.01) or base.commit_every_s,
        shortest_s=number("shortest_s", 1) or base.shortest_s,
        objective=objective,
        census=base.census if census is None else census,
        terms=_terms(reader, given),
        look_every_s=_steps(reader, given),
        discover_every_s=number("discover_every_s", 0.001),
    )


def _terms(reader: Reader, given: Mapping[str, Any]) -> tuple[str, ...]:
    terms = reader.texts("watch", given, "terms", "words")
    if len(terms) > MOST_TERMS or not all(term.strip() for term in terms):
        raise reader.fail("watch", "terms", f"terms are {MOST_TERMS} words at most, none blank.")
    return terms


def _steps(reader: Reader, given: Mapping[str, Any]) -> Steps:
    """The intervals by age, if there are any."""
    if "look_every_s" not in given:
        return ()
    try:
        pairs = tuple((float(age), float(every)) for age, every in given["look_every_s"])
    except (TypeError, ValueError):
        pairs = ()
    if not pairs or any(every <= 0 for _, every in pairs) or sorted(pairs) != list(pairs):
        raise reader.fail(
            "watch",
            "look_every_s",
            "look_every_s must be pairs [age, interval] in seconds with rising ages.",
        )
    return pairs


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
        "net",
        given,
        [*NetSettings.__dataclass_fields__],
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
        best_age_s=reader.number("net", given, "best_age_s", 60) or base.best_age_s,
        max_redirects=base.max_redirects if redirects is None else int(redirects),
        allow_networks=allowed,
        vantage=vantage,
        proxies=settings_asking.proxies(reader, reader.table(given, "proxies", "net")),
    )


def _judge(reader: Reader, given: Mapping[str, Any]) -> DoubtSettings:
    base = DoubtSettings()
    reader.keys("judge", given, list(DoubtSettings.__slots__))
    found = {name: reader.number("judge", given, name, 0) for name in given}
    return replace(base, **{name: value for name, value in found.items() if value is not None})


def _journal(reader: Reader, given: Mapping[str, Any]) -> JournalSettings:
    reader.keys("journal", given, ["flush_rows"])
    rows = reader.number("journal", given, "flush_rows", 1)
    return JournalSettings(int(rows) if rows else JournalSettings().flush_rows)


def _sources(reader: Reader, given: Mapping[str, Any]) -> Mapping[str, Mapping[str, object]]:
    tables = {platform: reader.table(given, platform, "sources") for platform in given}
    for platform, table in tables.items():
        _check_kinds(reader, f"sources.{platform}", table, COMMON_SOURCE_KEYS)
    return tables


def source_table(
    settings: Settings, platform: str, keys: Mapping[str, Key]
) -> Mapping[str, object]:
    """The table `[sources.PLATFORM]`, empty if there is none, checked.

    `keys` are the source's own; a value has the type of the one that a key shows (whole numbers are
    numbers). Raises ConfigError with the line for any other key or type.
    """
    table, name = settings.sources.get(platform, {}), f"sources.{platform}"
    known = {**keys, **COMMON_SOURCE_KEYS}
    settings.reader.keys(name, table, list(known))
    _check_kinds(settings.reader, name, table, known)
    return table


def _check_kinds(
    reader: Reader, name: str, table: Mapping[str, object], known: Mapping[str, Key]
) -> None:
    for key, shown in known.items():
        if key not in table:
            continue
        value, kind = table[key], shown.kind
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise reader.fail(name, key, f"{key} is {value!r}; it must be {_KINDS[kind]}.")
