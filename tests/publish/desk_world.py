"""A small observatory for the dashboard's tests: every cause, every state, and hostile words.

All names and texts are made up. Hostile words stand wherever a stranger's words can: in titles,
texts, notices, names of accounts.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pyarrow as pa

from vanished.archive.advice import Advised, keep
from vanished.archive.columns import GAP, Coverage, Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    SECOND,
    Account,
    Cause,
    Confidence,
    Count,
    Counts,
    Fault,
    Interval,
    Micros,
    Observation,
    Post,
    State,
    Verdict,
    Version,
    failed,
)
from vanished.publish.findings import About, Found, Generation
from vanished.publish.shelf import Filter, Shelf, fill
from vanished.publish.shelf.filters import Meanings
from vanished.publish.shelf.layout import making
from vanished.publish.table_files import csv_of

START: Micros = 1_700_006_400 * SECOND  # midnight, UTC

HOSTILE = (
    "<script>window.__hit=1</script>",
    "<img src=x onerror=window.__hit=1>",
    "\"><svg onload=window.__hit=1>",
    "'><body onload=window.__hit=1>",
    "</title><script>window.__hit=1</script>",
    "</textarea><script>window.__hit=1</script>",
    "<a href=\"javascript:window.__hit=1\">x</a>",
    "{{ 7*7 }}{% for x in [1] %}{{ x }}{% endfor %}",
    "<iframe srcdoc='<script>parent.__hit=1</script>'></iframe>",
    "<math><mtext><style><img title=\"</style><img src onerror=window.__hit=1>\">",
    "\u202e<b onmouseover=window.__hit=1>x</b>",
    "=HYPERLINK(\"http://evil.example/\",\"x\")",
    "+1+1", "-2+3", "@SUM(A1:A9)", "\t=1+1",
)  # fmt: skip
PLAIN = (
    "雨后的菜市场重新开门", "河堤上的灯修了三天", "The lamp by the river was mended",
    "夜班公交改了路线", "ساحة السوق مفتوحة", "圖書館的座位不夠了",
)  # fmt: skip
CAUSES = (
    {Cause.PLATFORM}, {Cause.LEGAL}, {Cause.AUTHOR}, {Cause.ACCOUNT}, {Cause.NETWORK},
    {Cause.UNKNOWN}, {Cause.AUTHOR, Cause.PLATFORM},
)  # fmt: skip
STATES = (State.GONE, State.GONE, State.GONE, State.RETURNED, State.FLICKERING, State.SUSPECTED)
POSTS = 84


def text_of(number: int) -> str:
    """The words of a post: hostile ones first, then plain ones over and over."""
    if number < len(HOSTILE):
        return HOSTILE[number]
    return f"{PLAIN[number % len(PLAIN)]} {number}"


def make(folder: Path) -> None:
    """An observatory of two accounts and POSTS posts, each of them judged."""
    with Observatory.create(folder) as observatory:
        owners = []
        entry = Entry()
        for name in ("a", "b"):
            key = observatory.naming("page", name)
            account = Account(key, "page", name, HOSTILE[0] + name, "http://t/", START)
            owners.append(AccountRow(observatory.next_account_id(), account, "", Track()))
        entry.new_accounts = owners
        for n in range(POSTS):
            _post(observatory, entry, owners[n % 2], n)
        gap = Coverage("watch", START + 20 * DAY, START + 21 * DAY, GAP, "it was not run")
        entry.coverage.append(gap)
        observatory.commit(entry, START)


STORY: Final = "planted"
FOUND: Final = (
    "overview", "spread", "speed", "stories", "terms", "combinations", "campaigns", "events",
    "timeline", "who",
)  # fmt: skip


def plant(folder: Path) -> None:
    """Findings and advice on go-arounds whose every word is a stranger's."""
    fill(folder)
    with Shelf(folder, Meanings({}, {})) as shelf:
        posts = [row["post"] for row in shelf.losses(Filter(state="any"), rows=POSTS).rows]
        now = shelf.now()
    generation = Generation(making(folder))
    for number, name in enumerate(FOUND):
        bad = HOSTILE[number % len(HOSTILE)]
        columns = ["row", "term", "text", "story", "targets", "share", "begin", "end", "removed",
                   "posts", "network", "higher"]  # fmt: skip
        row = {
            "row": bad if number % 2 else None, "term": bad, "text": bad, "story": STORY,
            "targets": bad, "share": 0.5, "low": 0.25, "high": 0.75, "begin": START, "end": now,
            "first": START, "last": now, "removed": 3, "survived": 3, "posts": 6, "accounts": 5,
            "tellings": 2, "network": bad, "higher": True,
        }  # fmt: skip
        found = Found(
            name, bad, bad, columns, method="t/1", settings={"x": bad}, based=bad, caveats=[bad],
            text=bad, total=1, rows=[row], drawn=True, why_not=bad if name == "who" else "",
        )  # fmt: skip
        generation.names.append(name)
        generation.files[f"{name}.json"] = json.dumps(asdict(found)).encode()
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg"><script>window.__hit=1</script>{number}</svg>'
        )
        generation.files[f"{name}.svg"] = svg.encode()
        generation.files[f"{name}.csv"] = csv_of(pa.table({"term": [bad]}))
    generation.members = pa.table({"post": posts, "story": [STORY] * len(posts)})
    generation.keep(folder, About("o", 1, now, START, now, FOUND, 1.0))
    tested = [
        Advised(bad, "tor", "h", "2026-11-01T00:00:00+00:00", works, "blocked", "tls", "sni_reset",
                bad, 1.0, 2000.0, 60.0)
        for bad, works in ((HOSTILE[0], True), (HOSTILE[1], False))
    ]  # fmt: skip
    keep(folder, tested)


def _post(observatory: Observatory, entry: Entry, owner: AccountRow, n: int) -> None:
    born = START + n * 6 * HOUR
    key = observatory.naming("page", f"post {n}")
    post = Post(key, owner.account.key, "page", f"n{n}", f"http://t/{n}", born, born + HOUR)
    row = PostRow(observatory.next_post_id(), post, owner.id, Track())
    entry.new_posts.append(row)
    for look in range(4):
        asked = born + (look + 1) * HOUR
        counts = Counts(views=Count.exact(n * 100 * look), reposts=Count.exact(n * 5 * look))
        signal = ALIVE if look < 3 else failed(Fault.TIMEOUT)
        seen = Observation(
            key, asked, asked + SECOND, signal, counts=counts if look < 3 else Counts()
        )
        entry.changes.append(Change(row, seen, run=observatory.next_run()))
    title = text_of(n) if n % 3 else ""
    entry.versions.append(Wording(key, born + HOUR, Version("h1", title, text_of(n))))
    if n % 5 == 0:
        entry.versions.append(
            Wording(key, born + 2 * HOUR, Version("h2", title, text_of(n) + "，改"))
        )
    causes = frozenset(CAUSES[n % len(CAUSES)])
    state = STATES[n % len(STATES)]
    interval = Interval(born + 3 * HOUR, born + 5 * HOUR) if state is not State.SUSPECTED else None
    notice = HOSTILE[n % len(HOSTILE)] if Cause.PLATFORM in causes else ""
    verdict = Verdict(
        key, state, causes, interval, Confidence.HIGH, ("page/rule@1",), words=notice, method="t/1"
    )
    entry.verdicts[key] = Judgement(born + 6 * HOUR, verdict)
