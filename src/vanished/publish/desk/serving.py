"""Run the dashboard until it is interrupted.

In: a folder, settings, where to listen. Out: the address, told as soon as a page can be had there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from vanished.archive.folder import located
from vanished.errors import UsageError
from vanished.publish.desk.app import make_app
from vanished.publish.desk.captures import make_captures_app
from vanished.publish.desk.state import Desk, DeskSettings

NICE = 10
"""The watch beside it goes first."""


def serve(
    folder: Path,
    settings: DeskSettings,
    host: str,
    port: int,
    told: Callable[[str], None],
    ready: Callable[[str], None],
) -> None:
    """Serve the observatory in `folder`; returns when it is interrupted. Raises VanishedError.

    `told` hears what goes on, `ready` the address as soon as a page can be had there.
    """
    located(folder)
    listening = bound(host, port)
    name, number = listening.getsockname()[:2]
    shown = f"[{name}]" if ":" in name else name
    told("Laying out the shelf; the first time takes half a minute for a million posts.")
    beside = bound(host, 0)
    hosts = list(dict.fromkeys([name, "localhost", host, f"[{name}]"]))
    desk = Desk(folder, settings)
    desk.captures = str(beside.getsockname()[1])
    app = Split(make_app(desk, hosts), make_captures_app(desk, hosts), int(desk.captures))
    os.nice(NICE)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off",
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    desk.start()
    try:
        server = _Server(config, lambda: ready(f"http://{shown}:{number}/"))
        server.run(sockets=[listening, beside])
    finally:
        desk.stop()


class Split:
    """Two origins of one process: what comes in at `port` is for the captures and nothing else."""

    def __init__(self, pages: ASGIApp, captures: ASGIApp, port: int) -> None:
        self._pages, self._captures, self._port = pages, captures, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        there = scope["type"] == "http" and scope["server"][1] == self._port
        await (self._captures if there else self._pages)(scope, receive, send)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where the place is taken or is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, or asyncio leaves Nagle's algorithm on (RFC 896), and every page
    # waits some 40 ms for the reader's acknowledgement of its head.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise UsageError(
            f"{host} port {port} cannot be listened at: {error.strerror}; choose another --port."
        ) from None
    return made


class _Server(uvicorn.Server):
    """Tells when it can be asked."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.should_exit:
            self._ready()
