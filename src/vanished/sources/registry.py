"""Which source answers to which name: the file of that name in this folder.

In: a platform's name and the settings. Out: its source, with its table of observatory.toml checked.
A source's file `NAME.py` has `KEYS`, the keys of the table `[sources.NAME]` as `Key`s; `CANARY`, a
line on which of its posts can be canaries (docs/canaries.md, `vanished canaries`, the doctor); and
one class whose `platform` is NAME, made with the naming and that table. A file without `KEYS` is a
part of another one. Only the file that is asked for is loaded: `vanished --help` loads no parser.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import cast

from vanished import sources as room
from vanished.archive.settings import COMMON_SOURCE_KEYS, Settings, source_table
from vanished.archive.settings_asking import Key
from vanished.archive.settings_template import source_tables
from vanished.errors import UnknownPlatformError, UsageError
from vanished.model import Account
from vanished.sources import Making, Naming, Source


def source(platform: str, naming: Naming, settings: Settings) -> Source:
    """The source of `platform`.

    Raises UnknownPlatformError if there is none, ConfigError for a table that it cannot work with.
    """
    module = _file(platform)
    if module is None:
        raise UnknownPlatformError(
            f"No source is called '{platform}'; there are: {', '.join(platforms())}."
        )
    table = source_table(settings, platform, module.KEYS)
    return _class(module, platform)(naming, table)


def sources(wanted: Collection[str], naming: Naming, settings: Settings) -> Mapping[str, Source]:
    """The sources of those of the `wanted` platforms that have one, by platform.

    Raises ConfigError for a wrong table, though none of `wanted` is to use it.
    """
    check(settings, beside=wanted)
    return {
        platform: source(platform, naming, settings)
        for platform in sorted(wanted)
        if _file(platform) is not None
    }


def check(settings: Settings, beside: Collection[str] = ()) -> None:
    """Raise ConfigError for the first table `[sources.NAME]` with a wrong name, key or type.

    `beside` are names of tables that are no source's of this room.
    """
    for platform in settings.sources:
        module = _file(platform)
        if module is not None:
            source_table(settings, platform, module.KEYS)
        elif platform not in beside:
            settings.reader.keys("sources", settings.sources, [*platforms(), *beside])


def platforms() -> tuple[str, ...]:
    """Every platform that has a source, in order. Loads them all, so it is for lists and errors."""
    return tuple(name for name in sorted(_names()) if _file(name) is not None)


def account(asked: Source, address: str) -> Account:
    """What is to be watched at `address`. Raises UsageError for what cannot be, in one sentence."""
    try:
        return asked.account(address)
    except UsageError as refused:
        try:
            asked.post(address)
        except UsageError:
            raise refused from None
        raise UsageError(
            f"'{address.strip()[:80]}' is a single post, and {asked.platform} is watched by account"
            " only: add the account that it stands in. As a canary a single post will do."
        ) from None


def canary(platform: str) -> str:
    """Which posts of `platform` can be canaries, in a line; "" if it has no source."""
    module = _file(platform)
    return "" if module is None else str(module.CANARY)


def about(platform: str) -> str:
    """The first sentence of what the file of `platform` says of itself."""
    module = _file(platform)
    written = "" if module is None else module.__doc__ or ""
    return " ".join(written.partition("\n\n")[0].split())


def keys(platform: str) -> Sequence[str]:
    """The keys that the table of `platform` may have; none if it has no source."""
    module = _file(platform)
    return () if module is None else (*module.KEYS, *COMMON_SOURCE_KEYS)


def tables() -> str:
    """The tables of all sources for a new observatory.toml, every key commented out."""
    return source_tables({name: (about(name), _keys(name)) for name in platforms()})


def _keys(platform: str) -> Mapping[str, Key]:
    module = _file(platform)
    return {} if module is None else cast("Mapping[str, Key]", module.KEYS)


def _names() -> set[str]:
    return {found.name for found in pkgutil.iter_modules(room.__path__) if not found.ispkg}


def _file(platform: str) -> ModuleType | None:
    """The file of the source of `platform`; None if there is none."""
    if platform not in _names():
        return None
    module = import_module(f"{room.__name__}.{platform}")
    return module if hasattr(module, "KEYS") else None


def _class(module: ModuleType, platform: str) -> Making:
    for found in vars(module).values():
        if isinstance(found, type) and getattr(found, "platform", None) == platform:
            return cast("Making", found)
    raise UnknownPlatformError(
        f"sources/{platform}.py has no class of a source; write platform = '{platform}' into it."
    )
