"""The numbers that every report begins with: a wrong denominator makes all the rest wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tests.explain.test_window import gone, post, table
from vanished.explain.overview import ALL, OTHER, overview
from vanished.explain.shares import K, share, wilson


def test_losses_by_cause_add_up() -> None:
    posts = table(
        post("a"), gone("b", 2, 3, "platform"), gone("c", 2, 4, "author"),
        gone("d", None, 3, "author,platform"), gone("e", 2, 3, "account", explained_by="z"),
        post("f", state="moved", causes="moved"), post("g", state="suspected"),
    )  # fmt: skip
    found = overview(posts)
    (row,) = found.table().to_pylist()
    parts = ("by_platform_or_law", "with_the_account", "by_the_author", "cause_open")
    assert [row[part] for part in parts] == [1, 1, 1, 1]
    assert (row["posts"], row["lost"], row["elsewhere"], row["unproven"]) == (7, 4, 1, 1)
    assert (row["looks"], row["failed"]) == (21, 7)
    assert row["lost_low"] is None, "one account says nothing of others"
    assert found.widths_s == pytest.approx((86_400, 2 * 86_400 * 0.9), rel=0.2)
    assert "4 of 7 posts were lost (57.1%)" in found.text()


def test_small_platforms_are_counted_together() -> None:
    def some(platform: str, accounts: int) -> list[dict[str, object]]:
        return [post(f"{platform}{n}", platform=platform, account=f"{platform}{n}")
                for n in range(accounts)]  # fmt: skip

    found = overview(table(*some("big", 9), *some("small", 3), *some("tiny", 1), *some("mid", 6)))
    rows = {row["platform"]: row["accounts"] for row in found.table().to_pylist()}
    assert rows == {ALL: 19, "big": 9, OTHER: 10}, "3 and 1 alone could be recognised"
    alone = overview(table(*some("big", 9), *some("tiny", 1))).table()
    assert alone["platform"].to_pylist() == [ALL], "the rest would be told by subtraction"


def test_nothing_watched_is_no_error() -> None:
    found = overview(table())
    assert found.text() == "Nothing was lost among 0 posts."
    assert found.chart()["layer"]


def test_intervals_of_shares_cover_where_authors_stand_together() -> None:
    rng = np.random.default_rng(5)
    covered, width = 0, 0.0
    for _ in range(400):
        rates = rng.beta(2, 18, 60)  # mean 0.1, and authors differ
        posts = rng.poisson(30, 60) + 1
        found = share(rng.binomial(posts, rates), posts)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.1 <= found.high
        width = found.high - found.low
    assert 0.92 <= covered / 400 <= 0.985
    low, high = wilson(0.1, 60 * 31)
    assert width > 1.5 * (high - low), "independent posts would claim too much"


def test_shares_at_the_ends() -> None:
    assert share([0, 0], [0, 0]).share is None
    nothing = share([0] * 10, [5] * 10)
    assert nothing.low == 0
    assert nothing.high is not None
    assert 0.05 < nothing.high < 0.35, "ten authors, not fifty posts, show nothing"
    assert share([3], [4]).low is None
    assert K == 5
