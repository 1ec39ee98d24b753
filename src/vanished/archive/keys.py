"""Secrets of an observatory, each in a file outside its folder or in a variable of the environment.

In: the observatory's id and which key. Out: bytes and where they came from. A secret is never
printed, logged, handed to another process or named in an error. Who copies the folder has none of
them; who takes the whole machine has those that lie in files, so give them by the environment
where the machine may be taken (see docs/proof.md).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.archive.durable import make_folder, refusals, write_once
from vanished.errors import ObservatoryError

SECRET_BYTES: Final = 32

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """One of an observatory's keys: what people call it, its variable and its file's ending."""

    what: str
    variable: str
    ending: str


PSEUDONYMS: Final = Kind("pseudonym key", "VANISHED_KEY", "key")
LOG: Final = Kind("log key", "VANISHED_LOG_KEY", "log")
SEALING: Final = Kind("sealing key", "VANISHED_IDENTITY", "age")
WITNESS: Final = Kind("witness key", "VANISHED_WITNESS_KEY", "witness")


@dataclass(frozen=True, slots=True)
class Key:
    """The bytes of a key and where they came from; its `repr` shows neither them nor a part."""

    value: bytes = field(repr=False)
    origin: str

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not handed to other processes")


def load(
    kind: Kind, identity: str, create: bool, *, environment: Mapping[str, str] = os.environ
) -> Key:
    """The key of an observatory: from its variable, else from its file.

    With `create`, a missing file is made (32 random bytes, mode 0600). Raises ObservatoryError
    where there is no usable key, and StorageError where the file cannot be read or made.
    """
    given = environment.get(kind.variable, "").strip()
    if given:
        where = f"the environment variable {kind.variable}"
        return Key(_parse(given, kind, where), f"${kind.variable}")
    path = place(kind, identity, environment)
    with refusals(f"use the {kind.what} {path}"):
        if create and not path.exists():
            make_folder(path.parent, mode=0o700)
            fresh = base64.b64encode(secrets.token_bytes(SECRET_BYTES)) + b"\n"
            write_once(path, fresh, mode=0o600)
        try:
            if path.stat().st_mode & 0o077:
                raise ObservatoryError(
                    f"the {kind.what} {path} can be read by others than its owner; "
                    f"run: chmod 600 '{path}'"
                )
            written = path.read_text("ascii", errors="replace")
        except FileNotFoundError:
            raise ObservatoryError(
                f"this observatory's {kind.what} is missing: looked for the environment variable "
                f"{kind.variable} and the file {path}; restore the file from your backup, "
                f"or set the variable"
            ) from None
    return Key(_parse(written.strip(), kind, f"the file {path}"), str(path))


def given(
    kind: Kind, identity: str, *, files: bool = True, environment: Mapping[str, str] = os.environ
) -> Key | None:
    """The key if it is there: in its variable or, with `files`, in its file. Raises as `load`."""
    there = environment.get(kind.variable, "").strip()
    if there or (files and place(kind, identity, environment).exists()):
        return load(kind, identity, False, environment=environment)
    return None


def read(kind: Kind, path: Path) -> bytes:
    """The key in a file. Raises ObservatoryError where it holds none, StorageError."""
    with refusals(f"use the {kind.what} {path}"):
        return _parse(path.read_text("ascii", errors="replace").strip(), kind, f"the file {path}")


def place(kind: Kind, identity: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where that key's file lies (XDG Base Directory Specification)."""
    if not _IDENTITY.fullmatch(identity):
        raise ObservatoryError(
            f"the observatory's id {identity!r} cannot name a key file: "
            "use letters, digits, dots, dashes and underscores"
        )
    base = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():  # the specification: relative paths are to be ignored
        base = Path(environment.get("HOME") or Path.home()) / ".config"
    return base / "vanished" / "keys" / f"{identity}.{kind.ending}"


def _parse(written: str, kind: Kind, where: str) -> bytes:
    """At least 32 bytes from hexadecimal or base64 (also the URL-safe alphabet)."""
    try:
        if _HEX.fullmatch(written):  # a shortened one must not pass as base64
            value = bytes.fromhex(written)
        else:
            padded = written + "=" * (-len(written) % 4)
            value = base64.b64decode(padded.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) < SECRET_BYTES:
        raise ObservatoryError(
            f"the {kind.what} in {where} cannot be used: "
            f"it must be at least {SECRET_BYTES} bytes in base64 or hexadecimal"
        )
    return value


_URL_SAFE: Final = str.maketrans("-_", "+/")
