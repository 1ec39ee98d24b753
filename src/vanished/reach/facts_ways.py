"""What connects, handshakes and requests show, beside the same steps of the control.

In: an `Observation`. Out: facts, each with the steps that show it. Steps are counted for each
address: failures of one kind there, and successes there. A reset, a refusal or an ICMP message is
an answer of somebody and counts at once; silence counts only after retries (`VerdictSettings`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from vanished.reach.facts_settings import OONI_PATIENCE_S, Facts, VerdictSettings
from vanished.reach.failures import Kind, kind
from vanished.reach.observation import Observation, Way
from vanished.reach.steps import OTHER_SNI, Exchange, Handshake, TcpConnect

Step = TcpConnect | Handshake | Exchange
Tried = tuple[Way, Step, str]  # a step, with its way and its id

_IP = {Kind.REFUSED: "ip_reset", Kind.RESET: "ip_reset", Kind.UNREACHABLE: "ip_unreachable"}
_TLS = {Kind.RESET: "tls_reset", Kind.REFUSED: "tls_reset"}
_HTTP = {Kind.RESET: "http_reset", Kind.REFUSED: "http_reset"}


def way_facts(seen: Observation, settings: VerdictSettings) -> Facts:
    """What the ways to the target show."""
    found: dict[str, list[str]] = defaultdict(list)
    ways = [way for way in seen.ways if not way.purpose and not way.check_only]
    if not ways:
        ways = [way for way in seen.ways if not way.purpose]
    for place in dict.fromkeys(way.place for way in ways):
        here = [way for way in ways if way.place == place]
        _count(seen, settings, found, "ip_drop", _IP, [*_connects(here)], _tcp_control)
        _count(seen, settings, found, "tls_drop", _TLS, [*_handshakes(here)], _tls_answered)
        _count(seen, settings, found, "http_drop", _HTTP, [*_requests(here)], _page_control)
    _certificates(seen, ways, found)
    _late_resets(found, ways)
    _contrast(seen, found)
    _quic(seen, settings, found)
    if not any(way.code or way.secure for way in ways):
        found["nothing_served"] = []
    if seen.control and seen.control.http_request and seen.control.http_request.failure:
        found["control_page_failed"] = []
    _lost_too(seen, found)
    return {name: tuple(steps) for name, steps in found.items()}


def _connects(ways: list[Way]) -> Iterator[Tried]:
    """Connects, but for those that fail after something that was said here was stopped: a censor
    that remembers a trigger stops what comes next to the same address, whatever it is."""
    stopped = [
        step.t0
        for way in ways
        for step in (way.handshake, way.exchange)
        if step and step.t0 is not None and kind(step.failure) in (Kind.RESET, Kind.TIMEOUT)
    ]
    since = min(stopped, default=None)
    for way in ways:
        step = way.connect
        if step is None:
            continue
        remembered = since is not None and step.t0 is not None and step.t0 > since
        if not (step.failure and remembered):
            yield way, step, way.connect_id


def _handshakes(ways: list[Way]) -> Iterator[Tried]:
    return ((way, way.handshake, way.handshake_id) for way in ways if way.handshake)


def _requests(ways: list[Way]) -> Iterator[Tried]:
    return ((way, way.exchange, way.exchange_id) for way in ways if way.exchange)


# How the control fared: True, False, or None where it did not try


def _tcp_control(seen: Observation, way: Way) -> bool | None:
    tried = ((seen.control.tcp_connect or {}) if seen.control else {}).get(way.place)
    return _by_page(seen) if tried is None else not tried.failure


def _tls_control(seen: Observation, way: Way) -> bool | None:
    tried = ((seen.control.tls_handshake or {}) if seen.control else {}).get(way.place)
    name = way.handshake.server_name if way.handshake else None
    if tried is None or (tried.server_name and name and tried.server_name != name):
        return _by_page(seen)
    return not tried.failure


def _tls_answered(seen: Observation, way: Way) -> bool | None:
    """The same, where a certificate that the control does not know is an answer all the same: who
    stops a handshake stops it before any certificate is checked."""
    tried = ((seen.control.tls_handshake or {}) if seen.control else {}).get(way.place)
    if tried is not None and kind(tried.failure) is Kind.CERTIFICATE:
        return True
    return _tls_control(seen, way)


def _page_control(seen: Observation, way: Way) -> bool | None:
    page = seen.control.http_request if seen.control else None
    if page is None and way.handshake is not None:
        return _tls_answered(seen, way)
    return _by_page(seen)


def _by_page(seen: Observation) -> bool | None:
    """The control's page stands for steps that it did not try one by one."""
    page = seen.control.http_request if seen.control else None
    return None if page is None else not page.failure and (page.status_code or 0) > 0


def _count(
    seen: Observation,
    settings: VerdictSettings,
    found: dict[str, list[str]],
    silence: str,
    names: dict[Kind, str],
    tried: list[Tried],
    control: Callable[[Observation, Way], bool | None],
) -> None:
    """Enter what one sort of step at one address shows."""
    if not any(step.failure for _, step, _ in tried):
        return
    worked = sum(kind(step.failure) in (Kind.NONE, Kind.CERTIFICATE) for _, step, _ in tried)
    failed: dict[str, list[Tried]] = defaultdict(list)
    for one in tried:
        what = kind(one[1].failure)
        if what is Kind.TIMEOUT and one[0].exchange is one[1] and one[0].code:
            failed["stalled"].append(one)
        elif what is Kind.TIMEOUT:
            failed[silence].append(one)
        elif what in names:
            failed[names[what]].append(one)
    for name, ones in failed.items():
        ids = [step_id for _, _, step_id in ones]
        beside = control(seen, ones[0][0])
        if beside is False:
            found["control_fails_too"] += ids
        if not beside:
            continue
        if name == "stalled":
            found[name] += ids
        elif name == silence:
            patient = any(_waited(seen, step) >= settings.patience_s for _, step, _ in ones)
            if worked:
                if len(ones) >= settings.tries:
                    found[f"{name}_some"] += ids
            elif len(ones) >= settings.tries or patient:
                found[name] += ids
        elif len(ones) >= settings.tries or not worked:
            found[name] += ids
        else:
            found[f"{name}_some"] += ids
        if name in found and len(ones) >= settings.tries and name != "stalled":
            found[f"{name}_repeated"] += ids


def _waited(seen: Observation, step: Step) -> float:
    """Seconds until a step gave up; for OONI's probes what they are known to wait."""
    if step.t:
        return step.t - (step.t0 or 0.0) if step.t0 is not None else OONI_PATIENCE_S
    ooni = seen.measurement.software_name.startswith(("ooniprobe", "miniooni"))
    return OONI_PATIENCE_S if ooni else 0.0


def _certificates(seen: Observation, ways: list[Way], found: dict[str, list[str]]) -> None:
    """Certificates that are not valid here: the control saw a valid one, or did not either."""
    for way, step, step_id in _handshakes(ways):
        if kind(step.failure) is not Kind.CERTIFICATE:
            continue
        tried = ((seen.control.tls_handshake or {}) if seen.control else {}).get(way.place)
        beside = _tls_control(seen, way)
        if beside is False:
            found["control_fails_too"].append(step_id)
        elif beside and (tried is not None or _address_known(seen, way)):
            found["tls_intercepted"].append(step_id)
    for way, step, step_id in _requests(ways):
        bad = way.handshake is None and kind(step.failure) is Kind.CERTIFICATE
        if bad and _page_control(seen, way) is False:
            found["control_fails_too"].append(step_id)


def _address_known(seen: Observation, way: Way) -> bool:
    """Whether the control found the address, or nothing can be known of it after a redirect."""
    dns = seen.control.dns if seen.control else None
    return way.depth > 0 or bool(dns and way.address in (dns.addrs or ()))


def _late_resets(found: dict[str, list[str]], ways: list[Way]) -> None:
    """A reset on the way that lost the race lets the handshake end and kills what follows.

    What follows a handshake is encrypted, so that nothing in it can have been the trigger.
    """
    if not found:
        return
    inside = {way.exchange_id for way in ways if way.handshake and way.exchange}
    for late, early in (
        ("http_reset", "tls_reset"),
        ("http_reset_repeated", "tls_reset_repeated"),
        ("http_reset_some", "tls_reset_some"),
        ("http_drop", "tls_drop"),
        ("http_drop_repeated", "tls_drop_repeated"),
        ("http_drop_some", "tls_drop_some"),
    ):
        steps = found.pop(late, [])
        moved = [step for step in steps if step in inside]
        if moved:
            found[early] += moved
        if kept := [step for step in steps if step not in inside]:
            found[late] = kept


def _contrast(seen: Observation, found: dict[str, list[str]]) -> None:
    """Another name at an address where this one fails: it always got through."""
    names = ("tls_reset", "tls_drop", "tls_reset_some", "tls_drop_some")
    failing = {step for name in names for step in found.get(name, ())}
    if not failing:
        return
    places = {way.place for way in seen.ways if {way.handshake_id, way.exchange_id} & failing}
    asked = [way for way in seen.ways if way.purpose == OTHER_SNI and way.place in places]
    through = [way for way in asked if _got_through(way)]
    if asked and len(through) == len(asked):
        found["sni_contrast"] = [way.handshake_id for way in through]


def _got_through(way: Way) -> bool:
    """Whether a handshake was answered by a server; its certificate is for other names."""
    fine = (Kind.NONE, Kind.CERTIFICATE)
    if way.handshake is None or kind(way.handshake.failure) not in fine:
        return False
    return way.exchange is None or kind(way.exchange.failure) is Kind.NONE


def _quic(seen: Observation, settings: VerdictSettings, found: dict[str, list[str]]) -> None:
    """QUIC is silent while TLS over TCP works here, and QUIC works for the control."""
    control = (seen.control.quic_handshake or {}) if seen.control else {}
    if not any(way.secure for way in seen.ways if not way.purpose):
        return
    tried: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for step_id, one in seen.quic:
        place = one.address or ""
        known = place in control and not control[place].failure
        if known and not {OTHER_SNI, "canary"} & set(one.tags or ()):
            tried[place].append((step_id, kind(one.failure) is Kind.TIMEOUT))
    for tries in tried.values():
        lost = [step_id for step_id, silent in tries if silent]
        if len(lost) >= settings.tries:
            found["quic_drop" if len(lost) == len(tries) else "quic_drop_some"] += lost


def _lost_too(seen: Observation, found: dict[str, list[str]]) -> None:
    """The control found no name, no page or no way either, and nothing here is better."""
    control = seen.control
    if control is None:
        return
    page = control.http_request
    if page is not None and (page.failure or (page.status_code or 0) <= 0):
        plain = (
            one for one in seen.lookups if not one.encrypted and one.query.query_type != "AAAA"
        )
        failed = [one.id for one in plain if one.kind is Kind.NO_NAME]
        failed += [way.exchange_id for way in seen.ways if way.exchange and way.exchange.failure]
        found["control_fails_too"] += failed
