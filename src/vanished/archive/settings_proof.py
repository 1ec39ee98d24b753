"""The tables of observatory.toml that say what is proven and to whom: capture, log, stamps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vanished.archive.log.note import WITNESS_KEY, VerifierKey
from vanished.archive.stamps import NAME, Authority, StampSettings
from vanished.archive.toml import Reader
from vanished.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    keep: bool = True
    seal_to: tuple[str, ...] = ()
    segment_bytes: int = 64 * 1024 * 1024
    segment_s: float = 900.0
    pictures: int = 20  # of a post, at most


@dataclass(frozen=True, slots=True)
class WitnessAt:
    """A witness that is to cosign our checkpoints: where it is asked, and its key."""

    name: str
    url: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class LogSettings:
    checkpoint_every_s: float = 5.0
    witness_every_s: float = 60.0
    witnesses: tuple[WitnessAt, ...] = ()


def capture(reader: Reader, given: Mapping[str, Any]) -> CaptureSettings:
    """[capture]"""
    base = CaptureSettings()
    reader.keys("capture", given, ["keep", "seal_to", "segment_bytes", "segment_s", "pictures"])
    keep = given.get("keep", base.keep)
    if not isinstance(keep, bool):
        raise reader.fail("capture", "keep", f"keep is {keep!r}; it must be true or false.")
    recipients = reader.texts("capture", given, "seal_to", "age recipients such as 'age1...'")
    for recipient in recipients:
        if not re.fullmatch(r"age1[02-9ac-hj-np-z]{58}", recipient):
            raise reader.fail(
                "capture",
                "seal_to",
                f"'{recipient[:20]}' is no age recipient; make one with age-keygen, or leave []"
                " to keep everything readable here.",
            )
    size = reader.number("capture", given, "segment_bytes", 1024)
    pictures = reader.number("capture", given, "pictures", 0)
    return CaptureSettings(
        keep,
        recipients,
        int(size) if size else base.segment_bytes,
        reader.number("capture", given, "segment_s", 1) or base.segment_s,
        base.pictures if pictures is None else int(pictures),
    )


def log(reader: Reader, given: Mapping[str, Any]) -> LogSettings:
    """[log]"""
    base = LogSettings()
    reader.keys("log", given, ["checkpoint_every_s", "witness_every_s", "witnesses"])
    every = reader.number("log", given, "checkpoint_every_s", 0)
    found: list[WitnessAt] = []
    for name, table in reader.table(given, "witnesses", "log").items():
        if not NAME.fullmatch(name):
            raise reader.fail(
                "log.witnesses",
                name,
                f"a witness cannot be called '{name}'; use lower-case letters, digits and dashes.",
            )
        if not isinstance(table, dict) or set(table) != {"url", "key"}:
            raise reader.fail(
                "log.witnesses", name, f"'{name}' must be {{ url = ..., key = ... }}."
            )
        try:
            key = VerifierKey.parse(str(table["key"]))
        except UsageError as error:
            raise reader.fail("log.witnesses", name, f"{error}.") from None
        if key.kind != WITNESS_KEY:
            raise reader.fail(
                "log.witnesses", name, f"the key of '{name}' is a log's; give the witness's own."
            )
        found.append(WitnessAt(name, str(table["url"]), key))
    return LogSettings(
        base.checkpoint_every_s if every is None else every,
        reader.number("log", given, "witness_every_s", 1) or base.witness_every_s,
        tuple(found),
    )


def stamps(reader: Reader, given: Mapping[str, Any]) -> StampSettings:
    """[stamps]: a root or header file is found beside observatory.toml."""
    base = StampSettings()
    known = ["every_s", "upgrade_every_s", "calendars", "authorities", "headers"]
    reader.keys("stamps", given, known)
    headers = given.get("headers")
    if headers is not None and not isinstance(headers, str):
        raise reader.fail("stamps", "headers", "headers must be the name of a file.")
    found: list[Authority] = []
    for name, table in reader.table(given, "authorities", "stamps").items():
        if not isinstance(table, dict) or set(table) != {"url", "root"}:
            raise reader.fail(
                "stamps.authorities", name, f"'{name}' must be {{ url = ..., root = ... }}."
            )
        root = reader.path.parent / str(table["root"])
        found.append(Authority(name, str(table["url"]), root))
    try:
        return StampSettings(
            tuple(found),
            reader.texts("stamps", given, "calendars", "addresses of calendars"),
            reader.number("stamps", given, "every_s", 1) or base.every_s,
            reader.number("stamps", given, "upgrade_every_s", 1) or base.upgrade_every_s,
            None if headers is None else reader.path.parent / headers,
        )
    except ConfigError as error:
        raise reader.fail("", "stamps", str(error)) from None
