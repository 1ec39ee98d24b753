"""The whole watch on pictures: fetched once, proven, followed, forgotten; or evidence is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import Watched, create, watching
from tests.needs import missing
from vanished.archive.capture import identities, new_identity, read_segment, segments
from vanished.archive.columns import PICTURES
from vanished.archive.erasing import erase
from vanished.archive.observatory import Observatory
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.model import Picture
from vanished.publish.copies import find_copies
from vanished.watch import picturing
from vanished.watch.doctor import advise
from vanished.watch.picturing import exact

PROSE = "<p>" + "The reporter wrote these words for a test and for nobody else. " * 12 + "</p>"
MOST_S = 40.0


@dataclass
class Site:
    """A server on loopback: what it answers by path, and what it was asked."""

    port: int = 0
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def page(self, path: str, *pictures: str, words: str = "") -> None:
        shown = "".join(f'<img src="{each}">' for each in pictures)
        body = f"<html><title>{path}</title><article>{PROSE}{words}{shown}</article></html>"
        self.answers[path] = (200, "text/html; charset=utf-8", body.encode())

    def picture(
        self, path: str, content: bytes, kind: str = "image/png", status: int = 200
    ) -> None:
        self.answers[path] = (status, kind, content)


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked[self.path] += 1
            status, kind, body = site.answers.get(self.path, (404, "text/plain", b"nothing"))
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with serving() as made:
        yield made


SETTINGS = """
[watch]
discover_every_s = 0.5
commit_every_s = 0.05
look_every_s = [[1, 0.3], [2592000, 0.3]]

[hosts]
per_second = 500

[net]
timeout_s = 5
max_bytes = 200000
allow_networks = ["127.0.0.0/8"]

[capture]
pictures = 4
seal_to = [{seal_to}]
"""


@asynccontextmanager
async def watched(
    folder: Path, site: Site, *pages: str, seal_to: str = ""
) -> AsyncIterator[Watched]:
    """These pages of the site under watch in a new observatory."""
    clock = SystemClock()
    text = SETTINGS.format(seal_to=f'"{seal_to}"' if seal_to else "")
    create(folder, text, [("page", site.url(page)) for page in pages], clock.now())
    async with watching(folder, clock) as running:
        yield running


def pictures(observatory: Observatory) -> list[Picture]:
    with observatory.past() as con:
        found = con.execute("select * from pictures order by post, seen_at, place").fetchnumpy()
    return PICTURES.decode(found)


def _place(picture: Picture) -> int:
    return picture.place


def has(watch: Watched, number: int) -> Any:
    return lambda: len(pictures(watch.observatory)) >= number


def some(seed: int) -> bytes:
    """Bytes that begin as a PNG does, and are otherwise none: for tests that decode nothing."""
    return b"\x89PNG\r\n\x1a\n" + bytes([seed]) * 500


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the extra `platforms`."""
    monkeypatch.setattr(picturing, "can_hash", lambda: False)


@pytest.mark.usefixtures("undecoded")
async def test_a_set_of_pictures_is_fetched_once_until_it_changes(
    tmp_path: Path, site: Site
) -> None:
    """Fetched at each look, they would cost more than all looks; never again, a swap is lost."""
    site.page("/a", "/1.png", "/2.png", "/1.png", "/film.mp4", "data:image/png;base64,AAAA")
    for number in (1, 2, 3):
        site.picture(f"/{number}.png", some(number), "text/html")  # whatever the headers say
    async with watched(tmp_path / "o", site, "/a") as watch:
        await watch.wait_for("the pictures", has(watch, 2), MOST_S)
        looks = site.asked["/a"]
        await watch.wait_for("more looks", lambda: site.asked["/a"] > looks + 5, MOST_S)
        assert (site.asked["/1.png"], site.asked["/2.png"]) == (1, 1)
        assert site.asked["/film.mp4"] == 0
        site.page("/a", "/1.png", "/3.png", words="An edit.")
        await watch.wait_for("the other set", has(watch, 4), MOST_S)
        looks = site.asked["/a"]
        await watch.wait_for("more looks", lambda: site.asked["/a"] > looks + 5, MOST_S)
        site.page("/a", "/1.png", "/3.png", words="Another edit.")  # of the same pictures
        await watch.wait_for(
            "the edit",
            lambda: 3 in watch.versions().values(),
            MOST_S,
        )
        looks = site.asked["/a"]
        await watch.wait_for("more looks", lambda: site.asked["/a"] > looks + 5, MOST_S)
        asked = dict(site.asked)
        held = pictures(watch.observatory)
    assert (asked["/1.png"], asked["/3.png"]) == (2, 1)
    first, later = sorted(held[:2], key=_place), sorted(held[2:], key=_place)
    for number, each in zip((1, 2, 1, 3), first + later, strict=True):
        assert each.sha256 == exact(some(number)).sha256
        assert (each.place, each.form, each.size, each.hash) == (number > 1, "png", 508, "")
    assert first[0].address == later[0].address != later[1].address
    assert "127.0.0.1" not in repr(held)
    async with watching(tmp_path / "o", SystemClock()) as watch:  # and not after a new start
        looks = site.asked["/a"]
        await watch.wait_for("more looks", lambda: site.asked["/a"] > looks + 5, MOST_S)
    assert dict(site.asked) | {"/a": 0} == asked | {"/a": 0}
    assert verify_folder(tmp_path / "o", now=SystemClock().now()).sound


@pytest.mark.usefixtures("undecoded")
async def test_what_is_no_picture_is_no_fact(tmp_path: Path, site: Site) -> None:
    """Error pages as pictures, refused addresses, bytes beyond the cap: asked once, not kept."""
    site.page("/a", "/page.png", "/gone.png", "/big.png", "/away.png", "/beyond-the-cap.png")
    site.picture("/page.png", b"<html>Please log in</html>", "image/png")
    site.picture("/big.png", some(1) * 1000)
    site.picture("/away.png", b"http://10.0.0.1/secret.png", status=302)
    site.page("/b", "/sound.png")
    site.picture("/sound.png", some(2))
    async with watched(tmp_path / "o", site, "/a", "/b") as watch:
        await watch.wait_for("the sound one", has(watch, 1), MOST_S)
        await watch.wait_for("the rest", lambda: site.asked["/away.png"] > 0, MOST_S)
        looks = site.asked["/a"]
        await watch.wait_for("more looks", lambda: site.asked["/a"] > looks + 8, MOST_S)
        assert [each.size for each in pictures(watch.observatory)] == [508]
    assert {path: n for path, n in site.asked.items() if path.endswith(".png")} == {
        "/page.png": 1, "/gone.png": 1, "/big.png": 1, "/away.png": 1, "/sound.png": 1,
    }  # fmt: skip


@pytest.mark.usefixtures("undecoded")
async def test_a_picture_that_failed_on_the_way_is_asked_again(tmp_path: Path, site: Site) -> None:
    """A server that is ill for a minute must not cost the picture; nor be asked for ever."""
    site.page("/a", "/1.png", "/2.png")
    site.picture("/1.png", some(1))
    site.picture("/2.png", b"busy", status=500)
    async with watched(tmp_path / "o", site, "/a") as watch:
        await watch.wait_for("a second try", lambda: site.asked["/2.png"] > 1, MOST_S)
        site.picture("/2.png", some(2))
        await watch.wait_for("both", has(watch, 2), MOST_S)
        site.picture("/3.png", b"busy", status=500)
        site.page("/a", "/3.png", words="An edit.")
        await watch.wait_for("three tries", lambda: site.asked["/3.png"] == 3, MOST_S)
        looks = site.asked["/a"]
        await watch.wait_for("more looks", lambda: site.asked["/a"] > looks + 5, MOST_S)
    assert site.asked["/1.png"] == 1
    assert site.asked["/3.png"] == 3


@pytest.mark.usefixtures("undecoded")
async def test_a_picture_that_was_not_reached_is_fetched_after_a_new_start(
    tmp_path: Path, site: Site
) -> None:
    """The watch ends while the host of the pictures is ill: no picture is forgotten over it."""
    site.page("/a", "/1.png", "/2.png")
    site.picture("/1.png", some(1))
    site.picture("/2.png", b"busy", status=500)
    async with watched(tmp_path / "o", site, "/a") as watch:
        await watch.wait_for("one of them", has(watch, 1), MOST_S)
        await watch.wait_for("a try", lambda: site.asked["/2.png"] > 0, MOST_S)
    with Observatory.open(tmp_path / "o") as observatory:
        (row,) = observatory.post_rows([1])
        assert [url for _, url in row.pictures.awaited] == [site.url("/2.png")]
    assert b"/2.png" not in (tmp_path / "o/present.sqlite").read_bytes()
    site.picture("/2.png", some(2))
    async with watching(tmp_path / "o", SystemClock()) as watch:
        await watch.wait_for("the other", has(watch, 2), MOST_S)
    assert site.asked["/1.png"] == 1


async def test_a_removed_picture_is_followed_through_altered_copies(
    tmp_path: Path, site: Site
) -> None:
    """The first post goes; a smaller, marked, recompressed copy of its picture is found."""
    if find_spec("PIL") is None:
        missing("Pillow is not here: pip install vanished[platforms]")
    from tests.watch import drawn

    original = drawn.poster(7)
    copy = drawn.watermarked(drawn.scaled(original, 0.5))
    shown = {
        "/first": drawn.encoded(original),
        "/same": drawn.encoded(original),
        "/copy": drawn.encoded(copy, "JPEG", quality=60),
        "/other": drawn.encoded(drawn.poster(8), "JPEG", quality=60),
        "/drawing": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "/bomb": drawn.encoded(original)[:20] + b"\xff" * 300,
    }
    for path, content in shown.items():
        site.page(path, f"{path}.png", words=path)
        site.picture(f"{path}.png", content)
    async with watched(tmp_path / "o", site, *shown) as watch:
        await watch.wait_for("all pictures", has(watch, len(shown)), MOST_S)
        site.answers["/first"] = (410, "text/plain", b"gone")

        await watch.wait_for("the verdict", lambda: len(watch.verdicts()) > 0, MOST_S)
        rows = watch.observatory.post_rows(range(1, len(shown) + 1))
        posts = {row.post.url.removeprefix(site.url("")): row.subject for row in rows}
    found = find_copies(tmp_path / "o", posts["/first"])
    assert (found.of, found.compared) == (1, len(shown))
    assert {each.post for each in found.copies} == {posts["/same"], posts["/copy"]}
    by_post = {each.post: each for each in found.copies}
    assert by_post[posts["/same"]].same_bytes
    assert by_post[posts["/same"]].distance == 0
    assert not by_post[posts["/copy"]].same_bytes
    assert 0 < (by_post[posts["/copy"]].distance or 0) <= 31
    back = find_copies(tmp_path / "o", posts["/copy"])
    became = {each.post: each.state for each in back.copies}
    assert became[posts["/first"]] in ("suspected", "gone")  # a second look has to confirm it
    assert became[posts["/same"]] == ""
    assert became[posts["/first"]] in back.text()
    file = tmp_path / "found-elsewhere.webp"
    file.write_bytes(drawn.encoded(original, "WEBP", quality=70))
    elsewhere = find_copies(tmp_path / "o", str(file))
    assert {each.post for each in elsewhere.copies} == {
        posts["/first"], posts["/same"], posts["/copy"],
    }  # fmt: skip
    assert find_copies(tmp_path / "o", posts["/drawing"]).remarks
    assert not find_copies(tmp_path / "o", posts["/bomb"]).copies
    assert not find_copies(tmp_path / "o", str(file), within=0).copies


@pytest.mark.usefixtures("undecoded")
async def test_without_the_extra_equal_bytes_are_found_and_the_doctor_says_so(
    tmp_path: Path, site: Site
) -> None:
    for path in ("/a", "/b", "/c"):
        site.page(path, f"{path}.png", words=path)
        site.picture(f"{path}.png", some(path == "/c"))
    async with watched(tmp_path / "o", site, "/a", "/b", "/c") as watch:
        await watch.wait_for("the pictures", has(watch, 3), MOST_S)
    file = tmp_path / "picture"
    file.write_bytes(some(0))
    found = find_copies(tmp_path / "o", str(file))
    assert [each.same_bytes for each in found.copies] == [True, True]
    assert [each.distance for each in found.copies] == [None, None]
    assert "vanished[platforms]" in found.text()
    from vanished.watch import doctor_proof

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(doctor_proof, "can_hash", lambda: False)
        remarks = [each.text() for each in advise(tmp_path / "o")]
        assert any("3 pictures are known by their bytes alone" in text for text in remarks)
        patched.setattr(doctor_proof, "can_hash", lambda: True)
        assert not any("bytes alone" in each.text() for each in advise(tmp_path / "o"))


@pytest.mark.usefixtures("undecoded")
async def test_a_forgotten_post_takes_its_picture_along_and_no_other(
    tmp_path: Path, site: Site
) -> None:
    """Two posts show one address: the bytes of the one that stays are its own."""
    for path in ("/a", "/b"):
        site.page(path, "/shared.png", words=path)
    site.picture("/shared.png", some(9))
    recipient, secret = new_identity()
    folder = tmp_path / "o"
    async with watched(folder, site, "/a", "/b", seal_to=recipient) as watch:
        await watch.wait_for("both", has(watch, 2), MOST_S)
    sealed = b"".join(path.read_bytes() for path in segments(folder / "captures"))
    assert some(9)[8:] not in sealed
    opened = identities(secret)
    with Observatory.open(folder, write=True) as observatory:
        going, staying = (each.post for each in pictures(observatory))
        erase(observatory, [going], "asked by the author", SystemClock().now())
        (left,) = pictures(observatory)
        observatory.flush()
        assert [each.post for each in pictures(observatory)] == [staying]
    assert left.post == staying
    kept = [
        read
        for path in segments(folder / "captures")
        for read in read_segment(path, opened)
        if read.facts["facts"]["subjects"][0]["what"] == "picture"
    ]
    assert [read.facts["facts"]["subjects"][0]["key"] for read in kept] == [staying]
    told = kept[0].facts["facts"]["subjects"][0]["picture"]
    assert (told["sha256"], told["url"]) == (exact(some(9)).sha256, site.url("/shared.png"))
    assert any(some(9) in record.block() for record in kept[0].records)
    assert kept[0].index == int(left.capture)
    assert verify_folder(folder, now=SystemClock().now(), identities=opened).sound
    with pytest.raises(UsageError, match="is no post of this observatory"):
        find_copies(folder, going)


@pytest.mark.usefixtures("undecoded")
async def test_no_picture_is_fetched_where_none_is_wanted(tmp_path: Path, site: Site) -> None:
    site.page("/a", "/1.png")
    site.picture("/1.png", some(1))
    clock = SystemClock()
    text = SETTINGS.format(seal_to="").replace("pictures = 4", "pictures = 0")
    create(tmp_path / "o", text, [("page", site.url("/a"))], clock.now())
    async with watching(tmp_path / "o", clock) as watch:
        await watch.wait_for("looks", lambda: site.asked["/a"] > 5, MOST_S)
    assert site.asked["/1.png"] == 0


def test_what_is_asked_for_has_to_be_there(tmp_path: Path, site: Site) -> None:
    create(tmp_path / "o", SETTINGS.format(seal_to=""), [("page", site.url("/a"))], 0)
    (tmp_path / "words").write_text("no picture")
    with pytest.raises(UsageError, match="is no picture"):
        find_copies(tmp_path / "o", str(tmp_path / "words"))
    with pytest.raises(UsageError, match=r"no file that can be read \(No such file"):
        find_copies(tmp_path / "o", "c2f4m7q3x6w5b8na")
    with pytest.raises(UsageError, match="no file that can be read"):
        find_copies(tmp_path / "o", str(tmp_path))
