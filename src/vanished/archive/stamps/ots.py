"""OpenTimestamps: a digest goes to calendars, which later say in which Bitcoin block it stands.

In: bytes, calendars, a way to fetch. Out: the bytes of a detached proof, as the `ots` tool reads
them, and a `Proof` that says how far it has come: pending, attested (a block is named, but nobody
here has its header), confirmed (the header says the same), failed. Needs the `opentimestamps`
library (extra `publish`), whose own network code is not used. Knows no Bitcoin node: headers come
from a file that the user trusts (`header_file`).
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from vanished.errors import ConfigError, UsageError
from vanished.model import SECOND, Micros
from vanished.net.exchange import Exchange, Fetch

MAX_ANSWER: Final = 10_000
"""Bytes of a calendar's answer; the reference client's limit."""
MAX_PROOF: Final = 64 * 1024
MAX_NODES: Final = 16
"""Pending places of one proof that are asked about; an honest calendar makes one."""
NO_ANSWER: Final = "the calendar gave no proof"
_MAX_HEIGHT: Final = 1 << 31
_HEADER: Final = 80

Headers = Callable[[int], bytes | None]
"""The 80 bytes of the Bitcoin block header at a height; None where it is not known."""


class State(StrEnum):
    PENDING = "pending"
    ATTESTED = "attested"  # in a Bitcoin block, whose header was not checked
    CONFIRMED = "confirmed"  # in a Bitcoin block, whose header says so
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Proof:
    """What one detached file proves about some bytes."""

    state: State
    words: str
    height: int | None = None  # of the Bitcoin block
    merkle_root: str = ""  # as block explorers show it: hex, bytes reversed
    time: Micros | None = (
        None  # of the block's header, which Bitcoin itself knows to some two hours
    )
    waiting_for: tuple[str, ...] = ()  # calendars that have named no block yet


@dataclass(frozen=True, slots=True)
class Answered:
    """A calendar's part in a submission or an upgrade. `words` is "" where it gave a proof."""

    calendar: str
    words: str = ""


def header_file(path: Path) -> Headers:
    """Headers from a file of 80 bytes each, from block 0 on. Raises ConfigError.

    Make it from a node that you trust, with bitcoin-cli getblockheader HASH false. The file is not
    verified beyond its length.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigError(f"the block headers {path} cannot be read: {error.strerror}") from None
    if size == 0 or size % _HEADER:
        raise ConfigError(f"{path} has {size} bytes, which is no number of block headers of 80")

    def header(height: int) -> bytes | None:
        with path.open("rb") as file:
            file.seek(height * _HEADER)
            found = file.read(_HEADER)
        return found if len(found) == _HEADER else None

    return header


def require() -> None:
    """Raises UsageError where the library is missing."""
    _library()


def _library() -> tuple[Any, Any, Any, Any]:
    """The modules timestamp, notary, serialize and op of the library."""
    try:
        from opentimestamps.core import notary, op, serialize, timestamp
    except ImportError:
        raise UsageError(
            "OpenTimestamps calendars need the library opentimestamps; "
            "install it with: pip install 'vanished[publish]'"
        ) from None
    return timestamp, notary, serialize, op


# -- asking ------------------------------------------------------------------------------------


async def submit(
    message: bytes, calendars: tuple[str, ...], fetch: Fetch, proof: bytes | None = None
) -> tuple[bytes | None, tuple[Answered, ...]]:
    """Submit SHA-256(`message`) to `calendars`: the proof, and what each of them answered.

    Answers are merged into `proof` where there is one already. The proof is None where nobody
    answered. Raises ValueError for a proof that cannot be read, UsageError without the library.
    """
    _library()
    digest = hashlib.sha256(message).digest()
    exchanges = await asyncio.gather(
        *(
            fetch.request("POST", _joined(url, "digest"), headers=_headers(), body=digest)
            for url in calendars
        )
    )
    answers: list[Answered] = []
    for url, exchange in zip(calendars, exchanges, strict=True):
        proof, words = _grown(proof, digest, digest, exchange)
        answers.append(Answered(url, words))
    return proof, tuple(answers)


async def upgrade(
    proof: bytes, fetch: Fetch, skip: frozenset[str] = frozenset()
) -> tuple[bytes, tuple[Answered, ...]]:
    """Ask the calendars for what became of `proof`: the better proof, and what each answered.

    Only nodes without a block are asked about, at the addresses that the calendars gave when they
    took the digest; `skip` are addresses that were found down a moment ago. Returns `proof` itself
    where nothing new came. Raises ValueError for a proof that cannot be read, UsageError.
    """
    start = _read(proof).timestamp
    places = [(node.msg, url) for node, url in _open_nodes(start)]
    grown: bytes | None = proof
    answers: list[Answered] = []
    for place, url in places[:MAX_NODES]:
        if url in skip:
            continue
        exchange = await fetch.request(
            "GET", _joined(url, f"timestamp/{place.hex()}"), headers=_headers()
        )
        if exchange.fault is None and exchange.status == 404:
            words = "the calendar has named no block yet"
        else:
            grown, words = _grown(grown, start.msg, place, exchange)
        answers.append(Answered(url, words))
    return grown or proof, tuple(answers)


def _headers() -> dict[str, str]:
    return {"Accept": "application/vnd.opentimestamps.v1"}


def _joined(url: str, path: str) -> str:
    return f"{url.rstrip('/')}/{path}"


def _grown(
    proof: bytes | None, digest: bytes, place: bytes, exchange: Exchange
) -> tuple[bytes | None, str]:
    """`proof` of `digest` with what a calendar says about its node `place`.

    Or `proof` as it was, with a sentence, where that is nothing of use: also where the proof
    could not be read again after it, so that no calendar can spoil the others' part.
    """
    timestamp, _, serialize, op = _library()
    if exchange.fault is not None:
        return proof, f"{NO_ANSWER}: {exchange.words or exchange.fault.value}"
    if exchange.status != 200:
        return proof, f"the calendar answered {exchange.status} instead of a proof; check its URL"
    if len(exchange.body) > MAX_ANSWER:
        size = len(exchange.body)
        return proof, f"the answer has {size} bytes, more than any proof ({MAX_ANSWER})"
    whole = timestamp.Timestamp(digest) if proof is None else _read(proof).timestamp
    context = serialize.BytesDeserializationContext(exchange.body)
    try:
        if whole.msg != digest:
            raise ValueError("the proof kept so far belongs to other bytes")
        found = timestamp.Timestamp.deserialize(context, place)
        context.assert_eof()
        next(node for node in _nodes(whole) if node.msg == place).merge(found)
        grown = _write(timestamp.DetachedTimestampFile(op.OpSHA256(), whole))
        _read(grown)
    except _errors() as error:
        return proof, f"the answer is no OpenTimestamps proof: {_short(error)}"
    return grown, ""


# -- reading -----------------------------------------------------------------------------------


def examine(proof: bytes, message: bytes, headers: Headers | None) -> Proof:
    """What `proof`, the bytes of a detached file, proves about `message`, offline.

    Raises UsageError without the library.
    """
    _, notary, _, op = _library()
    try:
        file = _read(proof)
    except ValueError as error:
        return Proof(State.FAILED, str(error))
    digest = hashlib.sha256(message).digest()
    if not isinstance(file.file_hash_op, op.OpSHA256) or file.timestamp.msg != digest:
        return Proof(State.FAILED, "it stamps other bytes than these: its digest is not theirs")
    waiting = tuple(url for _, url in _open_nodes(file.timestamp))
    blocks = sorted(
        (attestation.height, root)
        for root, attestation in file.timestamp.all_attestations()
        if isinstance(attestation, notary.BitcoinBlockHeaderAttestation)
    )
    results = [_check_block(height, root, headers, waiting) for height, root in blocks]
    for state in (State.CONFIRMED, State.ATTESTED):
        for result in results:
            if result.state is state:
                return result
    if waiting:
        refuted = f"; {results[0].words}" if results else ""
        return Proof(State.PENDING, f"waiting for {len(waiting)} calendars{refuted}",
                     waiting_for=waiting)  # fmt: skip
    if results:
        return results[0]
    return Proof(State.FAILED, "it names neither a calendar nor a Bitcoin block")


def _check_block(
    height: int, root: bytes, headers: Headers | None, waiting: tuple[str, ...]
) -> Proof:
    if len(root) != 32 or height >= _MAX_HEIGHT:
        return Proof(State.FAILED, "it names a Bitcoin block that cannot exist")
    shown = root[::-1].hex()
    header = None if headers is None else headers(height)
    if header is None:
        words = f"attested in Bitcoin block {height}, header not checked"
        return Proof(State.ATTESTED, words, height, shown, None, waiting)
    # A block header: version 4, previous block 32, Merkle root 32, time 4, bits 4, nonce 4 bytes.
    if header[36:68] != root:
        words = f"Bitcoin block {height} has another Merkle root than this proof leads to"
        return Proof(State.FAILED, words, height, shown)
    time = struct.unpack_from("<I", header, 68)[0] * SECOND
    return Proof(
        State.CONFIRMED, f"in Bitcoin block {height}, header checked", height, shown, time, waiting
    )


def _open_nodes(node: Any) -> Iterator[tuple[Any, str]]:
    """Nodes that a calendar promised to complete and that lead to no block yet, with its URL."""
    _, notary, _, _ = _library()
    for place in _nodes(node):
        promised = [a.uri for a in place.attestations if isinstance(a, notary.PendingAttestation)]
        if promised and not any(
            isinstance(attestation, notary.BitcoinBlockHeaderAttestation)
            for _, attestation in place.all_attestations()
        ):
            yield from ((place, uri) for uri in sorted(promised))


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for below in node.ops.values():
        yield from _nodes(below)


def _read(proof: bytes) -> Any:
    """The detached file. Raises ValueError in a sentence."""
    timestamp, _, serialize, _ = _library()
    if len(proof) > MAX_PROOF:
        raise ValueError(f"it has {len(proof)} bytes, more than any proof ({MAX_PROOF})")
    try:
        return timestamp.DetachedTimestampFile.deserialize(
            serialize.BytesDeserializationContext(proof)
        )
    except _errors() as error:
        raise ValueError(f"it is no OpenTimestamps proof: {_short(error)}") from None


def _write(file: Any) -> bytes:
    _, _, serialize, _ = _library()
    context = serialize.BytesSerializationContext()
    file.serialize(context)
    written: bytes = context.getbytes()
    return written


def _errors() -> tuple[type[Exception], ...]:
    """What the library raises for bytes that are no proof."""
    _, _, serialize, _ = _library()
    return (
        serialize.DeserializationError,
        ValueError,
        TypeError,
        AssertionError,
        AttributeError,
        PendingDeprecationWarning,  # of an operation that nobody uses, where warnings are errors
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
