"""What has to work before anything is said of a target: a page that nobody blocks.

In: settings, a door. Out: a `Canary` of the record: whether its page came, which resolvers answer
for it, and whether they invent addresses for names that do not exist. One look holds for a while,
so that a long list does not ask for every line.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vanished.reach.door import Door
from vanished.reach.failures import Kind, kind
from vanished.reach.probe_dns import Resolver, look_up
from vanished.reach.record import Canary
from vanished.reach.run import Run
from vanished.reach.steps import CANARY, Query, attempt
from vanished.reach.ways import Asked, literal, way
from vanished.reach.web_settings import WebSettings

TRIES = 5
"""Of a question by UDP: five lost in a row come once in 100,000 times at 5 % loss each way."""


@dataclass(slots=True)
class CanaryKeeper:
    """The latest look at the canary, made anew when it is too old."""

    settings: WebSettings
    door: Door
    _seen: tuple[float, Canary, Run] | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> tuple[Canary, Run]:
        """The canary, and the run with the steps that show it."""
        async with self._lock:
            if self._seen and time.monotonic() - self._seen[0] < self.settings.canary_s:
                return self._seen[1:]
            run = Run(self.door, self.settings.limits)
            found = await look_at(run, self.settings)
            if not found.ok:  # its steps are shown instead of the target's, so all of them
                await run.settled()
            self._seen = (time.monotonic(), found, run)
            return found, run

    def forget(self) -> None:
        """Look anew the next time: something failed since."""
        self._seen = None


async def look_at(run: Run, settings: WebSettings) -> Canary:
    """Look once: all resolvers side by side, then the page."""
    host = urlsplit(settings.canary).hostname or ""
    if literal(host):
        asked: list[Query] = []
        addresses = [host]
    else:
        asked = list(
            await asyncio.gather(*(ask(run, host, r, settings) for r in settings.resolvers))
        )
        addresses = [a for one in asked for a in one.addresses]
    heard = [r for r, one in zip(settings.resolvers, asked, strict=False) if one.addresses]
    wildcard = None
    if heard:
        label = f"no-such-{secrets.token_hex(6)}.{host}"
        invented = await asyncio.gather(*(ask(run, label, r, settings) for r in heard))
        wildcard = any(one.addresses for one in invented)
    failure: str | None = asked[0].failure if asked and not addresses else None
    if addresses:
        failure = await _page(run, addresses, settings)
    return Canary(
        name=host, ok=failure is None, failure=failure, wildcard=wildcard,
        resolvers_ok=tuple(str(r) for r in heard) if asked else None,
    )  # fmt: skip


async def ask(run: Run, name: str, resolver: Resolver, settings: WebSettings) -> Query:
    """Ask for a name that nobody blocks; again where the question is lost. The last answer."""
    for number in range(1, TRIES + 1):
        found = await look_up(
            run, name, resolver, tags=(CANARY, attempt(number)), authorities=settings.authorities
        )
        if kind(found.failure) is not Kind.TIMEOUT:
            break
    return found


async def _page(run: Run, addresses: list[str], settings: WebSettings) -> str | None:
    """None where the page came: over TLS with a valid certificate, or any whole answer."""
    failure: str | None = None
    asked = Asked(settings.canary, authorities=settings.authorities)
    for number in range(1, settings.verdict.tries + 1):
        for address in dict.fromkeys(addresses):
            tried = await way(run, address, asked, (CANARY, attempt(number)))
            failure = tried.failure
            if failure is None:
                return None
    return failure
