"""What we export: others can replay and check it, and no byte of a capture was touched."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastwarc import ArchiveIterator as FastIterator
from warcio.archiveiterator import ArchiveIterator

from tests.archive.wacz import made
from tests.servers import wacz as peer
from vanished.archive.capture import Manifest, captures, check_capture
from vanished.archive.log import parse_receipt, verify_receipt
from vanished.archive.wacz import Exhibit, open_wacz, package, write_wacz
from vanished.errors import EvidenceError, StorageError, UsageError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> made.Packed:
    return made.packed(tmp_path_factory.mktemp("wacz"))


def test_the_bytes_of_every_capture_come_back_as_they_were_stored(whole: made.Packed) -> None:
    """One changed byte, and the receipts would no longer be about what is in the file."""
    with open_wacz(whole.path) as opened:
        assert list(opened.problems()) == []
        contents = {name: stream.read() for name, stream in opened.warcs()}
        assert len(contents) == whole.written.warcs > 2
        assert b"".join(contents.values()) == b"".join(each.stored for each in whole.exhibits)
        assert dict(opened.manifests()) == {each.index: each.manifest for each in whole.exhibits}
        assert dict(opened.receipts()) == {each.index: each.receipt for each in whole.exhibits}
        assert dict(opened.stamps()) == {"12.one.tsr": b"a token", "12.ots": b"a proof"}
        assert opened.read("witnesses") == b"witness key\n"
        assert "never" not in opened.package.title
        assert "no proof that the platform sent them" in " ".join(
            json.loads(opened.read("datapackage.json"))["description"].split()
        )
        assert b"That the platform sent these bytes." in opened.read("about/README.txt")


def test_what_is_in_the_file_proves_each_capture_by_itself(whole: made.Packed) -> None:
    """Somebody who has only the file and the log's key must be able to check every capture."""
    checked = 0
    with open_wacz(whole.path) as opened:
        assert opened.receipt(99) is opened.manifest(99) is None
        for name, stream in opened.warcs():
            for read in captures(stream, name):
                assert check_capture(read) == []
                assert read.index is not None
                receipt, manifest = opened.receipt(read.index), opened.manifest(read.index)
                assert receipt is not None
                assert manifest is not None
                trusted = made.trusted(whole.log)
                assert (
                    verify_receipt(parse_receipt(receipt), trusted, read.leaf).index == read.index
                )
                assert Manifest.from_bytes(manifest) == read.manifest
                checked += 1
    assert checked == whole.written.captures == 12


def test_a_receipt_of_another_log_is_no_receipt_of_ours(tmp_path: Path) -> None:
    """Otherwise a forger's own log would do."""
    ours, other = made.packed(tmp_path, 3), made.packed(tmp_path, 3, name="b")
    mixed = [
        Exhibit(one.index, one.stored, one.manifest, foreign.receipt)
        for one, foreign in zip(ours.exhibits, other.exhibits, strict=True)
    ]
    write_wacz(ours.path, mixed, observatory="test", created=made.NOW, vkeys=b"")
    with open_wacz(ours.path) as opened:
        assert list(opened.problems()) == []  # the file is what it lists; that is not enough
        for _, receipt in opened.receipts():
            with pytest.raises(EvidenceError, match=r"example\.org/b"):
                verify_receipt(parse_receipt(receipt), made.trusted(ours.log))


def test_py_wacz_accepts_it(whole: made.Packed, tmp_path: Path) -> None:
    """The reference implementation is what other archives will check our files with."""
    python = peer.needs_wacz()
    accepted, said = peer.validate(python, whole.path)
    assert accepted, said
    raw = bytearray(whole.path.read_bytes())
    raw[raw.index(b"a token")] ^= 1
    broken = tmp_path / "broken.wacz"
    broken.write_bytes(raw)
    accepted, said = peer.validate(python, broken)
    assert not accepted, "the validator would accept anything"


def test_the_index_is_the_one_that_py_wacz_would_write(whole: made.Packed, tmp_path: Path) -> None:
    """A replay tool finds answers, redirects and repeated answers by these lines only."""
    python = peer.needs_wacz()
    expected: list[str] = []
    with open_wacz(whole.path) as opened:
        ours = gzip.decompress(opened.read("indexes/index.cdx.gz")).decode().splitlines()
        for name, stream in opened.warcs():
            warc = tmp_path / Path(name).name
            warc.write_bytes(stream.read())
            expected += peer.index(python, warc)
    assert len(ours) == whole.written.replayable
    assert {'"mime": "warc/revisit"' in line for line in ours} == {True, False}
    assert _fields(ours) == _fields(sorted(expected))
    assert ours == sorted(ours, key=str.encode)


def _fields(lines: list[str]) -> list[tuple[str, str, dict[str, str]]]:
    parts = [line.split(" ", 2) for line in lines]
    return sorted(
        ((key, stamp, json.loads(block)) for key, stamp, block in parts),
        key=lambda each: (each[0], each[1], each[2]["filename"], int(each[2]["offset"])),
    )


def test_every_line_of_the_index_leads_to_its_record(whole: made.Packed) -> None:
    """An offset that is one byte off shows a reader nothing."""
    with open_wacz(whole.path) as opened:
        blocks = opened.read("indexes/index.cdx.gz")
        head, *places = opened.read("indexes/index.idx").decode().splitlines()
        assert head.startswith('!meta 0 {"format": "cdxj-gzip-1.0"')
        lines: list[str] = []
        for each in places:
            key, stamp, place = each.split(" ", 2)
            where = json.loads(place)
            member = blocks[where["offset"] : where["offset"] + where["length"]]
            lines += gzip.decompress(member).decode().splitlines()
            assert lines[0].startswith(f"{key} {stamp} ")
        warcs = {Path(name).name: stream.read() for name, stream in opened.warcs()}
        for line in lines:
            found = json.loads(line.split(" ", 2)[2])
            start = int(found["offset"])
            member = warcs[found["filename"]][start : start + int(found["length"])]
            (record,) = ArchiveIterator(io.BytesIO(member))
            assert record.rec_headers.get_header("WARC-Target-URI") == found["url"]
        pages = [json.loads(line) for line in opened.read("pages/pages.jsonl").splitlines()]
        urls = {json.loads(line.split(" ", 2)[2])["url"] for line in lines}
        assert {page["url"] for page in pages[1:]} <= urls
        assert len(pages) == 13


def test_warcio_and_fastwarc_read_the_warcs_inside(whole: made.Packed, tmp_path: Path) -> None:
    """After `unzip` alone, without any program of ours."""
    with zipfile.ZipFile(whole.path) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path)
    warcs = sorted((tmp_path / "archive").iterdir())
    command = [sys.executable, "-m", "warcio.cli", "check", *map(str, warcs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    slow = fast = 0
    for path in warcs:
        with path.open("rb") as stream:
            slow += sum(1 for _ in ArchiveIterator(stream))
        with path.open("rb") as stream:
            fast += sum(1 for _ in FastIterator(stream, verify_digests=True))
    stored = sum(len(capture.manifest.records) + 1 for capture in whole.captures)
    assert slow == fast == stored


def test_the_same_captures_and_time_give_the_same_file(tmp_path: Path) -> None:
    """Two people who export the same evidence can compare one hash."""
    one = made.packed(tmp_path, 6)
    first = hashlib.sha256(one.path.read_bytes()).digest()
    words = {"observatory": "test", "vkeys": b"k", "part_bytes": 5_000}
    for created, path in ((1, "x"), (1, "y"), (made.NOW, "z")):
        write_wacz(tmp_path / path, one.exhibits, created=created, **words)  # type: ignore[arg-type]
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert (tmp_path / "x").read_bytes() != (tmp_path / "z").read_bytes()
    assert hashlib.sha256(one.path.read_bytes()).digest() == first


def test_receipts_do_not_pile_up_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A WARC is closed after so many captures, too, and their receipts follow it at once."""
    monkeypatch.setattr(package, "PART_CAPTURES", 3)
    ours = made.packed(tmp_path, 8, part_bytes=package.PART_BYTES)
    assert ours.written.warcs == 3
    with zipfile.ZipFile(ours.path) as archive:
        names = archive.namelist()
    order = [names.index(each) for each in ("manifests/2.json", "archive/data-00001.warc.gz")]
    assert order == sorted(order)
    with open_wacz(ours.path) as opened:
        assert list(opened.problems()) == []
        assert sum(len(list(captures(stream, name))) for name, stream in opened.warcs()) == 8


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("../evil", b"")], "can have the name"),
        ([("stamps/../x", b"")], "can have the name"),
        ([("archive/more.warc.gz", b"")], "can have the name"),
        ([("stamps/a", b""), ("stamps/a", b"")], "can have the name"),
        ([("receipts/3.tlog-proof", b"")], "can have the name"),
    ],
)
def test_a_name_that_no_wacz_can_have_leaves_the_old_file(
    files: list[tuple[str, bytes]], words: str, tmp_path: Path
) -> None:
    """A failed export must not cost the one that was there, nor leave half a file."""
    old = made.packed(tmp_path, 4)
    before = old.path.read_bytes()
    names = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match=words):
        write_wacz(
            old.path, old.exhibits, observatory="o", created=made.NOW, vkeys=b"", files=files
        )
    assert old.path.read_bytes() == before
    assert set(tmp_path.iterdir()) == names


def test_what_cannot_be_exported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing chosen, one capture twice, bytes that are no WARC, too many, no room."""
    ours = made.packed(tmp_path, 4)
    target = tmp_path / "new.wacz"

    def write(shown: list[Exhibit], path: Path = target) -> None:
        write_wacz(path, shown, observatory="o", created=made.NOW, vkeys=b"")

    with pytest.raises(UsageError, match="no capture was chosen"):
        write([])
    with pytest.raises(UsageError, match="capture 0 was given twice"):
        write([ours.exhibits[0], ours.exhibits[0]])
    with pytest.raises(EvidenceError, match="capture 9 cannot be read as WARC"):
        write([Exhibit(9, b"no gzip at all", b"{}", b"")])
    with pytest.raises(StorageError, match="could not write"):
        write(ours.exhibits, tmp_path / "no such folder" / "x.wacz")
    monkeypatch.setattr(package, "MEMBERS", 12)
    with pytest.raises(UsageError, match="one WACZ holds at most 12 files"):
        write(ours.exhibits)
    assert not target.exists()


def test_an_answer_that_repeats_one_outside_the_file_is_counted(tmp_path: Path) -> None:
    """It proves, but cannot be replayed; whoever exports should know."""
    ours = made.packed(tmp_path, 12)
    assert ours.written.unresolved == 0
    part = write_wacz(
        tmp_path / "part", ours.exhibits[9:], observatory="o", created=made.NOW, vkeys=b""
    )
    assert part.unresolved == 1


def test_exporting_takes_no_more_memory_for_more_bytes(tmp_path: Path) -> None:
    """150 MB of captures must not need 150 MB of memory."""
    script = (
        f"{made.PEAK}"
        "import sys\n"
        "from tests.archive.wacz import made\n"
        "from vanished.archive.wacz import Exhibit, write_wacz\n"
        "(one,) = made.captures(1, body_bytes=1_500_000)\n"
        "shown = (Exhibit(n, one.members, b'{}', b'r') for n in range(100))\n"
        "start = peak_kb()\n"
        "done = write_wacz(Path(sys.argv[1]), shown, observatory='o', created=1, vkeys=b'')\n"
        "print(done.size, done.warcs, peak_kb() - start)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "big.wacz")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    size, warcs, grown_kb = map(int, done.stdout.split())
    assert size > 150_000_000
    assert warcs == 2
    assert grown_kb < 40_000, f"memory grew by {grown_kb} kB"


def test_a_wacz_of_py_wacz_is_read_too(whole: made.Packed, tmp_path: Path) -> None:
    """`vanished verify` must be able to say something of files that others made."""
    python = peer.needs_wacz()
    warc = tmp_path / "data.warc.gz"
    warc.write_bytes(b"".join(each.stored for each in whole.exhibits))
    peer.create(python, warc, tmp_path / "theirs.wacz")
    with open_wacz(tmp_path / "theirs.wacz") as opened:
        assert list(opened.problems()) == []
        assert not opened.ours
        ((_, stream),) = _contents(opened.warcs())
        assert stream == warc.read_bytes()


def _contents(warcs: Iterator[tuple[str, io.BufferedReader]]) -> list[tuple[str, bytes]]:
    return [(name, stream.read()) for name, stream in warcs]


def test_unzip_of_the_system_reads_it(whole: made.Packed, tmp_path: Path) -> None:
    """A reader in ten years may have nothing else."""
    shutil.unpack_archive(whole.path, tmp_path, "zip")
    manifest = json.loads((tmp_path / "datapackage.json").read_bytes())
    for each in manifest["resources"]:
        content = (tmp_path / each["path"]).read_bytes()
        assert each["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    listed = {each["path"] for each in manifest["resources"]}
    there = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert there == listed | {"datapackage.json", "datapackage-digest.json"}
