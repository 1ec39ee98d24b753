"""A visitor's pass that Weibo gives to us is in no byte of the folder, whatever the watch keeps."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from tests.archive.seized import everything
from tests.e2e import create, watching
from tests.sources.loopback import as_json, serving
from tests.sources.test_weibo import MID, USER, cards, mobile, shown
from vanished.archive.verify import verify
from vanished.clock import SystemClock

PASS = "_2AkMfirstPassOfThisTest"
NEXT = "_2AkMnextPassOfThisTest"
OWN = "_2AkMcookieOfAPersonHere"


class Weibo:
    """Shows nothing without a pass; a post until `gone`; hands out passes wherever one can be."""

    def __init__(self) -> None:
        self.gone = False
        self.passes = 0
        self.seen: set[str] = set()
        self.post = mobile(
            created_at=f"{datetime.now(UTC):%a %b %d %H:%M:%S} +0000 {datetime.now(UTC):%Y}"
        )

    def answer(self, request: web.Request) -> web.Response:
        given = request.headers.get("Cookie", "")
        self.seen.add(given)
        if request.path == "/visitor/genvisitor2":
            raise web.HTTPFound(f"/visitor/pass?s={PASS}")
        if request.path == "/visitor/pass":
            self.passes += 1
            body = f'cb({{"retcode":0,"data":{{"sub":"{PASS}","subp":"{PASS}p"}}}})'
            made = web.Response(text=body, content_type="text/javascript")
            made.headers["Set-Cookie"] = f"SUB={PASS}; Path=/"
            return made
        if not given.startswith("SUB="):
            return as_json({"ok": -100, "url": f"https://weibo.com/login.php?u={USER}"})
        made = as_json(self._content(request))
        made.headers.add("Set-Cookie", f"SUB={NEXT}; Path=/")
        made.headers.add("Set-Cookie", f"SUBP={NEXT}p; Path=/")
        return made

    def _content(self, request: web.Request) -> object:
        if "container" in request.path:
            return cards(self.post)[1]
        if self.gone:
            return {"ok": 0, "errno": "20101", "msg": "该微博不存在"}
        return shown(self.post)[1]


def members(content: bytes) -> Iterator[bytes]:
    """What is packed inside a file of captures, wherever a gzip member begins."""
    start = content.find(b"\x1f\x8b\x08")
    while start >= 0:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content[start:])) as packed:
                yield packed.read(1 << 20)
        except (OSError, EOFError):
            yield b""
        start = content.find(b"\x1f\x8b\x08", start + 1)


@pytest.mark.parametrize("own", ["", f"SUB={OWN}"])
async def test_no_pass_is_in_any_byte_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    monkeypatch.setenv("VANISHED_WEIBO_COOKIE", own)
    weibo, clock, folder = Weibo(), SystemClock(), tmp_path / "o"
    async with serving(weibo.answer) as base:
        settings = (
            f'[sources.weibo]\nmobile = "{base}"\ndesktop = "{base}"\npassport = "{base}"\n'
            '[net]\nallow_networks = ["127.0.0.0/8"]\n[hosts]\nper_second = 200.0\n'
            "[watch]\ndiscover_every_s = 0.5\ncommit_every_s = 0.1\n"
            "look_every_s = [[2592000, 0.3]]\n"
        )
        await asyncio.to_thread(create, folder, settings, [("weibo", USER)], clock.now())
        async with watching(folder, clock) as watched:
            key = watched.observatory.naming("weibo", MID)
            since = clock.now()
            await watched.wait_for("the post", lambda: watched.alive_since([key], since), 20)
            weibo.gone = True
            await watched.wait_for("its notice", lambda: key in watched.verdicts(), 20)
    if own:
        assert weibo.seen == {own}
        assert weibo.passes == 0
    else:
        assert f"SUB={PASS}; SUBP={PASS}p" in weibo.seen
        assert weibo.passes > 1

    whole = b""
    for name, content in everything(folder).items():
        whole += content + b"".join(members(content)) + name.encode()
    assert whole.count("第七道线".encode()) > 0  # the captures can be read, and hold the post
    assert whole.count("该微博不存在".encode()) > 0
    assert b"Set-Cookie: [withheld]" in whole
    assert b"Cookie: [withheld]" in whole
    assert b"/visitor/" not in whole
    for secret in (PASS, NEXT, OWN):
        assert secret.encode() not in whole
    assert verify(folder).sound
