"""If these fail, one manifest could have two hashes, or junk could pass for evidence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.capture.made import capture, salt
from vanished.archive.capture.manifest import (
    Manifest,
    Statement,
    Stored,
    Subject,
    canonical,
    entry,
    leaf_hash,
    opened,
)
from vanished.errors import EvidenceError

HEX = "ab" * 32
GOOD = Manifest(
    "made",
    7,
    1_795_539_600_000_000,
    "here",
    (Subject("abcdefgh234567xy", "first", 5),),
    (Stored("urn:uuid:00000000-0000-4000-8000-000000000000", "response", HEX, 10, HEX, 0),),
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**53) + 1, 2**53 - 1)
names = st.text(st.characters(max_codepoint=127), min_size=1, max_size=8)
values = st.recursive(
    texts | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=5))
def test_our_canonical_form_is_rfc_8785(value: dict[str, Any]) -> None:
    """Other people's tools must come to the same hash."""
    assert canonical(value) == rfc8785.dumps(value)


def test_a_manifest_comes_back_as_it_went() -> None:
    assert Manifest.from_bytes(GOOD.to_bytes()) == GOOD
    elsewhere = replace(GOOD, vantage="机房 2")
    assert Manifest.from_bytes(elsewhere.to_bytes()) == elsewhere
    made = capture(3).manifest
    assert Manifest.from_bytes(made.to_bytes()) == made
    assert made.to_bytes() == rfc8785.dumps(json.loads(made.to_bytes()))


@given(
    st.integers(0, 2**53 - 1),
    st.from_regex(r"[a-z][a-z_-]{0,20}", fullmatch=True),
    st.dictionaries(names, values, max_size=4),
)
def test_a_statement_comes_back_as_it_went(at: int, what: str, details: dict[str, Any]) -> None:
    for own in ("format", "index", "at", "what"):
        details.pop(own, None)
    statement = Statement(4, at, what, details)
    assert Statement.from_bytes(statement.to_bytes()) == statement


def test_a_statement_cannot_be_given_another_index_by_its_details() -> None:
    with pytest.raises(ValueError, match="details cannot be called"):
        Statement(4, 5, "key", {"index": 9}).to_bytes()


def test_the_leaf_is_rfc_6962_of_salt_and_manifest_hash() -> None:
    content = GOOD.to_bytes()
    by_hand = hashlib.sha256(b"\0" + salt(1) + hashlib.sha256(content).digest()).digest()
    assert leaf_hash(salt(1), content) == by_hand
    with pytest.raises(ValueError, match="32 bytes"):
        leaf_hash(b"short", content)


def test_entry_and_opened_are_each_others_reverse() -> None:
    kept = entry(salt(1), GOOD.to_bytes())
    assert json.loads(kept) == {"manifest": json.loads(GOOD.to_bytes()), "salt": salt(1).hex()}
    assert kept == rfc8785.dumps(json.loads(kept))
    assert opened(kept) == (salt(1), GOOD.to_bytes())


def spoiled() -> list[bytes]:
    """Manifests with one thing wrong each."""
    found = [b"", b"[]", b"1", b"{}", b"\xff", b"[" * 100_000, GOOD.to_bytes() + b" "]
    written = GOOD.to_bytes()
    found += [
        written.replace(b'"index":7', b'"index":7.0'),
        written.replace(b'"index":7', b'"index":true'),
        written.replace(b'"index":7', b'"index":-7'),
        written.replace(b'"index":7', b'"index":9007199254740992'),
        written.replace(b'"index":7', b'"index":7,"index":7'),
        written.replace(b'"index":7', b'"index": 7'),
        written.replace(b"capture/1", b"capture/2"),
        written.replace(b'"first"', b'"gone"'),
        written.replace(b'"response"', b'"reply"'),
        written.replace(HEX.encode(), HEX.upper().encode()),
        written.replace(b"urn:uuid:", b"urn:oid:"),
        written.replace(b'"here"', b'""'),
        written.replace(b'"here"', b'"he\\nre"'),
        written.replace(b'"here"', b"null"),
        written.replace(b'"vantage":"here"', b'"vantage":"here","words":"x"'),
        written.replace(b'"seen_at":5,', b""),
    ]
    assert all(each != written for each in found)
    return found


@pytest.mark.parametrize("content", spoiled(), ids=range(len(spoiled())))
def test_junk_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        Manifest.from_bytes(content)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail_otherwise(content: bytes) -> None:
    for read in (Manifest.from_bytes, Statement.from_bytes, opened):
        with pytest.raises(EvidenceError):
            read(content)


@pytest.mark.parametrize(
    "content",
    [b'{"at":1.5}', b'{"a":null,"at":1,"format":"vanished-statement/1","index":1,"what":"key"}'],
)
def test_a_statement_of_other_values_is_refused(content: bytes) -> None:
    with pytest.raises(EvidenceError):
        Statement.from_bytes(content)
