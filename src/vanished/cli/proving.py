"""Commands about proof: verify, unseal, forget, export, and the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vanished.cli.app import (
    Everything,
    Folder,
    Identity,
    Json,
    Of,
    app,
    err,
    export,
    log,
    opened_identity,
    read_identity,
    say,
)


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
