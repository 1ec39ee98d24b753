"""Connects: refused, dropped and reset must keep their own names, or the layer is named wrongly."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.reach.loopback import HOST, LIMITS, SHORT, closed_port, loopback_run, reset, serving
from vanished.reach.door import Door
from vanished.reach.probe_tcp import connect
from vanished.reach.run import Run


async def test_a_connect_stands_as_ooni_records_it() -> None:
    async with serving(lambda reader, writer: asyncio.sleep(0)) as port:
        run = loopback_run()
        step, opened = await connect(run, HOST, port, tags=("attempt=2",))
        assert opened
        opened.close()
    assert (step.ip, step.port, step.status.success, step.status.failure) == (
        HOST, port, True, None,
    )  # fmt: skip
    assert step.t0 is not None
    assert step.t is not None
    assert 0 <= step.t0 <= step.t
    assert opened.transaction == step.transaction_id
    assert opened.tags == step.tags == ("attempt=2",)
    assert run.connects == [step]


async def test_nobody_listens() -> None:
    step, opened = await connect(loopback_run(), HOST, closed_port())
    assert opened is None
    assert step.failure == "connection_refused"


async def test_no_answer_at_all() -> None:
    """A listener whose queue is full drops what comes, as a censor does."""
    with socket.socket() as full:
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex((HOST, port))
            await asyncio.sleep(0.05)
            step, opened = await connect(loopback_run(), HOST, port, limit_s=0.3)
        finally:
            for one in waiting:
                one.close()
    assert opened is None
    assert step.failure == "generic_timeout_error"
    assert (step.t or 0) - (step.t0 or 0) >= 0.29


async def test_a_private_address_is_a_failure_that_speaks_for_no_block() -> None:
    async with serving(lambda reader, writer: asyncio.sleep(0)) as port:
        step, opened = await connect(Run(Door(), LIMITS), HOST, port)
    assert opened is None
    assert (step.failure or "").startswith("unknown_failure: 127.0.0.1 is loopback")


async def test_a_reset_after_the_connect_is_seen_when_reading() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    async with serving(talk) as port:
        _, opened = await connect(loopback_run(), HOST, port)
        assert opened
        await opened.send(b"x")
        with pytest.raises(ConnectionResetError):
            await opened.receive()
        opened.close()


async def test_an_aborted_connection_sends_nothing_more() -> None:
    """What was not answered is not sent again by the kernel: residual blocks would count it."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            ended.set_result("end" if await reader.read() == b"" else "bytes")
        except ConnectionResetError:
            ended.set_result("reset")

    async with serving(talk) as port:
        _, opened = await connect(loopback_run(SHORT), HOST, port)
        assert opened
        await asyncio.sleep(0.05)
        opened.close(abort=True)
        assert await asyncio.wait_for(ended, 2) == "reset"


async def test_steps_that_wait_for_the_door_begin_when_it_opens() -> None:
    """Time at the door must not look like patience with the network."""
    async with serving(lambda reader, writer: asyncio.sleep(0)) as port:
        run = loopback_run()
        run.door.per_s, run.door.burst = 4.0, 1
        made = await asyncio.gather(*(connect(run, HOST, port) for _ in range(3)))
        for _, opened in made:
            assert opened
            opened.close()
    assert max((step.t or 0) - (step.t0 or 0) for step, _ in made) < 0.2
    assert max(step.t0 or 0 for step, _ in made) > 0.4
