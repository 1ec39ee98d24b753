"""Columns in files: what a killed watch leaves is as its present is, or is not used.

A copy of the folder is what a process leaves that is killed at that moment: what it wrote to its
mapped files lies in the system's pages, which a copy reads.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.watch.test_loop import BARE, PLATFORM, START, Jumping, Scripted
from vanished.archive.observatory import Observatory
from vanished.judge import DEFAULT
from vanished.model import ALIVE, DAY, HOUR, MINUTE, SECOND, Micros, State
from vanished.net.politeness import Politeness
from vanished.watch import columns as c
from vanished.watch import resuming
from vanished.watch.by_price import ByPrice
from vanished.watch.ledger import Event
from vanished.watch.loop import Watch
from vanished.watch.resuming import Keeper

POSTS = [f"p{n}" for n in range(40)]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    Observatory.create(tmp_path / "o").close()
    return tmp_path / "o"


def answers(post: str, now: Micros) -> Any:
    number = int(post[1:])
    if number % 5 == 0 and now > START + number * MINUTE:
        return PLATFORM if number % 2 else BARE
    return ALIVE


def watching(observatory: Observatory, clock: Jumping, events: list[Event]) -> Watch:
    source = Scripted(observatory.naming, clock, lambda now: POSTS, answers)
    door: Any = SimpleNamespace(
        fetcher=lambda prepaid=1, proxy=None: SimpleNamespace(exchanges=[]),
        settings=SimpleNamespace(timeout_s=5.0), politeness=Politeness(1.0),
    )  # fmt: skip
    observatory.add_account(source.account("a"), START)
    keeper = Keeper(observatory)
    schedule = ByPrice({"page": 1}, learnt=observatory.learnt(), columns=keeper.columns)
    return Watch(
        observatory, {"page": source}, door, clock, schedule, discover_every=HOUR, keeper=keeper,
        tell=events.append,
    )  # fmt: skip


def columns_of(schedule: ByPrice) -> dict[str, list[Any]]:
    """What is known of each live row, by row; `last` of the proof."""
    found = schedule.priced.columns
    live = np.flatnonzero(found.flags[: found.used] & c.LIVE)
    names = ("born", "last", "account", "arm")
    return {"row": live.tolist()} | {name: getattr(found, name)[live].tolist() for name in names}


def begun(folder: Path, at: Micros) -> tuple[dict[str, list[Any]], dict[str, list[Any]], str]:
    """The columns of a start over `folder`, those made from its present, and why they were made."""
    with Observatory.open(folder, write=True) as observatory:
        keeper = Keeper(observatory)
        schedule = ByPrice({"page": 1}, columns=keeper.columns)
        numbers: dict[str, int] = {}
        why = keeper.begin(
            schedule, lambda name: numbers.setdefault(name, len(numbers)), lambda host: 1.0, at
        )
        anew = ByPrice({"page": 1})
        anew.begin(observatory.schedule_columns(numbers.__getitem__), lambda host: 1.0, at)
        assert numbers == {"t": 0}
        return columns_of(schedule), columns_of(anew), why


async def test_a_watch_that_ended_leaves_columns_that_the_next_takes_over(folder: Path) -> None:
    clock, events = Jumping(), list[Event]()
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, events).run(START + 3 * HOUR)
    assert [event.facts["why"] for event in events if event.kind == "schedule"] != []
    taken, anew, why = begun(folder, clock.now())
    assert why == ""
    assert taken == anew
    assert len(taken["row"]) >= len(POSTS)


@pytest.mark.parametrize("moment", ["touched", "entered", "committed", "put", "settled"])
async def test_whatever_moment_it_is_killed_at_the_columns_are_as_the_present(
    folder: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each commit's five moments a copy is taken; every one of them must start in step."""
    clock, copies = Jumping(), list[Path]()

    def copy() -> None:
        at = folder.parent / f"copy{len(copies)}"
        shutil.copytree(folder, at)
        copies.append(at)

    def before_and_after(of: type, name: str, *, before: bool) -> None:
        real: Callable[..., Any] = getattr(of, name)
        calls = iter(range(10**9))

        def wrapped(*args: Any, **named: Any) -> Any:
            due = next(calls) % 9 == 4 and len(copies) < 12
            if due and before:
                copy()
            result = real(*args, **named)
            if due and not before:
                copy()
            return result

        monkeypatch.setattr(of, name, wrapped)

    where = {
        "touched": (ByPrice, "enter", True), "entered": (ByPrice, "enter", False),
        "committed": (Observatory, "commit", False), "put": (Keeper, "settled", True),
        "settled": (Keeper, "settled", False),
    }  # fmt: skip
    of, name, before = where[moment]
    before_and_after(of, name, before=before)
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, []).run(START + 2 * HOUR)
    monkeypatch.undo()
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    reasons = set()
    for at in copies:
        taken, anew, why = begun(at, clock.now())
        assert taken == anew
        reasons.add(why)
    assert len(copies) >= 10
    assert "" in reasons  # and were not made anew each time


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
            watch = watching(observatory, clock, [])
            await watch.run(START + hour * HOUR)
            source: Any = watch.sources["page"]
            for post, at in source.asked:
                if answers(post, at) is ALIVE:
                    proven[post].add(at)
        place = dead
    monkeypatch.setattr(ByPrice, "enter", real)
    stale = int(DEFAULT.stale_s * SECOND)  # how old the copy may be that a platform answered from
    with Observatory.open(place, write=True) as observatory:
        await watching(observatory, clock, []).run(START + 8 * HOUR)
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


async def test_columns_are_made_anew_where_something_else_changed_posts(folder: Path) -> None:
    clock = Jumping()
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, []).run(START + HOUR)
        row = observatory.post_rows([3])[0]
        observatory.forget_rows([row.post.key])
    taken, anew, why = begun(folder, clock.now())
    assert why == "there are none of this observatory's last watch"
    assert taken == anew
    assert 3 not in taken["row"]
    with Observatory.open(folder, write=True) as observatory:
        observatory.begin_session(clock.now() + DAY)  # a commit that is no watch's
    taken, anew, why = begun(folder, clock.now())
    assert why == "posts were changed by something else than a watch"
    assert taken == anew


async def test_a_present_restored_from_a_copy_is_not_joined_with_newer_columns(
    folder: Path,
) -> None:
    clock = Jumping()
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, []).run(START + HOUR)
    old = folder.parent / "old"
    shutil.copytree(folder, old)
    with Observatory.open(folder, write=True) as observatory:
        await watching(observatory, clock, []).run(START + 2 * HOUR)
    shutil.rmtree(old / resuming.FOLDER)
    shutil.copytree(folder / resuming.FOLDER, old / resuming.FOLDER)
    taken, anew, why = begun(old, clock.now())
    assert why == "posts were changed by something else than a watch"
    assert taken == anew


async def test_a_machine_that_stopped_leaves_nothing_to_take_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Jumping()
    with Observatory.open(folder, write=True) as observatory:
        watch = watching(observatory, clock, [])
        await watch.run(START + HOUR)
        keeper = watch.keeper
        assert keeper is not None
        keeper.columns.head["closed"] = 0
    monkeypatch.setattr(resuming, "_boot", lambda: "another")
    assert begun(folder, clock.now())[2] == "the machine stopped while they were written"


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
