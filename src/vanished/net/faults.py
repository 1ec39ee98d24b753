"""What an error of the network means: one `Fault`, and what came back in words.

In: an exception of aiohttp or of the system, raised before the head of an answer was read. Out:
the fault and half a sentence, made of the system's own texts and never of a URL, since a URL can
hold a secret.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import aiohttp

from vanished.model import Fault
from vanished.net.address import Denied

NETWORK_ERRORS = (aiohttp.ClientError, OSError, ValueError)
"""What a request may fail with; ValueError stands for names that no codec or resolver takes."""


def fault_of(error: Exception) -> tuple[Fault, str]:
    """The fault that `error` (one of NETWORK_ERRORS) stands for, and what came back in words."""
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return Fault.CONNECT, f"the proxy did not connect ({error.os_error.strerror})"
    for cause in _causes(error):
        if isinstance(cause, Denied):
            return Fault.REFUSED, f"not asked: {cause}"
        if isinstance(cause, PermissionError):  # each of several addresses was denied
            words = str(cause.strerror).removeprefix("Multiple exceptions: ")
            return Fault.REFUSED, f"not asked: {words}"
        if isinstance(cause, ssl.SSLError):
            return Fault.TLS, f"no trusted TLS connection ({_tls_reason(cause)})"
        if isinstance(cause, (socket.gaierror, UnicodeError, aiohttp.ClientConnectorDNSError)):
            return Fault.DNS, "the name could not be resolved"
        if isinstance(cause, TimeoutError):
            return Fault.TIMEOUT, "the connection timed out"
    if isinstance(error, aiohttp.ClientResponseError):
        return _fault_of_head(error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Fault.CONNECT, "the connection was closed before an answer came"
    if isinstance(error, OSError):
        return Fault.CONNECT, f"no connection ({error.strerror or type(error).__name__})"
    return Fault.UNREADABLE, f"no request or answer that can be read ({type(error).__name__})"


def _fault_of_head(error: aiohttp.ClientResponseError) -> tuple[Fault, str]:
    if any(isinstance(cause, aiohttp.http_exceptions.LineTooLong) for cause in _causes(error)):
        return Fault.TOO_LARGE, "the answer's head is larger than we read"
    return Fault.UNREADABLE, "what came back cannot be read as HTTP"


def _tls_reason(error: BaseException) -> str:
    """Why OpenSSL gave up. aiohttp's own errors are SSLErrors too, but without a reason."""
    for cause in _causes(error):
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
        if reason:
            return str(reason)
    return "the handshake failed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
