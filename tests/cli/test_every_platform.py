"""Every platform that the README names can be added by an address people have, and is asked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_cli import run
from tests.sources.pages import name
from vanished.archive.observatory import Observatory
from vanished.archive.settings import Settings
from vanished.cli import app
from vanished.errors import UsageError
from vanished.sources.registry import platforms, source

README = Path(__file__).parent.parent.parent / "README.md"

# What a person types. "{base}" is a server of the test: platforms that people host themselves.
ADDRESSES = {
    "page": ["{base}/statement.html"],
    "feed": ["{base}/feed.xml"],
    "matrix": ["#news:example.org", "!abc123:example.org"],
    "mastodon": ["{base}/@news"],
    "telegram": ["@newschannel", "https://t.me/s/another_channel"],
    "wechat": [
        "https://mp.weixin.qq.com/s/AbCdEfGhIjKlMnOpQrStUv",
        "https://mp.weixin.qq.com/s?__biz=MzA3MDAwMDAwMQ==&mid=2650000001&idx=1&sn=0123456789abcdef",
        "https://mp.weixin.qq.com/mp/appmsgalbum?action=getalbum&__biz=MzA3MDAwMDAwMQ==&album_id=17",
        "MzA3MDAwMDAwMQ==",
    ],
    "weibo": ["https://weibo.com/u/7000000001", "7000000002"],
    "reddit": ["https://www.reddit.com/r/gauges/comments/abc123/the_mark/"],
    "x": ["https://x.com/gauge/status/1900000000000000007"],
    "youtube": ["https://youtu.be/abcdefghijk"],
}
ASKED = [
    "/statement.html", "/feed.xml", "/_matrix/", "/api/v1/accounts/lookup?acct=news",
    "/s/newschannel", "/s/AbCdEfGhIj", "/mp/appmsgalbum", "/mp/profile_ext",
    "/api/container/getIndex", "/comments/abc123", "/tweet-result", "/watch?v=",
]  # fmt: skip


class Nobody(BaseHTTPRequestHandler):
    """Answers everybody with an error, and notes who was asked for."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Nobody) as made:
        made.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=made.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            made.shutdown()


def settings(base: str) -> str:
    """Every platform that can be asked elsewhere is asked at `base`."""
    own = ["matrix", "telegram", "wechat", "reddit", "x", "youtube"]
    tables = "".join(f'[sources.{platform}]\nserver = "{base}"\n' for platform in own)
    return (
        f'{tables}[sources.weibo]\nmobile = "{base}"\ndesktop = "{base}"\npassport = "{base}"\n'
        '[hosts]\nper_second = 100.0\n[net]\nallow_networks = ["127.0.0.0/8"]\n'
    )


def add(folder: Path, platform: str, address: str) -> bool:
    """Add an account as a user does; whether it is new."""
    words = ["add", platform, address, "-o", str(folder), "--json"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return bool(json.loads(done.stdout)["new"])


def test_an_account_of_each_platform_is_added_and_asked(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    base = f"http://127.0.0.1:{server.server_address[1]}"
    folder = tmp_path / "o"
    with Observatory.create(folder) as made:
        identity = made.settings.id
    (folder / "observatory.toml").write_text(
        f'[observatory]\nid = "{identity}"\n{settings(base)}', "utf-8"
    )
    number = 0
    for platform, addresses in ADDRESSES.items():
        for address in addresses:
            assert add(folder, platform, address.format(base=base)), address
            number += 1
    assert not add(folder, "weibo", "https://m.weibo.cn/u/7000000001")  # another way to write it
    done = run("watch", "--for", "2", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "source-error" not in done.stdout
    with Observatory.open(folder) as observatory:
        rows = observatory.account_rows()
        assert len(rows) == number
        for row in rows:  # each was asked, and an error is no loss of anything
            assert row.track.last_asked_at, row.account
            assert row.track.failures, row.account
        assert observatory.verdicts() == []
    asked = "\n".join(server.asked)  # type: ignore[attr-defined]
    for part in ASKED:
        assert part in asked


@pytest.mark.parametrize("platform", ADDRESSES)
def test_what_is_no_account_is_refused_in_a_sentence(platform: str, tmp_path: Path) -> None:
    made = source(platform, name, Settings("a"))
    for address in ("", " ", "https://", "ftp://example.org/x", "https://user:pass@example.org/@a"):
        with pytest.raises(UsageError) as caught:
            made.account(address)
        assert re.fullmatch(r"[^\n]+[.;)\"]?", str(caught.value))


def test_the_readme_says_of_each_platform_what_was_tried() -> None:
    table = README.read_text(encoding="utf-8").split("## Platforms\n")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert set(ADDRESSES) <= set(named) <= set(platforms())
