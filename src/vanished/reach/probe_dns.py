"""One question to one resolver (df-002): over UDP, TCP, TLS, HTTPS, or by the system's resolver.

In: a name, a type, a resolver. Out: the step. Over UDP the socket keeps listening after the first
answer, since whoever forges answers cannot keep the true one from coming; later answers stand in
`Run.duplicates`. Needs the extra `reach` (dnspython for the messages).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from vanished.errors import UsageError
from vanished.reach import failures
from vanished.reach.door import NotContactedError, failure_of
from vanished.reach.probe_http import request
from vanished.reach.probe_tcp import Connection
from vanished.reach.probe_tls import context, tls_failure
from vanished.reach.run import Run
from vanished.reach.steps import Answer, Binary, Query, Tags, raw

SYSTEM: Final = "system"
_PORTS: Final = {"udp": 53, "tcp": 53, "dot": 853, "doh": 443}
_RCODES: Final = {
    dns.rcode.NXDOMAIN: failures.NXDOMAIN,
    dns.rcode.REFUSED: failures.DNS_REFUSED,
    dns.rcode.SERVFAIL: failures.DNS_SERVFAIL,
}


@dataclass(frozen=True, slots=True)
class Resolver:
    """Who is asked, and how. `engine` is udp, tcp, dot, doh or system; `name` is what its
    certificate says, for the encrypted ones."""

    engine: str
    address: str = ""
    port: int = 0
    name: str = ""
    path: str = "/dns-query"

    @classmethod
    def parse(cls, text: str) -> Resolver:
        """From `system`, `1.2.3.4`, `udp://1.2.3.4:53`, `tcp://…`, `dot://1.2.3.4#dns.example` or
        `https://dns.example/dns-query#1.2.3.4`. Raises UsageError."""
        if text == SYSTEM:
            return cls(SYSTEM)
        parts = urlsplit(text if "://" in text else f"udp://{text}")
        engine = {"https": "doh", "tls": "dot"}.get(parts.scheme, parts.scheme)
        if engine not in _PORTS or not parts.hostname:
            raise UsageError(
                f"'{text}' is no resolver; write one such as system, 192.0.2.1, dot://192.0.2.1#"
                "dns.example or https://dns.example/dns-query#192.0.2.1."
            )
        port = parts.port or _PORTS[engine]
        if engine == "doh":
            if not parts.fragment:
                raise UsageError(f"'{text}' does not say its address; add it after a #.")
            return cls(engine, parts.fragment, port, parts.hostname, parts.path or "/dns-query")
        return cls(engine, parts.hostname, port, parts.fragment or parts.hostname)

    def __str__(self) -> str:
        """As records name it (`resolver_address`)."""
        if self.engine == "doh":
            return f"https://{self.name}{self.path}"
        if self.engine == "dot":
            return f"dot://{self.address}:{self.port}"
        return "" if self.engine == SYSTEM else f"{self.address}:{self.port}"


async def look_up(
    run: Run,
    name: str,
    resolver: Resolver,
    *,
    kind: str = "A",
    tags: Tags = None,
    authorities: str = "",
    limit_s: float | None = None,
) -> Query:
    """Ask once; the step is appended to `run`."""
    transaction, t0 = run.transaction(), run.now()
    limit = limit_s or run.limits.dns_s
    base = Query(
        hostname=name, query_type=kind, engine=resolver.engine,
        resolver_address=str(resolver) or None, t0=t0, tags=tags, transaction_id=transaction,
    )  # fmt: skip
    if resolver.engine == SYSTEM:
        step = await _system(base, limit)
    else:
        asked = dns.message.make_query(name, kind)
        try:
            held = await asyncio.wait_for(
                _exchange(run, base, resolver, asked, authorities),
                limit * _PATIENCE[resolver.engine],
            )
            step = _read(base, asked, held)
        except (ssl.SSLError, EOFError) as error:
            step = _failed(base, tls_failure(error))
        except (OSError, TimeoutError, NotContactedError) as error:
            step = _failed(base, failure_of(error))
    step = _ended(step, run.now())
    run.queries.append(step)
    return step


_PATIENCE: Final = {"udp": 1.0, "tcp": 2.0, "dot": 3.0, "doh": 3.0}
"""Of the time for one datagram: a connection needs several ways there and back."""


async def _exchange(
    run: Run, base: Query, resolver: Resolver, asked: dns.message.Message, authorities: str
) -> bytes:
    """The bytes of the answer."""
    if resolver.engine == "udp":
        return await _datagram(run, base, resolver, asked)
    limit = run.limits.connect_s
    made = await run.door.stream(resolver.address, resolver.port, limit)
    connection = Connection(made, resolver.address, resolver.port, base.transaction_id or 0)
    try:
        if resolver.engine in ("dot", "doh"):
            await connection.secure(context(authorities), resolver.name)
        if resolver.engine == "doh":
            return await _over_http(run, connection, resolver, asked)
        wire = asked.to_wire()
        await connection.send(struct.pack("!H", len(wire)) + wire)
        held = b""
        while len(held) < 2 or len(held) < 2 + struct.unpack("!H", held[:2])[0]:
            more = await connection.receive()
            if not more:
                raise EOFError("the resolver hung up")
            held += more
        return held[2:]
    finally:
        connection.close()


async def _over_http(
    run: Run, connection: Connection, resolver: Resolver, asked: dns.message.Message
) -> bytes:
    """An answer over HTTPS (RFC 8484); its request is no request of the measurement."""
    own = Run(run.door, run.limits)
    done = await request(
        own, connection, f"https://{resolver.name}{resolver.path}", method="POST",
        headers={"Accept": "application/dns-message", "Content-Type": "application/dns-message"},
        body=asked.to_wire(),
    )  # fmt: skip
    if done.response is None or done.response.code != 200:
        raise EOFError("the resolver answered no message")
    return raw(done.response.body)


async def _datagram(run: Run, base: Query, resolver: Resolver, asked: dns.message.Message) -> bytes:
    """The first answer by UDP that belongs to the question; the socket listens on."""
    made = await run.door.datagrams(resolver.address, resolver.port)
    loop = asyncio.get_running_loop()
    handed_on = False
    try:
        await loop.sock_sendall(made, asked.to_wire())
        while True:
            held = await loop.sock_recv(made, 65535)
            if held[:2] == asked.id.to_bytes(2, "big") and len(held) >= 12:
                run.later(_listen(run, base, made, asked))
                handed_on = True
                return held
    finally:
        if not handed_on:
            made.close()


async def _listen(run: Run, base: Query, made: socket.socket, asked: dns.message.Message) -> None:
    """Keep what else is answered to the question, until `linger_s` have passed."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(run.limits.linger_s):
            while True:
                held = await loop.sock_recv(made, 65535)
                if held[:2] == asked.id.to_bytes(2, "big") and len(held) >= 12:
                    run.duplicates.append(_ended(_read(base, asked, held), run.now()))
    except (TimeoutError, OSError):
        return
    finally:
        made.close()


def _read(base: Query, asked: dns.message.Message, held: bytes) -> Query:
    """The step of an answer's bytes."""
    try:
        got = dns.message.from_wire(held, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, struct.error):
        return _failed(base, "dns_reply_with_wrong_query_id", held)
    code = got.rcode()
    answers = tuple(_answers(got))
    failure = _RCODES.get(code)
    if failure is None and code != dns.rcode.NOERROR:
        failure = "dns_server_misbehaving"
    if failure is None and not any(answer.address for answer in answers):
        failure = failures.NO_ANSWER
    return _with(base, failure, answers, int(code), held)


def _answers(got: dns.message.Message) -> list[Answer]:
    found = []
    for group in got.answer:
        kind = dns.rdatatype.to_text(group.rdtype)
        for one in group:
            if kind == "A":
                found.append(Answer(kind, ipv4=one.address, ttl=float(group.ttl)))
            elif kind == "AAAA":
                found.append(Answer(kind, ipv6=one.address, ttl=float(group.ttl)))
            elif kind == "CNAME":
                name = one.target.to_text(omit_final_dot=True)
                found.append(Answer(kind, hostname=name, ttl=float(group.ttl)))
    return found


async def _system(base: Query, limit_s: float) -> Query:
    """What the system's own resolver says."""
    family = socket.AF_INET6 if base.query_type == "AAAA" else socket.AF_INET
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(base.hostname, None, family=family, type=socket.SOCK_STREAM),
            limit_s * 3,
        )
    except socket.gaierror as error:
        missing = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
        return _failed(base, failures.NXDOMAIN if missing else failures.DNS_SERVFAIL)
    except (OSError, TimeoutError) as error:
        return _failed(base, failure_of(error))
    addresses = dict.fromkeys(str(one[4][0]) for one in found)
    return _with(
        base, None,
        tuple(Answer("AAAA", ipv6=a) if ":" in a else Answer("A", ipv4=a) for a in addresses),
        None, None,
    )  # fmt: skip


def _failed(base: Query, failure: str, held: bytes | None = None) -> Query:
    return _with(base, failure, (), None, held)


def _with(
    base: Query, failure: str | None, answers: tuple[Answer, ...], rcode: int | None,
    held: bytes | None,
) -> Query:  # fmt: skip
    return Query(
        hostname=base.hostname, query_type=base.query_type, engine=base.engine,
        resolver_address=base.resolver_address, answers=answers or None, failure=failure,
        rcode=rcode, raw_response=None if held is None else Binary.of(held), t0=base.t0,
        tags=base.tags, transaction_id=base.transaction_id,
    )  # fmt: skip


def _ended(step: Query, now: float) -> Query:
    return Query(
        step.hostname, step.query_type, step.engine, step.resolver_address, step.answers,
        step.failure, step.rcode, step.raw_response, step.t0, now, step.tags, step.transaction_id,
    )  # fmt: skip
