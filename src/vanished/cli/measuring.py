"""`vanished reach test`: measure pages from here, once somebody agreed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from vanished.cli.app import Folder, Json, err, reach, say
from vanished.cli.reaching import AllowNetwork, Authorities, Via
from vanished.cli.tongue import said
from vanished.errors import UsageError

if TYPE_CHECKING:
    from vanished.reach.consent import Consent
    from vanished.reach.session import SessionSettings
    from vanished.reach.targets import Target


@reach.command("test", epilog="Example: vanished reach test --list ir.csv --control https://…")
def measure(
    urls: Annotated[list[str] | None, typer.Argument(help="Pages to measure.")] = None,
    list_: Annotated[
        Path | None,
        typer.Option("--list", help="A list: Citizen Lab's CSV, or a URL a line."),
    ] = None,
    category: Annotated[
        str, typer.Option(help="Citizen Lab's code for the URLs typed here, such as NEWS.")
    ] = "",
    due: Annotated[
        bool, typer.Option("--due", help="Also hosts that give the watch of this folder no answer.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List every destination; send nothing.")
    ] = False,
    control: Annotated[str, typer.Option(help="URL of a control, ours or OONI's helper.")] = "",
    via: Via = "",
    no_control: Annotated[
        bool, typer.Option("--no-control", help="Go without; nothing is then called blocked.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="New file for the measurements: OONI's JSONL.")
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Queue published copies for vanished reach submit.")
    ] = False,
    resolver: Annotated[
        list[str] | None, typer.Option(help="Resolver to ask [system]; may be repeated.")
    ] = None,
    control_resolver: Annotated[
        str, typer.Option(help="Resolver that a go-around asks: tcp://, dot:// or https://.")
    ] = "",
    canary: Annotated[str, typer.Option(help="Page that nobody blocks [example.com].")] = "",
    bystander: Annotated[str, typer.Option(help="Name that nobody minds [example.com].")] = "",
    asn: Annotated[str, typer.Option(help="Your network, such as AS64500.")] = "AS0",
    own_address: Annotated[
        list[str] | None, typer.Option(help="An address of yours to scrub; may be repeated.")
    ] = None,
    per_second: Annotated[
        float, typer.Option(min=0.1, max=1000, help="New connections a second at most.")
    ] = 4.0,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Targets at once.")] = 2,
    authorities: Authorities = "",
    allow_network: AllowNetwork = None,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Measure whether pages come through from here, and by what the others are stopped.

    Needs a consent in the folder (vanished reach consent) that covers the targets. One line a
    target: state, layer and mechanism, and why. A verdict against a target needs a control.
    """
    from vanished.net.address import networks
    from vanished.reach.consent import required
    from vanished.reach.targets import listed, typed

    allow = networks(allow_network or ())
    targets = typed(urls or [], category, allow) + (listed(list_, allow) if list_ else [])
    if due:
        from vanished.watch.silences import due_targets

        targets += typed([one.url for one in due_targets(folder)], category, allow)
    if not targets and due:
        say(
            {"targets": 0},
            "No host is due: the watch gets answers, or they were measured.",
            as_json,
        )
        return
    if not targets:
        raise UsageError("There is nothing to measure; type a URL or name a list with --list.")
    settings = settings_of(
        resolver or [], canary, bystander, authorities, control=control, via=via,
        control_resolver=control_resolver, allow=allow, own=own_address or [],
        asn=asn_of(asn), per_s=per_second, at_once=at_once,
    )  # fmt: skip
    if dry_run:
        _dry(targets, settings, as_json)
        return
    if not control and not via and not no_control:
        raise UsageError(
            "A verdict against a target needs a control; name one with --control or a go-around"
            " with --via, or go without one with --no-control."
        )
    agreed = required(folder, [one.risk for one in targets])
    with opened_new(out) as file:
        asyncio.run(_run(targets, settings, agreed, file, folder if queue else None, as_json))


def settings_of(
    resolvers: list[str], canary: str, bystander: str, authorities: str, **given: object
) -> SessionSettings:
    """The settings of a run. Raises UsageError for what cannot be used."""
    from vanished.reach.probe_dns import Resolver
    from vanished.reach.session import SessionSettings
    from vanished.reach.targets import typed
    from vanished.reach.web_settings import WebSettings

    chosen: dict[str, object] = {"authorities": authorities}
    if resolvers:
        chosen["resolvers"] = tuple(map(Resolver.parse, resolvers))
    if canary:
        typed([canary], allow=given["allow"])  # type: ignore[arg-type]
        chosen["canary"] = canary
    if bystander:
        chosen["bystander"] = bystander
    if not given["control_resolver"]:
        del given["control_resolver"]
    return SessionSettings(web=WebSettings(**chosen), **given)  # type: ignore[arg-type]


def asn_of(given: str) -> str:
    """The number of a network as OONI writes it. Raises UsageError."""
    number = given.upper().removeprefix("AS")
    if not number.isdigit() or len(number) > 10:
        raise UsageError(f"'{given}' is no number of a network; write it as AS64500.")
    return f"AS{int(number)}"


def _dry(targets: list[Target], settings: SessionSettings, as_json: bool) -> None:
    """Say every destination."""
    from vanished.reach.session import planned

    plan = planned(targets, settings)
    lines = [one.text() for one in plan]
    lines.append(f"{len(plan)} destinations for {len(targets)} targets. Nothing was sent.")
    say({"destinations": [asdict(one) for one in plan]}, "\n".join(lines), as_json)


@contextlib.contextmanager
def opened_new(out: Path | None):  # type: ignore[no-untyped-def]
    """The new file for measurements; None for none. Raises UsageError if it cannot be made."""
    if out is None:
        yield None
        return
    try:
        file = out.open("xb")
    except OSError as error:
        raise UsageError(
            f"{out} cannot be made: {error.strerror}; name a new file with --out."
        ) from None
    with file:
        yield file


async def _run(
    targets: list[Target],
    settings: SessionSettings,
    agreed: Consent,
    file: IO[bytes] | None,
    queue: Path | None,
    as_json: bool,
) -> None:
    """Measure, say and keep, one target after the other."""
    from vanished.archive.durable import refusals
    from vanished.reach.own import NOBODY
    from vanished.reach.reporting import enqueue
    from vanished.reach.session import measured
    from vanished.reach.told import line

    states: Counter[str] = Counter()
    async for done in measured(targets, settings, agreed):
        if file is not None:
            with refusals(f"write {file.name}"):
                file.write(done.line + b"\n")  # a line is whole, or a reader skips and counts it
                file.flush()
        if queue is not None:
            enqueue(queue, done.measurement, NOBODY)  # it is scrubbed already
        states[done.verdict.state.value] += 1
        if as_json:
            typer.echo(json.dumps(_facts(done.verdict), ensure_ascii=False))
        else:
            typer.echo(said(line(done.measurement, done.verdict)))
        sys.stdout.flush()
    counts = ", ".join(f"{state} {count}" for state, count in sorted(states.items()))
    err.print(f"{sum(states.values())} of {len(targets)} targets measured: {counts}.", markup=False)


def _facts(said: object) -> dict[str, object]:
    from vanished.reach.verdict import Verdict

    assert isinstance(said, Verdict)
    return {
        "target": said.target,
        "state": said.state.value,
        "layer": said.layer,
        "mechanism": said.mechanism,
        "extent": said.extent,
        "rules": list(said.rules),
        "evidence": list(said.evidence),
        "ruleset": said.ruleset,
        "says": said.says,
    }
