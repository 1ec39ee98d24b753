"""If these fail, other people's tools read something else in a capture than what was sent."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import fastwarc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from tests.archive.capture.made import (
    CERTIFICATES,
    PLANTED,
    START,
    capture,
    exchange,
    leg,
    noise,
    salt,
)
from vanished.archive.capture import (
    Capture,
    Payload,
    capture_bytes,
    captures,
    check_capture,
    leaf_hash,
)
from vanished.archive.capture.members import members
from vanished.archive.capture.records import GZIP, Imported, gzipped
from vanished.errors import InputError
from vanished.model import SECOND, Fault
from vanished.net.exchange import Leg

FILE = "20261124T170000Z-000000000000.warc.gz"


def warcio_records(content: bytes) -> list[tuple[str, str, bytes]]:
    """(type, id, payload) as warcio reads them; it finds no digest wrong."""
    found = []
    for record in ArchiveIterator(io.BytesIO(content), check_digests=True):
        payload = record.raw_stream.read()
        assert record.digest_checker.passed is not False, record.digest_checker.problems
        identity = record.rec_headers.get_header("WARC-Record-ID").strip("<>")
        found.append((record.rec_type, identity, payload))
    return found


def fastwarc_records(content: bytes) -> list[tuple[str, str, bytes]]:
    """The same as FastWARC reads them."""
    found = []
    for record in fastwarc.ArchiveIterator(io.BytesIO(content), parse_http=False):
        assert record.verify_block_digest(), record.record_id
        if record.is_http:
            record.parse_http(max_header_len=1 << 20)
        identity = (record.record_id or "").strip("<>")
        found.append((str(record.record_type), identity, record.reader.read()))
    return found


def agreed(made: Capture) -> list[tuple[str, str, bytes]]:
    """What warcio, FastWARC and our own reader see alike in a capture without damage."""
    (read,) = captures(io.BytesIO(made.members), FILE)
    assert check_capture(read) == []
    assert read.leaf == made.leaf == leaf_hash(made.salt, made.manifest.to_bytes())
    assert read.manifest == made.manifest
    ours = [(record.type, record.id, record.payload()) for record in read.records]
    assert warcio_records(made.members) == fastwarc_records(made.members) == ours
    return ours


def head(made: Capture, number: int) -> bytes:
    """The HTTP head of a capture's record."""
    record = list(members(io.BytesIO(made.members), FILE))[number]
    block: bytes = record.block()  # type: ignore[union-attr]
    return block[: block.index(b"\r\n\r\n") + 4]


# -- what a capture holds --------------------------------------------------------------------


def test_a_capture_holds_answer_request_facts_and_manifest_in_this_order() -> None:
    made = capture(5)
    found = agreed(made)
    assert [kind for kind, _, _ in found] == ["response", "request", "metadata", "metadata"]
    assert found[0][2] == leg(5).body
    facts = json.loads(found[2][2])
    assert facts["facts"] == {"text": f"{PLANTED} 第5条", "native_id": PLANTED}
    (clock,) = facts["legs"]
    assert clock["response"] == found[0][1]
    assert clock["address"] == "192.0.2.7"
    low, high = clock["offset"]  # asked at 17:00:05, answered 42 µs later, Date says 17:00:01
    assert (low, high) == (-4 * SECOND - 42, -3 * SECOND)
    assert tuple(base64.b64decode(each) for each in facts["certificates"]) == CERTIFICATES
    assert json.loads(found[3][2]) == {
        "manifest": json.loads(made.manifest.to_bytes()),
        "salt": salt(5).hex(),
    }


def test_the_same_input_gives_the_same_bytes() -> None:
    """A look that is captured twice after a crash must be the same leaf."""
    assert capture(5).members == capture(5).members
    assert capture(5).leaf != capture(6).leaf


def test_the_manifest_names_nobody_and_no_place() -> None:
    """It can be shown without the bytes."""
    assert PLANTED.encode() not in capture(5).manifest.to_bytes()
    assert b"host.example" not in capture(5).manifest.to_bytes()


def test_every_record_is_one_gzip_member_and_is_hashed_as_stored() -> None:
    made = capture(1, leg(1), leg(2))
    offset = 0
    for stored in made.manifest.records:
        member = made.members[offset : offset + stored.length]
        assert member.startswith(GZIP)
        assert hashlib.sha256(member).hexdigest() == stored.sha256
        assert gzip.decompress(member).startswith(b"WARC/1.1\r\n")
        offset += stored.length
    assert len(list(members(io.BytesIO(made.members[offset:]), FILE))) == 1, "the manifest"


def test_the_transfer_coding_is_named_so_that_nobody_takes_it_off_again() -> None:
    """warcio and FastWARC would read a body that is not chunked any more as chunks."""
    made = capture(1)
    assert b"\r\nX-Crawler-Transfer-Encoding: chunked\r\n" in head(made, 0)
    (record, *_) = ArchiveIterator(io.BytesIO(made.members))
    assert record.http_headers.get_header("transfer-encoding") is None
    found = next(iter(ArchiveIterator(io.BytesIO(made.members))))
    assert PLANTED.encode() in found.content_stream().read(), "content coding is still taken off"
    quick = next(iter(fastwarc.ArchiveIterator(io.BytesIO(made.members), auto_decode="all")))
    assert PLANTED.encode() in quick.reader.read()


def test_a_redirect_is_a_leg_of_its_own() -> None:
    made = capture(1, leg(1, body=b"", status=302, reason="Found"), leg(2))
    found = agreed(made)
    kinds = [kind for kind, _, _ in found]
    assert kinds == ["response", "request"] * 2 + ["metadata"] * 2


@pytest.mark.parametrize(
    ("fault", "why"),
    [(Fault.TOO_LARGE, "length"), (Fault.TIMEOUT, "time"), (Fault.TRUNCATED, "disconnect")],
)
def test_an_answer_that_broke_off_says_so(fault: Fault, why: str) -> None:
    """Half a page must never pass for the page."""
    cut = exchange(leg(1, complete=False, status=302), leg(2, complete=False), fault=fault)
    made = capture(1, exchanges=[cut])
    agreed(made)
    records = list(ArchiveIterator(io.BytesIO(made.members)))
    said = [record.rec_headers.get_header("WARC-Truncated") for record in records]
    assert said == ["unspecified", None, why, None, None, None]
    assert made.payloads == ()


# -- payloads that are known -----------------------------------------------------------------


def test_a_known_payload_becomes_a_revisit() -> None:
    """A list page that is read a hundred times must not be stored a hundred times."""
    body = noise(20_000)
    first = capture(1, leg(1, body=body))
    (payload,) = first.payloads
    assert payload == Payload(
        leg(1).url,
        hashlib.sha256(body).hexdigest(),
        first.manifest.records[0].id,
        START + SECOND + 42,
    )
    asked: list[tuple[str, str]] = []

    def seen(url: str, sha256: str) -> Payload | None:
        asked.append((url, sha256))
        return payload if (url, sha256) == (payload.url, payload.sha256) else None

    second = capture(2, leg(1, body=body, asked_at=START + 9), seen=seen)
    assert asked == [(payload.url, payload.sha256)]
    assert len(second.members) < len(first.members) / 4
    assert second.payloads == ()
    found = agreed(second)
    assert found[0][0] == "revisit"
    assert found[0][2] == b""
    record = next(iter(ArchiveIterator(io.BytesIO(second.members))))
    header = record.rec_headers.get_header
    assert header("WARC-Refers-To") == f"<{payload.id}>"
    assert header("WARC-Refers-To-Date") == "2026-11-24T17:00:01.000042Z"
    assert header("WARC-Refers-To-Target-URI") == payload.url
    assert header("WARC-Payload-Digest") == f"sha256:{payload.sha256}"
    assert header("WARC-Profile").endswith("/1.1/revisit/identical-payload-digest")
    assert record.http_headers.get_statuscode() == "200", "the head of this answer is kept"
    stored = second.manifest.records[0]
    assert (stored.payload_sha256, stored.payload_length) == (payload.sha256, len(body))


def test_half_a_payload_or_none_refers_to_nothing() -> None:
    known = Payload("u", "0" * 64, capture(1).manifest.records[0].id, START)
    for each in (leg(1, complete=False), leg(1, body=b"")):
        made = capture(2, each, seen=lambda url, sha256: known)
        assert made.manifest.records[0].type == "response"


# -- hostile and odd input -------------------------------------------------------------------


def test_bytes_of_a_head_are_kept_as_they_were_sent() -> None:
    """warcio alone would percent-encode what is not ASCII."""
    odd = leg(
        1, headers=(("X-Odd", "\xe9\xff \x01 \xe4\xb8\xad"), ("x-odd", "twice"), ("Empty", ""))
    )
    made = capture(1, odd)
    agreed(made)
    expected = (
        b"HTTP/1.1 200 OK\r\nX-Odd: \xe9\xff \x01 \xe4\xb8\xad\r\nx-odd: twice\r\nEmpty: \r\n\r\n"
    )
    assert head(made, 0) == expected


def test_a_header_forges_neither_header_nor_record() -> None:
    evil = (
        ("X-A\r\nForged: 1", "v"),
        ("X-B", "v\r\nForged: 2\r\n\r\nWARC/1.1\r\nWARC-Type: response"),
        (" folded", "v\n\n\tw"),
        ("", "no name"),
        ("a:b", "\ud800\u4e2d"),
    )
    made = capture(1, leg(1, headers=evil, reason="OK\r\nForged: 3", sent=evil))
    found = agreed(made)
    assert len(found) == 4
    for record in ArchiveIterator(io.BytesIO(made.members)):
        names = [name for name, _ in record.http_headers.headers] if record.http_headers else []
        assert "Forged" not in names


def test_an_address_forges_no_header_of_the_record() -> None:
    evil = "https://host.example/a b\r\nWARC-Type: warcinfo\r\n<中>"
    made = capture(1, leg(1, url=evil, address="192.0.2.7\r\nX: y"), imported=[
        Imported(evil, "text/html\r\nX: y", b"body", START),
        Imported("urn:x", "application/http; msgtype=response", b"no head", START),
    ])  # fmt: skip
    found = agreed(made)
    kinds = ["response", "request", "resource", "resource", "metadata", "metadata"]
    assert [kind for kind, _, _ in found] == kinds
    record = next(iter(ArchiveIterator(io.BytesIO(made.members))))
    assert record.rec_headers.get_header("WARC-IP-Address") is None
    uri = record.rec_headers.get_header("WARC-Target-URI")
    assert uri == "https://host.example/a%20b%0D%0AWARC-Type:%20warcinfo%0D%0A%3C%E4%B8%AD%3E"


def test_words_that_utf_8_cannot_say_are_kept_escaped() -> None:
    odd = capture_bytes(
        observatory="made", index=1, captured_at=START, vantage="here", subjects=[],
        facts={"text": "\ud83d 中"}, salt=salt(1),
    )  # fmt: skip
    (read,) = captures(io.BytesIO(odd.members), FILE)
    assert check_capture(read) == []
    assert read.facts["facts"] == {"text": "\ud83d 中"}


def test_an_imported_record_is_kept_byte_for_byte() -> None:
    raw = noise(1000) + b"\r\n\r\nWARC/1.1\r\n"
    made = capture(1, exchanges=[], imported=[Imported("urn:import:1", "text/csv", raw, START)])
    found = agreed(made)
    assert found[0][0] == "resource"
    assert found[0][2] == raw


def test_what_could_not_be_read_back_is_not_written() -> None:
    large = [Imported("urn:import:1", "text/csv", bytes(65 << 20), START)]
    with pytest.raises(InputError, match="leave it out or split it"):
        capture(1, exchanges=[], imported=large)


def test_our_own_zeros_are_no_bomb() -> None:
    """A page of many zeros compresses like a bomb; our reader refuses bombs."""
    made = capture(1, leg(1, body=bytes(8 << 20)))
    assert agreed(made)[0][2] == bytes(8 << 20)
    assert len(gzipped(bytes(1 << 20))) < 2000


fields = st.lists(
    st.tuples(
        st.text(st.characters(max_codepoint=255), max_size=12),
        st.text(st.characters(max_codepoint=255), max_size=30) | st.text(max_size=10),
    ),
    max_size=5,
).map(tuple)


@settings(max_examples=150, deadline=None)
@given(
    fields,
    fields,
    st.binary(max_size=300),
    st.binary(max_size=30),
    st.text(max_size=10),
    st.integers(100, 599),
    st.text(max_size=20),
)
def test_whatever_was_sent_all_readers_agree(
    headers: tuple[tuple[str, str], ...],
    sent: tuple[tuple[str, str], ...],
    body: bytes,
    sent_body: bytes,
    reason: str,
    status: int,
    path: str,
) -> None:
    """Names, values, reasons and bodies that nobody thought of."""
    odd: Leg = leg(
        1, url=f"http://host.example/{path}", headers=headers, sent=sent, body=body,
        sent_body=sent_body, reason=reason, status=status,
    )  # fmt: skip
    found = agreed(capture(1, odd))
    assert found[0][2] == body
    assert found[1][2] == sent_body


def test_warcio_check_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"".join(capture(n, leg(n), leg(n + 1)).members for n in range(5)))
    done = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", "-v", str(path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("digest pass") == 5 * 6
    assert "failed" not in done.stdout
