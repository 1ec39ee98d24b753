"""Losses are spread over accounts: said without naming, ranking or betraying anybody."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tests.explain.test_window import post, table
from vanished.archive import arrow
from vanished.errors import UsageError
from vanished.explain.cells import NONE, folded
from vanished.explain.concentration import gini
from vanished.explain.result import facts
from vanished.explain.shares import K
from vanished.explain.who import Who, WhoSettings, who
from vanished.lab.account_losses import Population, World, lives, world
from vanished.model import DAY, HOUR

Row = dict[str, Any]
QUICK = WhoSettings(resamples=300, follow_resamples=50, chances=50)
ORDINARY = world(np.random.default_rng(1), 600)
"""Most losses fall on few accounts; a removal is followed by an account's loss in 4 of 10."""


def rows(found: Who, row: str) -> dict[str, Row]:
    return {r["name"]: r for r in found.table().to_pylist() if r["row"] == row}


def followed(found: Who, days: int = 30) -> tuple[Row, Row]:
    told = rows(found, "after a removal")
    return (
        told[f"accounts removed within {days} days of a first removed post"],
        told[f"matched accounts without one, removed within {days} days"],
    )


def test_concentration_is_that_of_the_population_and_more_than_chance() -> None:
    found = who(ORDINARY.posts, ORDINARY.accounts, settings=QUICK)
    drawn = lives(np.random.default_rng(9), 100_000, ORDINARY.population)
    true = gini(drawn.removed[np.unique(drawn.owner)])
    told = rows(found, "concentration")
    of_removals = told["Gini coefficient of removals over accounts"]
    by_chance = told["the same if removals fell on posts at random"]
    assert of_removals["low"] < true < of_removals["high"]
    assert by_chance["high"] < of_removals["low"]
    assert of_removals["p"] < 0.05
    top = told["share of removals in the 10% of accounts with the most"]
    assert 0.65 < top["value"] < 0.85
    assert "share of removals in the 1% of accounts with the most" not in told, "six accounts"
    assert "Gini coefficient of removals over accounts: 0.8" in found.text()


def test_few_removals_that_fell_at_random_are_no_concentration() -> None:
    """A reader would else take 0.8 for targeting: it is what few removals and chance give."""
    even = world(np.random.default_rng(2), 400, Population(alike=1e6, strict=0, more=0))
    told = rows(who(even.posts, even.accounts, settings=QUICK), "concentration")
    found = told["Gini coefficient of removals over accounts"]
    by_chance = told["the same if removals fell on posts at random"]
    assert found["value"] > 0.6
    assert by_chance["low"] <= found["value"] <= by_chance["high"]
    assert found["p"] > 0.05


def test_the_gini_coefficient_is_that_of_its_definition() -> None:
    assert gini(np.ones(10)) == pytest.approx(0)
    assert gini(np.r_[np.zeros(9), 5.0]) == pytest.approx(1)
    assert gini(np.zeros(3)) == gini(np.zeros(0)) == 0
    values = np.array([1.0, 3.0, 4.0, 8.0, 8.0])
    pairs = [abs(a - b) for a, b in itertools.permutations(values, 2)]
    assert gini(values) == pytest.approx(np.mean(pairs) / (2 * values.mean()))


def test_the_curve_never_steps_over_fewer_than_five_accounts() -> None:
    small = world(np.random.default_rng(3), 80)
    found = who(small.posts, small.accounts, settings=QUICK)
    number = next(iter(rows(found, "concentration").values()))["accounts"]
    steps = np.diff(found.lorenz["accounts"].to_numpy()) * float(str(number))
    assert steps.min() > K - 1e-6, "the last step would be what one account lost"
    assert found.lorenz["removals"].to_pylist()[0] == 0
    assert found.lorenz["removals"].to_pylist()[-1] == pytest.approx(1)


def test_accounts_removed_after_a_removal_are_told_with_those_removed_without() -> None:
    case, control = followed(who(ORDINARY.posts, ORDINARY.accounts, settings=QUICK))
    had, without = ORDINARY.lost_within(30)
    assert case["low"] < had < case["high"]
    assert control["low"] < without < control["high"]
    assert case["value"] == pytest.approx(had, abs=0.1)
    assert control["value"] == pytest.approx(without, abs=0.03)


def test_strict_platforms_and_loud_accounts_do_not_make_an_effect() -> None:
    """Both lose more posts and more accounts here; without matching this looks like punishment."""
    of = Population(more=0.0, base=0.002, times=4.0, posts_sigma=1.0)
    calm = world(np.random.default_rng(5), 1200, of)
    told = rows(who(calm.posts, calm.accounts, settings=QUICK), "after a removal")
    apart = told["difference of these shares within 30 days"]
    assert apart["low"] < 0 < apart["high"]
    assert abs(apart["value"]) < 0.06
    with_one = np.isfinite(calm.lives.first)
    assert with_one[calm.lives.strict].mean() > 1.3 * with_one[~calm.lives.strict].mean()


def test_accounts_that_their_authors_closed_are_not_removed() -> None:
    """Else people who leave would be counted as silenced."""
    leaving = world(np.random.default_rng(6), 600, replace(Population(), closed=0.02))
    closed = leaving.accounts["causes"].to_pylist().count("author")
    assert closed > 300
    case, control = followed(who(leaving.posts, leaving.accounts, settings=QUICK))
    had, _ = leaving.lost_within(30)
    assert case["low"] < had < case["high"]
    assert control["high"] < 0.15
    unclear = leaving.accounts.set_column(
        leaving.accounts.schema.get_field_index("causes"), "causes",
        pa.array(["author,platform" if c else "" for c in leaving.accounts["causes"].to_pylist()]),
    )  # fmt: skip
    none, _ = followed(who(leaving.posts, unclear, settings=QUICK))
    assert none["value"] == none["removed"] == 0, "whoever may have done it did not do it"
    every, _ = followed(who(leaving.posts, unclear, settings=replace(QUICK, open_too=True)))
    assert every["value"] > 0.5


def test_one_to_four_lost_accounts_are_told_as_fewer_than_five() -> None:
    rare = world(np.random.default_rng(8), 250, Population(more=0.0))
    found = who(rare.posts, rare.accounts, settings=QUICK)
    few = [r for r in rows(found, "after a removal").values() if r["value"] is None]
    assert few
    assert all(r["removed"] is None and r["high"] < 0.25 for r in few)
    assert "fewer than 5 of" in found.text()
    for name, row in rows(found, "after a removal").items():
        assert row["removed"] is None or row["removed"] == 0 or row["removed"] >= K, name
    apart = rows(who(ORDINARY.posts, ORDINARY.accounts, settings=QUICK), "after a removal")
    assert "difference of these shares within 30 days" in apart
    assert "difference of these shares within 30 days" not in rows(found, "after a removal")


def test_no_loss_of_few_accounts_is_no_proof_of_safety() -> None:
    """None of 49 is up to 7 %: the interval of a difference must not take it for certain."""
    calm = world(np.random.default_rng(7), 250, Population(more=0.0))
    told = rows(who(calm.posts, calm.accounts, settings=QUICK), "after a removal")
    case = told["accounts removed within 30 days of a first removed post"]
    assert (case["removed"], case["accounts"]) == (0, 49)
    apart = told["difference of these shares within 30 days"]
    assert apart["low"] < 0 < apart["high"]


def test_no_account_is_named_anywhere() -> None:
    found = who(ORDINARY.posts, ORDINARY.accounts, ORDINARY.kinds, QUICK)
    said = found.text() + json.dumps(facts(found)) + json.dumps(found.chart())
    assert "account-" not in said
    assert "post-" not in said


def labels(of: World, kinds: list[str]) -> pa.Table:
    return pa.table({"account": [f"account-{n}" for n in range(len(kinds))], "kind": kinds})


def test_small_kinds_are_put_together_and_never_betrayed_by_the_rest() -> None:
    calm = world(np.random.default_rng(1), 200, Population(posts_median=60, strict=0, more=0))
    kinds = labels(calm, ["press"] * 100 + ["lawyer"] * 3 + ["poet"] * 3 + ["shop"] * 94)
    told = rows(who(calm.posts, calm.accounts, kinds, QUICK), "kind")
    assert {name: row["accounts"] for name, row in told.items()} == {
        "other kinds": 6, "press": 100, "shop": 93,  # one shop wrote nothing
    }  # fmt: skip
    lonely = labels(calm, ["press"] * 197 + ["poet"] * 3)
    told = rows(who(calm.posts, calm.accounts, lonely, QUICK), "kind")
    assert [r["accounts"] for r in told.values()] == [199], "197 of 200 would tell of the three"


def test_removals_of_few_accounts_of_a_kind_are_withheld_with_another_kind() -> None:
    """Three accounts of a large kind had removals: their number would be theirs to all who know."""
    posts = [
        post(f"{n}/{i}", account=f"account-{n}", published_at=DAY, first_seen_at=DAY,
             **({"alive_until": DAY + HOUR, "gone_by": DAY + 2 * HOUR, "state": "gone",
                 "causes": "platform"} if i == 0 and n % 20 < (2 if n < 60 else 6) else {}))
        for n in range(180) for i in range(4)
    ]  # fmt: skip
    kinds = pa.table({"account": [f"account-{n}" for n in range(180)],
                      "kind": ["quiet"] * 40 + ["loud"] * 70 + ["shop"] * 70})  # fmt: skip
    told = rows(who(table(*posts), arrow.ACCOUNTS.empty_table(), kinds, QUICK), "kind")
    assert told["quiet"]["removed"] is None
    assert told["quiet"]["accounts"] == 40
    assert sum(row["removed"] is None for row in told.values()) == 2, "else by subtraction"
    assert all(r["value"] is None and r["low"] is None for r in told.values() if not r["removed"])


def determined(unknown: NDArray[np.bool_]) -> set[tuple[int, int]]:
    """Cells of a table with totals that linear algebra alone can compute if these are unknown."""
    places = [(int(a), int(b)) for a, b in np.argwhere(unknown)]
    rows_of, columns_of = unknown.shape
    sums = np.zeros((rows_of + columns_of, len(places)))
    for place, (a, b) in enumerate(places):
        sums[a, place] = -1 if b == columns_of - 1 else 1
        sums[rows_of + b, place] = -1 if a == rows_of - 1 else 1
    rank = np.linalg.matrix_rank(sums) if places else 0
    return {
        cell for place, cell in enumerate(places)
        if np.linalg.matrix_rank(np.vstack([sums, np.eye(len(places))[place]])) == rank
    }  # fmt: skip


def test_nothing_withheld_can_be_computed_from_what_is_told() -> None:
    """From the rows as published, and the totals of platforms, which the overview tells."""
    rng, withheld = np.random.default_rng(4), 0
    for seed in range(12):
        number = int(rng.integers(30, 120))
        of = world(np.random.default_rng(100 + seed), number, Population(posts_median=30, more=0))
        found = who(of.posts, of.accounts, of.kinds, QUICK)
        kinds, on = rows(found, "kind"), rows(found, "kind on a platform")
        names = ["lab", "strict lab"]
        for column in ("accounts", "posts", "removed"):
            unknown = np.zeros((len(kinds) + 1, 3), bool)
            for number, (kind, whole) in enumerate(kinds.items()):
                unknown[number, 2] = whole[column] is None
                for place, name in enumerate(names):
                    cell = on.get(f"{kind} on {name}")
                    unknown[number, place] = cell is not None and cell[column] is None
            withheld += int(unknown.sum())
            assert not determined(unknown), (seed, column)
        for row in (*kinds.values(), *on.values()):
            assert row["accounts"] is None or row["accounts"] >= K
    assert withheld > 20


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


def test_wrong_input_is_refused_and_little_is_no_error() -> None:
    given = ORDINARY.posts, ORDINARY.accounts
    with pytest.raises(UsageError, match="the columns account and kind"):
        who(*given, pa.table({"account": ["a"]}), QUICK)
    with pytest.raises(UsageError, match="has two kinds"):
        who(*given, pa.table({"account": ["a", "a"], "kind": ["x", "y"]}), QUICK)
    with pytest.raises(UsageError, match="days above 0"):
        who(*given, settings=WhoSettings(ages_days=()))
    nothing = who(table(), arrow.ACCOUNTS.empty_table())
    assert nothing.table().num_rows == 0
    assert nothing.chart()["data"]["values"] == []
    assert nothing.text().startswith("Fewer than 5 accounts")
