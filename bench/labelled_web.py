"""The whole web on loopback, answered from the labelled set: the proxy that the peer is given.

In: the case that is asked about. Out: its answers, for every host that anybody asks for, over HTTP
and over TLS with certificates of an authority that is made for the run and thrown away. What the
case says nothing of is answered 503, and nothing is asked of anybody else.
"""

from __future__ import annotations

import contextlib
import ssl
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.labelled.cases import Case

VALID = timedelta(days=2)


class Authority:
    """A certificate authority that lives as long as its folder.

    `folder` holds its certificate, `ca.pem`, and one key for all hosts.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ca.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "for one run only")])
        self._contexts: dict[str, ssl.SSLContext] = {}  # written under the lock
        self._lock = threading.Lock()
        self.file.write_bytes(self._signed(self._name, x509.BasicConstraints(True, None)))

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to speak as `host`."""
        with self._lock:
            if host not in self._contexts:
                file = self._folder / f"{len(self._contexts)}.pem"
                key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a platform")])
                alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
                file.write_bytes(key + self._signed(name, alternative))
                self._contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._contexts[host].load_cert_chain(file)
            return self._contexts[host]

    def _signed(self, name: x509.Name, extension: x509.ExtensionType) -> bytes:
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - VALID)
            .not_valid_after(now + VALID)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Web(ThreadingHTTPServer):
    """The proxy. `case` and `look` say what is answered; set them between questions only."""

    daemon_threads = True

    def __init__(self, authority: Authority, look: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = authority
        self.look = look
        self.case: Case | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Web
    _host = ""  # of the tunnel that this connection became

    def do_CONNECT(self) -> None:  # named by the library
        self._host = self.path.rpartition(":")[0]
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        context = self.server.authority.context(self._host)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        at = self._host + self.path if self._host else self.path.removeprefix("http://")
        case = self.server.case
        found = case.answer(at, self.server.look) if case else None
        if found is not None and found.status == 0:
            self.close_connection = True
            return
        body = found.body if found else b""
        self.send_response(found.status if found else 503)
        for name, value in (found.headers if found else {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")  # the next case may have the same address
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = _answer  # noqa: N815  # named by the library

    def log_message(self, *_words: object) -> None:
        """The claims are the log."""


@contextlib.contextmanager
def serving(look: int) -> Iterator[Web]:
    """The proxy, answering what the cases say at look number `look`."""
    with (
        tempfile.TemporaryDirectory(prefix="vanished-bench-") as folder,
        Web(Authority(Path(folder)), look) as web,
    ):
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()
