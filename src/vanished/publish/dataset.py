"""A data set: a release as a folder of tables that anybody can read, check and cite.

In: a `Release`. Out: a new folder with each table as Parquet, CSV and JSON Lines, its description,
and a manifest of hashes, signed with the log's key where that is at hand. The folder appears whole
or not at all; the same release is the same bytes. What may be in it was decided by the gate.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from vanished.archive import rulings as log
from vanished.archive.durable import make_folder, refusals, sync_folder, write_atomically
from vanished.archive.folder import READABLE
from vanished.archive.log import Note, parse_note
from vanished.archive.log.keys import VKEYS, read_keys
from vanished.archive.log.note import SignerKey, VerifierKey
from vanished.archive.proof import LOG, signer
from vanished.archive.rulings import Ruling, add_ruling, rulings
from vanished.errors import EvidenceError, ObservatoryError, UsageError
from vanished.model import Micros
from vanished.publish.dataset_metadata import CREATED_WITH, day, texts
from vanished.publish.dataset_tables import tables_of
from vanished.publish.release import METHODS, Release
from vanished.publish.table_files import csv_of, jsonl_of, parquet_of

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.note"
_HEAD: Final = "vanished data set v1"
"""First line of the signed note: no checkpoint begins so, which the same key signs."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was written where."""

    folder: Path
    release: Release
    files: int
    size: int  # bytes
    manifest: str  # SHA-256
    signed_by: str  # verifier key; "" where the log's key was not at hand
    remarks: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "release": self.release.name,
            "files": self.files,
            "bytes": self.size,
            "manifest_sha256": self.manifest,
            "signed_by": self.signed_by or None,
            "posts": len(self.release.rows),
            "with_words": len(self.release.with_words),
            "withheld": self.release.why(),
            "remarks": list(self.remarks),
        }

    def text(self) -> str:
        release = self.release
        total = len(release.rows) + len(release.withheld)
        lines = [
            f"Wrote release {release.name} to {self.folder}: {len(release.rows)} of {total} posts,"
            f" {len(release.with_words)} of them with words, in {self.files} files ({self.size:,}"
            " bytes)."
        ]
        lines += [f"{number} posts stay: {why}." for why, number in release.why().items()]
        return "\n".join([*lines, *self.remarks])


def write_dataset(folder: Path, release: Release, target: Path, now: Micros) -> Published:
    """Write `release` of the observatory in `folder` to `target`, new or empty, and record that.

    Raises UsageError where the target is neither or a release of that name was published with
    other content: the same pseudonyms in two of them would tell what changed. StorageError.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; name a new one.")
    if not release.rows and not release.numbers:
        raise UsageError(
            f"Nothing may be published: fewer than {release.rules.k} accounts stand behind it, or"
            " every post is withheld; vanished publish preview says why."
        )
    files = _files(release)
    key, why_not = key_at_hand(folder, release.observatory)
    files[MANIFEST] = _manifest(release, files)
    digest = sha256(files[MANIFEST]).hexdigest()
    _check_new(folder, release.name, digest)
    remarks = [why_not] if why_not else []
    if key is not None:
        note = f"{_HEAD}\n{release.observatory}\n{release.name}\n{digest}\n"
        files[SIGNATURE] = bytes(Note(note, (key.sign(note),)))
    remarks += _written(folder, target, files, release, digest, now)
    return Published(
        target,
        release,
        len(files),
        sum(map(len, files.values())),
        digest,
        "" if key is None else str(key.verifier),
        tuple(remarks),
    )


def check_dataset(folder: Path, key: str | None) -> dict[str, object]:
    """Check the files of a data set against its manifest, and its signature under `key`.

    Raises EvidenceError, which names the file, if anything was changed, is missing or was added.
    """
    with refusals(f"read {folder}"):
        found = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
    try:
        raw = found.pop(MANIFEST)
        manifest = json.loads(raw)
        listed = {one["path"]: one["sha256"] for one in manifest["files"]}
        named = manifest["observatory"], manifest["release"]
    except (KeyError, ValueError, TypeError):
        raise EvidenceError(f"{folder / MANIFEST} is missing or is no manifest") from None
    note = found.pop(SIGNATURE, None)
    for name in sorted({*listed, *found}):
        if name not in found or sha256(found[name]).hexdigest() != listed.get(name):
            raise EvidenceError(
                f"{folder / name} is missing, was changed, or is not of the release"
            )
    signed = False
    if key is not None:
        if note is None:
            raise EvidenceError(f"{folder} has no signature")
        parsed = parse_note(note, str(folder / SIGNATURE))
        parsed.signed_by([VerifierKey.parse(key)], str(folder / SIGNATURE))
        text = "\n".join([_HEAD, *named, sha256(raw).hexdigest(), ""])
        if parsed.text != text:
            raise EvidenceError(f"{folder / SIGNATURE} is of another manifest")
        signed = True
    return {"folder": str(folder), "release": named[1], "files": len(listed), "signed": signed}


def _files(release: Release) -> dict[str, bytes]:
    tables = tables_of(release)
    files: dict[str, bytes] = {}
    for kind, table in tables:
        files[f"{kind.name}.parquet"] = parquet_of(table)
        files[f"{kind.name}.csv"] = csv_of(table)
        files[f"{kind.name}.jsonl"] = jsonl_of(table)
    counted = [(kind, table.num_rows) for kind, table in tables]
    written = texts(release, counted, files)
    return files | {name: text.encode() for name, text in written.items()}


def _manifest(release: Release, files: Mapping[str, bytes]) -> bytes:
    listed = [
        {"path": name, "bytes": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]
    manifest: dict[str, Any] = {
        "observatory": release.observatory,
        "release": release.name,
        "known_until": day(release),
        "program": CREATED_WITH,
        "methods": list(METHODS),
        "k": release.rules.k,
        "round_s": release.rules.round_s,
        "files": listed,
    }
    return (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()


def key_at_hand(folder: Path, observatory: str) -> tuple[SignerKey | None, str]:
    """The log's key, or why the manifest is not signed."""
    if not (folder / LOG / VKEYS).is_file():
        return None, "The manifest is not signed: this observatory keeps no log."
    try:
        key = signer(observatory, create=False)
    except ObservatoryError:
        return None, "The manifest is not signed: the log's key is not on this machine."
    if key.verifier != read_keys(folder / LOG)[-1].key:
        return None, "The manifest is not signed: the key at hand is not the log's newest."
    return key, ""


def _check_new(folder: Path, name: str, digest: str) -> None:
    for ruling in rulings(folder):
        published = ruling.kind == log.PUBLISHED and ruling.what == name
        if published and ruling.details.get("manifest") != digest:
            raise UsageError(
                f"Release {name} was published with other content; give this one another name"
                " with --release, so that nobody can tell by its pseudonyms what changed."
            )


def _written(
    folder: Path,
    target: Path,
    files: Mapping[str, bytes],
    release: Release,
    digest: str,
    now: Micros,
) -> list[str]:
    """Write the folder beside its place, record the release, and give the folder its name."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        with refusals(f"write {target}"):
            make_folder(target.parent)
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            for name, content in files.items():
                write_atomically(unfinished / name, content)
            sync_folder(unfinished)
        remarks = _recorded(folder, release, digest, now)
        with refusals(f"write {target}"):
            unfinished.replace(target)
            sync_folder(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return remarks


def _recorded(folder: Path, release: Release, digest: str, now: Micros) -> list[str]:
    if (folder / READABLE).exists():
        return ["It is not recorded, since this is a readable copy: note its name and manifest."]
    known = any(one.kind == log.PUBLISHED and one.what == release.name for one in rulings(folder))
    if not known:
        details = {"manifest": digest, "posts": len(release.rows), "withheld": release.why()}
        add_ruling(folder, Ruling(log.PUBLISHED, "", release.name, now, details))
    return []
