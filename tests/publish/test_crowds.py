"""Nobody stands alone: neither in a row, nor in what a total less the rows would tell."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vanished.explain.fate import Fate
from vanished.explain.withheld import with_totals
from vanished.model import DAY, HOUR, Cause, State
from vanished.publish.crowds import crowded
from vanished.publish.gate import Passed, Why, Withheld
from vanished.publish.numbers import ALL, NEVER, Counted, notices, outcomes, weeks

K = 5
PLAIN = Passed(
    "p", None, "weibo", Fate.REMOVED, State.GONE, frozenset({Cause.PLATFORM}), "high",
    0, 0, HOUR, HOUR,
)  # fmt: skip


@st.composite
def posts(draw: st.DrawFn) -> tuple[list[Passed | Withheld], list[int], list[int]]:
    items: list[Passed | Withheld] = []
    accounts, platforms = [], []
    for number in range(draw(st.integers(0, 60))):
        platform = draw(st.integers(0, 1))
        if draw(st.integers(0, 9)) == 0:
            items.append(Withheld(str(number), Fate.REMOVED, Why.TAKEDOWN))
        else:
            at = draw(st.integers(0, 40)) * HOUR * draw(st.sampled_from([1, 24]))
            cause = draw(st.sampled_from([Cause.PLATFORM, Cause.LEGAL]))
            items.append(replace(
                PLAIN, post=str(number), platform="ab"[platform], causes=frozenset({cause}),
                published_from=at, alive_until=at, gone_by=at + HOUR,
            ))  # fmt: skip
        accounts.append(draw(st.integers(0, 11)))
        platforms.append(platform)
    return items, accounts, platforms


@given(posts())
def test_rows_that_read_alike_are_of_k_accounts_and_so_is_the_rest(
    drawn: tuple[list[Passed | Withheld], list[int], list[int]],
) -> None:
    items, accounts, platforms = drawn
    found = crowded(items, np.array(accounts, np.int64), np.array(platforms, np.int64), K)
    alike: dict[object, set[int]] = defaultdict(set)
    rest: dict[object, set[int]] = defaultdict(set)
    shown: dict[object, int] = defaultdict(int)
    for item, row, account, platform in zip(items, found.rows, accounts, platforms, strict=True):
        if row is None:
            rest[platform, item.fate].add(account)
            continue
        assert isinstance(item, Passed)
        shown[platform, item.fate] += 1
        alike[replace(row, post="")].add(account)
        if row.gone_by is not None:
            assert item.gone_by is not None
            assert row.rounded >= HOUR
            assert row.alive_until is not None
            assert item.alive_until is not None
            assert row.alive_until <= item.alive_until < item.gone_by <= row.gone_by
    assert all(len(behind) >= K for behind in alike.values())
    assert all(len(behind) >= K for cell, behind in rest.items() if shown[cell])


def test_times_are_no_coarser_than_they_must_be() -> None:
    """Five accounts in one hour are told by the hour; five over a week by the week."""
    hour = [replace(PLAIN, post=f"h{n}") for n in range(5)]
    week = [
        replace(PLAIN, post=f"w{n}", published_from=t, alive_until=t, gone_by=t + HOUR)
        for n, t in enumerate(21 * DAY + n * DAY for n in range(5))
    ]
    accounts = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    found = crowded([*hour, *week], accounts, np.zeros(10, np.int64), K)
    assert {row.rounded for row in found.rows[:5] if row} == {HOUR}
    assert {row.rounded for row in found.rows[5:] if row} == {7 * DAY}
    assert found.accounts == (5,) * 10


def counted(cells: list[tuple[int, int, int]]) -> Counted:
    platform, fate, account = (np.array([c[n] for c in cells], np.int64) for n in range(3))
    nought = np.zeros(len(cells), np.int64)
    return Counted(
        ["a", "b", "c"], platform, fate, account, nought, nought + NEVER, nought + 3, nought + 1
    )


CELLS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 3, 4]), st.integers(0, 14)), max_size=120
)


@given(CELLS)
def test_no_number_is_of_few_accounts_nor_tells_of_such_by_subtraction(
    cells: list[tuple[int, int, int]],
) -> None:
    rows = outcomes(counted(cells), K)
    if len({account for _, _, account in cells}) < K:
        assert rows == []
        return
    assert rows
    assert all(row["accounts"] >= K for row in rows if not row["withheld"])
    assert all(("posts" in row) != row["withheld"] for row in rows)
    total = next(r for r in rows if r["platform"] == ALL and r["outcome"] == ALL)
    assert (total["posts"], total["looks"], total["failed_looks"]) == (
        len(cells), 3 * len(cells), len(cells),
    )  # fmt: skip
    # Whoever subtracts along a line gets the sum of its withheld cells: of k posts at least.
    for axis, other in (("platform", "outcome"), ("outcome", "platform")):
        for name in {row[axis] for row in rows} - {ALL}:
            line = [row for row in rows if row[axis] == name]
            whole = next(row for row in line if row[other] == ALL)
            hidden = [row for row in line if row["withheld"] and row[other] != ALL]
            if not whole["withheld"] and hidden:
                assert len(hidden) > 1
                shown = sum(r["posts"] for r in line if not r["withheld"] and r[other] != ALL)
                assert whole["posts"] - shown >= K
                if not any(row[other] == "other" or row[axis] == "other" for row in rows):
                    spelt = {(row["platform"], row["outcome"]) for row in hidden}
                    behind = {
                        c[2] for c in cells if ("abc"[c[0]], Fate(c[1]).name.lower()) in spelt
                    }
                    assert len(behind) >= K


def test_totals_of_what_is_printed_are_right() -> None:
    cells = [(p, f, account) for p in (0, 1) for f in (0, 1) for account in range(6)]
    rows = outcomes(counted(cells), K)
    table = {(r["platform"], r["outcome"]): r["posts"] for r in rows}
    expected = with_totals(np.array([[6, 6], [6, 6]]))
    names = (["a", "b", ALL], ["survived", "removed", ALL])
    for i, platform in enumerate(names[0]):
        for j, outcome in enumerate(names[1]):
            assert table[platform, outcome] == expected[i, j]
    assert all(r["of_posts"] == (12 if r["platform"] != ALL else 24) for r in rows)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=80))
def test_weeks_of_few_accounts_are_told_together(drawn: list[tuple[int, int]]) -> None:
    posts = counted([(0, 1, account) for _, account in drawn])
    met = np.array([week * 7 * DAY + HOUR for week, _ in drawn], np.int64)
    posts = replace(posts, met=met, gone_by=met + HOUR)
    for row in weeks(posts, K):
        assert row["accounts"] >= K
        assert row.get("of_posts", row["posts"]) >= row["posts"]


def test_a_notice_that_few_accounts_saw_is_among_the_others() -> None:
    posts = counted([(0, 1, account) for account in range(12)])
    words = ["common"] * 7 + ["names somebody"] * 2 + [""] * 3
    rows = notices(posts, words, ["a"], K)
    assert {(r["notice"], r["others"], r["posts"], r["of_posts"]) for r in rows} == {
        ("common", False, 7, 12), ("other", True, 5, 12),
    }  # fmt: skip
