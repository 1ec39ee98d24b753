"""Witnesses: if these fail, a log can show different people different pasts, and nobody notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.archive.log.trees import ORIGIN, grow, key, leaf, make_log
from vanished.archive.durable import write_atomically
from vanished.archive.log import Log, LogKey, VerifierKey, cosign, make_receipt, verify_receipt
from vanished.archive.log.checkpoint import parse_checkpoint
from vanished.archive.log.merkle import EMPTY, consistency_proof
from vanished.archive.log.note import WITNESS_KEY, SignerKey, encode_base64, parse_note
from vanished.archive.log.witness import Logs, Witness, open_witness, read_logs, serve_witness
from vanished.clock import SystemClock
from vanished.errors import ConfigError, DamagedError, EvidenceError, LockedError, UsageError
from vanished.net.door import Door, DoorSettings
from vanished.net.exchange import Fetch
from vanished.net.politeness import Politeness

WITNESS = key("witness.example/w", WITNESS_KEY)
LOGS: Logs = {ORIGIN: (key().verifier,)}


@contextlib.asynccontextmanager
async def serving(folder: Path, signer: SignerKey, logs: Logs) -> AsyncIterator[str]:
    """A witness on a free port of loopback; gives its submission prefix."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve_witness(folder, "127.0.0.1", 0, signer, logs, ready=ready.set_result)
    )
    try:
        task.add_done_callback(lambda _: ready.cancel())  # it failed: do not wait for it
        port = await asyncio.wait_for(ready, 10)
        yield f"http://127.0.0.1:{port}"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def fetching() -> AsyncIterator[Fetch]:
    settings = DoorSettings(timeout_s=10, allow_networks=("127.0.0.0/8",))
    async with Door(settings, SystemClock(), Politeness(1000.0)) as door:
        yield door.fetcher(prepaid=100)


def request(log: Log, old: int, size: int | None = None, note: bytes | None = None) -> bytes:
    """A request to cosign the published checkpoint, or `note` of `size` leaves."""
    size = log.size if size is None else size
    proof = consistency_proof(log.reader(), old, size) if old <= size else []
    lines = [f"old {old}", *map(encode_base64, proof), "", ""]
    return "\n".join(lines).encode() + (note or bytes(log.note))


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    with open_witness(tmp_path / "witness", WITNESS, LOGS) as found:
        yield found


async def test_two_observatories_cosign_each_other(tmp_path: Path) -> None:
    """Each runs a log and a witness; receipts then carry the other's word and time."""
    names = ("a.example/log", "b.example/log")
    logs = [make_log(tmp_path / name[0], 300, name=name) for name in names]
    signers = [key(f"{name[0]}.example/witness", WITNESS_KEY) for name in names]
    known: list[Logs] = [{name: (key(name).verifier,)} for name in reversed(names)]
    async with (
        fetching() as fetch,
        serving(tmp_path / "wa", signers[0], known[0]) as at_a,
        serving(tmp_path / "wb", signers[1], known[1]) as at_b,
    ):
        for _ in range(3):
            for log, url, by in ((logs[0], at_b, signers[1]), (logs[1], at_a, signers[0])):
                note = await cosign(fetch, url, log, by.verifier)
                assert log.keep(note)
                receipt = make_receipt(log, 7)
                proven = verify_receipt(
                    receipt, [LogKey(log.keys[0].key)], leaf(7),
                    witnesses=[by.verifier], needed=1,
                )  # fmt: skip
                assert proven.witnesses[0].at_s is not None
                assert len(bytes(receipt)) <= 1_536
                grow(log, 200)
        with pytest.raises(UsageError, match=r"does not know that log \(404\)"):
            await cosign(fetch, at_a, logs[0], signers[0].verifier)


async def test_a_known_size_saves_the_second_question(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 10)
    async with fetching() as fetch, serving(tmp_path / "w", WITNESS, LOGS) as url:
        await cosign(fetch, url, log, WITNESS.verifier)
        asked = len(fetch.exchanges)  # type: ignore[attr-defined]
        grow(log, 10)
        await cosign(fetch, url, log, WITNESS.verifier, seen=10)
        await cosign(fetch, url, log, WITNESS.verifier, seen=20)
        assert len(fetch.exchanges) == asked + 2  # type: ignore[attr-defined]


async def test_a_fork_and_a_rollback_are_evidence(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 50, 50)
    fork = make_log(tmp_path / "fork", 50, branch="fork")
    async with fetching() as fetch, serving(tmp_path / "w", WITNESS, LOGS) as url:
        await cosign(fetch, url, log, WITNESS.verifier)
        with pytest.raises(EvidenceError, match=r"has cosigned 100 leaves .* has 50 here"):
            await cosign(fetch, url, fork, WITNESS.verifier)
        grow(fork, 50, "fork")
        with pytest.raises(EvidenceError, match="seen another root at that size"):
            await cosign(fetch, url, fork, WITNESS.verifier)
        grow(fork, 50, "fork")
        with pytest.raises(EvidenceError, match="the log has forked"):
            await cosign(fetch, url, fork, WITNESS.verifier)
        grow(log, 1)
        await cosign(fetch, url, log, WITNESS.verifier)


async def test_a_witness_that_is_away_or_another_is_no_evidence(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 5)
    async with fetching() as fetch:
        async with serving(tmp_path / "w", WITNESS, LOGS) as url:
            with pytest.raises(EvidenceError, match="signed by another key than"):
                await cosign(fetch, url, log, key("other.example", WITNESS_KEY).verifier)
            with pytest.raises(UsageError, match="is no witness"):
                await cosign(fetch, url, log, key().verifier)
            foreign = make_log(tmp_path / "thief", 6)
            object.__setattr__(foreign.note.signatures[0], "key_id", b"1234")
            with pytest.raises(UsageError, match=r"does not trust the key that signed \(403\)"):
                await cosign(fetch, url, foreign, WITNESS.verifier)
        with pytest.raises(UsageError, match=r"did not cosign .* try again later"):
            await cosign(fetch, url, log, WITNESS.verifier)


async def test_what_was_cosigned_is_remembered_over_a_restart(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 50)
    fork = make_log(tmp_path / "fork", 50, branch="fork")
    async with fetching() as fetch:
        async with serving(tmp_path / "w", WITNESS, LOGS) as url:
            await cosign(fetch, url, log, WITNESS.verifier)
        async with serving(tmp_path / "w", WITNESS, LOGS) as url:
            with pytest.raises(EvidenceError, match="another root"):
                await cosign(fetch, url, fork, WITNESS.verifier)


async def test_of_many_asked_at_once_none_rolls_the_witness_back(tmp_path: Path) -> None:
    """The race of the specification: N and N+K asked together must not end at N."""
    log = make_log(tmp_path / "log", 20)
    notes = []
    for _ in range(30):
        grow(log, 7)
        notes.append((log.size, bytes(log.note)))
    async with serving(tmp_path / "w", WITNESS, LOGS) as url, aiohttp.ClientSession() as session:

        async def ask(size: int, note: bytes) -> int:
            body = request(log, 0, size, note)
            async with session.post(f"{url}/add-checkpoint", data=body) as answer:
                assert answer.status in (200, 409)
                return size if answer.status == 200 else 0

        cosigned = await asyncio.gather(*(ask(*one) for one in notes))
        assert sum(one > 0 for one in cosigned) == 1, "two checkpoints were signed from size 0"
        async with session.post(f"{url}/add-checkpoint", data=request(log, 1)) as answer:
            assert answer.content_type == "text/x.tlog.size"
            assert "charset" not in answer.headers["Content-Type"]
            assert await answer.text() == f"{max(cosigned)}\n"


async def test_large_and_foreign_requests_are_refused(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "w", WITNESS, LOGS) as url,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"{url}/add-checkpoint", data=b"a" * 10**6) as answer:
            assert answer.status == 413
        async with session.get(f"{url}/add-checkpoint") as answer:
            assert answer.status == 405
        async with session.post(f"{url}/add-checkpoint", data=b"\xff" * 100) as answer:
            assert answer.status == 400


def test_the_answers_are_those_of_the_specification(witness: Witness, tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 40)
    good = request(log, 0)
    for junk in (b"", b"old 0\n", good.replace(b"old 0", b"old 00"), good.replace(b"old", b"new"),
                 good.replace(b"old 0\n", b"old 0\nAAAA\n"), good[:-1],
                 good.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n" * 64)):  # fmt: skip
        assert witness.consider(junk).status == 400
    assert witness.consider(good.replace(ORIGIN.encode(), b"other.example")).status == 404
    assert witness.consider(good.replace(b"\n40\n", b"\n41\n")).status == 403
    assert witness.consider(request(log, 41)).status == 400
    assert witness.consider(request(log, 5)).body == "0\n"
    padded = good.replace(b"old 0\n", f"old 0\n{encode_base64(leaf(1))}\n".encode())
    assert witness.consider(padded).status == 422, "a proof from size 0 must be empty"
    answer = witness.consider(good)
    assert answer.status == 200
    cosigned = parse_note(bytes(log.note) + answer.body.encode())
    assert len(cosigned.signed_by([WITNESS.verifier, key().verifier])) == 2
    assert witness.consider(request(log, 40)).status == 200, "the same again may be asked for"
    assert (witness.consider(good).status, witness.consider(good).body) == (409, "40\n")
    assert witness.latest(ORIGIN) == parse_checkpoint(log.note.text)


def test_a_log_that_changed_its_key_is_known_by_both(tmp_path: Path) -> None:
    new = key(number=1)
    both: Logs = {ORIGIN: (key().verifier, new.verifier)}
    log = make_log(tmp_path / "log", 5)
    with open_witness(tmp_path / "w", WITNESS, both) as witness:
        assert witness.consider(request(log, 0)).status == 200
        log.append([leaf(5)])
        log.rotate(new)
        assert witness.consider(request(log, 5)).status == 200
        grow(log, 4)
        assert witness.consider(request(log, 6)).status == 200


def test_a_failing_disk_signs_nothing_and_forgets_nothing(
    witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(tmp_path / "log", 40)
    assert witness.consider(request(log, 0)).status == 200
    grow(log, 10)

    def failing(path: Path, content: bytes, *, mode: int = 0o644) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("vanished.archive.log.witness.write_atomically", failing)
    with pytest.raises(Exception, match="the disk is full"):
        witness.consider(request(log, 40))
    monkeypatch.undo()
    assert witness.latest(ORIGIN).size == 40
    assert witness.consider(request(log, 40)).status == 200


def test_a_damaged_memory_is_never_taken_for_a_new_log(witness: Witness, tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 40)
    assert witness.latest(ORIGIN).root == EMPTY
    assert witness.consider(request(log, 0)).status == 200
    (memory,) = (witness.folder / "seen").iterdir()
    raw = memory.read_bytes()
    for bad in (b"", raw[:-5], raw.replace(b"\n40\n", b"\n20\n"), bytes(log.note)):
        write_atomically(memory, bad)
        with pytest.raises(DamagedError, match="must not sign for this log"):
            witness.consider(request(log, 40))


def test_a_folder_is_served_by_one_process_and_a_witnesss_key(tmp_path: Path) -> None:
    with (
        open_witness(tmp_path / "w", WITNESS, LOGS),
        pytest.raises(LockedError, match="another process serves"),
        open_witness(tmp_path / "w", WITNESS, LOGS),
    ):
        pass
    own: Logs = {"own": (VerifierKey("own", WITNESS.verifier.public),)}
    for signer, logs, words in ((key(), LOGS, "cannot be a witness"), (WITNESS, own, "own key")):
        with pytest.raises(UsageError, match=words), open_witness(tmp_path / "x", signer, logs):
            pass


def test_the_list_of_logs_is_read_with_its_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "logs"
    old, new = key().verifier, key(number=1).verifier
    path.write_text(f"# logs\n\n{old}  # the old key\n{new}\n")
    assert read_logs(path) == {ORIGIN: (old, new)}
    path.write_text(f"{old}\nnonsense\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_logs(path)
    with pytest.raises(ConfigError, match="is missing"):
        read_logs(tmp_path / "none")


SERVER = """
import asyncio, sys
from pathlib import Path
from tests.archive.log.test_witness import LOGS, WITNESS, serve_witness
asyncio.run(serve_witness(Path(sys.argv[1]), "127.0.0.1", 0, WITNESS, LOGS,
                          ready=lambda port: print(port, flush=True)))
"""


async def test_a_killed_witness_remembers_every_cosignature_it_gave(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", 20)
    given = 0
    async with fetching() as fetch:
        for wait_s in (0.02, 0.08, 0.15):
            process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(tmp_path / "w")],
                cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, env={**os.environ},
            )  # fmt: skip
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline())
                asyncio.get_running_loop().call_later(wait_s, process.kill)
                for _ in range(500):
                    try:
                        url = f"http://127.0.0.1:{port}"
                        await cosign(fetch, url, log, WITNESS.verifier, seen=given)
                    except UsageError:
                        break  # killed
                    given = log.size
                    grow(log, 3)
                else:
                    pytest.fail("the witness was never killed")
            finally:
                process.kill()
                process.communicate(timeout=10)
            with open_witness(tmp_path / "w", WITNESS, LOGS) as witness:
                assert witness.latest(ORIGIN).size >= given
                given = witness.latest(ORIGIN).size
    assert given > 20
