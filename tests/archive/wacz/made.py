"""Packages for the tests: generated captures in a real log, and the ZIPs of strangers."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vanished.archive.capture import Capture, Imported, Payload, Subject, capture_bytes
from vanished.archive.log import Log, LogKey, SignerKey, make_receipt
from vanished.archive.wacz import Exhibit, Written, write_wacz
from vanished.archive.wacz import datapackage as listing
from vanished.net.exchange import Exchange, Leg

NOW = 1_790_000_000_000_000
SEED = 20261124


def captures(number: int, *, first: int = 0, body_bytes: int = 400) -> list[Capture]:
    """Captures with answers, redirects, revisits and one imported record; always the same ones."""
    rng = random.Random(SEED + number)
    seen: dict[tuple[str, str], Payload] = {}
    made: list[Capture] = []

    def lookup(url: str, digest: str) -> Payload | None:
        return seen.get((url, digest))

    for index in range(first, first + number):
        body = f"<html><title>第{index % 3}页</title>".encode() + rng.randbytes(body_bytes)
        if index % 3 == 2 and made:
            body = b"said again and again"
        url = f"https://www.example.org/路/{index % 3}?b=2&a={index % 2}"
        when = NOW + index * 1_000_000
        legs = [_leg(url, when, 200, body)]
        if index % 4 == 1:
            legs.insert(0, _leg(f"http://example.org/{index}", when, 302, b"", ("Location", url)))
        imported = []
        if index % 5 == 3:
            imported = [Imported("https://example.net/record", "application/json", b"{}", when)]
        exchange = Exchange(url, when, when + 9, 200, body=body, legs=tuple(legs))
        capture = capture_bytes(
            observatory="test",
            index=index,
            captured_at=when,
            vantage="here",
            subjects=[Subject(f"pseudonym-{index}", "first", when)],
            facts={"words": f"words {index}"},
            salt=hashlib.sha256(f"salt {index}".encode()).digest(),
            exchanges=[] if imported else [exchange],
            imported=imported,
            seen=lookup,
        )
        seen.update({(payload.url, payload.sha256): payload for payload in capture.payloads})
        made.append(capture)
    return made


def _leg(url: str, when: int, status: int, body: bytes, *more: tuple[str, str]) -> Leg:
    fields = (("Content-Type", "text/html; charset=utf-8"), *more)
    reason = "OK" if status == 200 else "Found"
    return Leg("GET", url, (("Accept", "*/*"),), b"", when, when + 9, status, reason, fields, body,
               address="192.0.2.7")  # fmt: skip


@dataclass(frozen=True)
class Packed:
    """A package and what went into it."""

    path: Path
    written: Written
    captures: list[Capture]
    exhibits: list[Exhibit]
    log: Log


def exhibits(log: Log, made: Sequence[Capture]) -> list[Exhibit]:
    found = []
    for capture in made:
        manifest = capture.manifest.to_bytes()
        entry = capture.salt + hashlib.sha256(manifest).digest()
        receipt = bytes(make_receipt(log, capture.index, entry))
        found.append(Exhibit(capture.index, capture.members, manifest, receipt))
    return found


def packed(folder: Path, number: int = 12, *, part_bytes: int = 12_000, name: str = "a") -> Packed:
    """A package of `number` captures whose receipts hold."""
    made = captures(number)
    log = Log.create(folder / f"{name}-log", SignerKey.generate(f"example.org/{name}"))
    log.append(capture.leaf for capture in made)
    log.checkpoint()
    shown = exhibits(log, made)
    path = folder / f"{name}.wacz"
    written = write_wacz(
        path,
        shown,
        observatory="test",
        created=NOW,
        vkeys=(log.folder / "vkeys").read_bytes(),
        witnesses=b"witness key\n",
        files=[(f"stamps/{number}.one.tsr", b"a token"), (f"stamps/{number}.ots", b"a proof")],
        part_bytes=part_bytes,
    )
    return Packed(path, written, made, shown, log)


def trusted(log: Log) -> list[LogKey]:
    return [LogKey(key.key) for key in log.keys]


PEAK = (
    "import re\n"
    "from pathlib import Path\n"
    "def peak_kb():\n"
    "    status = Path('/proc/self/status').read_text()\n"
    "    return int(re.search(r'VmHWM:\\s*(\\d+)', status)[1])\n"
)
"""For a child process: the most memory it had. `ru_maxrss` would be its parent's, if larger."""

PAGES = b'{"format": "json-pages-1.0", "id": "pages"}\n'


def plain_files() -> dict[str, bytes]:
    """The files that the smallest stranger's WACZ has, without the two lists."""
    return {
        "archive/data.warc.gz": b"".join(capture.members for capture in captures(1)),
        "indexes/index.cdxj": b"",
        "pages/pages.jsonl": PAGES,
    }


def strangers(
    files: dict[str, bytes], *, package: bytes | None = None, method: int = zipfile.ZIP_STORED
) -> bytes:
    """A WACZ of these files as another program would write it; `package` replaces its list."""
    resources = [
        listing.Resource(name, len(content), listing.hashed(content))
        for name, content in files.items()
    ]
    listed, digest = listing.written(resources, title="t", description="d", created="2026")
    listed = listed.replace(b'"Vanished 0', b'"another program 0')
    listed = listed if package is None else package
    digest = digest.replace(digest[-66:-2], hashlib.sha256(listed).hexdigest().encode())
    return zipped(files | {listing.NAME: listed, listing.DIGEST_NAME: digest}, method)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()
