"""Where in which WARC an answer lies: the CDXJ index by which replay tools find it.

In: the stored bytes of captures. Out: sorted CDXJ lines, gzipped in blocks with a small index of
the blocks (cdxj-gzip), as py-wacz writes and ReplayWeb.page and pywb read them. Only what can be
replayed is listed: response, revisit and resource records. Reads with warcio, so that the core
install can export.
Format: webrecorder CDXJ 0.1.0 and WACZ 1.1.1; the key is ordered as pywb asks for it.
"""

from __future__ import annotations

import heapq
import io
import ipaddress
import json
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from vanished.errors import EvidenceError

BLOCK_LINES: Final = 300
RUN_BYTES: Final = 8 << 20
REPLAYED: Final = frozenset({"response", "revisit", "resource"})
META: Final = b'!meta 0 {"format": "cdxj-gzip-1.0", "filename": "index.cdx.gz"}\n'

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_WWW = re.compile(r"www\d*\.")
_PLAIN = "!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record that can be replayed."""

    id: str  # WARC-Record-ID
    repeats: str  # of a revisit: the id of the record that has the payload; else empty
    url: str
    date: str  # WARC-Date as it stands in the record
    line: bytes  # of the index, with its newline


def entries(stored: bytes, base: int, warc: str, what: str) -> Iterator[Entry]:
    """What there is to replay in one capture, whose bytes lie at `base` in the file `warc`.

    `what` names it in refusals.
    Raises EvidenceError if they are no WARC.
    """
    stream = io.BytesIO(stored)
    try:
        records = ArchiveIterator(stream)
        for record in records:
            if record.rec_type in REPLAYED:
                records.read_to_end(record)
                yield _entry(record, base, warc, records)
    except (ArchiveLoadFailed, ValueError, zlib.error, EOFError) as error:
        raise EvidenceError(
            f"{what} cannot be read as WARC ({str(error)[:120]}); run vanished verify"
        ) from error


def _entry(record: Any, base: int, warc: str, records: Any) -> Entry:
    headers, http = record.rec_headers, record.http_headers
    url = headers.get_header("WARC-Target-URI") or ""
    date = headers.get_header("WARC-Date") or ""
    fields = {"url": url}
    if record.rec_type == "revisit":
        fields["mime"] = "warc/revisit"
    else:
        kind = (http or headers).get_header("Content-Type") or ""
        fields["mime"] = re.split(r"[;\s]", kind.strip(), maxsplit=1)[0]
    if http is not None:
        fields["status"] = http.get_statuscode()
    fields["digest"] = headers.get_header("WARC-Payload-Digest")
    fields["length"] = str(records.get_record_length())
    fields["offset"] = str(base + records.get_record_offset())
    fields["filename"] = warc
    kept = {name: value for name, value in fields.items() if value}
    stamp = re.sub(r"\D", "", date)[:14]
    own, other = (headers.get_header(name) or "" for name in ("WARC-Record-ID", "WARC-Refers-To"))
    repeats = other if record.rec_type == "revisit" else ""
    return Entry(own, repeats, url, date, f"{surt(url)} {stamp} {json.dumps(kept)}\n".encode())


def surt(url: str) -> str:
    """The key of `url` in an index: host turned round, lower case, query in order.

    Follows what the Internet Archive's `surt` package does for the addresses of the web (its last
    release is of 2019, under another licence), because pywb and py-wacz order by it; without its
    rules for session ids. Addresses of other schemes stay as they are. Never holds a space.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return quote(url, safe=_PLAIN + "%#")
    key = _host(parts.hostname)
    if port not in (None, _DEFAULT_PORTS[parts.scheme]):
        key += f":{port}"
    key += ")" + _path(parts.path)
    if parts.query:
        arguments = [each.split("=", 1) for each in _escaped(parts.query).lower().split("&")]
        key += "?" + "&".join("=".join(each) for each in sorted(arguments))
    return key.lower()


def _host(name: str) -> str:
    try:
        return str(ipaddress.IPv6Address(name))
    except ValueError:
        pass
    try:
        name = name.encode("idna").decode("ascii")
    except UnicodeError:
        name = quote(name, safe=_PLAIN)
    name = _WWW.sub("", name.strip("."), count=1) if _WWW.match(name) else name.strip(".")
    return ",".join(reversed(name.split(".")))


def _path(path: str) -> str:
    kept: list[str] = []
    for part in _escaped(path).split("/")[1:]:
        if part == ".." and kept:
            kept.pop()
        elif part != ".":
            kept.append(part)
    return "/" + "/".join(part for part in kept if part)


def _escaped(text: str) -> str:
    """Percent-encoded in one way, however often it was encoded before."""
    raw = text.encode("utf-8", "surrogatepass")
    while (plain := unquote_to_bytes(raw)) != raw:
        raw = plain
    return quote(raw, safe=_PLAIN)


class SortedLines:
    """Lines of any number in the order of their bytes: sorted runs on disk, merged at the end.

    The runs are files without a name in `folder`, next to what they are for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: list[IO[bytes]] = []
        self._lines: list[bytes] = []
        self._held = 0

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._held += len(line)
        if self._held > RUN_BYTES:
            run = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 closed by close()
            self._runs.append(run)
            run.writelines(sorted(self._lines))
            run.seek(0)
            self._lines, self._held = [], 0

    def __iter__(self) -> Iterator[bytes]:
        return heapq.merge(*self._runs, sorted(self._lines))

    def close(self) -> None:
        for run in self._runs:
            run.close()


def blocks(lines: Iterable[bytes], index: list[bytes]) -> Iterator[bytes]:
    """The gzip members of index.cdx.gz; `index` receives the lines of index.idx.

    300 lines a member, so that a reader over the network fetches one member, not the index.
    """
    index.append(META)
    offset = 0
    block: list[bytes] = []
    for line in lines:
        block.append(line)
        if len(block) == BLOCK_LINES:
            offset += len(member := _block(block, offset, index))
            yield member
            block = []
    if block:
        yield _block(block, offset, index)


def _block(lines: list[bytes], offset: int, index: list[bytes]) -> bytes:
    packing = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)  # no name and no time: same in, same out
    member = packing.compress(b"".join(lines)) + packing.flush()
    prefix = lines[0].partition(b" {")[0]
    place = json.dumps({"offset": offset, "length": len(member)})
    index.append(prefix + b" " + place.encode() + b"\n")
    return member
