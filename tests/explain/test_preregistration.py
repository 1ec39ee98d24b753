"""A test is called planned only if the log committed to this plan, whole, and not another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.explain.test_campaigns import BEGIN, NO_GAPS, world
from tests.explain.test_events import CALM, STORM
from vanished.archive.capture import Statement
from vanished.archive.capture.manifest import SALT_BYTES, entry
from vanished.archive.making import make
from vanished.archive.observatory import Observatory
from vanished.archive.preregistering import WHAT, preregister, stated
from vanished.archive.proof import LOG, STATEMENTS
from vanished.archive.verify import verify
from vanished.errors import DamagedError, UsageError
from vanished.explain.events import EventSettings, events, plan_of
from vanished.explain.preregistration import Registered
from vanished.model import DAY

OTHER: dict[str, Any] = {
    "before_days": 3, "after_days": 3, "platforms": ("lab",), "topic": ("x",), "since": 1,
    "until": 2, "compare": (("x",),), "alpha": 0.01, "block_days": 7, "resamples": 199,
    "at_risk": 5, "shifted_days": (91,), "placebos": ("web",), "open_too": True, "seed": 2,
}  # fmt: skip


def test_a_plan_in_the_log_is_told_from_an_exploration(tmp_path: Path) -> None:
    settings = EventSettings(resamples=199)
    plan = plan_of(STORM, settings)
    assert plan.sha256 != plan_of(CALM, settings).sha256
    make(tmp_path / "o", [], seal=False)
    with Observatory.open(tmp_path / "o", write=True) as observatory:
        assert stated(observatory.folder, plan.json()) is None
        leaf, at = preregister(observatory, plan.json(), BEGIN - DAY)
        assert preregister(observatory, plan.json(), BEGIN) == (leaf, at), "stated once"
    assert stated(tmp_path / "o", plan.json()) == (leaf, BEGIN - DAY)
    assert stated(tmp_path / "o", plan.json() + " ") is None
    assert verify(tmp_path / "o", key=None, identities=None, roots=[]).sound
    posts = world(3, posts=800)
    for registered, said in (
        (None, "Exploratory"),
        (Registered(leaf, BEGIN - DAY, plan.sha256), "Planned before the days"),
        (Registered(leaf, BEGIN + 40 * DAY, plan.sha256), "after some of the days"),
    ):  # fmt: skip
        assert said in events(posts, NO_GAPS, STORM, settings, registered=registered).text()


def test_no_choice_can_be_made_after_the_plan() -> None:
    fields = {field.name for field in dataclasses.fields(EventSettings)}
    assert fields == set(OTHER), "a new setting belongs to the plan, and into this test"
    plan = plan_of(STORM, EventSettings())
    for name, value in OTHER.items():
        changed = dataclasses.replace(EventSettings(), **{name: value})
        assert plan_of(STORM, changed).sha256 != plan.sha256, name


def test_the_place_of_another_plan_is_refused() -> None:
    other = plan_of(CALM, EventSettings())
    registered = Registered(7, BEGIN - DAY, other.sha256)
    with pytest.raises(UsageError, match="Leaf 7 of the log states the plan"):
        events(world(3, posts=200), NO_GAPS, STORM, registered=registered)


def test_a_statement_that_the_log_did_not_commit_to_is_no_plan(tmp_path: Path) -> None:
    plan = plan_of(STORM, EventSettings()).json()
    make(tmp_path / "o", [], seal=False)
    with Observatory.open(tmp_path / "o", write=True) as observatory:
        leaf, _ = preregister(observatory, "another plan", BEGIN)
    folder = tmp_path / "o" / LOG / STATEMENTS
    honest = (folder / f"{leaf:012d}.json").read_bytes()

    def put(index: int, name: int) -> Path:
        forged = Statement(index, BEGIN - 400 * DAY, WHAT, {"plan": plan})
        path = folder / f"{name:012d}.json"
        path.write_bytes(entry(bytes(SALT_BYTES), forged.to_bytes()))
        return path

    put(leaf, 99).unlink()
    for index, name in ((leaf, leaf), (leaf, 99)):  # in place of the honest one, and beside it
        path = put(index, name)
        with pytest.raises(DamagedError, match="the log did not commit to it"):
            stated(tmp_path / "o", plan)
        path.unlink()
        (folder / f"{leaf:012d}.json").write_bytes(honest)
    put(99, 99)
    assert stated(tmp_path / "o", plan) is None, "beyond the checkpoint nothing is stated yet"


def test_a_planned_placebo_cannot_be_dropped() -> None:
    posts, settings = world(3, posts=800), EventSettings(resamples=199, placebos=("web",))
    registered = Registered(1, BEGIN - DAY, plan_of(STORM, settings).sha256)
    with pytest.raises(UsageError, match="names the placebos web"):
        events(posts, NO_GAPS, STORM, settings, registered=registered)
    tested = events(posts, NO_GAPS, STORM, settings, registered=registered, placebos={"web": posts})
    assert "Planned before the days" in tested.text()
