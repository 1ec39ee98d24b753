"""The test of a page on loopback: what must work comes first, and a list is bounded and patient.

Forms of blocking are the network lab's business; here is what needs no censor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reach.loopback import (
    HOST,
    LIMITS,
    NAME,
    Certificates,
    answering,
    closed_port,
    dns_serving,
    loopback_door,
    serving,
)
from vanished.errors import UsageError
from vanished.lab import network_dns as lab_dns
from vanished.reach.control_steps import ControlSettings, control_of
from vanished.reach.controlling import ControlFailedError
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.probe_dns import Resolver
from vanished.reach.record import Control, Measurement
from vanished.reach.web_settings import WebSettings
from vanished.reach.web_test import WebTest, checked

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<title>News</title>.\n"[:-1]


class Beside:
    """A control that looks from the same place, or fails."""

    vantage = "loopback"

    def __init__(self, settings: ControlSettings, failure: str = "") -> None:
        self.settings, self.failure = settings, failure

    async def control(self, url: str, places: Sequence[str], *, quic: bool) -> Control:
        if self.failure:
            raise ControlFailedError(self.failure)
        return await control_of(url, places, loopback_door(), self.settings, with_quic=quic)

    async def rate(self, url: str, seconds: float) -> float | None:
        return None


class World:
    """A resolver that knows `known`, a page in TLS, and settings to test it."""

    def __init__(self, made: Certificates, dns_port: int, port: int, known: set[str]) -> None:
        self.port, self.known = port, known
        resolver = Resolver("udp", HOST, dns_port)
        self.settings = WebSettings(
            canary=f"https://{NAME}:{port}/", bystander="other.example", resolvers=(resolver,),
            authorities=made.trusted, limits=LIMITS, spacing_s=0.02, quic=False,
        )  # fmt: skip
        self.beside = ControlSettings(resolver, made.trusted, LIMITS)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}/"

    def test(self, failure: str = "") -> WebTest:
        return WebTest(self.settings, loopback_door(), Beside(self.beside, failure))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    known = {NAME}

    def script(query: bytes) -> Sequence[bytes]:
        asked = lab_dns.question(query)
        assert asked
        if asked.name in known:
            return [lab_dns.answer(asked, [HOST])]
        return [lab_dns.answer(asked, (), lab_dns.NXDOMAIN)]

    made = Certificates(tmp_path)
    async with (
        dns_serving(script) as (_, dns_port),
        serving(answering(PAGE), made.server()) as port,
    ):
        yield World(made, dns_port, port, known)


def state(one: Measurement) -> str | None:
    ours = one.keys.x_vanished
    return ours.state if ours else None


async def test_an_open_page_is_ok_and_its_record_is_read_again(world: World) -> None:
    found = await world.test().measure(world.url)
    assert state(found) == "ok"
    assert found.keys.blocking is False  # not accessible to OONI, which does not count loopback
    assert found.keys.x_vanished
    assert found.keys.x_vanished.canary
    assert found.keys.x_vanished.canary.ok
    assert found.keys.x_vanished.canary.wildcard is False
    again = from_json(to_json(found))
    assert again.keys.queries == found.keys.queries
    assert again.keys.tls_handshakes == found.keys.tls_handshakes
    assert again.keys.requests == found.keys.requests
    assert b'"probe_ip":"127.0.0.1"' in to_json(found)


async def test_no_page_is_asked_for_when_the_canary_is_dead(world: World) -> None:
    world.known.clear()
    test = world.test()
    found = await test.measure(world.url)
    assert state(found) == "insufficient"
    assert found.keys.x_vanished
    assert found.keys.x_vanished.rules[0] == "canary-failed"
    assert not any(key.startswith("tcp") for key in test.door.contacted)
    assert all("canary" in (query.tags or ()) for query in found.keys.queries or ())


async def test_nothing_is_said_against_a_page_without_a_control(world: World) -> None:
    gone = f"https://{NAME}:{closed_port()}/"
    found = await world.test("connection_refused").measure(gone)
    assert state(found) == "insufficient"
    assert found.keys.control_failure == "connection_refused"
    found = await world.test().measure(gone)
    assert state(found) == "down"  # the control, when it is there, fails, too


async def test_a_name_that_cannot_be_asked_for_is_one_bad_line_of_a_list(world: World) -> None:
    bad = f"https://a..b:{world.port}/"
    found = [one async for one in world.test().each([bad, world.url])]
    assert {one.target: state(one) for one in found}[world.url] == "ok"
    assert {one.target: state(one) for one in found}[bad] not in ("ok", "blocked", "likely_blocked")


@pytest.mark.parametrize(("falls_silent", "said"), [(False, "blocked"), (True, "ok")])
async def test_a_resolver_that_falls_silent_has_dropped_nothing(
    world: World, falls_silent: bool, said: str
) -> None:
    """Lost questions count only if the canary is answered there after them, too."""
    canary, lost = "canary.example", False

    def script(query: bytes) -> Sequence[bytes]:
        nonlocal lost
        asked = lab_dns.question(query)
        assert asked
        lost = lost or asked.name == NAME
        if asked.name == NAME or (lost and falls_silent):
            return []
        return [lab_dns.answer(asked, [HOST] if asked.name == canary else (), lab_dns.NOERROR)]

    async with dns_serving(script) as (_, asked_at), serving(answering(PAGE)) as plain:
        settings = replace(
            world.settings, resolvers=(Resolver("udp", HOST, asked_at),),
            canary=f"http://{canary}:{plain}/", limits=replace(LIMITS, dns_s=0.3),
        )  # fmt: skip
        test = WebTest(settings, loopback_door(), Beside(world.beside))
        found = await test.measure(world.url)
    assert state(found) == said, found.keys.x_vanished
    again = [q for q in found.keys.queries or () if "canary" in (q.tags or ())]
    assert bool(again[0].failure) is falls_silent


async def test_a_list_is_tested_side_by_side_and_not_more_than_agreed(world: World) -> None:
    running = most = 0

    class Counted(WebTest):
        async def measure(self, url: str) -> Measurement:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01 * (int(url) % 3))
            running -= 1
            return Measurement(input=url)

    test = Counted(world.settings, loopback_door(), None)
    found = [one.target async for one in test.each([str(n) for n in range(20)], at_once=4)]
    assert sorted(found, key=int) == [str(n) for n in range(20)]
    assert most == 4


async def test_whoever_stops_a_list_stops_what_runs(world: World) -> None:
    ended: list[str] = []

    class Endless(WebTest):
        async def measure(self, url: str) -> Measurement:
            if url == "first":
                return Measurement(input=url)
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(url)
            raise AssertionError

    listed = Endless(world.settings, loopback_door(), None).each(["a", "first", "b"], at_once=3)
    assert (await anext(listed)).target == "first"
    await listed.aclose()  # type: ignore[attr-defined]
    assert sorted(ended) == ["a", "b"]


@pytest.mark.parametrize(
    "url", ["", "news.example", "ftp://news.example/", "http://", "http://a:99999/", "http://[a/"]
)
def test_what_is_no_address_of_the_web_is_said_at_once(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of the web"):
        checked(url)
