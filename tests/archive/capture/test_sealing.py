"""If these fail, a seized collector tells what it saw, or nobody can open what it kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from tests.archive.capture.made import PLANTED, capture, stored
from vanished.archive.capture import (
    Damage,
    SegmentWriter,
    captures,
    check_capture,
    forget,
    identities,
    new_identity,
    read_at,
    read_segment,
    recipients,
    segments,
    unseal_segments,
)
from vanished.archive.capture import tar as sealed_tar
from vanished.errors import EvidenceError, UsageError

ROOT = Path(__file__).parents[3]
NAME, KEY = new_identity()
OTHER, OTHER_KEY = new_identity()


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """Two sealed segments of ten captures, to two recipients."""
    folder = tmp_path / "captures"
    writer = SegmentWriter.open(folder, None, recipients([NAME, OTHER]), max_bytes=10_000)
    stored(writer, range(10))
    writer.close()
    assert len(segments(folder)) == 2
    return folder


# -- keys ------------------------------------------------------------------------------------


def test_an_identity_opens_what_its_recipient_was_sent() -> None:
    for key in (KEY, OTHER_KEY, f"# a comment\n\n{OTHER_KEY}\n{KEY}"):
        assert identities(key).open(recipients([NAME, OTHER]).seal(b"words")) == b"words"


MISTYPED = NAME[:-1] + ("b" if NAME[-1] != "b" else "c")


@pytest.mark.parametrize(
    "name",
    ["", "age1", MISTYPED, "ssh-ed25519 AAAA", "age1" + "q" * 58],
    ids=["nothing", "prefix", "mistyped", "ssh", "no checksum"],
)
def test_what_is_no_recipient_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no age recipient"):
        recipients([NAME, name])


def test_a_secret_half_is_refused_and_not_repeated() -> None:
    secret = KEY.splitlines()[-1]
    with pytest.raises(UsageError, match="secret half") as caught:
        recipients([secret])
    assert secret not in str(caught.value)
    with pytest.raises(UsageError, match="nobody to seal captures to"):
        recipients([])


@pytest.mark.parametrize(
    "text",
    ["", "# only a comment", "AGE-SECRET-KEY-1JUNK", NAME],
    ids=["nothing", "comment", "junk", "recipient"],
)
def test_what_is_no_key_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        identities(text)
    assert "JUNK" not in str(caught.value)


def test_secrets_do_not_show(sealed: Path) -> None:
    assert "AGE" not in repr(identities(KEY))


def test_a_wrong_key_and_a_changed_byte_are_told_apart() -> None:
    content = recipients([NAME]).seal(b"words")
    with pytest.raises(UsageError, match="sealed to other keys"):
        identities(OTHER_KEY).open(content)
    with pytest.raises(EvidenceError, match="it was changed"):
        identities(KEY).open(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(EvidenceError, match="it was changed"):
        identities(KEY).open(b"junk")


# -- what lies on the disk -------------------------------------------------------------------


def test_tar_and_age_open_a_segment_without_us(sealed: Path, tmp_path: Path) -> None:
    """The evidence must outlive this program: `tar -x`, `age -d`, `cat`, `warcio check`."""
    out = tmp_path / "out"
    out.mkdir()
    for path in segments(sealed):
        done = subprocess.run(
            ["tar", "-xvf", str(path), "-C", str(out)], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"{number:012d}.warc.gz.age" for number in range(10)]
    secret = pyrage.x25519.Identity.from_str(KEY.splitlines()[-1])
    plain = [pyrage.decrypt((out / name).read_bytes(), [secret]) for name in names]
    assert plain == [capture(number).members for number in range(10)]
    whole = tmp_path / "whole.warc.gz"
    whole.write_bytes(b"".join(plain))
    check = [sys.executable, "-m", "warcio.cli", "check", str(whole)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


SPY = """
import os, sys
from pathlib import Path
from tests.archive.capture.made import PLANTED, capture, stored
from vanished.archive.capture import SegmentWriter, forget, recipients
folder, name = Path(sys.argv[1]), sys.argv[2]
parts = {PLANTED.encode()}
for number in range(12):
    made, offset = capture(number), 0
    for record in made.manifest.records:
        offset += record.length
        parts.add(made.members[offset - 40 : offset])
    parts.add(made.members[-40:])
touched = set()
def audit(event, given):
    if event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR):
        touched.add(str(given[0]))
    if event.startswith(("os.rename", "os.remove", "os.truncate", "tempfile")):
        for path in folder.iterdir():
            scan(path)
def scan(path):
    content = path.read_bytes()
    assert not [part for part in parts if part in content], path
sync = os.fsync
def fsync(descriptor):
    path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    if path.is_file():
        scan(path)
    sync(descriptor)
os.fsync = fsync
sys.addaudithook(audit)
writer = SegmentWriter.open(folder, None, recipients([name]), max_bytes=10_000)
places = stored(writer, range(12))
writer.close()
forget(folder, places[3:5], places[:3] + places[5:])
for path in folder.iterdir():
    scan(path)
print("\\n".join(sorted(touched)))
"""


def test_no_word_touches_the_disk_at_any_moment(tmp_path: Path) -> None:
    """Plain or packed, in a segment or a file beside it; only ciphertext is ever written."""
    done = subprocess.run(
        [sys.executable, "-c", SPY, str(tmp_path), NAME],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = {Path(line).name.removesuffix(".tmp") for line in done.stdout.splitlines()}
    assert written == {path.name for path in segments(tmp_path)}
    assert len(written) == 3


def test_a_tar_says_number_time_and_size_and_nothing_else(sealed: Path) -> None:
    """What a seized collector tells: how much was captured when."""
    path = segments(sealed)[0]
    with path.open("rb") as stream:
        first = next(sealed_tar.frames(stream, path.name))
    assert isinstance(first, sealed_tar.Frame)
    assert first.sealed.startswith(b"age-encryption.org/v1\n-> X25519 ")
    head = path.read_bytes()[:512].rstrip(b"\0")
    assert PLANTED.encode() not in head


# -- reading ---------------------------------------------------------------------------------


def test_without_the_key_nothing_is_read(sealed: Path) -> None:
    path = segments(sealed)[0]
    with pytest.raises(UsageError, match="is sealed; give the secret half"):
        next(read_segment(path))
    (wrong, *_) = read_segment(path, identities(new_identity()[1]))
    assert wrong.index == 0
    assert "sealed to other keys" in str(check_capture(wrong)[0])


def test_every_changed_byte_of_a_sealed_segment_is_found(sealed: Path) -> None:
    """Headers, padding and ending too; where the secret is at hand, in the right capture."""
    path = segments(sealed)[0]
    whole = path.read_bytes()
    reads = list(read_segment(path, identities(KEY)))
    damaged = 0
    for place in [
        *range(0, 512, 7),
        *range(512, len(whole), 211),
        *range(reads[-1].offset, reads[-1].offset + 512, 7),
        *range(len(whole) - 1024, len(whole), 99),
    ]:
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << place % 8
        path.write_bytes(spoiled)
        found = [d for read in read_segment(path, identities(KEY)) for d in check_capture(read)]
        owner = [r.index for r in reads if r.offset <= place < r.offset + r.length]
        assert found, place
        named = {each.index for each in found}
        # The name of the last one is nowhere else: its damage has a place, but no name.
        last_name = 0 <= place - reads[-1].offset < 26
        unnamed = named == {None} and (not owner or last_name)
        assert named == set(owner) or unnamed, (place, owner, found)
        damaged += 1
    print(f"{damaged} damages found")
    assert damaged > 150


def test_without_the_key_a_changed_byte_is_still_told_by_its_place(tmp_path: Path) -> None:
    writer = SegmentWriter.open(tmp_path, None, recipients([NAME]))
    places = stored(writer, range(2))
    writer.close()
    path = tmp_path / places[0].segment
    spoiled = bytearray(path.read_bytes())
    spoiled[places[1].offset + 700] ^= 1
    path.write_bytes(spoiled)
    with path.open("rb") as stream:
        found = list(sealed_tar.frames(stream, path.name))
    assert [isinstance(each, Damage) for each in found] == [False, False]
    assert [each.sha256 == place.sha256 for each, place in zip(found, places, strict=True)] == [  # type: ignore[union-attr]
        True,
        False,
    ]
    with pytest.raises(EvidenceError, match="is not what was stored there"):
        read_at(tmp_path, places[1], identities(KEY))
    assert read_at(tmp_path, places[0], identities(KEY)).index == 0


def test_a_frame_under_another_name_is_found(tmp_path: Path) -> None:
    """Two captures changed for one another are damage, though each is whole."""
    recipient = recipients([NAME])
    made = capture(1)
    path = tmp_path / "20261124T170000Z-000000000001.tar"
    path.write_bytes(sealed_tar.frame(2, made.captured_at, recipient.seal(made.members)))
    (read,) = read_segment(path, identities(KEY))
    assert "named for another capture" in str(check_capture(read)[0])
    both = recipient.seal(made.members + capture(2).members)
    path.write_bytes(sealed_tar.frame(1, made.captured_at, both))
    (read,) = read_segment(path, identities(KEY))
    assert "more than one capture" in str(check_capture(read)[0])


# -- unsealing -------------------------------------------------------------------------------


def test_unsealing_gives_plain_segments_of_the_same_names(sealed: Path, tmp_path: Path) -> None:
    target = tmp_path / "plain"
    steps = list(unseal_segments(sealed, identities(OTHER_KEY), target))
    assert [(step.captures, step.done, step.of) for step in steps] == [(5, 1, 2), (5, 2, 2)]
    names = [path.name.removesuffix(".tar") + ".warc.gz" for path in segments(sealed)]
    assert sorted(path.name for path in target.iterdir()) == names
    reads = [read for path in segments(target) for read in read_segment(path)]
    assert [check_capture(read) for read in reads] == [[]] * 10
    assert [read.leaf for read in reads] == [capture(number).leaf for number in range(10)]
    list(unseal_segments(target, identities(OTHER_KEY), tmp_path / "copied"))
    assert (tmp_path / "copied" / names[0]).read_bytes() == (target / names[0]).read_bytes()


def test_a_key_that_fits_nothing_unseals_nothing(sealed: Path, tmp_path: Path) -> None:
    target = tmp_path / "plain"
    with pytest.raises(UsageError, match=r"could not unseal capture 0 of .*sealed to other keys"):
        list(unseal_segments(sealed, identities(new_identity()[1]), target))
    assert list(target.iterdir()) == []
    with pytest.raises(UsageError, match="unseal to a folder elsewhere"):
        list(unseal_segments(sealed, identities(KEY), sealed))


def test_a_damaged_segment_is_not_unsealed_by_halves(sealed: Path, tmp_path: Path) -> None:
    path = segments(sealed)[1]
    spoiled = bytearray(path.read_bytes())
    spoiled[-5000] ^= 1
    path.write_bytes(spoiled)
    target = tmp_path / "plain"
    with pytest.raises(EvidenceError, match="could not unseal"):
        list(unseal_segments(sealed, identities(KEY), target))
    assert len(list(target.iterdir())) == 1, "the sound one is there, and no half of the other"


def test_what_was_forgotten_is_not_unsealed(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    writer = SegmentWriter.open(folder, None, recipients([NAME]))
    places = stored(writer, range(4))
    writer.close()
    forget(folder, places[1:2], [places[0], *places[2:]])
    list(unseal_segments(folder, identities(KEY), tmp_path / "plain"))
    (path,) = segments(tmp_path / "plain")
    with path.open("rb") as stream:
        assert [read.index for read in captures(stream, path.name)] == [0, 2, 3]
