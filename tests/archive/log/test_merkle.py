"""RFC 6962 trees: if these fail, nobody else's tool accepts our proofs, or ours accepts lies."""

from __future__ import annotations

from hashlib import sha256

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanished.archive.log.merkle import (
    EMPTY,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves of the reference implementation's tests (Certificate Transparency), and the
# roots of the trees of the first 1 to 8 of them.
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [sha256(b"%d" % at).digest() for at in range(600)]


def read(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def test_the_reference_implementation_has_the_same_roots() -> None:
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    assert root_of([]) == EMPTY == sha256().digest()
    assert [root_of(leaves[: n + 1]).hex() for n in range(8)] == ROOTS


def test_the_proofs_of_the_reference_implementation_are_the_same() -> None:
    """Known proofs: leaf 0 and 5 of 8, and from 1 and from 6 leaves to 8."""
    leaves = [leaf_hash(entry) for entry in ENTRIES]

    def known(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    a = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
    b = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
    c = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
    d = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
    assert [one.hex() for one in inclusion_proof(known, 0, 8)] == [a, b, c]
    assert inclusion_proof(known, 5, 8)[0].hex() == d
    assert [one.hex() for one in consistency_proof(known, 1, 8)] == [a, b, c]
    assert consistency_proof(known, 6, 8)[0].hex() == (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
    )


@given(size=st.integers(1, 200), at=st.integers(0, 10_000), old=st.integers(0, 10_000))
def test_pymerkle_agrees_on_roots_and_proofs(size: int, at: int, old: int) -> None:
    tree = pymerkle.InmemoryTree()
    entries = [b"entry %d" % n for n in range(size)]
    for one in entries:
        tree.append_entry(one)
    leaves = [leaf_hash(one) for one in entries]
    root = root_of(leaves)
    assert tree.get_root() == root

    def ours(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    index, before = at % size, old % size + 1
    theirs = tree.prove_inclusion(index + 1, size)
    assert theirs.path == [leaves[index], *inclusion_proof(ours, index, size)]
    pymerkle.verify_inclusion(leaves[index], root, theirs)
    assert verify_inclusion(leaves[index], index, size, theirs.path[1:], root)
    # pymerkle writes consistency proofs in a shape of its own: both must hold for the same roots.
    proof, earlier = consistency_proof(ours, before, size), tree.get_root(before)
    pymerkle.verify_consistency(
        root_of(leaves[:before]), root, tree.prove_consistency(before, size)
    )
    assert verify_consistency(before, size, proof, earlier, root)


@given(size=st.integers(1, 600), at=st.integers(0, 10_000))
def test_every_leaf_is_proven_and_at_no_other_place(size: int, at: int) -> None:
    index = at % size
    root, proof = root_of(LEAVES[:size]), inclusion_proof(read, index, size)
    leaf = LEAVES[index]
    assert verify_inclusion(leaf, index, size, proof, root)
    for other in {index + 1, index - 1, index ^ 1, index + size, size} - {index}:
        assert not verify_inclusion(leaf, other, size, proof, root)
    assert not verify_inclusion(LEAVES[(index + 1) % 600], index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, EMPTY)
    assert not verify_inclusion(leaf, index, size, [*proof, leaf], root)
    assert not verify_inclusion(leaf, index, size, [leaf, *proof], root)
    assert not verify_inclusion(leaf, index, size, [one + b"x" for one in proof] or [b""], root)
    for n in range(len(proof)):
        assert not verify_inclusion(leaf, index, size, proof[:n] + proof[n + 1 :], root)
        changed = bytes([proof[n][0] ^ 1]) + proof[n][1:]
        assert not verify_inclusion(leaf, index, size, [*proof[:n], changed, *proof[n + 1 :]], root)


def test_a_proof_holds_only_for_the_depth_of_its_tree() -> None:
    """Else the size beside a root could be a lie."""
    for size in range(1, 40):
        root = root_of(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(read, index, size)
            for other in (2 * size, 2 * size + 1, 4 * size, size * 1000):
                assert not verify_inclusion(LEAVES[index], index, other, proof, root)


@given(new=st.integers(1, 600), at=st.integers(0, 10_000))
def test_only_the_true_past_is_consistent(new: int, at: int) -> None:
    old = at % (new + 1)
    before, after = root_of(LEAVES[:old]), root_of(LEAVES[:new])
    proof = consistency_proof(read, old, new)
    assert verify_consistency(old, new, proof, before, after)
    assert not verify_consistency(old, new, [*proof, before], before, after)
    assert not verify_consistency(new + 1, new, proof, before, after)
    assert not verify_consistency(-1, new, proof, before, after)
    other = sha256(before).digest()
    assert not verify_consistency(old, new, proof, other, after)
    if 0 < old < new:
        assert not verify_consistency(old, new, [], before, after)
        assert not verify_consistency(old, new, proof, before, other)
        assert not verify_consistency(old, new, proof[:-1], before, after)
        for size in {old - 1, old + 1} - {0, new}:
            assert not verify_consistency(size, new, proof, before, after)
        for n in range(len(proof)):
            changed = bytes([proof[n][0] ^ 1]) + proof[n][1:]
            path = [*proof[:n], changed, *proof[n + 1 :]]
            assert not verify_consistency(old, new, path, before, after)


def test_the_same_size_is_consistent_only_with_the_same_root_and_no_proof() -> None:
    root = root_of(LEAVES[:5])
    assert verify_consistency(5, 5, [], root, root)
    assert not verify_consistency(5, 5, [root], root, root)
    assert not verify_consistency(5, 5, [], root, LEAVES[0])
    assert verify_consistency(0, 0, [], EMPTY, EMPTY)
    assert not verify_consistency(0, 0, [], root, root)
    assert not verify_consistency(0, 5, [root], EMPTY, root)
    assert not verify_consistency(0, 5, [], root, root)


def test_proofs_beyond_the_tree_are_not_made() -> None:
    assert root_at(read, 0) == EMPTY
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(read, index, size)
    with pytest.raises(ValueError, match="no proof"):
        consistency_proof(read, 6, 5)
