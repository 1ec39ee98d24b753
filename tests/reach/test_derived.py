"""Causes that OONI simulates and whose records do not lie beside us, derived from those that do.

Rules that were fitted to the records at hand would fail here; both verdicts are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.reach.records import generated
from vanished.reach.classic import classic
from vanished.reach.record import (
    Control,
    ControlConnect,
    ControlDns,
    ControlHandshake,
    ControlPage,
    Measurement,
)
from vanished.reach.steps import Answer, Response, TcpStatus, text
from vanished.reach.verdict import verdict


def with_keys(one: Measurement, **changed: object) -> Measurement:
    return replace(one, test_keys=replace(one.keys, **changed))  # type: ignore[arg-type]


def with_control(one: Measurement, **changed: object) -> Measurement:
    control = one.keys.control or Control()
    return with_keys(one, control=replace(control, **changed))  # type: ignore[arg-type]


def no_page(one: Measurement, failure: str) -> Measurement:
    return with_control(one, http_request=ControlPage(failure, -1, -1, "", {}))


def shaken(one: Measurement, failure: str, control: str | None = None) -> Measurement:
    """Its handshakes fail, and the control's as told."""
    tls = tuple(replace(step, failure=failure) for step in one.keys.tls_handshakes or ())
    beside = {
        place: ControlHandshake(seen.server_name, control is None, control)
        for place, seen in ((one.keys.control or Control()).tls_handshake or {}).items()
    }
    found = with_control(with_keys(one, tls_handshakes=tls, requests=()), tls_handshake=beside)
    return no_page(found, "unknown_error") if control else found


def connected(one: Measurement, failure: str, control: str | None = None) -> Measurement:
    tcp = tuple(
        replace(step, status=TcpStatus(False, failure)) for step in one.keys.tcp_connect or ()
    )
    beside = {
        place: ControlConnect(control is None, control)
        for place in (one.keys.control or Control()).tcp_connect or {}
    }
    found = with_keys(one, tcp_connect=tcp, tls_handshakes=(), requests=())
    found = with_control(found, tcp_connect=beside)
    return no_page(found, "connection_refused_error") if control else found


def answered(one: Measurement, address: str) -> Measurement:
    """Its plain resolvers answer `address`; what follows at the real one stays."""
    queries = tuple(
        replace(step, answers=(Answer("A", ipv4=address),))
        if step.engine != "doh" and step.answers
        else step
        for step in one.keys.queries or ()
    )
    return with_keys(one, queries=queries)


def requested(one: Measurement, failure: str) -> Measurement:
    steps = tuple(
        replace(step, failure=failure, response=Response()) for step in one.keys.requests or ()
    )
    return with_keys(one, requests=steps)


def nameless(one: Measurement) -> Measurement:
    queries = tuple(
        replace(step, failure="dns_nxdomain_error", answers=None) for step in one.keys.queries or ()
    )
    found = with_keys(one, queries=queries, tcp_connect=(), tls_handshakes=(), requests=())
    found = with_control(
        found, dns=ControlDns("dns_name_error", ()), tcp_connect={}, tls_handshake={}
    )
    return no_page(found, "dns_lookup_error")


def stale(one: Measurement) -> Measurement:
    return with_keys(one, control=None, control_failure="connection_reset")


HTTP, HTTPS = "largeFileWithHTTP", "successWithHTTPS"
Change = Callable[[Measurement], Measurement]
CASES: dict[str, tuple[str, Change, object, tuple[str, str | None, str | None]]] = {
    "badSSLWithWrongServerName": (
        HTTPS,
        lambda one: shaken(one, "ssl_invalid_hostname", "ssl_invalid_hostname"),
        False,
        ("down", None, None),
    ),
    "badSSLWithUnknownAuthorityWithConsistentDNS": (
        HTTPS,
        lambda one: shaken(one, "ssl_unknown_authority", "ssl_unknown_authority"),
        False,
        ("down", None, None),
    ),
    "tlsInterception": (
        HTTPS,
        lambda one: shaken(one, "ssl_unknown_authority"),
        "http-failure",
        ("likely_blocked", "tls", "interception"),
    ),
    "tlsBlockingConnectionResetWithConsistentDNS": (
        HTTPS,
        lambda one: shaken(one, "connection_reset"),
        "http-failure",
        ("likely_blocked", "tls", "reset"),
    ),
    "tcpBlockingConnectTimeout": (
        HTTPS,
        lambda one: connected(one, "generic_timeout_error"),
        "tcp_ip",
        ("likely_blocked", "ip", "drop"),
    ),
    "websiteDownTCPConnect": (
        HTTPS,
        lambda one: connected(one, "connection_refused", "connection_refused_error"),
        False,
        ("down", None, None),
    ),
    "websiteDownNXDOMAIN": (HTTPS, nameless, False, ("down", None, None)),
    "dnsBlockingBOGON": (
        HTTPS,
        lambda one: answered(one, "10.10.34.35"),
        "dns",
        ("blocked", "dns", "block_address"),
    ),
    "httpBlockingConnectionReset": (
        HTTP,
        lambda one: requested(one, "connection_reset"),
        "http-failure",
        ("likely_blocked", "http", "reset"),
    ),
    "httpBlockingTimeout": (
        HTTP,
        lambda one: requested(one, "generic_timeout_error"),
        "http-failure",
        ("likely_blocked", "http", "drop"),
    ),
    "controlFailureWithSuccessfulHTTPWebsite": (
        HTTP,
        stale,
        None,
        ("insufficient", None, None),
    ),
    "successWithHTTP": (HTTP, lambda one: one, False, ("ok", None, None)),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_derived_cause_is_judged_as_its_name_says(name: str) -> None:
    """By OONI's rules and by ours."""
    base, change, blocking, says = CASES[name]
    measurement = change(generated()[base])
    assert classic(measurement).blocking == blocking
    said = verdict(measurement)
    assert (said.state, said.layer, said.mechanism) == says


def test_a_captcha_over_tls_is_no_block_by_either() -> None:
    """OONI calls one in plain HTTP a difference; ours none."""
    captcha = generated()["cloudflareCAPTCHAWithHTTP"]
    page = (captcha.keys.requests or ())[0].response
    assert page is not None
    assert "captcha" in text(page.body).lower()
    one = generated()["successWithHTTPS"]
    steps = tuple(replace(step, response=page) for step in one.keys.requests or ())
    measurement = with_keys(one, requests=steps)
    assert classic(measurement).blocking is False
    assert not verdict(measurement).stopped


def test_residual_blocking_does_not_blame_the_name() -> None:
    """Where the other name fails too, the address may be what is blocked for a while."""
    from vanished.lab.reach_records import measure
    from vanished.reach.steps import OTHER_SNI

    measurement = measure("sni_reset", 4)
    assert verdict(measurement).layer == "sni"
    tls = tuple(
        replace(step, failure="connection_reset") if OTHER_SNI in (step.tags or ()) else step
        for step in measurement.keys.tls_handshakes or ()
    )
    said = verdict(with_keys(measurement, tls_handshakes=tls))
    assert (said.layer, said.mechanism) == ("tls", "reset")


def test_a_site_s_own_page_is_no_block_page_whatever_it_says() -> None:
    """A newspaper that reports a block in plain HTTP, and has the title that the control saw."""
    from vanished.lab.reach_forms import BLOCK_PAGE
    from vanished.lab.reach_records import measure

    measurement = measure("http_block_page", 6)
    assert verdict(measurement).stopped
    page = (measurement.keys.control or Control()).http_request or ControlPage()
    titled = BLOCK_PAGE.replace("Access restricted", page.title or "")
    steps = tuple(
        replace(step, response=Response(200, body=titled))
        for step in measurement.keys.requests or ()
    )
    assert not verdict(with_keys(measurement, requests=steps)).stopped
