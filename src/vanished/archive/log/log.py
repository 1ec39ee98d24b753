"""A log in a folder: append leaves, publish signed checkpoints, prove what they say.

In: leaf hashes and the log's key. Out: `checkpoint` (a signed note), `tile/…`, `vkeys`, proofs.
What is published is what `checkpoint` says, no more: it is written last, by rename, after all
that it covers is durable. Whatever a crash leaves beyond it is removed on the next opening.

One process writes at a time; the observatory's own lock sees to that. Entries and salts are
never here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from vanished.archive.durable import TEMPORARY, make_folder, refusals, write_atomically
from vanished.archive.log import merkle
from vanished.archive.log.check import Damage, LeafOf, check_tiles
from vanished.archive.log.checkpoint import Checkpoint, read_checkpoint
from vanished.archive.log.keys import (
    ROTATIONS,
    VKEYS,
    LogKey,
    read_keys,
    read_rotation,
    valid_at,
    write_keys,
)
from vanished.archive.log.merkle import EMPTY, HASH
from vanished.archive.log.note import LOG_KEY, Note, SignerKey, VerifierKey
from vanished.archive.log.tiles import (
    Edge,
    TileReader,
    cut_back,
    drop_partials,
    heal,
    leaf_rows,
    tile_name,
    write_tiles,
)
from vanished.errors import (
    DamagedError,
    EvidenceError,
    LockedError,
    ObservatoryError,
    UsageError,
)

CHECKPOINT: Final = "checkpoint"


class Log:
    """A log as of its last published checkpoint, and the leaves appended since.

    `published` and `note` are on disk and durable; `_writing` is the key and the right edge of that
    same tree, None without a key; `_pending` are leaf hashes that no checkpoint covers yet.
    `_attempted` is a checkpoint that may have reached the disk although writing it failed; what is
    published next continues it too, because leaves are only added.
    """

    def __init__(
        self,
        folder: Path,
        published: Checkpoint,
        note: Note,
        keys: tuple[LogKey, ...],
        writing: tuple[SignerKey, Edge] | None = None,
    ) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self.published = published
        self.note = note
        self.keys = keys
        self._writing = writing
        self._pending = bytearray()
        self._attempted: Checkpoint | None = None

    @classmethod
    def create(cls, folder: Path, key: SignerKey, origin: str | None = None) -> Log:
        """Make an empty log and publish its first checkpoint; the origin is the key's name.

        Raises UsageError if a log is there already or the key cannot be a log's, StorageError.
        """
        if key.kind != LOG_KEY or origin not in (None, key.name):
            raise UsageError(
                f"the key '{key.name}' cannot sign the log '{origin or key.name}': give a log key"
                " of that name"
            )
        if (folder / CHECKPOINT).exists() or (folder / "tile").exists():
            raise UsageError(f"{folder} holds a log already; open it, or choose another folder")
        with refusals(f"make a log in {folder}"):
            make_folder(folder)
            write_keys(folder, [LogKey(key.verifier)])
            empty = Checkpoint(key.name, 0, EMPTY)
            note = Note(empty.text, (key.sign(empty.text),))
            write_atomically(folder / CHECKPOINT, bytes(note))
        return cls.open(folder, key)

    @classmethod
    def open(cls, folder: Path, key: SignerKey | None = None) -> Log:
        """Open a log to read, or with its key to append.

        With the key, whatever lies beyond the published checkpoint is removed, and the right edge
        is checked against the signed root. Raises DamagedError naming the file that is missing or
        does not hold (`repair` may help), ObservatoryError if the key is not this log's.
        """
        keys = read_keys(folder)
        published, note = _published(folder, keys)
        log = cls(folder, published, note, keys)
        if key is not None:
            log._begin(key)
        return log

    def _begin(self, key: SignerKey) -> None:
        folder, size = self.folder, self.published.size
        with refusals(f"clear {folder} of what a crash left"):
            if self.keys[-1].since > size:  # a rotation that was never published
                for one in self.keys:
                    if one.since > size:
                        (folder / ROTATIONS / str(one.since)).unlink(missing_ok=True)
                kept = [LogKey(one.key, one.since) for one in self.keys if one.since <= size]
                write_keys(folder, kept)
                self.keys = read_keys(folder)
            if self.keys[-1].key != key.verifier:
                raise ObservatoryError(
                    f"the key that was given cannot sign the log in {folder}: its key is now"
                    f" {self.keys[-1].key}; give the secret half of that one"
                )
            edge = Edge.load(folder, size)
            if edge.root() != self.published.root:
                files = ", ".join(
                    tile_name(level, size >> 8 * level + 8, len(row) // HASH)
                    for level, row in enumerate(edge.rows)
                    if row
                )
                raise DamagedError(
                    f"the log's tiles in {folder} do not have the root of its checkpoint: one of"
                    f" {files} was changed; repair the log, or restore them from a backup"
                )
            heal(folder, edge)
            cut_back(folder, size)
            for path in (*folder.glob(f"*{TEMPORARY}"), *folder.glob(f"{ROTATIONS}/*{TEMPORARY}")):
                path.unlink(missing_ok=True)
        self._writing = (key, edge)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.published.origin

    @property
    def size(self) -> int:
        """Leaves that the published checkpoint covers."""
        return self.published.size

    @property
    def root(self) -> bytes:
        """Root of the published checkpoint."""
        return self.published.root

    @property
    def next_index(self) -> int:
        """The index that the next appended leaf will get."""
        return self.size + len(self._pending) // HASH

    def append(self, leaves: Iterable[bytes]) -> int:
        """Take leaf hashes for the next checkpoint; the index of the first of them.

        Nothing is kept until `checkpoint` returns. Raises UsageError if one is no hash, or if the
        log was opened without its key.
        """
        self._key()
        new = list(leaves)
        if any(len(leaf) != HASH for leaf in new):
            raise UsageError(f"a leaf that was to be logged is no hash of {HASH} bytes")
        first = self.next_index
        self._pending += b"".join(new)
        return first

    def checkpoint(self, extensions: Iterable[str] = ()) -> Note:
        """Publish all appended leaves under a signed checkpoint; durable once this returns.

        Without new leaves or other extension lines, the published one. Raises StorageError (the
        appended leaves are then kept for another try), and LockedError rather than sign
        something that does not continue the checkpoint on disk.
        """
        return self._publish(tuple(extensions), None)

    def rotate(self, new: SignerKey) -> Note:
        """Publish a checkpoint signed by this log's key and the `new` one, which signs from now.

        The caller has appended the leaf that announces the new key. Raises UsageError if not.
        """
        if not self._pending:
            raise UsageError("the new key must first be announced by a leaf in the log; append it")
        if new.name != self.origin or new.kind != LOG_KEY or new.verifier == self.keys[-1].key:
            raise UsageError(f"the new key must be another log key with the name '{self.origin}'")
        return self._publish((), new)

    def _publish(self, extensions: tuple[str, ...], new: SignerKey | None) -> Note:
        key, before = self._key()
        if not self._pending and extensions == self.published.extensions:
            return self.note
        if any(not line or "\n" in line or not line.isprintable() for line in extensions):
            raise UsageError("an extension line must be one line of text that is not empty")
        edge, tiles = before.extended(bytes(self._pending))
        found = Checkpoint(self.origin, edge.size, edge.root(), extensions)
        with refusals(f"write to the log in {self.folder}"):
            write_tiles(self.folder, tiles)
            self._check_unchanged()
            signers = [key] if new is None else [key, new]
            note = Note(found.text, tuple(signer.sign(found.text) for signer in signers))
            if new is not None:
                self._writing = None  # if this fails half-way, the log must be opened again
                self._announce(note, found.size, new)
            self._attempted = found
            write_atomically(self.folder / CHECKPOINT, bytes(note))
            self._pending.clear()
            self.published, self.note, self._attempted = found, note, None
            self._writing = (key if new is None else new, edge)
            drop_partials(self.folder, tiles)
        return note

    def _announce(self, note: Note, size: int, new: SignerKey) -> None:
        make_folder(self.folder / ROTATIONS)
        write_atomically(self.folder / ROTATIONS / str(size), bytes(note))
        write_keys(self.folder, [*self.keys, LogKey(new.verifier, size)])
        self.keys = read_keys(self.folder)

    def _check_unchanged(self) -> None:
        """The new tree continues `published` and `_attempted`: one of them must be on disk."""
        on_disk, _ = _published(self.folder, self.keys)
        ours = [one.text for one in (self.published, self._attempted) if one is not None]
        if on_disk.text not in ours:
            raise LockedError(
                f"the checkpoint in {self.folder} has {on_disk.size} leaves where this process"
                f" left {self.size}: somebody else writes to this log or has put an older copy"
                " there; nothing was signed"
            )

    def _key(self) -> tuple[SignerKey, Edge]:
        if self._writing is None:
            raise UsageError(f"the log in {self.folder} is not open to write; open it with its key")
        return self._writing

    def keep(self, note: Note) -> bool:
        """Keep further signatures (cosignatures) of the published checkpoint with it.

        False, and nothing is kept, if `note` is of another checkpoint. The caller has verified
        the signatures. Raises StorageError.
        """
        if note.text != self.note.text:
            return False
        self._check_unchanged()
        merged = self.note.with_signatures(note.signatures)
        with refusals(f"write to the log in {self.folder}"):
            write_atomically(self.folder / CHECKPOINT, bytes(merged))
        self.note = merged
        return True

    def reader(self) -> TileReader:
        """Hashes of the published tree, read from the tiles as they are asked for."""
        return TileReader(self.folder, self.size)

    def leaves(self) -> Iterator[bytes]:
        """The published leaf hashes in order. Raises DamagedError."""
        for row in leaf_rows(self.folder, self.size):
            yield from (row[at : at + HASH] for at in range(0, len(row), HASH))

    def root_at(self, size: int) -> bytes:
        """Root of the first `size` published leaves. Raises ValueError beyond them, DamagedError.

        A checkpoint of this log that anybody shows must have this root at its size.
        """
        if not 0 <= size <= self.size:
            raise ValueError(f"the log has {self.size} leaves, not {size}")
        return merkle.root_at(self.reader(), size)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Proof of leaf `index` in the first `size` leaves. Raises ValueError, DamagedError."""
        return merkle.inclusion_proof(self.reader(), index, self.size if size is None else size)

    def consistency_proof(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that the first `new` leaves continue the first `old`. Raises as above."""
        return merkle.consistency_proof(self.reader(), old, self.size if new is None else new)

    def repair(self, leaf_of: Callable[[int], bytes]) -> list[str]:
        """Rebuild every tile that is lost or changed from the leaf hashes that the caller has.

        Returns the files that were rewritten. Nothing is written unless those leaves have exactly
        the root of the signed checkpoint: else raises EvidenceError.
        """
        leaves = b"".join([leaf_of(index) for index in range(self.size)])
        edge, tiles = Edge().extended(leaves)
        if edge.size != self.size or edge.root() != self.root:
            raise EvidenceError(
                f"the log in {self.folder} cannot be repaired from these {self.size} leaves: they"
                " do not have the root of its signed checkpoint; restore it from a backup"
            )
        rewritten: list[str] = []
        rows = {(level, index): row for level, index, row in tiles}
        with refusals(f"repair the log in {self.folder}"):
            for (level, index), row in rows.items():
                name = tile_name(level, index, len(row) // HASH)
                for part in (name, *self._older_partials(name)):
                    path = self.folder / part
                    width = len(row) if part == name else int(path.name) * HASH
                    if not path.is_file() or path.read_bytes() != row[:width]:
                        make_folder(path.parent)
                        write_atomically(path, row[:width])
                        rewritten.append(part)
        return rewritten

    def _older_partials(self, name: str) -> list[str]:
        """Partial files of a tile that earlier checkpoints left."""
        full, _, width = name.partition(".p/")
        files = (self.folder / f"{full}.p").glob("*")
        widths = sorted(int(path.name) for path in files if path.name.isdecimal())
        return [f"{full}.p/{one}" for one in widths if one < int(width or 256)]


def check_log(
    folder: Path,
    leaf_of: LeafOf | None = None,
    witnesses: Collection[VerifierKey] | None = None,
) -> Iterator[Damage]:
    """Every damage to the log in `folder`: keys, checkpoint, rotations, and every tile.

    With `leaf_of`, the leaf hashes that the observatory's manifests give, a changed leaf is named
    exactly. With `witnesses`, a signature by nobody known is a damage too. Raises StorageError.
    """
    name = VKEYS
    try:
        keys = read_keys(folder)
        name = CHECKPOINT
        published, note = _published(folder, keys)
    except DamagedError as error:
        yield Damage(name, 0, 0, str(error))
        return
    yield from _check_signatures(note, valid_at(keys, published.size), witnesses)
    sound = True
    for damage in check_tiles(folder, published.size, published.root, leaf_of):
        sound = False
        yield damage
    reader = TileReader(folder, published.size)
    for before, after in itertools.pairwise(keys):
        name = f"{ROTATIONS}/{after.since}"
        try:
            then = read_rotation(folder, before, after)
        except DamagedError as error:
            yield Damage(name, 0, 0, str(error))
            continue
        if not sound or then.size > published.size:
            continue  # damaged tiles would accuse it wrongly; one beyond was never published
        if merkle.root_at(reader, then.size) != then.root:
            yield Damage(name, 0, then.size, "the log does not continue this checkpoint")


def _check_signatures(
    note: Note, valid: list[VerifierKey], witnesses: Collection[VerifierKey] | None
) -> Iterator[Damage]:
    """Signatures that are missing, do not hold, or are nobody's."""
    known = [*valid, *(witnesses or ())]
    try:
        held = {signed.key for signed in note.signed_by(known, "it")}
    except EvidenceError as error:
        yield Damage(CHECKPOINT, 0, 0, str(error))
        return
    if not held.issuperset(valid):
        yield Damage(CHECKPOINT, 0, 0, "changed: a signature of the log's own keys is missing")
    strangers = [one.name for one in note.signatures if not any(one.by(key) for key in known)]
    if witnesses is not None and strangers:
        words = f"changed, or cosigned by a stranger: no key is known of '{strangers[0]}'"
        yield Damage(CHECKPOINT, 0, 0, words)


def _published(folder: Path, keys: tuple[LogKey, ...]) -> tuple[Checkpoint, Note]:
    """The checkpoint on disk, verified under the log's keys. Raises DamagedError."""
    path = folder / CHECKPOINT
    with refusals(f"read the log's checkpoint {path}"):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise DamagedError(
                f"the log's checkpoint {path} is missing; restore it from a backup or a receipt"
            ) from None
    try:
        found, note = read_checkpoint(raw, [one.key for one in keys], str(path))
        note.signed_by(valid_at(keys, found.size), str(path))
    except EvidenceError as error:
        raise DamagedError(f"{error}; restore the file from a backup") from None
    return found, note
