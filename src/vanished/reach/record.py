"""A measurement in OONI's data format 0.2.0, ours and everybody's.

In: steps (`reach.steps`), what the control saw, and what is ours alone (`x_vanished`). Out: one
`Measurement`; `reach.ooni_json` reads and writes it. The address of the one who measured is no
field of it: what is written says 127.0.0.1, as OONI's probes write it, and what is read is dropped.
Keys of a test that are not named here are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vanished.reach.steps import (
    Exchange,
    Handshake,
    Headers,
    NetworkEvent,
    Query,
    TcpConnect,
)

DATA_FORMAT = "0.2.0"
PROBE_IP = "127.0.0.1"
NONE_YET = "0"


@dataclass(frozen=True, slots=True)
class ControlDns:
    """What the control's resolver answered."""

    failure: str | None = None
    addrs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ControlConnect:
    """How the control's connect to one address ended."""

    status: bool | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ControlHandshake:
    """How the control's handshake with one address ended."""

    server_name: str | None = None
    status: bool | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ControlPage:
    """The page that the control got in the end; `status_code` and `body_length` -1 if none."""

    failure: str | None = None
    status_code: int | None = None
    body_length: int | None = None
    title: str | None = None
    headers: Headers | None = None
    discovered_h3_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class AddressInfo:
    """What the control knows of an address."""

    asn: int | None = None
    flags: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """The same target seen from a network that is not filtered (OONI's test helper's answer).

    Keys of the tables are addresses with their ports, as in `Handshake.address`.
    """

    dns: ControlDns | None = None
    tcp_connect: dict[str, ControlConnect] | None = None
    tls_handshake: dict[str, ControlHandshake] | None = None
    quic_handshake: dict[str, ControlHandshake] | None = None
    http_request: ControlPage | None = None
    ip_info: dict[str, AddressInfo] | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """Whether what has to work did work, at the time of the measurement."""

    name: str
    ok: bool
    failure: str | None = None
    resolvers_ok: tuple[str, ...] | None = None  # of these resolvers, as `Query.resolver_address`
    wildcard: bool | None = None  # the resolver invents addresses for names that do not exist


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast a page of some size came, in bytes per second, one figure a try."""

    target: tuple[float, ...] = ()
    control: tuple[float, ...] = ()  # the same page from the control's network
    other: tuple[float, ...] = ()  # the same address here, asked for a name that nobody minds
    canary: tuple[float, ...] = ()  # a large page that nobody minds, here: what the line can carry


@dataclass(frozen=True, slots=True)
class ControlSummary:
    """Where the control stood and whether it worked."""

    ok: bool
    vantage: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Flight:
    """One try of sending first bytes to a go-around's server and seeing what becomes of them.

    `kind` is what they look like: the go-around's own protocol, or "tls" for the contrast.
    """

    kind: str
    ended: str  # "acknowledged", "lost", "reset", or the failure of the connect


@dataclass(frozen=True, slots=True)
class Knock:
    """Connects by TCP to the address of a server that speaks UDP, here and from the control: a
    failure string for each, "" where it connected."""

    port: int
    here: tuple[str, ...]
    control: str | None = None  # None where it did not try


@dataclass(frozen=True, slots=True)
class GoAroundSeen:
    """How far a go-around came, stage after stage; None where a stage was not tried or cannot be
    seen. `elsewhere` is whether the same go-around worked from the control's network."""

    kind: str
    reachable: bool | None = None
    handshake: bool | None = None
    traffic: bool | None = None
    bytes_s: float | None = None  # through it
    first_page_s: float | None = None  # from the start of its client to a page
    lasted_s: float | None = None  # it carried pages so long; the watch ended there, or it did
    ended: bool | None = None  # whether it was cut off while it was watched
    elsewhere: bool | None = None
    knocks: tuple[Knock, ...] = ()
    flights: tuple[Flight, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The verdict on one server of an app: what it is for, and whether it has to be reached."""

    url: str
    part: str
    needs: str  # of the part: "all", "any" or "none"
    state: str
    layer: str | None = None
    mechanism: str | None = None
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ours:
    """The block `x_vanished`: what OONI's format has no place for."""

    ruleset: str = ""  # name and version of the rules, such as "reach/1"
    state: str | None = None
    layer: str | None = None
    mechanism: str | None = None
    rules: tuple[str, ...] = ()  # ids of the rules that fired, the deciding one first
    evidence: tuple[str, ...] = ()  # ids of steps, such as "queries/0"
    attempts: int | None = None  # tries of every step, at most
    canary: Canary | None = None
    control: ControlSummary | None = None
    throughput: Throughput | None = None
    parts: tuple[Part, ...] | None = None  # of an app: each server's verdict, from its own record
    unexpected: bool | None = None  # an answer came, and it is not one that counts
    go_around: GoAroundSeen | None = None
    bodies: dict[str, str] | None = None  # SHA-256 of bodies that were left out, by step


@dataclass(frozen=True, slots=True)
class TorTarget:
    """One directory authority or bridge of the test `tor`."""

    target_address: str = ""
    target_protocol: str = ""
    target_name: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class TestKeys:
    """The steps, and what the probe itself concluded. Which are set depends on the test."""

    __test__ = False  # no test, whatever its name tells pytest

    queries: tuple[Query, ...] | None = None
    tcp_connect: tuple[TcpConnect, ...] | None = None
    tls_handshakes: tuple[Handshake, ...] | None = None
    quic_handshakes: tuple[Handshake, ...] | None = None
    requests: tuple[Exchange, ...] | None = None
    network_events: tuple[NetworkEvent, ...] | None = None
    x_dns_duplicate_responses: tuple[Query, ...] | None = None
    x_vanished: Ours | None = None

    # web_connectivity
    control: Control | None = None
    control_failure: str | None = None
    dns_experiment_failure: str | None = None
    http_experiment_failure: str | None = None
    dns_consistency: str | None = None
    body_proportion: float | None = None
    body_length_match: bool | None = None
    headers_match: bool | None = None
    status_code_match: bool | None = None
    title_match: bool | None = None
    accessible: bool | None = None
    blocking: str | bool | None = None

    # apps
    signal_backend_status: str | None = None
    signal_backend_failure: str | None = None
    telegram_http_blocking: bool | None = None
    telegram_tcp_blocking: bool | None = None
    telegram_web_status: str | None = None
    telegram_web_failure: str | None = None
    registration_server_status: str | None = None
    registration_server_failure: str | None = None
    whatsapp_endpoints_status: str | None = None
    whatsapp_web_status: str | None = None
    whatsapp_web_failure: str | None = None
    facebook_dns_blocking: bool | None = None
    facebook_tcp_blocking: bool | None = None
    whatsapp_endpoints_blocked: tuple[str, ...] | None = None
    whatsapp_endpoints_dns_inconsistent: tuple[str, ...] | None = None
    facebook_b_api_dns_consistent: bool | None = None
    facebook_b_api_reachable: bool | None = None
    facebook_b_graph_dns_consistent: bool | None = None
    facebook_b_graph_reachable: bool | None = None
    facebook_edge_dns_consistent: bool | None = None
    facebook_edge_reachable: bool | None = None
    facebook_external_cdn_dns_consistent: bool | None = None
    facebook_external_cdn_reachable: bool | None = None
    facebook_scontent_cdn_dns_consistent: bool | None = None
    facebook_scontent_cdn_reachable: bool | None = None
    facebook_star_dns_consistent: bool | None = None
    facebook_star_reachable: bool | None = None
    facebook_stun_dns_consistent: bool | None = None
    facebook_stun_reachable: bool | None = None

    # go-arounds
    targets: dict[str, TorTarget] | tuple[TorTarget, ...] | None = None
    success: bool | None = None
    failure: str | bool | None = None
    error: str | None = None
    bootstrap_time: float | None = None
    tor_progress: float | None = None
    tor_progress_tag: str | None = None
    transport_name: str | None = None
    provider: str | None = None
    success_handshake: bool | None = None
    success_urlgrab: bool | None = None
    api_failure: str | None = None
    api_status: str | None = None
    ca_cert_status: bool | None = None
    transport_status: dict[str, str] | None = None


NO_KEYS = TestKeys()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one test against one input. Times are OONI's: UTC, "YYYY-MM-DD HH:MM:SS"."""

    test_name: str = ""
    measurement_start_time: str = ""
    input: str | tuple[str, ...] | None = None
    test_keys: TestKeys | None = None
    probe_asn: str = f"AS{NONE_YET}"
    probe_cc: str = "ZZ"
    probe_network_name: str | None = None
    resolver_asn: str | None = None
    resolver_network_name: str | None = None
    report_id: str = ""
    measurement_uid: str | None = None
    test_start_time: str = ""
    test_version: str = ""
    test_runtime: float = 0.0
    software_name: str = ""
    software_version: str = ""
    data_format_version: str | None = DATA_FORMAT
    annotations: dict[str, str] | None = None
    extensions: dict[str, int] = field(default_factory=dict)

    @property
    def keys(self) -> TestKeys:
        """The test's keys; empty ones where the test died before it had any."""
        return self.test_keys or NO_KEYS

    @property
    def target(self) -> str:
        """The input as one text; "" for a test that takes none."""
        if isinstance(self.input, tuple):
            return " ".join(self.input)
        return self.input or ""
