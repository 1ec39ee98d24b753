"""What a trap is must arrive on the wire; a platform must start, agree and end as told."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from tests.lab.direct import Always, world
from vanished.lab.clock import ScaledClock, SteppedClock
from vanished.lab.platform import Platform
from vanished.lab.serve import running, serving, spawned
from vanished.lab.traps import Trap
from vanished.lab.world import START
from vanished.model import DAY, SECOND, Micros


def living(t: Micros) -> str:
    return next(p.id for i, p in enumerate(world().posts) if world().is_alive(i, t))


def client() -> aiohttp.ClientSession:
    """A client that asks once: aiohttp repeats a request whose connection broke, unasked."""
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
    session._retry_connection = False
    return session


async def fetched(url: str) -> tuple[int, bytes, str]:
    async with (
        client() as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return response.status, await response.read(), response.headers.get("Retry-After", "")


@pytest.mark.parametrize("u", [0.0, 0.5, 0.999])
async def test_traps_reach_the_client_as_they_are_meant(u: float) -> None:
    t = world().start + DAY
    clock = SteppedClock(t)
    built = Platform(world(), clock, 0.0)
    path = f"/p/{living(t)}"
    with serving(built) as url:
        whole = await fetched(url + path)
        assert whole[0] == 200
        for trap in Trap:
            built.traps = Always(world(), 1.0, trap, u)
            before = clock.now()
            if trap is Trap.RESET:
                with pytest.raises(aiohttp.ClientOSError):
                    await fetched(url + path)
                continue
            if trap is Trap.SHORT:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await fetched(url + path)
                continue
            status, body, retry = await fetched(url + path)
            if trap is Trap.RATE_LIMITED:
                assert status == 429
                assert 5 <= int(retry) <= 60
            elif trap is Trap.SERVER:
                assert status in (500, 502, 503)
            elif trap is Trap.LOGIN_REDIRECT:
                assert status == 302
            elif trap is Trap.CUT:
                assert whole[1].startswith(body)
                assert 0 < len(body) < len(whole[1])
            else:
                assert status == 200
                same = trap in (Trap.SLOW, Trap.STALE)
                assert (b'id="post"' in body) == same
            waited = clock.now() - before
            assert (waited >= 5 * SECOND) == (trap is Trap.SLOW)


async def test_an_answer_after_a_reset_is_whole_again() -> None:
    """A trap must spoil its own answer only."""
    built = Platform(world(), SteppedClock(world().start + DAY), 0.0)
    built.traps = Always(world(), 1.0, Trap.RESET)
    with serving(built) as url:
        for _ in range(3):
            with pytest.raises(aiohttp.ClientOSError):
                await fetched(f"{url}/p/x")
        built.traps = Always(world(), 1.0, None)
        assert (await fetched(f"{url}/p/{living(world().start + DAY)}"))[0] == 200
        assert (await fetched(f"{url}/m/x.gif"))[1].startswith(b"GIF89a")
        async with client() as session, session.post(f"{url}/p/x") as response:
            assert response.status == 405
    assert built.asked == 6


async def test_the_wire_shows_traps_at_the_configured_share() -> None:
    t = world().start + DAY
    built = Platform(world(), SteppedClock(t), 0.2)
    path, count, failed = f"/p/{living(t)}", 1500, 0
    expected = [built.traps.draw(path, turn).trap for turn in range(count)]
    with serving(built) as url:
        async with client() as session:
            for trap in expected:
                try:
                    async with session.get(url + path) as response:
                        body = await response.read()
                        spoilt = response.status != 200 or not body.endswith(b"</html>\n")
                        spoilt = spoilt or b'id="post"' not in body
                except aiohttp.ClientError:
                    spoilt = True
                assert spoilt == (trap not in (None, Trap.SLOW, Trap.STALE)), trap
                failed += spoilt
    assert 0.13 < failed / count < 0.21


async def test_a_process_of_its_own_serves_the_same_world_at_the_same_time() -> None:
    clock = ScaledClock(START, 60.0, time.time() - 5 * 86_400 / 60)  # in the sixth day
    t = clock.now()
    old = [p for i, p in enumerate(world().posts) if world().is_alive(i, t)][:30]
    with spawned(1, clock, traps=0.0) as url, running(world(), clock, traps=0.0) as here:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        same = 0
        for post in old:
            there, ours = await asyncio.gather(
                *(fetched(f"{base}/p/{post.id}") for base in (url, here))
            )
            heads = [answer[1].split(b'<ul class="counts">')[0] for answer in (there, ours)]
            same += there[0] == ours[0] and heads[0] == heads[1]
        assert same == len(old) == 30


def test_the_process_ends_in_order_when_told_to() -> None:
    command = [sys.executable, "-m", "vanished.lab.serve", "--days", "2", "--accounts", "3"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    clock = SteppedClock(START)
    with running(world(), clock) as url:
        port = int(url.rsplit(":", 1)[1])
        process = subprocess.run(
            [sys.executable, "-m", "vanished.lab.serve", "--days", "2", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert process.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}" in process.stderr
    assert "Traceback" not in process.stderr


async def test_an_answer_tells_the_simulated_time_and_not_the_real_one() -> None:
    """Evidence of a simulated month must not say that it was taken today, nor name its trap."""
    t = world().start + DAY
    clock = SteppedClock(t)
    built = Platform(world(), clock, 0.0)
    with serving(built) as url:
        for trap in (None, Trap.SHORT, Trap.SERVER, Trap.LOGIN_REDIRECT):
            built.traps = Always(world(), 1.0, trap)
            async with (
                client() as session,
                session.get(f"{url}/p/{living(t)}", allow_redirects=False) as response,
            ):
                told = parsedate_to_datetime(response.headers["Date"]).timestamp()
                assert t <= told * SECOND <= clock.now()
                assert response.headers["Server"] == "lab"
                assert "Connection" not in response.headers


class Slow(SteppedClock):
    """A clock whose pauses outlast every test; `paused` is set when one has begun."""

    def __init__(self, start: Micros) -> None:
        super().__init__(start)
        self.paused = threading.Event()

    async def pause(self, duration: Micros) -> None:
        self.paused.set()
        await asyncio.sleep(600)


async def test_the_end_waits_neither_for_idle_clients_nor_for_slow_answers() -> None:
    clock = Slow(world().start + DAY)
    built = Platform(world(), clock, 0.0)
    async with client() as session:
        with serving(built) as url:
            async with session.get(f"{url}/m/x.gif") as response:
                assert response.status == 200
            built.traps = Always(world(), 1.0, Trap.SLOW)
            waiting = asyncio.ensure_future(fetched(f"{url}/p/x"))
            assert await asyncio.to_thread(clock.paused.wait, 20)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5  # one second, on a machine that has it
        with pytest.raises(aiohttp.ClientError):
            await waiting
