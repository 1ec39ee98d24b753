"""One way to an address: connect, handshake, request, as far as it comes; and a page by redirects.

In: a `Run`, an address, an address of the web. Out: the steps, appended to the run, which share a
transaction. Which ways are tried and how often is the tests' business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urljoin, urlsplit

from vanished.reach.probe_http import ascii_name, request
from vanished.reach.probe_tcp import connect
from vanished.reach.probe_tls import handshake
from vanished.reach.run import Run
from vanished.reach.steps import Exchange, Handshake, Tags, TcpConnect

REDIRECTS: Final = 6
_MOVED: Final = (301, 302, 303, 307, 308)
TOO_MANY: Final = "http_too_many_redirects"
INVALID: Final = "http_invalid_redirect_location_host"


@dataclass(frozen=True, slots=True)
class Tried:
    """One way, as far as it came."""

    connect: TcpConnect
    handshake: Handshake | None = None
    exchange: Exchange | None = None

    @property
    def failure(self) -> str | None:
        """The failure of its last step."""
        last = self.exchange or self.handshake or self.connect
        return last.failure

    @property
    def stage(self) -> str:
        """Where it ended: "connect", "handshake" or "request"."""
        if self.exchange:
            return "request"
        return "handshake" if self.handshake else "connect"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked on a way. `name` and `host` stand for the address's own where they are set."""

    url: str
    name: str = ""  # of the SNI
    host: str = ""  # of the Host header
    verify: bool = True
    page: bool = True  # ask for the page, not only for a handshake
    authorities: str = ""
    method: str = "GET"


async def way(run: Run, address: str, asked: Asked, tags: Tags = None) -> Tried:
    """Try `address` once for what is asked."""
    parts = urlsplit(asked.url)
    secure = parts.scheme == "https"
    step, opened = await connect(run, address, parts.port or (443 if secure else 80), tags=tags)
    if opened is None:
        return Tried(step)
    tried = Tried(step)
    try:
        shaken: Handshake | None = None
        if secure:
            name = asked.name or ascii_name(parts.hostname or "")
            shaken = await handshake(
                run, opened, name, authorities=asked.authorities, verify=asked.verify
            )
        tried = Tried(step, shaken)
        if asked.page and not (shaken and shaken.failure):
            answer = await request(run, opened, asked.url, method=asked.method, host=asked.host)
            tried = Tried(step, shaken, answer)
        return tried
    finally:
        opened.close(abort=tried.failure is not None)


Finds = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks up the addresses of a name, so many redirects after the first page."""


async def follow(
    run: Run, first: Exchange, finds: Finds, *, authorities: str = "", tags: Tags = None
) -> str | None:
    """Follow the redirects of an answer to its end; the failure of the last page, or None."""
    last, seen = first, {first.request.url if first.request else ""}
    for redirects in range(1, REDIRECTS + 1):
        to = location(last)
        if to is None:
            return last.failure
        if to in seen or redirects == REDIRECTS:
            return TOO_MANY
        seen.add(to)
        host = ascii_name(urlsplit(to).hostname or "")
        if not host:
            return INVALID
        addresses = [host] if literal(host) else await finds(host, redirects)
        if not addresses:
            return "dns_no_answer"
        marks = (*(tags or ()), f"depth={redirects}")
        asked = Asked(to, authorities=authorities)
        tried = await way(run, addresses[0], asked, marks)
        if tried.exchange is None:
            return tried.failure
        last = tried.exchange
    return last.failure


def location(step: Exchange) -> str | None:
    """Where an answer sends its reader; None where it does not."""
    answer = step.response
    if step.failure or answer is None or answer.code not in _MOVED or step.request is None:
        return None
    to = answer.header("location")
    try:
        full = urljoin(step.request.url, to) if to else ""
        parts = urlsplit(full)
        return full if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:  # no address, or no port
        return None


@lru_cache(maxsize=4096)
def literal(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
