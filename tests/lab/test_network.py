"""A lab whose censor does not do what its name says would prove wrong verdicts right."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from tests.lab import network_looks as looks
from tests.needs import missing
from vanished.errors import UsageError
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_dns import ask
from vanished.lab.network_forms import FORMS, OUTAGES, RESIDUAL_S, Partial
from vanished.lab.network_map import BOGON, TARGETS

Look = Callable[[NetworkLab, str, float], str]
FIVE = list(TARGETS)[:5]
_K = TypeVar("_K")


def together(asked: Mapping[_K, Callable[[], str]]) -> dict[_K, str]:
    """What each look says when all are done at once: most of a look is waiting."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return dict(zip(asked, pool.map(lambda look: look(), asked.values()), strict=True))


@pytest.fixture(scope="module")
def built() -> Iterator[NetworkLab]:
    reason = why_not()
    if reason is not None:
        missing(reason)
    with NetworkLab(seed=7) as made:
        yield made


@pytest.fixture
def lab(built: NetworkLab) -> Iterator[NetworkLab]:
    yield built
    built.clear()


EFFECTS: dict[str, tuple[Look, set[str]]] = {
    "dns_nxdomain": (looks.dns(looks.ISP), {"nxdomain"}),
    "dns_bogon": (looks.dns(looks.ISP), {BOGON}),
    "dns_block_page": (looks.dns(looks.ISP), {"44.128.66.80"}),
    "dns_injection": (looks.dns(looks.PUBLIC), {"44.128.66.66"}),
    "dns_drop": (looks.dns(looks.PUBLIC), {"timeout"}),
    "ip_drop": (looks.tcp, {"timeout"}),
    "ip_reset": (looks.tcp, {"refused"}),
    "ip_unreachable": (looks.tcp, {"No route to host"}),
    "sni_reset": (looks.tls, {"reset"}),
    "sni_reset_inline": (looks.tls, {"reset"}),
    "sni_drop": (looks.tls, {"timeout"}),
    "tls_interception": (looks.tls, {"unable to get local issuer certificate"}),
    "http_reset": (looks.http, {"reset"}),
    "http_word_reset": (looks.word, {"reset"}),
    "http_drop": (looks.http, {"timeout"}),
    "http_block_page": (looks.http, {"403"}),
    "http_redirect": (looks.http, {"302"}),
    "throttling": (looks.pace, {"slow"}),
    "quic_drop": (looks.udp443, {"timeout"}),
}
"""For each form a look that meets it, and what that look must say."""
GO_AROUND_FORMS = {name for name, form in FORMS.items() if form.layer == "protocol"}


def test_every_form_is_looked_at() -> None:
    assert set(EFFECTS) | GO_AROUND_FORMS == set(FORMS)
    assert len(EFFECTS) >= 12
    assert len(FIVE) == 5


def _wait(expected: set[str]) -> float:
    """How long to look: a look that waits for something to come must not be cut short."""
    return looks.SHORT_S if expected & {"timeout", "slow"} else looks.LONG_S


def _all(lab: NetworkLab, look: Look) -> dict[str, str]:
    """All targets looked at, at once and with patience."""
    return together({t: partial(look, lab, t, looks.LONG_S) for t in FIVE})


@pytest.mark.parametrize("form", EFFECTS)
def test_a_form_stops_its_target_and_no_other_and_goes_away(lab: NetworkLab, form: str) -> None:
    if form == "quic_drop" and not lab.quic:
        missing("the extra 'reach' is not installed: no QUIC in the lab")
    look, expected = EFFECTS[form]
    rounds = [FIVE[0::2], FIVE[1::2]]
    if form == "throttling":  # all that is throttled shares one pace: one target at a time
        rounds = [[target] for target in FIVE]
    for struck in rounds:
        for target in struck:
            lab.censor(form, target)
        waits = {t: _wait(expected) if t in struck else looks.LONG_S for t in FIVE}
        seen = together({t: partial(look, lab, t, wait) for t, wait in waits.items()})
        for target in FIVE:
            truth = lab.truth(target)
            assert truth.blocking == (target in struck)
            if target in struck:
                assert seen[target] in expected, target
                assert truth.layer == FORMS[form].layer
            else:
                assert seen[target] == "ok", target
        lab.clear()
    assert set(_all(lab, look).values()) == {"ok"}


@pytest.mark.parametrize(
    "form", [name for name in EFFECTS if "some" in FORMS[name].partials and name != "quic_drop"]
)
def test_a_form_that_acts_sometimes_lets_some_through(lab: NetworkLab, form: str) -> None:
    """At a share of 3/4, 24 looks that all end alike come about once in a thousand runs."""
    look, _ = EFFECTS[form]
    lab.censor(form, FIVE[0], "some")
    seen: list[str] = []
    while len(seen) < 24 and len({word == "ok" for word in seen}) < 2:
        some = {n: partial(look, lab, FIVE[0], looks.SHORT_S) for n in range(4)}
        seen += together(some).values()
    assert {word == "ok" for word in seen} == {True, False}, seen


@pytest.mark.parametrize("form", ["ip_drop", "ip_reset", "sni_reset", "sni_drop"])
def test_a_form_on_one_address_leaves_the_other(lab: NetworkLab, form: str) -> None:
    lab.censor(form, FIVE[1], "one_address")
    first, second = lab.addresses[FIVE[1]]
    assert looks.tls(lab, FIVE[1], looks.SHORT_S, address=first) != "ok"
    assert looks.tls(lab, FIVE[1], looks.LONG_S, address=second) == "ok"


def test_residual_blocking_blames_the_innocent_and_ends(lab: NetworkLab) -> None:
    """The trap for a follow-up that does not wait: for a while any name is stopped there."""
    forms = dict(zip(FIVE, ("sni_reset", "sni_reset_inline", "sni_drop"), strict=False))
    for target, form in forms.items():
        lab.censor(form, target, "residual")
        assert looks.tls(lab, target, looks.LONG_S, sni=lab.bystander) == "ok"
        assert looks.tls(lab, target, looks.SHORT_S) != "ok"
        assert looks.tls(lab, target, looks.SHORT_S, sni=lab.bystander) != "ok"
        assert looks.http(lab, target, looks.LONG_S) == "ok"
    time.sleep(RESIDUAL_S)
    ends = time.monotonic() + 20.0  # what a kernel sends again of a look triggers once more
    for target in forms:
        while looks.tls(lab, target, looks.LONG_S, sni=lab.bystander) != "ok":
            assert time.monotonic() < ends, target
            time.sleep(0.2)


def test_an_injected_answer_is_followed_by_the_true_one(lab: NetworkLab) -> None:
    """Two differing replies to one query are the artefact that proves injection."""
    lab.censor("dns_injection", FIVE[0])
    for resolver in (looks.PUBLIC, looks.ISP):
        said = lab.call("client", looks.replies, FIVE[0], resolver, looks.LONG_S, 2)
        assert said == ["44.128.66.66", " ".join(sorted(lab.addresses[FIVE[0]]))]
    assert looks.dns(looks.PUBLIC, 1)(lab, FIVE[1], looks.LONG_S) == "ok"


def test_a_triggering_name_is_stopped_at_an_innocent_address(lab: NetworkLab) -> None:
    """The contrast that shows the trigger is the name: same address, other name."""
    lab.censor("sni_reset", FIVE[0])
    assert looks.tls(lab, lab.bystander, looks.SHORT_S, sni=FIVE[0]) == "reset"
    assert looks.tls(lab, FIVE[0], looks.LONG_S, sni=lab.bystander) == "ok"
    assert looks.tls(lab, lab.bystander, looks.LONG_S) == "ok"


OUTAGE_EFFECTS: dict[str, tuple[Look, set[str]]] = {
    "resolver_dead": (looks.dns(looks.ISP), {"timeout"}),
    "resolver_refuses": (looks.dns(looks.ISP), {"refused"}),
    "captive_portal": (looks.http, {"200"}),
    "server_down": (looks.tcp, {"refused"}),
    "server_silent": (looks.tcp, {"timeout"}),
    "server_error": (looks.http, {"503"}),
    "name_gone": (looks.dns(looks.PUBLIC), {"nxdomain"}),
    "certificate_expired": (looks.tls, {"certificate has expired"}),
    "certificate_wrong_host": (
        looks.tls,
        {f"Hostname mismatch, certificate is not valid for '{name}'." for name in FIVE},
    ),
    "certificate_self_signed": (looks.tls, {"self-signed certificate"}),
    "captcha": (looks.http, {"403"}),
    "slow_server": (looks.pace, {"slow"}),
    "other_address": (looks.dns(looks.ISP), {given[0] for given in TARGETS.values()}),
}


@pytest.mark.parametrize("outage", OUTAGE_EFFECTS)
def test_an_outage_shows_and_is_no_blocking(lab: NetworkLab, outage: str) -> None:
    look, expected = OUTAGE_EFFECTS[outage]
    for target in [""] if OUTAGES[outage].whole else FIVE:
        lab.censor(outage, target)
    seen = together({t: partial(look, lab, t, _wait(expected)) for t in FIVE})
    assert set(seen.values()) <= expected, seen
    for target in FIVE:
        truth = lab.truth(target)
        assert not truth.blocking
        assert "blocked" not in truth.states
    lab.clear()
    assert set(_all(lab, look).values()) == {"ok"}


def test_a_captcha_is_shown_to_the_client_alone(lab: NetworkLab) -> None:
    lab.censor("captcha", FIVE[0])
    assert looks.http(lab, FIVE[0], looks.LONG_S, role="control") == "ok"
    assert looks.http(lab, FIVE[0], looks.LONG_S) == "403"


def test_an_unreachable_control_is_the_clients_trouble_only(lab: NetworkLab) -> None:
    port = "8099"
    argv = [sys.executable, "-m", "http.server", port, "--bind", lab.control_address]
    quiet = subprocess.DEVNULL
    server = lab.start("control", argv, stdout=quiet, stderr=quiet)
    url = f"http://{lab.control_address}:{port}/"
    curl = ["curl", "-sS", "-o", "/dev/null", "--retry", "20", "--retry-connrefused"]
    curl += ["--retry-delay", "1", "--max-time", "20", url]
    assert lab.client_run(curl).returncode == 0
    lab.censor("control_down")
    assert lab.client_run(["curl", "-sS", "--max-time", "0.5", url]).returncode == 28
    lab.stop(server)


def test_packets_get_lost_at_about_the_share_that_is_said(lab: NetworkLab) -> None:
    """400 look-ups go there and back: 1 - 0.95^2 = 9.75 % unanswered, 39 with sigma 6."""
    lab.censor("packet_loss")

    def unanswered() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.connect((looks.PUBLIC, 53))
            own.settimeout(0.15)
            got: set[bytes] = set()
            for number in range(400):
                own.send(ask(FIVE[0], number))
                if number % 40 == 39:
                    with contextlib.suppress(TimeoutError):
                        while len(got) <= number:
                            got.add(own.recv(512)[:2])
        return 400 - len(got)

    assert 16 <= lab.call("client", unanswered) <= 64


def test_plain_tools_and_new_pythons_run_where_the_client_stands(lab: NetworkLab) -> None:
    """Probes of others must run in it unchanged: programs, modules, functions."""
    page = lab.client_run(["curl", "-sS", "--cacert", lab.ca, f"https://{FIVE[0]}/"])
    assert f"Welcome to {FIVE[0]}".encode() in page.stdout
    assert lab.client_python("socket:gethostbyname", FIVE[0]) in lab.addresses[FIVE[0]]
    assert lab.control_run(["cat", "/etc/resolv.conf"]).stdout == b"nameserver 44.128.53.1\n"
    assert lab.client_run(["cat", "/etc/resolv.conf"]).stdout == b"nameserver 10.77.0.1\n"
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        lab.client_python("operator:floordiv", 1, 0)


def test_encrypted_resolvers_answer_and_can_be_blocked(lab: NetworkLab) -> None:
    name = "dns.example"
    doh = [
        *("curl", "-sS", "--max-time", "5", "--cacert", lab.ca, "-w", "%{http_code}"),
        f"https://{name}/dns-query?dns=AAABAAABAAAAAAAABG5ld3MHZXhhbXBsZQAAAQAB",
        *("-o", "/dev/null"),
    ]
    assert lab.client_run(doh).stdout == b"200"
    lab.censor("sni_reset", name)
    assert lab.client_run(doh).returncode == 35


def test_further_hosts_are_served_with_their_own_addresses() -> None:
    """An app's real names can be met in here, where the real ones cannot be reached."""
    if (reason := why_not()) is not None:
        missing(reason)
    with NetworkLab(hosts={"app.example.net": ("44.128.100.1",)}, quic=False) as made:
        assert looks.tls(made, "app.example.net", looks.LONG_S) == "ok"
        made.censor("ip_drop", "app.example.net")
        assert looks.tcp(made, "app.example.net", looks.SHORT_S) == "timeout"


def test_wrong_orders_are_refused_in_a_sentence(lab: NetworkLab) -> None:
    orders: list[tuple[str, str, Partial]] = [
        ("dns_magic", FIVE[0], ""),
        ("sni_reset", "nowhere.example", ""),
        ("sni_reset", "", ""),
        ("dns_nxdomain", FIVE[0], "residual"),
        ("packet_loss", FIVE[0], ""),
        ("captcha", "", ""),
        ("captcha", FIVE[0], "some"),
        ("ip_drop", "canary.example", "one_address"),
    ]
    for order in orders:
        with pytest.raises(UsageError, match=r"^The lab.*\.$"):
            lab.censor(*order)
    assert not lab.conditions
