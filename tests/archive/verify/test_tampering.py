"""Captures taken away, exchanged or slipped in, presents that lack rows, an operator who lies."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import pytest

from tests.archive.capture.made import capture as made_up
from tests.archive.proof_writer import write
from tests.archive.verify.proven import Proven, proven
from vanished.archive import erasing
from vanished.archive.capture import (
    Identities,
    Place,
    capture_bytes,
    forget,
    identities,
    new_identity,
    read_segment,
    recipients,
    segments,
    tar,
)
from vanished.archive.leaves import Leaf, leaves, opened
from vanished.archive.log import Log
from vanished.archive.observatory import Observatory
from vanished.archive.proof import signer
from vanished.archive.verify import Verification, verify
from vanished.archive.verify import folder as steps
from vanished.archive.verify.folder import verify_folder
from vanished.clock import SystemClock
from vanished.errors import DamagedError

SEED = 44


@pytest.fixture(scope="module", params=["plain", "sealed"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proven]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        folder = tmp_path_factory.mktemp(f"tampering-{request.param}")
        with proven(folder, sealed=request.param == "sealed", seed=7) as found:
            yield found


@pytest.fixture
def folder(made: Proven, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "o"))


def check(folder: Path, opens: Identities | None = None) -> Verification:
    return verify_folder(folder, now=SystemClock().now(), identities=opens)


def known(folder: Path) -> dict[int, Leaf]:
    with opened(folder) as connection:
        return {leaf.index: leaf for leaf in leaves(connection)}


def fullest(folder: Path) -> tuple[Path, list[Leaf]]:
    """The segment with the most captures that is not the newest, and its captures."""
    held: dict[str, list[Leaf]] = {}
    for leaf in known(folder).values():
        held.setdefault(leaf.segment, []).append(leaf)
    older = [path.name for path in segments(folder / "captures")[:-1]]
    name = max(older, key=lambda each: len(held[each]))
    return folder / "captures" / name, held[name]


def assert_found(found: Verification, place: str, leaf: int | None) -> None:
    named = [(damage.place, damage.leaf) for damage in found.damages]
    assert (place, leaf) in named, found.text()
    assert {each for each, _ in named} == {place}, found.text()  # and nobody else is accused


Change = Callable[[bytes, list[bytes]], bytes]
"""The bytes of a segment from its own bytes and those of its captures."""

CHANGES: dict[str, tuple[Change, int | None]] = {  # and which of its captures must be named
    "the first deleted": (lambda whole, c: whole.removeprefix(c[0]), 0),
    "one in the middle deleted": (lambda whole, c: whole.replace(c[1], b"", 1), 1),
    "the last deleted": (lambda whole, c: whole.replace(c[-1], b"", 1), -1),
    "the last cut short": (lambda whole, c: whole[: whole.index(c[-1]) + len(c[-1]) - 9], -1),
    "one cut short": (lambda whole, c: whole.replace(c[1], c[1][: len(c[1]) // 2], 1), 1),
    "two exchanged": (lambda whole, c: whole.replace(c[0] + c[1], c[1] + c[0], 1), 0),
    "one doubled at once": (lambda whole, c: whole.replace(c[0], c[0] + c[0], 1), 0),
    "one doubled at the end": (lambda whole, c: whole.replace(c[-1], c[-1] + c[0], 1), None),
    "one in the place of another": (lambda whole, c: whole.replace(c[1], c[0], 1), 1),
    "junk between": (lambda whole, c: whole.replace(c[1], b"\0" * 700 + c[1], 1), 1),
    "nothing left": (lambda whole, c: b"", 0),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_segment_that_is_not_as_it_was(made: Proven, folder: Path, what: str) -> None:
    """Found without a secret, and with one."""
    change, which = CHANGES[what]
    path, held = fullest(folder)
    assert len(held) > 3
    whole = path.read_bytes()
    changed = change(whole, [whole[leaf.offset : leaf.offset + leaf.length] for leaf in held])
    assert changed != whole
    path.write_bytes(changed)
    for opens in (None, made.opened):
        found = check(folder, opens)
        place = f"captures/{path.name}"
        assert {damage.place for damage in found.damages} == {place}, found.text()
        if which is not None:
            assert held[which].index in {damage.leaf for damage in found.damages}, found.text()
    path.write_bytes(whole)
    assert check(folder, made.opened).sound


def test_captures_of_two_segments_exchanged(folder: Path) -> None:
    first, second = segments(folder / "captures")[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    found = check(folder)
    places = {damage.place for damage in found.damages}
    assert places == {f"captures/{first.name}", f"captures/{second.name}"}
    leaf = min(known(folder))
    assert leaf in {damage.leaf for damage in found.damages}
    first.unlink()
    assert leaf in {damage.leaf for damage in check(folder).damages}


def foreign(made: Proven, index: int) -> bytes:
    """A whole capture that our log never committed to, as it would lie in a segment."""
    members = made_up(index).members
    if not next(iter(segments(made.folder / "captures"))).name.endswith(".tar"):
        return members
    recipient, _ = new_identity()
    return tar.frame(index, 0, recipients([recipient]).seal(members))


def test_a_capture_that_was_slipped_in(made: Proven, folder: Path) -> None:
    """Into the past it is damage; behind the newest one it is what a crash leaves: no evidence."""
    path, held = fullest(folder)
    whole = path.read_bytes()
    end = held[-1].offset + held[-1].length
    more = foreign(made, len(known(folder)))
    for at in (0, held[1].offset, end):
        path.write_bytes(whole[:at] + more + whole[at:])
        for opens in (None, made.opened):
            found = check(folder, opens)
            assert not found.sound, at
            assert {damage.place for damage in found.damages} == {f"captures/{path.name}"}
    path.write_bytes(whole)
    between = path.with_name(f"{path.name[:17]}{held[1].index:012d}{''.join(path.suffixes)}")
    between.write_bytes(more)
    assert_found(check(folder), f"captures/{between.name}", None)
    between.unlink()
    newest = segments(folder / "captures")[-1]
    before = check(folder, made.opened)
    newest.write_bytes(newest.read_bytes() + more)
    after = check(folder, made.opened)
    assert before.sound
    assert after.sound
    assert "a commit that never came" in after.text()
    assert before.proven == after.proven  # it proves nothing


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "present.sqlite")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_a_present_that_lacks_rows(folder: Path) -> None:
    """Who deletes a row together with its capture has not deleted the leaf."""
    all_leaves = known(folder)
    statement = next(leaf for leaf in all_leaves.values() if not leaf.segment and leaf.length == 0)
    gone = next(leaf for leaf in all_leaves.values() if leaf.forgotten)
    taken = all_leaves[7]
    for leaf in (statement, gone, taken):
        copy = Path(shutil.copytree(folder, folder.with_name(f"lacks-{leaf.index}")))
        execute(copy, f"delete from captures where leaf = {leaf.index}")
        found = check(copy)
        assert "present.sqlite" in {damage.place for damage in found.damages}, found.text()
    execute(copy, f"delete from captures where leaf > {len(all_leaves) // 2}")
    found = check(copy)
    text = f"knows {len(all_leaves) // 2} of the {len(all_leaves)} leaves that the log has signed"
    assert text in found.text()
    execute(folder, f"update captures set hash = x'{bytes(32).hex()}' where leaf = 7")
    named = [(damage.place, damage.leaf) for damage in check(folder).damages]
    assert ("present.sqlite", 7) in named


def test_a_row_that_is_none(folder: Path) -> None:
    """SQLite keeps a text where a number should be; and a changed bit can make it one."""
    for column in ("offset", "length", "hash", "segment"):
        copy = Path(shutil.copytree(folder, folder.with_name(column)))
        wrong = "7" if column == "hash" else "x'00'"
        execute(copy, f"update captures set {column} = {wrong} where leaf = 7")
        found = check(copy)
        assert "holds no whole row for leaf 7" in found.text()


def test_changed_bits_of_the_present_are_no_crash(folder: Path) -> None:
    """Not all of it is under a hash; whatever is read, the answer is a report."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    path = folder / "present.sqlite"
    whole = path.read_bytes()
    pages = [at for at in range(0, len(whole), 4096) if b"captures" in whole[at : at + 4096]]
    pages += [at for at in range(0, len(whole), 4096) if b"-00000000" in whole[at : at + 4096]]
    spots = [at for page in pages for at in range(page, page + 4096) if whole[at]]
    assert len(spots) > 4000
    damaged = 0
    for _ in range(40):
        changed = bytearray(whole)
        changed[chance.choice(spots)] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        found = check(folder)
        damaged += not found.sound
        assert found.text()
    assert damaged > 25
    path.write_bytes(whole)
    assert check(folder).sound


def test_an_old_present_put_back(folder: Path) -> None:
    """Else a restored backup would sign another past over the one that was published."""
    old = (folder / "present.sqlite").read_bytes()
    with Observatory.open(folder, write=True) as observatory:
        write(observatory, lambda: None, commits=2)
    with closing(sqlite3.connect(folder / "present.sqlite")) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    before = {path: path.read_bytes() for path in folder.glob("[cl]*/**/*") if path.is_file()}
    (folder / "present.sqlite").write_bytes(old)
    found = check(folder)
    assert "present.sqlite" in {damage.place for damage in found.damages}, found.text()
    with pytest.raises(DamagedError, match=r"older|does not know"):
        Observatory.open(folder, write=True)
    assert {path: path.read_bytes() for path in before} == before  # nothing was cut off


# -- an operator who lies --------------------------------------------------------------------------


def rewrite(folder: Path, opens: Identities) -> None:
    """Make the past another one, in every file and signed with the log's own key."""
    path, held = fullest(folder)
    old = held[0]
    read = next(iter(read_segment(path, opens)))
    assert read.manifest is not None
    made = capture_bytes(
        observatory=read.manifest.observatory,
        index=old.index,
        captured_at=read.manifest.captured_at,
        vantage=read.manifest.vantage,
        subjects=read.manifest.subjects,
        salt=read.salt,
        facts={**read.facts["facts"], "invented": True},
        exchanges=(),
        seen=lambda url, digest: None,
    )
    whole = path.read_bytes()
    framed = made.members
    if path.suffix == ".tar":
        recipient, _ = new_identity()
        framed = tar.frame(old.index, made.captured_at, recipients([recipient]).seal(framed))
    path.write_bytes(framed + whole[old.length :])
    shift = len(framed) - old.length
    stored = sha256(framed).hexdigest()
    execute(
        folder,
        f"update captures set hash = x'{made.leaf.hex()}', stored = x'{stored}',"
        f" length = {len(framed)} where leaf = {old.index}",
    )
    execute(
        folder,
        f"update captures set offset = offset + {shift}"
        f" where segment = '{path.name}' and leaf > {old.index}",
    )
    origin = Log.open(folder / "log").origin
    for part in ("tile", "checkpoint", "vkeys"):
        place = folder / "log" / part
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    log = Log.create(folder / "log", signer(origin.removeprefix("vanished/"), create=False))
    log.append(leaf.hash for leaf in known(folder).values())
    log.checkpoint()


def test_who_rewrites_everything_is_caught_by_what_others_hold(made: Proven, folder: Path) -> None:
    """Alone his files agree with each other; a stamp, a cosignature or a receipt says otherwise."""
    key = Log.open(folder / "log").keys[-1].key
    honest = (folder / "log/cosignatures/friends").read_bytes()
    rewrite(folder, made.opened)
    found = check(folder)
    places = {damage.place for damage in found.damages}
    stamped = {place for place in places if place.startswith("log/stamps/")}
    assert places == {"log/cosignatures/friends"} | stamped
    assert stamped
    assert "the log has forked" in found.text()
    (folder / "log/cosignatures/friends").unlink()
    assert {damage.place for damage in check(folder).damages} == stamped
    shutil.rmtree(folder / "log/stamps")
    alone = verify(folder, key=str(key))
    assert alone.sound, alone.text()  # nobody's word is left but his, and the report says so
    assert "no witness has cosigned it" in alone.text()
    assert "no stamp that could be checked here says so" in alone.text()
    (folder / "log/cosignatures/friends").write_bytes(honest)  # from whoever kept a copy
    assert not check(folder).sound


def test_a_statement_that_says_nonsense_is_no_crash(folder: Path) -> None:
    """Whoever holds the log's key can sign any JSON."""
    with Observatory.open(folder, write=True) as observatory:
        for leaves_ in (5, "all", [[1], "x", {"a": 1}], {"7": 1}):
            observatory.declare("forgotten", {"leaves": leaves_}, SystemClock().now())
    assert check(folder).sound


# -- beside a watch, and after one that was killed -------------------------------------------------


def test_it_accuses_nobody_while_a_watch_writes(
    made: Proven, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit, a checkpoint and a flush between any two steps of the verification."""
    with Observatory.open(folder, write=True) as observatory:
        size = len(known(folder))

        def and_a_commit(name: str) -> None:
            step = getattr(steps, name)

            def instead(*given: object, **named: object) -> object:
                write(observatory, lambda: None, commits=1)
                observatory.flush()
                assert observatory.proof is not None
                observatory.proof.sign()
                return step(*given, **named)

            monkeypatch.setattr(steps, name, instead)

        for name in ("_entries", "check_chain", "check_statements", "_captures", "_journal"):
            and_a_commit(name)
        for name in ("_missing", "_stamps", "read_segment"):
            and_a_commit(name)
        found = check(folder, made.opened)
        monkeypatch.undo()
    assert len(known(folder)) >= size + 8
    assert found.sound, found.text()


def test_what_a_killed_commit_left_is_no_damage(folder: Path) -> None:
    """Before the next start has cleared it away."""
    count = len(known(folder))
    statement = folder / f"log/statements/{count:012d}.json"
    shutil.copy(next((folder / "log/statements").iterdir()), statement)
    found = check(folder)
    assert found.sound, found.text()
    assert f"{statement.name}: a commit that is under way, or never came" in found.text()
    with Observatory.open(folder, write=True):
        assert not statement.exists()
    for name in ("notes.json", f"{0:012d}.json"):
        other = statement.with_name(name)
        other.write_text(json.dumps({}))
        assert_found(check(folder), f"log/statements/{name}", None)
        with Observatory.open(folder, write=True):
            assert other.exists()
        other.unlink()


def test_a_forgetting_that_was_killed_says_so(
    made: Proven, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its captures are gone and the present does not know it yet: no thief was there."""
    with Observatory.open(folder, write=True) as observatory:
        key = min(observatory.first_sights())
        with monkeypatch.context() as patch:
            patch.setattr(erasing, "forget_captures", half_way)
            with pytest.raises(InterruptedError):
                erasing.erase(observatory, [key], "asked", SystemClock().now())
    said = "a forgetting was cut short or is under way"
    found = check(folder)
    assert not found.sound
    assert said in found.text()
    with Observatory.open(folder, write=True) as observatory:
        assert key not in observatory.first_sights()
    found = check(folder, made.opened)
    assert found.sound, found.text()
    assert said not in found.text()


def half_way(folder: Path, gone: Iterable[Place], staying: Iterable[Place]) -> NoReturn:
    forget(folder, gone, staying)
    raise InterruptedError


def test_a_wrong_identity_is_no_damage(folder: Path) -> None:
    """Whoever gives the wrong key must not read that the evidence is broken; a change still is."""
    other = identities(new_identity()[1])
    found = check(folder, other)
    assert found.sound, found.text()
    path, held = fullest(folder)
    sealed = path.suffix == ".tar"
    assert ("sealed captures: give --identity" in found.text()) == sealed
    whole = bytearray(path.read_bytes())
    whole[held[0].offset + held[0].length // 2] ^= 1
    path.write_bytes(whole)
    assert_found(check(folder, other), f"captures/{path.name}", held[0].index)
