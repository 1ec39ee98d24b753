"""Commands that keep measurements of networks, and put them beside what disappeared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vanished.cli.app import Folder, Identity, Json, opened_identity, reach, say


@reach.command("keep", epilog="Example: vanished reach keep measured.jsonl --route direct")
def keep(
    files: Annotated[
        list[Path],
        typer.Argument(help="OONI's measurements, ours or downloaded: .jsonl, .jsonl.gz, .zst."),
    ],
    folder: Folder = Path(),
    route: Annotated[
        str | None,
        typer.Option(
            help="The route of this observatory in whose network they were made, such as direct:"
            " only then they say anything of its looks."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep measurements: each once, with our verdict on it and its record as evidence."""
    from vanished.archive.observatory import Observatory
    from vanished.clock import SystemClock
    from vanished.reach import keeping

    with Observatory.open(folder, write=True) as observatory:
        vantage = keeping.vantage_of(observatory.settings, route)
        kept = keeping.keep(observatory, files, SystemClock().now(), vantage)
    say(kept.facts(), kept.text(), as_json)


@reach.command("judge", epilog="Example: vanished reach judge")
def judge(folder: Folder = Path(), identity: Identity = None, as_json: Json = False) -> None:
    """Judge kept measurements again, where the rules have changed since; nothing is overwritten."""
    from vanished.archive.observatory import Observatory
    from vanished.clock import SystemClock
    from vanished.reach import keeping

    known = opened_identity(identity)
    with Observatory.open(folder, write=True) as observatory:
        kept = keeping.judge_again(observatory, SystemClock().now(), known)
    say(kept.facts(), kept.text(), as_json)
