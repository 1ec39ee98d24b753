"""An app: the servers that it needs, and what counts as reaching them. As data, in TOML.

In: a TOML file, ours (`reach/apps/`) or a user's. Out: an `App`, or a ConfigError with file and
line. A list of servers ages: it carries its date and its source, and every run asks the control
for each server first, so that a server that is gone everywhere is a stale line and no block.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from vanished.archive.toml import Reader
from vanished.errors import ConfigError, UsageError
from vanished.reach.risk import Risk

NEEDS: Final = ("all", "any", "none")
SCHEMES: Final = ("https", "http", "tls", "tcp", "dns")
RISKS: Final = tuple(risk.value for risk in Risk)
"""Risk classes of targets, the least first."""
MOST_ENDPOINTS: Final = 64
APP_TEST: Final = "vanished_app"
"""The test's name for apps that OONI has no test of."""

_RANGE = re.compile(r"\{(\d{1,3})\.\.(\d{1,3})\}")
_KEYS = ["name", "title", "test_name", "test_version", "dated", "sources", "risk", "server", "part"]
_PART_KEYS = ["name", "needs", "endpoints", "method", "status", "authorities", "note"]
_PART_KEYS += ["asn", "networks"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of an app.

    `url` says how far the test goes: `dns://name` looks it up, `tcp://host:port` connects,
    `tls://host:port` shakes hands, `http://` and `https://` ask for a page. `status` are the
    answers that count, none: every answer of HTTP. `authorities` is a file of certificates
    beside the system's, `sni` a name to show in place of the host.
    """

    url: str
    method: str = "GET"
    status: tuple[int, ...] = ()
    authorities: str = ""
    sni: str = ""
    asn: int = 0  # whose addresses the host's are,
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # namely in these

    def belongs(self, address: str) -> bool:
        """Whether an address is the provider's, as far as the list says."""
        return any(ip_address(address) in one for one in self.networks)

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        own = {"http": 80, "dns": 0}
        return urlsplit(self.url).port or own.get(self.scheme, 443)


@dataclass(frozen=True, slots=True)
class Part:
    """Servers that stand for one thing that the app does.

    `needs`: "all" of them have to be reached, "any" one of them, or "none": they are looked at and
    do not count.
    """

    name: str
    needs: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class App:
    """An app as one test sees it; it works if each of its parts does."""

    name: str
    title: str
    parts: tuple[Part, ...]
    dated: date
    sources: tuple[str, ...]
    risk: str = Risk.APPS.value
    test_name: str = APP_TEST
    test_version: str = "0.1.0"
    server: str = ""  # of an app that anybody can serve, such as Matrix

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(one for part in self.parts for one in part.endpoints)


def shipped() -> list[str]:
    """Names of the apps that come with Vanished."""
    held = files("vanished.reach").joinpath("apps")
    return sorted(one.name[:-5] for one in held.iterdir() if one.name.endswith(".toml"))


def app_of(asked: str) -> App:
    """The app that a person asked for: `signal`, `matrix=chat.example`, or a path to a TOML.

    Raises UsageError.
    """
    name, _, server = asked.partition("=")
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"{path} cannot be read; name the TOML file of an app.") from None
        return parse(text, path, server)
    if name not in shipped():
        raise UsageError(
            f"There is no app '{name}'; there are {', '.join(shipped())}, or name a TOML file."
        )
    file = files("vanished.reach").joinpath("apps", f"{name}.toml")
    return parse(file.read_text("utf-8"), Path(str(file)), server)


def parse(text: str, path: Path, server: str = "") -> App:
    """An app from the text of a TOML; `server` stands in for its own. Raises ConfigError."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from None
    reader = Reader(path, text)
    reader.keys("", given, _KEYS)
    for key in ("name", "title"):
        if not isinstance(given.get(key), str) or not given[key]:
            raise reader.fail("", key, f'{key} is missing; write {key} = "…".')
    dated = given.get("dated")
    if not isinstance(dated, date):
        raise reader.fail("", "dated", "dated is missing: the day on which the list was checked.")
    risk = given.get("risk", Risk.APPS.value)
    if risk not in RISKS:
        raise reader.fail("", "risk", f"risk is one of {', '.join(RISKS)}.")
    own = str(given.get("server", ""))
    if server and not own:
        raise UsageError(f"'{given['name']}' has one provider; leave out '={server}'.")
    if server and not re.fullmatch(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?", server):
        raise UsageError(f"'{server[:80]}' is no server; write a name such as chat.example.")
    parts = given.get("part")
    if not isinstance(parts, list) or not parts:
        raise reader.fail("", "part", "an app needs at least one [[part]] with endpoints.")
    made = tuple(_part(reader, one, server or own, path.parent) for one in parts)
    if sum(len(part.endpoints) for part in made) > MOST_ENDPOINTS:
        raise reader.fail("", "part", f"an app has {MOST_ENDPOINTS} endpoints at most.")
    if all(part.needs == "none" for part in made):
        raise reader.fail("", "part", 'no part counts; give one needs = "all" or "any".')
    return App(
        name=given["name"], title=given["title"], parts=made, dated=dated,
        sources=reader.texts("", given, "sources", "texts"), risk=risk,
        test_name=str(given.get("test_name", APP_TEST)),
        test_version=str(given.get("test_version", "0.1.0")), server=server or own,
    )  # fmt: skip


def _part(reader: Reader, given: Any, server: str, folder: Path) -> Part:
    if not isinstance(given, dict):
        raise reader.fail("", "part", "write each part as [[part]].")
    reader.keys("part", given, _PART_KEYS)
    needs = given.get("needs", "all")
    if needs not in NEEDS:
        raise reader.fail("part", "needs", f"needs is one of {', '.join(NEEDS)}.")
    written = reader.texts("part", given, "endpoints", "addresses")
    if not written:
        raise reader.fail("part", "endpoints", "a part needs at least one endpoint.")
    status = given.get("status", [])
    if not isinstance(status, list) or not all(isinstance(one, int) for one in status):
        raise reader.fail("part", "status", "status is a list of numbers, such as [200].")
    asn, networks = given.get("asn", 0), _networks(reader, given)
    if not isinstance(asn, int) or bool(asn) != bool(networks):
        raise reader.fail("part", "asn", "asn is a number, and goes with networks.")
    file = str(given.get("authorities", ""))
    if file and not (folder / file).is_file():
        raise reader.fail("part", "authorities", f"there is no file {folder / file}.")
    endpoints = []
    for line in written:
        for url in _spread(line.replace("{server}", server)):
            _check(reader, url)
            endpoints.append(
                Endpoint(
                    url, str(given.get("method", "GET")), tuple(status),
                    str(folder / file) if file else "", "", asn, networks,
                )
            )  # fmt: skip
    return Part(str(given.get("name", "app")), needs, tuple(endpoints))


def _networks(reader: Reader, given: Mapping[str, Any]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The provider's own networks."""
    written = reader.texts("part", given, "networks", "networks")
    try:
        return tuple(ip_network(one) for one in written)
    except ValueError as error:
        raise reader.fail("part", "networks", f"{error}.") from None


def _spread(line: str) -> Iterator[str]:
    """`e{1..16}.example` as its sixteen addresses."""
    found = _RANGE.search(line)
    if found is None:
        yield line
        return
    for number in range(int(found[1]), int(found[2]) + 1):
        yield from _spread(line[: found.start()] + str(number) + line[found.end() :])


def _check(reader: Reader, url: str) -> None:
    """Raises ConfigError for what is no endpoint."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
        good = good and (parts.scheme not in ("tcp", "tls") or parts.port is not None)
    except ValueError:
        good = False
    if not good:
        raise reader.fail(
            "part", "endpoints",
            f"'{url[:80]}' is no endpoint; write https://…, http://…, tls://HOST:PORT,"
            " tcp://HOST:PORT or dns://NAME.",
        )  # fmt: skip
