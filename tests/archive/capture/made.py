"""Captures to test with: deterministic, of generated texts."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Sequence

from vanished.archive.capture import Capture, Place, SegmentWriter, Subject, capture_bytes
from vanished.archive.capture.records import Imported, Seen
from vanished.model import SECOND, Fault, Micros
from vanished.net.exchange import Exchange, Leg

START: Micros = 1_795_539_600 * SECOND  # 2026-11-24T17:00:00Z
PLANTED = "planted-string-under-test"  # in URL, head, body and facts of every capture made here
CERTIFICATES = (b"\x30\x82certificate of the server", b"\x30\x82certificate above it")


def leg(number: int = 0, body: bytes | None = None, **other: object) -> Leg:
    """An answer of a server, gzip as it came, with Chinese text."""
    text = f"<p>{PLANTED} 第{number}条 {hashlib.sha256(b'%d' % number).hexdigest()}</p>" * 8
    given: dict[str, object] = {
        "method": "GET",
        "url": f"https://host.example/{PLANTED}/{number}?q=%E4%B8%AD",
        "sent": (("Host", "host.example"), ("Cookie", "[withheld]")),
        "sent_body": b"",
        "asked_at": START + number * SECOND,
        "answered_at": START + number * SECOND + 42,
        "status": 200,
        "reason": "OK",
        "headers": (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Encoding", "gzip"),
            ("Transfer-Encoding", "chunked"),
            ("X-Planted", PLANTED),
            ("Date", "Tue, 24 Nov 2026 17:00:01 GMT"),
        ),
        "body": gzip.compress(text.encode(), mtime=0) if body is None else body,
        "address": "192.0.2.7",
        "certificates": CERTIFICATES,
    }
    return Leg(**{**given, **other})  # type: ignore[arg-type]


def exchange(*legs: Leg, fault: Fault | None = None) -> Exchange:
    last = legs[-1]
    return Exchange(
        last.url, legs[0].asked_at, last.answered_at, last.status, fault=fault, legs=legs
    )


def salt(number: int) -> bytes:
    return hashlib.sha256(b"salt %d" % number).digest()


def capture(
    number: int,
    *legs: Leg,
    exchanges: Sequence[Exchange] | None = None,
    imported: Sequence[Imported] = (),
    seen: Seen = lambda url, sha256: None,
    at: Micros | None = None,
) -> Capture:
    """Capture `number` of an observatory, a second after the one before."""
    if exchanges is None:
        exchanges = [exchange(*(legs or (leg(number),)))]
    when = START + number * SECOND if at is None else at
    return capture_bytes(
        observatory="made",
        index=number,
        captured_at=when,
        vantage="here",
        subjects=[Subject(f"subject{number:09d}", "first", when)],
        facts={"text": f"{PLANTED} 第{number}条", "native_id": PLANTED},
        salt=salt(number),
        exchanges=exchanges,
        imported=imported,
        seen=seen,
    )


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def stored(writer: SegmentWriter, numbers: Sequence[int], batch: int = 5) -> list[Place]:
    """Append captures of these numbers in batches; their places."""
    places: list[Place] = []
    for start in range(0, len(numbers), batch):
        places += writer.append([capture(number) for number in numbers[start : start + batch]])
    return places
