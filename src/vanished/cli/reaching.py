"""Commands that measure what a network lets through: consent, control, reading, reports.

`vanished reach test` stands in `cli.measuring`.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vanished.cli.app import Folder, Json, err, reach, say
from vanished.cli.tongue import said, said_paragraphs
from vanished.errors import UsageError

AGREEMENT = ("i agree", "我同意", "我同意。")
"""What agrees, in any language that is spoken; everything else refuses."""
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option("--allow-network", help="A private network that may be asked, such as a lab's."),
]
Via = Annotated[
    str, typer.Option("--via", help="A go-around: socks5h://HOST:PORT or http://HOST:PORT.")
]
Authorities = Annotated[
    str, typer.Option(help="File of certificates to trust instead of the system's; for a lab.")
]


@reach.command(epilog="Example: vanished reach consent --country IR --risk news")
def consent(
    country: Annotated[
        str, typer.Option(help="Two letters of the country whose network you measure from.")
    ] = "",
    risk: Annotated[
        str, typer.Option(help="The highest class of targets: apps, news or sensitive.")
    ] = "apps",
    agree: Annotated[
        bool, typer.Option("--agree", help="You have read the text and agree; asks nothing.")
    ] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Keep that you do not agree.")] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take back what you agreed to.")
    ] = False,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Read what measuring may cost you, and agree or not; without options, what you answered.

    Nothing is measured without it. The answer is kept in the folder, with date and version of the
    text, and names nobody. A new text asks again.
    """
    from vanished.reach import consent as consents
    from vanished.reach.risk import parse_risk

    today = datetime.now(UTC).date()
    if agree + refuse + withdraw > 1:
        raise UsageError("--agree, --refuse and --withdraw exclude each other; choose one.")
    if withdraw:
        made = consents.withdraw(folder, today)
        say(asdict(made), f"Withdrawn on {made.day}. Nothing is measured any more.", as_json)
        return
    if not country:
        held = consents.kept(folder)
        facts = None if held is None else {**asdict(held), "current": held.current}
        say({"consent": facts}, _answered(held), as_json)
        return
    code, highest = consents.parse_country(country), parse_risk(risk)
    typer.echo(said_paragraphs(consents.text(code, highest)), err=as_json)
    if not agree and not refuse:
        asked = said("Type 'I agree' or anything else to refuse")
        agree = typer.prompt(asked, err=as_json).strip().casefold() in AGREEMENT
    answer = consents.GIVEN if agree else consents.REFUSED
    made = consents.keep(folder, answer, code, highest, today)
    told = "You agreed" if agree else "You refused"
    say(asdict(made), f"{told}: {code}, targets up to '{highest.value}', {made.day}.", as_json)


def _answered(held: object) -> str:
    from vanished.reach.consent import Consent

    if not isinstance(held, Consent):
        return "Nobody was asked yet: vanished reach consent --country CC."
    stale = "" if held.current else " The text has changed since, so you will be asked again."
    return (
        f"Consent was {held.answer} on {held.day}: {held.country}, targets up to '{held.risk}'"
        f" ({held.version}).{stale}"
    )


@reach.command(epilog="Example: vanished reach serve --port 8377")
def serve(
    listen: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port [8377]; 0 for a free one.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file; options go before what it says.")
    ] = None,
    certificate: Annotated[str, typer.Option(help="PEM file to speak TLS with.")] = "",
    key: Annotated[str, typer.Option(help="PEM file of its key.")] = "",
    resolver: Annotated[
        str, typer.Option(help="Resolver to ask [system], such as 9.9.9.9 or dot://9.9.9.9#NAME.")
    ] = "",
    authorities: Authorities = "",
    allow_network: AllowNetwork = None,
    as_json: Json = False,
) -> None:
    """Run a control: says to probes what a target is like from here, as OONI's helper does.

    Run it where nobody filters, behind TLS. It refuses private targets, limits rates, and writes
    down nobody.
    """
    from vanished.reach.serving import ServeSettings, read_settings
    from vanished.reach.serving import serve as serving

    settings = read_settings(config) if config else ServeSettings()
    given = {
        "listen": listen,
        "port": port,
        "certificate": certificate or None,
        "key": key or None,
        "resolver": resolver or None,
        "authorities": authorities or None,
        "allow_networks": tuple(allow_network) if allow_network else None,
    }
    settings = replace(settings, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]

    def ready(bound: int) -> None:
        host = f"[{settings.listen}]" if ":" in settings.listen else settings.listen
        url = f"{'https' if settings.certificate else 'http'}://{host}:{bound}/"
        say({"url": url}, f"The control answers at {url}; stop it with Ctrl-C.", as_json)
        sys.stdout.flush()
        if not settings.certificate and not settings.listen.startswith(
            ("127.", "::1", "localhost")
        ):
            err.print(
                "Whoever is on the way can read and change what it says: give it a certificate,"
                " or put it behind a server that has one."
            )

    asyncio.run(serving(settings, ready))


@reach.command("read", epilog="Example: vanished reach read 2026-11-29.jsonl.zst --csv")
def read_(
    files: Annotated[list[Path], typer.Argument(help="Measurements: .jsonl, .gz, .zst or .json.")],
    test: Annotated[
        list[str] | None, typer.Option(help="Only this test, such as web_connectivity.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each measurement.")
    ] = False,
) -> None:
    """Our verdict on measurements, OONI's or ours, beside the verdict that came with them."""
    from vanished.reach.beside import Compared, beside
    from vanished.reach.reading import Tally, measurements
    from vanished.reach.told import printable

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other; choose one.")
    tally, compared = Tally(), Compared()
    table = csv.writer(sys.stdout, lineterminator="\n") if as_csv else None
    if not as_csv and not as_json:
        typer.echo(_LINE.format("state", "layer", "mechanism", "theirs", "target"))
    for file in files:
        for measurement in measurements(file, tally, test or ()):
            row = beside(measurement)
            facts = row.facts()
            if table is not None:
                if compared.rows == 0:
                    table.writerow(facts)
                table.writerow([_cell(value) for value in facts.values()])
            elif as_json:
                typer.echo(json.dumps(facts, ensure_ascii=False))
            else:
                theirs = row.reason or row.theirs or "-"
                layer, how = row.layer or "-", row.mechanism or "-"
                target = row.target or row.test
                typer.echo(_LINE.format(row.state, layer, how, theirs, printable(target)))
            compared.add(row)
    err.print(compared.text(), markup=False, soft_wrap=True)
    if tally.skipped or tally.mended:
        err.print(
            f"{tally.skipped} lines were no measurement; in {tally.mended} measurements fields of"
            " a wrong type were left out.",
            markup=False,
            soft_wrap=True,
        )
    for sentence in tally.said:
        err.print(sentence, markup=False, soft_wrap=True)


_LINE = "{:14} {:10} {:15} {:12} {}"


def _cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


@reach.command(epilog="Example: vanished reach submit --collector https://… --via socks5h://…")
def submit(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Measurements of ours to queue first.")
    ] = None,
    collector: Annotated[
        str, typer.Option(help="A collector that speaks OONI's report API; none: only queue.")
    ] = "",
    via: Via = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="Send directly: the collector sees your address.")
    ] = False,
    authorities: Authorities = "",
    allow_network: AllowNetwork = None,
    folder: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Send reports: through a go-around, directly if told so, else they wait in the folder.

    Only published copies are queued: network, country and hour, no bodies, no address. If the
    go-around fails, nothing is sent another way.
    """
    from vanished.net.address import networks
    from vanished.reach.consent import required
    from vanished.reach.own_here import own_here
    from vanished.reach.reading import measurements
    from vanished.reach.reporting import SOFTWARE, Leaving, Sent, enqueue, queued, send

    required(folder, ())
    new = foreign = 0
    own = own_here()
    for file in files or ():
        for one in measurements(file):
            if one.software_name == SOFTWARE:
                new += enqueue(folder, one, own)
            else:
                foreign += 1
    if foreign:
        err.print(f"{foreign} measurements are not ours and were not queued.", markup=False)
    done = Sent(waiting=len(queued(folder)))
    if collector:
        leaving = Leaving(direct, via)
        allowed = networks(allow_network or ())
        done = asyncio.run(send(folder, collector, leaving, allow=allowed, authorities=authorities))
    told = f"{new} queued, {done.sent} sent, {done.refused} refused, {done.waiting} waiting."
    if done.failure:
        told += f" It stopped: {done.failure}."
    for sentence in done.said:
        err.print(sentence, markup=False, soft_wrap=True)
    say({"queued": new, **asdict(done)}, told, as_json)
