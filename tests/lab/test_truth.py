"""A score that overlooks an error would let the observatory lie with our blessing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.lab.direct import naming, world
from vanished.errors import InputError
from vanished.lab.truth import Fate, Score, Subject, Truth, read_truth, score, truth_of, write_truth
from vanished.lab.world import MOST_LAG, World
from vanished.model import HOUR, SECOND, Cause, Interval, State, Verdict


@cache
def truth() -> Truth:
    return truth_of(world())


def key(subject: Subject) -> str:
    return naming("lab", subject.id)


def right(subject: Subject) -> Verdict:
    """The verdict that a perfect watch gives."""
    fate = subject.fate
    if fate is None:
        return Verdict(key(subject), State.ALIVE)
    state = State.RETURNED if fate.returned_at else State.GONE
    state = State.MOVED if fate.open == {Cause.MOVED} else state
    bracket = Interval(fate.removed_at - SECOND, fate.removed_at + 60 * SECOND)
    return Verdict(key(subject), state, fate.open, bracket)


def everything() -> list[Subject]:
    return [*truth().posts, *truth().accounts]


def scored(verdicts: Iterable[Verdict], seen: Iterable[str] | None = None) -> Score:
    known = {key(post) for post in truth().posts} if seen is None else set(seen)
    return score(truth(), verdicts, known, naming)


def lost(**wanted: object) -> Subject:
    """The first lost post whose fate has these values."""
    return next(
        post
        for post in truth().posts
        if post.fate and all(getattr(post.fate, name) == v for name, v in wanted.items())
    )


def fate_of(subject: Subject) -> Fate:
    assert subject.fate is not None
    return subject.fate


def with_one(subject: Subject, verdict: Verdict) -> Score:
    """The score of a watch that is right but for one verdict."""
    return scored([*map(right, everything()), replace(verdict, subject=key(subject))])


# -- the file ------------------------------------------------------------------------------------


def test_the_truth_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    write_truth(world(), path)
    assert read_truth(path) == truth()
    assert [entry.name for entry in tmp_path.iterdir()] == ["truth.jsonl"]
    first = path.read_bytes()
    write_truth(World.generate(1), path)
    assert path.read_bytes() == first


def test_the_truth_says_what_happened_and_what_the_form_leaves_open() -> None:
    for subject, post in zip(truth().posts, world().posts, strict=True):
        assert (subject.fate is None) == (post.loss is None)
        if subject.fate is not None and post.loss is not None:
            assert subject.fate.removed_at == post.loss.at
            assert subject.fate.gone_everywhere_at == post.loss.at + MOST_LAG
            assert subject.fate.open == post.loss.form.open
            assert subject.account == world().accounts[post.account].id
    assert sum(account.fate is not None for account in truth().accounts) == 6


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("{", ":3:"),
        ('{"kind": "thing"}', ":3:"),
        ('{"kind": "post", "x": 1}', ":3:"),
        ("[]", ":3:"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, place: str) -> None:
    path = tmp_path / "truth.jsonl"
    write_truth(world(), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[3:]]), encoding="utf-8")
    with pytest.raises(InputError, match=place):
        read_truth(path)


def test_a_file_without_a_head_or_no_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with pytest.raises(InputError, match="cannot be read"):
        read_truth(path)
    path.write_text("")
    with pytest.raises(InputError, match="no line of a lab's truth"):
        read_truth(path)


# -- the score -----------------------------------------------------------------------------------


def test_a_perfect_watch_scores_perfectly() -> None:
    result = scored(map(right, everything()))
    fates = [post.fate for post in truth().posts if post.fate]
    assert result.posts.lost == result.posts.noticed == len(fates)
    assert result.accounts.lost == result.accounts.noticed == 6
    for tally in (result.posts, result.accounts):
        assert tally.noticed_share == tally.cause_right_share == 1.0
        assert tally.interval_right_share == tally.interval_strict_share == 1.0
        assert tally.missed == tally.wrong_cause == tally.wrong_interval == tally.false_losses == ()
    assert result.called_platform == sum(fate.open == {Cause.PLATFORM} for fate in fates)
    assert result.false_platform_share == 0.0
    assert result.delay_s(0.5) == result.delay_s(1.0) == 60.0
    assert "platform, shown as unknown" in result.matrix()
    assert "0 false losses" in result.text()


def test_a_watch_that_says_nothing_misses_everything() -> None:
    result = scored([])
    assert result.posts.noticed == 0
    assert result.posts.noticed_share == 0.0
    assert result.called_platform == 0
    assert result.delay_s(0.5) == 0.0
    assert "(not noticed)" in result.matrix()


def test_a_false_loss_is_caught() -> None:
    alive = next(post for post in truth().posts if post.fate is None)
    bracket = Interval(truth().start, truth().start + HOUR)
    for state in (State.GONE, State.MOVED, State.RETURNED):
        verdict = Verdict("", state, frozenset({Cause.PLATFORM}), bracket)
        result = with_one(alive, verdict)
        assert result.posts.false_losses == (key(alive),)
        assert result.false_platform == (key(alive),)
        assert result.posts.missed == ()
        assert "(not lost)" in result.matrix()
    for state in (State.SUSPECTED, State.FLICKERING, State.ALIVE):
        assert with_one(alive, Verdict("", state)).posts.false_losses == ()


def test_a_false_loss_of_an_account_is_caught() -> None:
    alive = next(account for account in truth().accounts if account.fate is None)
    verdict = Verdict("", State.GONE, frozenset({Cause.UNKNOWN}), Interval(0, truth().end))
    result = with_one(alive, verdict)
    assert result.accounts.false_losses == (key(alive),)
    assert result.posts.false_losses == ()


def test_a_loss_that_is_not_claimed_is_missed() -> None:
    post = lost(cause=Cause.AUTHOR)
    for state in (State.ALIVE, State.SUSPECTED, State.FLICKERING, State.UNKNOWN):
        assert with_one(post, Verdict("", state)).posts.missed == (key(post),)


def test_a_wrong_cause_is_caught() -> None:
    post = lost(cause=Cause.AUTHOR, open=frozenset({Cause.AUTHOR}))
    result = with_one(post, replace(right(post), causes=frozenset({Cause.PLATFORM})))
    assert result.posts.wrong_cause == (key(post),)
    assert result.false_platform == (key(post),)
    assert result.posts.cause_right_share < 1.0
    row = next(line for line in result.matrix().splitlines() if line.startswith("author "))
    assert " 1" in row


def test_a_set_that_is_wider_or_narrower_than_the_form_leaves_open_is_wrong() -> None:
    unsure = lost(open=frozenset({Cause.AUTHOR, Cause.PLATFORM}))
    fate = fate_of(unsure)
    other = ({Cause.AUTHOR, Cause.PLATFORM} - {fate.cause}).pop()
    for causes, good in (
        ({Cause.AUTHOR, Cause.PLATFORM}, True),
        ({fate.cause}, True),
        ({other}, False),
        ({Cause.UNKNOWN}, False),
        ({Cause.AUTHOR, Cause.PLATFORM, Cause.LEGAL}, False),
    ):
        result = with_one(unsure, replace(right(unsure), causes=frozenset(causes)))
        assert (result.posts.wrong_cause == ()) == good, causes


def test_an_unknown_cause_is_right_where_a_bare_status_was_all() -> None:
    bare = lost(form="bare", cause=Cause.PLATFORM)
    assert with_one(bare, right(bare)).posts.wrong_cause == ()
    claimed = replace(right(bare), causes=frozenset({Cause.AUTHOR}))
    assert with_one(bare, claimed).posts.wrong_cause == (key(bare),)


def test_a_post_explained_by_its_account_is_right_and_by_another_is_not() -> None:
    post = lost(cause=Cause.ACCOUNT)
    account = naming("lab", post.account)
    explained = replace(right(post), causes=frozenset({Cause.UNKNOWN}), explained_by=account)
    assert with_one(post, explained).posts.wrong_cause == ()
    elsewhere = replace(right(post), causes=frozenset({Cause.AUTHOR}), explained_by="lab-u0")
    assert with_one(post, elsewhere).posts.wrong_cause == (key(post),)


@pytest.mark.parametrize(
    ("after", "by", "good", "strict"),
    [
        (-SECOND, SECOND, True, True),
        (-SECOND, 0, True, True),
        (-HOUR, -1, False, False),  # too early
        (0, SECOND, True, False),  # begins at the removal itself: a replica was behind
        (MOST_LAG - 1, MOST_LAG, True, False),
        (MOST_LAG, MOST_LAG + SECOND, False, False),  # too late
    ],
)
def test_an_interval_must_hold_a_moment_of_the_loss(
    after: int, by: int, *, good: bool, strict: bool
) -> None:
    post = lost(cause=Cause.PLATFORM)
    at = fate_of(post).removed_at
    result = with_one(post, replace(right(post), interval=Interval(at + after, at + by)))
    assert (result.posts.wrong_interval == ()) == good
    assert (result.posts.interval_strict_share == 1.0) == strict
    assert (result.posts.interval_right_share == 1.0) == good


def test_an_interval_open_below_holds_and_a_missing_one_does_not() -> None:
    post = lost(cause=Cause.PLATFORM)
    open_below = Interval(None, fate_of(post).removed_at)
    assert with_one(post, replace(right(post), interval=open_below)).posts.wrong_interval == ()
    missing = with_one(post, replace(right(post), interval=None))
    assert missing.posts.wrong_interval == (key(post),)


def test_posts_that_nobody_ever_saw_are_nobodys_fault() -> None:
    post = lost(cause=Cause.PLATFORM)
    others = [s for s in everything() if s is not post]
    seen = {key(s) for s in truth().posts if s is not post}
    result = scored(map(right, others), seen)
    assert result.posts.missed == ()
    assert result.posts.lost == sum(p.fate is not None for p in truth().posts) - 1


def test_losses_after_the_end_of_the_watch_are_none_and_those_in_its_grace_are_late() -> None:
    posts = [post for post in truth().posts if post.fate]
    until = sorted(fate_of(post).removed_at for post in posts)[len(posts) // 2]
    grace = 48 * HOUR
    done = [p for p in posts if fate_of(p).removed_at <= until - grace]
    late = [p for p in posts if until - grace < fate_of(p).removed_at <= until]
    seen = [key(post) for post in truth().posts]
    result = score(truth(), map(right, done), seen, naming, until=until, grace=grace)
    assert result.posts.lost == result.posts.noticed == len(done)
    assert result.posts.late == len(late) > 0
    assert result.posts.false_losses == ()
    early = next(post for post in posts if fate_of(post).removed_at > until)
    verdicts = [*map(right, done), right(early)]
    result = score(truth(), verdicts, seen, naming, until=until, grace=grace)
    assert result.posts.false_losses == (key(early),)


def test_the_last_verdict_on_a_subject_counts() -> None:
    post = lost(cause=Cause.PLATFORM)
    result = scored([Verdict(key(post), State.SUSPECTED), *map(right, everything())])
    assert result.posts.missed == ()


def test_a_verdict_about_nobody_in_the_world_stops_the_scoring() -> None:
    with pytest.raises(ValueError, match="1 subjects"):
        scored([Verdict("lab-pnone", State.GONE, frozenset({Cause.AUTHOR}))])
