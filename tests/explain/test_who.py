"""Losses are spread over accounts: said without naming, ranking or betraying anybody."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

from tests.explain.test_window import post, table
from vanished.archive import arrow
from vanished.errors import UsageError
from vanished.explain.cells import NONE, folded
from vanished.explain.result import facts
from vanished.explain.who import WhoSettings, gini, who
from vanished.model import DAY, HOUR


def account(name: str, gone_by: int | None = None) -> dict[str, object]:
    return {
        "account": name, "platform": "lab", "added_at": 0, "alive_until": DAY, "gone_by": gone_by,
        "state": "gone" if gone_by else "alive", "causes": "", "notice": "",
    }  # fmt: skip


def world(seed: int, *, after: float) -> tuple[pa.Table, pa.Table]:
    """200 accounts of 30 posts; a fifth of them lose posts. Accounts are lost in 30 days of their
    first removed post with a chance of `after`, others in any such time with 2 %."""
    rng, posts, accounts = np.random.default_rng(seed), [], []
    for number in range(200):
        name, risky = f"secret{number}", number % 5 == 0
        first = None
        for each in range(30):
            born = DAY * (1 + 3 * each)
            lost = rng.random() < (0.2 if risky else 0.002)
            first = first or (born + HOUR if lost else None)
            posts.append(post(
                f"{name}/{each}", account=name, published_at=born, first_seen_at=born,
                alive_from=born, alive_until=born + HOUR // 2 if lost else 200 * DAY,
                gone_by=born + HOUR if lost else None, state="gone" if lost else "alive",
                causes="platform" if lost else "",
            ))  # fmt: skip
        gone = None
        if first and rng.random() < after:
            gone = first + int(rng.uniform(1, 29) * DAY)
        elif rng.random() < 0.06:
            gone = int(rng.uniform(1, 90) * DAY)
        accounts.append(account(name, gone))
    return table(*posts), pa.Table.from_pylist(accounts, schema=arrow.ACCOUNTS)


def test_concentration_is_told_with_its_interval_and_beside_that_of_posts() -> None:
    found = who(*world(1, after=0.02), settings=WhoSettings(resamples=300))
    of_removals, of_posts, top = found.table().to_pylist()[:3]
    assert 0.75 < of_removals["value"] < 0.92, "a fifth of the accounts lose nearly everything"
    assert of_removals["low"] < of_removals["value"] < of_removals["high"]
    assert of_posts["value"] == pytest.approx(0)
    assert 0.5 < top["value"] < 0.8
    assert found.lorenz[0] == 0
    assert found.lorenz[-1] == pytest.approx(1)
    assert found.lorenz[80] < 0.15
    assert "Gini coefficient of removals" in found.text()


def test_the_gini_coefficient_is_that_of_its_definition() -> None:
    assert gini(np.ones(10)) == pytest.approx(0)
    assert gini(np.r_[np.zeros(9), 5.0]) == pytest.approx(1)
    values = np.array([1.0, 3.0, 4.0, 8.0])
    pairs = [abs(a - b) for a, b in itertools.permutations(values, 2)]
    assert gini(values) == pytest.approx(np.mean(pairs) / (2 * values.mean()))


def test_accounts_lost_after_a_removal_are_told_from_matched_ones() -> None:
    rows = who(*world(2, after=0.4)).table().to_pylist()
    case, control = (row for row in rows if row["row"] == "after a removal")
    assert case["value"] == pytest.approx(0.4, abs=0.15)
    assert control["value"] < 0.1
    rows = who(*world(3, after=0.0)).table().to_pylist()
    case, control = (row for row in rows if row["row"] == "after a removal")
    assert case["low"] < control["value"] + 0.05, "no effect is no finding"


def test_no_account_is_named_anywhere() -> None:
    found = who(*world(1, after=0.2), settings=WhoSettings(resamples=50))
    said = found.text() + json.dumps(facts(found)) + json.dumps(found.chart())
    assert "secret" not in said


def test_small_kinds_are_put_together_and_never_betrayed_by_the_rest() -> None:
    posts, accounts = world(1, after=0.0)
    kinds = ["press"] * 100 + ["lawyer"] * 3 + ["poet"] * 3 + ["shop"] * 94
    labels = pa.table({"account": [f"secret{n}" for n in range(200)], "kind": kinds})
    rows = [r for r in who(posts, accounts, labels).table().to_pylist() if r["row"] == "kind"]
    assert [(r["name"], r["accounts"]) for r in rows] == [
        ("shop", 94), ("press", 100), ("other kinds", 6),
    ]  # fmt: skip
    lonely = pa.table({"account": labels["account"], "kind": ["press"] * 197 + ["poet"] * 3})
    rows = [r for r in who(posts, accounts, lonely).table().to_pylist() if r["row"] == "kind"]
    assert [r["accounts"] for r in rows] == [200], "197 of 200 would tell of the three"


def test_no_published_sum_tells_of_fewer_than_five_accounts() -> None:
    rng = np.random.default_rng(8)
    for _ in range(200):
        kinds, people = int(rng.integers(1, 7)), int(rng.integers(1, 40))
        kind_of = rng.integers(0, kinds, people)
        author = rng.integers(0, people, 100)
        group = folded(kind_of[author].astype(np.int64), author, accounts=5)
        shown = [len(np.unique(author[group == g])) for g in set(group.tolist()) - {NONE}]
        hidden = len(np.unique(author[group == NONE]))
        assert all(number >= 5 for number in shown)
        assert hidden == 0 or not shown, "what is withheld would be the total less the rest"


def test_wrong_labels_are_refused_and_little_is_no_error() -> None:
    posts, accounts = world(1, after=0.0)
    with pytest.raises(UsageError, match="the columns account and kind"):
        who(posts, accounts, pa.table({"account": ["a"]}))
    with pytest.raises(UsageError, match="has two kinds"):
        who(posts, accounts, pa.table({"account": ["a", "a"], "kind": ["x", "y"]}))
    nothing = who(table(), arrow.ACCOUNTS.empty_table())
    assert nothing.table().num_rows == 0
    assert nothing.text().startswith("Fewer than 5 accounts")
