"""Redirects: each hop is another question, asked of another host, and checked like the first."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.net.servers import Books, Names, Raw, Request, open_door, raw
from vanished.model import Fault
from vanished.net.door import Door


async def follow(request: Request) -> None:
    """`/STATUS/TARGET` redirects with that status to that target; all else answers."""
    _, _, rest = request.path.partition("/")
    status, _, target = rest.partition("/")
    if status.isdigit():
        body = b"" if status == "304" else b"moved"
        await request.reply(int(status), body, Location=target.replace("~", "/"))
    else:
        await request.reply(200, b"here")


@contextlib.asynccontextmanager
async def world(**settings: object) -> AsyncIterator[tuple[Raw, Raw, Door, Books]]:
    """Two hosts, a.example and b.example, that redirect as they are asked to."""
    books = Books()
    names = Names(a_example=[["127.0.0.1"]], b_example=[["127.0.0.2"]])
    async with (
        raw(follow, "127.0.0.1") as a,
        raw(follow, "127.0.0.2") as b,
        open_door(books, names, **settings) as door,
    ):
        a.host, b.host = "a.example", "b.example"
        yield a, b, door, books


async def test_hops_are_recorded_in_order_and_paid_to_the_host_that_is_asked() -> None:
    async with world() as (a, b, door, books):
        last = b.url("/end")
        onward = a.url("/307/" + last.replace("/", "~"))
        exchange = await door.fetcher().request("GET", a.url("/301/~302~~turn"))
        assert exchange.hops == (a.url("/301/~302~~turn"), a.url("/302//turn"))
        assert books.paid == ["a.example", "a.example"]
        books.paid.clear()
        exchange = await door.fetcher().request("GET", onward)
        assert exchange.fault is None
        assert exchange.url == last
        assert exchange.hops == (onward,)
        assert exchange.address == "127.0.0.2"
        assert exchange.status == 200
        assert exchange.body == b"here"
        assert books.paid == ["b.example"]


@pytest.mark.parametrize(
    "target",
    [
        "http:~~169.254.169.254~latest~meta-data~",
        "http:~~127.0.0.1:1~",
        "http:~~[::1]~",
        "http:~~0x7f.1~",
        "~~2130706433~",
        "http:~~metadata.example~",
        "file:~~~etc~passwd",
        "ftp:~~a.example~",
        "gopher:~~127.0.0.1~",
        "http:~~[",
        "http:~~h:99999~",
    ],
)
async def test_a_redirect_cannot_lead_to_what_may_not_be_asked(target: str) -> None:
    books = Books()
    names = Names(a_example=[["127.0.0.2"]], metadata_example=[["169.254.169.254"]])
    async with (
        raw(follow, "127.0.0.2") as server,
        open_door(books, names, allow_networks=("127.0.0.2/32",)) as door,
    ):
        server.host = "a.example"
        exchange = await door.fetcher().request("GET", server.url(f"/302/{target}"))
        assert exchange.fault is Fault.REFUSED, exchange
        assert len(server.heads) == 1


@pytest.mark.parametrize(("limit", "asked"), [(5, 6), (0, 1), (1, 2)])
async def test_a_loop_ends_at_the_cap_and_every_turn_is_paid(limit: int, asked: int) -> None:
    async def loop(request: Request) -> None:
        await request.reply(302, b"", Location="/again")

    books = Books()
    async with raw(loop) as server, open_door(books, max_redirects=limit) as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert exchange.fault is Fault.REDIRECTS
    assert len(server.heads) == asked
    assert len(books.paid) == asked - 1
    assert len(exchange.hops) == limit
    assert exchange.status == 302


@pytest.mark.parametrize(
    ("status", "method", "then", "kept"),
    [
        (301, "POST", "GET", False),
        (302, "POST", "GET", False),
        (303, "POST", "GET", False),
        (303, "PUT", "GET", False),
        (303, "HEAD", "HEAD", False),
        (302, "PUT", "PUT", True),
        (307, "POST", "POST", True),
        (308, "POST", "POST", True),
        (302, "HEAD", "HEAD", False),
    ],
)
async def test_method_and_body_change_as_the_rfc_has_it(
    status: int, method: str, then: str, kept: bool
) -> None:
    seen = []

    async def answer(request: Request) -> None:
        seen.append(request.head.decode().lower())
        if len(seen) == 1:
            await request.reply(status, b"", Location="/end", Connection="close")
            request.writer.close()
        else:
            await request.reply(200, b"", Connection="close")
            request.writer.close()

    body = None if method == "HEAD" else b"question"
    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request(
            method, server.url(), body=body, headers={"Content-Type": "text/x", "X-Own": "1"}
        )
    assert exchange.fault is None, exchange
    assert seen[1].startswith(f"{then.lower()} /end ")
    assert ("content-length: 8" in seen[1]) == kept
    assert "x-own: 1" in seen[1]
    if method != "HEAD":
        assert ("content-type: text/x" in seen[1]) == kept


async def test_credentials_do_not_follow_to_another_host() -> None:
    secrets = {"Authorization": "Bearer t", "Cookie": "s=1", "X-Own": "1"}
    async with world() as (a, b, door, _):
        await door.fetcher().request("GET", a.url("/302/~end"), headers=secrets)
        same = a.heads[-1].decode().lower()
        assert "authorization: bearer t" in same
        assert "cookie: s=1" in same
        target = b.url("/end").replace("/", "~")
        await door.fetcher().request("GET", a.url(f"/302/{target}"), headers=secrets)
        other = b.heads[-1].decode().lower()
        assert "authorization" not in other
        assert "cookie" not in other
        assert "x-own: 1" in other


async def test_credentials_in_the_target_are_not_sent_and_not_kept() -> None:
    async with world() as (a, b, door, _):
        target = f"http:~~user:secret@b.example:{b.port}~end"
        exchange = await door.fetcher().request(
            "GET", a.url(f"/302/{target}"), headers={"Authorization": "own"}
        )
        assert exchange.fault is None
        assert exchange.url == b.url("/end")
        assert b"authorization" not in b.heads[-1].lower()


async def test_a_redirect_that_names_no_target_is_the_answer() -> None:
    async def answer(request: Request) -> None:
        await request.reply(302, b"nowhere")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    assert (exchange.fault, exchange.status, exchange.body) == (None, 302, b"nowhere")


async def test_304_and_300_are_not_followed() -> None:
    async with world() as (a, _, door, _books):
        for status in (300, 304):
            exchange = await door.fetcher().request("GET", a.url(f"/{status}/~end"))
            assert (exchange.status, exchange.hops) == (status, ())


async def test_a_fault_after_a_hop_names_the_host_that_failed() -> None:
    async with world() as (a, _, door, _books):
        exchange = await door.fetcher().request("GET", a.url("/302/http:~~gone.example~"))
        assert exchange.fault is Fault.DNS
        assert exchange.url == "http://gone.example/"
        assert len(exchange.hops) == 1
        assert exchange.status is None, "the redirect's status is not the answer's"
        assert "gone.example" in exchange.words
