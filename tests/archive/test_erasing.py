"""Forgotten is forgotten, and nothing else is: every other proof holds."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.archive.forgetting_writer import die_at
from tests.archive.seized import everything
from vanished.archive import erasing, present
from vanished.archive.capture import Identities, identities, new_identity, read_segment, segments
from vanished.archive.erasing import erase
from vanished.archive.exporting import export_receipts
from vanished.archive.leaves import opened, showing
from vanished.archive.log import Log
from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.archive.verify import verify
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.lab.clock import SteppedClock
from vanished.lab.month import create, watch_world
from vanished.lab.serve import running
from vanished.lab.source import PLATFORM
from vanished.lab.world import World
from vanished.model import DAY, MINUTE

ROOT = Path(__file__).parent.parent.parent
_SHOWN = sa.select(present.shown.c.key).where(present.shown.c.leaf == sa.bindparam("leaf"))


class Kept:
    """A small observatory and the world that it watched."""

    def __init__(self, folder: Path, sealed: bool) -> None:
        recipient, self.secret = new_identity()
        self.sealed = sealed
        self.world = World.generate(8, days=2, accounts=3, posts_per_day=6.0)
        self.folder = folder / "o"
        clock = SteppedClock(self.world.start, stride=30 * MINUTE)
        with running(self.world, clock) as url:
            self.url = url
            create(self.folder, self.world, url, clock, commit_s=600.0)
            with (self.folder / FILE).open("a") as file:
                file.write(f'\n[capture]\nseal_to = ["{recipient}"]\n' if sealed else "")
                file.write("\n[journal]\nflush_rows = 100\n")
            with Observatory.open(self.folder, write=True) as observatory:
                asyncio.run(watch_world(observatory, clock, self.world.end + DAY))
                self.naming = observatory.naming
                self.seen = set(observatory.first_sights())

    @property
    def opened(self) -> Identities | None:
        return identities(self.secret) if self.sealed else None

    def copy(self, target: Path) -> Path:
        shutil.copytree(self.folder, target)
        return target

    def captures(self, folder: Path) -> dict[int, bytes]:
        """The bytes of every capture, by leaf."""
        found: dict[int, bytes] = {}
        for path in segments(folder / "captures"):
            for read in read_segment(path, self.opened):
                assert read.index is not None
                found[read.index] = b"".join(record.member for record in read.records)
        return found

    def a_post(self) -> Any:
        """A post that was seen, is alive in the end, and is repeated by nobody."""
        repeated = {p.repeats for p in self.world.posts}
        return next(
            p
            for number, p in enumerate(self.world.posts)
            if self.naming(PLATFORM, p.id) in self.seen and not p.loss and number not in repeated
        )


@pytest.fixture(scope="module", params=["plain", "sealed"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        yield Kept(tmp_path_factory.mktemp("kept"), request.param == "sealed")


def secrets_of(kept: Kept, leaves: Collection[int]) -> list[bytes]:
    """Bytes of the file of each of these captures; of a plain one also those that hold its salt."""
    found: list[bytes] = []
    for path in segments(kept.folder / "captures"):
        whole = path.read_bytes()
        for read in read_segment(path, kept.opened):
            if read.index in leaves:
                assert len(read.salt) == 32
                at = read.offset + read.length // 2
                found.append(whole[at : at + 48])
                if not kept.sealed:  # compressed with its manifest: the end of that member
                    found.append(whole[read.offset + read.length - 200 :][:150])
    assert len(found) >= len(leaves) > 0
    return found


def salts_of(kept: Kept, leaves: Collection[int]) -> list[bytes]:
    paths = segments(kept.folder / "captures")
    reads = [read for path in paths for read in read_segment(path, kept.opened)]
    return [read.salt for read in reads if read.index in leaves]


def found_in(folder: Path, content: bytes) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and content in p.read_bytes()]


def tables_with(folder: Path, text: str) -> set[str]:
    """The tables of the present in which a cell holds `text`."""
    found: set[str] = set()
    with closing(sqlite3.connect(folder / "present.sqlite")) as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f"select * from {table}").fetchall()
            if any(text in str(cell) for row in rows for cell in row):
                found.add(table)
    return found


def check(folder: Path, kept: Kept) -> str:
    found = verify_folder(folder, now=SystemClock().now(), identities=kept.opened)
    assert found.sound, found.text()
    return found.text()


def test_a_post_goes_and_every_other_proof_holds(kept: Kept, tmp_path: Path) -> None:
    folder = kept.copy(tmp_path / "o")
    paths, _ = export_receipts(folder, tmp_path / "before", identities=kept.opened, everything=True)
    before = kept.captures(folder)
    post = kept.a_post()
    key = kept.naming(PLATFORM, post.id)
    with opened(folder) as connection:
        going = showing(connection, {key})
    assert all(found_in(folder, each) for each in secrets_of(kept, going))
    with Observatory.open(folder, write=True) as observatory:
        erased = erase(observatory, [key], "the author asked", SystemClock().now())
        assert observatory.is_forgotten([key]) == {key}
    assert (erased.posts, erased.accounts) == (1, 0)
    assert erased.captures >= 2  # the list that first showed it, and its own first answer
    assert not erased.traces
    assert not [each for each in secrets_of(kept, going) if found_in(folder, each)]
    for salt in salts_of(kept, going):  # it would make the leaf's hash say something again
        assert not found_in(folder, salt)
        assert not found_in(folder, salt.hex().encode())
    after = kept.captures(folder)
    assert len(before) - len(after) == erased.captures
    assert all(before[leaf] == content for leaf, content in after.items())
    assert f"{erased.captures} captures were forgotten on purpose" in check(folder, kept)
    verifier = str(Log.open(folder / "log").keys[-1].key)
    for path in paths:
        assert verify(path, key=verifier).sound
    (statement,) = (folder / "log/statements").iterdir()
    said = statement.read_text()
    assert "the author asked" in said
    assert key not in said
    assert post.id not in said
    planted = [key, post.id, f"/p/{post.id}", post.wording.title, post.wording.text.split("\n")[0]]
    content = everything(folder)
    assert content.pop("present.sqlite").count(key.encode()) >= 1  # so that it is not met again
    assert tables_with(folder, key) == {"forgotten"}
    for text in planted:
        assert not [name for name, held in content.items() if text.encode() in held], text
    if not kept.sealed:
        words = b"".join(after.values())
        plain = subprocess.run(["gzip", "-dc"], input=words, capture_output=True).stdout
        # Lists that showed it went whole; nothing that is left names it.
        for text in (post.id, post.wording.title):
            assert text.encode() not in plain, text


def test_an_account_goes_with_its_posts(kept: Kept, tmp_path: Path) -> None:
    folder = kept.copy(tmp_path / "o")
    owner = kept.world.accounts[kept.a_post().account]
    key = kept.naming(PLATFORM, owner.id)
    posts = {
        kept.naming(PLATFORM, p.id)
        for p in kept.world.posts
        if kept.world.accounts[p.account] is owner
    } & kept.seen
    before = kept.captures(folder)
    with opened(folder) as connection:
        going = showing(connection, {key, *posts}) & set(before)
    with Observatory.open(folder, write=True) as observatory:
        erased = erase(observatory, [key], "a court order", SystemClock().now())
        assert not {row.subject for row in observatory.account_rows()} & {key}
        assert not set(observatory.first_sights()) & posts
        assert observatory.acknowledged_looks() == observatory.looks
        assert observatory.is_forgotten([key, *posts]) == set()
    assert (erased.posts, erased.accounts) == (len(posts), 1)
    assert not [each for each in secrets_of(kept, going) if found_in(folder, each)]
    left = kept.captures(folder)
    assert all(before[leaf] == content for leaf, content in left.items())
    assert set(before) - set(left) == going
    check(folder, kept)
    content = everything(folder)
    for text in (key, owner.id, *posts):
        assert not [name for name, held in content.items() if text.encode() in held], text


def test_a_list_goes_whole_and_the_others_on_it_stay_proven(kept: Kept, tmp_path: Path) -> None:
    """Whoever asks to be forgotten must not take away what is known of others."""
    folder = kept.copy(tmp_path / "o")
    with opened(folder) as connection:
        shown = {
            leaf: set(connection.execute(_SHOWN, {"leaf": leaf}).scalars())
            for leaf in kept.captures(folder)
        }
    keys = {kept.naming(PLATFORM, p.id) for p in kept.world.posts} & kept.seen
    leaf, others = max(shown.items(), key=lambda each: len(each[1] & keys))
    key, *rest = sorted(others & keys)
    assert len(rest) > 2
    with Observatory.open(folder, write=True) as observatory:
        erased = erase(observatory, [key], "asked", SystemClock().now())
    assert erased.shared >= 1
    assert str(erased.shared) in erased.text()
    assert leaf not in kept.captures(folder)
    paths, _ = export_receipts(
        folder, tmp_path / "r", keys=rest, identities=kept.opened, everything=True
    )
    verifier = str(Log.open(folder / "log").keys[-1].key)
    proven = {
        subject["key"]
        for path in paths
        for subject in json.loads(path.with_suffix(".json").read_text())["subjects"]
        if verify(path, key=verifier).sound
    }
    assert set(rest) <= proven


def test_who_repeats_what_was_forgotten_is_named(kept: Kept, tmp_path: Path) -> None:
    """Their posts are theirs and stay; but they may hold its words, so the operator is told."""
    folder = kept.copy(tmp_path / "o")
    posts = kept.world.posts
    names = {p.id: kept.naming(PLATFORM, p.id) for p in posts}
    repeated = {
        names[posts[p.repeats].id]: names[p.id]
        for p in posts
        if p.repeats is not None and {names[posts[p.repeats].id], names[p.id]} <= kept.seen
    }
    original, again = min(repeated.items())
    with Observatory.open(folder, write=True) as observatory:
        erased = erase(observatory, [original], "asked", SystemClock().now())
        assert again in erased.repeated_by
        assert again in erased.text()
        assert again in observatory.first_sights()
        both = erase(observatory, erased.repeated_by, "asked", SystemClock().now())
        assert both.posts == len(erased.repeated_by)
    check(folder, kept)


def test_what_is_forgotten_is_not_met_again(kept: Kept, tmp_path: Path) -> None:
    folder = kept.copy(tmp_path / "o")
    key = kept.naming(PLATFORM, kept.a_post().id)
    clock = SteppedClock(kept.world.end + DAY, stride=30 * MINUTE)
    with running(kept.world, clock) as url:
        text = (folder / FILE).read_text("utf-8").replace(kept.url, url)
        (folder / FILE).write_text(text, "utf-8")
        with Observatory.open(folder, write=True) as observatory:
            erase(observatory, [key], "asked", clock.now())
            asyncio.run(watch_world(observatory, clock, kept.world.end + 2 * DAY))
            assert key not in observatory.first_sights()
    check(folder, kept)


@pytest.mark.parametrize(
    ("key", "why", "words"),
    [
        ("zzzzzzzzzzzzzzzz", "asked", "no post or account of this observatory"),
        (None, "", "Give a reason"),
        (None, " \n", "Give a reason"),
        (None, "one\ntwo", "Give a reason"),
        (None, "x" * 501, "Give a reason"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    kept: Kept, tmp_path: Path, key: str | None, why: str, words: str
) -> None:
    folder = kept.copy(tmp_path / "o")
    known = kept.naming(PLATFORM, kept.a_post().id)
    before = kept.captures(folder)
    with Observatory.open(folder, write=True) as observatory:
        with pytest.raises(UsageError, match=words) as refused:
            erase(observatory, [key or known], why, SystemClock().now())
        assert "\n" not in str(refused.value)
        assert observatory.proof is not None
        assert observatory.proof.log.next_index == observatory.proof.log.size
    assert kept.captures(folder) == before
    assert not (folder / "log/statements").exists()


def test_killed_at_each_step_the_next_opening_finishes(kept: Kept, tmp_path: Path) -> None:
    key = kept.naming(PLATFORM, kept.a_post().id)
    base = kept.copy(tmp_path / "base")
    stride = "4" if kept.sealed else "7"  # the steps of both forms are nearly the same
    words = [sys.executable, "-m", "tests.archive.test_erasing", str(base), key, stride]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    copies = sorted(tmp_path.glob("base-*"))
    assert len(copies) >= (10 if kept.sealed else 5)
    begun = 0
    for copy in copies:
        with Observatory.open(copy, write=True) as observatory:
            assert observatory.acknowledged_looks() == observatory.looks
            gone = key not in observatory.first_sights()
        text = check(copy, kept)
        assert gone == ("forgotten on purpose" in text), copy.name  # all of it, or nothing
        begun += gone
        with Observatory.open(copy) as observatory, observatory.past() as past:
            counted = past.execute("select sum(looks) from observations").fetchall()
            assert counted == [(observatory.acknowledged_looks(),)]
    assert 2 < begun < len(copies)


def main() -> None:
    """Erase in copies of a folder, each killed at another step, until one lives through."""
    import os
    import signal

    folder, key = Path(sys.argv[1]), sys.argv[2]
    for step in range(1, 200, int(sys.argv[3])):
        copy = folder.with_name(f"{folder.name}-{step:03d}")
        shutil.copytree(folder, copy)
        child = os.fork()
        if child == 0:
            with Observatory.open(copy, write=True) as observatory:
                die_at(step)
                erasing.erase(observatory, [key], "asked", SystemClock().now())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            shutil.rmtree(copy)
            return
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status


if __name__ == "__main__":
    main()
