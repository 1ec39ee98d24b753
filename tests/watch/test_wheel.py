"""The wheel: a post that is due comes out, once, in its second, whatever was moved before."""

from __future__ import annotations

import numpy as np
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from vanished.watch.columns import NO_DATE, Columns, seconds, seconds_up
from vanished.watch.wheel import WINDOW_S, Wheel

moves = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 30), st.integers(-50, 300)),
        st.tuples(st.just("pass"), st.integers(0, 90), st.just(0)),
    ),
    max_size=60,
)


@seed(20261128)
@settings(max_examples=300, deadline=None)
@given(moves)
def test_who_is_due_comes_out_once_and_nobody_else(steps: list[tuple[str, int, int]]) -> None:
    columns = Columns.empty(4)
    wheel = Wheel(columns)
    due: dict[int, int] = {}  # what should stand in the wheel
    now = 0
    for what, first, second in [*steps, ("pass", 400, 0), ("pass", 1, 0)]:
        if what == "put":
            row, date = first, now + second
            columns.use(row + 1)
            columns.due[row] = date
            wheel.put(np.array([row]), columns.due[[row]])
            due[row] = date
            continue
        now += first
        popped = wheel.pop(now).tolist()
        assert len(popped) == len(set(popped))
        assert all(due[row] <= now for row in popped)
        for row in popped:
            del due[row]
            columns.due[row] = NO_DATE
        # A date that had passed already when it was put may come out a second later.
        assert all(date >= now for date in due.values() if date > now)
        late = [row for row, date in due.items() if date <= now]
        assert set(wheel.pop(now + 1).tolist()) >= set(late)
        for row in late:
            del due[row]
            columns.due[row] = NO_DATE
        now += 1
        for row in [row for row, date in due.items() if date <= now]:  # came out with the late
            del due[row]
            columns.due[row] = NO_DATE
    assert not due


def test_the_next_date_is_found_within_the_window_and_beyond_it() -> None:
    columns = Columns.empty()
    wheel = Wheel(columns)
    assert wheel.next_due() == NO_DATE
    columns.use(3)
    columns.due[:3] = [5, 70, 1000]
    assert wheel.next_due() == 5
    assert wheel.pop(0).tolist() == []
    assert wheel.next_due() == 5
    assert wheel.pop(5).tolist() == [0]
    columns.due[0] = NO_DATE
    assert wheel.next_due() == 70
    assert wheel.pop(70).tolist() == [1]


def test_a_row_moved_out_of_its_slot_does_not_come() -> None:
    columns = Columns.empty()
    wheel = Wheel(columns)
    columns.use(2)
    columns.due[:2] = [10, 10]
    wheel.pop(0)
    columns.due[0] = 45
    wheel.put(np.array([0]), columns.due[[0]])
    assert wheel.pop(20).tolist() == [1]
    columns.due[1] = NO_DATE
    assert wheel.pop(45).tolist() == [0]


def test_proofs_are_rounded_down_and_dates_up() -> None:
    """A bracket that starts later than its proof would be a false claim; a date before its time
    would break a wish."""
    times = np.array([1.0, 1.2, -1.2, np.inf, 1e18])
    assert seconds(times).tolist() == [1, 1, -2, NO_DATE - 1, NO_DATE - 1]
    assert seconds_up(times).tolist() == [1, 2, -1, NO_DATE, NO_DATE - 1]


def test_a_scan_fills_exactly_one_window() -> None:
    columns = Columns.empty()
    columns.use(200)
    columns.due[:200] = np.arange(200)
    wheel = Wheel(columns)
    for now in range(200):
        assert wheel.pop(now).tolist() == [now]
        columns.due[now] = NO_DATE
    assert WINDOW_S == 60
