"""How the control server is set up: options, or a TOML file, checked.

In: the text of a TOML file. Out: `ServeSettings`, or a ConfigError with file and line. The defaults
listen on loopback only and ask no private address.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vanished.archive.toml import Reader
from vanished.errors import ConfigError, UsageError
from vanished.net.address import networks
from vanished.reach.control_request import LIMITS, PORTS, Standing
from vanished.reach.control_server import ControlServer, ServerLimits
from vanished.reach.control_steps import ControlSettings
from vanished.reach.door import Door
from vanished.reach.probe_dns import Resolver

_NUMBERS = ("port", "per_minute", "all_per_minute", "at_once")
_TEXTS = ("listen", "resolver", "authorities", "certificate", "key")
_LISTS = ("allow_networks",)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the server listens, what it asks by which resolver, and how much it does."""

    listen: str = "127.0.0.1"
    port: int = 8377
    resolver: str = "system"
    authorities: str = ""  # a file of certificates; "" for the system's
    certificate: str = ""  # of the server itself, with `key`; "" speaks plain HTTP
    key: str = ""
    allow_networks: tuple[str, ...] = ()
    ports: tuple[int, ...] = tuple(sorted(PORTS))
    per_minute: int = 30
    all_per_minute: int = 600
    at_once: int = 16

    @property
    def standing(self) -> Standing:
        """Where the control stands. Raises UsageError or ConfigError."""
        resolver = Resolver.parse(self.resolver)
        ports = frozenset(self.ports)
        door = Door(
            allow=networks(self.allow_networks),
            per_s=200,
            burst=400,
            ports=ports | ({resolver.port} if resolver.port else set()),
        )
        return Standing(door, ports, ControlSettings(resolver, self.authorities, LIMITS))

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The server's own TLS. Raises UsageError for files that cannot be used."""
        if not self.certificate:
            return None
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            made.load_cert_chain(self.certificate, self.key or None)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{self.certificate} with its key cannot be used: {error.strerror or error};"
                " name PEM files that belong together."
            ) from None
        return made


def read_settings(path: Path) -> ServeSettings:
    """The settings in the TOML file at `path`. Raises ConfigError with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
        held = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}.") from None
    reader = Reader(path, text)
    reader.keys("", held, [*_TEXTS, *_NUMBERS, *_LISTS, "ports"])
    given: dict[str, object] = {}
    for key in _NUMBERS:
        number = reader.number("", held, key, 0 if key == "port" else 1)
        if number is not None:
            given[key] = int(number)
    for key in _TEXTS:
        if key in held:
            if not isinstance(held[key], str):
                raise reader.fail("", key, f"{key} must be a text.")
            given[key] = held[key]
    if "allow_networks" in held:
        given["allow_networks"] = reader.texts("", held, "allow_networks", "networks")
    if "ports" in held:
        ports = held["ports"]
        if not isinstance(ports, list) or not all(_is_port(port) for port in ports):
            raise reader.fail("", "ports", "ports must be a list of numbers from 1 to 65535.")
        given["ports"] = tuple(ports)
    return ServeSettings(**given)  # type: ignore[arg-type]


def _is_port(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 < given < 65536


async def serve(settings: ServeSettings, ready: Callable[[int], None]) -> None:
    """Serve until the process is told to end (SIGINT, SIGTERM); `ready` is given the port."""
    limits = ServerLimits(settings.per_minute, settings.all_per_minute, settings.at_once)
    server = ControlServer(settings.standing, limits)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, ended.set)
    try:
        ready(await server.start(settings.listen, settings.port, settings.tls))
        await ended.wait()
    finally:
        await server.close()
