"""Lists by price: what a page is worth, who is read when, and what is learned of how often."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.watch.test_loop import BARE, PLATFORM, START, Jumping, Scripted, verdict_of
from tests.watch.test_priced import CURVE, DAY_S, HOUR_S, Buckets, Known, requests
from vanished.archive.observatory import Observatory
from vanished.model import (
    ALIVE,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Discovery,
    Fault,
    Micros,
    State,
    failed,
)
from vanished.net.politeness import Politeness
from vanished.watch.by_price import ByPrice
from vanished.watch.hazard import CAP_S, AgeCurve, discovery_index, index
from vanished.watch.lists import (
    FIRST_PER_S,
    LONGEST_S,
    MEMORY_S,
    MOST_WEIGHED,
    ON_PAGE,
    STEPS,
    Lists,
)
from vanished.watch.loop import Watch
from vanished.watch.priced import Conditions, Priced
from vanished.watch.thresholds import EARLY, JITTER

LINEAR = AgeCurve(
    np.r_[1.0, np.arange(300, 30 * DAY_S, 300)], np.linspace(0, 1, 30 * DAY_S // 300)
)  # the same share of losses at every age, so that the hazard is constant


def schedule(accounts: int, per_s: float = 1.0, hazards: Known | None = None) -> Priced:
    """Lists of so many accounts at one host, all read at 0."""
    known = hazards or Known(p=np.full(max(accounts, 64), 0.05))
    made = Priced(known, lambda host: per_s, conditions=Conditions(census=0.0))
    made.arm(0, 0)
    made.lists.add(np.arange(accounts), np.zeros(accounts, np.int32), np.zeros(accounts))
    return made


def read(
    lists: Lists,
    account: int,
    at: float,
    *,
    before: float = np.nan,
    new: int = 0,
    shown: npt.ArrayLike = (),
) -> None:
    """One reading that succeeded at once."""
    page = {account: np.array(shown, dtype=np.int64)}
    lists.read(np.array([account]), np.array([at]), np.array([before]), [new], page, at)


def post(made: Priced, count: int, account: int, born: float, last: float) -> npt.NDArray[np.int64]:
    """Enter so many posts of an account."""
    ids = made.columns.used + np.arange(count)
    made.add(
        ids, born=np.full(count, born), last=np.full(count, last),
        account=np.full(count, account), arm=np.zeros(count, np.int64),
    )  # fmt: skip
    return ids


# -- the index ----------------------------------------------------------------------------


def test_a_page_is_worth_the_sum_of_its_posts_and_its_discoveries() -> None:
    """A sum that is off ranks lists wrongly among the looks."""
    rng = np.random.default_rng(3)
    known = Known(p=rng.uniform(0.01, 0.4, 64))
    known.excess[2], known.began_s[2] = 1e-5, 5000.0
    made = schedule(3, hazards=known)
    pages: dict[int, npt.NDArray[np.int64]] = {}
    for account, count in ((0, 5), (1, 0), (2, 12)):
        ids = made.columns.used + np.arange(count)
        made.add(
            ids, born=rng.uniform(-DAY_S, 0, count), last=rng.uniform(0, 900, count),
            account=np.full(count, account), arm=np.zeros(count, np.int64),
            topic=rng.integers(0, 3, count),
        )  # fmt: skip
        pages[account] = ids
        read(made.lists, account, 600.0, shown=ids)
    made.drop(pages[0][:1])  # gone for good
    made.wish(pages[2][:2], np.full(2, 1e5))  # being confirmed as lost: a list says no more of them
    counted = np.r_[pages[0][1:], pages[2][2:]]
    now, columns = 7200.0, made.columns
    found = made.lists.index(np.arange(3), np.full((3, 1), now))[:, 0]
    for account in range(3):
        rate = float(made.lists.rate(np.array([account]))[0])
        total = float(discovery_index(CURVE, known.p[account], rate, now - 600))
        for one in counted[columns.account[counted] == account].tolist():
            last, topic = float(columns.last[one]), int(columns.topic[one])
            total += float(
                index(
                    CURVE, known.p[account], last - columns.born[one], now - last,
                    excess=known.excess[topic], excess_tau_s=now - 5000.0,
                )
            )  # fmt: skip
        assert found[account] == pytest.approx(total, rel=1e-9)
    assert found[2] > 3 * found[1]


def test_a_date_is_where_the_index_reaches_its_share_of_the_price() -> None:
    made = schedule(200)
    rng = np.random.default_rng(4)
    made.lists.posted[:] = rng.exponential(40, len(made.lists.posted))
    made.lists.watched[:] = 20 * DAY_S
    for account in range(100):  # half of them prove posts
        shown = post(made, 8, account, -float(rng.uniform(0, 2 * DAY_S)), 0.0)
        read(made.lists, account, 0.0, shown=shown)
    made.prices.open(0, 40.0)
    accounts = np.arange(200)
    due = made.lists.dates(accounts, 0.0)
    inside = (due > 1.2 * made.conditions.shortest_s) & (due < 0.9 * LONGEST_S)
    assert inside.sum() > 120
    reached = made.lists.index(accounts, due[:, None])[:, 0] / 40.0
    assert reached[inside].max() < EARLY * 1.05
    assert reached[inside].min() > EARLY * (1 - JITTER) ** 2 * 0.95
    assert STEPS <= 16  # more would cost more than they tell


def test_ten_posts_a_day_or_one_a_month_make_the_square_root_of_the_ratio() -> None:
    """With a constant hazard; where young posts are lost sooner, the ratio is larger."""
    for curve, price in ((LINEAR, 0.02), (CURVE, 3.0)):
        made = schedule(2, hazards=Known(curve=curve))
        made.lists.posted[:2], made.lists.watched[:2] = (900, 3), (90 * DAY_S, 90 * DAY_S)
        made.lists._learn_mean()
        made.prices.open(0, price)
        rates = made.lists.rate(np.arange(2))
        assert rates[0] / rates[1] == pytest.approx(300, rel=0.2)
        often, seldom = made.lists.dates(np.arange(2), 0.0, share=1.0)
        assert 1.2 * made.conditions.shortest_s < often < seldom < LONGEST_S
        missed = [
            float(discovery_index(curve, 0.05, rate, wait))
            for rate, wait in zip(rates, (often, seldom), strict=True)
        ]
        assert missed[0] == pytest.approx(missed[1], rel=0.15)  # as much is risked at both
        if curve is LINEAR:
            assert seldom / often == pytest.approx(np.sqrt(rates[0] / rates[1]), rel=0.12)
        else:
            assert seldom / often > np.sqrt(rates[0] / rates[1])


# -- in the schedule ----------------------------------------------------------------------


def test_a_hazardous_page_is_read_before_its_posts_are_asked_one_by_one() -> None:
    """Twenty looks cost twenty requests; the page proves all for one."""
    made = schedule(2, per_s=0.02, hazards=Known(p=np.array([0.4, 0.4])))
    shown, single = post(made, 20, 0, -600.0, 0.0), post(made, 20, 1, -600.0, 0.0)
    made.tick(0.0)
    read(made.lists, 0, 0.0, shown=shown)
    read(made.lists, 1, 0.0)  # a list that only names posts
    made.date(np.r_[shown, single], 0.0)
    asked: list[int] = []
    read_at: list[int] = []
    for now in range(1, 12 * 3600):
        rows = made.take(float(now), lambda host: 10, 10)
        posts = rows[rows >= 0]
        asked += rows.tolist()
        made.alive(posts, np.full(len(posts), float(now)), now + 0.5)
        if ~0 in rows:
            made.alive(shown, np.full(20, float(now)), now + 0.5)
            read(made.lists, 0, float(now), before=0.0, shown=shown)
            read_at.append(now)
        if len(read_at) == 4:
            break
    assert asked[0] == ~0
    assert not np.isin(shown, asked).any()
    assert np.isin(single, asked).sum() > 3
    assert asked.count(~1) < asked.count(~0)  # the other list has only discoveries


def test_lists_and_looks_share_a_hosts_budget_over_hours() -> None:
    """200 accounts, half of them with pages, 600 posts, two hosts at 0.2 requests a second."""
    rng = np.random.default_rng(6)
    known = Known(p=rng.gamma(0.35, 0.15, 200) + 1e-3)
    made = Priced(known, lambda host: 0.2, conditions=Conditions(census=0.025), seed=6)
    hosts = np.arange(200) % 2
    for host in (0, 1):
        made.arm(host, host)
    account = rng.integers(0, 200, 600)
    ids = np.arange(600)
    made.add(
        ids, born=-rng.uniform(0, DAY_S, 600), last=np.zeros(600), account=account,
        arm=hosts[account],
    )  # fmt: skip
    made.date(ids, 0.0)
    made.lists.add(np.arange(200), hosts, np.zeros(200))
    made.lists.wish(np.arange(200), np.zeros(200))
    buckets, spent = Buckets(0.2), {False: 0, True: 0}
    pages = {n: np.flatnonzero(account == n) if n < 100 else ids[:0] for n in range(200)}
    before = np.full(200, np.nan)
    for now in range(DAY_S // 8):
        buckets.second()
        rows = made.take(float(now), buckets.room, 10**6)
        lists, posts = ~rows[rows < 0], rows[rows >= 0]
        per_host = requests(made, posts)
        for host in (0, 1):
            number = per_host.get(host, 0) + int((hosts[lists] == host).sum())
            assert number <= buckets.room(host), "a host's bucket was exceeded"
            if number:
                buckets.spend(host, number)
        spent[True] += len(lists)
        spent[False] += len(posts)
        made.alive(posts, np.full(len(posts), float(now)), now + 0.5)
        if len(lists):
            asked = np.full(len(lists), float(now))
            for one in lists.tolist():
                made.alive(pages[one], np.full(len(pages[one]), float(now)), now + 0.5)
            made.lists.read(
                lists, asked, before[lists], rng.poisson(1e-5, len(lists)),
                {n: pages[n] for n in lists.tolist()}, now + 0.5,
            )  # fmt: skip
            before[lists] = now
    allowed = DAY_S / 8 * 0.4
    assert sum(spent.values()) > 0.9 * allowed
    assert spent[True] > 0.05 * allowed
    assert spent[False] > 0.2 * allowed
    assert now - before.min() < LONGEST_S + HOUR_S
    proven = now - made.columns.last[:600]
    assert proven.max() < 24 * HOUR_S


def test_when_room_is_short_the_larger_worth_goes_first_and_wishes_before_it() -> None:
    made = schedule(3, hazards=Known(p=np.array([0.4, 0.01, 0.1])))
    made.tick(HOUR_S)
    made.prices.open(0, 1e-3)
    good, poor = post(made, 1, 0, -600.0, 0.0), post(made, 1, 1, -600.0, 0.0)
    made.lists.posted[:3], made.lists.watched[:3] = (200, 0, 60), 20 * DAY_S
    made.lists.put(np.arange(3), np.full(3, HOUR_S))
    made.date(np.r_[good, poor], HOUR_S)
    made.lists.wish(np.array([1]), np.array([HOUR_S]))
    order: list[int] = []
    for now in range(3601, 3610):
        order += made.take(float(now), lambda host: 1, 9).tolist()
    assert order[0] == ~1
    worth = {
        ~0: made.lists.index(np.array([0]), np.full((1, 1), 3600.0))[0, 0],
        ~2: made.lists.index(np.array([2]), np.full((1, 1), 3600.0))[0, 0],
        int(good[0]): float(index(CURVE, 0.4, 600, 3600)),
        int(poor[0]): float(index(CURVE, 0.01, 600, 3600)),
    }
    assert order[1:] == sorted(worth, key=lambda row: -worth[row])
    assert order[1] < 0 <= order[2] != order[-1]  # neither kind goes before the other as such


def test_a_long_queue_is_weighed_again_in_parts_and_keeps_its_order() -> None:
    """Thousands that wait at a slow host would else hold up every second of the watch."""
    count = 5 * MOST_WEIGHED
    p = np.linspace(0.01, 0.5, count)
    made = schedule(count, hazards=Known(p=p))
    made.tick(HOUR_S)
    made.prices.open(0, 1e-3)
    made.lists.put(np.arange(count), np.full(count, HOUR_S))
    made.take(3601.0, lambda host: 0, 9)
    for now in range(3602, 3646):
        assert len(made.take(float(now), lambda host: 0, 9)) == 0
        assert (made.lists.weighed[:count] == now).sum() <= MOST_WEIGHED
    assert made.lists.weighed[:count].min() > 3601  # everybody's turn comes
    made.lists.wish(np.array([3]), np.array([3645.0]))
    rows = made.take(3646.0, lambda host: 50, 50)
    assert rows[0] == ~3
    assert (~rows[1:]).min() > 0.95 * count  # weighed at times that differ, so nearly in order
    again = made.take(3648.0, lambda host: count, count)
    assert len(again) == count - 50  # each once


def test_every_list_is_read_once_a_day_and_none_too_often() -> None:
    made = schedule(2, hazards=Known(p=np.array([1e-12, 0.9])))
    made.tick(0.0)
    made.prices.open(0, 1e-6)
    read(made.lists, 0, 0.0)
    read(made.lists, 1, 0.0, shown=post(made, 20, 1, 0.0, 0.0))
    assert LONGEST_S * (1 - JITTER) <= made.lists.due[0] <= LONGEST_S
    assert made.lists.due[1] >= made.conditions.shortest_s
    made.prices.open(0, 1e6)
    assert ~0 in made.take(LONGEST_S + 61, lambda host: 99, 99)  # whatever it is worth


def test_a_sweep_dates_the_lists_anew_that_show_its_topic() -> None:
    known = Known()
    made = schedule(2, hazards=known)
    made.tick(0.0)
    made.prices.open(0, 100.0)
    for account, topic in ((0, 3), (1, 0)):
        ids = post(made, 10, account, -2 * DAY_S, 0.0)
        made.columns.topic[ids] = topic
        read(made.lists, account, 0.0, shown=ids)
    before = made.lists.due[:2].copy()
    known.excess[3], known.began_s[3] = 2e-5, 0.0
    made.rerank([3], 60.0)
    assert made.lists.due[0] < before[0] / 3
    assert made.lists.due[1] == before[1]


# -- how often an account posts -----------------------------------------------------------


def test_rates_are_shrunk_forgotten_and_start_at_the_mean() -> None:
    made = schedule(3)
    lists = made.lists
    assert lists.rate(np.array([0]))[0] == pytest.approx(FIRST_PER_S)
    read(lists, 0, 0.0, new=15)  # the first reading shows old posts: nothing of their rate
    assert lists.rate(np.array([0]))[0] == pytest.approx(FIRST_PER_S)
    for n in range(200):
        read(lists, 0, (n + 1) * HOUR_S * 2, before=n * HOUR_S * 2, new=1)  # twelve a day
    assert lists.rate(np.array([0]))[0] * DAY_S == pytest.approx(12, rel=0.05)
    assert lists.rate(np.array([1]))[0] == pytest.approx(lists.mean)
    assert lists.mean > 1.5 * FIRST_PER_S
    at = 200 * HOUR_S * 2
    for n in range(60):  # sixty silent days
        read(lists, 0, at + (n + 1) * DAY_S, before=at + n * DAY_S)
    silent = lists.rate(np.array([0]))[0] * DAY_S
    assert silent < 12 * np.exp(-60 * DAY_S / MEMORY_S) * 1.5
    assert silent > 0


def test_a_failed_reading_proves_nothing_and_backs_off() -> None:
    made = schedule(1)
    lists, one = made.lists, np.array([0])
    shown = post(made, 5, 0, 0.0, 0.0)
    read(lists, 0, 0.0, shown=shown)
    read(lists, 0, HOUR_S, before=0.0, new=2, shown=shown)
    known = lists.posted[0], lists.watched[0], int(lists.last[0])
    worth = lists.index(one, np.array([[3 * HOUR_S]]))
    waits = []
    now = 2 * HOUR_S
    for _ in range(9):
        lists.failed(one, now)
        waits.append(int(lists.due[0]) - now)
        now = float(lists.due[0])
    assert (lists.posted[0], lists.watched[0], int(lists.last[0])) == known
    assert lists.index(one, np.array([[3 * HOUR_S]])) == worth
    assert waits[0] < 40
    assert waits[-1] > 2600
    assert all(a < b * 1.4 for a, b in pairwise(waits))


def test_a_page_that_is_remembered_is_bounded() -> None:
    made = schedule(1)
    shown = post(made, 3 * ON_PAGE, 0, 0.0, 0.0)
    read(made.lists, 0, 0.0, shown=shown)
    assert made.lists._shown(np.array([0]))[0].tolist() == shown[:ON_PAGE].tolist()
    read(made.lists, 0, 1.0, before=0.0)
    assert len(made.lists._shown(np.array([0]))[0]) == 0


# -- in the watch -------------------------------------------------------------------------


@pytest.fixture
def observatory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as made:
        yield made


@dataclass
class Listed(Scripted):
    """A source that notes when its list was read, fails at times, and dates posts on request."""

    readings: list[Micros] = field(default_factory=list)
    broken: tuple[Micros, Micros] = (0, 0)
    published: dict[str, Micros] = field(default_factory=dict)

    async def discover(self, account: Any, cursor: str, fetch: Any) -> Discovery:
        now = self.clock.now()
        self.readings.append(now)
        if self.broken[0] <= now < self.broken[1]:
            raise OSError("nobody answers")
        found = await super().discover(account, cursor, fetch)
        for sighting in found.sightings:
            at = self.published.get(sighting.post.native_id, START)
            object.__setattr__(sighting.post, "published_at", at)
        return found


def watching(observatory: Observatory, source: Listed, rate: float = 0.05) -> tuple[Watch, ByPrice]:
    door: Any = SimpleNamespace(
        fetcher=lambda prepaid=1, proxy=None: SimpleNamespace(exchanges=[]),
        settings=SimpleNamespace(timeout_s=5.0), politeness=Politeness(rate),
    )  # fmt: skip
    observatory.add_account(source.account("a"), START)
    made = ByPrice({"page": source.batch}, learnt=observatory.learnt())
    return Watch(observatory, {"page": source}, door, source.clock, made), made


async def test_many_suspected_posts_have_the_list_read_at_once(observatory: Observatory) -> None:
    """If the account is gone, its list says so; waiting for its date would ask post after post."""
    clock, gone_at = Jumping(), START + 3 * HOUR
    source = Listed(
        observatory.naming, clock, lambda now: ["p1", "p2", "p3", "p4"],
        lambda post, now: BARE if now >= gone_at else ALIVE,
    )  # fmt: skip
    watch, _ = watching(observatory, source)
    once_a_day = Watch(
        observatory, {"page": source}, watch.door, clock, ByPrice({}), discover_every=DAY
    )
    await once_a_day.run(gone_at + 2 * HOUR)
    first = {name: at for name, at in reversed(source.asked) if at >= gone_at}
    third = sorted(first.values())[2]
    assert len(source.readings) == 2
    assert 0 <= source.readings[1] - third <= 2 * 20 * SECOND  # a request or two of its host


async def test_only_what_was_published_since_the_last_reading_counts(
    observatory: Observatory,
) -> None:
    """A list that shows more and more old posts is no account that posts more and more."""
    clock = Jumping()

    def listed(now: Micros) -> list[str]:
        return [f"p{n}" for n in range(1 + (now - START) // (30 * MINUTE))]

    source = Listed(observatory.naming, clock, listed, lambda post, now: ALIVE)
    watch, made = watching(observatory, source, rate=0.015)
    await watch.run(START + 3 * HOUR)
    account = observatory.account_rows()[0].id
    assert made.priced.lists.posted[account] == 0
    assert made.priced.lists.watched[account] == pytest.approx(3 * HOUR_S, rel=0.15)
    source.published = {f"p{n}": START + n * 30 * MINUTE for n in range(100)}
    progress = await watching(observatory, source, rate=0.015)[0].run(START + 7 * HOUR)
    assert progress.posts_found >= 6
    again = ByPrice({}, learnt=observatory.learnt()).priced.lists
    assert again.posted[account] == pytest.approx(progress.posts_found, rel=0.05)


async def test_rates_outlive_the_watch_and_an_outage_teaches_nothing(
    observatory: Observatory,
) -> None:
    clock = Jumping()

    def listed(now: Micros) -> list[str]:
        return [f"p{n}" for n in range(1 + (now - START) // (20 * MINUTE))]

    source = Listed(observatory.naming, clock, listed, lambda post, now: ALIVE)
    source.published = {f"p{n}": START + n * 20 * MINUTE for n in range(200)}
    watch, made = watching(observatory, source, rate=0.02)
    await watch.run(START + 5 * HOUR)
    account = observatory.account_rows()[0].id
    rate = made.priced.lists.rate(np.array([account]))[0]
    again = ByPrice({}, learnt=observatory.learnt()).priced.lists
    assert again.rate(np.array([account]))[0] == pytest.approx(rate, rel=1e-6)
    assert rate * DAY_S > 30  # of 72 a day; the rest is the mean's
    assert "p1" not in json.loads(observatory.learnt())
    source.broken = (START + 5 * HOUR, START + 8 * HOUR)
    watch, made = watching(observatory, source, rate=0.02)
    progress = await watch.run(START + 8 * HOUR)
    assert progress.failed > 3
    tries = [at for at in source.readings if at >= source.broken[0]]
    assert len(tries) < 15  # it backs off
    assert made.priced.lists.rate(np.array([account]))[0] == pytest.approx(rate, rel=1e-6)


async def test_a_list_is_read_by_price_and_a_restart_keeps_its_dates(
    observatory: Observatory,
) -> None:
    """An account of one quiet post: the list is read seldom, but within a day; the look goes on."""
    clock, lost_at = Jumping(), START + 12 * HOUR
    source = Listed(
        observatory.naming, clock, lambda now: ["p1"],
        lambda post, now: PLATFORM if now >= lost_at else ALIVE,
    )  # fmt: skip
    watch, _ = watching(observatory, source, rate=0.01)
    await watch.run(START + 6 * HOUR)
    [row] = observatory.account_rows()
    due = row.track.due
    assert due > clock.now() - 10 * MINUTE
    watch, _ = watching(observatory, source, rate=0.01)
    await watch.run(START + 28 * HOUR)
    gaps = np.diff([START, *source.readings, clock.now()])
    assert gaps.max() <= int(LONGEST_S * SECOND) + HOUR
    assert verdict_of(observatory, "p1").state is State.GONE


async def test_the_setting_fixes_the_interval(observatory: Observatory) -> None:
    clock = Jumping()
    source = Listed(observatory.naming, clock, lambda now: ["p1"], lambda post, now: ALIVE)
    watch, _ = watching(observatory, source, rate=0.015)
    fixed = Watch(
        observatory, {"page": source}, watch.door, clock, ByPrice({}), discover_every=HOUR
    )
    await fixed.run(START + DAY)
    gaps = np.diff(source.readings) / SECOND
    assert 0.94 * HOUR_S < gaps.min() < gaps.max() < 1.07 * HOUR_S


def test_a_loss_before_first_sight_counts_half_a_day() -> None:
    made = schedule(1)
    found = made.lists.index(np.array([0]), np.array([[HOUR_S]]))[0, 0]
    assert found == pytest.approx(
        CAP_S * FIRST_PER_S * 0.05 * (HOUR_S * CURVE.cdf(HOUR_S) - CURVE.integral(HOUR_S))
    )
    assert failed(Fault.SERVER).gone is False
