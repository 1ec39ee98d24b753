"""`explain speed`: shares with honest bands, and no cell that points at a person."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bench.explain_speed import AGES_H, coverage, error, truth

from vanished.errors import UsageError
from vanished.explain.cells import NONE, OTHER, folded
from vanished.explain.lives import levels
from vanished.explain.result import Result, facts
from vanished.explain.speed import By, Speed, SpeedSettings, speed
from vanished.explain.speed_shown import duration
from vanished.lab.lifetimes import (
    EVERY_12_HOURS,
    FRONT_LOADED,
    LONG,
    ZHU_2013,
    Crowd,
    Life,
    LogNormal,
    Rhythm,
    watched,
)
from vanished.model import DAY, HOUR, Cause

LIFE = Life(
    {
        Cause.PLATFORM: (0.3, LogNormal(3.0, 1.6)),
        Cause.AUTHOR: (0.1, LogNormal(20.0, 1.5)),
        Cause.UNKNOWN: (0.05, LogNormal(10.0, 1.0)),
    }
)
QUICK = SpeedSettings(resamples=25)


def made(seed: int = 0, posts: int = 1500, accounts: int = 60, life: Life = LIFE) -> pa.Table:
    crowd = Crowd(posts, accounts, alike=20.0)
    return watched(np.random.default_rng(seed), life, crowd=crowd)


def replaced(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


@pytest.fixture(scope="module")
def result() -> Speed:
    posts = watched(np.random.default_rng(0), LIFE, crowd=Crowd(4000, 60))
    return speed(posts, settings=SpeedSettings(resamples=100))


def test_it_is_a_result_that_json_can_carry(result: Speed) -> None:
    found: Result = result
    assert found.method == "speed/1"
    written = json.loads(json.dumps(facts(found), allow_nan=False))
    assert written["settings"]["seed"] == 1
    assert {"low", "high", "posts", "accounts", "at_risk"} <= set(written["rows"][0])


def test_each_cause_has_its_true_share(result: Speed) -> None:
    # a mistaken incidence of removals is what a reader would quote
    group = result.groups["all"]
    assert list(group.curves) == ["removed", "open", "author", "any"]
    for name, cause in (("removed", Cause.PLATFORM), ("author", Cause.AUTHOR), ("any", None)):
        true, curve = LIFE.gone(group.ages_h, cause), group.curves[name]
        assert (curve.low - 0.005 <= true).all(), name
        assert (true <= curve.high + 0.005).all(), name
    day = group.ages_h.tolist().index(24.0)
    removed = group.curves["removed"]
    assert removed.fit is not None
    assert removed.fit[day] == pytest.approx(
        LIFE.gone(np.array([24.0]), Cause.PLATFORM)[0], abs=0.03
    )
    assert removed.high[day] - removed.low[day] < 0.1


def test_the_share_ever_removed_and_the_median_are_found(result: Speed) -> None:
    fitted = result.groups["all"].fitted
    assert fitted is not None
    assert fitted.holds
    assert fitted.ever.low <= 0.3 <= fitted.ever.high
    assert fitted.median_h.low <= 3.0 <= fitted.median_h.high
    row = result.groups_table().to_pylist()[0]
    assert row["ever"] == pytest.approx(fitted.ever.value)
    assert row["until_h"] == 48.0


def test_survival_error_and_coverage_are_within_the_bars() -> None:
    # the whole 200 repeats are in bench/explain_speed.py
    assert error(FRONT_LOADED, 5) <= 0.012
    assert error(EVERY_12_HOURS, 5) <= 0.025
    data, curve = coverage(FRONT_LOADED, 2)
    assert data >= 0.93
    assert curve >= 0.75


def test_zhu_2013_comes_back() -> None:
    # nearly 30 % of deletions in minutes 5 to 30, nearly 90 % in 24 hours
    life = Life({Cause.PLATFORM: (0.3, ZHU_2013)})
    rhythm = Rhythm(LONG, first_median_h=1 / 60, first_sigma=0.7)
    posts = watched(np.random.default_rng(9), life, rhythm, Crowd(12_000, 400))
    asked = SpeedSettings(ages_h=(1 / 12, 0.5, 1.0, 2.0, 4.0, 24.0, 168.0, 240.0), resamples=25)
    group = speed(posts, settings=asked).groups["all"]
    share = {round(age * 60): found for age, found in group.within}
    assert share[30].value - share[5].value == pytest.approx(0.30, abs=0.04)
    assert share[24 * 60].value == pytest.approx(0.90, abs=0.03)
    assert share[24 * 60].low <= 0.90 <= share[24 * 60].high
    assert group.median_h.low <= ZHU_2013.age(np.array([0.5]))[0] <= group.median_h.high
    assert group.fitted is not None
    assert not group.fitted.holds  # no curve of a family has this shape, and it is said


def test_the_same_seed_gives_the_same_numbers() -> None:
    posts = made(posts=400)
    assert speed(posts, settings=QUICK).table().equals(speed(posts, settings=QUICK).table())


def test_a_failed_look_or_a_doubtful_loss_is_no_removal() -> None:
    # a watch that was blocked must not report a wave of censorship
    posts = made(posts=600)
    blocked = replaced(posts, "state", pa.array(["suspected"] * posts.num_rows))
    found = speed(blocked, settings=QUICK).groups["all"].curves
    assert list(found) == ["removed", "any"]
    assert found["removed"].losses == 0
    assert found["removed"].high[-1] > 0.03  # and none among 60 accounts is not proof of none


def test_losses_of_open_cause_are_removals_only_if_asked() -> None:
    posts = made(posts=3000)
    strict = speed(posts, settings=QUICK).groups["all"].curves["removed"]
    wide = speed(posts, settings=SpeedSettings(resamples=25, open_too=True))
    assert wide.groups["all"].curves["removed"].losses > strict.losses + 50
    assert any("bounds them from above" in sentence for sentence in wide.caveats)


def test_ages_count_from_first_sight_where_publication_is_not_claimed() -> None:
    posts = made(posts=400)
    claimed = posts["published_at"].to_pylist()
    claimed[0], claimed[1] = None, posts["alive_from"][1].as_py() + HOUR  # a clock that is ahead
    found = speed(replaced(posts, "published_at", pa.array(claimed)), settings=QUICK)
    assert found.latency.unclaimed == 2
    assert any("no usable publication time" in sentence for sentence in found.caveats)


def test_posts_never_seen_alive_or_first_seen_late_are_counted_apart() -> None:
    posts = made(posts=400)
    seen, born = posts["alive_from"].to_pylist(), posts["published_at"].to_pylist()
    seen[0], born[1] = None, born[1] - 30 * DAY
    posts = replaced(replaced(posts, "alive_from", pa.array(seen)), "published_at", pa.array(born))
    found = speed(posts, settings=QUICK)
    assert (found.latency.never_alive, found.latency.late) == (1, 1)
    assert found.latency.posts == posts.num_rows - 2


def test_groups_by_week_and_topic() -> None:
    posts = made(posts=2000)
    weeks = speed(posts, settings=SpeedSettings(by=By.WEEK, resamples=10))
    assert set(weeks.groups) == {f"2023-W{week}" for week in range(46, 51)}
    assert sum(group.posts for group in weeks.groups.values()) == weeks.latency.posts
    half = posts["post"].slice(0, 800)
    topics = pa.table({"post": half, "topic": ["flood"] * 800})
    found = speed(posts, topics, SpeedSettings(by=By.TOPIC, resamples=10))
    assert list(found.groups) == ["none", "flood"]
    assert found.groups["flood"].posts == 800
    assert "flood: " in found.text()


def test_no_group_rests_on_few_accounts() -> None:
    # a group of two accounts would tell what was done to two people
    posts = made(posts=1200)
    names = pc.if_else(pc.is_in(posts["account"], pa.array(["account-1", "account-2"])), "b", "a")
    third = pc.equal(posts["account"], "account-3")
    posts = replaced(posts, "platform", pc.if_else(third, "c", names))
    found = speed(posts, settings=SpeedSettings(by=By.PLATFORM, least_posts=10, resamples=25))
    # three accounts are too few for a group of the rest: the large one would give them away
    assert list(found.groups) == ["other"]
    assert pc.min(found.table()["accounts"]).as_py() >= 5


def test_no_cause_rests_on_few_accounts() -> None:
    # three authors who deleted posts would be told from the rest
    life = Life({Cause.PLATFORM: (0.3, LogNormal(3.0, 1.6))})
    posts = made(posts=800, life=life)
    gone = np.flatnonzero(pc.equal(posts["state"], "gone").to_numpy(zero_copy_only=False))
    causes = posts["causes"].to_pylist()
    causes[gone[0]] = causes[gone[1]] = "author"
    found = speed(replaced(posts, "causes", pa.array(causes)), settings=QUICK)
    rows = found.table()
    assert "author" not in rows["cause"].to_pylist()
    assert pc.min(rows["loss_accounts"]).as_py() >= 5
    few = speed(posts.slice(0, 60).filter(pc.equal(posts.slice(0, 60)["account"], "x")))
    assert few.groups == {}


def test_four_accounts_are_told_of_to_the_team_only() -> None:
    posts = made(posts=400, accounts=4)
    shown = speed(posts, settings=QUICK)
    assert shown.groups == {}
    assert any("withheld" in sentence for sentence in shown.caveats)
    inside = speed(posts, settings=SpeedSettings(by=By.ACCOUNT, resamples=25))
    assert len(inside.groups) == 4
    assert any("inside the team" in sentence for sentence in inside.caveats)


def test_folding_never_leaves_a_remainder_to_subtract() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        group, account = rng.integers(0, 8, 200), rng.integers(0, 25, 200)
        group = np.where(rng.random(200) < 0.5, 0, group)
        new = folded(group, account, accounts=5, posts=int(rng.integers(1, 40)))
        for code in set(new.tolist()) - {NONE}:
            assert np.unique(account[new == code]).size >= 5
        assert not ((new == NONE).any() and (new != NONE).any())
        assert (new[new >= 0] == group[new >= 0]).all()
    assert folded(np.array([0, 1]), np.array([0, 1]), accounts=2).tolist() == [OTHER, OTHER]


def test_few_accounts_widen_the_band() -> None:
    assert levels(10_000)[0] == pytest.approx(0.025, abs=1e-4)
    assert levels(5)[0] < 0.005


def test_text_and_chart_say_their_denominators(result: Speed) -> None:
    text = result.text()
    assert f"of {result.groups['all'].posts} posts of 60 watched accounts" in text
    assert "first seen within 3 min" in text
    assert "caused" not in text
    chart = result.chart()
    assert "60 watched accounts" in chart["title"]["subtitle"][1]
    assert "hours" in chart["layer"][0]["encoding"]["x"]["title"]
    assert {row["what"] for row in chart["data"]["values"]} == {"removed", "open", "author"}
    assert duration(0.05) == "3 min"


def test_nothing_to_say_is_said() -> None:
    for posts in (made(posts=400).slice(0, 0), made(posts=400).slice(0, 20)):
        found = speed(posts, settings=QUICK)
        assert found.table().num_rows == 0
        assert "too few" in found.text()
        assert found.chart()["data"]["values"] == []


def test_bad_input_is_one_sentence() -> None:
    posts = made(posts=100)
    gone = replaced(posts, "gone_by", pa.nulls(posts.num_rows, pa.int64()))
    early = replaced(posts, "alive_until", pc.subtract(posts["alive_from"], 1))
    twice = pa.table({"post": ["p", "p"], "topic": ["a", "b"]})
    topic = SpeedSettings(by=By.TOPIC)
    for table, topics, settings, words in (
        (posts.drop_columns(["alive_from"]), None, None, "no column 'alive_from'"),
        (gone, None, None, "no time by which"),
        (early, None, None, "check its times"),
        (posts, None, topic, "columns post and topic"),
        (posts, twice, topic, "one topic"),
        (posts, None, SpeedSettings(ages_h=()), "at least one"),
        (posts, None, SpeedSettings(resamples=1), "10 or more"),
    ):
        with pytest.raises(UsageError, match=words):
            speed(table, topics, settings)


def test_truth_is_of_posts_alive_where_the_result_begins(result: Speed) -> None:
    assert truth(result, LIFE)[-1] < LIFE.gone(result.groups["all"].ages_h)[-1] + 1e-9
    assert AGES_H[0] == 1.0
