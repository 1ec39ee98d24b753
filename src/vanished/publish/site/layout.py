"""Which files a static site has, what each depends on, and what makes it.

In: a release, its ledger, an observatory's log. Out: for each path a digest of all that its content
follows from, and a function that makes the content. A file whose digest has not changed since the
build before is not made again. Nothing is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import groupby
from typing import Final

from vanished import __version__
from vanished.publish.dataset_metadata import day
from vanished.publish.desk import words
from vanished.publish.desk.front import Figure
from vanished.publish.release import Release
from vanished.publish.site import feeds, figures, index
from vanished.publish.site.captures import NO_SHARDS, Make, Shards
from vanished.publish.site.ledger import LEDGER, Ledger, Loss
from vanished.publish.site.links import VOLUME, StaticLinks, list_path, volume_of, volume_path
from vanished.publish.site.lists import ALL, CAUSE, MONTH, PLATFORM, Listing, listings
from vanished.publish.site.pages import POLICY, REPLAY_POLICY, Room, Site
from vanished.publish.tongues import NAMES

LATEST: Final = 10  # losses on the front page
STATIC: Final = {"style.css": "desk", "site.css": "site", "search.js": "site"}


@dataclass(frozen=True, slots=True)
class File:
    """A file to be: `of` tells what its content follows from, `make` makes it."""

    of: str
    make: Make


@dataclass(frozen=True, slots=True)
class Told:
    """All that a site tells."""

    site: Site
    release: Release
    ledger: Ledger
    proof: Mapping[str, tuple[str, Make]]
    signed: bool
    captures: Shards = NO_SHARDS


def layout(told: Told) -> Iterator[tuple[str, File]]:
    """Path and file, in the order of the languages."""
    own = _digest(program(), json.dumps(asdict(told.site)))
    lines = {loss.number: sha256(loss.line.encode()).digest() for loss in told.ledger.losses}
    everything = _Layout(told, own, lines, listings(told.ledger.losses))
    yield from everything.shared()
    for tag in NAMES:
        yield from everything.tongue(tag)


def _digest(*parts: str | bytes) -> str:
    found = sha256()
    for part in parts:
        content = part.encode("utf-8", "replace") if isinstance(part, str) else part
        found.update(len(content).to_bytes(8, "big") + content)
    return found.hexdigest()[:32]


class _Layout:
    """The files of one build."""

    def __init__(
        self, told: Told, own: str, lines: Mapping[int, bytes], lists: Sequence[Listing]
    ) -> None:
        self.told, self.own, self.lines, self.lists = told, own, lines, lists
        losses = told.ledger.losses
        self.volumes = _cut(losses, lambda loss: volume_of(loss.number))
        self.parts = _cut(losses, lambda loss: index.part_of(loss.number))
        self.pages = {
            one.key: [(number, found, self.of(found)) for number, found in one.pages()]
            for one in lists
        }
        self.of_volumes = {volume: self.of(found) for volume, found in self.volumes.items()}

    def file(self, path: str, make: Make, *of: str | bytes) -> tuple[str, File]:
        return path, File(_digest(self.own, path, *of), make)

    def of(self, losses: Sequence[Loss]) -> bytes:
        """What files that tell these losses follow from."""
        return b"".join([self.lines[loss.number] for loss in losses])

    def shared(self) -> Iterator[tuple[str, File]]:
        """What is the same in all languages."""
        told = self.told
        yield self.file("index.html", partial(_door, told.site))
        yield self.file(LEDGER, told.ledger.encoded, self.of(told.ledger.losses))
        for name, room in STATIC.items():
            yield self.file(f"static/{name}", partial(_static, room, name))
        yield self.file(index.FOLDS, index.folds)
        for volume, losses in self.volumes.items():
            make = partial(index.words_of, volume, losses)
            yield self.file(index.words_path(volume), make, self.of_volumes[volume])
        for part, losses in self.parts.items():
            made = _Once(partial(index.shards, part, losses))
            of = self.of(losses)
            for shard in range(index.SHARDS):
                path = index.shard_path(part, shard)
                yield self.file(path, partial(made.file, path), of)
        for path, (held, made_of) in told.proof.items():
            yield self.file(path, made_of, held)
        if told.captures.files:
            yield self.file("static/replay.js", partial(_static, "site", "replay.js"))
        for name, made_file in told.captures.files.items():
            # It follows from itself only, so that a full one stays as it is.
            yield name, File(made_file.of, made_file.make)

    def tongue(self, tag: str) -> Iterator[tuple[str, File]]:
        """The pages and feeds of one language."""
        room = Room(tag, self.told.site)
        yield from self._front(tag, room)
        for volume, losses in self.volumes.items():
            here = f"{tag}/{volume_path(volume)}"
            make = partial(_volume, room, here, volume, losses)
            yield self.file(here, make, self.of_volumes[volume])
        for one in self.lists:
            pages = self.pages[one.key]
            fed = one.kind != MONTH
            for number, listed, of in pages:
                here = f"{tag}/{list_path(one.key, number)}"
                make = partial(room.list_page, one, here, number, listed, fed)
                newest = number is None or number + 2 >= len(pages)
                around = (str(len(pages)) if newest else "", one.value)
                yield self.file(here, make, of, *around)
            if fed:
                yield from self._feeds(tag, room, one)

    def _feeds(self, tag: str, room: Room, one: Listing) -> Iterator[tuple[str, File]]:
        newest = sorted(one.losses, key=lambda loss: (loss.told_at, loss.number))
        newest = newest[: -feeds.ENTRIES - 1 : -1]
        for form, make in (("atom", feeds.atom), ("json", feeds.json_feed)):
            here = f"{tag}/feeds/{one.key}.{form}"
            shards = self.told.captures
            feed = partial(_feed, room, here, one, newest, self.told.release.until or 0, shards)
            sizes = [self.told.captures.bytes_of(loss.shard) for loss in newest]
            until = str(self.told.release.until if not newest else "")
            of = self.of(newest), until, json.dumps(sizes) if any(sizes) else ""
            yield self.file(here, partial(_made, make, feed), *of)

    def _front(self, tag: str, room: Room) -> Iterator[tuple[str, File]]:
        release, losses = self.told.release, self.told.ledger.losses
        shown = [
            figures.outcomes(release.numbers, room.tongue),
            figures.weekly(release.numbers, room.tongue),
            figures.gaps(release.coverage, room.tongue),
        ]
        shown = [figure for figure in shown if figure.rows]
        for figure in shown:
            drawn = json.dumps([figure.columns, figure.rows, figure.chart])
            path = f"{tag}/charts/{figure.name}"
            yield self.file(f"{path}.csv", partial(figures.csv_of, figure), drawn)
            if figure.chart is not None:
                yield self.file(f"{path}.svg", partial(_svg, figure), drawn)
        latest = losses[: -LATEST - 1 : -1]
        counted = [(one.key, len(one.losses)) for one in self.lists]
        numbers = json.dumps([[f.columns, f.rows, bool(f.chart)] for f in shown])
        of = self.of(latest), json.dumps([len(losses), counted, day(release)]), numbers
        home = partial(_overview, room, f"{tag}/index.html", self, shown, latest)
        yield self.file(f"{tag}/index.html", home, *of)
        lists = partial(_contents, room, f"{tag}/lists.html", self.lists)
        yield self.file(f"{tag}/lists.html", lists, json.dumps(counted))
        parts = " ".join(str(part) for part in reversed(self.parts))
        with_words = any(loss.row.text is not None for loss in losses)
        search = partial(_search, room, f"{tag}/search.html", parts, with_words)
        yield self.file(f"{tag}/search.html", search, parts, str(with_words))
        proven = bool(self.told.proof), self.told.signed
        captured = bool(self.told.captures.files)
        about = partial(_meaning, room, f"{tag}/about.html", *proven, captured)
        yield self.file(f"{tag}/about.html", about, str((*proven, captured)))
        if captured:
            replay = partial(_replay, room, f"{tag}/replay.html")
            yield self.file(f"{tag}/replay.html", replay)


class _Once:
    """Several files that are made at once, when the first of them is asked for."""

    def __init__(self, make: Callable[[], dict[str, bytes]]) -> None:
        self._make = make
        self._made: dict[str, bytes] | None = None

    def file(self, path: str) -> bytes:
        if self._made is None:
            self._made = self._make()
        return self._made.pop(path)


def _cut(losses: Sequence[Loss], by: Callable[[Loss], int]) -> dict[int, list[Loss]]:
    return {number: list(found) for number, found in groupby(losses, by)}


def _made(make: Callable[[feeds.Feed], bytes], feed: Callable[[], feeds.Feed]) -> bytes:
    return make(feed())


def _svg(figure: Figure) -> bytes:
    from vanished.publish.drawing import svg

    return b"" if figure.chart is None else svg(figure.chart).encode()


def _door(site: Site) -> bytes:
    return Room("en", site).page("door.html", "index.html")


def _static(room: str, name: str) -> bytes:
    return files(f"vanished.publish.{room}").joinpath(f"static/{name}").read_bytes()


def _volume(room: Room, here: str, volume: int, losses: Sequence[Loss]) -> bytes:
    rows = [room.whole(loss, here) for loss in losses]
    return room.page("volume.html", here, rows=rows, first=losses[0].number, last=losses[-1].number)


def _overview(
    room: Room, here: str, whole: _Layout, shown: Sequence[Figure], latest: Sequence[Loss]
) -> bytes:
    causes = [
        (one.key, words.SIGNS.get(one.value, "–"), room.value(one), len(one.losses))
        for one in whole.lists
        if one.kind == CAUSE
    ]
    return room.page(
        "overview.html", here, "home", total=len(whole.told.ledger.losses), causes=causes,
        known=day(whole.told.release), figures=shown,
        rows=[room.row(loss, here) for loss in latest],
        feeds=[(ALL, room.tongue.say("All losses"))],
    )  # fmt: skip


def _contents(room: Room, here: str, lists: Sequence[Listing]) -> bytes:
    groups = []
    for kind, says in (
        (ALL, room.tongue.say("All losses")), (CAUSE, room.tongue.say("by cause")),
        (PLATFORM, room.tongue.say("by platform")),
        (MONTH, room.tongue.say("by the month by which they were gone")),
    ):  # fmt: skip
        found = [
            (one.key, says if kind == ALL else room.value(one), len(one.losses), kind != MONTH)
            for one in lists
            if one.kind == kind
        ]
        if found:
            groups.append((says, found))
    return room.page("contents.html", here, "lists", groups=groups)


def _search(room: Room, here: str, parts: str, with_words: bool) -> bytes:
    return room.page(
        "search.html", here, "search", parts=parts, with_words=with_words, shards=index.SHARDS,
        part=index.PART, volume=VOLUME, words_folder="find/words/",
    )  # fmt: skip


def _meaning(room: Room, here: str, proven: bool, signed: bool, captured: bool) -> bytes:
    return room.page(
        "meaning.html", here, "meaning", proven=proven, signed=signed, captured=captured,
        version=__version__,
    )  # fmt: skip


def _replay(room: Room, here: str) -> bytes:
    return room.page("replay.html", here, policy=REPLAY_POLICY)


def _feed(
    room: Room, here: str, one: Listing, newest: Sequence[Loss], until: int, shards: Shards
) -> feeds.Feed:
    site, links, tag = room.site, StaticLinks(here), room.tongue.tag
    named = site.title or f"Vanished {site.observatory}"

    def address(path: str) -> str:
        return f"{site.base}{tag}/{path}" if site.base else f"{links.root}{tag}/{path}"

    entries = []
    for loss in newest:
        seen = room.view(loss)
        says = room.tongue.all_of(seen["says"]) or room.tongue.say(seen["outcome"])
        lines = [seen["title"], seen["text"], seen["gone"] and f"≤ {seen['gone']} UTC"]
        link = address(f"{volume_path(volume_of(loss.number))}#{loss.row.post}")
        file = f"{site.base or links.root}{loss.shard}", shards.bytes_of(loss.shard)
        entries.append(
            feeds.Entry(
                feeds.urn(site.observatory, site.release, loss.row.post),
                f"{loss.row.platform}: {says}", "\n".join(filter(None, lines)), link, loss.told_at,
                tuple(seen["causes"]), file if loss.shard else None,
            )
        )  # fmt: skip
    return feeds.Feed(
        feeds.urn(site.observatory, site.release, "feed", tag, one.key),
        f"{named} · {room.title(one)}", site.publisher or named, tag,
        address(list_path(one.key)), address(f"feeds/{one.key}") if site.base else one.key,
        max((loss.told_at for loss in newest), default=until), entries,
    )  # fmt: skip


@cache
def program() -> str:
    """A digest of everything of ours that pages are made with."""
    publish = files("vanished.publish")
    parts: list[str | bytes] = [__version__, POLICY]
    for name in ("site", "locale", "desk/templates", "desk/static"):
        for path, content in sorted(_under(publish.joinpath(name), name)):
            parts += [path, content]
    for name in ("desk/words.py", "tongues.py", "shelf/grams.py"):
        parts.append(publish.joinpath(name).read_bytes())
    return _digest(*parts)


def _under(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir():
            if one.name != "__pycache__":
                yield from _under(one, f"{name}/{one.name}")
        else:
            yield f"{name}/{one.name}", one.read_bytes()
