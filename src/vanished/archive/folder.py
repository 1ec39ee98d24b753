"""The folder of an observatory: furnished whole, and written to by one process at a time.

In: a path. Out: the files that an empty observatory has, or the writer's lock. What is in them is
the business of `observatory`.
"""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from vanished.archive import present, pseudonyms
from vanished.archive.durable import write_atomically
from vanished.archive.journal import Journal
from vanished.archive.settings import FILE, Settings, parse
from vanished.archive.settings_template import template
from vanished.archive.vault import Vault
from vanished.errors import LockedError, NotAnObservatoryError

LOCK = "writer.lock"
JOURNAL = "journal"
SCHEDULE = "schedule"  # columns of the watch, see `watch/resuming.py`; may be deleted at any time
RULINGS = "rulings"  # what people decided about publishing, see `rulings`
SHELF = "shelf"  # a copy of the past for readers, see `publish/shelf`; may be deleted at any time
READABLE = "READABLE-COPY"  # a file in what `readable.unseal` made


def furnish(folder: Path, seal_to: Sequence[str] = (), sources: str = "") -> None:
    """Make everything that an observatory's folder holds; captures are sealed to `seal_to`.

    `sources`: what the settings say of them, see `settings_template`.
    """
    identity = secrets.token_hex(8)
    folder.mkdir(parents=True, exist_ok=True)
    secret = pseudonyms.load_secret(identity, create=True)
    engine = present.connect(folder / present.FILE, write=True)
    try:
        present.migrate(engine, Vault(secret.value))
        facts = {"seq": "0", "looks": "0", "key": pseudonyms.fingerprint(secret), "id": identity}
        with engine.begin() as connection:
            connection.execute(
                present.meta.insert(), [{"key": k, "value": v} for k, v in facts.items()]
            )
    finally:
        engine.dispose()
    Journal.create(folder / JOURNAL)
    # Last, so that a folder with an observatory.toml is a whole observatory.
    write_atomically(folder / FILE, template(identity, seal_to, sources).encode())


def located(folder: Path) -> Settings:
    """The settings of the observatory in `folder`. Raises NotAnObservatoryError, ConfigError."""
    file = folder / FILE
    if not file.is_file():
        raise NotAnObservatoryError(
            f"{folder.resolve()} is not an observatory: it has no {FILE}; go to one, name it"
            " with -o, or make one with vanished init."
        )
    return parse(file.read_text(encoding="utf-8"), file)


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
