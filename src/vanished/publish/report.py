"""What vanished, as text or JSON: losses by cause with their denominators, and the coverage.

In: the journal with its unflushed tail, read through DuckDB. Out: a `Report` that prints itself.
It queries the present only for names, and only if asked. It never shows the words of a post that
its author may have taken down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanished.archive.observatory import Observatory
from vanished.clock import span
from vanished.model import SECOND, Cause, Micros, at
from vanished.publish.moments import iso, moment, parse_moment
from vanished.publish.withheld import author_named

METHOD = "report/1"
CAVEAT = (
    "An interval begins before the last look that proved a post alive, by the age that a stale"
    " copy may have, and ends with the first answer that proves it gone; all times are UTC. Among"
    " watched accounts only: nothing is said of others."
)
WITHHELD = "(words withheld)"  # its author may have taken it down

LATEST = """
create or replace temp view latest as
select subject, arg_max(v, v.judged_at) as v from (
    select subject, verdicts as v from verdicts
) group by subject
"""

LOSSES = """
create or replace temp table lost as
select l.subject, l.v.state as state, l.v.causes as causes, l.v.last_alive_at as last_alive_at,
       l.v.first_gone_at as first_gone_at, l.v.confidence as confidence, l.v.rules as rules,
       l.v.conflicts as conflicts, l.v.explained_by as explained_by, l.v.words as words,
       l.v.method as method, p.account as account, p.platform as platform,
       p.published_at as published_at, p.subject is not null as is_post
from latest l
left join (select key as subject, any_value(account) as account, any_value(platform) as platform,
           any_value(published_at) as published_at from posts group by key) p using (subject)
where l.v.first_gone_at is null or l.v.first_gone_at >= $since
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """One lost post as the report lists it."""

    post: str
    account: str
    platform: str
    causes: tuple[str, ...]
    confidence: str
    last_alive_at: Micros | None
    first_gone_at: Micros
    published_at: Micros | None
    notice: str
    rules: tuple[str, ...]
    conflicts: tuple[str, ...]
    explained_by: str | None
    title: str | None  # None: withheld, since its author may have taken it down, or sealed
    sealed: bool = False  # the words lie only in sealed captures

    def facts(self) -> dict[str, object]:
        return {
            "post": self.post,
            "account": self.account,
            "platform": self.platform,
            "causes": list(self.causes),
            "confidence": self.confidence,
            "last_alive_at": iso(self.last_alive_at),
            "first_gone_at": iso(self.first_gone_at),
            "published_at": iso(self.published_at),
            "notice": self.notice,
            "rules": list(self.rules),
            "conflicts": list(self.conflicts),
            "explained_by": self.explained_by,
            "title": self.title,
            "sealed": self.sealed,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Every number of it with its denominator."""

    observatory: str
    named: bool  # accounts by their names, for eyes inside the team
    since: Micros
    coverage: Mapping[str, Any]
    states: Mapping[str, int]
    causes: Mapping[str, int]
    accounts_lost: Sequence[Mapping[str, Any]]
    never_alive: int  # losses that nobody here saw alive: gone when first met, or a peer's record
    widths_s: tuple[float, float] | None  # median and 90 % of the interval's width
    losses: Sequence[Loss]
    methods: Sequence[str]

    @property
    def lost(self) -> int:
        return self.states.get("gone", 0)

    def facts(self) -> dict[str, object]:
        unknown = self.causes.get(Cause.UNKNOWN.value, 0)
        return {
            "observatory": self.observatory,
            "method": METHOD,
            "methods": list(self.methods),
            "since": at(self.since).isoformat() if self.since else None,
            "coverage": dict(self.coverage),
            "states": dict(self.states),
            "lost": self.lost,
            "lost_of": self.coverage["posts"],
            "causes": dict(self.causes),
            "unknown_cause_share": unknown / self.lost if self.lost else None,
            "never_proven_alive": self.never_alive,
            "accounts_lost": list(self.accounts_lost),
            "interval_width_s": (
                None
                if self.widths_s is None
                else {"median": self.widths_s[0], "p90": self.widths_s[1]}
            ),
            "losses": [loss.facts() for loss in self.losses],
        }

    def show(self, console: Console) -> None:
        """Print the report; tables shrink to the terminal's width."""
        _show_coverage(console, self)
        _show_causes(console, self)
        _show_losses(console, self)
        console.print(
            f"Methods: {', '.join([METHOD, *self.methods])}. " + CAVEAT,
            style="dim",
        )


def _show_coverage(console: Console, report: Report) -> None:
    c = report.coverage
    console.print("What was watched", style="bold")
    platforms = ", ".join(f"{name} {n}" for name, n in c["accounts_by_platform"].items())
    console.print(f"  {c['accounts']} accounts ({platforms or 'none'}), {c['posts']} posts")
    if c["looks"]:
        share = c["failed_looks"] / c["looks"]
        faults = ", ".join(f"{name} {n}" for name, n in c["faults"].items())
        console.print(
            f"  {c['looks']} looks from {c['first']} to {c['last']}; {c['failed_looks']} of them"
            f" failed ({share:.1%}{': ' + faults if faults else ''}) and prove nothing"
        )
    for gap in c["gaps"]:
        why = str(gap["why"]).split(";")[0]
        console.print(f"  not looking: {gap['from']} to {gap['to']} ({why})", style="yellow")
    if c["more_gaps"]:
        console.print(f"  … and {c['more_gaps']} more gaps", style="yellow")


def _show_causes(console: Console, report: Report) -> None:
    console.print()
    total = report.coverage["posts"]
    if not report.lost:
        console.print(f"Nothing was lost among {total} posts.", style="bold")
    else:
        console.print(
            f"{report.lost} of {total} posts were lost ({report.lost / total:.1%})", style="bold"
        )
        table = Table("cause left open by the facts", "posts", "share of losses", box=None)
        for cause, n in report.causes.items():
            table.add_row(cause, str(n), f"{n / report.lost:.1%}")
        console.print(table)
        if report.widths_s:
            median, p90 = report.widths_s
            console.print(
                f"  time of loss known to within {span(median)} (median), {span(p90)} (90 %)"
            )
        if report.never_alive:
            console.print(
                f"  {report.never_alive} of them were never proven alive here: gone when first met,"
                " or known from a peer's record; when they were lost is open below"
            )
    if any(loss.sealed for loss in report.losses):
        console.print(
            "  words of posts are sealed on this machine; where the identity is, vanished unseal"
            " makes a readable copy"
        )
    if withheld := sum(loss.title is None and not loss.sealed for loss in report.losses):
        console.print(
            f"  the words of {withheld} of the listed losses are withheld: their authors may have"
            " taken them down themselves"
        )
    others = {k: n for k, n in report.states.items() if k not in ("gone", "alive")}
    if others:
        console.print("  also: " + ", ".join(f"{n} {state}" for state, n in others.items()))
    for account in report.accounts_lost:
        console.print(
            f"  account {account['account']} ({account['platform']}): {account['state']}"
            f"{', ' + account['causes'] if account['causes'] != account['state'] else ''};"
            f" explains {account['posts']} posts, counts once"
        )


def _show_losses(console: Console, report: Report) -> None:
    if not report.losses:
        return
    console.print()
    console.print(f"The latest {len(report.losses)} of {report.lost} losses", style="bold")
    table = Table(box=None, pad_edge=False)
    widest = max(cell_len(_ours(console, " or ".join(loss.causes))) for loss in report.losses)
    for head, width in (("proven alive", 14), ("gone by", 14), ("account", 7), ("cause", widest)):
        table.add_column(head, no_wrap=True, min_width=width)
    table.add_column("notice, title", no_wrap=True, overflow="ellipsis", ratio=1)
    gone_too, hidden = _ours(console, "lost with its account"), _ours(console, WITHHELD)
    for loss in report.losses:
        title = "" if loss.sealed else hidden if loss.title is None else loss.title
        words = gone_too if loss.explained_by else loss.notice or loss.rules[0]
        table.add_row(
            "never" if loss.last_alive_at is None else moment(loss.last_alive_at)[2:16],
            moment(loss.first_gone_at)[2:16],
            loss.account if report.named else f"{loss.account[:6]}…",
            " or ".join(loss.causes) + ("!" if loss.conflicts else ""),
            Text(f"{words} · {title}" if title else words),
        )
    console.print(table)
    if any(loss.conflicts for loss in report.losses):
        console.print("  ! notices contradict each other: see --json", style="dim")


def _ours(console: Console, words: str) -> str:
    """Words of ours among those of others, as the console says them."""
    return console.render_str(words, markup=False, highlight=False).plain


def make_report(folder: Path, *, since: str | None, rows: int, names: bool) -> Report:
    """Read the journal of the observatory in `folder` and count."""
    start = parse_moment(since, "--since") or 0
    with Observatory.open(folder) as observatory:
        known = observatory.account_names() if names else {}
        with observatory.past() as con:
            con.execute(LATEST)
            con.execute(LOSSES, {"since": start})
            return Report(
                observatory=observatory.settings.id,
                named=names,
                since=start,
                coverage=_coverage(con),
                states=_pairs(
                    con, "select state, count(*) from lost where is_post group by 1 order by 2 desc"
                ),
                causes=_pairs(
                    con,
                    "select replace(causes, ',', ' or '), count(*) from lost"
                    " where is_post and state = 'gone' group by 1 order by 2 desc, 1",
                ),
                accounts_lost=_accounts_lost(con, known),
                never_alive=_never_alive(con),
                widths_s=_widths(con),
                losses=_losses(con, rows, known, sealed=observatory.sealed),
                methods=[
                    name for (name,) in con.execute("select distinct method from lost").fetchall()
                ],
            )


def _pairs(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return dict(con.execute(query).fetchall())


def _coverage(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    looks, failed, first, last = con.execute(
        "select coalesce(sum(looks), 0)::bigint,"
        " coalesce(sum(looks) filter (kind = 'error'), 0)::bigint,"
        " min(asked_at), max(last_answered_at) from observations"
    ).fetchall()[0]
    gaps = con.execute(
        "select since, until, why from coverage where what = 'gap' order by until - since desc"
    ).fetchall()
    accounts = _pairs(
        con, "select platform, count(distinct key) from accounts group by 1 order by 2 desc, 1"
    )
    posts = con.execute("select count(distinct key) from posts").fetchall()[0][0]
    return {
        "accounts": sum(accounts.values()),
        "accounts_by_platform": accounts,
        "posts": posts,
        "looks": looks,
        "failed_looks": failed,
        "faults": _pairs(
            con,
            "select fault, sum(looks)::bigint from observations where kind = 'error'"
            " group by 1 order by 2 desc, 1",
        ),
        "first": None if first is None else moment(first),
        "last": None if last is None else moment(last),
        "gaps": [
            {"from": moment(begin), "to": moment(end), "why": why} for begin, end, why in gaps[:5]
        ],
        "more_gaps": max(0, len(gaps) - 5),
    }


def _accounts_lost(
    con: duckdb.DuckDBPyConnection, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    found = con.execute(
        "select l.subject, any_value(a.platform), any_value(l.state),"
        " any_value(replace(l.causes, ',', ' or ')),"
        " (select count(*) from lost e where e.explained_by = l.subject)"
        " from lost l join accounts a on a.key = l.subject"
        " where not l.is_post and l.state in ('gone', 'moved', 'returned') group by 1 order by 1"
    ).fetchall()
    return [
        {
            "account": names.get(key, key),
            "platform": platform,
            "state": state,
            "causes": causes,
            "posts": posts,
        }
        for key, platform, state, causes, posts in found
    ]


def _never_alive(con: duckdb.DuckDBPyConnection) -> int:
    query = "select count(*) from lost where is_post and state = 'gone' and last_alive_at is null"
    return int(con.execute(query).fetchall()[0][0])


def _widths(con: duckdb.DuckDBPyConnection) -> tuple[float, float] | None:
    median, p90 = con.execute(
        f"select median(w), quantile_cont(w, 0.9) from (select (first_gone_at - last_alive_at)"
        f" / {SECOND} as w from lost where is_post and state = 'gone'"
        " and last_alive_at is not null)"
    ).fetchall()[0]
    return None if median is None else (float(median), float(p90))


def _losses(
    con: duckdb.DuckDBPyConnection, rows: int, names: Mapping[str, str], *, sealed: bool
) -> list[Loss]:
    found = con.execute(
        "select l.subject, l.account, l.platform, l.causes, l.confidence, l.last_alive_at,"
        " l.first_gone_at, l.published_at, l.words, l.rules, l.conflicts, l.explained_by,"
        " (select arg_max(coalesce(nullif(v.title, ''), left(v.text, 60)), v.seen_at)"
        "  from versions v where v.post = l.subject)"
        " from lost l where l.is_post and l.state = 'gone'"
        " order by l.first_gone_at desc, l.subject limit $rows",
        {"rows": rows},
    ).fetchall()

    def withheld(row: tuple[Any, ...]) -> bool:
        return author_named(row[3].split(","))

    return [
        Loss(
            post=row[0],
            account=names.get(row[1], row[1]),
            platform=row[2],
            causes=tuple(row[3].split(",")),
            confidence=row[4],
            last_alive_at=row[5],
            first_gone_at=row[6],
            published_at=row[7],
            notice=row[8],
            rules=tuple(json.loads(row[9])),
            conflicts=tuple(json.loads(row[10])),
            explained_by=row[11],
            title=None if withheld(row) or (sealed and not row[12]) else row[12],
            sealed=sealed and not row[12] and not withheld(row),
        )
        for row in found
    ]
