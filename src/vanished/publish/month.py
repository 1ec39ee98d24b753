"""The full report: every analysis over one window of time, one after the other, on one page.

In: an observatory's folder, a window, choices. Out: the text of an HTML page. Each part takes the
tables that it needs and lets them go; one that cannot be made says why, and the others are made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from vanished.errors import UsageError
from vanished.explain.campaigns import campaigns
from vanished.explain.events import EventSettings, events
from vanished.explain.overview import overview
from vanished.explain.reach_timeline import reach_timeline
from vanished.explain.result import Result
from vanished.explain.speed import By, SpeedSettings, speed
from vanished.explain.spread import SpreadSettings, spread
from vanished.explain.stories import stories
from vanished.explain.terms import Terms, terms
from vanished.explain.thresholds import threshold
from vanished.explain.who import who
from vanished.explain.window import Window
from vanished.model import at
from vanished.publish.full_report import Part, page
from vanished.publish.past import Past, past_of
from vanished.publish.planned import calendar, registered

SEALED: Final = (
    "The words of posts are sealed on this machine. Make this report from a readable copy"
    " (vanished unseal), where the identity is."
)
FEW: Final = "Nothing was lost in this window, so there is nothing to explain."


@dataclass(frozen=True, slots=True)
class MonthSettings:
    """What the report is about, beside the window."""

    title: str = ""
    calendar: str = "china-yearly"
    kinds: pa.Table | None = None  # of accounts, as the user labels them
    events: EventSettings = field(default_factory=EventSettings)


@dataclass(slots=True)
class Made:
    """What parts hand on to later ones: posts of the window, the story of each, terms."""

    posts: pa.Table
    stories: pa.Table | None = None
    terms: Terms | None = None


Make = Callable[[Past, "Made"], Result]


@dataclass(frozen=True, slots=True)
class _Recipe:
    name: str
    title: str
    question: str
    columns: Sequence[str]
    make: Make
    words: bool = False  # needs the words of posts


def make_month(
    folder: Path,
    window: Window,
    settings: MonthSettings,
    told: Callable[[str, float], None] = lambda name, seconds: None,
) -> str:
    """The page. `told` hears of each part with its seconds. Raises UsageError as `past_of` does."""
    with past_of(folder, window) as past:
        made = Made(past.posts())
        parts = [*make_parts(folder, past, made, settings, told)]
        return page(past.observatory, _title(settings, window, made.posts), _said(window), parts)


def make_parts(
    folder: Path,
    past: Past,
    made: Made,
    settings: MonthSettings,
    told: Callable[[str, float], None] = lambda name, seconds: None,
) -> Iterator[Part]:
    """Every analysis of `past`, one after the other, so that one can let the last one go.

    `made.posts` are the posts of its window. Raises UsageError where there is none.
    """
    window, chosen = past.window, calendar(settings.calendar)
    if not made.posts.num_rows:
        raise UsageError("No post was met in this window; choose another, or watch first.")
    of = replace(
        settings.events, platforms=tuple(sorted(window.platforms)), since=window.since,
        until=window.until,
    )  # fmt: skip
    plan = registered(folder, chosen, of)

    def of_events(past: Past, made: Made) -> Result:
        return events(made.posts, past.coverage(), chosen, of, registered=plan)

    def of_who(past: Past, made: Made) -> Result:
        return who(made.posts, past.accounts(), settings.kinds)

    for recipe in _recipes(of_events, of_who):
        yield _part(recipe, past, made, told)


def _part(recipe: _Recipe, past: Past, made: Made, told: Callable[[str, float], None]) -> Part:
    begun = time.monotonic()
    result, why_not = None, ""
    if recipe.words and past.sealed:
        why_not = SEALED
    else:
        try:
            result = recipe.make(past, made)
        except UsageError as error:  # too little to say anything, which is no failure of the rest
            why_not = str(error)
    seconds = time.monotonic() - begun
    told(recipe.name, seconds)
    return Part(
        recipe.name, recipe.title, recipe.question, recipe.columns, result, why_not, seconds
    )


def _stories(past: Past, made: Made) -> Result:
    found = stories(made.posts, past.pictures(made.posts))
    made.stories = found.members()
    return found


def _terms(past: Past, made: Made) -> Result:
    made.terms = terms(made.posts, made.stories)
    return made.terms


def _combinations(past: Past, made: Made) -> Result:
    if made.terms is None or made.terms.combinations is None:
        raise UsageError("Terms could not be compared, so their combinations were not.")
    return made.terms.combinations


def _timeline(past: Past, made: Made) -> Result:
    measured = past.measurements()
    looks = past.looks(made.posts if measured.num_rows else made.posts.slice(0, 0))
    return reach_timeline(made.posts, past.coverage(), looks, measured)


def _recipes(of_events: Make, of_who: Make) -> list[_Recipe]:
    """The parts in their order: what needs most memory comes while little is held."""
    share = ("share", "low", "high")
    return [
        _Recipe(
            "overview", "What was watched, and what was lost", "How much was lost, and to whom?",
            ("platform", "posts", "accounts", "lost", "lost_share", "lost_low", "lost_high",
             "by_platform_or_law", "with_the_account", "by_the_author", "cause_open"),
            lambda past, made: overview(made.posts),
        ),
        _Recipe(
            "spread", "How far it spread", "Did posts vanish before or after many had seen them?",
            ("unit", "finding", "measure", "n", "of", "value", "low", "high", "p"),
            lambda past, made: spread(
                made.posts, past.counts(made.posts, threshold(SpreadSettings().threshold).reaches)
            ),
        ),
        _Recipe(
            "speed", "How fast it went", "How long do posts live, and who ends them?",
            ("group", "cause", "age_h", "at_risk", "losses", "share", "low", "high", "fit"),
            lambda past, made: speed(made.posts, settings=SpeedSettings(by=By.ALL)),
        ),
        _Recipe(
            "stories", "Which stories", "What was told by several accounts, and what of it went?",
            ("text", "posts", "accounts", "tellings", "first", "last", "lost", "removed", *share),
            _stories, words=True,
        ),
        _Recipe(
            "terms", "Which words", "Which strings go with removal?",
            ("term", "forms", "posts", "accounts", "removed", *share, "log_odds", "q"),
            _terms, words=True,
        ),
        _Recipe(
            "combinations", "Which words together", "Which combinations, beyond their parts?",
            ("combination", "posts", "accounts", "removed", *share, "explained", "q"),
            _combinations, words=True,
        ),
        _Recipe(
            "campaigns", "Which campaigns", "When did removals rise, and against what?",
            ("kind", "begin", "end", "targets", "posts", "removed", "accounts", "share",
             "control_share", "rise", "rise_low", "rise_high", "beside_gap"),
            lambda past, made: campaigns(
                made.posts, past.coverage(), past.accounts(), made.stories
            ),
        ),
        _Recipe(
            "events", "With which events", "Was more removed around events that were named before?",
            ("row", "name", "begin", "end", "days_inside", "rate_inside", "rate_else", "ratio",
             "low", "high", "p_shift", "p_block", "q", "higher"),
            of_events,
        ),
        _Recipe(
            "timeline", "Beside which blocks", "What did networks stop in the same days?",
            ("row", "begin", "end", "target", "network", "state", "layer", "mechanism",
             "measurements", "contrary", "removed_before", "post_days_before", "removed_after",
             "post_days_after"),
            _timeline,
        ),
        _Recipe(
            "who", "How it was spread over accounts", "Do few bear most, and what follows?",
            ("row", "name", "accounts", "posts", "removed", "value", "low", "high", "p"),
            of_who,
        ),
    ]  # fmt: skip


def _title(settings: MonthSettings, window: Window, posts: pa.Table) -> str:
    if settings.title:
        return settings.title
    first = window.since
    if first is None:
        first = min(posts["first_seen_at"].to_pylist())
    return f"What vanished: {at(first):%B %Y}"


def _said(window: Window) -> str:
    since = "the beginning" if window.since is None else f"{at(window.since):%Y-%m-%d}"
    until = "now" if window.until is None else f"before {at(window.until):%Y-%m-%d}"
    where = f", on {', '.join(window.platforms)}" if window.platforms else ""
    return f"Posts first met from {since} to {until}{where}, as things stood at the end."
