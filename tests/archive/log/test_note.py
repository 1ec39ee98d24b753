"""Signed notes and checkpoints: if these fail, we trust what nobody signed, or nobody trusts us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.log.trees import ORIGIN, key
from vanished.archive.log.checkpoint import Checkpoint, parse_checkpoint, read_checkpoint
from vanished.archive.log.merkle import EMPTY
from vanished.archive.log.note import (
    LOG_KEY,
    WITNESS_KEY,
    Note,
    Signature,
    Signed,
    SignerKey,
    VerifierKey,
    parse_note,
)
from vanished.errors import EvidenceError, UsageError

# The example of the Go package golang.org/x/mod/sumdb/note, which defined the format.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgK"
    "vqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_reference_note_is_verified_and_made_alike() -> None:
    note = parse_note(GO_NOTE.encode())
    assert note.text == GO_TEXT
    assert note.signed_by([VerifierKey.parse(GO_KEY)]) == (Signed(VerifierKey.parse(GO_KEY)),)
    secret = SignerKey.parse(GO_SECRET)
    assert str(secret.verifier) == GO_KEY
    assert secret.encoded() == GO_SECRET
    assert bytes(Note(GO_TEXT, (secret.sign(GO_TEXT),))).decode() == GO_NOTE


def test_a_cosignature_says_when() -> None:
    witness = key("witness.example/w1", WITNESS_KEY)
    text = Checkpoint(ORIGIN, 0, EMPTY).text
    note = Note(text, (key().sign(text), witness.sign(text, 1_679_315_147)))
    signed = parse_note(bytes(note)).signed_by([witness.verifier, key().verifier])
    assert signed == (Signed(key().verifier), Signed(witness.verifier, 1_679_315_147))
    line = note.signatures[1]
    later = line.value[:7] + bytes([line.value[7] ^ 1]) + line.value[8:]
    moved = Note(text, (note.signatures[0], Signature(line.name, line.key_id, later)))
    with pytest.raises(EvidenceError, match=r"signature of 'witness\.example/w1'"):
        moved.signed_by([witness.verifier])


def test_a_cosignature_of_no_possible_time_is_refused() -> None:
    witness = key("witness.example/w1", WITNESS_KEY)
    note = Note(GO_TEXT, (witness.sign(GO_TEXT, 1 << 63),))
    with pytest.raises(EvidenceError, match="does not hold"):
        note.signed_by([witness.verifier])


@given(st.binary(min_size=32, max_size=32), st.sampled_from([LOG_KEY, WITNESS_KEY]))
def test_keys_survive_their_text(seed: bytes, kind: int) -> None:
    secret = SignerKey("a.example/log", seed, kind)
    assert SignerKey.parse(secret.encoded()) == secret
    assert VerifierKey.parse(str(secret.verifier)) == secret.verifier


def test_a_secret_is_not_shown_by_accident() -> None:
    secret = key()
    assert secret.encoded().rpartition("+")[2] not in f"{secret!r} {secret}"
    with pytest.raises(UsageError) as caught:
        SignerKey.parse(secret.encoded()[:-3])
    assert secret.encoded()[-20:-4] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a+b", "a+00000000+AAAA", GO_KEY[:-1], GO_KEY.replace("c74f", "c74e"), "x" + GO_KEY,
     GO_KEY + "\n", GO_KEY.replace("PeterNeumann", "Peter Neumann"),
     f"a+12345678+{'A' * 44}"],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="verifier key"):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\u3000b", "x" * 256])
def test_a_key_gets_no_name_that_a_note_cannot_carry(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a key"):
        SignerKey.generate(name)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no signature"),
        (b"text\n", "no signature"),
        (b"text\n\n", "no signature"),
        (b"\xff\n\n", "not UTF-8"),
        (b"a\tb\n\n" + GO_NOTE.encode(), "control"),
        (GO_NOTE.replace("\n", "\r\n").encode(), "control"),
        (GO_NOTE[:-1].encode(), "cut off"),
        (GO_NOTE.replace("— ", "- ").encode(), "no signature line"),
        (GO_NOTE.replace("AM=", "AN=").encode(), "no signature line"),  # not canonical
        (GO_NOTE.replace("AM=", "A").encode(), "no signature line"),
        (b"a\n\n\xe2\x80\x94 a AAAA\n", "no signature line"),
        (b"a\n\n" + b"\xe2\x80\x94 a AAAAAAA=\n" * 65, "more than 64"),
        (b"a" * 70_000, "at most 65536"),
    ],
)
def test_what_is_no_note_is_refused_in_a_sentence(raw: bytes, words: str) -> None:
    with pytest.raises(EvidenceError, match=words):
        parse_note(raw)


def test_a_changed_or_foreign_note_is_refused() -> None:
    known = VerifierKey.parse(GO_KEY)
    changed = parse_note(GO_NOTE.replace("your problem", "my problem").encode())
    with pytest.raises(EvidenceError, match="changed or forged"):
        changed.signed_by([known])
    with pytest.raises(EvidenceError, match="signed as 'PeterNeumann'"):
        parse_note(GO_NOTE.encode()).signed_by([key().verifier])


def test_unknown_signatures_are_ignored_beside_a_known_one() -> None:
    """Other people's cosignatures must not make our checkpoint unreadable."""
    stranger = key("stranger.example", WITNESS_KEY).sign(GO_TEXT, 5)
    note = parse_note(GO_NOTE.encode()).with_signatures([stranger])
    assert note.signed_by([VerifierKey.parse(GO_KEY)]) == (Signed(VerifierKey.parse(GO_KEY)),)


@given(st.integers(1, 2**62), st.binary(min_size=32, max_size=32))
def test_checkpoints_survive_their_text(size: int, root: bytes) -> None:
    found = Checkpoint(ORIGIN, size, root, ("extension 1",))
    assert parse_checkpoint(found.text) == found


@pytest.mark.parametrize(
    "lines",
    [
        ["o", "1"], ["", "1", "R"], ["o", "01", "R"], ["o", "-1", "R"], ["o", "1 ", "R"],
        ["o", "99999999999999999999", "R"], ["o", "1", "AAAA"], ["o", "1", "R", ""],
        ["o", "0", "R"], ["o" * 256, "1", "R"], ["o", "\u0661", "R"],
        ["o", "9999999999999999999", "R"],
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(lines: list[str]) -> None:
    root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    with pytest.raises(EvidenceError, match="the checkpoint is none"):
        parse_checkpoint("".join(f"{line}\n" for line in lines).replace("R", root))


def test_a_checkpoint_counts_only_under_a_key_of_its_own_name() -> None:
    """Else one log's key could speak for another log."""
    text = Checkpoint(ORIGIN, 0, EMPTY).text
    other = key("other.example/log")
    with pytest.raises(EvidenceError, match="no key that we know"):
        read_checkpoint(bytes(Note(text, (other.sign(text),))), [other.verifier])
