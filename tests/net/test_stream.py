"""Streams from real WebSocket servers on loopback: every kind of end, none of them a storm."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import pytest
from aiohttp import web

from tests.net.servers import Books, Names, Request, Talk, free_port, open_door, pushing, raw
from tests.net.test_proxy import running as proxy_running
from tests.net.test_proxy import socks5, tunnel
from vanished.model import SECOND, Fault, Micros
from vanished.net import stream as streams
from vanished.net.door import Door
from vanished.net.stream import End, Stream


async def until_left(socket: web.WebSocketResponse) -> None:
    """Stay until the other end says goodbye."""
    async for _ in socket:
        pass


def made(door: Door, quiet_s: float = 5.0) -> Stream:
    return Stream(door, random.Random(5), quiet_s=quiet_s)


async def read(stream: Stream, url: str, most: int = 1_000_000) -> list[bytes]:
    """At most so many messages of one connection."""
    found: list[bytes] = []
    async with contextlib.aclosing(stream.messages(url, lambda: None)) as messages:
        async for message in messages:
            found.append(message)
            if len(found) == most:
                break
    return found


async def test_binary_messages_come_in_order_and_the_connection_is_paid_for_and_closed() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        for number in range(100):
            await socket.send_bytes(b"%d" % number)
            await socket.send_str("not for us")
        await until_left(socket)

    books = Books()
    async with pushing(talk) as server, open_door(books) as door:
        found = await read(made(door), server.url, 100)
        await asyncio.sleep(0.05)
    assert found == [b"%d" % number for number in range(100)]
    assert books.paid == ["127.0.0.1"]
    assert server.left == [1000]  # a clean goodbye


async def _silence(socket: web.WebSocketResponse) -> None:
    await until_left(socket)


async def _goodbye(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"one")
    await socket.close(code=1001)


async def _too_large(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"one")
    await socket.send_bytes(bytes(70_000))
    await until_left(socket)


async def _come_back_later(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"one")
    await socket.close(code=1013)


async def _torn(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"one")
    assert socket._req is not None
    assert socket._req.transport is not None
    socket._req.transport.abort()


async def _nonsense(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"one")
    assert socket._req is not None
    assert socket._req.transport is not None
    socket._req.transport.write(b"\xff\xff no frame of RFC 6455")
    await until_left(socket)


@pytest.mark.parametrize(
    ("talk", "fault"),
    [
        (_silence, Fault.TIMEOUT),
        (_goodbye, Fault.CONNECT),
        (_too_large, Fault.TOO_LARGE),
        (_come_back_later, Fault.RATE_LIMITED),
        (_torn, Fault.CONNECT),
        (_nonsense, Fault.UNREADABLE),
    ],
)
async def test_every_end_is_a_fault_with_words_and_no_exception(talk: Talk, fault: Fault) -> None:
    async with pushing(talk) as server, open_door(max_bytes=65_536) as door:
        stream = made(door, quiet_s=0.2)
        found = await read(stream, server.url)
    assert found == ([] if talk is _silence else [b"one"])
    assert isinstance(stream.end, End)
    assert (stream.end.fault, bool(stream.end.words)) == (fault, True)
    assert str(server.port) not in stream.end.words


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (200, Fault.UNREADABLE),
        (401, Fault.FORBIDDEN),
        (429, Fault.RATE_LIMITED),
        (502, Fault.SERVER),
    ],
)
async def test_a_refusal_is_a_fault(status: int, fault: Fault) -> None:
    refuse = lambda: web.Response(status=status)  # noqa: E731
    async with pushing(_silence, refuse) as server, open_door() as door:
        stream = made(door)
        assert await read(stream, server.url) == []
    assert stream.end is not None
    assert stream.end.fault is fault


async def test_a_redirect_is_not_followed() -> None:
    """aiohttp would ask on by itself, unpaid."""
    elsewhere = Books()

    def away() -> web.Response:
        return web.Response(status=302, headers={"Location": "/stream"})

    async with pushing(_silence, away) as server, open_door(elsewhere) as door:
        stream = made(door)
        assert await read(stream, server.url) == []
    assert stream.end is not None
    assert stream.end.fault is Fault.REDIRECTS
    assert server.opened == 1
    assert elsewhere.paid == ["127.0.0.1"]


async def test_denied_addresses_are_denied_to_streams_too() -> None:
    """Also behind a name, and under any scheme."""
    names = Names(relay_example_org=[["127.0.0.1"]])
    async with pushing(_silence) as server, open_door(resolver=names, allow_networks=()) as door:
        for url in (
            server.url,
            f"ws://relay.example.org:{server.port}/stream",
            f"ftp://127.0.0.1:{server.port}/stream",
            "ws://0x7f.1/stream",
            "wss://",
        ):
            stream = made(door)
            assert await read(stream, url) == []
            assert stream.end is not None
            assert stream.end.fault is Fault.REFUSED, url
    assert server.opened == 0


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
async def test_a_stream_takes_the_proxy_and_no_other_way(scheme: str) -> None:
    """An observer behind Tor would otherwise show itself to the relay for hours."""
    speaks = socks5 if scheme == "socks5h" else tunnel
    async with pushing(_goodbye) as server, proxy_running(speaks, server.port) as proxy:
        proxies = {"round": f"{scheme}://127.0.0.1:{proxy.port}"}
        async with open_door(resolver=Names(), allow_networks=(), proxies=proxies) as door:
            stream = Stream(door, random.Random(5), proxy="round")
            assert await read(stream, "ws://relay.example/stream") == [b"one"]
            assert await read(stream, "ws://127.0.0.1/stream") == []  # private: not asked there
    assert stream.end is not None
    assert stream.end.fault is Fault.REFUSED
    assert [asked.removeprefix("CONNECT ") for asked in proxy.asked] == ["relay.example:80"]
    assert server.opened == 1


async def test_a_port_where_nobody_listens_and_a_host_that_never_answers() -> None:
    async def mute(request: Request) -> None:
        await asyncio.sleep(60)

    async with raw(mute) as server, open_door(timeout_s=0.2) as door:
        stream = made(door)
        assert await read(stream, f"ws://127.0.0.1:{server.port}/") == []
        ends = [stream.end]
        assert await read(stream, f"ws://127.0.0.1:{await free_port()}/") == []
        ends.append(stream.end)
    assert [end and end.fault for end in ends] == [Fault.TIMEOUT, Fault.CONNECT]


async def test_waits_grow_to_a_cap_with_jitter_and_begin_anew_after_a_good_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that closes each time is not stormed."""
    async with pushing(_goodbye) as server, open_door(Books(1e6)) as door:
        stream = made(door)
        assert stream.pause_s() == 0
        waits = []
        for _ in range(14):
            await read(stream, server.url)
            waits.append(stream.pause_s())
        most = [min(streams.LONGEST_S, 2.0**n) for n in range(14)]
        assert all(high / 2 <= wait <= high for wait, high in zip(waits, most, strict=True))
        assert len({wait / high for wait, high in zip(waits, most, strict=True)}) == 14  # jitter
        monkeypatch.setattr(streams, "STEADY_S", 0.0)
        await read(stream, server.url)
        assert stream.pause_s() <= 1


async def test_a_reader_who_leaves_waits_as_well() -> None:
    """What the reader takes for an end (an error frame) must not make a storm of connections."""

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"one")
        await until_left(socket)

    async with pushing(talk) as server, open_door() as door:
        stream = made(door)
        await read(stream, server.url, 1)
        assert stream.pause_s() >= 0.5


async def test_retry_after_is_honoured() -> None:
    answers = [web.Response(status=503, headers={"Retry-After": "1"})]
    books = Books()

    def refuse() -> web.Response | None:
        return answers.pop() if answers else None

    async with pushing(_goodbye, refuse) as server, open_door(books) as door:
        stream = made(door)
        assert await read(stream, server.url) == []
        assert stream.end is not None
        assert stream.end.fault is Fault.SERVER
        began = time.monotonic()
        assert await read(stream, server.url) == [b"one"]
        assert time.monotonic() - began >= 0.95
    assert len(books.paid) == 2


async def test_an_empty_budget_delays_a_stream_and_never_shuts_it_out() -> None:
    class Exhausted(Books):
        """A host whose every request goes to somebody else, just before our turn."""

        def room(self, host: str, now: Micros) -> int:
            return 0

        def ready_at(self, host: str, now: Micros) -> Micros:
            return now + SECOND // 5

    books = Exhausted()
    async with pushing(_goodbye) as server, open_door(books) as door:
        began = time.monotonic()
        assert await read(made(door), server.url) == [b"one"]
        assert 0.15 < time.monotonic() - began < 2
    assert books.paid == ["127.0.0.1"]


async def test_a_host_that_goes_on_talking_is_left() -> None:
    """The closing handshake of a busy stream would otherwise last as long as the stream."""

    async def talk(socket: web.WebSocketResponse) -> None:
        # It reads nothing, so it sees no goodbye.
        while True:
            await socket.send_bytes(bytes(100))
            await asyncio.sleep(0.001)

    async with pushing(talk) as server, open_door() as door:
        began = time.monotonic()
        await read(made(door), server.url, 3)
        assert time.monotonic() - began < streams.CLOSE_S + 1


async def test_a_flood_leaves_others_their_turns() -> None:
    """Messages that are buffered suspend nobody: a busy relay would stop the watch meanwhile."""

    async def talk(socket: web.WebSocketResponse) -> None:
        for _ in range(2000):
            await socket.send_bytes(b"x" * 20)
        await until_left(socket)

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    runs = {0: 0}  # messages that were read in a row, by the turns of others before them
    async with pushing(talk) as server, open_door() as door:
        task = asyncio.create_task(others())
        async with contextlib.aclosing(made(door).messages(server.url, lambda: None)) as messages:
            async for _ in messages:
                runs[turns] = runs.get(turns, 0) + 1
                _work(0.0005)  # a reader that decodes
                if sum(runs.values()) == 2000:
                    break
        task.cancel()
    print(f"at most {max(runs.values())} messages in a row")
    assert max(runs.values()) < 200  # a full buffer holds over 500


def _work(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
