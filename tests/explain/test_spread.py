"""When a post crossed a line, and what was removed before and after: a wrong side of the line is a
wrong story about a law."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from tests.explain.test_window import gone, post, table
from vanished.archive import arrow
from vanished.errors import UsageError
from vanished.explain.crossing import NEVER, Proof, crossings, looks, story_above
from vanished.explain.exposure import exposure, hazards, lives, rate
from vanished.explain.result import facts
from vanished.explain.spread import SpreadSettings, spread
from vanished.explain.spread_rows import AFTER, BEFORE, CROSSED, RATIO
from vanished.explain.thresholds import known, parse_thresholds, threshold
from vanished.lab.cascades import CascadeWorld, cascades
from vanished.model import DAY, HOUR
from vanished.publish.drawing import svg

LINE = {"reposts": 500, "views": 5_000}


def count(post_: str, hour: float, low: int | None, high: int | None = -1, **given: int | None):  # type: ignore[no-untyped-def]
    """A look at an hour after the first day that showed reposts; an exact count if no high."""
    at = DAY + int(hour * HOUR)
    end = low if high == -1 else high
    row = dict.fromkeys(arrow.COUNTS.names) | {"post": post_, "at": at, "until": at}
    return row | {"reposts_low": low, "reposts_high": end} | given


def counted(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=arrow.COUNTS)


def hours(t: int) -> float:
    return (t - DAY) / HOUR


def test_a_crossing_lies_between_two_looks() -> None:
    posts = table(post("a"), post("b"), post("c"), post("d"), post("e"))
    counts = counted(
        count("a", 1, 499), count("a", 3, 500), count("a", 5, 90),  # reposts were taken back
        count("b", 1, 480), count("b", 2, 400, None),  # "400+"
        count("c", 1, 450, 549), count("c", 4, 10_000, None),
        count("d", 2, None, None, views_low=5_000, views_high=None),
        count("x", 2, 900),  # of no post here
    )  # fmt: skip
    found = crossings(5, looks(posts, counts, LINE))
    assert (hours(int(found.below[0])), hours(int(found.above[0]))) == (1, 3)
    assert found.last[0] == Proof.ABOVE, "what was reached was reached"
    assert (hours(int(found.below[1])), found.above[1]) == (1, NEVER)
    assert found.last[1] == Proof.UNSURE, "400 and more may be 500"
    assert (found.below[2], hours(int(found.above[2]))) == (-1, 4)
    assert hours(int(found.above[3])) == 2, "either counter reaches the line"
    assert (found.looks[4], found.last[4]) == (0, Proof.UNSURE)


def test_a_run_of_looks_proves_less_until_its_end() -> None:
    row = count("a", 1, 20) | {"until": DAY + 6 * HOUR}
    found = crossings(1, looks(table(post("a")), counted(row, count("a", 9, 700)), LINE))
    assert (hours(int(found.below[0])), hours(int(found.above[0]))) == (6, 9)


def test_the_posts_of_a_story_cross_together() -> None:
    posts = table(post("a"), post("b"), post("c"), post("d"), post("e"), post("f"))
    counts = counted(
        count("e", 1, 9_000), count("f", 1, 2), count("f", 2, 8),
        count("a", 1, 200), count("b", 2, 200), count("a", 3, 299, 310), count("a", 4, 100),
        count("b", 5, 201), count("c", 1, 499), count("d", 1, 400), count("d", 2, 480),
    )  # fmt: skip
    story = np.asarray([0, 0, -1, 1, 2, 3])
    above = story_above(6, looks(posts, counts, LINE), story, LINE)
    assert hours(int(above[0])) == 5, "299 + 201, though one counter fell: by its lower ends"
    assert above[1] == NEVER, "a post does not count twice"
    assert (hours(int(above[2])), above[3]) == (1, NEVER), "a large post counts for its own story"


def test_hours_at_risk_are_parted_where_the_line_was_proven() -> None:
    removed = gone("a", 1, 1, "platform", published_at=DAY, first_seen_at=DAY)
    removed |= {"alive_until": DAY + 5 * HOUR, "gone_by": DAY + 7 * HOUR}
    stays = post("b", account="b", alive_until=DAY + 10 * HOUR)
    posts = table(removed, stays)
    counts = counted(
        count("a", 1, 3), count("a", 3, 500), count("a", 5, 600),
        count("b", 2, 10), count("b", 4, 400, None), count("b", 7, 450),
    )  # fmt: skip
    found = exposure(lives(posts), looks(posts, counts, LINE), (2.0, 4.0))
    before, after = rate(found, after=False), rate(found, after=True)
    assert (before.hours, before.losses) == (2 + 2 + 3, 0), "what the counter left open is in none"
    assert (after.hours, after.losses) == (3, 1), "to the middle of the interval of loss"
    assert hazards(found, 3) == [0, 0, 0]


def test_a_removal_counts_on_the_side_that_was_proven() -> None:
    world = cascades(3, CascadeWorld(after=3.0, posts=500))
    found = spread(world.posts, world.counts)
    each = found.each.to_pylist()
    truth = world.truth
    for row, crossed, removed in zip(each, truth.crossed_h, truth.removed_h, strict=True):
        if row["line"] == "crossed":
            assert crossed < removed, "it is said to have crossed, and had been removed before"
            assert row["above_by"] is not None
    rows = {row["finding"]: row for row in found.table().to_pylist()}
    proven = sum(row["line"] == "crossed" for row in each)
    assert rows[CROSSED]["n"] == proven > 30
    assert rows[RATIO]["low"] < 3.0 < rows[RATIO]["high"]
    assert rows[RATIO]["low"] > 1
    assert rows[AFTER]["value"] > 2 * rows[BEFORE]["value"]
    assert f"{proven} of 500 posts: crossed" in found.text()
    assert "associated with" in found.text()
    assert facts(found)["settings"]["threshold"] == "cn-defamation-2013"
    assert "500 reposts" in svg(found.chart())


def test_what_spreads_and_lives_longer_is_not_taken_as_spared() -> None:
    """Posts cross because they live: without a clock that starts at crossing, lines protect."""
    logs, held = [], 0
    for seed in range(12):
        world = cascades(seed, CascadeWorld(posts=400, removal_per_h=0.03, uneven=0.6, most=600))
        found = spread(world.posts, world.counts).table().to_pylist()
        row = next(row for row in found if row["finding"] == RATIO)
        logs.append(np.log(row["value"]))
        held += row["low"] <= 1 <= row["high"]
    assert abs(np.mean(logs)) < 2.5 * np.std(logs) / np.sqrt(len(logs))
    assert held >= 9


def test_posts_that_their_authors_took_down_were_not_removed() -> None:
    posts = table(*(
        gone(f"{cause}{n}", 3, 4, cause, account=f"{n}")
        for cause in ("author", "author,platform", "platform") for n in range(6)
    ))  # fmt: skip
    counts = counted(*(count(name, 5, 7) for name in posts["post"].to_pylist()))
    removed = [
        sum(row["removed"] for row in spread(posts, counts, settings=settings).each.to_pylist())
        for settings in (SpreadSettings(), SpreadSettings(open_too=True))
    ]
    assert removed == [6, 12]


def test_no_cell_tells_of_fewer_than_five_accounts() -> None:
    few = [gone(f"f{n}", 3, 4, "platform", account=f"f{n}") for n in range(4)]
    many = [post(f"m{n}", account=f"m{n}") for n in range(9)]
    counts = counted(*(count(str(row["post"]), 2, 800 if row in few else 3) for row in few + many))
    found = spread(table(*few, *many), counts)
    shown = [row for row in found.table().to_pylist() if row["n"]]
    assert all(row["n"] not in (4, 9) for row in shown), "9 of 13 tells that 4 crossed"
    stories = pa.table({"post": [r["post"] for r in few], "story": ["s"] * 4})
    told = spread(table(*few, *many), counts, stories)
    assert told.stories.to_pylist()[0]["accounts"] == 4
    assert not any(row["n"] for row in told.table().to_pylist() if row["unit"] == "story")


def test_nothing_counted_is_no_error() -> None:
    for posts in (table(), table(post("a"))):
        found = spread(posts, counted())
        assert "No counter of the line" in found.text()
        assert found.chart()["layer"]


def test_input_that_cannot_be_right_is_refused() -> None:
    with pytest.raises(UsageError, match="a post twice"):
        spread(table(post("a"), post("a")), counted())
    with pytest.raises(UsageError, match="upper end below"):
        spread(table(post("a")), counted(count("a", 1, 9, 3)))
    with pytest.raises(UsageError, match="known are cn-defamation-2013"):
        spread(table(), counted(), settings=SpreadSettings(threshold="nowhere"))
    with pytest.raises(UsageError, match="rising order"):
        SpreadSettings(ages_h=(3, 1))


def test_the_line_is_what_the_interpretation_says() -> None:
    line = threshold("cn-defamation-2013")
    assert line.reaches == {"reposts": 500, "views": 5_000}
    assert line.since == date(2013, 9, 10)
    day = 15_958 * DAY  # 10 September 2013
    assert line.in_force(np.asarray([day - 1, day])).tolist() == [False, True]
    assert all(line.source and line.says for line in known().values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("since = 2013-09-10", "since = 2013"), "needs 'since' as a day"),
        (("reposts = 500", "shares = 500"), "with any of reposts, views"),
        (("reposts = 500", "reposts = 0.5"), "not whole"),
        (('country = "CN"', ""), "has no 'country'"),
        (('country = "CN"', 'country = "CN"\ncolour = "red"'), "no key of a threshold"),
    ],
)
def test_a_line_of_another_law_is_checked(change: tuple[str, str], says: str) -> None:
    text = """
[[threshold]]
id = "x"
name = "500 reposts"
country = "CN"
since = 2013-09-10
says = "s"
source = "s"
  [threshold.reaches]
  reposts = 500
"""
    (line,) = parse_thresholds(text)
    assert spread(table(), counted(), None, SpreadSettings("x"), {"x": line}).line is line
    with pytest.raises(UsageError, match=says):
        parse_thresholds(text.replace(*change))
