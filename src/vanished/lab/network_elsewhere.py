"""Go-arounds of the lab as its users have them, and the lab's control as another network.

In: a lab, a go-around that the lab serves. Out: a `GoAround` with the settings of a client, and
`LabElsewhere`, which tries one where the lab's control stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vanished.lab.goaround_tor import TorNetwork
from vanished.lab.network import NetworkLab
from vanished.lab.network_control import LabControl, lab_door, lab_settings
from vanished.lab.network_map import TOR
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_settings import GoAroundSettings
from vanished.reach.goaround_test import GoAroundTest
from vanished.reach.record import GoAroundSeen

_OR_PORT = 9001


def lab_go_around(lab: NetworkLab, kind: str, settings: Mapping[str, Any]) -> GoAround:
    """What a person would write of it in a TOML."""
    options = {key: value for key, value in settings.items() if key not in ("server", "port")}
    if kind in ("trojan", "v2ray"):
        options["authorities"] = lab.ca
    if kind in ("openvpn", "wireguard"):
        options["dns"] = next(iter(lab.resolvers.values()))
    if kind in ("dot", "doh"):
        options["sni"] = next(iter(lab.resolvers))
    name = f"my {kind}"
    return GoAround(name, kind, str(settings["server"]), int(settings["port"]), options)


def lab_tor(tor: TorNetwork, *, obfs4: bool = False) -> GoAround:
    """A way into the lab's Tor."""
    lines = [*tor.common.splitlines(), "ClientRejectInternalAddresses 0"]
    lines = [one for one in lines if not one.startswith(("RunAsDaemon", "Log "))]
    options: dict[str, Any] = {"torrc": lines}
    if obfs4:
        options |= {"pluggable": "obfs4", "bridges": [tor.bridge]}
    else:
        options["authorities_of_tor"] = [f"{address}:{_OR_PORT}" for address in TOR[:3]]
    return GoAround("obfs4" if obfs4 else "tor", "tor", options=options)


def lab_around_settings(lab: NetworkLab, page: str, **more: Any) -> GoAroundSettings:
    """A test of go-arounds as the lab wants it; `page` is a target's name."""
    web = lab_settings(lab, fine_tries=1)
    given: dict[str, Any] = {"large": f"https://{page}/bytes/400000", **more}
    return GoAroundSettings(web=web, page=f"https://{page}/", **given)


class LabElsewhere:
    """The lab's control as a network in which a go-around is tried."""

    def __init__(self, control: LabControl, settings: GoAroundSettings) -> None:
        self.control, self.settings = control, settings

    async def works(self, found: GoAround) -> bool | None:
        """Whether a page comes through it there; None for one that carries no pages."""
        if not found.sort.proxies:
            return None
        test = GoAroundTest(self.settings, lab_door(), None)
        limit_s = self.settings.tor_s if found.kind == "tor" else self.settings.client_s
        tried = test.carried(found, GoAroundSeen(found.kind), limit_s)
        return (await self.control.there(tried)).traffic
