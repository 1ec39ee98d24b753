"""Measurements to and from OONI's JSON.

In: bytes of one measurement. Out: a `Measurement`, and back. Records of twelve years of probes
disagree with their own format in places; a field of a wrong type is left out and said, not guessed,
and only a record that is no measurement at all is refused. Reading needs `msgspec` (extra `reach`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from vanished.errors import InputError
from vanished.reach.record import DATA_FORMAT, PROBE_IP, Measurement

MOST_MENDED = 24
"""Fields of wrong type in one record, beyond which it is no measurement."""

EVERY = "[...]"
_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_DECODER = msgspec.json.Decoder(Measurement)
_ALWAYS = {"failure", "input", "status", "success", "answers", "blocking", "accessible"}


@dataclass(frozen=True, slots=True)
class Mended:
    """A measurement, and the paths of fields that were left out because of their type."""

    measurement: Measurement
    left_out: tuple[str, ...]


def from_json(line: bytes | str) -> Measurement:
    """The measurement that `line` is. Raises InputError if it is none."""
    return read(line).measurement


def read(line: bytes | str) -> Mended:
    """The same, with what had to be left out."""
    try:
        return Mended(_named(_DECODER.decode(line)), ())
    except msgspec.ValidationError:
        return _mended(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise InputError(f"this is no JSON ({fault}), so no measurement") from None


def _mended(line: bytes | str) -> Mended:
    """Leave out field after field whose type is wrong, until the rest fits."""
    whole = msgspec.json.decode(line)
    if not isinstance(whole, dict):
        raise InputError(f"a measurement is a JSON object, not a {type(whole).__name__}")
    left_out: list[str] = []
    for _ in range(MOST_MENDED):
        try:
            return Mended(_named(msgspec.convert(whole, Measurement)), tuple(left_out))
        except msgspec.ValidationError as fault:
            found = _PATH.search(str(fault))
            path = found["path"].lstrip(".") if found else ""
            if not path or not _leave_out(whole, _steps(path)):
                raise InputError(f"this is no measurement: {fault}") from None
            left_out.append(path)
    raise InputError(f"more than {MOST_MENDED} fields have the wrong type: no measurement")


def _steps(path: str) -> list[str]:
    """`test_keys.queries[0].ttl` as its parts; `[...]` and `[0]` stand for every element."""
    parts = (part for part in re.split(r"(?<!\.)\.(?!\.)|(?=\[)", path) if part)
    return [EVERY if part.startswith("[") else part for part in parts]


def _leave_out(node: Any, path: list[str]) -> bool:
    """Drop what lies at `path`; whether anything was dropped."""
    head, rest = path[0], path[1:]
    if head == EVERY:
        inner = list(node.values()) if isinstance(node, dict) else node
        if not isinstance(inner, list):
            return False
        if not rest:
            node.clear()
            return bool(inner)
        dropped = [_leave_out(one, rest) for one in inner]
        return any(dropped)
    if not isinstance(node, dict) or head not in node:
        return False
    if not rest:
        del node[head]
        return True
    if node[head] is None:
        return False
    return _leave_out(node[head], rest)


def _named(measurement: Measurement) -> Measurement:
    if not measurement.test_name:
        raise InputError("a measurement without a test_name says nothing")
    return measurement


def to_json(measurement: Measurement) -> bytes:
    """One line of JSON in OONI's format, without its end. Fields that are None are left out,
    unless readers of the format expect them."""
    shown = {
        **_pruned(msgspec.to_builtins(measurement)),
        "data_format_version": DATA_FORMAT,
        "probe_ip": PROBE_IP,
    }
    shown.setdefault("test_keys", {})
    return msgspec.json.encode(shown)


def _pruned(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _pruned(value)
            for key, value in node.items()
            if value is not None or key in _ALWAYS
        }
    if isinstance(node, list):
        return [_pruned(one) for one in node]
    return node
