"""A WACZ from a stranger: every damage is named, nothing in it can harm whoever opens it."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archive.wacz import made
from vanished.archive.wacz import open_wacz
from vanished.archive.wacz.zipform import MEMBERS
from vanished.errors import EvidenceError, InputError, VanishedError

CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def places(path: Path) -> list[str]:
    """Where something is wrong with the file; the refusal's sentence if it cannot be opened."""
    try:
        with open_wacz(path) as opened:
            return [problem.place for problem in opened.problems()]
    except EvidenceError as error:
        return [str(error)]


def refusal(content: bytes, path: Path, error: type[VanishedError] = EvidenceError) -> str:
    """The one sentence with which opening or checking the file ends."""
    path.write_bytes(content)
    try:
        with open_wacz(path) as opened:
            sentence = "; ".join(f"{each.place} {each.sentence}" for each in opened.problems())
        assert error is EvidenceError
    except error as refused:
        sentence = str(refused)
    assert sentence
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


def owner(path: Path) -> Callable[[int], str]:
    """Which member a byte of the file belongs to; "" for the directory at the end."""
    with zipfile.ZipFile(path) as archive:
        starts = sorted((info.header_offset, info.filename) for info in archive.infolist())
        limit = archive.start_dir

    def of(position: int) -> str:
        if position >= limit:
            return ""
        return max(each for each in starts if each[0] <= position)[1]

    return of


def test_each_of_200_changed_bits_is_found_and_named(tmp_path: Path) -> None:
    """A single bit anywhere, in content or in a header, and the file is not what was exported."""
    ours = made.packed(tmp_path, 8)
    whole, of = ours.path.read_bytes(), owner(ours.path)
    rng = random.Random(made.SEED)
    changed = tmp_path / "changed.wacz"
    for _ in range(200):
        position, bit = rng.randrange(len(whole)), rng.randrange(8)
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        changed.write_bytes(damaged)
        found = places(changed)
        assert found, f"seed {made.SEED}: bit {bit} of byte {position} changed unseen"
        place = of(position)
        assert any(place in each for each in found), (position, bit, place, found)


def test_a_changed_bit_in_any_byte_of_the_zips_own_structure_is_found(tmp_path: Path) -> None:
    """Headers are under no hash: a hole here would let two tools see two different files."""
    ours = made.packed(tmp_path, 1)
    whole = ours.path.read_bytes()
    with zipfile.ZipFile(ours.path) as archive:
        spots = list(range(archive.start_dir, len(whole)))
        for info in archive.infolist():
            size = 30 + len(info.filename)
            spots += range(info.header_offset, info.header_offset + size)
    rng = random.Random(made.SEED)
    changed = tmp_path / "changed.wacz"
    for position in spots:
        bit = rng.randrange(8)
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        changed.write_bytes(damaged)
        assert places(changed), f"seed {made.SEED}: bit {bit} of byte {position} changed unseen"


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    """An interrupted download must not pass for a smaller archive."""
    ours = made.packed(tmp_path, 2)
    whole = ours.path.read_bytes()
    rng = random.Random(made.SEED)
    lengths = [4, 30, len(whole) - 1, len(whole) - 22, *rng.sample(range(4, len(whole)), 60)]
    for length in lengths:
        assert refusal(whole[:length], tmp_path / "cut.wacz")
    assert "something was appended" in refusal(whole + b"x", tmp_path / "more.wacz")


@pytest.mark.parametrize("content", [b"", b"P", b"hello", b"\x1f\x8b" + bytes(90_000), b"%PDF-1.7"])
def test_what_is_no_zip_is_called_no_wacz(content: bytes, tmp_path: Path) -> None:
    """A wrong file name is the user's slip, not a broken proof."""
    assert "is no WACZ" in refusal(content, tmp_path / "x.wacz", InputError)


def test_a_zip_without_a_list_a_folder_and_a_pipe_are_no_wacz(tmp_path: Path) -> None:
    """The same for things that are not even a file; a pipe must not hang the command."""
    words = refusal(made.zipped({"a.txt": b"x"}), tmp_path / "x.wacz", InputError)
    assert "a ZIP without datapackage.json" in words
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError):
            open_wacz(path)


def renamed(name: str) -> bytes:
    """A sound WACZ in which one more member carries this name, whatever Python would write."""
    stand_in = "n" * len(name) if name.isascii() else name.replace("\u202e", "路")
    whole = made.strangers(made.plain_files() | {stand_in: b"content"})
    return whole.replace(stand_in.encode(), name.encode())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../../outside", "leads out of the folder"),
        ("/etc/outside", "leads out of the folder"),
        ("stamps/../../outside", "leads out of the folder"),
        ("a//b", "leads out of the folder"),
        ("./a", "leads out of the folder"),
        ("..\\outside", "backslash"),
        ("C:/outside", "colon"),
        ("name\x00.txt", "control or rare character"),
        ("name\n.txt", "control or rare character"),
        ("\u202etxt.exe", "control or rare character"),
        ("n" * 300, "has 300 bytes"),
    ],
)
def test_a_name_that_leads_outside_is_refused(name: str, words: str, tmp_path: Path) -> None:
    """Whoever unpacks the file after we found it good must not be harmed by it."""
    path = tmp_path / "x.wacz"
    path.write_bytes(renamed(name))
    with pytest.raises(EvidenceError, match=words):
        open_wacz(path)
    assert [each.name for each in tmp_path.iterdir()] == ["x.wacz"]


def with_member(change: Callable[[zipfile.ZipInfo], None], content: bytes = b"x") -> bytes:
    raw = io.BytesIO(made.strangers(made.plain_files()))
    info = zipfile.ZipInfo("stamps/evil")
    change(info)
    with zipfile.ZipFile(raw, "a") as archive:
        archive.writestr(info, content)
    return raw.getvalue()


def patched(signature: bytes, offset: int, value: bytes, *, last: bool = True) -> bytes:
    """A sound WACZ with bytes of one header replaced."""
    whole = bytearray(with_member(lambda info: None))
    at = whole.rindex(signature) if last else whole.index(signature)
    whole[at + offset : at + offset + len(value)] = value
    return bytes(whole)


def linked(info: zipfile.ZipInfo) -> None:
    info.create_system, info.external_attr = 3, 0o120777 << 16


def device(info: zipfile.ZipInfo) -> None:
    info.create_system, info.external_attr = 3, 0o060644 << 16


def test_links_devices_and_encrypted_members_are_refused(tmp_path: Path) -> None:
    """A link unpacks to a door to any file; what is encrypted nobody can check."""
    path = tmp_path / "x.wacz"
    assert "a link or a device" in refusal(with_member(linked, b"/etc/passwd"), path)
    assert "a link or a device" in refusal(with_member(device), path)
    for flag in (1, 1 << 6, 1 << 13):
        assert "encrypted" in refusal(patched(CENTRAL, 8, struct.pack("<H", flag)), path)


def test_directories_that_lie_are_refused(tmp_path: Path) -> None:
    """Where two readers of a ZIP can see two different things, no proof is left."""
    path = tmp_path / "x.wacz"
    assert "method 12" in refusal(patched(CENTRAL, 10, b"\x0c\0"), path)
    assert "two sizes differ" in refusal(patched(CENTRAL, 20, struct.pack("<L", 9)), path)
    assert "in another file" in refusal(patched(CENTRAL, 34, b"\xff\xff"), path)
    assert "damaged" in refusal(patched(CENTRAL, 34, b"\x01\0"), path)
    assert "overlap" in refusal(patched(CENTRAL, 42, struct.pack("<L", 5)), path)
    assert "is no member" in refusal(patched(LOCAL, 0, b"PX"), path)
    assert "does not fit the file" in refusal(patched(END, 10, b"\x01\0"), path)
    assert "does not say what" in refusal(patched(LOCAL, 30, b"S"), path)
    assert "does not say what" in refusal(patched(CENTRAL, 16, bytes(4)), path)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    """The densest bombs let a thousand entries share one content."""
    files = made.plain_files() | {"stamps/a": b"x" * 80, "stamps/b": b"x" * 80}
    whole = bytearray(made.strangers(files))
    start = whole.index(b"stamps/a") - 30
    assert whole[start : start + 4] == LOCAL
    entry = whole.rindex(b"stamps/b") - 46
    name = whole.rindex(b"stamps/b")
    whole[entry + 42 : entry + 46] = struct.pack("<L", start)
    whole[name : name + 8] = b"stamps/B"
    assert "overlap" in refusal(bytes(whole), tmp_path / "x.wacz")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    """One tool would check the first, another show the second."""
    for name in ("stamps/n", "STAMPS/N"):
        whole = made.strangers(made.plain_files() | {"stamps/n": b"1", "stamps/m": b"2"})
        path = tmp_path / "x.wacz"
        content = whole.replace(b"stamps/m", name.encode())
        assert "twice" in refusal(content, path)


def test_a_wrong_crc_is_named_by_its_member(tmp_path: Path) -> None:
    """Damage on the way is told apart from a file that was made to deceive."""
    whole = made.strangers(made.plain_files() | {"stamps/n": b"content of a stamp"})
    changed = whole.replace(b"content of a stamp", b"content of a stomp")
    path = tmp_path / "x.wacz"
    words = refusal(changed, path)
    assert "stamps/n" in words
    assert "CRC-32" in words
    with open_wacz(path) as opened, pytest.raises(EvidenceError, match="CRC-32"):
        list(opened.stamps())
    with open_wacz(path) as opened, pytest.raises(EvidenceError, match="CRC-32"):
        opened.stream("stamps/n").read()
    with open_wacz(path) as opened, pytest.raises(EvidenceError, match="more than the 4 we read"):
        opened.read("stamps/n", 4)
    with open_wacz(path) as opened, pytest.raises(EvidenceError, match="no member 'stamps/x'"):
        opened.read("stamps/x")


def test_deflated_members_are_read_and_their_damage_is_found(tmp_path: Path) -> None:
    """Other programs compress their lists; every one of 60 changed bits must show there, too."""
    files = made.plain_files() | {"stamps/n": b"words and words " * 5_000, "stamps/e": b""}
    whole = made.strangers(files, method=zipfile.ZIP_DEFLATED)
    path = tmp_path / "x.wacz"
    path.write_bytes(whole)
    with open_wacz(path) as opened:
        assert list(opened.problems()) == []
        assert opened.read("stamps/n") == files["stamps/n"]
        assert opened.stream("stamps/n").read() == files["stamps/n"]
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if info.compress_size]
    rng = random.Random(made.SEED)
    for _ in range(60):
        info = rng.choice(infos)
        start = info.header_offset + 30 + len(info.filename)
        position = start + rng.randrange(info.compress_size)
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        found = places(path)
        if not found:  # deflate leaves up to seven bits unused at its end; they say nothing
            assert position == start + info.compress_size - 1
            continue
        assert any(info.filename in each for each in found), (position, info.filename, found)


class Pipe(io.BytesIO):
    """Something that can only be written to, from the beginning to the end."""

    def tell(self) -> int:
        raise io.UnsupportedOperation


def test_sizes_behind_the_content_are_read(tmp_path: Path) -> None:
    """Programs that write to a pipe put the sizes there; a browser's export is such a file."""
    whole = made.strangers(made.plain_files())
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    raw = Pipe()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path = tmp_path / "x.wacz"
    path.write_bytes(raw.getvalue())
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].flag_bits & 8
    assert places(path) == []


def test_bytes_that_belong_to_nothing_are_named(tmp_path: Path) -> None:
    """Something could be smuggled between the members of a file that checks out."""
    ours = made.packed(tmp_path, 1)
    whole = bytearray(ours.path.read_bytes())
    end = whole.rindex(END)
    count, size, start = struct.unpack_from("<HLL", whole, end + 10)
    assert count > 5
    assert size > 300
    struct.pack_into("<L", whole, end + 16, start + 7)
    smuggled = whole[:start] + b"hidden!" + whole[start:]
    assert f"bytes {start} to {start + 6} belong to no member" in refusal(
        bytes(smuggled), tmp_path / "x.wacz"
    )
    whole[end + 20 : end + 22] = b"\x05\0"
    struct.pack_into("<L", whole, end + 16, start)
    assert "has a comment" in refusal(bytes(whole) + b"words", tmp_path / "x.wacz")


LIST = {"profile": "data-package", "wacz_version": "1.1.1", "resources": []}
ONE = {"path": "vkeys", "bytes": 1, "hash": "sha256:0"}


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (b"", "datapackage.json is damaged"),
        (b"{", "datapackage.json is damaged"),
        (b"\xff\xfe{}", "datapackage.json is damaged"),
        (b"[" * 900, "datapackage.json is damaged"),
        (b"[" * 100_000, "far more than a list"),
        (b"[" + b"1," * 300_000 + b"1]", "far more than a list"),
        (b'{"a":1,"a":2}', "has a key twice"),
        (b"9" * 5_000, "datapackage.json is damaged"),
        (b"[]", "has no list of resources"),
        (json.dumps(LIST | {"resources": [1]}).encode(), "resource 0 of datapackage.json"),
        (json.dumps(LIST | {"resources": [{"path": "a"}]}).encode(), "resource 0"),
        (json.dumps(LIST | {"resources": [ONE, ONE]}).encode(), "lists 'vkeys' twice"),
        (json.dumps(LIST | {"resources": [ONE]}).encode(), "is listed in datapackage.json, but"),
        (json.dumps(LIST).encode(), "is not listed in datapackage.json"),
        (json.dumps(LIST | {"wacz_version": 3}).encode(), "names no version"),
        (b"{}" + b" " * (12 << 20), "more than the 12582912 we read"),
    ],
)
def test_a_list_that_is_none_is_said(package: bytes, words: str, tmp_path: Path) -> None:
    """The list is the first thing that a stranger controls wholly."""
    content = made.strangers(made.plain_files(), package=package)
    assert words in refusal(content, tmp_path / "x.wacz")


def test_a_list_that_is_not_true_is_said_file_by_file(tmp_path: Path) -> None:
    """The reader sees which files to distrust, and which not."""
    files = made.plain_files()
    path = tmp_path / "x.wacz"
    size = len(files["archive/data.warc.gz"])
    resources = [
        {"path": "archive/data.warc.gz", "bytes": size, "hash": "md5:0"},
        {"path": "indexes/index.cdxj", "bytes": 7, "hash": f"sha256:{'0' * 64}"},
        {"path": "pages/gone.jsonl", "bytes": 7, "hash": f"sha256:{'0' * 64}"},
    ]  # fmt: skip
    package = json.dumps(LIST | {"resources": resources}).encode()
    words = refusal(made.strangers(files, package=package), path)
    for part in (
        "archive/data.warc.gz is listed without a SHA-256",
        "indexes/index.cdxj has 0 bytes, but 7 are listed for it",
        "indexes/index.cdxj has not the SHA-256",
        "pages/gone.jsonl is listed in datapackage.json, but is not there",
        "pages/pages.jsonl is not listed",
    ):
        assert part in words, part


@pytest.mark.parametrize("digest", [b"", b"[]", b'{"path":"x","hash":"y"}', b"[" * 5_000, None])
def test_a_digest_that_vouches_for_nothing_is_said(digest: bytes | None, tmp_path: Path) -> None:
    """Without it anybody could change the list."""
    raw = made.strangers(made.plain_files())
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    del files["datapackage-digest.json"]
    if digest is not None:
        files["datapackage-digest.json"] = digest
    assert "datapackage-digest.json" in refusal(made.zipped(files), tmp_path / "x.wacz")
    files["datapackage-digest.json"] = b'{"path":"datapackage.json","hash":"sha256:00"}'
    assert "datapackage.json has not the SHA-256" in refusal(
        made.zipped(files), tmp_path / "x.wacz"
    )


def bomb(name: str, megabytes: int, announced: int | None = None) -> bytes:
    """A WACZ with a member of zeros that unpacks to `megabytes`; it may announce less."""
    listed = {"path": name, "bytes": announced or megabytes << 20, "hash": f"sha256:{'0' * 64}"}
    package = json.dumps(LIST | {"resources": [listed]}).encode()
    raw = io.BytesIO(made.strangers(made.plain_files(), package=package))
    with zipfile.ZipFile(raw, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as out:
        for _ in range(megabytes):
            out.write(bytes(1 << 20))
    whole = bytearray(raw.getvalue())
    if announced is not None:
        for signature, offset in ((CENTRAL, 24), (LOCAL, 22)):
            at = whole.rindex(signature)
            struct.pack_into("<L", whole, at + offset, announced)
    return bytes(whole)


def crowd(count: int) -> bytes:
    """A million members, each with a right header, that share nothing but their emptiness."""
    local, central = io.BytesIO(), io.BytesIO()
    for number in range(count):
        name = b"%07d" % number
        at = local.tell()
        local.write(LOCAL + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, 0, 0, 0, 7, 0) + name)
        central.write(CENTRAL + struct.pack("<6H3L5H2L", 788, 20, 0, 0, 0, 33, 0, 0, 0, 7,
                                            0, 0, 0, 0, 0, at) + name)  # fmt: skip
    start, size = local.tell(), central.tell()
    far = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    far += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    end = END + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, size, start, 0)
    return local.getvalue() + central.getvalue() + far + end


def dense_list(members: int, width: int = 7) -> bytes:
    """As many members and as large a list as are just allowed."""
    files = {f"stamps/{number:0{width}d}": b"" for number in range(members)}
    return made.strangers(files)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb": (lambda: bomb("stamps/bomb", 400), "decompression bomb"),
    "lying bomb": (lambda: bomb("stamps/bomb", 400, 1 << 20), "more than the bytes it announces"),
    "lying warc": (lambda: bomb("archive/b.warc.gz", 300, 9), "more than the bytes it announces"),
    "crowd": (lambda: crowd(1_000_000), f"1000000 members, more than the {MEMBERS}"),
    "just too many": (lambda: crowd(MEMBERS + 1), f"more than the {MEMBERS}"),
    "just enough": (lambda: dense_list(MEMBERS - 2), "holds not a WARC"),
    "just small enough": (lambda: dense_list(MEMBERS - 2, 55), "holds not a WARC"),
    "rare list": (
        lambda: made.strangers(
            made.plain_files(), package=b'{"a":"' + b"-" * (8 << 20) + "😀".encode() + b'"}'
        ),
        "takes too much memory",
    ),
    "deep list": (
        lambda: made.strangers(made.plain_files(), package=b"[" * (12 << 20)),
        "far more than a list",
    ),
    "wide list": (
        lambda: made.strangers(made.plain_files(), package=b'{"resources":' + b"[]," * (3 << 20)),
        "far more than a list",
    ),
    "long word": (
        lambda: made.strangers(
            made.plain_files(),
            package=b'{"resources":[],"title":"' + "路".encode() * (3 << 20) + b'"}',
        ),
        "is not listed",
    ),
}  # fmt: skip

CHILD = (
    made.PEAK
    + """
import sys
from vanished.archive.wacz import open_wacz
from vanished.errors import VanishedError

start = peak_kb()
try:
    with open_wacz(Path(sys.argv[1])) as opened:
        said = [f"{each.place} {each.sentence}" for each in opened.problems()][-5:]
except VanishedError as error:
    said = [str(error)]
print(peak_kb() - start, "; ".join(said))
"""
)


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_file_made_to_harm_takes_little_memory_and_time(name: str, tmp_path: Path) -> None:
    """Checking a stranger's file must not bring down the machine that holds the evidence."""
    make, words = HOSTILE[name]
    path = tmp_path / "x.wacz"
    path.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    grown_kb, _, said = done.stdout.partition(" ")
    assert words in said
    assert int(grown_kb) < 64_000, f"memory grew by {grown_kb} kB"
    assert list(tmp_path.iterdir()) == [path]


def test_a_nested_bomb_stays_packed(tmp_path: Path) -> None:
    """A ZIP or gzip inside is bytes to us; only its reader unpacks it, under caps of its own."""
    inner = zlib.compress(bytes(64 << 20), 9, wbits=31)
    files = made.plain_files() | {"archive/data.warc.gz": inner, "stamps/x.zip": bomb("a", 20)}
    path = tmp_path / "x.wacz"
    path.write_bytes(made.strangers(files))
    with open_wacz(path) as opened:
        assert list(opened.problems()) == []
        ((_, content),) = [(name, stream.read()) for name, stream in opened.warcs()]
        assert content == inner


def test_a_zip_beyond_four_gigabytes_is_read(tmp_path: Path) -> None:
    """Large exports are ZIP64; the file is sparse, so it takes no room here."""
    whole = made.strangers(made.plain_files())
    end = whole.rindex(END)
    count, size, start = struct.unpack_from("<HLL", whole, end + 10)
    far = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    far += struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    tail = END + struct.pack("<4H2LH", 0, 0, count, count, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path = tmp_path / "x.wacz"
    path.write_bytes(whole[:end] + far + tail)
    assert places(path) == []
    for at in range(end, end + len(far)):
        damaged = bytearray(whole[:end] + far + tail)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        spare = end + 12 <= at < end + 16  # who made it and what it takes to read it
        assert spare or places(path), at
