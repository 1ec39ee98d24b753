"""If these fail, a changed bit of the evidence goes unseen, or a hostile file takes the machine."""

from __future__ import annotations

import gzip
import io
import random
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archive.capture.made import START, capture, leg, noise, salt
from vanished.archive.capture import Capture, Damage, Read, captures, check_capture
from vanished.archive.capture.bulk import Bulk, bulk
from vanished.archive.capture.members import MAX_DAMAGES, Member, members
from vanished.archive.capture.records import (
    GZIP,
    MAX_RECORDS,
    Imported,
    gzipped,
    manifest_record,
)
from vanished.errors import EvidenceError, UsageError

ROOT = Path(__file__).parents[3]
FIRST = 10
FILE = f"20261124T170010Z-{FIRST:012d}.warc.gz"
SEED = 20261124


def read(content: bytes, file: str = FILE) -> list[Read]:
    return list(captures(io.BytesIO(content), file))


def wrong(content: bytes) -> list[Damage]:
    return [each for found in read(content) for each in check_capture(found)]


def segment(numbers: range) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """A plain segment, and where each capture lies in it."""
    content, places = b"", {}
    for number in numbers:
        made = capture(number, leg(number), leg(number + 1))
        places[number] = (len(content), len(content) + len(made.members))
        content += made.members
    return content, places


def parts(made: Capture) -> list[bytes]:
    """The members of a capture, the manifest's last."""
    offset, found = 0, []
    for record in made.manifest.records:
        found.append(made.members[offset : offset + record.length])
        offset += record.length
    return [*found, made.members[offset:]]


def sealed_again(made: Capture, members: list[bytes]) -> bytes:
    """Other members before the manifest of `made`."""
    return b"".join((*members, parts(made)[-1]))


# -- damage ----------------------------------------------------------------------------------


def test_every_one_of_200_random_changed_bytes_is_found_in_its_capture() -> None:
    content, places = segment(range(FIRST, FIRST + 8))
    assert wrong(content) == []
    chance = random.Random(SEED)
    for _ in range(200):
        place, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        spoiled = bytearray(content)
        spoiled[place] ^= bit
        owner = next(n for n, (since, until) in places.items() if since <= place < until)
        found = wrong(bytes(spoiled))
        assert found, f"byte {place} (seed {SEED})"
        assert {(each.file, each.index) for each in found} == {(FILE, owner)}, (place, found)
        assert places[owner][0] <= found[0].offset <= place
        others = [each.index for each in read(bytes(spoiled)) if not check_capture(each)]
        assert others == [n for n in places if n != owner], "the others are read on"


def test_every_byte_of_a_manifest_is_covered() -> None:
    """It is the one record whose stored bytes no hash names."""
    made = capture(FIRST)
    manifest = parts(made)[-1]
    start = len(made.members) - len(manifest)
    for place in range(start, len(made.members)):
        spoiled = bytearray(made.members)
        spoiled[place] ^= 1 << place % 8
        assert {each.index for each in wrong(bytes(spoiled))} == {FIRST}, place - start


def test_bits_that_no_checksum_covers_are_covered() -> None:
    """The last byte of deflate data has bits that unpacking ignores."""
    ignored = 0
    for number in range(20):
        made = capture(number)
        for bit in range(8):
            spoiled = bytearray(made.members)
            spoiled[-9] ^= 1 << bit
            ignored += _unpacks(bytes(spoiled)[len(made.members) - len(parts(made)[-1]) :])
            assert wrong(bytes(spoiled)), (number, bit)
    assert ignored > 5


def _unpacks(member: bytes) -> bool:
    try:
        return bool(zlib.decompress(member, 31))
    except zlib.error:
        return False


@pytest.mark.parametrize("bit", [1, 64])
def test_a_body_full_of_gzip_members_does_not_mislead(bit: int) -> None:
    """A server's gzip looks like ours, and stored deflate blocks show it as it is."""
    nested = b"".join(gzipped(noise(300, n)) for n in range(20))
    content = b"".join(
        capture(n, leg(n, body=noise(5000, n) + nested)).members for n in range(FIRST, FIRST + 3)
    )
    assert wrong(content) == []
    middle = len(capture(FIRST, leg(FIRST, body=noise(5000, FIRST) + nested)).members) + 2000
    spoiled = bytearray(content)
    spoiled[middle] ^= bit
    assert {each.index for each in wrong(bytes(spoiled))} == {FIRST + 1}


def test_a_lost_manifest_is_named_by_its_neighbours() -> None:
    made = [capture(n) for n in range(FIRST, FIRST + 4)]
    bare = [b"".join(parts(each)[:-2]) for each in made]  # neither facts nor manifest
    whole = [each.members for each in made]
    found = wrong(whole[0] + bare[1] + whole[2])
    assert [(each.index, each.what) for each in found] == [(FIRST + 1, "its manifest is missing")]
    assert found[0].offset == len(whole[0])
    assert [each.index for each in wrong(bare[0] + whole[1])] == [FIRST]
    assert [each.index for each in wrong(whole[0] + bare[1])] == [None]
    assert "byte 0: capture 10: " in str(wrong(bare[0])[0])


def test_a_segment_that_is_cut_off_says_where() -> None:
    content, places = segment(range(FIRST, FIRST + 3))
    since, until = places[FIRST + 2]
    for cut in range(since + 1, until, 97):
        found = read(content[:cut])
        assert [check_capture(each) for each in found[:2]] == [[], []]
        assert len(check_capture(found[2])) == 1
        assert found[2].offset == since
    assert list(captures(io.BytesIO(content), FILE, since)) == read(content)[:2], "the live end"
    assert read(b"") == []


# -- forgery ---------------------------------------------------------------------------------


def test_records_left_out_added_or_changed_round_are_found() -> None:
    made, other = capture(FIRST), capture(FIRST + 1)
    response, request, facts, _ = parts(made)
    for members_ in (
        [response, facts],
        [request, facts],
        [response, request],
        [request, response, facts],
        [response, request, parts(other)[1], facts],
        [parts(other)[0], request, facts],
        [],
    ):
        found = wrong(sealed_again(made, members_))
        assert found
        assert {each.index for each in found} <= {FIRST, FIRST + 1}
    assert wrong(sealed_again(made, [response, request, facts])) == []


def test_a_body_changed_with_all_its_digests_is_found() -> None:
    """Whoever changes the bytes can change what WARC says of them, but not the manifest."""
    made = capture(FIRST)
    forged = capture(FIRST, leg(FIRST, body=b"another body"))
    found = wrong(sealed_again(made, [parts(forged)[0], *parts(made)[1:-1]]))
    assert any("is not what its manifest says" in each.what for each in found)
    assert any(each.what.startswith("the payload of record") for each in found)


def test_another_manifest_is_another_leaf() -> None:
    """The log decides: what is whole by itself may still not be what was logged."""
    forged = capture(FIRST, leg(FIRST, body=b"another body"))
    (found,) = read(forged.members)
    assert check_capture(found) == []
    assert found.leaf == forged.leaf != capture(FIRST).leaf


def test_a_manifests_record_says_nothing_of_its_own() -> None:
    made = capture(FIRST)
    record = manifest_record(made.salt, made.manifest)
    assert gzipped(record) == parts(made)[-1]
    for old, new in (
        (b"2026-11-24T17:00:10", b"2025-11-24T17:00:10"),
        (b"application/json", b"application/text"),
        (b"WARC-Type: metadata", b"WARC-Type: resource"),
    ):
        forged = b"".join((*parts(made)[:-1], gzipped(record.replace(old, new))))
        assert [each.index for each in wrong(forged)] == [FIRST]
    junk = record.replace(b'"format":"vanished-capture/1"', b'"format":"vanished-capture/9"')
    found = wrong(b"".join((*parts(made)[:-1], gzipped(junk))))
    assert [each.index for each in found] == [FIRST]
    assert found[0].what == "a record of it is not what its own digests say"


def test_facts_in_no_known_form_are_said() -> None:
    (found,) = read(capture(FIRST).members)
    assert found.facts["facts"]["native_id"]
    (bare,) = read(parts(capture(FIRST))[0])
    with pytest.raises(EvidenceError, match="holds no facts"):
        _ = bare.facts


# -- hostile files ---------------------------------------------------------------------------


def bomb(gigabytes: int) -> bytes:
    """A record of so many GB of zeros in one gzip member; a block that unpacks to 16 MB, again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(
        b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
        b"WARC-Target-URI: urn:x\r\nContent-Length: %d\r\n\r\n" % (gigabytes << 30)
    ) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return GZIP + head + block * (gigabytes * 64) + packer.flush() + struct.pack("<LL", 0, 0)


WATCHED = """
import io, resource, sys
from vanished.archive.capture import captures
from tests.archive.capture.made import capture
content = sys.stdin.buffer.read()
list(captures(io.BytesIO(capture(1).members), "warm"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read in captures(io.BytesIO(content), "bomb"):
    print(read.index, [str(each) for each in read.damage])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_bomb_of_10_gb_is_refused_in_little_memory() -> None:
    """Twenty seconds and 10 GB would be a way to stop whoever checks the evidence."""
    content = bomb(10) + capture(FIRST).members
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=ROOT, input=content, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    *said, kilobytes = done.stdout.decode().splitlines()
    assert "67,108,864 bytes" in said[0]
    assert said[-1] == f"{FIRST} []", "what follows the bomb is read"
    assert int(kilobytes) < 64 << 10


def test_a_small_bomb_is_told_by_its_ratio() -> None:
    record = (
        b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
        b"WARC-Target-URI: urn:x\r\nContent-Length: %d\r\n\r\n" % (8 << 20)
    ) + bytes(8 << 20)
    (found,) = wrong(GZIP + zlib.compress(record + b"\r\n\r\n", 6, 31)[10:])
    assert "as bombs are" in found.what
    (found,) = wrong(gzipped(record + b"\r\n\r\n"))
    assert "manifest is missing" in found.what, "stored as it is it may be"


def test_heads_without_end_are_refused() -> None:
    for head in (b"X: " + bytes(2 << 20), b"X: y\r\n" * (1 << 19)):
        record = b"WARC/1.1\r\n" + head + noise(20_000)
        (found,) = wrong(gzipped(record))
        assert "the heads of a record have more than" in found.what


def test_records_without_end_are_refused_in_little_memory() -> None:
    """A million members, and never a manifest."""
    made = capture(1, exchanges=[], imported=[Imported("urn:x", "text/csv", b"x", START)])
    content = parts(made)[0] * (MAX_RECORDS + 500)
    (found,) = read(content)
    assert "more stands here than a capture can hold" in check_capture(found)[0].what
    assert len(found.records) < MAX_RECORDS


def test_junk_without_end_is_given_up() -> None:
    start = gzipped(b"WARC/1.1\r\nnothing\r\n\r\n")
    found = list(members(io.BytesIO(start * 1000), FILE))
    assert len(found) == MAX_DAMAGES + 1
    assert "too many damages" in str(found[-1])
    (other,) = members(io.BytesIO(gzip.compress(b"x", mtime=1) * 1000), FILE)
    assert isinstance(other, Damage)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_no_bytes_make_reading_fail(junk: bytes, packed: bool, begun: bool) -> None:
    """Whatever a WACZ holds: an answer, no traceback."""
    record = b"WARC/1.1\r\n" * begun + junk
    content = gzipped(record) if packed else junk
    sound = capture(FIRST).members
    found = read(content + sound)
    assert check_capture(found[-1]) == []
    assert all(check_capture(each) for each in found[:-1])
    assert len(found) == 1 + bool(content)


headers = st.sampled_from(
    [
        b"WARC-Type: response", b"WARC-Type: request", b"WARC-Type: revisit", b"WARC-Type",
        b"WARC-Target-URI: http://a", b"WARC-Target-URI: urn:vanished:manifest:5",
        b"WARC-Target-URI: urn:vanished:facts:" + b"9" * 30, b"WARC-Record-ID: <urn:uuid:1>",
        b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: x", b"Content-Length: 0",
        b"WARC-Payload-Digest: sha256:00", b"WARC-Block-Digest: shake_128:00",
        b"WARC-Block-Digest: 5", b"WARC-Block-Digest: sha256:\xff", b"\xff\xfe: \x00", b" folded",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(headers, max_size=7), st.sampled_from([b"", b"hello", b"GET / HTTP/1.1\r\n\r\n"]))
def test_no_heads_make_reading_fail(lines: list[bytes], body: bytes) -> None:
    record = b"\r\n".join((b"WARC/1.1", *lines, b"", body)) + b"\r\n\r\n"
    for found in read(gzipped(record) + capture(FIRST).members)[:-1]:
        assert check_capture(found)


# -- FastWARC --------------------------------------------------------------------------------


def test_bulk_reading_sees_what_careful_reading_sees() -> None:
    content, _ = segment(range(FIRST, FIRST + 4))
    careful = [
        (m.type, m.id, m.uri, m.offset, m.payload())
        for m in members(io.BytesIO(content), FILE)
        if isinstance(m, Member)
    ]
    fast = list(bulk(io.BytesIO(content), FILE))
    assert [(b.type, b.id, b.uri, b.offset, b.payload) for b in fast] == careful
    assert [b.status for b in fast[:2]] == [200, None]
    assert fast[0].content_type == "text/html; charset=utf-8"
    assert fast[0].date == "2026-11-24T17:00:10.000042Z"


def test_bulk_reading_stops_at_the_first_fault() -> None:
    content, _ = segment(range(FIRST, FIRST + 4))
    sound = list(bulk(io.BytesIO(content), FILE))
    chance = random.Random(SEED)
    stopped = 0
    for _ in range(50):
        spoiled = bytearray(content)
        spoiled[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        found: list[Bulk] | None = None
        with suppress(EvidenceError):
            found = list(bulk(io.BytesIO(bytes(spoiled)), FILE))
        stopped += found is None
        assert found in (None, sound), "or a bit that unpacking ignores"
    assert stopped > 40
    with pytest.raises(EvidenceError):
        list(bulk(io.BytesIO(content[:-200]), FILE))


def test_bulk_reading_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastwarc", None)
    with pytest.raises(UsageError, match=r"pip install 'vanished\[publish\]'"):
        next(bulk(io.BytesIO(b""), FILE))


def test_careful_reading_needs_no_fastwarc() -> None:
    program = (
        "import sys; sys.modules['fastwarc'] = None\n"
        "import vanished.archive.capture as c\n"
        "from tests.archive.capture.made import capture\n"
        "import io; (read,) = c.captures(io.BytesIO(capture(1).members), 'x')\n"
        "print(c.check_capture(read))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr
    assert salt(1) != salt(2)
