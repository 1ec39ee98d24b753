"""Ways and redirects: a page behind three redirects is a page, and a redirect is no way inside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.reach.loopback import (
    HOST,
    LIMITS,
    NAME,
    Certificates,
    Talk,
    answering,
    closed_port,
    loopback_run,
    serving,
    silent,
)
from vanished.net.address import networks
from vanished.reach.door import Door
from vanished.reach.run import Limits, Run
from vanished.reach.throughput import rate
from vanished.reach.ways import INVALID, TOO_MANY, Asked, follow, location, way

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"


def sends(to: str) -> bytes:
    """A redirect."""
    return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to.encode() + b"\r\n\r\n"


async def finds(name: str, redirects: int) -> Sequence[str]:
    """Every name but one stands on loopback."""
    return [] if name == "gone.example" else [HOST]


async def test_a_way_ends_where_it_fails_and_its_steps_belong_together(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    run = loopback_run()
    tried = await way(run, HOST, Asked(f"https://{NAME}:{closed_port()}/"))
    assert (tried.stage, tried.failure) == ("connect", "connection_refused")
    async with serving(answering(PAGE), made.server("expired")) as port:
        tried = await way(run, HOST, Asked(f"https://{NAME}:{port}/", authorities=made.trusted))
    assert (tried.stage, tried.failure) == ("handshake", "ssl_invalid_certificate")
    async with serving(answering(PAGE), made.server()) as port:
        tried = await way(run, HOST, Asked(f"https://{NAME}:{port}/", authorities=made.trusted))
    assert (tried.stage, tried.failure) == ("request", None)
    assert tried.handshake
    assert tried.exchange
    ids = {s.transaction_id for s in (tried.connect, tried.handshake, tried.exchange)}
    assert len(ids) == 1
    assert (len(run.connects), len(run.handshakes), len(run.requests)) == (3, 2, 1)


async def test_another_name_can_be_shown_without_asking_for_a_page(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    async with serving(answering(PAGE), made.server()) as port:
        asked = Asked(f"https://{NAME}:{port}/", name="other.example", verify=False, page=False)
        run = loopback_run()
        tried = await way(run, HOST, asked)
    assert (tried.stage, tried.failure) == ("handshake", None)
    assert tried.handshake
    assert tried.handshake.server_name == "other.example"
    assert not run.requests


async def test_redirects_are_followed_and_marked() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        next_one = {b"/": sends("/a"), b"/a": sends(f"http://second.example:{port}/b")}
        writer.write(next_one.get(head.split()[1], PAGE))
        await writer.drain()

    async with serving(talk) as port:
        run = loopback_run()
        tried = await way(run, HOST, Asked(f"http://{NAME}:{port}/"))
        assert tried.exchange
        failure = await follow(run, tried.exchange, finds, tags=("control_address",))
    assert failure is None
    urls = [one.request.url for one in run.requests if one.request]
    assert urls == [f"http://{NAME}:{port}/", f"http://{NAME}:{port}/a",
                    f"http://second.example:{port}/b"]  # fmt: skip
    assert [one.tags for one in run.requests] == [
        None, ("control_address", "depth=1"), ("control_address", "depth=2"),
    ]  # fmt: skip
    first, *_ = run.keys().requests or ()
    assert first.request
    assert first.request.url.endswith("/b")  # a record has the last one first


@pytest.mark.parametrize(
    ("to", "failure"),
    [
        ("/", TOO_MANY),  # to itself
        ("/again", TOO_MANY),
        ("http://gone.example/", "dns_no_answer"),
        ("https:///path", INVALID),
        ("http://10.0.0.1/", "unknown_failure: 10.0.0.1 is private, and such addresses are not"
         " contacted"),
        ("http://[::1]/", "unknown_failure: ::1 is loopback, and such addresses are not contacted"),
        ("http://news.example:99999/", None),  # no address: the redirect is the last page
        ("intent://news.example/", None),
        ("http://[news/", None),
    ],
)  # fmt: skip
async def test_no_redirect_leads_a_probe_astray(to: str, failure: str | None) -> None:
    async with serving(answering(sends(to))) as port:
        run = loopback_run()
        tried = await way(run, HOST, Asked(f"http://{NAME}:{port}/"))
        assert tried.exchange
        assert (location(tried.exchange) is None) == (failure is None)
        assert await follow(run, tried.exchange, finds) == failure
    assert len(run.requests) <= 7


async def test_a_redirect_beyond_ascii_is_followed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(sends("/новости") if head.split()[1] == b"/" else PAGE)
        await writer.drain()

    async with serving(talk) as port:
        run = loopback_run()
        tried = await way(run, HOST, Asked(f"http://{NAME}:{port}/"))
        assert tried.exchange
        assert await follow(run, tried.exchange, finds) is None
    assert len(run.requests) == 2


# Rates


def dripping(size: int, pause_s: float) -> Talk:
    """A page of 64 kB that comes in such pieces with such pauses."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n")
        for _ in range(65536 // size):
            writer.write(b"x" * size)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


async def test_a_slow_page_is_told_from_a_fast_one() -> None:
    found = []
    for talk in (dripping(4096, 0.05), dripping(65536, 0.0)):
        async with serving(talk) as port:
            run = loopback_run()
            found.append(await rate(run, HOST, Asked(f"http://{NAME}:{port}/large"), 3.0))
    slow, fast = found
    assert slow
    assert fast
    assert 20_000 < slow < 90_000  # 80 kB/s, if the machine is not busy
    assert fast > 5 * slow
    assert not run.requests  # it is no request of the measurement


async def test_a_page_that_does_not_come_or_is_too_small_has_no_rate() -> None:
    for talk in (silent, answering(PAGE)):
        async with serving(talk) as port:
            asked = Asked(f"http://{NAME}:{port}/large")
            assert await rate(loopback_run(), HOST, asked, 0.3) is None


async def test_a_page_that_outlasts_the_time_still_has_a_rate() -> None:
    async with serving(dripping(2048, 0.05)) as port:  # 1.6 s in all
        asked = Asked(f"http://{NAME}:{port}/large")
        found = await rate(loopback_run(), HOST, asked, 0.8)
    assert found
    assert 8_000 < found < 60_000


async def test_a_lab_door_does_not_open_the_rest() -> None:
    run = Run(Door(allow=networks(["10.77.0.0/24"])), LIMITS)
    tried = await way(run, HOST, Asked(f"http://{NAME}/"))
    assert (tried.failure or "").startswith("unknown_failure: 127.0.0.1 is loopback")


def test_patience_is_longer_than_what_the_verdict_asks() -> None:
    """A connect that waits less than the verdict's patience never counts alone."""
    from vanished.reach.facts_settings import DEFAULT

    assert Limits().connect_s > DEFAULT.patience_s
    assert Limits().tls_s > DEFAULT.patience_s
