"""Proxies: a way round the censor that must not become a way into private networks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.net.servers import Names, Request, certificate, free_port, open_door, raw, stop, track
from vanished.errors import ConfigError
from vanished.model import Fault
from vanished.net.proxy import ProxyAddress

USER, PASSWORD = "observer", "s3cret-pass"
SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


@dataclass
class Proxy:
    """A proxy of the test: everything it is asked for ends at `target` on loopback."""

    target: int
    port: int = 0
    asked: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuse: int = 0  # the SOCKS reply or HTTP status to refuse with
    words: str = "no"


async def pipe(
    proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ready: bytes
) -> None:
    """Connect to the target, say so with `ready`, and carry bytes both ways."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", proxy.target)
    writer.write(ready)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                sink.write(chunk)
                await sink.drain()
        sink.close()

    try:
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
    finally:
        far_writer.close()
        with contextlib.suppress(OSError):
            await far_writer.wait_closed()


async def socks5(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RFC 1928 with RFC 1929 passwords, CONNECT only."""
    _, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    writer.write(b"\5\2" if 2 in methods else b"\5\0")
    if 2 in methods:
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        proxy.logins.append(f"{user.decode()}:{password.decode()}")
        good = proxy.logins[-1] == f"{USER}:{PASSWORD}"
        writer.write(b"\1\0" if good else b"\1\1")
        if not good:
            return
    _, _, _, kind = await reader.readexactly(4)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        host = ".".join(map(str, await reader.readexactly(4))) if kind == 1 else "ipv6"
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    proxy.asked.append(f"{host}:{port}")
    if proxy.refuse:
        writer.write(bytes([5, proxy.refuse, 0, 1, 0, 0, 0, 0, 0, 0]))
        await writer.drain()
        return
    await pipe(proxy, reader, writer, b"\5\0\0\1\0\0\0\0\0\0")


async def tunnel(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP proxy that knows CONNECT and nothing else."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, host, _ = head.split(" ", 2)
    proxy.asked.append(f"{method} {host}")
    proxy.logins += [line for line in head.split("\r\n") if line.startswith("Proxy-Auth")]
    if proxy.refuse:
        writer.write(f"HTTP/1.1 {proxy.refuse} {proxy.words}\r\n\r\n".encode())
        await writer.drain()
        return
    await pipe(proxy, reader, writer, b"HTTP/1.1 200 OK\r\n\r\n")


Speaks = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter], object]


@contextlib.asynccontextmanager
async def running(speaks: Speaks, target: int = 0) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await speaks(proxy, reader, writer)  # type: ignore[misc]

    server = await track(serve, tasks)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        await stop(server, tasks)


async def page(request: Request) -> None:
    await request.reply(200, b"through " + request.head.split(b"\r\n")[1])


@pytest.mark.parametrize(
    ("scheme", "speaks", "asked"),
    [
        ("socks5h", socks5, "news.example:80"),
        ("socks5", socks5, "127.0.0.9:80"),
        ("http", tunnel, "CONNECT news.example:80"),
    ],
)
async def test_a_page_comes_through_each_kind_of_proxy(
    scheme: str, speaks: Speaks, asked: str
) -> None:
    names = Names(news_example=[["127.0.0.9"]])
    async with raw(page) as server, running(speaks, server.port) as proxy:
        url = f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
        async with open_door(resolver=names, proxies={"round": url}) as door:
            exchange = await door.fetcher(proxy="round").request("GET", "http://news.example/a")
            again = await door.fetcher(proxy="round").request("GET", "http://news.example/b")
            direct = await door.fetcher().request("GET", server.url())
    assert exchange.fault is None, exchange.words
    assert exchange.body == b"through Host: news.example"
    assert proxy.asked == [asked], "one tunnel serves all looks at a host"
    assert len(proxy.logins) == 1
    assert names.asked == (["news.example"] if scheme == "socks5" else [])
    assert exchange.address == "", "the proxy's address is not the host's"
    assert exchange.vantage == "here via round", "the same page from elsewhere is another fact"
    assert (again.fault, direct.fault, direct.vantage) == (None, None, "here")


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "http"])
async def test_https_through_a_proxy_is_checked_against_the_name_and_not_the_address(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_server, at_client = certificate(tmp_path, "news.example")
    names = Names(news_example=[["127.0.0.9"]], other_example=[["127.0.0.9"]])
    speaks = tunnel if scheme == "http" else socks5
    async with raw(page, tls=at_server) as server, running(speaks, server.port) as proxy:
        url = f"{scheme}://127.0.0.1:{proxy.port}"
        async with open_door(resolver=names, proxies={"round": url}) as door:
            unsigned = await door.fetcher(proxy="round").request("GET", "https://news.example/")
            monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", at_client)
            trusted = await door.fetcher(proxy="round").request("GET", "https://news.example/")
            wrong = await door.fetcher(proxy="round").request("GET", "https://other.example/")
    assert (unsigned.fault, wrong.fault) == (Fault.TLS, Fault.TLS)
    assert (trusted.fault, trusted.body) == (None, b"through Host: news.example")


async def test_a_source_may_give_the_proxy_as_a_url() -> None:
    async with raw(page) as server, running(socks5, server.port) as proxy:
        url = f"socks5h://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
        async with open_door() as door:
            exchange = await door.fetcher(proxy=url).request("GET", "http://news.example/")
            again = await door.fetcher(proxy=url).request("GET", "http://news.example/")
    assert (exchange.fault, again.fault) == (None, None)
    assert exchange.vantage == f"here via socks5h://127.0.0.1:{proxy.port}"
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "0x7f.1", "2130706433",
     "localhost", "db.localhost", "router", "nas.local", "inside.example"],
)  # fmt: skip
async def test_no_proxy_is_asked_for_private_addresses(scheme: str, host: str) -> None:
    if host == "inside.example" and scheme != "socks5":
        host = "printer.home.arpa"  # what another resolver says of a public name cannot be known
    names = Names(inside_example=[["10.0.0.1", "127.0.0.1"]], localhost=[["127.0.0.1"]])
    async with running(tunnel if scheme == "http" else socks5) as proxy:
        async with open_door(
            resolver=names,
            allow_networks=(),
            proxies={"round": f"{scheme}://127.0.0.1:{proxy.port}"},
        ) as door:
            exchange = await door.fetcher(proxy="round").request("GET", f"http://{host}/")
        expected = (
            {Fault.REFUSED, Fault.DNS} if scheme == "socks5" else {Fault.REFUSED}
        )  # our resolver does not know all of these names
        assert exchange.fault in expected, exchange
        assert proxy.asked == []


async def test_with_socks5_the_second_address_is_used_when_the_first_is_private() -> None:
    names = Names(both_example=[["10.0.0.1", "127.0.0.9"]])
    async with (
        raw(page) as server,
        running(socks5, server.port) as proxy,
        open_door(resolver=names, proxies={"round": f"socks5://127.0.0.1:{proxy.port}"}) as door,
    ):
        exchange = await door.fetcher(proxy="round").request("GET", "http://both.example/")
    assert exchange.fault is None, exchange
    assert proxy.asked == ["127.0.0.9:80"]


@pytest.mark.parametrize("refuse", [403, 404, 407, 451, 502])
async def test_what_an_http_proxy_says_is_never_taken_for_the_page(refuse: int) -> None:
    async with running(tunnel) as proxy:
        proxy.refuse = refuse
        async with open_door(proxies={"p": f"http://127.0.0.1:{proxy.port}"}) as door:
            exchange = await door.fetcher(proxy="p").request("GET", "http://news.example/")
    assert exchange.fault is Fault.CONNECT
    assert exchange.status is None
    assert str(refuse) in exchange.words


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "http"])
@pytest.mark.parametrize("trouble", ["refused", "closed", "login", "nonsense", "silent", "echo"])
async def test_no_trouble_with_a_proxy_shows_its_password(
    scheme: str, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    names = Names(news_example=[["127.0.0.9"]])
    password = "wr0ng-" + PASSWORD if trouble == "login" else PASSWORD

    async def speaks(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if trouble == "silent":
            await asyncio.sleep(60)
        elif trouble == "nonsense":
            writer.write(b"\x05\x77HTP\r\n\r\n" * 9)
        else:
            proxy.refuse = 407 if scheme == "http" else 5
            proxy.words = f"{USER} {password} is wrong" if trouble == "echo" else "no"
            await (tunnel if scheme == "http" else socks5)(proxy, reader, writer)

    async with running(speaks) as proxy:
        port = await free_port() if trouble == "closed" else proxy.port
        url = f"{scheme}://{USER}:{password}@127.0.0.1:{port}"
        async with open_door(
            resolver=names, proxies={"round": url}, connect_timeout_s=0.3, retries=0
        ) as door:
            exchange = await door.fetcher(proxy="round").request("GET", "http://news.example/")
            shown = [repr(exchange), repr(door.settings), repr(door), str(door._proxies)]
            shown += [repr(session) for session in door._sessions.values()]
            shown += [repr(vars(session.connector)) for session in door._sessions.values()]
    assert exchange.fault is (Fault.TIMEOUT if trouble == "silent" else Fault.CONNECT), exchange
    assert exchange.words
    for text in [*shown, caplog.text]:
        assert password not in text
        assert all(secret not in text for secret in SECRETS)


@pytest.mark.parametrize(
    "url",
    [
        f"socks5://{USER}:{PASSWORD}@127.0.0.1",
        f"https://{USER}:{PASSWORD}@127.0.0.1:8080",
        f"socks4://{USER}:{PASSWORD}@127.0.0.1:8080",
        f"socks5://{USER}:{PASSWORD}@127.0.0.1:99999",
        f"socks5://{USER}:{PASSWORD}@:1080",
        f"{USER}:{PASSWORD}@127.0.0.1:1080",
        f"socks5://{USER}:{PASSWORD}@[::1:1080",
        PASSWORD,
        "",
    ],
)
async def test_a_proxy_that_cannot_be_used_is_named_without_its_url(url: str) -> None:
    with pytest.raises(ConfigError) as stopped:
        open_door(proxies={"round": url})
    assert "'round'" in str(stopped.value)
    assert PASSWORD not in str(stopped.value)
    async with open_door() as door:
        with pytest.raises(ConfigError) as unknown:
            door.fetcher(proxy=url)
    assert PASSWORD not in str(unknown.value)


def test_a_password_with_odd_characters_is_read_as_it_was_meant() -> None:
    proxy = ProxyAddress.parse("socks5h://us%40er:p%3Aw%2F@proxy.example:1080")
    assert (proxy.user, proxy.password) == ("us@er", "p:w/")
    assert str(proxy) == "socks5h://proxy.example:1080"
    assert "p:w/" not in repr(proxy)
    assert str(ProxyAddress.parse("http://[::1]:1080")) == "http://[::1]:1080"
