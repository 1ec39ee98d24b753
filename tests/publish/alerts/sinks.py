"""Servers on loopback that take messages: a webhook, and aiosmtpd for mail."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from tests.servers.process import free_port


@dataclass
class Hook:
    """A webhook: what it got, and how it answers."""

    port: int = 0
    status: int = 200
    says: bytes = b"{}"
    hang_s: float = 0.0
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    leads_to: str = ""

    @property
    def bodies(self) -> list[str]:
        return [str(each["message"]) for each in self.got]


@contextlib.contextmanager
def hook(status: int = 200, says: bytes = b"{}", hang_s: float = 0.0) -> Iterator[Hook]:
    """A webhook that is listening."""
    sink = Hook(0, status, says, hang_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            sink.asked += 1
            if sink.hang_s:
                time.sleep(sink.hang_s)
            if sink.status < 400:
                sink.got.append(json.loads(content))
            with contextlib.suppress(OSError):
                self.send_response(sink.status)
                if sink.leads_to:
                    self.send_header("Location", sink.leads_to)
                self.send_header("Content-Length", str(len(sink.says)))
                self.end_headers()
                self.wfile.write(sink.says)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Post:
    """A mail server: what it took, from whom, with which words of its clients."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    hellos: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def mail_server(password: str = "") -> Iterator[Post]:
    """aiosmtpd on loopback; with `password` it wants a login with it."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

    sink = Post(free_port())

    class Handler:
        async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
            self, server: Any, session: Session, envelope: Envelope, name: str, answers: list[str]
        ) -> list[str]:
            sink.hellos.append(name)
            session.host_name = name
            return answers

        async def handle_DATA(  # noqa: N802
            self, server: Any, session: Session, envelope: Envelope
        ) -> str:
            content = cast(bytes, envelope.content)
            sink.mails.append(message_from_bytes(content, policy=policy.default))
            return "250 taken"

    def authenticate(
        server: Any, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        sink.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password.decode() == password, handled=False)

    controller = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=sink.port,
        authenticator=authenticate if password else None,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
