"""The door: without it a probe might scan a home network, hammer a site, or pass by the proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.reach.loopback import HOST, Talk, closed_port, loopback_door, serving
from vanished.net.address import networks
from vanished.reach.door import Door, NotContactedError, failure_of


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readexactly(4))
    await writer.drain()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "::1",
     "fe80::1", "fc00::1", "::ffff:127.0.0.1", "0.0.0.0", "224.0.0.1", "192.0.2.1"],
)  # fmt: skip
async def test_no_private_address_is_contacted_unless_a_lab_allows_it(address: str) -> None:
    door = Door()
    with pytest.raises(NotContactedError, match="are not contacted"):
        await door.stream(address, 80, 0.2)
    with pytest.raises(NotContactedError, match="are not contacted"):
        await door.datagrams(address, 53)
    assert not door.contacted


async def test_what_a_lab_allows_is_no_more_than_it_says() -> None:
    door = Door(allow=networks(["127.0.0.2/32"]))
    with pytest.raises(NotContactedError):
        await door.stream(HOST, 80, 0.2)


async def test_every_destination_is_counted() -> None:
    async with serving(echo) as port:
        door = loopback_door()
        for _ in range(2):
            (await door.stream(HOST, port, 1.0)).close()
        (await door.datagrams(HOST, port)).close()
    assert door.contacted == {f"tcp {HOST} {port}": 2, f"udp {HOST} {port}": 1}


async def test_no_more_sockets_a_second_than_agreed() -> None:
    async with serving(echo) as port:
        door = loopback_door(per_s=20.0, burst=2)
        began = time.monotonic()
        made = await asyncio.gather(*(door.stream(HOST, port, 1.0) for _ in range(8)))
        took = time.monotonic() - began
    for one in made:
        one.close()
    assert took >= 6 / 20 - 0.01  # two at once, six wait


async def test_after_a_pause_a_burst_is_no_larger_than_agreed() -> None:
    door = loopback_door(per_s=20.0, burst=2)
    for _ in range(2):
        (await door.datagrams(HOST, 9)).close()
    await asyncio.sleep(0.3)  # six turns went by unused; two of them are kept
    began = time.monotonic()
    for _ in range(4):
        (await door.datagrams(HOST, 9)).close()
    assert time.monotonic() - began >= 2 / 20 - 0.01


async def test_a_refused_connect_is_not_taken_for_a_private_address() -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        await loopback_door().stream(HOST, closed_port(), 1.0)
    assert failure_of(caught.value) == "connection_refused"


# Through a proxy


def socks(reply: int, carry: Callable[..., object] | None = None) -> Talk:
    """A SOCKS5 proxy (RFC 1928) that answers so, and then says what the target would."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\5\0")
        head = await reader.readexactly(4)
        assert head[3] == 1, "an address is handed to the proxy, never a name"
        await reader.readexactly(6)
        writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        await writer.drain()
        if reply == 0:
            await echo(reader, writer)

    return talk


async def test_streams_go_through_the_proxy() -> None:
    async with serving(socks(0)) as port:
        door = loopback_door(proxy=f"socks5://{HOST}:{port}")
        made = await door.stream("127.0.0.9", 9, 2.0)  # nobody is there: only the proxy answers
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(made, b"ping")
        assert await loop.sock_recv(made, 4) == b"ping"
        made.close()


@pytest.mark.parametrize(
    ("reply", "failure"),
    [(5, "connection_refused"), (4, "host_unreachable"), (3, "network_unreachable"),
     (6, "generic_timeout_error"), (1, "unknown_failure: the proxy did not connect")],
)  # fmt: skip
async def test_what_the_proxy_says_of_the_target_is_said(reply: int, failure: str) -> None:
    async with serving(socks(reply)) as port:
        door = loopback_door(proxy=f"socks5://{HOST}:{port}")
        with pytest.raises((OSError, NotContactedError)) as caught:
            await door.stream("127.0.0.9", 9, 2.0)
    assert failure_of(caught.value) == failure


async def test_a_dead_proxy_is_not_a_refusing_target() -> None:
    door = loopback_door(proxy=f"socks5://{HOST}:{closed_port()}")
    with pytest.raises(NotContactedError) as caught:
        await door.stream("127.0.0.9", 9, 1.0)
    assert failure_of(caught.value) == "unknown_failure: the proxy did not connect"


async def test_datagrams_do_not_slip_past_the_proxy() -> None:
    door = loopback_door(proxy=f"socks5://{HOST}:{closed_port()}")
    with pytest.raises(NotContactedError, match="do not go through the proxy"):
        await door.datagrams("127.0.0.9", 9)
