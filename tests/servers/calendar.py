"""An OpenTimestamps calendar on loopback that speaks the real protocol.

Out: a context manager that yields a started `Calendar`: POST /digest gives a pending proof, GET
/timestamp/<hex> says 404 until the test calls `mine`, then a path to a Merkle root of a block
whose header the calendar also makes. Only the block itself is simulated: it has no proof of work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentimestamps.core import notary, op, serialize, timestamp

from tests.servers.tsa import serving


@dataclass
class Calendar:
    """A running calendar. Modes: honest, junk, oversize, error (503), empty, trailing."""

    url: str = ""
    mode: str = "honest"
    commitments: dict[bytes, int | None] = field(default_factory=dict)  # to the block's height
    headers: dict[int, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def mine(self, height: int, time_s: int) -> bytes:
        """Put every commitment in the block at `height` by itself; the last one's header.

        As a real one does: commitment, its path through a tree, a transaction, the block's root.
        """
        for commitment, known in self.commitments.items():
            if known is None:
                self.commitments[commitment] = height
                root = self._path(commitment)[1].msg
                self.headers[height] = struct.pack(
                    "<I32s32sIII", 0x20000000, bytes(32), root, time_s, 0x1D00FFFF, height
                )
                height += 1
        return self.headers[height - 1]

    def header_file(self) -> bytes:
        """Headers from block 0 to the last one mined; those of other blocks are zeros."""
        return b"".join(self.headers.get(h, bytes(80)) for h in range(max(self.headers) + 1))

    def _path(self, commitment: bytes) -> tuple[Any, Any]:
        start = timestamp.Timestamp(commitment)
        side = hashlib.sha256(b"sibling" + commitment).digest()
        node = start.ops.add(op.OpAppend(side)).ops.add(op.OpSHA256())
        node = node.ops.add(op.OpPrepend(b"transaction")).ops.add(op.OpAppend(bytes(4)))
        node = node.ops.add(op.OpSHA256()).ops.add(op.OpSHA256())
        node = node.ops.add(op.OpPrepend(side)).ops.add(op.OpSHA256()).ops.add(op.OpSHA256())
        return start, node

    def take(self, digest: bytes) -> tuple[int, bytes]:
        if self.mode not in ("honest", "trailing"):
            return self._lie()
        start = timestamp.Timestamp(digest)
        node = start.ops.add(op.OpAppend(os.urandom(16))).ops.add(op.OpSHA256())
        node = node.ops.add(op.OpPrepend(struct.pack(">I", 1_700_000_000)))
        node = node.ops.add(op.OpAppend(os.urandom(8)))
        node.attestations.add(notary.PendingAttestation(self.url))
        self.commitments[node.msg] = None
        return 200, _bytes(start) + (b"x" if self.mode == "trailing" else b"")

    def tell(self, commitment: bytes) -> tuple[int, bytes]:
        if self.mode != "honest":
            return self._lie()
        height = self.commitments.get(commitment)
        if height is None:
            return 404, b"Pending confirmation in Bitcoin blockchain"
        start, node = self._path(commitment)
        node.attestations.add(notary.BitcoinBlockHeaderAttestation(height))
        return 200, _bytes(start)

    def _lie(self) -> tuple[int, bytes]:
        return {
            "junk": (200, b"<html>welcome</html>"),
            "oversize": (200, bytes(20_000)),
            "empty": (200, b""),
        }.get(self.mode, (503, b"closed"))


def _bytes(stamp: Any) -> bytes:
    context = serialize.BytesSerializationContext()
    stamp.serialize(context)
    written: bytes = context.getbytes()
    return written


@contextlib.contextmanager
def calendar() -> Iterator[Calendar]:
    """A calendar on a free port."""
    made = Calendar()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(*(made.take(body) if self.path == "/digest" else (404, b"")))

        def do_GET(self) -> None:
            made.asked.append(self.path)
            kind, _, name = self.path.removeprefix("/").partition("/")
            self.reply(*(made.tell(bytes.fromhex(name)) if kind == "timestamp" else (404, b"")))

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with serving(Handler) as url:
        made.url = url
        yield made
