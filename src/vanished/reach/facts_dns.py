"""What look-ups show: forged, missing, dropped or strange answers.

In: an `Observation`. Out: facts, each with the look-ups that show it. An answer is right if it
shares an address or a network with the control's, or if its address proved itself with a valid
certificate. Look-ups over TLS cannot be forged on the way: they are evidence of the truth, and
their failure says something of that resolver, not of the name.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from vanished.reach.block_pages import block_address
from vanished.reach.facts_settings import Facts, VerdictSettings
from vanished.reach.failures import Kind, kind
from vanished.reach.observation import Lookup, Observation
from vanished.reach.steps import CANARY, Query


@dataclass(frozen=True, slots=True)
class Truth:
    """What the control and look-ups over TLS say of one name."""

    addresses: frozenset[str]
    networks: frozenset[int]
    proven: frozenset[str]  # addresses that showed a valid certificate for the name
    exists: bool
    gone: bool  # the control says that there is no such name
    known: bool  # the control looked it up

    def right(self, query: Query) -> bool:
        """Whether one of the answered addresses is the target's."""
        answered = set(query.addresses)
        if answered & (self.addresses | self.proven):
            return True
        return bool({answer.asn for answer in query.answers or () if answer.asn} & self.networks)


def truth(seen: Observation, name: str) -> Truth:
    """What is known of `name` beside the answers of plain resolvers here."""
    control = seen.control
    dns = control.dns if control and name == seen.host else None
    over_tls = [one.query for one in seen.lookups if one.encrypted and one.query.hostname == name]
    addresses = set(dns.addrs or ()) if dns else set()
    addresses |= {address for query in over_tls for address in query.addresses}
    info = (control.ip_info or {}) if control else {}
    networks = {info[one].asn for one in addresses if one in info}
    networks |= {answer.asn for query in over_tls for answer in query.answers or ()}
    page = control.http_request if control else None
    led_on = (
        name != seen.host
        and page is not None
        and not page.failure
        and not page_missing(page.status_code)
    )
    return Truth(
        addresses=frozenset(addresses),
        networks=frozenset(one for one in networks if one),
        proven=frozenset(
            way.address
            for way in seen.ways
            if way.handshake and way.secure and way.handshake.server_name == name
        ),
        exists=bool(addresses) or led_on,
        gone=bool(dns and (kind(dns.failure) is Kind.NO_NAME or not (dns.failure or dns.addrs))),
        known=dns is not None or bool(over_tls) or led_on,
    )


def page_missing(code: int | None) -> bool:
    """Whether the control got no page."""
    return (code or 0) <= 0


def dns_facts(seen: Observation, settings: VerdictSettings) -> Facts:
    """What the look-ups of the target's names show."""
    found: dict[str, list[str]] = defaultdict(list)
    asked: dict[tuple[str, str], list[Lookup]] = defaultdict(list)
    truths: dict[str, Truth] = {}
    for one in seen.lookups:
        if not one.purpose and not one.encrypted:
            asked[one.query.hostname, one.resolver].append(one)
    for (name, resolver), lookups in asked.items():
        if name not in truths:
            truths[name] = truth(seen, name)
        said = truths[name]
        if _heard(seen, resolver):
            _resolver(lookups, said, settings, found)
    _duplicates(seen, truths, found)
    block = seen.measurement.keys.x_vanished
    if block and block.canary and block.canary.wildcard:
        found["dns_wildcard"] = []
    for name in ("dns_injected", "dns_block_address", "dns_bogon"):
        if name in found:
            found["dns_forged"] += found[name]
    if "dns_mismatch" in found:
        _wrong_address(seen, truths, found)
    return {name: tuple(steps) for name, steps in found.items()}


def _heard(seen: Observation, resolver: str) -> bool:
    """Whether the resolver answered for the canary, as far as that was asked: before the target,
    and once more where all questions for the target were lost."""
    again = [one for one in seen.lookups if one.purpose == CANARY and one.resolver == resolver]
    if again and not any(one.query.addresses for one in again):
        return False
    block = seen.measurement.keys.x_vanished
    answering = block.canary.resolvers_ok if block and block.canary else None
    return answering is None or any(resolver.endswith(one) for one in answering)


def _resolver(
    lookups: list[Lookup], said: Truth, settings: VerdictSettings, found: dict[str, list[str]]
) -> None:
    """What one resolver's answers for one name show."""
    answered = [one for one in lookups if one.query.addresses]
    wrong = []
    for one in answered:
        name = _answer(one.query, said)
        if name:
            found[name].append(one.id)
        if name == "dns_mismatch":
            wrong.append(one.id)
    if len(wrong) >= settings.tries:
        found["dns_mismatch_repeated"] += wrong
    if not said.exists:
        return
    asked = [one for one in lookups if one.query.query_type != "AAAA"] or lookups
    for name, kinds in (("dns_nxdomain", Kind.NO_NAME), ("dns_refused", Kind.DNS_ERROR)):
        failed = [one.id for one in asked if one.kind is kinds]
        if failed and answered and len(failed) < settings.tries:
            found[f"{name}_some"] += failed
        elif failed:
            found[name] += failed
        if len(failed) >= settings.tries:
            found[f"{name}_repeated"] += failed
    lost = [one.id for one in asked if one.kind is Kind.TIMEOUT]
    if len(lost) == len(asked) and len(lost) >= settings.dns_drops:
        found["dns_dropped"] += lost
    elif len(lost) >= settings.dns_drops and len(lost) > len(asked) / 2:
        found["dns_dropped_some"] += lost


def _answer(query: Query, said: Truth) -> str | None:
    """The fact that one answer shows; None for a right one, or one that cannot be checked."""
    addresses = query.addresses
    if said.right(query):
        return None
    if not said.known:
        return None
    if any(block_address(one) for one in addresses):
        return "dns_block_address"
    if said.addresses and all(_bogus(one, said.addresses) for one in addresses):
        return "dns_bogon"
    if said.gone and not said.addresses:
        return "dns_ghost"
    return "dns_mismatch" if said.addresses else None


def _bogus(address: str, right: Iterable[str]) -> bool:
    """Whether nobody's site can be at `address`, while the right ones are of another sort."""
    try:
        ours, theirs = ipaddress.ip_address(address), [ipaddress.ip_address(one) for one in right]
    except ValueError:
        return False
    never = ours.is_loopback or ours.is_unspecified or ours.is_link_local or ours.is_multicast
    if never or (ours.is_reserved and not ours.is_private):
        return ours not in theirs
    return not ours.is_global and any(one.is_global for one in theirs)


def _duplicates(seen: Observation, truths: dict[str, Truth], found: dict[str, list[str]]) -> None:
    """Second answers to one question that name other addresses, one of the two wrong."""
    first = {
        (one.query.hostname, one.query.resolver_address, one.query.transaction_id): one
        for one in seen.lookups
    }
    by_name = {(one.query.hostname, one.query.resolver_address): one for one in seen.lookups}
    for i, second in enumerate(seen.measurement.keys.x_dns_duplicate_responses or ()):
        place = (second.hostname, second.resolver_address)
        one = first.get((*place, second.transaction_id)) or by_name.get(place)
        if one is None or one.purpose or set(one.query.addresses) & set(second.addresses):
            continue
        if not one.query.addresses or not second.addresses:
            continue
        said = truths.get(second.hostname) or truth(seen, second.hostname)
        if said.right(one.query) != said.right(second) or not said.known:
            found["dns_injected"] += [one.id, f"x_dns_duplicate_responses/{i}"]


def _wrong_address(
    seen: Observation, truths: dict[str, Truth], found: dict[str, list[str]]
) -> None:
    """Whether an answered address fails to prove itself, while the target's own works from here."""
    wrong = {
        address
        for one in seen.lookups
        if one.id in found["dns_mismatch"]
        for address in one.query.addresses
    }
    works = any(way.secure or way.answered for way in seen.ways if way.address not in wrong)
    failing = [
        way.handshake_id or way.connect_id
        for way in seen.ways
        if way.address in wrong and not way.purpose and not way.secure and not way.answered
    ]
    if failing and works:
        found["wrong_address_fails"] = failing
