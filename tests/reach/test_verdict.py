"""Our verdict: a false `blocked` would put a removal down to a network that did nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reach.records import generated, right, samples
from vanished.lab.reach_forms import FORMS, OUTAGES, SLOWED, SOME
from vanished.lab.reach_records import measure
from vanished.reach.facts import FACTS, facts
from vanished.reach.observation import observe
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.record import Canary, Measurement, Ours, Throughput
from vanished.reach.rules import Reach, load, ruleset
from vanished.reach.verdict import PARTIAL, may_name_network, noted, verdict

TRUTH = {
    "dnsBlockingAndroidDNSCacheNoData": ("dns", "nxdomain"),
    "dnsBlockingNXDOMAIN": ("dns", "nxdomain"),
    "dnsHijackingToLocalhostWithHTTPS": ("dns", "bogon"),
    "ghostDNSBlockingWithHTTPS": ("dns", "block_address"),
    "httpDiffWithConsistentDNS": ("http", "block_page"),
    "redirectWithConsistentDNSAndThenConnectionRefusedForHTTP": ("ip", "rst"),
    "redirectWithConsistentDNSAndThenConnectionResetForHTTP": ("http", "reset"),
    "redirectWithConsistentDNSAndThenEOFForHTTP": ("http", "reset"),
    "redirectWithConsistentDNSAndThenNXDOMAIN": ("dns", "nxdomain"),
    "redirectWithConsistentDNSAndThenTimeoutForHTTPS": ("tls", "drop"),
    "tcpBlockingConnectionRefusedWithInconsistentDNS": ("ip", "rst"),
    "tlsBlockingConnectionResetWithInconsistentDNS": ("tls", "reset"),
}
"""What OONI's simulated causes are in our words: the names of the files."""

NO_BLOCK = {
    "badSSLWithExpiredCertificate": Reach.DOWN,
    "badSSLWithUnknownAuthorityWithInconsistentDNS": Reach.IMPAIRED,
    "cloudflareCAPTCHAWithHTTP": Reach.IMPAIRED,
    "controlFailureWithSuccessfulHTTPSWebsite": Reach.OK,
    "dnsHijackingToProxyWithHTTPURL": Reach.OK,
    "idnaWithoutCensorshipLowercase": Reach.OK,
    "largeFileWithHTTP": Reach.OK,
    "localhostWithHTTP": Reach.DOWN,
    "redirectWithBrokenLocationForHTTP": Reach.IMPAIRED,
    "redirectWithMoreThanTenRedirectsAndHTTPS": Reach.DOWN,
    "successWithHTTPS": Reach.OK,
    "throttlingWithHTTPS": Reach.IMPAIRED,
    "websiteDownNoAddrs": Reach.DOWN,
}


def test_ooni_s_simulated_causes_are_named() -> None:
    """Their simulation is not ours: it was made to judge other people's rules."""
    records = generated()
    assert set(records) == set(TRUTH) | set(NO_BLOCK)
    wrong = {}
    for name, one in records.items():
        said = verdict(one)
        if name in TRUTH:
            if not said.stopped or (said.layer, said.mechanism) != TRUTH[name]:
                wrong[name] = said
        elif said.state is not NO_BLOCK[name]:
            wrong[name] = said
    assert not wrong


def test_real_records_say_what_ooni_missed_and_no_more() -> None:
    """Indonesia's block page passed as accessible; a resolver's search page as blocking."""
    said = {name: verdict(one) for name, one in samples().items()}
    indonesia = next(one for name, one in said.items() if name.startswith("20250527"))
    assert (indonesia.state, indonesia.mechanism) == (Reach.BLOCKED, "block_page")
    assert said["web_connectivity_ir_fp"].mechanism == "block_address"
    assert said["web_connectivity_odd_hdr"].state is Reach.DOWN
    assert said["web_connectivity_null"].state is Reach.INSUFFICIENT
    blocked = [name for name, one in said.items() if one.stopped]
    assert len(blocked) == 5, blocked


@pytest.mark.parametrize("loss", [0.0, 0.05])
@pytest.mark.parametrize("form", sorted({**FORMS, **SLOWED}))
def test_every_form_is_named_with_layer_and_mechanism(form: str, loss: float) -> None:
    """18 forms, 5 targets each, without loss and with 5 % of packets lost each way."""
    truth = {**FORMS, **SLOWED}[form]
    for target in range(5):
        for seed in range(3):
            said = verdict(measure(form, seed, target=target, loss=loss))
            assert right(said, truth), (form, seed, target, said)


@pytest.mark.parametrize("form", sorted(SOME))
def test_a_censor_that_reacts_to_some_tries_is_named(form: str) -> None:
    """Triggers are probabilistic in fact; wherever it reacted at all, it has to be seen."""
    for seed in range(12):
        measurement = measure(form, seed, share=0.6)
        reacted = b"connection_re" in to_json(measurement) or b"eof_error" in to_json(measurement)
        reacted |= b"dns_nxdomain_error" in to_json(measurement)
        reacted |= b'"ipv4":"127.0.0.1"' in to_json(measurement)
        said = verdict(measurement)
        if reacted:
            assert right(said, FORMS[form], partial=True), (seed, said)
        else:
            assert said.state is Reach.OK


def test_one_blocked_address_of_two_is_partial() -> None:
    """The site is reached all the same; that it is blocked must not be lost by it."""
    for form in sorted(FORMS):
        if form.startswith(("ip", "sni", "tls", "http")):
            said = verdict(measure(form, 5, one_address=True))
            assert right(said, FORMS[form])
            assert said.extent == PARTIAL, form


@pytest.mark.parametrize("form", sorted(OUTAGES))
def test_an_outage_is_never_called_blocked(form: str) -> None:
    """Dead resolver, server down, bad certificate, stale control, captcha: 25 of each."""
    for seed in range(25):
        said = verdict(measure(form, seed, target=seed % 5, loss=0.0 if seed % 2 else 0.05))
        assert not said.stopped, (form, seed, said)
        assert not may_name_network(said)
        assert said.state in OUTAGES[form].states, (form, seed, said)


def test_no_false_alarm_in_clean_runs() -> None:
    """200 runs, and 100 with 5 % of packets lost each way."""
    runs = [(n, 0.0) for n in range(200)] + [(n, 0.05) for n in range(100)]
    alarms = [
        (seed, loss, said.rules)
        for seed, loss in runs
        if (said := verdict(measure("clean", seed, target=seed % 5, loss=loss))).state
        is not Reach.OK
    ]
    assert not alarms


def test_the_canary_comes_first() -> None:
    """A resolver that was down once called 24 of 24 sites blocked."""
    measurement = measure("sni_reset", 1)
    assert verdict(measurement).stopped
    block = measurement.keys.x_vanished or Ours()
    failed = replace(block, canary=Canary("canary.example", False, "generic_timeout_error"))
    said = verdict(replace(measurement, test_keys=replace(measurement.keys, x_vanished=failed)))
    assert said.state is Reach.INSUFFICIENT
    assert said.rules[0] == "canary-failed"


def test_without_a_control_nothing_is_said_against_a_target() -> None:
    """A failed control makes a stale test, whatever failed here."""
    for form in FORMS:
        measurement = measure(form, 1)
        keys = replace(
            measurement.keys, control=None, control_failure="connection_refused", x_vanished=None
        )
        assert not verdict(replace(measurement, test_keys=keys)).stopped, form


def one_try(measurement: Measurement) -> Measurement:
    """The record, had the probe tried each step once and known nothing of patience."""
    keys = measurement.keys
    first = {one.transaction_id for one in (keys.tcp_connect or ())[:1]}

    def short(steps: tuple[object, ...] | None) -> tuple[object, ...]:
        kept = [one for one in steps or () if getattr(one, "transaction_id", None) in first]
        return tuple(replace(one, t0=0.0, t=1.0) for one in kept)  # type: ignore[type-var]

    return replace(
        measurement,
        test_keys=replace(
            keys,
            queries=(keys.queries or ())[:1],
            tcp_connect=short(keys.tcp_connect),  # type: ignore[arg-type]
            tls_handshakes=short(keys.tls_handshakes),  # type: ignore[arg-type]
            requests=short(keys.requests),  # type: ignore[arg-type]
        ),
    )


@pytest.mark.parametrize("form", ["dns_drop", "ip_drop", "sni_drop", "http_drop"])
def test_one_short_timeout_is_never_blocked(form: str) -> None:
    """One lost packet made two false alarms in sixteen; retries come before any timeout counts."""
    measurement = measure(form, 1)
    assert verdict(measurement).stopped
    assert not verdict(one_try(measurement)).stopped


@pytest.mark.parametrize("form", ["ip_rst", "sni_reset", "http_reset", "dns_nxdomain"])
def test_one_reset_is_only_likely(form: str) -> None:
    """`blocked` wants an artefact or a contrast that was repeated."""
    said = verdict(one_try(measure(form, 1)))
    assert said.state is Reach.LIKELY_BLOCKED


def test_a_valid_certificate_overrides_a_strange_address() -> None:
    """CDNs answer addresses that no control has seen; they prove themselves."""
    measurement = measure("dns_wrong_address", 2)
    assert verdict(measurement).mechanism == "wrong_address"
    keys = measurement.keys
    fine = tuple(replace(one, failure=None) for one in keys.tls_handshakes or ())
    said = verdict(replace(measurement, test_keys=replace(keys, tls_handshakes=fine)))
    assert not said.stopped
    assert "dns_mismatch" not in said.facts


def test_evidence_is_steps_of_the_record() -> None:
    """Whoever doubts a verdict has to find what it rests on."""
    measurement = measure("sni_late_reset", 3)
    said = verdict(measurement)
    assert said.evidence
    for step in said.evidence:
        part, _, index = step.partition("/")
        assert len(getattr(measurement.keys, part)) > int(index)


def test_the_verdict_is_written_beside_the_steps_and_read_back() -> None:
    """In the block of our own, so that OONI's tools read the rest undisturbed."""
    measurement = measure("http_block_page", 1)
    said = verdict(measurement)
    block = from_json(to_json(noted(measurement, said))).keys.x_vanished
    assert block is not None
    assert (block.state, block.layer, block.mechanism) == ("blocked", "http", "block_page")
    assert block.rules[0] == "http-block-page"
    assert block.ruleset == said.ruleset == ruleset().version
    assert block.canary is not None


def test_every_fact_is_used_and_every_rule_can_decide() -> None:
    """A rule that never decides, or a fact that nothing reads, is a mistake in waiting."""
    rules = ruleset().rules
    named = {fact for rule in rules for fact in rule.all_of | rule.none_of}
    assert named == FACTS
    for i, rule in enumerate(rules[:-1]):
        shadows = [one.id for one in rules[:i] if one.all_of <= rule.all_of and not one.none_of]
        assert not shadows, (rule.id, shadows)


def test_rules_that_name_nothing_known_are_refused() -> None:
    """A misspelt fact would silently switch a rule off."""
    from vanished.errors import ConfigError

    text = '[[rule]]\nid="a"\nall=["dns_bogus"]\nstate="ok"\nsays=""\n'
    with pytest.raises(ConfigError, match="no known fact: dns_bogus"):
        load(f'version = "x"\n{text}', FACTS)


def test_the_same_record_gives_the_same_facts() -> None:
    """Also after a way through JSON."""
    for form in FORMS:
        measurement = measure(form, 9, loss=0.05)
        again = from_json(to_json(measurement))
        assert facts(observe(measurement)) == facts(observe(again))


@pytest.mark.parametrize("quic", ["quic_drop", "quic_drop_some"])
def test_quic_is_not_blamed_where_the_address_is_stopped_at_times(quic: str) -> None:
    """Or a lossy block of an address would be reported as one of HTTP/3."""
    first = ruleset().holding({quic, "ip_drop_some", "reached_secure"})[0]
    assert (first.layer, first.mechanism) == ("ip", "drop")
    assert ruleset().holding({quic, "reached_secure"})[0].layer == "quic"


@pytest.mark.parametrize(
    ("target", "control", "rule"),
    [
        ((1e4,) * 8, 1e6, "throttled"),
        ((1e4, 1e4, 1e4, *[1e6] * 5), 1e6, "throttled-some"),
        ((1e4, 1e4, *[1e6] * 6), 1e6, ""),  # two may be chance
        ((1e4, 1e4, 1e4, *[1e6] * 5), 5e4, ""),  # so it is to the control
    ],
)
def test_a_page_that_is_slow_at_times_is_impaired(
    target: tuple[float, ...], control: float, rule: str
) -> None:
    """A censor that slows three connections in four lets the median of a few look fine."""
    measurement = measure("clean", 1)
    keys = measurement.keys
    assert keys.x_vanished
    block = replace(
        keys.x_vanished, throughput=Throughput(target, (control,) * 3, (1e6,) * 3, (1e6,) * 3)
    )
    said = verdict(replace(measurement, test_keys=replace(keys, x_vanished=block)))
    assert (rule in said.rules, said.state is Reach.IMPAIRED) == (bool(rule),) * 2
    assert not said.stopped
