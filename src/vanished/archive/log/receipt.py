"""Receipts: one text that proves offline that an entry is in a log (c2sp.org/tlog-proof).

In: a log and an index, or the bytes of a receipt that somebody gave us, and the keys of the logs
and witnesses that we trust. Out: the receipt, or what it proves; else an EvidenceError in one
sentence. The extra line carries the entry of the leaf, salt and manifest hash, so that a receipt
alone shows which manifest was committed to. It asks nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vanished.archive.log.checkpoint import Checkpoint, parse_checkpoint, parse_size
from vanished.archive.log.keys import LogKey, valid_at
from vanished.archive.log.log import Log
from vanished.archive.log.merkle import HASH, inclusion_proof, leaf_hash, verify_inclusion
from vanished.archive.log.note import (
    MAX_NOTE,
    WITNESS_KEY,
    Note,
    Signed,
    VerifierKey,
    decode_base64,
    encode_base64,
    parse_note,
)
from vanished.archive.log.tiles import TileReader
from vanished.errors import DamagedError, EvidenceError, UsageError

HEAD: Final = "c2sp.org/tlog-proof@v1"
ENTRY: Final = 64
"""Bytes of an entry of our logs: salt (32) and SHA-256 of the canonical manifest (32)."""
MAX_RECEIPT: Final = MAX_NOTE + 16 * 1024
_MAX_PROOF: Final = 63
_MAX_EXTRA: Final = 4096


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it was read; nothing in it is verified before `verify`."""

    index: int
    proof: tuple[bytes, ...]
    note: Note
    extra: bytes = b""

    def __bytes__(self) -> bytes:
        lines = [HEAD]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines += [f"index {self.index}", *map(encode_base64, self.proof), "", ""]
        return "\n".join(lines).encode() + bytes(self.note)


@dataclass(frozen=True, slots=True)
class Proven:
    """What a receipt proves: `leaf` stands at `index` of a log that its key signed so."""

    checkpoint: Checkpoint
    index: int
    leaf: bytes
    entry: bytes  # salt and manifest hash; empty if only the leaf is known
    witnesses: tuple[Signed, ...]  # of the policy, with the times at which they saw it


def make(log: Log, index: int, entry: bytes = b"", note: Note | None = None) -> Receipt:
    """The receipt of leaf `index`; `entry` is salt and manifest hash, whose leaf must be there.

    `note` is an earlier or cosigned checkpoint of this log that the receipt shall carry instead of
    the published one; it may not be larger. Raises UsageError if it does not cover the leaf, or if
    the leaf is another entry's, DamagedError if the tiles do not prove what was signed.
    """
    note = note or log.note
    checkpoint = parse_checkpoint(note.text)
    if not index < checkpoint.size <= log.size or index < 0 or checkpoint.origin != log.origin:
        raise UsageError(
            f"there is no receipt for leaf {index}: the checkpoint covers {checkpoint.size}"
            f" leaves of the log '{checkpoint.origin}'; give one that covers it"
        )
    read = TileReader(log.folder, log.size)
    leaf, proof = read(0, index), inclusion_proof(read, index, checkpoint.size)
    if not verify_inclusion(leaf, index, checkpoint.size, proof, checkpoint.root):
        raise DamagedError(
            f"the tiles in {log.folder} do not prove leaf {index} under the signed root: one of"
            " them was changed; check the log to see which"
        )
    if entry and leaf_hash(entry) != leaf:
        raise UsageError(f"leaf {index} is not that of the entry that was given")
    return Receipt(index, tuple(proof), note, entry)


def parse(raw: bytes, what: str = "the receipt") -> Receipt:
    """Read a receipt. Raises EvidenceError saying why it is none."""
    if len(raw) > MAX_RECEIPT:
        raise EvidenceError(f"{what} has {len(raw)} bytes; a receipt has at most {MAX_RECEIPT}")
    head, blank, note = raw.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = []
    if not blank or not lines or lines.pop(0) != HEAD:
        raise EvidenceError(f"{what} is none: it does not begin with '{HEAD}' and a proof")
    extra = b""
    try:
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "))
        word, _, number = lines.pop(0).partition(" ")
        if word != "index" or len(lines) > _MAX_PROOF or len(extra) > _MAX_EXTRA:
            raise ValueError(word)
        index, proof = parse_size(number), tuple(map(decode_base64, lines))
    except (ValueError, IndexError):
        raise EvidenceError(
            f"{what} cannot be read: its index, extra data or proof is not as {HEAD} says"
        ) from None
    if any(len(one) != HASH for one in proof):
        raise EvidenceError(f"{what} cannot be read: its proof contains something else than hashes")
    return Receipt(index, proof, parse_note(note, f"the checkpoint in {what}"), extra)


def verify(
    receipt: Receipt,
    keys: Iterable[LogKey],
    leaf: bytes | None = None,
    *,
    witnesses: Collection[VerifierKey] = (),
    needed: int = 0,
    what: str = "the receipt",
) -> Proven:
    """What the receipt proves to somebody who trusts `keys`. Raises EvidenceError.

    `leaf` is the leaf hash that it should be about; without it the receipt's extra data are taken
    as the entry. `needed` of the `witnesses` must have cosigned the checkpoint; one key or name
    counts once.
    """
    if needed > len({key.public for key in witnesses}):
        raise UsageError(f"{needed} witnesses are asked for, but fewer keys of witnesses are given")
    checkpoint = parse_checkpoint(receipt.note.text, f"the checkpoint in {what}")
    cosigned = _signatures(receipt.note, checkpoint, keys, witnesses, what)
    if len({signed.key.public for signed in cosigned}) < needed:
        names = ", ".join(f"'{signed.key.name}'" for signed in cosigned) or "none"
        raise EvidenceError(
            f"{what} is not witnessed enough: {needed} of the witnesses must have cosigned its"
            f" checkpoint, and {names} did"
        )
    entry = receipt.extra if len(receipt.extra) == ENTRY else b""
    if leaf is None and not entry:
        raise EvidenceError(
            f"{what} does not say what it proves: it carries no salt and manifest hash; give the"
            " manifest that it should be about"
        )
    found = leaf if leaf is not None else leaf_hash(entry)
    if entry and leaf_hash(entry) != found:
        raise EvidenceError(f"{what} is about another entry than the one that was given")
    if receipt.index >= checkpoint.size or not verify_inclusion(
        found, receipt.index, checkpoint.size, receipt.proof, checkpoint.root
    ):
        raise EvidenceError(
            f"{what} does not hold: its proof does not lead from this entry at index"
            f" {receipt.index} to the root that the log '{checkpoint.origin}' signed"
        )
    return Proven(checkpoint, receipt.index, found, entry, cosigned)


def _signatures(
    note: Note,
    checkpoint: Checkpoint,
    keys: Iterable[LogKey],
    witnesses: Collection[VerifierKey],
    what: str,
) -> tuple[Signed, ...]:
    """The witnesses' signatures that hold, after the log's own was found to hold."""
    known = list(keys)
    origins = sorted({one.key.name for one in known})
    if checkpoint.origin not in origins:
        raise EvidenceError(
            f"{what} is of another log, '{checkpoint.origin[:80]}'; the keys that were given are of"
            f" {_listed(origins)}"
        )
    own = [one for one in known if one.key.name == checkpoint.origin]
    valid = valid_at(own, checkpoint.size)
    everybody = [one.key for one in own]
    held = note.signed_by([*everybody, *_watching(witnesses)], f"the checkpoint in {what}")
    if not any(signed.key in valid for signed in held):
        raise EvidenceError(
            f"the checkpoint in {what} is not signed by the key that the log"
            f" '{checkpoint.origin}' had at {checkpoint.size} leaves"
        )
    return tuple(signed for signed in held if signed.key.kind == WITNESS_KEY)


def _watching(witnesses: Iterable[VerifierKey]) -> Sequence[VerifierKey]:
    return [key for key in witnesses if key.kind == WITNESS_KEY]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:4]) or "no log"
