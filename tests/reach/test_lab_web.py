"""The web test against a censor whose doing is known: real tools, real packets, no way out.

If this fails, somebody is told that a site is blocked where it is down, or open where it is not.
Each round is a lab of its own with six forms in force at once; rounds go on side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.needs import missing
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_control import LabControl
from vanished.lab.network_forms import Partial
from vanished.lab.network_trials import Trial, trials

SEED = 11
Conditions = Sequence[tuple[str, Partial]]

ROUNDS: Mapping[str, tuple[Conditions, str]] = {
    "artefacts": (
        [("dns_nxdomain", ""), ("dns_injection", ""), ("ip_reset", ""), ("sni_reset", "residual"),
         ("tls_interception", ""), ("quic_drop", "")], ""),
    "pages": (
        [("http_block_page", ""), ("http_redirect", ""), ("http_word_reset", ""),
         ("http_drop", ""), ("dns_block_page", ""), ("http_reset", "some")], ""),
    "silence": (
        [("dns_drop", ""), ("ip_drop", "one_address"), ("sni_drop", ""), ("dns_bogon", "some"),
         ("ip_unreachable", "some"), ("throttling", "")], ""),
    "outages": (
        [("server_down", ""), ("server_silent", ""), ("name_gone", ""),
         ("certificate_expired", ""), ("captcha", ""), ("other_address", "")], ""),
    "clean": ([("", "")] * 6, ""),
    "loss": ([("", "")] * 6, "packet_loss"),
    "resolver": ([("", "")] * 3, "resolver_dead"),
    "portal": ([("", "")] * 3, "captive_portal"),
    "stale": ([("", "")] * 3, "control_down"),
}  # fmt: skip


def _round(number: int, conditions: Conditions, whole: str) -> list[Trial]:
    with NetworkLab(seed=SEED + number) as lab, LabControl(lab) as control:
        given = dict(zip(lab.targets, conditions, strict=False))
        return trials(lab, control, given, whole=whole)


@pytest.fixture(scope="module")
def tried() -> Mapping[str, Future[list[Trial]]]:
    """All rounds, begun at once."""
    why = why_not()
    if why:
        missing(why)
    pool = ThreadPoolExecutor(3)
    return {
        name: pool.submit(_round, number, conditions, whole)
        for number, (name, (conditions, whole)) in enumerate(ROUNDS.items())
    }


@pytest.mark.parametrize("name", ROUNDS)
def test_every_verdict_is_right(tried: Mapping[str, Future[list[Trial]]], name: str) -> None:
    """Right state, and where somebody blocks the right layer and mechanism."""
    found = tried[name].result()
    assert len(found) == len(ROUNDS[name][0])
    wrong = [
        f"{one.form} {one.partial}: said {one.said.state.value} {one.said.layer}"
        f" {one.said.mechanism} by {one.said.rules[:1]}, right are {sorted(one.right.states)}"
        f" {one.right.layer} {one.right.mechanism}"
        for one in found
        if not one.holds
    ]
    assert not wrong
