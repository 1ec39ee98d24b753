"""datapackage.json and datapackage-digest.json: what a WACZ lists, with a hash of every file.

In: names, sizes and SHA-256 of the files, or the bytes of a stranger's datapackage.json. Out: the
two files, or the list. It opens no file; whether the list is true is `unpack`'s question.
Format: WACZ 1.1.1, on top of a Frictionless Data Package.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vanished import __version__
from vanished.errors import EvidenceError

NAME: Final = "datapackage.json"
DIGEST_NAME: Final = "datapackage-digest.json"
WACZ_VERSION: Final = "1.1.1"
OURS: Final = "Vanished "
"""How the `software` of a WACZ of ours begins."""
LIST_BYTES: Final = 12 << 20
LIST_MEMORY: Final = 16 << 20  # as text; a single rare character makes Python take four times more
DIGEST_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Resource:
    """One file as datapackage.json lists it."""

    path: str
    size: int  # bytes
    hash: str  # "sha256:" and 64 hex digits; a stranger may have used something weaker


@dataclass(frozen=True, slots=True)
class Package:
    resources: Mapping[str, Resource]  # by path
    software: str
    version: str
    title: str
    created: str  # as written, normally RFC 3339


def written(
    resources: Iterable[Resource], *, title: str, description: str, created: str
) -> tuple[bytes, bytes]:
    """The two files: datapackage.json and datapackage-digest.json."""
    listed = [
        {
            "name": resource.path.lower().replace("/", "-"),  # must be unique in the package
            "path": resource.path,
            "hash": resource.hash,
            "bytes": resource.size,
        }
        for resource in resources
    ]
    package = {
        "profile": "data-package",
        "wacz_version": WACZ_VERSION,
        "title": title,
        "description": description,
        "created": created,
        "software": f"{OURS}{__version__}",
        "resources": listed,
    }
    content = json.dumps(package, separators=(",", ":")).encode()
    digest = {"path": NAME, "hash": hashed(content)}
    return content, json.dumps(digest, separators=(",", ":")).encode()


def hashed(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read(content: bytes, members: int, label: str) -> Package:
    """The list of a stranger, whose ZIP has `members` members. Raises EvidenceError.

    What JSON can grow to in memory is bounded by what `members` files need.
    """
    if content.count(b"{") + content.count(b"[") > 4 * members + 1_000:
        raise EvidenceError(f"{label}: {NAME} holds far more than a list of its {members} members")
    if content.count(b",") > 20 * members + 10_000:
        raise EvidenceError(f"{label}: {NAME} holds far more than a list of its {members} members")
    try:
        text = content.decode()
        if sys.getsizeof(text) > LIST_MEMORY:
            raise EvidenceError(f"{label}: {NAME} takes too much memory to read")
        package = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{label}: {NAME} is damaged: {str(error)[:120]}") from None
    if not isinstance(package, dict) or not isinstance(package.get("resources"), list):
        raise EvidenceError(f"{label}: {NAME} has no list of resources")
    resources: dict[str, Resource] = {}
    for number, resource in enumerate(package["resources"]):
        if not isinstance(resource, Resource):
            raise EvidenceError(f"{label}: resource {number} of {NAME} has no path, hash and bytes")
        if resource.path in resources:
            raise EvidenceError(f"{label}: {NAME} lists {resource.path[:80]!a} twice")
        resources[resource.path] = resource
    words = (_word(package, key) for key in ("software", "wacz_version", "title", "created"))
    return Package(resources, *words)


def read_digest(content: bytes, label: str) -> str:
    """The hash that datapackage-digest.json gives of datapackage.json. Raises EvidenceError."""
    try:
        digest = json.loads(content)
    except (ValueError, RecursionError):
        digest = None
    if not isinstance(digest, dict) or digest.get("path") != NAME:
        raise EvidenceError(f"{label}: {DIGEST_NAME} is damaged")
    return str(digest.get("hash"))[:200]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Resource:
    """A resource as the small thing it is for us; anything else as it is."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    path, size, digest = found.get("path"), found.get("bytes"), found.get("hash")
    if isinstance(path, str) and isinstance(digest, str) and type(size) is int:
        return Resource(path, size, digest)
    return found


def _word(package: Mapping[str, Any], key: str) -> str:
    value = package.get(key, "")
    return value if isinstance(value, str) else ""
