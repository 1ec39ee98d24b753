"""If these fail, evidence is lost in a crash, or something that was forgotten is still there."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastwarc
import pytest

from tests.archive.capture.killed_writer import main
from tests.archive.capture.killed_writer import read as read_place
from tests.archive.capture.made import START, capture, stored
from tests.forking import Forked
from vanished.archive.capture import (
    Place,
    Read,
    Recipients,
    SegmentWriter,
    check_capture,
    forget,
    identities,
    new_identity,
    read_at,
    read_segment,
    recipients,
    segments,
)
from vanished.errors import DamagedError, EvidenceError, StorageError
from vanished.model import MINUTE

ROOT = Path(__file__).parents[3]
NAME, KEY = new_identity()
OPENING = identities(KEY)
FORMS = [None, recipients([NAME])]
both_forms = pytest.mark.parametrize("form", FORMS, ids=["plain", "sealed"])


def read_all(folder: Path, last: Place | None = None) -> list[Read]:
    """All captures of a folder; none of them has anything wrong."""
    found = [read for path in segments(folder) for read in read_segment(path, OPENING)]
    assert [check_capture(read) for read in found] == [[] for _ in found]
    return found


def drop(writer: SegmentWriter) -> None:
    """Leave a writer as a crash does."""
    if writer._file is not None:
        writer._file.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- appending -------------------------------------------------------------------------------


@both_forms
def test_captures_lie_where_their_places_say(tmp_path: Path, form: Recipients | None) -> None:
    writer = SegmentWriter.open(tmp_path, None, form)
    places = stored(writer, range(12))
    writer.close()
    reads = read_all(tmp_path)
    assert [read.index for read in reads] == list(range(12))
    for number, (place, read) in enumerate(zip(places, reads, strict=True)):
        assert (read.file, read.offset, read.length) == (place.segment, place.offset, place.length)
        assert read.sha256 == place.sha256
        assert read.leaf == capture(number).leaf
        again = read_at(tmp_path, place, OPENING)
        assert (again.leaf, again.offset) == (read.leaf, read.offset)
        assert check_capture(again) == []


def test_a_plain_segment_is_a_warc(tmp_path: Path) -> None:
    """warcio and FastWARC must read every segment without us."""
    writer = SegmentWriter.open(tmp_path, None, max_bytes=10_000)
    stored(writer, range(10), batch=2)
    writer.close()
    paths = segments(tmp_path)
    assert len(paths) > 2
    done = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", "-v", *map(str, paths)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("digest pass") == 40
    quick = [
        record.verify_block_digest()
        for path in paths
        for record in fastwarc.ArchiveIterator(io.BytesIO(path.read_bytes()), parse_http=False)
    ]
    assert quick == [True] * 40


@both_forms
def test_a_segment_is_closed_by_size_and_by_age(tmp_path: Path, form: Recipients | None) -> None:
    writer = SegmentWriter.open(tmp_path, None, form, max_bytes=10_000, max_age=15 * MINUTE)
    first = writer.append([capture(0)])[0]
    assert first.segment.startswith("20261124T170000Z-000000000000.")
    assert writer.append([capture(1, at=START + 15 * MINUTE - 1)])[0].segment == first.segment
    second = writer.append([capture(2, at=START + 15 * MINUTE)])[0]
    assert second.segment.startswith("20261124T171500Z-000000000002.")
    assert second.offset == 0
    large = writer.append([capture(n, at=START + 16 * MINUTE) for n in range(3, 9)])
    assert {place.segment for place in large} == {second.segment}, "a batch is not torn apart"
    assert writer.append([capture(9, at=START + 16 * MINUTE)])[0].segment != second.segment
    writer.close()
    assert [read.index for read in read_all(tmp_path)] == list(range(10))


@both_forms
def test_a_writer_goes_on_after_it_was_closed(tmp_path: Path, form: Recipients | None) -> None:
    last: Place | None = None
    for number in range(4):
        writer = SegmentWriter.open(tmp_path, last, form)
        last = stored(writer, [number])[0]
        writer.close()
    assert len(segments(tmp_path)) == 1
    assert [read.index for read in read_all(tmp_path)] == [0, 1, 2, 3]


def test_turning_sealing_on_finishes_the_open_segment(tmp_path: Path) -> None:
    """And off again: no form is written into a segment of the other."""
    last: Place | None = None
    for number, form in enumerate([None, FORMS[1], None]):
        writer = SegmentWriter.open(tmp_path, last, form)
        last = stored(writer, [number])[0]
        drop(writer)
    assert [path.name.partition(".")[2] for path in segments(tmp_path)] == [
        "warc.gz", "tar", "warc.gz",
    ]  # fmt: skip
    assert [read.index for read in read_all(tmp_path)] == [0, 1, 2]


def test_a_full_disk_leaves_the_segment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = SegmentWriter.open(tmp_path, None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            writer.append([capture(7)])
    assert contents(tmp_path) == {}
    place = stored(writer, [0])[0]
    assert place.segment.endswith("-000000000000.warc.gz")
    before = contents(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            writer.append([capture(1)])
    assert contents(tmp_path) == before
    assert stored(writer, [1])[0].offset == place.end
    writer.close()
    assert [read.index for read in read_all(tmp_path)] == [0, 1]


def test_a_disk_that_takes_only_a_part_loses_nothing(tmp_path: Path) -> None:
    """A write may be short without an error; half a capture must not count as one."""
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.archive.capture.made import capture, stored\n"
        "from vanished.archive.capture import SegmentWriter\n"
        "from vanished.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "writer = SegmentWriter.open(Path(sys.argv[1]), None)\n"
        "end = stored(writer, [0])[0].end\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (end + 1000, end + 1000))\n"
        "try: writer.append([capture(1)])\n"
        "except StorageError as error: print(error)\n"
        "writer.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("could not add to the captures"), done.stderr
    assert [read.index for read in read_all(tmp_path)] == [0]


# -- crashes ---------------------------------------------------------------------------------


@both_forms
def test_a_last_member_cut_at_every_byte(tmp_path: Path, form: Recipients | None) -> None:
    """A crash in the middle of a write costs what was being written and nothing else."""
    writer = SegmentWriter.open(tmp_path, None, form)
    first, second = stored(writer, [0, 1])
    drop(writer)
    path = tmp_path / first.segment
    whole = path.read_bytes()
    assert len(whole) == second.end
    step = 1 if form is None else 13
    member = len(capture(1).members) - sum(r.length for r in capture(1).manifest.records)
    cuts = range(second.end - member + 1, second.end, step)
    assert len(cuts) > 150 or form
    for cut in cuts:
        path.write_bytes(whole[:cut])
        sound, *rest = read_segment(path, OPENING)
        assert check_capture(sound) == []
        assert [check_capture(read)[0].index for read in rest] == [1]
        drop(SegmentWriter.open(tmp_path, first, form))
        assert path.read_bytes() == whole[: first.end]
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedError, match=f"{second.end} were acknowledged"):
        SegmentWriter.open(tmp_path, second, form)
    assert path.read_bytes() == whole[:-1], "nothing is cut off where something is missing"


@both_forms
def test_what_nobody_acknowledged_goes(tmp_path: Path, form: Recipients | None) -> None:
    writer = SegmentWriter.open(tmp_path, None, form, max_bytes=1)
    first = stored(writer, [0])[0]
    stored(writer, [1])
    drop(writer)
    assert len(segments(tmp_path)) == 2
    again = SegmentWriter.open(tmp_path, first, form, max_bytes=1)
    assert [read.index for read in read_all(tmp_path)] == [0]
    stored(again, [1])
    again.close()
    assert [read.index for read in read_all(tmp_path)] == [0, 1]


def test_an_old_present_put_back_deletes_no_evidence(tmp_path: Path) -> None:
    """More than a crash can leave is somebody's evidence."""
    writer = SegmentWriter.open(tmp_path, None, max_bytes=1)
    first, *_ = stored(writer, range(4), batch=1)
    writer.close()
    before = contents(tmp_path)
    for last in (None, first):
        with pytest.raises(DamagedError, match=r"put the newest present\.sqlite back"):
            SegmentWriter.open(tmp_path, last)
    assert contents(tmp_path) == before
    with pytest.raises(DamagedError, match="is missing"):
        SegmentWriter.open(tmp_path, Place("20200101T000000Z-000000000000.tar", 0, 5, b""))


@both_forms
def test_killed_at_every_step(tmp_path: Path, form: Recipients | None) -> None:
    """kill -9 at 25 writes, fsyncs and removals a form: what was acknowledged is there, whole."""
    last: str | None = None
    kills = 0
    for step in range(1, 26):
        killed = Forked(main, tmp_path, None if form is None else NAME, step, last)
        code = killed.end(kill=False)
        kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        last = next(reversed(list(killed.lines())), last)
        place, index = (None, -1) if last is None else read_place(last)
        if step % 3 == 0:
            continue  # the next start reopens by itself, and is killed at that
        writer = SegmentWriter.open(tmp_path, place, form)
        assert [read.index for read in read_all(tmp_path)] == list(range(index + 1)), step
        writer.close()
        assert {path.name for path in tmp_path.iterdir()} == {p.name for p in segments(tmp_path)}
    print(f"{kills} of 25 starts killed, {index + 1} captures kept")
    assert kills == 25
    assert index > 50


# -- forgetting ------------------------------------------------------------------------------


def chosen(places: Sequence[Place], numbers: set[int]) -> tuple[list[Place], list[Place]]:
    gone = [place for number, place in enumerate(places) if number in numbers]
    return gone, [place for number, place in enumerate(places) if number not in numbers]


def needles(number: int) -> Iterator[bytes]:
    """Byte strings that only capture `number` holds, as it is stored plain."""
    made = capture(number)
    offset = 0
    for record in made.manifest.records:
        offset += record.length
        yield made.members[offset - 48 : offset]


@both_forms
def test_what_is_forgotten_is_in_no_file_and_the_rest_is_untouched(
    tmp_path: Path, form: Recipients | None
) -> None:
    """No secret is needed: the machine that must forget cannot open what it sealed."""
    writer = SegmentWriter.open(tmp_path, None, form, max_bytes=15_000)
    places = stored(writer, range(30), batch=2)
    writer.close()
    before = contents(tmp_path)
    frames = [before[p.segment][p.offset : p.end] for p in places]
    whole_segment = {n for n, p in enumerate(places) if p.segment == places[10].segment}
    numbers = {0, 5, 6, 29} | whole_segment
    gone, staying = chosen(places, numbers)
    untouched = {p.segment for p in places} - {p.segment for p in gone}
    assert untouched

    moved = forget(tmp_path, gone, staying)

    after = contents(tmp_path)
    assert set(after) == set(before) - {places[10].segment}
    assert all(after[name] == before[name] for name in untouched)
    for number in numbers:
        for needle in (frames[number][600:700], *needles(number)):
            assert not [name for name, content in after.items() if needle in content]
    for number, place in enumerate(places):
        if number not in numbers:
            now = moved.get(place, place)
            assert after[now.segment][now.offset : now.end] == frames[number]
            assert read_at(tmp_path, now, OPENING).index == number
    assert all(old != new for old, new in moved.items())
    assert [read.index for read in read_all(tmp_path)] == sorted(set(range(30)) - numbers)

    assert forget(tmp_path, gone, staying) == moved, "after a crash it is done again"
    assert contents(tmp_path) == after
    last = [moved.get(p, p) for p in staying][-1]
    writer = SegmentWriter.open(tmp_path, last, form)
    stored(writer, [30])
    writer.close()
    assert len(read_all(tmp_path)) == 30 - len(numbers) + 1


def test_an_ending_cut_short_is_no_damage(tmp_path: Path) -> None:
    """The disk was full, or the machine died, while a sealed segment was finished."""
    writer = SegmentWriter.open(tmp_path, None, FORMS[1])
    places = stored(writer, range(3))
    writer.close()
    path = tmp_path / places[0].segment
    whole = path.read_bytes()
    for cut in (0, 100, 512, 700, 1023):
        path.write_bytes(whole[: places[-1].end + cut])
        assert [read.index for read in read_all(tmp_path)] == [0, 1, 2]
        forget(tmp_path, places[:1], places[1:])
        assert [read.index for read in read_all(tmp_path)] == [1, 2]


@both_forms
def test_forgetting_the_only_capture_removes_the_file(
    tmp_path: Path, form: Recipients | None
) -> None:
    writer = SegmentWriter.open(tmp_path, None, form)
    places = stored(writer, [0])
    writer.close()
    assert forget(tmp_path, places, []) == {}
    assert forget(tmp_path, places, []) == {}
    assert list(tmp_path.iterdir()) == []


def interrupt_from(patched: pytest.MonkeyPatch, step: int) -> None:
    """Nothing reaches the disk from that fsync, rename or removal on."""
    counter = itertools.count(1)

    def mined(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:
            if next(counter) >= step:
                raise KeyboardInterrupt
            return call(*given, **named)

        return instead

    patched.setattr(os, "fsync", mined(os.fsync))
    patched.setattr(Path, "replace", mined(Path.replace))
    patched.setattr(Path, "unlink", mined(Path.unlink))


def test_a_crash_while_forgetting_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the forgotten beside it once it was done again."""
    writer = SegmentWriter.open(tmp_path, None, max_bytes=6_000)
    places = stored(writer, range(6), batch=1)
    writer.close()
    gone, staying = chosen(places, {0, 3, 4})
    expected: dict[Place, Place] | None = None
    before = contents(tmp_path)
    for step in itertools.count(1):
        for name, content in before.items():
            (tmp_path / name).write_bytes(content)
        with monkeypatch.context() as patched:
            interrupt_from(patched, step)
            try:
                moved = forget(tmp_path, gone, staying)
            except KeyboardInterrupt:
                moved = None
        if moved is not None:
            break
        again = forget(tmp_path, gone, staying)
        expected = expected or again
        assert again == expected
        for number in (0, 3, 4):
            for needle in needles(number):
                assert not any(needle in content for content in contents(tmp_path).values())
        assert [read.index for read in read_all(tmp_path)] == [1, 2, 5]
    assert step > 4
    assert moved == expected


def test_forgetting_refuses_where_the_segment_is_not_what_was_stored(tmp_path: Path) -> None:
    writer = SegmentWriter.open(tmp_path, None)
    places = stored(writer, range(3))
    writer.close()
    path = tmp_path / places[0].segment
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    with pytest.raises(DamagedError, match="its captures end at"):
        forget(tmp_path, places[:1], places[1:])
    spoiled = bytearray(whole)
    spoiled[places[1].offset + 50] ^= 1
    path.write_bytes(spoiled)
    with pytest.raises(DamagedError, match="is not what was stored"):
        forget(tmp_path, places[:1], places[1:])
    assert contents(tmp_path) == {path.name: bytes(spoiled)}
    with pytest.raises(EvidenceError, match="is not what was stored there"):
        read_at(tmp_path, places[1])
    path.write_bytes(whole)
    wrong = replace(places[1], sha256=hashlib.sha256(b"other").digest())
    with pytest.raises(EvidenceError, match="is not what was stored there"):
        read_at(tmp_path, wrong)


def test_segments_sort_by_index_beyond_twelve_digits(tmp_path: Path) -> None:
    names = [f"20261124T170000Z-{n:012d}.warc.gz" for n in (9, 10**12 - 1, 10**12)]
    for name in reversed([*names, "notes.txt", "20261124T170000Z-1.warc.gz"]):
        (tmp_path / name).touch()
    assert [path.name for path in segments(tmp_path)] == names
