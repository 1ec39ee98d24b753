"""The plan of a folder: its numbers have their denominators, and it says what it assumes."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tests.publish import planned
from vanished.archive.observatory import Observatory
from vanished.errors import UsageError
from vanished.publish.axis import DELAYS, Axis, amounts, short, spanning
from vanished.publish.characters import graph
from vanished.publish.plan import Plan, make_plan, parse_steps
from vanished.publish.plan_shown import draw, show, svg

DAY_S = 86_400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    planned.make(tmp_path / "o")
    return tmp_path / "o"


def set_to(folder: Path, **lines: str) -> None:
    """Change lines of observatory.toml, by key."""
    file = folder / "observatory.toml"
    text = file.read_text("utf-8").splitlines()
    for key, line in lines.items():
        (place,) = (
            n for n, each in enumerate(text) if each.removeprefix("# ").startswith(f"{key} =")
        )
        text[place] = line
    file.write_text("\n".join(text), "utf-8")


def shown(plan: Plan, rows: int = 20, wide: int = 110) -> str:
    out = io.StringIO()
    show(plan, Console(file=out, width=wide, highlight=False), rows)
    return out.getvalue()


# -- numbers -------------------------------------------------------------------------------


def test_posts_accounts_and_costs_are_counted(folder: Path) -> None:
    plan = make_plan(folder)
    assert (plan.posts, plan.other_posts, plan.of_accounts) == (294, 6, 30)
    assert plan.at == planned.NOW  # not the moment of the question: the watch stopped then
    assert [step.times for step in plan.steps] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert plan.today.budget_per_s == 3.0  # one a second at each of three hosts
    assert plan.lists_per_s == pytest.approx(30 / 300)
    assert sum(place.buys.posts for place in plan.hosts) == 294
    assert sum(place.accounts for place in plan.hosts) == 30
    (both,) = plan.platforms
    assert (both.platform, both.host) == ("mastodon", "all 2 hosts")
    assert both.budget_per_s == 2.0
    for step in plan.steps:
        assert step.buys.requests_per_s + plan.lists_per_s <= step.budget_per_s * (1 + 1e-9)


def test_more_requests_buy_earlier_notice(folder: Path) -> None:
    set_to(folder, per_second="per_second = 0.05")
    plan = make_plan(folder)
    delays = [step.buys.delay_s or 0 for step in plan.steps]
    assert delays == sorted(delays, reverse=True)
    assert delays[0] > 4 * delays[-1] > 0
    hours = [step.buys.within[1] for step in plan.steps if step.buys.within]
    assert hours == sorted(hours)


def test_a_host_has_the_budget_that_the_settings_give_it(folder: Path) -> None:
    set_to(folder, per_second="per_second = 0.5\nper_host = { 'two.example' = 0.125 }")
    plan = make_plan(folder, names=True)
    assert {place.host: place.budget_per_s for place in plan.hosts} == {
        "one.example": 0.5, "two.example": 0.125, "three.example": 0.5,
    }  # fmt: skip
    place = {place.host: place for place in plan.hosts}
    delays = [place[f"{name}.example"].buys.delay_s or 0 for name in ("three", "one", "two")]
    assert delays == sorted(delays)  # posts of three.example share requests


def test_lists_and_canaries_are_paid_first(folder: Path) -> None:
    """Ten lists a host each ten seconds take its whole request a second."""
    set_to(folder, discover_every_s="discover_every_s = 10")
    with Observatory.open(folder, write=True) as observatory:
        for row in observatory.account_rows():
            assert row.track.due - row.track.last_asked_at == 300_000_000
    plan = make_plan(folder)
    assert plan.lists_per_s == pytest.approx(30 / 300)  # as they were dated last: not yet changed
    file = folder / "observatory.toml"
    text = file.read_text("utf-8") + (
        '\n[sources.mastodon]\ncanaries = { alive = ["https://one.example/@a/109372843234567890"],'
        " gone = [] }\n"
    )
    file.write_text(text, "utf-8")
    set_to(folder, per_second="per_second = 0.034")
    plan = make_plan(folder)
    assert plan.canaries_per_s == pytest.approx(1 / 900)
    starved = [place for place in plan.hosts if place.starved]
    assert len(starved) == 1
    assert starved[0].buys.requests_per_s == 0
    assert starved[0].buys.delay_s == 43_200
    assert "At 1 of 3 hosts" in plan.remarks[0]


def test_what_nothing_was_learnt_of_is_called_an_assumption(folder: Path, tmp_path: Path) -> None:
    plan = make_plan(folder)
    assert not plan.learnt
    assert "every number rests on the assumption that 2% of posts are lost" in plan.rests_on
    losses = planned.make(tmp_path / "learnt", answers=60_000)
    assert losses > 30
    plan = make_plan(tmp_path / "learnt")
    assert plan.learnt
    assert plan.losses == pytest.approx(losses)
    assert plan.rests_on == f"Hazards rest on {losses} losses in 60000 looks so far."
    few = planned.make(tmp_path / "few", answers=3000)
    assert 0 < few < 30
    assert "still more on the assumption" in make_plan(tmp_path / "few").rests_on


def test_a_watch_by_age_is_told_that_the_plan_is_of_another_schedule(folder: Path) -> None:
    set_to(folder, census="census = 0.02\nlook_every_s = [[3600, 300]]")
    assert any("look_every_s" in remark for remark in make_plan(folder).remarks)


def test_there_is_nothing_to_plan_for_without_posts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "empty"):
        pass
    with pytest.raises(UsageError, match="nothing to plan for"):
        make_plan(tmp_path / "empty")


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "1e9", "nan", " ".join(map(str, range(1, 40)))]
)
def test_steps_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="multiples"):
        parse_steps(text)


def test_todays_budget_is_always_among_the_steps() -> None:
    assert parse_steps("4, 0.5") == (0.5, 1.0, 4.0)


# -- what is shown -------------------------------------------------------------------------


def test_hosts_have_numbers_unless_names_are_asked_for(folder: Path) -> None:
    hidden, named = make_plan(folder), make_plan(folder, names=True)
    assert ".example" not in shown(hidden) + svg(hidden) + str(hidden.facts())
    assert "one.example" in shown(named)
    assert ".example" not in svg(named)


@pytest.mark.parametrize("wide", [60, 80, 200])
def test_the_text_marks_today_and_names_what_was_counted(folder: Path, wide: int) -> None:
    text = shown(make_plan(folder), wide=wide)
    words = " ".join(text.split())
    assert "294 posts of 30 accounts" in words
    assert "not planned for: 6 posts" in words
    drawn = [line for line in text.splitlines() if "|" in line]
    assert sum(line.count("#") for line in drawn) == 1
    assert sum(line.count("o") for line in drawn) <= 5
    assert max(map(len, text.splitlines())) <= wide


def test_only_as_many_hosts_are_listed_as_asked_for(folder: Path) -> None:
    text = shown(make_plan(folder), rows=1)
    assert "host 1" in text
    assert "host 2" not in text
    assert "and 2 more hosts" in text


def test_the_picture_is_sound_svg_without_anything_to_load(folder: Path, tmp_path: Path) -> None:
    plan = make_plan(folder)
    draw(plan, tmp_path / "plan.svg")
    root = ElementTree.fromstring((tmp_path / "plan.svg").read_text("utf-8"))
    names = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert names == {"svg", "rect", "path", "text", "circle"}
    circles = [each for each in root.iter() if each.tag.endswith("circle")]
    assert len(circles) == len(plan.steps)
    across = [float(each.attrib["cx"]) for each in circles]
    down = [float(each.attrib["cy"]) for each in circles]
    assert across == sorted(across)
    assert down == sorted(down)  # smaller delays stand lower
    assert [each.attrib["r"] for each in circles] == ["4", "4", "6", "4", "4", "4"]


def test_a_picture_overwrites_no_other_file(folder: Path) -> None:
    file = folder / "observatory.toml"
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"\.svg"):
        draw(make_plan(folder), file)
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match="cannot be written"):
        draw(make_plan(folder), folder / "absent" / "plan.svg")


# -- axes ----------------------------------------------------------------------------------


def test_an_axis_reaches_from_mark_to_mark_around_its_values() -> None:
    axis = spanning([70.0, 500.0], DELAYS)
    assert (axis.marks[0][1], axis.marks[-1][1]) == ("1 min", "10 min")
    assert axis.place(60.0) == 0
    assert axis.place(600.0) == pytest.approx(1)
    assert axis.place(60 * 10**0.5) == pytest.approx(0.5)
    alone = spanning([60.0], DELAYS)
    assert 0 < alone.place(60.0) < 1
    assert spanning([1e-9, 1e9], DELAYS) == Axis(DELAYS)


def test_amounts_have_round_marks_and_short_names() -> None:
    marks = spanning([3000.0, 900_000.0], amounts([3000.0, 900_000.0])).marks
    assert [label for _, label in marks] == [
        "2 k", "5 k", "10 k", "20 k", "50 k", "100 k", "200 k", "500 k", "1 M",
    ]  # fmt: skip
    assert [short(x) for x in (0.031, 12, 999.6, 1.23e7)] == ["0.031", "12", "1 k", "12.3 M"]


def test_a_graph_puts_points_where_they_belong() -> None:
    lines = graph(
        [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)], 1, [(0.0, "a"), (1.0, "b")],
        [(0.0, "low"), (1.0, "high")], wide=26, high=13,
    )  # fmt: skip
    assert lines[0] == "high |o"
    assert lines[5].startswith("     |")
    assert lines[5].index("#") - 6 == pytest.approx(9.5, abs=1)
    assert lines[10].startswith(" low |")
    assert lines[10].rindex("o") == 6 + 19
    assert lines[-1].split() == ["a", "b"]
    assert all(len(line) <= 26 for line in lines)
