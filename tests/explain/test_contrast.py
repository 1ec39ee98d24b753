"""What is compared with what: a wrong comparison calls an author's habit a censor's rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import hypergeom

from vanished.archive.arrow import POSTS
from vanished.errors import UsageError
from vanished.explain.contrast import WEEK, Drawn, contrast, log_odds, matching, tails


def posts(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """A table of posts; what a row does not say is ordinary."""
    ordinary: dict[str, Any] = {
        "account": "a", "platform": "lab", "first_seen_at": 0, "published_at": None,
        "state": "alive", "causes": "", "confidence": "", "notice": "", "looks": 1, "failed": 0,
        "title": "", "text": "",
    }  # fmt: skip
    full = [{"post": f"p{n}"} | ordinary | row for n, row in enumerate(rows)]
    return pa.Table.from_pylist(full, schema=POSTS)


GONE = {"state": "gone", "causes": "platform"}


def test_only_what_nobody_else_can_have_removed_is_compared_with_what_survived() -> None:
    table = posts(
        [
            GONE,
            {},
            {"state": "gone", "causes": "author"},
            {"state": "gone", "causes": "author,platform"},
            {"state": "gone", "causes": "unknown"},
            {"state": "unknown"},
            {"state": "gone", "causes": "platform", "explained_by": "a"},
        ]
    )
    found = contrast(table, None, open_too=False, smallest=1)
    assert found.posts["post"].to_pylist() == ["p0", "p1"]
    assert found.removed.tolist() == [True, False]
    more = contrast(table, None, open_too=True, smallest=1)
    assert more.posts["post"].to_pylist() == ["p0", "p1", "p3", "p4"]


def test_an_authors_copies_of_a_story_are_one_post_the_first() -> None:
    table = posts(
        [
            {"account": "a", "first_seen_at": 3} | GONE,
            {"account": "a", "first_seen_at": 1},
            {"account": "b", "first_seen_at": 2} | GONE,
            {"account": "a", "first_seen_at": 4},
        ]
    )
    stories = pa.table({"post": ["p0", "p1", "p2"], "story": ["s", "s", "s"]})
    found = contrast(table, stories, open_too=False, smallest=1)
    assert found.posts["post"].to_pylist() == ["p1", "p2", "p3"]


def test_stories_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="columns post and story"):
        contrast(posts([{}]), pa.table({"post": ["p0"]}), open_too=False, smallest=1)
    twice = pa.table({"post": ["p0", "p0"], "story": ["s", "t"]})
    with pytest.raises(UsageError, match="two stories"):
        contrast(posts([{}]), twice, open_too=False, smallest=1)


def test_strata_are_whole_weeks_of_one_account_with_enough_posts() -> None:
    weeks = [0, 0, 1, 1, 2, 3, 3]
    table = posts([{"first_seen_at": w * WEEK} for w in weeks] + [{"account": "b"}])
    found = contrast(table, None, open_too=False, smallest=2).stratum.tolist()
    assert found[0] == found[1] != found[2] == found[3] != found[4] == found[5] == found[6]
    assert found[7] not in found[:7]


def test_the_tail_is_that_of_the_exact_distribution() -> None:
    """Against convolution, over the range of p that decides."""
    rng = np.random.default_rng(1)
    wrong = []
    for _ in range(150):
        strata = int(rng.integers(1, 30))
        total = rng.integers(4, 40, strata)
        marked = rng.binomial(total, rng.beta(0.5, 4, strata))
        taken = rng.binomial(total, 0.3)
        exact = np.ones(1)
        for n, r, k in zip(total.tolist(), marked.tolist(), taken.tolist(), strict=True):
            exact = np.convolve(exact, hypergeom.pmf(np.arange(k + 1), n, r, k))
        upper = exact[::-1].cumsum()[::-1]
        mean = float((taken * marked / total).sum())
        for hits in range(int(mean) + 1, len(upper)):
            if hits - 0.5 > mean and 1e-12 < upper[hits] < 0.05:
                drawn = Drawn(np.array([0]), taken, total, marked, np.array([hits]))
                wrong.append(tails(drawn)[0] / upper[hits])
    assert len(wrong) > 500
    assert min(wrong) > 0.85
    assert max(wrong) < 1.2


def test_a_string_in_all_posts_of_its_strata_tells_nothing() -> None:
    drawn = Drawn(*(np.array(one) for one in ([0], [9], [9], [4], [4])))
    assert tails(drawn).tolist() == [1.0]


def test_log_odds_is_monroes() -> None:
    """By hand: y 30 of 100 against 20 of 200, prior 50 with share 20.5 / 201."""
    ratio, error = log_odds(np.array([30.0]), 100, np.array([20.0]), 200, 50)
    alpha = 50 * 20.5 / 201
    a, b = 30 + alpha, 20 + alpha
    assert ratio[0] == pytest.approx(np.log(a / (150 - a)) - np.log(b / (250 - b)))
    assert error[0] == pytest.approx((1 / a + 1 / b) ** 0.5)


def test_survivors_weigh_what_the_removed_of_their_stratum_number() -> None:
    table = posts([{"account": "a"} | GONE, {"account": "a"}, {"account": "a"}, {"account": "b"}])
    weight, whole = matching(contrast(table, None, open_too=False, smallest=1))
    assert weight.tolist() == [0, 1, 1, 0]
    assert whole == 2
