"""The log of an observatory, verified: tiles against signatures, statements against leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from vanished.archive import present
from vanished.archive.capture import Identities
from vanished.archive.capture.manifest import Statement, leaf_hash, opened
from vanished.archive.durable import TEMPORARY
from vanished.archive.leaves import Leaf
from vanished.archive.log import (
    COSIGNATURES,
    Log,
    Note,
    VerifierKey,
    check_log,
    kept_cosigned,
    read_checkpoint,
)
from vanished.archive.proof import LOG, STATEMENTS
from vanished.archive.settings import Settings
from vanished.archive.verify.findings import Heading, Verification
from vanished.errors import DamagedError, EvidenceError
from vanished.model import at

_NAME = re.compile(r"\d{12}\.json")


@dataclass(slots=True)
class Work:
    """One verification under way."""

    folder: Path
    settings: Settings
    identities: Identities | None
    out: Verification
    signed: int = 0  # leaves of the log when this began: the present must know all of them
    whole: bool = False  # the log's tiles have the signed root, so others can be held against it
    entries: dict[int, Leaf] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)  # leaves whose bytes are there
    forgotten: set[int] = field(default_factory=set)  # leaves that a statement says were forgotten
    unread: bool = False  # a statement is damaged, which might say more
    held: set[bytes] = field(default_factory=set)  # ids of responses that were read
    repeats: list[tuple[str, int, str]] = field(default_factory=list)
    opened: int = 0
    sealed: int = 0


def check_chain(work: Work, trusted: VerifierKey | None) -> None:
    """The log: every tile, the signatures, the key, the witnesses."""
    folder, out = work.folder / LOG, work.out
    if not folder.is_dir():
        if work.entries:
            out.damaged(LOG, "is missing, though captures were made")
        else:
            out.lacks(Heading.AUTHENTICITY, "anything: this observatory keeps no captures")
        return
    entries = work.entries

    def leaf_of(index: int) -> bytes | None:
        entry = entries.get(index)
        return None if entry is None else entry.hash

    damages = list(check_log(folder, leaf_of))
    for damage in damages:
        one = damage.end == damage.start + 1
        words = damage.words if one else f"{damage.words} (leaves {damage.start}-{damage.end - 1})"
        place = f"{LOG}/{damage.file}" if damage.file else present.FILE  # the log is right then
        out.damaged(place, words, damage.start if one else None)
    try:
        log = Log.open(folder)
    except DamagedError:
        return  # among the damages already
    if work.signed > len(entries):
        out.damaged(
            present.FILE,
            f"knows {len(entries)} of the {work.signed} leaves that the log has signed",
        )
    work.whole = not any(damage.file for damage in damages)
    if work.whole:
        key = log.keys[-1].key
        out.proves(
            Heading.AUTHENTICITY,
            f"the log '{log.origin}' holds {log.size} leaves under a root signed by {key}",
        )
        _compare_key(work, log, trusted)
        _witnesses(work)
    waiting = len(entries) - log.size
    if waiting > 0:
        out.lacks(Heading.PERSISTENCE, f"{waiting} captures wait for the next signed checkpoint")


def _compare_key(work: Work, log: Log, trusted: VerifierKey | None) -> None:
    if trusted is None:
        work.out.lacks(
            Heading.IDENTITY,
            "whose log this is: the key was read from this folder; give --key with what the"
            " observatory publishes elsewhere",
        )
    elif trusted in [known.key for known in log.keys]:
        work.out.proves(Heading.IDENTITY, "the log is signed by the key that was given")
    else:
        work.out.damaged(
            f"{LOG}/vkeys", f"the log is not signed by the key that was given ({trusted})"
        )


def _witnesses(work: Work) -> None:
    """Cosignatures of the newest checkpoint, and what each witness has cosigned last."""
    keys = [witness.key for witness in work.settings.log.witnesses]
    seen: dict[str, tuple[int, int]] = {}  # witness -> seconds, leaves
    notes = {"checkpoint": (work.folder / LOG / "checkpoint").read_bytes()}
    for name, raw in kept_cosigned(work.folder / LOG).items():
        notes[f"{COSIGNATURES}/{name}"] = raw
    log = Log.open(work.folder / LOG)  # after them: a watch may add to it meanwhile
    known = [known.key for known in log.keys]
    for name, raw in notes.items():
        place = f"{LOG}/{name}"
        try:
            checkpoint, note = read_checkpoint(raw, known, place)
            if checkpoint.size > log.size or log.root_at(checkpoint.size) != checkpoint.root:
                raise EvidenceError(f"{place} is not a beginning of this log: the log has forked")
            for each in note.signed_by([*known, *keys], place):
                if each.key in keys:
                    found = (each.at_s or 0, checkpoint.size)
                    seen[each.key.name] = max(seen.get(each.key.name, found), found)
            _unknown_signatures(note, [*known, *keys], place)
        except (EvidenceError, DamagedError) as error:
            work.out.damaged(place, str(error))
    for witness, (seconds, leaves_) in seen.items():
        when = f"{at(seconds * 1_000_000):%Y-%m-%d %H:%M:%S}"
        work.out.proves(
            Heading.PERSISTENCE,
            f"the witness '{witness}' saw the log's first {leaves_} leaves by {when} UTC",
        )
    if not seen:
        work.out.lacks(
            Heading.PERSISTENCE,
            "that others were shown the same log: no witness has cosigned it",
        )


def _unknown_signatures(note: Note, known: list[VerifierKey], place: str) -> None:
    """What we keep is signed by keys of the log and of its witnesses; others are damage."""
    for signature in note.signatures:
        if not any(signature.by(key) for key in known):
            raise EvidenceError(
                f"{place} is signed by '{signature.name[:60]}' too, which is no key of the log"
                " or of a witness in observatory.toml"
            )


def check_statements(work: Work) -> None:
    """The public statements: each is what its leaf committed to."""
    folder = work.folder / LOG / STATEMENTS
    files = {path.name: path for path in folder.glob("*")} if folder.is_dir() else {}
    for index, entry in work.entries.items():
        if entry.segment or entry.forgotten:
            continue
        name = f"{index:012d}.json"
        path = files.pop(name, None)
        place = f"{LOG}/{STATEMENTS}/{name}"
        if path is None:
            work.out.damaged(place, "the statement is missing", index)
            work.unread = True
            continue
        work.found.add(entry.index)
        content = path.read_bytes()
        try:
            if sha256(content).digest() != entry.stored:
                raise EvidenceError("it was changed")
            salt, said = opened(content)
            statement = Statement.from_bytes(said)
            if leaf_hash(salt, said) != entry.hash or statement.index != index:
                raise EvidenceError("it is not what the log committed to")
        except EvidenceError as error:
            work.out.damaged(place, str(error), index)
            work.unread = True
            continue
        emptied = statement.details.get("leaves", [])
        if isinstance(emptied, list):  # whoever signs the log may have written anything
            work.forgotten.update(leaf for leaf in emptied if isinstance(leaf, int))
    for name in files:
        place = f"{LOG}/{STATEMENTS}/{name}"
        if _NAME.fullmatch(name) and int(name[:12]) >= len(work.entries):
            work.out.lacks(
                Heading.AVAILABILITY,
                f"{place}: a commit that is under way, or never came; the next start removes it",
            )
        elif not name.endswith(TEMPORARY):
            work.out.damaged(place, "no leaf belongs to this file")
