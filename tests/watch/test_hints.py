"""How often hints may make us ask: whatever a stream says, and however often."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vanished.model import SECOND, Micros
from vanished.watch.hints import APART, LOOKS, MOST, SETTLED, Marks, Subject
from vanished.watch.schedule import NEVER

POST = Subject("ann", "post")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 20),  # seconds that pass
        st.sampled_from([POST, Subject("ann", ""), Subject("bob", "")]),
        st.sampled_from(["hint", "take", "held"]),
        st.booleans(),
    ),
    max_size=60,
)


def take(marks: Marks, now: Micros, *, again: bool = True) -> list[Subject]:
    due = marks.due(now)
    for _, mark in due:
        marks.asked(mark, now, again=again)
    marks.settle()
    return [subject for subject, _ in due]


def test_a_hint_is_worth_two_looks_apart_and_then_is_forgotten() -> None:
    marks = Marks()
    marks.note(POST, 0)
    asked = []
    while marks.next_at != NEVER:
        now = marks.next_at
        asked += [(subject, now) for subject in take(marks, now)]
    assert asked == [(POST, SETTLED), (POST, SETTLED + APART)]
    assert len(marks) == 0


def test_who_is_under_way_stays_due() -> None:
    """The look that is under way may have begun before what the hint is about."""
    marks = Marks()
    marks.note(POST, 0)
    assert len(marks.due(SETTLED)) == 1
    marks.settle()
    assert marks.next_at <= SETTLED
    assert take(marks, SETTLED) == [POST]


def test_a_look_that_showed_the_loss_is_the_last() -> None:
    marks = Marks()
    marks.note(POST, 0)
    assert take(marks, SETTLED, again=False) == [POST]
    assert take(marks, SETTLED + APART) == []
    assert len(marks) == 0


def test_new_is_only_what_nothing_else_was_said_of() -> None:
    marks = Marks()
    marks.note(POST, 0, new=True)
    marks.note(POST, 0, new=True)
    assert [mark.new for _, mark in marks.due(SETTLED)] == [True]
    marks.note(POST, 0)
    assert [mark.new for _, mark in marks.due(SETTLED)] == [False]


def test_a_relay_that_invents_posts_fills_no_memory_and_is_heard_again_afterwards() -> None:
    marks = Marks()
    for number in range(MOST + 500):
        marks.note(Subject("ann", str(number)), 0)
    assert len(marks) == MOST
    take(marks, SETTLED, again=False)
    take(marks, SETTLED + APART)
    assert len(marks) == 0
    marks.note(POST, 2 * APART)
    assert take(marks, 2 * APART + SETTLED) == [POST]


@given(STEPS)
def test_nobody_is_asked_more_often_than_allowed_and_nobody_is_passed_over(
    steps: list[tuple[int, Subject, str, bool]],
) -> None:
    marks, now = Marks(), 0
    asked: dict[Subject, list[Micros]] = defaultdict(list)
    hinted: dict[Subject, Micros] = {}
    for passed, subject, what, flag in steps:
        now += passed * SECOND
        if what == "hint":
            marks.note(subject, now, new=flag)
            hinted[subject] = now
        elif what == "held":
            marks.due(now)
            marks.settle()
        else:
            for each in take(marks, now, again=flag):
                asked[each].append(now)
    while marks.next_at != NEVER:  # ends, since each hint is worth `LOOKS` looks
        now = max(now, marks.next_at)
        for each in take(marks, now):
            asked[each].append(now)
    for subject, times in asked.items():
        assert all(later - sooner >= APART for sooner, later in pairwise(times))
        assert len(times) <= LOOKS * len(steps)
        assert subject in hinted
    for subject, when in hinted.items():
        assert asked[subject][-1] >= when, "asked after the last hint"
    assert len(marks) == 0
