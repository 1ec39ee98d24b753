"""QUIC handshakes: blocked QUIC is told from a server without it by who answers, and how."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration

from tests.reach.loopback import (
    HOST,
    LIMITS,
    NAME,
    SHORT,
    Certificates,
    closed_port,
    loopback_run,
)
from vanished.reach.door import Door
from vanished.reach.probe_quic import quic
from vanished.reach.run import Run


@contextlib.asynccontextmanager
async def quic_serving(made: Certificates, wrong: str = "") -> AsyncIterator[int]:
    """A server of QUIC with such a certificate; its port."""
    made.server(wrong)  # writes the file
    settings = QuicConfiguration(is_client=False, alpn_protocols=list(H3_ALPN))
    settings.load_cert_chain(made.folder / f"{wrong or 'fine'}.pem")
    port = closed_port()
    server = await serve(HOST, port, configuration=settings)
    try:
        yield port
    finally:
        server.close()


async def test_a_handshake_stands_as_ooni_records_it(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    async with quic_serving(made) as port:
        run = loopback_run()
        step = await quic(run, HOST, port, NAME, authorities=made.trusted, tags=("attempt=1",))
    assert step.failure is None
    assert (step.address, step.server_name, step.network) == (f"{HOST}:{port}", NAME, "udp")
    assert step.tags == ("attempt=1",)
    assert run.quic == [step]
    assert run.door.contacted == {f"udp {HOST} {port}": 1}


@pytest.mark.parametrize(
    ("wrong", "failure"),
    [
        ("other_authority", "ssl_unknown_authority"),
        ("expired", "ssl_invalid_certificate"),
        ("self_signed", "ssl_unknown_authority"),
        ("wrong_host", "ssl_invalid_hostname"),
    ],
)
async def test_a_wrong_certificate_is_no_silence(tmp_path: Path, wrong: str, failure: str) -> None:
    made = Certificates(tmp_path)
    async with quic_serving(made, wrong) as port:
        step = await quic(loopback_run(), HOST, port, NAME, authorities=made.trusted)
    assert step.failure == failure


async def test_silence_and_a_closed_port_have_their_own_names() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOST, 0))
        step = await quic(loopback_run(SHORT), HOST, deaf.getsockname()[1], NAME)
    assert step.failure == "generic_timeout_error"
    step = await quic(loopback_run(), HOST, closed_port(), NAME)
    assert step.failure == "connection_refused"


async def test_a_private_address_is_not_asked() -> None:
    step = await quic(Run(Door(), LIMITS), HOST, 443, NAME)
    assert (step.failure or "").startswith("unknown_failure: 127.0.0.1 is loopback")
