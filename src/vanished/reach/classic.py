"""OONI's own verdict on a web_connectivity measurement, drawn again from the steps.

In: a measurement. Out: `blocking` and `accessible` as OONI's probe would say, for comparison with
other people's analyses; our own verdict is `reach.verdict`. Three generations of probes draw it by
different rules, chosen by `test_version`: before 0.4, 0.4, and from 0.5 on. Rules: OONI's ts-017
and what the probes publish of themselves; the quirks are theirs and are kept.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from vanished.reach.classic_steps import Furthest, Stage, furthest
from vanished.reach.failures import NO_ANSWER, NXDOMAIN, Kind, kind
from vanished.reach.likeness import compare
from vanished.reach.record import Control, ControlDns, ControlPage, Measurement
from vanished.reach.steps import Exchange, Query, depth

SYSTEM = frozenset({"getaddrinfo", "system", "golang_net_resolver", None, ""})
"""Engines that stand for the resolver of the system."""

AsnOf = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Classic:
    """`blocking` is a reason ("dns", "tcp_ip", "http-failure", "http-diff"), False or None."""

    blocking: str | bool | None
    accessible: bool | None
    dns_consistency: str | None


CONSISTENT, INCONSISTENT = "consistent", "inconsistent"
_UNSAID = (None, None)
_ACCESSIBLE = (False, True)
_DOWN = (False, False)
_SAYS = tuple[str | bool | None, bool | None]


def classic(measurement: Measurement, asn_of: AsnOf | None = None) -> Classic:
    """OONI's verdict on a web_connectivity measurement.

    `asn_of` gives the number of the autonomous system of an address, 0 if unknown; without it the
    numbers in the record are used, and where an old record has none and no address agrees, the
    consistency that its probe stated.
    """
    generation = _version(measurement.test_version)
    consistency = _consistency(measurement, asn_of, generation)
    if generation >= (0, 5):
        says = _blamed(_walked(measurement), consistency)
    elif generation >= (0, 4):
        says = _summed(measurement, consistency)
    else:
        says = _early(measurement, consistency)
    return Classic(*says, consistency)


def _version(shown: str) -> tuple[int, int]:
    parts = shown.split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        return (0, 5)


# What the look-ups say


def _consistency(
    measurement: Measurement, asn_of: AsnOf | None, generation: tuple[int, int]
) -> str | None:
    """Whether the system's resolver and the control's agree."""
    keys = measurement.keys
    control = keys.control
    if keys.control_failure or control is None or control.dns is None:
        return None
    if _is_address(_host(measurement.target)):
        return CONSISTENT
    queries = [q for q in keys.queries or () if q.engine in SYSTEM and depth(q.tags) == 0]
    found = [address for query in queries for address in query.addresses]
    failure = next((q.failure for q in queries if q.failure), keys.dns_experiment_failure)
    if not found and failure:
        return CONSISTENT if _both_failed(failure, control.dns, generation) else INCONSISTENT
    if not found:
        return None
    if control.dns.failure or not control.dns.addrs:
        return INCONSISTENT
    if set(found) & set(control.dns.addrs):
        return CONSISTENT
    ours = _numbers(found, queries, asn_of)
    theirs = _control_numbers(control, asn_of)
    if ours & theirs:
        return CONSISTENT
    if generation < (0, 5) and not (ours and theirs) and keys.dns_consistency:
        return keys.dns_consistency
    return INCONSISTENT


def _both_failed(failure: str, control: ControlDns, generation: tuple[int, int]) -> bool:
    if control.failure:
        return generation >= (0, 5) or kind(failure) is kind(control.failure)
    return generation >= (0, 5) and failure == NO_ANSWER and not control.addrs


def _numbers(found: list[str], queries: Iterable[Query], asn_of: AsnOf | None) -> set[int]:
    if asn_of:
        return {asn_of(address) for address in found} - {0}
    answers = (answer for query in queries for answer in query.answers or ())
    return {answer.asn or 0 for answer in answers if answer.address} - {0}


def _control_numbers(control: Control, asn_of: AsnOf | None) -> set[int]:
    addresses = control.dns.addrs if control.dns and control.dns.addrs else ()
    if asn_of:
        return {asn_of(address) for address in addresses} - {0}
    info = control.ip_info or {}
    return {info[address].asn or 0 for address in addresses if address in info} - {0}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# From 0.5 on: the furthest step of the last redirect


def _blamed(says: _SAYS, consistency: str | None) -> _SAYS:
    """With look-ups that disagree, whatever else is blamed is the resolver's doing."""
    if consistency == INCONSISTENT and says != _ACCESSIBLE:
        return ("dns", False)
    return says


def _walked(measurement: Measurement) -> _SAYS:
    """The first step that decides, from the last redirect back and from HTTP down to DNS."""
    control = None if measurement.keys.control_failure else measurement.keys.control
    page = control.http_request if control else None
    for step in furthest(measurement, SYSTEM):
        if step.stage is Stage.HTTP and not step.failure:
            if not step.final:
                continue
            if step.tls:
                return _ACCESSIBLE
            if page is None:
                return _UNSAID
            answer = step.exchange.response if step.exchange else None
            return _ACCESSIBLE if compare(answer, page).same_page else ("http-diff", False)
        if step.failure:
            return _failed(step, control, page)
    return _UNSAID if control is None else _DOWN


def _failed(step: Furthest, control: Control | None, page: ControlPage | None) -> _SAYS:
    """A failed step, beside the same step of the control or, for want of it, its page."""
    reason = {Stage.TCP: "tcp_ip", Stage.DNS: "dns"}.get(step.stage, "http-failure")
    known, failure = step.beside(control)
    if not known:
        if page is None:
            return _ACCESSIBLE if step.stage is Stage.DNS else _UNSAID
        if step.stage is Stage.HTTP:
            return _DOWN if page.failure else (reason, False)
        return ("dns" if step.stage is Stage.DNS else "http-failure", False)
    return _DOWN if failure else (reason, False)


# Before 0.5


def _summed(measurement: Measurement, consistency: str | None) -> _SAYS:
    """Web Connectivity 0.4: look-up, then connects, then the last request."""
    keys = measurement.keys
    last = keys.requests[0] if keys.requests else None
    if last and not last.failure and last.request and last.request.url.startswith("https://"):
        return _ACCESSIBLE
    if keys.control_failure:
        return _UNSAID
    early = _no_way(measurement, consistency)
    if early:
        return early
    page = keys.control.http_request if keys.control else None
    if page is None or page.failure or last is None:
        return _UNSAID
    if last.failure:
        reason = _reason(last.failure)
        if reason and len(keys.requests or ()) == 1 and consistency == INCONSISTENT:
            reason = "dns"
        return (reason, False) if reason else _UNSAID
    return _judged(last, page, consistency)


def _early(measurement: Measurement, consistency: str | None) -> _SAYS:
    """Before 0.4: every failure counts, and two failures make a page accessible."""
    keys = measurement.keys
    last = keys.requests[0] if keys.requests else None
    failure = keys.http_experiment_failure or (last.failure if last else None)
    secure = last and last.request and last.request.url.startswith("https://")
    if secure and not failure:
        return _ACCESSIBLE
    if keys.control_failure:
        return _UNSAID
    early = _no_way(measurement, consistency)
    if early:
        return early
    page = keys.control.http_request if keys.control else None
    if failure:
        if consistency == INCONSISTENT:
            return ("dns", False)
        return _ACCESSIBLE if page is None or page.failure else ("http-failure", False)
    return _UNSAID if last is None or page is None else _judged(last, page, consistency)


def _no_way(measurement: Measurement, consistency: str | None) -> _SAYS | None:
    """The verdict if there was no name, or no connect; None if there was one."""
    keys = measurement.keys
    if keys.dns_experiment_failure == NXDOMAIN:
        return _ACCESSIBLE if consistency == CONSISTENT else ("dns", False)
    connects = keys.tcp_connect or ()
    if connects and all(one.failure for one in connects) and consistency:
        return ("tcp_ip" if consistency == CONSISTENT else "dns", False)
    return None


def _reason(failure: str) -> str | None:
    """What 0.4 blames for a failed request; None for failures that it does not know."""
    known = {Kind.REFUSED, Kind.RESET, Kind.TIMEOUT, Kind.CERTIFICATE}
    if failure == NXDOMAIN:
        return "dns"
    return "http-failure" if kind(failure) in known else None


def _judged(last: Exchange, page: ControlPage, consistency: str | None) -> _SAYS:
    if compare(last.response, page, empty_titles_agree=False).same_page:
        return _ACCESSIBLE
    return ("dns" if consistency == INCONSISTENT else "http-diff", False)
