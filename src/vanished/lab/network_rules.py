"""Conditions of the lab as its tools read them: rules, lies, forgeries, behaviour of servers.

In: the conditions in force and where things stand. Out: `iptables-restore` text, options of the
lying dnsmasq, orders for the injector and for the servers. Pure: the same conditions give the same
rules, and no condition gives rules that do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vanished.lab.network_forms import LOSS, RESIDUAL_S, SHARE, Condition
from vanished.lab.network_map import (
    BLOCK_PAGE,
    BOGON,
    CONTROL,
    FORGED,
    INTERCEPTOR,
    ISP_RESOLVER,
    LIES_PORT,
    PORTAL,
    WORD,
)

_EMPTY = {
    "mangle": ("PREROUTING", "POSTROUTING"),
    "nat": ("PREROUTING",),
    "filter": ("FORWARD", "INPUT"),
}
_PASSED = 4  # the hash's value, 1 to 4, that the partial kind "some" lets through
_LIES = {"dns_nxdomain": "", "dns_bogon": BOGON, "dns_block_page": BLOCK_PAGE}
_FORGERIES = {
    "dns_injection": "dns",
    "sni_reset": "sni",
    "http_reset": "host",
    "http_word_reset": "word",
    "http_block_page": "page",
    "http_redirect": "redirect",
}
SERVER_OUTAGES = frozenset(
    {
        "server_error",
        "name_gone",
        "certificate_expired",
        "certificate_wrong_host",
        "certificate_self_signed",
        "captcha",
        "slow_server",
        "other_address",
    }
)


@dataclass
class Rules:
    """What each tool of the lab is told."""

    router: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Rules by (table, built-in chain) of the router."""
    server: list[str] = field(default_factory=list)
    """Rules in front of the servers."""
    lies: list[str] = field(default_factory=list)
    """Options of the lying dnsmasq; it does not run when there are none."""
    forgeries: list[dict[str, Any]] = field(default_factory=list)
    """Orders of the injector."""
    queued: bool = False
    """Whether packets go to NFQUEUE 0, which `network_queue` serves."""
    behaviour: dict[str, list[str]] = field(default_factory=dict)
    """Outages that the servers themselves show, by target."""

    def add(self, table: str, chain: str, rule: str) -> None:
        self.router.setdefault((table, chain), []).append(rule)

    def router_text(self) -> str:
        """For `iptables-restore --noflush` on the router: replaces the lab's chains at once."""
        lines = []
        for table, chains in _EMPTY.items():
            lines.append(f"*{table}")
            lines += [f":LAB_{chain} - [0:0]" for chain in chains]
            for chain in chains:
                lines += [f"-A LAB_{chain} {rule}" for rule in self.router.get((table, chain), ())]
            lines.append("COMMIT")
        return "\n".join(lines) + "\n"

    def server_text(self) -> str:
        """The same for the servers' namespace."""
        rules = [f"-A LAB_INPUT {rule}" for rule in self.server]
        return "\n".join(["*filter", ":LAB_INPUT - [0:0]", *rules, "COMMIT"]) + "\n"


def foundation() -> tuple[str, str]:
    """What is loaded once, on the router and before the servers: the jumps to the lab's chains."""
    router = []
    for table, chains in _EMPTY.items():
        router.append(f"*{table}")
        router += [f":LAB_{chain} - [0:0]" for chain in chains]
        router += [f"-A {chain} -j LAB_{chain}" for chain in chains]
        router.append("COMMIT")
    server = ["*filter", ":LAB_INPUT - [0:0]", "-A INPUT -j LAB_INPUT", "COMMIT"]
    return "\n".join(router) + "\n", "\n".join(server) + "\n"


def rules(
    conditions: Sequence[Condition], addresses: Mapping[str, Sequence[str]], seed: int
) -> Rules:
    """All that has to be in force for these conditions; `addresses` are the targets'."""
    made = Rules()
    if any(c.partial == "some" for c in conditions):
        flow = "src,dst,sport,dport"
        made.add(
            "mangle",
            "PREROUTING",
            f"-i to-client -j HMARK --hmark-tuple {flow} --hmark-mod 4 --hmark-offset 1"
            f" --hmark-rnd {seed % 2**32:#x}",
        )
    for number, one in enumerate(conditions):
        if one.form in SERVER_OUTAGES:
            made.behaviour.setdefault(one.target, []).append(one.form)
            continue
        struck = list(addresses[one.target]) if one.target else []
        if one.partial == "one_address":
            struck = struck[:1]
        if one.form in _LIES:
            _lie(made, one, _LIES[one.form])
        elif one.form in _FORGERIES:
            _forge(made, one, struck, seed + number)
        else:
            _MAKERS[one.form](made, one, struck, number)
    return made


def _if_some(one: Condition) -> str:
    return f"-m mark ! --mark {_PASSED} " if one.partial == "some" else ""


def _lie(made: Rules, one: Condition, address: str) -> None:
    """The ISP's resolver answers falsely: queries for the name go to a dnsmasq that lies."""
    made.lies.append(f"--address=/{one.target}/{address}")
    to = f"-d {ISP_RESOLVER} {{}} -j REDIRECT --to-ports {LIES_PORT}"
    name = f"-p udp --dport 53 -m string --algo bm --icase {_dns_name(one.target)} {_if_some(one)}"
    made.add("nat", "PREROUTING", to.format(name))
    made.add("nat", "PREROUTING", to.format(f"-p tcp --dport 53 {_if_some(one)}"))


def _forge(made: Rules, one: Condition, struck: Sequence[str], seed: int) -> None:
    """The injector answers in the server's name, whatever address the trigger goes to.

    The word alone is looked for at the target only: it would strike all other hosts too.
    """
    bound = one.partial == "one_address" or one.form == "http_word_reset"
    made.forgeries.append(
        {
            "kind": _FORGERIES[one.form],
            "name": one.target,
            "addresses": list(struck) if bound else [],
            "answer": FORGED,
            "page": BLOCK_PAGE,
            "word": WORD,
            "share": SHARE if one.partial == "some" else 1.0,
            "residual_s": RESIDUAL_S if one.partial == "residual" else 0,
            "seed": seed,
        }
    )


def _dns_drop(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del struck, number
    for chain in ("FORWARD", "INPUT"):
        for protocol in ("udp", "tcp"):
            made.add(
                "filter",
                chain,
                f"-i to-client -p {protocol} --dport 53 -m string --algo bm --icase"
                f" {_dns_name(one.target)} {_if_some(one)}-j DROP",
            )


def _stop(verdict: str) -> Callable[[Rules, Condition, Sequence[str], int], None]:
    """Whatever goes to the addresses meets `verdict`; a reset is for TCP only."""

    def make(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
        del number
        for address in struck:
            if "tcp-reset" in verdict:
                made.add("filter", "FORWARD", f"-d {address} -p tcp {_if_some(one)}-j {verdict}")
                made.add("filter", "FORWARD", f"-d {address} -p udp {_if_some(one)}-j DROP")
            else:
                made.add("filter", "FORWARD", f"-d {address} {_if_some(one)}-j {verdict}")

    return make


def _content(
    port: int, found: Callable[[str], str], verdict: str
) -> Callable[[Rules, Condition, Sequence[str], int], None]:
    """A packet to `port` that holds what `found` says meets `verdict`, in the path.

    The content is the trigger, whatever address it goes to, as real censors do it.
    """

    def make(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
        anywhere = ["0.0.0.0/0"] if one.partial != "one_address" else struck
        for place, address in enumerate(anywhere):
            to = f"-i to-client -d {address} -p tcp --dport {port} "
            trigger = f"{to}{_if_some(one)}-m string --algo bm --icase {found(one.target)} "
            if one.partial == "residual":
                memory = f"-m recent --rdest --name lab{number}x{place}"
                held = f"{to}{memory} --rcheck --seconds {RESIDUAL_S} -j {verdict}"
                made.add("filter", "FORWARD", held)
                trigger += f"{memory} --set "
            made.add("filter", "FORWARD", f"{trigger}-j {verdict}")

    return make


def _interception(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del number
    for address in struck:
        to = f"-d {address} -p tcp --dport 443 {_if_some(one)}"
        made.add("nat", "PREROUTING", f"{to}-j DNAT --to-destination {INTERCEPTOR}")


def _throttling(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del number
    for address in struck:
        if one.partial == "some":  # the way back has no hash of its own: the connection keeps it
            keep = f"-d {address} {_if_some(one)}-j CONNMARK --save-mark"
            made.add("mangle", "PREROUTING", keep)
        held = "-m connmark ! --mark 0 " if one.partial == "some" else ""
        slow = f"-o to-client -s {address} {held}-j CLASSIFY --set-class 1:10"
        made.add("mangle", "POSTROUTING", slow)


def _quic_drop(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del number
    for address in struck:
        made.add("filter", "FORWARD", f"-d {address} -p udp --dport 443 {_if_some(one)}-j DROP")


def _fully_encrypted_drop(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del one, number
    made.queued = True
    for address in struck:
        made.add("filter", "FORWARD", f"-d {address} -p tcp -j NFQUEUE --queue-num 0")


def _first_bytes(seen: str) -> Callable[[Rules, Condition, Sequence[str], int], None]:
    """Packets of a go-around's protocol, known by how they begin, are dropped."""

    def make(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
        del number
        for address in struck:
            made.add("filter", "FORWARD", f"-d {address} {seen} {_if_some(one)}-j DROP")

    return make


def _resolver_dead(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del one, struck, number
    for protocol in ("udp", "tcp"):
        made.add("filter", "INPUT", f"-i to-client -p {protocol} --dport 53 -j DROP")


def _resolver_refuses(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    """A dnsmasq that knows no server to ask refuses."""
    del one, struck, number
    made.lies.append("--no-resolv")
    for protocol in ("udp", "tcp"):
        to = f"-d {ISP_RESOLVER} -p {protocol} --dport 53"
        made.add("nat", "PREROUTING", f"{to} -j REDIRECT --to-ports {LIES_PORT}")


def _packet_loss(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del one, struck, number
    lose = f"-m statistic --mode random --probability {LOSS} -j DROP"
    made.add("mangle", "PREROUTING", f"-i to-client {lose}")
    made.add("mangle", "POSTROUTING", f"-o to-client {lose}")


def _captive_portal(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del one, struck, number
    made.add(
        "nat", "PREROUTING", f"-i to-client -p tcp --dport 80 -j DNAT --to-destination {PORTAL}"
    )
    made.add(
        "filter", "FORWARD", "-i to-client -p tcp ! --dport 80 -j REJECT --reject-with tcp-reset"
    )
    made.add("filter", "FORWARD", "-i to-client -p udp -j DROP")


def _control_down(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
    del one, struck, number
    made.add("filter", "FORWARD", f"-d {CONTROL} -j DROP")


def _server(verdict: str) -> Callable[[Rules, Condition, Sequence[str], int], None]:
    """The servers' own addresses meet `verdict` there, for the client and the control alike."""

    def make(made: Rules, one: Condition, struck: Sequence[str], number: int) -> None:
        del one, number
        made.server += [f"-d {address} {verdict}" for address in struck]

    return make


def _dns_name(name: str) -> str:
    """The name as it stands in a query, for xt_string."""
    labels = "".join(f"|{len(label):02x}|{label}" for label in name.split("."))
    return f'--hex-string "{labels}|00|"'


def _server_name(name: str) -> str:
    """The name as it stands in a ClientHello's server_name extension (RFC 6066, 3)."""
    return f'--hex-string "|00{len(name):04x}|{name}"'


def _host(name: str) -> str:
    return f'--hex-string "host: {name}|0d0a|"'


_UDP_PAYLOAD = "0>>22&0x3C@8"  # u32: past the IP header, whatever its length, and UDP's eight bytes
_RESET = "REJECT --reject-with tcp-reset"
_MAKERS: Mapping[str, Callable[[Rules, Condition, Sequence[str], int], None]] = {
    "dns_drop": _dns_drop,
    "ip_drop": _stop("DROP"),
    "ip_reset": _stop(_RESET),
    "ip_unreachable": _stop("REJECT --reject-with icmp-host-unreachable"),
    "sni_reset_inline": _content(443, _server_name, _RESET),
    "sni_drop": _content(443, _server_name, "DROP"),
    "http_drop": _content(80, _host, "DROP"),
    "tls_interception": _interception,
    "throttling": _throttling,
    "quic_drop": _quic_drop,
    "fully_encrypted_drop": _fully_encrypted_drop,
    "ssh_drop": _first_bytes("-p tcp -m string --algo bm --string SSH-2.0"),
    "openvpn_drop": _first_bytes(f"-p udp -m u32 --u32 {_UDP_PAYLOAD}>>24=0x38"),
    "wireguard_drop": _first_bytes(f"-p udp -m u32 --u32 {_UDP_PAYLOAD}=0x01000000"),
    "resolver_dead": _resolver_dead,
    "resolver_refuses": _resolver_refuses,
    "packet_loss": _packet_loss,
    "captive_portal": _captive_portal,
    "control_down": _control_down,
    "server_down": _server("-p tcp -j REJECT --reject-with tcp-reset"),
    "server_silent": _server("-j DROP"),
}
