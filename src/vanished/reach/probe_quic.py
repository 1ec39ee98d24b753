"""One QUIC handshake (df-006, network "udp"), as a browser that speaks HTTP/3 makes it.

In: an address, a port, a name. Out: the step. Needs aioquic (the extra `reach`).
"""

from __future__ import annotations

import asyncio
import ssl

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent
from aioquic.quic.packet import QuicErrorCode
from aioquic.tls import AlertDescription

from vanished.reach import failures
from vanished.reach.door import NotContactedError, failure_of
from vanished.reach.run import Run, Times, place
from vanished.reach.steps import Handshake, Tags

_ALERTS = {
    AlertDescription.certificate_expired: failures.BAD_CERTIFICATE,
    AlertDescription.unknown_ca: failures.UNKNOWN_AUTHORITY,
}


_REASONS = {
    "issuer": failures.UNKNOWN_AUTHORITY,
    "self-signed": failures.UNKNOWN_AUTHORITY,
    "self signed": failures.UNKNOWN_AUTHORITY,
    "hostname": failures.BAD_HOSTNAME,
}
"""What aioquic's own check says, which has one alert for all of these."""


class _Client(QuicConnectionProtocol):
    """Waits for the end of the handshake."""

    def __init__(self, quic: QuicConnection, ended: asyncio.Future[str]) -> None:
        super().__init__(quic)
        self._ended = ended
        self._failure = ""

    def quic_event_received(self, event: QuicEvent) -> None:
        if self._ended.done():
            return
        if isinstance(event, HandshakeCompleted):
            self._ended.set_result("")
        elif isinstance(event, ConnectionTerminated):
            self._ended.set_result(_failure(event))

    def transmit(self) -> None:
        """Send what is due; a timer of a handshake that is over must not meet a closed socket."""
        if self._transport is not None and not self._transport.is_closing():
            super().transmit()

    def error_received(self, exc: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(exc)


def _failure(event: ConnectionTerminated) -> str:
    alert = event.error_code - QuicErrorCode.CRYPTO_ERROR
    if 0 <= alert < 256:
        if alert == AlertDescription.bad_certificate:
            told = (value for sign, value in _REASONS.items() if sign in event.reason_phrase)
            return next(told, failures.BAD_CERTIFICATE)
        known = {int(key): value for key, value in _ALERTS.items()}
        return known.get(alert, f"quic_failed_handshake: alert {alert}")
    return f"quic_failed_handshake: {event.error_code}"


async def quic(
    run: Run, address: str, port: int, name: str, *, authorities: str = "", tags: Tags = None
) -> Handshake:
    """Shake hands once over QUIC; the step is appended to `run`."""
    transaction, times = run.transaction(), Times(run)
    failure: str | None = None
    transport: asyncio.DatagramTransport | None = None
    settings = QuicConfiguration(is_client=True, alpn_protocols=list(H3_ALPN), server_name=name)
    settings.verify_mode = ssl.CERT_REQUIRED
    if authorities:
        settings.load_verify_locations(authorities)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()
    connection = QuicConnection(configuration=settings)
    try:
        made = await run.door.datagrams(address, port, started=times.start)
        transport, client = await loop.create_datagram_endpoint(
            lambda: _Client(connection, ended), sock=made
        )
        client.connect((address, port))
        failure = await asyncio.wait_for(ended, run.limits.quic_s) or None
    except (OSError, TimeoutError, NotContactedError) as error:
        failure = failure_of(error)
    finally:
        if transport is not None:
            transport.close()
    step = Handshake(
        address=place(address, port), server_name=name, failure=failure, network="udp",
        no_tls_verify=False, t0=times.t0, t=run.now(), tags=tags, transaction_id=transaction,
    )  # fmt: skip
    run.quic.append(step)
    return step
