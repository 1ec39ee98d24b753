"""OONI's verdict recomputed: a difference would falsify comparisons with others' counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reach.records import generated, samples
from vanished.lab.reach_records import measure
from vanished.reach.classic import Classic, classic
from vanished.reach.likeness import compare, title_of
from vanished.reach.record import ControlPage, Measurement
from vanished.reach.steps import Answer, Response, TcpStatus


def carrying() -> dict[str, Measurement]:
    """The records of web_connectivity that carry a verdict of OONI's."""
    return {
        name: one
        for name, one in {**generated(), **samples()}.items()
        if one.test_name == "web_connectivity" and one.test_keys is not None
    }


def test_the_verdict_equals_ooni_s_wherever_a_record_carries_one() -> None:
    """Of three generations of probes, 2016 to 2025."""
    records = carrying()
    assert len(records) == 41
    differing = {}
    for name, one in records.items():
        says, keys = classic(one), one.keys
        theirs = (keys.blocking, keys.accessible, keys.dns_consistency)
        if (says.blocking, says.accessible, says.dns_consistency) != theirs:
            differing[name] = (says, theirs)
    assert not differing


def test_the_page_s_likeness_equals_ooni_s() -> None:
    """Its four comparisons, where the body is in the record."""
    for name, one in generated().items():
        keys = one.keys
        last = next(
            (x for x in keys.requests or () if not x.failure and "classic" in (x.tags or ())), None
        )
        page = keys.control.http_request if keys.control else None
        if last is None or page is None or keys.status_code_match is None:
            continue
        like = compare(last.response, page)
        assert like.status == keys.status_code_match, name
        assert like.headers == keys.headers_match, name
        assert like.title == keys.title_match, name
        assert like.body == keys.body_length_match, name
        assert like.proportion == pytest.approx(keys.body_proportion), name


@pytest.mark.parametrize(
    ("form", "blocking", "accessible"),
    [
        ("clean", False, True),
        ("server_down", False, False),
        ("no_such_name", False, False),
        ("stale_control_failing", None, None),
    ],
)
def test_ours_can_be_read_by_their_rules(
    form: str, blocking: str | bool | None, accessible: bool | None
) -> None:
    """Our own records carry what OONI's rules need."""
    measurement = measure(form, seed=3)
    keys = measurement.keys
    queries = tuple(replace(one, engine="getaddrinfo") for one in keys.queries or ())
    says = classic(replace(measurement, test_keys=replace(keys, queries=queries)))
    assert (says.blocking, says.accessible) == (blocking, accessible)


def test_the_same_network_is_consistent() -> None:
    """An address of the same network is the same site: CDNs answer what is near."""
    measurement = measure("dns_wrong_address", seed=1)
    keys = measurement.keys
    queries = tuple(replace(one, engine="getaddrinfo") for one in keys.queries or ())
    measurement = replace(measurement, test_keys=replace(keys, queries=queries))
    assert classic(measurement).dns_consistency == "inconsistent"
    assert classic(measurement, asn_of=lambda _: 64500).dns_consistency == "consistent"


def test_a_server_error_of_the_control_says_nothing() -> None:
    """Else every site that was down for the control for a minute would differ."""
    page = ControlPage(status_code=503, body_length=10, title="", headers={})
    assert compare(Response(200, body="x" * 10), page).status is None
    assert compare(Response(503, body="x" * 10), page).status is True
    assert title_of("<TITLE lang=en>A  page</TITLE>") == "A  page"


def test_a_version_that_is_no_number_is_the_latest() -> None:
    """Development builds say so."""
    measurement = replace(measure("clean", seed=1), test_version="dev")
    assert isinstance(classic(measurement), Classic)


def test_one_address_that_answers_is_enough() -> None:
    """What came furthest decides: a dead second address is no block of the site."""
    one = generated()["successWithHTTPS"]
    keys = one.keys
    answer = Answer("A", ipv4="93.184.216.35")
    queries = tuple(
        replace(step, answers=(*(step.answers or ()), answer)) for step in keys.queries or ()
    )
    dead = replace(
        (keys.tcp_connect or ())[0],
        ip="93.184.216.35",
        status=TcpStatus(False, "connection_refused"),
        transaction_id=59999,
    )
    keys = replace(keys, queries=queries, tcp_connect=(dead, *(keys.tcp_connect or ())))
    assert classic(replace(one, test_keys=keys)).accessible is True
