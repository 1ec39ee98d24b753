"""Politeness: what a host would suffer, or the observer would be banned for, if it were wrong."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vanished.errors import ConfigError
from vanished.model import MINUTE, SECOND, Fault, Micros
from vanished.net.politeness import CROWD, FLOOR, Politeness, retry_after_s

NOW: Micros = 1_700_000_000 * SECOND
HOST = "news.example"

rates = st.floats(0.001, 500.0)
bursts = st.floats(0.0, 60.0)
gaps = st.one_of(st.integers(0, 3 * SECOND), st.integers(0, 3 * 3600 * SECOND))
steps = st.lists(
    st.tuples(
        gaps,
        st.one_of(
            st.tuples(st.just("start"), st.integers(1, 40)),
            st.tuples(st.just("overdraw"), st.integers(1, 5)),
            st.tuples(st.just("429"), st.none() | st.floats(0, 900)),
            st.tuples(st.just("200"), st.none()),
        ),
    ),
    max_size=40,
)


def play(
    polite: Politeness, sequence: list[tuple[int, tuple[str, float | None]]]
) -> tuple[list[tuple[Micros, int]], Micros]:
    """Run the steps; the starts that `room` allowed, and the time at the end."""
    now, started = NOW, []
    for gap, (what, value) in sequence:
        now += gap
        if what == "start":
            n = min(int(value or 0), polite.room(HOST, now))
            if n:
                polite.spend(HOST, now, n)
                started.append((now, n))
        elif what == "overdraw":
            polite.spend(HOST, now, int(value or 0))
        elif what == "429":
            polite.answered(HOST, now, 429, value)
        else:
            polite.answered(HOST, now, 200)
    return started, now


@given(rates, bursts, steps)
def test_no_window_of_time_holds_more_starts_than_capacity_and_rate_allow(
    rate: float, burst_s: float, sequence: list[tuple[int, tuple[str, float | None]]]
) -> None:
    started, _ = play(Politeness(rate, burst_s=burst_s), sequence)
    capacity = max(1.0, burst_s * rate)
    for first in range(len(started)):
        total = 0
        for then, n in started[first:]:
            total += n
            allowed = capacity + rate * (then - started[first][0]) / SECOND
            assert total <= allowed + 1e-3, (rate, burst_s, started)


@given(rates, bursts, steps)
@example(0.001, 0.0, [(0, ("429", 0.0))])
def test_ready_at_is_when_room_opens_and_not_much_later(
    rate: float, burst_s: float, sequence: list[tuple[int, tuple[str, float | None]]]
) -> None:
    polite = Politeness(rate, burst_s=burst_s)
    _, now = play(polite, sequence)
    ready = polite.ready_at(HOST, now)
    assert ready >= now
    assert polite.room(HOST, ready) >= 1, "the watch would wake up for nothing, again and again"
    # As long as rounding of a millionth of a request takes at the slowest rate, and a little.
    slack = 10 + int(4e-6 / (rate * FLOOR) * SECOND)
    if ready - slack > now:
        assert polite.room(HOST, ready - slack) == 0
    assert polite.room(HOST, ready) <= max(1.0, burst_s * rate)


@given(rates, bursts, st.lists(st.tuples(gaps, st.floats(0, 900)), min_size=1, max_size=30))
def test_a_host_that_refuses_for_ever_is_still_asked_now_and_then(
    rate: float, burst_s: float, refusals: list[tuple[int, float]]
) -> None:
    polite = Politeness(rate, burst_s=burst_s)
    now = NOW
    for gap, wait_s in refusals:
        now += gap
        polite.answered(HOST, now, 429, wait_s)
    longest_s = 900 + 1 / (rate * FLOOR) + 1
    assert polite.ready_at(HOST, now) <= now + longest_s * SECOND


def test_debt_of_redirects_is_paid_before_anything_new_starts() -> None:
    polite = Politeness(1.0, burst_s=2)
    polite.spend(HOST, NOW, 2)
    polite.spend(HOST, NOW, 3)  # hops that nobody dispatched
    assert polite.room(HOST, NOW + 3 * SECOND) == 0
    assert polite.ready_at(HOST, NOW) == pytest.approx(NOW + 4 * SECOND, abs=2)
    assert polite.room(HOST, NOW + 4 * SECOND) == 1


def test_a_429_halves_the_rate_and_five_percent_a_minute_come_back() -> None:
    polite = Politeness(2.0, burst_s=1)
    polite.answered(HOST, NOW, 429)
    assert polite.room(HOST, NOW) == 0, "what was saved up is gone"
    # At 1/s and rising by 0.1/s a minute, the first request is there after just under a second.
    first = polite.ready_at(HOST, NOW)
    assert 0.99 * SECOND < first - NOW < SECOND
    assert steady_rate(polite, NOW + 5 * MINUTE) == pytest.approx(1.5, rel=0.02)
    assert steady_rate(polite, NOW + 11 * MINUTE) == pytest.approx(2.0, rel=0.01)


def steady_rate(polite: Politeness, now: Micros) -> float:
    """Requests a second that can be started around `now`, measured by starting ten."""
    polite.spend(HOST, now, max(0, polite.room(HOST, now)))
    begin = now = polite.ready_at(HOST, now)
    for _ in range(10):
        polite.spend(HOST, now)
        now = polite.ready_at(HOST, now)
    return 10 * SECOND / (now - begin)


def test_the_rate_never_falls_below_its_floor() -> None:
    polite = Politeness(64.0, burst_s=0)
    for _ in range(100):
        polite.answered(HOST, NOW, 429)
    assert polite.ready_at(HOST, NOW) - NOW <= 1 / (64 * FLOOR) * SECOND + 2


def test_many_answers_to_one_volley_slow_the_host_down_once() -> None:
    once, volley = Politeness(4.0), Politeness(4.0)
    once.answered(HOST, NOW + 20, 429, asked_at=NOW)
    for late in range(20):
        volley.answered(HOST, NOW + 20 + late, 429, asked_at=NOW + late)
    assert volley.ready_at(HOST, NOW + 100) == pytest.approx(once.ready_at(HOST, NOW + 100), abs=50)
    volley.answered(HOST, NOW + 500, 429, asked_at=NOW + 400)  # asked at the halved rate
    assert volley.ready_at(HOST, NOW + 500) - NOW == pytest.approx(SECOND, rel=0.01)


@pytest.mark.parametrize(("status", "fault"), [(429, None), (503, None), (200, Fault.RATE_LIMITED)])
def test_retry_after_is_obeyed_without_a_burst_afterwards(status: int, fault: Fault | None) -> None:
    polite = Politeness(10.0, burst_s=10)
    polite.answered(HOST, NOW, status, 60.0, fault)
    back = NOW + 60 * SECOND
    assert polite.sent_away(HOST, NOW)
    assert polite.room(HOST, back - 1) == 0
    assert not polite.sent_away(HOST, back)
    assert polite.room(HOST, back) == 0, "an hour of silence must not end in a volley"
    assert polite.ready_at(HOST, NOW) - back == pytest.approx(0.2 * SECOND, rel=0.01)
    assert polite.room(HOST, back + SECOND) <= 6


def test_a_shorter_retry_after_does_not_call_us_back_early() -> None:
    polite = Politeness(10.0)
    polite.answered(HOST, NOW, 429, 600.0)
    polite.answered(HOST, NOW + SECOND, 429, 1.0)
    assert polite.room(HOST, NOW + 500 * SECOND) == 0


def test_a_retry_after_of_a_century_blinds_us_for_a_day_at_most() -> None:
    polite = Politeness(1.0)
    polite.answered(HOST, NOW, 429, float("inf"))
    assert polite.ready_at(HOST, NOW) <= NOW + 86_403 * SECOND


def test_a_plain_503_or_404_slows_nobody_down() -> None:
    polite = Politeness(1.0)
    for status in (200, 404, 410, 451, 500, 503):
        polite.answered(HOST, NOW, status)
    assert polite.room(HOST, NOW) == 10


def test_hosts_have_their_own_budgets_and_rates() -> None:
    polite = Politeness(1.0, per_host={"slow.example": 0.1}, burst_s=5)
    polite.spend(HOST, NOW, 5)
    polite.answered(HOST, NOW, 429, 100.0)
    assert polite.room(HOST, NOW) == 0
    assert polite.room("other.example", NOW) == 5
    assert polite.room("slow.example", NOW) == 1


def test_forgetting_idle_hosts_forgives_no_host_that_slowed_us_down() -> None:
    polite = Politeness(100.0, burst_s=0)
    polite.answered(HOST, NOW, 429, 86_400.0)
    for n in range(3 * CROWD):
        polite.spend(f"h{n}.example", NOW + n * SECOND)
    assert len(polite._buckets) <= CROWD + 1
    assert polite.room(HOST, NOW + 3 * CROWD * SECOND) == 0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_said_so(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"rate for slow\.example"):
        Politeness(1.0, per_host={"slow.example": rate})
    with pytest.raises(ConfigError, match="any host"):
        Politeness(rate)
    with pytest.raises(ConfigError, match="burst"):
        Politeness(1.0, burst_s=-1)


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        ("120", "", 120.0),
        (" 0 ", "", 0.0),
        ("1.5", "", 1.5),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "Tue, 14 Nov 2023 22:14:10 GMT", 10.0),
        ("Tue, 14 Nov 2023 21:00:00 GMT", "", 0.0),
        ("", "", None),
        ("soon", "", None),
        ("-5", "", None),
        ("nan", "", None),
        ("9" * 400, "", float("inf")),
        ("Tue, 99 Nov 99999 22:14:20 GMT", "", None),
    ],
)
def test_retry_after_is_read_as_the_rfc_has_it(
    value: str, date: str, expected: float | None
) -> None:
    assert retry_after_s({"retry-after": value, "date": date}, NOW) == expected


@given(st.text())
def test_no_retry_after_breaks_us(value: str) -> None:
    wait_s = retry_after_s({"retry-after": value, "date": value}, NOW)
    assert wait_s is None or wait_s >= 0
