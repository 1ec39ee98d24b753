"""One question to one resolver (df-002): over UDP, TCP, TLS, HTTPS, or by the system's resolver.

In: a name, a type, a resolver. Out: the step. Over UDP the socket keeps listening after the first
answer, since whoever forges answers cannot keep the true one from coming; later answers stand in
`Run.duplicates`.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import ssl
import struct
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from vanished.errors import UsageError
from vanished.reach import dns_message, failures
from vanished.reach.door import NotContactedError, failure_of
from vanished.reach.probe_http import request
from vanished.reach.probe_tcp import Connection
from vanished.reach.probe_tls import context, tls_failure
from vanished.reach.run import Run, Times, place
from vanished.reach.steps import Answer, Binary, Query, Tags, raw

SYSTEM: Final = "system"
_DATAGRAM: Final = 65535
_PORTS: Final = {"udp": 53, "tcp": 53, "dot": 853, "doh": 443}
_RCODES: Final = {
    dns_message.NXDOMAIN: failures.NXDOMAIN,
    dns_message.REFUSED: failures.DNS_REFUSED,
    dns_message.SERVFAIL: failures.DNS_SERVFAIL,
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
        bare = (
            f"[{text}]" if text.count(":") > 1 and "://" not in text and "[" not in text else text
        )
        try:
            parts = urlsplit(bare if "://" in bare else f"udp://{bare}")
            engine = {"https": "doh", "tls": "dot"}.get(parts.scheme, parts.scheme)
            host, port = parts.hostname or "", parts.port or _PORTS.get(engine, 0)
        except ValueError:
            engine, host, port = "", "", 0
        address = parts.fragment if engine == "doh" else host
        if engine == "doh" and host and not address:
            raise UsageError(f"'{text}' does not say its address; add it after a #.")
        if engine not in _PORTS or not _is_address(address):
            raise UsageError(
                f"'{text}' is no resolver; write one such as system, 192.0.2.1, dot://192.0.2.1#"
                "dns.example or https://dns.example/dns-query#192.0.2.1."
            )
        if engine == "doh":
            return cls(engine, address, port, host, parts.path or "/dns-query")
        return cls(engine, address, port, parts.fragment or address)

    def __str__(self) -> str:
        """As records name it (`resolver_address`)."""
        if self.engine == "doh":
            return f"https://{self.name}{self.path}"
        if self.engine == "dot":
            return f"dot://{place(self.address, self.port)}"
        return "" if self.engine == SYSTEM else place(self.address, self.port)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


NOT_ASKED: Final = "unknown_failure: no name that can be asked for"
MALFORMED: Final = "unknown_failure: malformed DNS answer"
CUT: Final = "unknown_failure: the answer did not fit into a datagram"


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
    transaction, times = run.transaction(), Times(run)
    limit = (limit_s or run.limits.dns_s) * _PATIENCE[resolver.engine]
    base = Query(
        hostname=name, query_type=kind, engine=resolver.engine,
        resolver_address=str(resolver) or None, tags=tags, transaction_id=transaction,
    )  # fmt: skip
    try:
        asked = dns_message.question(name, kind, secrets.randbits(16))
        if resolver.engine == SYSTEM:
            step = await _system(base, limit)
        else:
            asker = _Asker(run, base, resolver, asked, limit, authorities, times)
            step = _read(base, await asker.answer())
    except dns_message.MalformedError:
        step = _failed(base, NOT_ASKED)
    except (ssl.SSLError, EOFError) as error:
        step = _failed(base, tls_failure(error))
    except (OSError, TimeoutError, NotContactedError) as error:
        step = _failed(base, failure_of(error))
    step = replace(step, t0=times.t0, t=run.now())
    run.queries.append(step)
    return step


_PATIENCE: Final = {"udp": 1.0, "tcp": 2.0, "dot": 3.0, "doh": 3.0, "system": 3.0}
"""Of the time for one datagram: a connection needs several ways there and back."""


@dataclass(frozen=True, slots=True)
class _Asker:
    """Gets one answer; the time for it counts from when the door let the question through."""

    run: Run
    base: Query
    resolver: Resolver
    asked: bytes
    limit_s: float
    authorities: str
    times: Times

    async def answer(self) -> bytes:
        """The bytes of the answer."""
        where, started = (self.resolver.address, self.resolver.port), self.times.start
        if self.resolver.engine == "udp":
            made = await self.run.door.datagrams(*where, started=started)
            return await self._datagram(made)
        made = await self.run.door.stream(*where, self.limit_s, started=started)
        connection = Connection(made, *where, self.base.transaction_id or 0)
        try:
            async with asyncio.timeout(self.limit_s):
                return await self._over(connection)
        finally:
            connection.close()

    async def _over(self, connection: Connection) -> bytes:
        """Over an open connection."""
        if self.resolver.engine in ("dot", "doh"):
            await connection.secure(context(self.authorities), self.resolver.name)
        if self.resolver.engine == "doh":
            return await self._over_http(connection)
        await connection.send(struct.pack("!H", len(self.asked)) + self.asked)
        held = b""
        while len(held) < 2 or len(held) < 2 + struct.unpack("!H", held[:2])[0]:
            more = await connection.receive()
            if not more:
                raise EOFError("the resolver hung up")
            held += more
        return held[2:]

    async def _over_http(self, connection: Connection) -> bytes:
        """Over HTTPS (RFC 8484); the request is no request of the measurement."""
        own = Run(self.run.door, self.run.limits)
        accept = "application/dns-message"
        done = await request(
            own, connection, f"https://{self.resolver.name}{self.resolver.path}", method="POST",
            headers={"Accept": accept, "Content-Type": accept}, body=self.asked,
        )  # fmt: skip
        if done.failure == failures.CONNECTION_RESET:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        if done.response is None or done.response.code != 200:
            raise EOFError("the resolver answered no message")
        return raw(done.response.body)

    async def _datagram(self, made: socket.socket) -> bytes:
        """The first answer by UDP that belongs to the question; the socket listens on."""
        loop = asyncio.get_running_loop()
        handed_on = False
        try:
            async with asyncio.timeout(self.limit_s):
                await loop.sock_sendall(made, self.asked)
                while True:
                    held = await loop.sock_recv(made, _DATAGRAM)
                    if dns_message.answers_to(held, self.asked):
                        break
            self.run.later(self._listen(made))
            handed_on = True
            return held
        finally:
            if not handed_on:
                made.close()

    async def _listen(self, made: socket.socket) -> None:
        """Keep what else is answered to the question, until `linger_s` have passed."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.run.limits.linger_s):
                while True:
                    held = await loop.sock_recv(made, _DATAGRAM)
                    if dns_message.answers_to(held, self.asked):
                        step = _read(self.base, held)
                        self.run.duplicates.append(
                            replace(step, t0=self.times.t0, t=self.run.now())
                        )
        except (TimeoutError, OSError):
            return
        finally:
            made.close()


def _read(base: Query, held: bytes) -> Query:
    """The step of an answer's bytes."""
    try:
        got = dns_message.reply(held)
    except dns_message.MalformedError:
        return _failed(base, MALFORMED, held)
    failure = _RCODES.get(got.rcode)
    if failure is None and got.rcode != dns_message.NOERROR:
        failure = "dns_server_misbehaving"
    if failure is None and not any(answer.address for answer in got.answers):
        failure = CUT if got.cut else failures.NO_ANSWER
    return replace(
        base, answers=got.answers or None, failure=failure, rcode=got.rcode,
        raw_response=Binary.of(held),
    )  # fmt: skip


async def _system(base: Query, limit_s: float) -> Query:
    """What the system's own resolver says."""
    family = socket.AF_INET6 if base.query_type == "AAAA" else socket.AF_INET
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(base.hostname, None, family=family, type=socket.SOCK_STREAM),
            limit_s,
        )
    except socket.gaierror as error:
        missing = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
        return _failed(base, failures.NXDOMAIN if missing else failures.DNS_SERVFAIL)
    except (OSError, TimeoutError) as error:
        return _failed(base, failure_of(error))
    addresses = dict.fromkeys(str(one[4][0]) for one in found)
    answers = (Answer("AAAA", ipv6=a) if ":" in a else Answer("A", ipv4=a) for a in addresses)
    return replace(base, answers=tuple(answers))


def _failed(base: Query, failure: str, held: bytes | None = None) -> Query:
    return replace(base, failure=failure, raw_response=None if held is None else Binary.of(held))
