"""One run of `vanished reach test`: targets measured, scrubbed, and handed out one by one.

In: targets, how to ask (`SessionSettings`), the consent that covers them. Out: a `Done` for each
target: the scrubbed line to keep, the verdict, and the record for the queue of reports. Without a
consent nothing is made that could open a socket.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from vanished.errors import UsageError
from vanished.net.address import Network
from vanished.net.proxy import ProxyAddress
from vanished.reach.consent import GIVEN, Consent
from vanished.reach.control import GoAroundControl, HelperControl
from vanished.reach.controlling import Controlling
from vanished.reach.destinations import Contacts, Destination, destinations
from vanished.reach.door import Door
from vanished.reach.own import LEAST_SECRET, Own
from vanished.reach.own_here import own_here
from vanished.reach.probe_dns import SYSTEM, Resolver
from vanished.reach.record import Measurement
from vanished.reach.scrub import local_line, scrubbed
from vanished.reach.targets import Target
from vanished.reach.verdict import Verdict, verdict
from vanished.reach.web_settings import WebSettings
from vanished.reach.web_test import WebTest


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How a run asks. `control` is a server's URL, `via` a go-around: to the control, or, without
    one, as a second vantage that asks `control_resolver`. `own` are further addresses of the
    volunteer's, `asn` its network ("AS0" if unknown)."""

    web: WebSettings = field(default_factory=WebSettings)
    control: str = ""
    via: str = ""
    control_resolver: str = "dot://9.9.9.9#dns.quad9.net"
    allow: Sequence[Network] = ()
    own: Sequence[str] = ()
    asn: str = "AS0"
    per_s: float = 4.0
    at_once: int = 2

    @property
    def contacts(self) -> Contacts:
        """Who is asked beside the targets."""
        second = Resolver.parse(self.control_resolver) if self.via and not self.control else None
        return Contacts(self.control, self.via, second)


@dataclass(frozen=True, slots=True)
class Done:
    """One target, measured."""

    measurement: Measurement  # scrubbed
    verdict: Verdict
    line: bytes


def planned(targets: Sequence[Target], settings: SessionSettings) -> list[Destination]:
    """Every destination of a run, without a packet."""
    return destinations(targets, settings.web, settings.contacts)


async def measured(
    targets: Sequence[Target], settings: SessionSettings, consent: Consent
) -> AsyncIterator[Done]:
    """Measure all targets, a few at once, in the order in which they are done.

    Raises UsageError for a consent that does not hold, and for settings that cannot be used.
    """
    if consent.answer != GIVEN or not consent.current:
        raise UsageError("Nothing is measured without a consent that holds.")
    door = Door(allow=settings.allow, per_s=settings.per_s, burst=max(1, round(settings.per_s * 2)))
    async with contextlib.AsyncExitStack() as opened:
        control = await opened_control(settings, opened)
        own = await own_of(settings, control)
        test = WebTest(settings.web, door, control)
        found = test.each([one.url for one in targets], at_once=settings.at_once)
        async with contextlib.aclosing(found):  # type: ignore[type-var]
            async for one in found:
                placed = replace(
                    _classic(one, settings), probe_cc=consent.country, probe_asn=settings.asn
                )
                yield Done(scrubbed(placed, own), verdict(placed), local_line(placed, own))


def _classic(one: Measurement, settings: SessionSettings) -> Measurement:
    """OONI's own verdict reads the system's look-ups only: without any it would say "down"."""
    if any(resolver.engine == SYSTEM for resolver in settings.web.resolvers):
        return one
    return replace(one, test_keys=replace(one.keys, blocking=None, accessible=None))


async def opened_control(
    settings: SessionSettings, opened: contextlib.AsyncExitStack
) -> Controlling | None:
    """The control that the settings name, open until `opened` closes; None for none."""
    web = settings.web
    if settings.control:
        helper = HelperControl(
            settings.control,
            canary=web.canary,
            proxy=settings.via,
            allow=settings.allow,
            authorities=web.authorities,
        )
        return await opened.enter_async_context(helper)
    if settings.via:
        resolver = Resolver.parse(settings.control_resolver)
        return GoAroundControl(
            settings.via,
            resolver,
            canary=web.canary,
            allow=settings.allow,
            authorities=web.authorities,
        )
    return None


async def own_of(settings: SessionSettings, control: Controlling | None) -> Own:
    """What is the volunteer's: this machine's, what the control sees, and what was said."""
    seen = [*settings.own]
    secrets: list[str] = []
    if isinstance(control, HelperControl) and not settings.via:
        seen.append(await control.own_address())
    if settings.via:
        proxy = ProxyAddress.parse(settings.via, "given")
        secrets += [one for one in (proxy.user, proxy.password) if len(one) >= LEAST_SECRET]
        (seen if _literal(proxy.host) else secrets).append(proxy.host)
    return own_here(
        [one for one in seen if _literal(one)],
        [one for one in secrets if len(one) >= LEAST_SECRET and one != "localhost"],
    )


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
