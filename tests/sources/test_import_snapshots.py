"""If these fail, an answer that was cut or foreign looks like a platform that freed its words."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.needs import needs_shared
from vanished.archive.columns import GAP
from vanished.archive.observatory import Observatory
from vanished.archive.pseudonyms import Secret
from vanished.errors import InputError
from vanished.model import DAY, HOUR, MINUTE, Cause, Kind, Micros, Via, at, micros
from vanished.sources.imports import snapshots
from vanished.sources.imports.believing import Believed, Change, Reading, believe
from vanished.sources.imports.snapshots import lists, read, read_snapshot
from vanished.watch.importing import take_over

LIVE = "citizenlab-chat-censorship/livestream"
NAME = Secret(bytes(range(32)), "a test")
START = micros(datetime(2030, 1, 1, tzinfo=UTC))
WORDS = tuple(f"词{n:04}" for n in range(1000))

Changes = list[tuple[str, frozenset[str], frozenset[str]]]

UNSOUND = {
    "yy-raw-data/hlist": ("2015-09-03-12",),  # ends within a line; an hour later all is back
    # Half of the list, then one line of 17 bytes; all was back on 15 July. The last file ends in
    # a hash and without a line's end, and nothing follows it.
    "yy-raw-data/hlist-newurl": (
        "2019-07-10-05", "2019-07-10-07", "2019-07-10-08", "2019-07-10-09", "2019-07-10-10",
        "2019-07-10-11", "2019-08-14-11",
    ),
    "9158-raw-data": ("2015-05-05-08",),  # no byte in it
}  # fmt: skip
"""Snapshots of the real record that are none, found by looking at them."""


# -- the real record -----------------------------------------------------------------------------


def unpacked(path: Path) -> dict[str, dict[str, bytes]]:
    """Files by list and hour, without any code of ours."""
    found: dict[str, dict[str, bytes]] = {}
    if path.is_dir():
        return {path.name: {file.stem: file.read_bytes() for file in path.iterdir()}}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                folder, _, name = member.name.rpartition("/")
                found.setdefault(folder, {})[name.removesuffix(".plain")] = file.read()
    return found


def direct_diff(files: dict[str, bytes], unsound: Iterable[str]) -> Changes:
    """Hour, additions, removals between consecutive sound files: two sets and a difference."""
    sound = [hour for hour in sorted(files) if hour not in unsound]
    sets = {  # most files are as the one before
        content: frozenset(
            line.decode().rstrip("\r") for line in content.split(b"\n") if line.strip()
        )
        for content in {files[hour] for hour in sound}
    }
    held = [(hour, sets[files[hour]]) for hour in sound]
    changes = [(hour, now - then, then - now) for (_, then), (hour, now) in pairwise(held)]
    return [change for change in changes if change[1] or change[2]]


def hour(t: Micros) -> str:
    return f"{at(t):%Y-%m-%d-%H}"


@pytest.mark.parametrize(
    ("name", "added", "removed"),
    [
        ("sinashow-raw-data.tar.xz", 679, 678),
        ("9158-raw-data", 352, 87),
        ("yy-raw-data-2015-2019.tar.xz", 136_992, 3595),
    ],
)
def test_the_real_lists_change_as_a_direct_diff_says(name: str, added: int, removed: int) -> None:
    """Every addition and removal between sound snapshots, none of a snapshot that is no list."""
    path = needs_shared(f"{LIVE}/{name}")
    files = unpacked(path)
    readings = lists(path)
    if path.is_dir():
        assert list(readings) == [path.name]
    assert {native: len(read) for native, read in readings.items()} == {
        native: len(hours) for native, hours in files.items()
    }
    totals = [0, 0]
    for native, read_ in readings.items():
        unsound = UNSOUND.get(native, ())
        believed = believe(read_)
        assert tuple(hour(doubt.t) for doubt in believed.doubts) == unsound
        ours = [(hour(c.t), c.added, c.removed) for c in believed.changes]
        assert ours == direct_diff(files[native], unsound)
        totals[0] += sum(len(change.added) for change in believed.changes)
        totals[1] += sum(len(change.removed) for change in believed.changes)
    assert totals == [added, removed]


def test_a_garbage_snapshot_put_into_the_real_record_changes_nothing() -> None:
    """Cut at any byte, empty, an error page, in GBK, another list's: at any hour of a year."""
    readings = lists(needs_shared(f"{LIVE}/sinashow-raw-data.tar.xz"))[
        "sinashow-raw-data/word410-35"
    ]
    plain = believe(readings)
    seed = 20261124
    chance = random.Random(seed)
    for kind in range(60):
        place = chance.randrange(1, len(readings))
        before = readings[place - 1]
        gap = readings[place].t - before.t
        if gap < 2 * HOUR:
            continue
        content = "".join(f"{entry}\n" for entry in before.entries).encode()
        junk = garbage(content, kind % 6, chance)
        reading = read_snapshot(junk, before.t + gap // 2)
        believed = believe([*readings[:place], reading, *readings[place:]])
        lost = sum(len(change.removed) for change in believed.changes)
        expected = sum(len(change.removed) for change in plain.changes)
        # A cut just at the end of one of the last lines loses these few, until the next reading.
        assert lost - expected <= 10, f"seed {seed}, kind {kind % 6}"
        if kind % 6:
            assert believed.changes == plain.changes, f"seed {seed}, kind {kind % 6}"


def garbage(content: bytes, kind: int, chance: random.Random) -> bytes:
    """Something that a server gives in place of the list in `content`."""
    if kind == 0:
        return content[: chance.randrange(1, len(content))]
    if kind == 1:
        return b"" if chance.random() < 0.5 else b"\r\n \n"
    if kind == 2:
        return b"<html><head><title>502 Bad Gateway</title></head>\n<body>nginx</body>\n</html>\n"
    if kind == 3:
        return content.decode().encode("gb18030")
    if kind == 4:
        return content.decode().encode("utf-16")
    return b"Service temporarily unavailable\n"


# -- made lists ----------------------------------------------------------------------------------


def reading(day: float, entries: Iterable[str]) -> Reading:
    return Reading(START + round(day * DAY), tuple(entries))


def diff(believed: Believed) -> list[tuple[int, int]]:
    return [(len(change.added), len(change.removed)) for change in believed.changes]


def test_a_great_loss_counts_once_the_list_stands_by_it_with_its_own_day() -> None:
    half = WORDS[::2]
    days = [(0, WORDS), (1, half), (2, half), (7, half), (8, half)]
    for upto in range(2, 5):
        unsure = believe([reading(*day) for day in days[:upto]])
        assert not unsure.changes
        assert not any(doubt.final for doubt in unsure.doubts)
    sure = believe([reading(*day) for day in days])
    assert sure.changes == [
        Change(START, START + DAY, frozenset(), frozenset(WORDS) - frozenset(half))
    ]
    assert not sure.doubts


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.4, 0.94])
def test_a_great_loss_that_comes_back_was_none(kept: float) -> None:
    """Six days of it, then everything is there again."""
    junk = WORDS[: int(kept * 1000)] or ("系统繁忙",)
    believed = believe(
        [reading(0, WORDS), reading(1, junk), reading(2, junk), reading(6, junk), reading(8, WORDS)]
    )
    assert not believed.changes
    assert len(believed.doubts) == 3
    assert all(doubt.final for doubt in believed.doubts)


def test_two_different_failures_do_not_vouch_for_each_other() -> None:
    """A cut list and a maintenance line a week on are not one list that was cleared."""
    days = [(0, WORDS), (1, WORDS[:600]), (9, ("维护中",)), (10, WORDS)]
    assert not believe([reading(*day) for day in days]).changes


def test_another_list_that_was_served_for_a_day_neither_comes_nor_goes() -> None:
    """Its entries would be a mass addition, and their end a mass loss."""
    other = tuple(f"other {n}" for n in range(400))
    days = [(0, WORDS), (1, WORDS + other), (2, WORDS), (20, WORDS), (40, WORDS)]
    believed = believe([reading(*day) for day in days])
    assert not believed.changes
    assert len(believed.doubts) == 1


def test_a_cut_between_two_lines_is_a_cut() -> None:
    believed = believe([reading(0, WORDS), reading(0.1, WORDS[:960]), reading(0.2, WORDS)])
    assert not believed.changes


def test_entries_at_the_end_that_stay_away_were_taken_off() -> None:
    """What came after is no witness of a cut: it has entries of its own."""
    without = WORDS[:970]
    days = [(0, WORDS), (0.1, without), (0.2, (*without, "新词"))]
    assert diff(believe([reading(*day) for day in days])) == [(0, 30), (1, 0)]


def test_a_short_list_may_change_by_a_few() -> None:
    """Three of eight words are no mass loss."""
    days = [(0, WORDS[:8]), (0.1, WORDS[:4]), (0.2, ("维护中",)), (0.3, WORDS[:4])]
    # More than half and more than three are: the line of maintenance is not believed.
    assert diff(believe([reading(*day) for day in days])) in ([(0, 3)], [(0, 4)], [])
    assert diff(believe([reading(0, WORDS[:8]), reading(1, WORDS[3:8])])) == [(0, 3)]


def histories() -> st.SearchStrategy[list[Reading]]:
    """Lists that change by a few entries from hour to hour."""

    def build(steps: list[tuple[list[int], list[int]]]) -> list[Reading]:
        held = set(WORDS[:500])
        found = [reading(0, sorted(held))]
        for number, (off, on) in enumerate(steps, 1):
            held = (held - {WORDS[n] for n in off}) | {WORDS[n] for n in on}
            found.append(reading(number / 24, sorted(held)))
        return found

    few = st.lists(st.integers(0, 999), max_size=9)
    return st.lists(st.tuples(few, few), min_size=1, max_size=12).map(build)


@settings(max_examples=80, deadline=None)
@given(histories(), st.integers(1, 12), st.binary(min_size=1, max_size=40), st.floats(0, 1))
def test_ordinary_changes_are_a_direct_diff_whatever_garbage_lies_between(
    readings: list[Reading], place: int, junk: bytes, share: float
) -> None:
    plain = [(a.set, b.set) for a, b in pairwise(readings) if a.set != b.set]
    believed = believe(readings)
    assert [(c.added, c.removed) for c in believed.changes] == [(b - a, a - b) for a, b in plain]
    place = min(place, len(readings))
    before = readings[place - 1]
    cut = before.entries[: int(share * 450)]
    for bad in (
        read_snapshot(junk.replace(b"\n", b" ") + b"\n", before.t + 1),
        Reading(before.t + 1, cut, ended=True),
        Reading(before.t + 1, (*cut, "half a wo"), ended=False),
    ):
        found = believe([*readings[:place], bad, *readings[place:]])
        assert found.changes == believed.changes


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b" \r\n\t\n", "empty"),
        (b"<!DOCTYPE html>\n<p>404\n", "web page"),
        (b"\n  <HTML>", "web page"),
        (b'<?xml version="1.0"?><Error/>', "web page"),
        (b'{"error": "not found"}\n', "JSON"),
        ("词\n".encode("utf-16"), "UTF-8"),
        ("词汇表里的词\n".encode("gbk"), "UTF-8"),
        (b"a\0b\n", "UTF-8"),
        ("词".encode()[:2], "UTF-8"),
    ],
)
def test_what_is_no_list_is_a_fault(content: bytes, fault: str) -> None:
    found = read_snapshot(content, 0)
    assert fault in found.fault
    assert not found.entries


@pytest.mark.parametrize("content", [b"<3\n", b"[\n", b"{x}\n", b"[" * 100_000 + b"\n"])
def test_odd_entries_are_entries(content: bytes) -> None:
    assert not read_snapshot(content, 0).fault


def test_lines_end_where_the_platform_ends_them() -> None:
    """A control character or a line separator within an entry would make two of it."""
    found = read_snapshot("\ufeffa\x0bb\u2028c\x1cd\r\n e \r\n\r\nf".encode(), 7)
    assert found == Reading(7, ("a\x0bb\u2028c\x1cd", " e ", "f"), ended=False)


def folder(at_: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (at_ / name).parent.mkdir(parents=True, exist_ok=True)
        (at_ / name).write_text(text, encoding="utf-8", newline="")
    return at_


def hours(*texts: str) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        moment = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=number)
        yield f"app/high/{moment:%Y-%m-%d-%H}.plain", text


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """a stays, b goes, c comes, d goes and returns; one answer was an error page."""
    texts = ("a\nb\nd\n", "a\nd\n", "<html>", "a\nc\n", "a\nc\nd\n")
    return folder(tmp_path / "record", dict(hours(*texts)))


def test_an_entry_is_a_post_of_its_list_with_its_stays(record: Path) -> None:
    found = read(record, NAME)
    (account,) = found.accounts
    assert (account.platform, account.native_id) == ("list", "app/high")
    titles = {post: version.title for post, _, version in found.versions}
    assert sorted(titles.values()) == ["a", "b", "c", "d"]
    assert all(seen.via is Via.IMPORT for seen in found.observations)
    stays = sorted(
        (titles[o.subject], (o.asked_at - START) // DAY, o.signal.kind, o.looks)
        for o in found.observations
    )
    alive, gone = Kind.ALIVE, Kind.GONE
    assert stays == [
        ("a", 0, alive, 4),
        ("b", 0, alive, 1), ("b", 1, gone, 3),
        ("c", 3, alive, 2),
        ("d", 0, alive, 2), ("d", 3, gone, 1), ("d", 4, alive, 1),
    ]  # fmt: skip
    gaps = [row for row in found.coverage if row.what == GAP]
    assert [(gap.since - START, gap.until - START) for gap in gaps] == [(2 * DAY, 3 * DAY)]
    assert "is a web page" in gaps[0].why


def test_levels_of_sina_show_are_not_part_of_the_word(tmp_path: Path) -> None:
    found = read(folder(tmp_path, dict(hours(" 2: word\n 15: 1: x\n"))), NAME)
    assert sorted(version.title for _, _, version in found.versions) == ["1: x", "word"]


def test_the_observatory_judges_what_was_taken_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record: Path
) -> None:
    """The verdict's bracket is the two sound snapshots, an hour wide at its end; twice is once."""
    monkeypatch.setenv("VANISHED_KEY", "ab" * 32)
    with Observatory.create(tmp_path / "o") as observatory:
        first = take_over(observatory, "snapshots", record)
        assert (first.accounts, first.posts, first.observations) == (1, 4, 7)
        assert first.causes == {"platform": 1}
        again = take_over(observatory, "snapshots", record)
        assert (again.posts, again.observations, again.known) == (0, 0, 7)
        verdict = observatory.verdict(observatory.naming("list", "app/high/b"))
    assert verdict is not None
    assert verdict.causes == {Cause.PLATFORM}
    assert verdict.interval is not None
    assert verdict.interval.last_alive_at is not None
    assert 0 <= START - verdict.interval.last_alive_at <= MINUTE  # as stale as an answer may be
    assert verdict.interval.first_gone_at == START + DAY + HOUR


def packed(path: Path, members: dict[str, bytes], mode: str = "w:xz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_an_archive_is_read_as_its_folder(tmp_path: Path) -> None:
    files = dict(hours("a\nb\n", "a\n"))
    there = read(folder(tmp_path / "x", files), NAME)
    members = {name: text.encode() for name, text in reversed(files.items())}
    for kind in ("xz", "gz", "bz2", ""):
        path = packed(tmp_path / f"x.tar{kind}", members, f"w:{kind}")
        assert read(path, NAME) == there


def test_a_damaged_archive_gives_nothing(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(50_000).hex().encode()
    for kind in ("xz", "gz", "bz2", ""):
        path = packed(tmp_path / "x.tar", {"l/2030-01-01-00.txt": noise}, f"w:{kind}")
        whole = path.read_bytes()
        for cut in (len(whole) // 2, 100, 0):
            path.write_bytes(whole[:cut])
            with pytest.raises(InputError):
                read(path, NAME)
    path.write_text("no archive")
    with pytest.raises(InputError, match="no whole tar archive"):
        read(path, NAME)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"l/notes.txt": b"a\n"}, "no snapshot is in it"),
        ({"l/2030-02-30-00.txt": b"a\n"}, "is no day and hour"),
        ({"l/2030-01-01-00.txt": b"a\n", "l/2030-01-01-00.plain": b"a\n"}, "two snapshots"),
    ],
)
def test_files_that_are_no_record_are_said_so(
    tmp_path: Path, members: dict[str, bytes], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        read(packed(tmp_path / "x.tar.xz", members), NAME)


def test_an_archive_that_would_fill_us_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(snapshots, "LONGEST_FILE", 1 << 20)
    path = packed(tmp_path / "x.tar.xz", {"l/2030-01-01-00.txt": b"a\n" * (1 << 22)})
    with pytest.raises(InputError, match="split it"):
        read(path, NAME)
    monkeypatch.setattr(snapshots, "LONGEST", 100)
    path = packed(tmp_path / "y.tar.xz", {f"l/2030-01-{d:02}-00.txt": b"a\n" * 40 for d in (1, 2)})
    with pytest.raises(InputError, match="split it"):
        read(path, NAME)


def test_a_link_in_a_folder_leads_nowhere(tmp_path: Path) -> None:
    """A record made by somebody else could point at our own files."""
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    made = folder(tmp_path / "r", dict(hours("a\n")))
    (made / "app/high/2031-01-01-00.plain").symlink_to(secret)
    assert [len(each) for each in lists(made).values()] == [1]


def test_no_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be read"):
        read(tmp_path / "absent", NAME)
