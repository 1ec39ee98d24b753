"""Pseudonyms: names that leave the present, made with a secret kept apart from the observatory.

In: a platform and a native id. Out: a key of 16 characters that nobody without the secret can
trace back, or test a guess against. The secret never lies in the observatory's folder, so that a
copied journal or a report names no author (the present does: it knows whom to ask). It is never
printed, logged or returned in an error.

key = base32(HMAC-SHA-256(secret, platform NUL native id)[:80 bits]), lower case (RFC 2104,
RFC 4648). With 10^8 subjects the chance of any two sharing a key is below 1 %.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.archive.durable import make_folder, refusals, write_once
from vanished.errors import ObservatoryError

VARIABLE: Final = "VANISHED_KEY"
SECRET_BYTES: Final = 32
KEY_BYTES: Final = 10  # 80 bits: 16 characters of base32, no padding

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and where it came from; its `repr` shows neither the secret nor a part of it."""

    value: bytes = field(repr=False)
    origin: str

    def __call__(self, platform: str, native_id: str) -> str:
        """The pseudonym of a native id: 16 characters of a-z and 2-7. A `sources.Naming`."""
        return pseudonym(self.value, platform, native_id)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a pseudonym secret is not handed to other processes; hand on the keys")


def pseudonym(secret: bytes, platform: str, native_id: str) -> str:
    """The key of `native_id` on `platform` under `secret`."""
    message = f"{platform}\0{native_id}".encode("utf-8", "surrogatepass")
    digest = hmac.digest(secret, message, "sha256")
    return base64.b32encode(digest[:KEY_BYTES]).decode("ascii").lower()


def fingerprint(secret: Secret) -> str:
    """16 hexadecimal digits that tell one secret from another and give nothing of it away."""
    return hashlib.sha256(b"vanished key\0" + secret.value).hexdigest()[:16]


def load_secret(
    observatory_id: str, create: bool, *, environment: Mapping[str, str] = os.environ
) -> Secret:
    """The secret of an observatory: from VANISHED_KEY, else from its key file.

    With `create`, a missing key file is made (32 random bytes, mode 0600). Raises
    ObservatoryError where there is no usable secret, and StorageError where the file cannot be
    read or made. Check the result with `check_secret`: a wrong key would split every subject.
    """
    given = environment.get(VARIABLE, "").strip()
    if given:
        return Secret(_parse(given, f"the environment variable {VARIABLE}"), f"${VARIABLE}")
    path = key_path(observatory_id, environment)
    with refusals(f"use the pseudonym key {path}"):
        if create and not path.exists():
            make_folder(path.parent, mode=0o700)
            fresh = base64.b64encode(secrets.token_bytes(SECRET_BYTES)) + b"\n"
            write_once(path, fresh, mode=0o600)
        try:
            if path.stat().st_mode & 0o077:
                raise ObservatoryError(
                    f"the pseudonym key {path} can be read by others than its owner; "
                    f"run: chmod 600 '{path}'"
                )
            written = path.read_text("ascii", errors="replace")
        except FileNotFoundError:
            raise ObservatoryError(
                f"this observatory's pseudonym key is missing: looked for the environment variable "
                f"{VARIABLE} and the file {path}; restore the file from your backup, "
                f"or set the variable"
            ) from None
    return Secret(_parse(written.strip(), f"the file {path}"), str(path))


def check_secret(secret: Secret, expected: str) -> None:
    """Raise ObservatoryError unless `secret` has the fingerprint that the observatory stored."""
    found = fingerprint(secret)
    if not hmac.compare_digest(found, expected):
        raise ObservatoryError(
            f"the pseudonym key from {secret.origin} is not this observatory's: its fingerprint is "
            f"{found}, the observatory was made with {expected}; give the right key in {VARIABLE} "
            f"or restore the key file"
        )


def key_path(observatory_id: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the key file of an observatory lies (XDG Base Directory Specification)."""
    if not _IDENTITY.fullmatch(observatory_id):
        raise ObservatoryError(
            f"the observatory's id {observatory_id!r} cannot name a key file: "
            "use letters, digits, dots, dashes and underscores"
        )
    base = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():  # the specification: relative paths are to be ignored
        base = Path(environment.get("HOME") or Path.home()) / ".config"
    return base / "vanished" / "keys" / f"{observatory_id}.key"


def _parse(written: str, where: str) -> bytes:
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
            f"the pseudonym key in {where} cannot be used: "
            f"it must be at least {SECRET_BYTES} bytes in base64 or hexadecimal"
        )
    return value


_URL_SAFE: Final = str.maketrans("-_", "+/")
