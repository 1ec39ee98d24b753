"""Captures: the bytes of what was seen, as WARC, with a manifest that a log can commit to.

    capture_bytes(...)            exchanges and facts -> Capture (bytes, manifest, leaf); pure
    SegmentWriter.open(...)       append captures, one fsync a batch; plain or sealed
    forget(folder, gone, staying) rewrite segments without some captures; needs no secret
    captures, read_segment, read_at, check_capture    read back and check, in bounded memory
    unseal_segments(...)          sealed segments to plain ones, with an identity
    bulk.bulk(...)                fast reading with FastWARC (extra `publish`); import it by itself

A capture of the log's index n is made first, then appended, then acknowledged by whoever keeps its
`Place`; only acknowledged captures count. If acknowledging fails, open the writer again: it cuts
off what nobody acknowledged.
"""

from vanished.archive.capture.damage import Damage
from vanished.archive.capture.manifest import Manifest, Statement, Stored, Subject, leaf_hash
from vanished.archive.capture.reading import Read, captures, check_capture, read_at, read_segment
from vanished.archive.capture.records import Capture, Imported, Payload, capture_bytes
from vanished.archive.capture.sealing import (
    Identities,
    Recipients,
    identities,
    new_identity,
    recipients,
)
from vanished.archive.capture.segments import Place, SegmentWriter, forget, segments
from vanished.archive.capture.unsealing import Unsealed, unseal_segments

__all__ = [
    "Capture",
    "Damage",
    "Identities",
    "Imported",
    "Manifest",
    "Payload",
    "Place",
    "Read",
    "Recipients",
    "SegmentWriter",
    "Statement",
    "Stored",
    "Subject",
    "Unsealed",
    "capture_bytes",
    "captures",
    "check_capture",
    "forget",
    "identities",
    "leaf_hash",
    "new_identity",
    "read_at",
    "read_segment",
    "recipients",
    "segments",
    "unseal_segments",
]
