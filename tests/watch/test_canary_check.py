"""`vanished canaries` and a watch through a real door, a real server and a real proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vanished.archive.observatory import Observatory
from vanished.archive.settings import FILE
from vanished.cli import app
from vanished.clock import SystemClock
from vanished.errors import UsageError
from vanished.model import SECOND
from vanished.sources.registry import source
from vanished.watch.canary_check import check_folder
from vanished.watch.doctor import advise
from vanished.watch.live import build_watch, open_door


class Site(BaseHTTPRequestHandler):
    """/live is there, /dead is gone; whoever comes through the proxy is told that all is gone."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        denied = self.client_address[1] in getattr(self.server, "proxied", set())
        gone = denied or self.path != "/live"
        body = b"not found" if gone else b"<html><title>A page</title><p>Some words.</p></html>"
        self.send_response(404 if gone else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Tunnel(BaseHTTPRequestHandler):
    """CONNECT, and nothing else; tells `server.proxied` which port it comes from."""

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        far = socket.create_connection((host, int(port)))
        self.server.proxied.add(far.getsockname()[1])  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        ends = [self.connection, far]
        with far, contextlib.suppress(OSError):
            while readable := select.select(ends, [], [], 5)[0]:
                for end in readable:
                    chunk = end.recv(65536)
                    if not chunk:
                        return
                    ends[1 - ends.index(end)].sendall(chunk)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An observatory with one canary of each kind, a watched page, and a route that is lied to."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with serving(Site) as site, serving(Tunnel) as tunnel:
        site.proxied = tunnel.proxied = set()  # type: ignore[attr-defined]
        base = f"http://127.0.0.1:{site.server_address[1]}"
        monkeypatch.setenv("TEST_WAY", f"http://127.0.0.1:{tunnel.server_address[1]}")
        with Observatory.create(tmp_path / "o") as observatory:
            identity = observatory.settings.id
        (tmp_path / "o" / FILE).write_text(
            f'[observatory]\nid = "{identity}"\n[hosts]\nper_second = 50\n'
            '[net]\nallow_networks = ["127.0.0.0/8"]\n[net.proxies]\nround_env = "TEST_WAY"\n'
            '[sources.page]\nroutes = ["direct", "round"]\n'
            f'canaries = {{ alive = ["{base}/live"], gone = ["{base}/dead"] }}\n',
            encoding="utf-8",
        )
        with Observatory.open(tmp_path / "o", write=True) as observatory:
            page = source("page", observatory.naming, observatory.settings)
            observatory.add_account(page.account(f"{base}/live"), SystemClock().now())
        yield tmp_path / "o"


def test_each_canary_is_asked_through_each_route(folder: Path) -> None:
    done = CliRunner().invoke(app, ["canaries", "-o", str(folder), "--json"])
    assert done.exit_code == 1  # one is wrong
    found = {(each["vantage"], each["canary"]): each["right"] for each in json.loads(done.stdout)}
    assert found == {
        ("here", "alive canary 1"): True,
        ("here", "gone canary 1"): True,
        ("here via round", "alive canary 1"): False,
        ("here via round", "gone canary 1"): True,
    }
    text = CliRunner().invoke(app, ["canaries", "-o", str(folder)]).stdout
    assert "page from here via round: alive canary 1: WRONG (gone)" in text
    assert "127.0.0.1" not in text


def test_the_watch_keeps_what_its_canaries_answer(folder: Path) -> None:
    async def watch() -> list[str]:
        clock = SystemClock()
        with Observatory.open(folder, write=True) as observatory:
            chosen = {"page": source("page", observatory.naming, observatory.settings)}
            async with open_door(observatory.settings, clock) as door:
                watch = build_watch(observatory, chosen, door, clock, lambda event: None)
                await watch.run(clock.now() + 2 * SECOND)
            return sorted(f"{row.subject}: {row.what}" for row in observatory.routes())

    assert asyncio.run(watch()) == [
        "page from here via round: canaries set",
        "page from here via round: canary wrong",
        "page from here via round: route begun",
        "page from here: canaries set",
        "page from here: canary right",
        "page from here: route begun",
    ]


def test_without_canaries_it_says_how_to_name_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    Observatory.create(tmp_path / "o").close()
    with pytest.raises(UsageError, match="canaries = "):
        check_folder(tmp_path / "o")


def test_a_platform_without_canaries_is_named_with_what_could_be_one(folder: Path) -> None:
    """Whose false answers nobody would see, the operator has to know."""
    with Observatory.open(folder, write=True) as observatory:
        telegram = source("telegram", observatory.naming, observatory.settings)
        observatory.add_account(telegram.account("@a_channel"), SystemClock().now())
    done = CliRunner().invoke(app, ["canaries", "-o", str(folder), "--json"])
    (unguarded,) = (each for each in json.loads(done.stdout) if each["canary"] is None)
    assert unguarded["platform"] == "telegram"
    assert "https://t.me/NAME/NUMBER" in unguarded["use"]
    (remark,) = (each for each in advise(folder) if "telegram" in each.where)
    assert "unguarded" in remark.text()
    assert "source telegram" in remark.text()
    assert "https://t.me/NAME/NUMBER" in remark.text()
