"""Asking a witness to cosign our checkpoint (c2sp.org/tlog-witness, the client's side).

In: the fetcher, the witness's address and key, and a log. Out: the checkpoint with the witness's
cosignature, verified. A witness that has seen something which our log does not continue is
evidence against the log: EvidenceError. One that does not answer or does not know us is not:
UsageError. `keep_cosigned` stores, one file a witness, so that one which falls silent does not take
back what it said; `Log.keep` adds a cosignature to the checkpoint itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vanished.archive.durable import TEMPORARY, make_folder, refusals, write_atomically
from vanished.archive.log.checkpoint import parse_size
from vanished.archive.log.log import Log
from vanished.archive.log.merkle import consistency_proof
from vanished.archive.log.note import (
    WITNESS_KEY,
    Note,
    VerifierKey,
    encode_base64,
    parse_signature,
)
from vanished.archive.log.tiles import TileReader
from vanished.errors import EvidenceError, UsageError
from vanished.net.exchange import Exchange, Fetch

SIZE_TYPE: Final = "text/x.tlog.size"
_MAX_ANSWER: Final = 64 * 1024
COSIGNATURES: Final = "cosignatures"
"""In the log's folder: the newest checkpoint that each witness has cosigned, by its name."""


async def cosign(fetch: Fetch, url: str, log: Log, witness: VerifierKey, *, seen: int = 0) -> Note:
    """The published checkpoint with a cosignature of `witness`, whose submission prefix is `url`.

    `seen` is the size that it last cosigned, if known; it tells us if that is another, and is
    asked a second time. Raises EvidenceError if the witness has seen another or a longer log under
    our name, or gives a signature that does not hold; UsageError if it refuses or does not answer.
    """
    if witness.kind != WITNESS_KEY:
        raise UsageError(f"'{witness.name}' is no witness: its key is a log's")
    note, size = log.note, log.size
    read = TileReader(log.folder, size)
    address = f"{url.rstrip('/')}/add-checkpoint"
    old = min(seen, size)
    for last in (False, True):
        proof = consistency_proof(read, old, size)
        lines = [f"old {old}", *map(encode_base64, proof), "", ""]
        body = "\n".join(lines).encode() + bytes(note)
        answer = await fetch.request(
            "POST", address, headers={"Content-Type": "text/plain; charset=utf-8"}, body=body
        )
        if answer.fault is None and answer.status == 200:
            return _cosigned(note, answer, witness)
        if answer.fault is not None or answer.status != 409:
            raise _refusal(answer, witness, log)
        old = _told(answer, witness, log, size, stop=last)
    raise AssertionError  # the second 409 has raised


def keep_cosigned(folder: Path, name: str, note: Note) -> None:
    """Keep in the log's `folder` what the witness `name` cosigned last. Raises StorageError."""
    with refusals(f"keep a cosigned checkpoint in {folder}"):
        make_folder(folder / COSIGNATURES)
        write_atomically(folder / COSIGNATURES / name, bytes(note))


def kept_cosigned(folder: Path) -> dict[str, bytes]:
    """Those notes, by the names of their witnesses; nothing in them is verified."""
    return {
        path.name: path.read_bytes()
        for path in sorted((folder / COSIGNATURES).glob("*"))
        if not path.name.endswith(TEMPORARY)
    }


def _cosigned(note: Note, answer: Exchange, witness: VerifierKey) -> Note:
    what = f"the answer of the witness '{witness.name}'"
    if len(answer.body) > _MAX_ANSWER:
        raise EvidenceError(f"{what} has {len(answer.body)} bytes; a cosignature is far shorter")
    lines = answer.body.decode("utf-8", errors="replace").removesuffix("\n").split("\n")
    given = [parse_signature(line, what) for line in lines]
    ours = tuple(signature for signature in given if signature.by(witness))
    if not ours:
        raise EvidenceError(
            f"{what} is signed by another key than {witness}; ask its operator for the key"
        )
    Note(note.text, ours).signed_by([witness], what)
    return note.with_signatures(ours)


def _told(answer: Exchange, witness: VerifierKey, log: Log, size: int, *, stop: bool) -> int:
    """The size that the witness says it has cosigned, if a proof from there may help."""
    try:
        told = parse_size(answer.body.decode("ascii", errors="replace").removesuffix("\n"))
    except ValueError:
        raise UsageError(
            f"the witness '{witness.name}' answered 409 without the size that it has cosigned;"
            " tell its operator"
        ) from None
    if told > size:
        raise EvidenceError(
            f"the witness '{witness.name}' has cosigned {told} leaves of the log '{log.origin}',"
            f" which has {size} here: this is an older copy, or somebody else signs with its key;"
            " sign nothing more with it before you know which"
        )
    if stop:
        raise EvidenceError(
            f"the witness '{witness.name}' refused {size} leaves of the log '{log.origin}' twice,"
            f" having cosigned {told}: it has seen another root at that size, or is asked by two at"
            " once; compare its checkpoint with this log"
        )
    return told


def _refusal(answer: Exchange, witness: VerifierKey, log: Log) -> EvidenceError | UsageError:
    """What the witness's refusal means, in a sentence."""
    asked = f"the witness '{witness.name}' did not cosign the log '{log.origin}'"
    if answer.fault is not None:
        return UsageError(f"{asked}: {answer.words or answer.fault}; try again later")
    if answer.status == 422:
        return EvidenceError(
            f"{asked}: what it has seen of the log is not the beginning of what it was shown; the"
            " log has forked, or its tiles are damaged"
        )
    reasons = {
        400: "it could not read the request (400); tell its operator",
        403: "it does not trust the key that signed (403); give its operator the log's new key",
        404: "it does not know that log (404); give its operator the log's verifier key",
    }
    return UsageError(f"{asked}: {reasons.get(answer.status or 0, f'it answered {answer.status}')}")
