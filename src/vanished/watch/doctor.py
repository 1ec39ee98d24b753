"""What is wrong with an observatory or its sources, and what to do about it.

In: a folder. Out: findings, worst first; none means that nothing wrong was found, not that nothing
is. It reads only, and works beside a running watch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb

from vanished.archive.folder import READABLE
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, host_of
from vanished.clock import SystemClock, span
from vanished.errors import VanishedError
from vanished.model import HOUR, SECOND, Micros
from vanished.sources.registry import check, source
from vanished.watch import doctor_canaries
from vanished.watch.doctor_proof import remarks, troubles
from vanished.watch.finding import Finding as Finding

SCARCE_BYTES = 512 * 1024 * 1024
LATE: Micros = HOUR
MOSTLY_FAILED = 0.5
ENOUGH_LOOKS = 20
FAILED_IN_A_ROW = 3


def examine(folder: Path) -> list[Finding]:
    """Every finding about the observatory in `folder`; raises only if there is none to examine."""
    with Observatory.open(folder) as observatory:
        return [
            *_damages(observatory),
            *_looks(observatory),
            *troubles(observatory, SystemClock().now()),
            *_disk(folder),
            # A copy is read on another machine, without the key of names, and never watches.
            *([] if (folder / READABLE).exists() else _watched(observatory)),
        ]


def attend(folder: Path) -> list[Finding]:
    """The findings that come and go while it watches: `examine` without what reads all that is
    kept, for whoever asks every few minutes."""
    with Observatory.open(folder) as observatory:
        return [
            *troubles(observatory, SystemClock().now()),
            *_disk(folder),
            *([] if (folder / READABLE).exists() else _watched(observatory)),
        ]


def advise(folder: Path) -> list[Finding]:
    """Remarks on the observatory in `folder`: choices with a price, nothing that is wrong."""
    with Observatory.open(folder) as observatory:
        found = [*remarks(observatory), *_translator(observatory)]
        if not (folder / READABLE).exists():
            found += doctor_canaries.remarks(observatory)
        return found


def _translator(observatory: Observatory) -> Iterator[Finding]:
    """The program that is to translate for the dashboard is looked for, never run."""
    command = observatory.settings.publish.translator
    if command and shutil.which(command[0]) is None:
        yield Finding(
            f"the translator '{command[0]}' is no program that can be run here",
            "translator in observatory.toml",
            "install it, or write its whole path",
            remark=True,
        )


def _watched(observatory: Observatory) -> Iterator[Finding]:
    yield from _accounts(observatory)
    yield from _posts(observatory)
    yield from _hosts(observatory)
    yield from doctor_canaries.troubles(observatory)


def _damages(observatory: Observatory) -> Iterator[Finding]:
    for damage in observatory.journal.verify():
        yield Finding(
            f"the segment {damage.what}", str(damage.path), "restore this file from a copy"
        )
    if fault := observatory.integrity():
        yield Finding(
            f"the database is damaged: {fault}",
            str(observatory.folder / "present.sqlite"),
            "restore it from a copy",
        )


def _looks(observatory: Observatory) -> Iterator[Finding]:
    """The invariant of the folder: looks kept are looks acknowledged."""
    before = observatory.acknowledged_looks()
    try:
        with observatory.past() as con:
            kept = con.execute("select coalesce(sum(looks), 0)::bigint from observations")
            found = kept.fetchall()[0][0]
    except (duckdb.Error, VanishedError) as error:
        sentence = str(error).partition("\n")[0].rstrip(".")
        yield Finding(sentence, str(observatory.folder), "restore the journal from a copy")
        return
    acknowledged = observatory.acknowledged_looks()
    if not before <= found <= acknowledged:  # a running watch may add between the readings
        yield Finding(
            f"{acknowledged} looks were acknowledged, {found} are kept",
            str(observatory.folder),
            "restore the folder as a whole from one copy; parts of two copies seem mixed",
        )


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free < SCARCE_BYTES:
        yield Finding(
            f"only {free // 2**20} MiB are free", str(folder), "make room before the disk is full"
        )


def _accounts(observatory: Observatory) -> Iterator[Finding]:
    rows = observatory.account_rows()
    if not rows:
        yield Finding(
            "nothing is watched", str(observatory.folder), "add an account with vanished add"
        )
    now = SystemClock().now()
    yield from _sources(observatory, {row.account.platform for row in rows})
    for row in rows:
        yield from _account(row, now)


def _sources(observatory: Observatory, watched: set[str]) -> Iterator[Finding]:
    """What keeps a source from being used, and tables that are no source's or hold a wrong key."""
    wrong = set[str]()
    for platform in sorted(watched):
        try:
            source(platform, observatory.naming, observatory.settings)
        except VanishedError as error:
            wrong.add(str(error))
            yield _misset(error, f"source {platform}")
    try:
        check(observatory.settings, beside=watched)
    except VanishedError as error:
        if str(error) not in wrong:
            yield _misset(error, "[sources]")


def _misset(error: VanishedError, where: str) -> Finding:
    return Finding(str(error).rstrip("."), where, "correct observatory.toml")


def _account(row: AccountRow, now: Micros) -> Iterator[Finding]:
    track = row.track
    where = f"{row.account.platform} account {row.subject}"
    host = host_of(row.account.url)
    if not track.last_asked_at:
        yield Finding("it was never asked", where, "start vanished watch")
    elif track.failures >= FAILED_IN_A_ROW:
        yield Finding(
            f"the last {track.failures} looks failed",
            where,
            f"see whether {host} is reachable from here and wants a login; until then its posts"
            " are unknown, not lost",
        )
    elif now - track.due > LATE:
        late = span((now - track.due) / SECOND)
        yield Finding(f"its list is {late} overdue", where, "start vanished watch")


def _posts(observatory: Observatory) -> Iterator[Finding]:
    """Hosts whose posts cannot be looked at."""
    for host, failing, posts in observatory.failing_posts(FAILED_IN_A_ROW):
        yield Finding(
            f"the last {FAILED_IN_A_ROW} or more looks failed for {failing} of {posts} posts",
            f"host {host}",
            "see whether it is reachable from here and wants a login; until then these posts are"
            " unknown, not lost",
        )


def _hosts(observatory: Observatory) -> Iterator[Finding]:
    """Platforms where most of the last day's looks failed."""
    query = """
        select coalesce(p.platform, a.platform) as platform, sum(looks)::bigint,
               coalesce(sum(looks) filter (kind = 'error'), 0)::bigint,
               mode(fault) filter (kind = 'error')
        from observations o
        left join posts p on p.key = o.subject left join accounts a on a.key = o.subject
        where o.last_asked_at > (select max(last_asked_at) from observations) - 86400000000
        group by 1 order by 1"""
    try:
        with observatory.past() as con:
            found = con.execute(query).fetchall()
    except (duckdb.Error, VanishedError):
        return  # already told by _looks
    for platform, looks, failed, fault in found:
        if looks >= ENOUGH_LOOKS and failed / looks > MOSTLY_FAILED:
            yield Finding(
                f"{failed} of the last day's {looks} looks failed, most often by {fault}",
                f"platform {platform}",
                "look at the platform yourself, and lower hosts.per_second if it limits rates",
            )
