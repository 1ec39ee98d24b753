"""The past as Arrow tables: what every analysis in `explain` takes.

In: the journal with its tail, as `Observatory.past` connects to it. Out: the tables below, with
exactly the columns of their schemas, in a stable order. Nothing is concluded here beyond putting
the latest verdict beside its post. Needs the extra `explain` (pyarrow).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from vanished.archive.columns import INT64_MAX
from vanished.archive.measured import Measured
from vanished.model import DAY, Kind, Micros

TIME: Final = pa.int64()  # microseconds since the epoch, UTC

POSTS: Final = pa.schema(
    [
        ("post", pa.string()),  # pseudonyms; an account stands for its author
        ("account", pa.string()),
        ("platform", pa.string()),
        ("published_at", TIME),  # as the platform claims; null where it does not
        ("first_seen_at", TIME),
        # Start of the first request that proved it alive, and not after `alive_until`, which leaves
        # room for the age of a stale copy; null: none did.
        ("alive_from", TIME),
        ("alive_until", TIME),  # it was lost after this, or proven alive until then; null: never
        ("gone_by", TIME),  # it was lost by then; null unless state is gone
        ("state", pa.string()),  # State of the latest verdict, or of the looks if there is none
        ("causes", pa.string()),  # sorted, joined by commas; "" unless it is gone or moved
        ("confidence", pa.string()),
        ("explained_by", pa.string()),  # key of the account whose loss explains this one; or null
        ("notice", pa.string()),  # the words that decided
        ("looks", pa.int64()),  # answers of any kind, failures included
        ("failed", pa.int64()),  # of these, looks that failed
        ("title", pa.string()),  # of the latest wording; "" where none is known or it is sealed
        ("text", pa.string()),
    ]
)
ACCOUNTS: Final = pa.schema(
    [
        ("account", pa.string()),
        ("platform", pa.string()),
        ("added_at", TIME),
        ("alive_until", TIME),
        ("gone_by", TIME),
        ("state", pa.string()),
        ("causes", pa.string()),
        ("notice", pa.string()),
    ]
)
COUNTS: Final = pa.schema(
    [
        ("post", pa.string()),
        ("at", TIME),  # end of the first answer that showed these counts
        ("until", TIME),  # start of the last request that was answered with them
        ("reposts_low", pa.int64()),  # counters are intervals; null high: open above
        ("reposts_high", pa.int64()),
        ("views_low", pa.int64()),
        ("views_high", pa.int64()),
        ("likes_low", pa.int64()),
        ("likes_high", pa.int64()),
        ("comments_low", pa.int64()),
        ("comments_high", pa.int64()),
    ]
)
COVERAGE: Final = pa.schema(
    [
        ("subject", pa.string()),
        ("since", TIME),
        ("until", TIME),
        ("what", pa.string()),  # columns.WATCHED or columns.GAP
        ("why", pa.string()),
    ]
)
PICTURES: Final = pa.schema(
    [
        ("post", pa.string()),
        ("place", pa.int64()),
        ("sha256", pa.string()),
        ("method", pa.string()),  # of the perceptual hash; "" where there is none
        ("hash", pa.string()),  # hexadecimal
        ("quality", pa.int64()),
    ]
)
MEASUREMENTS: Final = pa.schema(
    [
        ("at", TIME),
        ("target", pa.string()),  # as it may be shown: see `kept_measurements.shown_names`
        ("network", pa.string()),  # such as "AS64500 ZZ"
        ("test", pa.string()),
        ("state", pa.string()),
        ("stopped", pa.bool_()),  # null: the verdict does not say
        ("layer", pa.string()),
        ("mechanism", pa.string()),
        ("ruleset", pa.string()),
    ]
)
LOOKS: Final = pa.schema(
    [
        ("day", TIME),  # midnight, UTC
        ("looks", pa.float64()),  # a run that goes over several days is spread evenly over them
        ("failed", pa.float64()),
    ]
)

_LATEST = """
with latest as (
    select subject, arg_max(v, v.judged_at) as v from (
        select subject, verdicts as v from verdicts
    ) group by subject
), seen as (
    select subject, sum(looks)::bigint as looks,
        coalesce(sum(looks) filter (kind = 'error'), 0)::bigint as failed,
        min(asked_at) filter (kind = 'alive') as alive_from,
        max(last_asked_at) filter (kind = 'alive') as alive_until
    from observations group by subject
)
"""
_POSTS = (
    _LATEST
    + """, wordings as (
    select post, arg_max(title, seen_at) as title, arg_max(text, seen_at) as text
    from versions group by post
), known as (
    select key, any_value(account) as account, any_value(platform) as platform,
        any_value(published_at) as published_at, min(first_seen_at) as first_seen_at
    from posts group by key
)
select k.key as post, k.account, k.platform, k.published_at, k.first_seen_at,
    case when l.v.state = 'gone' then case when l.v.last_alive_at is not null
        then least(s.alive_from, l.v.last_alive_at) end else s.alive_from end as alive_from,
    case when l.v.state = 'gone' then l.v.last_alive_at else s.alive_until end as alive_until,
    case when l.v.state = 'gone' then l.v.first_gone_at end as gone_by,
    coalesce(l.v.state, case when s.alive_until is null then 'unknown' else 'alive' end) as state,
    case when l.v.state in ('gone', 'moved') then l.v.causes else '' end as causes,
    coalesce(l.v.confidence, '') as confidence, l.v.explained_by, coalesce(l.v.words, '') as notice,
    coalesce(s.looks, 0) as looks, coalesce(s.failed, 0) as failed,
    coalesce(w.title, '') as title, coalesce(w.text, '') as text
from known k left join latest l on l.subject = k.key left join seen s on s.subject = k.key
left join wordings w on w.post = k.key
order by k.first_seen_at, k.key
"""
)
_ACCOUNTS = (
    _LATEST
    + """
select a.key as account, any_value(a.platform) as platform, min(a.added_at) as added_at,
    case when any_value(l.v.state) = 'gone' then any_value(l.v.last_alive_at)
        else any_value(s.alive_until) end as alive_until,
    case when any_value(l.v.state) = 'gone' then any_value(l.v.first_gone_at) end as gone_by,
    coalesce(any_value(l.v.state),
        case when any_value(s.alive_until) is null then 'unknown' else 'alive' end) as state,
    case when any_value(l.v.state) in ('gone', 'moved') then any_value(l.v.causes) else '' end
        as causes,
    coalesce(any_value(l.v.words), '') as notice
from accounts a left join latest l on l.subject = a.key left join seen s on s.subject = a.key
group by a.key order by 3, 1
"""
)
COUNTERS: Final = ("reposts", "views", "likes", "comments")
_COUNTS = f"""
select subject as post, answered_at as at,
    least(greatest(answered_at, last_asked_at), $until) as until, {{columns}}
from observations where kind = '{Kind.ALIVE.value}' and answered_at < $until
    and coalesce({{lows}}) is not null and subject in (select post from chosen)
order by subject, answered_at
"""
_COVERAGE = """
select subject, since, until, what, why from coverage where what in ('watched', 'gap')
order by since, until, subject
"""
_PICTURES = """
select post, place, any_value(sha256) as sha256, any_value(method) as method,
    any_value(hash) as hash, any_value(quality) as quality
from (select * from pictures where post in (select post from chosen) order by seen_at desc)
group by post, place, sha256
order by post, place, sha256
"""

_LOOKS = f"""
with runs as (
    select asked_at // {DAY} as first, greatest(last_answered_at, asked_at) // {DAY} as last, looks,
        case when kind = 'error' then looks else 0 end as failed
    from observations where subject in (select post from chosen)
), steps as (
    select first as day, sum(looks / (last - first + 1)) as looks,
        sum(failed / (last - first + 1)) as failed from runs group by 1
    union all select last + 1, -sum(looks / (last - first + 1)),
        -sum(failed / (last - first + 1)) from runs group by 1
)
select day, sum(looks) as looks, sum(failed) as failed from steps group by day order by day
"""


def posts(past: duckdb.DuckDBPyConnection) -> pa.Table:
    """Every post with its latest verdict and wording, one row each: `POSTS`."""
    return _table(past, _POSTS, POSTS)


def accounts(past: duckdb.DuckDBPyConnection) -> pa.Table:
    """Every account with its latest verdict, one row each: `ACCOUNTS`."""
    return _table(past, _ACCOUNTS, ACCOUNTS)


def counts(
    past: duckdb.DuckDBPyConnection,
    posts: pa.Table,
    until: Micros | None = None,
    counters: Sequence[str] = COUNTERS,
) -> pa.Table:
    """What counters of these posts showed, a row for each run of looks that showed the same:
    `COUNTS`, null but for `counters`. With `until`, what they had shown before then."""
    names = [f"{counter}_{end}" for counter in counters for end in ("low", "high")]
    lows = ", ".join(f"{counter}_low" for counter in (*counters, "null"))
    query = _COUNTS.format(columns=", ".join(names), lows=lows.replace("null_low", "null"))
    schema = pa.schema([field for field in COUNTS if field.name in ("post", "at", "until", *names)])
    with _chosen(past, posts):
        found = _table(past, query, schema, {"until": INT64_MAX if until is None else until})
    for place, field in enumerate(COUNTS):
        if field.name not in schema.names:
            found = found.add_column(place, field, pa.nulls(found.num_rows, field.type))
    return found


def coverage(past: duckdb.DuckDBPyConnection) -> pa.Table:
    """When subjects and vantages were watched, and when not: `COVERAGE`."""
    return _table(past, _COVERAGE, COVERAGE)


def pictures(past: duckdb.DuckDBPyConnection, posts: pa.Table) -> pa.Table:
    """The pictures of these posts, one row for each place and bytes: `PICTURES`."""
    with _chosen(past, posts):
        return _table(past, _PICTURES, PICTURES)


def looks(past: duckdb.DuckDBPyConnection, posts: pa.Table) -> pa.Table:
    """How often these posts were looked at, a row for each day from first to last: `LOOKS`."""
    with _chosen(past, posts):
        steps = past.sql(_LOOKS).fetchnumpy()
    if not len(steps["day"]):
        return LOOKS.empty_table()
    first, last = int(steps["day"][0]), int(steps["day"][-1])
    days = np.arange(first, last)
    at_day = np.searchsorted(steps["day"], days, side="right") - 1
    sums = [np.cumsum(np.asarray(steps[name], float))[at_day] for name in ("looks", "failed")]
    arrays = [pa.array(days * DAY), *(pa.array(np.round(each, 6)) for each in sums)]
    return pa.Table.from_arrays(arrays, schema=LOOKS)


def measurements(measured: Sequence[Measured], names: Mapping[tuple[str, str], str]) -> pa.Table:
    """What was measured of networks, oldest first: `MEASUREMENTS`. `names`: of targets."""
    rows = [
        {
            "at": one.measured_at,
            "target": names[one.test, one.target],
            "network": one.network,
            "stopped": one.stopped,
            **{n: getattr(one, n) for n in ("test", "state", "layer", "mechanism", "ruleset")},
        }
        for one in measured
    ]
    return pa.Table.from_pylist(rows, schema=MEASUREMENTS)


@contextmanager
def _chosen(past: duckdb.DuckDBPyConnection, posts: pa.Table) -> Iterator[None]:
    """The keys of these posts as a table of the connection."""
    past.register("chosen", posts.select(["post"]))
    try:
        yield
    finally:
        past.unregister("chosen")


def _table(
    past: duckdb.DuckDBPyConnection,
    query: str,
    schema: pa.Schema,
    values: dict[str, int] | None = None,
) -> pa.Table:
    found: pa.Table = past.sql(query, params=values).to_arrow_table()
    return found.select(schema.names).cast(schema)
