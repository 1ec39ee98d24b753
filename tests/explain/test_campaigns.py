"""A campaign has words, dates and controls; a gap in the record is neither calm nor storm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.explain.test_window import post, table
from tests.needs import needs_shared
from vanished.archive import arrow
from vanished.archive.making import make
from vanished.archive.observatory import Observatory
from vanished.explain.bursts import BurstSettings
from vanished.explain.campaigns import Campaigns, CampaignSettings, campaigns
from vanished.explain.removal_rate import (
    Of,
    RateSettings,
    gaps_within,
    moments,
    removal_rate,
)  # fmt: skip
from vanished.lab.texts import TOPICS, Script, compose
from vanished.model import DAY, HOUR
from vanished.watch.importing import take_over

BEGIN = 20_000 * DAY  # a Monday is three days later
WORD = "沽栎"  # means nothing
NO_GAPS = arrow.COVERAGE.empty_table()
NO_ACCOUNTS = arrow.ACCOUNTS.empty_table()


def gaps(*spans: tuple[int, int]) -> pa.Table:
    rows = [
        {"subject": "watch", "since": a, "until": b, "what": "gap", "why": ""} for a, b in spans
    ]
    return pa.Table.from_pylist(rows, schema=arrow.COVERAGE)


def unseen(posts: pa.Table, begin: int, end: int) -> pa.Table:
    """The posts as they would be known if nobody had looked from `begin` to `end`."""
    rows = []
    for row in posts.to_pylist():
        if begin <= row["alive_from"] < end:
            continue  # met while nobody looked: a later meeting is another story
        if row["gone_by"] is not None:
            if begin < row["alive_until"] < end:
                row["alive_until"] = max(begin, row["alive_from"])
            if begin < row["gone_by"] < end:
                row["gone_by"] = end
        rows.append(row)
    return table(*rows)


def world(
    seed: int, *, storm: float = 0.03, named: float = 0.03, posts: int = 4000, days: int = 70
) -> pa.Table:
    """Posts of 80 accounts. 3 % are removed within a day; in days 28 to 35, `storm` of all and
    `named` of those that hold the word, which are more of the posts then."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(posts):
        day = rng.uniform(0, days - 2)
        during = 28 <= day < 35
        has = rng.random() < (0.1 if during else 0.005)
        _, text = compose(rng, TOPICS[int(rng.integers(len(TOPICS)))], Script.SIMPLIFIED)
        chance = max(storm, named if has else 0) if during else 0.03
        born = BEGIN + int(day * DAY)
        seen, lost = born + HOUR // 2, rng.random() < chance
        gone = born + int(rng.uniform(1, 24) * HOUR)
        rows.append(post(
            f"p{number}", account=f"a{rng.integers(80)}", published_at=born, first_seen_at=seen,
            alive_from=seen, alive_until=gone - HOUR // 2 if lost else BEGIN + days * DAY,
            gone_by=gone if lost else None, state="gone" if lost else "alive",
            causes="platform" if lost else "", text=text + (WORD if has else ""),
        ))  # fmt: skip
    return table(*rows)


def kinds(found: Campaigns, kind: str) -> list[dict[str, Any]]:
    return [row for row in found.table().to_pylist() if row["kind"] == kind]


def test_where_nothing_was_removed_nothing_is_found() -> None:
    """A young observatory asks too, and its tests have nothing to draw from."""
    rows = []
    for number in range(240):
        born = BEGIN + number % 3 * HOUR
        rows.append(post(
            f"p{number}", account=f"a{number // 4}", published_at=born, first_seen_at=born,
            alive_from=born, alive_until=born + DAY, gone_by=None, state="alive", causes="",
            text=f"nothing of note {number}",
        ))  # fmt: skip
    assert not campaigns(table(*rows), NO_GAPS, NO_ACCOUNTS).table().num_rows


def test_words_that_are_suddenly_removed_are_found_with_their_week() -> None:
    found = campaigns(world(1, named=0.7), NO_GAPS, NO_ACCOUNTS)
    (row,) = kinds(found, "words")
    assert WORD in row["targets"][0]
    assert abs(row["begin"] - BEGIN - 28 * DAY) < 2 * DAY
    assert abs(row["end"] - BEGIN - 35 * DAY) < 2 * DAY
    assert row["rise_low"] > 3
    assert row["controls"] == "same accounts, same weeks"
    assert row["share"] == pytest.approx(0.7, abs=0.12)
    assert WORD in found.text()


def test_words_that_everybody_writes_but_nobody_removes_are_no_campaign() -> None:
    for seed in range(4):
        found = campaigns(world(seed), NO_GAPS, NO_ACCOUNTS)
        assert kinds(found, "words") == []
        assert kinds(found, "rate") == []
        assert found.text() == "No campaign was found."


def test_a_storm_against_everything_is_seen_in_the_rate() -> None:
    found = campaigns(world(3, storm=0.15), NO_GAPS, NO_ACCOUNTS)
    (row,) = kinds(found, "rate")
    assert abs(row["begin"] - BEGIN - 28 * DAY) <= 2 * DAY
    assert abs(row["end"] - BEGIN - 36 * DAY) <= 2 * DAY
    assert row["rise"] == pytest.approx(5, abs=1.5)
    assert row["rise_low"] > 2
    chart = found.chart()
    assert len(chart["layer"]) == 2
    assert {"t", "share", "level"} == set(chart["data"]["values"][0])


def test_nothing_is_found_in_a_gap_and_what_lies_beside_one_says_so() -> None:
    stormy = world(3, storm=0.15, named=0.7)
    gap = (BEGIN + 28 * DAY, BEGIN + 36 * DAY)
    for row in campaigns(unseen(stormy, *gap), gaps(gap), NO_ACCOUNTS).table().to_pylist():
        assert row["end"] <= gap[0] or row["begin"] >= gap[1]
    before = (BEGIN + 21 * DAY, BEGIN + 28 * DAY)
    found = kinds(campaigns(unseen(stormy, *before), gaps(before), NO_ACCOUNTS), "rate")
    assert [row["beside_gap"] for row in found] == [True]


def test_a_storm_that_has_just_begun_is_an_alert_and_says_that_it_is_none_of_the_findings() -> None:
    rows = [
        row
        for row in world(3, storm=0.2, days=70, posts=6000).to_pylist()
        if row["published_at"] < BEGIN + 32 * DAY
    ]
    for row in rows:
        if row["gone_by"] is None:
            row["alive_until"] = BEGIN + 33 * DAY
    found = campaigns(table(*rows), NO_GAPS, NO_ACCOUNTS)
    alert = found.alert()
    assert alert is not None
    assert abs(alert - BEGIN - 28 * DAY) <= 3 * DAY
    assert "Alert: since about" in found.text()
    assert "it is no finding" in found.text()
    assert campaigns(world(1), NO_GAPS, NO_ACCOUNTS).alert() is None


def test_accounts_lost_together_are_a_wave() -> None:
    rng, rows = np.random.default_rng(1), []
    for number in range(400):
        day = 40 + rng.uniform(0, 3) if number < 25 else rng.uniform(0, 90)
        lost = number < 25 or rng.random() < 0.03
        at = BEGIN + int(day * DAY)
        rows.append({
            "account": f"a{number}", "platform": "lab", "added_at": 0, "notice": "",
            "alive_until": at - HOUR, "gone_by": at if lost else None,
            "state": "gone" if lost else "alive", "causes": "platform" if lost else "",
        })  # fmt: skip
    accounts = pa.Table.from_pylist(rows, schema=arrow.ACCOUNTS)
    (row,) = kinds(campaigns(table(), NO_GAPS, accounts), "accounts")
    assert abs(row["begin"] - BEGIN - 40 * DAY) <= 7 * DAY
    assert row["removed"] >= 24
    assert row["posts"] == 400


def test_a_loss_is_spread_over_its_interval_and_posts_count_while_young() -> None:
    posts = table(
        post("a", published_at=BEGIN, first_seen_at=BEGIN, alive_from=BEGIN,
             alive_until=BEGIN + 12 * HOUR, gone_by=BEGIN + 36 * HOUR, state="gone",
             causes="platform"),
        post("b", published_at=BEGIN, first_seen_at=BEGIN, alive_from=BEGIN,
             alive_until=BEGIN + 30 * DAY),
        post("c", published_at=BEGIN, first_seen_at=BEGIN, alive_from=None, alive_until=None,
             gone_by=BEGIN + DAY, state="gone", causes="author", account="x"),
    )  # fmt: skip
    rate = removal_rate(posts, NO_GAPS, RateSettings(age_days=3))
    assert rate.removed[:3] == pytest.approx([0.5, 0.5, 0])
    # Four post-days and one removal, at the age of a day: the two post-days at ages of one to three
    # days weigh twice, the others nothing.
    assert rate.at_risk[:4] == pytest.approx([0.5, 2, 2, 0])
    losses = removal_rate(posts, NO_GAPS, RateSettings(of=Of.LOSSES))
    assert losses.at_risk[:2].sum() == pytest.approx(2)
    assert losses.removed.sum() == pytest.approx(1)
    assert moments(posts).known.tolist() == [True, True, True]


def test_gaps_of_several_recorders_count_once() -> None:
    edges = BEGIN + DAY * np.arange(4)
    both = gaps((BEGIN, BEGIN + DAY // 2), (BEGIN + DAY // 4, BEGIN + 3 * DAY // 4))
    assert gaps_within(both, edges) == pytest.approx([0.75, 0, 0])
    assert gaps_within(NO_GAPS, edges) == pytest.approx([0, 0, 0])


def test_nothing_is_no_error() -> None:
    found = campaigns(table(), NO_GAPS, NO_ACCOUNTS)
    assert found.table().num_rows == 0
    assert found.chart()["layer"]
    assert found.tests == 0


# What was in the news, the words that a search of it would use, and the week of its main event
# (UTC days since the epoch of that Monday): a scandal about vaccines became known on 15 July 2018
# and was taken up on 21 July; a tax fine of an actress on 3 October; a bus fell into a river on 28
# October, the cause was published on 2 November; births after gene editing on 26 November.
AFFAIRS = {
    "vaccine": ("疫苗", 17_735), "actress": ("范冰冰", 17_805), "bus": ("公交", 17_833),
    "genes": ("基因", 17_861),
}  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Campaigns, pa.Table]:
    """The campaigns in the record of 2018 and 2019, and its coverage."""
    file = needs_shared("wechatscope-ceninfo/ceninfo-2018-2019.csv")
    folder: Path = tmp_path_factory.mktemp("record") / "o"
    make(folder, [], seal=False)
    with Observatory.open(folder, write=True) as observatory:
        take_over(observatory, "wechatscope", file)
    with Observatory.open(folder) as observatory, observatory.past() as past:
        coverage = arrow.coverage(past)
        return campaigns(arrow.posts(past), coverage, arrow.accounts(past)), coverage


@pytest.mark.parametrize("name", AFFAIRS)
def test_known_affairs_are_found_in_their_weeks(
    name: str, recorded: tuple[Campaigns, pa.Table]
) -> None:
    found, _ = recorded
    word, monday = AFFAIRS[name]
    rows = [r for r in kinds(found, "words") if any(word in t for t in r["targets"])]
    assert any(
        (monday - 7) * DAY <= row["begin"] <= (monday + 14) * DAY and row["rise"] > 1.3
        and row["q"] <= 0.05
        for row in rows
    ), f"{name}: {rows}"  # fmt: skip


def test_no_campaign_lies_in_a_gap_of_the_record(recorded: tuple[Campaigns, pa.Table]) -> None:
    found, coverage = recorded
    spans = [(row["since"], row["until"]) for row in coverage.to_pylist() if row["what"] == "gap"]
    assert len(spans) > 5
    for row in found.table().to_pylist():
        for since, until in spans:
            assert not (since <= row["begin"] and row["end"] <= until), row


def test_shuffled_records_hold_no_campaign() -> None:
    posts = world(5, named=0.7)
    rng = np.random.default_rng(2)
    for _ in range(3):
        order = pa.array(rng.permutation(posts.num_rows))
        shuffled = posts.set_column(posts.schema.get_field_index("text"), "text",
                                    posts["text"].take(order))  # fmt: skip
        settings = CampaignSettings(words=BurstSettings(posts=6))
        assert kinds(campaigns(shuffled, NO_GAPS, NO_ACCOUNTS, settings=settings), "words") == []
