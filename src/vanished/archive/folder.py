"""The folder of an observatory: furnished whole, and written to by one process at a time.

In: a path. Out: the files that an empty observatory has, or the writer's lock. What is in them is
the business of `observatory`.
"""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path
from typing import IO

from vanished.archive import present, pseudonyms
from vanished.archive.durable import write_atomically
from vanished.archive.journal import Journal
from vanished.archive.settings import FILE, TEMPLATE
from vanished.errors import LockedError

LOCK = "writer.lock"
JOURNAL = "journal"


def furnish(folder: Path) -> None:
    """Make everything that an observatory's folder holds."""
    identity = secrets.token_hex(8)
    folder.mkdir(parents=True, exist_ok=True)
    secret = pseudonyms.load_secret(identity, create=True)
    engine = present.connect(folder / present.FILE, write=True)
    try:
        present.migrate(engine)
        facts = {"seq": "0", "looks": "0", "key": pseudonyms.fingerprint(secret), "id": identity}
        with engine.begin() as connection:
            connection.execute(
                present.meta.insert(), [{"key": k, "value": v} for k, v in facts.items()]
            )
    finally:
        engine.dispose()
    Journal.create(folder / JOURNAL)
    # Last, so that a folder with an observatory.toml is a whole observatory.
    write_atomically(folder / FILE, TEMPLATE.format(id=identity).encode())


def take_lock(folder: Path) -> IO[str]:
    """The lock of the one writer; the operating system gives it back when the process ends."""
    file = (folder / LOCK).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise LockedError(
            f"Another vanished is writing to {folder}; stop it first (vanished report and doctor"
            " work beside it)."
        ) from None
    return file
