"""A throw-away RFC 3161 authority on loopback: `openssl ts -reply` behind a small HTTP server.

Out: a context manager that yields a started `Authority` with its own root. A test sets `mode` to
make it lie or fail. It knows nothing of our own code, so that no fault of ours can hide in it.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.needs import needs_program

VALID = timedelta(days=20)
CONFIG = """\
[tsa]
dir = {root}
serial = {root}/serial
crypto_device = builtin
signer_cert = {root}/tsa.pem
{chain}
signer_key = {root}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = secs:1, millisecs:500, microsecs:100
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class Authority:
    """A running authority. `root` is the PEM file to pin, `queries` the requests as they came.

    Modes: honest, junk, oversize, error (503), replay (an earlier query's answer), reject.
    """

    name: str
    folder: Path
    openssl: str
    chain: str = ""
    url: str = ""
    mode: str = "honest"
    queries: list[bytes] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def sign(self, query: bytes, digests: str = "sha256") -> bytes:
        """The honest answer to `query`; with other `digests`, the refusal of one."""
        config = self.folder / "tsa.conf"
        chain = f"certs = {self.folder}/chain.pem" if self.chain else ""
        config.write_text(CONFIG.format(root=self.folder, chain=chain, digests=digests))
        asked, answered = self.folder / "query.tsq", self.folder / "reply.tsr"
        asked.write_bytes(query)
        answered.unlink(missing_ok=True)
        subprocess.run(
            [self.openssl, "ts", "-reply", "-config", config, "-section", "tsa",
             "-queryfile", asked, "-out", answered],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        return answered.read_bytes()

    def answer(self, query: bytes) -> tuple[int, bytes]:
        self.queries.append(query)
        if self.mode == "error":
            return 503, b"closed"
        if self.mode == "junk":
            return 200, b"<html>welcome to the hotel network</html>"
        if self.mode == "oversize":
            return 200, bytes(70_000)
        if self.mode == "reject":
            return 200, self.sign(query, "sha512")
        return 200, self.sign(self.queries[0] if self.mode == "replay" else query)


@contextlib.contextmanager
def authority(
    folder: Path, name: str = "alpha", *, ends_in: timedelta = VALID, chain: str = ""
) -> Iterator[Authority]:
    """An authority with keys of its own in `folder`, which has to be empty.

    `ends_in`: how long its own certificate is still valid. `chain`: another authority stands
    between it and the root, whose certificate answers carry after the signer's; "sorted": as DER
    wants it, the shorter first; "unsorted": the other way round.
    """
    openssl = needs_program("openssl", "openssl")
    folder.mkdir(parents=True, exist_ok=True)
    _make_keys(folder, name, ends_in, chain)
    made = Authority(name, folder, openssl, chain)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"] != "application/timestamp-query":
                status, body = 415, b""
            else:
                with lock:
                    status, body = made.answer(query)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with serving(Handler) as url:
        made.url = f"{url}/tsr"
        yield made


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """`handler` on a free port of loopback, from a thread that ends with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _make_keys(folder: Path, name: str, ends_in: timedelta, chain: str) -> None:
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    # The length decides on DER's order. The root's name stands in its child's certificate alone.
    root_name = f"Test authority {name} " * 3 if chain == "sorted" else "T"
    names = [_name(root_name[:64], "root"), _name(name, "between"), _name(name, "unit")]

    def certificate(subject: int, issuer: int) -> bytes:
        last = subject == 2
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[subject])
            .issuer_name(names[issuer])
            .public_key(keys[subject].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + (ends_in if last else VALID))
            .add_extension(x509.BasicConstraints(ca=not last, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=not last), critical=True)
        )
        if last:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(purpose, critical=True)
        signed = builder.sign(keys[issuer], hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    (folder / "root.pem").write_bytes(certificate(0, 0))
    (folder / "chain.pem").write_bytes(certificate(1, 0))
    (folder / "tsa.pem").write_bytes(certificate(2, 1 if chain else 0))
    (folder / "tsa.key").write_bytes(
        keys[2].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "serial").write_text("01\n")


def _name(organisation: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, unit),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
