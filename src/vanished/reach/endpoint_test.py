"""The test of one endpoint: a look-up, a connect, a handshake or a page, as far as it asks.

In: an `Endpoint`, settings, a door, a control. Out: a `Measurement` with every step, judged by the
rules of pages: the same tries, contrasts and controls, and success as the endpoint defines it. A
control that cannot reach the endpoint makes it stale, never blocked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from vanished import __version__
from vanished.reach.app import Endpoint
from vanished.reach.controlling import ControlFailedError
from vanished.reach.failures import Kind, kind
from vanished.reach.one_page import EXTENSIONS, OnePage
from vanished.reach.record import (
    Canary,
    Control,
    ControlSummary,
    Measurement,
    Ours,
    TestKeys,
    Throughput,
)
from vanished.reach.run import place
from vanished.reach.steps import CONTROL_ADDRESS, NOT_THE_TARGET, Query, Tags, attempt
from vanished.reach.verdict import noted, verdict
from vanished.reach.ways import Asked, Tried, literal, way

ENDPOINT_TEST: Final = "vanished_endpoint"


@dataclass(slots=True)
class OneEndpoint(OnePage):
    """The test of one endpoint; `url` is that of its way."""

    endpoint: Endpoint = field(kw_only=True)
    tried: list[Tried] = field(default_factory=list)

    def __post_init__(self) -> None:
        OnePage.__post_init__(self)
        at = f"[{self.endpoint.host}]" if ":" in self.endpoint.host else self.endpoint.host
        if self.endpoint.scheme == "tls":
            self.url = f"https://{at}:{self.endpoint.port}/"

    @property
    def port(self) -> int:
        return self.endpoint.port

    @property
    def _authorities(self) -> str:
        """Those of the settings, and the endpoint's own beside them."""
        if not self.endpoint.authorities:
            return self.settings.authorities
        return os.pathsep.join([self.settings.authorities, self.endpoint.authorities])

    async def _ask_control(self, addresses: Sequence[str]) -> None:
        """Ask for the host and the places; what the endpoint does not ask for does not count."""
        if self.controlling is None:
            self.failure = "no_control"
            return
        end = self.endpoint
        scheme = "https" if self.secure else "http"
        at = end.sni or (f"[{end.host}]" if ":" in end.host else end.host)
        paged = end.scheme in ("http", "https") and not end.sni
        url = end.url if paged else f"{scheme}://{at}/"
        places = [self.host] if literal(self.host) else [*addresses]
        try:
            seen = await self.controlling.control(url, self._places(places), quic=False)
            known = (seen.dns.addrs or ()) if seen.dns else ()
            others = [one for one in known if one not in places and not literal(self.host)]
            if others and not paged:  # its own addresses, at the port that is asked for
                more = await self.controlling.control(url, self._places(others), quic=False)
                seen = replace(
                    seen,
                    tcp_connect={**(more.tcp_connect or {}), **(seen.tcp_connect or {})},
                    tls_handshake={**(more.tls_handshake or {}), **(seen.tls_handshake or {})},
                )
        except ControlFailedError as error:
            self.failure = error.failure
            return
        self.seen = self._as_asked(seen)

    def _places(self, addresses: Sequence[str]) -> list[str]:
        return [place(one, self.port) for one in addresses] if self.port else []

    def _numbered(self, query: Query) -> Query:
        """Addresses that are the provider's by its list, marked with its number."""
        if not self.endpoint.asn or not query.answers:
            return query
        answers = tuple(
            replace(one, asn=self.endpoint.asn)
            if one.address and self.endpoint.belongs(one.address)
            else one
            for one in query.answers
        )
        return replace(query, answers=answers)

    def _as_asked(self, seen: Control) -> Control:
        if self.endpoint.asn and seen.ip_info:
            numbered = {
                a: replace(info, asn=self.endpoint.asn) if self.endpoint.belongs(a) else info
                for a, info in seen.ip_info.items()
            }
            seen = replace(seen, ip_info=numbered)
        page = seen.http_request
        paged = self.endpoint.scheme in ("http", "https")
        if not paged or (page and kind(page.failure) is Kind.CERTIFICATE):
            return replace(seen, http_request=None)
        return seen

    async def _ways(self, addresses: Sequence[str]) -> list[Tried]:
        if self.endpoint.scheme == "dns":
            return []
        known = [self.host] if literal(self.host) else addresses
        return await OnePage._ways(self, known)

    async def _try(self, address: str, marks: tuple[str, ...], number: int) -> Tried:
        end = self.endpoint
        asked = Asked(
            self.url, name=end.sni, page=end.scheme in ("http", "https"), method=end.method,
            authorities=self._authorities,
        )  # fmt: skip
        found = await way(self.run, address, asked, (*marks, attempt(number)))
        if CONTROL_ADDRESS not in marks:
            self.tried.append(found)
        return found

    async def _follow(self, tries: Sequence[Tried], marks: tuple[str, ...]) -> None:
        """Redirects are answers."""

    @property
    def sealed(self) -> bool:
        return self.endpoint.scheme != "http" and not literal(self.host)

    async def _plain(self, found: Sequence[Query]) -> None:
        """Also shake hands where a bare connect would prove nothing of a doubtful address."""
        await OnePage._plain(self, found)
        dns = self.seen.dns if self.seen else None
        if self.endpoint.scheme != "tcp" or not (dns and dns.addrs):
            return
        for address in dict.fromkeys(a for one in found for a in one.addresses):
            if address not in dns.addrs and not self.endpoint.belongs(address):
                asked = Asked(
                    f"https://{self.host}:{self.port}/", page=False, authorities=self._authorities
                )
                await way(self.run, address, asked, (attempt(1), "certificate"))

    async def _extras(self, tried: Sequence[Tried]) -> Throughput | None:
        return None

    @property
    def reached(self) -> bool:
        """Whether a way from the answers that were given here came as far as is asked."""
        if self.endpoint.scheme == "dns":
            return any(q.addresses for q in self.run.queries if not _other(q.tags))
        return any(one.failure is None and self._counts(one) for one in self.tried)

    @property
    def unexpected(self) -> bool:
        """Whether an answer came, and none that counts."""
        answered = [one for one in self.tried if one.failure is None]
        return bool(answered) and not self.reached

    @property
    def stopped_by(self) -> str | None:
        """OONI's word for why it was not reached; None where it was."""
        if self.reached:
            return None
        last = next((one.failure for one in reversed(self.tried) if one.failure), None)
        if last is None and self.unexpected:
            return "http_request_failed"
        asked = [q.failure for q in self.run.queries if q.failure and not _other(q.tags)]
        return last or (asked[0] if asked else "unknown_failure")

    def by_first_resolver(self) -> tuple[str | None, tuple[Tried, ...], tuple[str, ...]]:
        """The same as OONI's probes see it, by one resolver: why it was not reached (None where it
        was), the ways, and the addresses."""
        first = self.settings.resolvers[0]
        asked = [
            q
            for q in self.run.queries
            if q.resolver_address == (str(first) or None) and not _other(q.tags)
        ]
        found = tuple(dict.fromkeys(a for q in asked for a in q.addresses))
        found = (self.host,) if literal(self.host) else found
        ways = tuple(one for one in self.tried if one.connect.ip in found)
        if not found:
            return next((q.failure for q in asked if q.failure), "unknown_failure"), ways, found
        if self.endpoint.scheme == "dns" or any(
            one.failure is None and self._counts(one) for one in ways
        ):
            return None, ways, found
        failed = next((one.failure for one in reversed(ways) if one.failure), None)
        return failed or ("http_request_failed" if ways else "unknown_failure"), ways, found

    def _counts(self, one: Tried) -> bool:
        if one.exchange is None:
            return self.endpoint.scheme not in ("http", "https")
        code = one.exchange.response.code if one.exchange.response else 0
        return code in self.endpoint.status if self.endpoint.status else bool(code)

    def _record(
        self, started: datetime, canary: Canary, throughput: Throughput | None
    ) -> Measurement:
        stamp = started.strftime("%Y-%m-%d %H:%M:%S")
        vantage = self.controlling.vantage if self.controlling else ""
        ours = Ours(
            attempts=self.settings.mixed_tries, canary=canary, unexpected=self.unexpected or None,
            control=ControlSummary(ok=self.seen is not None, vantage=vantage, failure=self.failure),
        )  # fmt: skip
        self.run.queries = [self._numbered(one) for one in self.run.queries]
        keys = self.run.keys(
            TestKeys(
                x_vanished=ours, control=self.seen, control_failure=self.failure,
                success=self.reached, failure=self.stopped_by,
            )
        )  # fmt: skip
        found = Measurement(
            test_name=ENDPOINT_TEST, test_version="0.1.0", input=self.endpoint.url,
            measurement_start_time=stamp, test_start_time=stamp, test_runtime=self.run.now(),
            software_name="vanished", software_version=__version__, extensions=dict(EXTENSIONS),
            test_keys=keys,
        )  # fmt: skip
        return noted(found, verdict(found, self.settings.verdict))


def _other(tags: Tags) -> bool:
    return bool({CONTROL_ADDRESS, *NOT_THE_TARGET} & set(tags or ()))
