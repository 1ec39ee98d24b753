"""Verifying an observatory's folder: log, captures, stamps, journal, each against the others.

In: the folder, and what the verifier trusts or holds. Out: a `Verification`. It needs no secret of
the observatory and changes nothing: of sealed captures it checks the stored bytes, and what is in
them only with an identity.
"""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa

from vanished.archive import present
from vanished.archive.capture import Identities, check_capture, read_segment
from vanished.archive.capture.reading import Read
from vanished.archive.capture.segments import ENDINGS, PLAIN, SEALED, segments
from vanished.archive.erasing import INTENT
from vanished.archive.folder import JOURNAL, LOCK, located
from vanished.archive.journal import Journal
from vanished.archive.leaves import Leaf, ends, leaves, opened
from vanished.archive.log import Log, VerifierKey
from vanished.archive.proof import CAPTURES, LOG
from vanished.archive.stamps import read_root
from vanished.archive.verify.chain import Work, check_chain, check_statements
from vanished.archive.verify.findings import Heading, Verification, say_what_bytes_cannot
from vanished.archive.verify.stamps import RootAt, enter_stamps
from vanished.errors import DamagedError, VanishedError
from vanished.model import Micros

_UNFINISHED = sa.select(present.meta.c.value).where(present.meta.c.key == INTENT)


def verify_folder(
    folder: Path,
    *,
    now: Micros,
    identities: Identities | None = None,
    roots: Mapping[str, bytes] = MappingProxyType({}),
    trusted: VerifierKey | None = None,
) -> Verification:
    """Everything that can be checked of the observatory in `folder`.

    `trusted` is the log's key as the verifier knows it from elsewhere; without it the folder's own
    is believed. `roots`: PEM by name of the stamping authority, beside those of the settings.
    Raises NotAnObservatoryError, ConfigError, StorageError; damage is in the result.
    """
    work = Work(folder, located(folder), identities, Verification(str(folder)))
    # A watch may run meanwhile: the present names a leaf before the log does, and bytes before it.
    work.signed = _signed(folder)
    _entries(work)
    check_chain(work, trusted)
    check_statements(work)
    _captures(work)
    _missing(work)
    _stamps(work, now, roots)
    _journal(work)
    _availability(work)
    say_what_bytes_cannot(work.out)
    return work.out


def _signed(folder: Path) -> int:
    """Leaves that the log has signed; 0 if it cannot be read, which `check_chain` tells."""
    try:
        return Log.open(folder / LOG).size
    except VanishedError:
        return 0


def _entries(work: Work) -> None:
    """What the present knows of the leaves, read without any secret."""
    path = work.folder / present.FILE
    if not path.is_file():
        work.out.damaged(present.FILE, "is missing")
        return
    try:
        with opened(work.folder) as connection:
            wrong = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
            if wrong != "ok":
                work.out.damaged(present.FILE, f"SQLite's own check says: {wrong}")
            work.entries.update((leaf.index, leaf) for leaf in leaves(connection))
            if connection.execute(_UNFINISHED).first():
                work.out.lacks(
                    Heading.AVAILABILITY,
                    "that captures which seem damaged are so: a forgetting was cut short or is"
                    " under way; let vanished watch or forget finish it, and verify again",
                )
    except DamagedError as error:
        work.out.damaged(present.FILE, str(error))


# -- the captures ------------------------------------------------------------------------------


def _captures(work: Work) -> None:
    folder = work.folder / CAPTURES
    counted = ends(work.entries.values())
    running = _is_written(work.folder)
    found = segments(folder) if folder.is_dir() else []
    counting = [number for number, path in enumerate(found) if path.name in counted]
    newest = counting[-1] if counting else -1
    for number, path in enumerate(found):
        end = counted.pop(path.name, 0)
        # A writer adds to the newest segment, or has begun the next; one that runs, further ones.
        open_ = newest <= number and (running or number <= newest + 1)
        _tail(work, path, end, open_=open_, running=running)
        for read in read_segment(path, work.identities or Identities(()), end):
            _capture(work, read)
    for name in counted:
        work.out.damaged(f"{CAPTURES}/{name}", "the segment is missing")


def _is_written(folder: Path) -> bool:
    """Whether a writer has the folder open."""
    try:
        with (folder / LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _tail(work: Work, path: Path, end: int, *, open_: bool, running: bool) -> None:
    """What stands behind the last capture that counts: a tar's ending, or what a crash left."""
    place = f"{CAPTURES}/{path.name}"
    with path.open("rb") as stream:
        stream.seek(0, 2)
        size = stream.tell()
        ending = ENDINGS[SEALED if path.name.endswith(SEALED) else PLAIN]
        stream.seek(min(end, size))
        rest = stream.read(len(ending) + 1)
    if (running and open_) or (end and rest in (b"", ending)):
        return
    if end and len(rest) == len(ending):
        work.out.damaged(place, f"byte {end}: the end of the tar was changed")
    elif not open_:
        work.out.damaged(place, f"byte {end}: no leaf belongs to the {size - end} bytes from here")
    else:
        work.out.lacks(
            Heading.AVAILABILITY,
            f"{size - end} bytes at the end of {place}: a commit that never came; the next start"
            " removes them",
        )


def _entry(work: Work, name: str, index: int | None, offset: int) -> Leaf | None:
    """The leaf of what stands there; None, and damage, if there is none."""
    entry = None if index is None else work.entries.get(index)
    if entry is None or entry.segment != name:
        words = f"byte {offset}: no leaf belongs to this capture"
        work.out.damaged(f"{CAPTURES}/{name}", words, index)
        return None
    work.found.add(entry.index)
    return entry


def _capture(work: Work, read: Read) -> None:
    out, place = work.out, f"{CAPTURES}/{read.file}"
    wrong = [] if read.closed else check_capture(read)
    for damage in wrong:
        out.damaged(place, f"byte {damage.offset}: {damage.what}", damage.index)
    if wrong:
        if read.index is not None:  # damaged, not missing
            work.found.add(read.index)
        return
    entry = _entry(work, read.file, read.index, read.offset)
    if entry is None:
        return
    work.sealed += read.closed
    work.opened += not read.closed
    if not read.closed and read.leaf != entry.hash:
        out.damaged(place, "the capture is not what the log committed to", read.index)
    elif read.sha256 != entry.stored:
        words = f"byte {read.offset}: not the bytes that were stored"
        out.damaged(place, words, entry.index)
    elif read.offset != entry.offset:
        words = f"byte {read.offset}: moved from byte {entry.offset}"
        out.damaged(place, words, entry.index)
    for record in read.records:
        if record.type in ("response", "resource"):
            work.held.add(_short(record.id))
        elif record.type == "revisit":
            target = record.header("WARC-Refers-To").strip("<>")
            work.repeats.append((read.file, read.index or 0, target))


def _short(identity: str) -> bytes:
    return bytes.fromhex(identity.removeprefix("urn:uuid:").replace("-", ""))


def _missing(work: Work) -> None:
    unsaid = 0
    for index, entry in work.entries.items():
        if entry.forgotten:
            if index not in work.forgotten and not work.unread:
                work.out.damaged(present.FILE, "forgotten, but no statement says so", index)
            unsaid += index not in work.forgotten
        elif entry.segment and index not in work.found:
            work.out.damaged(f"{CAPTURES}/{entry.segment}", "the capture is missing", index)
    if work.unread and unsaid:
        work.out.lacks(
            Heading.AVAILABILITY,
            f"that {unsaid} captures were forgotten on purpose: a statement is damaged",
        )
    gone = 0
    for name, index, target in work.repeats:
        if _short(target) not in work.held:
            if work.forgotten or work.unread:
                gone += 1
            else:
                words = f"its payload, {target}, is in no capture"
                work.out.damaged(f"{CAPTURES}/{name}", words, index)
    if gone:
        work.out.lacks(
            Heading.AVAILABILITY, f"{gone} records repeat a payload that was forgotten since"
        )


def _availability(work: Work) -> None:
    out = work.out
    count = sum(1 for entry in work.entries.values() if entry.segment)
    if work.opened:
        out.proves(
            Heading.AUTHENTICITY,
            f"{work.opened} of {count} captures are the bytes that the log committed to",
        )
        out.proves(
            Heading.RENDERABILITY,
            f"{work.opened} captures are WARC 1.1 and can be replayed by other programs"
            " (vanished export wacz)",
        )
        out.proves(
            Heading.UNDERSTANDABILITY,
            "each capture says what was read from it, from where and when by our clock",
        )
    if work.sealed:
        out.proves(
            Heading.PERSISTENCE,
            f"{work.sealed} of {count} captures are the sealed bytes that were stored",
        )
        out.lacks(
            Heading.RENDERABILITY,
            f"what is in the {work.sealed} sealed captures: give --identity where the secret half"
            " of a recipient is",
        )
    if count:
        here = sum(
            1 for entry in work.entries.values() if entry.segment and entry.index in work.found
        )
        out.proves(Heading.AVAILABILITY, f"the bytes of {here} of {count} captures are here")
    if work.forgotten:
        out.proves(
            Heading.AVAILABILITY,
            f"{len(work.forgotten)} captures were forgotten on purpose; the log says when and why",
        )


# -- stamps and journal ------------------------------------------------------------------------


def _stamps(work: Work, now: Micros, given: Mapping[str, bytes]) -> None:
    folder = work.folder / LOG / "stamps"
    roots: dict[str, bytes] = {}
    for authority in work.settings.stamps.authorities:
        try:
            roots[authority.name] = read_root(authority.root)
        except VanishedError as error:
            work.out.lacks(Heading.PERSISTENCE, str(error))
    enter_stamps(work.out, folder, roots | dict(given), now, f"{LOG}/stamps", _root_at(work))


def _root_at(work: Work) -> RootAt:
    """Roots of the log; it is opened when first asked, after the stamps of it were read."""
    log = cache(lambda: Log.open(work.folder / LOG))

    def root_at(size: int) -> bytes | None:
        if not work.whole:  # a changed tile would accuse every stamp
            return None
        return log().root_at(size) if size <= log().size else b""

    return root_at


def _journal(work: Work) -> None:
    try:
        journal = Journal.open(work.folder / JOURNAL)
        damages = journal.verify()
    except VanishedError as error:
        work.out.damaged(JOURNAL, str(error))
        return
    for damage in damages:
        place = damage.path
        if place.is_relative_to(work.folder):
            place = place.relative_to(work.folder)
        work.out.damaged(str(place), damage.what)
    if not damages:
        work.out.proves(
            Heading.AVAILABILITY,
            f"{len(journal.manifest.segments)} segments of the journal are as its manifest says",
        )
