"""Reach beside removals: spans that were seen, silence that is none, counts with denominators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.explain.test_window import gone, post, table
from vanished.archive import arrow
from vanished.errors import UsageError
from vanished.explain.reach_spans import Seen, spans
from vanished.explain.reach_timeline import ReachTimeline, reach_timeline
from vanished.explain.reach_timeline_chart import MOST
from vanished.model import DAY, HOUR
from vanished.publish.drawing import png, svg
from vanished.reach.rules import Reach
from vanished.reach.series import Dated, Turn, series

NONE = arrow.COVERAGE.empty_table()
NO_LOOKS = arrow.LOOKS.empty_table()
T0 = 20_600 * DAY


def measured(*rows: tuple[float, str, str, str]) -> pa.Table:
    """Days after T0, target, network, state."""
    found = []
    for day, target, network, state in rows:
        stopped = {"blocked": True, "likely_blocked": True, "ok": False}.get(state)
        found.append(
            {
                "at": T0 + int(day * DAY), "target": target, "network": network, "state": state,
                "test": "web_connectivity", "stopped": stopped, "ruleset": "reach/1",
                "layer": "sni" if stopped else None, "mechanism": "reset" if stopped else None,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(found, schema=arrow.MEASUREMENTS)


def line(target: str, days: Sequence[float], states: str, network: str = "AS64500 ZZ") -> list[Any]:
    words = {"b": "blocked", "l": "likely_blocked", "o": "ok", "i": "insufficient", "d": "down",
             "m": "impaired"}  # fmt: skip
    return [(day, target, network, words[s]) for day, s in zip(days, states, strict=True)]


def month(step: float = 1.0) -> list[float]:
    return [n * step for n in range(int(40 / step))]


def world() -> tuple[pa.Table, pa.Table, pa.Table, pa.Table]:
    """Forty days with a block from day 15 to 27, and removals that rise in the same days."""
    rng = np.random.default_rng(8)
    posts = []
    for n in range(900):
        born = rng.uniform(0, 39)
        rate = 0.25 if 15 <= born <= 27 else 0.06
        cause = rng.choice(["platform", "author", "account", "unknown"], p=[0.6, 0.2, 0.1, 0.1])
        first = T0 + int(born * DAY)
        common = {"first_seen_at": first, "published_at": first, "alive_from": first,
                  "account": f"a{n % 40}"}  # fmt: skip
        if rng.random() < rate:
            end = first + int(rng.exponential(18) * HOUR)
            posts.append(
                post(f"p{n}", state="gone", causes=str(cause), alive_until=end,
                     gone_by=end + 2 * HOUR, **common)
            )  # fmt: skip
        else:
            posts.append(post(f"p{n}", alive_until=T0 + 40 * DAY, **common))
    days = month(0.5)
    blocked = "".join("b" if 15 <= day <= 27 else "o" for day in days)
    thirds = "".join("l" if day >= 20 else "o" for day in days)
    rows = line("https://news.example/", days, blocked)
    rows += line("https://news.example/", days, "o" * len(days), "AS64501 ZZ")
    rows += line("https://chat.example/", days, thirds)
    rows += line("https://quiet.example/", [0, 1, 2, 38, 39], "oobbb")
    rows += line("telegram", days, "i" * len(days))
    gaps = pa.Table.from_pylist(
        [{"subject": "watch", "since": T0 + 9 * DAY, "until": T0 + 12 * DAY, "what": "gap",
          "why": ""}],
        schema=arrow.COVERAGE,
    )  # fmt: skip
    looks = pa.Table.from_pylist(
        [{"day": T0 + n * DAY, "looks": 500.0, "failed": 20.0 + 300 * (15 <= n <= 27)}
         for n in range(40)],
        schema=arrow.LOOKS,
    )  # fmt: skip
    return table(*posts), gaps, looks, measured(*rows)


@pytest.fixture(scope="module")
def made() -> ReachTimeline:
    return reach_timeline(*world())


def test_spans_and_changes_are_those_of_reach(made: ReachTimeline) -> None:
    """Two methods that differ would show one block twice, at different times."""
    rows = world()[3].to_pylist()
    dated = [
        Dated(r["target"], r["network"], r["at"], Reach(r["state"]), r["layer"], r["mechanism"])
        for r in rows
    ]
    theirs = {
        (c.target, c.vantage, c.turn is Turn.BEGAN, c.since, c.by, c.before, c.after, c.contrary)
        for one in series(dated)
        for c in one.changes
    }
    ours = {
        (c.target, c.network, c.began, c.begin, c.end, c.before, c.after, c.contrary)
        for c, _ in made.changes
    }
    assert ours == theirs
    assert len(ours) == 3


def test_what_a_series_says_and_where_it_is_silent() -> None:
    days = [0, 1, 2, 3, 4, 5, 6, 7, 50, 51]
    found, changes = spans(measured(*line("t", days, "oobboobill"[:10])))
    assert [(s.seen, (s.begin - T0) // DAY, (s.end - T0) // DAY) for s in found] == [
        (Seen.OPEN, 0, 1), (Seen.BLOCKED, 2, 3), (Seen.OPEN, 4, 5), (Seen.NO_DATA, 5, 50),
        (Seen.LIKELY, 50, 51),
    ]  # fmt: skip
    assert [change.began for change in changes] == [True, False]
    assert found[3].measurements == 2  # a stray that nobody repeated, and one that says nothing


@pytest.mark.parametrize("states", ["iiii", "dddd", "mmmm", "bioi", "b"])
def test_what_says_too_little_is_no_data(states: str) -> None:
    found, changes = spans(measured(*line("t", list(range(len(states))), states)))
    assert ([span.seen for span in found], changes) == ([Seen.NO_DATA], [])


def test_days_carry_losses_by_cause_with_denominators(made: ReachTimeline) -> None:
    rows = [row for row in made.table().to_pylist() if row["row"] == "day"]
    assert len(rows) in (40, 41, 42)
    posts = world()[0]
    lost = {"removed": "platform", "by_author": "author", "with_account": "account",
            "cause_open": "unknown"}  # fmt: skip
    for name, cause in lost.items():
        total = sum(row[name] for row in rows)
        assert total == pytest.approx(posts["causes"].to_pylist().count(cause), abs=1e-6)
    assert all(row["at_risk"] > 0 for row in rows[1:39])
    assert [row["covered"] for row in rows[9:12]] == [0, 0, 0]
    assert (rows[20]["looks"], rows[20]["failed"]) == (500, 320)


def test_what_stands_beside_a_change_is_counted_outside_its_interval() -> None:
    rows = measured(*line("t", [4, 5, 9, 10], "oobb"))
    posts = table(
        post("a", alive_until=T0 + 30 * DAY), *(gone(n, 0, 0, "platform") for n in "bcd")
    ).to_pylist()  # fmt: skip
    for row, day in zip(posts[1:], (4.5, 7, 9.5), strict=True):
        row |= {"alive_until": T0 + int(day * DAY), "gone_by": T0 + int(day * DAY) + HOUR}
    for row in posts:
        row |= {"first_seen_at": T0, "alive_from": T0}
    found = reach_timeline(pa.Table.from_pylist(posts, arrow.POSTS), NONE, NO_LOOKS, rows)
    ((change, beside),) = found.changes
    assert ((change.begin - T0) / DAY, (change.end - T0) / DAY) == (5, 9)
    assert (beside.removed_before, beside.removed_after) == pytest.approx((1, 1))
    # Seven days before day 5 begin before there was any post.
    assert beside.post_days_before == pytest.approx(4 * 5 - 0.5 + 1 / 48, abs=0.02)
    assert beside.post_days_after == pytest.approx(7 + 0.5, abs=0.05)


def test_the_text_never_says_caused(made: ReachTimeline) -> None:
    text = made.text()
    assert "began to be stopped in AS64500 ZZ" in text
    assert "associated with the removals beside them at most" in text
    assert "3 of 40" in text or "3 of 41" in text  # days that nobody covered
    for word in ("because", "led to", "caused by", "due to", "in response"):
        assert word not in text + " ".join(made.caveats)
    assert "measurements say whether" in text


def test_the_chart_holds_every_span_and_says_what_it_leaves_out(made: ReachTimeline) -> None:
    chart = made.chart()
    assert svg(chart).startswith("<svg")
    assert png(chart)[1:4] == b"PNG"
    below = chart["vconcat"][1]["layer"]
    drawn = sum(len(layer["data"]["values"]) for layer in below[:6:2])
    assert drawn == sum(span.seen is not Seen.NO_DATA for span in made.spans)
    many = [row for n in range(MOST + 5) for row in line(f"https://s{n}.example/", [0, 1], "oo")]
    many += line("https://late.example/", [0, 1, 2, 3], "oobb")
    found = reach_timeline(table(post("a")), NONE, NO_LOOKS, measured(*many)).chart()
    assert "6 more targets in networks are not drawn" in " ".join(found["title"]["subtitle"])
    assert "late.example" in json.dumps(found["vconcat"][1]), "what changed is drawn first"


def test_nothing_measured_is_said() -> None:
    with pytest.raises(UsageError, match="reach keep"):
        reach_timeline(table(post("a")), NONE, NO_LOOKS, arrow.MEASUREMENTS.empty_table())


def test_measurements_without_any_post_are_shown() -> None:
    found = reach_timeline(table(), NONE, NO_LOOKS, measured(*line("t", [0, 1], "bb")))
    assert svg(found.chart()).startswith("<svg")
    assert [day.at_risk for day in found.days] == [0, 0]
