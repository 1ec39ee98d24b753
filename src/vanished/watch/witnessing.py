"""`vanished witness`: serve a folder that cosigns other observatories' checkpoints.

In: a folder, made if it is new, and verifier keys of logs to know from now on. Out: a server until
Ctrl-C. What is checked and remembered is the business of `archive.log.witness`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from vanished.archive import keys
from vanished.archive.durable import make_folder, refusals, write_atomically
from vanished.archive.log import WITNESS_KEY, SignerKey, VerifierKey
from vanished.archive.log.note import is_name
from vanished.archive.log.witness import LOGS, serve_witness
from vanished.errors import UsageError

NAME = "name"
"""File in the folder with the witness's name, which its signatures carry."""


def run_witness(
    folder: Path,
    *,
    name: str | None,
    know: Sequence[str],
    host: str,
    port: int,
    as_json: bool,
    console: Console,
) -> None:
    """Serve until Ctrl-C; with `as_json` a line on standard output says when and where.

    Raises UsageError, ConfigError, LockedError, DamagedError.
    """
    added = [str(VerifierKey.parse(text)) for text in know]  # before anything is made
    key = signer(folder, name)
    learn(folder, added)

    def ready(number: int) -> None:
        if as_json:
            facts = {"url": f"http://{host}:{number}", "key": str(key.verifier)}
            sys.stdout.write(json.dumps(facts) + "\n")
            sys.stdout.flush()
            return
        console.print(f"Witness {key.name} at http://{host}:{number}", markup=False, soft_wrap=True)
        console.print(f"Its key: {key.verifier}", markup=False, soft_wrap=True)

    async def serve() -> None:
        task = asyncio.ensure_future(serve_witness(folder, host, port, key, ready=ready))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(serve())


def signer(folder: Path, name: str | None) -> SignerKey:
    """The witness's key, from outside its folder; made with the folder, whose name is then given.

    Raises UsageError where the name is missing, no name, or another than the folder has; and where
    the name's key lies here already: a second memory under one key could cosign a fork.
    """
    path = folder / NAME
    with refusals(f"open the witness's folder {folder}"):
        known = path.read_text("utf-8").strip() if path.is_file() else None
        if known is None:
            if name is None or not is_name(name):
                raise UsageError(
                    f"{folder} is no witness yet; give it a name with --name, such as"
                    " witness.example.org: its signatures carry it."
                )
            if (lying := keys.place(keys.WITNESS, _identity(name))).exists():
                raise UsageError(
                    f"{name} has a key already, {lying}, and with it a memory elsewhere of what it"
                    " has cosigned; go on with that folder, or choose another name."
                )
            make_folder(folder)
            write_atomically(path, f"{name}\n".encode())
        elif name not in (None, known):
            raise UsageError(f"The witness in {folder} is called {known}, not {name}.")
    called = known or name or ""
    value = keys.load(keys.WITNESS, _identity(called), True)
    return SignerKey(called, sha256(value.value).digest(), WITNESS_KEY)


def _identity(name: str) -> str:
    """What the key file of a witness of this name is called."""
    return f"witness-{sha256(name.encode()).hexdigest()[:16]}"


def learn(folder: Path, know: Sequence[str]) -> None:
    """Add the verifier keys of logs to those that are witnessed."""
    path = folder / LOGS
    with refusals(f"write {path}"):
        before = path.read_text("utf-8").splitlines() if path.is_file() else []
        fresh = [line for line in dict.fromkeys(know) if line not in before]
        if fresh or not path.is_file():
            write_atomically(path, "".join(f"{line}\n" for line in [*before, *fresh]).encode())
