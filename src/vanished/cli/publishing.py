"""Commands that publish: a dry run, data sets, requests to take down, reviews."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vanished.cli.app import Folder, Json, publish, say

if TYPE_CHECKING:
    from vanished.publish.release import Release

takedown = typer.Typer(help="Requests to take something down.", no_args_is_help=True)
publish.add_typer(takedown, name="takedown")

Name = Annotated[
    str, typer.Option("--release", help="The release's name; its pseudonyms follow from it.")
]
Since = Annotated[str | None, typer.Option(help="Only posts first seen since this UTC date.")]
Until = Annotated[str | None, typer.Option(help="As things stood before this UTC date.")]


@publish.command(epilog="Example: vanished publish preview --release 2026-11")
def preview(
    release: Name,
    folder: Folder = Path(),
    since: Since = None,
    until: Until = None,
    rows: Annotated[int, typer.Option(min=0, help="How many withheld posts to list.")] = 0,
    as_json: Json = False,
) -> None:
    """What a release would tell, what would be withheld, and why; writes nothing."""
    from collections import Counter

    from vanished.publish.takedowns import requests

    told = _release(folder, release, since, until)
    from vanished.publish.preview import Preview

    states = Counter(request.state for request in requests(folder))
    found = Preview(told, states, rows)
    say(found.facts(), found.text(), as_json)


@publish.command(epilog="Example: vanished publish dataset november --release 2026-11")
def dataset(
    target: Annotated[Path, typer.Argument(help="The folder to make; new or empty.")],
    release: Name,
    folder: Folder = Path(),
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """A data set for others: Parquet, CSV and JSON Lines with dictionary, citation and hashes."""
    from vanished.clock import SystemClock

    found = _release(folder, release, since, until)
    from vanished.publish.dataset import write_dataset

    done = write_dataset(folder, found, target, SystemClock().now())
    say(done.facts(), done.text(), as_json)


@publish.command(epilog="Example: vanished publish site public --release site")
def site(
    target: Annotated[Path, typer.Argument(help="The site's folder: new, empty, or that site.")],
    release: Name,
    folder: Folder = Path(),
    url: Annotated[
        str, typer.Option(help="The address that it will stand at; feeds then say it in full.")
    ] = "",
    scrub: Annotated[
        bool, typer.Option("--scrub", help="Scrub all words again, also those that left before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """A static site with feeds and search; run again, it is brought up to date."""
    from vanished.clock import SystemClock
    from vanished.publish.past import need_extra

    need_extra()
    _need_pages()
    from vanished.publish.site.building import build_site

    built = build_site(folder, release, target, SystemClock().now(), base=url, scrub=scrub)
    say(built.facts(), built.text(), as_json)


@publish.command(epilog="Example: vanished publish check november --key 'VKEY'")
def check(
    target: Annotated[Path, typer.Argument(help="A data set or a static site.")],
    key: Annotated[
        str | None, typer.Option(help="The log's verifier key as you know it; checks who signed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what was published against its manifest and signature; exit 1 if it was changed."""
    from vanished.publish.past import need_extra

    need_extra()
    from vanished.publish.dataset import check_dataset
    from vanished.publish.site.manifest import check_site, is_site

    found = check_site(target, key) if is_site(target) else check_dataset(target, key)
    signed = "signed with that key" if found["signed"] else "signature not checked"
    text = f"All {found['files']} files of release {found['release']} are as published; {signed}."
    say(found, text, as_json)


@publish.command(epilog='Example: vanished publish review KEY --withhold --note "names a child"')
def review(
    key: Annotated[str, typer.Argument(help="Key of a post or an account, as in a report.")],
    note: Annotated[str, typer.Option(help="Why; it is kept, so name nobody in it.")],
    folder: Folder = Path(),
    withhold: Annotated[
        bool, typer.Option("--withhold", help="Leave it out of all that is published.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="The verdict is right; takes back --withhold.")
    ] = False,
    correct: Annotated[
        list[str] | None,
        typer.Option(help="A cause that is open, such as platform; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Note what a person found on reading: confirmed, corrected or to be withheld."""
    from vanished.archive.rulings import CONFIRM, CORRECT, WITHHOLD
    from vanished.clock import SystemClock
    from vanished.errors import UsageError
    from vanished.publish.takedowns import review as add

    said = [(WITHHOLD, withhold), (CONFIRM, confirm), (CORRECT, bool(correct))]
    given = [what for what, yes in said if yes]
    if len(given) != 1:
        raise UsageError("Say one of --withhold, --confirm and --correct CAUSE.")
    ruling = add(folder, key, given[0], note, SystemClock().now(), correct or [])
    say(ruling.facts(), f"Noted as entry {ruling.number}: {ruling.what} {key}.", as_json)


@publish.command(epilog="Example: vanished publish cases corrected")
def cases(
    target: Annotated[Path, typer.Argument(help="The folder for the files, one a platform.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Write what persons corrected as test cases, in the form of the labelled set, pseudonymous."""
    from vanished.archive.folder import located
    from vanished.publish.correction_cases import write_cases

    located(folder)
    found = write_cases(folder, target)
    say(found.facts(), found.text(), as_json)


@takedown.command(
    "add", epilog='Example: vanished publish takedown add KEY --reason "by its author"'
)
def takedown_add(
    key: Annotated[str, typer.Argument(help="Key of a post or an account, as in a report.")],
    reason: Annotated[str, typer.Option(help="What was asked; it is kept, so name nobody in it.")],
    folder: Folder = Path(),
    release: Annotated[
        str | None, typer.Option(help="The key is a pseudonym of this release.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Note a request; what it is about is withheld until it is decided."""
    from vanished.clock import SystemClock
    from vanished.publish.takedowns import ask

    request = ask(folder, key, reason, SystemClock().now(), release)
    text = f"Noted as request {request.asked.number}: {request.asked.about} is withheld meanwhile."
    say(request.facts(), text, as_json)


@takedown.command("list", epilog="Example: vanished publish takedown list")
def takedown_list(folder: Folder = Path(), as_json: Json = False) -> None:
    """All requests and how they stand."""
    from vanished.archive.folder import located
    from vanished.publish.takedowns import requests

    located(folder)
    found = requests(folder)
    lines = "\n".join(request.text() for request in found) or "There is no request."
    say([request.facts() for request in found], lines, as_json)


@takedown.command(
    "decide", epilog='Example: vanished publish takedown decide 3 --grant --why "its author asked"'
)
def takedown_decide(
    number: Annotated[int, typer.Argument(help="The request's number.")],
    why: Annotated[str, typer.Option(help="The reason; it is kept, so name nobody in it.")],
    grant: Annotated[bool, typer.Option("--grant/--refuse", help="Take it down, or do not.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Decide a request; what is granted is left out of every publication from then on."""
    from vanished.archive.folder import located
    from vanished.clock import SystemClock
    from vanished.publish.takedowns import decide

    located(folder)
    request = decide(folder, number, grant, why, SystemClock().now())
    text = f"Request {number} is {request.state}."
    if grant:
        text += (
            " What was published before is with others: withdraw it where you can. To forget it"
            " in this observatory, too: vanished forget."
        )
    say(request.facts(), text, as_json)


def _need_pages() -> None:
    """Raises UsageError where what makes pages is not installed."""
    import importlib.util

    from vanished.errors import UsageError

    for name in ("jinja2", "babel", "opencc"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(
                f"A site needs {name}, which is not installed; add it with:"
                " pip install 'vanished[publish,explain]'."
            )


def _release(folder: Path, name: str, since: str | None, until: str | None) -> Release:
    from vanished.publish.past import need_extra

    need_extra()
    from vanished.explain.window import Window
    from vanished.publish.moments import parse_moment
    from vanished.publish.release import read_release

    window = Window(parse_moment(since, "--since"), parse_moment(until, "--until"))
    return read_release(folder, name, window)
