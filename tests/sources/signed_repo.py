"""Signed AT Protocol repositories made here, to be damaged as no real server would.

In: a DID, the records, a key. Out: the CAR file that a host would send and the DID's document. A
tree of one node, or of one node with a subtree in each place: a reader has to follow both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import libipld
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DID = "did:plc:" + "b" * 24
HOST = "https://host.example.org"
K256 = ec.generate_private_key(ec.SECP256K1())
P256 = ec.generate_private_key(ec.SECP256R1())
ORDERS = {
    "secp256k1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
PREFIX = {"secp256k1": b"\xe7\x01", "secp256r1": b"\x80\x24"}

Blocks = dict[bytes, bytes]


def block(value: Any, blocks: Blocks) -> bytes:
    """Put a value into `blocks`; its link."""
    raw = libipld.encode_dag_cbor(value)
    cid = b"\x01\x71\x12\x20" + hashlib.sha256(raw).digest()
    blocks[cid] = raw
    return cid


def node(keys: list[str], links: Mapping[str, bytes], blocks: Blocks, *, deep: bool) -> bytes:
    """A tree over `keys`; `deep`: every other key lies in a subtree of its own."""
    here = keys[1::2] if deep else keys
    below = dict(zip([None, *here], keys[0::2], strict=False)) if deep else {}

    def under(key: str | None) -> bytes | None:
        return node([below[key]], links, blocks, deep=False) if key in below else None

    entries, before = [], b""
    for key in here:
        raw = key.encode()
        shared = next(
            (n for n, (a, b) in enumerate(zip(before, raw, strict=False)) if a != b),
            min(len(before), len(raw)),
        )
        entries.append({"k": raw[shared:], "p": shared, "v": links[key], "t": under(key)})
        before = raw
    return block({"l": under(None), "e": entries}, blocks)


def sign(commit: Mapping[str, Any], key: ec.EllipticCurvePrivateKey, *, high: bool = False) -> Any:
    r, s = decode_dss_signature(key.sign(libipld.encode_dag_cbor(commit), ec.ECDSA(SHA256())))
    order = ORDERS[key.curve.name]
    if (s > order // 2) != high:
        s = order - s
    return {**commit, "sig": r.to_bytes(32) + s.to_bytes(32)}


def make_repo(
    records: Mapping[str, Any],
    key: ec.EllipticCurvePrivateKey = K256,
    *,
    deep: bool = False,
    high: bool = False,
    **commit: Any,
) -> tuple[bytes, Blocks]:
    """The root and blocks of a repository with `records` by path."""
    blocks: Blocks = {}
    links = {path: block(record, blocks) for path, record in records.items()}
    data = node(sorted(records), links, blocks, deep=deep)
    unsigned = {"did": DID, "version": 3, "rev": "3kaaaaaaaaa2a", "prev": None, "data": data}
    return block(sign({**unsigned, **commit}, key, high=high), blocks), blocks


def car(root: bytes, blocks: Blocks) -> bytes:
    """The file of these blocks."""
    parts = [libipld.encode_dag_cbor({"roots": [root], "version": 1})]
    parts += [cid + raw for cid, raw in blocks.items()]
    return b"".join(varint(len(part)) + part for part in parts)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def document(
    key: ec.EllipticCurvePrivateKey = K256, *, host: str = HOST, old: bool = False
) -> dict[str, Any]:
    """A DID's document, with its key in today's form or in the old one."""
    form = PublicFormat.UncompressedPoint if old else PublicFormat.CompressedPoint
    point = key.public_key().public_bytes(Encoding.X962, form)
    curve = key.curve.name
    kind = f"EcdsaSecp256{curve[-2:]}VerificationKey2019" if old else "Multikey"
    raw = point if old else PREFIX[curve] + point
    method = {"id": f"{DID}#atproto", "type": kind, "controller": DID}
    method["publicKeyMultibase"] = libipld.encode_multibase("z", raw)
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": host}
    return {"id": DID, "verificationMethod": [method], "service": [service]}
