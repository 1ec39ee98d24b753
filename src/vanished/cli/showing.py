"""Commands that show what was found: the dashboard."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from vanished.cli.app import Folder, Json, app, err, say
from vanished.errors import UsageError


@app.command(epilog="Example: vanished serve -o my-observatory --port 8600")
def serve(
    folder: Folder = Path(),
    host: Annotated[
        str, typer.Option(help="Address to listen at; anything but loopback shows it to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8600,
    everything: Annotated[
        bool, typer.Option(help="Also words that authors may have taken down; not to publish.")
    ] = False,
    names: Annotated[
        bool, typer.Option(help="Name accounts instead of using pseudonyms; not to publish.")
    ] = False,
    open_to_others: Annotated[
        bool, typer.Option(help="Allow a host that is not loopback. There is no login.")
    ] = False,
    findings_every: Annotated[
        float, typer.Option(min=0, help="Minutes between runs of the analyses; 0 runs none.")
    ] = 30.0,
    findings_days: Annotated[
        int, typer.Option(min=0, help="How many days the analyses look at; 0 takes all.")
    ] = 90,
    findings_mb: Annotated[
        int, typer.Option(min=256, help="Megabytes of memory that the analyses may take.")
    ] = 3072,
    as_json: Json = False,
) -> None:
    """The dashboard: what vanished, on pages in three languages, on this machine only."""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if not here and not open_to_others:
        raise UsageError(
            f"{host} is not this machine alone, and the dashboard has no login; put a server with"
            " one before it, or say --open-to-others."
        )
    try:
        from vanished.publish.desk.finder import FinderSettings
        from vanished.publish.desk.serving import serve as serving
        from vanished.publish.desk.state import DeskSettings
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the dashboard needs more than the core install has ({error.name}); add it with:"
            " pip install 'vanished[publish,explain]'."
        ) from None
    finding = FinderSettings(findings_every * 60, findings_days, findings_mb << 20)
    settings = DeskSettings(everything=everything, names=names, finding=finding)

    def ready(address: str) -> None:
        say({"address": address}, address, as_json)

    serving(folder, settings, host, port, told=_told, ready=ready)


def _told(line: str) -> None:
    err.print(line, markup=False)
