"""Sealing captures to keys whose secret half lies elsewhere (age, through pyrage).

In: recipients (`age1…`) and bytes. Out: bytes that only an identity of theirs opens; and, on the
machine that has one, plain segments again. It keeps no secret and writes none anywhere: where an
identity goes is its caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyrage

from vanished.errors import EvidenceError, UsageError

HEAD: Final = b"age-encryption.org/v1\n"
"""How every sealed capture begins."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom captures are sealed to: any one of them can open all. `names` are public."""

    names: tuple[str, ...]
    _keys: tuple[Any, ...] = field(repr=False, compare=False)

    def seal(self, content: bytes) -> bytes:
        """`content`, encrypted to every recipient (age-encryption.org/v1)."""
        return bytes(pyrage.encrypt(content, list(self._keys)))


@dataclass(frozen=True, slots=True)
class Identities:
    """Secret halves; their `repr` shows nothing of them."""

    _keys: tuple[Any, ...] = field(repr=False, compare=False)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed.

        Raises UsageError if it was sealed to none of these, EvidenceError if it was changed.
        """
        if not self._keys:
            raise UsageError("captures are sealed here; give the secret half of a recipient")
        try:
            return bytes(pyrage.decrypt(sealed, list(self._keys)))
        except pyrage.DecryptError as error:
            if "matching keys" in str(error):
                raise UsageError(
                    "the captures are sealed to other keys than the given; give the secret half "
                    "of a recipient that observatory.toml names in seal_to"
                ) from None
            raise EvidenceError("a sealed capture cannot be opened: it was changed") from None


def recipients(names: Sequence[str]) -> Recipients:
    """The recipients of these names. Raises UsageError for none, or for one that is no key."""
    if not names:
        raise UsageError("there is nobody to seal captures to; name a recipient (age1...)")
    return Recipients(tuple(names), tuple(_recipient(name) for name in names))


def identities(text: str) -> Identities:
    """The identities of a key file as age-keygen writes it: one a line, # begins a comment.

    Raises UsageError, which never repeats what stands in the file.
    """
    lines = [line.strip() for line in text.splitlines()]
    keys = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(pyrage.x25519.Identity.from_str(line))
        except pyrage.IdentityError:
            raise UsageError(
                f"line {number} of the key file is no age identity; "
                f"it should begin with AGE-SECRET-KEY-1, as age-keygen writes it"
            ) from None
    if not keys:
        raise UsageError("the key file holds no age identity; give one that age-keygen wrote")
    return Identities(tuple(keys))


def new_identity() -> tuple[str, str]:
    """A fresh (recipient, text of a key file): the first to seal to, the second to keep away."""
    fresh = pyrage.x25519.Identity.generate()
    recipient = str(fresh.to_public())
    return recipient, f"# public key: {recipient}\n{fresh}\n"


def _recipient(name: str) -> Any:
    if name.startswith("AGE-SECRET-KEY-"):
        raise UsageError(
            "that is the secret half of an age key, which must not lie here; "
            "give its public half, which begins with age1"
        )
    try:
        return pyrage.x25519.Recipient.from_str(name)
    except pyrage.RecipientError:
        raise UsageError(
            f"'{name[:20]}' is no age recipient; it should be age1 and 58 characters"
        ) from None
