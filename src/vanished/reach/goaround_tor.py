"""Tor's client: directly, by bridges, or by a pluggable transport.

In: a go-around of the kind `tor`. Out: a local SOCKS proxy once it has a circuit, and how far it
came if it does not. Our tor runs on its own configuration in its own folder and never touches one
that runs already. Its authorities are those it was built with, unless `torrc` says others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from vanished.reach.goaround import PLUGGABLE, GoAround
from vanished.reach.goaround_client import LOCAL, SEARCHED, Carrying, Child, NoWayError

_PROGRESS: Final = re.compile(r"Bootstrapped (\d+)%(?: \((\w+)\))?")
_POLL_S: Final = 0.1


def torrc(found: GoAround, folder: Path, port: int) -> str:
    """The configuration of a client."""
    lines = [f"DataDirectory {folder / 'tor'}", f"SocksPort {LOCAL}:{port}", "RunAsDaemon 0"]
    lines += ["Log notice stdout", "SafeLogging 1", "ClientOnly 1", *found.texts("torrc")]
    if found.texts("bridges"):
        lines += ["UseBridges 1", *(f"Bridge {one}" for one in found.texts("bridges"))]
    if found.pluggable:
        program = shutil.which(PLUGGABLE[found.pluggable][0], path=SEARCHED)
        lines.append(f"ClientTransportPlugin {found.pluggable} exec {program}")
    return "\n".join(lines) + "\n"


@contextlib.asynccontextmanager
async def tor_carrying(
    found: GoAround, folder: Path, port: int, limit_s: float, own: Carrying
) -> AsyncIterator[None]:
    """Bring tor up to its first circuit; `own` gets its progress also where it fails."""
    (folder / "torrc").write_text(torrc(found, folder, port))
    (folder / "defaults").touch()
    argv = ["tor", "--defaults-torrc", str(folder / "defaults"), "-f", str(folder / "torrc")]
    own.handshake, own.progress = False, 0.0
    child = Child(argv, folder / "tor.log")
    try:
        ends = time.monotonic() + limit_s
        while own.progress < 100:
            ended = child.process.poll() is not None
            steps = _PROGRESS.findall(child.said())
            if steps:
                own.progress, own.progress_tag = float(steps[-1][0]), steps[-1][1]
            if own.progress < 100 and (ended or time.monotonic() > ends):
                raise NoWayError(" ".join(child.said().split())[-300:])
            await asyncio.sleep(_POLL_S)
        own.handshake, own.proxy = True, f"socks5h://{LOCAL}:{port}"
        yield
    finally:
        await child.end()
