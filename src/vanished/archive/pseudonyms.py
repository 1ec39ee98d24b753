"""Pseudonyms: names that leave the present, made with a secret kept apart from the observatory.

In: a platform and a native id. Out: a key of 16 characters that nobody without the secret can
trace back, or test a guess against. The secret never lies in the observatory's folder, so that a
copied folder, journal or report names no author (the present knows whom to ask, but sealed: see
`vault`, whose key follows from this secret). It is never printed, logged or returned in an error.

key = base32(HMAC-SHA-256(secret, platform NUL native id)[:80 bits]), lower case (RFC 2104,
RFC 4648). With 10^8 subjects the chance of any two sharing a key is below 1 %.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vanished.archive import keys
from vanished.archive.keys import SECRET_BYTES
from vanished.errors import ObservatoryError

VARIABLE: Final = keys.PSEUDONYMS.variable
KEY_BYTES: Final = 10  # 80 bits: 16 characters of base32, no padding


@dataclass(frozen=True, slots=True)
class Secret(keys.Key):
    """The key of the pseudonyms."""

    def __call__(self, platform: str, native_id: str) -> str:
        """The pseudonym of a native id: 16 characters of a-z and 2-7. A `sources.Naming`."""
        return pseudonym(self.value, platform, native_id)


def pseudonym(secret: bytes, platform: str, native_id: str) -> str:
    """The key of `native_id` on `platform` under `secret`."""
    message = f"{platform}\0{native_id}".encode("utf-8", "surrogatepass")
    digest = hmac.digest(secret, message, "sha256")
    return base64.b32encode(digest[:KEY_BYTES]).decode("ascii").lower()


def for_release(secret: Secret, release: str) -> Callable[[str], str]:
    """Pseudonyms of one published release: a function of the observatory's own keys.

    Each release has a secret of its own, HKDF-SHA-256 (RFC 5869) of the observatory's with the
    release's name, so that nobody can tell which subjects two releases share, nor lead one back
    to a receipt. The same name gives the same pseudonyms again.
    """
    info = b"vanished release\0" + release.encode()
    derived = HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=info)
    own = derived.derive(secret.value)

    def name(key: str) -> str:
        return pseudonym(own, "release", key)

    return name


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
    key = keys.load(keys.PSEUDONYMS, observatory_id, create, environment=environment)
    return Secret(key.value, key.origin)


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
    return keys.place(keys.PSEUDONYMS, observatory_id, environment)
