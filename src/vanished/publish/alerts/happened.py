"""What the past says has happened lately: losses, returns, what was judged anew, crossings.

In: an observatory's past as DuckDB views, and a moment from which on things are news. Out: events
with ids that are the same at every reading, and the `Basis` that every message states. Nothing is
concluded: the latest verdict on each subject is taken as it stands. A post that its account's loss
explains is no event of its own; it counts with the account.

The words of a post are read only to see whether a rule's term stands in them, and only where its
author cannot have taken it down. They are in no event.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from vanished.explain.thresholds import Threshold
from vanished.model import DAY, Cause, Confidence, Micros, State
from vanished.publish.alerts.event import Event, Kind, author_possible, identity

LOOK_BACK: Final[Micros] = 30 * DAY
"""What was judged longer ago is no news, whether it was told or not."""

# Of each subject judged lately: its latest verdict, its last one that said gone, and how often it
# has left that state: a second loss is another event than the first.
_JUDGED: Final = """
create or replace temp table judged as
with recent as (select distinct subject from verdicts where judged_at >= $since),
ordered as (
    select subject, verdicts as v, lag(state) over (
        partition by subject order by judged_at, coalesce(first_gone_at, 0)) as before
    from verdicts semi join recent using (subject)
)
select subject, arg_max(v, v.judged_at) as v,
    arg_max(v, v.judged_at) filter (v.state = 'gone') as gone,
    count(*) filter (before = 'gone' and v.state <> 'gone') as episode
from ordered group by subject
"""
_SUBJECTS: Final = """
select j.subject, j.v.state, j.v.judged_at, j.episode, j.gone.causes, j.gone.confidence,
    j.gone.last_alive_at, j.gone.first_gone_at, j.gone.explained_by, j.gone.conflicts,
    p.account, coalesce(p.platform, a.platform) as platform, p.subject is not null as is_post
from judged j
left join (select key as subject, any_value(account) as account, any_value(platform) as platform
    from posts semi join judged on judged.subject = posts.key group by key) p using (subject)
left join (select key as subject, any_value(platform) as platform
    from accounts group by key) a using (subject)
where j.gone is not null and (p.subject is not null or a.subject is not null)
order by j.v.judged_at, j.subject
"""
_EXPLAINED: Final = """
select v.explained_by, count(*) from (
    select subject, arg_max(verdicts, judged_at) as v from verdicts group by subject)
where v.state = 'gone' and v.explained_by is not null group by 1
"""
_WORDS: Final = """
select v.post, arg_max(v.title || chr(10) || v.text, v.seen_at) from versions v
join judged j on j.subject = v.post and j.v.state = 'gone' group by 1
"""
_SHOWN: Final = """
create or replace temp table shown as
select distinct subject from observations
where answered_at >= $since and kind = 'alive' and ({reached})
"""
_CROSSED: Final = """
select o.subject, min(answered_at) as at, p.account, p.platform
from (select * from observations semi join shown using (subject)) o
join (select key as subject, any_value(account) as account, any_value(platform) as platform
    from posts semi join shown on shown.subject = posts.key group by key) p using (subject)
where kind = 'alive' and ({reached}) group by all having min(answered_at) >= $since order by 2, 1
"""


@dataclass(frozen=True, slots=True)
class Basis:
    """What the numbers of a message are among; looks are those of the last 24 hours."""

    posts: int
    accounts: int
    lost_day: int  # posts first seen gone within the last 24 hours
    looks_day: int
    failed_day: int
    last_look: Micros | None


def happened(
    past: duckdb.DuckDBPyConnection,
    since: Micros,
    now: Micros,
    terms: Collection[str] = (),
    lines: Sequence[Threshold] = (),
) -> list[Event]:
    """The events from `since` on, oldest first. `terms` and `lines` are those of all rules."""
    earliest = max(since, now - LOOK_BACK)
    past.execute(_JUDGED, {"since": min(earliest, now - DAY)})
    explained = dict(past.execute(_EXPLAINED).fetchall())
    words = _terms_by_post(past, terms) if terms else {}
    rows = past.execute(_SUBJECTS).fetchall()
    found = [event for row in rows for event in _of_subject(row, explained, words)]
    for line in lines:
        found += _crossings(past, line, earliest)
    return sorted(found, key=lambda event: (event.at, event.id))


def is_news(event: Event, since: Micros, now: Micros) -> bool:
    """Whether it may be told for the first time: judged since, and not of something long past.

    A peer's record that is imported today is judged today, and is no news for that.
    """
    earliest = max(since, now - LOOK_BACK)
    gone_by = event.detail.get("gone_by")
    return event.at >= earliest and (not isinstance(gone_by, int) or gone_by >= earliest - DAY)


def _of_subject(
    row: Sequence[Any], explained: dict[str, int], words: dict[str, frozenset[str]]
) -> Iterator[Event]:
    """At most one event: what became of one subject that was judged lost at least once."""
    subject, state, judged_at, episode, causes, confidence, alive, gone_by, by, conflicts = row[:10]
    account, platform, is_post = row[10:]
    if by is not None:
        return
    left_open = frozenset(Cause(word) for word in causes.split(",") if word)
    detail = {
        "alive": alive, "gone_by": gone_by, "posts": explained.get(subject, 0),
        "conflicts": int(conflicts not in ("", "[]")), "state": state,
    }  # fmt: skip
    lost = identity(Kind.LOSS, subject, episode)
    kind, own, answers = (Kind.LOSS if is_post else Kind.ACCOUNT), lost, ""
    if state != State.GONE.value:
        kind = Kind.RETURN if state == State.RETURNED.value else Kind.BACK
        answers = identity(Kind.LOSS, subject, episode - 1)
        own = identity(kind, subject, episode)
    told = frozenset[str]() if author_possible(left_open) else words.get(subject, frozenset())
    yield Event(
        own, kind, judged_at, platform, account if is_post else subject, subject if is_post else "",
        left_open, Confidence(confidence), answers, told, detail,
    )  # fmt: skip


def folded(text: str) -> str:
    """A text as terms are looked for in it: compatible forms alike, no difference of case."""
    return unicodedata.normalize("NFKC", text).casefold()


def _terms_by_post(
    past: duckdb.DuckDBPyConnection, terms: Collection[str]
) -> dict[str, frozenset[str]]:
    """The terms that stand in the latest wording of each lost post."""
    sought = {term: folded(term) for term in terms}
    found = {}
    for post, text in past.execute(_WORDS).fetchall():
        inside = folded(text)
        if hits := frozenset(term for term, form in sought.items() if form in inside):
            found[post] = hits
    return found


def _crossings(past: duckdb.DuckDBPyConnection, line: Threshold, since: Micros) -> Iterator[Event]:
    """Posts that are first proven to have reached `line` since then. Its names are our own."""
    reached = " or ".join(f"{name}_low >= {number:d}" for name, number in line.reaches.items())
    past.execute(_SHOWN.format(reached=reached), {"since": since})
    if not past.execute("select count(*) from shown").fetchall()[0][0]:
        return  # the second question would read all looks
    for post, at, account, platform in past.execute(
        _CROSSED.format(reached=reached), {"since": since}
    ).fetchall():
        yield Event(
            identity(Kind.CROSSING, line.id, post), Kind.CROSSING, at, platform, account, post,
            detail={"line": line.id, **line.reaches},
        )  # fmt: skip


def basis(past: duckdb.DuckDBPyConnection, now: Micros) -> Basis:
    """The denominators as they stand."""
    posts = past.execute("select count(distinct key) from posts").fetchall()[0][0]
    accounts = past.execute("select count(distinct key) from accounts").fetchall()[0][0]
    looks, failed, last = past.execute(
        "select coalesce(sum(looks), 0)::bigint,"
        " coalesce(sum(looks) filter (kind = 'error'), 0)::bigint, max(last_answered_at)"
        " from observations where last_answered_at >= $day and via <> 'import'",
        {"day": now - DAY},
    ).fetchall()[0]
    if last is None:
        query = "select max(last_answered_at) from observations where via <> 'import'"
        last = past.execute(query).fetchall()[0][0]
    lost = past.execute(
        "select count(*) from (select subject, arg_max(verdicts, judged_at) as v from verdicts"
        " where subject in (select subject from verdicts where first_gone_at >= $day)"
        " group by subject) l semi join posts p on p.key = l.subject"
        " where l.v.state = 'gone' and l.v.first_gone_at >= $day",
        {"day": now - DAY},
    ).fetchall()[0][0]
    return Basis(posts, accounts, lost, looks, failed, last)
