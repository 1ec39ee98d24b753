"""The review on the dashboard: a person decides, nobody else can, and nothing of it is lost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from starlette.types import ASGIApp

from tests.publish import desk_world
from tests.publish.asgi import Client
from vanished.archive.rulings import CONFIRM, CORRECT, REVIEWED, WITHHOLD, rulings
from vanished.publish.desk.app import make_app
from vanished.publish.desk.finder import FinderSettings
from vanished.publish.desk.state import Desk, DeskSettings

HOST: Final = "127.0.0.1:8600"
OURS: Final = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("review") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(place)
        yield place


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[ASGIApp]:
    desk = Desk(folder, DeskSettings(every_s=3600, finding=FinderSettings(every_s=0)))
    desk.start()
    yield make_app(desk, ["127.0.0.1"])
    desk.stop()


@pytest.fixture
def desk(app: ASGIApp) -> Client:
    """A browser that has no cookie yet."""
    return Client(app, HOST)


def queue(desk: Client, name: str = "several") -> tuple[str, list[str], str]:
    """The page of a queue, the posts on it, and its token."""
    text = desk.get(f"/review?queue={name}").text
    posts = re.findall(r'name="post" value="([a-z2-7]+)"', text)
    token = re.search(r'name="token" value="([0-9a-f]+)"', text)
    assert posts
    assert token
    return text, posts, token[1]


def test_a_decision_is_kept_and_shown(desk: Client, folder: Path) -> None:
    """On the item's page, in lists, in the log with its time; and the queue goes on without it."""
    _, posts, token = queue(desk)
    form = {
        "token": token, "post": posts[0], "what": "correct", "note": "<b>the notice</b> says so",
        "cause": ["platform", "legal"], "back": "/review?queue=several&noted=7",
    }  # fmt: skip
    answer = desk.post("/review", form, OURS)
    assert answer.status == 303
    assert answer.headers["location"] == "/review?queue=several&noted=1"
    kept = rulings(folder)[-1]
    assert (kept.kind, kept.about, kept.what) == (REVIEWED, posts[0], CORRECT)
    assert kept.details["causes"] == ["legal", "platform"]
    after, left, _ = queue(desk)
    assert posts[0] not in left
    assert "&lt;b&gt;the notice&lt;/b&gt; says so" in after
    item = desk.get(f"/losses/{posts[0]}").text
    assert "&lt;b&gt;the notice&lt;/b&gt; says so" in item
    listed = desk.get("/losses?state=any&cause=open").text
    assert "by a person:" in listed
    assert "several causes" not in listed.partition("by a person:")[2][:20]


def test_what_counts_is_the_newest_word(desk: Client, folder: Path) -> None:
    _, posts, token = queue(desk, "everything")
    for what in (WITHHOLD, CONFIRM):
        form = {"token": token, "post": posts[0], "what": what, "note": "read", "back": "/"}
        assert desk.post("/review", form, OURS).headers["location"] == "/"
    words = [each.what for each in rulings(folder) if each.about == posts[0]]
    assert words == [WITHHOLD, CONFIRM]
    assert re.search(r"by a person: *</?[^>]*>? *confirmed|by a person: confirmed",
                     desk.get("/losses?state=any&sort=-at").text)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "headers"),
    [({"token": "0" * 64}, OURS), ({}, {"origin": "http://evil.example"}), ({}, {"origin": "null"}),
     ({}, {}), ({}, {"origin": "http://127.0.0.1:8601"}),
     ({}, {**OURS, "sec-fetch-site": "cross-site"})],
)  # fmt: skip
def test_nobody_decides_in_a_readers_name(
    desk: Client, folder: Path, change: dict[str, str], headers: dict[str, str]
) -> None:
    """A page elsewhere can make a browser send a form here; it is refused, and nothing is kept."""
    before = len(rulings(folder))
    _, posts, token = queue(desk)
    form = {"token": token, "post": posts[0], "what": "confirm", "note": "x", **change}
    assert desk.post("/review", form, headers).status == 403
    assert len(rulings(folder)) == before


def test_another_browser_has_another_token(desk: Client, folder: Path) -> None:
    """The token of one reader's page is worth nothing without that reader's cookie."""
    before = len(rulings(folder))
    _, posts, token = queue(desk)
    desk.cookies.clear()
    form = {"token": token, "post": posts[0], "what": "confirm", "note": "x"}
    refused = desk.post("/review", form, OURS).status
    assert refused == 403
    assert len(rulings(folder)) == before


@pytest.mark.parametrize(
    "change",
    [{"note": ""}, {"note": "a\nb"}, {"note": "x" * 501}, {"what": "erase"}, {"post": "nobody"},
     {"what": "correct"}, {"what": "correct", "cause": "spite"}],
)  # fmt: skip
def test_a_decision_that_is_none_is_refused(
    desk: Client, folder: Path, change: dict[str, str]
) -> None:
    """In a sentence, and without a trace: a note is required, and causes have names."""
    before = len(rulings(folder))
    _, posts, token = queue(desk)
    form = {"token": token, "post": posts[0], "what": "confirm", "note": "read", **change}
    answer = desk.post("/review", form, OURS)
    assert answer.status == 400
    assert "<h1>400" in answer.text
    assert len(rulings(folder)) == before


def test_a_form_that_is_too_long_is_not_read(desk: Client) -> None:
    _, posts, token = queue(desk)
    form = {"token": token, "post": posts[0], "what": "confirm", "note": "x" * 70_000}
    assert desk.post("/review", form, OURS).status == 400


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "/\\evil", ""])
def test_the_way_back_leads_nowhere_else(desk: Client, back: str) -> None:
    _, posts, token = queue(desk, "everything")
    form = {"token": token, "post": posts[0], "what": "confirm", "note": "read", "back": back}
    location = desk.post("/review", form, OURS).headers["location"]
    assert location.startswith("/review?noted=")


def test_the_cookie_is_for_this_site_alone(desk: Client) -> None:
    cookie = desk.get("/review").headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie
    assert "set-cookie" not in desk.get("/review").headers
    assert 'name="token"' not in desk.get("/losses").text


def test_a_dashboard_that_cannot_start_says_why_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    desk_world.make(tmp_path / "o")
    with sqlite3.connect(tmp_path / "o" / "present.sqlite") as present:
        present.execute("update alembic_version set version_num = '0001'")
    present.close()
    code = "from vanished.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "-o", str(tmp_path / "o"), "--port", "0"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert "has schema 0001" in done.stderr
    assert "Traceback" not in done.stderr
