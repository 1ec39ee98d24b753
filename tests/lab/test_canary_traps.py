"""Lies that the judge's own patience cannot outlast, and what each defence is worth alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.test_canary_bar import outcome
from vanished.lab.vantages import HERE, Lie
from vanished.lab.world import World
from vanished.model import DAY, HOUR


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(5, days=6, accounts=8, posts_per_day=24.0)


def test_a_platform_that_calls_everything_gone_for_half_a_day(tmp_path: Path, world: World) -> None:
    """From every vantage at once, for longer than any burst that the judge allows for."""
    begin = world.start + 2 * DAY
    lies = [Lie(1.0, since=begin, until=begin + 14 * HOUR)]
    guarded = outcome(tmp_path / "guarded", world, lies, two=False)
    bare = outcome(tmp_path / "bare", world, lies, two=False, canaries=False)
    print(f"with canaries: {guarded.text()}\nwithout: {bare.text()}")
    assert guarded.false == []
    assert guarded.score.posts.noticed_share >= 0.95
    assert guarded.score.posts.wrong_interval == ()
    assert len(bare.false) > 20  # else the trap would be none


def test_the_same_posts_are_always_denied_from_one_vantage(tmp_path: Path, world: World) -> None:
    """As a country's block or a lost replica does it: no canary need be among them."""
    lies = [Lie(0.1, HERE, by_post=True)]
    both = outcome(tmp_path / "both", world, lies)
    one = outcome(tmp_path / "one", world, lies, two=False)
    print(f"two vantages: {both.text()}\none: {one.text()}")
    assert both.false == []
    assert both.score.posts.noticed_share >= 0.95
    assert len(one.false) > 5
