"""The transparency log: what was committed to, when, and that nothing was taken back.

    merkle      RFC 6962: hashes, proofs, their verification (pure)
    tiles       how the tree lies on disk (c2sp.org/tlog-tiles)
    note        signed notes and keys (c2sp.org/signed-note, tlog-cosignature)
    checkpoint  origin, size, root (c2sp.org/tlog-checkpoint); forks
    keys        the log's keys and how one follows the other
    log         append, publish, prove, repair; `check_log` names every damage
    check       the tiles against the signed root
    receipt     offline proofs (c2sp.org/tlog-proof)
    cosign      asking a witness (c2sp.org/tlog-witness), and keeping what it signed
    witness     being one: `serve_witness`; imported by its own name, for it is a web server

In a log's folder: `checkpoint`, `tile/…`, `vkeys`, `rotations/SIZE`, `cosignatures/WITNESS`. Only
hashes and signatures: all of it can be published. A leaf is `leaf_hash(salt + manifest_hash)`.

    log = Log.create(folder, SignerKey.generate("example.org/observatory"))
    first = log.append([leaf_hash(salt + manifest_hash)])
    log.checkpoint()                                       # durable once this returns
    receipt = bytes(make_receipt(log, first, salt + manifest_hash))
    verify_receipt(parse_receipt(receipt), [LogKey(log.keys[0].key)])
"""

from vanished.archive.log.check import Damage
from vanished.archive.log.checkpoint import Checkpoint, Fork, detect_fork, read_checkpoint
from vanished.archive.log.cosign import COSIGNATURES, cosign, keep_cosigned, kept_cosigned
from vanished.archive.log.keys import LogKey, read_keys
from vanished.archive.log.log import Log, check_log
from vanished.archive.log.merkle import leaf_hash
from vanished.archive.log.note import LOG_KEY, WITNESS_KEY, Note, SignerKey, VerifierKey, parse_note
from vanished.archive.log.receipt import Proven, Receipt
from vanished.archive.log.receipt import make as make_receipt
from vanished.archive.log.receipt import parse as parse_receipt
from vanished.archive.log.receipt import verify as verify_receipt

__all__ = [
    "COSIGNATURES",
    "LOG_KEY",
    "WITNESS_KEY",
    "Checkpoint",
    "Damage",
    "Fork",
    "Log",
    "LogKey",
    "Note",
    "Proven",
    "Receipt",
    "SignerKey",
    "VerifierKey",
    "check_log",
    "cosign",
    "detect_fork",
    "keep_cosigned",
    "kept_cosigned",
    "leaf_hash",
    "make_receipt",
    "parse_note",
    "parse_receipt",
    "read_checkpoint",
    "read_keys",
    "verify_receipt",
]
