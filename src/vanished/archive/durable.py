"""Files that are either whole or not there, also after a crash or a power cut.

The order is always: temporary name, fsync of the file, rename, fsync of the folder. In: paths and
bytes. Out: files, or StorageError in a sentence. Removes nothing but its own temporary files.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vanished.errors import StorageError

TEMPORARY: Final = ".tmp"
"""Ending of a file that is not finished; whoever finds one after a crash may delete it."""

_numbers = itertools.count(1)  # two threads never share a temporary file

_REASONS: Final = {
    errno.ENOSPC: "the disk is full; make room and start again",
    errno.EDQUOT: "the disk quota is used up; make room and start again",
    errno.EROFS: "the disk is mounted read-only; mount it writable or use another folder",
    errno.EACCES: "permission was denied; check who owns the folder",
    errno.EPERM: "permission was denied; check who owns the folder",
    errno.EIO: "the disk failed to read or write; check the disk before going on",
}


@contextmanager
def refusals(doing: str) -> Iterator[None]:
    """Turn what the operating system refuses into a StorageError: "could not `doing`: …"."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"could not {doing}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """Why the operating system refused, and what to do."""
    known = _REASONS.get(error.errno or 0)
    return known or f"{error.strerror or error}; check the disk and the folder"


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put `content` at `path`, replacing what was there. Raises OSError; `path` is then as it was.

    Only a failing fsync of the folder can raise with the new content already in place.
    """
    temporary = _write_temporary(path, content, mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_once(path: Path, content: bytes, *, mode: int = 0o644) -> bool:
    """Put `content` at `path` unless something is there already; says whether it did."""
    temporary = _write_temporary(path, content, mode)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _write_temporary(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{next(_numbers)}{TEMPORARY}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def settle(temporary: Path, path: Path) -> None:
    """Give a finished file its name. The folder is left to the caller, who may have many files."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make `path` and the missing folders above it, each of them durable and of that mode."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    path.mkdir(mode=mode, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
