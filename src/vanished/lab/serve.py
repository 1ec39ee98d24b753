"""Serve a simulated platform on a loopback port: in a thread, or as a process of its own.

    python -m vanished.lab.serve --seed 1 --speed 43200 --epoch 1760000000 --port 0

prints its address when it is ready and ends on SIGTERM, with --follow also when its input ends.
In: a world (or its seed) and a clock (or its numbers). Out: an address. It listens on 127.0.0.1
and nowhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future

from aiohttp import web

from vanished.errors import UsageError
from vanished.lab.clock import LabClock, ScaledClock
from vanished.lab.platform import Platform
from vanished.lab.world import START, World
from vanished.model import Micros

HOST = "127.0.0.1"
READY_S = 30.0
END_S = 0.5
"""Seconds that answers under way are given at the end; aiohttp takes them twice."""


@contextlib.contextmanager
def running(world: World, clock: LabClock, port: int = 0, traps: float = 0.2) -> Iterator[str]:
    """Serve `world` from a thread with its own event loop; yields the address ("http://…")."""
    with serving(Platform(world, clock, traps), port) as url:
        yield url


@contextlib.contextmanager
def serving(platform: Platform, port: int = 0) -> Iterator[str]:
    """The same for a platform that the caller wants to look into."""
    begun: Future[tuple[str, Callable[[], object]]] = Future()

    async def work() -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with _listening(platform, port) as url:
                begun.set_result((url, lambda: loop.call_soon_threadsafe(told.set)))
                await told.wait()
        except UsageError as error:
            begun.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    url, end = begun.result(READY_S)
    try:
        yield url
    finally:
        end()
        thread.join(READY_S)


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
        [sys.executable, "-m", "vanished.lab.serve", "--follow", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
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
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.asynccontextmanager
async def _listening(platform: Platform, port: int) -> AsyncIterator[str]:
    """Answer requests in this event loop; yields the address. Raises UsageError."""
    server = web.Server(platform.respond, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=END_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"The lab's platform cannot listen on {HOST}:{port}: {error.strerror}; give another"
                " port, or 0 for any free one."
            ) from None
        yield site.name
    finally:
        await runner.cleanup()


async def _serve(platform: Platform, port: int, follow: bool) -> None:
    """Answer until SIGTERM or SIGINT; with `follow` until whoever holds its input is gone."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if follow:
        loop.add_reader(sys.stdin.fileno(), told.set)  # nothing is ever written: this is its end
    async with _listening(platform, port) as url:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        await told.wait()


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
    parser.add_argument("--follow", action="store_true", help="end when standard input ends")
    given = parser.parse_args(arguments)
    start: Micros = given.start
    world = World.generate(given.seed, given.days, given.accounts, given.posts_per_day, start)
    epoch = time.time() if given.epoch is None else given.epoch
    clock = ScaledClock(start, given.speed, epoch)
    try:
        asyncio.run(_serve(Platform(world, clock, given.traps), given.port, given.follow))
    except UsageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
