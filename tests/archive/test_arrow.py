"""What analyses take: one row a post, the latest verdict and words, counters as they were shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from vanished.archive import arrow, columns
from vanished.archive.columns import Coverage, Judgement, PostFacts, Wording
from vanished.archive.journal import Journal
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    Cause,
    Confidence,
    Count,
    Counts,
    Fault,
    Interval,
    Kind,
    Observation,
    Picture,
    Signal,
    State,
    Verdict,
    Version,
    failed,
)  # fmt: skip


def look(post: str, at: int, signal: Signal = ALIVE, **given: object) -> Observation:
    return Observation(post, at, at + 1, signal, **given)  # type: ignore[arg-type]


def gone(subject: str, alive: int | None, by: int, cause: Cause, words: str = "") -> Verdict:
    interval = Interval(alive, by)
    return Verdict(subject, State.GONE, frozenset({cause}), interval, Confidence.HIGH, words=words)


PLATFORM = Signal(Kind.GONE, frozenset({Cause.PLATFORM}), "lab/x@1")
OBSERVATIONS = [
    look("a", 1 * DAY, version="h", counts=Counts(reposts=Count(3, 3), views=Count(10_000, None))),
    look("a", 2 * DAY, last_asked_at=3 * DAY, last_answered_at=3 * DAY + 1, looks=5,
         counts=Counts(reposts=Count(9, 9))),
    look("a", 4 * DAY, failed(Fault.TIMEOUT)), look("a", 5 * DAY, PLATFORM),
    look("b", 1 * DAY), look("c", DAY, failed(Fault.DNS), looks=2),
]  # fmt: skip


@contextmanager
def past(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    journal = Journal.create(folder / "journal")
    post_facts = [PostFacts(key, "z", "lab", DAY, DAY) for key in "cba"]
    wordings = [
        Wording("a", DAY, Version("h", "old", "words")),
        Wording("a", 2 * DAY, Version("i", "new", "more")),
    ]
    verdicts = [
        Judgement(6 * DAY, gone("a", 3 * DAY, 5 * DAY, Cause.PLATFORM, words="gone")),
        Judgement(5 * DAY, gone("a", 3 * DAY, 5 * DAY, Cause.UNKNOWN)),
        Judgement(6 * DAY, gone("z", None, 5 * DAY, Cause.ACCOUNT)),
    ]
    pictures = [Picture("a", DAY, 0, "p", "s", 9, "png", "pdq", "ff", 80), Picture(
        "b", DAY, 0, "p", "s", 9, "png")]  # fmt: skip
    journal = Journal.open(folder / "journal", writable=True)
    journal.flush(
        {
            "observations": columns.OBSERVATIONS.encode(OBSERVATIONS),
            "posts": columns.POSTS.encode(post_facts),
            "versions": columns.VERSIONS.encode(wordings),
            "verdicts": columns.VERDICTS.encode(verdicts),
            "accounts": columns.ACCOUNTS.encode([columns.AccountFacts("z", "lab", DAY)]),
            "coverage": columns.COVERAGE.encode(
                [Coverage("watch", DAY, 2 * DAY, "gap", "off"), Coverage("x", 1, 2, "route begun")]
            ),
            "pictures": columns.PICTURES.encode(pictures),
        },
        1,
    )
    connection = journal.connect()
    try:
        yield connection
    finally:
        connection.close()


def test_a_post_has_one_row_with_its_latest_verdict_and_words(tmp_path: Path) -> None:
    with past(tmp_path) as con:
        posts = arrow.posts(con)
    assert posts.schema == arrow.POSTS
    a, b, c = posts.to_pylist()
    assert (a["post"], a["state"], a["causes"], a["notice"]) == ("a", "gone", "platform", "gone")
    assert (a["title"], a["text"]) == ("new", "more")
    assert (a["alive_from"], a["alive_until"], a["gone_by"]) == (DAY, 3 * DAY, 5 * DAY)
    assert (a["looks"], a["failed"]) == (8, 1)
    assert (b["state"], b["alive_until"], b["gone_by"], b["causes"]) == ("alive", DAY, None, "")
    assert (c["state"], c["alive_until"], c["looks"], c["failed"]) == ("unknown", None, 2, 2)


def test_a_first_proof_is_not_later_than_the_last_safe_one(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal")
    verdicts = [
        Judgement(9 * DAY, gone("a", DAY - HOUR, 5 * DAY, Cause.PLATFORM)),
        Judgement(9 * DAY, gone("b", None, 5 * DAY, Cause.PLATFORM)),
    ]
    journal = Journal.open(tmp_path / "journal", writable=True)
    journal.flush(
        {
            "observations": columns.OBSERVATIONS.encode([look("a", DAY), look("b", DAY)]),
            "posts": columns.POSTS.encode([PostFacts(key, "z", "lab", DAY, DAY) for key in "ab"]),
            "verdicts": columns.VERDICTS.encode(verdicts),
        },
        1,
    )
    connection = journal.connect()
    a, b = arrow.posts(connection).to_pylist()
    connection.close()
    assert (a["alive_from"], a["alive_until"]) == (DAY - HOUR, DAY - HOUR)
    assert (b["alive_from"], b["alive_until"]) == (None, None), "the verdict believes no look"


def test_counters_are_intervals_cut_at_the_end_and_of_the_posts_asked_for(tmp_path: Path) -> None:
    with past(tmp_path) as con:
        posts = arrow.posts(con)
        first, second = arrow.counts(con, posts).to_pylist()
        (only,) = arrow.counts(con, posts, 2 * DAY).to_pylist()
        (_, cut) = arrow.counts(con, posts, 2 * DAY + HOUR).to_pylist()
        assert arrow.counts(con, posts.slice(1)).num_rows == 0
        (views,) = arrow.counts(con, posts, counters=["views"]).to_pylist()
        assert arrow.counts(con, posts, counters=["likes"]).schema == arrow.COUNTS
    assert (views["reposts_low"], views["views_low"]) == (None, 10_000)
    assert (first["reposts_low"], first["views_low"], first["views_high"]) == (3, 10_000, None)
    assert (second["at"], second["until"], second["reposts_high"]) == (2 * DAY + 1, 3 * DAY, 9)
    assert only == first
    assert cut["until"] == 2 * DAY + HOUR


def test_accounts_coverage_and_pictures(tmp_path: Path) -> None:
    with past(tmp_path) as con:
        posts = arrow.posts(con)
        (account,) = arrow.accounts(con).to_pylist()
        (gap,) = arrow.coverage(con).to_pylist()
        pictures = arrow.pictures(con, posts.slice(0, 1)).to_pylist()
    assert (account["account"], account["state"], account["causes"]) == ("z", "gone", "account")
    assert (account["alive_until"], account["gone_by"]) == (None, 5 * DAY)
    assert (gap["what"], gap["why"]) == ("gap", "off"), "routes are no coverage"
    assert [(p["post"], p["hash"], p["quality"]) for p in pictures] == [("a", "ff", 80)]


def test_looks_are_counted_by_day_and_runs_are_spread_over_theirs(tmp_path: Path) -> None:
    """Else a week of unchanged looks would stand as one day of zeal and six of sleep."""
    with past(tmp_path) as con:
        found = arrow.looks(con, arrow.posts(con)).to_pylist()
        nothing = arrow.looks(con, arrow.posts(con).slice(0, 0))
    assert [(row["day"] // DAY, row["looks"], row["failed"]) for row in found] == [
        (1, 4, 2), (2, 2.5, 0), (3, 2.5, 0), (4, 1, 1), (5, 1, 0),
    ]  # fmt: skip
    assert nothing.schema == arrow.LOOKS
    assert not nothing.num_rows
