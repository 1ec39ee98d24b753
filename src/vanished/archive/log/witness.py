"""A small witness: it cosigns the checkpoints of logs that only ever grow (c2sp.org/tlog-witness).

In: POST /add-checkpoint with a checkpoint and a consistency proof from the last one that it
cosigned. Out: a cosignature, or the refusal that the specification demands. What it has cosigned
lies in its folder, one file a log, durable before the answer; a damaged file stops that log, it
is never taken for a log not yet seen. One process serves a folder. It reads no log by itself.

Its memory is the folder: a witness whose folder was lost or restored from a backup can be made to
sign a fork. Give it a new key then.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import web

from vanished.archive.durable import TEMPORARY, make_folder, refusals, write_atomically
from vanished.archive.log.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_size,
    read_checkpoint,
)
from vanished.archive.log.cosign import SIZE_TYPE
from vanished.archive.log.merkle import EMPTY, HASH, verify_consistency
from vanished.archive.log.note import (
    WITNESS_KEY,
    Note,
    SignerKey,
    VerifierKey,
    decode_base64,
    parse_note,
)
from vanished.clock import Clock, SystemClock
from vanished.errors import (
    ConfigError,
    DamagedError,
    EvidenceError,
    LockedError,
    StorageError,
    UsageError,
    VanishedError,
)
from vanished.model import SECOND

LOGS: Final = "logs"
"""File in the witness's folder: a verifier key a line; blank lines and # comments."""
MAX_BODY: Final = 64 * 1024
MAX_PROOF: Final = 63
READ_S: Final = 10.0
"""Seconds that a request may take to arrive."""

Logs = Mapping[str, tuple[VerifierKey, ...]]
"""The keys of each log that is witnessed, by its origin: the key's name."""

_PLAIN: Final = "text/plain"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: HTTP status, body, content type."""

    status: int
    body: str
    kind: str = _PLAIN


def read_logs(path: Path) -> Logs:
    """Read the logs to witness. Raises ConfigError with file and line."""
    found: dict[str, tuple[VerifierKey, ...]] = {}
    with refusals(f"read {path}"):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            raise ConfigError(
                f"{path} is missing: write the verifier key of each log to witness into it"
            ) from None
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            key = VerifierKey.parse(text)
        except UsageError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from None
        found[key.name] = (*found.get(key.name, ()), key)
    return found


@dataclass(frozen=True, slots=True)
class Witness:
    """The witness's judgement and memory. `consider` must run one at a time: see `witness_app`."""

    folder: Path
    key: SignerKey
    logs: Logs
    clock: Clock

    def latest(self, origin: str) -> Checkpoint:
        """The last checkpoint of a log that was cosigned here; the empty tree before the first.

        Raises DamagedError if the memory of it does not hold, which nothing may make up for.
        """
        path = self._path(origin)
        with refusals(f"read the witness's memory {path}"):
            try:
                raw = path.read_bytes()
            except FileNotFoundError:
                return Checkpoint(origin, 0, EMPTY)
        try:
            note = parse_note(raw, str(path))
            found = parse_checkpoint(note.text, str(path))
            note.signed_by([self.key.verifier], str(path))
        except EvidenceError as error:
            raise DamagedError(
                f"{error}; the witness must not sign for this log again before it is restored"
            ) from None
        if found.origin != origin:
            raise DamagedError(f"{path} is about another log; restore the witness's folder")
        return found

    def consider(self, body: bytes) -> Answer:
        """Check a request, remember the new checkpoint durably, and cosign it.

        Raises DamagedError and StorageError: then nothing was signed.
        """
        try:
            old, proof, raw = _request(body)
            offered = parse_checkpoint(parse_note(raw).text)
        except EvidenceError as error:
            return Answer(400, f"{error}\n")
        keys = self.logs.get(offered.origin)
        if keys is None:
            return Answer(404, "this witness does not know that log\n")
        try:
            _, note = read_checkpoint(raw, keys)
        except EvidenceError as error:
            return Answer(403, f"{error}\n")
        if old > offered.size:
            return Answer(400, "the old size is larger than the checkpoint's\n")
        last = self.latest(offered.origin)
        conflict = Answer(409, f"{last.size}\n", SIZE_TYPE)
        if old != last.size or (old == offered.size and offered.root != last.root):
            return conflict
        if not verify_consistency(old, offered.size, proof, last.root, offered.root):
            return Answer(422, "the proof does not lead from the last checkpoint to this one\n")
        signature = self.key.sign(note.text, self.clock.now() // SECOND)
        own = [one for one in note.signatures if any(one.by(key) for key in keys)]
        with refusals("keep the checkpoint to be cosigned"):
            write_atomically(self._path(offered.origin), bytes(Note(note.text, (*own, signature))))
        return Answer(200, str(signature))

    def _path(self, origin: str) -> Path:
        return self.folder / "seen" / sha256(origin.encode()).hexdigest()[:32]


def _request(body: bytes) -> tuple[int, list[bytes], bytes]:
    """Old size, proof and checkpoint of a request. Raises EvidenceError."""
    head, blank, note = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        word, _, number = first.partition(" ")
        proof = [decode_base64(line) for line in lines]
        if not blank or word != "old" or any(len(one) != HASH for one in proof):
            raise ValueError(word)
        if len(proof) > MAX_PROOF:
            raise ValueError("too long")
        return parse_size(number), proof, note
    except ValueError:
        raise EvidenceError(
            "the request is none: it must be 'old SIZE', a proof of at most 63 hashes, an empty"
            " line and a checkpoint"
        ) from None


@contextmanager
def open_witness(
    folder: Path, key: SignerKey, logs: Logs, clock: Clock | None = None
) -> Iterator[Witness]:
    """The witness of `folder`, for this process only.

    Raises UsageError for a key that is no witness's, LockedError if another process serves the
    folder, DamagedError if its memory of a log does not hold, StorageError.
    """
    if key.kind != WITNESS_KEY:
        raise UsageError(f"'{key.name}' cannot be a witness: its key is a log's")
    if any(one.public == key.verifier.public for keys in logs.values() for one in keys):
        raise UsageError(f"'{key.name}' cannot witness a log with the log's own key; make another")
    with refusals(f"open the witness's folder {folder}"):
        make_folder(folder / "seen")
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LockedError(
                f"another process serves the witness in {folder}; stop it first"
            ) from None
        for unfinished in (folder / "seen").glob(f"*{TEMPORARY}"):
            unfinished.unlink(missing_ok=True)
        witness = Witness(folder, key, logs, clock or SystemClock())
        for origin in logs:
            witness.latest(origin)
        yield witness
    finally:
        os.close(descriptor)


def witness_app(
    folder: Path, key: SignerKey, logs: Logs, *, clock: Clock | None = None
) -> web.Application:
    """The web application of a witness; it holds its folder while it runs."""
    turn = asyncio.Lock()  # checking and remembering are one step: see c2sp.org/tlog-witness
    app = web.Application(client_max_size=MAX_BODY)
    serving: list[Witness] = []

    async def hold(_: web.Application) -> AsyncIterator[None]:
        with open_witness(folder, key, logs, clock) as witness:
            serving.append(witness)
            yield
            serving.clear()

    async def add_checkpoint(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(READ_S):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408, text="the request took too long to arrive\n")
        async with turn:
            # Shielded: a client that hangs up must not let the next one in before this has ended.
            task = asyncio.ensure_future(asyncio.to_thread(_answer, serving[0], body))
            try:
                answer = await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                raise
        body = answer.body.encode()  # as bytes: the specification's type goes without a charset
        return web.Response(status=answer.status, body=body, content_type=answer.kind)

    app.cleanup_ctx.append(hold)
    app.router.add_post("/add-checkpoint", add_checkpoint)
    return app


def _answer(witness: Witness, body: bytes) -> Answer:
    try:
        return witness.consider(body)
    except (DamagedError, StorageError):  # the operator's business, not the client's
        return Answer(500, "the witness cannot sign at present; its operator must look after it\n")
    except VanishedError as error:
        return Answer(400, f"{error}\n")


async def serve_witness(
    folder: Path,
    host: str,
    port: int,
    key: SignerKey,
    logs: Logs | None = None,
    *,
    clock: Clock | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until cancelled; `ready` is called with the port once requests are taken.

    `logs` are those of the folder's file `logs` if not given. Raises as `open_witness` does, and
    UsageError if the port cannot be had.
    """
    known = read_logs(folder / LOGS) if logs is None else logs
    runner = web.AppRunner(witness_app(folder, key, known, clock=clock), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"the witness cannot listen on {host}:{port}: {error.strerror}; choose another port"
            ) from None
        if ready is not None:
            ready(int(runner.addresses[0][1]))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
