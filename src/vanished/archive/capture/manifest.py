"""What a leaf of the log commits to: a capture's manifest, or a public statement.

In: facts of a capture or a statement. Out: canonical JSON (RFC 8785), its salted leaf hash
(RFC 6962), and back. No native id, address or word of a post stands here: a manifest can be shown
to others without the bytes that it names. Reading is strict: what is not exactly the canonical form
of a manifest is refused, so that one manifest has one hash.

Only strings, integers up to 2^53, lists and objects with ASCII keys occur. For those, Python's JSON
with sorted keys and no spaces is RFC 8785 to the byte (a test compares).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

from vanished.errors import EvidenceError
from vanished.model import Micros

CAPTURE: Final = "vanished-capture/1"
STATEMENT: Final = "vanished-statement/1"
SALT_BYTES: Final = 32
MAX_MANIFEST: Final = 4 << 20  # bytes; a manifest has about 400 a record

WHATS: Final = frozenset(
    {"first", "version", "notice", "returned", "import", "picture", "measurement"}
)
TYPES: Final = frozenset({"response", "request", "revisit", "resource", "metadata"})

_HEX = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_WORD = re.compile(r"[a-z][a-z_-]{0,63}")
_BIGGEST: Final = 2**53 - 1  # RFC 8785 numbers are doubles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a capture is about: a pseudonym, what was new, and when it was seen."""

    key: str
    what: str  # one of WHATS
    seen_at: Micros


@dataclass(frozen=True, slots=True)
class Stored:
    """One WARC record of a capture as it lies on the disk.

    `sha256` and `length` are of the stored gzip member; the payload's are before compression, and
    for a revisit those of the payload that it refers to.
    """

    id: str  # urn:uuid:…
    type: str  # one of TYPES
    sha256: str
    length: int
    payload_sha256: str
    payload_length: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """All records of a capture but the one that holds this manifest. `index` is the leaf's."""

    observatory: str
    index: int
    captured_at: Micros
    vantage: str
    subjects: tuple[Subject, ...]
    records: tuple[Stored, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical(
            {
                "format": CAPTURE,
                **_object(self),
                "subjects": [_object(subject) for subject in self.subjects],
                "records": [_object(record) for record in self.records],
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """The manifest of which `content` is the canonical form. Raises EvidenceError."""
        return _strictly(content, _manifest, "capture's manifest")


@dataclass(frozen=True, slots=True)
class Statement:
    """A public entry of the log: something was forgotten, a key was changed, a witness joined."""

    index: int
    at: Micros
    what: str  # lower-case letters, dashes, underscores
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_bytes(self) -> bytes:
        """Canonical JSON, the details beside the fields that every statement has."""
        own = {"format": STATEMENT, "index": self.index, "at": self.at, "what": self.what}
        if own.keys() & self.details.keys():
            raise ValueError(f"a statement's details cannot be called {', '.join(own)}")
        return canonical({**self.details, **own})

    @classmethod
    def from_bytes(cls, content: bytes) -> Statement:
        """The statement of which `content` is the canonical form. Raises EvidenceError."""
        return _strictly(content, _statement, "statement")


def leaf_hash(salt: bytes, content: bytes) -> bytes:
    """The leaf of a manifest or statement: RFC 6962's leaf hash of salt and SHA-256(content).

    Without the salt nobody can test a guess of the content against the leaf.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(b"\0" + salt + hashlib.sha256(content).digest()).digest()


def entry(salt: bytes, content: bytes) -> bytes:
    """A manifest or statement with its salt, as it is kept: {"manifest": …, "salt": hex}."""
    return b'{"manifest":' + content + b',"salt":"' + salt.hex().encode() + b'"}'


def opened(kept: bytes) -> tuple[bytes, bytes]:
    """(salt, canonical content) of what `entry` made. Raises EvidenceError."""
    ending = len(b',"salt":""}') + 2 * SALT_BYTES
    content = kept[len(b'{"manifest":') : -ending]
    digits = kept[-ending:][len(b',"salt":"') : -2].decode("latin-1")
    salt = bytes.fromhex(digits) if _HEX.fullmatch(digits) else bytes(SALT_BYTES)
    if len(kept) > MAX_MANIFEST or entry(salt, content) != kept:
        raise EvidenceError("a manifest's record is not a manifest with its salt; it was changed")
    return salt, content


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785 form of an object of strings, integers, lists and objects with ASCII keys."""
    return _CANONICAL.encode(value).encode("utf-8")


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _object(noun: Manifest | Subject | Stored) -> dict[str, Any]:
    """The fields of a noun; `asdict` would copy each value, which costs more than the hashes."""
    return {name: getattr(noun, name) for name in noun.__slots__}


# -- reading ---------------------------------------------------------------------------------


class _UnfitError(Exception):
    """Why a value is not what it should be, as the end of a sentence."""


def _strictly(content: bytes, read: Callable[[Any], T], noun: str) -> T:
    if len(content) > MAX_MANIFEST:
        raise EvidenceError(f"a {noun} has {len(content)} bytes, more than {MAX_MANIFEST}")
    try:
        value = json.loads(content)
        if not isinstance(value, dict):
            raise _UnfitError("it is no JSON object")
        found = read(value)
        if canonical(value) != content:
            raise _UnfitError("it is not in the canonical form of RFC 8785")
    except (ValueError, RecursionError):
        raise EvidenceError(f"a {noun} cannot be read: it is not JSON in UTF-8") from None
    except _UnfitError as why:
        raise EvidenceError(f"a {noun} cannot be read: {why}") from None
    return found


def _manifest(value: Any) -> Manifest:
    _names(value, {"format", *Manifest.__slots__})
    _format(value, CAPTURE)
    return Manifest(
        _matching(value, "observatory", _NAME),
        _number(value, "index"),
        _number(value, "captured_at"),
        _matching(value, "vantage", _TEXT),
        tuple(_subject(each) for each in _list(value, "subjects")),
        tuple(_stored(each) for each in _list(value, "records")),
    )


def _subject(value: Any) -> Subject:
    _names(value, set(Subject.__slots__))
    return Subject(
        _matching(value, "key", _NAME), _one_of(value, "what", WHATS), _number(value, "seen_at")
    )


def _stored(value: Any) -> Stored:
    _names(value, set(Stored.__slots__))
    return Stored(
        _matching(value, "id", _ID),
        _one_of(value, "type", TYPES),
        _matching(value, "sha256", _HEX),
        _number(value, "length"),
        _matching(value, "payload_sha256", _HEX),
        _number(value, "payload_length"),
    )


def _statement(value: Any) -> Statement:
    if not {"format", "index", "at", "what"} <= value.keys():
        raise _UnfitError("a statement has format, index, at and what")
    _format(value, STATEMENT)
    _plain(value)
    own = ("format", "index", "at", "what")
    return Statement(
        _number(value, "index"),
        _number(value, "at"),
        _matching(value, "what", _WORD),
        {name: given for name, given in value.items() if name not in own},
    )


def _names(value: Any, names: set[str]) -> None:
    if not isinstance(value, dict) or value.keys() != names:
        raise _UnfitError(
            f"an object in it does not have exactly the fields {', '.join(sorted(names))}"
        )


def _format(value: Any, expected: str) -> None:
    if value["format"] != expected:
        raise _UnfitError(
            f"its format is not {expected}; a newer version of vanished may have made it"
        )


def _number(value: Any, name: str) -> int:
    found = value[name]
    if type(found) is not int or not 0 <= found <= _BIGGEST:
        raise _UnfitError(f"its {name} is no whole number from 0 to 2^53 - 1")
    return found


def _matching(value: Any, name: str, pattern: re.Pattern[str]) -> str:
    found = value[name]
    if not isinstance(found, str) or not pattern.fullmatch(found):
        raise _UnfitError(f"its {name} is not of the form {pattern.pattern}")
    return found


def _one_of(value: Any, name: str, known: frozenset[str]) -> str:
    found = value[name]
    if not isinstance(found, str) or found not in known:
        raise _UnfitError(f"its {name} is not one of {', '.join(sorted(known))}")
    return found


def _list(value: Any, name: str) -> list[Any]:
    found = value[name]
    if not isinstance(found, list):
        raise _UnfitError(f"its {name} is no list")
    return found


def _plain(value: Any) -> None:
    """Refuse what our canonical form does not cover: floats, null, booleans, other keys."""
    if isinstance(value, dict):
        if not all(name.isascii() for name in value):
            raise _UnfitError("it has a field whose name is not ASCII")
        for each in value.values():
            _plain(each)
    elif isinstance(value, list):
        for each in value:
            _plain(each)
    elif type(value) is int and abs(value) <= _BIGGEST:
        pass
    elif not isinstance(value, str):
        raise _UnfitError("it has a value that is no string, whole number, list or object")
