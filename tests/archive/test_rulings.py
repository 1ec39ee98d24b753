"""What people decided about publishing: it is kept in order, and a change of it is seen."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from vanished.archive.folder import READABLE, RULINGS
from vanished.archive.rulings import ASKED, Ruling, add_ruling, rulings
from vanished.errors import DamagedError, UsageError


def add(folder: Path, about: str) -> Ruling:
    return add_ruling(folder, Ruling(ASKED, about, "asked", 7, {"reason": "因为"}))


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    assert rulings(tmp_path) == []
    kept = [add(tmp_path, f"key{n}") for n in range(12)]
    assert rulings(tmp_path) == kept
    assert [each.number for each in kept] == list(range(1, 13))


@pytest.mark.parametrize("harm", ["change", "take away", "exchange", "empty", "forge"])
def test_a_decision_that_was_changed_later_stops_every_publication(
    tmp_path: Path, harm: str
) -> None:
    """A takedown that somebody quietly removed would let a person's post out again."""
    for n in range(4):
        add(tmp_path, f"key{n}")
    place = tmp_path / RULINGS
    second, third = place / "000002.json", place / "000003.json"
    if harm == "change":
        second.write_text(second.read_text("utf-8").replace("key1", "key9"), "utf-8")
    elif harm == "take away":
        second.unlink()
    elif harm == "exchange":
        a, b = second.read_bytes(), third.read_bytes()
        second.write_bytes(b)
        third.write_bytes(a)
    elif harm == "empty":
        second.write_bytes(b"")
    else:
        given = json.loads(second.read_text("utf-8"))
        second.write_text(json.dumps(given | {"kind": "granted"}), "utf-8")
    with pytest.raises(DamagedError, match="Nothing is published"):
        rulings(tmp_path)
    with pytest.raises(DamagedError):
        add(tmp_path, "more")


def add_many(folder: Path, who: int) -> None:
    for n in range(10):
        add(folder, f"{who}-{n}")


def test_two_who_decide_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=add_many, args=(tmp_path, who)) for who in range(2)]
    for one in others:
        one.start()
    for one in others:
        one.join(60)
        assert one.exitcode == 0
    assert {each.about for each in rulings(tmp_path)} == {
        f"{w}-{n}" for w in (0, 1) for n in range(10)
    }


def test_a_readable_copy_takes_no_decision(tmp_path: Path) -> None:
    (tmp_path / READABLE).write_text("")
    with pytest.raises(UsageError, match="readable copy"):
        add(tmp_path, "key")
    assert rulings(tmp_path) == []
