"""Commands on apps and go-arounds: what still works here, and by what the others are stopped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from vanished.cli.app import Folder, Json, err, reach, say
from vanished.cli.measuring import asn_of, opened_new, settings_of
from vanished.cli.reaching import AllowNetwork, Authorities, Via
from vanished.errors import UsageError

if TYPE_CHECKING:
    from vanished.archive.advice import Advised
    from vanished.reach.app import App
    from vanished.reach.around_session import Records
    from vanished.reach.consent import Consent
    from vanished.reach.destinations import Destination
    from vanished.reach.goaround import GoAround
    from vanished.reach.goaround_settings import GoAroundSettings
    from vanished.reach.session import SessionSettings

DryRun = Annotated[bool, typer.Option("--dry-run", help="List every destination; send nothing.")]
Control = Annotated[str, typer.Option(help="URL of a control, ours or OONI's helper.")]
NoControl = Annotated[
    bool, typer.Option("--no-control", help="Go without; nothing is then called blocked.")
]
Out = Annotated[Path | None, typer.Option(help="New file for the measurements: OONI's JSONL.")]
ResolverOption = Annotated[
    list[str] | None, typer.Option("--resolver", help="Resolver to ask [system]; repeatable.")
]
Canary = Annotated[str, typer.Option(help="Page that nobody blocks [example.com].")]
Bystander = Annotated[str, typer.Option(help="Name that nobody minds [example.com].")]
Asn = Annotated[str, typer.Option(help="Your network, such as AS64500.")]
OwnAddress = Annotated[
    list[str] | None, typer.Option(help="An address of yours to scrub; may be repeated.")
]
PerSecond = Annotated[
    float, typer.Option(min=0.1, max=1000, help="New connections a second at most.")
]


@reach.command(epilog="Example: vanished reach apps signal matrix=chat.example --control URL")
def apps(
    names: Annotated[
        list[str] | None, typer.Argument(help="Apps, NAME=SERVER, or TOML files; none: list them.")
    ] = None,
    dry_run: DryRun = False,
    control: Control = "",
    via: Via = "",
    no_control: NoControl = False,
    out: Out = None,
    resolver: ResolverOption = None,
    canary: Canary = "",
    bystander: Bystander = "",
    asn: Asn = "AS0",
    own_address: OwnAddress = None,
    per_second: PerSecond = 8.0,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Servers at once.")] = 4,
    authorities: Authorities = "",
    allow_network: AllowNetwork = None,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Measure which apps work from here, server by server, beside a control.

    Signal, Telegram, WhatsApp and Messenger are tested as OONI does. A server that the control does
    not reach is a stale line of the list and no block. Needs a consent (vanished reach consent).
    """
    from vanished.net.address import networks
    from vanished.reach.app import app_of, shipped
    from vanished.reach.consent import required
    from vanished.reach.risk import Risk

    if not names:
        listed = [app_of(name) for name in shipped()]
        facts = [_app_facts(one) for one in listed]
        lines = [f"{one.name}: {one.title}, {len(one.endpoints)} servers, {one.dated}"
                 for one in listed]  # fmt: skip
        say({"apps": facts}, "\n".join(lines), as_json)
        return
    chosen = [app_of(name) for name in names]
    settings = settings_of(
        resolver or [], canary, bystander, authorities, control=control, via=via,
        control_resolver="", allow=networks(allow_network or ()), own=own_address or [],
        asn=asn_of(asn), per_s=per_second, at_once=at_once,
    )  # fmt: skip
    if dry_run:
        from vanished.reach.around_session import planned_apps

        _dry(planned_apps(chosen, settings), f"{len(chosen)} apps", as_json)
        return
    _need_control(control, via, no_control)
    agreed = required(folder, [Risk(one.risk) for one in chosen])
    with opened_new(out) as file:
        asyncio.run(_apps(chosen, settings, agreed, file, as_json))


def _app_facts(app: App) -> dict[str, object]:
    return {
        "name": app.name,
        "title": app.title,
        "servers": [one.url for one in app.endpoints],
        "dated": str(app.dated),
        "sources": list(app.sources),
        "risk": app.risk,
    }


async def _apps(
    chosen: Sequence[App],
    settings: SessionSettings,
    agreed: Consent,
    file: IO[bytes] | None,
    as_json: bool,
) -> None:
    from vanished.reach.around_session import measured_apps
    from vanished.reach.told_app import app_facts, app_lines

    async for seen, records in measured_apps(chosen, settings, agreed):
        _write(file, records)
        say(app_facts(seen), "\n".join(app_lines(seen)), as_json)
        sys.stdout.flush()


@reach.command(epilog="Example: vanished reach advise go-arounds.toml --control URL")
def advise(
    file: Annotated[Path, typer.Argument(help="TOML of your go-arounds; docs/goarounds.md.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only the one of this name; repeatable.")
    ] = None,
    page: Annotated[
        str, typer.Option(help="Page that has to come through [the canary]; https.")
    ] = "",
    large: Annotated[str, typer.Option(help="A larger page, to measure the rate; https.")] = "",
    lasts: Annotated[
        float, typer.Option(min=0, help="Seconds to watch each that works [0].")
    ] = 0.0,
    elsewhere: Annotated[
        Path | None,
        typer.Option(help="reach-advice.json of another network, made with the same go-arounds."),
    ] = None,
    dry_run: DryRun = False,
    control: Control = "",
    via: Via = "",
    no_control: NoControl = False,
    out: Out = None,
    resolver: ResolverOption = None,
    canary: Canary = "",
    bystander: Bystander = "",
    asn: Asn = "AS0",
    own_address: OwnAddress = None,
    per_second: PerSecond = 8.0,
    client_seconds: Annotated[
        float, typer.Option(min=1, help="How long a client may take to come up.")
    ] = 20.0,
    tor_seconds: Annotated[float, typer.Option(min=1, help="The same of Tor.")] = 120.0,
    authorities: Authorities = "",
    allow_network: AllowNetwork = None,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Try your go-arounds and rank what works here now, with the evidence.

    The result is kept in the folder, and `proxy = "best"` uses it. Needs a consent for sensitive
    targets. Tunnels (OpenVPN, WireGuard) need root, and leave this machine's routes alone.
    """
    from vanished.archive.advice import keep, ranked
    from vanished.net.address import networks
    from vanished.reach.around_session import planned_go_arounds
    from vanished.reach.consent import required
    from vanished.reach.risk import Risk

    listed = _chosen(file, only)
    settings = settings_of(
        resolver or [], canary, bystander, authorities, control=control, via=via,
        control_resolver="", allow=networks(allow_network or ()), own=own_address or [],
        asn=asn_of(asn), per_s=per_second, at_once=1,
    )  # fmt: skip
    around = _around(settings, page, large)
    around = replace(around, lasts_s=lasts, client_s=client_seconds, tor_s=tor_seconds)
    if dry_run:
        _dry(planned_go_arounds(listed, settings, around), f"{len(listed)} go-arounds", as_json)
        return
    _need_control(control, via, no_control)
    agreed = required(folder, [Risk.SENSITIVE])
    with opened_new(out) as written:
        found = asyncio.run(_advise(listed, settings, around, agreed, written, elsewhere, as_json))
    keep(folder, found)
    best = next((one for one in ranked(found) if one.works), None)
    works = sum(one.works for one in found)
    told = f"Best here: {best.name} ({best.kind})." if best else "None works here."
    err.print(f"{works} of {len(found)} work. {told}", markup=False)


def _chosen(file: Path, only: list[str] | None) -> list[GoAround]:
    from vanished.reach.goaround import read_go_arounds

    listed = read_go_arounds(file)
    names = [one.name for one in listed]
    for name in only or ():
        if name not in names:
            raise UsageError(f"{file} has no go-around '{name}'; it has {', '.join(names)}.")
    return [one for one in listed if not only or one.name in only]


def _around(settings: SessionSettings, page: str, large: str) -> GoAroundSettings:
    from vanished.reach.goaround_settings import GoAroundSettings

    for url in (page, large):
        if url and not url.startswith("https://"):
            raise UsageError(f"'{url[:80]}' proves nothing through a go-around; name one by https.")
    return GoAroundSettings(settings.web, page or settings.web.canary, large)


async def _advise(
    listed: Sequence[GoAround],
    settings: SessionSettings,
    around: GoAroundSettings,
    agreed: Consent,
    file: IO[bytes] | None,
    elsewhere: Path | None,
    as_json: bool,
) -> list[Advised]:
    from vanished.archive.advice import kept
    from vanished.reach.advise import OtherAdvice
    from vanished.reach.around_session import measured_go_arounds
    from vanished.reach.told_app import advised_line

    other = None
    if elsewhere is not None:
        if not kept(elsewhere):
            raise UsageError(f"{elsewhere} holds no advice; name another network's.")
        other = OtherAdvice(elsewhere, datetime.now(UTC))
    found = []
    async for made, _, records in measured_go_arounds(listed, settings, around, other, agreed):
        _write(file, records)
        found.append(made)
        say(asdict(made), advised_line(made), as_json)
        sys.stdout.flush()
    return found


@reach.command(epilog="Example: vanished reach carry go-arounds.toml --only 'my bridge'")
def carry(
    file: Annotated[Path, typer.Argument(help="TOML of your go-arounds; docs/goarounds.md.")],
    only: Annotated[str, typer.Option("--only", help="Which one [the best by the advice].")] = "",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Local port [local of the file, or any].")
    ] = 0,
    page: Annotated[
        str, typer.Option(help="Page that has to come through [example.com]; https.")
    ] = "https://example.com/",
    every: Annotated[float, typer.Option(min=1, help="Seconds between looks at it.")] = 300.0,
    looks: Annotated[int, typer.Option(min=0, help="Looks before it ends [0: never].")] = 0,
    authorities: Authorities = "",
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Run a go-around's client and look after it, so that proxy = "best" can use it.

    Ends by itself when pages stop coming; the advice then says so.
    """
    from vanished.archive.advice import FILE, kept
    from vanished.reach.advise import carry as carrying
    from vanished.reach.consent import required
    from vanished.reach.risk import Risk

    listed = _chosen(file, [only] if only else None)
    best = next((one.hash for one in kept(folder / FILE) if one.works), None)
    found = next((one for one in listed if only or one.hash == best), None)
    if found is None:
        raise UsageError("No go-around is known to work; run vanished reach advise, or use --only.")
    required(folder, [Risk.SENSITIVE])
    settings = settings_of([], "", "", authorities, control="", via="", control_resolver="",
                           allow=(), own=[], asn="AS0", per_s=4.0, at_once=1)  # fmt: skip

    def note(made: Advised) -> None:
        _note(folder, made)
        state = f"carries pages at {made.proxy}" if made.works else "carries nothing"
        say(asdict(made), f"{made.name} {state}.", as_json)
        sys.stdout.flush()

    try:
        asyncio.run(
            carrying(
                found, _around(settings, page, ""), note, port=port or found.local, every_s=every,
                rounds=looks,
            )
        )  # fmt: skip
    except KeyboardInterrupt:
        err.print("Ended.", markup=False)


def _note(folder: Path, made: Advised) -> None:
    """Put one go-around's newest look into the advice."""
    from vanished.archive.advice import FILE, keep, kept

    others = [one for one in kept(folder / FILE) if one.hash != made.hash]
    keep(folder, [*others, made])


def _need_control(control: str, via: str, no_control: bool) -> None:
    if not control and not via and not no_control:
        raise UsageError(
            "A verdict against a target needs a control; name one with --control or a go-around"
            " with --via, or go without one with --no-control."
        )


def _dry(plan: Sequence[Destination], what: str, as_json: bool) -> None:
    """Say every destination."""
    lines = [one.text() for one in plan]
    lines.append(f"{len(plan)} destinations for {what}. Nothing was sent.")
    say({"destinations": [asdict(one) for one in plan]}, "\n".join(lines), as_json)


def _write(file: IO[bytes] | None, records: Records) -> None:
    """Keep records; a line is whole, or a reader skips and counts it."""
    from vanished.archive.durable import refusals

    if file is not None:
        with refusals(f"write {file.name}"):
            file.writelines(line + b"\n" for line in records.lines)
            file.flush()
