"""Only removals count as removals: not how much is written, by whom, or in how few accounts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.explain.test_campaigns import NO_GAPS
from tests.explain.test_window import gone, post, table
from vanished.explain.comparable import accounts_within, comparable
from vanished.explain.shift_tests import counts_test
from vanished.lab.tense_posts import DAYS, Tension, tense_posts
from vanished.model import DAY

RUNS = 40


@pytest.mark.parametrize(
    ("tension", "least", "most"),
    [
        (Tension(volume=3, posts_a_day=25), 0, 6),  # more is written
        (Tension(volume=0.4), 0, 6),  # less is written
        (Tension(risky=4, spread=1.5), 0, 6),  # those write who are always removed
        (Tension(removals=1.6), 24, RUNS),  # more is removed
    ],
    ids=["more", "less", "others", "removals"],
)  # fmt: skip
def test_removals_are_told_from_writing(tension: Tension, least: int, most: int) -> None:
    found = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        posts, inside = tense_posts(rng, tension)
        series = comparable(posts, NO_GAPS)
        mask = np.zeros(len(series.removed), bool)
        mask[:DAYS] = inside
        tested = counts_test(
            series.removed, series.expected, series.known, mask, rng, resamples=299
        )
        assert tested is not None
        found += tested.p <= 0.05
    assert least <= found <= most, f"of {RUNS}"


def test_episodes_in_which_little_is_written_are_not_more_often_extreme() -> None:
    rng = np.random.default_rng(3)
    inside = np.zeros(180, bool)
    inside[[*range(30, 37), *range(65, 72), *range(140, 147)]] = True
    expected = np.where(inside, 0.3, 3.0)
    found = 0
    for _ in range(400):
        removed = rng.poisson(expected)
        tested = counts_test(removed, expected, inside | True, inside, rng, resamples=199)
        assert tested is not None
        found += tested.p <= 0.05
    assert found <= 24, "of 400 without an effect"


def test_what_is_expected_adds_up_to_what_was_removed() -> None:
    posts, _ = tense_posts(np.random.default_rng(1), Tension())
    series = comparable(posts, NO_GAPS)
    assert series.expected.sum() == pytest.approx(series.removed.sum(), rel=1e-3)


def test_losses_of_posts_that_nobody_saw_alive_were_never_at_risk() -> None:
    rows = [post(f"p{n}", account=f"a{n % 9}") for n in range(60)]
    rows += [gone(f"g{n}", 2, 3, "platform", account=f"a{n % 9}") for n in range(9)]
    before = comparable(table(*rows), NO_GAPS)
    rows += [gone(f"n{n}", None, 3, "platform", alive_from=None) for n in range(50)]
    after = comparable(table(*rows), NO_GAPS)
    assert after.removed.sum() == pytest.approx(before.removed.sum())


def test_days_with_few_accounts_are_missing() -> None:
    many = [post(f"p{n}", account=f"a{n % 5}") for n in range(60)]
    few = [post(f"p{n}", account=f"a{n % 4}") for n in range(60)]
    assert comparable(table(*many), NO_GAPS).known.any()
    assert not comparable(table(*few), NO_GAPS).known.any()


def test_accounts_are_counted_once_a_day() -> None:
    rng = np.random.default_rng(2)
    edges = np.arange(21, dtype=np.int64) * 10
    for _ in range(30):
        account = rng.integers(0, 6, 40)
        start = rng.integers(0, 190, 40)
        end = np.minimum(start + rng.integers(1, 60, 40), 200)
        right = [
            len(set(account[(start < high) & (end > low)].tolist()))
            for low, high in pairwise(edges.tolist())
        ]
        assert accounts_within(account, start, end, edges).tolist() == right
    nobody = np.zeros(0, np.int64)
    assert accounts_within(nobody, nobody, nobody, edges).sum() == 0


def test_a_side_on_which_nothing_is_expected_tells_nothing() -> None:
    rng = np.random.default_rng(1)
    one, known, inside = np.ones(20), np.ones(20, bool), np.arange(20) < 5
    assert counts_test(one, one, known, np.zeros(20, bool), rng) is None
    assert counts_test(one, one * ~inside, known, inside, rng) is None
    assert counts_test(0 * one, one, known, inside, rng) is None
    none = counts_test(one * ~inside, one, known, inside, rng)
    assert none is not None
    assert (none.ratio, none.low) == (0, 0)
    assert none.days == (5, 15)


def test_everything_is_one_day_long() -> None:
    assert len(comparable(table(), NO_GAPS).removed) == 0
    single = comparable(table(post("p", alive_until=DAY + 1)), NO_GAPS)
    assert not single.known.any()
