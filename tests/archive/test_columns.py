"""If these fail, the journal gives back other facts than it was given."""

from __future__ import annotations

import json
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from vanished.archive.columns import (
    ACCOUNTS,
    COVERAGE,
    GAP,
    OBSERVATIONS,
    POSTS,
    TABLES,
    VERDICTS,
    VERSIONS,
    WATCHED,
    AccountFacts,
    Coverage,
    Judgement,
    PostFacts,
    Wording,
)
from vanished.archive.journal import Journal
from vanished.archive.measured import Measured
from vanished.archive.runs import compress
from vanished.archive.table import Table
from vanished.model import (
    ALIVE,
    DAY,
    Account,
    Cause,
    Confidence,
    Count,
    Counts,
    Fault,
    Interval,
    Kind,
    Observation,
    Picture,
    Post,
    Signal,
    State,
    Strength,
    Verdict,
    Version,
    Via,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TIMES = st.integers(0, 2**62)
CAUSES = st.frozensets(st.sampled_from(Cause))
COUNTS = st.builds(Count, INT64, st.none() | INT64)


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    kind = draw(st.sampled_from(Kind))
    gone = kind in (Kind.GONE, Kind.MOVED)
    return Signal(
        kind,
        draw(st.frozensets(st.sampled_from(Cause), min_size=1)) if gone else frozenset(),
        draw(TEXT),
        draw(st.sampled_from(Strength)),
        draw(st.sampled_from(Fault)) if kind is Kind.ERROR else None,
        draw(st.none() | INT64),
        draw(TEXT),
        draw(TEXT),
        draw(st.booleans()),
    )


@st.composite
def observations(draw: st.DrawFn, times: st.SearchStrategy[int] = TIMES) -> Observation:
    asked, answered, last_asked, last_answered = sorted(draw(times) for _ in range(4))
    return Observation(
        draw(TEXT),
        asked,
        answered,
        draw(signals()),
        draw(st.sampled_from(Via)),
        draw(TEXT),
        draw(TEXT),
        draw(st.builds(Counts, *[st.none() | COUNTS] * 4)),
        draw(TEXT),
        last_asked,
        last_answered,
        draw(st.integers(1, 2**40)),
    )


MEDIA = st.lists(TEXT, max_size=3).map(tuple)
NOUNS: dict[str, st.SearchStrategy[Any]] = {
    "observations": observations(),
    "versions": st.builds(Wording, TEXT, TIMES, st.builds(Version, TEXT, TEXT, TEXT, MEDIA)),
    "verdicts": st.builds(
        Judgement,
        TIMES,
        st.builds(
            Verdict,
            TEXT,
            st.sampled_from(State),
            CAUSES,
            st.none() | st.builds(Interval, st.none() | INT64, INT64),
            st.sampled_from(Confidence),
            MEDIA,
            MEDIA,
            st.none() | TEXT,
            TEXT,
            INT64,
            TEXT,
        ),
    ),
    "posts": st.builds(PostFacts, TEXT, TEXT, TEXT, st.none() | INT64, TIMES),
    "accounts": st.builds(AccountFacts, TEXT, TEXT, TIMES),
    "pictures": st.builds(
        Picture,
        *(TEXT, TIMES, INT64, TEXT, TEXT, INT64, TEXT, TEXT, TEXT, st.none() | INT64, TEXT),
    ),
    "coverage": st.builds(Coverage, TEXT, TIMES, TIMES, st.sampled_from([WATCHED, GAP]), TEXT),
    "measurements": st.builds(
        Measured,
        *(TEXT, TIMES, TIMES, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, st.none() | TEXT),
        *(st.none() | TEXT, TEXT, MEDIA, TEXT, TEXT),
    ),
}


def test_every_table_has_a_round_trip_here() -> None:
    assert set(NOUNS) == set(TABLES)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
@given(drawn=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_columns_give_back_the_nouns(table: Table[Any], drawn: st.DataObject) -> None:
    nouns = drawn.draw(st.lists(NOUNS[table.name], max_size=5))
    columns = table.encode(nouns)
    assert list(columns) == list(table.fields)
    assert table.decode(columns) == nouns


@given(drawn=st.data())
@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],  # shrinking through a disk takes minutes
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_parquet_gives_back_the_nouns(drawn: st.DataObject, tmp_path_factory: Any) -> None:
    """Through the disk and DuckDB, every type of column, NULLs and the ends of 64 bits included."""
    nouns = {name: drawn.draw(st.lists(nouns, max_size=4)) for name, nouns in NOUNS.items()}
    folder: Path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal.create(folder)
    journal.flush({name: TABLES[name].encode(found) for name, found in nouns.items()}, 1)
    with journal.connect() as connection:
        for name, table in TABLES.items():
            read = table.decode(connection.execute(f"SELECT * FROM {name}").fetchnumpy())
            assert len(read) == len(nouns[name])
            assert all(noun in read for noun in nouns[name])


def test_columns_have_the_names_that_sql_needs_no_quotes_for(tmp_path: Path) -> None:
    """An analyst writes `SELECT actor, until`; a reserved word would cost an hour."""
    with Journal.create(tmp_path / "journal").connect() as connection:
        for name, table in TABLES.items():
            connection.execute(f"SELECT {', '.join(table.fields)} FROM {name}").fetchall()


def test_absurd_answers_do_not_stop_the_journal() -> None:
    """A lone surrogate or a count beyond 64 bits in one answer would block every later commit."""
    signal = Signal(
        Kind.GONE, frozenset([Cause.UNKNOWN]), words="gone \ud800", by="\udfff", status=10**30
    )
    counts = Counts(
        views=Count(10**20, 10**30), likes=Count(7, 10**30), reposts=Count(-(10**30), 5)
    )
    seen = Observation("s", 1, 2, signal, counts=counts)
    (read,) = OBSERVATIONS.decode(OBSERVATIONS.encode([seen]))
    assert (read.signal.words, read.signal.by, read.signal.status) == ("gone �", "�", None)
    assert read.counts.views == Count(2**63 - 1, None), "the true value is still inside"
    assert read.counts.likes == Count(7, None)
    assert read.counts.reposts == Count(-(2**63), 5)
    wording = Wording("p", 1, Version("h", "t\ud83d", "\ud83d\ude00", ("http://x/\udc00",)))
    (kept,) = VERSIONS.decode(VERSIONS.encode([wording]))
    assert (kept.version.title, kept.version.text) == ("t�", "😀")
    assert kept.version.media == ("http://x/�",)
    (post,) = POSTS.decode(POSTS.encode([PostFacts("k", "a", "x", 10**40, 5)]))
    assert post.published_at is None


def test_rows_are_plain_values() -> None:
    """The tail in SQLite takes the same rows; an Enum or a set there would stop the commit."""
    verdict = Verdict("s", State.GONE, frozenset(Cause), Interval(None, 3), rules=("b", "a"))
    row = VERDICTS.to_row(Judgement(9, verdict))
    assert {type(value) for value in row} == {str, int, type(None)}
    assert row[3] == "account,author,legal,moved,network,platform,unknown"
    assert json.loads(str(row[7])) == ["b", "a"]
    signal = Signal(Kind.MOVED, frozenset([Cause.MOVED]), account_level=True)
    observed = OBSERVATIONS.to_row(Observation("s", 1, 1, signal))
    assert {type(value) for value in observed} == {str, int, bool, type(None)}


def test_what_identifies_an_author_has_no_column() -> None:
    account = Account("k", "page", "native-account", "A Name", "https://example.org/a", 5)
    post = Post("p", "k", "page", "native-post", "https://example.org/p", 1, 2, "native-other")
    rows = (*ACCOUNTS.to_row(AccountFacts.of(account)), *POSTS.to_row(PostFacts.of(post)))
    assert rows == ("k", "page", 5, "p", "k", "page", 1, 2)
    assert not {"name", "native_id", "url", "repeats"} & {
        f for t in TABLES.values() for f in t.fields
    }


def test_coverage_says_from_when_to_when() -> None:
    gap = Coverage("wechatscope", 1, 2, GAP, "silent")
    assert COVERAGE.to_row(gap) == ("wechatscope", 1, 2, "gap", "silent")


ORDER = attrgetter("subject", "asked_at", "answered_at", "last_asked_at", "last_answered_at")
FEW = st.builds(
    lambda o, subject, alive: replace(
        o, subject=subject, signal=ALIVE if alive else o.signal, via=Via.DIRECT, vantage="",
        version="", counts=Counts(), capture="", looks=1 + o.looks % 3,
    ),
    observations(st.integers(0, 30)),
    st.sampled_from("ab"),
    st.booleans(),
)  # fmt: skip


@given(looks=st.lists(FEW, max_size=12), drawn=st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_runs_lose_no_look_and_no_outer_time(
    looks: list[Observation], drawn: st.DataObject
) -> None:
    runs = compress(looks)
    for subject in {look.subject for look in looks}:
        mine = [look for look in looks if look.subject == subject]
        kept = [run for run in runs if run.subject == subject]
        assert sum(run.looks for run in kept) == sum(look.looks for look in mine)
        assert min(run.asked_at for run in kept) == min(look.asked_at for look in mine)
        last = max(look.last_answered_at for look in mine)
        assert max(run.last_answered_at for run in kept) == last
    assert {run.says() for run in runs} == {look.says() for look in looks}
    if len({ORDER(look) for look in looks}) == len(looks):
        shuffled = drawn.draw(st.permutations(looks))
        assert compress(shuffled) == runs, "the order of arrival changes nothing"


@given(times=st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=20))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_nothing_else_was_seen_inside_a_run(times: list[tuple[int, bool]]) -> None:
    """A run that hides a "gone" between two "alive" would hide a loss and its return."""
    gone = Signal(Kind.GONE, frozenset([Cause.UNKNOWN]))
    looks = [Observation("s", t, t, ALIVE if alive else gone) for t, alive in times]
    for run in compress(looks):
        between = {
            look.signal.kind for look in looks if run.asked_at < look.asked_at < run.last_asked_at
        }
        assert between <= {run.signal.kind}


def test_a_month_of_hourly_looks_is_one_row() -> None:
    hour = DAY // 24
    looks = [Observation("s", i * hour, i * hour + 5, ALIVE) for i in range(720)]
    (run,) = compress(looks)
    assert (run.asked_at, run.answered_at) == (0, 5)
    assert (run.last_asked_at, run.last_answered_at, run.looks) == (719 * hour, 719 * hour + 5, 720)
