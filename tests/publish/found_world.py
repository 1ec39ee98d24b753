"""Findings that say much: real analyses of the worlds that their own tests use.

In: a folder that has a shelf. Out: a generation of findings in it, made of parts as `publish.month`
makes them, each with something found. All posts are in Chinese, so that an English word on a
Chinese page is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.explain import test_campaigns, test_events, test_reach_timeline, test_terms, test_who
from tests.publish import desk_world
from vanished.errors import UsageError
from vanished.explain.campaigns import campaigns
from vanished.explain.events import EventSettings, events
from vanished.explain.overview import overview
from vanished.explain.reach_timeline import reach_timeline
from vanished.explain.result import Result
from vanished.explain.speed import speed
from vanished.explain.spread import spread
from vanished.explain.stories import stories
from vanished.explain.who import who
from vanished.lab.cascades import cascades
from vanished.publish.findings import About, Generation
from vanished.publish.full_report import Part
from vanished.publish.month import SEALED, _recipes
from vanished.publish.shelf.layout import making

OF_OTHERS: Final = ("A summit", "AS64500 ZZ", "AS64501 ZZ", "telegram")
"""English words of these worlds that are not ours: a user's event, networks, a target."""


def results() -> dict[str, Result]:
    """Each analysis, with something to say."""
    storm = test_campaigns.world(3, storm=0.2, named=0.6)
    nobody = test_campaigns.NO_GAPS
    found, spread_out = test_terms.found(), cascades(1)
    assert found.combinations is not None
    return {
        "overview": overview(storm),
        "spread": spread(spread_out.posts, spread_out.counts),
        "speed": speed(storm),
        "stories": stories(test_terms.world().posts),
        "terms": found,
        "combinations": found.combinations,
        "campaigns": campaigns(storm, nobody, test_campaigns.NO_ACCOUNTS),
        "events": events(storm, nobody, test_events.STORM, EventSettings(0, 0)),
        "timeline": reach_timeline(*test_reach_timeline.world()),
        "who": who(test_who.ORDINARY.posts, test_who.ORDINARY.accounts, settings=test_who.QUICK),
    }


def keep(folder: Path, *, sealed: bool = False) -> None:
    """Put them beside the shelf of `folder`; or, where all is sealed, why there are none."""
    generation = Generation(making(folder))
    made = {} if sealed else results()
    for recipe in _recipes(_never, _never):
        generation.add(
            Part(
                recipe.name, recipe.title, recipe.question, recipe.columns, made.get(recipe.name),
                SEALED if sealed else "",
            )
        )  # fmt: skip
    now = desk_world.START
    generation.keep(folder, About("o", 1, now, now, now, generation.names, 1.0))


def _never(past: object, made: object) -> Result:
    raise UsageError("This is not asked for here.")
