"""The peer changedetection.io: how many rechecks a second it does on our pages.

In: a site of generated pages. Out: `Rechecks`, the best of several rounds with the number of
workers that did best. It runs as its makers publish it, from an environment of its own, on loopback
and in a temporary folder, with the plain HTTP fetcher; what only costs it time is off (the log of
every step, the question for a new version). Rechecks are counted in the web server's access log.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import end, free_port, listens

from bench.harness import BenchError, Peer
from bench.pages import FLUSH_S, Site
from bench.peers import peer_python, peer_version

NAME = "changedetection"
PACKAGE = "changedetection.io"
WATCHES = 400
WORKERS = (5, 10, 50)  # its default is 5; its settings page says that more are faster
ROUNDS = 3
ROUND_S = 6.0
REFILL = 0.75  # ask for more when so much of the last request was done
IMPORT = 19  # as many at once as its API adds before it answers; more go on behind its back
START_S = 90.0
FIRST_CHECKS_S = 180.0

# The script in the environment's bin/ names the place where that was built; this is what it does.
START = "import changedetectionio; changedetectionio.main()"


@dataclass(frozen=True, slots=True)
class Rechecks:
    """What was measured. `tried` has the best rate for every number of workers."""

    per_s: float
    workers: int
    tried: dict[int, float]
    counted: str


@dataclass(frozen=True, slots=True)
class _Server:
    """A running changedetection.io with its API key."""

    port: int
    key: str

    def ask(self, path: str, body: str | None = None) -> Any:
        """One call of its API. Raises BenchError if it is refused."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}",
            None if body is None else body.encode(),
            {"x-api-key": self.key, "Content-Type": "text/plain"},
        )
        try:
            with _DIRECT.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(300).decode(errors="replace")
            raise BenchError(f"changedetection.io refused {path}: {error.code} {said}") from None
        except OSError as error:
            raise BenchError(f"changedetection.io did not answer {path}: {error}") from None


# The environment may name a proxy, which is not to be asked for an address on loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def peer() -> Peer:
    """Its name and version, as installed."""
    return {"name": PACKAGE, "version": peer_version(NAME, PACKAGE)}


def rechecks(
    site: Site, watches: int = WATCHES, workers: Sequence[int] = WORKERS, rounds: int = ROUNDS
) -> Rechecks:
    """Rechecks a second of changedetection.io at its best, with so many pages of `site` watched.

    For every number of workers: an empty folder, all pages added and checked once, then the rounds
    without a pause, with work always waiting. The pages do not change, which is its short way: it
    compares a checksum and keeps nothing. Measures for len(workers) * rounds * 6 s.
    Raises BenchError if it does not start, refuses a call, or fails a check.
    """
    urls = [site.url.format(n=n) for n in range(min(watches, site.pages))]
    tried: dict[int, float] = {}
    for count in workers:
        with _server(urls[0], count) as server:
            _watch_all(server, urls)
            tried[count] = _best_round(server, site, len(urls), rounds)
    best = max(tried, key=tried.__getitem__)
    counted = f"pages in nginx's access log, best of {rounds} rounds of {ROUND_S:g} s"
    return Rechecks(tried[best], best, tried, counted)


@contextlib.contextmanager
def _server(first: str, workers: int) -> Iterator[_Server]:
    """changedetection.io in an empty folder, watching `first`; ended by its process id."""
    port = free_port()
    settings = {
        "FETCH_WORKERS": str(workers),
        "ALLOW_IANA_RESTRICTED_ADDRESSES": "true",  # it refuses loopback otherwise
        "DISABLE_VERSION_CHECK": "true",
        "LOGGER_LEVEL": "ERROR",
        "LISTEN_HOST": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        folder = Path(name)
        # A watch given at the start keeps it from adding two examples, which lie outside.
        words = ["-d", str(folder), "-p", str(port), "-u", first]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [peer_python(NAME), "-c", START, *words],
                cwd=folder,
                env=os.environ | settings,
                stdout=output,
                stderr=output,
            )
        try:
            if not listens(process, port, START_S):
                said = (folder / "output").read_text(errors="replace").strip()[-300:]
                raise BenchError(f"changedetection.io did not start: {said}")
            kept = json.loads((folder / "changedetection.json").read_text(encoding="utf-8"))
            yield _Server(port, kept["settings"]["application"]["api_access_token"])
        finally:
            end(process)


def _watch_all(server: _Server, urls: Sequence[str]) -> None:
    """Add all but the first, which is there, and wait until each was checked without an error."""
    for start in range(1, len(urls), IMPORT):
        batch = "\n".join(urls[start : start + IMPORT])
        server.ask("import?fetch_backend=html_requests&dedupe=false", batch)
    checked = 0
    deadline = time.monotonic() + FIRST_CHECKS_S
    while time.monotonic() < deadline:
        checked = _checked(server, 1)
        if checked == len(urls):
            return
        time.sleep(1.0)
    raise BenchError(
        f"changedetection.io checked {checked} of {len(urls)} pages in {FIRST_CHECKS_S:g} s"
    )


def _checked(server: _Server, since: int) -> int:
    """How many watches it says it checked since then. Raises BenchError if a check failed."""
    watches = list(server.ask("watch").values())
    errors = [str(watch["last_error"]) for watch in watches if watch["last_error"]]
    if errors:
        raise BenchError(f"{len(errors)} checks of changedetection.io failed: {errors[0][:200]}")
    return sum(1 for watch in watches if watch["last_checked"] >= since)


def _best_round(server: _Server, site: Site, watches: int, rounds: int) -> float:
    """Rechecks a second in the best of the rounds, asking for more before work runs out."""
    mark, began = site.mark(), time.time()
    asked = -watches
    while time.time() < began + rounds * ROUND_S:
        done = len(site.fetched(mark))
        if done - asked >= watches * REFILL:
            asked = done
            server.ask("watch?recheck_all=1")  # what still waits is not queued twice
        time.sleep(0.25)
    time.sleep(2 * FLUSH_S)
    counts = [0] * rounds
    for at in site.fetched(mark):
        number = int((at - began) // ROUND_S)
        if 0 <= number < rounds:
            counts[number] += 1
    # Its queue is not fair among equals: a few watches can wait while others go twice.
    checked = _checked(server, int(began))
    if sum(counts) < watches or checked < watches / 2:
        raise BenchError(
            f"changedetection.io fetched {sum(counts)} pages in {rounds * ROUND_S:g} s and says it "
            f"checked {checked} of {watches} watches: too few to speak of a steady state"
        )
    return max(counts) / ROUND_S
