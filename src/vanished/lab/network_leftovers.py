"""What labs left behind whose maker is gone, and its removal.

In: the labs' home, where each lab records its maker and its keeper. Out: what was there and whether
it is gone now. Only what a lab recorded about itself is touched: its keeper, if the process of that
number started when the record says and still keeps that folder, and the folder. The keeper's end is
that of all processes, namespaces and rules of its lab; none is looked for by its name.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vanished.lab.network_place import alive, home, remove

_ENDING_S = 20.0


@dataclass(frozen=True)
class Leftover:
    """One lab without a maker: the processes that its keeper still had, and what became of it."""

    name: str
    processes: int
    removed: bool

    def facts(self) -> dict[str, str | int | bool]:
        """For JSON."""
        return {"lab": self.name, "processes": self.processes, "removed": self.removed}

    def text(self) -> str:
        """In a sentence."""
        if not self.removed:
            return f"The network lab {self.name} could not be removed: try again, as the same user."
        ended = f", and ended its {self.processes} processes" if self.processes else ""
        return f"Removed the network lab {self.name}{ended}: its maker is gone."


def clean() -> list[Leftover]:
    """Remove what labs of this user left behind whose maker is gone; waits up to 20 s for its end.

    UsageError where the labs' home is not this user's alone.
    """
    at = home()
    done = []
    for folder in sorted(at.glob("lab-*")) if at.is_dir() else []:
        record = _record(folder)
        if folder.is_symlink() or record is None or alive(record["maker"]):
            continue
        ended = _end(record["keeper"], folder)
        if ended is not None:
            remove(folder)
        done.append(Leftover(folder.name, ended or 0, ended is not None and not folder.exists()))
    return done


def _record(folder: Path) -> Mapping[str, Any] | None:
    """What the lab recorded; without a record that reads, that nobody keeps it.

    None where no record is there yet: the process in the folder's name is making it now.
    """
    try:
        record = json.loads((folder / "lab.json").read_text())
        return {"maker": _process(record["maker"]), "keeper": _process(record["keeper"])}
    except (OSError, ValueError, TypeError, KeyError):
        maker = folder.name.split("-")[1]
        if maker.isdecimal() and Path(f"/proc/{maker}").exists():
            return None
        return {"maker": None, "keeper": None}


def _process(said: Mapping[str, int] | None) -> dict[str, int] | None:
    return None if said is None else {"pid": int(said["pid"]), "started": int(said["started"])}


def _end(keeper: Mapping[str, int] | None, folder: Path) -> int | None:
    """End the lab's keeper; how many processes went with it, None if one outlived the wait."""
    if keeper is None:
        return 0
    try:
        handle = os.pidfd_open(keeper["pid"])
    except OSError:  # it ended by itself
        return 0
    try:
        if not alive(keeper) or not _keeps(keeper["pid"], folder):
            return 0
        count = _inside(keeper["pid"])
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(handle, select.POLLIN)  # readable when all its processes have ended, too
        return count if poll.poll(_ENDING_S * 1000) else None
    finally:
        os.close(handle)


def _keeps(pid: int, folder: Path) -> bool:
    """Whether that process was started to keep this folder."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"vanished.lab.network_keeper" in words and os.fsencode(folder) in words
    return False


def _inside(pid: int) -> int:
    """How many processes share the process namespace of `pid`; at least itself."""
    with contextlib.suppress(OSError):
        own = Path(f"/proc/{pid}/ns/pid").readlink()
        return sum(_namespace(each) == own for each in Path("/proc").glob("[0-9]*"))
    return 1


def _namespace(process: Path) -> Path | None:
    try:
        return (process / "ns" / "pid").readlink()
    except OSError:  # it ended meanwhile
        return None
