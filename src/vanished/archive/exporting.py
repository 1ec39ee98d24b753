"""Evidence for others: captures with their receipts as a WACZ, or receipts alone.

In: an observatory's folder, whom it is about, an identity if captures are sealed. Out: files.
What an author may have taken down is left out unless it is asked for by name, and so are
measurements of networks, which say where somebody measured. Runs beside the
watch, needs no secret of the observatory, and changes nothing in the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vanished.archive.capture import Identities, Read, check_capture, read_at
from vanished.archive.capture.segments import PLAIN
from vanished.archive.durable import make_folder, refusals, write_atomically
from vanished.archive.folder import located
from vanished.archive.leaves import (
    Leaf,
    leaves,
    measurements,
    opened,
    posts_of,
    showing,
    showing_only,
    withheld,
)
from vanished.archive.log import COSIGNATURES, Log, Note, kept_cosigned, make_receipt, parse_note
from vanished.archive.log.checkpoint import parse_checkpoint
from vanished.archive.proof import CAPTURES, LOG, STATEMENTS
from vanished.archive.wacz import Exhibit, Written, write_wacz
from vanished.errors import EvidenceError, UsageError
from vanished.model import Micros

SEALED_ADVICE = (
    "these captures are sealed; give --identity with the secret half of a key that they are sealed"
    " to (another one was given, or none), or export from an unsealed copy"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which captures are to be exported, and how many were held back for their authors' sake."""

    leaves: tuple[Leaf, ...]
    withheld: int
    unsigned: int  # captures that no checkpoint covers yet


def choose(
    folder: Path, log: Log, keys: Collection[str], *, everything: bool, sparing: bool = False
) -> Chosen:
    """The captures that show `keys` (accounts: with their posts), or all; see the module.

    `sparing`: also of those that are asked for by name, none that shows what an author may have
    taken down, such as a list with other posts. Raises UsageError if none of them is known.
    """
    with opened(folder) as connection:
        wanted = None if not keys else showing(connection, posts_of(connection, keys))
        if wanted is not None and not wanted:
            raise UsageError(
                f"No capture shows {', '.join(sorted(keys))[:80]}; give keys as vanished report"
                " prints them."
            )
        named = keys and not sparing
        held = set() if everything or named else showing(connection, withheld(connection))
        held |= set() if everything or keys else measurements(connection)
        found = [
            leaf
            for leaf in leaves(connection)
            if leaf.segment and (wanted is None or leaf.index in wanted)
        ]
    signed = [leaf for leaf in found if leaf.index < log.size]
    kept = tuple(leaf for leaf in signed if leaf.index not in held)
    return Chosen(kept, len(signed) - len(kept), len(found) - len(signed))


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, and what was not."""

    written: Written
    chosen: Chosen

    def facts(self) -> dict[str, object]:
        return {
            "file": str(self.written.path),
            "bytes": self.written.size,
            "captures": self.written.captures,
            "unresolved": self.written.unresolved,
            "withheld": self.chosen.withheld,
            "not_signed_yet": self.chosen.unsigned,
        }

    def text(self) -> str:
        lines = [
            f"Wrote {self.written.captures} captures with their receipts to {self.written.path}"
            f" ({self.written.size:,} bytes)."
        ]
        if self.written.unresolved:
            lines.append(
                f"{self.written.unresolved} records repeat one that is not in this file: proven,"
                " but not to be replayed from it alone."
            )
        if self.chosen.withheld:
            lines.append(
                f"{self.chosen.withheld} captures were withheld: their authors may have taken the"
                " posts down. --everything exports them too; do not publish that file."
            )
        if self.chosen.unsigned:
            lines.append(f"{self.chosen.unsigned} captures wait for the next signed checkpoint.")
        return "\n".join(lines)


def export_wacz(
    folder: Path,
    target: Path,
    *,
    now: Micros,
    keys: Collection[str] = (),
    identities: Identities | None = None,
    everything: bool = False,
    sparing: bool = False,
) -> Exported:
    """Write the captures that show `keys` (all, if none are given) to the WACZ `target`; `sparing`
    as in `choose`.

    Raises UsageError where captures are sealed and no identity is given, EvidenceError where one is
    damaged, StorageError; `target` is then as it was.
    """
    located(folder)
    log = _opened_log(folder)
    chosen = choose(folder, log, keys, everything=everything, sparing=sparing)
    if not chosen.leaves:
        raise UsageError(f"There is nothing to export: {_why_none(chosen)}.")
    return Exported(_packed(folder, target, log, chosen.leaves, identities, now), chosen)


def presentable(folder: Path, keys: Collection[str]) -> dict[Leaf, frozenset[str]]:
    """The captures that show some of these subjects and nobody else, with whom they show.

    Only what can be given to anybody: signed by a checkpoint, not sealed, no measurement.
    Raises DamagedError.
    """
    if not (folder / LOG).is_dir():
        return {}
    size = Log.open(folder / LOG).size
    with opened(folder) as connection:
        alone = showing_only(connection, keys)
        return {
            leaf: frozenset(alone[leaf.index])
            for leaf in leaves(connection)
            if leaf.index in alone and leaf.index < size and leaf.segment.endswith(PLAIN)
        }


def export_leaves(folder: Path, target: Path, chosen: Collection[Leaf], now: Micros) -> Written:
    """Write these captures, which must not be sealed, to the WACZ `target`; raises as
    `export_wacz` does."""
    return _packed(folder, target, _opened_log(folder), chosen, None, now, sparing=True)


def beside_bytes(folder: Path) -> int:
    """How many bytes of statements and rotations a WACZ of this observatory holds at least."""
    return sum(len(name) + len(content) for name, content in _beside(folder / LOG, ()))


def _packed(
    folder: Path,
    target: Path,
    log: Log,
    chosen: Collection[Leaf],
    identities: Identities | None,
    now: Micros,
    *,
    sparing: bool = False,
) -> Written:
    """`sparing`: of the stamps only those of checkpoints that a receipt of these carries."""
    settings = located(folder)
    note_of = _notes(folder / LOG, log)
    carried = {note_of(leaf.index).text for leaf in chosen} if sparing else None
    return write_wacz(
        target,
        _exhibits(folder, chosen, identities, log, note_of),
        observatory=settings.id,
        created=now,
        vkeys=(folder / LOG / "vkeys").read_bytes(),
        witnesses="".join(f"{each.key}\n" for each in settings.log.witnesses).encode(),
        files=_beside(folder / LOG, carried),
    )


def export_receipts(
    folder: Path,
    target: Path,
    *,
    keys: Collection[str] = (),
    identities: Identities | None = None,
    everything: bool = False,
) -> tuple[list[Path], Chosen]:
    """Write the receipt and the public manifest of each capture into the folder `target`.

    Raises as `export_wacz` does; nothing is written unless every one of them could be made.
    """
    located(folder)
    log = _opened_log(folder)
    chosen = choose(folder, log, keys, everything=everything)
    note_of = _notes(folder / LOG, log)
    made = [
        (each.index, each.manifest, each.receipt)
        for each in _exhibits(folder, chosen.leaves, identities, log, note_of)
    ]
    paths: list[Path] = []
    with refusals(f"write receipts to {target}"):
        make_folder(target)
        for index, manifest, receipt in made:
            path = target / f"{index}.tlog-proof"
            write_atomically(target / f"{index}.json", manifest)
            write_atomically(path, receipt)
            paths.append(path)
    return paths, chosen


def _opened_log(folder: Path) -> Log:
    """The log. Raises UsageError for an observatory that never had one, DamagedError."""
    if not (folder / LOG).is_dir() and not located(folder).capture.keep:
        raise UsageError("This observatory keeps no captures, so there is nothing to prove.")
    return Log.open(folder / LOG)


def log_keys(folder: Path) -> list[str]:
    """The verifier keys of the observatory's log, oldest first. Raises as `export_wacz` does."""
    located(folder)
    return [str(known.key) for known in _opened_log(folder).keys]


def _why_none(chosen: Chosen) -> str:
    if chosen.withheld:
        return (
            f"{chosen.withheld} captures were withheld, whose authors may have taken the posts"
            " down; --everything exports them, not to be published"
        )
    if chosen.unsigned:
        return f"{chosen.unsigned} captures wait for the next signed checkpoint; try again then"
    return "no bytes were kept yet, or all were forgotten"


def _exhibits(
    folder: Path,
    chosen: Collection[Leaf],
    identities: Identities | None,
    log: Log,
    note_of: Callable[[int], Note],
) -> Iterator[Exhibit]:
    for leaf in chosen:
        place = leaf.place
        assert place is not None
        read = read_at(folder / CAPTURES, place, identities or Identities(()))
        if read.closed:
            raise UsageError(f"Nothing was exported: {SEALED_ADVICE}.")
        wrong = check_capture(read)
        if wrong or read.manifest is None or read.leaf != leaf.hash:
            why = wrong[0] if wrong else "it is not what the log committed to"
            raise EvidenceError(f"capture {leaf.index} is damaged ({why}); nothing was exported")
        manifest = read.manifest.to_bytes()
        entry = read.salt + sha256(manifest).digest()
        receipt = make_receipt(log, leaf.index, entry, note_of(leaf.index))
        stored = b"".join(record.member for record in read.records)
        yield Exhibit(leaf.index, stored, manifest, bytes(receipt), _title(read))


def _title(read: Read) -> str:
    subjects = read.facts.get("facts", {}).get("subjects", [])
    for subject in subjects if isinstance(subjects, list) else []:
        wording = subject.get("wording") or {}
        title = wording.get("title") or str(wording.get("text", ""))[:60]
        if title:
            return str(title)
    return ""


def _notes(folder: Path, log: Log) -> Callable[[int], Note]:
    """The checkpoint for a leaf's receipt: the first that is stamped and covers it, else the one
    that most witnesses cosigned, else the newest.

    A stamp is of one checkpoint's bytes; only a receipt that carries that one is dated by it.
    """
    stamped: list[tuple[int, Note]] = []
    for path in sorted(folder.glob("stamps/*/checkpoint")):
        note = parse_note(path.read_bytes(), str(path))
        size = parse_checkpoint(note.text).size
        if size <= log.size:
            stamped.append((size, note))

    cosigned: dict[str, Note] = {log.note.text: log.note}
    for name, raw in kept_cosigned(folder).items():
        note = parse_note(raw, f"{folder / COSIGNATURES / name}")
        if parse_checkpoint(note.text).size <= log.size:
            same = cosigned.setdefault(note.text, note)
            cosigned[note.text] = same.with_signatures(note.signatures)
    others = [(parse_checkpoint(note.text).size, note) for note in cosigned.values()]
    others.sort(key=lambda one: (-len(one[1].signatures), -one[0]))

    def note_of(index: int) -> Note:
        return next(note for size, note in [*stamped, *others] if size > index)

    return note_of


def _beside(folder: Path, carried: Collection[str] | None) -> Iterator[tuple[str, bytes]]:
    """Stamps, statements and rotations, under the names that they have in a WACZ; of the stamps
    all, or those of the checkpoints with one of these texts."""
    wanted = {
        path.parent
        for path in sorted(folder.glob("stamps/*/checkpoint"))
        if carried is None or parse_note(path.read_bytes(), str(path)).text in carried
    }
    for path in sorted(folder.glob("stamps/*/*")):
        if path.is_file() and (carried is None or path.parent in wanted):
            yield f"stamps/{path.parent.name}.{path.name}", path.read_bytes()
    for path in sorted((folder / STATEMENTS).glob("*.json")):
        yield f"statements/{path.name}", path.read_bytes()
    for path in sorted((folder / "rotations").glob("*")):
        if path.name.isdecimal():
            yield f"rotations/{path.name}", path.read_bytes()
