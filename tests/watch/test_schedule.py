"""The first schedule: a post that is due is asked, once, and no host is asked beyond its room."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vanished.model import DAY, HOUR, MINUTE, SECOND
from vanished.watch.schedule import NEVER, AgeBuckets

STEPS = ((3600.0, 300.0), (86400.0, 3600.0))


def endless(host: int) -> int:
    del host
    return 10**6


def test_young_posts_are_asked_more_often_than_old_ones() -> None:
    schedule = AgeBuckets(STEPS)
    assert schedule.interval(0, 10 * MINUTE) == 5 * MINUTE
    assert schedule.interval(0, 2 * HOUR) == HOUR
    assert schedule.interval(0, 30 * DAY) == 7 * DAY
    assert schedule.interval(100 * DAY, 0) == 5 * MINUTE  # a publication time in our future


def test_the_longest_overdue_goes_first_and_none_goes_twice() -> None:
    schedule = AgeBuckets(STEPS)
    for post, due in ((1, 30), (2, 10), (3, 20), (4, 99)):
        schedule.put(post, 0, due * SECOND)
    assert schedule.take(40 * SECOND, endless, 2) == [2, 3]
    assert schedule.backlog(40 * SECOND) == 1
    assert schedule.take(40 * SECOND, endless, 9) == [1]
    assert schedule.take(40 * SECOND, endless, 9) == []
    assert schedule.next_due(40 * SECOND) == 99 * SECOND


def test_a_host_without_room_does_not_hold_up_another() -> None:
    schedule = AgeBuckets(STEPS)
    schedule.put(1, 0, 0)
    assert schedule.take(0, lambda host: 0, 9) == []
    schedule.put(2, 1, 2 * SECOND)
    assert schedule.take(3 * SECOND, lambda host: host, 9) == [2]
    assert schedule.waiting() == [0]


def test_a_new_date_replaces_the_old_one() -> None:
    schedule = AgeBuckets(STEPS)
    schedule.put(7, 0, 10 * SECOND)
    schedule.put(7, 0, 50 * SECOND)
    assert schedule.take(20 * SECOND, endless, 9) == []
    assert schedule.take(50 * SECOND, endless, 9) == [7]
    assert schedule.next_due(50 * SECOND) == NEVER


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 100)), max_size=60),
    st.dictionaries(st.integers(0, 3), st.integers(0, 5), min_size=4, max_size=4),
)
def test_what_is_due_comes_out_once_within_each_hosts_room(
    puts: list[tuple[int, int, int]], room: dict[int, int]
) -> None:
    schedule = AgeBuckets(STEPS)
    host_of: dict[int, int] = {}
    due_of: dict[int, int] = {}
    for post, host, due in puts:
        schedule.put(post, host, due * SECOND)
        host_of[post], due_of[post] = host, due
    taken: list[int] = []
    for now in [*range(0, 101, 10), *range(101, 161)]:  # as many turns as there are posts
        spent: dict[int, int] = {}
        for post in schedule.take(now * SECOND, lambda host: room[host], 1000):
            spent[host_of[post]] = spent.get(host_of[post], 0) + 1
            assert due_of[post] <= now
            taken.append(post)
        assert all(n <= room[host] for host, n in spent.items())
    assert len(taken) == len(set(taken))
    open_posts = {post for post, host in host_of.items() if room[host] > 0}
    assert set(taken) == open_posts
    assert schedule.backlog(200 * SECOND) == len(due_of) - len(taken)


def test_one_scan_rebuilds_it() -> None:
    """After a crash the columns of the present are all there is."""
    schedule = AgeBuckets(STEPS)
    schedule.put_all(
        np.array([5, 9], dtype=np.int64),
        np.array([0, 1], dtype=np.int32),
        np.array([30 * SECOND, 20 * SECOND], dtype=np.int64),
    )
    assert schedule.take(30 * SECOND, endless, 9) == [9, 5]
