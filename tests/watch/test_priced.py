"""The schedule by price: whom it asks, what it spends, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from vanished.watch import columns as c
from vanished.watch.columns import Columns
from vanished.watch.hazard import AgeCurve, index, wait_s
from vanished.watch.price import FAR, Prices, opening
from vanished.watch.priced import CENSUS_REST_S, Conditions, Priced
from vanished.watch.queues import AGAIN, RETRIES, SAVED
from vanished.watch.tables import Tables
from vanished.watch.thresholds import EARLY

CURVE = AgeCurve([120, 480, 1800, 86400, 259200], [0, 0.05, 0.3, 0.9, 1])
HOUR_S = 3600.0
DAY_S = 86_400


@dataclass
class Known:
    """Hazards of a world that knows them."""

    p: npt.NDArray[np.float64] = field(default_factory=lambda: np.full(64, 0.05))
    curve: AgeCurve = CURVE
    excess: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(8))
    began_s: npt.NDArray[np.float64] = field(default_factory=lambda: np.full(8, np.inf))

    def chance(self, account: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return self.p[account]


def schedule(
    posts: int,
    *,
    per_s: float = 1.0,
    hosts: int = 1,
    serves: int = 1,
    hazards: Known | None = None,
    conditions: Conditions | None = None,
    born: float = 0.0,
) -> Priced:
    """`posts` posts of one account, spread over the hosts, all born and proven at `born`."""
    made = Priced(
        hazards or Known(), lambda host: per_s, conditions=conditions or Conditions(census=0.0)
    )
    for host in range(hosts):
        made.arm(host, host, serves)
    ids = np.arange(posts)
    when = np.full(posts, born)
    made.add(ids, born=when, last=when, account=np.zeros(posts, np.int64), arm=ids % hosts)
    made._opened.update(range(hosts))  # their price is the first one, or the test's
    made._held.update(range(hosts))
    made._new.clear()
    return made


class Buckets:
    """Token buckets, as `net.politeness` keeps them, with a ledger of what was spent."""

    def __init__(self, per_s: float, burst_s: float = 10.0) -> None:
        self.per_s, self.most = per_s, max(1.0, per_s * burst_s)
        self.tokens: dict[int, float] = {}
        self.spent: dict[int, list[int]] = {}

    def second(self) -> None:
        for host in self.tokens:
            self.tokens[host] = min(self.most, self.tokens[host] + self.per_s)

    def room(self, host: int) -> int:
        return int(self.tokens.setdefault(host, self.most) + 1e-9)

    def spend(self, host: int, requests: int) -> None:
        self.tokens[host] -= requests
        self.spent.setdefault(host, []).append(requests)


def requests(made: Priced, ids: npt.NDArray[np.int64]) -> dict[int, int]:
    """How many requests each host gets for these posts: an arm's posts share its requests."""
    found: dict[int, int] = {}
    arms = made.columns.arm[ids]
    for arm in np.unique(arms).tolist():
        host = int(made.prices.host_of_arm[arm])
        number = int((arms == arm).sum())
        found[host] = found.get(host, 0) + -(-number // int(made.prices.serves[arm]))
    return found


def run(
    made: Priced,
    buckets: Buckets,
    times: range,
    answer: Callable[[npt.NDArray[np.int64], int], npt.NDArray[np.bool_]],
) -> list[tuple[int, int]]:
    """Drive the schedule second by second; `answer` says who answers "alive", others fail."""
    asked: list[tuple[int, int]] = []
    for now in times:
        buckets.second()
        ids = made.take(float(now), buckets.room, 10**6)
        for host, number in requests(made, ids).items():
            assert number <= buckets.room(host), "a host's bucket was exceeded"
            buckets.spend(host, number)
        asked += [(now, row) for row in ids.tolist()]
        good = answer(ids, now)
        made.alive(ids[good], np.full(int(good.sum()), float(now)), now + 0.5)
        made.failed(ids[~good], now + 0.5)
    return asked


def everybody(ids: npt.NDArray[np.int64], now: int) -> npt.NDArray[np.bool_]:
    del now
    return np.ones(len(ids), dtype=bool)


# -- dates and prices ---------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["mean", "log"])
def test_waits_from_the_table_are_those_of_the_solver(objective: str) -> None:
    """A date of the table that is wrong by more than it is set early makes a look late."""
    rng = np.random.default_rng(1)
    p, age = rng.gamma(0.35, 0.15, 20_000) + 1e-5, rng.exponential(6 * HOUR_S, 20_000)
    price = (
        np.exp(rng.uniform(-2, 5, 20_000)) if objective == "mean" else rng.uniform(0, 0.1, 20_000)
    )
    made = Tables(CURVE, objective=objective)  # type: ignore[arg-type]
    table = made.until(p, age, price, 0.8)
    exact = wait_s(CURVE, p, age, 0.8 * price, share=1.0, objective=objective)  # type: ignore[arg-type]
    assert (np.isinf(table) != np.isinf(exact)).mean() < 0.02
    both = np.isfinite(table) & np.isfinite(exact)
    off = np.abs(np.log(table[both] / exact[both]))
    assert np.quantile(off, 0.99) < 0.05
    assert np.quantile(off, 0.999) < 0.25
    assert both.mean() > 0.1


@pytest.mark.parametrize("objective", ["mean", "log"])
def test_worth_from_the_table_is_that_of_the_formula(objective: str) -> None:
    rng = np.random.default_rng(2)
    p, age = rng.gamma(0.35, 0.15, 20_000) + 1e-5, rng.exponential(12 * HOUR_S, 20_000)
    tau = np.exp(rng.uniform(np.log(60.0), np.log(2 * 86_400), 20_000))
    table = Tables(CURVE, objective=objective).worth(p, age, tau)  # type: ignore[arg-type]
    exact = index(CURVE, p, age, tau, objective=objective)  # type: ignore[arg-type]
    some = exact > exact.max() * 1e-7  # less is never worth a price
    off = np.abs(np.log(table[some] / exact[some]))
    assert np.quantile(off, 0.99) < 0.05
    assert some.mean() > 0.5


def test_a_table_has_no_gap_before_the_last_losses() -> None:
    """Were a wait that ends interpolated with one that does not, it would be days."""
    age = np.linspace(60 * HOUR_S, 72 * HOUR_S - 60, 5000)
    p, price = np.full(5000, 0.05), np.full(5000, 0.6)
    table = Tables(CURVE).until(p, age, price, 0.8)
    exact = wait_s(CURVE, p, age, 0.8 * price, share=1.0)
    ends = np.isfinite(exact) & np.isfinite(table)
    assert (np.isfinite(exact) != np.isfinite(table)).mean() < 0.002
    assert np.abs(np.log(table[ends] / exact[ends])).max() < 0.05
    assert ends.mean() > 0.8


def test_the_opening_price_makes_demand_equal_the_allowance() -> None:
    rng = np.random.default_rng(2)
    hazard, host = np.exp(rng.uniform(-16, -10, 3000)), rng.integers(0, 2, 3000)
    cost = np.where(host == 1, 0.05, 1.0)
    per_s = np.array([2.0, 0.3])
    hosts, price = opening(hazard, cost, host, per_s, 1.0)
    assert hosts.tolist() == [0, 1]
    for number in (0, 1):
        here = host == number
        spacing = np.sqrt(2 * price[number] * cost[here] / hazard[here])
        assert (cost[here] / spacing).sum() == pytest.approx(per_s[number], rel=1e-6)


def test_no_price_asks_every_post_more_often_than_the_shortest_wait() -> None:
    _, price = opening(np.full(3, 1e-6), np.ones(3), np.zeros(3, np.int64), np.array([50.0]), 60.0)
    assert np.sqrt(2 * price[0] / 1e-6) == pytest.approx(60.0)


@seed(20261128)
@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(1e-3, 1e3))
def test_a_price_moves_by_five_per_cent_at_most_and_stays_near_its_middle(
    demands: list[float], middle: float
) -> None:
    prices = Prices()
    prices.open(0, middle)
    for demand in demands:
        before = prices.by_host[0]
        prices.steer({0: demand}, {0: 60.0}, {0: middle})
        after = prices.by_host[0]
        assert before * 0.951 <= after <= before * 1.0513
        assert middle / FAR * 0.999 <= after <= middle * FAR * 1.001
        assert after >= before if demand > 60 and before < middle * FAR else True


# -- what is asked ------------------------------------------------------------------------


def test_the_allowance_is_used_and_no_bucket_exceeded_in_any_second() -> None:
    hazards = Known(np.random.default_rng(3).gamma(0.35, 0.15, 64) + 1e-4)
    made = schedule(0, hazards=hazards, hosts=2, per_s=0.5)
    ids = np.arange(4000)
    rng = np.random.default_rng(4)
    born = -rng.uniform(0, 2 * DAY_S, 4000)
    made.add(ids, born=born, last=np.zeros(4000), account=rng.integers(0, 64, 4000), arm=ids % 2)
    made.date(ids, 0.0)
    buckets = Buckets(0.5)
    asked = run(made, buckets, range(7200), everybody)
    # All were proven at second 0, so for some minutes no look is worth anything.
    assert sum(now >= 3600 for now, _ in asked) >= 0.97 * 2 * 0.5 * 3600
    by_post = np.bincount([row for _, row in asked], minlength=4000)
    sure = hazards.p[made.columns.account[:4000]] > 0.15
    assert by_post[sure].mean() > 3 * by_post[~sure].mean()


@seed(20261128)
@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 300), st.integers(1, 3), st.sampled_from([1, 1, 7, 25]),
    st.floats(0.05, 5.0), st.floats(0.0, 1.0), st.integers(0, 2**31),
)  # fmt: skip
def test_no_bucket_is_exceeded_whatever_fails(
    posts: int, hosts: int, serves: int, per_s: float, failing: float, chance: int
) -> None:
    """`run` asserts it in every second; here wishes and failures come on top."""
    made = schedule(
        posts, per_s=per_s, hosts=hosts, serves=serves, conditions=Conditions(census=0.03)
    )
    rng = np.random.default_rng(chance)
    ids = np.arange(posts)
    made.date(ids, 0.0)
    made.wish(ids[: posts // 2], rng.uniform(0, 90, posts // 2))
    asked = run(made, Buckets(per_s), range(150), lambda ids, now: rng.random(len(ids)) >= failing)
    times = [(now, row) for now, row in asked]
    assert len(times) == len(set(times)), "a post was asked twice at once"
    flags = made.columns.flags[:posts]
    assert not (flags & c.OUT).any(), "a post was lost under way"
    stands = (made.columns.due[:posts] != c.NO_DATE) | ((flags & c.QUEUED) > 0)
    retired = ~stands
    assert (
        not retired.any()
        or np.isinf(wait_s(CURVE, 0.05, 0.0, made.prices.by_host.max(), share=1.0)).any()
    ), "a post fell out of the schedule"


def test_wishes_come_first_in_the_order_of_their_dates() -> None:
    made = schedule(50)
    made.date(np.arange(50), 0.0)
    made.wish(np.array([7, 3, 9]), np.array([20.0, 10.0, 30.0]))
    assert made.take(9.0, lambda host: 5, 99).tolist() == []
    assert made.take(30.0, lambda host: 2, 99).tolist() == [3, 7]
    assert made.take(30.0, lambda host: 2, 1).tolist() == [9]


def test_a_wish_replaces_a_place_in_the_queue() -> None:
    """Asked twice for one wish, a host would be asked more than anybody wanted."""
    made = schedule(20)
    made.date(np.arange(20), 0.0)
    made.tick(20 * HOUR_S)
    assert made.queues.waiting() == [0]
    made.wish(np.array([5]), np.array([20 * HOUR_S + 1]))
    first = made.take(20 * HOUR_S + 2, lambda host: 1, 9).tolist()
    rest = made.take(20 * HOUR_S + 2, lambda host: 99, 99).tolist()
    assert first == [5]
    assert 5 not in rest
    assert len(rest) == len(set(rest)) == 19


def test_the_largest_worth_goes_first_over_what_was_carried() -> None:
    hazards = Known(np.array([0.01, 0.2]))
    made = schedule(0, hazards=hazards)
    ids = np.arange(20)
    made.add(ids, born=np.zeros(20), last=np.zeros(20), account=ids % 2, arm=np.zeros(20, int))
    made.date(ids, 0.0)
    made.tick(3 * HOUR_S)
    taken = made.take(3 * HOUR_S + 5, lambda host: 10, 99)
    assert (taken % 2 == 1).all()
    assert len(taken) == 10


def test_a_date_set_early_is_weighed_again_when_the_price_has_risen() -> None:
    made = schedule(1)
    made.prices.open(0, 10.0)
    made.columns.flags[0] = c.LIVE
    made._minute = 0  # no steering here: the price is the test's
    made.date(np.array([0]), 0.0)
    due = int(made.columns.due[0])
    value = float(index(CURVE, 0.05, 0.0, float(due)))
    assert EARLY * 0.8 < value / 10.0 < EARLY * 1.05  # with the jitter
    made.prices.open(0, 15.0)
    made._minute = due
    assert made.take(float(due), lambda host: 9, 9).tolist() == []
    later = int(made.columns.due[0])
    assert later > due
    assert 0.85 < float(index(CURVE, 0.05, 0.0, float(later))) / 15.0 < 1.05
    made._minute = later
    assert made.take(float(later), lambda host: 9, 9).tolist() == [0]


def test_a_topic_that_is_swept_has_all_its_posts_dated_anew_at_once() -> None:
    """Old posts have dates hours away; a campaign does not wait for them."""
    hazards = Known(np.full(64, 0.01))
    made = schedule(0, hazards=hazards, per_s=0.05)
    ids = np.arange(200)
    made.add(
        ids, born=np.full(200, -40 * HOUR_S), last=np.zeros(200), account=np.zeros(200, int),
        arm=np.zeros(200, int), topic=np.where(ids < 20, 3, 0),
    )  # fmt: skip
    made.date(ids, 0.0)
    made.tick(0.0)
    before = made.columns.due[:200].astype(float)
    hazards.excess[3], hazards.began_s[3] = 0.08 / 3600, 600.0
    made.rerank([3], 1800.0)
    after = made.columns.due[:200]
    assert np.median(after[:20]) < np.median(before[:20]) / 2
    assert (after[20:] == before[20:]).all()


def test_old_posts_retire_by_price_and_the_census_still_draws_them() -> None:
    made = schedule(100, conditions=Conditions(census=0.5), born=-30 * DAY_S)
    ids = np.arange(100)
    made.columns.last[ids] = 0
    made.date(ids, 0.0)
    assert (made.columns.due[:100] == c.NO_DATE).all()
    young = np.arange(100, 140)
    made.add(
        young, born=np.zeros(40), last=np.zeros(40), account=np.zeros(40, int),
        arm=np.zeros(40, int),
    )  # fmt: skip
    made.date(young, 0.0)
    asked = run(made, Buckets(0.2), range(4 * 3600), everybody)
    drawn = {row for _, row in asked if row < 100}
    assert len(drawn) > 30
    # Nobody is asked for want of anything better more often than once an hour.
    times = sorted(now for now, row in asked if row == min(drawn))
    assert min(np.diff(times), default=CENSUS_REST_S) >= 60


def test_every_post_that_is_not_retired_is_asked_within_a_day() -> None:
    hazards = Known(np.random.default_rng(5).gamma(0.35, 0.15, 64) + 1e-3)
    made = schedule(0, hazards=hazards, per_s=0.03)
    ids = np.arange(400)
    born = -np.random.default_rng(6).uniform(0, 40 * HOUR_S, 400)
    made.add(ids, born=born, last=np.zeros(400), account=ids % 64, arm=np.zeros(400, int))
    made.date(ids, 0.0)
    retired = np.zeros(400)  # when each was retired last
    for now in range(0, 26 * 3600, 20):
        taken = made.take(float(now), lambda host, now=now: int(now % 40 == 0), 9)  # type: ignore[misc]
        made.alive(taken, np.full(len(taken), float(now)), float(now))
        queued = (made.columns.flags[:400] & c.QUEUED) > 0
        retired[(made.columns.due[:400] == c.NO_DATE) & ~queued] = now
        assert (now - np.maximum(made.columns.last[:400], retired)).max() <= DAY_S
    assert (retired < now).sum() > 100


# -- failures -----------------------------------------------------------------------------


def test_failures_prove_nothing_and_keep_the_last_proof() -> None:
    made = schedule(5)
    made.failed(np.arange(5), 500.0)
    assert (made.columns.last[:5] == 0).all()
    made.alive(np.array([1]), np.array([600.7]), 601.0)
    assert made.columns.last[1] == 600
    made.alive(np.array([1]), np.array([300.0]), 602.0)  # an answer that was overtaken
    assert made.columns.last[1] == 600


def test_a_dead_host_gets_a_tenth_of_its_allowance_in_retries() -> None:
    made = schedule(400)
    made.date(np.arange(400), 0.0)
    made.columns.flags[:400] |= np.uint8(AGAIN)  # all have failed twice
    made.wish(np.arange(400), np.zeros(400))
    made.columns.flags[:400] &= ~c.WISHED
    buckets = Buckets(1.0)
    asked = run(made, buckets, range(1, 3601), lambda ids, now: np.zeros(len(ids), bool))
    assert len(asked) <= RETRIES * 3600 + SAVED
    assert len(asked) > 200


def test_a_host_that_recovers_is_caught_up_with_at_full_speed() -> None:
    made = schedule(300)
    made.date(np.arange(300), 0.0)
    made.columns.flags[:300] |= np.uint8(AGAIN)
    made.columns.due[:300] = 0
    buckets = Buckets(1.0)
    asked = run(made, buckets, range(1, 500), everybody)
    first = {row: now for now, row in reversed(asked)}
    assert len(first) == 300
    assert max(first.values()) < 400


def test_a_fifth_of_errors_delays_but_loses_nobody() -> None:
    hazards = Known(np.random.default_rng(7).gamma(0.35, 0.15, 64) + 1e-3)
    made = schedule(0, hazards=hazards, per_s=0.5)
    ids = np.arange(800)
    made.add(ids, born=np.zeros(800), last=np.zeros(800), account=ids % 64, arm=np.zeros(800, int))
    made.date(ids, 0.0)
    rng = np.random.default_rng(8)
    asked = run(made, Buckets(0.5), range(1, 7200), lambda ids, now: rng.random(len(ids)) >= 0.2)
    assert sum(now >= 3600 for now, _ in asked) > 0.93 * 0.5 * 3600
    assert len({row for _, row in asked}) > 700
    proofs = made.columns.last[:800]
    times: dict[int, set[int]] = {}
    for now, row in asked:
        times.setdefault(row, {0}).add(now)
    assert all(int(proof) in times.get(row, {0}) for row, proof in enumerate(proofs))


# -- restart ------------------------------------------------------------------------------


def test_columns_alone_make_the_schedule_again() -> None:
    """What was under way or in a queue is asked; no proof moves; nobody is asked twice at once."""
    columns = Columns.empty()
    rng = np.random.default_rng(9)
    first = Priced(Known(), lambda host: 1.0, columns=columns, conditions=Conditions(census=0.0))
    first.arm(0, 0)
    ids = np.arange(5000)
    born = -rng.uniform(0, 6 * HOUR_S, 5000)
    first.add(ids, born=born, last=np.zeros(5000), account=ids % 64, arm=np.zeros(5000, int))
    first.date(ids, 0.0)
    run(first, Buckets(1.0), range(1, 1000), everybody)
    first.wish(ids[:20], np.full(20, 1000.0))
    under_way = first.take(1001.0, lambda host: 5, 5)
    assert len(under_way) == 5
    queued = np.flatnonzero((columns.flags[:5000] & c.QUEUED) > 0)
    proofs = columns.last[:5000].copy()

    second = Priced(Known(), lambda host: 1.0, columns=columns, conditions=Conditions(census=0.0))
    second.arm(0, 0)
    second.rebuild(1060.0)
    assert (columns.last[:5000] == proofs).all()
    assert not (columns.flags[:5000] & (c.OUT | c.QUEUED)).any()
    second.tick(1060.0)
    back = second.take(1061.0, lambda host: 5000, 5000)
    assert set(under_way) | set(queued) <= set(back) | set(
        np.flatnonzero(columns.due[:5000] != c.NO_DATE)
    )
    assert len(back) == len(set(back.tolist()))


def test_who_waited_for_a_day_goes_before_what_is_worth_more() -> None:
    hazards = Known(np.array([1e-5, 0.5]))
    made = schedule(0, hazards=hazards, per_s=1e-3)
    ids = np.arange(21)
    now = 23 * HOUR_S
    made.add(
        ids, born=np.full(21, -HOUR_S), last=np.where(ids == 0, 0.0, now - HOUR_S),
        account=np.minimum(ids, 1), arm=0,
    )  # fmt: skip
    made.columns.due[ids] = made._minute = int(now)  # no steering, no revision
    assert made.take(now, lambda host: 1, 1).tolist() == [0]


def test_who_was_proven_alive_meanwhile_leaves_the_queue() -> None:
    """A list showed the post: asking for it all the same would waste a request."""
    made = schedule(20)
    made.date(np.arange(20), 0.0)
    now = 20 * HOUR_S
    made.tick(now)
    made.alive(np.array([5]), np.array([now]), now)
    taken = made.take(now, lambda host: 99, 99).tolist()
    assert sorted(taken) == [row for row in range(20) if row != 5]


class _KilledError(Exception):
    pass


class _Mortal(np.ndarray):
    """A column whose process dies before the write at which `left` is 0."""

    left: ClassVar = [0]

    def __setitem__(self, at: Any, value: Any) -> None:
        if self.left[0] == 0:
            raise _KilledError
        self.left[0] -= 1
        super().__setitem__(at, value)


@pytest.mark.parametrize("doing", ["wish", "taking", "weighing", "rest", "start"])
def test_who_was_under_way_at_a_kill_has_a_date_at_the_next_start(doing: str) -> None:
    """Killed between any two writes to columns in files: else nobody would ask about it again."""
    for writes in range(100):
        made = schedule(40, per_s=0.01, conditions=Conditions(census=1.0))
        made.rebuild(3600.0)
        made.take(3600.0, lambda host: 0, 0)
        made.prices.open(0, 1e-6)  # everything is worth that
        made.date(np.arange(40), 3600.0)
        made.wish(np.arange(4), np.full(4, 3601.0))
        made.columns.due[4:30] = 3601
        taken = made.take(3602.0, lambda host: 6, 6)
        dear = 3e-6 * float(made._worth.now(made._worth.of(np.arange(40)), 3602.0).max())
        assert (made.columns.flags[:30] & (c.QUEUED | c.OUT)).all()
        made.columns.flags, made.columns.due = (
            column.view(_Mortal) for column in (made.columns.flags, made.columns.due)
        )
        _Mortal.left[0] = writes
        try:
            if doing == "wish":
                made.wish(taken, np.full(6, 5000.0))
            elif doing == "taking":
                made.take(3603.0, lambda host: 9, 9)
            elif doing == "weighing":
                made.prices.open(0, dear)  # nobody is worth that yet: all go back
                made.take(3650.0, lambda host: 0, 0)
            elif doing == "rest":
                made.take(4000.0, lambda host: 9, 9)
            else:
                made.rebuild(3700.0)
            lived = True
        except _KilledError:
            lived = False
        made.columns.flags, made.columns.due = (
            column.view(np.ndarray) for column in (made.columns.flags, made.columns.due)
        )
        made.rebuild(5000.0)
        assert (made.columns.due[:40] < c.NO_DATE).all(), writes
        if lived:
            assert writes > 0
            return
    raise AssertionError("it did not end")


def test_a_host_just_met_is_priced_within_a_second_and_asked_as_soon_as_one_may_be_lost() -> None:
    """Nobody is lost so young; with the first price the next look would be an hour away."""
    made = Priced(Known(), lambda host: 1.0, conditions=Conditions(shortest_s=2.0, census=0.0))
    made.arm(0, 0)
    made.tick(0.0)
    ids = np.zeros(1, np.int64)
    made.add(ids, born=np.zeros(1), last=np.zeros(1), account=ids, arm=ids)
    made.date(ids, 0.5)
    assert made.next_due() == 1
    made.tick(1.0)
    assert 1 < made.next_due() <= 130  # the curve's first losses are at 120 s


@pytest.mark.parametrize("listed", [False, True])
def test_the_first_posts_of_a_host_are_priced_at_once(listed: bool) -> None:
    """Else a new observatory would leave its first posts for hours at a price of nobody's, or of
    its lists: a loss that is never seen costs half a day, so lists are dear."""
    conditions = Conditions(census=0.0, shortest_s=150.0)
    made = Priced(Known(p=np.full(1, 0.02)), lambda host: 1.0, conditions=conditions)
    if listed:
        made.lists.add(np.array([0]), 0, np.zeros(1))
    made.tick(0.0)  # no post is here yet
    ids = np.arange(12)
    made.arm(0, 0)
    made.add(ids, born=np.full(12, -5400.0), last=np.zeros(12), account=0, arm=0)
    made.date(ids, 5.0)
    looks = 0
    for now in range(6, 3000):
        taken = made.take(float(now), lambda host: 1, 10)
        made.alive(taken, np.full(len(taken), float(now)), now + 0.5)
        looks += len(taken)
    assert looks > 0.85 * 12 * 3000 / 150  # there is budget for each every 12 s
