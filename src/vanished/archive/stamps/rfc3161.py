"""RFC 3161: asks an authority for the time of some bytes, and verifies its reply offline.

In: bytes, an authority, a way to fetch. Out: the raw reply, untouched, and a `TimeStamp`. A
signature is checked by `rfc3161-client` (extra `publish`) and by the program `openssl`, each where
it is there; one alone suffices, as the library refuses replies that OpenSSL reads (certificates
in another order than DER's). A certificate has to be valid at the time of the stamp, not today.
Only DER is read. Revocation is not asked for: what a reply carries is kept for whoever will.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509

from vanished.archive.stamps.token import (
    SHA256_OID,
    NotGranted,
    Token,
    Unreadable,
    read_query,
    read_reply,
    write_query,
)
from vanished.errors import ConfigError
from vanished.model import SECOND, Micros
from vanished.net.exchange import Exchange, Fetch

MAX_REPLY: Final = 64 * 1024
"""Bytes of a reply; real ones have one to eight thousand."""
OPENSSL_S: Final = 20.0
LIBRARY: Final = "rfc3161-client"
PROGRAM: Final = "openssl"


class Status(StrEnum):
    PROVEN = "proven"
    REFUSED = "refused"  # it does not prove what it should
    UNCHECKED = "unchecked"  # nobody here could check it


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamping authority and the root that it has to chain to, a PEM file."""

    name: str
    url: str
    root: Path


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """What one reply proves. `time` and `serial` are None where it could not be read."""

    authority: str
    status: Status
    why: str  # one sentence
    time: Micros | None = None
    accuracy: Micros | None = None  # as the authority states it; None if it states none
    serial: int | None = None
    by: tuple[str, ...] = ()  # who checked the signature and says that it holds
    certificates: tuple[bytes, ...] = ()  # DER, as in the reply


@dataclass(frozen=True, slots=True)
class Stamping:
    """One attempt: the query as sent, the reply as it came (b"" if none), and what it proves."""

    query: bytes
    reply: bytes
    stamp: TimeStamp


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What one checker says: it holds (True), it does not (False), cannot tell (None)."""

    by: str
    holds: bool | None
    words: str = ""


def read_root(path: Path) -> bytes:
    """The PEM of pinned roots at `path`. Raises ConfigError."""
    try:
        pem = path.read_bytes()
        x509.load_pem_x509_certificates(pem)
    except OSError as error:
        raise ConfigError(
            f"the root certificate {path} cannot be read: {error.strerror}; "
            "download it from the time-stamping authority and name its path"
        ) from None
    except ValueError:
        raise ConfigError(
            f"{path} holds no certificate in PEM; "
            "convert it with openssl x509 -inform der -in FILE -out FILE.pem"
        ) from None
    return pem


async def ask(message: bytes, authority: Authority, fetch: Fetch) -> tuple[bytes, bytes | str]:
    """Ask for a stamp of SHA-256(`message`): the query, and the reply or a sentence why none."""
    query = write_query(hashlib.sha256(message).digest(), secrets.randbits(63) | 1)
    exchange = await fetch.request(
        "POST",
        authority.url,
        headers={
            "Content-Type": "application/timestamp-query",
            "Accept": "application/timestamp-reply",
        },
        body=query,
    )
    return query, _reply_of(exchange)


def _reply_of(exchange: Exchange) -> bytes | str:
    if exchange.fault is not None:
        return f"the authority gave no stamp: {exchange.words or exchange.fault.value}"
    if exchange.status != 200:
        return f"the authority answered {exchange.status} instead of a stamp; check its URL"
    if len(exchange.body) > MAX_REPLY:
        return f"the reply has {len(exchange.body)} bytes, more than any stamp ({MAX_REPLY})"
    return exchange.body


def verify(
    reply: bytes,
    message: bytes,
    roots: bytes | None,
    *,
    query: bytes | None,
    authority: str,
    second_opinion: bool = True,
) -> TimeStamp:
    """What `reply` proves about `message`, offline, with `roots` (PEM) as the only trusted ones.

    `query`: the request, whose nonce the reply must repeat; None where it was not kept. Without
    `second_opinion`, `openssl` is asked only where the library cannot tell. It runs some 10 ms:
    call this from a thread where that matters. Raises nothing for a bad reply.
    """
    if len(reply) > MAX_REPLY:
        return _refused(authority, f"it has {len(reply)} bytes, more than any stamp ({MAX_REPLY})")
    try:
        token = read_reply(reply)
    except NotGranted as denial:
        return _refused(authority, f"the authority granted none: {denial}")
    except Unreadable as error:
        return _refused(authority, f"it is no RFC 3161 reply: {error}")
    if mismatch := _mismatch(token, message, query):
        return _refused(authority, mismatch, token)
    if roots is None:
        return _judged(authority, token, Status.UNCHECKED, "no root is pinned for this authority")
    digest = hashlib.sha256(message).digest()
    opinions = [_by_library(reply, token, digest, roots)]
    if second_opinion or opinions[0].holds is None:
        opinions.append(_by_openssl(reply, token, digest, roots))
    return _conclude(authority, token, opinions)


def _mismatch(token: Token, message: bytes, query: bytes | None) -> str:
    """Why the token belongs to other bytes or to another question; "" if it does not."""
    digest = hashlib.sha256(message).digest()
    if token.hash_oid != SHA256_OID or token.digest != digest:
        return "it stamps other bytes than these: its digest is not their SHA-256"
    if query is None:
        return ""
    try:
        asked = read_query(query)
    except Unreadable as error:
        return f"the query kept beside it cannot be read: {error}"
    if asked.digest != digest:
        return "the query kept beside it asked about other bytes"
    if token.nonce != asked.nonce:
        return "its nonce is not the one that we sent: it answers another query"
    return ""


def _conclude(authority: str, token: Token, opinions: list[_Opinion]) -> TimeStamp:
    """One refusal outweighs any approval; who cannot tell has no vote."""
    notes = "; ".join(f"{o.by}: {o.words}" for o in opinions if o.words)
    by = tuple(o.by for o in opinions if o.holds)
    if any(o.holds is False for o in opinions):
        return _judged(authority, token, Status.REFUSED, f"its signature does not hold ({notes})")
    if not by:
        return _judged(authority, token, Status.UNCHECKED, f"nobody here can check it ({notes})")
    why = f"its signature holds, checked by {' and '.join(by)}"
    return _judged(authority, token, Status.PROVEN, f"{why} ({notes})" if notes else why, by)


def _judged(
    authority: str, token: Token, status: Status, why: str, by: tuple[str, ...] = ()
) -> TimeStamp:
    return TimeStamp(
        authority, status, why, token.time, token.accuracy, token.serial, by, token.certificates
    )


def _refused(authority: str, why: str, token: Token | None = None) -> TimeStamp:
    if token is None:
        return TimeStamp(authority, Status.REFUSED, why)
    return _judged(authority, token, Status.REFUSED, why)


def _by_library(reply: bytes, token: Token, digest: bytes, roots: bytes) -> _Opinion:
    try:
        import rfc3161_client
    except ImportError:
        return _Opinion(LIBRARY, None, "not installed (extra 'publish')")
    try:
        response = rfc3161_client.decode_timestamp_response(reply)
        said = (response.tst_info.serial_number, response.tst_info.message_imprint.message)
    except ValueError as error:
        return _Opinion(LIBRARY, None, f"cannot read it, {_short(str(error))}")
    if said != (token.serial, token.digest):
        return _Opinion(LIBRARY, False, "reads another serial number or digest than we do")
    builder: Callable[..., rfc3161_client.VerifierBuilder] = rfc3161_client.VerifierBuilder
    try:
        trusted = x509.load_pem_x509_certificates(roots)
        builder(roots=trusted, nonce=token.nonce).build().verify(response, digest)
    except (rfc3161_client.VerificationError, ValueError) as error:
        return _Opinion(LIBRARY, False, _short(str(error)))
    return _Opinion(LIBRARY, True)


def _by_openssl(reply: bytes, token: Token, digest: bytes, roots: bytes) -> _Opinion:
    program = shutil.which(PROGRAM)
    if program is None:
        return _Opinion(PROGRAM, None, "not on the PATH")
    with tempfile.TemporaryDirectory(prefix="vanished-stamp-") as folder:
        token_file, root_file = Path(folder, "reply.tsr"), Path(folder, "root.pem")
        token_file.write_bytes(reply)
        root_file.write_bytes(roots)
        try:
            ran = subprocess.run(  # noqa: S603 - our own arguments, no shell
                [program, "ts", "-verify", "-digest", digest.hex(), "-in", token_file,
                 "-CAfile", root_file, "-attime", str(token.time // SECOND)],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=OPENSSL_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return _Opinion(PROGRAM, None, f"could not be run, {_short(str(error))}")
    if ran.returncode == 0 and b"Verification: OK" in ran.stdout:
        return _Opinion(PROGRAM, True)
    said = ran.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if b"Verification: FAILED" not in ran.stdout:
        return _Opinion(PROGRAM, None, f"could not tell, {_short(said)}")
    return _Opinion(PROGRAM, False, _short(said))


def _short(text: str) -> str:
    """The reason at the end of OpenSSL's line of numbers and function names, or of the text."""
    for marker in ('data: "', 'reason: "', ".c:"):
        _, found, rest = text.rpartition(marker)
        if found:
            text = rest.lstrip("0123456789:").partition('"')[0] or text
            break
    return " ".join(text.split())[:160]
