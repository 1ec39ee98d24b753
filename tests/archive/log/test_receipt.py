"""Receipts: if these fail, a reader is shown a proof of something that was never committed to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.log.trees import ORIGIN, entry, grow, key, leaf, make_log
from vanished.archive.log import (
    Log,
    LogKey,
    Receipt,
    make_receipt,
    parse_note,
    parse_receipt,
    read_keys,
    verify_receipt,
)
from vanished.archive.log.note import WITNESS_KEY, Note
from vanished.errors import DamagedError, EvidenceError, UsageError

KEYS = [LogKey(key().verifier)]
W1, W2 = (key(f"witness.example/{name}", WITNESS_KEY) for name in ("w1", "w2"))
WATCHING = [W1.verifier, W2.verifier]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return make_log(tmp_path_factory.mktemp("receipt") / "log", 700, 300)


def test_every_leaf_has_a_receipt_that_stands_alone(log: Log) -> None:
    for index in (0, 1, 255, 256, 767, 768, 998, 999):
        raw = bytes(make_receipt(log, index, entry(index)))
        proven = verify_receipt(parse_receipt(raw), KEYS)
        assert (proven.index, proven.leaf, proven.entry) == (index, leaf(index), entry(index))
        assert (proven.checkpoint.origin, proven.checkpoint.size) == (ORIGIN, 1000)
        assert bytes(parse_receipt(raw)) == raw
        assert len(raw) <= 1_536


def test_a_receipt_is_the_text_that_the_specification_shows(log: Log) -> None:
    lines = bytes(make_receipt(log, 999, entry(999))).decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 999"
    blank = lines.index("")
    assert all(len(line) == 44 for line in lines[3:blank])
    assert lines[blank + 1 : blank + 3] == [ORIGIN, "1000"]
    bare = bytes(make_receipt(log, 999)).decode()
    assert "extra" not in bare
    verify_receipt(parse_receipt(bare.encode()), KEYS, leaf(999))
    with pytest.raises(EvidenceError, match="does not say what it proves"):
        verify_receipt(parse_receipt(bare.encode()), KEYS)


def test_a_log_of_one_leaf_has_a_receipt_without_hashes(tmp_path: Path) -> None:
    one = make_log(tmp_path / "log", 1)
    receipt = parse_receipt(bytes(make_receipt(one, 0, entry(0))))
    assert receipt.proof == ()
    assert verify_receipt(receipt, KEYS).leaf == leaf(0)


def test_an_earlier_checkpoint_still_makes_receipts(tmp_path: Path) -> None:
    """A witnessed or stamped checkpoint is always an earlier one."""
    growing = make_log(tmp_path / "log", 100)
    past = growing.note
    grow(growing, 500)
    assert verify_receipt(make_receipt(growing, 99, entry(99), past), KEYS).checkpoint.size == 100
    with pytest.raises(UsageError, match="covers 100 leaves"):
        make_receipt(growing, 100, entry(100), past)


def test_receipts_of_other_things_are_refused_in_a_sentence(log: Log, tmp_path: Path) -> None:
    good = make_receipt(log, 500, entry(500))
    other = make_log(tmp_path / "other", 600, name="other.example/log")
    forged = make_log(tmp_path / "forged", 600, branch="forged")
    thief = Note(log.note.text, (key(number=7).sign(log.note.text),))
    cases: list[tuple[Receipt, bytes | None, str]] = [
        (make_receipt(other, 500, entry(500)), None, "of another log, 'other.example/log'"),
        (replace(good, note=thief), None, "no key that we know"),
        (replace(good, note=forged.note), None, "does not lead from this entry at index 500"),
        (replace(good, extra=entry(501)), None, "does not lead"),
        (replace(good, index=501), None, "does not lead"),
        (replace(good, index=10**6), None, "does not lead"),
        (replace(good, proof=good.proof[:-1]), None, "does not lead"),
        (replace(good, proof=(*good.proof, leaf(1))), None, "does not lead"),
        (good, leaf(501), "about another entry"),
        (make_receipt(log, 500), leaf(501), "does not lead"),
        (replace(good, extra=b"not an entry"), None, "does not say what it proves"),
    ]
    for receipt, wanted, words in cases:
        with pytest.raises(EvidenceError, match=words):
            verify_receipt(parse_receipt(bytes(receipt)), KEYS, wanted)
    changed = replace(log.note.signatures[0], value=bytes(64))
    with pytest.raises(EvidenceError, match="changed or forged"):
        verify_receipt(replace(good, note=Note(log.note.text, (changed,))), KEYS)


def test_only_the_key_of_its_time_makes_a_receipt_valid(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 10)
    before = make_receipt(log, 5, entry(5))
    log.append([leaf(10)])
    log.rotate(key(number=1))
    both = make_receipt(log, 5, entry(5))
    grow(log, 5)
    keys = read_keys(log.folder)
    for receipt in (before, both, make_receipt(log, 15, entry(15))):
        verify_receipt(receipt, keys)
    stolen = Note(log.note.text, (key().sign(log.note.text),))
    with pytest.raises(EvidenceError, match="not signed by the key that the log"):
        verify_receipt(replace(make_receipt(log, 5, entry(5)), note=stolen), keys)


def test_as_many_witnesses_as_asked_for_must_have_cosigned(log: Log) -> None:
    text = log.note.text
    plain = make_receipt(log, 5, entry(5))
    one = replace(plain, note=log.note.with_signatures([W1.sign(text, 1_700_000_000)]))
    two = replace(plain, note=one.note.with_signatures([W2.sign(text, 1_700_000_100)]))
    proven = verify_receipt(two, KEYS, witnesses=WATCHING, needed=2)
    assert [signed.at_s for signed in proven.witnesses] == [1_700_000_000, 1_700_000_100]
    verify_receipt(one, KEYS, witnesses=WATCHING, needed=1)
    for receipt, needed in ((plain, 1), (one, 2)):
        with pytest.raises(EvidenceError, match="not witnessed enough"):
            verify_receipt(receipt, KEYS, witnesses=WATCHING, needed=needed)
    again = key("witness.example/w3", WITNESS_KEY)  # one key under two names is one witness
    alias = replace(again, seed=W1.seed)
    twice = replace(plain, note=one.note.with_signatures([alias.sign(text, 1)]))
    with pytest.raises(EvidenceError, match="not witnessed enough"):
        verify_receipt(twice, KEYS, witnesses=[*WATCHING, alias.verifier], needed=2)
    with pytest.raises(UsageError, match="fewer keys"):
        verify_receipt(two, KEYS, witnesses=WATCHING, needed=3)
    forged = replace(one.note.signatures[1], value=one.note.signatures[1].value[:-1] + b"\0")
    with pytest.raises(EvidenceError, match=r"'witness\.example/w1' under it"):
        verify_receipt(
            replace(plain, note=log.note.with_signatures([forged])), KEYS, witnesses=WATCHING
        )


def test_no_receipt_is_made_that_does_not_hold(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 300)
    with pytest.raises(UsageError, match="not that of the entry"):
        make_receipt(log, 5, entry(6))
    for index in (-1, 300):
        with pytest.raises(UsageError, match="no receipt for leaf"):
            make_receipt(log, index)
    tile = log.folder / "tile/0/000"
    tile.write_bytes(tile.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedError, match="one of them was changed"):
        make_receipt(log, 5, entry(5))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tlog-proof@v1", "tlog-proof@v2", "does not begin with"),
        ("index 500", "index 0500", "cannot be read"),
        ("index 500", "index -1", "cannot be read"),
        ("index 500", "index ", "cannot be read"),
        ("index 500", "index \u0665", "does not begin"),
        ("index 500\n", "", "cannot be read"),
        ("extra ", "extra =", "cannot be read"),
        ("extra ", "index 500\nextra ", "cannot be read"),
        ("index 500\n", "index 500\nAAAA\n", "something else than hashes"),
        ("index 500\n", "index 500\n" + f"{'A' * 43}=\n" * 64, "cannot be read"),
        ("\n\n", "\n", "signature|does not begin|cannot be read"),
        ("\u2014 ", "- ", "no signature line"),
        (f"{ORIGIN}\n1000", f"{ORIGIN}\n01000", "no readable size"),
    ],
)
def test_junk_is_refused_in_a_sentence(log: Log, old: str, new: str, words: str) -> None:
    text = bytes(make_receipt(log, 500, entry(500))).decode()
    assert old in text
    with pytest.raises(EvidenceError, match=words):
        verify_receipt(parse_receipt(text.replace(old, new).encode()), KEYS)


@given(st.binary(max_size=300))
def test_bytes_of_a_stranger_never_break_the_reader(raw: bytes) -> None:
    for hostile in (raw, b"c2sp.org/tlog-proof@v1\n" + raw, b"\n\n" + raw):
        with pytest.raises(EvidenceError):
            parse_receipt(hostile)
        with pytest.raises(EvidenceError):
            parse_note(hostile).signed_by([key().verifier])


def test_oversize_is_refused_unread() -> None:
    with pytest.raises(EvidenceError, match="at most"):
        parse_receipt(b"c2sp.org/tlog-proof@v1\n" + b"a" * 10**6)


def test_a_changed_bit_anywhere_never_proves_anything_else(log: Log) -> None:
    """Every bit of a receipt: refused, or (in what nobody signed) the proof is the same."""
    raw = bytes(make_receipt(log, 500, entry(500)))
    refused = 0
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            verify_receipt(parse_receipt(bytes(changed)), KEYS)
        except EvidenceError:
            refused += 1
    assert refused == len(raw) * 8
