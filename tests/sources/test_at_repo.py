"""Signed repositories: what a damaged, forged or cut file must not prove.

That real ones are read is tested in test_atproto.py; here is what no real host sends.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys

import libipld
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.signed_repo import DID, K256, P256, block, car, document, make_repo, varint
from vanished.errors import EvidenceError
from vanished.sources.at_repo import Proof, prove, read_car, signing_keys

PATHS = [f"app.bsky.feed.post/3k{letter * 11}" for letter in "abcdefg"]
RECORDS = {path: {"text": f"sentence at {path[-1]}"} for path in PATHS}
KEYS = signing_keys(document())


def proved(raw: bytes, path: str = PATHS[2]) -> Proof:
    return prove(raw, DID, path, KEYS)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("key", [K256, P256], ids=["k256", "p256"])
@pytest.mark.parametrize("old", [False, True], ids=["multikey", "old-key"])
def test_a_record_is_held_or_not_held(
    deep: bool, key: ec.EllipticCurvePrivateKey, old: bool
) -> None:
    root, blocks = make_repo(RECORDS, key, deep=deep)
    keys = signing_keys(document(key, old=old))
    for path in PATHS:
        proof = prove(car(root, blocks), DID, path, keys)
        assert proof == Proof("3kaaaaaaaaa2a", held=True, record=RECORDS[path])
    for path in ("app.bsky.feed.post/2", "app.bsky.feed.post/3kbbb", "app.bsky.graph.block/3k"):
        assert not prove(car(root, blocks), DID, path, keys).held


@given(st.sets(st.text("abcde/", min_size=1, max_size=6), min_size=1, max_size=12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_tree_holds_what_was_put_in_and_nothing_else(paths: set[str], deep: bool) -> None:
    """A key that is overlooked would turn a moderator's takedown into the author's deletion."""
    held = {path for n, path in enumerate(sorted(paths)) if n % 3}
    raw = car(*make_repo({path: {"text": path} for path in held}, deep=deep))
    assert {path for path in paths if proved(raw, path).held} == held


def test_a_record_without_its_block_is_still_held() -> None:
    root, blocks = make_repo(RECORDS)
    wanted = next(cid for cid, raw in blocks.items() if raw == encoded(PATHS[2]))
    del blocks[wanted]
    assert proved(car(root, blocks)) == Proof("3kaaaaaaaaa2a", held=True)


def encoded(path: str) -> bytes:
    raw: bytes = libipld.encode_dag_cbor(RECORDS[path])
    return raw


def test_each_block_that_the_proof_needs_is_needed() -> None:
    root, blocks = make_repo(RECORDS, deep=True)
    _, all_blocks = read_car(car(root, blocks))
    assert all_blocks == blocks
    needed = 0
    for cid in blocks:
        rest = {other: raw for other, raw in blocks.items() if other != cid}
        with contextlib.suppress(EvidenceError):
            assert proved(car(root, rest)).held
            continue
        needed += 1
    assert needed == 3  # the commit, the top, and the record's own node


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_no_changed_byte_changes_what_is_proved(place: int, change: int) -> None:
    """A forged file is refused; one whose change lies in the container alone proves the same."""
    raw = bytearray(car(*make_repo(RECORDS)))
    raw[place % len(raw)] ^= change
    try:
        proof = proved(bytes(raw))
    except EvidenceError:
        return
    assert (proof.held, proof.rev) == (True, "3kaaaaaaaaa2a")


@given(st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_a_cut_file_never_proves_an_absence(length: int) -> None:
    """A broken connection would else be a deletion."""
    raw = car(*make_repo(RECORDS, deep=True))
    with contextlib.suppress(EvidenceError):
        assert proved(raw[: length % len(raw)]).held


OTHER = ec.generate_private_key(ec.SECP256K1())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (car(*make_repo(RECORDS, OTHER)), "not signed with the key"),
        (car(*make_repo(RECORDS, P256)), "not signed with the key"),
        (car(*make_repo(RECORDS, high=True)), "not signed with the key"),
        (car(*make_repo(RECORDS, did="did:plc:" + "c" * 24)), "not one of this repository"),
        (car(*make_repo(RECORDS, version=2)), "in version 3"),
        (car(*make_repo(RECORDS, rev=7)), "no revision"),
        (car(*make_repo(RECORDS, data=None)), "lacks a block"),
        (car(*make_repo(RECORDS, data="a text")), "lacks a block"),
        (b"", "breaks off"),
        (b"\xff" * 20, "breaks off"),
        (b"<html>Checking your browser</html>", "no DAG-CBOR"),
        (varint(3) + b"\x83\x01\x02", "no DAG-CBOR"),
        (b"\x01\x60", "no map"),
        (varint(5000) + b"\x81" * 5000, "no DAG-CBOR"),
    ],
)
def test_what_is_no_proof_is_refused_with_a_reason(raw: bytes, words: str) -> None:
    with pytest.raises(EvidenceError, match=words):
        proved(raw)


@pytest.mark.parametrize(
    "entries",
    [
        None,
        [7],
        [{"k": b"b", "p": 0, "v": b"x", "t": None}, {"k": b"a", "p": 0, "v": b"x", "t": None}],
        [{"k": b"a", "p": 1, "v": b"x", "t": None}],
        [{"k": b"a", "p": -1, "v": b"x", "t": None}],
        [{"k": "a", "p": 0, "v": b"x", "t": None}],
    ],
)
def test_a_tree_out_of_order_proves_nothing(entries: object) -> None:
    """In such a tree a key could hide from a search."""
    blocks: dict[bytes, bytes] = {}
    data = block({"l": None, "e": entries}, blocks)
    root, more = make_repo(RECORDS, data=data)
    with pytest.raises(EvidenceError, match="repository's tree"):
        proved(car(root, {**more, **blocks}), "c")


@pytest.mark.parametrize(
    "method",
    [
        7,
        {},
        {"id": "#atproto", "type": "Multikey"},
        {"id": "#atproto", "type": "Multikey", "publicKeyMultibase": "z"},
        {"id": "#atproto", "type": "Multikey", "publicKeyMultibase": "zzzz"},
        {"id": "#atproto", "type": "Multikey", "publicKeyMultibase": 7},
        {"id": "#atproto", "type": "Ed25519VerificationKey2020", "publicKeyMultibase": "z6Mk"},
        {**document()["verificationMethod"][0], "id": "#other"},
    ],
)
def test_a_key_of_another_kind_signs_nothing(method: object) -> None:
    assert signing_keys({"verificationMethod": [method]}) == []
    assert signing_keys({"verificationMethod": method}) == []
    with pytest.raises(EvidenceError):
        prove(car(*make_repo(RECORDS)), DID, PATHS[0], [])


def test_without_the_decoder_the_error_says_what_to_install() -> None:
    """A watch that dies at its first takedown would be worse than one that does not start."""
    code = (
        "import sys; sys.modules['libipld'] = None\n"
        "from vanished.errors import UsageError\n"
        "from vanished.sources.bluesky import BlueskySource\n"
        "try: BlueskySource(lambda p, n: n, {})\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'vanished[platforms]'" in done.stdout
