"""A control that is wrong, reads along, or reaches into a private network makes victims."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from tests.needs import needs_shared
from tests.net.servers import raw
from tests.net.test_proxy import running, socks5, tunnel
from tests.reach.loopback_internet import ALLOW, PAGE, Internet, internet
from tests.reach.records import GENERATED
from vanished.errors import ConfigError, UsageError
from vanished.lab.network_certificates import Authority
from vanished.lab.reach_records import measure
from vanished.reach.control import STALE, GoAroundControl, HelperControl
from vanished.reach.control_request import ControlRequest, Standing, checked
from vanished.reach.control_server import ControlServer, ServerLimits, answer, read_request
from vanished.reach.control_steps import ControlSettings
from vanished.reach.controlling import ControlFailedError, Controlling
from vanished.reach.door import Door
from vanished.reach.probe_dns import Resolver
from vanished.reach.record import Control
from vanished.reach.run import Limits
from vanished.reach.serving import ServeSettings
from vanished.reach.verdict import verdict

QUICK = Limits(dns_s=1, connect_s=1, tls_s=2, http_s=3)


def standing(world: Internet) -> Standing:
    """A control that stands in the small internet."""
    ports = frozenset({world.http, world.https, world.resolver_port, 9})
    resolver = Resolver("udp", "127.0.0.1", world.resolver_port)
    door = Door(allow=ALLOW, per_s=1000, burst=1000, ports=ports)
    return Standing(door, ports, ControlSettings(resolver, world.authorities, QUICK))


@dataclass
class Told:
    control: Control | None
    failure: str | None


async def ask(control: Controlling, asked: ControlRequest) -> Told:
    """What a control says, or why it says nothing."""
    try:
        return Told(await control.control(asked.url, asked.places, quic=asked.quic), None)
    except ControlFailedError as error:
        return Told(None, error.failure)


@dataclass
class Served:
    world: Internet
    server: ControlServer
    url: str

    def client(self, **given: str) -> HelperControl:
        return HelperControl(self.url, allow=ALLOW, **given)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def served(folder: Path, limits: ServerLimits | None = None) -> AsyncIterator[Served]:
    async with internet(folder, "news.example", "canary.example") as world:
        server = ControlServer(standing(world), limits)
        port = await server.start("127.0.0.1", 0)
        try:
            yield Served(world, server, f"http://127.0.0.1:{port}/")
        finally:
            await server.close()


async def test_a_target_is_seen_layer_by_layer(tmp_path: Path) -> None:
    async with served(tmp_path) as here, here.client() as client:
        url = f"https://news.example:{here.world.https}/moved"
        at = f"127.0.0.1:{here.world.https}"
        refused = "127.0.0.2:9"
        outcome = await ask(client, ControlRequest(url, (at, refused, "10.0.0.1:443")))
    seen = outcome.control
    assert outcome.failure is None
    assert seen is not None
    assert seen.dns is not None
    assert (seen.dns.failure, seen.dns.addrs) == (None, ("127.0.0.1",))
    assert seen.tcp_connect is not None
    assert set(seen.tcp_connect) == {at, refused}  # the private one was not tried
    assert seen.tcp_connect[at].status is True
    assert seen.tcp_connect[refused].failure == "connection_refused"
    assert seen.tls_handshake is not None
    assert (seen.tls_handshake[at].server_name, seen.tls_handshake[at].status) == (
        "news.example", True)  # fmt: skip
    page = seen.http_request
    assert page is not None
    assert (page.status_code, page.title) == (200, "The news of today")
    assert page.body_length == len(PAGE)
    assert (page.headers or {}).get("X-Site") == "yes"
    assert seen.ip_info is not None
    assert (seen.ip_info["127.0.0.1"].flags or 0) & 11 == 11


async def test_a_name_that_does_not_exist_is_said_as_oonis_helper_says_it(tmp_path: Path) -> None:
    async with served(tmp_path) as here, here.client() as client:
        outcome = await ask(client, ControlRequest(f"http://gone.example:{here.world.http}/"))
    assert outcome.control is not None
    assert outcome.control.dns is not None
    assert outcome.control.dns.failure == "dns_name_error"
    assert outcome.control.http_request is not None
    assert outcome.control.http_request.failure


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://localhost/",
        "http://printer/",
        "http://0x7f.1/",
        "ftp://news.example/",
        "http://news.example:25/",
        "file:///etc/passwd",
        "",
    ],
)
async def test_private_targets_and_odd_ports_are_refused(tmp_path: Path, url: str) -> None:
    asked = json.dumps({"http_request": url, "tcp_connect": []})
    async with served(tmp_path) as here, aiohttp.ClientSession() as session:
        async with session.post(here.url, data=asked) as response:
            assert response.status == 400
        assert here.server.standing.door.contacted.total() == 0


async def test_a_redirect_or_a_name_leads_into_no_private_network(tmp_path: Path) -> None:
    async with served(tmp_path) as here, here.client() as client:
        here.world.names["inner.example"] = ["192.168.0.1"]
        port = here.world.http
        led = await ask(client, ControlRequest(f"http://news.example:{port}/inside"))
        named = await ask(client, ControlRequest(f"http://inner.example:{port}/"))
        contacted = set(here.server.standing.door.contacted)
    for outcome in (led, named):
        assert outcome.control is not None
        assert outcome.control.http_request is not None
        assert outcome.control.http_request.failure
    assert not [one for one in contacted if "127.0.0." not in one]


async def test_a_rate_is_told_by_ours_only(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        url = f"https://news.example:{here.world.https}/large"
        async with here.client() as client:
            told = await client.rate(url, 2.0)
            assert told is not None
            assert told > 100_000
            assert await client.rate("http://10.0.0.1/", 2.0) is None
        async with HelperControl(f"{here.url}none/", allow=ALLOW) as client:
            assert await client.rate(url, 2.0) is None
            assert await client.own_address() == ""


async def test_bad_requests_are_refused_and_the_server_lives_on(tmp_path: Path) -> None:
    bad = [
        b"",
        b"{",
        b"[]",
        b'{"http_request": 1}',
        b"\xff",
        b'{"http_request":"x","tcp_connect":1}',
    ]
    async with served(tmp_path) as here, aiohttp.ClientSession() as session:
        for body in bad:
            async with session.post(here.url, data=body) as response:
                assert response.status == 400, body
        async with session.post(here.url, data=b" " * 100_000) as response:
            assert response.status == 413
        async with session.get(here.url) as response:
            assert (await response.json())["status"] == "ok"


async def test_rates_are_limited_and_forgotten(tmp_path: Path) -> None:
    body = b'{"http_request": "http://10.0.0.1/"}'
    async with served(tmp_path, ServerLimits(per_minute=3)) as here:
        async with aiohttp.ClientSession() as session:
            codes = []
            for _ in range(5):
                async with session.post(here.url, data=body) as response:
                    codes.append(response.status)
        assert codes == [400, 400, 400, 429, 429]
        assert "127.0.0.1" not in repr(here.server._turns)
        here.server._turns.minute = -1  # the minute is over
        assert here.server._turns.admit("127.0.0.1")
        turns = here.server._turns
        assert [turns.admit(f"2001:db8:1:2::{n}") for n in range(4)] == [True] * 3 + [False]


async def test_nothing_of_an_asker_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    async with served(tmp_path) as here, here.client() as client:
        await ask(client, ControlRequest(f"http://news.example:{here.world.http}/"))
        assert await client.own_address() == "127.0.0.1"
    said = caplog.text + "".join(capfd.readouterr())
    assert "127.0.0.1" not in said
    assert "news.example" not in said


async def test_only_harmless_headers_are_sent_on(tmp_path: Path) -> None:
    asked = read_request(
        json.dumps(
            {
                "http_request": "http://news.example/",
                "http_request_headers": {
                    "User-Agent": ["A browser"],
                    "Cookie": ["a=b"],
                    "Accept": ["text/html\r\nX-Evil: 1"],
                    "Host": ["other.example"],
                },
                "x_quic_enabled": True,
            }
        ).encode()
    )
    assert asked.headers == {"User-Agent": "A browser"}
    assert asked.quic


def test_a_request_cannot_name_many_places() -> None:
    standing = Standing(Door())
    places = tuple(f"9.9.{n}.9:443" for n in range(100))
    asked = checked(ControlRequest("https://news.example/", places), standing)
    assert len(asked.places) == 16
    odd = ("9.9.9.9:22", "9.9.9.9", "news.example:443", "[2620:fe::fe]:443", ":443", "9.9.9.9:x")
    assert checked(replace(asked, places=odd), standing).places == ("[2620:fe::fe]:443",)


def test_what_oonis_probes_ask_is_understood() -> None:
    folder = needs_shared(GENERATED)
    asked = [json.loads(one.read_bytes())["test_keys"] for one in sorted(folder.glob("*.json"))]
    wanted = [one["x_control_request"] for one in asked if one.get("x_control_request")]
    assert len(wanted) > 10
    standing = Standing(Door())
    for one in wanted:
        found = checked(read_request(json.dumps(one).encode()), standing)
        assert found.url == one["http_request"] or one["http_request"].endswith(":443/")
        assert found.headers.get("User-Agent") == one["http_request_headers"]["User-Agent"][0]


async def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority.make("Authority of a test")
    (tmp_path / "here.pem").write_bytes(authority.pem())
    (tmp_path / "localhost.pem").write_bytes(authority.issue("localhost"))
    tls = ServeSettings(certificate=str(tmp_path / "localhost.pem")).tls
    server = ControlServer(Standing(Door()))
    port = await server.start("127.0.0.1", 0, tls)
    try:
        url, trusted = f"https://localhost:{port}/", str(tmp_path / "here.pem")
        async with HelperControl(url, allow=ALLOW, authorities=trusted) as client:
            assert await client.own_address() == "127.0.0.1"
        async with HelperControl(url, allow=ALLOW) as stranger:
            told = await ask(stranger, ControlRequest("https://news.example/"))
        assert told.failure == "ssl_unknown_authority"
    finally:
        await server.close()
    with pytest.raises(UsageError, match="cannot be used"):
        _ = ServeSettings(certificate=str(tmp_path / "none.pem")).tls
    with pytest.raises(UsageError, match="no certificates"):
        HelperControl(url, authorities=str(tmp_path / "none.pem"))


# The client


async def test_a_control_that_fails_is_a_failure_by_oonis_names(tmp_path: Path) -> None:
    asked = ControlRequest("https://news.example/")
    async with served(tmp_path) as here:
        url = here.url
        async with HelperControl(f"{url}none", allow=ALLOW) as client:
            assert (await ask(client, asked)).failure == "http_request_failed"
    async with HelperControl(url, allow=ALLOW) as client:
        outcome = await ask(client, asked)
    assert (outcome.control, outcome.failure) == (None, "connection_refused")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"<html>a portal</html>", "json_parse_error"),
        (b"{}", "json_parse_error"),
        (b'{"dns": 1, "http_request": {}}', "json_parse_error"),
        (b"[" * 3_000_000, "unknown_failure: ClientPayloadError"),
    ],
)
async def test_an_answer_that_is_none_is_a_failure(body: bytes, failure: str) -> None:
    async with (
        raw(lambda request: request.reply(200, body)) as server,
        HelperControl(server.url(), allow=ALLOW) as client,
    ):
        outcome = await ask(client, ControlRequest("https://news.example/"))
    assert outcome.failure == failure


async def test_a_control_that_does_not_see_the_canary_is_stale(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        canary = f"https://canary.example:{here.world.https}/"
        asked = ControlRequest(f"https://news.example:{here.world.https}/")
        async with here.client(canary=canary) as client:
            assert (await ask(client, asked)).control is not None
            await ask(client, asked)
        assert here.world.asked.count("canary.example/") == 1  # once in a while, not each time
        del here.world.names["canary.example"]
        async with here.client(canary=canary) as client:
            outcome = await ask(client, asked)
    assert (outcome.control, outcome.failure) == (None, STALE)


def test_a_failed_control_leaves_every_verdict_open() -> None:
    record = measure("sni_reset", 1)
    assert verdict(record).stopped
    failed = replace(record, test_keys=replace(record.keys, control_failure=STALE))
    assert verdict(failed).state.value == "insufficient"


@pytest.mark.parametrize("url", ["http://control.example/", "http://9.9.9.9/", "ftp://x/", "x", ""])
def test_a_control_is_not_asked_in_the_clear(url: str) -> None:
    with pytest.raises(UsageError, match="control"):
        HelperControl(url)
    HelperControl("http://abcdefghijklmnop.onion/")
    HelperControl("https://control.example/")


async def test_a_client_does_not_ask_a_private_address(tmp_path: Path) -> None:
    async with HelperControl("https://127.0.0.1:1/") as client:
        outcome = await ask(client, ControlRequest("https://news.example/"))
    assert outcome.failure is not None
    assert outcome.failure.startswith("unknown_failure")


# Through a go-around


@pytest.mark.parametrize(("scheme", "speaks"), [("socks5", socks5), ("http", tunnel)])
async def test_a_helper_is_asked_through_a_proxy_only(
    tmp_path: Path, scheme: str, speaks: object
) -> None:
    async with served(tmp_path) as here:
        port = int(here.url.rsplit(":", 1)[1].strip("/"))
        asked = ControlRequest(f"http://news.example:{here.world.http}/")
        async with running(speaks, port) as proxy:  # type: ignore[arg-type]
            way = f"{scheme}://observer:s3cret-pass@127.0.0.1:{proxy.port}"
            async with here.client(proxy=way) as client:
                outcome = await ask(client, asked)
            assert outcome.control is not None
            assert len(proxy.asked) == 1
            assert "127.0.0.1:" + str(proxy.port) not in client.vantage
        here.world.asked.clear()
        async with here.client(proxy=way) as client:  # the proxy is gone
            outcome = await ask(client, asked)
        assert outcome.control is None
        assert here.world.asked == []  # nothing went directly


@contextlib.asynccontextmanager
async def carrying(speaks: str = "socks5") -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that connects to where it is told, and what it was told."""
    told: list[str] = []

    async def carry(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await one.read(65536):
                other.write(piece)
                await other.drain()
        other.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\5\0")
        head = await reader.readexactly(10)
        host = ".".join(map(str, head[4:8]))
        port = int.from_bytes(head[8:10], "big")
        told.append(f"{host}:{port}")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            writer.write(b"\5\5\0\1" + bytes(6))
            writer.close()
            return
        writer.write(b"\5\0\0\1" + bytes(6))
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"socks5h://127.0.0.1:{server.sockets[0].getsockname()[1]}", told
    finally:
        server.close()


async def test_a_go_around_gives_a_second_vantage(tmp_path: Path) -> None:
    async with (
        internet(tmp_path, "news.example", "canary.example") as world,
        carrying() as (way, told),
    ):
        resolver = Resolver("tcp", "127.0.0.1", world.resolver_port)
        control = GoAroundControl(
            way,
            resolver,
            canary=f"https://canary.example:{world.https}/",
            allow=ALLOW,
            authorities=world.authorities,
            limits=QUICK,
        )
        url = f"https://news.example:{world.https}/"
        outcome = await ask(control, ControlRequest(url, ("127.0.0.2:9",), quic=True))
    seen = outcome.control
    assert seen is not None
    assert seen.http_request is not None
    assert seen.http_request.title == "The news of today"
    assert seen.tcp_connect is not None
    assert seen.tcp_connect["127.0.0.2:9"].failure == "connection_refused"
    assert not seen.quic_handshake
    assert control.vantage == "a go-around (socks5h)"
    assert f"127.0.0.1:{world.resolver_port}" in told  # names were asked there, too
    assert json.loads(answer(seen))["http3_request"] is None


async def test_a_go_around_that_is_down_is_a_failed_control(tmp_path: Path) -> None:
    async with internet(tmp_path, "news.example", "canary.example") as world:
        control = GoAroundControl(
            "socks5://127.0.0.1:1",
            Resolver("tcp", "127.0.0.1", world.resolver_port),
            canary=f"https://canary.example:{world.https}/",
            allow=ALLOW,
            authorities=world.authorities,
            limits=QUICK,
        )
        outcome = await ask(control, ControlRequest(f"https://news.example:{world.https}/"))
        assert (outcome.control, outcome.failure) == (None, STALE)
        assert world.asked == []
        assert world.looked_up == []


def test_a_go_around_needs_a_resolver_that_it_can_carry() -> None:
    for engine in ("udp", "system"):
        with pytest.raises(UsageError, match="TCP, TLS or HTTPS"):
            GoAroundControl("socks5://127.0.0.1:1", Resolver(engine, "127.0.0.1", 53))
    with pytest.raises(ConfigError):
        GoAroundControl("vmess://x", Resolver("tcp", "127.0.0.1", 53))
