"""Measurements with a known truth: what a careful probe would record under each form of blocking.

In: a form, a seed, a loss of packets. Out: a `Measurement` as ours are written. No packet is sent:
the steps are drawn, with the retries that kernels and the probe make. For packets there is the
network lab. Addresses and names are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from vanished.lab.reach_forms import BLOCK_PAGE, CAPTCHA, FORBIDDEN, PLAIN, STALE
from vanished.reach.record import (
    AddressInfo,
    Canary,
    Control,
    ControlConnect,
    ControlDns,
    ControlHandshake,
    ControlPage,
    ControlSummary,
    Measurement,
    Ours,
    TestKeys,
    Throughput,
)
from vanished.reach.steps import (
    OTHER_SNI,
    Answer,
    Exchange,
    Handshake,
    Headers,
    Query,
    Request,
    Response,
    TcpConnect,
    TcpStatus,
    attempt,
)

TRIES = 3
MOST_TRIES = 8
"""A probe that sees failures and successes goes on, up to so many tries."""

MOST_ASKED = 8
"""A question by UDP is asked again until it is answered, up to so often."""

SYN_TRIES = 4  # of a connect that waits 15 s
DATA_TRIES = 6  # of a handshake or request that waits 10 s
RESOLVER = "9.9.9.10:53"


@dataclass(slots=True)
class _Run:
    """One measurement in the making."""

    form: str
    rng: np.random.Generator
    loss: float
    share: float  # of tries that the censor reacts to
    url: str
    host: str
    addresses: tuple[str, ...]
    hit: tuple[str, ...]  # addresses that are blocked
    clock: float = 0.0
    ids: Callable[[], int] = field(default_factory=lambda: count(1).__next__)
    queries: list[Query] = field(default_factory=list)
    twice: list[Query] = field(default_factory=list)
    connects: list[TcpConnect] = field(default_factory=list)
    handshakes: list[Handshake] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    quic: list[Handshake] = field(default_factory=list)

    def lost(self, tries: int) -> bool:
        """Whether question or answer were lost, again and again."""
        return bool(self.rng.random() < (1 - (1 - self.loss) ** 2) ** tries)

    def censored(self) -> bool:
        """Whether the censor reacts to this try."""
        return bool(self.rng.random() < self.share)

    def spend(self, seconds: float) -> tuple[float, float]:
        began, self.clock = self.clock, self.clock + seconds
        return began, self.clock


def measure(
    form: str,
    seed: int,
    *,
    target: int = 0,
    loss: float = 0.0,
    share: float = 1.0,
    one_address: bool = False,
) -> Measurement:
    """What a probe records of target number `target` under `form`.

    `loss` is the share of packets lost each way, `share` the share of tries that the censor reacts
    to, `one_address` blocks one of the target's two addresses only.
    """
    rng = np.random.default_rng((seed, target, sum(form.encode())))
    host = f"site{target}.example"
    addresses = tuple(f"93.184.{216 + target}.{last}" for last in (34, 35))
    scheme = "http" if form in PLAIN else "https"
    hit = addresses[:1] if one_address else addresses
    run = _Run(form, rng, loss, share, f"{scheme}://{host}/", host, addresses, hit)
    found = _look_up(run)
    for address in dict.fromkeys([*found, *addresses]) if form != "no_such_name" else ():
        _try_address(run, address)
    if form in ("quic_drop", "clean"):
        _quic(run)
    return Measurement(
        test_name="web_connectivity",
        test_version="0.5.0",
        software_name="vanished",
        software_version="0",
        measurement_start_time="2026-01-01 00:00:00",
        test_start_time="2026-01-01 00:00:00",
        probe_asn="AS64500",
        probe_cc="ZZ",
        input=run.url,
        test_keys=TestKeys(
            queries=tuple(run.queries),
            x_dns_duplicate_responses=tuple(run.twice) or None,
            tcp_connect=tuple(run.connects),
            tls_handshakes=tuple(run.handshakes),
            quic_handshakes=tuple(run.quic) or None,
            requests=tuple(reversed(run.exchanges)),
            control=None if form in STALE else _control(run),
            control_failure="generic_timeout_error" if form in STALE else None,
            x_vanished=_block_of(run),
        ),
    )


def _look_up(run: _Run) -> list[str]:
    """Ask the resolver until it has answered `TRIES` times; the addresses that it answered."""
    answered: list[str] = []
    heard = 0
    for number in range(1, MOST_ASKED + 1):
        silent = run.form == "dead_resolver" or (run.form == "dns_drop" and run.censored())
        failure: str | None = None
        addresses: tuple[str, ...] = ()
        if silent or run.lost(1):
            failure = "generic_timeout_error"
        else:
            heard += 1
            failure, addresses = _answer(run)
        t0, t = run.spend(2.0 if failure == "generic_timeout_error" else 0.02)
        step = Query(
            hostname=run.host,
            query_type="A",
            engine="udp",
            resolver_address=RESOLVER,
            answers=tuple(Answer("A", ipv4=one, asn=_network(one)) for one in addresses) or None,
            failure=failure,
            t0=t0,
            t=t,
            tags=(attempt(number),),
            transaction_id=run.ids(),
        )
        run.queries.append(step)
        answered += addresses
        if run.form == "dns_injection" and addresses:
            real = tuple(Answer("A", ipv4=one, asn=64500) for one in run.addresses)
            run.twice.append(replace(step, answers=real))
        if heard >= TRIES:
            break
    return list(dict.fromkeys(answered))


def _answer(run: _Run) -> tuple[str | None, tuple[str, ...]]:
    """What one answer of the resolver says."""
    if run.form == "no_such_name":
        return "dns_nxdomain_error", ()
    if run.form.startswith("dns_") and run.censored():
        lies = {
            "dns_bogon": "127.0.0.1",
            "dns_block_address": "45.76.10.20",
            "dns_wrong_address": "45.76.10.21",
            "dns_injection": "31.13.94.37",
        }
        if run.form in lies:
            return None, (lies[run.form],)
        if run.form == "dns_nxdomain":
            return "dns_nxdomain_error", ()
        if run.form == "dns_refused":
            return "dns_refused_error", ()
    return None, run.addresses


def _network(address: str) -> int:
    return 64500 if address.startswith("93.184.") else 0


def _try_address(run: _Run, address: str) -> None:
    """Try one address up to `TRIES` times, and on where the outcome is mixed."""
    failed = worked = 0
    for number in range(1, MOST_TRIES + 1):
        if _one_way(run, address, run.host, (attempt(number),)):
            worked += 1
        else:
            failed += 1
        if number >= TRIES and (not failed or not worked or failed >= TRIES):
            break
    if failed:
        for number in range(1, TRIES + 1):
            _one_way(run, address, "harmless.example", (OTHER_SNI, attempt(number)))


def _one_way(run: _Run, address: str, name: str, tags: tuple[str, ...]) -> bool:
    """Connect, shake hands, fetch; whether all of it worked."""
    port = 80 if run.url.startswith("http:") else 443
    key, ours = run.ids(), name == run.host
    failure = _connect_failure(run, address)
    t0, t = run.spend(15.0 if failure == "generic_timeout_error" else 0.05)
    status = TcpStatus(success=failure is None, failure=failure)
    run.connects.append(TcpConnect(address, port, status, t0, t, tags, key))
    if failure:
        return False
    place = f"{address}:{port}"
    secure = port == 443
    if secure:
        failure = _handshake_failure(run, address, ours)
        t0, t = run.spend(10.0 if failure == "generic_timeout_error" else 0.1)
        run.handshakes.append(
            Handshake(
                place, name, failure, network="tcp", t0=t0, t=t, tags=tags, transaction_id=key
            )
        )
        if failure:
            return False
    failure, response = _fetch(run, address, ours)
    t0, t = run.spend(10.0 if failure == "generic_timeout_error" else 0.2)
    run.exchanges.append(
        Exchange(
            Request(f"{'https' if secure else 'http'}://{name}/"),
            response,
            failure,
            address=place,
            t0=t0,
            t=t,
            tags=tags,
            transaction_id=key,
        )
    )
    return failure is None


def _connect_failure(run: _Run, address: str) -> str | None:
    if run.form in ("server_down", "stale_control_failing"):
        return "connection_refused"
    if address == "127.0.0.1":
        return "connection_refused"
    forms = {
        "ip_drop": "generic_timeout_error",
        "ip_rst": "connection_refused",
        "ip_unreachable": "host_unreachable",
    }
    if run.form in forms and address in run.hit and run.censored():
        return forms[run.form]
    return "generic_timeout_error" if run.lost(SYN_TRIES) else None


def _handshake_failure(run: _Run, address: str, ours: bool) -> str | None:
    if run.form == "bad_certificate":
        return "ssl_invalid_certificate" if ours else "ssl_invalid_hostname"
    if address not in run.addresses:
        return "ssl_unknown_authority"
    if run.form == "tls_interception" and address in run.hit:
        return "ssl_unknown_authority"
    forms = {"sni_reset": "connection_reset", "sni_drop": "generic_timeout_error"}
    if run.form in forms and ours and address in run.hit and run.censored():
        return forms[run.form]
    return "generic_timeout_error" if run.lost(DATA_TRIES) else None


def _fetch(run: _Run, address: str, ours: bool) -> tuple[str | None, Response]:
    """The failure of a request, or its answer."""
    if address not in run.addresses:
        return None, _page(BLOCK_PAGE)
    if ours and address in run.hit and run.censored():
        if run.form in ("sni_late_reset", "http_reset"):
            return ("eof_error" if run.form == "sni_late_reset" else "connection_reset"), Response()
        if run.form == "http_drop":
            return "generic_timeout_error", Response()
        if run.form == "http_block_page":
            return None, _page(BLOCK_PAGE)
    if run.lost(DATA_TRIES):
        return "generic_timeout_error", Response()
    if run.form == "captcha":
        return None, _page(CAPTCHA, 503)
    if run.form == "server_error":
        return None, _page("<html><title>502 Bad Gateway</title></html>", 502)
    if run.form == "forbidden":
        return None, _page(FORBIDDEN, 403)
    return None, _page(_own_page(run))


def _own_page(run: _Run) -> str:
    day = "".join(f"<p>Line {i} of the day.</p>" for i in range(int(run.rng.integers(30, 40))))
    return f"<html><head><title>Welcome to {run.host}</title></head><body>{day}</body></html>"


def _page(body: str, code: int = 200) -> Response:
    headers: Headers = {"Content-Type": "text/html", "Content-Length": str(len(body))}
    return Response(code=code, headers=headers, body=body)


def _quic(run: _Run) -> None:
    for number in range(1, TRIES + 1):
        stopped = run.form == "quic_drop" or run.lost(DATA_TRIES)
        failure = "generic_timeout_error" if stopped else None
        t0, t = run.spend(10.0 if failure else 0.1)
        run.quic.append(
            Handshake(
                f"{run.addresses[0]}:443",
                run.host,
                failure,
                network="udp",
                t0=t0,
                t=t,
                tags=(attempt(number),),
                transaction_id=run.ids(),
            )
        )


def _control(run: _Run) -> Control:
    """The same target from a network that is not filtered."""
    down = run.form == "server_down"
    bad = "ssl_invalid_certificate" if run.form == "bad_certificate" else None
    gone = run.form == "no_such_name"
    refused = "connection_refused_error" if down else None
    places = [f"{address}:{port}" for address in run.addresses for port in (80, 443)]
    failure = "dns_lookup_error" if gone else (refused or bad)
    page = _own_page(run)
    code = {"server_error": 502, "forbidden": 200}.get(run.form, 200)
    return Control(
        dns=ControlDns("dns_name_error" if gone else None, () if gone else run.addresses),
        tcp_connect={} if gone else {one: ControlConnect(not down, refused) for one in places},
        tls_handshake={
            one: ControlHandshake(run.host, bad is None, bad)
            for one in places
            if one.endswith(":443") and not (down or gone)
        },
        quic_handshake={
            one: ControlHandshake(run.host, True) for one in places if one.endswith(":443")
        },
        http_request=ControlPage(
            failure=failure,
            status_code=-1 if failure else code,
            body_length=-1 if failure else len(page),
            title="" if failure else f"Welcome to {run.host}",
            headers={} if failure else {"Content-Type": "text/html", "Content-Length": "1"},
        ),
        ip_info={address: AddressInfo(asn=64500) for address in run.addresses},
    )


def _block_of(run: _Run) -> Ours:
    """What is ours alone: the canary, the control, throughput."""
    dead = run.form == "dead_resolver"
    rates = {"throttling": (2e4, 2e6), "slow_server": (2e4, 2.2e4), "clean": (1e6, 2e6)}
    throughput = None
    if run.form in rates:
        here, there = rates[run.form]
        drawn = tuple(float(here * run.rng.uniform(0.7, 1.3)) for _ in range(TRIES))
        other = (there,) if run.form == "throttling" else (here,)
        throughput = Throughput(drawn, (there,), other)
    return Ours(
        ruleset="reach/3",
        attempts=TRIES,
        canary=Canary("canary.example", not dead, "generic_timeout_error" if dead else None),
        control=ControlSummary(
            run.form not in STALE,
            "lab",
            "generic_timeout_error" if run.form in STALE else None,
        ),
        throughput=throughput,
    )
