"""The gate: what an author took back stays, and so does what a person decided to withhold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanished.archive import rulings as log
from vanished.archive.rulings import Ruling
from vanished.archive.settings_publish import PublishSettings, WordsRule
from vanished.explain.fate import Fate
from vanished.model import HOUR, Cause, State
from vanished.publish.gate import Decided, Gate, Item, NoWords, Passed, Why, Withheld, down, up

RULE = WordsRule("outlet", "the desk", "2026-11-01", platforms=("weibo",))
LOST = Item(
    "post", "account", "weibo", State.GONE, frozenset({Cause.PLATFORM}), "high", None,
    5 * HOUR + 7, 6 * HOUR + 1, 8 * HOUR + 1, "题", "请打13800138000",
)  # fmt: skip


def gate(*rulings: Ruling, rules: PublishSettings | None = None, **more: object) -> Gate:
    base = Gate(rules or PublishSettings(words=(RULE,)), str.upper, Decided.of(rulings))
    return replace(base, **more)  # type: ignore[arg-type]


def ruling(kind: str, about: str, what: str = "", **details: object) -> Ruling:
    return Ruling(kind, about, what, 0, details)


def why(found: Passed | Withheld) -> Why | None:
    return found.why if isinstance(found, Withheld) else None


def test_what_others_took_away_leaves_scrubbed_renamed_and_rounded() -> None:
    found = gate().passed(LOST)
    assert isinstance(found, Passed)
    assert (found.post, found.account) == ("POST", None)
    assert (found.published_from, found.alive_until, found.gone_by) == (
        5 * HOUR,
        6 * HOUR,
        9 * HOUR,
    )
    assert (found.title, found.text, found.ground) == ("题", "请打[number]", "outlet")


@given(
    st.sampled_from(State), st.frozensets(st.sampled_from(Cause)), st.booleans(),
    st.one_of(st.none(), st.frozensets(st.sampled_from(Cause), min_size=1)),
)  # fmt: skip
def test_nothing_leaves_whose_author_may_have_taken_it_down(
    state: State, causes: frozenset[Cause], explained: bool, of_account: frozenset[Cause] | None
) -> None:
    """Whatever the verdict: a row leaves only where the facts rule the author out."""
    accounts = {} if of_account is None else {"account": of_account}
    by = "account" if explained else None
    item = replace(LOST, state=state, causes=causes, explained_by=by)
    found = gate(accounts=accounts).passed(item)
    doubtful = {Cause.AUTHOR, Cause.UNKNOWN}
    if state in (State.ALIVE, State.RETURNED):
        assert isinstance(found, Passed)
    elif state in (State.GONE, State.MOVED):
        open_ = set(causes or {Cause.UNKNOWN})
        if explained or Cause.ACCOUNT in open_:
            open_ |= of_account or {Cause.UNKNOWN}
            open_ -= {Cause.ACCOUNT} if Cause.ACCOUNT not in (of_account or ()) else set()
        if open_ & doubtful:
            assert isinstance(found, Withheld)
    else:
        assert isinstance(found, Withheld)


@pytest.mark.parametrize(
    ("causes", "reason"),
    [
        ({Cause.AUTHOR}, Why.AUTHOR),
        ({Cause.AUTHOR, Cause.PLATFORM}, Why.MAYBE_AUTHOR),
        ({Cause.UNKNOWN}, Why.MAYBE_AUTHOR),
        ({Cause.ACCOUNT}, Why.MAYBE_AUTHOR),
        ({Cause.LEGAL}, None),
    ],
)
def test_why_a_lost_post_stays(causes: set[Cause], reason: Why | None) -> None:
    assert why(gate().passed(replace(LOST, causes=frozenset(causes)))) is reason


def test_a_post_goes_with_its_account_only_where_others_closed_that() -> None:
    item = replace(LOST, causes=frozenset({Cause.ACCOUNT}), explained_by="account")
    closed = {"account": frozenset({Cause.AUTHOR})}
    banned = {"account": frozenset({Cause.PLATFORM})}
    assert why(gate(accounts=closed).passed(item)) is Why.AUTHOR
    found = gate(accounts=banned).passed(item)
    assert isinstance(found, Passed)
    assert found.fate is Fate.ACCOUNT


@pytest.mark.parametrize("about", ["post", "account"])
def test_requests_and_reviews_withhold_a_post_and_all_of_an_account(about: str) -> None:
    asked = ruling(log.ASKED, about)
    granted = ruling(log.DECIDED, about, log.GRANTED)
    refused = ruling(log.DECIDED, about, log.REFUSED)
    assert why(gate(asked).passed(LOST)) is Why.TAKEDOWN_ASKED
    assert why(gate(asked, granted).passed(LOST)) is Why.TAKEDOWN
    assert why(gate(asked, refused).passed(LOST)) is None
    assert why(gate(asked, granted, asked).passed(LOST)) is Why.TAKEDOWN
    withheld = ruling(log.REVIEWED, about, log.WITHHOLD)
    assert why(gate(withheld).passed(LOST)) is Why.REVIEW
    confirmed = ruling(log.REVIEWED, about, log.CONFIRM)
    assert why(gate(withheld, confirmed).passed(LOST)) is None


def test_a_correction_counts_as_the_verdict() -> None:
    to_author = ruling(log.REVIEWED, "post", log.CORRECT, causes=["author"])
    assert why(gate(to_author).passed(LOST)) is Why.AUTHOR
    open_ = replace(LOST, causes=frozenset({Cause.AUTHOR, Cause.PLATFORM}))
    to_platform = ruling(log.REVIEWED, "post", log.CORRECT, causes=["platform"])
    found = gate(to_platform).passed(open_)
    assert isinstance(found, Passed)
    assert (found.causes, found.confidence) == (frozenset({Cause.PLATFORM}), "reviewed")


def test_words_leave_under_a_rule_only() -> None:
    def words(rules: PublishSettings, item: Item = LOST, **more: object) -> object:
        found = gate(rules=rules, **more).passed(item)
        assert isinstance(found, Passed)
        assert (found.text is None) == (found.no_words is not None)
        return found.no_words

    alive = replace(LOST, state=State.ALIVE, causes=frozenset())
    other = replace(RULE, platforms=("wechat",))
    mine = replace(RULE, platforms=("weibo",), accounts=("account",))
    theirs = replace(RULE, accounts=("another",))
    assert words(PublishSettings()) is NoWords.NO_RULE
    assert words(PublishSettings(words=(other, theirs))) is NoWords.NO_RULE
    assert words(PublishSettings(words=(other, mine))) is None
    assert words(PublishSettings(words=(RULE,)), alive) is NoWords.ALIVE
    assert words(PublishSettings(words=(RULE, replace(RULE, alive=True))), alive) is None
    sealed = replace(LOST, title="", text="")
    assert words(PublishSettings(words=(RULE,)), sealed, sealed=True) is NoWords.SEALED


@given(st.integers(-(10**17), 10**17), st.integers(1, 10**12))
def test_rounding_outward_keeps_an_interval_true(t: int, width: int) -> None:
    below, above = down(t, width), up(t, width)
    assert below is not None
    assert above is not None
    assert below <= t <= above
    assert above - below <= width
    assert below % width == above % width == 0
