"""The ways to a platform and what vouches for them: routes, proxies, canaries, logins.

In: the tables `[net.proxies]`, `[canaries]` and `[sources.NAME]` of observatory.toml. Out: checked
values, or a ConfigError that says what to write instead. What an address means, its source knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vanished.archive.toml import Reader

DIRECT: Final = "direct"
"""The name of the route without a proxy."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that the table of a source may have: a value to show, which is the default where there
    is one and has the type of every value of this key; and what it is for, in a line.
    """

    shown: str | bool | int | float | list[str] | dict[str, list[str]]
    meaning: str

    @property
    def kind(self) -> type:
        return type(self.shown)


SOURCE_KEYS: Mapping[str, Key] = {
    "proxy": Key("socks5h://127.0.0.1:9050", "a proxy of its own, without a password"),
    "proxy_env": Key("VANISHED_PROXY", "the variable that holds a proxy's address and password"),
    "routes": Key(["direct", "tor"], "ways that have to agree on a loss; see [net.proxies]"),
    "canaries": Key(
        {"alive": ["ADDRESS"], "gone": ["ANOTHER"]},
        "posts whose fate you know; docs/canaries.md says which",
    ),
    "logins": Key(1, "accounts of yours that may be used, one after the other"),
}
"""What the table of every source may have, beside its own keys."""

MOST_CANARIES = 20
"""Of one kind for one source: each is asked at every round, through each route."""


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """How often canaries are asked, in seconds; `judge.fresh_s` says how long they vouch."""

    every_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxies by name: the URL, or the name of the environment variable that holds it."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return sorted({*self.urls, *self.variables})


@dataclass(frozen=True, slots=True)
class Addresses:
    """The canaries of one source, as a person wrote them."""

    alive: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """How one source is asked. No routes: directly, or through the proxy of its own."""

    routes: tuple[str, ...] = ()
    canaries: Addresses = Addresses()
    logins: int = 1  # accounts of the observer that may be used on the platform


def proxies(reader: Reader, given: Mapping[str, Any]) -> Proxies:
    """The table `[net.proxies]`: `tor = "socks5h://..."`, or `tor_env = "VARIABLE"`."""
    urls: dict[str, str] = {}
    variables: dict[str, str] = {}
    for key, value in given.items():
        name = key.removesuffix("_env")
        if name == DIRECT or not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
            raise reader.fail("net.proxies", key, f"'{name}' cannot be the name of a proxy.")
        if not isinstance(value, str):
            raise reader.fail("net.proxies", key, f"{key} must be a text.")
        if name in urls or name in variables:
            raise reader.fail("net.proxies", key, f"the proxy '{name}' is named twice.")
        if key == name and "@" in value:
            raise reader.fail(
                "net.proxies",
                key,
                f"a proxy's password belongs in an environment variable: write {name}_env instead.",
            )
        (urls if key == name else variables)[name] = value
    return Proxies(urls, variables)


def canaries(reader: Reader, given: Mapping[str, Any], fresh_s: float) -> CanarySettings:
    """The table `[canaries]`."""
    reader.keys("canaries", given, ["every_s"])
    every = reader.number("canaries", given, "every_s", 1) or CanarySettings().every_s
    if every > fresh_s:
        raise reader.fail(
            "canaries",
            "every_s",
            f"canaries are asked every {every:g} s, yet vouch for {fresh_s:g} s only"
            " (judge.fresh_s); set every_s to at most that.",
        )
    return CanarySettings(every)


def asking(reader: Reader, platform: str, given: Mapping[str, Any], known: Proxies) -> Asking:
    """What `[sources.PLATFORM]` says of routes, canaries and logins."""
    table = f"sources.{platform}"
    routes = reader.texts(table, given, "routes", 'routes: "direct" and names of [net.proxies]')
    for route in routes:
        if route not in (DIRECT, *known.names):
            names = ", ".join([DIRECT, *known.names])
            raise reader.fail(table, "routes", f"there is no route '{route}'; there are: {names}.")
    if len(set(routes)) < len(routes):
        raise reader.fail(table, "routes", "a route stands in routes twice.")
    if routes and ("proxy" in given or "proxy_env" in given):
        raise reader.fail(
            table, "routes", "write the proxy into [net.proxies] and name it in routes, or else"
            " leave routes out."
        )  # fmt: skip
    if platform in known.names:
        raise reader.fail(
            "net.proxies", platform, f"'{platform}' is a source; give the proxy another name."
        )
    logins = reader.number(table, given, "logins", 1)
    if logins is not None and logins != int(logins):
        raise reader.fail(table, "logins", "logins must be a whole number.")
    return Asking(routes, _addresses(reader, table, given), int(logins or 1))


def _addresses(reader: Reader, table: str, given: Mapping[str, Any]) -> Addresses:
    written = reader.table(given, "canaries", table)
    reader.keys(f"{table}.canaries", written, ["alive", "gone"])
    found = {}
    for kind in ("alive", "gone"):
        listed = reader.texts(f"{table}.canaries", written, kind, "addresses of posts")
        if len(listed) > MOST_CANARIES:
            raise reader.fail(table, "canaries", f"{kind} lists more than {MOST_CANARIES} posts.")
        found[kind] = listed
    if "canaries" in given and not found["alive"]:
        raise reader.fail(
            table,
            "canaries",
            "canaries need at least one address in alive: without it nobody sees that a platform"
            " calls everything gone.",
        )
    if set(found["alive"]) & set(found["gone"]):
        raise reader.fail(table, "canaries", "a post cannot be both alive and gone.")
    return Addresses(found["alive"], found["gone"])
