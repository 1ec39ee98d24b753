"""Signed repositories of the AT Protocol: what one CAR file proves about one record.

In: the bytes of `com.atproto.sync.getRecord` or `getRepo`, whose record is meant, and the signing
keys of the DID's document. Out: a `Proof` that the repository holds the record, or that it does
not, or an EvidenceError. Checked are the hash of every block, the commit's signature, and the path
through the Merkle search tree (atproto.com/specs/repository, version 3). It says nothing about
when, since a host can hand out an old commit, nor whose hand signed: hosts keep their users' keys.

Blocks are decoded by libipld (extra `platforms`), which refuses DAG-CBOR in any but its one form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from vanished.errors import EvidenceError, UsageError

Key = ec.EllipticCurvePublicKey

_CID = b"\x01\x71\x12\x20"  # version 1, DAG-CBOR, SHA-256 of 32 bytes
_CID_BYTES = len(_CID) + 32
_ORDERS = {  # of the groups of the two curves; SEC 2, 2.4
    "secp256k1": 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141,
    "secp256r1": 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551,
}
_MULTIKEYS: Mapping[bytes, type[ec.EllipticCurve]] = {
    b"\xe7\x01": ec.SECP256K1,
    b"\x80\x24": ec.SECP256R1,
}
_OLD_KEYS: Mapping[str, type[ec.EllipticCurve]] = {
    "EcdsaSecp256k1VerificationKey2019": ec.SECP256K1,
    "EcdsaSecp256r1VerificationKey2019": ec.SECP256R1,
}

Blocks = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a signed commit says of one record. `record` is None where its block was not sent."""

    rev: str  # revision of the repository, a time stamp that only rises
    held: bool
    record: Mapping[str, Any] | None = None


def need_decoder() -> None:
    """UsageError that says what to install, if the decoder is not there."""
    try:
        import libipld  # noqa: F401
    except ImportError:
        raise UsageError(
            "Bluesky's signed repositories cannot be read without the library libipld; install it"
            " with: pip install 'vanished[platforms]'."
        ) from None


def prove(car: bytes, did: str, path: str, keys: Sequence[Key]) -> Proof:
    """What `car` proves of the record at `path` (COLLECTION/RKEY) of `did`.

    Raises EvidenceError if it proves nothing: damaged, not signed by any of `keys`, incomplete.
    """
    root, blocks = read_car(car)
    commit = _decoded(blocks, root)
    if commit.get("did") != did or commit.get("version") != 3:
        raise EvidenceError("The commit is not one of this repository in version 3.")
    if not any(_signed(commit, key) for key in keys):
        raise EvidenceError("The commit is not signed with the key that the identity names.")
    found = _find(blocks, commit.get("data"), path.encode())
    rev = commit.get("rev")
    if not isinstance(rev, str):
        raise EvidenceError("The commit names no revision.")
    if found is None:
        return Proof(rev, held=False)
    return Proof(rev, held=True, record=_decoded(blocks, found) if found in blocks else None)


def read_car(car: bytes) -> tuple[bytes, Blocks]:
    """The root and the blocks of a CAR file of version 1, each with its hash checked."""
    size, at = _varint(car, 0)
    header = _cbor(car[at : at + size])
    roots = header.get("roots")
    if header.get("version") != 1 or not isinstance(roots, list) or not roots:
        raise EvidenceError("The file is no CAR of version 1 with a root.")
    at += size
    blocks: dict[bytes, bytes] = {}
    while at < len(car):
        size, at = _varint(car, at)
        block = car[at : at + size]
        at += size
        cid, content = block[:_CID_BYTES], block[_CID_BYTES:]
        if len(block) != size or not cid.startswith(_CID):
            raise EvidenceError("The CAR file breaks off, or has a block of an unknown kind.")
        if hashlib.sha256(content).digest() != cid[len(_CID) :]:
            raise EvidenceError("A block of the CAR file is not what its hash says.")
        blocks[cid] = content
    if not isinstance(roots[0], bytes):
        raise EvidenceError("The root of the CAR file is no link.")
    return roots[0], blocks


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The unsigned LEB128 number at `at`, and where it ends."""
    number = shift = 0
    for step in range(9):
        if at + step >= len(raw):
            break
        byte = raw[at + step]
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at + step + 1
    raise EvidenceError("The CAR file breaks off.")


def _cbor(raw: bytes) -> Mapping[str, Any]:
    import libipld

    try:
        value = libipld.decode_dag_cbor(raw)
    except (ValueError, RecursionError):
        raise EvidenceError("A block of the CAR file is no DAG-CBOR.") from None
    if not isinstance(value, dict):
        raise EvidenceError("A block of the CAR file is no map.")
    return value


def _decoded(blocks: Blocks, cid: object) -> Mapping[str, Any]:
    if not isinstance(cid, bytes) or cid not in blocks:
        raise EvidenceError("The CAR file lacks a block on the way to the record.")
    return _cbor(blocks[cid])


def _find(blocks: Blocks, tree: object, wanted: bytes) -> bytes | None:
    """The link of `wanted` in a Merkle search tree, None if the tree has no such key.

    Each step goes to a block whose hash the last one names, so there can be no circle.
    """
    while True:
        node = _decoded(blocks, tree)
        entries = node.get("e")
        if not isinstance(entries, list):
            raise EvidenceError("A node of the repository's tree has no entries.")
        tree, before = node.get("l"), b""
        for entry in entries:
            match entry:
                case {"k": bytes(end), "p": int(shared), "v": bytes(link)}:
                    key = before[:shared] + end
                case _:
                    raise EvidenceError("An entry of the repository's tree cannot be read.")
            if not 0 <= shared <= len(before) or key <= before:
                raise EvidenceError("The keys of the repository's tree are out of order.")
            if key == wanted:
                return link
            if key > wanted:
                break
            tree, before = entry.get("t"), key
        if tree is None:
            return None


# -- signatures --------------------------------------------------------------------------------


def _signed(commit: Mapping[str, Any], key: Key) -> bool:
    """Whether `key` signed this commit: ECDSA over SHA-256, r and s in 64 bytes, s the low one."""
    import libipld

    signature = commit.get("sig")
    if not isinstance(signature, bytes) or len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if s > _ORDERS[key.curve.name] // 2:
        return False
    unsigned = {name: value for name, value in commit.items() if name != "sig"}
    try:
        key.verify(
            encode_dss_signature(r, s), libipld.encode_dag_cbor(unsigned), ec.ECDSA(SHA256())
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def signing_keys(document: Mapping[str, Any]) -> list[Key]:
    """The keys that sign the repository, as the DID's document names them; [] if none is known."""
    keys = []
    methods = document.get("verificationMethod")
    for method in methods if isinstance(methods, list) else ():
        if not isinstance(method, dict) or not str(method.get("id", "")).endswith("#atproto"):
            continue
        key = _key(str(method.get("type", "")), method.get("publicKeyMultibase"))
        if key is not None:
            keys.append(key)
    return keys


def _key(kind: str, multibase: object) -> Key | None:
    import libipld

    try:
        _, raw = libipld.decode_multibase(multibase if isinstance(multibase, str) else "")
        curve = _OLD_KEYS.get(kind)
        if kind == "Multikey":
            curve, raw = _MULTIKEYS[raw[:2]], raw[2:]
        return None if curve is None else Key.from_encoded_point(curve(), raw)
    except (ValueError, TypeError, KeyError):
        return None
