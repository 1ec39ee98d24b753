"""What OONI's own tests of Signal, Telegram, WhatsApp and Messenger conclude, drawn the same way.

In: the results of an app's servers. Out: test keys with OONI's conclusions, so that readers of OONI
data read ours as they read theirs (ts-018, ts-019, ts-020, ts-029). For other apps, whether all
that is needed was reached. Our own verdict is not made here and rests on more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vanished.reach.app import Endpoint
from vanished.reach.record import Measurement, TestKeys
from vanished.reach.ways import Tried

_SERVICES = {
    "b-api.facebook.com": "b_api",
    "b-graph.facebook.com": "b_graph",
    "edge-mqtt.facebook.com": "edge",
    "external.xx.fbcdn.net": "external_cdn",
    "scontent.xx.fbcdn.net": "scontent_cdn",
    "star.c10r.facebook.com": "star",
    "stun.fbsbx.com": "stun",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One server of an app: what it is for, its record, and how OONI's probes would see it.

    That is by the first resolver alone: why it was not reached (None where it was), the ways to
    the addresses that were answered, and these.
    """

    part: str
    needs: str
    endpoint: Endpoint
    measurement: Measurement
    failure: str | None
    tried: tuple[Tried, ...]
    answers: tuple[str, ...]

    @property
    def connected(self) -> bool:
        """Whether some connect worked."""
        return any(not one.connect.failure for one in self.tried)


def concluded(test_name: str, results: Sequence[Result], steps: TestKeys) -> TestKeys:
    """`steps` with what OONI's test of that name concludes from the results."""
    by_name = {
        "signal": _signal,
        "telegram": _telegram,
        "whatsapp": _whatsapp,
        "facebook_messenger": _messenger,
    }
    if test_name in by_name:
        return by_name[test_name](results, steps)
    parts = dict.fromkeys(one.part for one in results if one.needs != "none")
    failed = [one.failure for one in results if one.failure and one.needs != "none"]
    success = all(_works([one for one in results if one.part == part]) for part in parts)
    return replace(steps, success=success, failure=None if success else failed[0])


def _works(results: Sequence[Result]) -> bool:
    reached = [one.failure is None for one in results]
    return any(reached) if results[0].needs == "any" else all(reached)


def _signal(results: Sequence[Result], steps: TestKeys) -> TestKeys:
    """Blocked if one host that counts fails; the failure is that of the last of them."""
    failed = [one.failure for one in results if one.failure and one.needs != "none"]
    return replace(
        steps, signal_backend_status="blocked" if failed else "ok",
        signal_backend_failure=failed[-1] if failed else None,
    )  # fmt: skip


def _telegram(results: Sequence[Result], steps: TestKeys) -> TestKeys:
    """The access points are blocked if none of them answers, by TCP if none connects."""
    points = [one for one in results if one.needs == "any"]
    web = [one.failure for one in results if one.needs == "all" and one.failure]
    return replace(
        steps,
        telegram_http_blocking=all(one.failure for one in points),
        telegram_tcp_blocking=not any(one.connected for one in points),
        telegram_web_status="blocked" if web else "ok",
        telegram_web_failure=web[-1] if web else None,
    )


def _whatsapp(results: Sequence[Result], steps: TestKeys) -> TestKeys:
    """The endpoints are blocked if none connects; a host is if both of its ports fail."""
    points = [one for one in results if one.needs == "any"]
    lost = Counter(one.endpoint.host for one in points if one.failure)
    registration, web = (
        next((one.failure for one in results if one.part == part), None)
        for part in ("registration", "web")
    )
    return replace(
        steps,
        whatsapp_endpoints_status="ok" if any(not one.failure for one in points) else "blocked",
        whatsapp_endpoints_blocked=tuple(host for host, ports in lost.items() if ports >= 2),
        whatsapp_endpoints_dns_inconsistent=(),  # as OONI's probe writes it since 0.6
        registration_server_status="blocked" if registration else "ok",
        registration_server_failure=registration,
        whatsapp_web_status="blocked" if web else "ok",
        whatsapp_web_failure=web,
    )


def _messenger(results: Sequence[Result], steps: TestKeys) -> TestKeys:
    """A name is consistent if every answer belongs to the provider; STUN is looked up only."""
    said: dict[str, Any] = {}
    dns, tcp = False, False
    for one in results:
        service = _SERVICES.get(one.endpoint.host)
        if service is None:
            continue
        consistent = bool(one.answers) and all(map(one.endpoint.belongs, one.answers))
        said[f"facebook_{service}_dns_consistent"] = consistent
        if not consistent:
            dns = True
        elif one.endpoint.scheme == "tcp":
            said[f"facebook_{service}_reachable"] = one.failure is None
            tcp = tcp or one.failure is not None
    return replace(steps, facebook_dns_blocking=dns, facebook_tcp_blocking=tcp, **said)
