"""What the dashboard claims: pages at once over a million posts, with the watch running beside it.

The archive holds 10^6 posts and more than 10^5 losses. A writer commits a lab watch's looks and
verdicts to the same observatory while pages are asked for. The peer is Datasette in an environment
of its own, over the same SQLite file (a copy, read only, as it is best served), on the same list
and the same search over the same full-text index; both are timed at the client, in turn. Times of
ours that a bar is for are the server's own. Then a watch's looks a second, with and without fifty
readers of the dashboard.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlencode

from bench.desk_readers import ask, connected
from bench.harness import ROOT, BenchError, Claim, Peer, at_least, at_most
from bench.ours import look
from bench.pages import site
from bench.peers import peer_python, peer_version
from vanished.lab.large import write_large
from vanished.publish.desk.pages import EXPORTED
from vanished.publish.desk.serving import NICE
from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.grams import query
from vanished.publish.shelf.layout import path_of

POSTS = 1_000_000
REMOVED = 0.06
SEED = 11
ROUNDS = 40
SEARCHED = ("沽栎", "天气", "医院", "学校", "水")
READERS = 50
WATCHED_S = 8.0
WATCH_ROUNDS = 5
READY_S = 300


def paths(account: str, post: str) -> list[str]:
    """Every page, and lists and searches of every kind."""
    searches = [f"/losses?q={quote(word)}" for word in SEARCHED]
    return [
        "/", "/losses", *searches, "/losses?cause=platform", "/losses?state=any&sort=-views",
        "/losses?sort=-reposts", "/losses?sort=at", "/losses?crossed=either",
        "/losses?may=author&state=any", "/losses?script=arabic", "/losses?state=returned",
        "/losses?since=2023-11-20&until=2023-11-25", "/losses?confidence=low",
        f"/losses?q={quote(SEARCHED[1])}&sort=-views", f"/losses?account={account}",
        f"/losses/{post}", "/accounts", f"/accounts/{account}", "/operate", "/about",
        "/charts/daily.svg", "/charts/delays.svg", "/charts/coverage.svg", "/charts/daily.csv",
        "/api/1/overview", "/api/1/losses", f"/api/1/losses?q={quote(SEARCHED[1])}",
        f"/api/1/losses/{post}", "/api/1/accounts", "/api/1/days", "/api/1/delays",
        "/api/1/coverage", "/api/1/timeline",
    ]  # fmt: skip


@contextmanager
def started(command: Sequence[str], address: str = "") -> Iterator[str]:
    """A server in a process of its own: the address that it says, or `address` once it answers."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    # A server that logs every request would fill a pipe that nobody reads, and stop.
    heard = subprocess.DEVNULL if address else subprocess.PIPE
    process = subprocess.Popen(
        command, stdout=heard, stderr=subprocess.DEVNULL, text=True, env=env, cwd=ROOT
    )
    try:
        if not address:
            assert process.stdout is not None
            address = process.stdout.readline().strip().rstrip("/")
        until = time.monotonic() + READY_S
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > until:
                raise BenchError(f"{command[-1]} did not start to answer")
            time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _answers(address: str) -> bool:
    try:
        with closing(connected(address)) as connection:
            ask(connection, "/")
    except (HTTPException, OSError):
        return False
    return True


def dashboard(folder: Path) -> list[str]:
    code = "from vanished.cli import main; main()"
    return [sys.executable, "-c", code, "serve", "-o", str(folder), "--port", "0"]


def datasette(file: Path, port: int) -> list[str]:
    """As it is best served: an immutable file, whose counts it may keep; as nice as ours."""
    words = ["serve", "--immutable", str(file), "--port", str(port), "--setting", "suggest_facets"]
    start = ["nice", "-n", str(NICE), str(peer_python("datasette"))]
    return [*start, "-m", "datasette", *words, "off"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def page_times(address: str, wanted: Sequence[str]) -> dict[str, list[float]]:
    """The server's milliseconds for each of these, in rounds, so that fillings fall on all."""
    found: dict[str, list[float]] = {path: [] for path in wanted}
    with closing(connected(address)) as connection:
        for _ in range(ROUNDS):
            for path in wanted:
                took = ask(connection, path).server_ms
                assert took is not None
                found[path].append(took)
    return found


def against(ours: str, theirs: str) -> dict[str, tuple[list[float], list[float]]]:
    """The client's milliseconds of ours and of Datasette, asked in turn, for list and searches.

    Its list is the same fifty rows in the same columns in the same order; its search is the same
    query of the same full-text index, joined to the same rows.
    """
    columns = ", ".join(f"l.{name}" for name in EXPORTED if name != "withheld")
    order = "order by l.at desc, l.id desc limit 50"
    every = f"select {columns} from losses l where l.state = 'gone' {order}"
    search = (
        f"select {columns} from losses l where l.state = 'gone' and l.authors = 0"
        f" and l.id in (select rowid from words where words match :q) {order}"
    )
    pairs = [("list", "/losses", f"/shelf?{urlencode({'sql': every})}")]
    pairs += [
        (f"search {word}", f"/losses?q={quote(word)}",
         f"/shelf?{urlencode({'sql': search, 'q': f'({query(word)})'})}")
        for word in SEARCHED
    ]  # fmt: skip
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name, *_ in pairs}
    with closing(connected(ours)) as mine, closing(connected(theirs)) as other:
        for _ in range(ROUNDS):
            for name, here, there in pairs:
                found[name][0].append(ask(mine, here).client_ms)
                found[name][1].append(ask(other, there).client_ms)
    return found


def quantile(times: Sequence[float], share: float) -> float:
    """By nearest rank."""
    return sorted(times)[math.ceil(share * len(times)) - 1]


def speed(folder: Path) -> list[Claim]:
    """Pages beside a writer, and list and search beside Datasette."""
    fill(folder)
    with closing(sqlite3.connect(path_of(folder))) as shelf:
        (lost,) = shelf.execute("select count(*) from losses").fetchone()
        account, post = shelf.execute("select account, post from losses limit 1").fetchone()
        copy = folder.parent / "shelf.sqlite"
        shelf.execute(f"vacuum into '{copy}'")
    port = free_port()
    writer = [sys.executable, "-m", "bench.desk_writer", str(folder)]
    wanted = paths(account, post)
    with (
        started(dashboard(folder)) as ours,
        started(datasette(copy, port), f"http://127.0.0.1:{port}") as theirs,
        subprocess.Popen(writer, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as watch,
    ):
        assert watch.stdin is not None
        assert watch.stdout is not None
        watch.stdout.readline()  # it writes
        try:
            times = page_times(ours, wanted)
            pairs = against(ours, theirs)
        finally:
            watch.stdin.close()
        commits = json.loads(watch.stdout.readline())["commits"]
    for path, took in times.items():
        print(f"  {path:48} median {statistics.median(took):6.1f} p95 {quantile(took, 0.95):6.1f}")
    for name, (mine, other) in pairs.items():
        print(f"  {name:12} ours {statistics.median(mine):6.1f} ms,"
              f" Datasette {statistics.median(other):6.1f} ms")  # fmt: skip
    print(f"  {commits} commits of the writer meanwhile")
    medians = [statistics.median(took) for took in times.values()]
    ratios = [statistics.median(b) / statistics.median(a) for a, b in pairs.values()]
    every = [each for took in times.values() for each in took]
    worst = max(quantile(took, 0.95) for took in times.values())
    of = f"of {len(wanted)} pages and searches"
    return [
        at_least("losses on the shelf", lost, "losses", 100_000),
        at_most(f"slowest median {of}, the server's", max(medians), "ms", 150),
        at_most(f"slowest 95th percentile {of}, the server's", worst, "ms", 400),
        at_most(f"95th percentile of all answers {of}", quantile(every, 0.95), "ms", 400),
        at_least("list: Datasette's time / ours", ratios[0], "ratio", 1),
        at_least("search, the worst: Datasette's time / ours", min(ratios[1:]), "ratio", 1),
    ]


def readers(folder: Path) -> list[Claim]:
    """A watch's looks a second in turns, with fifty readers of the dashboard and without."""
    wanted = ["/", "/losses", f"/losses?q={quote(SEARCHED[1])}", "/accounts", "/api/1/losses"]
    ratios, answers, failed = [], [], 0
    with started(dashboard(folder)) as ours, site(200) as pages:
        for _ in range(WATCH_ROUNDS):
            alone = float(str(look(pages.url, 200, WATCHED_S, 200, "sealed")["per_s"]))
            words = [ours, str(READERS), str(WATCHED_S + 4), *wanted]
            crowd = subprocess.Popen(  # readers sit at machines of their own, so theirs give way
                ["nice", "-n", "19", sys.executable, "-m", "bench.desk_readers", *words],
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            time.sleep(1)
            beside = float(str(look(pages.url, 200, WATCHED_S, 200, "sealed")["per_s"]))
            said = json.loads(crowd.communicate()[0])
            ratios.append(beside / alone)
            answers.append(said["per_s"])
            failed += said["failed"]
            print(
                f"  looks {alone:.0f}/s alone, {beside:.0f}/s beside {said['per_s']:.0f} answers/s"
            )
    return [
        at_least("looks a second beside 50 readers / alone", statistics.median(ratios),
                 "ratio, median of rounds", 0.9),
        at_least("answers to 50 readers meanwhile", statistics.median(answers), "a second", 1),
        at_most("requests of theirs that failed", failed, "requests", 0),
    ]  # fmt: skip


def run() -> tuple[Sequence[Claim], Sequence[Peer]]:
    """All claims of the dashboard's speed."""
    os.environ["VANISHED_KEY"] = "ab" * 32
    peers: list[Peer] = [
        {"name": "Datasette", "version": peer_version("datasette", "datasette")},
    ]
    with tempfile.TemporaryDirectory(prefix="vanished-desk-") as name:
        folder = Path(name) / "o"
        given = os.environ.get("VANISHED_BENCH_DESK")  # a folder that `write_large` made before
        if given:
            shutil.copytree(given, folder)
        else:
            write_large(folder, POSTS, SEED, REMOVED)
        return [*speed(folder), *readers(folder)], peers
