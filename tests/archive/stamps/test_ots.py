"""OpenTimestamps: without these a proof would stay pending for ever, or name a block that lies."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentimestamps.core import notary, op, serialize, timestamp

from tests.archive.stamps.notes import checkpoint, door
from tests.net.servers import free_port
from tests.servers.calendar import calendar
from vanished.archive.stamps import ots
from vanished.archive.stamps.ots import Answered, State, examine, header_file, submit, upgrade
from vanished.errors import ConfigError, UsageError
from vanished.model import SECOND

NOTE = checkpoint(40)
BLOCK_S = 1_790_000_000


def by_hand(proof: bytes) -> Any:
    """The detached file as the library of the `ots` tool reads it."""
    context = serialize.BytesDeserializationContext(proof)
    return timestamp.DetachedTimestampFile.deserialize(context)


def written(stamp: Any) -> bytes:
    context = serialize.BytesSerializationContext()
    timestamp.DetachedTimestampFile(op.OpSHA256(), stamp).serialize(context)
    content: bytes = context.getbytes()
    return content


async def test_a_proof_goes_from_pending_to_confirmed(tmp_path: Path) -> None:
    with calendar() as one, calendar() as two:
        async with door() as way:
            fetch = way.fetcher()
            proof, answers = await submit(NOTE, (one.url, two.url), fetch)
            assert proof is not None
            assert answers == (Answered(one.url), Answered(two.url))
            pending = examine(proof, NOTE, None)
            assert pending.state is State.PENDING
            assert sorted(pending.waiting_for) == sorted((one.url, two.url))
            same, told = await upgrade(proof, fetch)
            assert same == proof
            assert {answer.words for answer in told} == {"the calendar has named no block yet"}
            one.mine(7, BLOCK_S)
            better, told = await upgrade(proof, fetch)
    attested = examine(better, NOTE, None)
    assert (attested.state, attested.height) == (State.ATTESTED, 7)
    assert attested.words == "attested in Bitcoin block 7, header not checked"
    assert attested.time is None
    assert attested.waiting_for == (two.url,)
    (tmp_path / "headers").write_bytes(one.header_file())
    confirmed = examine(better, NOTE, header_file(tmp_path / "headers"))
    assert (confirmed.state, confirmed.height) == (State.CONFIRMED, 7)
    assert confirmed.time == BLOCK_S * SECOND
    assert confirmed.merkle_root == one.headers[7][36:68][::-1].hex()
    file = by_hand(better)
    assert file.file_digest == hashlib.sha256(NOTE).digest()
    kinds = {type(attestation) for _, attestation in file.timestamp.all_attestations()}
    assert kinds == {notary.PendingAttestation, notary.BitcoinBlockHeaderAttestation}


async def test_a_block_with_another_root_fails_and_another_calendar_saves_it() -> None:
    """A calendar that lies about a block must neither be believed nor spoil the honest one."""
    with calendar() as liar, calendar() as honest:
        async with door() as way:
            fetch = way.fetcher()
            proof, _ = await submit(NOTE, (liar.url, honest.url), fetch)
            assert proof is not None
            liar.mine(3, BLOCK_S)
            proof, _ = await upgrade(proof, fetch)
            wrong = {3: struct.pack("<I32s32sIII", 1, bytes(32), bytes(32), BLOCK_S, 0, 0)}
            pending = examine(proof, NOTE, wrong.get)
            assert pending.state is State.PENDING
            assert "block 3 has another Merkle root" in pending.words
            honest.mine(9, BLOCK_S + 600)
            proof, _ = await upgrade(proof, fetch)
            confirmed = examine(proof, NOTE, {**wrong, 9: honest.headers[9]}.get)
            assert (confirmed.state, confirmed.height) == (State.CONFIRMED, 9)
            alone, _ = await submit(NOTE, (liar.url,), fetch)
            assert alone is not None
            liar.mine(4, BLOCK_S)
            alone, _ = await upgrade(alone, fetch)
    failed = examine(alone, NOTE, {4: wrong[3]}.get)
    assert failed.state is State.FAILED
    assert "another Merkle root" in failed.words


async def test_calendars_that_give_no_proof_are_named_and_the_others_count() -> None:
    nobody = f"http://127.0.0.1:{await free_port()}"
    with calendar() as good, calendar() as bad:
        async with door() as way:
            fetch = way.fetcher()
            for mode, words in (
                ("junk", "is no OpenTimestamps proof"),
                ("empty", "is no OpenTimestamps proof"),
                ("trailing", "Trailing garbage"),
                ("oversize", "20000 bytes, more than any proof"),
                ("error", "gave no proof: the host answered 503"),
            ):
                bad.mode = mode
                none, (answer,) = await submit(NOTE, (bad.url,), fetch)
                assert none is None
                assert words in answer.words, mode
            proof, answers = await submit(NOTE, (bad.url, nobody, good.url), fetch)
            assert proof is not None
            assert [bool(answer.words) for answer in answers] == [True, True, False]
            missing, (answer,) = await submit(NOTE, (good.url + "/nowhere",), fetch)
            assert missing is None
            assert "answered 404" in answer.words
            bad.mode = "honest"
            both, _ = await submit(NOTE, (bad.url,), fetch, proof)
            assert both is not None
            assert len(examine(both, NOTE, None).waiting_for) == 2
            good.mode = bad.mode = "junk"
            same, answers = await upgrade(both, fetch)
            assert same == both
            assert all("is no OpenTimestamps proof" in answer.words for answer in answers)


async def test_no_calendar_can_spoil_the_part_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer so deep that the file could not be read again would lose all proofs in it."""
    with calendar() as good, calendar() as bad:
        async with door() as way:
            fetch = way.fetcher()
            proof, _ = await submit(NOTE, (bad.url, good.url), fetch)
            assert proof is not None
            good.mine(8, BLOCK_S)
            (commitment,) = bad.commitments
            deep = node = timestamp.Timestamp(commitment)
            for _ in range(253):
                node = node.ops.add(op.OpSHA256())
            node.attestations.add(notary.BitcoinBlockHeaderAttestation(8))
            context = serialize.BytesSerializationContext()
            deep.serialize(context)
            monkeypatch.setattr(bad, "tell", lambda _: (200, context.getbytes()))
            better, answers = await upgrade(proof, fetch)
    words = {answer.calendar: answer.words for answer in answers}
    assert words[good.url] == ""
    assert "recursion depth limit" in words[bad.url]
    found = examine(better, NOTE, good.headers.get)
    assert (found.state, found.waiting_for) == (State.CONFIRMED, (bad.url,))


def test_a_header_of_the_real_chain_is_read_as_bitcoin_writes_it() -> None:
    """The first block, as everybody knows it: its root is shown reversed, its time is 2009."""
    root = bytes.fromhex("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a")
    genesis = (
        bytes.fromhex("01000000") + bytes(32) + root + bytes.fromhex("29ab5f49ffff001d1dac2b7c")
    )
    found = ots._check_block(0, root, {0: genesis}.get, ())
    assert found.state is State.CONFIRMED
    assert found.merkle_root == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert found.time == 1_231_006_505 * SECOND
    twice = hashlib.sha256(hashlib.sha256(genesis).digest()).digest()
    assert twice[::-1].hex().startswith("000000000019d668")


def test_a_proof_of_other_bytes_or_of_nothing_fails() -> None:
    stamp = timestamp.Timestamp(hashlib.sha256(NOTE).digest())
    stamp.attestations.add(notary.PendingAttestation("https://calendar.example"))
    assert examine(written(stamp), NOTE, None).state is State.PENDING
    assert "stamps other bytes" in examine(written(stamp), NOTE + b" ", None).words
    for content in (b"", b"junk", written(stamp)[:-1], written(stamp) + b"x", bytes(70_000)):
        assert examine(content, NOTE, None).state is State.FAILED
    empty = timestamp.Timestamp(hashlib.sha256(NOTE).digest())
    empty.attestations.add(notary.LitecoinBlockHeaderAttestation(4))
    assert "neither a calendar nor a Bitcoin block" in examine(written(empty), NOTE, None).words
    absurd = timestamp.Timestamp(hashlib.sha256(NOTE).digest())
    absurd.attestations.add(notary.BitcoinBlockHeaderAttestation(1 << 40_000))
    assert "cannot exist" in examine(written(absurd), NOTE, None).words


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=120))
def test_no_calendar_s_answer_can_do_more_than_be_refused(raw: bytes) -> None:
    head = (
        timestamp.DetachedTimestampFile.HEADER_MAGIC + b"\x01\x08" + hashlib.sha256(NOTE).digest()
    )
    found = examine(head + raw, NOTE, None)
    assert found.state in State
    assert found.state is not State.CONFIRMED


def test_a_deep_proof_is_refused_not_a_crash() -> None:
    stamp = b"\x08" * 9000  # nested SHA-256
    head = (
        timestamp.DetachedTimestampFile.HEADER_MAGIC + b"\x01\x08" + hashlib.sha256(NOTE).digest()
    )
    assert examine(head + stamp, NOTE, None).state is State.FAILED


def test_headers_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        header_file(tmp_path / "gone")
    (tmp_path / "short").write_bytes(bytes(81))
    with pytest.raises(ConfigError, match="81 bytes"):
        header_file(tmp_path / "short")
    (tmp_path / "two").write_bytes(bytes(80) + b"\x01" * 80)
    source = header_file(tmp_path / "two")
    assert source(1) == b"\x01" * 80
    assert source(2) is None


def test_without_the_extra_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentimestamps.core", None)
    with pytest.raises(UsageError, match=r"pip install 'vanished\[publish\]'"):
        ots.require()


def test_the_library_imports_where_warnings_are_errors_and_loads_no_openssl() -> None:
    """python-bitcoinlib can load OpenSSL by ctypes: that part must stay outside."""
    code = (
        "import sys, vanished.archive.stamps as s\n"
        "assert not {'opentimestamps', 'rfc3161_client'} & set(sys.modules)\n"
        "s.ots.require()\n"
        "assert 'bitcoin.core.key' not in sys.modules and 'requests' not in sys.modules\n"
        "assert 'opentimestamps.calendar' not in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
