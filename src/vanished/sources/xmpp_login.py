"""How an observer logs in: as a guest, or with a password that is not sent if it can be helped.

In: the mechanisms that a server offers, a name and a password. Out: the messages of SASL to send
and what the server's answers prove. SCRAM (RFC 5802, RFC 7677) first, since with it the server
never learns the password and has to prove that it knew it; PLAIN (RFC 4616) only if allowed.
Nothing here asks anybody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

LEAST_ROUNDS, MOST_ROUNDS = 4096, 1_000_000  # of SCRAM; more would only keep us busy
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}


class LoginError(Exception):
    """The server's part of a login is wrong. Stays in the files of this source."""


@dataclass(frozen=True, slots=True)
class Login:
    """One way in. `first` is sent with the mechanism's name; `answer` makes what follows a
    challenge; `check` looks at what came with the success."""

    mechanism: str
    first: bytes = field(repr=False)
    answer: Callable[[bytes], bytes] = field(repr=False)
    check: Callable[[bytes], None] = field(repr=False, default=lambda said: None)


def choose(offered: Collection[str], name: str, password: str, *, plain: bool) -> Login | None:
    """The best way in that the server offers; None if there is none. No name: as a guest.

    `plain`: whether the password itself may be sent, since nobody reads along.
    """
    if not name:
        return Login("ANONYMOUS", b"", _nothing) if "ANONYMOUS" in offered else None
    for mechanism, digest in _HASHES.items():
        if mechanism in offered:
            return _scram(mechanism, digest, name, password, secrets.token_urlsafe(24))
    if plain and "PLAIN" in offered:
        return Login("PLAIN", f"\0{name}\0{password}".encode(), _nothing)
    return None


def _nothing(challenge: bytes) -> bytes:
    return b""


def _scram(mechanism: str, digest: str, name: str, password: str, nonce: str) -> Login:
    """The client's side of RFC 5802, without channel binding, which BOSH does not have."""
    bare = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    expected: list[bytes] = []

    def mac(key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, digest)

    def answer(challenge: bytes) -> bytes:
        if expected:
            raise LoginError("the server asks twice")
        said = _fields(challenge)
        theirs, rounds = said.get("r", ""), said.get("i", "")
        try:
            salt = base64.b64decode(said.get("s", ""), validate=True)
        except binascii.Error:
            salt = b""
        known = rounds.isdecimal() and LEAST_ROUNDS <= int(rounds) <= MOST_ROUNDS
        if not (theirs.startswith(nonce) and len(theirs) > len(nonce) and salt and known):
            raise LoginError("the server's challenge is not of this login")
        secret = unicodedata.normalize("NFKC", password).encode()
        salted = hashlib.pbkdf2_hmac(digest, secret, salt, int(rounds))
        key = mac(salted, b"Client Key")
        end = f"c=biws,r={theirs}"
        signed = b",".join((bare.encode(), challenge, end.encode()))
        proof = mac(hashlib.new(digest, key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(key, proof, strict=True))
        expected.append(mac(mac(salted, b"Server Key"), signed))
        return f"{end},p={base64.b64encode(proof).decode()}".encode()

    def check(said: bytes) -> None:
        given = _fields(said).get("v", "").encode()
        if not expected or not hmac.compare_digest(given, base64.b64encode(expected[0])):
            raise LoginError("the server does not know the password that it took")

    return Login(mechanism, f"n,,{bare}".encode(), answer, check)


def _fields(message: bytes) -> dict[str, str]:
    parts = message.decode("utf-8", "replace").split(",")
    return {part[0]: part[2:] for part in parts if part[1:2] == "="}
