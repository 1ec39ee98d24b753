"""The vault: what names a person or a place lies sealed in the observatory's folder.

In: the secret of `pseudonyms`, which lies outside the folder, and text. Out: bytes that say nothing
without the secret, and the text again. Sealing is deterministic (AES-SIV, RFC 5297): equal texts of
one column are equal bytes, so that posts can still be grouped by host; whoever holds the folder
alone can see which rows share a host, and how long a text is, but not test a guess. The key is
HKDF-SHA-256 (RFC 5869) of the secret. It reads and writes no file and never shows what it holds.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vanished.errors import DamagedError

LABEL: Final = b"vanished present v1"
KEY_BYTES: Final = 64  # AES-256-SIV takes two keys of 32 bytes
REMEMBERED: Final = 65_536  # hosts whose opening is remembered: one look in many is a new host


class Vault:
    """Seals and opens the fields of one observatory. `place` is table and column."""

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=LABEL)
        self._cipher = AESSIV(derived.derive(secret))
        self.open_often = lru_cache(REMEMBERED)(self.open)
        """`open` for fields that many rows share; remembers what it opened."""
        self.seal_often = lru_cache(REMEMBERED)(self.seal)

    def seal(self, text: str, place: str) -> bytes:
        """`text` sealed for `place`, 16 bytes longer than its UTF-8; "" stays b""."""
        if not text:
            return b""
        return self._cipher.encrypt(text.encode("utf-8", "surrogatepass"), [place.encode()])

    def open(self, sealed: bytes, place: str) -> str:
        """What `seal` was given. DamagedError if another key or place sealed it, or it changed."""
        if not sealed:
            return ""
        try:
            opened = self._cipher.decrypt(sealed, [place.encode()])
        except (InvalidTag, ValueError):
            raise DamagedError(
                f"a sealed field of {place} cannot be opened: it is damaged or was sealed with"
                " another key; restore present.sqlite from a copy, or give the right key"
            ) from None
        return opened.decode("utf-8", "surrogatepass")

    def seal_list(self, texts: Sequence[str | None], place: str) -> bytes:
        """Several texts as one sealed field."""
        return self.seal(json.dumps(texts, separators=(",", ":")), place)

    def open_list(self, sealed: bytes, place: str) -> list[Any]:
        """What `seal_list` was given, as a list."""
        opened: list[Any] = json.loads(self.open(sealed, place))
        return opened

    def seal_word(self, text: str, place: str) -> str:
        """`text` sealed as printable characters, for columns that hold text."""
        return base64.b64encode(self.seal(text, place)).decode("ascii")

    def open_word(self, word: str, place: str) -> str:
        """What `seal_word` was given."""
        try:
            sealed = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            sealed = b"damaged"
        return self.open(sealed, place)

    def __repr__(self) -> str:
        return "Vault()"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a vault is not handed to other processes; hand on what it opened")
