"""What notices say together, and what an account's loss explains: one test a rule."""

from __future__ import annotations

import pytest

from tests.judge.facts import (
    BLOCKED,
    DELETED,
    HOUR_S,
    MIGRATED,
    NOT_FOUND,
    OWNER,
    POST,
    UNKNOWN,
    VIOLATION,
    gone,
    look,
    looks,
    lost_account,
    weak_loss,
)
from vanished.judge import judge
from vanished.model import Cause, Confidence, Observation, State, Verdict, Via


def verdict(*facts: Observation, account: Verdict | None = None) -> Verdict:
    return judge(POST, facts, account=account)


# -- causes ---------------------------------------------------------------------------------------


def test_notices_that_leave_a_cause_in_common_narrow_to_it() -> None:
    """An open notice beside a precise one would keep the cause open."""
    either = gone(Cause.AUTHOR, Cause.PLATFORM, rule="sim/redacted@1")
    alone = verdict(look(0), *looks((300, 306), either))
    assert alone.causes == {Cause.AUTHOR, Cause.PLATFORM}
    assert alone.confidence is Confidence.MEDIUM
    both = verdict(look(0), look(300, either), look(306, DELETED))
    assert both.causes == {Cause.AUTHOR}
    assert both.words == "deleted by its author"


def test_notices_that_exclude_each_other_are_a_conflict() -> None:
    """One of two contradicting notices would be dropped silently."""
    found = verdict(look(0), look(300, DELETED), look(306, VIOLATION))
    assert found.state is State.GONE
    assert found.causes == {Cause.AUTHOR, Cause.PLATFORM}
    assert found.confidence is Confidence.LOW
    assert found.conflicts == (
        "notices disagree: sim/deleted@1 says author; sim/violation@1 says platform",
    )
    assert found.words == "deleted by its author"


def test_a_later_loss_of_the_account_does_not_rewrite_the_posts_own_cause() -> None:
    """Posts that a platform removed one by one would vanish behind "account lost"."""
    found = verdict(look(0), *looks((300, 306), VIOLATION), *looks((9000, 9006), BLOCKED))
    assert found.causes == {Cause.PLATFORM}
    assert found.conflicts == ()
    assert found.confidence is Confidence.HIGH
    assert "judge/account-lost-later" in found.rules


def test_a_notice_about_the_account_says_account_and_no_more() -> None:
    """One blocked account would count as thousands of removed posts."""
    named = gone(Cause.PLATFORM, rule="sim/blocked@2", words="account blocked", account=True)
    for notice in (BLOCKED, named):
        found = verdict(look(0), *looks((300, 306), notice))
        assert found.causes == {Cause.ACCOUNT}
        assert found.words == "account blocked"
        assert found.confidence is Confidence.HIGH
    later = verdict(look(0), *looks((300, 306), BLOCKED), look(9000, DELETED))
    assert later.causes == {Cause.ACCOUNT}
    assert "judge/post-notice-later" in later.rules
    itself = judge(POST, [look(0), *looks((300, 306), named)], about_account=True)
    assert itself.causes == {Cause.PLATFORM}


def test_moved_is_not_censorship() -> None:
    """An account's change of address would count as thousands of removals."""
    found = verdict(look(0), look(300, MIGRATED), look(306, MIGRATED))
    assert found.state is State.MOVED
    assert found.causes == {Cause.MOVED}
    assert verdict(look(0), look(300, MIGRATED)).state is State.SUSPECTED
    mixed = verdict(look(0), look(300, MIGRATED), look(306, VIOLATION))
    assert mixed.state is State.GONE
    assert mixed.conflicts


def test_legal_and_network_pass_through_as_the_notice_says() -> None:
    """A 451 would be folded into "platform"."""
    for cause in (Cause.LEGAL, Cause.NETWORK):
        found = verdict(look(0), *looks((300, 306), gone(cause)))
        assert found.causes == {cause}


# -- the account's loss ---------------------------------------------------------------------------


def test_the_accounts_loss_explains_its_posts() -> None:
    """One removed account would be counted once for every post it had."""
    facts = [look(0), *weak_loss(300)]
    found = verdict(*facts, account=lost_account(100, 400))
    assert found.causes == {Cause.ACCOUNT}
    assert found.explained_by == OWNER
    assert found.confidence is Confidence.MEDIUM
    assert found.rules[-1] == "judge/explained-by-account"
    own = verdict(look(0), *looks((300, 306), BLOCKED), account=lost_account(100, 400))
    assert own.explained_by == OWNER
    assert own.confidence is Confidence.HIGH
    alive_after = verdict(look(9000), *weak_loss(9300), account=lost_account(100, 400))
    assert alive_after.explained_by == OWNER


@pytest.mark.parametrize(
    ("facts", "account"),
    [
        ([look(0), *looks((300, 306), VIOLATION)], lost_account(100, 400)),
        ([look(0), *weak_loss(300)], lost_account(4000, 9000)),
        ([look(0), *weak_loss(300)], lost_account(100, 400, State.SUSPECTED)),
        ([look(0), *weak_loss(300)], lost_account(100, 400, State.RETURNED)),
        ([look(0), *looks((300, 306), MIGRATED)], lost_account(100, 400)),
        ([look(0)], lost_account(100, 400)),
    ],
    ids=["own notice", "gone before", "not confirmed", "returned", "moved", "alive"],
)
def test_the_accounts_loss_explains_nothing_else(
    facts: list[Observation], account: Verdict
) -> None:
    """A post's own cause would be hidden behind a later loss of its account."""
    assert verdict(*facts, account=account) == verdict(*facts)


# -- gone before its account ----------------------------------------------------------------------

OPEN = frozenset({Cause.ACCOUNT, Cause.UNKNOWN})


def test_a_post_that_was_missing_before_its_account_was_lost_may_have_a_cause_of_its_own() -> None:
    """A message that somebody deleted would be put down to a later loss of its account."""
    missing = weak_loss(300)  # the first answer that no burst explains comes an hour later
    for alive, causes in ((200, {Cause.ACCOUNT}), (400, OPEN), (3900, OPEN), (4000, UNKNOWN)):
        found = verdict(look(0), *missing, account=lost_account(alive, 5000))
        assert found.state is State.GONE
        assert found.causes == causes, alive
        assert found.explained_by == (OWNER if causes == {Cause.ACCOUNT} else None)
    found = verdict(look(0), *missing, account=lost_account(400, 5000))
    assert "judge/gone-before-account" in found.rules
    assert found.confidence is Confidence.LOW


@pytest.mark.parametrize("since", [300, 300 - 30 * 24 * HOUR_S])
def test_a_notice_of_the_account_says_nothing_of_what_was_missing_before(since: float) -> None:
    """The account's loss is all that a look sees from then on; what was asked before stands."""
    before = weak_loss(since) if since < 0 else looks((300, 361, 900), NOT_FOUND)
    facts = [look(min(0, since - 300)), *before, *looks((5000, 5006, 9000), BLOCKED)]
    alone = verdict(*facts)
    assert alone.state is State.GONE
    assert alone.causes == OPEN
    assert alone.confidence is Confidence.LOW
    known = verdict(*facts, account=lost_account(4500, 5000))
    assert known.causes == (UNKNOWN if since < 0 else OPEN)
    assert known.explained_by is None
    assert "account blocked" not in known.words or since > 0
    together = verdict(*facts, account=lost_account(since - 30, 5000))
    assert together.causes == {Cause.ACCOUNT}
    assert together.explained_by == OWNER
    assert together.confidence is Confidence.MEDIUM
    never_alive = verdict(*facts, account=lost_account(None, 5000))
    assert never_alive.causes == OPEN
    assert never_alive.explained_by is None


def test_a_list_that_is_cached_does_not_make_the_account_the_cause() -> None:
    """A list that still shows a deleted message is an old copy, not a return."""
    facts = [look(0), look(300, NOT_FOUND), look(600, via=Via.TIMELINE), look(900, NOT_FOUND)]
    found = verdict(*facts, *looks((5000, 5006), BLOCKED), account=lost_account(4500, 5000))
    assert found.causes == OPEN
