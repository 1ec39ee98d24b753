"""The peer changedetection.io: how many rechecks a second it does on our pages.

In: a site of generated pages. Out: `Rechecks`, the best of several rounds with the number of workers
that did best. It runs as its makers publish it, from an environment of its own, on loopback and in
a temporary folder, with the plain HTTP fetcher; settings that only cost it time are off (its log of
every step, its question for a new version). Rechecks are counted in the web server's access log.
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

from bench.harness import BenchError, Peer
from bench.pages import Site, end, free_port, listens
from bench.peers import peer_python, peer_version

NAME = "changedetection"
PACKAGE = "changedetection.io"
WORKERS = (5, 10, 50)  # its default, that of its container image, and its advice for many sites
ROUNDS = 3
START_S = 90.0
FIRST_CHECKS_S = 240.0
ROUND_S = 12.0
WARM_UP = 0.1  # the part of a round's rechecks that is left out at its start

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


def rechecks(site: Site, workers: Sequence[int] = WORKERS, rounds: int = ROUNDS) -> Rechecks:
    """Rechecks a second of changedetection.io on every page of `site`, at its best.

    One round for every number of workers, then more rounds with the best of them. The pages do not
    change, which is its short way: it compares a checksum and keeps nothing. At most
    (len(workers) + rounds) * 12 s of measuring, besides the start and the first checks.
    Raises BenchError if it does not start, or does not come to check all pages.
    """
    tried: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        folder = Path(name)
        for count in workers:
            with _server(folder, site, count) as server:
                _watch_all(server, site)
                tried[count] = _round(server, site)
        best = max(tried, key=tried.__getitem__)
        with _server(folder, site, best) as server:
            for _ in range(rounds):
                tried[best] = max(tried[best], _round(server, site))
    counted = "whole pages in nginx's access log, without the first tenth of a round"
    return Rechecks(tried[best], best, tried, counted)


@contextlib.contextmanager
def _server(folder: Path, site: Site, workers: int) -> Iterator[_Server]:
    """changedetection.io on this folder, which keeps its watches from one start to the next."""
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
    # A watch given at the start keeps it from adding two examples, which lie outside.
    words = ["-C", "-d", str(folder / "kept"), "-p", str(port)]
    if not (folder / "kept").exists():
        words += ["-u", site.url.format(n=0)]
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
        kept = json.loads((folder / "kept" / "changedetection.json").read_text(encoding="utf-8"))
        yield _Server(port, kept["settings"]["application"]["api_access_token"])
    finally:
        end(process)


def _watch_all(server: _Server, site: Site) -> None:
    """Add what is not watched yet, and wait until every page was checked without an error."""
    watched = {watch["url"] for watch in server.ask("watch").values()}
    urls = [url for url in map(site.url.format_map, _numbers(site)) if url not in watched]
    if urls:
        server.ask("import?fetch_backend=html_requests&dedupe=false", "\n".join(urls))
    deadline = time.monotonic() + FIRST_CHECKS_S
    while time.monotonic() < deadline:
        watches = server.ask("watch").values()
        checked = sum(1 for watch in watches if watch["last_checked"])
        if checked == len(watches) == site.pages:
            _fail_on_errors(watches)
            return
        time.sleep(1.0)
    raise BenchError(
        f"changedetection.io checked {checked} of {site.pages} pages in {FIRST_CHECKS_S:g} s"
    )


def _numbers(site: Site) -> Iterator[dict[str, int]]:
    return ({"n": n} for n in range(site.pages))


def _fail_on_errors(watches: Any) -> None:
    errors = [str(watch["last_error"]) for watch in watches if watch["last_error"]]
    if errors:
        raise BenchError(
            f"changedetection.io reports {len(errors)} failed checks, such as: {errors[0][:200]}"
        )


def _round(server: _Server, site: Site) -> float:
    """Have all pages checked again; rechecks a second while there was work waiting."""
    began = time.time()
    server.ask("watch?recheck_all=1")
    deadline = time.monotonic() + ROUND_S
    fetched: list[float] = []
    while time.monotonic() < deadline and len(fetched) < site.pages:
        time.sleep(0.5)  # its API is not asked meanwhile: answering takes it time
        fetched = site.fetched(began)
    _fail_on_errors(server.ask("watch").values())
    steady = fetched[int(len(fetched) * WARM_UP) :]
    if len(steady) < 10:
        raise BenchError(f"changedetection.io rechecked {len(fetched)} pages in {ROUND_S:g} s")
    return (len(steady) - 1) / (steady[-1] - steady[0])
