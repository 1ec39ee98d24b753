"""A report that leaves by another way than the one that was told shows who measured."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.net.servers import free_port
from tests.net.test_proxy import running, socks5, tunnel
from tests.reach.loopback_internet import ALLOW
from vanished.errors import ConfigError, UsageError
from vanished.lab.reach_records import measure
from vanished.reach.own import NOBODY, Own
from vanished.reach.record import Measurement
from vanished.reach.reporting import QUEUE, REFUSED, Leaving, enqueue, queued, send


@dataclass
class Collector:
    """OONI's collector as its specification has it (bk-003)."""

    port: int = 0
    opened: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses to give to measurements first
    opens: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    made = Collector()
    fields = {"probe_asn", "probe_cc", "software_name", "software_version", "test_name",
              "test_version", "data_format_version", "format"}  # fmt: skip

    async def opens(request: web.Request) -> web.Response:
        head = await request.json()
        if made.opens != 200 or not fields <= set(head):
            return web.json_response({}, status=made.opens if made.opens != 200 else 400)
        made.opened.append(head)
        name = f"2026/{len(made.opened)} x"  # opaque, so also with what a URL has to quote
        return web.json_response({"report_id": name, "supported_formats": ["json"]})

    async def takes(request: web.Request) -> web.Response:
        given = await request.json()
        name = request.match_info["name"]
        if made.answers and (status := made.answers.pop(0)) != 200:
            return web.json_response({}, status=status)
        if given["content"]["report_id"] != name or given["format"] != "json":
            return web.json_response({}, status=400)
        made.held.append(given["content"])
        return web.json_response({"measurement_id": "x"})

    async def closes(request: web.Request) -> web.Response:
        made.closed.append(request.match_info["name"])
        return web.json_response({"status": "success"})

    app = web.Application()
    app.router.add_post("/report", opens)
    app.router.add_post("/report/{name}", takes)
    app.router.add_post("/report/{name}/close", closes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


def record(number: int, **given: str) -> Measurement:
    made = replace(
        measure("http_block_page", 1, target=number),
        measurement_start_time="2026-11-29 09:41:17",
        software_version="0.1.0",
    )
    return replace(made, **given)  # type: ignore[arg-type]


async def test_reports_are_opened_filled_closed_and_leave_the_queue(tmp_path: Path) -> None:
    for number in range(3):
        assert enqueue(tmp_path, record(number), NOBODY)
    assert not enqueue(tmp_path, record(0), NOBODY)  # once is enough
    assert enqueue(tmp_path, record(0, probe_asn="AS64511"), NOBODY)
    async with collecting() as collector:
        done = await send(tmp_path, collector.url, Leaving(direct=True), allow=ALLOW)
    assert (done.sent, done.refused, done.waiting, done.failure) == (4, 0, 0, None)
    assert len(collector.opened) == len(collector.closed) == 2
    assert {head["probe_asn"] for head in collector.opened} == {"AS64500", "AS64511"}
    assert all(head["test_start_time"] == "2026-11-29 09:00:00" for head in collector.opened)
    assert len(collector.held) == 4
    assert queued(tmp_path) == []


async def test_what_leaves_is_the_published_copy(tmp_path: Path) -> None:
    made = record(1)
    keys = made.keys
    assert keys.requests is not None
    address = "93.184.7.34"
    told = replace(made, annotations={"note": f"I am {address}"}, probe_network_name="Small")
    enqueue(tmp_path, told, Own.of([address]))
    assert (tmp_path / QUEUE).stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in queued(tmp_path))
    async with collecting() as collector:
        await send(tmp_path, collector.url, Leaving(direct=True), allow=ALLOW)
    sent = json.dumps(collector.held)
    assert address not in sent
    assert "Small" not in sent
    assert ":41:" not in sent
    assert collector.held[0]["probe_ip"] == "127.0.0.1"


async def test_without_a_way_nothing_leaves(tmp_path: Path) -> None:
    enqueue(tmp_path, record(1), NOBODY)
    async with collecting() as collector:
        with pytest.raises(UsageError, match="wait until you say"):
            await send(tmp_path, collector.url, Leaving(), allow=ALLOW)
        with pytest.raises(UsageError, match="not both"):
            await send(tmp_path, collector.url, Leaving(direct=True, proxy="socks5://127.0.0.1:1"))
        with pytest.raises(UsageError, match="in the clear"):
            await send(tmp_path, "http://collector.example", Leaving(direct=True))
        with pytest.raises(ConfigError):
            await send(tmp_path, "https://collector.example", Leaving(proxy="nonsense"))
        assert collector.opened == []
    assert len(queued(tmp_path)) == 1


@pytest.mark.parametrize(("scheme", "speaks"), [("socks5h", socks5), ("http", tunnel)])
async def test_a_go_around_carries_all_of_it(tmp_path: Path, scheme: str, speaks: object) -> None:
    enqueue(tmp_path, record(1), NOBODY)
    async with (
        collecting() as collector,
        running(speaks, collector.port) as proxy,  # type: ignore[arg-type]
    ):
        way = Leaving(proxy=f"{scheme}://127.0.0.1:{proxy.port}")
        done = await send(tmp_path, collector.url, way, allow=ALLOW)
        assert proxy.asked
    assert done.sent == 1


async def test_a_go_around_that_fails_sends_nothing_directly(tmp_path: Path) -> None:
    enqueue(tmp_path, record(1), NOBODY)
    async with collecting() as collector:
        for proxy in (f"socks5://127.0.0.1:{await free_port()}", "http://127.0.0.1:1"):
            done = await send(tmp_path, collector.url, Leaving(proxy=proxy), allow=ALLOW)
            assert done.failure
            assert (done.sent, done.waiting) == (0, 1)
        async with running(socks5, collector.port) as refusing:
            refusing.refuse = 5
            way = Leaving(proxy=f"socks5://127.0.0.1:{refusing.port}")
            done = await send(tmp_path, collector.url, way, allow=ALLOW)
            assert (done.sent, done.waiting) == (0, 1)
        assert collector.opened == []


async def test_what_is_not_taken_waits_and_what_is_refused_is_put_aside(tmp_path: Path) -> None:
    for number in range(4):
        enqueue(tmp_path, record(number), NOBODY)
    async with collecting() as collector:
        collector.answers = [200, 400, 503]
        done = await send(tmp_path, collector.url, Leaving(direct=True), allow=ALLOW)
        assert (done.sent, done.refused, done.waiting) == (1, 1, 2)
        assert done.failure == "the collector did not take a measurement (status 503)"
        assert len(list((tmp_path / QUEUE / REFUSED).iterdir())) == 1
        done = await send(tmp_path, collector.url, Leaving(direct=True), allow=ALLOW)
        assert (done.sent, done.waiting, done.failure) == (2, 0, None)
        assert len({json.dumps(one, sort_keys=True) for one in collector.held}) == 3
        collector.opens = 500
        enqueue(tmp_path, record(9), NOBODY)
        done = await send(tmp_path, collector.url, Leaving(direct=True), allow=ALLOW)
        assert done.failure == "the collector opened no report (status 500)"
        assert done.waiting == 1


async def test_a_damaged_report_does_not_stop_the_others(tmp_path: Path) -> None:
    enqueue(tmp_path, record(1), NOBODY)
    (tmp_path / QUEUE / "0.json").write_text("{")
    async with collecting() as collector:
        done = await send(tmp_path, collector.url, Leaving(direct=True), allow=ALLOW)
    assert (done.sent, done.refused, done.waiting) == (1, 1, 0)
