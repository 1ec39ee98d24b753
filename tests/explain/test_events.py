"""An event that goes with removals is found; days that hang together are no event."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from tests.explain.test_campaigns import BEGIN, NO_GAPS, world
from tests.explain.test_window import table
from vanished.errors import UsageError
from vanished.explain.calendar import (
    Calendar,
    builtin,
    builtin_text,
    days,
    parse_calendar,
)  # fmt: skip
from vanished.explain.events import EventSettings, events
from vanished.explain.shift_tests import permutation_test
from vanished.lab.tense_series import tense_series
from vanished.model import DAY

EVENT = """
[[event]]
id = "{id}"
name = "A summit"
begin = {begin}
end = {end}
kind = "summit"
place = "Qinglan"
why = "It is invented."
source = "this test"
"""
FIRST = date(2024, 10, 4)  # the day of BEGIN


def calendar(begin: str, end: str, id_: str = "a") -> Calendar:
    return parse_calendar(EVENT.format(id=id_, begin=begin, end=end), "the test's calendar")


STORM = calendar("2024-11-01", "2024-11-07")  # days 28 to 34, as in `world`
CALM = calendar("2024-10-15", "2024-10-21")


def test_series_that_remember_keep_the_level_and_show_an_effect() -> None:
    rng = np.random.default_rng(1)
    wrong = right = 0
    for _ in range(250):
        values, inside = tense_series(rng, 0)
        found = permutation_test(values, inside, rng, resamples=399)
        assert found is not None
        wrong += found.p <= 0.05
    for _ in range(100):
        values, inside = tense_series(rng, 0.6)
        found = permutation_test(values, inside, rng, resamples=399)
        assert found is not None
        right += found.p <= 0.05
    assert 4 <= wrong <= 20, "of 250 without an effect"
    assert right >= 52, "of 100 with one"


def test_a_test_without_two_sides_says_nothing() -> None:
    rng = np.random.default_rng(1)
    assert permutation_test([1.0, 2.0], [True, True], rng) is None
    assert permutation_test([np.nan, 2.0], [True, False], rng) is None
    found = permutation_test([0.0] * 30 + [5.0] * 5 + [0.0] * 30, [False] * 30 + [True] * 5 +
                             [False] * 30, rng)  # fmt: skip
    assert found is not None
    assert found.difference == pytest.approx(5)
    assert found.shift == pytest.approx(1 / 65)
    assert found.days == (5, 60)


def test_an_event_with_more_removals_is_associated_and_one_without_is_not() -> None:
    posts = world(3, storm=0.12)
    settings = EventSettings(before_days=0, after_days=0, resamples=499)
    found = events(posts, NO_GAPS, STORM, settings)
    whole, single = found.table().to_pylist()
    assert (whole["row"], single["row"]) == ("all events", "event")
    assert whole["higher"]
    assert whole["ratio"] > 2
    assert "Removals were associated with the events" in found.text()
    calm = events(posts, NO_GAPS, CALM, settings)
    assert not calm.table().to_pylist()[0]["higher"]
    assert "were not shown to be associated" in calm.text()
    assert "caused" not in found.text()
    assert len(found.chart()["layer"]) == 2


def test_more_posts_of_accounts_that_are_always_removed_are_no_effect() -> None:
    rng, rows = np.random.default_rng(4), []
    for row in world(4, posts=5000).to_pylist():
        during = 28 * DAY <= row["published_at"] - BEGIN < 35 * DAY
        risky = rng.random() < (0.6 if during else 0.1)
        lost = rng.random() < (0.25 if risky else 0.02)
        born = row["published_at"]
        rows.append(row | {
            "account": f"risky{rng.integers(9)}" if risky else row["account"],
            "state": "gone" if lost else "alive", "causes": "platform" if lost else "",
            "gone_by": born + DAY // 2 if lost else None,
            "alive_until": born + DAY // 3 if lost else BEGIN + 70 * DAY,
        })  # fmt: skip
    found = events(table(*rows), NO_GAPS, STORM, EventSettings(before_days=0, after_days=0))
    whole = found.table().to_pylist()[0]
    # As they are, 3.7 times as many posts are removed: who writes has changed, nothing else.
    assert whole["low"] < 1 < whole["high"]
    assert not whole["higher"]


def test_moved_events_are_no_more_often_associated_than_chance_allows() -> None:
    settings = EventSettings(0, 0, resamples=199, shifted_days=(-21, 21))
    placebos = [
        row["higher"]
        for seed in range(12)
        for row in events(world(seed, posts=1500, storm=0.12), NO_GAPS, STORM, settings)
        .table()
        .to_pylist()
        if row["row"] == "placebo"
    ]
    assert len(placebos) == 24
    assert sum(placebos) <= 4


def test_topics_are_compared_with_their_like() -> None:
    rng, rows = np.random.default_rng(5), []
    for row in world(5, posts=5000).to_pylist():
        during = 28 * DAY <= row["published_at"] - BEGIN < 35 * DAY
        touchy = rng.random() < (0.6 if during else 0.1)
        lost = rng.random() < (0.25 if touchy else 0.02)
        born = row["published_at"]
        rows.append(row | {
            "text": "harbour" if touchy else "weather", "state": "gone" if lost else "alive",
            "causes": "platform" if lost else "", "gone_by": born + DAY // 2 if lost else None,
            "alive_until": born + DAY // 3 if lost else BEGIN + 70 * DAY,
        })  # fmt: skip
    posts = table(*rows)
    mixed = events(posts, NO_GAPS, STORM, EventSettings(0, 0)).table().to_pylist()[0]
    alike = EventSettings(0, 0, compare=(("harbour",),))
    whole = events(posts, NO_GAPS, STORM, alike).table().to_pylist()[0]
    assert mixed["low"] > 2, "every account writes of it, so accounts alone do not explain it"
    assert whole["low"] < 1 < whole["high"]
    assert not whole["higher"]


def test_settings_cut_the_posts_so_that_a_plan_binds() -> None:
    posts = world(3, posts=1500)
    middle = BEGIN + 20 * DAY
    cut = events(posts, NO_GAPS, STORM, EventSettings(since=middle, until=middle + 30 * DAY))
    assert 0 < cut.basis.posts < 1500
    assert cut.basis.since is not None
    assert cut.basis.since >= middle
    assert events(posts, NO_GAPS, STORM, EventSettings(platforms=("none",))).basis.posts == 0
    assert events(posts, NO_GAPS, STORM, EventSettings(topic=("no such word",))).basis.posts == 0


def test_every_row_has_its_counts_and_an_interval() -> None:
    settings = EventSettings(0, 0, shifted_days=(21,))
    found = events(world(3, storm=0.12), NO_GAPS, STORM, settings).table().to_pylist()
    whole = found[0]
    assert whole["low"] < whole["ratio"] < whole["high"]
    assert whole["removed_inside"] + whole["removed_else"] > 100
    assert whole["at_risk_inside"] > whole["removed_inside"]
    assert whole["ratio"] == pytest.approx(whole["rate_inside"] / whole["rate_else"])
    placebo = found[-1]
    assert [row["row"] for row in found] == ["all events", "event", "placebo"]
    days_of = [row["days_inside"] + row["days_else"] for row in (whole, placebo)]
    assert days_of[0] - days_of[1] == whole["days_inside"], "a placebo's others are no event"


def test_few_accounts_are_never_shown_and_lists_of_losses_are_refused() -> None:
    posts = world(3, posts=1500, storm=0.12)
    four = np.asarray([int(name[1:]) % 4 for name in posts["account"].to_pylist()])
    place = posts.schema.get_field_index("account")
    few = posts.set_column(place, "account", pa.array([f"a{n}" for n in four]))
    found = events(few, NO_GAPS, STORM, EventSettings(0, 0))
    assert found.table().num_rows == 0
    assert all(row["n"] is None for row in found.chart()["data"]["values"])
    lost = posts.filter(pa.array(np.asarray(posts["state"].to_pylist()) == "gone"))
    with pytest.raises(UsageError, match="Only losses are known"):
        events(lost, NO_GAPS, STORM)


def test_a_series_too_short_to_show_anything_says_so() -> None:
    posts = world(3, posts=900, days=17)
    found = events(posts, NO_GAPS, CALM, EventSettings(0, 0))
    text = " ".join(found.caveats)
    assert "too few for the shift test" in text
    assert "No placebo could be tested" in text


def test_a_placebo_that_shows_the_same_is_said() -> None:
    posts = world(3, storm=0.12)
    found = events(posts, NO_GAPS, STORM, EventSettings(before_days=0, after_days=0),
                   placebos={"another platform": posts})  # fmt: skip
    assert "Placebos show the same" in found.text()
    assert "another platform" in found.text()


def test_calendars_that_come_along_are_facts_with_sources() -> None:
    assert builtin() == ["china-2014-may", "china-yearly"]
    for name in builtin():
        found = parse_calendar(builtin_text(name), name)
        assert all(event.source and event.why for event in found.events)
    may = parse_calendar(builtin_text("china-2014-may"), "may")
    within = may.within(date(2014, 5, 1), date(2014, 6, 30))
    assert [e.id for e in within[:3]] == ["labour-day", "may-fourth", "cica-summit"]
    assert "instant-messaging-campaign" in [e.id for e in within]
    yearly = parse_calendar(builtin_text("china-yearly"), "yearly")
    assert [e.id for e in yearly.within(date(2018, 5, 1), date(2019, 6, 30))] == [
        "june-fourth-2018", "july-first-2018", "national-day-2018", "two-sessions-2019",
        "june-fourth-2019",
    ]  # fmt: skip
    assert days(within[2], 7, 14) == (date(2014, 5, 13), date(2014, 6, 4))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[event", "is no TOML"), ("about = 'x'", r"has no \[\[event\]\]"),
        (EVENT.format(id="a", begin='"x"', end="2024-01-01"), "begin is 'x'; write a date"),
        (EVENT.format(id="a", begin="2024-01-02", end="2024-01-01"), "ends before it begins"),
        (EVENT.format(id="", begin="2024-01-02", end="2024-01-03"), "has no id"),
        (EVENT.format(id="a", begin="2024-01-02", end="2024-01-03") * 2, "have the id 'a'"),
        ("yearly = true" + EVENT.format(id="a", begin='"02-31"', end='"03-01"'), "month and day"),
    ],
)  # fmt: skip
def test_a_wrong_calendar_is_refused_in_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_calendar(text, "calendar.toml")
    with pytest.raises(UsageError, match="known are china-2014-may"):
        builtin_text("other")
    with pytest.raises(UsageError, match="Days before and after"):
        EventSettings(before_days=-1)
    with pytest.raises(UsageError, match="Blocks have a day"):
        EventSettings(block_days=0)


def test_a_yearly_event_of_29_february_keeps_its_day_in_a_leap_year() -> None:
    text = "yearly = true" + EVENT.format(id="a", begin='"02-29"', end='"03-01"')
    found = parse_calendar(text, "calendar.toml").within(date(2023, 1, 1), date(2024, 12, 31))
    assert [e.begin for e in found] == [date(2023, 2, 28), date(2024, 2, 29)]


def test_nothing_is_no_error() -> None:
    found = events(table(), NO_GAPS, STORM)
    assert found.table().num_rows == 0
    assert isinstance(found.table(), pa.Table)
    assert found.text().startswith("No day lies in a window")
    assert found.chart()["layer"]
