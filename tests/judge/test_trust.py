"""Canaries, other vantages, the network: what of the facts may be believed, what then follows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judge.facts import (
    ALIVE,
    DAY_S,
    DELETED,
    HOUR_S,
    NOT_FOUND,
    POST,
    UNKNOWN,
    VIOLATION,
    look,
    looks,
    t,
    weak_loss,
)
from vanished.judge import BLIND, Check, NetworkWord, Span, Standing, Trust, judge, next_look_s
from vanished.judge.vantages import RULES
from vanished.model import SECOND, Cause, Confidence, Observation, State

FRESH_S = 1800
HERE, THERE = "here", "here via tor"


def guarded(*rounds: tuple[float, bool], since: float = -DAY_S) -> Standing:
    """A vantage with canaries since `since`; rounds of 2 s as (start, right)."""
    standing = Standing().begun(t(since), guarded=True)
    for second, right in rounds:
        standing = standing.checked(Check(t(second), t(second + 2), right), FRESH_S * SECOND)
    return standing


def only(*rounds: tuple[float, bool]) -> Trust:
    return Trust({HERE: guarded(*rounds)})


def from_both() -> Trust:
    used = Standing().begun(t(-DAY_S), guarded=False)
    return Trust({HERE: used, THERE: used})


STRONG_LOSS = [look(0), look(100, VIOLATION), look(110, VIOLATION)]


def test_a_loss_waits_until_a_canary_answers_rightly() -> None:
    verdict = judge(POST, STRONG_LOSS, trust=only((-300, True)))
    assert verdict.state is State.SUSPECTED
    assert "judge/awaiting-canary" in verdict.rules
    assert next_look_s(verdict) is not None
    assert judge(POST, STRONG_LOSS, trust=only((-300, True), (200, True))).state is State.GONE


def test_a_right_answer_vouches_for_a_while_only() -> None:
    """Whoever was down between the look and the canary could have lied in between."""
    assert judge(POST, STRONG_LOSS, trust=only((109 + FRESH_S, True))).state is State.SUSPECTED
    assert judge(POST, STRONG_LOSS, trust=only((102 + FRESH_S, True))).state is State.SUSPECTED
    assert judge(POST, STRONG_LOSS, trust=only((112, True))).state is State.GONE


def test_a_wrong_canary_makes_everything_unknown_until_the_next_right_one() -> None:
    facts = [look(0), *weak_loss(HOUR_S)]
    wrong = [(s, False) for s in range(HOUR_S, 8 * HOUR_S, 600)]
    doubted = judge(POST, facts, trust=only((0, True), *wrong))
    assert doubted.state is State.ALIVE
    assert doubted.causes == frozenset()
    again = judge(POST, facts, trust=only((0, True), *wrong, (9 * HOUR_S, True)))
    assert again.state is State.ALIVE  # what was seen meanwhile is not believed afterwards
    later = [*facts, *weak_loss(10 * HOUR_S)]
    right = [(s, True) for s in range(9 * HOUR_S, 20 * HOUR_S, 600)]
    found = judge(POST, later, trust=only((0, True), *wrong, *right))
    assert found.state is State.GONE
    assert found.interval is not None
    assert found.interval.first_gone_at >= t(10 * HOUR_S)


def test_one_wrong_round_reaches_back_to_the_last_right_one() -> None:
    """The lie began somewhere between the two."""
    facts = [look(0), look(400, VIOLATION), look(410, VIOLATION)]
    assert judge(POST, facts, trust=only((300, True), (900, False))).state is State.ALIVE
    assert (
        judge(POST, facts, trust=only((300, True), (500, True), (900, False))).state is State.GONE
    )


def test_before_the_first_right_round_all_since_the_canaries_were_set_is_in_doubt() -> None:
    trust = Trust({HERE: guarded((500, False), since=50)})
    assert judge(POST, STRONG_LOSS, trust=trust).state is State.ALIVE


def test_a_post_of_which_only_doubted_looks_exist_is_unknown() -> None:
    verdict = judge(POST, looks((0, 10, 20)), trust=only((-5, True), (30, False)))
    assert verdict.state is State.UNKNOWN
    assert verdict.rules == ("judge/no-definite-answer",)


def test_an_alive_answer_in_doubt_still_objects() -> None:
    """Else the false "not found" around it would join to a loss: doubt must not help a lie."""
    around = [look(0), look(1000, VIOLATION), look(3000, VIOLATION)]
    trust = only((1010, True), (1990, True), (2010, False), (2990, True), (3010, True))
    assert judge(POST, around, trust=trust).state is State.GONE
    assert judge(POST, [*around, look(2000)], trust=trust).state is State.FLICKERING


def test_a_doubted_alive_answer_brings_nothing_back_and_begins_no_interval() -> None:
    lost = [look(0), look(90), *STRONG_LOSS[1:]]
    back = [*lost, look(5000), look(5010)]
    right, wrong = ((200, True), (4000, True)), (5100, False)
    assert judge(POST, back, trust=only((-9, True), *right)).state is State.RETURNED
    assert judge(POST, back, trust=only((-9, True), *right, wrong)).state is State.GONE
    doubted = judge(
        POST, lost, trust=only((-9, True), (10, True), (92, False), (95, True), (200, True))
    )
    assert doubted.state is State.GONE
    assert doubted.interval is not None
    assert doubted.interval.last_alive_at == t(0) - 60 * SECOND


def test_looks_from_before_and_after_the_canaries_are_judged_as_ever() -> None:
    """Setting canaries, or taking them away, must not take a published loss back."""
    assert judge(POST, STRONG_LOSS, trust=Trust({HERE: guarded(since=500)})).state is State.GONE
    gone = guarded((-500, True), since=-900).ended(t(-100), guarded=True)
    assert judge(POST, STRONG_LOSS, trust=Trust({HERE: gone})).state is State.GONE
    in_doubt = guarded((-500, False), since=-900).ended(t(-100), guarded=True)
    assert not in_doubt.in_doubt
    assert judge(POST, STRONG_LOSS, trust=Trust({HERE: in_doubt})).state is State.GONE


def test_without_canaries_and_with_one_vantage_nothing_changes() -> None:
    for facts in (STRONG_LOSS, [look(0), *weak_loss(9)], [look(0), look(9, NOT_FOUND), look(90)]):
        assert judge(POST, facts) == judge(POST, facts, trust=BLIND)
        assert judge(POST, facts) == judge(POST, facts, trust=Trust({THERE: guarded()}))


# -- other vantages ------------------------------------------------------------------------------


def test_a_loss_waits_for_the_word_of_every_other_vantage() -> None:
    verdict = judge(POST, STRONG_LOSS, trust=from_both())
    assert verdict.state is State.SUSPECTED
    assert "judge/awaiting-vantage" in verdict.rules
    assert next_look_s(verdict) is not None
    both = [*STRONG_LOSS, look(120, VIOLATION, vantage=THERE)]
    found = judge(POST, both, trust=from_both())
    assert found.state is State.GONE
    assert found.causes == {Cause.PLATFORM}
    assert found.confidence is Confidence.HIGH


def test_a_silent_vantage_is_not_waited_for_for_ever() -> None:
    facts = [*STRONG_LOSS, look(100 + DAY_S + 10, VIOLATION)]
    verdict = judge(POST, facts, trust=from_both())
    assert verdict.state is State.GONE
    assert "judge/one-vantage" in verdict.rules
    assert verdict.confidence is Confidence.MEDIUM


def test_bare_not_found_is_never_believed_from_one_vantage_of_two() -> None:
    """Where all other looks fail, a false one now and then is all that there is."""
    facts = [look(0), *looks((9, 11 * HOUR_S, 30 * HOUR_S, 90 * HOUR_S), NOT_FOUND)]
    assert judge(POST, facts).state is State.GONE
    assert judge(POST, facts, trust=from_both()).state is State.SUSPECTED


def test_bare_not_found_has_to_hold_between_two_lies_of_its_vantage() -> None:
    facts = [look(0), *weak_loss(HOUR_S)]
    rounds = [(s, True) for s in range(0, 30 * HOUR_S, 600)]
    assert judge(POST, facts, trust=only(*rounds)).state is State.GONE
    lied = [(s, right and s != 3 * HOUR_S) for s, right in rounds]
    assert judge(POST, facts, trust=only(*lied)).state is State.SUSPECTED
    more = [*facts, *looks((10 * HOUR_S, 13 * HOUR_S), NOT_FOUND)]
    assert judge(POST, more, trust=only(*lied)).state is State.GONE
    again = [(s, right and s < 20 * HOUR_S) for s, right in lied]
    assert judge(POST, more, trust=only(*again)).state is State.GONE  # a later lie takes nothing


def test_a_vantage_that_came_later_takes_no_loss_back() -> None:
    used = Standing().begun(t(-DAY_S), guarded=False)
    trust = Trust({HERE: used, THERE: Standing().begun(t(5000), guarded=False)})
    assert judge(POST, STRONG_LOSS, trust=trust).state is State.GONE


def test_a_doubted_word_of_another_vantage_is_none() -> None:
    trust = from_both()
    liar = replace(trust.vantages[THERE], guarded=(Span(t(-DAY_S)),))
    for second, right in ((0, True), (200, False)):
        liar = liar.checked(Check(t(second), t(second + 2), right), FRESH_S * SECOND)
    facts = [*STRONG_LOSS, look(120, VIOLATION, vantage=THERE)]
    verdict = judge(POST, facts, trust=Trust({HERE: trust.vantages[HERE], THERE: liar}))
    assert verdict.state is State.SUSPECTED


SPLIT = [
    *(look(s, VIOLATION) for s in (100, 200, 300)),
    *(look(s, vantage=THERE) for s in (50, 150, 250, 350)),
]


@pytest.mark.parametrize(
    ("words", "rule", "causes"),
    [
        ([], RULES[2], {Cause.NETWORK, Cause.UNKNOWN}),
        ([NetworkWord(HERE, Span(t(0)), True)], RULES[0], {Cause.NETWORK}),
        ([NetworkWord(HERE, Span(t(0)), False)], RULES[1], {Cause.UNKNOWN}),
        ([NetworkWord(HERE, Span(t(9000)), True)], RULES[2], {Cause.NETWORK, Cause.UNKNOWN}),
        ([NetworkWord(THERE, Span(t(0)), True)], RULES[2], {Cause.NETWORK, Cause.UNKNOWN}),
    ],
)
def test_vantages_that_disagree_are_never_the_platform(
    words: list[NetworkWord], rule: object, causes: set[Cause]
) -> None:
    """Whatever the notice says: the platform still shows the post elsewhere."""
    verdict = judge(POST, SPLIT, trust=replace(from_both(), networks=words))
    assert verdict.state is State.FLICKERING
    assert verdict.causes == causes
    assert getattr(rule, "id") in verdict.rules  # noqa: B009
    assert "judge/vantages-disagree" in verdict.rules


def test_the_rules_of_disagreement_are_data_without_the_platform() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert RULES[-1].blocked is None  # one always applies
    for rule in RULES:
        assert rule.causes <= {Cause.NETWORK, Cause.UNKNOWN}


def test_a_bare_not_found_behind_a_block_may_be_the_block() -> None:
    facts = [look(0), *weak_loss(60)]
    word = NetworkWord(HERE, Span(t(0)), True)
    verdict = judge(POST, facts, trust=Trust(networks=[word]))
    assert verdict.state is State.GONE
    assert verdict.causes == {Cause.NETWORK, Cause.UNKNOWN}
    assert "judge/network-blocked" in verdict.rules
    assert judge(POST, facts).causes == UNKNOWN
    assert judge(POST, STRONG_LOSS, trust=Trust(networks=[word])).causes == {Cause.PLATFORM}


# -- properties ----------------------------------------------------------------------------------

ROUNDS = st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=12)


@settings(max_examples=300, deadline=None)
@given(ROUNDS, st.integers(0, 3000))
def test_spans_say_what_the_rounds_say(gaps: list[tuple[int, bool]], at: int) -> None:
    """The spans are a summary: a look must be weighed as if all rounds were laid beside it."""
    fresh, now, rounds = 500, 0, []
    for gap, right in gaps:
        now += gap + 2
        rounds.append((now, right))
    standing = Standing().begun(t(-5), guarded=True)
    for second, right in rounds:
        standing = standing.checked(Check(t(second), t(second + 2), right), fresh * SECOND)
    if any(s <= at <= s + 2 for s, _ in rounds):
        return  # while a round is under way
    before = [right for s, right in rounds if s + 2 < at]
    after = [(s, right) for s, right in rounds if s > at]
    doubted = bool(before and not before[-1]) or bool(after and not after[0][1])
    assert standing.doubts(t(at), t(at)) == doubted
    if not doubted:
        vouched = bool(after) and after[0][0] - at <= fresh
        assert standing.vouches(t(at)) == vouched


@st.composite
def facts_and_rounds(draw: st.DrawFn) -> tuple[list[Observation], Trust]:
    signals = st.sampled_from([ALIVE, NOT_FOUND, VIOLATION, DELETED])
    times = st.integers(0, 3 * DAY_S)
    found = [
        look(draw(times), draw(signals), vantage=draw(st.sampled_from([HERE, THERE])))
        for _ in range(draw(st.integers(1, 12)))
    ]
    standings = {}
    for vantage in (HERE, THERE):
        standing = Standing().begun(t(-DAY_S), guarded=False).begun(t(-DAY_S), guarded=True)
        now = 0
        for gap, right in draw(ROUNDS):
            now += gap * 60
            standing = standing.checked(Check(t(now), t(now + 2), right), FRESH_S * SECOND)
        standings[vantage] = standing
    return found, Trust(standings)


@settings(max_examples=200, deadline=None)
@given(facts_and_rounds(), st.integers(0, 2**32))
def test_no_order_of_arrival_matters_and_no_loss_lacks_a_voucher(
    given_: tuple[list[Observation], Trust], seed: int
) -> None:
    facts, trust = given_
    verdict = judge(POST, facts, trust=trust)
    shuffled = list(facts)
    random.Random(seed).shuffle(shuffled)
    assert judge(POST, shuffled, trust=trust) == verdict
    if verdict.state in (State.GONE, State.RETURNED):
        believed = [
            each
            for each in facts
            if each.signal.gone
            and trust.vantages[each.vantage].vouches(each.answered_at)
            and not trust.vantages[each.vantage].doubts(each.asked_at, each.answered_at)
        ]
        assert len(believed) >= 2
        both = {each.vantage for each in believed} == {HERE, THERE}
        assert both or "judge/one-vantage" in verdict.rules
    if "judge/vantages-disagree" in verdict.rules:
        assert Cause.PLATFORM not in verdict.causes
