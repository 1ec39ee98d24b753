"""Our watch, in a process of its own, for the benchmark.

`python -m bench.ours URL PAGES SECONDS POSTS [PROOF]` watches so many posts over so many pages
(`{n}` in the URL), all of them always due, with the same parts as `vanished watch`. PROOF is
`sealed` (as `vanished init` makes it), `plain` or `off`. Prints JSON: looks a second, failed looks,
whether all were acknowledged, captures kept, resident memory in bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vanished.archive.capture import new_identity
from vanished.archive.observatory import Observatory
from vanished.archive.rows import Entry, PostRow, Track
from vanished.archive.settings import HostSettings, NetSettings, WatchSettings
from vanished.clock import SystemClock
from vanished.model import DAY, SECOND, Account, Micros, Post
from vanished.sources.page import PageSource
from vanished.watch.live import build_watch, open_door
from vanished.watch.progress import Progress


def stocked(folder: Path, urls: Sequence[str], due: Micros, proof: str) -> Observatory:
    """An observatory that watches these pages as posts of one account."""
    observatory = Observatory.create(folder, [new_identity()[0]] if proof == "sealed" else ())
    if proof == "off":
        observatory.close_proof()
    clock = SystemClock()
    url = urls[0]
    account = Account(observatory.naming("page", url), "page", url, "", url)
    observatory.add_account(account, clock.now() + DAY)  # its list is not due: looks only
    owner = observatory.account_rows()[0]
    for start in range(0, len(urls), 10_000):
        entry = Entry()
        for address in urls[start : start + 10_000]:
            key = observatory.naming("page", f"{address}#post")
            post = Post(key, account.key, "page", address, address, clock.now(), clock.now())
            row = PostRow(observatory.next_post_id(), post, owner.id, Track(due=due))
            entry.new_posts.append(row)
        observatory.commit(entry, clock.now())
    observatory.settings = replace(
        observatory.settings,
        watch=WatchSettings(look_every_s=((1e9, 1e-3),)),
        hosts=HostSettings(per_second=1e6),
        net=NetSettings(allow_networks=("127.0.0.0/8",)),
    )
    return observatory


async def watched(observatory: Observatory, seconds: float) -> tuple[Progress, float]:
    """Watch for so long; what was done and how long it took."""
    clock = SystemClock()
    async with open_door(observatory.settings, clock) as door:
        source = PageSource(observatory.naming, {})
        watch = build_watch(observatory, {"page": source}, door, clock, lambda event: None)
        began = time.monotonic()
        progress = await watch.run(clock.now() + int(seconds * SECOND))
        return progress, time.monotonic() - began


def resident() -> int:
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def look(url: str, pages: int, seconds: float, posts: int, proof: str) -> dict[str, object]:
    """Watch `posts` posts over `pages` pages, all due, for so long."""
    with tempfile.TemporaryDirectory() as folder:
        urls = [url.format(n=n % pages) + f"?{n}" for n in range(posts)]
        with stocked(Path(folder) / "observatory", urls, due=0, proof=proof) as observatory:
            progress, took_s = asyncio.run(watched(observatory, seconds))
            return {
                "per_s": progress.looks / took_s,
                "failed": progress.failed,
                "captures": observatory.proof.log.next_index if observatory.proof else 0,
                "kept": observatory.acknowledged_looks() == progress.looks,
                "bytes": resident(),
                "posts": posts,
            }


if __name__ == "__main__":
    os.environ["VANISHED_KEY"] = "ab" * 32
    url, pages, seconds, posts = sys.argv[1:5]
    proof = sys.argv[5] if len(sys.argv) > 5 else "sealed"
    print(json.dumps(look(url, int(pages), float(seconds), int(posts), proof)))
