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
from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pytest

from tests.archive.seized import everything
from vanished.archive.capture import identities, new_identity
from vanished.archive.folder import SCHEDULE
from vanished.archive.observatory import Observatory
from vanished.archive.proof import signer
from vanished.archive.readable import unseal
from vanished.archive.settings import FILE
from vanished.lab.clock import SteppedClock
from vanished.lab.month import create, watch_world
from vanished.lab.serve import running
from vanished.lab.source import PLATFORM
from vanished.lab.world import World
from vanished.model import DAY, MINUTE
from vanished.watch.progress import Event

PIECE = 12  # characters: a shorter piece of a text may be anybody's
KEY = bytes(range(100, 132))
HEAD = 12  # bytes by which the scan finds the beginning of a text


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
            lines = text.splitlines(keepends=True)  # by price, whose columns lie in the folder
            text = "".join(line for line in lines if not line.startswith("look_every_s"))
            text += f'\n[capture]\nseal_to = ["{self.recipient}"]\n\n[journal]\nflush_rows = 200\n'
            (self.folder / FILE).write_text(text, "utf-8")
            with Observatory.open(self.folder, write=True) as observatory:
                self.naming = observatory.naming
                self.id = observatory.settings.id
                asyncio.run(watch_world(observatory, clock, self.world.end + DAY, tell=self._tell))
                self.seen = observatory.first_sights()

    def _tell(self, event: Event) -> None:
        """Every fortieth commit: the disk as a thief would find it, with everything open."""
        if event.kind == "commit":
            self._commits += 1
            if self._commits % 40 == 20:
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

    def names(self) -> Iterator[str]:
        """Ids, addresses and names: of accounts, and of the posts that were seen."""
        for account in self.world.accounts:
            yield from (account.id, f"/a/{account.id}")
            if len(account.name) >= 4:
                yield account.name
        for number in self.met:
            post = self.world.posts[number]
            yield from (post.id, f"{self.url}/p/{post.id}", f"/p/{post.id}")

    def pieces(self) -> set[str]:
        """Every piece of PIECE characters of every wording that was seen, wherever it begins."""
        lines: set[str] = set()
        for number in self.met:
            post = self.world.posts[number]
            for wording in filter(None, (post.wording, post.edited)):
                lines.update((wording.title, *wording.text.split("\n")))
        return {line[at : at + PIECE] for line in lines for at in range(len(line) - PIECE + 1)}


@pytest.fixture(scope="module")
def seized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seized]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("seized")
        patch.setenv("VANISHED_KEY", KEY.hex())
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        yield Seized(folder)


def spellings(text: str) -> set[bytes]:
    """How a text may stand in a file."""
    plain = text.encode()
    found = {plain, text.encode("utf-16-le"), text.encode("utf-16-be"), plain.hex().encode()}
    found |= {plain.hex().upper().encode(), quote(text).encode(), json.dumps(text)[1:-1].encode()}
    for encoded in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):  # wherever it stands in what was encoded
            code = encoded(b"\0" * shift + plain)
            found.add(code[(0, 2, 3)[shift] : (shift + len(plain)) * 8 // 6])
    return {one for one in found if len(one) >= 6}


def opening(content: bytes) -> Iterator[bytes]:
    """What opens without a secret in these bytes: gzip and zlib streams, wherever they begin."""
    for begin in (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        at = content.find(begin)
        while at >= 0:
            inflater = zlib.decompressobj(47)  # zlib's form or gzip's
            with contextlib.suppress(zlib.error):
                yield inflater.decompress(memoryview(content)[at:], 1 << 22)
            at = content.find(begin, at + 1)


def readable(folder: Path) -> Iterator[bytes]:
    """Every byte of every file, and what opens without a secret: also Parquet and SQLite's rows."""
    for name, content in everything(folder).items():
        # Parquet is opened by DuckDB; nothing else of ours is packed with zstd.
        assert name.endswith(".parquet") or b"\x28\xb5\x2f\xfd" not in content, name
        yield name.encode() + b"\n" + content
        yield from opening(content)
        if name.endswith(".sqlite"):
            uri = f"file:{folder / name}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
                tables = db.execute("select name from sqlite_master where type = 'table'")
                for (table,) in tables.fetchall():
                    rows = db.execute(f"select * from {table}").fetchall()
                    yield str(rows).encode()
                    for cell in (cell for row in rows for cell in row if isinstance(cell, bytes)):
                        yield from opening(cell)


class Scan:
    """Looks for many texts at once: by a sum over HEAD bytes at every place, then exactly."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.forms: dict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        self.short: list[tuple[bytes, str]] = []
        for text in texts:
            for form in spellings(text):
                if len(form) < HEAD:
                    self.short.append((form, text))
                else:
                    self.forms[form[:HEAD]].append((form, text))
        heads = np.frombuffer(b"".join(self.forms), dtype=np.uint8).reshape(-1, HEAD)
        self.sums = np.unique(_sums(heads.ravel())[::HEAD])

    def __call__(self, content: bytes) -> set[str]:
        """Which of the texts stand in `content`."""
        found = {text for form, text in self.short if form in content}
        if len(content) >= HEAD:
            sums = _sums(np.frombuffer(content, dtype=np.uint8))
            places = np.searchsorted(self.sums, sums)
            places[places == len(self.sums)] = 0
            for at in np.flatnonzero(self.sums[places] == sums).tolist():
                for form, text in self.forms.get(content[at : at + HEAD], ()):
                    if content.startswith(form, at):
                        found.add(text)
        return found


def _sums(content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """A polynomial over each HEAD bytes, modulo 2^64."""
    count = len(content) - HEAD + 1
    total = np.zeros(count, dtype=np.uint64)
    for at in range(HEAD):
        total = total * np.uint64(0x9E3779B97F4A7C15) + content[at : at + count]
    return total


def test_no_image_of_the_disk_tells_whom_or_what(seized: Seized) -> None:
    notices = files("vanished.lab").joinpath("notices.toml").read_text("utf-8")
    names = set(seized.names())
    # Some posts quote the platform's notices, whose wording is in the clear.
    pieces = {piece for piece in seized.pieces() if piece not in notices}
    assert len(names) > 80
    assert len(pieces) > 1500
    scan = Scan(names | pieces)
    images = [*seized.images, seized.folder]
    assert len(images) >= 4
    assert any(path.name.endswith("-wal") for image in images for path in image.iterdir())
    seen: set[bytes] = set()  # files that only grew were read in another image already
    for image in images:
        assert (image / FILE).is_file()
        assert (image / SCHEDULE / "records").stat().st_size > 0
        for content in readable(image):
            digest = sha256(content).digest()
            if digest not in seen:
                seen.add(digest)
                found = sorted(scan(content))
                assert not found, f"{image.name}: {content[:60]!r} holds {found[:5]}"
    assert len(seen) > 50


def test_no_secret_is_on_the_disk(seized: Seized) -> None:
    """With the key from the environment, a thief has nothing to open the rest with."""
    assert not (seized.folder.parent / "config").exists()
    signing = signer(seized.id, create=False).seed
    secrets = [form for key in (KEY, signing) for form in (key, *spellings(key.hex()))]
    secrets += [base64.b64encode(KEY)[:40], base64.b64encode(signing)[:40]]
    secrets += spellings(seized.secret.split("AGE-SECRET-KEY-")[1].split()[0])
    for image in (*seized.images, seized.folder):
        for content in readable(image):
            assert not [form for form in secrets if form in content], image.name


def test_the_scan_finds_what_lies_open(seized: Seized, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    scan = Scan(set(seized.names()) | seized.pieces())
    text = next(
        post.wording.title
        for post in (seized.world.posts[number] for number in seized.met)
        if len(post.wording.title) >= PIECE
    )
    piece = f"<{text[-PIECE:]}>"
    name = seized.world.posts[seized.met[0]].id
    plain = (piece + name).encode()
    for number, content in enumerate(
        (
            plain,
            b"junk" + gzip.compress(plain),
            b"junk" + zlib.compress(plain),
            (piece + name).encode("utf-16-le"),
            (piece + name).encode("utf-16-be"),
            json.dumps(piece + name).encode(),
            plain.hex().encode(),
            quote(piece + name).encode(),
            *(base64.b64encode(b"x" * shift + plain + b"zzz") for shift in range(3)),
            *(base64.urlsafe_b64encode(b"x" * shift + plain + b"zzz") for shift in range(3)),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "file").write_bytes(content)
        found = set().union(*(scan(part) for part in readable(folder)))
        assert {text[-PIECE:], name} <= found, (number, content)


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
    words = set(rows)
    assert len(seized.met) > 20
    for number in seized.met:
        post = seized.world.posts[number]
        key = seized.naming(PLATFORM, post.id)
        shown = [wording for wording in (post.wording, post.edited) if wording is not None]
        assert any((key, each.title, each.text) in words for each in shown), post.id
    written = {(w.title, w.text) for p in seized.world.posts for w in (p.wording, p.edited) if w}
    assert {(title, text) for _, title, text in rows} <= written
