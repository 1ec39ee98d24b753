"""A bare aiohttp client in a process of its own: the yardstick for what a fetch costs at least.

`python -m bench.bare URL PAGES SECONDS` fetches the pages (`{n}` in the URL) round and round, 64 at
a time, with nothing but `session.get` and `read`. Prints JSON: pages a second, how many failed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator

import aiohttp

from bench.harness import ROOT, BenchError
from bench.pages import Site
from bench.peers import execute

CONCURRENCY = 64


async def fetch(url: str, pages: int, seconds: float) -> dict[str, float]:
    """Fetch for so long; pages a second and failures."""
    numbers = itertools.cycle(range(pages))
    began = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
        tasks = [_fetch(session, url, numbers, began + seconds) for _ in range(CONCURRENCY)]
        counted = await asyncio.gather(*tasks)
    whole = sum(good for good, _ in counted)
    return {"per_s": whole / (time.monotonic() - began), "failed": sum(bad for _, bad in counted)}


async def _fetch(
    session: aiohttp.ClientSession, url: str, numbers: Iterator[int], deadline: float
) -> tuple[int, int]:
    good = bad = 0
    while time.monotonic() < deadline:
        try:
            async with session.get(url.format(n=next(numbers))) as response:
                whole = response.status == 200 and len(await response.read()) > 0
        except aiohttp.ClientError:
            whole = False
        good += whole
        bad += not whole
    return good, bad


def bare(site: Site, seconds: float = 5.0) -> float:
    """Pages a second of the bare client on `site`. Raises BenchError if any fetch failed."""
    words = ["-m", "bench.bare", site.url, str(site.pages), str(seconds)]
    said = execute([sys.executable, *words], "the bare client", seconds + 60, cwd=ROOT)
    counted = json.loads(said)
    if counted["failed"] or not counted["per_s"]:
        raise BenchError(f"the bare client failed to fetch {counted['failed']} pages of nginx")
    return float(counted["per_s"])


if __name__ == "__main__":
    url, pages, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(fetch(url, int(pages), float(seconds)))))
