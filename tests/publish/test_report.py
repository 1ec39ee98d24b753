"""The report: every number with its denominator, and no words that an author took back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from vanished.archive.columns import GAP, Coverage, Judgement, Wording
from vanished.archive.observatory import Observatory
from vanished.archive.rows import AccountRow, Change, Entry, PostRow, Track
from vanished.errors import UsageError
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    SECOND,
    Account,
    Cause,
    Confidence,
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
from vanished.publish.moments import parse_moment
from vanished.publish.report import make_report

START: Micros = 1_700_000_000 * SECOND


def lost(post: str, causes: set[Cause], hour: int, **more: object) -> Judgement:
    interval = Interval(START + (hour - 2) * HOUR, START + hour * HOUR)
    verdict = Verdict(
        post, State.GONE, frozenset(causes), interval, Confidence.HIGH, ("t/rule@1",), method="t/1"
    )
    for name, value in more.items():
        object.__setattr__(verdict, name, value)
    return Judgement(START + hour * HOUR, verdict)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six posts of one account: two lost to the platform, one each to author, account, nobody."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    folder = tmp_path / "o"
    with Observatory.create(folder) as observatory:
        account = Account(observatory.naming("page", "a"), "page", "a", "Name", "http://t/", START)
        owner = AccountRow(observatory.next_account_id(), account, "", Track())
        entry = Entry(new_accounts=[owner])
        for n in range(6):
            post = Post(f"post{n}", account.key, "page", f"n{n}", f"http://t/{n}", START, START)
            row = PostRow(observatory.next_post_id(), post, owner.id, Track())
            entry.new_posts.append(row)
            for look, signal in enumerate((ALIVE, ALIVE, failed(Fault.TIMEOUT))):
                asked = START + look * HOUR
                seen = Observation(post.key, asked, asked + SECOND, signal)
                entry.changes.append(Change(row, seen, run=observatory.next_run()))
            entry.versions.append(Wording(post.key, START, Version("h", f"title {n}", "text")))
        account_lost = lost(account.key, {Cause.PLATFORM}, 9)
        entry.verdicts = {
            "post0": lost("post0", {Cause.PLATFORM}, 5),
            "post1": lost("post1", {Cause.PLATFORM}, 40),
            "post2": lost("post2", {Cause.AUTHOR, Cause.PLATFORM}, 6),
            "post3": lost("post3", {Cause.ACCOUNT}, 9, explained_by=account.key),
            "post4": Judgement(START, Verdict("post4", State.SUSPECTED, method="t/1")),
            account.key: account_lost,
        }
        entry.coverage.append(Coverage("watch", START + DAY, START + 2 * DAY, GAP, "was not run"))
        observatory.commit(entry, START)
        later = Judgement(START + DAY, lost("post0", {Cause.LEGAL}, 5).verdict)
        observatory.commit(Entry(verdicts={"post0": later}), START + DAY)
    return folder


def test_numbers_have_their_denominators(folder: Path) -> None:
    facts = make_report(folder, since=None, rows=10, names=False).facts()
    assert facts["lost"] == 4
    assert facts["lost_of"] == 6
    assert facts["states"] == {"gone": 4, "suspected": 1}
    coverage = facts["coverage"]
    assert isinstance(coverage, dict)
    assert (coverage["looks"], coverage["failed_looks"]) == (18, 6)
    assert coverage["faults"] == {"timeout": 6}
    assert [gap["why"] for gap in coverage["gaps"]] == ["was not run"]
    assert facts["unknown_cause_share"] == 0
    assert facts["methods"] == ["t/1"]


def test_the_last_verdict_counts_and_an_accounts_loss_counts_once(folder: Path) -> None:
    report = make_report(folder, since=None, rows=10, names=False)
    assert report.causes == {"account": 1, "author or platform": 1, "legal": 1, "platform": 1}
    (account,) = report.accounts_lost
    assert account["posts"] == 1
    assert account["causes"] == "platform"


def test_words_are_withheld_where_the_author_may_have_taken_them_down(folder: Path) -> None:
    report = make_report(folder, since=None, rows=10, names=False)
    titles = {loss.post: loss.title for loss in report.losses}
    assert titles == {"post0": "title 0", "post1": "title 1", "post2": None, "post3": "title 3"}
    out = io.StringIO()
    report.show(Console(file=out, width=120))
    text = out.getvalue()
    assert "title 2" not in text
    assert "4 of 6 posts were lost (66.7%)" in text
    assert "Name" not in text
    assert "not looking" in text
    out = io.StringIO()
    make_report(folder, since=None, rows=10, names=True).show(Console(file=out, width=120))
    assert "Name" in out.getvalue()


def test_since_leaves_out_what_was_lost_before(folder: Path) -> None:
    report = make_report(folder, since="2023-11-16", rows=10, names=False)
    assert [loss.post for loss in report.losses] == ["post1"]
    with pytest.raises(UsageError, match="is not a date"):
        parse_moment("16.11.2023", "--since")
    assert parse_moment("2023-11-14T22:13:20", "--since") == START
