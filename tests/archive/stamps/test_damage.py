"""A changed bit in any kept file is found and its file named: else a stamp could be argued with."""

from __future__ import annotations

import random
from pathlib import Path

from tests.archive.stamps.desk import T0, Desk, desk
from tests.archive.stamps.notes import checkpoint
from vanished.archive.stamps import Standing, folder_of
from vanished.model import HOUR

__all__ = ["desk"]  # a fixture
SEED = 20_261_124
FILES = ("checkpoint", "checkpoint.ots", "alpha.tsr", "alpha.tsq", "beta.tsr", "beta.tsq",
         "state.json")  # fmt: skip


async def filled(desk: Desk) -> list[Path]:
    """Two stamped checkpoints, one of them in a block; all their files."""
    await desk.work(checkpoint(10), T0)
    desk.calendars[0].mine(2, 1_790_000_000)
    await desk.work(checkpoint(20), T0 + HOUR)
    files = sorted(path for path in desk.folder.rglob("*") if path.is_file())
    assert [path.name for path in files] == sorted(FILES) * 2
    return files


async def test_each_of_112_changed_bits_is_found_and_its_file_named(desk: Desk) -> None:
    """Any file at even odds, any bit of it; nothing else may be called damaged for it."""
    files = await filled(desk)
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for turn in range(112):
        path = files[turn % len(files)]
        content = path.read_bytes()
        bit = chance.randrange(len(content) * 8)
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        found = desk.findings()
        damaged = {name for name, finding in found.items() if not finding.holds}
        assert damaged == {path.relative_to(desk.folder).as_posix()}, f"bit {bit} of {path.name}"
        path.write_bytes(content)
    assert all(finding.holds for finding in desk.findings().values())


async def test_missing_cut_and_exchanged_files_are_named(desk: Desk) -> None:
    files = await filled(desk)
    other = {path.name: path for path in files if path.parent.name == f"{20:012d}"}
    for path in (p for p in files if p.parent.name == f"{10:012d}"):
        content, name = path.read_bytes(), path.relative_to(desk.folder).as_posix()
        for becomes in (None, b"", content[:-1], content + b"\0", other[path.name].read_bytes()):
            if becomes is None:
                path.unlink()
            else:
                path.write_bytes(becomes)
            found = {f for f, finding in desk.findings().items() if not finding.holds}
            assert found == {name}, becomes
        path.write_bytes(content)


async def test_without_its_state_a_stamp_still_proves_what_its_signature_covers(
    desk: Desk,
) -> None:
    """The stamps are worth more than our list of them."""
    await filled(desk)
    place = folder_of(desk.folder, 10)
    (place / "state.json").unlink()
    found = desk.findings()
    assert found[f"{place.name}/state.json"].standing is Standing.DAMAGED
    assert found[f"{place.name}/alpha.tsr"].standing is Standing.PROVEN
    assert found[f"{place.name}/beta.tsr"].standing is Standing.PROVEN
    assert found[f"{place.name}/checkpoint.ots"].standing is Standing.ATTESTED
    (place / "checkpoint").write_bytes(checkpoint(11))
    found = desk.findings()
    assert found[f"{place.name}/checkpoint"].standing is Standing.DAMAGED
    assert found[f"{place.name}/alpha.tsr"].standing is Standing.UNCHECKED


async def test_a_file_of_somebody_else_is_shown_and_harms_nothing(desk: Desk) -> None:
    await filled(desk)
    (folder_of(desk.folder, 10) / "note.txt").write_text("mine")
    (folder_of(desk.folder, 10) / "alpha.tsr.1-1.tmp").write_text("left by a crash")
    found = desk.findings()
    assert all(finding.holds for finding in found.values())
    assert found["000000000010/note.txt"].standing is Standing.UNCHECKED
    assert not any(name.endswith(".tmp") for name in found)


async def test_work_never_writes_over_damage(desk: Desk) -> None:
    """An upgrade of a changed proof would hide the change."""
    await filled(desk)
    places = ((10, "checkpoint.ots"), (20, "state.json"), (20, "checkpoint"))
    for turn, (size, name) in enumerate(places, 1):
        path = folder_of(desk.folder, size) / name
        content = path.read_bytes()
        path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
        before = {p: p.read_bytes() for p in path.parent.iterdir()}
        report = await desk.work(checkpoint(20), T0 + turn * 5 * HOUR)
        assert len(report.troubles) == 1, name
        assert str(path) in report.troubles[0]
        assert {p: p.read_bytes() for p in path.parent.iterdir()} == before
        path.write_bytes(content)
