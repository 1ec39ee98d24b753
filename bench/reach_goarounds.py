"""Go-arounds in the network lab: is what works said to work, and is the right thing blamed.

In: real go-arounds from Debian, a private Tor network, and filters, in the lab. Out: claims. A cell
is one go-around under one filter; its truth is what the filter is known to stop, checked by the
lab's own tests. Needs root and the lab's programs; takes about eight minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bench.harness import BenchError, Claim, Peer, at_least, at_most
from vanished.lab.goaround_tor import tor_network
from vanished.lab.goarounds import KINDS, serving
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_control import LabControl, lab_door
from vanished.lab.network_elsewhere import (
    LabElsewhere,
    lab_around_settings,
    lab_go_around,
    lab_tor,
)
from vanished.lab.network_map import GO_AROUND_HOST, TOR_BRIDGE_HOST, TOR_HOST
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_settings import GoAroundSettings
from vanished.reach.goaround_test import GoAroundTest
from vanished.reach.ooni_json import to_json
from vanished.reach.rules import Reach
from vanished.reach.run import Limits
from vanished.reach.verdict import Verdict

TARGET = "news.example"
QUICK = Limits(connect_s=1.2, tls_s=1.2, http_s=2.5, dns_s=0.6)
FILTERS: Mapping[str, tuple[frozenset[str], str, str]] = {
    "": (frozenset(), "", ""),
    "fully_encrypted_drop": (frozenset({"shadowsocks"}), "protocol", "fully_encrypted"),
    "ssh_drop": (frozenset({"ssh"}), "protocol", "ssh"),
    "openvpn_drop": (frozenset({"openvpn"}), "protocol", "openvpn"),
    "wireguard_drop": (frozenset({"wireguard"}), "protocol", "wireguard"),
    "ip_drop": (frozenset(KINDS), "ip", "drop"),
    "ip_reset": (frozenset(KINDS), "ip", "rst"),
    "ip_unreachable": (frozenset(KINDS), "ip", "unreachable"),
}
"""What each filter stops, and by what that is known."""
OUTAGES = ("server_down", "server_silent")
TCP_ONLY = frozenset({"openvpn", "wireguard"})
"""Kinds that `server_down`, which refuses TCP, does not strike."""


def run() -> tuple[list[Claim], list[Peer]]:
    """Right cells of the matrix, of Tor, and outages called blocked."""
    if (reason := why_not()) is not None:
        raise BenchError(reason)
    begun = time.monotonic()
    with NetworkLab(quic=False) as lab, LabControl(lab) as control:
        settings = lab_around_settings(lab, TARGET, client_s=12.0, page_s=3.0)
        web = replace(settings.web, limits=QUICK, residual_s=0.0, spacing_s=0.1)
        settings = replace(settings, web=web)
        bench = _Bench(lab, control, settings)
        claims = [*bench.matrix(), *bench.tor()]
    claims.append(at_most("secrets or addresses of servers in records", bench.leaks, "records", 0))
    claims.append(at_most("all of it", time.monotonic() - begun, "s", 900))
    return claims, []


class _Bench:
    """One lab and what was counted in it."""

    def __init__(self, lab: NetworkLab, control: LabControl, settings: GoAroundSettings) -> None:
        self.lab, self.control, self.settings = lab, control, settings
        self.leaks = 0

    def said(self, found: GoAround, **more: float) -> Verdict:
        """The verdict on one go-around, as the lab is now."""
        settings = replace(self.settings, **more)  # type: ignore[arg-type]
        beside = LabElsewhere(self.control, settings)
        test = GoAroundTest(settings, lab_door(), self.control, beside)
        seen = self.lab.call("client", lambda: asyncio.run(test.measure(found)))
        lines = b"".join(to_json(one) for one in (seen.measurement, *seen.more))
        self.leaks += any(secret.encode() in lines for secret in found.hidden)
        return seen.verdict

    def censored(self, form: str, host: str) -> None:
        """Put a filter in force against a host, beside the block that is to be gone around."""
        self.lab.clear()
        self.lab.censor("sni_reset", TARGET)
        if form:
            self.lab.censor(form, host)

    def matrix(self) -> Iterator[Claim]:
        """Every kind under every filter and outage."""
        works = right = stopped = named = blocked = down = 0
        for kind in KINDS:
            self.lab.clear()
            with serving(self.lab, kind) as served:
                found = lab_go_around(self.lab, kind, served.settings)
                for form, (stops, layer, mechanism) in FILTERS.items():
                    self.censored(form, GO_AROUND_HOST)
                    said = self.said(found)
                    if kind not in stops:
                        works += 1
                        right += said.state is Reach.OK
                        blocked += said.stopped
                        continue
                    stopped += 1
                    named += said.stopped and (said.layer, said.mechanism) == (layer, mechanism)
                for form in OUTAGES:
                    if form == "server_down" and kind in TCP_ONLY:
                        continue
                    self.censored(form, GO_AROUND_HOST)
                    down += 1
                    blocked += self.said(found, client_s=4.0).stopped
        yield at_least(f"{works} cells that carry a page, said to work", right, "cells", works)
        yield at_least(f"{stopped} cells that are stopped, by what", named, "cells", stopped)
        yield at_most(f"{works} that work and {down} servers down, called blocked", blocked, "", 0)

    def tor(self) -> Iterator[Claim]:
        """Tor by its authorities and by an obfs4 bridge."""
        cases = [
            (False, "", TOR_HOST, (Reach.OK, None, None)),
            (True, "", TOR_BRIDGE_HOST, (Reach.OK, None, None)),
            (False, "ip_drop", TOR_HOST, (Reach.BLOCKED, "ip", "drop")),
            (True, "ip_drop", TOR_HOST, (Reach.OK, None, None)),
            (True, "ip_reset", TOR_BRIDGE_HOST, (Reach.BLOCKED, "ip", "rst")),
            (
                True, "fully_encrypted_drop", TOR_BRIDGE_HOST,
                (Reach.BLOCKED, "protocol", "fully_encrypted"),
            ),
            (False, "server_down", TOR_HOST, (Reach.DOWN, None, None)),
            (True, "server_silent", TOR_BRIDGE_HOST, (Reach.DOWN, None, None)),
        ]  # fmt: skip
        right = 0
        self.lab.clear()
        with tor_network(self.lab) as tor:
            for obfs4, form, host, truth in cases:
                self.censored(form, host)
                found = lab_tor(tor, obfs4=obfs4)
                said = self.said(found, tor_s=15.0 if form and truth[0] is not Reach.OK else 60.0)
                right += (said.state, said.layer, said.mechanism) == truth
        yield at_least(f"{len(cases)} cases of Tor and obfs4, right", right, "cases", len(cases))
