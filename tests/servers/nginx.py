"""Debian's nginx on a free loopback port, as a site whose pages a test changes while it runs.

Out: a context manager that yields a started `Site`. Files are pages; `Site.answer` makes a path
answer with a status, as an operator's rule would. It knows nothing of our own code, so that no
fault of ours can hide in it.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.needs import needs_program
from tests.servers.process import end, free_port, listens

START_S = 10.0
TRIES = 5  # a free port may be taken before nginx has it
BLOCKER = "https://authority.example/order/17"

# The operator's rules are files beside the page, so that no reload is needed to change them.
CONFIG = """\
daemon off;
master_process off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {root}/tmp/body;
  proxy_temp_path {root}/tmp/proxy;
  fastcgi_temp_path {root}/tmp/fastcgi;
  uwsgi_temp_path {root}/tmp/uwsgi;
  scgi_temp_path {root}/tmp/scgi;
  charset utf-8;
  charset_types text/html text/plain application/atom+xml;
  default_type text/html;
  types {{
    text/html html; text/plain txt; application/atom+xml atom; application/feed+json json;
    image/png png; application/pdf pdf;
  }}
  server {{
    listen 127.0.0.1:{port};
    root {root}/site;
    location / {{
      if (-f $request_filename.403) {{ return 403; }}
      if (-f $request_filename.410) {{ return 410; }}
      if (-f $request_filename.503) {{ return 503; }}
      if (-f $request_filename.home) {{ return 302 /; }}
      if (-f $request_filename.login) {{ return 302 /account/login.html; }}
      if (-f $request_filename.429) {{ add_header Retry-After 30 always; return 429; }}
      if (-f $request_filename.451) {{
        add_header Link '<{blocker}>; rel="blocked-by"' always; return 451;
      }}
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A running site. `root` is the folder of its pages."""

    root: Path
    port: int

    def url(self, path: str) -> str:
        """The address of `path`, which starts with a slash."""
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, path: str, page: str | bytes) -> str:
        """Put a page at `path`, at once whole; returns its address."""
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(file.name + ".new")
        new.write_bytes(page if isinstance(page, bytes) else page.encode())
        new.replace(file)
        return self.url(path)

    def delete(self, path: str) -> None:
        """Take the page at `path` away."""
        self._file(path).unlink()

    def answer(self, path: str, rule: int | str) -> None:
        """From now on `path` answers with the status `rule`, or is redirected: "home", "login"."""
        self._file(f"{path}.{rule}").touch()

    def _file(self, path: str) -> Path:
        return self.root / path.removeprefix("/")


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Site]:
    """A site served from `folder`, which has to be empty; ended by its process id."""
    program = needs_program("nginx", "nginx-light")
    (folder / "site").mkdir()
    (folder / "tmp").mkdir()
    process, port = _start(program, folder)
    try:
        yield Site(folder / "site", port)
    finally:
        end(process)


def _start(program: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    config = folder / "nginx.conf"
    for _ in range(TRIES):
        port = free_port()
        config.write_text(CONFIG.format(root=folder, port=port, blocker=BLOCKER))
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if listens(process, port, START_S):
            return process, port
        end(process)
    log = (folder / "error.log").read_text(errors="replace")
    raise RuntimeError(f"nginx did not start: {log[-500:]}")
