"""What people decided, by the post or account that it is about, for pages to show beside losses.

In: an observatory's folder. Out: its decisions, read anew when there are more of them. The record
itself is `archive.rulings`; what a decision means for a publication is said in `publish.gate`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from vanished.archive.folder import RULINGS
from vanished.archive.rulings import REVIEWED, Ruling, rulings


class Decisions:
    """The record of one observatory. May be used from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._stamp: tuple[int, int] | None = None
        self._all: Sequence[Ruling] = ()
        self._of: dict[str, list[Ruling]] = {}

    def all(self) -> Sequence[Ruling]:
        """Every decision, the newest first. Raises DamagedError as `rulings` does."""
        self._read()
        return self._all

    def of(self, key: str) -> Sequence[Ruling]:
        """Those about a post or an account, the newest first."""
        self._read()
        return self._of.get(key, ())

    def review(self, key: str) -> Ruling | None:
        """The reviewer's word that counts."""
        return self.reviews()(key)

    def reviews(self) -> Callable[[str], Ruling | None]:
        """The same for many keys, as of now: the folder is looked at once."""
        self._read()
        of = self._of
        return lambda key: next((each for each in of.get(key, ()) if each.kind == REVIEWED), None)

    def reviewed(self) -> set[str]:
        """Whatever a reviewer gave a word on."""
        self._read()
        return {each.about for each in self._all if each.kind == REVIEWED}

    def _read(self) -> None:
        """Entries are only ever added, each a file of its own: the folder's time tells."""
        place = self._folder / RULINGS
        try:
            found = place.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            stamp = (0, 0)
        with self._lock:
            if stamp == self._stamp:
                return
            every = rulings(self._folder)[::-1]
            of: dict[str, list[Ruling]] = defaultdict(list)
            for each in every:
                of[each.about].append(each)
            self._all, self._of, self._stamp = every, dict(of), stamp
