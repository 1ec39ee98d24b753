"""Facts that rules may name, each with the steps of the record that show it.

In: an `Observation` and settings. Out: the facts that hold, by name. A fact says what was seen here
beside what the control saw, never what it means; a timeout counts only after retries, and never
against an address that the control does not reach. Parts: `facts_dns`, `facts_ways`, `facts_page`.
"""

from __future__ import annotations

from statistics import median

from vanished.reach.facts_dns import dns_facts
from vanished.reach.facts_goaround import go_around_facts
from vanished.reach.facts_page import page_facts
from vanished.reach.facts_parts import part_facts
from vanished.reach.facts_settings import DEFAULT, Facts, VerdictSettings
from vanished.reach.facts_ways import way_facts
from vanished.reach.observation import Observation
from vanished.reach.record import TorTarget
from vanished.reach.steps import CANARY

__all__ = ["DEFAULT", "FACTS", "Facts", "VerdictSettings", "facts"]

FACTS = frozenset(
    [
        "canary_failed",
        "canary_ok",
        "nothing_measured",
        "no_control",
        "probe_says_ok",
        "throttled",
        "throttled_some",
        "dns_injected",
        "dns_forged",
        "dns_block_address",
        "dns_bogon",
        "dns_nxdomain",
        "dns_nxdomain_repeated",
        "dns_refused",
        "dns_refused_repeated",
        "dns_dropped",
        "dns_dropped_some",
        "dns_ghost",
        "dns_wildcard",
        "dns_mismatch",
        "dns_mismatch_repeated",
        "wrong_address_fails",
        "nothing_served",
        "ip_reset",
        "ip_reset_repeated",
        "ip_unreachable",
        "ip_unreachable_repeated",
        "ip_drop",
        "ip_drop_repeated",
        "tls_reset",
        "tls_reset_repeated",
        "tls_drop",
        "tls_drop_repeated",
        "tls_intercepted",
        "sni_contrast",
        "http_reset",
        "http_reset_repeated",
        "http_drop",
        "http_drop_repeated",
        "stalled",
        "quic_drop",
        "quic_drop_some",
        "ip_reset_some",
        "ip_unreachable_some",
        "ip_drop_some",
        "tls_reset_some",
        "tls_drop_some",
        "http_reset_some",
        "http_drop_some",
        "dns_nxdomain_some",
        "dns_refused_some",
        "control_fails_too",
        "control_page_failed",
        "reached_secure",
        "reached_plain",
        "page_alike",
        "page_block",
        "page_denial",
        "server_check",
        "broken_redirect",
        "unexpected_answer",
        "unexpected_to_control",
        "unproven_address",
        "around_works",
        "around_cut",
        "flight_lost",
        "flight_lost_repeated",
        "around_silent",
        "around_silent_repeated",
        "address_silent",
        "address_refused",
        "address_unreachable",
        "around_stopped",
        "around_fails_elsewhere",
        "app_part_works",
        "app_part_blocked",
        "app_part_likely",
        "app_part_impaired",
        "app_part_stale",
    ]
)
"""Every name that a rule may use."""

SEVERAL = frozenset(
    [
        "signal",
        "telegram",
        "whatsapp",
        "facebook_messenger",
        "tor",
        "vanilla_tor",
        "torsf",
        "openvpn",
        "riseupvpn",
        "psiphon",
        "stunreachability",
        "dnscheck",
    ]
)
"""OONI's tests of something that has several servers."""


def facts(seen: Observation, settings: VerdictSettings = DEFAULT) -> Facts:
    """The facts that hold, each with ids of steps (none where no single step shows it)."""
    found: dict[str, tuple[str, ...]] = {}
    found.update(_frame(seen))
    block = seen.measurement.keys.x_vanished
    around = go_around_facts(block.go_around, settings) if block and block.go_around else {}
    if block and block.parts:  # the steps were judged beside the control of each server
        found.pop("no_control", None)
        found.update(part_facts(block.parts))
        if block.go_around:  # that its servers were reached is not that it works
            found.pop("app_part_works", None)
            if "around_fails_elsewhere" in around:
                found.pop("app_part_stale", None)
        return {**found, **around}
    found.update(around)
    found.update(way_facts(seen, settings))
    found.update(dns_facts(seen, settings))
    found.update(page_facts(seen))
    found.update(_throughput(seen, settings))
    found.update(_unexpected(seen))
    if seen.measurement.target.startswith("tcp://") and "dns_mismatch" in found:
        found.update(_unproven(seen))
    if seen.measurement.test_name in SEVERAL and "probe_says_ok" not in found:
        for name in ("reached_secure", "reached_plain", "page_alike"):
            found.pop(name, None)  # one of several servers is not the app
    assert found.keys() <= FACTS, found.keys() - FACTS
    return found


def _frame(seen: Observation) -> Facts:
    """The canary, the control, and what the probe itself says."""
    found: dict[str, tuple[str, ...]] = {}
    block = seen.measurement.keys.x_vanished
    steps = [
        (way.handshake_id or way.connect_id, way.answered or (way.exchange is None and way.secure))
        for way in seen.ways
        if way.purpose == CANARY
    ] + [(one.id, not one.query.failure) for one in seen.lookups if one.purpose == CANARY]
    if block and block.canary:
        found["canary_ok" if block.canary.ok else "canary_failed"] = ()
    elif steps and not any(ok for _, ok in steps):
        found["canary_failed"] = tuple(step for step, _ in steps)
    elif steps:
        found["canary_ok"] = tuple(step for step, ok in steps if ok)
    if seen.control is None and not (block and block.control and block.control.ok):
        found["no_control"] = ()
    around = block and block.go_around
    if not (seen.lookups or seen.ways or seen.quic or around or _says_ok(seen)):
        found["nothing_measured"] = ()
    if _says_ok(seen):
        found["probe_says_ok"] = ()
    return found


def _says_ok(seen: Observation) -> bool:
    """Whether the test's own keys state success, for tests that fetch no page."""
    keys = seen.measurement.keys
    name = seen.measurement.test_name
    block = keys.x_vanished
    if block and block.go_around:
        return block.go_around.traffic is True and not block.go_around.ended
    if name == "signal":
        return keys.signal_backend_status == "ok"
    if name == "telegram":
        blocked = (keys.telegram_tcp_blocking, keys.telegram_http_blocking)
        return blocked == (False, False) and keys.telegram_web_status == "ok"
    if name == "whatsapp":
        states = (
            keys.whatsapp_endpoints_status,
            keys.whatsapp_web_status,
            keys.registration_server_status,
        )
        return states == ("ok", "ok", "ok")
    if name == "facebook_messenger":
        return (keys.facebook_dns_blocking, keys.facebook_tcp_blocking) == (False, False)
    if name == "tor":
        targets = _targets(keys.targets)
        return bool(targets) and not any(one.failure for one in targets)
    if name == "openvpn":
        return keys.success_handshake is True or keys.success is True
    if name.startswith("vanished_"):  # tests of ours
        return keys.success is True
    if name in ("vanilla_tor", "torsf"):
        return keys.success is True or (keys.failure is None and bool(keys.bootstrap_time))
    return False


def _unexpected(seen: Observation) -> Facts:
    """An answer that does not count came here, and perhaps to the control as well."""
    block = seen.measurement.keys.x_vanished
    if not (block and block.unexpected):
        return {}
    found = {"unexpected_answer": tuple(way.exchange_id for way in seen.ways if way.code)}
    page = seen.control.http_request if seen.control else None
    codes = {way.code for way in seen.ways if way.code and not way.purpose}
    if page is not None and page.status_code in codes:
        found["unexpected_to_control"] = ()
    return found


def _unproven(seen: Observation) -> Facts:
    """A bare connect that worked only at addresses that nothing shows to be the target's."""
    dns = seen.control.dns if seen.control else None
    right = {*(dns.addrs or ())} if dns else set()
    right |= {way.address for way in seen.ways if way.handshake and way.secure}
    wrong = {
        address
        for one in seen.lookups
        for address in one.query.addresses
        if not any(answer.asn for answer in one.query.answers or ())
    } - right
    worked = [
        way for way in seen.ways
        if way.connect and not way.connect.failure and not way.handshake and not way.exchange
    ]  # fmt: skip
    if worked and all(way.address in wrong for way in worked):
        return {"unproven_address": tuple(way.connect_id for way in worked)}
    return {}


def _targets(held: dict[str, TorTarget] | tuple[TorTarget, ...] | None) -> list[TorTarget]:
    return list(held.values()) if isinstance(held, dict) else list(held or ())


def _throughput(seen: Observation, settings: VerdictSettings) -> Facts:
    """Slower than the control by far, and than what this line carries: another name at the same
    address, or the canary's page. Where neither was asked for, the control's rate decides."""
    block = seen.measurement.keys.x_vanished
    rates = block.throughput if block else None
    if rates is None or not rates.control or len(rates.target) < settings.tries:
        return {}
    bar = median(rates.control)
    beside = [median(given) for given in (rates.other, rates.canary) if given]
    if beside:
        bar = min(bar, max(beside))
    slow = [one < settings.slow * bar for one in rates.target]
    if median(rates.target) < settings.slow * bar:
        return {"throttled": ()}
    return {"throttled_some": ()} if sum(slow) >= settings.tries else {}
