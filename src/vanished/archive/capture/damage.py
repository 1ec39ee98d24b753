"""A place where stored evidence is not what it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong, in which file, from which byte on, in which capture.

    `index` is the capture's leaf; None where the bytes that would name it are damaged as well.
    """

    file: str
    offset: int
    index: int | None
    what: str

    def __str__(self) -> str:
        which = "a capture" if self.index is None else f"capture {self.index}"
        return f"{self.file}, byte {self.offset}: {which}: {self.what}"
