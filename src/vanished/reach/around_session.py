"""One run of `vanished reach apps` or `advise`: tested, scrubbed, and handed out one by one.

In: apps or go-arounds, how to ask (`SessionSettings`), the consent that covers them. Out: what was
seen with its scrubbed records. Without a consent nothing is made that could open a socket.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace

from vanished.archive.advice import Advised
from vanished.errors import UsageError
from vanished.reach.advise import advised
from vanished.reach.app import App
from vanished.reach.app_test import AppSeen, AppTest
from vanished.reach.consent import GIVEN, Consent
from vanished.reach.destinations import Destination, destinations
from vanished.reach.door import Door
from vanished.reach.flights import TLS
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_settings import GoAroundSettings
from vanished.reach.goaround_test import KNOCKED, AroundSeen, Elsewhere, GoAroundTest
from vanished.reach.own import Own
from vanished.reach.record import Measurement
from vanished.reach.scrub import local_line, scrubbed
from vanished.reach.session import SessionSettings, opened_control, own_of
from vanished.reach.tor_test import servers


@dataclass(frozen=True, slots=True)
class Records:
    """Scrubbed measurements, and the lines of them to keep."""

    measurements: tuple[Measurement, ...]
    lines: tuple[bytes, ...]


def planned_apps(apps: Iterable[App], settings: SessionSettings) -> list[Destination]:
    """Every destination of a run of apps, without a packet."""
    found = dict.fromkeys(destinations([], settings.web, settings.contacts))
    for app in apps:
        for one in app.endpoints:
            if one.scheme != "dns":
                why = f"{app.title}, {one.scheme}; each address that is found"
                found.setdefault(Destination(one.host, one.port, "tcp", why))
    return list(found)


def planned_go_arounds(
    listed: Iterable[GoAround], settings: SessionSettings, around: GoAroundSettings
) -> list[Destination]:
    """The same of go-arounds. What their own programs contact beside their servers is theirs."""
    found = dict.fromkeys(destinations([], settings.web, settings.contacts))
    for one in listed:
        if one.kind == "tor":
            for end in servers(one).endpoints:
                found.setdefault(Destination(end.host, end.port, "tcp", f"'{one.name}', Tor"))
            found.setdefault(Destination("relays of Tor's choice", 0, "tcp", f"'{one.name}'"))
            continue
        udp = one.transport == "udp"
        found.setdefault(
            Destination(one.server, one.port, "udp" if udp else "tcp", f"'{one.name}', {one.kind}")
        )
        for port in KNOCKED if udp else ():
            why = f"'{one.name}', if it fails: whether the address answers"
            found.setdefault(Destination(one.server, port, "tcp", why))
        if one.flight and not udp:
            why = f"'{one.name}', if it fails: first bytes of its kind, and of {TLS}"
            found.setdefault(Destination(one.server, one.port, "tcp", why))
    for page in dict.fromkeys([around.page, around.large]):
        if page:
            found.setdefault(Destination(page, 443, "tcp", "through each go-around"))
    return list(found)


async def measured_apps(
    apps: Sequence[App], settings: SessionSettings, consent: Consent
) -> AsyncIterator[tuple[AppSeen, Records]]:
    """Test apps, one after the other. Raises UsageError for a consent that does not hold."""
    _agreed(consent)
    async with contextlib.AsyncExitStack() as opened:
        control = await opened_control(settings, opened)
        own = await own_of(settings, control)
        test = AppTest(settings.web, _door(settings), control, settings.at_once)
        for app in apps:
            seen = await test.measure(app)
            yield seen, _records([seen.measurement, *seen.endpoints], settings, consent, own)


async def measured_go_arounds(
    listed: Sequence[GoAround],
    settings: SessionSettings,
    around: GoAroundSettings,
    elsewhere: Elsewhere | None,
    consent: Consent,
) -> AsyncIterator[tuple[Advised, AroundSeen | None, Records]]:
    """Test go-arounds, one after the other. Raises UsageError as `measured_apps` does."""
    _agreed(consent)
    async with contextlib.AsyncExitStack() as opened:
        control = await opened_control(settings, opened)
        own = await own_of(settings, control)
        test = GoAroundTest(around, _door(settings), control, elsewhere)
        async for made, seen in advised(listed, test):
            found = [seen.measurement, *seen.more] if seen else []
            yield made, seen, _records(found, settings, consent, own)


def _agreed(consent: Consent) -> None:
    if consent.answer != GIVEN or not consent.current:
        raise UsageError("Nothing is measured without a consent that holds.")


def _door(settings: SessionSettings) -> Door:
    burst = max(1, round(settings.per_s * 2))
    return Door(allow=settings.allow, per_s=settings.per_s, burst=burst)


def _records(
    found: Sequence[Measurement], settings: SessionSettings, consent: Consent, own: Own
) -> Records:
    placed = [replace(one, probe_cc=consent.country, probe_asn=settings.asn) for one in found]
    return Records(
        tuple(scrubbed(one, own) for one in placed), tuple(local_line(one, own) for one in placed)
    )
