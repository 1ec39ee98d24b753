"""The door against real servers: what a source would misread, or the observer would suffer from."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from pathlib import Path

import pytest
from aiohttp import web

from tests.net.servers import (
    LOOPBACK,
    Books,
    Names,
    Raw,
    Request,
    certificate,
    free_port,
    open_door,
    raw,
    stop,
    track,
)
from vanished import __version__
from vanished.clock import SystemClock
from vanished.errors import ConfigError
from vanished.model import MINUTE, SECOND, Fault
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Fetch
from vanished.net.politeness import Politeness

MIB = 1024 * 1024


# -- answers -----------------------------------------------------------------------------------


async def test_a_page_comes_back_whole_with_all_that_evidence_needs() -> None:
    async def answer(request: Request) -> None:
        await request.reply(
            200, gzip.compress("Bericht über €".encode()),
            Content_Type="text/plain; charset=utf-8", Content_Encoding="gzip", X_Mixed_CASE="a",
            ETag="1", etag="2",
        )  # fmt: skip

    async with raw(answer) as server, open_door(vantage="desk") as door:
        fetcher = door.fetcher()
        fetch: Fetch = fetcher
        before = door.clock.now()
        exchange = await fetch.request("get", server.url("/a%2Fb?q=%C3%A9"), headers={"X-Own": "1"})
    assert exchange.fault is None, exchange.words
    assert exchange.status == 200
    assert exchange.text() == "Bericht über €"
    assert gzip.decompress(exchange.wire) == exchange.body
    assert exchange.headers["x-mixed-case"] == "a"
    assert exchange.headers["etag"] == "1, 2"
    assert exchange.url == server.url("/a%2Fb?q=%C3%A9")
    assert exchange.hops == ()
    assert exchange.address == "127.0.0.1"
    assert exchange.vantage == "desk"
    assert before <= exchange.asked_at <= exchange.answered_at
    assert fetcher.exchanges == [exchange]
    head = server.heads[0].decode().lower()
    assert head.startswith("get /a%2fb?q=%c3%a9 http/1.1\r\n")
    assert f"user-agent: vanished/{__version__} (+observatory)\r\n" in head
    assert "accept-encoding: gzip, deflate\r\n" in head
    assert "x-own: 1\r\n" in head


@pytest.mark.parametrize("status", [200, 204, 304, 400, 401, 403, 404, 410, 451])
async def test_these_statuses_are_answers_and_not_faults(status: int) -> None:
    async def answer(request: Request) -> None:
        await request.reply(status, b"" if status in (204, 304) else b"notice")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is None, exchange.words
    assert exchange.status == status
    assert exchange.body == (b"" if status in (204, 304) else b"notice")


@pytest.mark.parametrize(
    ("status", "fault"),
    [(429, Fault.RATE_LIMITED), (500, Fault.SERVER), (502, Fault.SERVER), (503, Fault.SERVER)],
)
async def test_these_statuses_are_faults_and_keep_their_page(status: int, fault: Fault) -> None:
    async def answer(request: Request) -> None:
        await request.reply(status, b"busy")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is fault
    assert exchange.status == status
    assert exchange.body == b"busy"
    assert str(status) in exchange.words


async def test_head_and_post_work_and_head_has_no_body() -> None:
    bodies = []

    async def page(request: web.Request) -> web.Response:
        bodies.append((request.method, await request.read(), request.content_type))
        return web.Response(body=b"x" * 100, headers={"Content-Encoding": "identity"})

    app = web.Application()
    app.router.add_route("*", "/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        async with open_door(max_bytes=100) as door:
            head = await door.fetcher().request("HEAD", f"http://127.0.0.1:{port}/")
            post = await door.fetcher().request(
                "POST", f"http://127.0.0.1:{port}/", body=b"{}",
                headers={"Content-Type": "application/json"},
            )  # fmt: skip
    finally:
        await runner.cleanup()
    assert (head.status, head.body, head.fault) == (200, b"", None)
    assert head.headers["content-length"] == "100"
    assert (post.status, len(post.body), post.fault) == (200, 100, None)
    assert bodies[1] == ("POST", b"{}", "application/json")


async def test_no_cookie_survives_a_look() -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"", Set_Cookie="session=1; Path=/")

    names = Names(news_example=[["127.0.0.1"]])  # cookies of bare addresses are never kept
    async with raw(answer) as server, open_door(resolver=names) as door:
        fetcher = door.fetcher()
        for _ in range(2):
            await fetcher.request("GET", f"http://news.example:{server.port}/")
    assert len(server.heads) == 2
    assert all(b"cookie" not in head.lower() for head in server.heads)


async def test_header_values_that_are_no_text_cannot_poison_the_archive() -> None:
    async def answer(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nX-A: \xff\xfe\r\nContent-Length: 0\r\n\r\n")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is None
    assert exchange.headers["x-a"].encode() == "\ufffd\ufffd".encode()


async def test_a_name_and_password_in_a_url_reach_neither_the_host_nor_the_facts() -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"ok")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request(
            "GET", f"http://user:secret@127.0.0.1:{server.port}/", headers={"Authorization": "own"}
        )
    assert exchange.body == b"ok"
    assert "secret" not in repr(exchange)
    assert b"authorization: own" in server.heads[0].lower()


# -- broken answers ----------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 1000\r\n\r\nhalf of it",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\nhalf",
        HEAD + b"Content-Length: 1000\r\nContent-Encoding: gzip\r\n\r\n"
        + gzip.compress(b"x", mtime=0)[:12],
        HEAD + b"Connection: close\r\nContent-Encoding: gzip\r\n\r\n"
        + gzip.compress(b"x", mtime=0)[:-4],
        HEAD + b"Content-Length: 9\r\nContent-Encoding: deflate\r\n\r\n"
        + zlib.compress(bytes(range(99)))[:9],
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_body_cut_short_is_truncated_and_never_a_page(sent: bytes, how: str) -> None:
    async def answer(request: Request) -> None:
        await request.send(sent)
        await asyncio.sleep(0.05)
        if how == "rst":
            request.reset()
        else:
            request.writer.close()

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is Fault.TRUNCATED, exchange
    assert exchange.status == 200
    assert exchange.words


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_body_without_a_length_is_cut_if_its_connection_was_reset(how: str) -> None:
    async def answer(request: Request) -> None:
        await request.send(HEAD + b"\r\nall that there is")
        await asyncio.sleep(0.05)
        if how == "rst":
            request.reset()
        else:
            request.writer.close()

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is (Fault.TRUNCATED if how == "rst" else None)
    assert exchange.body == b"all that there is"


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", Fault.UNREADABLE),
        (b"\0\1\2\3\r\n\r\n", Fault.UNREADABLE),
        (HEAD + b"Content-Length: -1\r\n\r\n", Fault.UNREADABLE),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", Fault.UNREADABLE),
        (HEAD + b"X-Big: " + b"x" * 70_000 + b"\r\n\r\n", Fault.TOO_LARGE),
        (HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n", Fault.UNREADABLE),
        (HEAD + b"Content-Length: 2\r\nContent-Encoding: br\r\n\r\nxy", Fault.UNREADABLE),
        (HEAD + b"Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\nwxyz", Fault.UNREADABLE),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf", Fault.UNREADABLE),
        (b"", Fault.CONNECT),
        (HEAD + b"X-A: cut", Fault.CONNECT),
    ],
)
async def test_nonsense_is_a_fault_with_words(sent: bytes, fault: Fault) -> None:
    async def answer(request: Request) -> None:
        await request.send(sent)
        request.writer.close()

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is fault, exchange
    assert 0 < len(exchange.words) < 200
    if exchange.fault is Fault.UNREADABLE:
        assert exchange.body == b"", "what cannot be decoded must not be read as text"


async def test_a_body_over_the_cap_stops_whether_or_not_it_was_announced() -> None:
    async def answer(request: Request) -> None:
        if request.path == "/announced":
            await request.send(HEAD + b"Content-Length: 99999999999\r\n\r\n")
        else:
            await request.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                await request.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        request.writer.close()

    async with raw(answer) as server, open_door(max_bytes=300_000) as door:
        for path in ("/announced", "/chunked"):
            exchange = await door.fetcher().request("GET", server.url(path))
            assert exchange.fault is Fault.TOO_LARGE
            assert len(exchange.wire) <= 300_000
        whole = await open_whole(door)
    assert whole == 300_000


async def open_whole(door: Door) -> int:
    async def answer(request: Request) -> None:
        await request.reply(200, b"x" * 300_000)

    async with raw(answer) as server:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is None, "exactly the cap is still a page"
    return len(exchange.body)


async def test_a_gzip_bomb_of_10_gb_stops_early_in_small_memory() -> None:
    sent = 0

    async def answer(request: Request) -> None:
        nonlocal sent
        squeeze = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
        zeros = bytes(MIB)
        await request.send(HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(10 * 1024):
                await asyncio.sleep(0)  # the reader lives in this process too
                if piece := squeeze.compress(zeros):
                    sent += len(piece)
                    await request.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        request.writer.close()

    async with raw(answer) as server, open_door(timeout_s=20.0) as door:
        tracemalloc.start()
        try:
            exchange = await door.fetcher().request("GET", server.url())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert exchange.fault is Fault.TOO_LARGE
    assert len(exchange.body) <= 8 * MIB
    assert sent < MIB, "ten gigabytes of zeros are ten megabytes on the wire"
    assert peak < 32 * MIB


# -- time --------------------------------------------------------------------------------------


async def test_a_body_that_drips_for_ever_ends_with_the_total_timeout() -> None:
    async def answer(request: Request) -> None:
        await request.send(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(1000):
            await request.send(b"x")
            await asyncio.sleep(0.02)

    async with raw(answer) as server, open_door(timeout_s=0.4) as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is Fault.TIMEOUT
    assert exchange.status == 200
    assert 0 < len(exchange.body) < 1000
    assert exchange.answered_at - exchange.asked_at < MINUTE


async def test_a_redirect_does_not_start_the_time_anew() -> None:
    async def answer(request: Request) -> None:
        await asyncio.sleep(0.25)
        await request.reply(302, b"", Location="/again")

    async with raw(answer) as server, open_door(timeout_s=0.6, max_redirects=50) as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is Fault.TIMEOUT
    assert len(exchange.hops) == 2


async def test_cancelling_a_look_cancels_it() -> None:
    async def answer(request: Request) -> None:
        await asyncio.sleep(60)

    async with raw(answer) as server, open_door() as door:
        look = asyncio.ensure_future(door.fetcher().request("GET", server.url()))
        while not server.heads:
            await asyncio.sleep(0.01)
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look


# -- connections -------------------------------------------------------------------------------


async def test_a_closed_port_is_a_connect_fault() -> None:
    port = await free_port()
    async with open_door(retries=0) as door:
        exchange = await door.fetcher().request("GET", f"http://127.0.0.1:{port}/")
    assert exchange.fault is Fault.CONNECT
    assert exchange.status is None
    assert "127.0.0.1: no connection" in exchange.words


async def test_a_name_that_nobody_knows_is_a_dns_fault() -> None:
    async with open_door(resolver=Names()) as door:
        exchange = await door.fetcher().request("GET", "http://nobody.example/")
    assert exchange.fault is Fault.DNS
    assert "nobody.example" in exchange.words


async def test_a_name_that_no_resolver_can_take_is_a_dns_fault() -> None:
    async with open_door() as door:
        exchange = await door.fetcher().request("GET", f"http://{'a' * 64}.example/")
    assert exchange.fault is Fault.DNS


async def test_https_works_and_checks_the_name_in_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"sealed")

    at_server, at_client = certificate(tmp_path, "news.example")
    names = Names(news_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    names.answers["news.example."] = [["127.0.0.1"]]
    async with raw(answer, tls=at_server) as server, open_door(resolver=names) as door:
        url = f"https://news.example:{server.port}/"
        unsigned = await door.fetcher().request("GET", url)
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", at_client)
        trusted = await door.fetcher().request("GET", url)
        dotted = await door.fetcher().request("GET", url.replace(".example", ".example."))
        wrong = await door.fetcher().request("GET", url.replace("news", "other"))
    assert unsigned.fault is Fault.TLS
    assert "self-signed certificate" in unsigned.words
    assert (trusted.fault, trusted.body, trusted.address) == (None, b"sealed", "127.0.0.1")
    assert (dotted.fault, dotted.body) == (None, b"sealed")
    assert wrong.fault is Fault.TLS
    assert "other.example" in wrong.words


@pytest.mark.parametrize(
    ("how", "fault"), [("plain", Fault.TLS), ("fin", Fault.CONNECT), ("rst", Fault.CONNECT)]
)
async def test_a_tls_handshake_that_is_cut_is_told_from_one_that_fails(
    how: str, fault: Fault
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        if how == "plain":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif how == "rst":
            Request(b"", writer).reset()

    tasks: set[asyncio.Task[None]] = set()
    server = await track(serve, tasks)
    try:
        port = server.sockets[0].getsockname()[1]
        async with open_door() as door:
            exchange = await door.fetcher().request("GET", f"https://127.0.0.1:{port}/")
    finally:
        await stop(server, tasks)
    assert exchange.fault is fault, exchange.words


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f.1", "0x7f000001", "2130706433", "127.1", "0", "127.0.0.1.", "１２７.0.0.1",
     "017700000001", "[::ffff:127.0.0.1]", "[::1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
     "localhost", "localhost.", "LOCALHOST", "169.254.169.254", "[fe80::1%25lo]", "0.0.0.0"],
)  # fmt: skip
async def test_no_spelling_of_a_private_address_is_asked(host: str) -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"secret")

    async with raw(answer) as server, open_door(allow_networks=()) as door:
        exchange = await door.fetcher().request("GET", f"http://{host}:{server.port}/")
        if host == "localhost." and exchange.fault is Fault.DNS:
            assert "resolved" in exchange.words  # some systems do not know it with its dot
        else:
            assert exchange.fault is Fault.REFUSED, exchange
            assert "not asked: " in exchange.words
        assert server.connections == 0


async def test_rebinding_a_name_to_loopback_gains_nothing() -> None:
    """127.0.0.2 plays the public address here, 127.0.0.1 the private one."""

    async def answer(request: Request) -> None:
        await request.reply(200, b"public" if request.head else b"", Connection="close")

    names = Names(
        rebind_example=[["127.0.0.2"], ["127.0.0.1"]], both_example=[["127.0.0.1", "127.0.0.2"]]
    )
    async with (
        raw(answer, "127.0.0.2") as public,
        raw(answer, "127.0.0.1") as private,
        open_door(allow_networks=("127.0.0.2/32",), resolver=names) as door,
    ):
        first = await door.fetcher().request("GET", f"http://rebind.example:{public.port}/")
        later = await door.fetcher().request("GET", f"http://rebind.example:{private.port}/")
        either = await door.fetcher().request("GET", f"http://both.example:{public.port}/")
        assert (first.body, first.address) == (b"public", "127.0.0.2")
        assert names.asked == ["rebind.example", "rebind.example", "both.example"]
        assert later.fault is Fault.REFUSED
        assert (either.body, either.address) == (b"public", "127.0.0.2")
        assert private.connections == 0


async def test_a_name_whose_every_address_is_denied_is_refused_not_broken() -> None:
    """Else it would be asked for again, and look like a host that is down."""
    names = Names(two_example=[["::1", "127.0.0.1"]])
    async with open_door(allow_networks=(), resolver=names) as door:
        exchange = await door.fetcher().request("GET", "http://two.example/")
    assert exchange.fault is Fault.REFUSED
    assert names.asked == ["two.example"]
    assert exchange.words.startswith("two.example: not asked: ::1 is ")
    assert "127.0.0.1 is " in exchange.words


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "", "http://", "//x/"])
async def test_only_http_and_https_are_asked(url: str) -> None:
    async with open_door() as door:
        exchange = await door.fetcher().request("GET", url)
    assert exchange.fault is Fault.REFUSED


# -- budgets -----------------------------------------------------------------------------------


async def test_the_first_request_is_prepaid_and_all_others_pay() -> None:
    async def answer(request: Request) -> None:
        if request.path == "/away":
            await request.reply(302, b"", Location="/here")
        else:
            await request.reply(200, b"ok")

    books = Books()
    async with raw(answer) as server, open_door(books) as door:
        fetcher = door.fetcher(prepaid=1)
        await fetcher.request("GET", server.url("/here"))
        assert books.paid == []
        await fetcher.request("GET", server.url("/away"))
        assert books.paid == ["127.0.0.1"] * 2
        await door.fetcher(prepaid=0).request("GET", server.url("/here"))
        assert books.paid == ["127.0.0.1"] * 3
    assert len(server.heads) == 4


async def dropped(request: Request) -> None:
    request.writer.close()


@pytest.mark.parametrize(
    ("method", "retries", "per_second", "asked"),
    [
        ("GET", 1, 1000.0, 2),
        ("GET", 3, 1000.0, 4),
        ("GET", 0, 1000.0, 1),
        ("HEAD", 1, 1000.0, 2),
        ("POST", 1, 1000.0, 1),
        ("GET", 3, 0.2, 3),  # ten seconds of burst hold two: the rest is not there to spend
    ],
)
async def test_a_broken_connection_is_tried_again_only_as_far_as_the_budget_goes(
    method: str, retries: int, per_second: float, asked: int
) -> None:
    books = Books(per_second)
    async with raw(dropped) as server, open_door(books, retries=retries) as door:
        exchange = await door.fetcher().request(method, server.url())
    assert exchange.fault is Fault.CONNECT
    assert len(server.heads) == asked, "aiohttp must not repeat requests behind our back"
    assert len(books.paid) == asked - 1


async def test_a_retry_that_works_is_an_answer() -> None:
    async def answer(request: Request) -> None:
        if len(server.heads) == 1:
            request.writer.close()
        else:
            await request.reply(200, b"second time")

    server: Raw
    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert (exchange.fault, exchange.body) == (None, b"second time")


async def test_a_connection_that_the_host_closed_while_idle_costs_no_look() -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"ok")
        request.writer.close()  # without having said so

    async with raw(answer) as server, open_door() as door:
        for _ in range(3):
            exchange = await door.fetcher().request("GET", server.url())
            assert (exchange.fault, exchange.body) == (None, b"ok")


async def test_429_and_retry_after_reach_the_budget() -> None:
    async def answer(request: Request) -> None:
        if request.path == "/away":
            await request.reply(302, b"", Location="/limited")
        else:
            await request.reply(429, b"", Retry_After="120")

    polite = Politeness(10.0)
    async with raw(answer) as server, open_door(polite) as door:
        exchange = await door.fetcher().request("GET", server.url("/limited"))
        now = door.clock.now()
        assert exchange.fault is Fault.RATE_LIMITED
        assert polite.room("127.0.0.1", now) == 0
        assert polite.ready_at("127.0.0.1", now) > now + 119 * SECOND
        # Where a host sent us away, no redirect may lead us back, and no second request.
        hop = await door.fetcher().request("GET", server.url("/away"))
        assert (hop.fault, len(hop.hops)) == (Fault.RATE_LIMITED, 1)
        assert len(server.heads) == 2


async def test_503_slows_down_only_if_it_says_how_long() -> None:
    async def answer(request: Request) -> None:
        extra = {"Retry_After": "60"} if request.path == "/later" else {}
        await request.reply(503, b"", **extra)

    polite = Politeness(10.0)
    async with raw(answer) as server, open_door(polite) as door:
        plain = await door.fetcher().request("GET", server.url("/"))
        assert polite.room("127.0.0.1", door.clock.now()) == 100
        later = await door.fetcher().request("GET", server.url("/later"))
        assert polite.room("127.0.0.1", door.clock.now()) == 0
    assert plain.fault is later.fault is Fault.SERVER


# -- the door itself ---------------------------------------------------------------------------


async def test_looks_share_connections() -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"ok")

    async with raw(answer) as server, open_door() as door:
        for _ in range(5):
            await door.fetcher().request("GET", server.url())
    assert len(server.heads) == 5
    assert server.connections == 1


async def test_no_more_connections_than_allowed() -> None:
    async def answer(request: Request) -> None:
        await asyncio.sleep(0.01)
        await request.reply(200, b"ok")

    async with raw(answer) as server, open_door(connections=3) as door:
        looks = [door.fetcher().request("GET", server.url()) for _ in range(20)]
        exchanges = await asyncio.gather(*looks)
    assert all(exchange.fault is None for exchange in exchanges)
    assert server.connections <= 3


async def test_a_door_that_is_not_open_says_so() -> None:
    door = Door(DoorSettings(allow_networks=LOOPBACK), SystemClock(), Politeness(1.0))
    with pytest.raises(RuntimeError, match="not open"):
        door.fetcher()


def test_bad_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="allow_networks"):
        open_door(allow_networks=("lan",))
    with pytest.raises(ConfigError, match="tor"):
        open_door(proxies={"tor": "127.0.0.1:9050"})
