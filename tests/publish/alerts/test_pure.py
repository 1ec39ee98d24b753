"""Rules, quiet hours, wording and what is known again: for all inputs, not for examples only."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanished.explain.thresholds import threshold
from vanished.model import DAY, HOUR, MINUTE, Cause, Confidence, State, micros
from vanished.publish.alerts.address import Place
from vanished.publish.alerts.campaigning import recognized
from vanished.publish.alerts.choosing import Chosen, chosen
from vanished.publish.alerts.event import Event, Kind, author_possible, identity, matches
from vanished.publish.alerts.happened import Basis
from vanished.publish.alerts.message import message
from vanished.publish.alerts.operating import discreet, findings_as_events
from vanished.publish.alerts.quiet import Span, is_quiet, parse_span
from vanished.publish.alerts.settings import Channel, Rule
from vanished.publish.alerts.wording import LANGUAGES, say, words
from vanished.watch.finding import Finding

NOW = 1_790_000_000_000_000
BASIS = Basis(1204, 12, 14, 3400, 71, NOW)
SUBSETS = st.frozensets(st.sampled_from(list(Cause)))
SOME = st.sampled_from(["a", "b", "c"])
EVENTS = st.builds(
    lambda kind, platform, account, causes, confidence, terms: Event(
        identity(kind, platform, account, *sorted(causes)), kind, NOW, platform, account, "post",
        causes, confidence, "", terms, {},
    ),
    st.sampled_from([Kind.LOSS, Kind.ACCOUNT, Kind.RETURN]), SOME, SOME, SUBSETS.filter(bool),
    st.sampled_from(list(Confidence)), st.frozensets(SOME),
)  # fmt: skip
RULES = st.builds(
    Rule, st.just("r"), st.just(("desk",)),
    st.frozensets(st.sampled_from([Kind.LOSS, Kind.ACCOUNT, Kind.RETURN])),
    st.lists(SOME, max_size=2).map(tuple), st.lists(SOME, max_size=2).map(tuple),
    st.lists(SOME, max_size=2).map(tuple), SUBSETS, st.booleans(),
    st.sampled_from(list(Confidence)),
)  # fmt: skip
DESK = Channel("desk", Place("A"))


@given(RULES, EVENTS)
def test_a_rule_is_the_meeting_of_its_filters(rule: Rule, event: Event) -> None:
    """Said again, from the documentation: a user relies on what stands there."""
    order = [Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH]
    possible = bool(event.causes & rule.causes) or Cause.UNKNOWN in event.causes
    only = not (event.causes - rule.causes)
    expected = all(
        [
            event.kind in rule.tell,
            not rule.platforms or event.platform in rule.platforms,
            not rule.accounts or event.account in rule.accounts,
            not rule.terms or any(term in event.terms for term in rule.terms),
            not rule.causes or (possible if rule.open_too else only),
            order.index(event.confidence) >= order.index(rule.confidence),
        ]
    )
    assert matches(rule, event) is expected


@given(RULES, st.lists(EVENTS, max_size=6, unique_by=lambda event: event.id))
def test_what_was_told_is_not_told_again_and_what_is_no_news_never(
    rule: Rule, events: list[Event]
) -> None:
    first = chosen(DESK, [rule], events, {}, lambda event: True)
    told = {each.event.id: ",".join(sorted(each.event.causes)) for each in first}
    assert not chosen(DESK, [rule], events, told, lambda event: True)
    assert not chosen(DESK, [rule], events, {}, lambda event: False)
    assert {each.event.id for each in first} == {e.id for e in events if matches(rule, e)}
    other = Channel("other", Place("B"))
    assert not chosen(other, [rule], events, {}, lambda event: True)


@given(SUBSETS)
def test_words_speak_only_where_none_but_platform_or_law_is_left(
    causes: frozenset[Cause],
) -> None:
    sure = bool(causes) and causes <= {Cause.PLATFORM, Cause.LEGAL}
    assert author_possible(causes) is not sure


MINUTES = st.integers(0, 24 * 60 - 1)


@given(MINUTES, MINUTES, st.integers(0, 400 * 24 * 60))
def test_a_span_and_its_opposite_divide_the_day(begin: int, end: int, minute: int) -> None:
    if begin == end:
        return
    now = NOW - NOW % DAY + minute * MINUTE
    zone = ZoneInfo("Asia/Kathmandu")
    spans = Span(begin, end), Span(end, begin)
    assert sum(is_quiet(now, [span], zone) for span in spans) == 1
    written = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    assert parse_span(written) == spans[0]


def test_quiet_hours_follow_the_clock_on_the_wall() -> None:
    """On the day that the clock goes back, 02:30 comes twice, and is quiet twice."""
    zone, span = ZoneInfo("Europe/Berlin"), parse_span("02:00-03:00")
    assert span is not None
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    quiet = [is_quiet(micros(first + timedelta(hours=n)), [span], zone) for n in range(3)]
    assert quiet == [True, True, False]


@pytest.mark.parametrize("text", ["", "22-7", "24:00-01:00", "10:00-10:00", "10:60-11:00"])
def test_what_is_no_span_is_none(text: str) -> None:
    assert parse_span(text) is None


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_sentence_is_there_in_every_language_with_the_same_values() -> None:
    for key, said in words().items():
        assert set(said) == set(LANGUAGES), key
        assert len({frozenset(fields(text)) for text in said.values()}) == 1, key
    assert not any("的" in said["en"] for said in words().values())
    for kind in Kind:
        assert f"n-{kind}-one" in words()
        assert f"n-{kind}-many" in words()
    for cause in Cause:
        assert f"cause-{cause}" in words()
    for state in set(State) - {State.GONE, State.RETURNED}:
        assert f"state-{state}" in words()


DETAIL: Mapping[Kind, Mapping[str, Any]] = {
    Kind.OPERATOR: {"where": "source weibo", "what": "it failed"},
    Kind.RATE: {"rule": "r", "number": 52, "least": 50},
    Kind.CAMPAIGN: {"form": "words", "begin": NOW - DAY, "end": NOW, "removed": 40, "of": 90,
                    "accounts": 11, "words": "洪水", "rise": "3.1", "beside_gap": 1},
    Kind.CROSSING: {"line": "cn-defamation-2013", "reposts": 500, "views": 5000},
}  # fmt: skip


@given(st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=30), st.sampled_from(LANGUAGES))
def test_every_message_states_its_denominators_and_that_it_may_change(
    kinds: list[Kind], language: str
) -> None:
    loss = {"alive": None, "gone_by": NOW, "posts": 3, "conflicts": 1, "state": "suspected"}
    events = [
        Chosen(
            Event(str(n), kind, NOW + n, "weibo", "key", "post", frozenset({Cause.UNKNOWN}),
                  detail=DETAIL.get(kind, loss))
        )
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    told = message(events, BASIS, language, "0123456789", NOW)
    for number in ("1,204", "12", "14", "3,400", "71", "0123456789"):
        assert number in told.body
    assert say(language, "caveat") in told.body
    assert "{" not in told.title + told.body
    assert len([line for line in told.body.splitlines() if line.startswith("- ")]) == min(
        20, len(kinds)
    )


def campaign(begin: int, end: int, kind: str = "words", targets: tuple[str, ...] = ("a",)) -> Any:
    return {"kind": kind, "begin": NOW + begin * DAY, "end": NOW + end * DAY, "removed": 9,
            "posts": 20, "accounts": 6, "targets": list(targets), "rise": 2.0,
            "beside_gap": False}  # fmt: skip


def test_a_campaign_is_known_again_when_its_dates_move_and_told_apart_from_others() -> None:
    (first,), kept = recognized([campaign(0, 3, targets=("zorblax", "b"))], [])
    known = [(own, *span) for own, span in kept.items()]
    (moved,), kept = recognized([campaign(1, 5, targets=("b", "c"))], known)
    assert moved.id == first.id
    known = [(own, *span) for own, span in kept.items()]
    (again,), _ = recognized([campaign(5, 8, targets=("c",))], known)
    assert again.id == first.id
    others = [campaign(2, 4, targets=("z",)), campaign(2, 4, "rate", ()), campaign(20, 22)]
    events, _ = recognized(others, known)
    assert len({event.id for event in events} | {first.id}) == 4
    assert "zorblax" not in str(kept)  # hashes only


NAMING = (
    "host news.example.org", "/home/somebody/obs", "https://t.example/x", "@someone", "#room:hs",
    "source weibo: alive number 1: 'u/12345' is none", "黄花账号", "user@host", "C:\\obs",
    "is it (at news.example) there", 'the name "Aurelio" is',
)  # fmt: skip


@pytest.mark.parametrize("text", NAMING)
def test_a_finding_leaves_without_what_names_somebody(text: str) -> None:
    (event,) = findings_as_events([Finding(text, text, "x")], NOW)
    said = message([Chosen(event)], BASIS, "en", "0", NOW).body
    for hidden in ("example", "somebody", "someone", "room", "12345", "黄花", "user", "obs",
                   "Aurelio"):  # fmt: skip
        assert hidden not in said


def test_a_finding_stays_readable_and_is_the_same_whatever_its_numbers() -> None:
    what = "the last 3 looks failed (judge.fresh_s)"
    assert discreet("its list is 3.2 h overdue") == "its list is 3.2 h overdue"
    assert discreet("lower hosts.per_second") == "lower hosts.per_second"
    first, second = (
        findings_as_events([Finding(what.replace("3", n), "weibo account k", "x")], NOW + HOUR)
        for n in ("3", "4")
    )
    assert first[0].id == second[0].id
    (tomorrow,) = findings_as_events([Finding(what, "weibo account k", "x")], NOW + DAY)
    assert tomorrow.id != first[0].id
    assert threshold("cn-defamation-2013").reaches["reposts"] == 500
