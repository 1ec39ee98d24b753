"""Commands that explain: one an analysis, all with the same options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

from vanished.cli.app import Folder, Json, app, err, out, read_text, say

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from vanished.explain.result import Result
    from vanished.explain.window import Window
    from vanished.publish.past import Past

explain = typer.Typer(
    help="Why posts vanish: findings from the past, with denominators.", no_args_is_help=True
)
app.add_typer(explain, name="explain")

Since = Annotated[str | None, typer.Option(help="Only posts first met since this UTC date.")]
Until = Annotated[
    str | None,
    typer.Option(help="As things stood before this UTC date; later losses are not seen."),
]
Platform = Annotated[list[str] | None, typer.Option(help="Only this platform; may be repeated.")]
Chart = Annotated[Path | None, typer.Option(help="Draw the chart into this .svg or .png.")]
Save = Annotated[
    Path | None, typer.Option(help="Write the whole table to this .csv, .jsonl or .parquet.")
]
Rows = Annotated[int, typer.Option(min=0, help="How many rows of the table to print.")]


def past(
    folder: Path, since: str | None, until: str | None, platform: list[str] | None
) -> AbstractContextManager[Past]:
    """The past of a folder within what the options say."""
    from vanished.publish.past import need_extra, past_of

    need_extra()
    return past_of(folder, window_of(since, until, platform))


def window_of(since: str | None, until: str | None, platform: list[str] | None) -> Window:
    """What the options say of time and place."""
    from vanished.explain.window import Window
    from vanished.publish.moments import parse_moment

    return Window(
        parse_moment(since, "--since"),
        parse_moment(until, "--until"),
        tuple(sorted(platform or ())),
    )


def tell(result: Result, chart: Path | None, save: Path | None, rows: int, as_json: bool) -> None:
    """Print a result, and write the files that were asked for."""
    from vanished.publish import finding_shown as shown
    from vanished.publish.drawing import draw

    if chart is not None:
        draw(result.chart(), chart)
    if save is not None:
        shown.save(result, save)
    if as_json:
        typer.echo(shown.print_facts(result))
    else:
        shown.show(result, out, rows)


def stories_of(past: Past, posts: pa.Table, each: bool) -> pa.Table | None:
    """Which posts tell one story, so that copies count once; None where each post is to count."""
    if each:
        return None
    from vanished.explain.stories import stories

    return stories(posts, past.pictures(posts)).members()


def words_of(past: Past) -> None:
    """Complain where the words of posts are sealed: an analysis of words would find nothing."""
    if past.sealed:
        err.print(
            "The words of posts are sealed on this machine, so nothing can be said of them; where"
            " the identity is, vanished unseal makes a readable copy.",
            style="yellow",
        )


Topic = Annotated[
    list[str] | None,
    typer.Option(help="A topic by its words, 'NAME=word|word'; may be repeated."),
]
EachPost = Annotated[
    bool, typer.Option("--each-post", help="Count each post; without, copies of a story once.")
]
OpenToo = Annotated[
    bool, typer.Option(help="Count losses of an open cause as removed, to see what that changes.")
]


Analysis = Callable[..., "Result"]
_CHECKED_ONLY: Final = {"Past": object, "Result": object}


def analysis(name: str, example: str) -> Callable[[Analysis], Analysis]:
    """Make a command `vanished explain NAME` of a function from an opened past to a result.

    The function's own options come after the folder; those that all analyses have, the window, the
    chart, the files and the form of the answer, are added here.
    """

    def command(function: Analysis) -> Analysis:
        def run(
            folder: Folder = Path(),
            since: Since = None,
            until: Until = None,
            platform: Platform = None,
            chart: Chart = None,
            save: Save = None,
            rows: Rows = 20,
            as_json: Json = False,
            **options: Any,
        ) -> None:
            with past(folder, since, until, platform) as opened:
                result = function(opened, **options)
            tell(result, chart, save, rows, as_json)

        own, common = _parameters(function)[1:], _parameters(run)[:-1]
        asked = [common[0], *own, *common[1:]]
        run.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in asked}
        run.__doc__ = function.__doc__
        explain.command(name, epilog=f"Example: vanished explain {example}")(run)
        return function

    return command


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's parameters with their types, not the words for them. Names that only a type
    checker imports stand for anything: importing them would slow down every command."""
    types = get_type_hints(function, localns=_CHECKED_ONLY, include_extras=True)
    found = inspect.signature(function).parameters.values()
    return [each.replace(annotation=types[each.name]) for each in found]


@analysis("overview", "overview --since 2026-11-01")
def overview(opened: Past) -> Result:
    """What was watched and what was lost, by platform and cause, with intervals."""
    from vanished.explain.overview import overview as analyse

    return analyse(opened.posts())


@analysis("speed", "speed --by platform --chart speed.svg")
def speed(
    opened: Past,
    by: Annotated[
        str, typer.Option(help="all, platform, account (for eyes inside the team), topic or week.")
    ] = "all",
    topic: Topic = None,
    open_too: OpenToo = False,
) -> Result:
    """How long posts live: cumulative incidence of each cause, with what the looks leave open."""
    from vanished.explain.speed import By, SpeedSettings
    from vanished.explain.speed import speed as analyse
    from vanished.publish.chosen import one_of, topics_of

    posts = opened.posts()
    settings = SpeedSettings(by=one_of(By, by, "--by"), open_too=open_too)
    return analyse(posts, topics_of(posts, topic), settings)


@analysis("terms", "terms --save terms.csv")
def terms(
    opened: Past,
    open_too: OpenToo = False,
    each: EachPost = False,
) -> Result:
    """Which strings go with removal, against surviving posts of the same accounts and weeks."""
    words_of(opened)
    from vanished.explain.screen import ScreenSettings
    from vanished.explain.terms import TermSettings
    from vanished.explain.terms import terms as analyse

    posts = opened.posts()
    settings = TermSettings(ScreenSettings(open_too=open_too))
    return analyse(posts, stories_of(opened, posts, each), settings)


@analysis("combinations", "combinations")
def combinations(
    opened: Past,
    open_too: OpenToo = False,
    each: EachPost = False,
) -> Result:
    """Which pairs and triples of strings go with removal beyond what their parts explain."""
    words_of(opened)
    from vanished.explain.combinations import CombinationSettings
    from vanished.explain.combinations import combinations as analyse
    from vanished.explain.screen import ScreenSettings

    posts = opened.posts()
    settings = CombinationSettings(ScreenSettings(open_too=open_too))
    return analyse(posts, stories_of(opened, posts, each), settings)


@analysis("deletion-rate", "deletion-rate --word dam")
def deletion_rate(
    opened: Past,
    word: Annotated[
        list[str] | None,
        typer.Option(help="A term to test; may be repeated. Without: all strings."),
    ] = None,
) -> Result:
    """The deletion rate of terms, as Bamman, O'Connor and Smith (2012) count it."""
    words_of(opened)
    from vanished.explain.deletion_rate import deletion_rates

    return deletion_rates(opened.posts(), words=tuple(word or ()))


@analysis("stories", "stories --rows 10")
def stories(opened: Past) -> Result:
    """Which posts tell one story: near-copies, rewordings and shared pictures."""
    words_of(opened)
    from vanished.explain.stories import stories as analyse

    posts = opened.posts()
    return analyse(posts, opened.pictures(posts))


@analysis("spread", "spread --threshold cn-defamation-2013")
def spread(
    opened: Past,
    threshold: Annotated[str, typer.Option(help="Id of the line.")] = "cn-defamation-2013",
    open_too: OpenToo = False,
    each: EachPost = False,
) -> Result:
    """How far posts and stories spread, and whether they vanished before or after a line."""
    from vanished.explain.spread import SpreadSettings
    from vanished.explain.spread import spread as analyse
    from vanished.explain.thresholds import threshold as line

    posts = opened.posts()
    members = None if opened.sealed else stories_of(opened, posts, each)
    settings = SpreadSettings(threshold, open_too=open_too)
    counts = opened.counts(posts, line(threshold).reaches)
    return analyse(posts, counts, members, settings)


@analysis("campaigns", "campaigns --chart rate.svg")
def campaigns(
    opened: Past,
    open_too: OpenToo = False,
    each: EachPost = False,
) -> Result:
    """When removals rose, against which words, and with which waves of lost accounts."""
    words_of(opened)
    from vanished.explain.campaigns import CampaignSettings
    from vanished.explain.campaigns import campaigns as analyse
    from vanished.explain.removal_rate import RateSettings

    posts = opened.posts()
    return analyse(
        posts,
        opened.coverage(),
        opened.accounts(),
        stories_of(opened, posts, each),
        CampaignSettings(RateSettings(open_too=open_too)),
    )


@explain.command("events", epilog="Example: vanished explain events --calendar china-yearly")
def events(
    folder: Folder = Path(),
    calendar: Annotated[
        str, typer.Option(help="A calendar that comes along, or a TOML file of your own.")
    ] = "china-yearly",
    before: Annotated[int, typer.Option(min=0, help="Days before an event that count.")] = 7,
    after: Annotated[int, typer.Option(min=0, help="Days after an event that count.")] = 14,
    topic: Annotated[
        list[str] | None, typer.Option(help="Only posts with this word; may be repeated.")
    ] = None,
    placebo: Annotated[
        str | None, typer.Option(help="A platform to which the events should do nothing.")
    ] = None,
    preregister: Annotated[
        bool, typer.Option("--preregister", help="State the plan in the log, and look at nothing.")
    ] = False,
    open_too: OpenToo = False,
    since: Since = None,
    until: Until = None,
    platform: Platform = None,
    chart: Chart = None,
    save: Save = None,
    rows: Rows = 20,
    as_json: Json = False,
) -> None:
    """Whether more posts are removed around events of a calendar, by a plan stated before."""
    from vanished.publish.past import need_extra

    need_extra()
    from vanished.explain.events import EventSettings
    from vanished.explain.events import events as analyse
    from vanished.publish import planned

    chosen, window = planned.calendar(calendar), window_of(since, until, platform)
    settings = EventSettings(
        before,
        after,
        tuple(window.platforms),
        tuple(sorted(topic or ())),
        window.since,
        window.until,
        placebos=() if placebo is None else (placebo,),
        open_too=open_too,
    )
    if preregister:
        done = planned.preregister(folder, chosen, settings)
        say(done.facts(), done.text(), as_json)
        return
    with past(folder, since, until, platform) as opened:
        result = analyse(
            opened.posts(), opened.coverage(), chosen, settings,
            registered=planned.registered(folder, chosen, settings),
            placebos={name: opened.of_platform(name) for name in settings.placebos},
        )  # fmt: skip
    tell(result, chart, save, rows, as_json)


@analysis("who", "who --kinds kinds.csv")
def who(
    opened: Past,
    kinds: Annotated[
        Path | None, typer.Option(help="A CSV with the columns account (key) and kind.")
    ] = None,
    open_too: OpenToo = False,
) -> Result:
    """How losses are spread over accounts, and what becomes of accounts: never who."""
    from vanished.explain.who import WhoSettings
    from vanished.explain.who import who as analyse
    from vanished.publish.chosen import read_kinds

    labels = None if kinds is None else read_kinds(kinds, read_text(kinds))
    return analyse(opened.posts(), opened.accounts(), labels, WhoSettings(open_too=open_too))


@analysis("timeline", "timeline --chart timeline.svg")
def timeline(opened: Past) -> Result:
    """Removals by day beside what networks stopped, as kept by vanished reach keep."""
    from vanished.explain.reach_timeline import reach_timeline

    posts, measured = opened.posts(), opened.measurements()
    looks = opened.looks(posts if measured.num_rows else posts.slice(0, 0))
    return reach_timeline(posts, opened.coverage(), looks, measured)


@app.command(epilog="Example: vanished alert --consent consent.txt")
def alert(
    consent: Annotated[
        Path, typer.Option(help="A file with the keys of accounts that agreed, one a line.")
    ],
    folder: Folder = Path(),
    account: Annotated[
        list[str] | None, typer.Option(help="Only this account of them; may be repeated.")
    ] = None,
    threshold: Annotated[str, typer.Option(help="Id of the line.")] = "cn-defamation-2013",
    chart: Chart = None,
    save: Save = None,
    rows: Rows = 20,
    as_json: Json = False,
) -> None:
    """Warn accounts that agreed to it: which of their posts may soon cross a line that a law draws.

    Never to be published, and refused for anybody else: it would point at people.
    """
    agreed = [line.strip() for line in read_text(consent).splitlines() if line.strip()]
    with past(folder, None, None, None) as opened:
        from vanished.clock import SystemClock
        from vanished.explain.alert import AlertSettings
        from vanished.explain.alert import alert as analyse
        from vanished.explain.thresholds import threshold as line

        posts = opened.posts()
        counts, now = opened.counts(posts, line(threshold).reaches), SystemClock().now()
        result = analyse(posts, counts, account or agreed, agreed, now, AlertSettings(threshold))
    tell(result, chart, save, rows, as_json)
