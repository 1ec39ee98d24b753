"""The courier's way out: through the proxy that is demanded or not at all, and never a program."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.net.test_proxy import PASSWORD, USER, running, socks5, tunnel
from tests.publish.alerts.sinks import hook, mail_server
from tests.servers.process import free_port
from vanished.net.proxy import ProxyAddress
from vanished.publish.alerts.address import Address
from vanished.publish.alerts.courier import Outcome
from vanished.publish.alerts.message import Message
from vanished.publish.alerts.sending import Sender, Sent

TOLD = Message("Vanished: 1 post lost", "- a line <b>\nanother")


async def send(url: str, proxy: ProxyAddress | None, timeout_s: float = 60) -> Sent:
    return await Sender(timeout_s).send(TOLD, Address(url), proxy)


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
async def test_a_hook_is_reached_through_the_proxy_and_its_name_resolved_there(
    scheme: str,
) -> None:
    """A question for the name, asked here, would tell the network whom the team writes to."""
    with hook() as sink:
        async with running(tunnel if scheme == "http" else socks5, sink.port) as proxy:
            way = ProxyAddress(scheme, "127.0.0.1", proxy.port, USER, PASSWORD)
            sent = await send("json://hook.example/", way)
    assert sent.outcome is Outcome.DELIVERED
    assert [body["message"] for body in sink.got] == [TOLD.body]
    assert proxy.asked == [f"{'CONNECT ' if scheme == 'http' else ''}hook.example:80"]


async def test_mail_goes_through_the_proxy_too() -> None:
    with mail_server() as server:
        async with running(socks5, server.port) as proxy:
            way = ProxyAddress("socks5h", "127.0.0.1", proxy.port)
            url = "mailto://mail.example:25?from=a@desk.example&to=b@desk.example&mode=insecure"
            sent = await send(url, way)
    assert sent.outcome is Outcome.DELIVERED
    assert proxy.asked == ["mail.example:25"]
    assert len(server.mails) == 1


async def test_nothing_goes_direct_when_the_proxy_fails() -> None:
    """The address on loopback could be reached; the proxy was demanded."""
    with hook() as sink:
        url = f"json://127.0.0.1:{sink.port}/"
        dead = ProxyAddress("socks5h", "127.0.0.1", free_port())
        assert (await send(url, dead)).outcome is Outcome.PROXY
        async with running(socks5, sink.port) as proxy:
            proxy.refuse = 2
            way = ProxyAddress("socks5h", "127.0.0.1", proxy.port)
            assert (await send(url, way)).outcome is Outcome.PROXY
        assert (await send(url, replace(dead, password="wrong"))).outcome is Outcome.PROXY
    assert sink.asked == 0


async def test_a_plugin_that_would_go_round_the_proxy_is_stopped() -> None:
    """Apprise's syslog over UDP and its IRC open sockets of their own."""
    heard: list[bytes] = []

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            heard.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        url = f"rsyslog://127.0.0.1:{port}/daemon"
        assert (await send(url, None)).outcome is Outcome.DELIVERED
        await asyncio.sleep(0.05)
        assert len(heard) == 1
        with hook() as sink:
            async with running(socks5, sink.port) as proxy:
                way = ProxyAddress("socks5h", "127.0.0.1", proxy.port)
                assert (await send(url, way)).outcome is Outcome.DIRECT
                chat = f"irc://bot@127.0.0.1:{sink.port}/desk"
                assert (await send(chat, way)).outcome in (Outcome.DIRECT, Outcome.PROXY)
                await asyncio.sleep(0.05)
        assert len(heard) == 1
        assert sink.asked == 0
    finally:
        transport.close()


async def test_a_service_that_hangs_is_given_up_and_its_courier_ended() -> None:
    with hook(hang_s=2.5) as sink:
        sent = await send(f"json://127.0.0.1:{sink.port}/", None, timeout_s=2.0)
        assert sent.outcome is Outcome.LATE


async def test_a_redirect_is_not_followed() -> None:
    """It would carry the secret of the address elsewhere."""
    with hook() as other, hook() as sink:
        sink.status = 307
        sink.leads_to = f"http://127.0.0.1:{other.port}/"
        sent = await send(f"json://127.0.0.1:{sink.port}/", None)
        assert sent.outcome is not Outcome.DELIVERED
        assert other.asked == 0


def test_no_program_is_started_for_an_alert() -> None:
    code = (
        "import subprocess, sys\n"
        "from vanished.publish.alerts.courier import Noticed, guard\n"
        "guard(None, Noticed())\n"
        "try:\n    subprocess.run(['true'])\n"
        "except OSError:\n    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 7


async def test_the_folder_that_one_stands_in_is_no_place_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a peer put there must not run with the secret in hand."""
    (tmp_path / "apprise.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    assert (await Sender().check(Address("json://127.0.0.1/"))).service == "JSON"


def test_an_address_shows_itself_to_nobody() -> None:
    assert "json" not in f"{Address('json://secret/')!r} {Address('json://secret/')}"
