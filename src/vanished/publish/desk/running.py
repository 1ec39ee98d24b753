"""How the watch is doing, for the page of whoever runs it.

In: an observatory's folder. Out: sources with their canaries and budgets, how long ago posts were
last looked at, faults, hosts that fail, disk. All of it is read beside the watch, from the
past and a few small tables of the present.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vanished.archive.folder import JOURNAL, SCHEDULE, SHELF
from vanished.archive.observatory import Observatory
from vanished.archive.proof import CAPTURES, LOG
from vanished.model import DAY, HOUR, SECOND, Micros
from vanished.watch.doctor import FAILED_IN_A_ROW
from vanished.watch.trusting import Trusting

AGES: Final = (("hour", HOUR), ("day", DAY), ("week", 7 * DAY))
"""Classes of the time since a post was last looked at; the rest is longer ago."""
MEMORY: Final = "512MB"
SIMULATED: Final = "lab"  # the platform of `lab.source`


@dataclass(frozen=True, slots=True)
class Running:
    """What was found at `at`, the watch's latest sign of life (0: it never ran).

    `sources`: a row a platform: accounts, posts, looks and failed looks of the last day, the most
    common fault, posts that nobody saw gone by how long ago they were looked at. `hosts`: those
    whose posts fail: host, failing, posts. `silent`: origins that gave no answer, with since when.
    `ways`: what canaries say of each way. `disk`: bytes by part; `free` and `size` of the disk.
    `simulated`: it watches nothing but the lab's platform, by a clock that is not ours.
    """

    at: Micros
    sources: Sequence[Mapping[str, Any]]
    faults: Sequence[tuple[str, str, int]]
    hosts: Sequence[tuple[str, int, int]]
    silent: Sequence[Mapping[str, Any]]
    ways: Sequence[Mapping[str, Any]]
    budgets: Mapping[str, float]
    disk: Mapping[str, int]
    free: int
    size: int
    simulated: bool = False


def running(folder: Path) -> Running:
    """Read how the watch is doing. Raises what opening the observatory raises."""
    with Observatory.open(folder) as observatory:
        hosts = observatory.settings.hosts
        budgets = {"every host": hosts.per_second, **hosts.per_host}
        at = observatory.last_looking() or 0
        with observatory.past() as past:
            past.execute(f"set memory_limit = '{MEMORY}'")
            past.execute("set threads = 1")
            sources = _dicts(past.execute(_SOURCES, [at - DAY]))
            ages = past.execute(_AGES.format(**_bounds(at))).fetchall()
            faults = past.execute(_FAULTS, [at - DAY]).fetchall()
        for row in sources:
            found = next((age[1:] for age in ages if age[0] == row["platform"]), (0,) * 4)
            row["waiting"] = list(found)
        usage = shutil.disk_usage(folder)
        return Running(
            at, sources, [(p, f, n) for p, f, n in faults],
            observatory.failing_posts(FAILED_IN_A_ROW),
            [{"origin": s.origin, "since": s.since, "failures": s.failures}
             for s in observatory.silences()],
            _ways(observatory), budgets, _disk(folder), usage.free, usage.total,
            {row["platform"] for row in sources} == {SIMULATED},
        )  # fmt: skip


def _bounds(at: Micros) -> dict[str, int]:
    return {name: at - length for name, length in AGES}


def _dicts(answer: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _ways(observatory: Observatory) -> list[dict[str, Any]]:
    """Each way that canaries vouch for: `says` is right, doubt, or none yet."""
    fresh = int(observatory.settings.judge.fresh_s * SECOND)
    known = Trusting(fresh, observatory.routes())
    found = []
    for platform in sorted({row.account.platform for row in observatory.account_rows()}):
        for vantage, standing in sorted(known.trust(platform).vantages.items()):
            guarded = bool(standing.guarded) and standing.guarded[-1].until is None
            says = "unguarded"
            if guarded:
                says = "doubt" if standing.in_doubt else "right" if standing.right_at else "none"
            found.append({
                "platform": platform, "vantage": vantage, "says": says,
                "right_at": standing.right_at,
            })  # fmt: skip
    return found


def _disk(folder: Path) -> dict[str, int]:
    parts = {name: _bytes(folder / name) for name in (JOURNAL, CAPTURES, LOG, SCHEDULE, SHELF)}
    parts["present"] = sum(_size(file) for file in folder.glob("present.sqlite*"))
    return {name: size for name, size in sorted(parts.items(), key=lambda p: -p[1]) if size}


def _bytes(place: Path) -> int:
    total: Counter[str] = Counter()
    for root, _, files in os.walk(place):
        for name in files:
            total[""] += _size(Path(root) / name)
    return total[""]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # moved or removed while we count
        return 0


_SOURCES: Final = """
with names as (
    select key, platform from posts union select key, platform from accounts
), looked as (
    select n.platform, sum(looks)::bigint as looks,
        coalesce(sum(looks) filter (kind = 'error'), 0)::bigint as failed,
        mode(fault) filter (kind = 'error') as fault, max(last_asked_at) as last
    from observations o join names n on n.key = o.subject where o.last_asked_at > ? group by 1
)
select a.platform, count(distinct a.key)::bigint as accounts,
    coalesce(any_value(l.looks), 0)::bigint as looks,
    coalesce(any_value(l.failed), 0)::bigint as failed,
    any_value(l.fault) as fault, any_value(l.last) as last
from accounts a left join looked l using (platform) group by 1 order by 1
"""
_AGES: Final = """
with latest as (
    select subject, max(last_asked_at) as last from observations
    where subject in (select key from posts) group by 1
), judged as (
    select subject, arg_max(state, judged_at) as state from verdicts group by 1
)
select p.platform,
    count(distinct p.key) filter (l.last >= {hour})::bigint,
    count(distinct p.key) filter (l.last >= {day} and l.last < {hour})::bigint,
    count(distinct p.key) filter (l.last >= {week} and l.last < {day})::bigint,
    count(distinct p.key) filter (l.last is null or l.last < {week})::bigint
from posts p left join latest l on l.subject = p.key left join judged j on j.subject = p.key
where coalesce(j.state, 'alive') not in ('gone', 'moved') group by 1
"""
_FAULTS: Final = """
with names as (
    select key, platform from posts union select key, platform from accounts
)
select n.platform, o.fault, sum(o.looks)::bigint as looks
from observations o join names n on n.key = o.subject
where o.kind = 'error' and o.last_asked_at > ? group by 1, 2 order by 3 desc limit 30
"""
