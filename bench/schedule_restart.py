"""How soon a watch of four million posts asks again after kill -9.

In: nothing. Out: seconds. An observatory is filled with generated rows of posts, straight into its
database; a watch's schedule begins over it in a process of its own, which takes looks and is killed
in the middle of them. What is measured runs from opening the observatory in a fresh process,
imports not counted, over all that a watch reads of posts when it begins, to the first looks handed
out and their rows read.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from bench.harness import BenchError
from vanished.archive import present
from vanished.archive.mapping import HOST, WHO_POST
from vanished.archive.observatory import Observatory
from vanished.model import SECOND, Account, Micros
from vanished.watch.by_price import ByPrice
from vanished.watch.resuming import Keeper
from vanished.watch.wavering import WAVERING

POSTS = 4_000_000
ACCOUNTS = 2000
NOW: Micros = 1_764_374_400 * SECOND
PATIENCE_S = 600
UNDER_WAY = 1000
_FILL = """
    insert into posts (id, key, account_id, platform, who, host, published_at, first_seen_at,
        version, pictures, awaited, due, state, last_alive_at, last_alive_answered_at, alive_looks,
        gone_looks, failures, absent, said, last_asked_at, has_case, proven)
    with recursive n(i) as (select 1 union all select i + 1 from n where i < :posts)
    select i, printf('%016x', i), 1 + i % :accounts, 'page', :who, :host,
        :now - (i * 7919 % 250000) * 1000000, :now - (i * 7919 % 250000) * 1000000, '', '', x'',
        :now + (i * 104729 % 40000) * 1000000, 'alive',
        :now - (i * 104729 % 20000) * 1000000, :now - (i * 104729 % 20000) * 1000000, 1,
        0, 0, 0, 0, :now - (i * 104729 % 20000) * 1000000, 0, 0
    from n
"""


def seconds() -> tuple[float, float]:
    """Seconds until the first looks: after a kill, and where the columns have to be made anew."""
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as parent:
        os.environ["VANISHED_KEY"] = secrets.token_hex(32)
        folder = Path(parent) / "observatory"
        _fill(folder)
        anew = _in_a_process(_until_looks, folder)
        proofs = _killed(folder)
        again = _in_a_process(_until_looks, folder)
        if again[1] != proofs:
            raise BenchError("the schedule did not come back as it was")
        if again[2]:
            raise BenchError(f"the columns were made anew: {again[2]}")
        return again[0], anew[0]


def _fill(folder: Path) -> None:
    with Observatory.create(folder) as observatory:
        for number in range(ACCOUNTS):
            address = f"http://t/{number}"
            key = observatory.naming("page", address)
            observatory.add_account(Account(key, "page", address, "", address), NOW)
        who = observatory.vault.seal_list(["http://t/a/post/1", "http://t/a/post/1", ""], WHO_POST)
        host = observatory.vault.seal_often("t", HOST)
    database = sqlite3.connect(folder / present.FILE)
    with database:
        facts = {"posts": POSTS, "accounts": ACCOUNTS, "who": who, "host": host, "now": NOW}
        database.execute(_FILL, facts)
    database.close()


def _begun(observatory: Observatory) -> tuple[ByPrice, Keeper, str]:
    keeper = Keeper(observatory)
    schedule = ByPrice({"page": 1}, learnt=observatory.learnt(), columns=keeper.columns)
    hosts: dict[str, int] = {}
    why = keeper.begin(
        schedule, lambda name: hosts.setdefault(name, len(hosts)), lambda host: 500.0, NOW
    )
    observatory.begin_session(NOW)
    keeper.settled(schedule.arms, lambda host: next(n for n, k in hosts.items() if k == host))
    return schedule, keeper, why


def _until_looks(folder: str, answer: Connection) -> None:
    began = time.perf_counter()
    with Observatory.open(Path(folder), write=True) as observatory:
        schedule, _, why = _begun(observatory)
        observatory.rows_in(WAVERING, ["page"])
        rows = observatory.post_rows(schedule.take(NOW + SECOND, lambda host: 500, 500))
        took = time.perf_counter() - began
        if len(rows) != 500:
            raise BenchError("the first looks are missing")
        answer.send((took, int(schedule.priced.columns.last.astype("int64").sum()), why))


def _until_killed(folder: str, answer: Connection) -> None:
    with Observatory.open(Path(folder), write=True) as observatory:
        schedule, _, _ = _begun(observatory)
        for second in range(1, 4):
            schedule.take(NOW + second * SECOND, lambda host: UNDER_WAY, UNDER_WAY)
        answer.send(int(schedule.priced.columns.last.astype("int64").sum()))
        time.sleep(PATIENCE_S)


def _killed(folder: Path) -> int:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_until_killed, args=(str(folder), theirs))
    process.start()
    if process.pid is None or not ours.poll(PATIENCE_S):
        raise BenchError("the schedule that was to be killed did not begin")
    proofs: int = ours.recv()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return proofs


def _in_a_process(work: Callable[[str, Connection], None], folder: Path) -> tuple[float, int, str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(str(folder), theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE_S):
            raise BenchError("the schedule did not begin")
        found: tuple[float, int, str] = ours.recv()
    except EOFError:
        raise BenchError("the schedule did not begin") from None
    process.join()
    return found
