"""Proves what it saw in processes that are meant to be killed; started by `test_proof_crash`.

    proof_writer.py FOLDER PLACES

FOLDER holds an empty observatory. A first copy lives through and counts its steps: writes of the
log and of segments, fsyncs, renames, removals, commits. Then PLACES copies are killed, each before
(or in the middle of) another step, evenly spread. Each prints a line of JSON after every commit:
its copy, how many leaves are acknowledged, and the checkpoint that is published.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.archive.capture.killed_writer import Mined
from tests.archive.capture.made import START
from vanished.archive.capture import Subject
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Change, Entry, Evidence, PostRow, Track
from vanished.model import ALIVE, MINUTE, Account, Observation, Post
from vanished.net.exchange import Exchange, Leg

COMMITS = 14
BATCH = 3


def evidence(observatory: Observatory, row: PostRow, now: int) -> Evidence:
    """A capture of a page with words of its own."""
    index = observatory.next_leaf()
    body = f"<p>the words of {row.post.native_id} at leaf {index}</p>".encode() * 40
    leg = Leg(
        "GET", row.post.url, (("Host", "a.example"),), b"", now, now + 9, 200, "OK",
        (("Content-Type", "text/html"), ("Content-Length", str(len(body)))), body,
    )  # fmt: skip
    exchange = Exchange(row.post.url, now, now + 9, 200, legs=(leg,))
    subjects = (Subject(row.subject, "first", now),)
    facts = {"native_id": row.post.native_id}
    return Evidence(index, now, "here", subjects, facts, (exchange,))


def write(observatory: Observatory, tell: Callable[[], None], commits: int = COMMITS) -> None:
    """Some commits of new posts with their captures; flushes and segments roll on the way."""
    assert observatory.proof is not None
    owner = observatory.account_rows()[0]
    for number in range(commits):
        now = START + (observatory.proof.log.next_index + 1) * 3 * MINUTE
        entry = Entry()
        for n in range(BATCH):
            native = f"native-{number}-{n}-{observatory.seq}"
            key = observatory.naming("page", native)
            url = f"https://a.example/{native}"
            post = Post(key, owner.account.key, "page", native, url, now, now)
            row = PostRow(observatory.next_post_id(), post, owner.id, Track())
            made = evidence(observatory, row, now + n)
            row.track.run = observatory.next_run()
            seen = Observation(key, now + n, now + n + 9, ALIVE, capture=str(made.index))
            entry.new_posts.append(row)
            entry.changes.append(Change(row, seen, run=row.track.run))
            entry.evidence.append(made)
        observatory.commit(entry, now)
        if number % 5 == 4:
            observatory.flush()
        tell()


def die_at(step: int) -> Callable[[], int]:
    """Make the n-th step from now on the last; gives how many there were."""
    steps = itertools.count(1)
    reached = [0]

    def strike() -> bool:
        reached[0] = next(steps)
        return reached[0] == step

    def mined(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:
            if strike():
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **named)

        return instead

    plain = os.write

    def os_write(descriptor: int, content: Any) -> int:
        if strike():
            plain(descriptor, bytes(content)[: len(content) * 2 // 3])
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(descriptor, content)

    opened = Path.open

    def path_open(self: Path, mode: str = "r", *given: Any, **named: Any) -> Any:
        file = opened(self, mode, *given, **named)
        return Mined(file, strike) if "captures" in self.parts and "+" in mode else file

    os.fsync = mined(os.fsync)
    os.write = os_write
    Path.open = path_open  # type: ignore[method-assign]
    Path.replace = mined(Path.replace)  # type: ignore[method-assign]
    Path.unlink = mined(Path.unlink)  # type: ignore[method-assign]

    def before_commit(connection: object) -> None:
        if strike():
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "commit", before_commit)
    return lambda: reached[0]


def run(folder: Path, step: int) -> int:
    """One copy's life in a child; its exit code, negative if it was killed."""
    child = os.fork()
    if child == 0:
        count = die_at(step)
        with Observatory.open(folder, write=True) as observatory:
            assert observatory.proof is not None
            proof = observatory.proof

            def tell() -> None:
                note = base64.b64encode((folder / "log/checkpoint").read_bytes()).decode()
                leaves = proof.log.next_index
                line = {"copy": folder.name, "kept": leaves, "note": note}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()

            write(observatory, tell)
        sys.stdout.write(json.dumps({"copy": folder.name, "steps": count()}) + "\n")
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    folder, places = Path(sys.argv[1]), int(sys.argv[2])
    whole = folder.with_name("whole")
    shutil.copytree(folder, whole)
    steps_file = folder.with_name("steps")
    reading, writing = os.pipe()
    kept = os.dup(1)
    os.dup2(writing, 1)
    code = run(whole, 0)
    os.dup2(kept, 1)
    os.close(writing)
    assert code == 0, code
    lines = os.fdopen(reading).read().splitlines()
    steps = json.loads(lines[-1])["steps"]
    steps_file.write_text(str(steps))
    for place in range(places):
        step = 1 + place * (steps - 1) // (places - 1)
        copy = folder.with_name(f"step-{step:04d}")
        shutil.copytree(folder, copy)
        code = run(copy, step)
        assert code == -signal.SIGKILL, (step, code)


def account(observatory: Observatory) -> None:
    """The account whose posts are proven."""
    key = observatory.naming("page", "native-account")
    made = Account(key, "page", "native-account", "A name", "https://a.example/")
    observatory.add_account(made, START)


if __name__ == "__main__":
    main()
