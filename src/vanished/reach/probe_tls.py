"""One TLS handshake over an open connection (df-006), with whichever name is wanted.

In: a connection, a name for the SNI. Out: the step; the connection is encrypted where it succeeded.
A certificate that is not valid ends the handshake. Python's ssl does not show it then, so it is
fetched by a second handshake that does not check, and stands in the same step.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from functools import lru_cache
from typing import Final

from vanished.reach import failures
from vanished.reach.door import NotContactedError, failure_of
from vanished.reach.probe_tcp import Connection
from vanished.reach.run import Run
from vanished.reach.steps import Binary, Handshake, Words

# OpenSSL's verify errors (x509_vfy.h) as OONI's probes sort them
_HOSTNAME: Final = {62, 63, 64}
_AUTHORITY: Final = {2, 18, 19, 20, 21, 24, 26, 27}
_EOF: Final = ("EOF occurred", "UNEXPECTED_EOF")


@lru_cache(maxsize=16)
def context(authorities: str = "", verify: bool = True) -> ssl.SSLContext:
    """A client's settings; `authorities` are files of certificates, joined as a search path is.

    "" stands for the system's, also as one of several. As lenient as browsers are: Python 3.13's
    strict checks would refuse sites that all others see.
    """
    if verify:
        given = authorities.split(os.pathsep)
        made = ssl.create_default_context(cafile=given[0] or None)
        for file in given[1:]:
            if file:
                made.load_verify_locations(file)
            else:
                made.load_default_certs()
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    else:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(["http/1.1"])
    return made


async def handshake(
    run: Run,
    connection: Connection,
    name: str,
    *,
    authorities: str = "",
    verify: bool = True,
    limit_s: float | None = None,
) -> Handshake:
    """Shake hands once, with `name` as SNI; the step is appended to `run`."""
    t0 = run.now()
    limit = limit_s or run.limits.tls_s
    failure: str | None = None
    chain: tuple[Words, ...] = ()
    tls: ssl.SSLObject | None = None
    try:
        async with asyncio.timeout(limit):
            tls = await connection.secure(context(authorities, verify), name)
        connection.alpn = tls.selected_alpn_protocol() or ""
        chain = _chain(tls)
    except (ssl.SSLError, OSError, TimeoutError, EOFError) as error:
        failure = tls_failure(error)
        if failures.kind(failure) is failures.Kind.CERTIFICATE:
            chain = await _unchecked(run, connection, name, limit)
    cipher = tls.cipher() if tls else None
    step = Handshake(
        address=connection.place, server_name=name, failure=failure, network="tcp",
        no_tls_verify=not verify, peer_certificates=chain or None,
        tls_version=tls.version() if tls else None, cipher_suite=cipher[0] if cipher else None,
        negotiated_protocol=connection.alpn or None, t0=t0, t=run.now(), tags=connection.tags,
        transaction_id=connection.transaction,
    )  # fmt: skip
    run.handshakes.append(step)
    return step


def tls_failure(error: Exception) -> str:
    """OONI's word for what a handshake raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOSTNAME:
            return failures.BAD_HOSTNAME
        if error.verify_code in _AUTHORITY:
            return failures.UNKNOWN_AUTHORITY
        return failures.BAD_CERTIFICATE
    if isinstance(error, EOFError) or any(sign in str(error) for sign in _EOF):
        return failures.EOF
    if isinstance(error, ssl.SSLError):
        return f"ssl_failed_handshake: {error.reason or 'unknown'}".lower()
    return failure_of(error)


def _chain(tls: ssl.SSLObject) -> tuple[Words, ...]:
    """The certificates that were shown, the server's own first."""
    leaf = tls.getpeercert(binary_form=True)
    with suppress(AttributeError, ValueError):
        shown = tls.get_unverified_chain()  # type: ignore[attr-defined]  # Python 3.13
        return tuple(Binary.of(bytes(one)) for one in shown)
    return (Binary.of(leaf),) if leaf else ()


async def _unchecked(
    run: Run, connection: Connection, name: str, limit_s: float
) -> tuple[Words, ...]:
    """The certificate that is shown to whoever does not check it; () if none came."""
    again: Connection | None = None
    try:
        made = await run.door.stream(connection.address, connection.port, limit_s)
        again = Connection(made, connection.address, connection.port, connection.transaction)
        async with asyncio.timeout(limit_s):
            return _chain(await again.secure(context("", verify=False), name))
    except (ssl.SSLError, OSError, TimeoutError, EOFError, NotContactedError):
        return ()
    finally:
        if again:
            again.close()
