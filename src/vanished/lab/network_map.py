"""Where everything stands in the lab's network: addresses, names, links.

    client 10.77.0.2 - 10.77.0.1 router 44.128.1.1 - 44.128.1.2 servers
    servers 44.128.2.1 - 44.128.2.2 control

The servers' side has addresses of 44.128/16, the test network of amateur packet radio: public by
their look, so that no bogon rule fires on them, and routed nowhere in here but to us. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CLIENT = "10.77.0.2"
ISP_RESOLVER = "10.77.0.1"
LIES_PORT = 5300
CONTROL = "44.128.2.2"
RESOLVERS: Mapping[str, str] = {"dns.example": "44.128.53.1", "dns2.example": "44.128.53.2"}
"""Honest resolvers outside the ISP: UDP and TCP 53, DoT 853, DoH 443 `/dns-query`."""

BLOCK_PAGE = "44.128.66.80"
PORTAL = "44.128.66.81"
INTERCEPTOR = "44.128.66.43"
FORGED = "44.128.66.66"
"""What the injector answers: a public address behind which nothing answers."""
BOGON = "10.66.34.34"
WORD = "lanternfish"
"""The word that the form `http_word_reset` looks for in a request's target."""

TARGETS: Mapping[str, Sequence[str]] = {
    "news.example": ("44.128.78.1", "44.128.79.1"),
    "chat.example": ("44.128.78.2", "44.128.79.2"),
    "video.example": ("44.128.78.3", "44.128.79.3"),
    "forum.example": ("44.128.78.4", "44.128.79.4"),
    "library.example": ("44.128.78.5", "44.128.79.5"),
    "relay.example": ("44.128.78.6", "44.128.79.6"),
}
"""What may be blocked; each has two addresses."""
CANARY = "canary.example"
BYSTANDER = "bystander.example"
"""A name that nobody blocks, for the other SNI and the other Host."""
PLAIN_HOST = "plain.example"
"""Whose certificate an address shows that belongs to no host."""
GO_AROUND_HOST = "bridge.example"
GO_AROUND = "44.128.90.1"
"""Where the servers of the go-arounds listen, under that name."""
TOR_HOST, TOR_BRIDGE_HOST = "tor.example", "tor-bridge.example"
TOR = tuple(f"44.128.91.{number}" for number in range(1, 7))
"""Addresses of the private Tor network: three authorities, three exits."""
TOR_BRIDGE = "44.128.91.7"
OTHERS: Mapping[str, Sequence[str]] = {
    CANARY: ("44.128.77.1",),
    BYSTANDER: ("44.128.77.2",),
    PLAIN_HOST: ("44.128.77.3",),
    GO_AROUND_HOST: (GO_AROUND,),
    TOR_HOST: TOR,
    TOR_BRIDGE_HOST: (TOR_BRIDGE,),
    **{name: (address,) for name, address in RESOLVERS.items()},
}


def layout(addresses: Sequence[str]) -> dict[str, list[str]]:
    """`ip -batch` lines for each namespace; `addresses` are the servers'."""
    return {
        "": [
            "link add to-router netns client type veth peer name to-client netns router",
            "link add to-server netns router type veth peer name to-router netns server",
            "link add to-control netns server type veth peer name to-server netns control",
        ],
        "client": ["address add 10.77.0.2/24 dev to-router", *_up("to-router"), _way("10.77.0.1")],
        "router": [
            "address add 10.77.0.1/24 dev to-client",
            "address add 44.128.1.1/30 dev to-server",
            *_up("to-client", "to-server"),
            _way("44.128.1.2"),
        ],
        "server": [
            "address add 44.128.1.2/30 dev to-router",
            "address add 44.128.2.1/30 dev to-control",
            *_up("to-router", "to-control"),
            "route add 10.77.0.0/24 via 44.128.1.1",
            f"route add blackhole {FORGED}",
            *(f"address add {address}/32 dev lo" for address in addresses),
        ],
        "control": [
            f"address add {CONTROL}/30 dev to-server",
            *_up("to-server"),
            _way("44.128.2.1"),
        ],
    }


def _up(*links: str) -> list[str]:
    """The links up, each packet by itself: shaping must not see bundles of 64 kB."""
    return [f"link set {link} up gso_max_segs 1" for link in links]


def _way(gateway: str) -> str:
    return f"route add default via {gateway}"
