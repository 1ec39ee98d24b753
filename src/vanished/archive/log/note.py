"""Signed notes and the keys that sign them (c2sp.org/signed-note, c2sp.org/tlog-cosignature).

In: text and keys, or the bytes of a note that somebody gave us. Out: notes, and which of the keys
that we know have signed one, and when. Two kinds of keys: a log's (Ed25519, type 0x01) and a
witness's (timestamped Ed25519, type 0x04). Parsing is strict: what is not exactly a note is
refused with an EvidenceError in one sentence. It reads no file.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vanished.errors import EvidenceError, UsageError

LOG_KEY: Final = 0x01
WITNESS_KEY: Final = 0x04
_KINDS: Final = (LOG_KEY, WITNESS_KEY)

MAX_NOTE: Final = 64 * 1024
"""Bytes of the largest note that is read."""
MAX_SIGNATURES: Final = 64
MAX_NAME: Final = 255
_DASH: Final = "\u2014 "
_PRIVATE: Final = "PRIVATE+KEY+"


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding, in its one canonical spelling. Raises ValueError."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if encode_base64(value) != text:
        raise ValueError("not canonical base64")
    return value


def encode_base64(value: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(value).decode("ascii")


def is_name(name: str) -> bool:
    """Whether `name` can be the name of a key: not empty, no space, no plus, no control."""
    return 0 < len(name.encode("utf-8", "replace")) <= MAX_NAME and not any(
        letter.isspace() or letter == "+" or letter < "!" or letter == "\x7f" for letter in name
    )


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name; `str()` is its signed-note encoding (vkey)."""

    name: str
    public: bytes
    kind: int = LOG_KEY

    @property
    def id(self) -> bytes:
        """Four bytes that, with the name, say which key made a signature."""
        material = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(material).digest()[:4]

    def __str__(self) -> str:
        public = encode_base64(bytes([self.kind]) + self.public)
        return f"{self.name}+{self.id.hex()}+{public}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey, `NAME+HASH+BASE64`. Raises UsageError."""
        name, hashed, public = _key_parts(text, f"the verifier key '{_shown(text)}'")
        key = cls(name, public[1:], public[0])
        if key.id.hex() != hashed:
            raise UsageError(
                f"the verifier key '{_shown(text)}' was changed or mistyped: its hash does not"
                " match it; copy it again"
            )
        try:
            Ed25519PublicKey.from_public_bytes(key.public)
        except ValueError:
            raise UsageError(f"the verifier key '{_shown(text)}' holds no Ed25519 key") from None
        return key


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private key with its name; neither `repr` nor `str` shows it, `encoded()` does."""

    name: str
    seed: bytes = field(repr=False)
    kind: int = LOG_KEY

    @classmethod
    def generate(cls, name: str, kind: int = LOG_KEY) -> SignerKey:
        """A new key. Raises UsageError if `name` cannot be a key's name."""
        if not is_name(name):
            raise UsageError(
                f"'{_shown(name)}' cannot name a key: give up to {MAX_NAME} characters without"
                " spaces and '+', such as example.org/log"
            )
        return cls(name, secrets.token_bytes(32), kind)

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, public.public_bytes_raw(), self.kind)

    def encoded(self) -> str:
        """The secret, as the signed-note tools write it: `PRIVATE+KEY+NAME+HASH+BASE64`."""
        seed = encode_base64(bytes([self.kind]) + self.seed)
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{seed}"

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """Read what `encoded` wrote. Raises UsageError, which never shows the key."""
        where = "the signing key"
        if not text.startswith(_PRIVATE):
            raise UsageError(f"{where} is none: it must begin with {_PRIVATE}")
        name, hashed, seed = _key_parts(text.removeprefix(_PRIVATE), where)
        key = cls(name, seed[1:], seed[0])
        if key.verifier.id.hex() != hashed:
            raise UsageError(f"{where} of '{name}' was changed: its hash does not match it")
        return key

    def sign(self, text: str, at_s: int = 0) -> Signature:
        """Sign the text of a note; a witness key's signature also says the time, in POSIX s."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        verifier = self.verifier
        if self.kind == LOG_KEY:
            return Signature(self.name, verifier.id, private.sign(text.encode()))
        signed = private.sign(_cosigned(text, at_s))
        return Signature(self.name, verifier.id, at_s.to_bytes(8, "big") + signed)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who says to have signed, and what stands there; not verified."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.value)}\n"

    def by(self, key: VerifierKey) -> bool:
        """Whether it names that key as its own."""
        return self.name == key.name and self.key_id == key.id


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds, and the POSIX time in seconds that a witness put into it."""

    key: VerifierKey
    at_s: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a newline, and the signatures under it."""

    text: str
    signatures: tuple[Signature, ...]

    def __bytes__(self) -> bytes:
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    def with_signatures(self, more: Iterable[Signature]) -> Note:
        """The note with further signatures; of each key the later one stays."""
        kept = {(one.name, one.key_id): one for one in (*self.signatures, *more)}
        return Note(self.text, tuple(kept.values()))

    def signed_by(self, keys: Iterable[VerifierKey], what: str = "the note") -> tuple[Signed, ...]:
        """The signatures by keys that we know, each verified; at least one.

        Signatures of unknown keys are ignored. Raises EvidenceError if one of a known key does
        not hold, or if there is none.
        """
        known = {(key.name, key.id): key for key in keys}
        held: dict[tuple[str, bytes], Signed] = {}
        for signature in self.signatures:
            key = known.get((signature.name, signature.key_id))
            if key is None:
                continue
            if (found := _verified(self.text, signature, key)) is None:
                raise EvidenceError(
                    f"{what} was changed or forged: the signature of '{key.name}' under it"
                    " does not hold"
                )
            held.setdefault((key.name, key.id), found)
        if not held:
            names = ", ".join(sorted({f"'{one.name}'" for one in self.signatures})[:4])
            raise EvidenceError(
                f"{what} is signed by no key that we know (it is signed as {names}); check whose"
                " it is, or give that log's key"
            )
        return tuple(held.values())


def parse_note(raw: bytes, what: str = "the note") -> Note:
    """Read a signed note; nothing in it is verified. Raises EvidenceError saying what is wrong."""
    if len(raw) > MAX_NOTE:
        raise EvidenceError(f"{what} has {len(raw)} bytes; a note has at most {MAX_NOTE}")
    try:
        written = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise EvidenceError(f"{what} is no signed note: it is not UTF-8 text") from None
    if any(letter < " " and letter != "\n" for letter in written):
        raise EvidenceError(f"{what} is no signed note: it contains control characters")
    text, blank, lines = written.rpartition("\n\n")
    if not blank or not lines:
        raise EvidenceError(f"{what} carries no signature, so it says nothing")
    if not lines.endswith("\n"):
        raise EvidenceError(f"{what} is cut off: its last line has no end")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MAX_SIGNATURES:
        raise EvidenceError(f"{what} carries more than {MAX_SIGNATURES} signatures")
    return Note(f"{text}\n", tuple(parse_signature(line, what) for line in signatures))


def parse_signature(line: str, what: str) -> Signature:
    """Read one signature line without its newline. Raises EvidenceError."""
    try:
        if not line.startswith(_DASH):
            raise ValueError(line)
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        value = decode_base64(encoded)
        if not is_name(name) or len(value) < 5:
            raise ValueError(line)
    except ValueError:
        raise EvidenceError(
            f"{what} is no signed note: '{_shown(line)}' is no signature line"
        ) from None
    return Signature(name, value[:4], value[4:])


def _verified(text: str, signature: Signature, key: VerifierKey) -> Signed | None:
    value, at_s = signature.value, None
    message = text.encode()
    if key.kind == WITNESS_KEY:
        at_s, value = int.from_bytes(value[:8], "big"), value[8:]
        if at_s >= 1 << 63:
            return None
        message = _cosigned(text, at_s)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(value, message)
    except (InvalidSignature, ValueError):
        return None
    return Signed(key, at_s)


def _cosigned(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def _key_parts(text: str, what: str) -> tuple[str, str, bytes]:
    """Name, hash and key bytes with their kind. Raises UsageError."""
    name, _, rest = text.partition("+")
    hashed, _, encoded = rest.partition("+")
    try:
        value = decode_base64(encoded)
    except ValueError:
        value = b""
    if not is_name(name) or len(hashed) != 8 or len(value) != 33 or value[0] not in _KINDS:
        raise UsageError(
            f"{what} cannot be read: it must be NAME+HASH+KEY of an Ed25519 log or witness key"
        )
    return name, hashed, value


def _shown(text: str) -> str:
    """The beginning of what a stranger wrote, fit to stand in a sentence."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
