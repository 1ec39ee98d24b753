"""All steps of one page's test, and the record of them.

In: an address of the web, settings, a door, a control, the canary's word. Out: a `Measurement` of
OONI's test web_connectivity, which `reach.verdict` judges. The order: every resolver; the control;
every address, again where it fails; then what tells mechanisms apart: the control's address,
another name at the same address, QUIC, the rate. Nothing is judged here but whether to try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from vanished import __version__
from vanished.reach.canary import ask
from vanished.reach.classic import classic
from vanished.reach.controlling import ControlFailedError, Controlling
from vanished.reach.door import Door
from vanished.reach.failures import Kind, kind
from vanished.reach.probe_dns import Resolver, look_up
from vanished.reach.probe_http import ascii_name
from vanished.reach.probe_quic import quic
from vanished.reach.record import (
    Canary,
    Control,
    ControlSummary,
    Measurement,
    Ours,
    TestKeys,
    Throughput,
)
from vanished.reach.run import Run, place
from vanished.reach.steps import (
    CONTROL_ADDRESS,
    OTHER_HOST,
    OTHER_SNI,
    Exchange,
    Query,
    Tags,
    attempt,
)
from vanished.reach.throughput import rate
from vanished.reach.verdict import noted, verdict
from vanished.reach.ways import Asked, Tried, follow, literal, location, way
from vanished.reach.web_settings import WebSettings

TEST_NAME: Final = "web_connectivity"
TEST_VERSION: Final = "0.5.0"  # whose analysis our records fit
EXTENSIONS: Final = {"dnst": 0, "httpt": 0, "netevents": 0, "tcpconnect": 0, "tlshandshake": 0}
DNS_MOST: Final = 8  # questions to one resolver, at most


@dataclass(slots=True)
class OnePage:
    """The test of one page."""

    settings: WebSettings
    door: Door
    controlling: Controlling | None
    url: str
    run: Run = field(init=False)
    host: str = field(init=False)
    seen: Control | None = None
    failure: str | None = None  # of the control

    def __post_init__(self) -> None:
        self.run = Run(self.door, self.settings.limits)
        self.host = ascii_name(urlsplit(self.url).hostname or "")

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")

    @property
    def sealed(self) -> bool:
        """Whether what is asked can show no page of whoever blocks."""
        return self.secure

    async def measured(self, canary: Canary, canary_run: Run) -> Measurement:
        """All steps, and the record of them."""
        started = datetime.now(UTC)
        if not canary.ok:  # nothing can be said of the target: spare it, show what failed
            self._show_canary(canary_run)
            return self._record(started, canary, None)
        found = await self._look_up()
        addresses = list(dict.fromkeys(a for one in found for a in one.addresses))
        chosen = addresses[: self.settings.most_addresses]
        await self._ask_control(chosen)
        if not literal(self.host):
            await self._look_up_again(found)
            addresses = list(
                dict.fromkeys(a for one in self.run.queries for a in one.addresses if not one.tags
                              or CONTROL_ADDRESS not in one.tags)
            )  # fmt: skip
            chosen = addresses[: self.settings.most_addresses]
        tried = await self._ways(chosen)
        await asyncio.gather(self._contrast(tried), self._plain(found))
        throughput = await self._extras(tried)
        await self.run.settled()
        return self._record(started, canary, throughput)

    def _show_canary(self, seen: Run) -> None:
        self.run.queries += seen.queries
        self.run.connects += seen.connects
        self.run.handshakes += seen.handshakes
        self.run.requests += seen.requests

    # Names

    async def _look_up(self) -> list[Query]:
        """The first answers of every resolver, side by side."""
        if literal(self.host):
            return [Query(self.host, "A", answers=())]
        fine = max(1, self.settings.fine_tries)
        tries = fine if fine == 1 else 2 * fine  # a page has several ways, a resolver has one
        return list(
            await asyncio.gather(
                *(
                    self._ask(resolver, number)
                    for resolver in self.settings.resolvers
                    for number in range(1, tries + 1)
                )
            )
        )

    async def _ask(self, resolver: Resolver, number: int) -> Query:
        await asyncio.sleep((number - 1) * self.settings.spacing_s / 3)
        return await look_up(
            self.run, self.host, resolver, tags=_tags(number), authorities=self.settings.authorities
        )

    async def _look_up_again(self, found: Sequence[Query]) -> None:
        """Ask resolvers again whose answers fail, or are not the control's."""
        dns = self.seen.dns if self.seen else None
        right = set(dns.addrs or ()) if dns else set()
        again = []
        for resolver in self.settings.resolvers:
            mine = [q for q in found if q.resolver_address == (str(resolver) or None)]
            doubtful = [q for q in mine if q.failure or (right and not right & set(q.addresses))]
            if not doubtful:
                continue
            mixed = len(doubtful) < len(mine)
            most = DNS_MOST if mixed else max(self.settings.verdict.dns_drops, len(mine))
            again += [self._ask(resolver, n) for n in range(len(mine) + 1, most + 1)]
        more = await asyncio.gather(*again)
        if any(q.addresses for q in more) and any(kind(q.failure) is Kind.TIMEOUT for q in more):
            rest = [r for r in self.settings.resolvers
                    if any(q.resolver_address == (str(r) or None) for q in more)]  # fmt: skip
            await asyncio.gather(
                *(self._ask(r, n) for r in rest
                  for n in range(self.settings.verdict.dns_drops + 1, DNS_MOST + 1))
            )  # fmt: skip
        await self._ask_canary_where_lost([*found, *more])

    async def _ask_canary_where_lost(self, asked: Sequence[Query]) -> None:
        """Ask resolvers that lost every question whether they are still heard."""
        name = urlsplit(self.settings.canary).hostname or ""
        silent = [
            resolver for resolver in self.settings.resolvers
            if all(kind(q.failure) is Kind.TIMEOUT for q in asked
                   if q.resolver_address == (str(resolver) or None))
        ]  # fmt: skip
        if not literal(name):
            await asyncio.gather(*(ask(self.run, name, one, self.settings) for one in silent))

    # The control

    async def _ask_control(self, addresses: Sequence[str]) -> None:
        if self.controlling is None:
            self.failure = "no_control"
            return
        places = [place(one, self.port) for one in addresses]
        try:
            self.seen = await self.controlling.control(
                self.url, places, quic=self.secure and self.settings.quic
            )
        except ControlFailedError as error:
            self.failure = error.failure

    # Ways

    async def _ways(self, addresses: Sequence[str]) -> list[Tried]:
        """Every address, and the control's own, side by side; again where one fails."""
        dns = self.seen.dns if self.seen else None
        others = [a for a in (dns.addrs or () if dns else ()) if a not in addresses]
        done = await asyncio.gather(
            *(self._address(address, None) for address in addresses),
            *(self._address(address, CONTROL_ADDRESS)
              for address in others[: self.settings.most_addresses]),
        )  # fmt: skip
        return [tried for tries in done for tried in tries]

    async def _address(self, address: str, tag: str | None) -> list[Tried]:
        """Tries of one address: few where they work, more where they fail, most where mixed."""
        marks = () if tag is None else (tag,)
        tries = await self._more(address, marks, 1, self.settings.fine_tries)
        if all(tried.failure is None for tried in tries):
            await self._follow(tries, marks)
            return tries
        wanted = self.settings.verdict.tries
        tries += await self._more(address, marks, len(tries) + 1, wanted)
        if any(tried.failure is None for tried in tries):
            tries += await self._more(address, marks, len(tries) + 1, self.settings.mixed_tries)
            await self._follow(tries, marks)
        return tries

    async def _more(
        self, address: str, marks: tuple[str, ...], first: int, last: int
    ) -> list[Tried]:
        """Tries that begin one after the other, without waiting for the one before to give up."""

        async def later(number: int) -> Tried:
            await asyncio.sleep((number - first) * self.settings.spacing_s)
            return await self._try(address, marks, number)

        return list(await asyncio.gather(*(later(n) for n in range(first, last + 1))))

    async def _try(self, address: str, marks: tuple[str, ...], number: int) -> Tried:
        asked = Asked(self.url, authorities=self.settings.authorities)
        return await way(self.run, address, asked, _tags(number, *marks))

    async def _follow(self, tries: Sequence[Tried], marks: tuple[str, ...]) -> None:
        """Follow every place that tries were sent to: a censor's redirect may come at times."""
        to = {location(t.exchange): t.exchange for t in tries if t.exchange and not t.failure}
        for place_to, exchange in to.items():
            if place_to is not None:
                await self._led(exchange, marks)

    async def _led(self, exchange: Exchange, marks: tuple[str, ...]) -> None:
        async def finds(name: str, redirects: int) -> Sequence[str]:
            tags = (*marks, f"depth={redirects}")
            for resolver in self.settings.resolvers:
                found = await look_up(
                    self.run, name, resolver, tags=tags, authorities=self.settings.authorities
                )
                if found.addresses:
                    return found.addresses
            return ()

        failure = await follow(
            self.run, exchange, finds, authorities=self.settings.authorities, tags=marks
        )
        if failure and self.run.requests and self.run.requests[-1].failure is None:
            self.run.requests[-1] = replace(self.run.requests[-1], failure=failure)

    # What tells mechanisms apart

    async def _contrast(self, tried: Sequence[Tried]) -> None:
        """Another name at each address where the connection stands and what follows fails."""
        failed = [
            one for one in tried
            if one.failure and one.stage != "connect" and kind(one.failure) is not Kind.CERTIFICATE
        ]  # fmt: skip
        places = list(dict.fromkeys((one.connect.ip) for one in failed))
        if not places:
            return
        if self.settings.residual_s:
            await asyncio.sleep(self.settings.residual_s)
        bystander = self.settings.bystander
        if self.secure:
            asked = Asked(self.url, name=bystander, verify=False, page=False)
            tag = OTHER_SNI
        else:
            asked = Asked(f"http://{bystander}:{self.port}/", host=bystander)
            tag = OTHER_HOST
        tries = range(1, self.settings.verdict.tries + 1)
        await asyncio.gather(
            *(way(self.run, address, asked, _tags(n, tag)) for address in places for n in tries)
        )

    async def _plain(self, found: Sequence[Query]) -> None:
        """The page in plain HTTP from addresses that only we were answered: a page that says who
        blocks cannot show itself over TLS. What does not answer stays out of the record."""
        dns = self.seen.dns if self.seen else None
        if not (self.sealed and dns and dns.addrs):
            return
        for address in dict.fromkeys(a for one in found for a in one.addresses):
            if address in dns.addrs:
                continue
            own = Run(self.run.door, self.run.limits, begun=self.run.begun)
            tried = await way(own, address, Asked(f"http://{self.host}/"))
            if tried.exchange and tried.exchange.response:
                number = self.run.transaction()
                self.run.connects += [replace(s, transaction_id=number) for s in own.connects]
                self.run.requests += [replace(s, transaction_id=number) for s in own.requests]

    async def _extras(self, tried: Sequence[Tried]) -> Throughput | None:
        """QUIC where the control speaks it, and the rate where it is asked for."""
        fine = [one for one in tried if one.failure is None]
        if not fine:
            return None
        shaken = (self.seen.quic_handshake or {}) if self.seen else {}
        spoken = {place(one.connect.ip, self.port): one.connect.ip for one in fine}
        for where, address in spoken.items():
            if where in shaken and not shaken[where].failure:
                await self._quic(address)
        if self.settings.rate_path:
            return await self._rates(fine[0].connect.ip)
        return None

    async def _quic(self, address: str) -> None:
        done = 0
        wanted = max(1, self.settings.fine_tries)
        failures: list[str | None] = []
        while done < wanted:
            steps = await asyncio.gather(
                *(self._quic_once(address, number) for number in range(done + 1, wanted + 1))
            )
            failures += steps
            done = wanted
            if any(failures):
                wanted = self.settings.verdict.tries
                if not all(failures):
                    wanted = self.settings.mixed_tries

    async def _quic_once(self, address: str, number: int) -> str | None:
        await asyncio.sleep((number - 1) % self.settings.verdict.tries * self.settings.spacing_s)
        step = await quic(
            self.run, address, self.port, self.host, tags=_tags(number),
            authorities=self.settings.authorities,
        )  # fmt: skip
        return step.failure

    async def _rates(self, address: str) -> Throughput:
        """The rate of a large page: from here, by another name, and by the control."""
        parts = urlsplit(self.url)
        url = f"{parts.scheme}://{parts.netloc}{self.settings.rate_path}"
        mine = Asked(url, authorities=self.settings.authorities)
        other = Asked(url, name=self.settings.bystander, host=self.settings.bystander, verify=False)
        few = self.settings.verdict.tries
        target = [await rate(self.run, address, mine, self.settings.rate_s) for _ in range(few)]
        beside = [await rate(self.run, address, other, self.settings.rate_s) for _ in range(few)]
        canary = [await self._canary_rate() for _ in range(few) if self.settings.rate_canary]
        if self._uneven([*target, *beside], canary):
            target += [
                await rate(self.run, address, mine, self.settings.rate_s)
                for _ in range(few, self.settings.mixed_tries)
            ]
        control = []
        if self.controlling is not None:
            control = [await self.controlling.rate(url, self.settings.rate_s) for _ in range(few)]
        return Throughput(
            target=tuple(r for r in target if r is not None),
            control=tuple(r for r in control if r is not None),
            other=tuple(r for r in beside if r is not None),
            canary=tuple(r for r in canary if r is not None),
        )

    def _uneven(self, there: Sequence[float | None], canary: Sequence[float | None]) -> bool:
        """Whether some pages of one address came far slower than others, and some did not."""
        known = [one for one in there if one is not None]
        fastest = max([*known, *(one for one in canary if one is not None)], default=0.0)
        slow = [one < self.settings.verdict.slow * fastest for one in known]
        return any(slow) and not all(slow)

    async def _canary_rate(self) -> float | None:
        """The rate of the canary's large page here."""
        url = self.settings.rate_canary
        own = Run(self.door, self.settings.limits)
        name = urlsplit(url).hostname or ""
        found = await look_up(own, name, self.settings.resolvers[0])
        if not found.addresses:
            return None
        asked = Asked(url, authorities=self.settings.authorities)
        return await rate(own, found.addresses[0], asked, self.settings.rate_s)

    # The record

    def _record(
        self, started: datetime, canary: Canary, throughput: Throughput | None
    ) -> Measurement:
        """The measurement with OONI's verdict and ours in it."""
        controlled = self.controlling.vantage if self.controlling else ""
        ours = Ours(
            attempts=self.settings.mixed_tries, canary=canary, throughput=throughput,
            control=ControlSummary(
                ok=self.seen is not None, vantage=controlled, failure=self.failure
            ),
        )  # fmt: skip
        keys = self.run.keys(
            TestKeys(x_vanished=ours, control=self.seen, control_failure=self.failure)
        )
        stamp = started.strftime("%Y-%m-%d %H:%M:%S")
        found = Measurement(
            test_name=TEST_NAME, test_version=TEST_VERSION, input=self.url,
            measurement_start_time=stamp, test_start_time=stamp,
            test_runtime=self.run.now(), software_name="vanished", software_version=__version__,
            extensions=dict(EXTENSIONS), test_keys=keys,
        )  # fmt: skip
        said = classic(found)
        failed = [q.failure for q in keys.queries or () if not _ours(q.tags)]
        pages = [e.failure for e in keys.requests or () if not _ours(e.tags)]
        keys = replace(
            keys, blocking=said.blocking, accessible=said.accessible,
            dns_consistency=said.dns_consistency,
            dns_experiment_failure=failed[0] if failed and all(failed) else None,
            http_experiment_failure=_first_failure(keys, pages),
        )  # fmt: skip
        found = replace(found, test_keys=keys)
        return noted(found, verdict(found, self.settings.verdict))


def _first_failure(keys: TestKeys, pages: Sequence[str | None]) -> str | None:
    """Why no page came; None where one did."""
    if any(failure is None for failure in pages):
        return None
    steps = [*pages, *(h.failure for h in keys.tls_handshakes or () if not _ours(h.tags)),
             *(c.failure for c in keys.tcp_connect or () if not _ours(c.tags))]  # fmt: skip
    return next((failure for failure in steps if failure), None)


def _ours(tags: Tags) -> bool:
    return bool({OTHER_SNI, OTHER_HOST, "canary"} & set(tags or ()))


def _tags(number: int, *more: str) -> tuple[str, ...]:
    return (*more, attempt(number))
