"""The captures that may leave with a site, cut into WACZ files of a bounded size.

In: a release, whose `captured` the gate let out under a rule that names their accounts; the ledger
of the build before. Out: which loss's captures are in which file, and what makes the files. A
capture that shows anybody else, is sealed or not yet signed is in none. A loss stays in the file
that it is in, so that a full one does not change; where one may not leave any more, its file is
made anew without it. Nothing is written but in the folder that is given for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from vanished.archive.exporting import beside_bytes, export_leaves, presentable
from vanished.archive.leaves import Leaf
from vanished.model import Micros
from vanished.publish.release import Release
from vanished.publish.site.ledger import Ledger
from vanished.publish.site.manifest import Manifest

SHARD_BYTES: Final = 100_000_000
FOLDER: Final = "captures"
METHOD: Final = "shards/1"
MOST_CAPTURES: Final = 10_000  # in a file; a reader takes at most 40,000 members
_EACH: Final = 4096  # bytes of a capture's receipt, manifest and lines of the lists, about
_REST: Final = 8192  # bytes of a file without captures, about

Make = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of captures: what it follows from, its size, what makes it."""

    of: str
    size: int
    make: Make


@dataclass(frozen=True, slots=True)
class Shards:
    """The files by path, and the path for each pseudonym; `too_large` losses are in none."""

    files: Mapping[str, Shard] = field(default_factory=dict)
    of: Mapping[str, str] = field(default_factory=dict)
    too_large: int = 0

    def bytes_of(self, path: str) -> int:
        """The size of a file; 0 for "", which is none."""
        return self.files[path].size if path else 0


NO_SHARDS: Final = Shards()


@dataclass(frozen=True, slots=True)
class _Item:
    post: str  # pseudonym
    told_at: Micros
    leaves: Collection[Leaf]

    @property
    def about(self) -> int:
        """Bytes that it takes in a file, about."""
        return sum(leaf.length + _EACH for leaf in self.leaves)


def shards(
    folder: Path, release: Release, before: Ledger, now: Ledger, known: Manifest | None,
    place: Path, limit: int = SHARD_BYTES,
) -> Shards:  # fmt: skip
    """Cut the captures of `release`, of the observatory in `folder`, into files of at most `limit`
    bytes, which are written to `place`, a folder to be made, where they are not those of `known`.

    Raises UsageError, EvidenceError, StorageError as `export_leaves` does.
    """
    items = _items(folder, release, now)
    if not items:
        return NO_SHARDS
    place.mkdir()
    cut = _Cut(folder, place, known, limit, beside_bytes(folder) + _REST)
    lay = {loss.row.post: loss.shard for loss in before.losses if loss.shard}
    kept: dict[str, list[_Item]] = {}
    fresh: deque[_Item] = deque()
    for item in items:
        if item.post in lay:
            kept.setdefault(lay[item.post], []).append(item)
        else:
            fresh.append(item)
    last = max(map(_number, lay.values()), default=0)
    newest = kept.pop(_path(last), [])
    for path, held in sorted(kept.items()):
        fresh.extendleft(reversed(cut.write(path, held)))
    while newest or fresh:
        while fresh and cut.fits(newest, fresh[0]):
            newest.append(fresh.popleft())
        if newest:
            fresh.extendleft(reversed(cut.write(_path(max(last, 1)), newest)))
            last, newest = max(last, 1) + 1, []
        elif fresh:
            fresh.popleft()
            cut.too_large += 1
    return Shards(cut.files, cut.of, cut.too_large)


def _items(folder: Path, release: Release, now: Ledger) -> list[_Item]:
    """The losses whose captures leave, with these, in the order of their numbers."""
    if not release.captured:
        return []
    subjects = {key for pair in release.captured.values() for key in pair}
    by_post: dict[str, list[Leaf]] = {}
    for leaf, shows in presentable(folder, subjects).items():
        for key in shows:
            by_post.setdefault(key, []).append(leaf)
    found = (
        _Item(loss.row.post, loss.told_at, by_post.get(release.captured[loss.row.post][0], ()))
        for loss in now.losses
        if loss.row.post in release.captured
    )
    return [item for item in found if item.leaves]


@dataclass(slots=True)
class _Cut:
    """The files so far."""

    folder: Path
    place: Path
    known: Manifest | None
    limit: int
    rest: int
    files: dict[str, Shard] = field(default_factory=dict)
    of: dict[str, str] = field(default_factory=dict)
    too_large: int = 0

    def fits(self, held: list[_Item], item: _Item) -> bool:
        """Whether a file with what is held takes the item, too, as far as can be told before."""
        captures = sum(len(one.leaves) for one in (*held, item))
        size = self.rest + sum(one.about for one in (*held, item))
        return size <= self.limit and captures <= MOST_CAPTURES

    def write(self, path: str, items: list[_Item]) -> list[_Item]:
        """Make the file of these, or as many of them as it can hold; returns the others."""
        over: list[_Item] = []
        while items:
            leaves = {leaf.index: leaf for item in items for leaf in item.leaves}
            chosen = [leaves[index] for index in sorted(leaves)]
            of = _digest(path, chosen)
            entry = self.known.files.get(path) if self.known is not None else None
            made = self.place / path.rpartition("/")[2]
            make = partial(self._made, made, chosen, max(item.told_at for item in items))
            if entry is not None and entry.of == of:
                size = entry.size
            else:
                size = export_leaves(self.folder, made, chosen, make.args[2]).size
            if size <= self.limit:
                self.files[path] = Shard(of, size, make)
                self.of.update((item.post, path) for item in items)
                break
            made.unlink(missing_ok=True)
            if len(items) == 1:
                self.too_large += 1
                break
            half = len(items) // 2
            items, over = items[:half], items[half:] + over
        return over

    def _made(self, file: Path, chosen: list[Leaf], now: Micros) -> bytes:
        """Its bytes; a file that should have been kept and is lost is made here."""
        if not file.exists():
            export_leaves(self.folder, file, chosen, now)
        content = file.read_bytes()
        file.unlink()
        return content


def _digest(path: str, leaves: list[Leaf]) -> str:
    """What a file follows from: its captures, not the checkpoints that came since."""
    found = sha256(f"{METHOD}\n{path}\n".encode())
    for leaf in leaves:
        found.update(leaf.hash)
    return found.hexdigest()[:32]


def _path(number: int) -> str:
    return f"{FOLDER}/{number:04d}.wacz"


def _number(path: str) -> int:
    return int(path.rpartition("/")[2].partition(".")[0])
