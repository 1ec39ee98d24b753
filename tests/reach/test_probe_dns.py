"""Look-ups: if these failed, a lie or a silence of a resolver would get another resolver's name."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.reach.loopback import (
    HOST,
    LIMITS,
    NAME,
    Certificates,
    answering,
    closed_port,
    dns_serving,
    loopback_door,
    loopback_run,
    reset,
    serving,
    silent,
)
from vanished.errors import UsageError
from vanished.lab import network_dns as lab_dns
from vanished.reach.door import Door
from vanished.reach.failures import Kind, kind
from vanished.reach.probe_dns import CUT, MALFORMED, NOT_ASKED, Resolver, look_up
from vanished.reach.run import Limits, Run
from vanished.reach.steps import Answer, raw

Script = Callable[[bytes], Sequence[bytes]]


def says(*addresses: str, code: int = lab_dns.NOERROR) -> Script:
    """A resolver that answers so."""

    def script(query: bytes) -> Sequence[bytes]:
        asked = lab_dns.question(query)
        assert asked is not None
        return [lab_dns.answer(asked, addresses, code)]

    return script


def changed(script: Script, change: Callable[[bytes], bytes]) -> Script:
    """The same, with its bytes changed."""
    return lambda query: [change(one) for one in script(query)]


async def test_an_answer_stands_as_ooni_records_it() -> None:
    async with dns_serving(says("192.0.2.7", "192.0.2.8")) as (server, port):
        run = loopback_run()
        step = await look_up(run, NAME, Resolver("udp", HOST, port), tags=("attempt=1",))
        await run.settled()
    assert step.addresses == ("192.0.2.7", "192.0.2.8")
    assert step.failure is None
    assert step.answers
    assert step.answers[0] == Answer("A", ipv4="192.0.2.7", ttl=60.0)
    assert (step.engine, step.resolver_address) == ("udp", f"{HOST}:{port}")
    assert (step.hostname, step.query_type, step.rcode) == (NAME, "A", 0)
    assert step.tags == ("attempt=1",)
    assert step.transaction_id == 1
    assert step.t0 is not None
    assert step.t is not None
    assert 0 <= step.t0 <= step.t < 5
    assert raw(step.raw_response)[:2] == server.asked[0][:2]
    assert run.queries == [step]
    assert not run.duplicates
    question = lab_dns.question(server.asked[0])
    assert question
    assert (question.name, question.type) == (NAME, lab_dns.A)


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (says(code=3), "dns_nxdomain_error"),
        (says(code=2), "dns_servfail_error"),
        (says(code=5), "dns_refused_error"),
        (says(code=4), "dns_server_misbehaving"),
        (says(), "dns_no_answer"),
        (lambda query: [], "generic_timeout_error"),
        (changed(says("192.0.2.7"), lambda held: held[:-3]), MALFORMED),
        (changed(says(), lambda held: held[:2] + b"\x83" + held[3:]), CUT),
    ],
)
async def test_each_failure_has_its_own_name(script: Script, failure: str) -> None:
    async with dns_serving(script) as (_, port):
        run = loopback_run()
        step = await look_up(run, NAME, Resolver("udp", HOST, port))
        await run.settled()
    assert step.failure == failure
    assert step.addresses == ()


async def test_a_cut_or_damaged_answer_never_says_that_there_is_no_name() -> None:
    assert kind(CUT) is kind(MALFORMED) is kind(NOT_ASKED) is Kind.OTHER


async def test_nobody_at_the_resolver_is_refused_and_not_a_drop() -> None:
    step = await look_up(loopback_run(), NAME, Resolver("udp", HOST, closed_port()))
    assert step.failure == "connection_refused"


async def test_answers_to_other_questions_are_not_heard() -> None:
    def script(query: bytes) -> Sequence[bytes]:
        other = bytes([query[0] ^ 1]) + query[1:]
        return [*says("192.0.2.66")(other), query, b"\0" * 5, *says("192.0.2.7")(query)]

    async with dns_serving(script) as (_, port):
        run = loopback_run()
        step = await look_up(run, NAME, Resolver("udp", HOST, port))
        await run.settled()
    assert step.addresses == ("192.0.2.7",)
    assert not run.duplicates


async def test_a_second_answer_is_kept_as_the_sign_of_a_forged_first() -> None:
    def script(query: bytes) -> Sequence[bytes]:
        return [*says("192.0.2.66")(query), *says("192.0.2.7")(query)]

    async with dns_serving(script) as (_, port):
        run = loopback_run()
        step = await look_up(run, NAME, Resolver("udp", HOST, port))
        await run.settled()
    (second,) = run.duplicates
    assert step.addresses == ("192.0.2.66",)
    assert second.addresses == ("192.0.2.7",)
    assert second.transaction_id == step.transaction_id
    assert second.t0 == step.t0
    assert run.keys().x_dns_duplicate_responses == (second,)


async def test_waiting_for_a_turn_is_no_silence_of_the_resolver() -> None:
    """At low rates a question waits longer at the door than a resolver has time to answer."""
    async with dns_serving(says("192.0.2.7")) as (_, port):
        limits = Limits(dns_s=0.2, linger_s=0.01)
        run = loopback_run(limits, loopback_door(per_s=4.0, burst=1))
        asked = [look_up(run, NAME, Resolver("udp", HOST, port)) for _ in range(3)]
        steps = await asyncio.gather(*asked)
        await run.settled()
    assert [step.failure for step in steps] == [None] * 3
    assert all((s.t or 0) - (s.t0 or 0) < 0.2 for s in steps)
    assert run.now() > 0.4  # they did wait


async def test_a_private_resolver_is_not_asked() -> None:
    async with dns_serving(says("192.0.2.7")) as (server, port):
        step = await look_up(Run(Door(), LIMITS), NAME, Resolver("udp", HOST, port))
    assert step.failure
    assert step.failure.startswith("unknown_failure: 127.0.0.1 is loopback")
    assert not server.asked


@pytest.mark.parametrize("name", ["a..b", ".example", "x" * 64 + ".example", "", "\udcff.example"])
@pytest.mark.parametrize("engine", ["udp", "system"])
async def test_a_name_that_is_none_ends_its_own_step_only(name: str, engine: str) -> None:
    run = loopback_run()
    step = await look_up(run, name, Resolver(engine, HOST, closed_port()))
    assert step.failure == NOT_ASKED
    assert not run.door.contacted


async def test_a_name_beyond_ascii_is_asked_for_as_idna() -> None:
    async with dns_serving(says("192.0.2.7")) as (server, port):
        run = loopback_run()
        await look_up(run, "новости.example", Resolver("udp", HOST, port))
        await run.settled()
    question = lab_dns.question(server.asked[0])
    assert question
    assert question.name == "xn--b1amnebsh.example"


async def test_the_systems_resolver_answers_for_what_it_knows() -> None:
    step = await look_up(loopback_run(), "localhost", Resolver("system"))
    assert step.addresses == (HOST,)
    assert step.resolver_address is None
    assert step.failure is None


# Over connections


def streamed(script: Script, *, cut: bool = False) -> Callable[..., object]:
    """A resolver over TCP."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        (answer,) = script(await reader.readexactly(size))
        held = struct.pack("!H", len(answer)) + answer
        for part in (held[:1], held[1:9], held[9:]):  # as it may come
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.005)
            if cut:
                return

    return talk


async def test_over_tcp() -> None:
    async with serving(streamed(says("192.0.2.7"))) as port:  # type: ignore[arg-type]
        step = await look_up(loopback_run(), NAME, Resolver("tcp", HOST, port))
    assert step.addresses == ("192.0.2.7",)
    assert step.engine == "tcp"


async def test_over_tcp_a_resolver_that_hangs_up_resets_or_is_silent() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    wanted = [
        (streamed(says("192.0.2.7"), cut=True), "eof_error"),
        (hang_up, "connection_reset"),
        (silent, "generic_timeout_error"),
    ]
    for talk, failure in wanted:
        async with serving(talk) as port:  # type: ignore[arg-type]
            step = await look_up(loopback_run(), NAME, Resolver("tcp", HOST, port))
        assert step.failure == failure


async def test_over_tls_with_a_certificate_that_is_checked(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    for wrong, failure in (
        ("", None),
        ("other_authority", "ssl_unknown_authority"),
        ("wrong_host", "ssl_invalid_hostname"),
    ):
        async with serving(streamed(says("192.0.2.7")), made.server(wrong)) as port:  # type: ignore[arg-type]
            resolver = Resolver("dot", HOST, port, NAME)
            step = await look_up(loopback_run(), NAME, resolver, authorities=made.trusted)
        assert step.failure == failure
        assert step.addresses == (() if failure else ("192.0.2.7",))


async def test_over_https(tmp_path: Path) -> None:
    made = Certificates(tmp_path)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /dns-query HTTP/1.1\r\n")
        assert b"application/dns-message" in head
        (length,) = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        (answer,) = says("192.0.2.7")(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
        await writer.drain()

    async with serving(talk, made.server()) as port:
        run = loopback_run()
        resolver = Resolver("doh", HOST, port, NAME)
        step = await look_up(run, NAME, resolver, authorities=made.trusted)
    assert step.addresses == ("192.0.2.7",)
    assert step.resolver_address == f"https://{NAME}/dns-query"
    assert not run.requests  # it is no request of the measurement


async def test_over_https_an_error_page_is_no_answer(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    page = answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
    async with serving(page, made.server()) as port:
        resolver = Resolver("doh", HOST, port, NAME)
        step = await look_up(loopback_run(), NAME, resolver, authorities=made.trusted)
    assert step.failure == "eof_error"
    assert not step.addresses


# Their names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("system", ""),
        ("192.0.2.1", "192.0.2.1:53"),
        ("udp://192.0.2.1:5353", "192.0.2.1:5353"),
        ("2001:db8::1", "[2001:db8::1]:53"),
        ("tcp://[2001:db8::1]:5", "[2001:db8::1]:5"),
        ("dot://192.0.2.1#dns.example", "dot://192.0.2.1:853"),
        ("https://dns.example/ask#192.0.2.1", "https://dns.example/ask"),
    ],
)
def test_resolvers_are_read_and_shown(text: str, shown: str) -> None:
    assert str(Resolver.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["dns.example", "udp://", "ftp://192.0.2.1", "192.0.2.1:99999", "https://dns.example/",
     "https://dns.example/#other.example", "dot://dns.example#192.0.2.1", "", "[::1", "1:2:3"],
)  # fmt: skip
def test_what_is_no_resolver_is_said_before_anything_is_asked(text: str) -> None:
    with pytest.raises(UsageError, match=r"resolver|address"):
        Resolver.parse(text)
