"""The manifest of a static site: every file with its hash and what it follows from, signed.

In: files as they were written, or a site's folder. Out: `manifest.json` with `manifest.note`, and
whether a copy of a site is still what was published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from vanished.archive.durable import refusals
from vanished.archive.log import Note, parse_note
from vanished.archive.log.note import SignerKey, VerifierKey
from vanished.errors import EvidenceError

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.note"
KIND: Final = "static site"
_HEAD: Final = "vanished site v1"
"""First line of the signed note: no checkpoint or data set begins so, which the same key signs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its size in bytes, its SHA-256, the digest of what it follows from."""

    size: int
    sha256: str
    of: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a site says of its files. `facts` are the other values of the JSON object."""

    facts: Mapping[str, Any]
    files: Mapping[str, Entry]

    def encoded(self) -> bytes:
        listed = [
            {"path": path, "bytes": one.size, "sha256": one.sha256, "of": one.of}
            for path, one in sorted(self.files.items())
        ]
        lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in listed)
        head = json.dumps({"kind": KIND, **self.facts}, ensure_ascii=False)
        return f'{head[:-1]}, "files": [\n{lines}\n]}}\n'.encode()


def parsed(content: bytes, where: str) -> Manifest:
    """The manifest in these bytes. Raises EvidenceError, which says `where` they lie."""
    try:
        facts = json.loads(content)
        listed = facts.pop("files")
        if facts.pop("kind") != KIND:
            raise ValueError(KIND)
        files = {one["path"]: Entry(one["bytes"], one["sha256"], one["of"]) for one in listed}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EvidenceError(f"{where} is no manifest of a static site") from None
    return Manifest(facts, files)


def is_site(folder: Path) -> bool:
    """Whether the folder holds a static site, whatever became of its files."""
    try:
        return bool(json.loads((folder / MANIFEST).read_bytes()).get("kind") == KIND)
    except (OSError, ValueError, AttributeError):
        return False


def signature(key: SignerKey, observatory: str, release: str, manifest: bytes) -> bytes:
    """The signed note over a manifest (c2sp.org/signed-note)."""
    note = _note(observatory, release, manifest)
    return bytes(Note(note, (key.sign(note),)))


def check_site(folder: Path, key: str | None) -> dict[str, object]:
    """Check every file of a site against its manifest, and its signature under `key`.

    Raises EvidenceError, which names the file, if anything was changed, is missing or was added.
    """
    with refusals(f"read {folder}"):
        found = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}
        raw = (folder / MANIFEST).read_bytes()
        manifest = parsed(raw, str(folder / MANIFEST))
        for path in sorted(found - {MANIFEST, SIGNATURE} | manifest.files.keys()):
            entry = manifest.files.get(path)
            whole = entry is not None and path in found and not (folder / path).is_symlink()
            if not whole or _hash(folder / path) != entry.sha256:  # type: ignore[union-attr]
                raise EvidenceError(
                    f"{folder / path} is missing, was changed, or is not of the site"
                )
        signed = (folder / SIGNATURE).read_bytes() if SIGNATURE in found else None
    release = str(manifest.facts.get("release"))
    if key is not None:
        if signed is None:
            raise EvidenceError(f"{folder} has no signature")
        where = str(folder / SIGNATURE)
        note = parse_note(signed, where)
        note.signed_by([VerifierKey.parse(key)], where)
        if note.text != _note(str(manifest.facts.get("observatory")), release, raw):
            raise EvidenceError(f"{where} is of another manifest")
    return {
        "folder": str(folder), "release": release, "files": len(manifest.files),
        "signed": key is not None,
    }  # fmt: skip


def _note(observatory: str, release: str, manifest: bytes) -> str:
    return f"{_HEAD}\n{observatory}\n{release}\n{sha256(manifest).hexdigest()}\n"


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
