"""Handshakes: a censor's certificate must not look like an expired one, nor a reset like an end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.reach.loopback import (
    HOST,
    LIMITS,
    NAME,
    SHORT,
    Certificates,
    Talk,
    loopback_run,
    reset,
    serving,
    silent,
)
from vanished.reach.probe_tcp import connect
from vanished.reach.probe_tls import handshake
from vanished.reach.run import Limits, Run
from vanished.reach.steps import Handshake, raw


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def shaken(
    port: int, trusted: str, name: str = NAME, *, verify: bool = True, limits: Limits = LIMITS
) -> tuple[Handshake, Run]:
    """One handshake over a new connection."""
    run = loopback_run(limits)
    _, opened = await connect(run, HOST, port, tags=("attempt=1",))
    assert opened
    step = await handshake(run, opened, name, authorities=trusted, verify=verify)
    opened.close()
    return step, run


async def test_a_handshake_stands_as_ooni_records_it(made: Certificates) -> None:
    async with serving(wait, made.server()) as port:
        step, run = await shaken(port, made.trusted)
    assert (step.address, step.server_name, step.failure) == (f"{HOST}:{port}", NAME, None)
    assert (step.network, step.no_tls_verify) == ("tcp", False)
    assert step.tls_version == "TLSv1.3"
    assert (step.cipher_suite or "").startswith("TLS_")
    assert step.negotiated_protocol == "http/1.1"
    assert next(raw(one) for one in step.peer_certificates or ()) == made.leaf()
    assert step.transaction_id == run.connects[0].transaction_id
    assert step.tags == ("attempt=1",)
    assert run.handshakes == [step]


@pytest.mark.parametrize(
    ("wrong", "failure"),
    [
        ("expired", "ssl_invalid_certificate"),
        ("not_yet", "ssl_invalid_certificate"),
        ("wrong_host", "ssl_invalid_hostname"),
        ("self_signed", "ssl_unknown_authority"),
        ("other_authority", "ssl_unknown_authority"),
    ],
)
async def test_a_wrong_certificate_is_named_and_shown(
    made: Certificates, wrong: str, failure: str
) -> None:
    async with serving(wait, made.server(wrong)) as port:
        step, run = await shaken(port, made.trusted)
    assert step.failure == failure
    assert [raw(one) for one in step.peer_certificates or ()][:1] == [made.leaf(wrong)]
    assert len(run.handshakes) == len(run.connects) == 1  # the second look is no step
    assert step.tls_version is None


async def test_who_does_not_check_sees_any_certificate(made: Certificates) -> None:
    async with serving(wait, made.server("other_authority")) as port:
        step, _ = await shaken(port, made.trusted, "bystander.example", verify=False)
    assert step.failure is None
    assert step.no_tls_verify is True
    assert step.server_name == "bystander.example"


async def test_the_name_that_is_asked_for_is_the_one_that_is_sent(made: Certificates) -> None:
    """The whole contrast of SNI blocking rests on it."""
    names: list[str | None] = []
    settings = made.server()
    settings.sni_callback = lambda tls, name, context: names.append(name)
    async with serving(wait, settings) as port:
        await shaken(port, made.trusted, NAME)
        await shaken(port, made.trusted, "bystander.example", verify=False)
    assert names == [NAME, "bystander.example"]


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 14)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 14)
    reset(writer)


async def _no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 14)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def _alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 14)
    writer.write(b"\x15\x03\x03\0\2\2\x28")  # fatal: handshake failure
    await writer.drain()


@pytest.mark.parametrize(
    ("talk", "failure"),
    [
        (_hang_up, "eof_error"),
        (_reset, "connection_reset"),
        (silent, "generic_timeout_error"),
        (_no_tls, "ssl_failed_handshake: wrong_version_number"),
        (_alert, "ssl_failed_handshake: sslv3_alert_handshake_failure"),
    ],
)
async def test_each_broken_handshake_has_its_own_name(
    made: Certificates, talk: Talk, failure: str
) -> None:
    async with serving(talk) as port:
        limits = SHORT if talk is silent else LIMITS
        step, _ = await shaken(port, made.trusted, limits=limits)
    assert step.failure == failure
    assert step.peer_certificates is None
