"""Fast reading of sound WARCs with FastWARC, for indexes and exports; needs the extra `publish`.

In: a stream of a plain segment. Out: its records, each checked against its own block digest.
For evidence that may be damaged or hostile, read with `reading`: this stops at the first fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from vanished.errors import EvidenceError, UsageError

MAX_HEAD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bulk:
    """A record; `status` and `content_type` are of its HTTP head if it has one."""

    type: str
    id: str  # urn:uuid:…
    uri: str
    date: str  # as written
    digest: str  # of the payload, as written
    offset: int  # of its gzip member in the stream
    status: int | None
    content_type: str
    payload: bytes


def bulk(stream: BinaryIO, file: str) -> Iterator[Bulk]:
    """Every record of a WARC of ours.

    Raises EvidenceError where a block is not what its digest says or a record cannot be read;
    UsageError where FastWARC is not installed.
    """
    try:
        from fastwarc import ArchiveIterator
    except ImportError:
        raise UsageError(
            "reading WARCs fast needs FastWARC; install the extra: pip install 'vanished[publish]'"
        ) from None
    records: Any = ArchiveIterator(stream, parse_http=False)
    last = "the beginning"
    try:
        for record in records:
            if not record.verify_block_digest():
                raise EvidenceError(
                    f"the record at byte {record.stream_pos} of {file} is not what its digest says"
                )
            yield _bulk(record)
            last = f"the record at byte {record.stream_pos}"
    except (OSError, ValueError, UnicodeError) as error:
        raise EvidenceError(f"could not read {file} after {last}: {error}") from None


def _bulk(record: Any) -> Bulk:
    headers = record.headers
    status, kind = None, headers.get("Content-Type", "")
    if record.is_http:
        record.parse_http(max_header_len=MAX_HEAD)
        status = record.http_headers.status_code
        kind = record.http_headers.get("Content-Type", "")
    return Bulk(
        str(record.record_type),
        (record.record_id or "").strip("<>"),
        headers.get("WARC-Target-URI", ""),
        headers.get("WARC-Date", ""),
        headers.get("WARC-Payload-Digest", ""),
        record.stream_pos,
        status,
        kind,
        record.reader.read(),
    )
