"""The dry run: everything that a measurement would contact, before any packet leaves.

In: targets and the settings of a run. Out: `Destination`s, each with protocol, port and reason.
What is only known after a look-up (addresses of a name, where a redirect leads) is named by its
name or by how it will be found. Nothing is looked up and no socket is made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from vanished.net.proxy import ProxyAddress
from vanished.reach.own_here import nameservers
from vanished.reach.probe_dns import SYSTEM, Resolver
from vanished.reach.targets import Target
from vanished.reach.web_settings import WebSettings

ANY_RESOLVER_PORT = 53


@dataclass(frozen=True, slots=True)
class Destination:
    """Somebody who would be contacted. `host` is an address, or a name that stands for its own."""

    host: str
    port: int
    protocol: str  # "udp" or "tcp"
    why: str

    def text(self) -> str:
        """As one line."""
        return f"{self.protocol} {self.host} port {self.port}: {self.why}"


@dataclass(frozen=True, slots=True)
class Contacts:
    """Who is asked beside the targets."""

    control: str = ""  # URL of the control server
    proxy: str = ""  # through which the control, or the second vantage, is reached
    control_resolver: Resolver | None = None  # of a second vantage


def destinations(
    targets: Iterable[Target], settings: WebSettings, contacts: Contacts
) -> list[Destination]:
    """All of them, each once, in the order in which they would be contacted."""
    found: dict[Destination, None] = {}
    for one in (
        *_resolvers(settings.resolvers),
        *_page(settings.canary, settings, "the canary, which has to work"),
        *_control(contacts),
    ):
        found.setdefault(one)
    for target in targets:
        for one in _target(target.url, settings):
            found.setdefault(one)
    return list(found)


def _resolvers(resolvers: Sequence[Resolver]) -> Iterator[Destination]:
    why = "resolver: names of the targets and the canary, and a name that does not exist"
    for one in resolvers:
        if one.engine == SYSTEM:
            for address in nameservers() or ["the system's resolver"]:
                for protocol in ("udp", "tcp"):
                    yield Destination(address, ANY_RESOLVER_PORT, protocol, f"{why} (system)")
        else:
            protocol = "udp" if one.engine == "udp" else "tcp"
            yield Destination(one.address, one.port, protocol, f"{why} ({one.engine})")


def _control(contacts: Contacts) -> Iterator[Destination]:
    host, port = _place(contacts.control) if contacts.control else ("", 0)
    if contacts.proxy:
        proxy = ProxyAddress.parse(contacts.proxy, "given")
        carries = f"{host} port {port}, the control" if host else "the second vantage"
        yield Destination(proxy.host, proxy.port, "tcp", f"go-around, to {carries}")
        if not host and contacts.control_resolver is not None:
            one = contacts.control_resolver
            yield Destination(one.address, one.port, "tcp", "resolver, asked through the go-around")
            yield Destination(
                "every target and the canary", 443, "tcp", "asked through the go-around, too"
            )
    elif host:
        yield Destination(host, port, "tcp", "the control: it is told the targets")


def _page(url: str, settings: WebSettings, why: str) -> Iterator[Destination]:
    host, port = _place(url)
    yield Destination(host, port, "tcp", why)


def _target(url: str, settings: WebSettings) -> Iterator[Destination]:
    host, port = _place(url)
    secure = url.startswith("https:")
    kind = "TLS and page" if secure else "page"
    tries = max(settings.fine_tries, settings.mixed_tries)
    yield Destination(
        host,
        port,
        "tcp",
        f"target: {kind}, up to {settings.most_addresses} addresses found here and as many that"
        f" the control found, up to {tries} times each; with the name {settings.bystander}, too,"
        " if it fails",
    )
    if secure:
        yield Destination(host, 80, "tcp", "the page in plain HTTP, of addresses only found here")
        if settings.quic:
            yield Destination(host, port, "udp", "QUIC, if the control speaks it with the target")
    yield Destination(f"wherever {url} redirects to", port, "tcp", "the page in the end")


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
