"""A collector is seized: its disk must not say whom it watched or what they wrote."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.archive.seized import everything
from vanished.archive.capture import identities, new_identity
from vanished.archive.observatory import Observatory
from vanished.archive.readable import unseal
from vanished.archive.settings import FILE
from vanished.lab.clock import SteppedClock
from vanished.lab.month import create, watch_world
from vanished.lab.serve import running
from vanished.lab.source import PLATFORM
from vanished.lab.world import World
from vanished.model import DAY, MINUTE
from vanished.watch.ledger import Event

PIECE = 12  # characters: a shorter piece of a text may be anybody's


class Seized:
    """A small month, watched with the seal on; images of its disk were taken meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.recipient, self.secret = new_identity()
        self.world = World.generate(11, days=4, accounts=4, posts_per_day=8.0)
        self.folder = folder / "o"
        self.images: list[Path] = []
        self._commits = 0
        clock = SteppedClock(self.world.start, stride=30 * MINUTE)
        with running(self.world, clock, traps=0.2) as url:
            self.url = url
            create(self.folder, self.world, url, clock, commit_s=600.0)
            text = (self.folder / FILE).read_text("utf-8")
            text += f'\n[capture]\nseal_to = ["{self.recipient}"]\n\n[journal]\nflush_rows = 200\n'
            (self.folder / FILE).write_text(text, "utf-8")
            with Observatory.open(self.folder, write=True) as observatory:
                self.naming = observatory.naming
                asyncio.run(watch_world(observatory, clock, self.world.end + DAY, tell=self._tell))
                self.seen = observatory.first_sights()

    def _tell(self, event: Event) -> None:
        """Every hundredth commit: the disk as a thief would find it, with everything open."""
        if event.kind == "commit":
            self._commits += 1
            if self._commits % 100 == 50:
                image = self.folder.with_name(f"image-{self._commits}")
                shutil.copytree(self.folder, image)
                self.images.append(image)

    @property
    def met(self) -> list[int]:
        """The posts that were seen, by their number in the world."""
        return [
            n
            for n, post in enumerate(self.world.posts)
            if self.naming(PLATFORM, post.id) in self.seen
        ]

    def planted(self) -> Iterator[str]:
        """What must not be found: ids, addresses, names, and pieces of every wording."""
        for account in self.world.accounts:
            yield from (account.id, f"/a/{account.id}")
            if len(account.name) >= 4:
                yield account.name
        for number in self.met:
            post = self.world.posts[number]
            yield from (post.id, f"{self.url}/p/{post.id}", f"/p/{post.id}")
            for wording in filter(None, (post.wording, post.edited)):
                yield wording.title
                for line in wording.text.split("\n"):
                    yield from (line[at : at + PIECE] for at in range(0, len(line) - PIECE, PIECE))


@pytest.fixture(scope="module")
def seized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seized]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        yield Seized(tmp_path_factory.mktemp("seized"))


def spellings(text: str) -> set[bytes]:
    """How a text may stand in a file."""
    plain = text.encode()
    found = {plain, text.encode("utf-16-le"), text.encode("utf-16-be"), plain.hex().encode()}
    found.add(json.dumps(text)[1:-1].encode())
    for shift in range(3):  # base64 of it, wherever it stands in what was encoded
        encoded = base64.b64encode(b"\0" * shift + plain)
        found.add(encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4])
    return {one for one in found if len(one) >= 6}


def readable(folder: Path) -> bytes:
    """Every byte of every file, and what opens without a secret: gzip, Parquet, SQLite's rows."""
    parts: list[bytes] = []
    for name, content in everything(folder).items():
        parts += [name.encode(), content]
        at = content.find(b"\x1f\x8b\x08")
        while at >= 0:
            with contextlib.suppress(zlib.error):
                parts.append(zlib.decompressobj(31).decompress(content[at:], 1 << 24))
            at = content.find(b"\x1f\x8b\x08", at + 1)
        if name.endswith(".sqlite"):
            with sqlite3.connect(f"file:{folder / name}?mode=ro", uri=True) as connection:
                tables = connection.execute("select name from sqlite_master where type = 'table'")
                for (table,) in tables.fetchall():
                    parts.append(
                        str(connection.execute(f"select * from {table}").fetchall()).encode()
                    )
            connection.close()
    return b"\n".join(parts)


def test_no_image_of_the_disk_tells_whom_or_what(seized: Seized) -> None:
    notices = files("vanished.lab").joinpath("notices.toml").read_text("utf-8")
    # Some posts quote the platform's notices, whose wording is in the clear.
    planted = sorted(text for text in set(seized.planted()) if text not in notices)
    assert len(planted) > 300
    assert len(seized.images) >= 2
    for image in (*seized.images, seized.folder):
        content = readable(image)
        assert b"observatory.toml" in content
        found = [text for text in planted for form in spellings(text) if form in content]
        assert not found, f"{image.name}: {len(found)} of {len(planted)}, such as {found[:5]}"


def test_the_scan_finds_what_lies_open(seized: Seized, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    text = seized.world.posts[seized.met[0]].wording.title
    (tmp_path / "a.gz").write_bytes(b"junk" + gzip.compress(text.encode()))
    (tmp_path / "b.json").write_text(json.dumps({"t": text}))
    (tmp_path / "c").write_bytes(base64.b64encode(b"xy" + text.encode() + b"zzz"))
    for name in ("a.gz", "b.json", "c"):
        folder = tmp_path / name.partition(".")[0].upper()
        folder.mkdir()
        shutil.copy(tmp_path / name, folder)
        content = readable(folder)
        assert any(form in content for form in spellings(text)), name


def test_who_holds_the_identity_reads_every_first_sight(
    seized: Seized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed is not lost: on another machine, without the collector's secrets."""
    monkeypatch.delenv("VANISHED_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    target = tmp_path / "readable"
    assert list(unseal(seized.folder, identities(seized.secret), target))
    with Observatory.open(target) as observatory, observatory.past() as past:
        rows = past.execute("select post, title, text from versions").fetchall()
    words = {(post, title) for post, title, _ in rows}
    assert all(text for _, _, text in rows)
    for number in seized.met:
        post = seized.world.posts[number]
        key = seized.naming(PLATFORM, post.id)
        titles = {w.title for w in (post.wording, post.edited) if w is not None}
        assert any((key, title) in words for title in titles), post.id
