"""Forms of blocking, outages that are none, and what is right to say of each.

In: nothing. Out: truths by the name of a form, for `lab.reach_records` and whoever judges what it
draws; the pages that are shown instead of others.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK_PAGE = (
    "<html><head><title>Access restricted</title></head><body><h1>This website has been blocked"
    "</h1><p>Access to this site has been disabled by order of the court.</p></body></html>"
)
CAPTCHA = (
    "<html><head><title>Just a moment...</title></head><body><h1>Checking your browser</h1>"
    "<p>Please complete the security check to continue.</p></body></html>"
)
FORBIDDEN = (
    "<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center>"
    "<hr><center>nginx</center></body></html>"
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is right to say: where and how, or that nothing blocks."""

    layer: str | None
    mechanism: str | None
    stopped: bool
    states: tuple[str, ...] = ()  # for what is no block: the states that are right


def _block(layer: str, mechanism: str) -> Truth:
    return Truth(layer, mechanism, True, ("blocked", "likely_blocked"))


def _fine(*states: str) -> Truth:
    return Truth(None, None, False, states)


FORMS: dict[str, Truth] = {
    "dns_nxdomain": _block("dns", "nxdomain"),
    "dns_bogon": _block("dns", "bogon"),
    "dns_block_address": _block("dns", "block_address"),
    "dns_wrong_address": _block("dns", "wrong_address"),
    "dns_injection": _block("dns", "injection"),
    "dns_drop": _block("dns", "drop"),
    "dns_refused": _block("dns", "refused"),
    "ip_drop": _block("ip", "drop"),
    "ip_rst": _block("ip", "rst"),
    "ip_unreachable": _block("ip", "unreachable"),
    "sni_reset": _block("sni", "reset"),
    "sni_drop": _block("sni", "drop"),
    "sni_late_reset": _block("sni", "reset"),
    "tls_interception": _block("tls", "interception"),
    "http_reset": _block("http", "reset"),
    "http_drop": _block("http", "drop"),
    "http_block_page": _block("http", "block_page"),
    "quic_drop": _block("quic", "drop"),
}
SLOWED = {"throttling": Truth("throughput", "throttling", False, ("impaired",))}
OUTAGES: dict[str, Truth] = {
    "clean": _fine("ok"),
    "dead_resolver": _fine("insufficient"),
    "server_down": _fine("down"),
    "bad_certificate": _fine("down"),
    "stale_control": _fine("ok"),  # the page came, with a valid certificate
    "stale_control_failing": _fine("insufficient"),
    "captcha": _fine("impaired", "ok"),
    "slow_server": _fine("ok"),
    "server_error": _fine("ok", "down"),
    "forbidden": _fine("ok"),
    "no_such_name": _fine("down"),
}
PLAIN = frozenset({"http_reset", "http_drop", "http_block_page", "dns_block_address", "captcha"})
"""Forms of which only plain HTTP shows anything."""

STALE = ("stale_control", "stale_control_failing")

SOME = frozenset(
    {"dns_nxdomain", "dns_bogon", "sni_reset", "sni_late_reset", "http_reset", "ip_rst"}
)
"""Forms that also come as "only some tries": answers of somebody, so that loss cannot look so."""
