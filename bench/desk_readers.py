"""Readers of a web server, for the benchmark: how long pages take, and many readers at once.

`python -m bench.desk_readers ADDRESS READERS SECONDS PATH…` has so many readers ask for these paths
over and over for so long; prints JSON with the number of answers a second and of failures.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

ANSWER_S = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer: the client's milliseconds, and the server's where it says them."""

    client_ms: float
    server_ms: float | None


def ask(connection: HTTPConnection, path: str) -> Asked:
    """Ask for `path` and read all of it. Raises HTTPException where it is not answered with 200."""
    begun = time.perf_counter()
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - begun) * 1000
    if answer.status != 200:
        raise HTTPException(f"{path} was answered with {answer.status}")
    said = answer.headers.get("server-timing", "").partition("dur=")[2]
    return Asked(took, float(said) if said else None)


def connected(address: str) -> HTTPConnection:
    return HTTPConnection(urlsplit(address).netloc, timeout=ANSWER_S)


def crowd(address: str, readers: int, seconds: float, paths: Sequence[str]) -> tuple[int, int]:
    """Answers that `readers` got together in so long, and how many failed."""
    until = time.monotonic() + seconds
    got, failed = [0] * readers, [0] * readers

    def read(number: int) -> None:
        connection, step = connected(address), number
        while time.monotonic() < until:
            try:
                ask(connection, paths[step % len(paths)])
                got[number] += 1
            except (HTTPException, OSError):
                failed[number] += 1
                connection.close()
            step += 1
        connection.close()

    threads = [threading.Thread(target=read, args=(n,)) for n in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(got), sum(failed)


if __name__ == "__main__":
    where, many, length, *wanted = sys.argv[1:]
    answers, failures = crowd(where, int(many), float(length), wanted)
    print(json.dumps({"per_s": answers / float(length), "failed": failures}))
