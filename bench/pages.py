"""Generated article pages, served by Debian's nginx on loopback, the same for every contender.

Out: a context manager that yields a `Site`; its access log says when each page was fetched, which
is how the rechecks of a peer are counted. (The site of tests/servers/nginx.py is another thing: it
changes its answers under a test, keeps no log and closes connections early.)
"""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.servers.process import end, free_port, listens

from bench.harness import BenchError
from bench.peers import execute
from vanished.lab.texts import TOPICS, Script, compose

SEED = 20_180_401
PAGE_BYTES = 10_000
START_S = 10.0
FLUSH_S = 0.2  # how long nginx may keep lines of its log
TRIES = 5  # a free port may be taken before nginx has it

# The log is buffered: nginx shall not be what is measured. keepalive_requests is high, since a
# contender that keeps its connections shall be allowed to.
CONFIG = """\
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
{user}
events {{ worker_connections 1024; }}
http {{
  log_format fetched '$msec $status $uri';
  access_log {root}/access.log fetched buffer=64k flush={flush_ms:.0f}ms;
  client_body_temp_path {root}/tmp/body;
  proxy_temp_path {root}/tmp/proxy;
  fastcgi_temp_path {root}/tmp/fastcgi;
  uwsgi_temp_path {root}/tmp/uwsgi;
  scgi_temp_path {root}/tmp/scgi;
  types {{ text/html html; }}
  charset utf-8;
  sendfile on;
  tcp_nopush on;
  {cache}
  keepalive_requests 10000000;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {root}/site; }}
}}
"""

PAGE = """\
<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta property="og:type" content="article">
<meta property="og:title" content="{title}">
<link rel="stylesheet" href="/style.css">
<title>{title}</title>
</head>
<body>
<nav><ul><li><a href="/">首页</a></li><li><a href="/list">文章</a></li></ul></nav>
<article id="article-{n}">
<h1>{title}</h1>
<p class="meta"><time datetime="2018-04-{day:02}T08:00:00+08:00">2018年4月{day}日</time></p>
{paragraphs}
</article>
<footer><p>第{n}篇</p></footer>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A running site. `url` has `{n}` for the number of a page, from 0 to `pages` - 1."""

    url: str
    pages: int
    log: Path
    root: Path  # the folder of the pages

    def edit(self, n: int, mark: str) -> None:
        """Put a sentence into page `n`, whole at once, so that its wording is another."""
        path = self.root / f"{n % self.pages}.html"
        text = re.sub(r'(?:<p class="new">[^<]*</p>)?</article>', "</article>", path.read_text())
        new = path.with_suffix(".new")
        new.write_text(text.replace("</article>", f'<p class="new">{mark}</p></article>'))
        new.replace(path)

    def mark(self) -> int:
        """A place in the log, for `fetched`."""
        return self.log.stat().st_size

    def fetched(self, mark: int = 0) -> list[float]:
        """When each page was served whole, as logged since `mark` (seconds since the epoch).

        nginx holds lines back for up to 0.2 s, so that the last of them are missing, and some from
        just before the mark are there.
        """
        with self.log.open("rb") as log:
            log.seek(mark)
            entries = [line.split() for line in log.read().splitlines()]
        return [
            float(at) for at, status, uri in entries if status == b"200" and uri.endswith(b".html")
        ]


@contextlib.contextmanager
def site(pages: int, *, still: bool = True) -> Iterator[Site]:
    """So many pages of about 10 KB each, no two alike; nginx is ended by its process id.

    Pages that are not to stand `still` are read anew by nginx for every answer.

    Raises BenchError without nginx, if it cannot be installed.
    """
    program = nginx_program()
    with tempfile.TemporaryDirectory(prefix="vanished-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker gives up root's rights
        (folder / "tmp").mkdir()
        (folder / "site").mkdir()
        rng = np.random.default_rng(SEED)
        for n in range(pages):
            (folder / "site" / f"{n}.html").write_text(page(rng, n), encoding="utf-8")
        process, port = _start(program, folder, still)
        try:
            url = f"http://127.0.0.1:{port}/{{n}}.html"
            yield Site(url, pages, folder / "access.log", folder / "site")
        finally:
            end(process)


def page(rng: np.random.Generator, n: int) -> str:
    """The n-th page: an article in Chinese that nobody wrote."""
    titles, paragraphs = [], []
    size = 0
    while size < PAGE_BYTES - 800:  # the frame around the paragraphs
        topic = TOPICS[int(rng.integers(len(TOPICS)))]
        title, text = compose(rng, topic, Script.SIMPLIFIED)
        titles.append(title)
        for line in text.splitlines():
            paragraphs.append(f"<p>{html.escape(line)}</p>")
            size += len(paragraphs[-1].encode()) + 1
    inner = "\n".join(paragraphs)
    return PAGE.format(n=n, day=n % 30 + 1, title=html.escape(titles[0]), paragraphs=inner)


def nginx_program() -> str:
    """The path of nginx; installs Debian's nginx-light where that is allowed (root)."""
    if found := _nginx():
        return found
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        execute([apt, "update", "-qq"], "apt-get update")
        execute([apt, "install", "-qq", "-y", "nginx-light"], "apt-get install nginx-light")
        if found := _nginx():
            return found
    raise BenchError(
        "the pages are served by nginx, which is not here: apt-get install nginx-light"
    )


def _nginx() -> str | None:
    system = os.pathsep.join(("/usr/sbin", "/sbin"))  # not in an ordinary user's PATH
    return shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + system)


def _start(program: str, folder: Path, still: bool) -> tuple[subprocess.Popen[bytes], int]:
    config = folder / "nginx.conf"
    # Only root may name a user; the folder is readable for nobody in particular.
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    cache = "open_file_cache max=10000;" if still else "open_file_cache off;"
    for _ in range(TRIES):
        port = free_port()
        config.write_text(
            CONFIG.format(root=folder, port=port, user=user, cache=cache, flush_ms=FLUSH_S * 1000),
            encoding="ascii",
        )
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if listens(process, port, START_S):
            return process, port
        end(process)
    log = (folder / "error.log").read_text(errors="replace")
    raise BenchError(f"nginx did not start: {log.strip()[-300:]}")
