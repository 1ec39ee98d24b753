"""Streams of measurements: a bad line must cost itself alone, and be said."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from vanished.errors import InputError
from vanished.lab.reach_records import measure
from vanished.reach import reading
from vanished.reach.ooni_json import to_json
from vanished.reach.reading import Tally, measurements

GOOD = [to_json(measure("clean", seed=n)) for n in range(4)]
LINES = [GOOD[0], b"rubbish", GOOD[1], b"", b"[1]", GOOD[2], b'{"test_name": "tor"}']


def written(folder: Path, name: str, held: bytes) -> Path:
    path = folder / name
    if name.endswith(".gz"):
        held = gzip.compress(held[: len(held) // 2]) + gzip.compress(held[len(held) // 2 :])
    elif name.endswith(".zst"):
        half = len(held) // 2
        pack = zstandard.ZstdCompressor()
        held = pack.compress(held[:half]) + pack.compress(held[half:])
    path.write_bytes(held)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_bad_lines_are_skipped_counted_and_said(tmp_path: Path, name: str) -> None:
    """In whatever packing, also of several members, and without a newline at the end."""
    path = written(tmp_path, name, b"\n".join(LINES))
    tally = Tally()
    found = list(measurements(path, tally, tests={"web_connectivity"}))
    assert len(found) == tally.read == 3
    assert (tally.skipped, tally.other_tests) == (2, 1)
    assert tally.said[0].startswith(f"{name}, line 2: ")
    assert "line 5" in tally.said[1]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_what_came_before_a_damage_is_kept(tmp_path: Path, name: str) -> None:
    """A download that broke off is common; its first half is as good as ever."""
    path = written(tmp_path, name, b"\n".join(GOOD * 50))
    held = path.read_bytes()
    path.write_bytes(held[: len(held) * 2 // 3])
    tally = Tally()
    found = list(measurements(path, tally))
    assert 0 < len(found) < 200
    assert any("damaged" in one for one in tally.said)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A month of a country unpacks to more than any machine has."""
    path = written(tmp_path, "big.jsonl.gz", (GOOD[0] + b"\n") * 1500)
    tracemalloc.start()
    try:
        number = sum(1 for _ in measurements(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == 1500
    assert len(GOOD[0]) * 1500 > 9e6
    assert peak < 6e6


def test_a_line_without_end_is_dropped_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one hostile file would take all memory."""
    monkeypatch.setattr(reading, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(reading, "CHUNK", 1 << 16)
    path = written(tmp_path, "a.jsonl", GOOD[0] + b"\n" + b"x" * (3 << 20) + b"\n" + GOOD[1])
    tally = Tally()
    assert len(list(measurements(path, tally))) == 2
    assert tally.skipped == 1
    assert "a line of more than" in tally.said[0]


def test_a_single_measurement_may_span_lines(tmp_path: Path) -> None:
    """As OONI's explorer hands them out."""
    path = written(tmp_path, "one.json", GOOD[0].replace(b",", b",\n"))
    assert len(list(measurements(path))) == 1


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """In a sentence, before anything else is done."""
    with pytest.raises(InputError, match="cannot be read"):
        list(measurements(tmp_path / "none.jsonl"))
