"""The command line: one command a verb, each a few lines over one room.

Exit codes: 0 ok, 1 findings of `doctor` or damage that `verify` found, 2 wrong use, 3 broken
observatory. Results go to standard output, progress and complaints to standard error, so that piped
output stays clean.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vanished import __version__
from vanished.errors import UsageError, VanishedError

if TYPE_CHECKING:
    from vanished.archive.capture import Identities

app = typer.Typer(
    name="vanished",
    help="Notice what disappears from public accounts, how fast, and who took it away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
err = Console(stderr=True, highlight=False)
out = Console(highlight=False)

Folder = Annotated[
    Path,
    typer.Option(
        "--observatory", "-o", envvar="VANISHED_OBSERVATORY", help="The observatory's folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Identity = Annotated[
    Path | None,
    typer.Option(help="File with the secret half of a key that captures are sealed to."),
]
Of = Annotated[
    list[str] | None,
    typer.Option("--of", help="Key of a post or account, as in a report; may be repeated."),
]
Everything = Annotated[
    bool, typer.Option(help="Also what authors may have taken down themselves; not to publish.")
]
export = typer.Typer(help="Evidence for others.", no_args_is_help=True)
app.add_typer(export, name="export")
log = typer.Typer(help="The observatory's log: keys and stamps.", no_args_is_help=True)
app.add_typer(log, name="log")


def read_text(path: Path) -> str:
    """The text of a file that a person named."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{path} cannot be read: {why}; name another file.") from None


def read_identity(path: Path) -> Identities:
    """The identities in a key file."""
    from vanished.archive.capture import identities

    return identities(read_text(path))


def opened_identity(path: Path | None) -> Identities | None:
    """The identities in a key file, if one was named."""
    return None if path is None else read_identity(path)


def say(facts: object, text: str, as_json: bool) -> None:
    """One result: the facts as a line of JSON, or the sentence."""
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vanished {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Notice what disappears from public accounts, how fast, and who took it away."""


@app.command(epilog="Example: vanished init my-observatory")
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; new or empty.")],
    seal_to: Annotated[
        list[str] | None,
        typer.Option(help="An age recipient (age1...) to seal captures to; may be repeated."),
    ] = None,
    seal: Annotated[
        bool, typer.Option(help="Seal captures; --no-seal leaves all readable on this machine.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Make an observatory: a folder with observatory.toml, a database and a journal.

    What it captures is sealed to keys whose secret half should not be on this machine. Without
    --seal-to, a fresh key is made; move its file away.
    """
    from vanished.archive.making import make
    from vanished.sources.registry import tables

    made = make(folder, seal_to or [], seal=seal, sources=tables())
    say(made.facts(), made.text(), as_json)


@app.command(epilog="Example: vanished add feed https://example.org/feed.xml")
def add(
    platform: Annotated[
        str, typer.Argument(help="Such as page, feed or matrix; vanished sources lists all.")
    ],
    address: Annotated[
        str, typer.Argument(help="Its URL, or its name there, such as '#news:example.org'.")
    ],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Watch a public account, channel, room, feed or page from now on."""
    from vanished.archive.observatory import Observatory
    from vanished.clock import SystemClock
    from vanished.sources.registry import account as account_at
    from vanished.sources.registry import check, source

    with Observatory.open(folder, write=True) as observatory:
        check(observatory.settings)
        chosen = source(platform, observatory.naming, observatory.settings)
        account = account_at(chosen, address)
        new = observatory.add_account(account, SystemClock().now())
    known = "Now watching" if new else "Already watching"
    say(
        {"account": account.key, "platform": platform, "new": new},
        f"{known} {address} as {account.key}.",
        as_json,
    )


@app.command("sources", epilog="Example: vanished sources")
def sources_(as_json: Json = False) -> None:
    """The platforms that can be watched, and the settings that each takes in observatory.toml."""
    from vanished.sources.registry import about, keys, platforms

    found = [{"platform": p, "about": about(p), "settings": keys(p)} for p in platforms()]
    lines = []
    for each in found:
        lines.append(f"{each['platform']:10} {each['about']}")
        if each["settings"]:
            lines.append(f"{'':10} settings: {', '.join(each['settings'])}")
    say(found, "\n".join(lines), as_json)


@app.command("import", epilog="Example: vanished import wechatscope ceninfo.csv")
def import_(
    peer: Annotated[str, typer.Argument(help="Whose record it is: wechatscope or snapshots.")],
    file: Annotated[Path, typer.Argument(help="The file to read; snapshots may be a folder.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Take over a peer's record of losses: accounts, posts, observations and gaps."""
    from vanished.archive.observatory import Observatory
    from vanished.watch.importing import take_over

    with Observatory.open(folder, write=True) as observatory:
        result = take_over(observatory, peer, file)
    say(result.facts(), result.text(), as_json)


@app.command(epilog="Example: vanished watch --for 3600")
def watch(
    folder: Folder = Path(),
    for_s: Annotated[
        float | None, typer.Option("--for", help="Stop by itself after so many seconds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Discover, look again, notice, judge: until Ctrl-C, which loses nothing."""
    from vanished.watch.live import watch_folder

    watch_folder(folder, for_s=for_s, as_json=as_json, console=err)


@app.command(epilog="Example: vanished canaries --json")
def canaries(folder: Folder = Path(), as_json: Json = False) -> None:
    """Ask the posts whose fate you know, through each route; exit 1 if any answer is wrong."""
    from vanished.watch.canary_check import check_folder

    found = check_folder(folder)
    lines = "\n".join(answer.text() for answer in found)
    say([answer.facts() for answer in found], lines, as_json)
    if any(answer.right is False for answer in found):
        raise typer.Exit(1)


@app.command(epilog="Example: vanished report --since 2026-11-01")
def report(
    folder: Folder = Path(),
    since: Annotated[
        str | None, typer.Option(help="Only losses first seen gone since this UTC date.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many losses to list.")] = 20,
    names: Annotated[
        bool, typer.Option(help="Name accounts instead of using pseudonyms; not for publishing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What vanished, when, who took it, and what was covered."""
    from vanished.publish.report import make_report

    result = make_report(folder, since=since, rows=rows, names=names)
    if as_json:
        typer.echo(json.dumps(result.facts(), ensure_ascii=False))
    else:
        result.show(out)


@app.command(epilog="Example: vanished plan --steps 0.5,1,2,4 --svg plan.svg")
def plan(
    folder: Folder = Path(),
    steps: Annotated[
        str | None, typer.Option(help="Multiples of today's budget, such as 0.5,1,2,4.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Also draw it into this .svg file.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="How many hosts to list.")] = 20,
    names: Annotated[
        bool, typer.Option(help="Name hosts instead of numbering them; not for publishing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What the request budget buys: how soon losses are noticed, and what more would buy."""
    from vanished.publish.plan import make_plan, parse_steps
    from vanished.publish.plan_shown import draw, show

    result = make_plan(folder, steps=parse_steps(steps), names=names)
    if svg is not None:
        draw(result, svg)
    if as_json:
        typer.echo(json.dumps(result.facts(), ensure_ascii=False))
    else:
        show(result, out, rows)


@app.command(epilog="Example: vanished media c2f4m7q3x6w5b8na --within 20")
def media(
    asked: Annotated[
        str, typer.Argument(metavar="POST|FILE", help="Key of a post, or a picture in a file.")
    ],
    within: Annotated[
        int, typer.Option(min=0, max=127, help="Bits of 256 in which copies may differ.")
    ] = 31,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Find the watched posts that show a picture, and what became of them."""
    from vanished.publish.copies import find_copies

    found = find_copies(folder, asked, within)
    say(found.facts(), found.text(), as_json)


@app.command(epilog="Example: vanished verify my-observatory")
def verify(
    path: Annotated[Path, typer.Argument(help="An observatory, a .wacz or a receipt.")],
    key: Annotated[
        str | None,
        typer.Option(help="The log's verifier key as you know it, or a file with such keys."),
    ] = None,
    identity: Identity = None,
    root: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: the root certificate that you trust for a stamping service."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check bytes, log, signatures, witnesses and stamps, offline; exit 1 on any damage."""
    from vanished.archive.verify import verify as check

    found = check(path, key=key, identities=opened_identity(identity), roots=root or [])
    say(found.facts(), found.text(), as_json)
    if not found.sound:
        raise typer.Exit(1)


@app.command(epilog="Example: vanished unseal my-observatory readable --identity secret.age")
def unseal(
    folder: Annotated[Path, typer.Argument(help="The sealed observatory, or a copy of it.")],
    target: Annotated[Path, typer.Argument(help="The readable copy to make; new or empty.")],
    identity: Annotated[
        Path, typer.Option(help="File with the secret half of a key that it is sealed to.")
    ],
    as_json: Json = False,
) -> None:
    """Make a readable copy of a sealed observatory, on a machine that is not the collector."""
    from vanished.archive.readable import unseal as copy

    segments = 0
    for segments, of in copy(folder, read_identity(identity), target):
        if err.is_terminal:
            err.print(f"{segments} of {of} segments", end="\r")
    say(
        {"folder": str(target), "segments": segments},
        f"Made {target}, readable: {segments} segments. Read it with vanished report -o {target}.",
        as_json,
    )


@app.command(epilog='Example: vanished forget c2f4m7q3x6w5b8na --why "asked by the author"')
def forget(
    subject: Annotated[str, typer.Argument(help="Key of a post or an account, as in a report.")],
    why: Annotated[str, typer.Option(help="The reason; it is public, so name nobody in it.")],
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Remove a post or an account everywhere; the log says that and why, not what."""
    from vanished.archive.erasing import erase
    from vanished.archive.observatory import Observatory
    from vanished.clock import SystemClock

    with Observatory.open(folder, write=True) as observatory:
        erased = erase(observatory, [subject], why, SystemClock().now())
    say(erased.facts(), erased.text(), as_json)


@export.command("wacz", epilog="Example: vanished export wacz evidence.wacz --of c2f4m7q3x6w5b8na")
def export_wacz(
    file: Annotated[Path, typer.Argument(help="The WACZ to write.")],
    folder: Folder = Path(),
    of: Of = None,
    identity: Identity = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Captures with their receipts and stamps, for ReplayWeb.page and vanished verify."""
    from vanished.archive.exporting import export_wacz as write
    from vanished.clock import SystemClock

    done = write(
        folder,
        file,
        now=SystemClock().now(),
        keys=of or [],
        identities=opened_identity(identity),
        everything=everything,
    )
    say(done.facts(), done.text(), as_json)


@export.command("receipts", epilog="Example: vanished export receipts proofs --of c2f4m7q3x6w5b8na")
def export_receipts(
    target: Annotated[Path, typer.Argument(help="The folder to write them to.")],
    folder: Folder = Path(),
    of: Of = None,
    identity: Identity = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """A receipt and a public manifest for each capture: proof without the bytes."""
    from vanished.archive.exporting import export_receipts as write

    paths, chosen = write(
        folder,
        target,
        keys=of or [],
        identities=opened_identity(identity),
        everything=everything,
    )
    facts = {"folder": str(target), "receipts": len(paths), "withheld": chosen.withheld}
    text = f"Wrote {len(paths)} receipts to {target}."
    if chosen.withheld:
        text += f" {chosen.withheld} captures were withheld for their authors' sake."
    say(facts, text, as_json)


@log.command("key", epilog="Example: vanished log key")
def log_key(folder: Folder = Path(), as_json: Json = False) -> None:
    """The log's verifier keys: publish them where readers can find them."""
    from vanished.archive.exporting import log_keys

    found = log_keys(folder)
    say({"keys": found}, "\n".join(found), as_json)


@log.command("rotate", epilog="Example: vanished log rotate")
def log_rotate(folder: Folder = Path(), as_json: Json = False) -> None:
    """Sign with a new key from now on; the old one announces it in the log."""
    from vanished.archive.observatory import Observatory
    from vanished.archive.rotation import rotate
    from vanished.clock import SystemClock

    with Observatory.open(folder, write=True) as observatory:
        rotated = rotate(observatory, SystemClock().now())
    say(rotated.facts(), rotated.text(), as_json)


@log.command("stamp", epilog="Example: vanished log stamp")
def log_stamp(folder: Folder = Path(), as_json: Json = False) -> None:
    """Ask witnesses and stamping services for what is due now, without watching."""
    from vanished.watch.tending import tend_folder

    done = tend_folder(folder)
    say(done.facts(), done.text(), as_json)


@app.command(epilog="Example: vanished witness my-witness --port 8700")
def witness(
    folder: Annotated[Path, typer.Argument(help="Where the witness keeps what it has cosigned.")],
    name: Annotated[
        str | None, typer.Option(help="The witness's name when the folder is first made.")
    ] = None,
    know: Annotated[
        list[str] | None,
        typer.Option(help="Verifier key of a log to cosign from now on; may be repeated."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any free one.")
    ] = 8700,
    as_json: Json = False,
) -> None:
    """Cosign the checkpoints of other observatories, so that no log can fork unseen."""
    from vanished.watch.witnessing import run_witness

    run_witness(
        folder, name=name, know=know or [], host=host, port=port, as_json=as_json, console=err
    )


@app.command(epilog="Example: vanished doctor --json")
def doctor(folder: Folder = Path(), as_json: Json = False) -> None:
    """Say what is wrong with this observatory or its sources, and what to do; exit 1 if any."""
    from vanished.watch.doctor import advise, examine

    findings, remarks = examine(folder), advise(folder)
    lines = [finding.text() for finding in findings] or ["Nothing wrong was found."]
    lines += [remark.text() for remark in remarks]
    say([each.facts() for each in [*findings, *remarks]], "\n".join(lines), as_json)
    if findings:
        raise typer.Exit(1)


@app.command(epilog="Example: vanished demo --seconds 45 --seed 7")
def demo(
    seconds: Annotated[float, typer.Option(min=5, help="Real seconds for the month.")] = 40.0,
    seed: Annotated[int, typer.Option(help="Which simulated month.")] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the demo's observatory in this new folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch a simulated platform and its censor for a month in a minute; print the report."""
    from vanished.lab.demo import run_demo

    run_demo(seconds=seconds, seed=seed, keep=keep, as_json=as_json, console=err, out=out)


def main() -> None:
    """Entry point: errors of ours become one sentence and their exit code."""
    try:
        app()
    except VanishedError as error:
        err.print(f"vanished: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
