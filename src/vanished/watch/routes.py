"""From the settings to the ways out: which proxies there are, and which routes a source takes."""

from __future__ import annotations

import os

from vanished.archive.advice import BEST, best_proxy
from vanished.archive.settings import Settings
from vanished.archive.settings_asking import DIRECT
from vanished.errors import ConfigError
from vanished.net.door import Door
from vanished.watch.routing import Route


def proxies_of(settings: Settings) -> dict[str, str]:
    """Proxy by the name of a route, or by the platform whose own it is.

    A proxy with a password is named by an environment variable. Raises ConfigError if that is not
    set, and where "best" stands for a proxy and none is known to work.
    """
    named = settings.net.proxies
    found = {name: _best(settings) if url == BEST else url for name, url in named.urls.items()}
    for name, variable in named.variables.items():
        found[name] = _held(variable, f"[net.proxies] {name}_env")
    for platform, table in settings.sources.items():
        own = table.get("proxy_env")
        if isinstance(own, str):
            found[platform] = _held(own, f"[sources.{platform}] proxy_env")
        elif isinstance(table.get("proxy"), str):
            own = str(table["proxy"])
            found[platform] = _best(settings) if own == BEST else own
    return found


def _best(settings: Settings) -> str:
    """What `"best"` stands for now. Raises ConfigError where no go-around is known to work."""
    return best_proxy(settings.reader.path.parent, max_age_s=settings.net.best_age_s)


def _held(variable: str, place: str) -> str:
    if variable not in os.environ:
        raise ConfigError(f"{place} names {variable}, which is not set; set it or remove the key.")
    return os.environ[variable]


def routes_of(settings: Settings, platform: str, door: Door) -> list[Route]:
    """The routes to `platform`, the usual one first."""
    own = platform if platform in door.settings.proxies else DIRECT
    names = settings.asked(platform).routes or (own,)
    return [Route(name, door.vantage(None if name == DIRECT else name)) for name in names]
