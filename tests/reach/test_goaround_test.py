"""Go-arounds in the network lab: what a user would be told to use, or to give up.

Real programs from Debian run in the lab; Tor is in `bench/reach_goarounds.py`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.needs import missing
from vanished.lab.goarounds import KINDS, serving
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_control import LabControl, lab_door
from vanished.lab.network_elsewhere import (
    LabElsewhere,
    lab_around_settings,
    lab_go_around,
)
from vanished.lab.network_map import GO_AROUND_HOST
from vanished.lab.network_place import SEARCHED
from vanished.reach.goaround import GoAround
from vanished.reach.goaround_settings import GoAroundSettings
from vanished.reach.goaround_test import AroundSeen, GoAroundTest
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.rules import Reach
from vanished.reach.run import Limits
from vanished.reach.verdict import verdict

TARGET = "news.example"
QUICK = Limits(connect_s=1.0, tls_s=1.0, http_s=2.0, dns_s=0.6)
Built = tuple[NetworkLab, LabControl, GoAroundSettings]


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    if (reason := why_not()) is not None:
        missing(reason)
    with NetworkLab(quic=False) as lab, LabControl(lab) as control:
        settings = lab_around_settings(lab, TARGET, client_s=3.0, page_s=1.5)
        web = replace(settings.web, limits=QUICK, residual_s=0.0, spacing_s=0.1)
        yield lab, control, replace(settings, web=web)


@pytest.fixture
def there(built: Built) -> Iterator[Built]:
    built[0].censor("sni_reset", TARGET)
    yield built
    built[0].clear()


def seen_of(there: Built, found: GoAround, *, control: bool = True) -> AroundSeen:
    lab, beside, settings = there
    elsewhere = LabElsewhere(beside, settings) if control else None
    test = GoAroundTest(settings, lab_door(), beside if control else None, elsewhere)
    return lab.call("client", lambda: asyncio.run(test.measure(found)))


def needs(kind: str) -> None:
    for program, package in KINDS[kind].programs.items():
        if shutil.which(program, path=SEARCHED) is None:
            missing(f"the program '{program}' is not here: apt-get install {package}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_go_around_that_works_is_said_to_work_and_how_fast(there: Built, kind: str) -> None:
    needs(kind)
    with serving(there[0], kind) as served:
        found = lab_go_around(there[0], kind, served.settings)
        seen = seen_of(there, found)
    assert seen.verdict.state is Reach.OK, seen.seen
    assert seen.seen.traffic
    assert (seen.seen.bytes_s or 0) > 100_000
    assert 0 < (seen.seen.first_page_s or 0) < 10
    line = to_json(seen.measurement)
    for secret in found.hidden:
        assert secret.encode() not in line
    assert found.hash.encode() in line
    assert verdict(from_json(line)).state is Reach.OK


@pytest.mark.parametrize(
    ("kind", "form", "layer", "mechanism"),
    [
        ("shadowsocks", "fully_encrypted_drop", "protocol", "fully_encrypted"),
        ("ssh", "ssh_drop", "protocol", "ssh"),
        ("wireguard", "wireguard_drop", "protocol", "wireguard"),
        pytest.param("openvpn", "openvpn_drop", "protocol", "openvpn", marks=pytest.mark.soak),
        pytest.param("wireguard", "ip_drop", "ip", "drop", marks=pytest.mark.soak),
        ("trojan", "ip_reset", "ip", "rst"),
        ("socks_proxy", "ip_unreachable", "ip", "unreachable"),
    ],
)
def test_a_go_around_that_is_stopped_is_stopped_by_what_stops_it(
    there: Built, kind: str, form: str, layer: str, mechanism: str
) -> None:
    needs(kind)
    with serving(there[0], kind) as served:
        found = lab_go_around(there[0], kind, served.settings)
        there[0].censor(form, GO_AROUND_HOST)
        seen = seen_of(there, found)
    said = seen.verdict
    assert said.state in (Reach.BLOCKED, Reach.LIKELY_BLOCKED), seen.seen
    assert (said.layer, said.mechanism) == (layer, mechanism), seen.seen
    line = to_json(seen.measurement)
    for secret in found.hidden:
        assert secret.encode() not in line
    again = verdict(from_json(line))
    assert (again.state, again.mechanism) == (said.state, mechanism)


@pytest.mark.parametrize("kind", ["shadowsocks", "ssh", "http_proxy"])
def test_a_server_that_is_down_is_down_and_not_blocked(there: Built, kind: str) -> None:
    needs(kind)
    with serving(there[0], kind) as served:
        found = lab_go_around(there[0], kind, served.settings)
        there[0].censor("server_down", GO_AROUND_HOST)
        seen = seen_of(there, found)
    assert seen.verdict.state is Reach.DOWN, seen.seen


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("shadowsocks", "ip_reset"),
        pytest.param("wireguard", "wireguard_drop", marks=pytest.mark.soak),
    ],
)
def test_without_a_control_nothing_is_said_against_the_network(
    there: Built, kind: str, form: str
) -> None:
    needs(kind)
    with serving(there[0], kind) as served:
        found = lab_go_around(there[0], kind, served.settings)
        there[0].censor(form, GO_AROUND_HOST)
        seen = seen_of(there, found, control=False)
    assert seen.verdict.state is Reach.INSUFFICIENT, seen.seen


@pytest.mark.soak
def test_a_wrong_password_is_no_block(there: Built) -> None:
    needs("trojan")
    with serving(there[0], "trojan") as served:
        given = {**served.settings, "password": "not the password at all"}
        seen = seen_of(there, lab_go_around(there[0], "trojan", given))
    assert seen.seen.handshake
    assert seen.verdict.state in (Reach.DOWN, Reach.INSUFFICIENT), seen.seen


@pytest.mark.parametrize("kind", ["dot", pytest.param("doh", marks=pytest.mark.soak)])
def test_a_resolver_over_tls_is_a_go_around_for_names(there: Built, kind: str) -> None:
    lab = there[0]
    port, address = {"dot": 853, "doh": 443}[kind], next(iter(lab.resolvers.values()))
    found = lab_go_around(lab, kind, {"server": address, "port": port})
    assert seen_of(there, found).verdict.state is Reach.OK
    lab.censor("ip_reset", next(iter(lab.resolvers)))
    said = seen_of(there, found).verdict
    assert said.state in (Reach.BLOCKED, Reach.INSUFFICIENT), said.says
