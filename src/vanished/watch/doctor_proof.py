"""What is wrong with an observatory's proofs, as far as a glance tells; `verify` reads all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from vanished.archive import keys, present
from vanished.archive.leaves import leaves, opened
from vanished.archive.log import Log, parse_note
from vanished.archive.observatory import Observatory
from vanished.archive.proof import CAPTURES, COSIGNED, LOG
from vanished.archive.stamps import Kind, stamped
from vanished.errors import VanishedError
from vanished.model import DAY, SECOND, Micros
from vanished.watch.finding import Finding

SILENT: Final = DAY
"""Services and witnesses that have not answered for so long are worth a word."""


def troubles(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    """Everything about captures, log, stamps, witnesses and keys that needs somebody."""
    if not observatory.settings.capture.keep:
        return
    yield from _identity(observatory)
    try:
        yield from _log(observatory)
        yield from _segments(observatory)
        yield from _stamps(observatory, now)
        yield from _witnesses(observatory, now)
    except VanishedError as error:
        yield Finding(
            str(error).rstrip("."), str(observatory.folder / LOG), "run vanished verify to see all"
        )


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


def _log(observatory: Observatory) -> Iterator[Finding]:
    folder = observatory.folder / LOG
    log = Log.open(folder)
    with opened(observatory.folder) as connection:
        count = sum(1 for _ in leaves(connection))
    if log.size > count:
        yield Finding(
            f"the log has {log.size} leaves, the present knows {count}",
            str(folder),
            "an older present was put back; restore the newest one",
        )


def _segments(observatory: Observatory) -> Iterator[Finding]:
    ends: dict[str, int] = {}
    with opened(observatory.folder) as connection:
        for leaf in leaves(connection):
            if leaf.segment:
                ends[leaf.segment] = max(ends.get(leaf.segment, 0), leaf.offset + leaf.length)
    for name, end in ends.items():
        path = observatory.folder / CAPTURES / name
        size = path.stat().st_size if path.is_file() else 0
        if size < end:
            what = f"has {size} bytes, {end} were acknowledged" if size else "is missing"
            yield Finding(f"the segment {what}", str(path), "restore it from a copy")


def _stamps(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    folder = observatory.folder / LOG / "stamps"
    states = list(stamped(folder))
    if not states:
        return
    newest = states[-1]
    for attempt in newest.wanted:
        if attempt.kind is not Kind.UPGRADE and attempt.tries and now - newest.begun_at > SILENT:
            yield Finding(
                f"{attempt.by} has given no stamp for more than a day: {attempt.words}",
                str(folder),
                "check its address in observatory.toml, or use another",
            )


def _witnesses(observatory: Observatory, now: Micros) -> Iterator[Finding]:
    """Witnesses whose last cosignature is old, though the log grew."""
    asked = observatory.settings.log.witnesses
    path = observatory.folder / LOG / COSIGNED
    if not asked or Log.open(path.parent).size == 0:
        return
    times: dict[str, int] = {}
    if path.is_file():
        note = parse_note(path.read_bytes(), str(path))
        for witness in asked:
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
