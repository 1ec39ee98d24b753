"""Columns in files: what a killed watch leaves is as its present is, or is not used.

A copy of the folder is what a process leaves that is killed at that moment: what it wrote to its
mapped files lies in the system's pages, which a copy reads. `test_kill.py` kills processes.
"""

from __future__ import annotations

import errno
import functools
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.watch.taken_over import begun
from tests.watch.test_loop import BARE, BROKEN, PLATFORM, START, Jumping, Scripted
from vanished.archive.folder import SCHEDULE
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry, PostRow, Track
from vanished.judge import DEFAULT
from vanished.model import ALIVE, HOUR, MINUTE, SECOND, Account, Discovery, Micros, State
from vanished.net.politeness import Politeness
from vanished.watch import columns as c
from vanished.watch import resuming
from vanished.watch.by_price import ORIGIN, ByPrice
from vanished.watch.loop import Watch
from vanished.watch.progress import Event
from vanished.watch.resuming import Keeper

POSTS = [f"p{n}" for n in range(40)]
HOSTS = 3


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setattr(resuming, "_where", lambda file: b"here")  # copies stand for dead processes
    Observatory.create(tmp_path / "o").close()
    return tmp_path / "o"


def answers(post: str, now: Micros) -> Any:
    """A fifth is lost for good; others flicker, fail for an hour, or are away for a while."""
    number, since = int(post[1:]), now - START
    match number % 5:
        case 0 if since > number * MINUTE:
            return PLATFORM if number % 2 else BARE
        case 1 if since % (7 * MINUTE) < 50 * SECOND:
            return BARE
        case 2 if since // HOUR % 2 == 1:
            return BROKEN
        case 3 if 40 * MINUTE < since < 70 * MINUTE:
            return PLATFORM
    return ALIVE


def plainly(post: str, now: Micros) -> Any:
    """A fifth is lost for good."""
    return answers(post, now) if int(post[1:]) % 5 == 0 else ALIVE


def listed(now: Micros) -> list[str]:
    """New posts come one by one; after an hour every seventh is not in the list for a while."""
    since = now - START
    known = POSTS[: 20 + int(since // (5 * MINUTE))]
    if HOUR < since < 3 * HOUR:
        return [post for post in known if int(post[1:]) % 7]
    return known


class Scattered(Scripted):
    """Its posts lie at several hosts."""

    async def discover(self, account: Account, cursor: str, fetch: Any) -> Discovery:
        found = await super().discover(account, cursor, fetch)
        moved = [
            replace(each, post=replace(each.post, url=f"http://t{int(n[1:]) % HOSTS}/{n}"))
            for each in found.sightings
            for n in (each.post.native_id,)
        ]
        return replace(found, sightings=tuple(moved))


def watching(
    observatory: Observatory,
    clock: Jumping,
    events: list[Event],
    listed: Callable[[Micros], Sequence[str]] = listed,
    answers: Callable[[str, Micros], Any] = answers,
) -> Watch:
    source = Scattered(observatory.naming, clock, listed, answers)
    door: Any = SimpleNamespace(
        fetcher=lambda prepaid=1, proxy=None: SimpleNamespace(exchanges=[]),
        settings=SimpleNamespace(timeout_s=5.0), politeness=Politeness(1.0),
    )  # fmt: skip
    if not observatory.account_rows():
        observatory.add_account(source.account("a"), START)
    keeper = Keeper(observatory, lambda error: events.append(Event("refused", clock.now(), {})))
    schedule = ByPrice({"page": 1}, learnt=observatory.learnt(), columns=keeper.columns)
    return Watch(
        observatory, {"page": source}, door, clock, schedule, discover_every=HOUR // 4,
        keeper=keeper, tell=events.append,
    )  # fmt: skip


async def test_a_watch_that_ended_leaves_columns_that_the_next_takes_over(folder: Path) -> None:
    clock, events = Jumping(), list[Event]()
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, events).run(START + 3 * HOUR)
    assert [event for event in events if event.kind == "schedule"] == []  # there were no posts
    taken, anew, why = begun(folder, clock.now())
    assert why == ""
    assert taken == anew
    assert len(taken["row"]) > 35


async def test_no_topic_stays_in_the_files_of_a_watch_that_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who shares one with whom tells of their words."""
    clock, real, met = Jumping(), Keeper.end, list[bool]()

    def end(keeper: Keeper) -> None:
        met.append(bool(keeper.columns.topic.any()))
        real(keeper)

    monkeypatch.setattr(Keeper, "end", end)
    await watched(folder, clock, START + HOUR, [])
    assert met == [True]
    assert not resuming.KeptColumns(folder / SCHEDULE).topic.any()


MOMENTS = (
    (ByPrice, "learn", True), (ByPrice, "enter", True), (ByPrice, "enter", False),
    (Observatory, "commit", False), (Keeper, "settled", True), (Keeper, "settled", False),
    (ByPrice, "take", False), (ByPrice, "put", True),
)  # fmt: skip
"""What the watch calls, and whether it dies before that or after."""


async def test_whatever_moment_it_is_killed_at_the_columns_are_as_the_present(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At moments drawn from a seed a copy is taken; every one of them must start in step."""
    clock, chance = Jumping(), random.Random(11)
    copies: list[tuple[Path, Micros, str]] = []
    taken: dict[tuple[type, str, bool], int] = dict.fromkeys(MOMENTS, 0)
    calls = taken.copy()

    def copy(moment: tuple[type, str, bool]) -> None:
        calls[moment] += 1  # the first commits bring most of the posts, and all hosts
        if taken[moment] < 5 and chance.random() < (0.25 if calls[moment] < 12 else 0.02):
            taken[moment] += 1
            at = folder.parent / f"copy{len(copies)}"
            shutil.copytree(folder, at)
            copies.append((at, clock.now(), f"{moment[1]} {moment[2]}"))

    def dying(of: type, name: str) -> None:
        real: Callable[..., Any] = getattr(of, name)

        @functools.wraps(real)
        def wrapped(*args: Any, **named: Any) -> Any:
            if (of, name, True) in taken:
                copy((of, name, True))
            result = real(*args, **named)
            if (of, name, False) in taken:
                copy((of, name, False))
            return result

        monkeypatch.setattr(of, name, wrapped)

    with Observatory.open(folder, write=True) as observatory:
        watch = watching(observatory, clock, [])
        for of, name in dict.fromkeys(moment[:2] for moment in MOMENTS):
            dying(of, name)
        await watch.run(START + 3 * HOUR)
    for of, name in dict.fromkeys(moment[:2] for moment in MOMENTS):
        monkeypatch.setattr(of, name, getattr(of, name).__wrapped__)
    for at, when, moment in copies:
        found, anew, why = begun(at, when)
        assert (found, why) == (anew, ""), moment
    assert min(taken.values()) >= 3
    assert len(found["row"]) > 20
    assert {host for _, host in found["arm"]} == {f"t{n}" for n in range(HOSTS)}


async def test_after_every_commit_the_columns_are_as_the_present(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of posts with wished dates as well, whose proofs no date of theirs rests on."""
    clock, commits = Jumping(), list[int]()
    real = Keeper.settled

    def settled(keeper: Keeper, *args: Any) -> None:
        real(keeper, *args)
        posts, found = observatory.schedule_columns(lambda name: 0), keeper.columns
        for name in ("born", "last"):
            expected = (getattr(posts, name) - ORIGIN) // SECOND
            assert getattr(found, name)[posts.ids].tolist() == expected.tolist(), name
        assert found.account[posts.ids].tolist() == posts.account.tolist()
        live = np.flatnonzero(found.flags[: found.used] & c.LIVE)
        assert live.tolist() == sorted(posts.ids.tolist())
        commits.append(len(live))

    monkeypatch.setattr(Keeper, "settled", settled)
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, []).run(START + 100 * MINUTE)
    assert len(commits) > 200


async def test_no_bracket_starts_later_than_its_proof_over_many_deaths(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six times the watch dies in the middle of an hour, and what it left lives on after it."""
    clock, place = Jumping(), folder
    proven: dict[str, set[Micros]] = {post: set() for post in POSTS}
    real = ByPrice.enter
    for hour in range(1, 7):
        dead, calls = folder.parent / f"dead{hour}", iter(range(10**9))

        def dying(*args: Any, left: Path = dead, living: Path = place, calls: Any = calls) -> None:
            real(*args)
            if next(calls) == 20:  # the columns hold what the present does not
                shutil.copytree(living, left)

        monkeypatch.setattr(ByPrice, "enter", dying)
        with Observatory.open(place, write=True) as observatory:
            watch = watching(observatory, clock, [], lambda now: POSTS, plainly)
            await watch.run(START + hour * HOUR)
            source: Any = watch.sources["page"]
            for post, at in source.asked:
                if plainly(post, at) is ALIVE:
                    proven[post].add(at)
        place = dead
    monkeypatch.setattr(ByPrice, "enter", real)
    stale = int(DEFAULT.stale_s * SECOND)  # how old the copy may be that a platform answered from
    with Observatory.open(place, write=True) as observatory:
        await watching(observatory, clock, [], lambda now: POSTS, plainly).run(START + 8 * HOUR)
        losses = [v for v in observatory.verdicts() if v.state is State.GONE]
        names = {row.subject: row.post.native_id for row in observatory.post_rows(range(1, 41))}
        assert {names[v.subject] for v in losses} == {f"p{n}" for n in range(0, 40, 5)}
        bracketed = 0
        for verdict in losses:
            post = names[verdict.subject]
            assert verdict.interval is not None
            assert verdict.interval.first_gone_at > START + int(post[1:]) * MINUTE
            if verdict.interval.last_alive_at is None:  # what proved it alive died with a watch
                continue
            assert verdict.interval.last_alive_at + stale in proven[post]
            bracketed += 1
        assert bracketed >= 4
    taken, anew, why = begun(place, clock.now())
    assert (taken, why) == (anew, "")


NONE = "there are none of the last session"


async def watched(folder: Path, clock: Jumping, until: Micros, events: list[Event]) -> None:
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, events).run(until)


async def test_columns_are_made_anew_where_something_else_changed_posts(folder: Path) -> None:
    """Else an imported post would never be asked about, and a forgotten one again."""
    clock = Jumping()
    await watched(folder, clock, START + HOUR, [])
    assert begun(folder, clock.now())[2] == ""
    with Observatory.open(folder, write=True) as observatory:
        observatory.commit(Entry(), clock.now())  # as an import does
    found, anew, why = begun(folder, clock.now())
    assert (found, why) == (anew, NONE)
    with Observatory.open(folder, write=True) as observatory:
        observatory.forget_rows([observatory.post_rows([3])[0].post.key])
    assert not (folder / SCHEDULE).exists()  # its times are nobody's business any more
    events: list[Event] = []
    await watched(folder, clock, clock.now() + MINUTE, events)
    assert [event.facts["why"] for event in events if event.kind == "schedule"] == [NONE]
    assert begun(folder, clock.now())[2] == ""
    with Observatory.open(folder, write=True) as observatory:
        observatory.forget_rows([observatory.post_rows([4])[0].post.key])
    found, anew, why = begun(folder, clock.now())
    assert (found, why) == (anew, NONE)
    assert not {3, 4} & set(found["row"])


async def test_an_import_after_a_death_in_a_commit_is_not_taken_for_that_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head notes rows of a commit that never came; another's commit has its number."""
    clock, dead, calls = Jumping(), folder.parent / "dead", iter(range(10**9))
    real = ByPrice.enter

    def dying(*args: Any) -> None:
        real(*args)
        if next(calls) == 20:
            shutil.copytree(folder, dead)

    monkeypatch.setattr(ByPrice, "enter", dying)
    await watched(folder, clock, START + HOUR, [])
    monkeypatch.setattr(ByPrice, "enter", real)
    with Observatory.open(dead, write=True) as observatory:
        row = observatory.post_rows([1])[0]
        post = replace(row.post, key=observatory.naming("page", "new"), native_id="new")
        new = PostRow(observatory.next_post_id(), post, row.account_id, Track(due=clock.now()))
        observatory.commit(Entry(new_posts=[new]), clock.now())
    found, anew, why = begun(dead, clock.now())
    assert (found, why) == (anew, NONE)
    assert new.id in found["row"]


async def test_a_present_restored_from_a_copy_is_not_joined_with_other_columns(
    folder: Path,
) -> None:
    """Neither with newer ones, nor with those of a session that began where this one did."""
    clock = Jumping()
    await watched(folder, clock, START + HOUR, [])
    old, twin = folder.parent / "old", folder.parent / "twin"
    for copy in (old, twin):
        shutil.copytree(folder, copy)
    began = clock.now()
    await watched(folder, clock, START + 2 * HOUR, [])
    clock.time = began
    await watched(twin, clock, START + 2 * HOUR, [])
    seqs = []
    for of, by in ((old, folder), (twin, folder)):
        shutil.rmtree(of / SCHEDULE)
        shutil.copytree(by / SCHEDULE, of / SCHEDULE)
        with Observatory.open(of) as observatory:
            seqs.append(observatory.seq)
        found, anew, why = begun(of, clock.now())
        assert (found, why) == (anew, NONE)
    with Observatory.open(folder) as observatory:
        assert seqs[1] == observatory.seq > seqs[0]  # its number alone would have passed


async def test_older_columns_of_the_same_session_are_made_anew(folder: Path) -> None:
    clock = Jumping()
    with Observatory.open(folder, write=True) as observatory:
        watch = watching(observatory, clock, [])
        await watch.run(START + HOUR)
        assert watch.keeper is not None
        watch.keeper.columns.head["seq"] -= 2
    found, anew, why = begun(folder, clock.now())
    assert (found, why) == (anew, "they are of another moment than the present")


@pytest.mark.parametrize(
    ("closed", "why"),
    [(0, "the machine stopped while they were written, or they are a copy"), (1, "")],
)
async def test_columns_count_elsewhere_only_if_they_were_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, closed: int, why: str
) -> None:
    clock = Jumping()
    with Observatory.open(folder, write=True) as observatory:
        watch = watching(observatory, clock, [])
        await watch.run(START + HOUR)
        assert watch.keeper is not None
        assert watch.keeper.columns.head["closed"][0] == 1
        watch.keeper.columns.head["closed"] = closed
    monkeypatch.setattr(resuming, "_where", lambda file: b"there")
    assert begun(folder, clock.now())[2] == why


def test_where_is_the_file_itself_and_the_boot(tmp_path: Path) -> None:
    file, copy = tmp_path / "head", tmp_path / "copy"
    file.write_bytes(b"x")
    shutil.copy(file, copy)
    assert resuming._where(file) == resuming._where(file)
    assert resuming._where(file) != resuming._where(copy)
    assert len(resuming._where(file)) <= resuming.HEAD["where"].itemsize


async def test_files_that_are_cut_short_are_made_anew(folder: Path) -> None:
    clock = Jumping()
    await watched(folder, clock, START + HOUR, [])
    keeper = resuming.KeptColumns(folder / SCHEDULE)
    keeper.use(2000)
    os.truncate(folder / SCHEDULE / "due", 1500 * 4)
    found, anew, why = begun(folder, clock.now())
    assert (found, why) == (anew, "their files are cut short")


async def test_a_damaged_head_is_made_anew(folder: Path) -> None:
    clock = Jumping()
    await watched(folder, clock, START + HOUR, [])
    size = (folder / SCHEDULE / "head").stat().st_size
    (folder / SCHEDULE / "head").write_bytes(b"\xff" * size)
    found, anew, why = begun(folder, clock.now())
    assert (found, why) == (anew, NONE)


def test_columns_in_files_grow_and_come_back(tmp_path: Path) -> None:
    made = resuming.KeptColumns(tmp_path / "schedule")
    made.use(3000)
    made.due[2999], made.flags[2999], made.born[2999] = 7, c.LIVE, -5
    made.use(9000)
    made.due[8999] = 9
    del made
    again = resuming.KeptColumns(tmp_path / "schedule")
    assert again.used == 9000
    assert (again.due[2999], again.flags[2999], again.born[2999]) == (7, c.LIVE, -5)
    assert again.due[8999] == 9
    assert again.due[8998] == c.NO_DATE


def test_a_full_disk_is_an_error_before_a_page_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a mapped file that finds no room would end the process without a word."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        resuming.KeptColumns(tmp_path / "schedule")


async def test_a_disk_that_fills_up_ends_no_watch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on in memory, says so once, and the next start does not trust the files."""
    clock, events, looks = Jumping(), list[Event](), []

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Observatory.open(folder, write=True) as observatory:
        watch = watching(observatory, clock, events)
        observatory._next_post = 1000  # a few more posts, and the files have to grow
        monkeypatch.setattr("os.posix_fallocate", full)
        await watch.run(START + 4 * HOUR)
        looks = [event for event in events if event.kind == "commit"]
        assert not watch.schedule.priced.columns.in_files  # type: ignore[attr-defined]
    assert [event.kind for event in events].count("refused") == 1
    assert events[-1].kind == "stopped"
    assert len(looks) > 10
    monkeypatch.undo()
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    found, anew, why = begun(folder, clock.now())
    assert (found, why) == (anew, NONE)
    assert max(found["row"]) > 1024
