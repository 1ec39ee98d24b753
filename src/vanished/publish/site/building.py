"""Build a static site: all of it once, and then only what changed.

In: an observatory's folder, a release's name, the site's folder. Out: the folder, which a reader
sees before or after and never between, and an entry in the record of what was published. A site
goes on under one name, so that its addresses stay; it is continued only where its folder is what
this observatory published last, since what was told may not be told anew in another way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from vanished.archive import rulings as log
from vanished.archive.durable import make_folder, refusals
from vanished.archive.folder import READABLE
from vanished.archive.rulings import Ruling, add_ruling, rulings
from vanished.archive.uncollected import uncollected
from vanished.errors import EvidenceError, UsageError
from vanished.explain.window import Window
from vanished.model import Micros
from vanished.publish import batches
from vanished.publish.dataset import key_at_hand
from vanished.publish.dataset_metadata import CREATED_WITH, day
from vanished.publish.release import METHODS, Release, read_release
from vanished.publish.release_name import check_name
from vanished.publish.site import ledger as ledgers
from vanished.publish.site import manifest as manifests
from vanished.publish.site import proof
from vanished.publish.site.captures import SHARD_BYTES, shards
from vanished.publish.site.layout import Told, layout
from vanished.publish.site.ledger import LEDGER, Ledger
from vanished.publish.site.manifest import MANIFEST, SIGNATURE, Entry, Manifest
from vanished.publish.site.pages import Site
from vanished.publish.site.tree import Tree, exchange

SITE_METHODS: Final = (*METHODS, batches.METHOD)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did."""

    folder: Path
    release: Release
    losses: int
    files: int
    made: int  # files that were made; the others are those of the build before
    manifest: str  # SHA-256
    signed_by: str  # verifier key; "" where the log's key was not at hand
    changed: bool
    remarks: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "release": self.release.name,
            "losses": self.losses,
            "files": self.files,
            "made": self.made,
            "manifest_sha256": self.manifest,
            "signed_by": self.signed_by or None,
            "changed": self.changed,
            "withheld": self.release.why(),
            "remarks": list(self.remarks),
        }

    def text(self) -> str:
        if not self.changed:
            return f"{self.folder} is up to date: {self.losses} losses in {self.files} files."
        lines = [
            f"Built {self.folder}: {self.losses} losses in {self.files} files,"
            f" {self.made} of them made now."
        ]
        lines += [f"{number} posts stay: {why}." for why, number in self.release.why().items()]
        return "\n".join([*lines, *self.remarks])


@dataclass(frozen=True, slots=True)
class _Before:
    """The build before: nothing, where there was none."""

    ledger: Ledger = field(default_factory=Ledger)
    manifest: Manifest | None = None
    digest: str = ""


def build_site(
    folder: Path, name: str, target: Path, now: Micros, *, base: str = "", scrub: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> Built:  # fmt: skip
    """Build the site `name` of the observatory in `folder` at `target`, new, empty or that site.

    `base` is the address that it will stand at, if that is known. `scrub`: scrub all words again,
    also those that left before. `shard_bytes`: the most that a file of captures holds. Raises
    UsageError where the target is anything else, or the name was published otherwise; StorageError.
    """
    check_name(name)
    base = _address(base)
    with _alone(target), uncollected():
        before = _before(folder, name, target)
        known = before.manifest is not None and list(SITE_METHODS) == before.manifest.facts.get(
            "methods"
        )
        told = before.ledger.told(words=known and not scrub)
        release = read_release(folder, name, Window(), told)
        if not release.rows and not release.numbers:
            raise UsageError(
                f"Nothing may be published: fewer than {release.rules.k} accounts stand behind it,"
                " or every post is withheld; vanished publish preview says why."
            )
        return _built(folder, release, target, before, base, now, shard_bytes)


def _built(
    folder: Path, release: Release, target: Path, before: _Before, base: str, now: Micros,
    limit: int,
) -> Built:  # fmt: skip
    ledger = ledgers.continued(before.ledger, release.rows, now)
    rules = release.rules
    site = Site(
        release.observatory, release.name, rules.title, rules.publisher, rules.contact, rules.k,
        rules.round_s, base,
    )  # fmt: skip
    key, why_not = key_at_hand(folder, release.observatory)
    room = target.with_name(f".{target.name}.{os.getpid()}.captures")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    old = target if before.manifest is not None else None
    try:
        with refusals(f"write {target}"):
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(room, ignore_errors=True)
            packed = shards(folder, release, before.ledger, ledger, before.manifest, room, limit)
            ledger = ledgers.with_captures(ledger, packed.of)
            told = Told(site, release, ledger, proof.files(folder), key is not None, packed)
            tree = Tree(unfinished, old)
            files, made = _written(tree, told, before.manifest)
            whole = Manifest(_facts(release, ledger, base), files).encoded()
            digest = sha256(whole).hexdigest()
            changed = digest != before.digest
            if changed:
                tree.write(MANIFEST, whole)
                if key is not None:
                    signed = manifests.signature(key, release.observatory, release.name, whole)
                    tree.write(SIGNATURE, signed)
                tree.settle()
        remarks = [why_not] if why_not else []
        if packed.too_large:
            remarks.append(
                f"The captures of {packed.too_large} losses are in no file, since those of one are"
                f" more than {limit} bytes."
            )
        if changed:
            remarks += _recorded(folder, release, digest, before.digest, now)
            with refusals(f"write {target}"):
                exchange(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(room, ignore_errors=True)
    signed_by = "" if key is None else str(key.verifier)
    return Built(
        target, release, len(ledger.losses), len(files), made, digest, signed_by, changed,
        tuple(remarks),
    )  # fmt: skip


def _written(tree: Tree, told: Told, before: Manifest | None) -> tuple[dict[str, Entry], int]:
    """Every file of the site, and how many of them had to be made."""
    known = before.files if before is not None else {}
    files: dict[str, Entry] = {}
    made = 0
    for path, file in layout(told):
        entry = known.get(path)
        if entry is None or entry.of != file.of or not tree.keep(path):
            content = file.make()
            entry = Entry(len(content), sha256(content).hexdigest(), file.of)
            tree.write(path, content)
            made += 1
        files[path] = entry
    return files, made


def _facts(release: Release, ledger: Ledger, base: str) -> dict[str, Any]:
    return {
        "observatory": release.observatory,
        "release": release.name,
        "known_until": day(release),
        "program": CREATED_WITH,
        "methods": list(SITE_METHODS),
        "k": release.rules.k,
        "round_s": release.rules.round_s,
        "address": base or None,
        "losses": len(ledger.losses),
        "next": ledger.next,
    }


def _before(folder: Path, name: str, target: Path) -> _Before:
    """The build that lies at `target`. Raises UsageError if it is not the last one of this name."""
    published = [r for r in rulings(folder) if r.kind == log.PUBLISHED and r.what == name]
    with refusals(f"read {target}"):
        empty = not target.exists() or (target.is_dir() and not any(target.iterdir()))
        if empty and not published:
            return _Before()
        if not empty and not manifests.is_site(target):
            raise UsageError(f"{target} exists and is no static site; name a new folder.")
        raw = b"" if empty else (target / MANIFEST).read_bytes()
        content = b"" if empty else (target / LEDGER).read_bytes()
    digest = sha256(raw).hexdigest()
    last = published[-1].details if published else {}
    copy = (folder / READABLE).exists()
    if empty or not (copy or digest in (last.get("manifest"), last.get("before"))):
        raise UsageError(
            f"Release {name} was published with other content than what lies at {target}; build"
            " into the folder that was published last, or give a new one with another --release."
        )
    manifest = manifests.parsed(raw, str(target / MANIFEST))
    entry = manifest.files.get(LEDGER)
    if entry is None or sha256(content).hexdigest() != entry.sha256:
        raise EvidenceError(f"{target / LEDGER} was changed; restore the site from a copy")
    if manifest.facts.get("release") != name:
        raise UsageError(
            f"{target} is the site {manifest.facts.get('release')}; name that with --release."
        )
    following = int(manifest.facts["next"])
    return _Before(ledgers.parsed(content, following, str(target / LEDGER)), manifest, digest)


def _recorded(folder: Path, release: Release, digest: str, before: str, now: Micros) -> list[str]:
    if (folder / READABLE).exists():
        return ["It is not recorded, since this is a readable copy: note its name and manifest."]
    details = {
        "manifest": digest, "before": before, "site": True, "posts": len(release.rows),
        "withheld": release.why(),
    }  # fmt: skip
    add_ruling(folder, Ruling(log.PUBLISHED, "", release.name, now, details))
    return []


def _address(base: str) -> str:
    """The address that the site will stand at, with a slash at its end. Raises UsageError."""
    if not base:
        return ""
    printable = base.isprintable() and not set(base) & set(' "<>#?')
    if not base.startswith(("https://", "http://")) or not printable or len(base) > 200:
        raise UsageError(
            f"'{base[:80]}' is no address of a site; give one such as https://example.org/lost/."
        )
    return base if base.endswith("/") else f"{base}/"


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One build at a time beside this folder; another one waits."""
    with refusals(f"write {target}"):
        make_folder(target.parent)
        door = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)
