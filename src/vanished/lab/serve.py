"""Serve a simulated platform on a loopback port: in a thread, or as a process of its own.

    python -m vanished.lab.serve --seed 1 --speed 43200 --epoch 1760000000 --port 0

prints its address when it is ready and ends on SIGTERM. In: a world (or its seed) and a clock (or
its numbers). Out: an address. It listens on 127.0.0.1 and nowhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vanished.errors import UsageError
from vanished.lab.clock import LabClock, ScaledClock
from vanished.lab.platform import Platform
from vanished.lab.world import START, World
from vanished.model import Micros

HOST = "127.0.0.1"
READY_S = 30.0


class Protocol(H11Protocol):
    """HTTP/1.1 that lets the application reset its connection (`scope["state"]["transport"]`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {"transport": transport}
        super().connection_made(transport)


@contextlib.contextmanager
def running(world: World, clock: LabClock, port: int = 0, traps: float = 0.2) -> Iterator[str]:
    """Serve `world` from a thread with its own event loop; yields the address ("http://…")."""
    with serving(Platform(world, clock, traps), port) as url:
        yield url


@contextlib.contextmanager
def serving(app: Platform, port: int = 0) -> Iterator[str]:
    """The same for an application that the caller wants to look into."""
    sock = _listening(port)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        _until_ready(server, thread)
        yield _url(sock)
    finally:
        server.should_exit = True
        thread.join(READY_S)
        sock.close()


@contextlib.contextmanager
def spawned(
    seed: int,
    clock: ScaledClock,
    *,
    traps: float = 0.2,
    days: int = 31,
    accounts: int = 60,
    posts_per_day: float = 100.0,
) -> Iterator[str]:
    """Serve `World.generate(seed, days, accounts, posts_per_day, clock.start)` from a process."""
    numbers = {
        "seed": seed,
        "start": clock.start,
        "speed": clock.speed,
        "epoch": clock.epoch,
        "traps": traps,
        "days": days,
        "accounts": accounts,
        "posts-per-day": posts_per_day,
    }
    arguments = [part for name, value in numbers.items() for part in (f"--{name}", repr(value))]
    process = subprocess.Popen(  # noqa: S603  our own module with numbers of ours
        [sys.executable, "-m", "vanished.lab.serve", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise UsageError("The lab's platform did not start; its error stands above.")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _server(app: Platform) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=60,  # above CRITICAL: a cut answer is meant, not an error to print
        access_log=False,
        server_header=False,
        date_header=False,  # it would tell the real time
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _listening(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only where the protocol is named; without it head and body of an
    # answer, written apart, cost a delayed acknowledgement: 40 ms each.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        raise UsageError(
            f"The lab's platform cannot listen on {HOST}:{port}: {error}; give another port, or 0"
            " for any free one."
        ) from None
    return sock


def _url(sock: socket.socket) -> str:
    return f"http://{HOST}:{sock.getsockname()[1]}"


def _until_ready(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + READY_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise UsageError("The lab's platform did not start to listen; try again.")
        time.sleep(0.005)


async def _serve(app: Platform, port: int) -> None:
    sock = _listening(port)
    server = _server(app)
    work = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not work.done():
        await asyncio.sleep(0.005)
    sys.stdout.write(_url(sock) + "\n")
    sys.stdout.flush()
    await work


def _end(signum: int, frame: object) -> None:
    """uvicorn raises the signal again once it has shut down: then the process ends, in order."""
    sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m vanished.lab.serve", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=43_200.0, help="simulated s a second")
    parser.add_argument("--epoch", type=float, default=None, help="real time of the start, s")
    parser.add_argument("--start", type=int, default=START, help="simulated start, microseconds")
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--accounts", type=int, default=60)
    parser.add_argument("--posts-per-day", type=float, default=100.0)
    parser.add_argument("--traps", type=float, default=0.2, help="share of the answers")
    given = parser.parse_args(arguments)
    start: Micros = given.start
    world = World.generate(given.seed, given.days, given.accounts, given.posts_per_day, start)
    epoch = time.time() if given.epoch is None else given.epoch
    clock = ScaledClock(start, given.speed, epoch)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        asyncio.run(_serve(Platform(world, clock, given.traps), given.port))
    except UsageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
