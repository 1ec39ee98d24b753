"""Where a channel's secret lies: an environment variable, or a file that only its owner reads.

In: what alerts.toml says of a channel, and the observatory's folder. Out: the address, in an object
that shows it to nobody; or a sentence that says what is wrong and holds no part of it. It never
lies in the folder: who copies the folder must not get it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vanished.errors import UsageError

MOST_BYTES: Final = 8192


@dataclass(frozen=True, slots=True)
class Address:
    """An Apprise URL; neither `repr` nor `str` shows it."""

    url: str = field(repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an address is not handed to other processes this way")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the address of a channel is to be found: exactly one of the two is not empty."""

    variable: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"the environment variable {self.variable}" if self.variable else self.file

    def address(self, folder: Path, environment: Mapping[str, str] = os.environ) -> Address:
        """Read it. Raises UsageError where it is not there or others could read it."""
        if self.variable:
            written = environment.get(self.variable, "")
            where = f"the environment variable {self.variable}"
            if not written.strip():
                raise UsageError(f"{where} is not set; put the channel's Apprise URL into it.")
        else:
            where = self.file
            written = _read(Path(self.file).expanduser(), folder)
        return Address(_checked(written, where))


def _read(file: Path, folder: Path) -> str:
    """The text of a file outside `folder`, of mode 0600 or less and ours."""
    try:
        if file.resolve(strict=True).is_relative_to(folder.resolve()):
            raise UsageError(
                f"{file} lies in the observatory's folder, which others may copy; move it outside."
            )
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            facts = os.fstat(opened.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise UsageError(f"{file} is no ordinary file; name one that holds the URL.")
            if facts.st_mode & 0o077 or facts.st_uid != os.geteuid():
                raise UsageError(
                    f"{file} can be read by others than you; run: chmod 600 '{file}', as its owner."
                )
            return opened.read(MOST_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise UsageError(f"{file} cannot be read: {why}; write the channel's URL there.") from None


def _checked(written: str, where: str) -> str:
    """One URL on one line."""
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    url = lines[0] if len(lines) == 1 else ""
    if len(url) > MOST_BYTES or not url.isprintable() or "://" not in url:
        raise UsageError(f"{where} does not hold one Apprise URL, such as mailto://…; write one.")
    return url
