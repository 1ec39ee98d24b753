"""One test a rule of docs/judge.md: what a reader would be told wrongly if the rule failed."""

from __future__ import annotations

import pytest

from tests.judge.facts import (
    ABSENT,
    ALIVE,
    DAY_S,
    DELETED,
    HOUR_S,
    LIMITED,
    NOT_FOUND,
    POST,
    TIMEOUT,
    UNKNOWN,
    VIOLATION,
    look,
    looks,
    t,
    weak_loss,
)
from vanished.judge import METHOD, JudgeSettings, judge, next_look_s
from vanished.model import SECOND, Cause, Confidence, Interval, Observation, State, Verdict, Via

STALE = 60  # seconds that the lower end gives way to old copies, by default


def verdict(*facts: Observation, account: Verdict | None = None) -> Verdict:
    return judge(POST, facts, account=account)


def lost_in(alive: float, lost: float) -> Interval:
    """The interval after an alive look asked at `alive` and a gone look answered at `lost`."""
    return Interval(t(alive - STALE), t(lost))


# -- what proves nothing --------------------------------------------------------------------------


def test_without_a_definite_answer_nothing_is_said() -> None:
    """A post behind a captcha would be called removed, or alive."""
    for facts in ([], [look(0, TIMEOUT)], [look(0, ABSENT, via=Via.TIMELINE), look(9, LIMITED)]):
        assert judge(POST, facts) == Verdict(
            POST, State.UNKNOWN, rules=("judge/no-definite-answer",), method=METHOD
        )


def test_failures_after_an_alive_answer_leave_the_post_alive() -> None:
    """An outage of the observer would look like a wave of removals."""
    alive = verdict(look(0))
    assert alive.state is State.ALIVE
    assert alive.confidence is Confidence.HIGH
    assert alive.interval is None
    assert alive == verdict(look(0), *looks(range(60, 6000, 60), TIMEOUT), look(7000, ABSENT))


# -- confirmation ---------------------------------------------------------------------------------


def test_one_notice_is_a_suspicion_and_asks_for_a_second_look() -> None:
    """A misread page would be published as a removal."""
    first = verdict(look(0), look(300, VIOLATION))
    assert first.state is State.SUSPECTED
    assert first.causes == {Cause.PLATFORM}
    assert first.confidence is Confidence.LOW
    assert next_look_s(first) == 5.0
    too_soon = verdict(look(0), look(300, VIOLATION), look(303, VIOLATION))
    assert too_soon.state is State.SUSPECTED
    assert next_look_s(too_soon) == 60.0
    assert next_look_s(too_soon, elapsed_s=3.0) == 2.0  # the look that was planned still counts
    assert next_look_s(too_soon, elapsed_s=5.0) == 60.0
    assert next_look_s(too_soon, elapsed_s=5000.0) == 60.0


def test_a_notice_seen_twice_is_a_loss() -> None:
    """Quick removals would wait for hours."""
    found = verdict(look(0), look(300, VIOLATION), look(306, VIOLATION))
    assert found == Verdict(
        POST,
        State.GONE,
        frozenset({Cause.PLATFORM}),
        lost_in(0, 301),
        Confidence.HIGH,
        ("sim/violation@1", "judge/confirmed-strong"),
        words="violates the rules",
        looks=2,
        method=METHOD,
    )
    assert next_look_s(found) is None


def test_bare_not_found_needs_hours() -> None:
    """A burst of false 404 would be published as a wave of removals."""
    facts = [look(0), *weak_loss(300)]
    waits = [next_look_s(verdict(*facts[:n])) for n in range(2, len(facts) + 1)]
    assert waits == [60.0, 540.0, 3000.0, 7200.0, 10800.0, None]
    found = verdict(*facts)
    assert found.state is State.GONE
    assert found.causes == UNKNOWN
    assert found.confidence is Confidence.LOW
    assert "judge/confirmed-weak" in found.rules


def test_two_bursts_with_an_outage_between_are_no_loss() -> None:
    """A laptop that slept over night between two bursts would lose every post of a host."""
    evening, morning = looks((0, 61, 602), NOT_FOUND), looks((50_000, 50_061), NOT_FOUND)
    found = verdict(look(-300), *evening, *morning)
    assert found.state is State.SUSPECTED
    assert verdict(look(-300), *evening, *morning, look(54_000)).state is State.ALIVE


def test_three_bursts_in_a_fortnight_are_no_loss() -> None:
    """An account with an empty list answers nothing definite: three faults would lose it."""
    far = [0, 100, 5 * DAY_S, 6 * DAY_S, 19 * DAY_S]
    failing = looks(range(HOUR_S, 19 * DAY_S, 6 * HOUR_S), TIMEOUT)
    found = verdict(*looks(far, NOT_FOUND), *failing)
    assert found.state is State.SUSPECTED
    assert found.confidence is Confidence.LOW
    run = look(0, NOT_FOUND).extended(look(20 * DAY_S, NOT_FOUND))  # two looks, no more
    assert verdict(run, look(40 * DAY_S, NOT_FOUND)).state is State.SUSPECTED


def test_old_faults_neither_hinder_a_loss_nor_end_its_interval() -> None:
    """An interval that ends at a fault weeks before would not contain the removal."""
    lost = 20 * DAY_S
    found = verdict(look(-60), *looks([0, 4 * DAY_S], NOT_FOUND), *weak_loss(lost))
    assert found.state is State.GONE
    assert found.rules[-1] == "judge/confirmed-weak"
    assert found.interval == lost_in(-60, lost + 3606)
    noticed = verdict(
        look(-60), *looks([0, 4 * DAY_S], NOT_FOUND), *looks([lost, lost + 9], VIOLATION)
    )
    assert noticed.state is State.GONE
    assert noticed.interval == lost_in(-60, lost + 1)


def test_what_was_never_seen_is_not_lost_by_bare_not_found() -> None:
    """A mistyped address would be published as a removal."""
    never = verdict(*weak_loss(0), *looks(range(DAY_S, 9 * DAY_S, 3 * HOUR_S), NOT_FOUND))
    assert never.state is State.SUSPECTED
    assert never.rules[-2:] == ("judge/unconfirmed-weak", "judge/never-seen-alive")
    assert verdict(*weak_loss(0), look(30_000)).state is State.ALIVE  # and came, not returned
    assert verdict(*looks([0, 10], VIOLATION)).state is State.GONE  # a notice says more
    assert verdict(look(-60), *weak_loss(0)).state is State.GONE


def test_rare_looks_at_what_was_lost_do_not_take_the_loss_back() -> None:
    """A post that is asked about once a week would come back from the dead."""
    found = verdict(
        look(-60), *weak_loss(0), *looks(range(7 * DAY_S, 60 * DAY_S, 7 * DAY_S), NOT_FOUND)
    )
    assert found.state is State.GONE
    assert found.interval == lost_in(-60, 3606)
    late = verdict(look(-60), look(0, VIOLATION), look(9 * DAY_S, NOT_FOUND))
    assert late.state is State.GONE


def test_a_bare_not_found_confirms_a_notice() -> None:
    """A post whose notice gives way to a 404 would stay a suspicion for six hours."""
    for pair in ((VIOLATION, NOT_FOUND), (NOT_FOUND, VIOLATION)):
        found = verdict(look(0), look(300, pair[0]), look(306, pair[1]))
        assert found.state is State.GONE
        assert found.causes == {Cause.PLATFORM}
        assert found.confidence is Confidence.HIGH


def test_a_peers_notice_counts_as_confirmed_by_the_peer() -> None:
    """Imported archives would be suspicions for ever: nobody can look again."""
    found = verdict(look(300, DELETED, via=Via.IMPORT, vantage="peer"))
    assert found.state is State.GONE
    assert found.causes == {Cause.AUTHOR}
    assert found.confidence is Confidence.MEDIUM
    assert found.interval == Interval(None, t(301))
    assert "judge/confirmed-by-peer" in found.rules
    assert "judge/never-seen-alive" in found.rules
    bare = verdict(look(300, NOT_FOUND, via=Via.IMPORT, vantage="peer"))
    assert bare.state is State.SUSPECTED


def test_the_same_fact_twice_is_one_look() -> None:
    """A fact that is kept in the journal and in the tail would confirm itself."""
    once = [look(0), look(300, VIOLATION)]
    assert verdict(*once, *once) == verdict(*once)
    slow = look(300, VIOLATION, took=30)
    assert verdict(look(0), slow, slow).state is State.SUSPECTED


# -- the interval ---------------------------------------------------------------------------------


def test_requests_in_flight_at_once_do_not_contradict_each_other() -> None:
    """Two parallel requests would make a removal look like a return."""
    alive_within = [look(0), look(300, VIOLATION, took=40), look(310), look(400, VIOLATION)]
    found = verdict(*alive_within)
    assert found.state is State.GONE
    assert found.interval == lost_in(310, 340)
    gone_within = [look(0), look(300, took=40), look(310, VIOLATION), look(400, VIOLATION)]
    found = verdict(*gone_within)
    assert found.interval == lost_in(300, 311)


def test_an_answer_that_ends_as_the_next_request_starts_keeps_the_interval_open() -> None:
    """An interval of no length would claim to know the very moment."""
    blip = verdict(look(0), look(9, NOT_FOUND), look(10))
    assert blip.state is State.ALIVE
    found = verdict(look(0), look(0, VIOLATION, took=0), look(9, VIOLATION, took=0))
    assert found.interval == Interval(None, t(0))
    assert found.looks == 2


def test_an_old_copy_after_the_loss_does_not_make_the_interval_too_narrow() -> None:
    """A replica one minute behind would move the loss after the moment when it happened."""
    found = verdict(look(0), look(300), look(600, VIOLATION), look(606, VIOLATION))
    assert found.interval is not None
    assert found.interval.last_alive_at == t(300 - STALE)
    sharp = judge(
        POST,
        [look(0), look(300), look(600, VIOLATION), look(606, VIOLATION)],
        settings=JudgeSettings(stale_s=0),
    )
    assert sharp.interval == Interval(t(300), t(601))


def test_the_first_bare_not_found_may_be_false_though_the_loss_is_not() -> None:
    """A burst that runs into a removal would date the removal before it happened."""
    found = verdict(look(0), *weak_loss(300))
    assert found.interval == lost_in(0, 300 + 3606)  # the first look beyond the burst
    noticed = verdict(look(0), look(300, NOT_FOUND), look(361, VIOLATION))
    assert noticed.interval == lost_in(0, 362)


def test_replicas_that_alternate_widen_the_interval_to_both() -> None:
    """Either replica may be the stale one; believing one of them gives a wrong time."""
    facts = [look(0), look(300, NOT_FOUND), look(600), look(900, VIOLATION), look(906, VIOLATION)]
    found = verdict(*facts)
    assert found.state is State.GONE
    assert found.interval == lost_in(0, 901)
    assert "judge/interval-widened" in found.rules
    assert found.confidence is Confidence.HIGH


def test_a_settled_day_separates_an_old_blip_from_the_loss() -> None:
    """One false 404 last month would make every later interval a month wide."""
    calm = looks(range(600, 600 + DAY_S + HOUR_S, 6 * HOUR_S))
    facts = [look(0), look(300, NOT_FOUND), *calm, *looks((DAY_S * 2, DAY_S * 2 + 6), VIOLATION)]
    found = verdict(*facts)
    assert found.interval == Interval(calm[-1].asked_at - STALE * SECOND, t(DAY_S * 2 + 1))
    assert "judge/interval-widened" not in found.rules


# -- alive again ----------------------------------------------------------------------------------


def test_a_loss_that_ends_is_a_return_and_keeps_its_cause() -> None:
    """Restored posts are what readers ask for; the cause of their absence must not be lost."""
    found = verdict(look(0), *looks((300, 306), VIOLATION), look(DAY_S))
    assert found.state is State.RETURNED
    assert found.causes == {Cause.PLATFORM}
    assert found.interval == lost_in(0, 301)
    assert found.looks == 3
    assert found.rules[-1] == "judge/returned"
    assert next_look_s(found) is None


def test_an_old_copy_seconds_after_a_notice_is_no_return() -> None:
    """A lagging replica would announce that the platform gave a post back."""
    facts = [look(0), *looks((300, 306), VIOLATION), look(310)]
    assert verdict(*facts).state is State.GONE
    later = verdict(*facts, look(366, VIOLATION))
    assert later.state is State.GONE
    assert "judge/stale-alive" in later.rules
    assert later.interval == lost_in(0, 301)
    assert verdict(*facts, look(DAY_S)).state is State.RETURNED
    from_elsewhere = [*facts[:3], look(310, vantage="elsewhere")]
    assert verdict(*from_elsewhere).state is State.FLICKERING


def test_gone_answers_that_were_not_repeated_are_said_and_not_believed() -> None:
    """A false alarm would be a removal, or would be hidden from the reader."""
    found = verdict(look(0), *looks((300, 361), NOT_FOUND), look(900))
    assert found.state is State.ALIVE
    assert found.causes == frozenset()
    assert found.interval is None
    assert found.confidence is Confidence.LOW
    when = "from 2022-01-08T00:05:01Z to 2022-01-08T00:06:02Z"
    assert found.conflicts == (f"2 gone answers {when}, not repeated when asked again",)
    calm = verdict(look(0), look(300, NOT_FOUND), *looks((900, DAY_S, 2 * DAY_S)))
    assert calm.confidence is Confidence.HIGH
    assert calm.conflicts == (
        "1 gone answer at 2022-01-08T00:05:01Z, not repeated when asked again",
    )


def test_answers_that_alternate_are_believed_on_neither_side() -> None:
    """Half of a flickering post's readers would be told it is gone, the others that it is not."""
    flicker = [look(0), look(300, NOT_FOUND), look(600), look(900, NOT_FOUND)]
    for facts in (flicker, [*flicker, look(1200)]):
        found = verdict(*facts)
        assert found.state is State.FLICKERING
        assert found.causes == UNKNOWN
        assert found.interval is None
        assert found.conflicts == ("gone and alive answers alternate since 2022-01-08T00:05:01Z",)
        assert next_look_s(found) == 3600.0
    assert verdict(*flicker, *looks((1200, DAY_S, 2 * DAY_S))).state is State.ALIVE


def test_a_flicker_that_ends_in_half_a_day_of_gone_is_a_loss() -> None:
    """A post that was removed while replicas disagreed would never be counted."""
    flicker = [look(0), look(300, VIOLATION), look(600), look(900, VIOLATION)]
    assert verdict(*flicker, look(960, VIOLATION)).state is State.FLICKERING
    hourly = looks(range(960, 960 + 13 * HOUR_S, HOUR_S), VIOLATION)
    found = verdict(*flicker, *hourly)
    assert found.state is State.GONE
    assert found.interval == lost_in(0, 901)
    assert found.confidence is Confidence.MEDIUM
    assert "judge/confirmed-long" in found.rules


def test_a_false_alarm_yesterday_does_not_hold_back_todays_notice() -> None:
    """Where bursts of 404 are common, every removal would wait twelve hours for its verdict."""
    alarm = [look(0), look(300, NOT_FOUND), look(600), look(9000)]
    first = verdict(*alarm, look(9300, VIOLATION))
    assert first.state is State.SUSPECTED
    assert next_look_s(first) == 5.0
    assert verdict(*alarm, *looks((9300, 9306), VIOLATION)).state is State.GONE


def test_a_list_that_lags_does_not_overrule_direct_answers() -> None:
    """A feed that is never rebuilt would keep every removed page alive."""
    facts = [look(0), *looks((300, 306), VIOLATION)]
    listed = [look(s, via=Via.TIMELINE) for s in (400, 700)]
    found = verdict(*facts, *listed, look(900, VIOLATION))
    assert found.state is State.GONE
    assert "judge/still-listed" in found.rules
    assert verdict(*facts, *listed).state is State.GONE
    back = verdict(*facts, *listed, look(900))
    assert back.state is State.RETURNED


def test_a_bare_not_found_against_a_list_waits_longer() -> None:
    """A list that shows the post is a reason to doubt a bare 404 until it has lasted."""
    facts = [look(0), *weak_loss(300), look(2000, via=Via.TIMELINE)]
    found = verdict(*facts)
    assert found.state is State.SUSPECTED
    assert verdict(*facts, *looks((36_000, 47_000), NOT_FOUND)).state is State.GONE


# -- vantages -------------------------------------------------------------------------------------


def test_gone_here_and_alive_there_is_a_matter_of_the_network() -> None:
    """A block on the observer's own network would be published as the platform's deed."""
    here, there = "here", "elsewhere"
    facts = [
        look(0, vantage=here),
        look(300, VIOLATION, vantage=here),
        look(330, vantage=there),
        look(400, VIOLATION, vantage=here),
    ]
    sentence = "gone from here and alive from elsewhere at overlapping times"
    for case in (facts, [*facts, look(500, vantage=there)]):
        found = verdict(*case)
        assert found.state is State.FLICKERING
        assert found.causes == {Cause.NETWORK, Cause.UNKNOWN}
        assert found.conflicts == (sentence,)
    long = looks(range(500, 5 * DAY_S, 6 * HOUR_S), VIOLATION)
    assert verdict(*facts, *long).state is State.FLICKERING
    both = verdict(*facts, look(600, VIOLATION, vantage=there), *long)
    assert both.state is State.GONE
    assert both.interval == lost_in(0, 601)  # by the last vantage to lose it


def test_a_peers_old_word_yields_to_a_day_of_our_own_looks() -> None:
    """A peer cannot be asked again: its one record would make a post flicker for ever."""
    record = look(0, VIOLATION, via=Via.IMPORT, vantage="peer")
    assert verdict(record, look(600)).state is State.FLICKERING
    assert verdict(record, *looks((600, DAY_S, 2 * DAY_S))).state is State.RETURNED


# -- the call -------------------------------------------------------------------------------------


def test_now_judges_as_of_that_moment() -> None:
    """What was known at a time could not be computed again."""
    facts = [look(0), *looks((300, 306), VIOLATION)]
    assert judge(POST, facts, now=t(10)).state is State.ALIVE
    assert judge(POST, facts, now=t(302)).state is State.SUSPECTED
    assert judge(POST, facts, now=t(307)) == judge(POST, facts)


def test_a_claimed_time_after_the_loss_is_noted_and_moves_nothing() -> None:
    """A platform's wrong clock would shorten or turn round a post's life."""
    facts = [look(0), *looks((300, 306), VIOLATION)]
    plain = judge(POST, facts)
    assert judge(POST, facts, claimed_at=t(-600)) == plain
    late = judge(POST, facts, claimed_at=t(900))
    assert late.rules == (*plain.rules, "judge/claimed-after-loss")
    assert late.interval == plain.interval


def test_facts_about_another_subject_are_refused() -> None:
    """Two posts' facts in one case would make one false verdict."""
    stranger = Observation("p2", t(0), t(1), ALIVE)
    with pytest.raises(ValueError, match="an observation of p2 in the case of p1"):
        judge(POST, [look(0), stranger])
    with pytest.raises(ValueError, match="burst_s is -1"):
        JudgeSettings(burst_s=-1)


def test_the_wait_follows_the_callers_count() -> None:
    """After a restart the watch would begin the long confirmation again from its first minute."""
    suspected = verdict(look(0), look(300, NOT_FOUND))
    assert next_look_s(suspected, 3) == 3000.0
    assert next_look_s(suspected, 40) == 10_800.0
    assert next_look_s(verdict(look(0)), 0) is None
