"""Forgets in processes that are meant to be killed; started by `test_forget_journal` as a process.

    forgetting_writer.py FOLDER KEY [KEY ...]

For each step (an fsync, rename, removal, commit or clean-up of the database) it copies FOLDER to
FOLDER-step, forgets the keys there, and kills itself before the step happens. It prints the number
of a step a line, and "whole" when a copy lived through.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vanished.archive.columns import GAP, Coverage, Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Change, Entry, PostRow, Track
from vanished.model import (
    ALIVE,
    DAY,
    Account,
    Cause,
    Kind,
    Observation,
    Post,
    Signal,
    State,
    Verdict,
    Version,
)

DAYS = 20_000 * DAY
GONE = Signal(Kind.GONE, frozenset({Cause.PLATFORM}), rule="x/y@1", words="a notice")


def fill(folder: Path, accounts: int = 2, posts: int = 3, rounds: int = 2) -> None:
    """A small past: `rounds` flushes, and a tail that is not flushed; texts name their posts."""
    with Observatory.create(folder) as observatory:
        rows: list[PostRow] = []
        for number in range(accounts):
            native = f"native-account-{number}"
            key = observatory.naming("page", native)
            account = Account(key, "page", native, f"Name {number}", f"https://a{number}.example/")
            observatory.add_account(account, DAYS)
            entry = Entry(coverage=[Coverage(key, DAYS, DAYS + 1, GAP, "it was silent")])
            for n in range(posts):
                post = a_post(observatory, key, number, n)
                row = PostRow(observatory.next_post_id(), post, number + 1, Track())
                entry.new_posts.append(row)
                entry.coverage.append(Coverage(row.subject, DAYS, DAYS + 1, GAP, "it was silent"))
                rows.append(row)
            observatory.commit(entry, DAYS)
        for round_ in range(rounds + 1):
            observatory.commit(a_round(observatory, rows, round_), DAYS)
            if round_ < rounds:
                observatory.flush()


def a_post(observatory: Observatory, account: str, number: int, n: int) -> Post:
    native = f"native-post-{number}-{n}"
    key = observatory.naming("page", native)
    return Post(key, account, "page", native, f"https://a{number}.example/{n}", DAYS, DAYS)


def a_round(observatory: Observatory, rows: list[PostRow], round_: int) -> Entry:
    """A look of two days at each post, with a wording and a verdict of its own."""
    entry = Entry()
    for row in rows:
        row.track.has_case = True
        now = DAYS + (round_ % 2) * DAY + round_ * 1_000_000
        seen = Observation(row.subject, now, now + 9, GONE if round_ else ALIVE, looks=1 + round_)
        row.track.run = observatory.next_run()
        entry.changes.append(Change(row, seen, case=(seen,), run=row.track.run))
        text = f"the words of {row.post.native_id} in round {round_}"
        entry.versions.append(Wording(row.subject, now, Version("h", f"title: {text}", text)))
        verdict = Verdict(row.subject, State.GONE, frozenset({Cause.PLATFORM}), words=text)
        entry.verdicts[row.subject] = Judgement(now, verdict)
    return entry


def die_at(step: int) -> None:
    """Make the n-th step from now on kill this process before it happens."""
    steps = itertools.count(1)

    def reached() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def mined(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:
            reached()
            return call(*given, **named)

        return instead

    os.fsync = mined(os.fsync)
    Path.replace = mined(Path.replace)  # type: ignore[method-assign]
    Path.unlink = mined(Path.unlink)  # type: ignore[method-assign]
    sa.event.listen(sa.Engine, "commit", lambda connection: reached())

    def execute(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(("VACUUM", "PRAGMA wal_checkpoint")):
            reached()

    sa.event.listen(sa.Engine, "before_cursor_execute", execute)


def main() -> None:
    folder, stride, keys = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    for step in range(1, 200, stride):
        copy = folder.with_name(f"{folder.name}-{step}")
        shutil.copytree(folder, copy)
        child = os.fork()
        if child == 0:
            with Observatory.open(copy, write=True) as observatory:
                die_at(step)
                observatory.forget_rows(keys)
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            print("whole", flush=True)
            return
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status
        print(step, flush=True)


if __name__ == "__main__":
    main()
