"""The steps of a measurement, as OONI's data formats record them.

df-001 HTTP, df-002 DNS, df-005 TCP connect, df-006 TLS and QUIC handshake, df-008 network event.
Names and units of the fields are OONI's: `t0` and `t` are seconds since the measurement began,
`failure` is a df-007 string or None for success. Nothing here judges; `tags` say what a step was
for, in the words at the end of this file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Tags = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Binary:
    """Bytes that are no UTF-8 text, as OONI writes them: base64 in `data`."""

    data: str
    format: str = "base64"

    @property
    def held(self) -> bytes:
        """The bytes; as many as can be read where the base64 is damaged."""
        try:
            return base64.b64decode(self.data + "=" * (-len(self.data) % 4))
        except (binascii.Error, ValueError):
            return b""

    @classmethod
    def of(cls, raw: bytes) -> Binary:
        """`raw` in that form."""
        return cls(base64.b64encode(raw).decode())


Words = str | Binary


def raw(words: Words | None) -> bytes:
    """What went over the wire, as far as the record kept it."""
    if words is None:
        return b""
    return words.held if isinstance(words, Binary) else words.encode("utf-8", "surrogatepass")


def text(words: Words | None) -> str:
    """The same as text; bytes that are no UTF-8 are read as Latin-1, which loses none."""
    if isinstance(words, Binary):
        held = words.held
        try:
            return held.decode()
        except UnicodeDecodeError:
            return held.decode("latin-1")
    return words or ""


def words(held: bytes) -> Words:
    """`held` as a record carries it: text where it is UTF-8."""
    try:
        return held.decode()
    except UnicodeDecodeError:
        return Binary.of(held)


@dataclass(frozen=True, slots=True)
class Answer:
    """One record of a DNS answer; the field that belongs to its type is set."""

    answer_type: str = ""  # "A", "AAAA", "CNAME", ...
    ipv4: str | None = None
    ipv6: str | None = None
    hostname: str | None = None
    asn: int | None = None
    as_org_name: str | None = None
    ttl: float | None = None

    @property
    def address(self) -> str | None:
        """The IP address, where it is one."""
        return self.ipv4 or self.ipv6


@dataclass(frozen=True, slots=True)
class Query:
    """A look-up of one name at one resolver (df-002)."""

    hostname: str = ""
    query_type: str = ""
    engine: str | None = None  # "getaddrinfo", "system", "udp", "tcp", "dot", "doh"
    resolver_address: str | None = None
    answers: tuple[Answer, ...] | None = None
    failure: str | None = None
    rcode: int | None = None
    raw_response: Words | None = None
    t0: float | None = None
    t: float | None = None
    tags: Tags = None
    transaction_id: int | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that were answered."""
        if not self.answers:
            return ()
        return tuple(a for a in (answer.address for answer in self.answers) if a)


@dataclass(frozen=True, slots=True)
class TcpStatus:
    """How a connect ended."""

    success: bool | None = None
    failure: str | bool | None = None
    blocked: bool | None = None  # OONI's own conclusion, kept and not used


@dataclass(frozen=True, slots=True)
class TcpConnect:
    """One connect to one address and port (df-005)."""

    ip: str = ""
    port: int = 0
    status: TcpStatus = TcpStatus()
    t0: float | None = None
    t: float | None = None
    tags: Tags = None
    transaction_id: int | None = None

    @property
    def failure(self) -> str | None:
        """The failure string; an unsuccessful connect without one is an unknown failure."""
        if isinstance(self.status.failure, str) and self.status.failure:
            return self.status.failure
        failed = self.status.failure is True or self.status.success is False
        return "unknown_failure" if failed else None


@dataclass(frozen=True, slots=True)
class Handshake:
    """One TLS (over "tcp") or QUIC (over "udp") handshake (df-006)."""

    address: str | None = None  # with its port
    server_name: str | None = None  # the SNI that was sent
    failure: str | None = None
    so_error: str | None = None
    network: str | None = None
    no_tls_verify: bool | None = None
    peer_certificates: tuple[Words, ...] | None = None  # DER, leaf first
    tls_version: str | None = None
    cipher_suite: str | None = None
    negotiated_protocol: str | None = None
    t0: float | None = None
    t: float | None = None
    tags: Tags = None
    transaction_id: int | None = None


Headers = dict[str, Words]
HeadersList = tuple[tuple[Words, Words], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    url: str = ""
    method: str | None = None
    headers: Headers | None = None
    headers_list: HeadersList | None = None
    body: Words | None = None
    x_transport: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered; `code` 0 or None where nothing was."""

    code: int | None = None
    headers: Headers | None = None
    headers_list: HeadersList | None = None
    body: Words | None = None
    body_is_truncated: bool | None = None
    locations: tuple[str, ...] | None = None

    def header(self, name: str) -> str:
        """The first value of header `name`, in any case of letters; "" if there is none."""
        return next((value for key, value in self.fields() if key == name.lower()), "")

    def fields(self) -> Iterator[tuple[str, str]]:
        """All headers: names in lower case, values as text."""
        if self.headers_list:
            for key, value in self.headers_list:
                yield text(key).lower(), text(value)
        else:
            for name, value in (self.headers or {}).items():
                yield name.lower(), text(value)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its answer (df-001). A record lists the last exchange first."""

    request: Request | None = None
    response: Response | None = None
    failure: str | None = None
    address: str | None = None
    network: str | None = None
    alpn: str | None = None
    t0: float | None = None
    t: float | None = None
    tags: Tags = None
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkEvent:
    """One operation on a socket (df-008)."""

    operation: str = ""  # "connect", "read", "write", "tls_handshake_done", ...
    failure: str | None = None
    address: str | None = None
    num_bytes: int | None = None
    proto: str | None = None
    t0: float | None = None
    t: float | None = None
    tags: Tags = None
    transaction_id: int | None = None


# What a step was for. OONI tags `depth=N` (redirects followed before it), `classic` and
# `fetch_body=...`; the others are ours. A step without one of ours asked for the target itself.
CANARY = "canary"  # a name that has to work; before anything is said of the target
OTHER_SNI = "other_sni"  # the target's address, asked with a name that nobody minds
OTHER_HOST = "other_host"  # the target's address, asked over HTTP for a host that nobody minds
CONTROL_ADDRESS = "control_address"  # the address that the control found, with the target's name
NOT_THE_TARGET = frozenset({CANARY, OTHER_SNI, OTHER_HOST})


def attempt(number: int) -> str:
    """The tag of the `number`-th try of a step, from 1."""
    return f"attempt={number}"


def depth(tags: Iterable[str] | None) -> int:
    """How many redirects were followed before the step; 0 where nothing says so."""
    for tag in tags or ():
        if tag.startswith("depth=") and tag[6:].isdigit():
            return int(tag[6:])
    return 0


def purpose(tags: Iterable[str] | None) -> str:
    """`CANARY`, `OTHER_SNI`, `OTHER_HOST`, or "" for a step that asked for the target."""
    for tag in tags or ():
        if tag in NOT_THE_TARGET:
            return tag
    return ""
