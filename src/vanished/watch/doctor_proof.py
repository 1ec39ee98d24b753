"""What is wrong with an observatory's proofs, as far as a glance tells; `verify` reads all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import duckdb
import sqlalchemy as sa

from vanished.archive import keys, present
from vanished.archive.folder import READABLE
from vanished.archive.leaves import ends, leaves, opened
from vanished.archive.log import Log, kept_cosigned, parse_note
from vanished.archive.observatory import Observatory
from vanished.archive.proof import CAPTURES, LOG
from vanished.archive.stamps import Kind, Progress
from vanished.archive.stamps.kept import newest_first
from vanished.errors import EvidenceError, VanishedError
from vanished.model import DAY, HOUR, SECOND, Micros, at
from vanished.watch.finding import Finding
from vanished.watch.picturing import can_hash

SILENT: Final = DAY
"""Services and witnesses that have not answered for so long are worth a word."""
UNSIGNED: Final = HOUR
"""What is captured should be signed in seconds."""


def troubles(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    """Everything about captures, log, stamps, witnesses and keys that needs somebody."""
    if not observatory.settings.capture.keep:
        return
    copied = (observatory.folder / READABLE).exists()
    if not copied:
        yield from _identity(observatory)
    try:
        yield from _log(observatory, now)
        yield from _segments(observatory)
        if not copied:
            yield from _stamps(observatory, now)
            yield from _witnesses(observatory, now)
    except VanishedError as error:
        yield Finding(
            str(error).rstrip("."), str(observatory.folder / LOG), "run vanished verify to see all"
        )


def remarks(observatory: Observatory) -> Iterator[Finding]:
    """What an operator may have chosen, and should know the price of.

    Not findings: `init --no-seal` is a choice, and a watch that is to start by itself after a power
    cut needs its key somewhere; a doctor that never says "nothing wrong" is not read.
    """
    capture = observatory.settings.capture
    if not capture.keep or (observatory.folder / READABLE).exists():
        return
    if not can_hash() and (without := _pictures(observatory)):
        yield Finding(
            f"{without} pictures are known by their bytes alone, so no altered copy is found",
            "vanished media",
            "install vanished[platforms]; it holds for what comes then",
            remark=True,
        )
    if not capture.seal_to:
        yield Finding(
            "captures are not sealed, so whoever takes this machine can read them",
            str(observatory.folder / CAPTURES),
            "put age recipients into seal_to in observatory.toml; it holds for what comes then",
            remark=True,
        )
        return  # where all can be read, the key of names hides nothing more
    path = keys.place(keys.PSEUDONYMS, observatory.settings.id)
    if path.is_file():
        yield Finding(
            "the pseudonym key lies on this machine, so whoever takes it can read whom it watched",
            str(path),
            f"give the key by the environment variable {keys.PSEUDONYMS.variable} where the machine"
            " may be taken, and move this file away",
            remark=True,
        )


def _pictures(observatory: Observatory) -> int:
    """How many pictures have no hash of what they show."""
    try:
        with observatory.past() as con:
            found = con.execute("select count(*) from pictures where hash = ''").fetchall()
    except (duckdb.Error, VanishedError):
        return 0  # told as damage
    return int(found[0][0])


def _identity(observatory: Observatory) -> Iterator[Finding]:
    """Sealing protects nobody while the key that opens lies beside."""
    for recipient in observatory.settings.capture.seal_to:
        path = keys.place(keys.SEALING, recipient[4:20])
        if path.is_file():
            yield Finding(
                "the key that opens the sealed captures is on this machine",
                str(path),
                "move it to another machine; until then, whoever takes this one can read all",
            )


def _log(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    folder = observatory.folder / LOG
    log = Log.open(folder)  # before the present: beside a watch, that then knows all its leaves
    c = present.captures.c
    with opened(observatory.folder) as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(c.leaf.table)).scalar()
        query = sa.select(sa.func.count(), sa.func.min(c.at)).where(c.leaf >= log.size)
        waiting, since = connection.execute(query).one()
    count = int(count or 0)
    if waiting and now - since > UNSIGNED:
        yield Finding(
            f"{waiting} captures since {at(since):%Y-%m-%d %H:%M} UTC are not signed yet",
            str(folder),
            "start the watch again, or run vanished log stamp while none runs",
        )
    if log.size > count:
        yield Finding(
            f"the log has {log.size} leaves, the present knows {count}",
            str(folder),
            "an older present was put back; restore the newest one",
        )


def _segments(observatory: Observatory) -> Iterator[Finding]:
    with opened(observatory.folder) as connection:
        counted = ends(leaves(connection))
    for name, end in counted.items():
        path = observatory.folder / CAPTURES / name
        size = path.stat().st_size if path.is_file() else 0
        if size < end:
            what = f"has {size} bytes, {end} were acknowledged" if size else "is missing"
            yield Finding(f"the segment {what}", str(path), "restore it from a copy")


def _stamps(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    """Services that have failed at each checkpoint for so long; a new one is begun every hour."""
    settings, folder = observatory.settings.stamps, observatory.folder / LOG / "stamps"
    asked = {authority.name for authority in settings.authorities} | set(settings.calendars)
    failing: dict[str, tuple[Micros, str]] = {}  # since when, and what came back last
    well: set[str] = set()
    for state in newest_first(folder):
        if isinstance(state, EvidenceError):
            continue  # verify names it
        if well == asked:
            break
        if well | set(failing) == asked and all(
            now - since > SILENT for since, _ in failing.values()
        ):
            break  # no need to read a year of them
        for attempt in state.attempts:
            if attempt.kind is Kind.UPGRADE or attempt.by not in asked - well:
                continue
            if attempt.progress is Progress.KEPT:
                well.add(attempt.by)
            elif attempt.tries:
                words = failing.get(attempt.by, (0, attempt.words))[1]
                failing[attempt.by] = state.begun_at, words
    for name, (since, words) in sorted(failing.items()):
        if now - since > SILENT:
            yield Finding(
                f"{name} has given no stamp for more than a day: {words}",
                str(folder),
                "check its address in observatory.toml, or use another",
            )


def _witnesses(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    """Witnesses whose last cosignature is old, though the log grew."""
    asked = observatory.settings.log.witnesses
    folder = observatory.folder / LOG
    if not asked or Log.open(folder).size == 0:
        return
    notes = kept_cosigned(folder)
    times: dict[str, int] = {}
    for witness in asked:
        if witness.name in notes:
            note = parse_note(notes[witness.name], f"what '{witness.name}' cosigned")
            for signature in note.signatures:
                if signature.by(witness.key):
                    times[witness.name] = int.from_bytes(signature.value[:8], "big")
    with opened(observatory.folder) as connection:
        query = sa.select(sa.func.min(present.captures.c.at))
        began = int(connection.execute(query).scalar() or now)
    for witness in asked:
        last = times.get(witness.name, 0) * SECOND or began
        if now - last > SILENT:
            yield Finding(
                f"the witness '{witness.name}' has cosigned nothing for more than a day",
                witness.url,
                "ask its operator, and run vanished log stamp to see what it answers",
            )
