"""Verifies kept stamps offline: every file of `log/stamps/`, one finding each.

In: the folder and the roots that the verifier trusts, which need not be the observatory's. Out:
findings that name the file. Any difference from the SHA-256 in `state.json` is damage, also in
bytes that no signature covers. Asks nobody and changes nothing. Whether a checkpoint belongs to
the log is the log's question; `stamped` gives what is needed to ask it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from vanished.archive.durable import TEMPORARY, refusals
from vanished.archive.stamps import kept, ots, rfc3161
from vanished.archive.stamps.kept import Stamped
from vanished.archive.stamps.ledger import GIVE_UP_AFTER
from vanished.archive.stamps.ots import Headers, Proof
from vanished.archive.stamps.rfc3161 import TimeStamp
from vanished.errors import EvidenceError, UsageError
from vanished.model import DAY, Micros

_STAMPS: Final = (".tsr", ".tsq", ".ots")
_TRIES: Final = 5  # a watch may be writing while we read


class Standing(StrEnum):
    WHOLE = "whole"  # the file is as it was written, and proves no time by itself
    PROVEN = "proven"  # by an authority under a root that we were given
    CONFIRMED = "confirmed"  # in a Bitcoin block whose header we were given
    ATTESTED = "attested"  # in a Bitcoin block, header not checked
    PENDING = "pending"  # calendars have yet to name a block
    UNCHECKED = "unchecked"  # nobody here could check it
    FAILED = "failed"  # no calendar named a block in time
    REFUSED = "refused"  # whole, but does not prove what it should
    DAMAGED = "damaged"  # missing, or not what was written


@dataclass(frozen=True, slots=True)
class Finding:
    """One file of the stamps, and what it is worth. `file` is relative to log/stamps."""

    file: str
    standing: Standing
    words: str
    size: int  # of the checkpoint that is stamped
    stamp: TimeStamp | None = None
    proof: Proof | None = None

    @property
    def holds(self) -> bool:
        """False where something is wrong; a stamp that proves nothing yet is not wrong."""
        return self.standing not in (Standing.REFUSED, Standing.DAMAGED)


@dataclass(frozen=True, slots=True)
class _Trust:
    """What the verifier believes without proof."""

    roots: Mapping[str, bytes]
    headers: Headers | None
    now: Micros
    second_opinion: bool


def stamped(folder: Path) -> Iterator[Stamped]:
    """What is kept and wanted for each checkpoint, oldest first.

    The copy of one is `folder_of(folder, size) / "checkpoint"`. Raises EvidenceError
    for a state that was changed.
    """
    for size in kept.sizes(folder):
        state = kept.load(kept.folder_of(folder, size))
        if state is not None:
            yield state


def verify(
    folder: Path,
    roots: Mapping[str, bytes],
    *,
    now: Micros,
    headers: Headers | None = None,
    second_opinion: bool = True,
) -> tuple[Finding, ...]:
    """Findings on every file of `folder` (log/stamps), oldest checkpoint first.

    `roots`: PEM of the roots to trust, by name of the authority; `headers`: see ots.header_file;
    `now` tells pending from failed; for `second_opinion` see rfc3161.verify. Raises StorageError
    alone.
    """
    trust = _Trust(roots, headers, now, second_opinion)
    findings: list[Finding] = []
    for size in kept.sizes(folder):
        place = kept.folder_of(folder, size)
        for _ in range(_TRIES):
            before = kept.read_file(place / kept.STATE)
            found = list(_folder(place, size, trust))
            if all(f.holds for f in found) or kept.read_file(place / kept.STATE) == before:
                break
        findings += found
    return tuple(findings)


def _folder(place: Path, size: int, trust: _Trust) -> Iterator[Finding]:
    def found(name: str, standing: Standing, words: str) -> Finding:
        return Finding(f"{place.name}/{name}", standing, words, size)

    with refusals(f"read {place}"):
        there = sorted(p.name for p in place.iterdir() if not p.name.endswith(TEMPORARY))
    try:
        state, words = kept.load(place), "it is missing"
    except EvidenceError:
        state, words = None, "it is not what was written"
    if state is None and there:
        yield found(kept.STATE, Standing.DAMAGED, f"{words}, so nothing says what was kept here")
        yield from _stateless(place, size, there, trust)
    if state is None:
        return  # an empty folder: a crash came before the first file
    yield found(kept.STATE, Standing.WHOLE, "as written")
    whole: dict[str, bytes] = {}
    for name in sorted({*state.files, *state.coming}):
        content = kept.read_file(place / name)
        if content is None and name not in state.files:
            continue  # it was coming when a crash came
        if content is None:
            yield found(name, Standing.DAMAGED, "it is missing")
        elif kept.sha256(content) not in (state.files.get(name), state.coming.get(name)):
            yield found(name, Standing.DAMAGED, "it is not what was written: its SHA-256 differs")
        else:
            whole[name] = content
    for name in sorted({*there} - {kept.STATE, *state.files, *state.coming}):
        yield found(name, Standing.UNCHECKED, "it is not in state.json: not a file of ours")
    yield from _whole_files(place, state, whole, trust)


def _stateless(place: Path, size: int, there: list[str], trust: _Trust) -> Iterator[Finding]:
    """What signatures alone prove where the list of the files is lost."""
    files = {name: kept.read_file(place / name) or b"" for name in there if name != kept.STATE}
    try:
        _, root = kept.read_checkpoint(files.get(kept.CHECKPOINT, b""))
    except EvidenceError:
        root = ""
    state = Stamped(size, root, trust.now, ())
    stamps = {n: c for n, c in files.items() if n == kept.CHECKPOINT or n.endswith(_STAMPS)}
    yield from _whole_files(place, state, stamps, trust)


def _whole_files(
    place: Path, state: Stamped, whole: Mapping[str, bytes], trust: _Trust
) -> Iterator[Finding]:
    """What those files are worth that are as they were written."""
    message = whole.get(kept.CHECKPOINT)
    if message is not None:
        try:
            same = kept.read_checkpoint(message) == (state.size, state.root)
        except EvidenceError:
            same = False
        if not same:
            message = None
            words = "it has another size or root than state.json says"
        standing = Standing.WHOLE if same else Standing.DAMAGED
        yield Finding(
            f"{place.name}/{kept.CHECKPOINT}", standing, "as written" if same else words, state.size
        )
    for name, content in whole.items():
        file = f"{place.name}/{name}"
        if name == kept.CHECKPOINT:
            continue
        if name.endswith(".tsq"):
            yield Finding(file, Standing.WHOLE, "as written", state.size)
        elif message is None:
            words = "the checkpoint that it stamps is not whole"
            yield Finding(file, Standing.UNCHECKED, words, state.size)
        elif name == kept.PROOF:
            yield _proof(file, state, content, message, trust)
        else:
            authority = name.removesuffix(".tsr")
            query = whole.get(f"{authority}.tsq")
            stamp = rfc3161.verify(
                content, message, trust.roots.get(authority), query=query, authority=authority,
                second_opinion=trust.second_opinion,
            )  # fmt: skip
            standing = Standing(stamp.status.value)
            yield Finding(file, standing, stamp.why, state.size, stamp=stamp)


def _proof(file: str, state: Stamped, content: bytes, message: bytes, trust: _Trust) -> Finding:
    try:
        proof = ots.examine(content, message, trust.headers)
    except UsageError as error:
        return Finding(file, Standing.UNCHECKED, str(error), state.size)
    if proof.state is ots.State.FAILED:
        return Finding(file, Standing.REFUSED, proof.words, state.size, proof=proof)
    if proof.state is ots.State.PENDING and trust.now - state.begun_at >= GIVE_UP_AFTER:
        words = f"still pending after {GIVE_UP_AFTER // DAY} days: {proof.words}"
        return Finding(file, Standing.FAILED, words, state.size, proof=proof)
    return Finding(file, Standing(proof.state.value), proof.words, state.size, proof=proof)
