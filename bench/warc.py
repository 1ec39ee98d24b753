"""What captures claim: that proving costs little beside plain WARC, in writing and in reading.

The peer is bare warcio at the same gzip level, with the same records, the same file and as many
fsyncs. Rounds of ours and the peer alternate, and the median of their ratios counts. Pages are
generated: Chinese HTML, and noise in place of pictures, by the shares that our study measured with.
"""

from __future__ import annotations

import io
import os
import random
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from bench.harness import BenchError, Claim, Peer, at_least
from vanished.archive.capture import (
    Capture,
    SegmentWriter,
    Subject,
    capture_bytes,
    captures,
    check_capture,
    new_identity,
    recipients,
)
from vanished.archive.capture.bulk import bulk
from vanished.archive.capture.members import Member, members
from vanished.archive.capture.records import LEVEL
from vanished.model import SECOND
from vanished.net.exchange import Exchange, Leg

LARGE: Final = 65_000  # bytes of a page; 63 % of all bytes are HTML, 37 % noise, as in the study
SMALL: Final = 3_000  # such as a post's own JSON
BATCH: Final = 32
ROUNDS: Final = 7
START: Final = 1_795_539_600 * SECOND


def legs(count: int, size: int) -> list[Leg]:
    """Answers of a server."""
    chance = random.Random(7)
    made = []
    for number in range(count):
        if chance.random() < 0.63:
            kind, body = "text/html; charset=utf-8", _html(chance, size)
        else:
            kind, body = "image/jpeg", chance.randbytes(size)
        made.append(
            Leg(
                "GET",
                f"https://host.example/post/{number}",
                (("Host", "host.example"), ("User-Agent", "bench"), ("Accept", "*/*")),
                b"",
                START + number,
                START + number + 50_000,
                200,
                "OK",
                (
                    ("Date", "Tue, 24 Nov 2026 17:00:01 GMT"),
                    ("Content-Type", kind),
                    ("Content-Length", str(len(body))),
                    ("Server", "nginx"),
                ),
                body,
                address="192.0.2.7",
                certificates=(chance.randbytes(1200), chance.randbytes(1400)),
            )
        )
    return made


def _html(chance: random.Random, size: int) -> bytes:
    """Chinese text of a few hundred characters, in paragraphs with some markup."""
    parts: list[str] = []
    length = 0
    while length < size:
        words = "".join(chr(0x4E00 + int(chance.expovariate(1 / 300)) % 5000) for _ in range(60))
        parts.append(f'<p class="text-{chance.randrange(9)}"><a href="/t/{len(parts)}">{words}</a>')
        length += 60 * 3 + 40
    return "".join(parts).encode()[:size]


def made_of(number: int, leg: Leg) -> Capture:
    return capture_bytes(
        observatory="bench",
        index=number,
        captured_at=leg.answered_at,
        vantage="here",
        subjects=[Subject(f"subject{number:09d}", "first", leg.answered_at)],
        facts={"native_id": str(number), "text": "字" * 50},
        salt=number.to_bytes(32, "big"),
        exchanges=[Exchange(leg.url, leg.asked_at, leg.answered_at, leg.status, legs=(leg,))],
    )


def ours(given: Sequence[Leg], folder: Path, sealed: bool = False) -> float:
    """Seconds to make captures of these answers and to append them."""
    to = recipients([new_identity()[0], new_identity()[0]]) if sealed else None
    began = time.process_time()
    writer = SegmentWriter.open(folder, None, to, max_bytes=1 << 40)
    for start in range(0, len(given), BATCH):
        batch = given[start : start + BATCH]
        writer.append([made_of(start + n, leg) for n, leg in enumerate(batch)])
    writer.close()
    return time.process_time() - began


class Packed:
    """warcio's own way to pack a record, at our level instead of its 9."""

    def __init__(self, out: BinaryIO) -> None:
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS + 16)
        self._out = out

    def write(self, content: bytes) -> None:
        self._out.write(self._packer.compress(content))

    def flush(self) -> None:
        self._out.write(self._packer.flush())


def bare(given: Sequence[Leg], extras: Sequence[list[bytes]], path: Path) -> float:
    """Seconds for warcio alone to write the same records; `extras` are the metadata's payloads."""
    began = time.process_time()
    with path.open("wb") as file:
        writer = WARCWriter(None, gzip=False, warc_version="1.1")
        for number, (leg, payloads) in enumerate(zip(given, extras, strict=True)):
            head = StatusAndHeaders("200 OK", list(leg.headers), protocol="HTTP/1.1")
            _write(writer, file, leg.url, "response", leg.body, head)
            head = StatusAndHeaders("GET / HTTP/1.1", list(leg.sent), is_http_request=True)
            _write(writer, file, leg.url, "request", b"", head)
            for payload in payloads:
                _write(writer, file, "urn:bench", "metadata", payload, None)
            if number % BATCH == BATCH - 1:
                file.flush()
                os.fsync(file.fileno())
    return time.process_time() - began


def _write(
    writer: Any, file: BinaryIO, url: str, kind: str, payload: bytes, head: Any | None
) -> None:
    writer.out = Packed(file)
    stream = io.BytesIO(payload)
    writer.write_record(
        writer.create_warc_record(url, kind, payload=stream, length=len(payload), http_headers=head)
    )


def writing(count: int, size: int) -> float:
    """Median ratio of our records a second to bare warcio's."""
    given = legs(count, size)
    extras = [
        [found.payload() for found in members(io.BytesIO(made_of(n, leg).members), "")
         if isinstance(found, Member) and found.type == "metadata"]
        for n, leg in enumerate(given)
    ]  # fmt: skip
    megabytes = sum(len(leg.body) for leg in given) / 1e6
    ratios = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            mine = ours(given, Path(folder) / "captures")
            plain = bare(given, extras, Path(folder) / "bare.warc.gz")
            tight = ours(given, Path(folder) / "sealed", sealed=True)
        ratios.append(plain / mine)
        print(
            f"  {size:,} B pages: ours {megabytes / mine:.1f} MB/s, {count / mine:.0f} captures/s; "
            f"warcio {megabytes / plain:.1f} MB/s, sealed {megabytes / tight:.1f} MB/s"
        )
    return statistics.median(ratios)


def reading(count: int, size: int) -> float:
    """Median ratio of bulk reading to warcio, both with every digest checked."""
    with tempfile.TemporaryDirectory() as folder:
        ours(legs(count, size), Path(folder))
        (path,) = Path(folder).iterdir()
        ratios = []
        for _ in range(ROUNDS):
            fast = _seconds(path, lambda file: sum(len(b.payload) for b in bulk(file, path.name)))
            plain = _seconds(path, _warcio)
            careful = _seconds(path, lambda file: _careful(file, path.name))
            megabytes = count * size / 1e6
            ratios.append(plain / fast)
            print(
                f"  reading {size:,} B pages: bulk {megabytes / fast:.0f} MB/s, warcio "
                f"{megabytes / plain:.0f} MB/s, checking captures {megabytes / careful:.0f} MB/s"
            )
    return statistics.median(ratios)


def _seconds(path: Path, read: Callable[[BinaryIO], int]) -> float:
    began = time.process_time()
    with path.open("rb") as file:
        if not read(file):
            raise BenchError(f"nothing was read of {path}")
    return time.process_time() - began


def _warcio(file: BinaryIO) -> int:
    total = 0
    for record in ArchiveIterator(file, check_digests=True):
        total += len(record.raw_stream.read())
        if record.digest_checker.passed is False:
            raise BenchError("warcio finds a digest of ours wrong")
    return total


def _careful(file: BinaryIO, name: str) -> int:
    total = 0
    for found in captures(file, name):
        if check_capture(found):
            raise BenchError("a capture of ours is not what its manifest says")
        total += 1
    return total


def run() -> tuple[Sequence[Claim], Sequence[Peer]]:
    """The claims about WARC."""
    unit = "ratio, median of rounds"
    small = writing(1600, SMALL)
    # No claim: of a small page the peer writes mostly facts and manifest, which it is handed ready.
    print(f"  writing captures / bare warcio, 3 kB pages: {small:.2f}")
    claims = [
        at_least("writing captures / bare warcio, 65 kB pages", writing(320, LARGE), unit, 0.9),
        at_least("bulk reading / warcio, 65 kB pages", reading(320, LARGE), unit, 2),
        at_least("bulk reading / warcio, 3 kB pages", reading(1600, SMALL), unit, 2),
    ]
    peers: list[Peer] = [
        {"name": name, "version": version(name)} for name in ("warcio", "fastwarc")
    ]
    return claims, peers
