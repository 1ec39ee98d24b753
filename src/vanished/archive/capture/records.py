"""The bytes of a capture: WARC 1.1 records, one gzip member each, and their manifest.

In: exchanges (or a record that somebody else made), facts, subjects, a salt. Out: a `Capture`. A
pure function: no I/O, no clock, no randomness but the salt, so the same input gives the same bytes.
It decides neither what is worth a capture nor where it is kept.

Order: for each leg `response` (or `revisit`, for a payload that an earlier capture holds) and
`request`; `resource` for an imported record; `metadata` with the facts; `metadata` with the
manifest, which is a function of manifest and salt alone, so that a reader can make it again.

Heads and bodies are kept as they were sent, with three exceptions. The fetcher has taken
the transfer coding off, so the header that announces it is kept as X-Crawler-Transfer-Encoding:
under its own name every reader would try to take it off again. A line break inside a header
becomes a space, and a byte that no header name may have is percent-encoded: either could forge
a header, or a record.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any, Final
from urllib.parse import quote, urlsplit

from warcio.recordbuilder import RecordBuilder
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from vanished import __version__
from vanished.archive.capture.manifest import Manifest, Stored, Subject, entry, leaf_hash
from vanished.errors import InputError
from vanished.model import SECOND, Fault, Micros, at, micros
from vanished.net.exchange import Exchange, Fields, Leg

LEVEL: Final = 6
SMALL: Final = 2048  # bytes of a record that a window of 4096 bytes and a small table will do for
GZIP: Final = bytes.fromhex("1f8b0800000000000003")
"""How every gzip member of ours begins: no name, no time, nothing to be changed unseen."""

MAX_RECORD: Final = 64 << 20  # bytes of a record before compression, and of the member
MAX_RATIO: Final = 200  # of a record of more than FREE bytes; gzip could reach 1,032
FREE: Final = 1 << 20
MAX_CAPTURE: Final = 256 << 20  # bytes of all members of a capture
MAX_RECORDS: Final = 4096  # of a capture

FACTS_URI: Final = "urn:vanished:facts:"
MANIFEST_URI: Final = "urn:vanished:manifest:"
REVISIT: Final = RecordBuilder.REVISIT_PROFILE_1_1

_WHY: Final = {Fault.TOO_LARGE: "length", Fault.TIMEOUT: "time"}
_NOT_TOKEN = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_BREAK = re.compile(rb"[\r\n]+[ \t]*")
_MEDIA_TYPE = re.compile(r"(?!application/http\b)[\w.+-]+/[\w.+-]+(?:; ?[\w.+-]+=[\w.+-]+)?", re.A)


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload that a capture holds: a later capture of the same URL may refer to it."""

    url: str
    sha256: str
    id: str  # of the record that holds it, urn:uuid:…
    at: Micros  # that record's WARC-Date


@dataclass(frozen=True, slots=True)
class Imported:
    """A record that another program made, to be kept as it is. `at` is when that was."""

    url: str
    content_type: str
    body: bytes
    at: Micros


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture ready to be stored; `members` are its gzip members, one after another."""

    index: int
    captured_at: Micros
    members: bytes
    manifest: Manifest
    salt: bytes
    leaf: bytes
    payloads: tuple[Payload, ...]  # held by this capture in full


Seen = Callable[[str, str], Payload | None]
"""(url, SHA-256 of the payload) -> where an earlier capture holds it, or None."""


def capture_bytes(
    *,
    observatory: str,
    index: int,
    captured_at: Micros,
    vantage: str,
    subjects: Sequence[Subject],
    facts: Mapping[str, Any],
    salt: bytes,
    exchanges: Sequence[Exchange] = (),
    imported: Sequence[Imported] = (),
    seen: Seen = lambda url, sha256: None,
) -> Capture:
    """The capture of `exchanges` or `imported` records, as leaf `index` of the log.

    `facts` is whatever JSON can say of what was read from them; `salt` 32 secret random bytes, used
    once. Address, certificates and clock of each leg are added to the facts. Raises InputError for
    a record or a capture that is too large to be read back (see MAX_RECORD, MAX_CAPTURE).
    """
    records = _Records(salt)
    for exchange in exchanges:
        for leg in exchange.legs:
            why = "" if leg.complete else _WHY.get(exchange.fault or Fault.EMPTY, "disconnect")
            records.leg(leg, why if leg is exchange.legs[-1] else why and "unspecified", seen)
    for each in imported:
        records.imported(each)
    records.facts(index, captured_at, vantage, facts)
    manifest = Manifest(
        observatory, index, captured_at, vantage, tuple(subjects), tuple(records.stored)
    )
    content = manifest.to_bytes()
    members = b"".join((*records.members, gzipped(manifest_record(salt, manifest, content))))
    leaf = leaf_hash(salt, content)
    return Capture(index, captured_at, members, manifest, salt, leaf, tuple(records.payloads))


def manifest_record(salt: bytes, manifest: Manifest, content: bytes = b"") -> bytes:
    """The record that ends a capture, before compression; `content` is `manifest` as bytes."""
    fields = [("WARC-Concurrent-To", f"<{record.id}>") for record in manifest.records[-1:]]
    return _record(
        WARCWriter(None, gzip=False, warc_version="1.1"),
        "metadata",
        record_id(salt, len(manifest.records)),
        f"{MANIFEST_URI}{manifest.index}",
        manifest.captured_at,
        None,
        entry(salt, content or manifest.to_bytes()),
        fields,
        "application/json",
    )


def record_id(salt: bytes, place: int) -> str:
    """The id of a capture's record by its place: random, as its salt is."""
    digest = hashlib.sha256(b"vanished record\0" + salt + place.to_bytes(4, "big")).digest()
    return uuid.UUID(bytes=digest[:16], version=4).urn


def gzipped(record: bytes | memoryview) -> bytes:
    """`record` as one gzip member; what compresses like a bomb is stored as it is."""
    if len(record) <= SMALL:  # most are facts: the usual window is larger than all they hold
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + 12, 5)
        return GZIP + (packer.compress(record) + packer.flush())[len(GZIP) :]
    member = zlib.compress(record, LEVEL, 31)
    if len(record) > FREE and len(record) > MAX_RATIO * len(member):
        member = zlib.compress(record, 0, 31)
    return GZIP + memoryview(member)[len(GZIP) :]


class _Records:
    """The records of one capture as they are made, in order."""

    def __init__(self, salt: bytes) -> None:
        self.members: list[bytes] = []
        self.stored: list[Stored] = []
        self.payloads: list[Payload] = []
        self._salt = salt
        self._legs: list[dict[str, Any]] = []
        self._certificates: dict[bytes, int] = {}
        self._size = 0
        self._evidence: list[str] = []  # ids of the records that the facts were read from
        self._writer = WARCWriter(None, gzip=False, warc_version="1.1")

    def leg(self, leg: Leg, truncated: str, seen: Seen) -> None:
        """The response (or revisit) and the request of a leg; `truncated`: why, or ""."""
        sha256 = hashlib.sha256(leg.body).hexdigest()
        earlier = seen(leg.url, sha256) if leg.body and leg.complete else None
        address = _address(leg.address)
        common = [("WARC-IP-Address", address)] if address else []
        fields = common + ([("WARC-Truncated", truncated)] if truncated else [])
        kind = "response" if earlier is None else "revisit"
        if earlier is not None:
            fields += [
                ("WARC-Profile", REVISIT),
                ("WARC-Refers-To", f"<{earlier.id}>"),
                ("WARC-Refers-To-Target-URI", _uri(earlier.url)),
                ("WARC-Refers-To-Date", _date(earlier.at)),
            ]
        head = _head(f"HTTP/{leg.http_version} {leg.status:03d} {leg.reason}", leg.headers)
        response = self._add(kind, leg.url, leg.answered_at, head, leg.body, fields, sha256=sha256)
        if earlier is None and leg.body and leg.complete:
            self.payloads.append(Payload(leg.url, sha256, response, leg.answered_at))
        target = urlsplit(_uri(leg.url))
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        head = _head(f"{leg.method} {path} HTTP/{leg.http_version}", leg.sent)
        fields = [*common, ("WARC-Concurrent-To", f"<{response}>")]
        request = self._add("request", leg.url, leg.asked_at, head, leg.sent_body, fields)
        self._evidence.append(response)
        self._legs.append(
            {
                "response": response,
                "request": request,
                "address": leg.address,
                "asked_at": leg.asked_at,
                "answered_at": leg.answered_at,
                "certificates": [
                    self._certificates.setdefault(der, len(self._certificates))
                    for der in leg.certificates
                ],
                **_clock(leg),
            }
        )

    def imported(self, given: Imported) -> None:
        """A record of somebody else, byte for byte."""
        known = _MEDIA_TYPE.fullmatch(given.content_type)
        kind = given.content_type if known else "application/octet-stream"
        added = self._add("resource", given.url, given.at, None, given.body, [], kind)
        self._evidence.append(added)

    def facts(self, index: int, now: Micros, vantage: str, facts: Mapping[str, Any]) -> None:
        """What was read from the records before, and how they were got."""
        said = {
            "format": "vanished-facts/1",
            "program": f"vanished {__version__}",
            "vantage": vantage,
            "captured_at": now,
            "facts": facts,
            "legs": self._legs,
            "certificates": [base64.b64encode(der).decode("ascii") for der in self._certificates],
        }
        fields = [("WARC-Concurrent-To", f"<{each}>") for each in self._evidence]
        uri = f"{FACTS_URI}{index}"
        self._add("metadata", uri, now, None, _json(said), fields, "application/json")

    def _add(
        self,
        kind: str,
        url: str,
        when: Micros,
        head: bytes | None,
        payload: bytes,
        fields: list[tuple[str, str]],
        content_type: str = "",
        sha256: str = "",
    ) -> str:
        identity = record_id(self._salt, len(self.stored))
        sha256 = sha256 or hashlib.sha256(payload).hexdigest()
        record = _record(
            self._writer, kind, identity, url, when, head, payload, fields, content_type, sha256
        )
        member = gzipped(record)
        self._size += len(member)
        if max(len(record), len(member)) > MAX_RECORD or self._size > MAX_CAPTURE:
            raise InputError(
                f"a record of {len(record):,} bytes to capture makes its record larger than "
                f"{MAX_RECORD:,} or its capture than {MAX_CAPTURE:,}; leave it out or split it"
            )
        self.members.append(member)
        stored = hashlib.sha256(member).hexdigest()
        self.stored.append(Stored(identity, kind, stored, len(member), sha256, len(payload)))
        return identity


class _Head(StatusAndHeaders):  # type: ignore[misc]
    """A head that warcio writes as it is; its own would percent-encode what is not ASCII."""

    def __init__(self, head: bytes) -> None:
        super().__init__("as sent", [])
        self._head = head

    def compute_headers_buffer(self, header_filter: object = None) -> None:
        self.headers_buff = self._head


def _record(
    writer: WARCWriter,
    kind: str,
    identity: str,
    url: str,
    when: Micros,
    head: bytes | None,
    payload: bytes,
    fields: list[tuple[str, str]],
    content_type: str,
    sha256: str = "",
) -> bytes:
    """One WARC record, not compressed, as warcio writes it."""
    kept = b"" if kind == "revisit" else payload
    sha256 = sha256 or hashlib.sha256(payload).hexdigest()
    block = sha256
    if head is not None:
        digest = hashlib.sha256(head)
        digest.update(kept)
        block = digest.hexdigest()
    headers = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<{identity}>"),
        ("WARC-Date", _date(when)),
        ("WARC-Target-URI", _uri(url)),
        *fields,
        ("WARC-Payload-Digest", f"sha256:{sha256}"),
        ("WARC-Block-Digest", f"sha256:{block}"),
    ]
    record = writer.create_warc_record(
        url,
        kind,
        payload=BytesIO(kept),
        length=len(kept),
        warc_headers=StatusAndHeaders("", headers, protocol=writer.warc_version),
        http_headers=None if head is None else _Head(head),
        warc_content_type=content_type,
    )
    out = writer.out = BytesIO()
    writer.write_record(record)
    return out.getvalue()


def _head(first: str, fields: Fields) -> bytes:
    lines = [_BREAK.sub(b" ", _bytes(first))]
    for name, value in fields:
        known = _NOT_TOKEN.sub(lambda found: b"%%%02X" % found[0][0], _bytes(name)) or b"%00"
        if known.lower() == b"transfer-encoding":
            known = b"X-Crawler-" + known
        lines.append(known + b": " + _BREAK.sub(b" ", _bytes(value)))
    return b"\r\n".join((*lines, b"", b""))


def _bytes(text: str) -> bytes:
    """Header text as sent (Latin-1); what never came over a wire as UTF-8, or spelled out."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _uri(url: str) -> str:
    """`url` so that no character of it can end the header line; a sound URL stays as it is."""
    return quote(url, safe="!#$%&'()*+,/:;=?@[]~|{}^`\\\"", errors="backslashreplace")


def _date(moment: Micros) -> str:
    return at(moment).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _address(given: str) -> str:
    """An IP address without the zone of a link-local one; "" for anything else."""
    try:
        return str(ipaddress.ip_address(given.partition("%")[0]))
    except ValueError:
        return ""


def _clock(leg: Leg) -> dict[str, Any]:
    """The server's clock against ours, as bounds: Date has whole seconds, and an answer takes time.

    offset = server's time minus ours: at least Date - answered_at, at most Date + 1 s - asked_at.
    """
    given = next((value for name, value in leg.headers if name.lower() == "date"), None)
    if given is None:
        return {}
    try:
        server = micros(parsedate_to_datetime(given))
    except (ValueError, OverflowError, TypeError):
        return {"date": given}
    low, high = server - leg.answered_at, server + SECOND - leg.asked_at
    return {"date": given, "server_at": server, "offset": [low, high]}


def _json(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8; a lone surrogate, which UTF-8 cannot say, is escaped."""
    text = _JSON.encode(value)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, allow_nan=False).encode("ascii")


_JSON: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False)
