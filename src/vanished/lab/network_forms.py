"""The forms in which the lab's network blocks, and the outages that are no blocking: the truth.

In: the name of a form, of a target, of a partial kind. Out: what a right verdict says of it.
Nothing here touches a network; `network_rules` turns a `Condition` into rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vanished.errors import UsageError

Partial = Literal["", "some", "residual", "one_address"]
"""How far a form reaches.

"": always. "some": three of four connections or queries, chosen by a seeded hash of the flow.
"residual": the trigger also stops what comes to the same address and port for `RESIDUAL_S` after.
"one_address": only the first of the target's addresses.
"""

RESIDUAL_S = 5
SHARE = 0.75
"""Share of flows that the partial kind "some" stops."""

LOSS = 0.05
THROTTLE_BYTES_S = 20_000

State = Literal["blocked", "likely_blocked", "impaired", "down", "ok", "insufficient"]
BLOCKED: frozenset[State] = frozenset({"blocked", "likely_blocked"})


@dataclass(frozen=True)
class Form:
    """One way to block: where it acts (`layer`), what it does there (`mechanism`), how far."""

    layer: str
    mechanism: str
    partials: frozenset[Partial]


@dataclass(frozen=True)
class Outage:
    """Something that is not blocking, and the verdicts that are right for it."""

    states: frozenset[State]
    whole: bool = False
    """Whether it strikes the whole network, so that no target is named."""


@dataclass(frozen=True)
class Condition:
    """One form or outage in force, against one target ("" where it strikes the whole network)."""

    form: str
    target: str = ""
    partial: Partial = ""


@dataclass(frozen=True)
class Truth:
    """What a right verdict on `target` says while the lab is as it is.

    `states` are the verdicts that are right; `layer` and `mechanism` are None where nothing blocks.
    """

    target: str
    states: frozenset[State]
    layer: str | None = None
    mechanism: str | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def blocking(self) -> bool:
        """Whether a censor is at work; where it is not, `blocked` is a false alarm."""
        return self.layer is not None


def _form(layer: str, mechanism: str, *partials: Partial) -> Form:
    return Form(layer, mechanism, frozenset(("", *partials)))


FORMS: Mapping[str, Form] = {
    "dns_nxdomain": _form("dns", "nxdomain", "some"),
    "dns_bogon": _form("dns", "bogon", "some"),
    "dns_block_page": _form("dns", "block_address", "some"),
    "dns_injection": _form("dns", "injection", "some"),
    "dns_drop": _form("dns", "drop", "some"),
    "ip_drop": _form("ip", "drop", "some", "one_address"),
    "ip_reset": _form("ip", "rst", "some", "one_address"),
    "ip_unreachable": _form("ip", "unreachable", "some", "one_address"),
    "sni_reset": _form("sni", "reset", "some", "residual", "one_address"),
    "sni_reset_inline": _form("sni", "reset", "some", "residual", "one_address"),
    "sni_drop": _form("sni", "drop", "some", "residual", "one_address"),
    "tls_interception": _form("tls", "interception", "some", "one_address"),
    "http_reset": _form("http", "reset", "some", "residual", "one_address"),
    "http_word_reset": _form("http", "reset", "some", "residual", "one_address"),
    "http_drop": _form("http", "drop", "some", "residual", "one_address"),
    "http_block_page": _form("http", "block_page", "some", "one_address"),
    "http_redirect": _form("http", "block_page", "some", "one_address"),
    "throttling": _form("throughput", "throttling", "some", "one_address"),
    "quic_drop": _form("quic", "drop", "some", "one_address"),
    "fully_encrypted_drop": _form("protocol", "fully_encrypted"),
    "ssh_drop": _form("protocol", "ssh", "some"),
    "openvpn_drop": _form("protocol", "openvpn", "some"),
    "wireguard_drop": _form("protocol", "wireguard", "some"),
}
"""The blocking forms. `sni_reset`, `http_reset`, `http_word_reset`, `dns_injection` and the two
block pages are forged by an injector beside the path; the other forms act in the path. The four of
the layer "protocol" stop go-arounds by their first bytes; a web page passes them."""


def _outage(*states: State, whole: bool = False) -> Outage:
    return Outage(frozenset(states), whole)


OUTAGES: Mapping[str, Outage] = {
    "resolver_dead": _outage("insufficient", "ok", whole=True),
    "resolver_refuses": _outage("insufficient", "ok", whole=True),
    "packet_loss": _outage("ok", "impaired", "insufficient", whole=True),
    "captive_portal": _outage("insufficient", whole=True),
    "control_down": _outage("insufficient", "ok", whole=True),
    "server_down": _outage("down", "insufficient"),
    "server_silent": _outage("down", "insufficient"),
    "server_error": _outage("ok", "down", "insufficient"),
    "name_gone": _outage("down", "insufficient"),
    "certificate_expired": _outage("ok", "down", "insufficient"),
    "certificate_wrong_host": _outage("ok", "down", "insufficient"),
    "certificate_self_signed": _outage("ok", "down", "insufficient"),
    "captcha": _outage("ok", "impaired", "insufficient"),
    "slow_server": _outage("ok", "impaired", "insufficient"),
    "other_address": _outage("ok"),
}
"""The outages. `captcha` is shown to the client's address only, `other_address` gives the client
and the control different true addresses, as a CDN does; both ends see the other server outages."""

CONFIRMED_BY: Mapping[str, frozenset[State]] = {
    "": BLOCKED,
    "residual": BLOCKED,
    "some": BLOCKED | {"impaired"},
    "one_address": BLOCKED | {"impaired"},
}


def condition(form: str, target: str, partial: Partial) -> Condition:
    """The condition of that form; UsageError where there is no such form or partial kind."""
    if form in FORMS:
        if partial not in FORMS[form].partials:
            raise UsageError(f"The lab's form '{form}' has no partial kind '{partial}'.")
        if not target:
            raise UsageError(f"The lab's form '{form}' needs a target.")
    elif form in OUTAGES:
        if partial:
            raise UsageError(f"The lab's outage '{form}' has no partial kind.")
        if OUTAGES[form].whole == bool(target):
            word = "strikes the whole network" if OUTAGES[form].whole else "needs a target"
            raise UsageError(f"The lab's outage '{form}' {word}.")
    else:
        known = ", ".join(sorted([*FORMS, *OUTAGES]))
        raise UsageError(f"The lab knows no form '{form}'; it knows {known}.")
    return Condition(form, target, partial)


def truth(target: str, conditions: tuple[Condition, ...]) -> Truth:
    """What is right to say of `target` under these conditions.

    A blocking form names layer and mechanism; where several block, the first that was set. An
    outage of the whole network beside it also allows `insufficient`.
    """
    here = tuple(c for c in conditions if c.target in ("", target))
    blocking = [c for c in here if c.form in FORMS]
    outages = [OUTAGES[c.form].states for c in here if c.form in OUTAGES]
    if blocking:
        form = FORMS[blocking[0].form]
        states = CONFIRMED_BY[blocking[0].partial]
        if form.layer == "throughput":  # what is slowed down is reached all the same
            states = states | {"impaired"}
        if outages:
            states = states | {"insufficient", "impaired"}
        return Truth(target, states, form.layer, form.mechanism, here)
    states = frozenset({"ok"})
    if outages:
        states = outages[0] if len(outages) == 1 else frozenset().union(*outages)
    return Truth(target, states, conditions=here)
