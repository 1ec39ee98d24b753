"""Captures leave the dashboard as files from an origin of their own; corrections become cases."""

from __future__ import annotations

import asyncio
import io
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.archive.verify.proven import Proven, proven
from tests.labelled import asking, cases
from tests.publish.asgi import Client
from vanished.archive.leaves import opened, showing
from vanished.archive.observatory import Observatory
from vanished.archive.rulings import CONFIRM, CORRECT
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.model import Fault, Via
from vanished.publish.correction_cases import write_cases
from vanished.publish.desk import state
from vanished.publish.desk.app import make_app
from vanished.publish.desk.captures import make_captures_app
from vanished.publish.desk.finder import FinderSettings
from vanished.publish.desk.running import Running, running
from vanished.publish.desk.serving import Split
from vanished.publish.desk.state import Checked, Desk, DeskSettings
from vanished.publish.desk.words import FAULTS, VIAS
from vanished.publish.shelf import Filter, Shelf
from vanished.publish.shelf.filters import Meanings
from vanished.publish.takedowns import review
from vanished.watch.finding import Finding

PORT = 8601


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proven]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        with proven(tmp_path_factory.mktemp("plain"), sealed=False, seed=7) as found:
            yield found


@pytest.fixture(scope="module")
def desk(made: Proven) -> Iterator[Desk]:
    settings = DeskSettings(every_s=3600, finding=FinderSettings(every_s=0))
    found = Desk(made.folder, settings, captures=str(PORT))
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def pages(desk: Desk) -> Client:
    return Client(make_app(desk, ["127.0.0.1"]), "127.0.0.1:8600")


@pytest.fixture(scope="module")
def captures(desk: Desk) -> Client:
    return Client(make_captures_app(desk, ["127.0.0.1"]), f"127.0.0.1:{PORT}")


def losses(made: Proven) -> list[dict[str, object]]:
    with Shelf(made.folder, Meanings({}, {})) as shelf:
        return [dict(row) for row in shelf.every(Filter(state="any"))]


def test_captures_are_saved_from_another_origin(
    made: Proven, pages: Client, captures: Client
) -> None:
    """Under a policy in which nothing runs; the dashboard's own origin has none of them."""
    with opened(made.folder) as connection:
        post = next(
            str(row["post"]) for row in losses(made)
            if not row["withheld"] and showing(connection, [str(row["post"])])
        )  # fmt: skip
    page = pages.get(f"/losses/{post}").text
    assert f"http://127.0.0.1:{PORT}/{post}.wacz" in page
    answer = captures.get(f"/{post}.wacz")
    assert answer.status == 200, answer.text
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as wacz:
        assert any(name.endswith(".warc.gz") for name in wacz.namelist())
    assert pages.get(f"/{post}.wacz").status == 404
    assert captures.get("/").status == 404
    assert captures.get("/losses").status == 404
    assert captures.get(f"/{post}.wacz", host="evil.example").status == 400


def test_what_is_withheld_has_no_captures_here(
    made: Proven, pages: Client, captures: Client
) -> None:
    mine = [str(row["post"]) for row in losses(made) if row["withheld"]]
    assert mine
    for post in mine:
        assert captures.get(f"/{post}.wacz").status == 404
        assert ".wacz&#34;" not in pages.get(f"/losses/{post}").text
        assert f":{PORT}/" not in pages.get(f"/losses/{post}").text


async def test_the_port_tells_the_origins_apart() -> None:
    """A page of ours at the captures' port, or the reverse, would be one site with them."""
    asked: list[str] = []

    def app(name: str):  # type: ignore[no-untyped-def]
        async def call(scope, receive, send):  # type: ignore[no-untyped-def]
            asked.append(name)

        return call

    split = Split(app("pages"), app("captures"), PORT)
    here, there = ("127.0.0.1", 8600), ("127.0.0.1", PORT)
    scopes = ({"type": "http", "server": here}, {"type": "http", "server": there})
    for scope in (*scopes, {"type": "lifespan"}):
        await split(scope, None, None)  # type: ignore[arg-type]
    assert asked == ["pages", "captures", "pages"]


def test_how_the_watch_is_doing_is_shown(made: Proven, desk: Desk, pages: Client) -> None:
    """Sources with their failed looks, waiting posts, faults, budgets, disk."""
    found = running(made.folder)
    with Observatory.open(made.folder) as observatory, observatory.past() as past:
        alive = past.execute(
            "select count(*) from posts where key not in (select subject from verdicts"
            " where state in ('gone', 'moved'))"
        ).fetchone()
    assert [row["platform"] for row in found.sources] == ["lab"]
    assert alive is not None
    assert sum(found.sources[0]["waiting"]) >= alive[0]
    assert 0 < found.sources[0]["failed"] < found.sources[0]["looks"]
    assert {"journal", "captures", "log", "present"} <= found.disk.keys()
    assert found.free < found.size
    desk.running = found
    text = pages.get("/operate").text
    assert "Errors of the last day" in text
    assert "lab" in text
    assert found.simulated
    assert "on a simulated clock" in text
    said = [FAULTS[fault] for _, fault, _ in found.faults]
    assert said
    assert all(f"<td>{words}</td>" in text for words in said)


def test_a_fault_has_words() -> None:
    """Or a reader would see a code."""
    assert FAULTS.keys() == {fault.value for fault in Fault}
    assert VIAS.keys() == {via.value for via in Via}


def test_how_the_watch_is_doing_does_not_wait_for_the_doctor(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the latest sign of life would be ten minutes old beside pages that are new."""
    reads: list[Path] = []

    def read(folder: Path) -> Running:
        reads.append(folder)
        return found

    found = running(desk.folder)
    monkeypatch.setattr(state, "running", read)
    desk._looks_again = 0.0
    desk.checked = Checked(SystemClock().now(), [], [])
    desk._look()
    assert desk.running is found
    desk._looks_again = time.monotonic() + 60  # it took three seconds to read
    desk._look()
    assert len(reads) == 1


def test_a_finding_of_the_doctor_says_first_what_it_is_about(desk: Desk, pages: Client) -> None:
    """In the reader's language, with its name as it is."""
    late = Finding("its list is 3.0 d overdue", "weibo account 2n32u5xs", "start vanished watch")
    assert desk.running is not None
    before, desk.checked = desk.checked, Checked(SystemClock().now(), [late], [])
    watched, desk.running = desk.running, replace(desk.running, simulated=False)
    try:
        text = pages.get("/operate").text
        chinese = pages.get("/operate?lang=zh-Hans").text
    finally:
        desk.checked, desk.running = before, watched
    assert text.index("weibo account 2n32u5xs") < text.index("3.0 d overdue")
    assert "weibo 账号 2n32u5xs" in chinese
    assert "simulated" not in text


def test_corrections_become_cases(made: Proven, tmp_path: Path) -> None:
    """In the labelled set's form: asked again they are judged as they were, and name nobody."""
    copy = tmp_path / "o"
    # Not what the dashboard beside it opens and closes meanwhile.
    passing = shutil.ignore_patterns("*-wal", "*-shm", "shelf")
    shutil.copytree(made.folder, copy, ignore=passing)
    gone = [row for row in losses(made) if row["state"] == "gone" and row["causes"] != ["account"]]
    now = SystemClock().now()
    for number, row in enumerate(gone):
        what = CORRECT if number % 3 else CONFIRM
        causes = ["legal"] if what == CORRECT else []
        review(copy, str(row["post"]), what, "the notice of this post says so", now, causes)
    done = write_cases(copy, tmp_path / "cases")
    corrected = [row for number, row in enumerate(gone) if number % 3]
    assert sum(done.files.values()) + len(done.left_out) == len(corrected)
    assert done.files["lab.toml"] > 1
    text = (tmp_path / "cases" / "lab.toml").read_text("utf-8")
    with Observatory.open(copy) as observatory:
        named = [*observatory.account_identities(), *observatory.post_identities()]
        watched = observatory.post_rows_by_key([str(one["post"]) for one in corrected])
    assert not [each for each in watched.values() if each.post.native_id in text]
    assert not [name for name in named if len(name) > 5 and name in text]
    assert not [row for row in corrected if str(row["post"]) in text]
    found = cases.read(tmp_path / "cases" / "lab.toml")
    assert all(case.causes == ("legal",) and case.expect == "gone" for case in found)
    called = asyncio.run(asking.called(found))
    was = sorted(
        cases.class_of(row["causes"]) for row in corrected  # type: ignore[arg-type]
        if str(row["post"]) not in done.left_out
    )  # fmt: skip
    assert sorted(called.values()) == was
    with pytest.raises(UsageError, match="there already"):
        write_cases(copy, tmp_path / "cases")
