"""Evidence of the wire: what was sent and answered is kept as it was, secrets are not."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from tests.net.servers import Names, Request, certificate, open_door, raw
from vanished.model import Fault


async def test_each_hop_and_each_byte_is_kept_as_it_came() -> None:
    packed = gzip.compress("话题".encode(), mtime=0)

    async def answer(request: Request) -> None:
        if request.path == "/old":
            await request.reply(301, b"moved on", Location="/new")
        else:
            await request.reply(
                200, packed, Content_Encoding="gzip", X_Odd="caf\N{LATIN SMALL LETTER E WITH ACUTE}"
            )

    async with raw(answer) as server, open_door() as door:
        fetcher = door.fetcher()
        exchange = await fetcher.request("GET", server.url("/old"), headers={"X-Mine": "1"})
        first, second = exchange.legs
    assert (first.url, first.status, second.url, second.status) == (
        server.url("/old"), 301, server.url("/new"), 200,
    )  # fmt: skip
    assert (first.body, first.complete) == (b"moved on", True)
    assert (second.body, exchange.body) == (packed, "话题".encode())
    assert ("X-Mine", "1") in first.sent
    assert ("Content-Encoding", "gzip") in second.headers
    odd = dict(second.headers)["X-Odd"].encode("latin-1")
    assert odd == "caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode()
    assert exchange.asked_at <= first.asked_at <= first.answered_at <= second.asked_at
    assert second.answered_at <= exchange.answered_at
    assert (second.address, second.certificates) == ("127.0.0.1", ())


async def test_what_could_log_somebody_in_is_not_kept() -> None:
    async def answer(request: Request) -> None:
        assert b"Bearer very-secret" in request.head
        await request.reply(200, b"ok")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request(
            "POST", server.url(), headers={"Authorization": "Bearer very-secret"}, body=b"question"
        )
    (leg,) = exchange.legs
    assert dict(leg.sent)["Authorization"] == "[withheld]"
    assert "very-secret" not in repr(exchange)
    assert (leg.method, leg.sent_body) == ("POST", b"question")


async def test_a_cookie_that_is_given_to_us_is_not_kept() -> None:
    async def answer(request: Request) -> None:
        await request.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nset-cookie: SUB=very-secret\r\n"
            b"Set-Cookie: other=very-secret; Path=/\r\nX-Last: 1\r\n\r\nok"
        )

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    (leg,) = exchange.legs
    assert [f for f in leg.headers if f[0].lower() == "set-cookie"] == [
        ("set-cookie", "[withheld]"),
        ("Set-Cookie", "[withheld]"),
    ]
    assert ("X-Last", "1") in leg.headers
    assert "very-secret" not in repr(leg)
    assert "very-secret" in exchange.headers["set-cookie"]  # the source that asked may use it


async def test_a_private_exchange_is_no_evidence() -> None:
    """Its answer is a secret: it must not stand in what the watch keeps of a look."""

    async def answer(request: Request) -> None:
        if request.path == "/pass":
            await request.reply(302, b"very-secret", Location="/pass2?ticket=very-secret")
        else:
            await request.reply(200, b"very-secret", Set_Cookie="SUB=very-secret")

    async with raw(answer) as server, open_door() as door:
        fetcher = door.fetcher()
        private = await fetcher.request("POST", server.url("/pass"), body=b"q", private=True)
        public = await fetcher.request("GET", server.url("/post"))
    assert private.body == b"very-secret"
    assert private.legs == ()
    assert fetcher.exchanges == [public]


async def test_a_ticket_in_a_redirect_is_not_said_aloud() -> None:
    """The words of a failed look are kept in the clear."""

    async def answer(request: Request) -> None:
        await request.reply(302, b"", Location="/in?ticket=very-secret")

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url("/post"))
    assert exchange.fault is Fault.REDIRECTS
    assert exchange.words.endswith("the last answer points to /in")


async def test_a_body_that_broke_off_says_so() -> None:
    async def answer(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly this")
        request.writer.close()

    async with raw(answer) as server, open_door() as door:
        exchange = await door.fetcher().request("GET", server.url())
    (leg,) = exchange.legs
    assert exchange.fault is Fault.TRUNCATED
    assert (leg.complete, leg.body) == (False, b"only this")


async def test_a_redirect_whose_body_never_ends_is_not_waited_for() -> None:
    async def answer(request: Request) -> None:
        if request.path == "/old":
            await request.send(
                b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 9999\r\n\r\n"
            )
            await asyncio.sleep(60)
        else:
            await request.reply(200, b"here")

    async with raw(answer) as server, open_door(timeout_s=5) as door:
        exchange = await door.fetcher().request("GET", server.url("/old"))
    assert exchange.fault is None
    assert [leg.complete for leg in exchange.legs] == [False, True]


async def test_the_servers_certificates_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: Request) -> None:
        await request.reply(200, b"sealed")

    at_server, at_client = certificate(tmp_path, "news.example")
    names = Names(news_example=[["127.0.0.1"]])
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", at_client)
    async with raw(answer, tls=at_server) as server, open_door(resolver=names) as door:
        url = f"https://news.example:{server.port}/"
        one = await door.fetcher().request("GET", url)
        two = await door.fetcher().request("GET", url)
    assert one.legs[0].certificates
    assert one.legs[0].certificates[0] in at_client.get_ca_certs(binary_form=True)
    assert two.legs[0].certificates == one.legs[0].certificates
