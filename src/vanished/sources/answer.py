"""A JSON answer, taken for hostile until it has the form that is expected.

In: an exchange, or a value of parsed JSON. Out: the value if it has the wanted form, else an empty
one of that form, so that a source can reach into an answer without asking at every step. Also the
server that a setting names. Nothing here knows a platform.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from vanished.errors import ConfigError
from vanished.model import Micros, micros
from vanished.net.exchange import Exchange

Json = Mapping[str, Any]

MOST_MEDIA = 50  # addresses of one post


def parsed(exchange: Exchange) -> object:
    """The parsed body; None where the exchange failed or its body is no whole JSON."""
    if exchange.fault is not None:
        return None
    try:
        value: object = json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None
    return value


def table_of(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def text_of(value: object) -> str:
    """A string of JSON without the lone surrogates that no file or database takes; else ""."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def ident_of(value: object) -> str:
    """An id that is written as a string or as a number; else ""."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(value)


def within(value: object, *path: str | int) -> object:
    """What lies at `path` of keys and positions in `value`; None where the path breaks off."""
    for step in path:
        if isinstance(step, str):
            value = table_of(value).get(step)
        else:
            items = list_of(value)
            value = items[step] if step < len(items) else None
    return value


def web_media(addresses: Sequence[object]) -> tuple[str, ...]:
    """Those of `addresses` that are the web's, each once, at most 50."""
    found: dict[str, None] = {}
    for value in addresses:
        address = text_of(value)
        if address.startswith("//"):
            address = f"https:{address}"
        if address.startswith(("http://", "https://")) and len(address) < 2048:
            found[address] = None
    return tuple(found)[:MOST_MEDIA]


def moment(text: object) -> Micros | None:
    """The time of an RFC 3339 date; None if it is none, has no zone or is before 1970."""
    try:
        time = micros(datetime.fromisoformat(text_of(text)))
    except (ValueError, OverflowError):
        return None
    return time if time >= 0 else None


def server_of(
    given: object, table: str, key: str, example: str = "https://relay.example.org"
) -> str:
    """The base address of a server named in the settings, without a path; ConfigError if none."""
    try:
        parts = urlsplit(str(given))
        bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and bare
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            f"[sources.{table}] {key} has to be the address of a server without a path, such as"
            f' "{example}".'
        )
    return f"{parts.scheme}://{parts.netloc}"
