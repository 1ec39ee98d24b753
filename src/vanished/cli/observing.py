"""Commands that watch: make an observatory, name accounts, look, examine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vanished.cli.app import Folder, Json, app, err, out, say
from vanished.cli.tongue import said


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
        lines.append(f"{each['platform']:10} {said(str(each['about']))}")
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
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Show the dashboard meanwhile; at a terminal until Ctrl-C."),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the dashboard; 0 takes a free one.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Watch a simulated platform and its censor for a month in a minute; print the report."""
    from vanished.lab.demo import run_demo

    run_demo(
        seconds=seconds, seed=seed, keep=keep, as_json=as_json, console=err, out=out,
        serve=serve, port=port,
    )  # fmt: skip
