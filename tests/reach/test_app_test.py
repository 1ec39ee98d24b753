"""Apps in the network lab: what a user would read of an app that is blocked, open, or gone.

The lab serves the apps' own names and addresses; nothing real can be reached from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.needs import missing
from vanished.lab.network import NetworkLab, why_not
from vanished.lab.network_control import LabControl, lab_door, lab_settings
from vanished.reach.app import App, Endpoint, app_of, shipped
from vanished.reach.app import Part as Group
from vanished.reach.app_test import AppSeen, AppTest
from vanished.reach.ooni_json import from_json, to_json
from vanished.reach.record import Part
from vanished.reach.rules import Reach
from vanished.reach.run import Limits
from vanished.reach.verdict import verdict

QUICK = Limits(connect_s=1.2, tls_s=1.2, http_s=2.5, dns_s=0.6)
"""Servers answer in 30 ms here; three tries that are not answered count all the same."""
DATA_CENTRES = ("149.154.175.50", "149.154.167.51")
HOSTS = {
    "cdsi.signal.org": ("44.128.100.1",),
    "chat.signal.org": ("44.128.100.2", "44.128.100.12"),
    "sfu.voip.signal.org": ("44.128.100.3",),
    "storage.signal.org": ("44.128.100.4",),
    "uptime.signal.org": ("44.128.100.5",),
    "web.telegram.org": ("44.128.100.6",),
    "access.telegram.example": DATA_CENTRES,
    "e1.whatsapp.net": ("157.240.0.1",),
    "e2.whatsapp.net": ("157.240.0.2",),
    "v.whatsapp.net": ("157.240.0.3",),
    "web.whatsapp.com": ("157.240.0.4",),
    "b-api.facebook.com": ("157.240.0.5",),
    "b-graph.facebook.com": ("157.240.0.6",),
    "edge-mqtt.facebook.com": ("157.240.0.7",),
    "external.xx.fbcdn.net": ("157.240.0.8",),
    "scontent.xx.fbcdn.net": ("157.240.0.9",),
    "star.c10r.facebook.com": ("157.240.0.10",),
    "stun.fbsbx.com": ("157.240.0.11",),
    "matrix.example": ("44.128.100.7",),
}


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[NetworkLab, LabControl]]:
    if (reason := why_not()) is not None:
        missing(reason)
    with NetworkLab(hosts=HOSTS, quic=False) as lab, LabControl(lab) as control:
        yield lab, control


@pytest.fixture
def there(built: tuple[NetworkLab, LabControl]) -> Iterator[tuple[NetworkLab, LabControl]]:
    yield built
    built[0].clear()


def served(app: App) -> App:
    """`app` with those of its servers that the lab has."""
    known = {*HOSTS, *DATA_CENTRES}
    parts = tuple(
        replace(part, endpoints=tuple(one for one in part.endpoints if one.host in known))
        for part in app.parts
    )
    return replace(app, parts=tuple(part for part in parts if part.endpoints))


def measured(there: tuple[NetworkLab, LabControl], app: App) -> AppSeen:
    lab, control = there
    settings = replace(lab_settings(lab, fine_tries=1), residual_s=0.0, limits=QUICK)
    test = AppTest(settings, lab_door(), control)
    return lab.call("client", lambda: asyncio.run(test.measure(served(app))))


OPEN = ["signal", "telegram", "whatsapp", "facebook_messenger"]


@pytest.mark.parametrize("name", OPEN)
def test_an_open_app_is_ok_and_read_as_open_by_ooni(
    there: tuple[NetworkLab, LabControl], name: str
) -> None:
    found = measured(there, app_of(name))
    keys = found.measurement.keys
    assert found.verdict.state is Reach.OK, found.verdict.says
    assert found.measurement.test_name == name
    if name == "signal":
        assert (keys.signal_backend_status, keys.signal_backend_failure) == ("ok", None)
    elif name == "telegram":
        assert (keys.telegram_http_blocking, keys.telegram_tcp_blocking) == (False, False)
        assert keys.telegram_web_status == "ok"
    elif name == "whatsapp":
        assert keys.whatsapp_endpoints_status == keys.whatsapp_web_status == "ok"
        assert keys.registration_server_status == "ok"
    else:
        assert (keys.facebook_dns_blocking, keys.facebook_tcp_blocking) == (False, False)
        assert keys.facebook_stun_dns_consistent is True
        assert keys.facebook_stun_reachable is None


@pytest.mark.parametrize(
    ("name", "form", "targets", "layer", "mechanism"),
    [
        ("signal", "sni_drop", ["chat.signal.org"], "sni", "drop"),
        pytest.param(
            "signal",
            "dns_nxdomain",
            ["storage.signal.org"],
            "dns",
            "nxdomain",
            marks=pytest.mark.soak,
        ),
        ("signal", "tls_interception", ["cdsi.signal.org"], "tls", "interception"),
        ("telegram", "ip_drop", ["access.telegram.example"], "ip", "drop"),
        pytest.param(
            "telegram", "sni_reset", ["web.telegram.org"], "sni", "reset", marks=pytest.mark.soak
        ),
        ("whatsapp", "ip_reset", ["e1.whatsapp.net", "e2.whatsapp.net"], "ip", "rst"),
        pytest.param(
            "whatsapp", "dns_bogon", ["web.whatsapp.com"], "dns", "bogon", marks=pytest.mark.soak
        ),
        pytest.param(
            "facebook_messenger",
            "ip_unreachable",
            ["edge-mqtt.facebook.com"],
            "ip",
            "unreachable",
            marks=pytest.mark.soak,
        ),
        ("facebook_messenger", "dns_block_page", ["b-api.facebook.com"], "dns", "block_address"),
        ("facebook_messenger", "dns_injection", ["stun.fbsbx.com"], "dns", "injection"),
    ],
)
def test_a_blocked_app_is_blocked_by_what_blocks_it(
    there: tuple[NetworkLab, LabControl],
    name: str,
    form: str,
    targets: list[str],
    layer: str,
    mechanism: str,
) -> None:
    for target in targets:
        there[0].censor(form, target)
    found = measured(there, app_of(name))
    said = found.verdict
    assert said.state in (Reach.BLOCKED, Reach.LIKELY_BLOCKED), (said.says, parts(found))
    assert (said.layer, said.mechanism) == (layer, mechanism), parts(found)
    blamed = [one.url for one in parts(found) if one.state in ("blocked", "likely_blocked")]
    where = [a for one in targets for a in (one, *HOSTS[one])]
    assert blamed
    assert all(any(one in url for one in where) for url in blamed), blamed
    keys = found.measurement.keys
    theirs = {
        "signal": keys.signal_backend_status == "blocked",
        "telegram": keys.telegram_tcp_blocking or keys.telegram_web_status == "blocked",
        "whatsapp": "blocked" in (keys.whatsapp_endpoints_status, keys.whatsapp_web_status),
        "facebook_messenger": keys.facebook_dns_blocking or keys.facebook_tcp_blocking,
    }
    assert theirs[name]
    again = from_json(to_json(found.measurement))
    assert verdict(again).state is said.state
    assert verdict(again).mechanism == mechanism


def parts(found: AppSeen) -> tuple[Part, ...]:
    block = found.measurement.keys.x_vanished
    assert block is not None
    return block.parts or ()


@pytest.mark.parametrize(
    "outage", ["server_down", "name_gone", pytest.param("server_silent", marks=pytest.mark.soak)]
)
def test_a_server_that_is_gone_everywhere_is_a_stale_line_and_no_block(
    there: tuple[NetworkLab, LabControl], outage: str
) -> None:
    there[0].censor(outage, "cdsi.signal.org")
    found = measured(there, app_of("signal"))
    assert found.verdict.state is Reach.OK, parts(found)
    states = {one.url: one.state for one in parts(found)}
    assert states["https://cdsi.signal.org/"] in ("down", "insufficient")


def test_a_list_of_which_nothing_is_left_makes_a_stale_test(
    there: tuple[NetworkLab, LabControl],
) -> None:
    for name in ("e1.whatsapp.net", "e2.whatsapp.net"):
        there[0].censor("server_down", name)
    said = measured(there, app_of("whatsapp")).verdict
    assert (said.state, said.rules[0]) == (Reach.INSUFFICIENT, "app-stale")


@pytest.mark.parametrize(
    "outage",
    ["control_down", "captive_portal", pytest.param("resolver_dead", marks=pytest.mark.soak)],
)
def test_without_a_control_or_a_canary_nothing_is_blocked(
    there: tuple[NetworkLab, LabControl], outage: str
) -> None:
    there[0].censor(outage)
    said = measured(there, app_of("signal")).verdict
    assert said.state in (Reach.INSUFFICIENT, Reach.OK), said.says


@pytest.mark.soak
def test_one_open_access_point_is_enough_where_any_is(
    there: tuple[NetworkLab, LabControl],
) -> None:
    there[0].censor("ip_drop", "access.telegram.example", partial="one_address")
    found = measured(there, app_of("telegram"))
    assert found.verdict.state is Reach.OK
    assert any(one.state == "blocked" for one in parts(found))


def test_a_server_with_an_authority_of_its_own_is_not_called_intercepted(
    there: tuple[NetworkLab, LabControl],
) -> None:
    """Nor stopped: a control that does not know the authority is told from one that is cut off."""
    there[0].censor("certificate_self_signed", "matrix.example")
    app = app_of("matrix=matrix.example")
    said = measured(there, replace(app, parts=(group("https://matrix.example/"),))).verdict
    assert said.state in (Reach.OK, Reach.DOWN, Reach.INSUFFICIENT)


def group(*urls: str, status: tuple[int, ...] = ()) -> Group:
    return Group("it", "all", tuple(Endpoint(url, status=status) for url in urls))


def test_an_answer_that_does_not_count_is_stale_where_the_control_gets_it_too(
    there: tuple[NetworkLab, LabControl],
) -> None:
    app = app_of("matrix=matrix.example")
    counted = replace(app, parts=(group("https://matrix.example/", status=(204,)),))
    found = measured(there, counted)
    block = found.endpoints[0].keys.x_vanished
    assert block is not None
    assert block.rules[0] == "stale-expectation"
    assert found.verdict.state is Reach.INSUFFICIENT


def test_every_app_that_is_shipped_can_be_read() -> None:
    assert {*OPEN, "wechat", "line", "kakaotalk", "matrix", "mastodon", "bluesky", "weibo"} == {
        *shipped()
    }
    for name in shipped():
        app = app_of(name)
        assert app.sources
        assert app.endpoints
    assert len(app_of("whatsapp").endpoints) == 16 * 2 + 2
    assert app_of("matrix=chat.example").endpoints[0].host == "chat.example"
