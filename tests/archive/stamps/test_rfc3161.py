"""RFC 3161: without these a stamp could prove another text, another time, or nothing at all."""

from __future__ import annotations

import asyncio
import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archive.stamps.notes import checkpoint, door
from tests.net.servers import free_port
from tests.servers.tsa import Authority as Server
from tests.servers.tsa import authority
from vanished.archive.stamps import rfc3161
from vanished.archive.stamps.rfc3161 import Authority, Status, TimeStamp, ask, read_root, verify
from vanished.archive.stamps.token import (
    NotGranted,
    Unreadable,
    read_query,
    read_reply,
    write_query,
)
from vanished.clock import SystemClock
from vanished.errors import ConfigError
from vanished.model import SECOND

NOTE = checkpoint(17)
BOTH = ("rfc3161-client", "openssl")


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with authority(tmp_path_factory.mktemp("alpha") / "tsa") as server:
        yield server


@pytest.fixture(autouse=True)
def _honest(alpha: Server) -> None:
    alpha.mode = "honest"
    alpha.queries.clear()


async def stamped(
    server: Server, note: bytes = NOTE, roots: bytes | None = None
) -> tuple[TimeStamp, bytes, bytes]:
    """A stamp had through the real door: what it proves, the query and the raw reply."""
    async with door() as way:
        asked = Authority(server.name, server.url, server.root)
        query, reply = await ask(note, asked, way.fetcher())
    assert isinstance(reply, bytes), reply
    pinned = roots or read_root(server.root)
    return verify(reply, note, pinned, query=query, authority=server.name), query, reply


async def failure(server: Server, url: str = "") -> str:
    """The sentence of an attempt that brought no reply."""
    async with door() as way:
        asked = Authority(server.name, url or server.url, server.root)
        _, reply = await ask(NOTE, asked, way.fetcher())
    assert isinstance(reply, str)
    return reply


def openssl(server: Server, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [server.openssl, "ts", *arguments], capture_output=True, timeout=20, check=False
    )


# -- a stamp that holds ------------------------------------------------------------------------


async def test_a_stamp_proves_the_time_and_two_checkers_say_so(alpha: Server) -> None:
    before = SystemClock().now()
    stamp, _, _ = await stamped(alpha)
    assert stamp.status is Status.PROVEN, stamp.why
    assert stamp.by == BOTH
    assert stamp.time is not None
    assert before - 2 * SECOND <= stamp.time <= SystemClock().now() + SECOND
    assert stamp.accuracy == 1_500_100
    assert stamp.serial is not None
    assert len(stamp.certificates) == 1


async def test_the_kept_files_verify_by_hand_with_openssl(alpha: Server, tmp_path: Path) -> None:
    """Losing this, a court would need our program to believe us."""
    _, query, reply = await stamped(alpha)
    for name, content in (("checkpoint", NOTE), ("a.tsr", reply), ("a.tsq", query)):
        (tmp_path / name).write_bytes(content)
    root: list[str | Path] = ["-CAfile", alpha.root]
    by_text = openssl(alpha, "-verify", "-data", tmp_path / "checkpoint",
                      "-in", tmp_path / "a.tsr", *root)  # fmt: skip
    by_query = openssl(alpha, "-verify", "-queryfile", tmp_path / "a.tsq",
                       "-in", tmp_path / "a.tsr", *root)  # fmt: skip
    assert b"Verification: OK" in by_text.stdout
    assert b"Verification: OK" in by_query.stdout  # the nonce as well
    (tmp_path / "checkpoint").write_bytes(NOTE + b" ")
    changed = openssl(alpha, "-verify", "-data", tmp_path / "checkpoint",
                      "-in", tmp_path / "a.tsr", *root)  # fmt: skip
    assert b"Verification: FAILED" in changed.stdout


def test_a_query_is_what_openssl_and_the_library_read(alpha: Server, tmp_path: Path) -> None:
    import rfc3161_client

    for nonce in (1, 127, 128, 255, 256, (1 << 63) - 1):
        query = write_query(hashlib.sha256(NOTE).digest(), nonce)
        assert read_query(query).nonce == nonce
        (tmp_path / "q").write_bytes(query)
        text = openssl(alpha, "-query", "-in", tmp_path / "q", "-text").stdout.decode()
        assert "Hash Algorithm: sha256" in text
        assert int(text.partition("Nonce: ")[2].split()[0], 16) == nonce
        assert "Certificate required: yes" in text
    built = rfc3161_client.TimestampRequestBuilder(
        data=NOTE, hash_algorithm=rfc3161_client.HashAlgorithm.SHA256
    ).build()
    theirs = built.as_bytes()
    assert built.nonce is not None
    assert write_query(hashlib.sha256(NOTE).digest(), built.nonce) == theirs


async def test_a_reply_the_library_refuses_for_its_order_is_proven_by_openssl(
    tmp_path: Path,
) -> None:
    """Authorities that send their chain would otherwise give no stamp at all."""
    import rfc3161_client

    with authority(tmp_path / "tsa", chain="unsorted") as server:
        stamp, _, reply = await stamped(server)
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        rfc3161_client.decode_timestamp_response(reply)
    assert stamp.status is Status.PROVEN, stamp.why
    assert stamp.by == ("openssl",)
    assert "InvalidSetOrdering" in stamp.why
    assert len(stamp.certificates) == 2


async def test_an_authority_below_another_one_is_proven_by_the_root_alone(
    tmp_path: Path,
) -> None:
    """Most real ones are: only the root is pinned, the rest is in the reply."""
    with authority(tmp_path / "tsa", chain="sorted") as server:
        stamp, query, reply = await stamped(server)
        one = verify(reply, NOTE, read_root(server.root), query=query, authority="alpha",
                     second_opinion=False)  # fmt: skip
    assert (stamp.status, stamp.by) == (Status.PROVEN, BOTH), stamp.why
    assert len(stamp.certificates) == 2
    assert (one.status, one.by) == (Status.PROVEN, BOTH[:1])


async def test_without_the_extra_openssl_suffices_and_without_both_it_is_unchecked(
    alpha: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp, query, reply = await stamped(alpha)
    roots = read_root(alpha.root)
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    alone = verify(reply, NOTE, roots, query=query, authority="alpha")
    assert (alone.status, alone.by) == (Status.PROVEN, ("openssl",))
    monkeypatch.setenv("PATH", "/nowhere")
    nobody = verify(reply, NOTE, roots, query=query, authority="alpha")
    assert nobody.status is Status.UNCHECKED
    assert "extra 'publish'" in nobody.why
    assert "not on the PATH" in nobody.why
    assert nobody.time == stamp.time
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nowhere")
    library = verify(reply, NOTE, roots, query=query, authority="alpha")
    assert (library.status, library.by) == (Status.PROVEN, ("rfc3161-client",))


# -- stamps that do not hold -------------------------------------------------------------------


async def test_other_bytes_another_nonce_and_another_root_are_refused(
    alpha: Server, tmp_path: Path
) -> None:
    _, query, reply = await stamped(alpha)
    roots = read_root(alpha.root)
    other = verify(reply, NOTE + b"\n", roots, query=None, authority="alpha")
    assert other.status is Status.REFUSED
    assert "stamps other bytes" in other.why
    asked = write_query(hashlib.sha256(NOTE).digest(), 5)
    nonce = verify(reply, NOTE, roots, query=asked, authority="alpha")
    assert nonce.status is Status.REFUSED
    assert "nonce" in nonce.why
    with authority(tmp_path / "beta", "beta") as beta:
        wrong = verify(reply, NOTE, read_root(beta.root), query=query, authority="alpha")
    assert wrong.status is Status.REFUSED
    assert "signature does not hold" in wrong.why
    assert "rfc3161-client: " in wrong.why
    assert "openssl: " in wrong.why
    assert wrong.by == ()


async def test_a_replayed_answer_is_refused_by_its_nonce(alpha: Server) -> None:
    await stamped(alpha)
    alpha.mode = "replay"
    stamp, _, _ = await stamped(alpha)
    assert stamp.status is Status.REFUSED
    assert "nonce" in stamp.why


async def test_a_certificate_that_had_ended_when_it_signed_is_refused(tmp_path: Path) -> None:
    with authority(tmp_path / "tsa", ends_in=timedelta(days=-1)) as server:
        stamp, _, _ = await stamped(server)
    assert stamp.status is Status.REFUSED
    assert stamp.why.count("certificate has expired") == 2, stamp.why


async def test_a_stamp_outlives_the_certificate_that_made_it(tmp_path: Path) -> None:
    """Else every stamp would be worth nothing once its authority changes certificates."""
    lasts_s = 3.0
    with authority(tmp_path / "tsa", ends_in=timedelta(seconds=lasts_s)) as server:
        stamp, query, reply = await stamped(server)
        assert stamp.by == BOTH, stamp.why
        await asyncio.sleep(lasts_s + 1.1)
        later, _, _ = await stamped(server)
        assert later.status is Status.REFUSED  # so it has ended indeed
        roots = read_root(server.root)
    still = verify(reply, NOTE, roots, query=query, authority="alpha")
    assert (still.status, still.by) == (Status.PROVEN, BOTH), still.why


async def test_what_is_no_stamp_is_refused_in_a_sentence(alpha: Server) -> None:
    for mode, words in (
        ("junk", "it is no RFC 3161 reply: it does not start with 0x30"),
        ("reject", "the authority granted none: Message digest algorithm is not supported."),
    ):
        alpha.mode = mode
        stamp, _, _ = await stamped(alpha)
        assert stamp.status is Status.REFUSED
        assert words in stamp.why
    alpha.mode = "oversize"
    assert "70000 bytes, more than any stamp (65536)" in await failure(alpha)
    alpha.mode = "error"
    assert "503" in await failure(alpha)
    nobody = f"http://127.0.0.1:{await free_port()}/tsr"
    assert "the authority gave no stamp" in await failure(alpha, nobody)


def test_a_root_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.pem cannot be read"):
        read_root(tmp_path / "gone.pem")
    (tmp_path / "der.pem").write_bytes(b"\x30\x03\x02\x01\x00")
    with pytest.raises(ConfigError, match="holds no certificate in PEM"):
        read_root(tmp_path / "der.pem")


# -- hostile bytes -----------------------------------------------------------------------------


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    for read in (read_reply, read_query):
        with pytest.raises((Unreadable, NotGranted)):
            read(b"\x30" + raw)


async def test_no_changed_bit_makes_a_reply_prove_something_else(
    alpha: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its SHA-256 a reply may change where no signature is; what it proves may not.

    Each checker alone: OpenSSL for every eighth of the bits, the library for the rest.
    """
    stamp, query, reply = await stamped(alpha)
    roots = read_root(alpha.root)
    print("seed 3161")
    bits = random.Random(3161).sample(range(len(reply) * 8), 400)
    harmless = 0
    for place, bit in enumerate(bits):
        changed = bytearray(reply)
        changed[bit // 8] ^= 1 << bit % 8
        with monkeypatch.context() as patch:
            if place % 8:
                patch.setattr(rfc3161, "PROGRAM", "no-such-program")
            else:
                patch.setitem(sys.modules, "rfc3161_client", None)
            found = verify(bytes(changed), NOTE, roots, query=query, authority="alpha")
        if found.status is Status.PROVEN:
            harmless += 1
            same = (found.time, found.serial, found.accuracy)
            assert same == (stamp.time, stamp.serial, stamp.accuracy), f"bit {bit}"
    print(f"{harmless} of {len(bits)} bits did not matter")
    assert harmless < len(bits) // 20
