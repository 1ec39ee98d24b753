"""A folder of files that is replaced by another one at once, while readers stand in it.

In: the folder as it is, and files to be. Out: a new folder beside it, in which files that are
still the same are the old ones (hard links where the disk has them), and then one exchange of names
(Linux: renameat2 with RENAME_EXCHANGE; elsewhere two renames, between which there is no folder).
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from vanished.archive.durable import sync_folder

_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2
_FEW: Final = 500
"""Files that are synced one by one; more are synced by one call for all disks."""


class Tree:
    """A new tree at `place`, which is made, after the `old` one, if there is one."""

    def __init__(self, place: Path, old: Path | None) -> None:
        self.place, self.old = place, old
        self._folders: set[str] = set()
        self._written: list[str] = []
        place.mkdir()

    def keep(self, path: str) -> bool:
        """Take the file of the old tree over; whether it was there."""
        if self.old is None:
            return False
        source, target = f"{self.old}/{path}", self._ready(path)
        try:
            os.link(source, target, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK):
                raise
            shutil.copyfile(source, target, follow_symlinks=False)
            self._written.append(target)
        return True

    def write(self, path: str, content: bytes) -> None:
        target = self._ready(path)
        Path(target).write_bytes(content)
        self._written.append(target)

    def settle(self) -> None:
        """Make all of it durable."""
        if len(self._written) > _FEW:
            os.sync()
            return
        for path in self._written:
            with Path(path).open("rb") as file:
                os.fsync(file.fileno())
        for folder in self._folders:
            sync_folder(Path(folder))
        sync_folder(self.place)

    def _ready(self, path: str) -> str:
        """Where the file will lie; its folder is made. (Texts: there are tens of thousands.)"""
        target = f"{self.place}/{path}"
        folder = target.rpartition("/")[0]
        if folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        return target


def exchange(new: Path, target: Path) -> None:
    """Give `new` the name `target`; what had that name is removed. Raises OSError."""
    if not target.exists() or not any(target.iterdir()):
        new.replace(target)
    elif _exchanged(new, target):
        shutil.rmtree(new)
    else:
        aside = new.with_name(f"{new.name}.before")
        target.rename(aside)
        new.rename(target)
        shutil.rmtree(aside)
    sync_folder(target.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; whether the system could."""
    with suppress(AttributeError):  # a C library without it
        call = ctypes.CDLL(None, use_errno=True).renameat2
        call.argtypes = (
            ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint,
        )  # fmt: skip
        done = call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
        if done == 0:
            return True
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(other))
    return False
